"""Rules on randomness, state and fairness. One rule is one function."""

from __future__ import annotations

import ast
import copy
import hashlib
import io
import json
import os
import random
import subprocess
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from teachers.base import Proposal
from teachers.check_classroom import Lesson, Room, same_proposals, source_file
from teachers.check_rules import MAIN, Rule, generators, only
from teachers.sources import imported, neighbour, source_files

PURE_MODULES = set(
    "__future__ abc array bisect collections contextlib copy dataclasses decimal enum fractions "
    "functools heapq itertools math numbers operator statistics string types typing "
    "typing_extensions warnings numpy scipy sklearn torch teachers".split()
)
FORBIDDEN_MODULES = ("sklearn.datasets", "teachers.check", "torch.multiprocessing", "torch.hub")
FORBIDDEN_CALLS = set("open exec eval compile __import__ input breakpoint".split())
FORBIDDEN_METHODS = set(
    "load save savez savez_compressed loadtxt savetxt genfromtxt fromfile tofile memmap "
    "open_memmap DataSource".split()
)
LIBRARIES = ("np", "numpy", "torch", "scipy")

# Randomness


def check_same_seed_same_proposals(room: Room) -> None:
    """Two runs with one seed are equal bit for bit."""
    assert room.reproducible, "two runs with seed 1 differ; draw only from self.rng"


@only(*MAIN)
def check_seed_zero_is_a_seed(room: Room) -> None:
    """Seed 0 repeats like any other seed."""
    room.require_reproducible()
    runs = [room.lesson(seed=0).run(rounds=4) for _ in range(2)]
    assert same_proposals(*runs), "two runs with seed 0 differ; test `seed is None`, not `not seed`"


@only(*MAIN)
def check_different_seeds_differ(room: Room) -> None:
    """Another seed gives other proposals, unless the teacher draws nothing."""
    room.require_reproducible()
    before = generators(room.lesson().teacher.state_dict())
    other = room.lesson(seed=2)
    start = generators(other.teacher.state_dict())
    same = same_proposals(other.run(), room.reference)
    drew = generators(other.teacher.state_dict()) != start
    if same and not drew and (not start or start != before):
        raise unittest.SkipTest("the teacher draws nothing")
    assert not same, "seeds 1 and 2 gave the same proposals; the seed is ignored"


@only(*MAIN)
def check_global_randomness_is_untouched(room: Room) -> None:
    """The global generators of random, NumPy and torch are neither read nor changed."""
    runs = []
    kept = _global_states()
    try:
        for seed in (11, 12):
            random.seed(seed)
            np.random.seed(seed)  # noqa: NPY002
            if "torch" in sys.modules:
                sys.modules["torch"].manual_seed(seed)
            before = _global_states()
            runs.append(room.lesson().run())
            after = _global_states()
            changed = [name for name in before if repr(before[name]) != repr(after[name])]
            assert not changed, f"the global generator of {changed[0]} was used; draw from self.rng"
    finally:
        _restore(kept)
    if room.reproducible:
        assert same_proposals(*runs), "proposals depend on a global generator; draw from self.rng"


def _global_states() -> dict[str, Any]:
    states = {"random": random.getstate(), "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002
    states["numpy"]["state"]["key"] = states["numpy"]["state"]["key"].tolist()
    if "torch" in sys.modules:
        states["torch"] = sys.modules["torch"].get_rng_state().tolist()
    return states


def _restore(states: dict[str, Any]) -> None:
    random.setstate(states["random"])
    numpy_state = copy.deepcopy(states["numpy"])
    numpy_state["state"]["key"] = np.array(numpy_state["state"]["key"], dtype=np.uint32)
    np.random.set_state(numpy_state)  # noqa: NPY002
    if "torch" in states:
        torch = sys.modules["torch"]
        torch.set_rng_state(torch.tensor(states["torch"], dtype=torch.uint8))


@only(*MAIN)
def check_same_in_another_process(room: Room) -> None:
    """Another process with another hash seed proposes the same."""
    room.require_reproducible()
    cls = room.cls
    try:
        keywords = json.dumps(dict(room.keywords))
    except TypeError as error:
        raise unittest.SkipTest(f"cannot be rebuilt in another process: {error}") from error
    if "<locals>" in cls.__qualname__:
        raise unittest.SkipTest("the class is not at the top level of a file")
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(_root()), *sys.path]))
    environment["PYTHONHASHSEED"] = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    command = [sys.executable, "-m", "teachers.check_process"]
    command += [cls.__module__, str(source_file(cls)), cls.__qualname__, room.name, keywords]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert child.returncode == 0, f"another process failed: {child.stderr.strip()[-300:]}"
    assert child.stdout.split()[-1] == digest(room.reference), (
        "another process with another hash seed proposes other tasks; do not iterate over sets "
        "and do not use hash() or id()"
    )


def _root() -> Path:
    return Path(__file__).resolve().parent.parent


def digest(proposals: list[Proposal]) -> str:
    """Return a SHA-256 of proposals."""
    total = hashlib.sha256()
    for proposal in proposals:
        for values in (proposal.tasks, proposal.weights, proposal.seeds):
            total.update(b"-" if values is None else np.ascontiguousarray(values).tobytes())
    return total.hexdigest()


@only(*MAIN)
def check_instances_are_independent(room: Room) -> None:
    """A second teacher at work does not change what the first one proposes."""
    room.require_reproducible()
    one, other = room.lesson(), room.lesson(seed=2)
    proposals = []
    for _ in range(24):
        proposals.append(one.step(25))
        other.step(10)
    assert same_proposals(proposals, room.reference), (
        "a second instance changed the proposals; keep nothing in class attributes or globals"
    )


# State


@only(*MAIN, "box-1")
def check_state_continues_exactly(room: Room) -> None:
    """A teacher saved and loaded in mid-run goes on as if nothing had happened."""
    room.require_reproducible()
    lesson = room.lesson()
    lesson.run(rounds=13)
    saved = lesson.teacher.state_dict()
    kept = copy.deepcopy(saved)
    pupil, proposed = copy.deepcopy(lesson.pupil), lesson.proposed
    expected = lesson.run(rounds=14)
    assert _text(saved) == _text(kept), "a saved state changed while the run went on; save copies"
    for _ in range(2):  # twice, because loading must not use up the state
        resumed = Lesson(room.make(), copy.deepcopy(pupil))
        resumed.proposed = proposed
        resumed.teacher.load_state_dict(_stored(saved))
        assert same_proposals(resumed.run(rounds=14), expected), (
            "after loading a saved state the proposals differ; name every attribute that "
            "changes in `memory`"
        )
    direct = Lesson(room.make(), copy.deepcopy(pupil))
    direct.teacher.load_state_dict(saved)
    direct.run(rounds=2)
    assert _text(saved) == _text(kept), "a loaded state changed later; load copies"


@only(*MAIN)
def check_state_is_plain(room: Room) -> None:
    """The state holds numbers, strings, None, booleans, arrays, lists and dicts only."""
    lesson = room.lesson()
    for rounds in (0, 13):
        lesson.run(rounds)
        for path, value in _oddities(lesson.teacher.state_dict(), "state"):
            raise AssertionError(
                f"{path} is a {type(value).__name__}; allowed are numbers, strings, None, "
                "booleans, NumPy arrays of numbers, lists, and dicts with string keys"
            )


def _oddities(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Find what cannot be stored as JSON and plain arrays, with the path to it."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [] if isinstance(key, str) else [(f"{path} key {key!r}", key)]
            yield from _oddities(inner, f"{path}[{key!r}]")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _oddities(inner, f"{path}[{index}]")
    elif isinstance(value, np.ndarray):
        yield from [(path, value)] if value.dtype.kind not in "biufU" else []
    elif isinstance(value, np.generic):
        yield from [(path, value)] if value.dtype.kind not in "biufU" else []
    elif not (value is None or isinstance(value, bool | int | float | str)):
        yield path, value


def _stored(state: Any) -> Any:
    """Return a state as it comes back from storage; odd ones are only copied."""
    if any(True for _ in _oddities(state, "")):
        return copy.deepcopy(state)
    if isinstance(state, dict):
        return {key: _stored(value) for key, value in state.items()}
    if isinstance(state, list):
        return [_stored(value) for value in state]
    if isinstance(state, np.ndarray):
        file = io.BytesIO()
        np.save(file, state, allow_pickle=False)
        return np.load(io.BytesIO(file.getvalue()), allow_pickle=False)
    return json.loads(json.dumps(state.item() if isinstance(state, np.generic) else state))


def _text(state: Any) -> str:
    """Return a state as text that differs when any number differs."""
    if isinstance(state, dict):
        return "{" + ", ".join(f"{key!r}: {_text(value)}" for key, value in state.items()) + "}"
    if isinstance(state, list | tuple):
        return f"{type(state).__name__}[" + ", ".join(_text(value) for value in state) + "]"
    if isinstance(state, np.ndarray) and state.dtype != object:
        return f"{state.dtype}{state.shape}{hashlib.sha256(state.tobytes()).hexdigest()}"
    return repr(state)


# Fairness


@only(*MAIN)
def check_undeclared_signals_are_unread(room: Room) -> None:
    """Only declared signals are read."""
    lesson = room.lesson()
    try:
        lesson.run()
    finally:
        if lesson.touched:
            raise AssertionError(
                f"observe() read {sorted(lesson.touched)}; declare it in `signals`"
            )


@only("box-2")
def check_imports_are_allowed(room: Room) -> None:
    """The file imports only pure standard modules, array libraries, teachers and neighbours."""
    for file, node in _nodes(room):
        for name in imported(node):
            allowed = name.split(".")[0] in PURE_MODULES or name.startswith("gymnasium.spaces")
            allowed = allowed or neighbour(source_file(room.cls).parent, name)
            assert allowed and not name.startswith(FORBIDDEN_MODULES), (
                f"{file.name}, line {node.lineno}, imports {name}; a teacher may import NumPy, "
                "SciPy, scikit-learn, torch, gymnasium.spaces, teachers, pure standard modules and "
                "files beside its own"
            )


@only("box-2")
def check_no_files_clock_or_network(room: Room) -> None:
    """The file and its neighbours open nothing and run no text as code."""
    for file, node in _nodes(room):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        name = called.id if isinstance(called, ast.Name) else ""
        if isinstance(called, ast.Attribute) and called.attr in FORBIDDEN_METHODS:
            base = called.value
            name = called.attr if isinstance(base, ast.Name) and base.id in LIBRARIES else ""
        assert name not in FORBIDDEN_CALLS | FORBIDDEN_METHODS, (
            f"{file.name}, line {node.lineno}, calls {name}(); a teacher has no files, clock or "
            "network"
        )


def _nodes(room: Room) -> Iterator[tuple[Path, ast.AST]]:
    """Every statement and expression of the class's file and of the neighbours it imports."""
    for file in source_files(source_file(room.cls)):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            yield file, node


CONDUCT_RULES: tuple[Rule, ...] = (
    check_same_seed_same_proposals,
    check_seed_zero_is_a_seed,
    check_different_seeds_differ,
    check_global_randomness_is_untouched,
    check_same_in_another_process,
    check_instances_are_independent,
    check_state_continues_exactly,
    check_state_is_plain,
    check_undeclared_signals_are_unread,
    check_imports_are_allowed,
    check_no_files_clock_or_network,
)

"""Finds classes by name or in a stranger's file: one loader for everything pluggable."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from pathlib import Path
from typing import Any

import environments
import students
import teachers
from benchmark.errors import LyceumError, unknown
from teachers.sources import import_file, source_files

TABLES = {
    "teacher": teachers.TEACHERS,
    "student": students.STUDENTS,
    "world": environments.WORLDS,
    "task": environments.TASKS,
}


def load(kind: str, name: str) -> type:
    """Return the class registered under ``name``, or the one in "path/to/file.py:Class".

    Args:
        kind: "teacher", "student", "world" or "task".
        name: a registered name, or a file and class of your own.

    Raises:
        LyceumError: the name is unknown (with the nearest known one), the file cannot be imported
            or holds no such class.
    """
    if ".py" in name:
        return _load_file(name)
    table = TABLES[kind]
    if name not in table:
        raise unknown(kind, name, table)
    module, _, attribute = table[name].partition(":")
    return getattr(importlib.import_module(module), attribute)


def _load_file(name: str) -> type:
    path_text, _, attribute = name.partition(":")
    path = Path(path_text).resolve()
    if not path.is_file():
        raise LyceumError(f"no file {path_text}; expected path/to/file.py:ClassName")
    module_name = f"lyceum_file_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    try:
        module = import_file(path, module_name)
    except Exception as error:
        raise LyceumError(
            f"{path_text} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    own = {
        k: v for k, v in vars(module).items() if inspect.isclass(v) and v.__module__ == module_name
    }
    if not attribute and len(own) == 1:
        return next(iter(own.values()))
    if attribute not in own:
        raise (
            unknown("class", attribute, own)
            if attribute
            else LyceumError(
                f"{path_text} holds {len(own)} classes; name one, for example {path_text}:Mine"
            )
        )
    return own[attribute]


def source_sha256(cls: type) -> str:
    """SHA-256 of the file that defines ``cls`` and of the neighbours it imports, if there are any.

    It is what a record says about which code ran.
    """
    first, *others = source_files(Path(inspect.getfile(cls)).resolve())
    digest = hashlib.sha256(first.read_bytes())
    for path in others:
        digest.update(str(path.relative_to(first.parent)).encode() + path.read_bytes())
    return digest.hexdigest()


def describe(name: str) -> str:
    """The name under which a teacher's results are filed: its registered name, or its class."""
    if ".py" not in name:
        return name
    path, _, attribute = name.partition(":")
    return attribute or Path(path).stem


def public_hyperparameters(cls: type) -> dict[str, Any]:
    """The keyword hyperparameters of a teacher or student with their defaults."""
    contract = {"self", "task_space", "seed", "knowledge", "device", "num_envs"}
    contract |= {"observation_space", "action_space", "input_shape", "num_classes"}
    parameters = inspect.signature(cls).parameters.values()
    return {
        p.name: p.default
        for p in parameters
        if p.name not in contract and p.kind is not inspect.Parameter.VAR_KEYWORD
    }

"""Rules on what a teacher is, proposes and bears to hear. One rule is one function."""

from __future__ import annotations

import copy
import inspect
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from teachers.base import PRIVILEGES, SIGNALS, Outcomes, Proposal, TaskSpace
from teachers.check_classroom import SPACES, Lesson, Room, leaves, same_proposals
from teachers.hooks import undeclared
from teachers.proposals import validate_proposal

Rule = Callable[[Room], Any]
MAIN = ("box-2", "discrete-40")


def only(*names: str) -> Callable[[Rule], Rule]:
    """Limit a rule to these task spaces; without it a rule runs on all of them."""

    def mark(rule: Rule) -> Rule:
        rule.spaces = names
        return rule

    return mark


def hyperparameters(room: Room) -> dict[str, inspect.Parameter]:
    """The constructor's own keywords, without those of the contract."""
    parameters = list(inspect.signature(room.cls).parameters.values())[1:]
    return {p.name: p for p in parameters if p.name not in ("seed", "knowledge")}


def valid(room: Room, proposal: Proposal, count: int | None = None) -> None:
    """Validate a proposal; without ``count`` any number of tasks will do."""
    tasks = getattr(proposal, "tasks", ())
    validate_proposal(proposal, room.task_space(), len(tasks) if count is None else count)


# Construction


def check_works_with_space_and_seed_only(room: Room) -> None:
    """A task space and a seed are enough to build a teacher."""
    room.bare()


@only("box-2")
def check_signature(room: Room) -> None:
    """The constructor is (task_space, *, seed, knowledge, keywords with defaults)."""
    space, *rest = inspect.signature(room.cls).parameters.values()
    kinds = inspect.Parameter
    assert space.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.POSITIONAL_ONLY), (
        "the first argument must be the task space"
    )
    for parameter in rest:
        assert parameter.kind is kinds.KEYWORD_ONLY, (
            f"argument '{parameter.name}' must be keyword-only; write * after the task space and "
            "take neither *args nor **kwargs"
        )
        assert parameter.name == "seed" or parameter.default is not kinds.empty, (
            f"argument '{parameter.name}' must have a default"
        )
    missing = {"seed", "knowledge"} - {parameter.name for parameter in rest}
    assert not missing, f"the constructor must take {sorted(missing)} and hand them to the base"


@only("box-2")
def check_unknown_keywords_raise(room: Room) -> None:
    """A misspelt hyperparameter is an error."""
    try:
        room.bare(no_such_hyperparameter=1)
    except TypeError:
        return
    raise AssertionError("an unknown keyword must raise TypeError; it was accepted")


@only("box-2")
def check_hyperparameters_are_validated(room: Room) -> None:
    """NaN raises ValueError for a number, and -10**9 does for a count.

    A hyperparameter with a whole number as its default is taken for a count.
    """
    tried = 0
    for name, parameter in hyperparameters(room).items():
        default = parameter.default
        if isinstance(default, bool) or not isinstance(default, int | float):
            continue
        tried += 1
        wrong = -(10**9) if isinstance(default, int) else float("nan")
        try:
            room.bare(**{**room.keywords, name: wrong})
        except (ValueError, TypeError):
            continue
        raise AssertionError(f"{name}={wrong} must raise ValueError; it was accepted")
    if not tried:
        raise unittest.SkipTest("there is no numeric hyperparameter")


@only("box-2")
def check_class_facts(room: Room) -> None:
    """Docstring, reference, signals, privileges and spaces are stated, in known words."""
    cls = room.cls
    assert cls.__doc__, "the class needs a docstring"
    assert isinstance(cls.reference, str) and cls.reference.strip(), (
        "`reference` must say where the method comes from, or that it is your own"
    )
    for fact, known in (
        ("signals", SIGNALS),
        ("privileges", PRIVILEGES),
        ("spaces", ("box", "discrete")),
    ):
        stated = getattr(cls, fact)
        assert isinstance(stated, tuple), f"`{fact}` must be a tuple; got {stated!r}"
        unknown = [name for name in stated if name not in known]
        assert not unknown, f"`{fact}` holds {unknown}; known are {', '.join(known)}"
    assert cls.spaces, "`spaces` must name at least one kind of task space"
    assert not (fault := undeclared(cls)), fault


@only(*MAIN)
def check_arguments_are_not_modified(room: Room) -> None:
    """The task space, its columns and the keywords are the same after a run."""
    space, keywords = room.task_space(), copy.deepcopy(dict(room.keywords))
    before = _contents(space), copy.deepcopy(keywords)
    teacher = Room(room.cls, room.name, keywords).make(1, space)
    Lesson(teacher, room.lesson().pupil).run(rounds=4)
    after = _contents(space)
    for name, value in before[0].items():
        assert np.array_equal(value, after[name]), f"the teacher changed {name} of its task space"
    assert repr(before[1]) == repr(keywords), "the teacher changed a keyword argument"


def _contents(space: TaskSpace) -> dict[str, np.ndarray]:
    columns = ("default", "label", "group", "prior")
    found = {name: getattr(space, name) for name in columns}
    if isinstance(space.space, spaces.Box):
        found |= {"low": space.space.low, "high": space.space.high}
    return {name: np.array(value) for name, value in found.items() if value is not None}


# Proposals


def check_proposals_lie_in_the_space(room: Room) -> None:
    """Every proposal of a whole run is valid: shape, dtype, range, weights, seeds."""
    lesson = room.lesson()
    for _ in range(24):
        valid(room, lesson.step(25))


@only(*MAIN, "box-1", "discrete-1")
def check_count_is_honoured(room: Room) -> None:
    """propose(count) returns exactly ``count`` tasks, at every time of a run."""
    for counts in ((1, 2, 64, 7), (100, 3, 1)):
        lesson = room.lesson()
        for count in counts:
            got = len(lesson.step(count).tasks)
            assert got == count, f"propose({count}, ...) returned {got} tasks"


@only(*MAIN)
def check_many_proposals_without_outcomes(room: Room) -> None:
    """Proposing works before any outcome and many times in a row."""
    room.require_valid()
    lesson = room.lesson()
    for _ in range(300):
        valid(room, lesson.propose(3)[0])


@only(*MAIN)
def check_proposals_are_fresh(room: Room) -> None:
    """A proposal is not touched after it was returned, and editing it changes nothing later."""
    room.require_reproducible()
    lesson, given = room.lesson(), []
    for _ in range(24):
        proposal, numbers = lesson.propose(25)
        kept = copy.deepcopy(proposal)
        lesson.teacher.observe(lesson.answer(kept.tasks, numbers))
        for earlier, copied in given:
            assert same_proposals([earlier], [copied]), "a later call changed an earlier proposal"
        given.append((proposal, kept))
    lesson, edited = room.lesson(), []
    for _ in range(24):
        proposal, numbers = lesson.propose(25)
        edited.append(copy.deepcopy(proposal))
        for values in (proposal.tasks, proposal.weights, proposal.seeds):
            if isinstance(values, np.ndarray) and values.flags.writeable:
                values[...] = values[::-1].copy()
        lesson.teacher.observe(lesson.answer(edited[-1].tasks, numbers))
    assert same_proposals(edited, [copied for _, copied in given]), (
        "editing a returned proposal changed what came later; return a copy"
    )


@only(*MAIN)
def check_draws_do_not_repeat(room: Room) -> None:
    """The generator never goes back to an earlier state: nothing is seeded again in a run."""
    lesson, states, batches = room.lesson(), [], []
    for _ in range(24):
        proposal, numbers = lesson.propose(25)
        states.append(generators(lesson.teacher.state_dict()))
        batches.append(np.array(proposal.tasks))
        lesson.teacher.observe(lesson.answer(batches[-1].copy(), numbers))
        states.append(generators(lesson.teacher.state_dict()))
    if len(set(states)) == 1:
        raise unittest.SkipTest("the teacher draws nothing")
    changes = [b for a, b in zip([None, *states], states, strict=False) if a != b]
    assert len(set(changes)) == len(changes), (
        "the random generator went back to an earlier state; seed it once, in the constructor"
    )
    if isinstance(SPACES[room.name], spaces.Box):
        distinct = {batch.tobytes() for batch in batches if len(np.unique(batch, axis=0)) > 1}
        varied = sum(len(np.unique(batch, axis=0)) > 1 for batch in batches)
        assert len(distinct) == varied, "the same batch of random tasks was proposed twice"


def generators(state: Any) -> str:
    """The states of all generators inside a state, as text."""
    if isinstance(state, dict):
        if "bit_generator" in state:
            return repr(state)
        return "".join(generators(value) for value in state.values())
    if isinstance(state, list | tuple):
        return "".join(generators(value) for value in state)
    return ""


# Outcomes


@only(*MAIN, "box-1")
def check_outcomes_in_any_order(room: Room) -> None:
    """Outcomes may come late, mixed, one by one; some never arrive."""
    room.require_valid()
    lesson, rng = room.lesson(), np.random.default_rng(0)
    for _ in range(5):
        parts = [lesson.propose(20) for _ in range(6)]
        tasks = np.concatenate([proposal.tasks for proposal, _ in parts])
        numbers = np.concatenate([number for _, number in parts])
        order = rng.permutation(len(tasks))[: len(tasks) * 4 // 5]
        for chunk in (order[:60], order[60:61], order[61:]):
            if len(chunk):
                lesson.teacher.observe(lesson.answer(tasks[chunk], numbers[chunk]))
        valid(room, lesson.propose(5)[0])


@only(*MAIN)
def check_observe_returns_nothing(room: Room) -> None:
    """observe() returns None."""
    lesson = room.lesson()
    proposal, numbers = lesson.propose(25)
    got = lesson.teacher.observe(lesson.answer(proposal.tasks, numbers))
    assert got is None, f"observe() must return None; it returned a {type(got).__name__}"


@only(*MAIN)
def check_outcomes_are_not_modified(room: Room) -> None:
    """observe() leaves the outcomes as they were."""
    lesson = room.lesson()
    for _ in range(24):
        proposal, numbers = lesson.propose(25)
        outcomes = lesson.answer(proposal.tasks, numbers)
        before = copy.deepcopy(_arrays(outcomes))
        lesson.teacher.observe(outcomes)
        for name, values in _arrays(outcomes).items():
            if values.dtype != object:
                assert np.array_equal(values, before[name]), f"observe() changed outcomes.{name}"


def _arrays(outcomes: Outcomes) -> dict[str, np.ndarray]:
    names = ("proposal", "tasks", "score", "success", "length")
    return {name: getattr(outcomes, name) for name in names} | dict(outcomes.signals)


@only(*MAIN)
def check_weigh_is_valid(room: Room) -> None:
    """weigh(batch), where defined, returns finite weights (n,) >= 0 and leaves the batch alone."""
    if not hasattr(room.cls, "weigh"):
        raise unittest.SkipTest("the teacher does not weigh")
    lesson = room.lesson()
    for _ in range(24):
        tasks = lesson.step(25).tasks
        facts = lesson.pupil.facts(tasks)
        batch = lesson.batch(tasks, facts)
        before = copy.deepcopy(batch)
        weights = np.asarray(lesson.teacher.weigh(batch))
        assert weights.shape == (25,), f"weigh() returned shape {weights.shape}; expected (25,)"
        assert np.isfinite(weights).all() and (weights >= 0).all(), (
            "weigh() returned weights that are not finite and >= 0"
        )
        assert all(np.array_equal(batch[name], before[name]) for name in before), (
            "weigh() changed the batch"
        )


@only("discrete-40")
def check_transform_loss_is_valid(room: Room) -> None:
    """transform_loss(), where defined, returns finite losses (n,) with a finite gradient."""
    if not hasattr(room.cls, "transform_loss"):
        raise unittest.SkipTest("the teacher does not change the objective")
    import torch

    lesson = room.lesson()
    for _ in range(24):
        tasks = lesson.step(25).tasks
        logits, targets, given = leaves(tasks, lesson.pupil.facts(tasks)["logits"])
        losses = lesson.teacher.transform_loss(logits, targets, given)
        assert isinstance(losses, torch.Tensor) and losses.shape == (len(tasks),), (
            f"transform_loss() must return a tensor ({len(tasks)},)"
        )
        assert torch.isfinite(losses).all(), "transform_loss() returned losses that are not finite"
        assert losses.requires_grad, "transform_loss() lost the graph of the logits"
        (slope,) = torch.autograd.grad(losses.sum(), logits, allow_unused=True)
        assert slope is not None and torch.isfinite(slope).all(), (
            "the gradient of transform_loss() by the logits is missing or not finite"
        )
        assert np.array_equal(given, tasks), "transform_loss() changed the tasks"


@only("discrete-40")
def check_adjust_is_valid(room: Room) -> None:
    """adjust(progress), where defined, returns finite numbers by name, all through the budget."""
    if not hasattr(room.cls, "adjust"):
        raise unittest.SkipTest("the teacher does not change the student")
    teacher = room.lesson().teacher
    for progress in (0.0, 0.3, 0.5, 1.0):
        settings = teacher.adjust(progress)
        assert isinstance(settings, dict) and all(isinstance(name, str) for name in settings), (
            f"adjust() must return a dict of numbers by name, not {settings!r}"
        )
        assert np.isfinite([float(value) for value in settings.values()]).all(), (
            f"adjust({progress}) returned settings that are not finite: {settings}"
        )


PROPOSAL_RULES: tuple[Rule, ...] = (
    check_works_with_space_and_seed_only,
    check_signature,
    check_unknown_keywords_raise,
    check_hyperparameters_are_validated,
    check_class_facts,
    check_arguments_are_not_modified,
    check_proposals_lie_in_the_space,
    check_count_is_honoured,
    check_many_proposals_without_outcomes,
    check_proposals_are_fresh,
    check_draws_do_not_repeat,
    check_outcomes_in_any_order,
    check_observe_returns_nothing,
    check_outcomes_are_not_modified,
    check_weigh_is_valid,
    check_transform_loss_is_valid,
    check_adjust_is_valid,
)

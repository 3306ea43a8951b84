"""Rules for supervised tasks. One rule is one function that is given a factory."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from environments.base import SupervisedTask
from environments.check_worlds import global_states

Make = Callable[..., SupervisedTask]


def build(make: Make, seed: int = 1) -> SupervisedTask:
    """Build a task; a class that draws anything takes ``seed``."""
    try:
        return make(seed=seed)
    except TypeError as error:
        if "seed" not in str(error):
            raise
        return make()


def draw(task: SupervisedTask, items: Any, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Sample tasks with a fresh generator."""
    return task.sample(np.asarray(items), np.random.default_rng(seed))


def some_tasks(task: SupervisedTask, count: int) -> np.ndarray:
    """The first items, or the corners and random vectors of a box, at most ``count`` in all."""
    space = task.task_space
    if isinstance(space, spaces.Discrete):
        return np.arange(min(count, int(space.n)))
    inner = np.random.default_rng(0).uniform(space.low, space.high, (count - 2, *space.shape))
    return np.concatenate([[space.low, space.high], inner])


def in_box(task: SupervisedTask) -> bool:
    """Whether tasks are vectors of parameters."""
    return isinstance(task.task_space, spaces.Box)


def fixed(task: SupervisedTask) -> bool:
    """Whether sampling draws nothing from its generator."""
    rng = np.random.default_rng(0)
    before = repr(rng.bit_generator.state)
    task.sample(some_tasks(task, 3)[:2], rng)
    return repr(rng.bit_generator.state) == before


def check_sample_shapes(make: Make) -> None:
    """Inputs are (n, *input_shape) float32, targets (n,) int64 within the classes."""
    task = build(make)
    items = some_tasks(task, 50)
    batches = {"sample()": draw(task, items), "sample() of one": draw(task, items[:1])}
    batches |= {"validation": task.validation, "test": task.test}
    for name, (inputs, targets) in batches.items():
        assert inputs.shape[1:] == tuple(task.input_shape) and inputs.dtype == np.float32, (
            f"{name}: inputs are {inputs.dtype} of shape {inputs.shape}; expected float32 of "
            f"(n, {', '.join(map(str, task.input_shape))})"
        )
        assert targets.shape == (len(inputs),) and targets.dtype == np.int64, (
            f"{name}: targets are {targets.dtype} of shape {targets.shape}; expected int64 of (n,)"
        )
        assert np.isfinite(inputs).all(), f"{name}: inputs are not finite"
        assert ((targets >= 0) & (targets < task.num_classes)).all(), (
            f"{name}: targets lie outside 0..{task.num_classes - 1}"
        )
    assert len(batches["sample()"][0]) == len(items), "sample() returned another number of items"


def check_columns(make: Make) -> None:
    """Label, prior, group and truth have one entry per item; parameters describe the box."""
    task = build(make)
    columns = {"label": task.label, "prior": task.prior, "group": task.group, **task.truth}
    columns = {name: column for name, column in columns.items() if column is not None}
    if in_box(task):
        space, parameters = task.task_space, task.task_parameters
        assert not columns, f"a box of parameters has no items, but {sorted(columns)} are set"
        assert space.dtype == np.float64 and space.is_bounded(), "the box must be bounded, float64"
        names = [parameter.name for parameter in parameters]
        assert len(set(names)) == len(names) == space.shape[0], (
            f"task_parameters {names} do not name the {space.shape[0]} dimensions of the box"
        )
        assert space.contains(task.default_task), "the default task lies outside the box"
        return
    n = int(task.task_space.n)
    assert task.label is None or n == len(task.label), (
        "`task_space` must be Discrete with one task per training item"
    )
    for name, column in columns.items():
        assert np.shape(column)[:1] == (n,), f"{name} must have {n} entries"
        assert np.isfinite(np.asarray(column, dtype=np.float64)).all(), f"{name} is not finite"


def check_levels(make: Make) -> None:
    """Every held-out task has a name and at least two test examples, one for each half."""
    task = build(make)
    level, count = task.test_level, len(task.level_names)
    if level is None:
        level, count = np.ravel(task.test[1]), task.num_classes
    assert level.shape == (len(task.test[0]),) and level.dtype.kind in "iu", (
        f"test_level must be {len(task.test[0])} integers, but is {level.dtype} of {level.shape}"
    )
    sizes = np.bincount(level, minlength=count)
    assert len(sizes) == count, f"test_level names level {level.max()}, but there are {count}"
    assert sizes.min() >= 2, f"level {sizes.argmin()} has {sizes.min()} test examples"


def check_space_kind(make: Make) -> None:
    """space_kind() tells, before anything is built, which kind of task space there will be."""
    options = dict(getattr(make, "keywords", {}))
    kind = "box" if in_box(build(make)) else "discrete"
    told = type(build(make)).space_kind(**options)
    assert told == kind, f"space_kind() says {told!r}, but the task space is a {kind} one"


def check_bad_tasks_raise(make: Make) -> None:
    """A vector outside the box, or of another length, raises ValueError; nothing is clipped."""
    task = build(make)
    if not in_box(task):
        return
    space = task.task_space
    nan = np.full(space.shape, np.nan)
    for bad in (space.low - 1e-6, space.high + 1e-6, nan, np.append(space.low, 0.0)):
        try:
            draw(task, [bad])
        except ValueError:
            continue
        raise AssertionError(f"task {bad.tolist()} lies outside the space but raised nothing")


def check_datasheet(make: Make) -> None:
    """The class has a docstring of its own."""
    assert type(build(make)).__doc__, "the class needs a docstring"


def check_sample_follows_tasks(make: Make) -> None:
    """Row i belongs to task i, with repeats and in any order; targets are the labels."""
    task = build(make)
    known = some_tasks(task, 40)
    items = known[[len(known) - 1, 0, len(known) // 2, 0, len(known) - 1]]
    inputs, targets = draw(task, items)
    again = draw(task, items)
    assert np.array_equal(inputs, again[0]) and np.array_equal(targets, again[1]), (
        "the same tasks and generator state gave two different batches"
    )
    if task.label is not None:
        assert np.array_equal(targets, np.asarray(task.label)[items]), (
            "targets are not the labels of the tasks, in their order"
        )
    if fixed(task):
        single = np.concatenate([draw(task, [item])[0] for item in items])
        assert np.array_equal(inputs, single), "inputs do not follow the order of the tasks"


def check_sample_is_fresh(make: Make) -> None:
    """Editing what sample() returned does not change the data."""
    task = build(make)
    known = some_tasks(task, 10**6 if not in_box(task) else 50)
    first = tuple(values.copy() for values in draw(task, known[:2]))
    for items in (known[:2], known):
        for values in draw(task, items):
            if values.flags.writeable:
                values[...] = 0
    again = draw(task, known[:2])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)), (
        "editing a batch changed the data; return copies"
    )


def check_held_out_is_disjoint(make: Make) -> str:
    """No input of the validation or test set is a training input, nor of each other.

    Fresh examples are left out: a level with few distinct inputs has to repeat them.
    """
    task = build(make)
    parts = {"validation": task.validation[0], "test": task.test[0]}
    if task.label is not None:
        parts["training"] = draw(task, np.arange(len(task.label)))[0]
    rows = {name: {row.tobytes() for row in inputs} for name, inputs in parts.items()}
    for ours, theirs in (("training", "validation"), ("training", "test"), ("validation", "test")):
        common = len(rows.get(ours, set()) & rows[theirs])
        assert not common, f"{common} inputs are in both the {ours} and the {theirs} set"
    assert all(len(inputs) for inputs in parts.values()), "a set is empty"
    return "training examples are drawn anew" if task.label is None else ""


def check_same_seed_same_data(make: Make) -> None:
    """Two objects with one seed hold the same data, seed 0 included."""
    for seed in (0, 1):
        ours, theirs = _everything(build(make, seed)), _everything(build(make, seed))
        for name, values in ours.items():
            assert np.array_equal(values, theirs[name]), f"seed {seed} gave two different {name}"


def check_held_out_ignores_the_seed(make: Make) -> None:
    """Every seed is tested on the same data."""
    ours, theirs = build(make, 1), build(make, 2)
    if not np.array_equal(_everything(ours)["test"], _everything(build(make, 1))["test"]):
        raise unittest.SkipTest("no seed repeats")
    for name in ("validation", "test"):
        for a, b in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            assert np.array_equal(a, b), f"the {name} set depends on the seed"


def check_global_randomness_is_untouched(make: Make) -> None:
    """The global generators of random, NumPy and torch are not used."""
    before = global_states()
    _everything(build(make))
    assert global_states() == before, "a global generator was used; draw from your own"


def _everything(task: SupervisedTask) -> dict[str, np.ndarray]:
    inputs, _ = draw(task, some_tasks(task, 10**6 if not in_box(task) else 50))
    facts = {
        "inputs": inputs,
        "labels": task.label,
        "prior": task.prior,
        "group": task.group,
        "validation": task.validation[0],
        "test": task.test[0],
        **task.truth,
    }
    return {name: np.asarray(values) for name, values in facts.items() if values is not None}


TASK_RULES: tuple[Callable[[Make], Any], ...] = (
    check_sample_shapes,
    check_columns,
    check_levels,
    check_space_kind,
    check_bad_tasks_raise,
    check_datasheet,
    check_sample_follows_tasks,
    check_sample_is_fresh,
    check_held_out_is_disjoint,
    check_same_seed_same_data,
    check_held_out_ignores_the_seed,
    check_global_randomness_is_untouched,
)

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
    """Sample items with a fresh generator."""
    return task.sample(np.asarray(items, dtype=np.int64), np.random.default_rng(seed))


def fixed(task: SupervisedTask) -> bool:
    """Whether sampling draws nothing from its generator."""
    rng = np.random.default_rng(0)
    before = repr(rng.bit_generator.state)
    task.sample(np.array([0, 1]), rng)
    return repr(rng.bit_generator.state) == before


def check_sample_shapes(make: Make) -> None:
    """Inputs are (n, *input_shape) float32, targets (n,) int64 within the classes."""
    task = build(make)
    items = np.arange(min(50, len(task.label)))
    batches = {"sample()": draw(task, items), "sample() of one": draw(task, [0])}
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
    """Label, prior, group and truth have one entry per training item; priors are finite."""
    task = build(make)
    n = len(task.label)
    assert isinstance(task.task_space, spaces.Discrete) and task.task_space.n == n, (
        "`task_space` must be Discrete with one task per training item"
    )
    for name, column in {"prior": task.prior, "group": task.group, **task.truth}.items():
        if column is not None:
            assert np.shape(column)[:1] == (n,), f"{name} must have {n} entries"
            assert np.isfinite(np.asarray(column, dtype=np.float64)).all(), f"{name} is not finite"


def check_datasheet(make: Make) -> None:
    """The class has a docstring of its own."""
    assert type(build(make)).__doc__, "the class needs a docstring"


def check_sample_follows_tasks(make: Make) -> None:
    """Row i belongs to task i, with repeats and in any order; targets are the labels."""
    task = build(make)
    last = len(task.label) - 1
    items = np.array([last, 0, last // 2, 0, last])
    inputs, targets = draw(task, items)
    assert np.array_equal(targets, np.asarray(task.label)[items]), (
        "targets are not the labels of the tasks, in their order"
    )
    if fixed(task):
        single = np.concatenate([draw(task, [item])[0] for item in items])
        assert np.array_equal(inputs, single), "inputs do not follow the order of the tasks"


def check_sample_is_fresh(make: Make) -> None:
    """Editing what sample() returned does not change the data."""
    task = build(make)
    first = tuple(values.copy() for values in draw(task, [0, 1]))
    for items in ([0, 1], np.arange(len(task.label))):
        for values in draw(task, items):
            if values.flags.writeable:
                values[...] = 0
    again = draw(task, [0, 1])
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True)), (
        "editing a batch changed the data; return copies"
    )


def check_held_out_is_disjoint(make: Make) -> None:
    """No input of the validation or test set is a training input, nor of each other."""
    task = build(make)
    parts = {
        "training": draw(task, np.arange(len(task.label)))[0],
        "validation": task.validation[0],
        "test": task.test[0],
    }
    rows = {name: {row.tobytes() for row in inputs} for name, inputs in parts.items()}
    for ours, theirs in (("training", "validation"), ("training", "test"), ("validation", "test")):
        common = len(rows[ours] & rows[theirs])
        assert not common, f"{common} inputs are in both the {ours} and the {theirs} set"
    assert all(len(inputs) for inputs in parts.values()), "a set is empty"


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
    inputs, _ = draw(task, np.arange(len(task.label)))
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
    check_datasheet,
    check_sample_follows_tasks,
    check_sample_is_fresh,
    check_held_out_is_disjoint,
    check_same_seed_same_data,
    check_held_out_ignores_the_seed,
    check_global_randomness_is_untouched,
)

"""Supervised tasks with a generator: a task is a vector of parameters, a level, or a fixed item."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
from gymnasium import spaces

from environments.base import SupervisedTask, TaskParameter, parameter_box
from environments.parameters import one_of

SPACES = ("box", "levels", "items")
HELD_OUT_SEED = 20261124  # of the validation and test sets: the same for every run
TRIES = 20


class Generator(SupervisedTask):
    """Examples made on demand from parameters such as a length, a density or a depth.

    A subclass sets ``task_parameters`` (larger values are meant to be harder), ``levels`` (J,
    dimensions), the held-out parameter vectors from easy to hard, and defines ``make``. What a
    task is, is an option:

    - "box": a vector of parameters, of which ``examples`` examples are drawn anew, so that any
      teacher of boxes works. ``label``, ``prior`` and ``group`` are None.
    - "levels": the number of a level, 0..J-1, of which ``examples`` examples are drawn anew;
      ``prior`` is the difficulty of the level, ``group`` its number, ``label`` is None.
    - "items": one of a fixed set of examples, item i of level i mod J, for teachers that choose
      examples; ``group`` is the level, ``prior`` its difficulty. Items that equal a held-out input
      are drawn again, and left out after 20 tries.

    Integer parameters: a vector is rounded to the nearest integer, halves up. Their bounds lie half
    a unit beyond the first and last integer, so that uniform vectors make every integer equally
    likely. The validation and test sets hold ``per_level`` examples of each level, drawn from a
    seed of their own; they are the same for all runs. In "box" and "levels" fresh examples of a
    level with few distinct inputs may equal held-out ones: they are drawn from the same population.
    """

    levels: np.ndarray

    def __init__(self, seed: int, tasks: str, examples: int, items: int, per_level: int):
        one_of("tasks", tasks, SPACES)
        if items < len(self.levels) or per_level < 2 or examples < 1:
            raise ValueError(
                f"items must be at least {len(self.levels)}, one per level, per_level at least 2 "
                f"and examples at least 1, but they are {items}, {per_level} and {examples}"
            )
        self.tasks, self.truth = tasks, {}
        self.examples = 1 if tasks == "items" else examples
        names = [one.name for one in self.task_parameters]
        self.level_names = tuple(
            " ".join(f"{name} {value:.6g}" for name, value in zip(names, level, strict=True))
            for level in self.levels
        )
        level = np.repeat(np.arange(len(self.levels)), per_level)
        test, validation = (np.random.default_rng([HELD_OUT_SEED, k]) for k in range(2))
        self.test = self.make(self.levels[level], test)
        self.test_level = level
        self.validation, _ = self._unlike(level, validation, self.test[0])
        if tasks == "items":
            held_out = np.concatenate([self.test[0], self.validation[0]])
            level = np.arange(items) % len(self.levels)
            self._items, kept = self._unlike(level, np.random.default_rng(seed), held_out)
            self.label, self.group = self._items[1], level[kept]
            self.prior = self.difficulty(self.levels)[self.group]
        elif tasks == "levels":
            self.prior = self.difficulty(self.levels)
            self.group = np.arange(len(self.levels))

    @classmethod
    def space_kind(cls, **options: Any) -> str:
        """A box unless the option ``tasks`` asks for levels or items."""
        return "box" if options.get("tasks", "box") == "box" else "discrete"

    @property
    def task_space(self) -> spaces.Discrete | spaces.Box:
        """What a teacher chooses from: see the option ``tasks``."""
        if self.tasks == "box":
            return parameter_box(self.task_parameters)
        return spaces.Discrete(len(self.levels if self.tasks == "levels" else self.label))

    @property
    def default_task(self) -> np.ndarray:
        """The vector (dimensions,) of the parameters' defaults."""
        return np.array([one.default for one in self.task_parameters])

    @abstractmethod
    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw one example per row: inputs (n, *input_shape) float32 and targets (n,) int64."""

    def difficulty(self, parameters: np.ndarray) -> np.ndarray:
        """Hand-made difficulty (n,) in [0, 1]: the mean of the parameters, scaled to [0, 1]."""
        box = parameter_box(self.task_parameters)
        return ((parameters - box.low) / (box.high - box.low)).mean(axis=1)

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, *input_shape) and targets (n,) of ``tasks`` (n, dimensions) or (n,).

        Raises:
            ValueError: a vector of parameters lies outside the box; nothing is clipped.
        """
        tasks = np.asarray(tasks)
        if self.tasks == "items":
            return self._items[0][tasks], self.label[tasks]
        if self.tasks == "levels":
            return self.make(self.levels[tasks], rng)
        box = parameter_box(self.task_parameters)
        if tasks.shape[1:] != box.shape or not ((tasks >= box.low) & (tasks <= box.high)).all():
            raise ValueError(
                f"tasks must be vectors of {', '.join(one.name for one in self.task_parameters)} "
                f"between {box.low.tolist()} and {box.high.tolist()}, but begin with "
                f"{tasks[:1].tolist()}"
            )
        return self.make(tasks, rng)

    def _unlike(
        self, level: np.ndarray, rng: np.random.Generator, others: np.ndarray
    ) -> tuple[tuple[np.ndarray, np.ndarray], np.ndarray]:
        """Examples of levels (n,) that equal none of ``others``, and which rows they are."""
        taken = {row.tobytes() for row in others}
        inputs, targets = self.make(self.levels[level], rng)
        for _ in range(TRIES):
            bad = np.flatnonzero([row.tobytes() in taken for row in inputs])
            if not bad.size:
                break
            inputs[bad], targets[bad] = self.make(self.levels[level[bad]], rng)
        kept = np.flatnonzero([row.tobytes() not in taken for row in inputs])
        return (inputs[kept], targets[kept]), kept


def integer_parameter(
    name: str, low: int, high: int, default: int, unit: str, meaning: str
) -> TaskParameter:
    """A parameter that counts from ``low`` to ``high``, both included."""
    return TaskParameter(name, low - 0.5, high + 0.5, float(default), unit, meaning)


def whole(parameter: TaskParameter, values: np.ndarray) -> np.ndarray:
    """The integers (n,) that values (n,) of an integer parameter stand for."""
    low, high = parameter.low + 0.5, parameter.high - 0.5
    return np.clip(np.floor(values + 0.5), low, high).astype(np.int64)


def grid(*axes: np.ndarray | list[float]) -> np.ndarray:
    """All combinations (J, dimensions) of the values of each parameter, the last one fastest."""
    mesh = np.meshgrid(*[np.asarray(axis, dtype=np.float64) for axis in axes], indexing="ij")
    return np.stack(mesh, axis=-1).reshape(-1, len(axes))

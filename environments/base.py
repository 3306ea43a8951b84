"""The environment contracts: procedural worlds and fixed supervised tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


@dataclass(frozen=True)
class TaskParameter:
    """One dimension of a procedural task: its range, default, unit and meaning."""

    name: str
    low: float
    high: float
    default: float
    unit: str
    meaning: str


def parameter_box(parameters: Sequence[TaskParameter]) -> spaces.Box:
    """The tasks that ``parameters`` span, a float64 ``Box`` of shape (len(parameters),)."""
    low = np.array([parameter.low for parameter in parameters])
    return spaces.Box(low, np.array([one.high for one in parameters]), dtype=np.float64)


class ProceduralEnv(gymnasium.Env):
    """A ``gymnasium.Env`` whose episodes are shaped by a task vector given at reset.

    A subclass sets ``task_parameters``. Same seed and task give the same episode; ``info`` at the
    end of an episode holds ``success`` (bool). ``reset`` first calls ``self.begin(seed, options)``.
    """

    task_parameters: tuple[TaskParameter, ...] = ()

    @cached_property
    def task_space(self) -> spaces.Box:
        """The tasks as a float64 ``Box`` of shape (len(task_parameters),), built once."""
        return parameter_box(self.task_parameters)

    @property
    def default_task(self) -> np.ndarray:
        """The task of a reset without options."""
        return np.array([parameter.default for parameter in self.task_parameters])

    def begin(self, seed: int | None, options: dict[str, Any] | None) -> np.ndarray:
        """Seed the generator, read the options and return the task, shape (dimensions,).

        Raises:
            ValueError: an option other than "task", or a task outside the space; never clipped.
        """
        super().reset(seed=seed)
        unknown = set(options or {}) - {"task"}
        if unknown:
            raise ValueError(f"unknown reset options {sorted(unknown)}; the only option is 'task'")
        task = (options or {}).get("task")
        if task is None:
            return self.default_task
        task = np.asarray(task, dtype=np.float64)
        if not self.task_space.contains(task):
            space = self.task_space
            raise ValueError(
                f"task {task.tolist()} is outside the task space: expected {space.shape[0]} finite "
                f"numbers between {space.low.tolist()} and {space.high.tolist()} "
                f"({', '.join(parameter.name for parameter in self.task_parameters)})"
            )
        return task

    @classmethod
    def step_many(
        cls, worlds: Sequence[ProceduralEnv], actions: np.ndarray
    ) -> list[tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        """Step several worlds; a subclass may share array work between them, never randomness."""
        return [world.step(action) for world, action in zip(worlds, actions, strict=True)]


class SupervisedTask(ABC):
    """A fixed data set whose n training items are the tasks; test and validation are held out.

    Attributes: ``label`` (n,) the labels a student is trained on, ``prior`` (n,) a hand-made
    difficulty (higher is harder) or None, ``group`` (n,) or None, ``truth`` facts about items that
    only the analysis may read (for example ``mislabelled``, bool (n,)). ``test_level`` (m,) says
    which held-out task, of ``level_names``, a test example belongs to; None: the classes are. A
    proposed task stands for ``examples`` examples. See ``environments.supervised.generator``.
    """

    metric: ClassVar[str] = "accuracy"  # success on the test set, or "reciprocal rank"
    task_parameters: tuple[TaskParameter, ...] = ()
    examples: int = 1
    input_shape: tuple[int, ...]
    num_classes: int
    label: np.ndarray | None = None
    prior: np.ndarray | None = None
    group: np.ndarray | None = None
    truth: dict[str, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]  # (m, *input_shape) float32 and (m,) int64
    test: tuple[np.ndarray, np.ndarray]
    test_level: np.ndarray | None = None
    level_names: tuple[str, ...] = ()

    @property
    def task_space(self) -> spaces.Discrete | spaces.Box:
        """One task per training item."""
        return spaces.Discrete(len(self.label))

    @classmethod
    def space_kind(cls, **options: Any) -> str:
        """The kind of task space, "box" or "discrete", of a task built with ``options``."""
        return "discrete"

    @abstractmethod
    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, *input_shape) float32 and targets (n,) int64 of ``tasks`` (n, ...)."""

"""The unit box inside: tasks without units and without the dimensions that have no width."""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, TaskSpace
from teachers.fixed import bounded_box, easiest_task

# Standard deviations as shares of each range: of a random easy region, and of the whole space.
SUB_REGION, WHOLE_SPACE = 0.1, 0.25


class UnitBox:
    """Maps tasks (n, D) to positions (n, size) in [0, 1], ``size`` being the dimensions of width.

    Raises:
        ValueError: the box is unbounded or no vector; the message names ``who`` needs one.
    """

    def __init__(self, task_space: TaskSpace, who: str):
        box = bounded_box(task_space, who)
        self.task_space, self.low, self.high = task_space, box.low, box.high
        self.free = np.flatnonzero(self.high > self.low)
        self.unit, self.size = (self.high - self.low)[self.free], len(self.free)

    def positions(self, tasks: np.ndarray) -> np.ndarray:
        """Positions (n, size) of tasks (n, D)."""
        tasks = np.asarray(tasks, dtype=np.float64)
        return np.clip((tasks - self.low)[:, self.free] / self.unit, 0, 1)

    def tasks(self, positions: np.ndarray) -> np.ndarray:
        """Tasks (n, D), float64, at positions (n, size), which are clipped to the box."""
        tasks = np.tile(self.low, (len(positions), 1))
        tasks[:, self.free] += positions * self.unit
        return np.clip(tasks, self.low, self.high)

    def gaussian(self, pair: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (size,) of a Gaussian that is given in task units."""
        mean, std = (np.broadcast_to(np.asarray(each, float), self.low.shape) for each in pair)
        return (mean - self.low)[self.free] / self.unit, std[self.free] / self.unit

    def start(
        self, knowledge: Knowledge, rng: np.random.Generator, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (size,) of the told initial Gaussian.

        Untold, a sub-region of deviation 0.1 around the easiest task, or, with ``where`` "random",
        around a uniform one.
        """
        mean = rng.random(self.size)
        if knowledge.initial is not None:
            return self.gaussian(knowledge.initial)
        if where == "easiest":
            mean = self.positions(easiest_task(self.task_space, knowledge)[None])[0]
        return mean, np.full(self.size, SUB_REGION)

    def target(self, knowledge: Knowledge) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation (size,) of the told target, else 0.5 and 0.25."""
        whole = np.full(self.size, 0.5), np.full(self.size, WHOLE_SPACE)
        return whole if knowledge.target is None else self.gaussian(knowledge.target)

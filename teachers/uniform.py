"""Uniform sampling: the reference of every comparison, and its no-op twin.

Departures from the paper: none; this is the plain run every paper compares with.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from gymnasium import spaces

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.pacing import draw


class Uniform(Teacher):
    """Every task is equally likely, whatever the student does.

    Tasks of a ``Box`` are independent and uniform, float64. Items of ``Discrete(n)`` come in passes
    without replacement: every item once in random order, then reshuffled, as in ordinary training.
    The stream of tasks does not depend on how many are asked for at a time.

    Raises:
        ValueError: the space is an unbounded ``Box``.
    """

    reference = "the usual training without a curriculum"
    memory = ("queue",)

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        space = task_space.space
        if isinstance(space, spaces.Box) and not space.is_bounded():
            raise ValueError(
                f"uniform tasks need a box with finite bounds, but it spans {space.low.tolist()} "
                f"to {space.high.tolist()}; set low and high of every task parameter"
            )
        self.queue = np.empty(0, dtype=np.int64)  # what is left of the current pass

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` uniform tasks; ``progress`` is ignored."""
        space = self.task_space.space
        if isinstance(space, spaces.Discrete):
            items, self.queue = draw(self.queue, count, lambda: np.arange(space.n), self.rng)
            return Proposal(items + space.start)
        tasks = self.rng.uniform(space.low, space.high, size=(count, *space.shape))
        # Rounding may carry a draw past the bound of a very narrow dimension.
        return Proposal(np.clip(tasks, space.low, space.high))


class NoOp(Uniform):
    """Uniform sampling that goes through every part of the contract and changes nothing by it.

    It gives explicit weights of one, hooks into the loss with weights of one, and hears outcomes
    without keeping them. Its runs must equal those of ``Uniform`` bit for bit, so that a difference
    shows a fault of the harness.
    """

    def propose(self, count: int, progress: float) -> Proposal:
        """Return the tasks of ``Uniform`` with explicit weights of one."""
        return Proposal(super().propose(count, progress).tasks, weights=np.ones(count))

    def observe(self, outcomes: Outcomes) -> None:
        """Read what every teacher may read, and remember nothing."""
        for name in ("proposal", "tasks", "score", "success", "length"):
            getattr(outcomes, name)

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return weights of one, shape (n,), for the batch's losses (n,)."""
        return np.ones(len(batch["loss"]))

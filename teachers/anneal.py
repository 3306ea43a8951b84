"""Linear annealing from easy to target tasks over a share of the budget.

The annealing box of Syllabus (Sullivan et al., 2024, https://arxiv.org/abs/2411.11318): every task
parameter is start + (end - start) · min(step, T) / T.

Departures from the paper: steps are the spent share of the budget, and both ends may be
distributions. They are interpolated quantile by quantile, so that two points give the formula
above, two Gaussians a Gaussian whose mean and standard deviation move linearly, and a point and the
whole box a box that grows to all sides at once.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box, easy_tasks, target_tasks


class LinearAnneal(Teacher):
    """Tasks that move from the easy to the target distribution as the budget is spent.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: its ``initial`` and ``target`` distributions, where told, are the two ends.
        end: share of the budget after which tasks are those of the target, > 0; above 1 the
            target is never reached.
        easy: the task to start from, D numbers; None means told or the default task.
        target: the task to end at, D numbers; None means told or uniform over the box.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Sullivan et al. 2024, https://arxiv.org/abs/2411.11318"
    spaces = ("box",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        end: float = 0.5,
        easy: Sequence[float] | None = None,
        target: Sequence[float] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = bounded_box(task_space, "linear annealing")
        if not end > 0:
            raise ValueError(f"end must be a share of the budget above 0, but is {end}")
        self.end = end
        self.easy = easy_tasks(task_space, self.knowledge, easy)
        self.target = target_tasks(task_space, self.knowledge, target)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D), ``progress`` / ``end`` of the way to the target."""
        way = min(progress / self.end, 1.0)
        normal = self.rng.standard_normal((count, *self.box.shape))
        tasks = (1 - way) * self.easy.at(normal) + way * self.target.at(normal)
        # Rounding may carry the mean of two equal bounds past them.
        return Proposal(np.clip(tasks, self.box.low, self.box.high))

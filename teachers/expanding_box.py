"""Expanding box: uniform tasks around an easy one, in a box that widens after a row of successes.

The expanding box of Syllabus (Sullivan et al., 2024, https://arxiv.org/abs/2411.11318), with its
constants.

Departures from the paper:
- The box starts around the easiest task, where the release has the midpoint of each range
  (``start="middle"``).
- By default each side grows by equal shares of its own way to the bound, so that the whole box is
  reached after ``steps`` boxes from wherever it started. From the midpoint that is the release's
  rule; ``growth="equal"`` is that rule for every start.
- An episode counts when its success flag is set, or its return lies above ``success_return``; the
  release asks for a progress above 0.75.
- Outcomes of tasks that were proposed before the box last grew do not count towards the next row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box, easiest_task, task_vector

GROWTHS = ("full", "equal")


class ExpandingBox(Teacher):
    """Uniform tasks in a box that grows by one step after enough successes in a row.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: the mean of its ``initial`` distribution, if told, is the easiest task.
        steps: boxes until everything is used, >= 1; the first is one of them.
        required_successes: successes in a row, in the order of arrival, that widen the box, >= 1.
        success_return: the return above which an episode is a success; None means its success
            flag.
        start: where the box starts, D numbers or "middle"; None means the easiest task.
        growth: "full", each side by 1 / ``steps`` of its way to the bound, or "equal", every side
            by range / (2 · ``steps``), cut off at the bounds.

    Attributes: ``level`` counts boxes from 1; ``low`` and ``high`` (D,) are the bounds of the
    present one in task units.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Sullivan et al. 2024, https://arxiv.org/abs/2411.11318"
    spaces = ("box",)
    memory = ("level", "row", "proposed", "since")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        steps: int = 5,
        required_successes: int = 10,
        success_return: float | None = None,
        start: Sequence[float] | str | None = None,
        growth: str = "full",
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = bounded_box(task_space, "the expanding box")
        if steps < 1 or required_successes < 1:
            raise ValueError(
                "steps and required_successes must be at least 1, "
                f"but they are {steps} and {required_successes}"
            )
        if growth not in GROWTHS:
            raise ValueError(f"growth must be one of {', '.join(GROWTHS)}, but is {growth!r}")
        if success_return is not None and not np.isfinite(success_return):
            raise ValueError(f"success_return must be a number or None, but is {success_return}")
        self.steps, self.required_successes = steps, required_successes
        self.success_return, self.growth = success_return, growth
        if start is None:
            self.start = easiest_task(task_space, self.knowledge)
        elif isinstance(start, str) and start == "middle":
            self.start = (self.box.low + self.box.high) / 2
        else:
            self.start = task_vector(task_space, "start", start)
        self.level, self.row = 1, 0  # the present box, successes in a row
        self.proposed, self.since = 0, 0  # tasks ever, and before the present box

    @property
    def low(self) -> np.ndarray:
        """Lower bounds of the present box (D,)."""
        return np.maximum(self.start - self._reach(self.start - self.box.low), self.box.low)

    @property
    def high(self) -> np.ndarray:
        """Upper bounds of the present box (D,)."""
        return np.minimum(self.start + self._reach(self.box.high - self.start), self.box.high)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` uniform tasks (count, D) of the present box; ``progress`` is ignored."""
        self.proposed += count
        low, high = self.low, self.high
        tasks = self.rng.uniform(low, high, size=(count, len(low)))
        return Proposal(np.clip(tasks, low, high))

    def observe(self, outcomes: Outcomes) -> None:
        """Count successes in a row, in the order of arrival, and widen the box."""
        success = np.asarray(outcomes.success) > 0.5
        if self.success_return is not None:
            success = np.asarray(outcomes.score) > self.success_return
        for number, succeeded in zip(outcomes.proposal.tolist(), success.tolist(), strict=True):
            if number < self.since or self._is_full():
                continue
            self.row = self.row + 1 if succeeded else 0
            if self.row == self.required_successes:
                self.level, self.row, self.since = self.level + 1, 0, self.proposed

    def _reach(self, way: np.ndarray) -> np.ndarray:
        """How far (D,) the present box reaches to a side whose bound is ``way`` (D,) off."""
        if self.growth == "full":
            return way * min(self.level / self.steps, 1.0)
        return self.level * (self.box.high - self.box.low) / (2 * self.steps)

    def _is_full(self) -> bool:
        if self.growth == "full":
            return self.level >= self.steps
        return bool((self.low <= self.box.low).all() and (self.high >= self.box.high).all())

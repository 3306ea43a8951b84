"""Mixtures of groups that are made by hand: the syllabi of the field, and a schedule.

"Naive", "mixed" and "combined": Zaremba & Sutskever, "Learning to Execute", 2014,
https://arxiv.org/abs/1410.4615, in the form of Matiisen et al., "Teacher-Student Curriculum
Learning", 2017, https://arxiv.org/abs/1707.00183. ``ScheduledMixture`` is the staged or annealed
mixture of sources of much recent work, for example the specialised last phase of OLMo 2 (2025,
https://arxiv.org/abs/2501.00656).

Departures from the paper:
- Groups are taken in the order of their numbers, which a task gives from easy to hard.
- A stage ends when the share of correct answers among the last training examples of its group
  reaches the threshold; the papers measure it on held-out examples, which a teacher does not see.
- Once the last group is mastered all are uniform.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.groups import GroupTeacher
from teachers.presets import require
from teachers.schedules import mix

FORMS = ("naive", "mixed", "combined")


class HandMadeMix(GroupTeacher):
    """One group after the other, each until it is mastered, with or without those before.

    At the i-th of K groups, counted from 1: "naive" takes only it; "mixed" the first i groups
    evenly; "combined" it with chance 1/2 + 1/(2 i) and each earlier one with chance 1/(2 i).

    Args:
        task_space: a pool with groups, numbered from easy to hard.
        seed: draws groups and items.
        knowledge: not used.
        form: one of ``FORMS``; None means the default of the class.
        threshold: share of correct answers that masters a group, in [0, 1].
        window: last training examples of the group that are counted, >= 1; a stage lasts at least
            as many.

    Attributes: ``stage``, groups mastered so far.

    Raises:
        ValueError: an argument is out of range, or the pool has no groups.
    """

    reference = "Zaremba & Sutskever 2014, https://arxiv.org/abs/1410.4615"
    memory = (*GroupTeacher.memory, "stage", "answers")
    preset: ClassVar[str] = "combined"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        form: str | None = None,
        threshold: float = 0.9,
        window: int = 128,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.form = self.preset if form is None else form
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, but is {form!r}")
        require("a hand-made mix", 0, 1, threshold=threshold)
        require("a hand-made mix", 1, 10**6, window=window)
        self.threshold, self.window = threshold, window
        self.stage, self.answers = 0, np.empty(0)

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group at the present stage; ``progress`` is ignored."""
        k, i = self.groups.count, self.stage + 1
        if self.stage >= k:
            return np.full(k, 1 / k)
        chances = np.zeros(k)
        if self.form == "naive":
            chances[self.stage] = 1.0
        elif self.form == "mixed":
            chances[:i] = 1 / i
        else:
            chances[:i] = 1 / (2 * i)
            chances[self.stage] += 0.5
        return chances

    def observe(self, outcomes: Outcomes) -> None:
        """Count the answers of the stage's group, and go on when it is mastered."""
        if self.stage >= self.groups.count:
            return
        ours = self.groups.locate(outcomes.tasks) == self.stage
        answers = np.concatenate([self.answers, np.asarray(outcomes.success, float)[ours]])
        self.answers = answers[-self.window :]
        if len(self.answers) == self.window and self.answers.mean() >= self.threshold:
            self.stage += 1
            self.answers = np.empty(0)


class MixNaive(HandMadeMix):
    """``HandMadeMix`` without looking back."""

    preset = "naive"


class MixMixed(HandMadeMix):
    """``HandMadeMix`` with all groups so far evenly."""

    preset = "mixed"


class ScheduledMixture(GroupTeacher):
    """Chances of groups that go from one mixture to another within a part of the budget.

    Args:
        task_space: a pool with groups.
        seed: draws groups and items.
        knowledge: not used.
        before: weight of each group up to ``begin``, >= 0; None means the first group alone.
        after: weight of each group from ``end`` on, >= 0; None means the groups' sizes.
        begin: share of the budget at which the mixture begins to change, in [0, 1].
        end: share at which the change is over, in [``begin``, 1]; equal to it, it is a switch.

    Raises:
        ValueError: an argument is out of range, weights do not fit the groups or are all 0, or the
            pool has no groups.
    """

    reference = "OLMo 2 2025, https://arxiv.org/abs/2501.00656"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        before: Sequence[float] | None = None,
        after: Sequence[float] | None = None,
        begin: float = 0.0,
        end: float = 0.5,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("scheduled_mixture", 0, 1, begin=begin, end=end)
        if begin > end:
            raise ValueError(f"begin must not be above end, but they are {begin} and {end}")
        first = (np.arange(self.groups.count) == 0).astype(np.float64)
        self.before = self._weights("before", first if before is None else before)
        self.after = self._weights("after", self.groups.sizes if after is None else after)
        self.begin, self.end = begin, end

    def _weights(self, name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
        weights = np.asarray(values, dtype=np.float64)
        fits = weights.shape == (self.groups.count,) and np.isfinite(weights).all()
        if not fits or (weights < 0).any() or not weights.sum() > 0:
            raise ValueError(
                f"{name} must be {self.groups.count} weights >= 0, one per group and not all 0, "
                f"but is {values!r}"
            )
        return weights / weights.sum()

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group at ``progress``."""
        if self.begin == self.end:
            return self.after if progress >= self.end else self.before
        way = mix((progress - self.begin) / (self.end - self.begin), 0.0, 1.0)
        return (1 - way) * self.before + way * self.after

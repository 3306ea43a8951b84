"""Paced subsets in an order that the student's own first passes give: no prior, no other model.

``SelfTaught`` orders by the losses of a network trained before, Hacohen & Weinshall, "On The Power
of Curriculum Learning in Training Deep Networks", 2019, https://arxiv.org/abs/1904.03626;
``FirstLearned`` by the earliest time from which an item stays correct, Wu, Dyer & Neyshabur, 2021,
https://arxiv.org/abs/2012.03107; ``Forgetting`` by how often it went from correct to wrong, Toneva
et al., 2019, https://arxiv.org/abs/1812.05159; "accuracy" by how often it was correct, in
aucurriculum (Rampp et al., 2024, https://arxiv.org/abs/2411.00973).

Departures from the paper: the papers train one student for the scores and another, fresh one on the
order, which is twice the budget. Here the same student gives the scores as a by-product of a
uniform warm-up, and goes on. Scores come from training batches, each measured before its step.
Items never learned count as the hardest in "first_learned" and "forgetting".
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.pacing import ranking
from teachers.pool import LossMemory
from teachers.schedules import Pace

SCORES = ("loss", "first_learned", "forgetting", "accuracy")


class SelfTaught(LossMemory):
    """Uniform passes for a while, then a growing share of the pool, easiest by then first.

    Args:
        task_space: the pool; its ``label`` balances.
        seed: draws the passes and breaks ties.
        knowledge: not used.
        score: one of ``SCORES``; None means the default of the class.
        order: "easy" first or "anti".
        warm_up: share of the budget spent on everything before the order is made, in (0, 1).
        pacing: shape of the growth, one of ``teachers.schedules.PACES``.
        start: share of the pool right after the warm-up, in (0, 1].
        end: share of the budget after which everything is used, above ``warm_up``.
        cap: largest share used after the warm-up, in (0, 1].
        balanced: interleave the classes, so that each is present from the beginning.

    Attributes: ``ranked``, the order (n,), empty until the warm-up is over.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Hacohen & Weinshall 2019, https://arxiv.org/abs/1904.03626"
    memory = (*LossMemory.memory, "ranked", "correct", "right", "forgotten", "learned")
    preset: ClassVar[str] = "loss"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        score: str | None = None,
        order: str = "easy",
        warm_up: float = 0.2,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.6,
        cap: float = 1.0,
        balanced: bool = True,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.score = self.preset if score is None else score
        if self.score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(SCORES)}, but is {score!r}")
        if order not in ("easy", "anti"):
            raise ValueError(f"order must be easy or anti, but is {order!r}")
        if not 0 < warm_up < 1:
            raise ValueError(f"warm_up must be a share of the budget in (0, 1), but is {warm_up}")
        if not end > warm_up:
            raise ValueError(f"end must be above warm_up = {warm_up}, but is {end}")
        self.order, self.warm_up = order, warm_up
        self.pacing = Pace(pacing, start, end - warm_up, cap)
        self.label = task_space.label if balanced else None
        self.ranked = np.empty(0, dtype=np.int64)
        self.correct = np.zeros(self.items, dtype=bool)  # at the last visit
        self.right = np.zeros(self.items, dtype=np.int64)  # visits at which it was correct
        self.forgotten = np.zeros(self.items, dtype=np.int64)
        self.learned = np.full(self.items, np.inf)  # the visit from which on it was correct

    def learn(self, items: np.ndarray, losses: np.ndarray, outcomes: Outcomes) -> None:
        """Count, item by item in the order of arrival, what was right and what was forgotten."""
        if len(self.ranked):
            return
        self.losses[items] = losses
        for item, right in zip(items.tolist(), (outcomes.success > 0.5).tolist(), strict=True):
            self.visits[item] += 1
            self.forgotten[item] += self.correct[item] and not right
            self.right[item] += right
            if not right:
                self.learned[item] = np.inf
            elif not self.correct[item]:
                self.learned[item] = self.visits[item]
            self.correct[item] = right

    def difficulty(self) -> np.ndarray:
        """Scores (n,) so far, lowest is easiest."""
        if self.score == "loss":
            return self.losses.copy()
        if self.score == "first_learned":
            return self.learned.copy()
        if self.score == "accuracy":
            return -self.right / np.maximum(self.visits, 1)
        return np.where(self.right > 0, self.forgotten, np.inf)

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything during the warm-up, then the share in use at ``progress``."""
        if progress < self.warm_up:
            return np.arange(self.items)
        if not len(self.ranked):
            scores = self.difficulty() if self.order == "easy" else -self.difficulty()
            self.ranked = ranking(scores, self.label, self.rng)
        return self.ranked[: self.pacing.size(progress - self.warm_up, self.items)]


class FirstLearned(SelfTaught):
    """``SelfTaught`` in the order in which items were learned for good."""

    reference = "Wu, Dyer & Neyshabur 2021, https://arxiv.org/abs/2012.03107"
    preset = "first_learned"


class Forgetting(SelfTaught):
    """``SelfTaught`` in the order of how often items were forgotten, never forgotten first."""

    reference = "Toneva et al. 2019, https://arxiv.org/abs/1812.05159"
    preset = "forgetting"

"""Self-paced learning that asks nothing: by the loss each item had when it was trained on last.

``StaleSelfPaced`` is the free version of Kumar, Packer & Koller, 2010,
https://papers.nips.cc/paper/3923-self-paced-learning-for-latent-variable-models. ``SPLD`` adds the
preference for different classes of Jiang et al., "Self-Paced Learning with Diversity", 2014,
https://papers.nips.cc/paper/5568-self-paced-learning-with-diversity. ``AdaptiveCurriculum`` mixes
old and new scores as Kong et al., "Adaptive Curriculum Learning", 2021,
https://openreview.net/forum?id=QNKYBDKh3j, with the constants that CurBench gives.

Departures from the paper:
- Losses are by-products of training. Those of items that are left out stay as they were, where the
  papers measure the whole pool again: an item left out by mistake is not found again before the
  share reaches it, which is why the warm-up is longer than that of ``self_paced``.
- The share of the pool is paced by the budget; Kumar et al. and Jiang et al. multiply thresholds.
- SPLD takes the classes for its groups, and chooses the share with the smallest loss - gamma /
  (sqrt(i) + sqrt(i - 1)), i being the rank within the class, where the paper keeps what lies below
  a threshold.
- The adaptive curriculum starts from the student's own losses in the first passes instead of those
  of a trained model, and does without the term that pulls the student towards that model's
  answers: both need another model.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.pacing import ranking
from teachers.pool import LossMemory
from teachers.presets import require
from teachers.schedules import Pace


class StaleSelfPaced(LossMemory):
    """The items with the smallest last known loss, a growing share of the pool.

    Args:
        task_space: the pool; its ``label`` balances.
        seed: draws the passes.
        knowledge: not used.
        pacing: shape of the growth, one of ``teachers.schedules.PACES``.
        start: share of the pool at the beginning, in (0, 1].
        end: share of the budget after which everything is used, > 0.
        cap: largest share used after the warm-up, in (0, 1].
        balanced: choose the same number within each class.
        warm_up: passes over the whole pool before the first choice, >= 1.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = (
        "Kumar, Packer & Koller 2010, "
        "https://papers.nips.cc/paper/3923-self-paced-learning-for-latent-variable-models"
    )

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        balanced: bool = False,
        warm_up: int = 4,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("self-paced learning", 1, 10**6, warm_up=warm_up)
        self.pacing, self.warm_up = Pace(pacing, start, end, cap), warm_up
        self.label = task_space.label if balanced else None

    def difficulty(self) -> np.ndarray:
        """Scores (n,) by which items are chosen, lowest first: their last known losses."""
        return self.losses

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything during the warm-up, then the easiest share at ``progress``."""
        size = self.pacing.size(progress, self.items)
        if self.passes <= self.warm_up or size == self.items:
            return np.arange(self.items)
        return ranking(self.difficulty(), self.label, self.rng)[:size]


class SPLD(StaleSelfPaced):
    """``StaleSelfPaced`` that would rather take the first of a class than another of a large one.

    Args: see ``StaleSelfPaced``; ``diversity`` is gamma in units of the loss, in [0, 1e6].

    Raises:
        ValueError: an argument is out of range, or the pool has no labels.
    """

    reference = (
        "Jiang et al. 2014, https://papers.nips.cc/paper/5568-self-paced-learning-with-diversity"
    )

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        diversity: float = 1.0,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        warm_up: int = 4,
    ):
        options = {"pacing": pacing, "start": start, "end": end, "cap": cap, "warm_up": warm_up}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)
        require("spld", 0, 1e6, diversity=diversity)
        if task_space.label is None:
            raise ValueError("spld spreads its choice over the classes, but there are no labels")
        self.diversity = diversity

    def difficulty(self) -> np.ndarray:
        """Last known losses (n,) less the bonus of a low rank within the class."""
        order, rank = ranking(self.losses, None, self.rng), np.empty(self.items)
        label = np.asarray(self.task_space.label)
        for value in np.unique(label):
            members = order[label[order] == value]
            rank[members] = np.arange(1, len(members) + 1)
        return self.losses - self.diversity / (np.sqrt(rank) + np.sqrt(rank - 1))


class AdaptiveCurriculum(StaleSelfPaced):
    """The easiest share by scores that follow the student's losses slowly.

    Args:
        task_space: the pool; its ``label`` balances.
        seed: draws the passes.
        knowledge: not used.
        rate: alpha, the share of the new loss in an item's score, in (0, 1].
        start: share of the pool in the first stage, in (0, 1].
        growth: factor of the share per stage, in [1, 100].
        stage: share of the budget that a stage lasts, in (0, 1].
        balanced: choose the same number within each class.
        warm_up: passes over the whole pool that give the first scores, >= 1.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Kong et al. 2021, https://openreview.net/forum?id=QNKYBDKh3j"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.7,
        start: float = 0.1,
        growth: float = 2.5,
        stage: float = 0.075,
        balanced: bool = False,
        warm_up: int = 1,
    ):
        options = {"start": start, "balanced": balanced, "warm_up": warm_up}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)
        require("adaptive", 1e-6, 1, rate=rate, stage=stage)
        require("adaptive", 1, 100, growth=growth)
        self.rate, self.pacing = rate, Stages(start, growth, stage)

    def learn(self, items: np.ndarray, losses: np.ndarray, outcomes: Outcomes) -> None:
        """Mix new losses (n,) into the scores of items (n,); the first one is taken as it is."""
        known = self.visits[items] > 0
        old = np.where(known, self.losses[items], losses)
        super().learn(items, (1 - self.rate) * old + self.rate * losses, outcomes)


class Stages(Pace):
    """Shares that grow by ``growth`` whenever another ``stage`` of the budget is spent."""

    def __init__(self, start: float, growth: float, stage: float):
        super().__init__("step", start, 1.0)
        self.growth, self.stage = growth, stage

    def share(self, progress: float) -> float:
        """The share of the pool in [0, 1] at ``progress`` in [0, 1]."""
        over = np.floor(progress / self.stage + 1e-9)  # a boundary belongs to the later stage
        return float(min(1.0, self.start * self.growth ** min(over, 1000.0)))

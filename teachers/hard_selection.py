"""Examples with a large last known loss come more often: loss ranks, InfoBatch and DIHCL.

``LossRank``: Loshchilov & Hutter, "Online Batch Selection for Faster Training of Neural Networks",
2015, https://arxiv.org/abs/1511.06343. ``InfoBatch``: Qin et al., 2024,
https://arxiv.org/abs/2303.04947. ``DIHCL``: Zhou, Wang & Bilmes, "Curriculum Learning by Dynamic
Instance Hardness", 2020,
https://proceedings.neurips.cc/paper/2020/hash/62000dee5a05a6a71de3a6127a68778a-Abstract.html.

Departures from the paper:
- Losses are by-products of training, as in all three; the periodic measurement of every loss that
  online batch selection also offers is left out.
- The decay of the selection pressure is exponential in the spent budget, its end is one.
- What InfoBatch saves is spent on more passes: budgets are equal. Of m well-learned items it keeps
  (1 - r) m, rounded up or down at random so that the mean is exact. The harness scales weights to a
  mean of one per batch.
- DIHCL divides no loss by the learning rate, which belongs to the student and is constant here. Its
  "exp" form divides an observation by the item's chance of being in the pass, min(1, k p), and not
  by p, which is smaller the larger the pool is. The paper's "beta" form and its variants with a
  submodular term are left out, and so is the cyclic learning rate.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace
from teachers.pacing import ranking
from teachers.pool import LossMemory, drawn_without_replacement
from teachers.presets import require

RULES = ("random", "greedy", "exp")
HARDNESS = ("loss", "change", "flip")


class LossRank(LossMemory):
    """Items drawn with a chance that falls exponentially with the rank of their last known loss.

    The item with the largest loss is ``pressure`` times as likely as the one with the smallest.
    The first pass is uniform.

    Args:
        task_space: the pool.
        seed: draws the items.
        knowledge: not used.
        pressure: s at the beginning, in [1, 1e9]; it decays to 1 (paper 100).

    Raises:
        ValueError: ``pressure`` is out of range.
    """

    reference = "Loshchilov & Hutter 2015, https://arxiv.org/abs/1511.06343"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        pressure: float = 100.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("loss_rank", 1, 1e9, pressure=pressure)
        self.pressure = pressure

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,), drawn with replacement after the first pass."""
        if self.passes == 0:
            self.passes, self.queue = 1, self.rng.permutation(self.items)
        first, self.queue = self.queue[:count], self.queue[count:]
        later = np.empty(0, dtype=np.int64)
        if len(first) < count:
            order = ranking(-self.losses, None, self.rng)
            chances = self.chances(progress)
            later = order[self.rng.choice(self.items, size=count - len(first), p=chances)]
        return Proposal(np.concatenate([first, later]) + self.first)

    def chances(self, progress: float) -> np.ndarray:
        """The chance (n,) of each rank, the largest loss first: s^(-k / n), normalised."""
        decayed = np.log(self.pressure) * (1 - progress)
        weights = np.exp(-decayed * np.arange(self.items) / self.items)
        return weights / weights.sum()


class InfoBatch(LossMemory):
    """Passes that leave out a random half of the well-learned items and weigh up the other half.

    Well-learned are items whose last known loss is below the mean of all. Those kept have the
    weight 1 / (1 - r), so that the expected sum of weights is that of a whole pass.

    Args:
        task_space: the pool.
        seed: draws what is left out and the passes.
        knowledge: not used.
        ratio: r, the share of the well-learned items that a pass leaves out, in [0, 0.99].
        until: share of the budget after which passes are whole, in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Qin et al. 2024, https://arxiv.org/abs/2303.04947"
    memory = (*LossMemory.memory, "scale")
    unseen: ClassVar[float] = 3.0  # any number will do: the first pass has no loss below the mean

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        ratio: float = 0.5,
        until: float = 0.875,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("infobatch", 0, 0.99, ratio=ratio)
        require("infobatch", 0, 1, until=until)
        self.ratio, self.until = ratio, until
        self.scale = np.ones(self.items)  # weights in the current pass

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) and their weights (count,)."""
        tasks, weights, missing = [], [], count
        while missing > 0:  # one pass at a time, because each has weights of its own
            if len(self.queue) == 0:
                self.passes += 1
                self.queue = self.rng.permutation(self.next_pass(progress))
            items, self.queue = self.queue[:missing], self.queue[missing:]
            tasks.append(items + self.first)
            weights.append(self.scale[items])
            missing -= len(items)
        empty = np.empty(0, dtype=np.int64)
        return Proposal(np.concatenate([*tasks, empty]), np.concatenate([*weights, np.empty(0)]))

    def next_pass(self, progress: float) -> np.ndarray:
        """The items of the next pass; their weights are in ``scale``."""
        self.scale = np.ones(self.items)
        learned = np.flatnonzero(self.losses < self.losses.mean())
        if progress >= self.until or not len(learned):
            return np.arange(self.items)
        kept = int(np.floor((1 - self.ratio) * len(learned) + self.rng.random()))
        learned = self.rng.permutation(learned)
        self.scale[learned] = 1 / (1 - self.ratio)
        return np.setdiff1d(np.arange(self.items), learned[kept:])


class DIHCL(LossMemory):
    """Passes over shrinking sets of items whose hardness, a running mean, is large.

    Args:
        task_space: the pool of n items.
        seed: draws the sets and the passes.
        knowledge: not used.
        rule: how k items are chosen by hardness r: "random", without replacement with chances
            proportional to r; "greedy", the k hardest; "exp", without replacement with chances
            proportional to exp(sqrt(2 ln(n) / n) r). None means the default of the class.
        hardness: what is averaged: the "loss", its absolute "change" since the last visit, or
            whether the answer's correctness has changed, "flip".
        rate: gamma, the share of the newest value in the running mean, in (0, 1].
        shrink: factor of k per pass, in [0.01, 1].
        smallest: least share of the pool in a pass, in (0, 1].
        warm_up: passes over the whole pool before the first choice, >= 1.

    Attributes: ``hard`` (n,), the running means.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = (
        "Zhou, Wang & Bilmes 2020, https://proceedings.neurips.cc/paper/2020/hash/"
        "62000dee5a05a6a71de3a6127a68778a-Abstract.html"
    )
    memory = (*LossMemory.memory, "hard", "correct", "included")
    preset: ClassVar[str] = "random"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rule: str | None = None,
        hardness: str = "loss",
        rate: float = 0.95,
        shrink: float = 0.85,
        smallest: float = 0.2,
        warm_up: int = 5,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.rule = self.preset if rule is None else rule
        if self.rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, but is {rule!r}")
        if hardness not in HARDNESS:
            raise ValueError(f"hardness must be one of {', '.join(HARDNESS)}, but is {hardness!r}")
        require("dihcl", 1e-6, 1, rate=rate, smallest=smallest)
        require("dihcl", 0.01, 1, shrink=shrink)
        require("dihcl", 1, 10**6, warm_up=warm_up)
        self.hardness, self.rate, self.warm_up = hardness, rate, warm_up
        self.shrink, self.smallest = shrink, smallest
        self.hard, self.correct = np.zeros(self.items), np.zeros(self.items)
        self.included = np.ones(self.items)  # chance of being in the current pass

    def learn(self, items: np.ndarray, losses: np.ndarray, outcomes: Outcomes) -> None:
        """Move the hardness of items (n,) towards what was seen, and keep their losses (n,)."""
        correct, known = np.asarray(outcomes.success, dtype=np.float64), self.visits[items] > 0
        if self.hardness == "loss":
            seen = losses
        elif self.hardness == "change":
            seen = np.abs(losses - np.where(known, self.losses[items], 0.0))
        else:
            seen = np.where(known, np.abs(correct - self.correct[items]), 0.0)
        if self.rule == "exp":
            seen = seen / self.included[items]
        rate = np.where(known, self.rate, 1.0)
        self.hard[items] = rate * seen + (1 - rate) * self.hard[items]
        self.correct[items] = correct
        super().learn(items, losses, outcomes)

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything during the warm-up, then k hard items."""
        later = self.passes - self.warm_up
        if later <= 0:
            return np.arange(self.items)
        share = max(self.smallest, self.shrink ** min(later, 10_000))
        size = max(1, int(np.ceil(share * self.items - 1e-9)))
        if self.rule == "greedy":
            return ranking(-self.hard, None, self.rng)[:size]
        chances = np.maximum(self.hard, 0.0)
        if self.rule == "exp":
            scale = np.sqrt(2 * np.log(max(self.items, 2)) / self.items)
            chances = np.exp(scale * (self.hard - self.hard.max()))
            self.included = np.clip(size * chances / chances.sum(), 1e-6, 1.0)
        return drawn_without_replacement(size, chances, self.rng)


class DIHCLGreedy(DIHCL):
    """``DIHCL`` that takes the hardest items."""

    preset = "greedy"


class DIHCLExp(DIHCL):
    """``DIHCL`` whose chances are exponential in the hardness, as in the bandit EXP3."""

    preset = "exp"

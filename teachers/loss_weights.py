"""Weights of examples from the losses of their batch: SuperLoss, MentorNet's closed forms, a prior.

SuperLoss: Castells, Weinzaepfel & Revaud, "SuperLoss: A Generic Loss for Robust Curriculum
Learning", 2020, https://papers.nips.cc/paper/2020/hash/2cfa8f9e50e0f510ede9d12338a5f564-Abstract.html.
Closed forms and their mixture PD: Jiang et al., "MentorNet", 2018, https://arxiv.org/abs/1712.05055;
its focal weights are those of Lin et al., 2017, https://arxiv.org/abs/1708.02002, its "spcl" of
Jiang et al., "Self-Paced Curriculum Learning", 2015, https://doi.org/10.1609/aaai.v29i1.9608.
Weights by a prior that fade to one: MacAvaney et al., "Training Curricula for Open Domain Answer
Re-Ranking", 2020, https://arxiv.org/abs/2004.14269.

Departures from the paper:
- The harness scales weights to a mean of one per batch. SuperLoss and MentorNet leave them as they
  are, so that a batch of hard examples takes a smaller step.
- The student minimises weight x loss. SuperLoss adds a term that does not depend on the student,
  and so changes nothing; the true focal loss also lets its weight's own gradient through.
- MentorNet's learned versions are left out: they need a set with clean labels.
- "annealed_easiness" takes the rank of the task's prior as easiness and weighs single examples;
  the release multiplies the mean loss of a batch by its mean weight.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import lambertw
from scipy.stats import rankdata

from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.pool import PoolTeacher
from teachers.presets import require
from teachers.schedules import mix

FORMS = ("self_paced", "hard_mining", "focal", "spcl", "pd")
PD_STAGES = (0.18, 0.9)  # everything, then self-paced, then spcl
DROPOUT_END = 0.17


class LossWeights(PoolTeacher):
    """Uniform passes; a subclass weighs the batch in ``weights``."""

    memory = (*PoolTeacher.memory, "progress", "level")

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.progress = 0.0
        self.level: float | None = None  # a running statistic of the batches' losses

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items of uniform passes, and note ``progress``."""
        self.progress = float(progress)
        return super().propose(count, progress)

    def follow(self, value: float, momentum: float) -> float:
        """Move the running level towards ``value``, which begins it, and return it."""
        old = value if self.level is None else self.level
        self.level = momentum * old + (1 - momentum) * value
        return self.level


def quantile(values: np.ndarray, share: float) -> float:
    """The quantile of values (n,), n > 0, interpolated; NumPy's is five times as slow."""
    ordered = np.sort(values)
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return float(ordered[below] + (place - below) * (ordered[above] - ordered[below]))


def superloss_weights(losses: np.ndarray, threshold: float, strength: float) -> np.ndarray:
    """The minimiser s (n,) of (l - threshold) s + strength ln(s)^2, in (0, e], for losses l (n,).

    s = exp(-W(max(-2/e, (l - threshold) / strength) / 2)) with W Lambert's function. The gradient
    of the minimum is s times that of the loss.
    """
    half, branch = (losses - threshold) / strength / 2, -np.exp(-1.0)
    # At the branch point itself, where W is -1, SciPy may answer NaN.
    solved = lambertw(np.maximum(half, branch + 1e-12)).real
    return np.exp(-np.where(half <= branch, -1.0, solved))


class SuperLoss(LossWeights):
    """Weights up to e for examples easier than usual, below one for harder ones.

    Args:
        task_space: the pool.
        seed: draws the passes.
        knowledge: not used.
        strength: lambda, in [1e-6, 1e6]; the larger, the closer all weights are to one (paper 1 on
            CIFAR-10, 0.25 on CIFAR-100).
        threshold: what is usual: "mean", a running mean of the batches' losses, or "classes", the
            constant ln(number of classes), which is the loss of guessing.
        momentum: of the running mean, in [0, 1) (CurBench 0.9).

    Raises:
        ValueError: an argument is out of range, or there are no labels to count the classes of.
    """

    reference = (
        "Castells, Weinzaepfel & Revaud 2020, "
        "https://papers.nips.cc/paper/2020/hash/2cfa8f9e50e0f510ede9d12338a5f564-Abstract.html"
    )

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        strength: float = 1.0,
        threshold: str = "mean",
        momentum: float = 0.9,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("superloss", 1e-6, 1e6, strength=strength)
        require("superloss", 0, 0.999999, momentum=momentum)
        if threshold not in ("mean", "classes"):
            raise ValueError(f"threshold must be mean or classes, but is {threshold!r}")
        if threshold == "classes" and task_space.label is None:
            raise ValueError("threshold = 'classes' counts the classes, but the task has no labels")
        self.strength, self.threshold, self.momentum = strength, threshold, momentum

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) of the batch's losses (n,)."""
        losses = np.asarray(batch["loss"], dtype=np.float64)
        if self.threshold == "classes":
            usual = float(np.log(len(np.unique(self.task_space.label))))
        else:
            usual = self.follow(float(losses.mean()), self.momentum)
        return superloss_weights(losses, usual, self.strength)


class MentorNetPD(LossWeights):
    """MentorNet's closed-form weights, by default its predefined mixture "PD".

    With m a running percentile of the batches' losses and d = loss - m: "self_paced" is 1 for
    d <= 0, else 0; "hard_mining" 1 for d >= 0, else 0; "focal" (1 - e^-loss)^gamma; "spcl"
    1 - d / gamma, clipped to [0, 1]. "pd" is one for 18 % of the budget, self-paced until 90 %,
    then spcl.

    Args:
        task_space: the pool.
        seed: draws the passes and what is dropped.
        knowledge: not used.
        form: one of ``FORMS``; None means the default of the class.
        percentile: of a batch's losses, in [0, 1] (paper 0.7 to 0.75).
        momentum: of the running percentile, in [0, 1) (released scripts 0.5).
        gamma: in [0.01, 100]; None means 2 for "focal" and 1 for "spcl" and "pd".
        early_dropout: share of examples whose weight is set to 0 during the first 17 % of the
            budget, in [0, 1); None means 0.5 for "pd", else 0.
        late_dropout: the same afterwards; None means 0.05 for "pd", else 0.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Jiang et al. 2018, https://arxiv.org/abs/1712.05055"
    preset: ClassVar[str] = "pd"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        form: str | None = None,
        percentile: float = 0.75,
        momentum: float = 0.5,
        gamma: float | None = None,
        early_dropout: float | None = None,
        late_dropout: float | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.form = self.preset if form is None else form
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, but is {form!r}")
        mixture = self.form == "pd"
        early = early_dropout if early_dropout is not None else 0.5 * mixture
        late = late_dropout if late_dropout is not None else 0.05 * mixture
        self.gamma = (2.0 if self.form == "focal" else 1.0) if gamma is None else gamma
        require("mentornet", 0.01, 100, gamma=self.gamma)
        require("mentornet", 0, 1, percentile=percentile)
        require("mentornet", 0, 0.999999, momentum=momentum, early_dropout=early, late_dropout=late)
        self.percentile, self.momentum, self.dropout = percentile, momentum, (early, late)

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) of the batch's losses (n,)."""
        losses = np.asarray(batch["loss"], dtype=np.float64)
        level = self.follow(quantile(losses, self.percentile), self.momentum)
        weights = self.closed_form(losses, losses - level)
        rate = self.dropout[self.progress >= DROPOUT_END]
        return weights * (self.rng.random(len(losses)) >= rate) if rate else weights

    def closed_form(self, losses: np.ndarray, excess: np.ndarray) -> np.ndarray:
        """Weights (n,) of losses (n,) that lie by ``excess`` (n,) above the running percentile."""
        form = self.form
        if form == "pd":
            form = ("all", "self_paced", "spcl")[int(np.searchsorted(PD_STAGES, self.progress))]
        if form == "self_paced":
            return (excess <= 0).astype(np.float64)
        if form == "hard_mining":
            return (excess >= 0).astype(np.float64)
        if form == "focal":
            return (-np.expm1(-losses)) ** self.gamma
        if form == "spcl":
            return np.clip(1 - excess / self.gamma, 0.0, 1.0)
        return np.ones(len(losses))


class Focal(MentorNetPD):
    """Weights that grow with the loss: what is learned already counts little."""

    reference = "Lin et al. 2017, https://arxiv.org/abs/1708.02002"
    preset = "focal"


class SPCL(MentorNetPD):
    """Weights that fall linearly above a running percentile of the loss."""

    reference = "Jiang et al. 2015, https://doi.org/10.1609/aaai.v29i1.9608"
    preset = "spcl"


class AnnealedEasiness(LossWeights):
    """Weights by the rank of the prior, easiest one and hardest zero, that fade to one.

    Args:
        task_space: the pool with its ``prior`` (n,).
        seed: draws the passes.
        knowledge: not used.
        end: share of the budget after which all weights are one, in (0, 1].
        order: "easy" or "anti", which weighs the hardest most.

    Raises:
        ValueError: an argument is out of range, or the pool has no prior.
    """

    reference = "MacAvaney et al. 2020, https://arxiv.org/abs/2004.14269"
    privileges = ("prior",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        end: float = 0.5,
        order: str = "easy",
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("annealed_easiness", 1e-6, 1, end=end)
        if order not in ("easy", "anti"):
            raise ValueError(f"order must be easy or anti, but is {order!r}")
        if task_space.prior is None:
            raise ValueError(
                "annealed_easiness weighs items by their prior difficulty, but this task gives "
                "none (TaskSpace.prior is None)"
            )
        self.end = end
        ranks = (rankdata(task_space.prior) - 1) / max(self.items - 1, 1)
        self.easiness = 1 - ranks if order == "easy" else ranks

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) of the batch's items."""
        easiness = self.easiness[np.asarray(batch["tasks"], dtype=np.int64) - self.first]
        return mix(self.progress / self.end, 0.0, 1.0) * (1 - easiness) + easiness

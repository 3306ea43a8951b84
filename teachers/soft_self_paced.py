"""Soft self-paced learning: weights that fall with the loss, below a threshold that grows.

The weights solve min_w w·loss + f(w) for four regularisers f: linear and logarithmic (Jiang et al.,
"Easy Samples First: Self-paced Reranking for Zero-Example Multimedia Search", 2014,
https://doi.org/10.1145/2647868.2654918), logistic (Xu, Tao & Xu, 2015,
https://www.ijcai.org/Abstract/15/558) and polynomial (Gong et al., 2019),
as collected by CurBench (Zhou et al., 2024, https://proceedings.mlr.press/v235/zhou24o.html).

Departures from the paper:
- The threshold is the loss below which a share of the pool lies, and the share grows with the
  budget, as in CurBench; the papers multiply the threshold per iteration.
- Losses are those that items had when they were trained on last, so that no question is asked; a
  batch is judged by its present losses.
- Every item is trained on equally often, with weight 0 if its loss is too large: a batch of such
  items is spent from the budget and teaches nothing.
- The harness scales weights to a mean of one per batch.
- The logarithmic form needs a threshold below 1; it is cut at 0.99.
- The first passes have weights of one, because an untrained student's losses rank nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from scipy.special import expit

from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.pool import LossMemory
from teachers.presets import require
from teachers.schedules import Pace

FORMS = ("linear", "logistic", "log", "polynomial")
MAX_LOG_THRESHOLD = 0.99


def soft_weights(form: str, losses: np.ndarray, threshold: float, order: float) -> np.ndarray:
    """Weights (n,) in [0, 1] of losses (n,) >= 0, with L the ``threshold`` > 0.

    - "linear": 1 - l / L below L, else 0;
    - "logistic": (1 + e^-L) / (1 + e^(l - L));
    - "log": ln(l + 1 - L) / ln(1 - L) below L, else 0, for L < 1;
    - "polynomial": (1 - l / L)^(1 / (t - 1)) below L, else 0, with t the ``order`` > 1.
    """
    if form == "logistic":
        return (1 + np.exp(-threshold)) * expit(threshold - losses)
    if form == "log":
        rest = 1 - min(threshold, MAX_LOG_THRESHOLD)
        return np.log(np.minimum(losses + rest, 1.0)) / np.log(rest)
    weights = np.maximum(1 - losses / threshold, 0.0)
    return weights if form == "linear" else weights ** (1 / (order - 1))


class SoftSelfPaced(LossMemory):
    """Uniform passes with weights by which the student learns most from what is easy for it now.

    Args:
        task_space: the pool of n items.
        seed: draws the passes.
        knowledge: not used.
        form: one of ``FORMS``; None means the default of the class.
        pacing: how the share below the threshold grows, one of ``teachers.schedules.PACES``.
        start: that share at the beginning, in (0, 1].
        end: share of the budget after which the threshold is the largest loss, > 0.
        cap: largest share below the threshold, in (0, 1].
        order: t of the polynomial form, in [1.01, 100].
        warm_up: passes with weights of one, >= 1.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Jiang et al. 2014, https://doi.org/10.1145/2647868.2654918"
    memory = (*LossMemory.memory, "progress")
    preset: ClassVar[str] = "linear"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        form: str | None = None,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        order: float = 3.0,
        warm_up: int = 2,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.form = self.preset if form is None else form
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, but is {form!r}")
        require("soft self-paced learning", 1.01, 100, order=order)
        require("soft self-paced learning", 1, 10**6, warm_up=warm_up)
        self.pacing = Pace(pacing, start, end, cap)
        self.order, self.warm_up = order, warm_up
        self.progress = 0.0

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items of uniform passes, and note ``progress``."""
        self.progress = float(progress)
        return super().propose(count, progress)

    def threshold(self) -> float:
        """The largest loss of the easiest share, of the items trained on so far; above 0."""
        known = np.sort(self.losses[self.visits > 0])
        size = self.pacing.size(self.progress, len(known))
        return max(float(known[size - 1]), 1e-12)

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) of the batch's losses (n,)."""
        losses = np.asarray(batch["loss"], dtype=np.float64)
        if self.passes <= self.warm_up or not self.visits.any():
            return np.ones(len(losses))
        return soft_weights(self.form, losses, self.threshold(), self.order)


class SoftLogistic(SoftSelfPaced):
    """``SoftSelfPaced`` whose weights fall along a logistic curve and are never 0."""

    reference = "Xu, Tao & Xu 2015, https://www.ijcai.org/Abstract/15/558"
    preset = "logistic"


class SoftLog(SoftSelfPaced):
    """``SoftSelfPaced`` whose weights fall with the logarithm of the loss."""

    preset = "log"


class SoftPolynomial(SoftSelfPaced):
    """``SoftSelfPaced`` whose weights fall with a root of the distance to the threshold."""

    reference = "Gong et al. 2019, as in https://proceedings.mlr.press/v235/zhou24o.html"
    preset = "polynomial"

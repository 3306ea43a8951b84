"""Groups reweighted by how far the student's loss lies above a reference student's.

Xie et al., "DoReMi: Optimizing Data Mixtures Speeds Up Language Model Pretraining", 2023,
https://arxiv.org/abs/2305.10429, section 2: a reference is trained on the plain mixture; a proxy
with group weights that grow where its excess loss is large; the mean of these weights is the
mixture on which the real model is trained.

Departures from the paper:
- Reference, proxy and student share one budget, and the proxy is the student itself, which goes on
  from there: "DoReMi-style".
- Items are seen many times here, so a reference memorises even pure noise, whose excess would then
  be large for ever. Its losses are those of items it did not learn from, by two folds; with
  ``folds`` = 1 they are those of the paper.
- Weights change once per report, which holds several batches, instead of once per step.
- The smoothing is 1e-3 as in the paper; the release has 1e-4.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace
from teachers.groups import GroupTeacher
from teachers.presets import require
from teachers.reference import Reference, known

HIGHEST = 50.0  # no excess moves a weight further at once; e^50 is far above any other weight


class DoReMi(GroupTeacher):
    """First equally many items of all groups, weighted; then the mean weights as the mixture.

    With excess_k the mean over the items of group k of max(loss - reference loss, 0), K groups, and
    c the smoothing: a_k <- a_k exp(eta excess_k), divided by their sum; a <- (1 - c) a + c / K. A
    group that does not occur in a report keeps the excess it had.

    Args:
        task_space: a pool with groups.
        seed: draws the folds, groups and items.
        knowledge: not used.
        eta: step size of the weights, in [0, 100] (paper 1).
        smoothing: c, in [1e-9, 1] (paper 0.001).
        proxy: share of what the reference leaves of the budget in which weights are learned, in
            [0.001, 1].
        share: share of the budget that reference students are trained on, in [0.001, 0.9].
        folds: parts of the pool, each asked about by a reference of the others; 1 means one
            reference that learned from everything it is asked about.

    Attributes: ``weights`` (groups,), ``total`` (groups,) their sum over the ``reports`` in which
    they were learned, ``expected`` (n,) the reference's losses, empty before ``prepare``.

    Raises:
        ValueError: an argument is out of range, the pool has no groups, or tasks are asked for
            before ``prepare``.
    """

    reference = "Xie et al. 2023, https://arxiv.org/abs/2305.10429"
    signals = ("loss",)
    privileges = ("groups", "reference_model")
    memory = (*GroupTeacher.memory, "weights", "total", "reports", "excess", "expected")
    memory += ("began", "learns")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        eta: float = 1.0,
        smoothing: float = 1e-3,
        proxy: float = 0.5,
        share: float = 0.5,
        folds: int = 2,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("doremi", 0, 100, eta=eta)
        require("doremi", 1e-9, 1, smoothing=smoothing)
        require("doremi", 1e-3, 1, proxy=proxy)
        require("doremi", 1, 1000, folds=folds)
        self.eta, self.smoothing, self.proxy = eta, smoothing, proxy
        self.told = Reference("pool" if folds == 1 else "folds", share, max(folds, 2))
        count = self.groups.count
        self.weights, self.excess = np.full(count, 1 / count), np.zeros(count)
        self.total, self.reports, self.expected = np.zeros(count), 0, np.empty(0)
        self.began, self.learns = -1.0, True

    def prepare(self) -> None:
        """Train the reference and keep its losses."""
        items, first = int(self.task_space.space.n), self.groups.first
        self.expected = self.told.losses(self, items, first)

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group: even at first, then the mean of all weights."""
        if self.learns or not self.reports:
            return np.full(self.groups.count, 1 / self.groups.count)
        return self.total / self.total.sum()

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,), with the weights (count,) of their groups at first."""
        known(self.expected, self)
        self.began = progress if self.began < 0 else self.began
        self.learns = progress < self.began + self.proxy * (1 - self.began)
        items = super().propose(count, progress).tasks
        if not self.learns:
            return Proposal(items)
        return Proposal(items, self.weights[self.groups.locate(items)] * self.groups.count)

    def observe(self, outcomes: Outcomes) -> None:
        """Move the weights by the excess of each group, as long as they are learned."""
        if not self.learns or not len(outcomes.tasks):
            return
        items = np.asarray(outcomes.tasks, dtype=np.int64) - self.groups.first
        above = np.maximum(np.asarray(outcomes.loss) - known(self.expected, self)[items], 0.0)
        arms = self.groups.locate(outcomes.tasks)
        number = np.bincount(arms, minlength=self.groups.count)
        sums = np.bincount(arms, weights=above, minlength=self.groups.count)
        self.excess = np.where(number > 0, sums / np.maximum(number, 1), self.excess)
        moved = np.log(self.weights) + np.minimum(self.eta * self.excess, HIGHEST)
        moved = np.exp(moved - moved.max())
        uniform = self.smoothing / self.groups.count
        self.weights = (1 - self.smoothing) * moved / moved.sum() + uniform
        self.total, self.reports = self.total + self.weights, self.reports + 1

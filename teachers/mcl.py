"""Minimax curriculum: hard and mutually different examples, few at first, and ever less different.

Zhou & Bilmes, "Minimax Curriculum Learning: Machine Teaching with Desirable Difficulties and
Scheduled Diversity", 2018, https://openreview.net/forum?id=BywyFQlAW.

Departures from the paper:
- A stage lasts a share of the budget instead of a number of epochs.
- The maximum is found by stochastic greedy search (Mirzasoleiman et al., "Lazier Than Lazy Greedy",
  2015, https://arxiv.org/abs/1409.7938), which is near the greedy one at a fraction of its cost.
- The submodular function is facility location over the cosine similarities, at least 0, of the
  student's last hidden layer. The released code takes a modular centrality instead, which is large
  for redundant examples.
- Losses and embeddings are asked for at the beginning of every stage, two forward passes per item.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, TaskSpace
from teachers.pool import PoolTeacher, asked_probe
from teachers.presets import require

SKIPPED = 0.1  # of stochastic greedy: the share of the optimum that may be missed, beside 1 / e


class MCL(PoolTeacher):
    """Passes over k items that maximise their losses plus the weighted diversity of the set.

    The value of a set A is the sum of its losses + weight x sum over all j of the largest
    similarity of j to an item of A. From stage to stage k grows and the weight shrinks.

    Args:
        task_space: the pool.
        seed: draws candidates and passes.
        knowledge: not used.
        stages: how often the set is chosen, >= 1, at equal shares of the budget.
        start: share of the pool in the first stage, in (0, 1].
        end: share in the last stage, in [start, 1].
        diversity: weight in the first stage, in [0, 1e6] (paper 1).
        decay: factor of the weight per stage, in [0, 1] (paper 1 - gamma; CurBench 0.9).
        warm_up: passes over the whole pool before the first choice, >= 0 (CurBench 5 of 200).

    Attributes: ``chosen``, the items of the present stage.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``probe`` is set.
    """

    reference = "Zhou & Bilmes 2018, https://openreview.net/forum?id=BywyFQlAW"
    privileges = ("probe",)
    memory = (*PoolTeacher.memory, "chosen", "stage")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        stages: int = 10,
        start: float = 0.1,
        end: float = 0.91,
        diversity: float = 1.0,
        decay: float = 0.9,
        warm_up: int = 2,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("mcl", 1, 10_000, stages=stages)
        require("mcl", 1e-6, 1, start=start, end=end)
        require("mcl", 0, 1e6, diversity=diversity)
        require("mcl", 0, 1, decay=decay)
        require("mcl", 0, 10**6, warm_up=warm_up)
        if start > end:
            raise ValueError(f"start must not be above end, but they are {start} and {end}")
        self.stages, self.start, self.end = stages, start, end
        self.diversity, self.decay, self.warm_up = diversity, decay, warm_up
        self.chosen, self.stage = np.empty(0, dtype=np.int64), -1

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything during the warm-up, then the set of the stage at ``progress``."""
        everything = np.arange(self.items)
        if self.passes <= self.warm_up:
            return everything
        stage = min(int(progress * self.stages), self.stages - 1)
        if stage != self.stage:
            probe, self.stage = asked_probe(self), stage
            losses = np.asarray(probe.loss(everything + self.first), dtype=np.float64)
            features = np.asarray(probe.embedding(everything + self.first), dtype=np.float64)
            share = self.start + (self.end - self.start) * stage / max(self.stages - 1, 1)
            size = max(1, int(np.ceil(share * self.items - 1e-9)))
            weight = self.diversity * self.decay**stage
            self.chosen = hard_and_different(losses, features, size, weight, self.rng)
        return self.chosen


def hard_and_different(
    losses: np.ndarray,
    features: np.ndarray,
    size: int,
    weight: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Choose ``size`` of n items by stochastic greedy search, in the order of choice (size,).

    Args:
        losses: (n,).
        features: (n, width); their cosine similarities, at least 0, say what is alike.
        size: at most n.
        weight: of the facility-location term, >= 0.
        rng: draws the candidates of each step.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    unit = (features / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)
    n, chosen = len(losses), []
    left = np.arange(n)
    covered = np.zeros(n, dtype=np.float32)  # similarity to the nearest chosen item
    candidates = int(np.ceil(n / size * np.log(1 / SKIPPED)))
    for _ in range(size):
        tried = rng.permutation(len(left))[:candidates]
        alike = np.maximum(unit[left[tried]] @ unit.T, 0.0)
        gains = losses[left[tried]] + weight * np.maximum(alike - covered, 0.0).sum(axis=1)
        best = int(gains.argmax())
        chosen.append(int(left[tried[best]]))
        covered = np.maximum(covered, alike[best])
        left = np.delete(left, tried[best])
    return np.array(chosen)

"""Examples that are learnable, worth learning and not yet learned: reducible holdout loss.

Mindermann et al., "Prioritized Training on Points that are Learnable, Worth Learning, and Not Yet
Learnt", 2022, https://arxiv.org/abs/2206.07137: of a large batch of candidates the ones are trained
on whose loss is furthest above the irreducible one, that of a student of held-out data.

Departures from the paper:
- Where there is no extra held-out data the paper halves the training set and trains two references,
  each asked about the half it did not learn from. ``RHOLoss`` does so; ``RHOLossValidation`` trains
  one on the validation set.
- The reference is a student like the one that is taught, trained within the run and on its bill,
  half of the budget by default. The paper takes its best checkpoint and does not bill it.
- Candidates of all batches of a proposal are asked about at once, each item once; the paper
  asks again before every batch. Within the proposal each batch has its own candidates.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.pacing import draw
from teachers.pool import PoolTeacher, asked_probe
from teachers.presets import require
from teachers.reference import Reference, known


def top_rows(values: np.ndarray, count: int) -> np.ndarray:
    """The rows (count,) of the largest values (n,), the largest first; of equal ones the first."""
    return np.argsort(-values, kind="stable")[:count]


class _Reducible(PoolTeacher):
    """Keeps of every ``batch / keep`` candidates the ``batch`` with the largest reducible loss."""

    memory = (*PoolTeacher.memory, "irreducible")

    def __init__(
        self,
        task_space: TaskSpace,
        told: Reference,
        keep: float,
        batch: int,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("rho_loss", 0.001, 1, keep=keep)
        require("rho_loss", 1, 100_000, batch=batch)
        self.told, self.keep, self.batch = told, keep, batch
        self.irreducible = np.empty(0)

    def prepare(self) -> None:
        """Train the reference and keep its losses."""
        self.irreducible = self.told.losses(self, self.items, self.first)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,), batch by batch the best of its own candidates."""
        known(self.irreducible, self)
        sizes = [min(self.batch, count - start) for start in range(0, count, self.batch)]
        offered = [self._candidates(int(np.ceil(size / self.keep)), progress) for size in sizes]
        asked = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *offered]))
        reducible = np.full(self.items, -np.inf)
        if len(asked):
            losses = np.asarray(asked_probe(self).loss(asked + self.first), dtype=np.float64)
            reducible[asked] = losses - self.irreducible[asked]
        kept = [
            items[top_rows(reducible[items], size)]
            for items, size in zip(offered, sizes, strict=True)
        ]
        return Proposal(np.concatenate([np.empty(0, dtype=np.int64), *kept]) + self.first)

    def _candidates(self, count: int, progress: float) -> np.ndarray:
        """The next ``count`` items of the current pass, numbered from 0."""

        def begin() -> np.ndarray:
            self.passes += 1
            return self.next_pass(progress)

        items, self.queue = draw(self.queue, count, begin, self.rng)
        return items


class RHOLoss(_Reducible):
    """Candidates with the largest loss above that of a student of the other half of the pool.

    A proposal costs a forward pass per candidate item.

    Args:
        task_space: the pool.
        seed: draws the halves and the passes of candidates.
        knowledge: not used.
        keep: share of the candidates that is trained on, in [0.001, 1] (paper 0.1).
        batch: examples chosen together, >= 1 (paper 32).
        share: share of the budget that both references together are trained on, in [0.001, 0.9].

    Attributes: ``irreducible`` (n,), the references' losses, empty before ``prepare``.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``prepare``.
    """

    reference = "Mindermann et al. 2022, https://arxiv.org/abs/2206.07137"
    privileges = ("probe", "reference_model")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        keep: float = 0.1,
        batch: int = 32,
        share: float = 0.5,
    ):
        told = Reference("folds", share)
        super().__init__(task_space, told, keep, batch, seed=seed, knowledge=knowledge)


class RHOLossValidation(_Reducible):
    """``RHOLoss`` with one reference that learns from the validation set.

    Args: see ``RHOLoss``.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``prepare``.
    """

    reference = "Mindermann et al. 2022, https://arxiv.org/abs/2206.07137"
    privileges = ("probe", "reference_model", "validation_labels")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        keep: float = 0.1,
        batch: int = 32,
        share: float = 0.5,
    ):
        told = Reference("validation", share)
        super().__init__(task_space, told, keep, batch, seed=seed, knowledge=knowledge)

"""Paced subsets of a pool in the order of another student's losses.

``EasyFirstReference`` orders by the losses of a reference student, ``EasyFirstCrossValidated`` by
those of students that did not learn from the item, as in Wu, Dyer & Neyshabur, "When Do Curricula
Work?", 2021, https://arxiv.org/abs/2012.03107; ``TransferTeacher`` by those of a student of other
data, Weinshall, Cohen & Amir, "Curriculum Learning by Transfer Learning", 2018,
https://arxiv.org/abs/1802.03796, in the form of CurBench (Zhou et al., 2024,
https://proceedings.mlr.press/v235/zhou24o.html).

Departures from the paper:
- The reference is a student like the one that is taught, trained within the run and on its bill:
  half of the budget by default, all folds together. Wu et al. average several runs of four folds;
  here there is one run of four.
- ``TransferTeacher``: Weinshall et al. take a large network trained on other images; CurBench the
  same network trained on the clean labels of the training set itself, with one seed for all,
  unbilled. Here the other data are the validation set, a declared privilege. The pacing is
  CurBench's: linear from 1 % of the pool to everything at half time, classes not balanced.
- Pacing runs over what the reference has left of the budget.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.paced_subset import PacedSubset
from teachers.reference import Reference, known


class ReferenceOrder(PacedSubset):
    """A ``PacedSubset`` in the order of losses that ``told`` gives before the first proposal.

    Attributes: ``scores`` (n,), the losses, empty before ``prepare``; ``ranked``, the order (n,);
    ``began``, the share of the budget that was spent before the first proposal.
    """

    memory = (*PacedSubset.memory, "scores", "began")

    def __init__(
        self,
        task_space: TaskSpace,
        told: Reference,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        **options: Any,
    ):
        self.told, self.scores, self.began = told, np.empty(0), -1.0
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)

    def difficulty(self) -> np.ndarray:
        """Losses (n,) of the reference; none is known before ``prepare``."""
        return self.scores if len(self.scores) else np.zeros(self.items)

    def prepare(self) -> None:
        """Train the reference and put the pool in order."""
        self.scores = self.told.losses(self, self.items, self.first)
        self.ranked = self.rank(self.difficulty())

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) of the share in use."""
        known(self.scores, self)
        self.began = progress if self.began < 0 else self.began
        left = (progress - self.began) / max(1 - self.began, 1e-9)
        return super().propose(count, min(1.0, max(0.0, left)))


class EasyFirstReference(ReferenceOrder):
    """A growing share of a pool, in the order of the losses of a reference student.

    The reference learns from the whole pool, wrong labels included; given time it memorises them,
    and then its losses say nothing of them.

    Args:
        task_space: the pool; its ``label`` balances.
        seed: draws the passes and breaks ties.
        knowledge: not used.
        share: share of the budget that the reference is trained on, in [0.001, 0.9].
        pacing: shape of the growth, one of ``teachers.schedules.PACES``.
        order: "easy" first or, as controls, "anti" or "random".
        start: share of the pool at the beginning, in (0, 1].
        end: share of what is left of the budget after which everything is used, > 0.
        cap: largest share of the pool ever used, in (0, 1].
        balanced: interleave the classes, so that each is present from the beginning.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``prepare``.
    """

    privileges = ("reference_model",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        share: float = 0.5,
        pacing: str = "linear",
        order: str = "easy",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        balanced: bool = True,
    ):
        options = {"pacing": pacing, "order": order, "start": start, "end": end, "cap": cap}
        options |= {"seed": seed, "knowledge": knowledge, "balanced": balanced}
        super().__init__(task_space, Reference("pool", share), **options)


class EasyFirstCrossValidated(ReferenceOrder):
    """A growing share of a pool, by the losses of students that did not learn from the item.

    Args: see ``EasyFirstReference``.
        share: share of the budget that all references together are trained on, in [0.001, 0.9].
        folds: parts of the pool, each asked about by a reference of the others, >= 2.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``prepare``.
    """

    privileges = ("reference_model",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        share: float = 0.5,
        folds: int = 4,
        pacing: str = "linear",
        order: str = "easy",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        balanced: bool = True,
    ):
        options = {"pacing": pacing, "order": order, "start": start, "end": end, "cap": cap}
        options |= {"seed": seed, "knowledge": knowledge, "balanced": balanced}
        super().__init__(task_space, Reference("folds", share, folds), **options)


class TransferTeacher(ReferenceOrder):
    """A growing share of a pool, by the losses of a student of the validation set.

    Args: see ``EasyFirstReference``.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``prepare``.
    """

    reference = "Weinshall, Cohen & Amir 2018, https://arxiv.org/abs/1802.03796"
    privileges = ("reference_model", "validation_labels")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        share: float = 0.5,
        pacing: str = "linear",
        start: float = 0.01,
        end: float = 0.5,
        cap: float = 1.0,
        balanced: bool = False,
    ):
        options = {"pacing": pacing, "start": start, "end": end, "cap": cap}
        options |= {"seed": seed, "knowledge": knowledge, "balanced": balanced}
        super().__init__(task_space, Reference("validation", share), **options)

"""What a reference student thinks of a pool: its losses, of items it did or did not learn from.

Departures from the paper: none; these are parts, not methods.
"""

from __future__ import annotations

import numpy as np

from teachers.pool import asked_probe
from teachers.presets import require

SOURCES = ("pool", "folds", "validation")


class Reference:
    """How reference students are trained, and what they are asked.

    Args:
        source: "pool", one student that learns from the whole pool and is asked about it;
            "folds", one per fold, that learns from the rest of the pool and is asked about the
            fold; "validation", one that learns from the validation set, which needs the privilege
            ``validation_labels``.
        share: share of the budget that all of them together are trained on, in [0.001, 0.9].
        folds: how many folds "folds" has, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, source: str, share: float, folds: int = 2):
        if source not in SOURCES:
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, but is {source!r}")
        require("a reference student", 1e-3, 0.9, share=share)
        require("a reference student", 2, 1000, folds=folds)
        self.source, self.share, self.folds = source, share, folds

    def losses(self, teacher: object, items: int, first: int) -> np.ndarray:
        """Losses (items,) of the items from number ``first`` on; folds are drawn by ``teacher``.

        Raises:
            ValueError: nobody has set the teacher's ``probe``.
        """
        ask, tasks = asked_probe(teacher).reference_loss, np.arange(items) + first
        if self.source == "validation":
            return np.asarray(ask(tasks, "validation", self.share), dtype=np.float64)
        folds = min(self.folds, items) if self.source == "folds" else 1
        if folds == 1:  # of a pool of one item there is no rest to learn from
            return np.asarray(ask(tasks, tasks, self.share), dtype=np.float64)
        losses, order = np.empty(items), teacher.rng.permutation(items)
        for fold in np.array_split(order, folds):
            rest = np.setdiff1d(tasks, tasks[fold])
            losses[fold] = ask(tasks[fold], rest, self.share / folds)
        return losses


def known(scores: np.ndarray, who: object) -> np.ndarray:
    """The scores (n,) of the reference, once there are any.

    Raises:
        ValueError: ``prepare`` was not called.
    """
    if not len(scores):
        raise ValueError(
            f"{type(who).__name__} needs the losses of its reference student, but nobody called "
            "prepare(); the harness does so before the first proposal"
        )
    return scores

"""The nearest earlier task and its return: what absolute learning progress is measured against.

Absolute learning progress as in Portelas et al., 2019, https://arxiv.org/abs/1910.07224, section 3.

Departures from the paper: among equally near earlier tasks the latest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

BUFFER = 500  # the latest outcomes are compared one by one, older ones through a tree
TOO_FEW = 5  # learning progress counts as zero until more tasks than this are stored
LARGEST = np.finfo(np.float64).max


class EarlierReturns:
    """Remembers positions and returns in order of arrival and compares new ones with them.

    Rows of ``archive`` and ``recent`` are (position, return); the tree over the archive is rebuilt
    every 500 outcomes, which keeps one comparison far below a millisecond.

    Args:
        width: number of coordinates, at least 1.
        history: how many of the latest outcomes may be neighbours; None means all.
    """

    def __init__(self, width: int, history: int | None = None):
        self.history = history
        self.stored = 0  # outcomes so far
        self.archive = np.empty((0, width + 1))
        self.recent = np.empty((0, width + 1))
        self._tree: cKDTree | None = None
        self._returns = np.empty(0)

    def learning_progress(self, positions: np.ndarray, returns: np.ndarray) -> np.ndarray:
        """ALP (n,) of outcomes at positions (n, width): |G − G_nn|, each also against the former.

        G_nn is the return of the nearest earlier task; ALP is 0 for the first six outcomes.
        """
        parts = [
            self._compare(positions[start : start + BUFFER], returns[start : start + BUFFER])
            for start in range(0, len(positions), BUFFER)
        ]
        return np.concatenate([np.empty(0), *parts])

    def _compare(self, positions: np.ndarray, returns: np.ndarray) -> np.ndarray:
        known = np.concatenate([self.recent, np.column_stack([positions, returns])])
        steps = np.arange(len(positions))
        age = len(self.recent) + steps[:, None] - np.arange(len(known))  # in outcomes
        earlier = (age >= 1) & (age <= (self.history or np.inf))
        gaps = ((positions[:, None] - known[:, :-1]) ** 2).sum(axis=2)
        gaps[~earlier] = np.inf
        nearest = len(known) - 1 - gaps[:, ::-1].argmin(axis=1)  # the latest among equals
        neighbour = known[nearest, -1]
        if len(self.archive):
            distance, index = self._older().query(positions)
            older = distance**2 < gaps[steps, nearest]
            neighbour[older] = self._returns[index[older]]
        with np.errstate(over="ignore"):  # two huge returns of different sign
            alp = np.minimum(np.abs(returns - neighbour), LARGEST)
        enough = self.stored + steps > TOO_FEW
        self._remember(known)
        self.stored += len(positions)
        return np.where(enough, alp, 0.0)

    def _remember(self, known: np.ndarray) -> None:
        if self.history is not None:
            self.recent = known[-self.history :]
        elif len(known) < BUFFER:
            self.recent = known
        else:
            self.archive = np.concatenate([self.archive, known])
            self.recent, self._tree = known[:0], None

    def _older(self) -> cKDTree:
        """The tree over distinct archived positions, with the latest return at each."""
        if self._tree is None:
            latest = self.archive[::-1]
            positions, first = np.unique(latest[:, :-1], axis=0, return_index=True)
            self._tree, self._returns = cKDTree(positions), latest[first, -1]
        return self._tree

    def state_dict(self) -> dict[str, Any]:
        """The outcomes so far; the tree follows from them."""
        return {
            "stored": self.stored,
            "archive": self.archive.copy(),
            "recent": self.recent.copy(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.stored = int(state["stored"])
        self.archive = np.array(state["archive"])
        self.recent = np.array(state["recent"])
        self._tree = None

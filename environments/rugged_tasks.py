"""A rugged difficulty landscape: the task space cut into pieces that change places.

The challenge of TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815): each dimension
is cut into equal segments, the segments are permuted, the order within a segment stays. A teacher
lives in the permuted coordinates, where difficulty jumps from piece to piece; worlds are reset
with true tasks.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from environments.vector import VectorWorlds, WrappedWorlds

# The upper bound of the space stays in its segment: one step further the next piece begins.
LAST = 1 - 1e-9


class Ruggedness:
    """The way between a teacher's coordinates and true tasks, per dimension a permutation.

    Args:
        space: a bounded ``Box`` of shape (D,).
        segments: pieces per dimension, >= 2.
        seed: draws the permutations; none is the identity, as then nothing would be rugged.

    Raises:
        ValueError: fewer than two segments.
    """

    def __init__(self, space: spaces.Box, segments: int, seed: int):
        if segments < 2:
            raise ValueError(f"a rugged space needs at least 2 segments, but got {segments}")
        rng, size = np.random.default_rng(seed), space.shape[0]
        self.low, self.high = space.low, space.high
        self.true = np.array([_permutation(segments, rng) for _ in range(size)])  # of a teacher's
        self.told = np.argsort(self.true, axis=1)  # and the way back

    def tasks(self, told: np.ndarray) -> np.ndarray:
        """True tasks (n, D) of a teacher's coordinates (n, D)."""
        return self._moved(told, self.true)

    def coordinates(self, tasks: np.ndarray) -> np.ndarray:
        """A teacher's coordinates (n, D) of true tasks (n, D)."""
        return self._moved(tasks, self.told)

    def _moved(self, points: np.ndarray, places: np.ndarray) -> np.ndarray:
        wide = self.high > self.low  # a dimension without width has one task
        high = np.where(wide, self.high, self.low + 1)
        return np.where(wide, rearranged(points, self.low, high, places, LAST), points)


class RuggedTasks(WrappedWorlds):
    """The given worlds, reset with a teacher's coordinates instead of true tasks."""

    def __init__(self, worlds: VectorWorlds, ruggedness: Ruggedness):
        super().__init__(worlds)
        self.ruggedness = ruggedness

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        low, high = self.task_space.low, self.task_space.high
        if not ((tasks >= low) & (tasks <= high)).all():
            raise ValueError(
                f"a task lies outside the task space {low.tolist()} to {high.tolist()}"
            )
        return super()._reset(index, self.ruggedness.tasks(tasks), seeds)


def rearranged(
    points: np.ndarray, low: np.ndarray, high: np.ndarray, places: np.ndarray, last: float = 1.0
) -> np.ndarray:
    """Points (n, D) of the box from ``low`` to ``high`` (D,) whose segments change places.

    Segment j of dimension d goes to ``places[d, j]``; ``places`` (D, k) holds permutations. Within
    its segment a point keeps its place, which is at most ``last`` of it.
    """
    count, size = places.shape
    place = (np.asarray(points, dtype=np.float64) - low) / (high - low) * size
    segment = np.minimum(place.astype(np.int64), size - 1)
    moved = places[np.arange(count), segment] + np.minimum(place - segment, last)
    return np.clip(low + moved / size * (high - low), low, high)  # rounding may carry it past


def _permutation(size: int, rng: np.random.Generator) -> np.ndarray:
    """A random permutation of 0 ... size - 1 that moves something."""
    while True:
        drawn = rng.permutation(size)
        if (drawn != np.arange(size)).any():
            return drawn

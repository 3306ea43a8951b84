"""Tiles: a task space cut into parts, so that bandits over few arms can teach it.

A box becomes a regular grid, as in Klink et al., "Curriculum reinforcement learning via constrained
optimal transport", 2022, https://proceedings.mlr.press/v162/klink22a.html, which cuts 20 bins per
dimension; a pool becomes its items or, when it is large, its labels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from teachers.base import TaskSpace
from teachers.fixed import bounded_box

DEFAULT_TILES = 1024  # more of them starve at the budgets of the suite's protocols
DEFAULT_BINS = 10
MAX_TILES = 10_000


class Tiles:
    """The parts of a task space, numbered from 0.

    By default a box has the most bins per dimension, up to 10, that leave at most 1024 tiles; of
    many dimensions only the first ten are cut, in two. Dimensions of width zero are not cut.
    Every item of a pool of up to 1024 is a tile; in a larger pool every label is one.

    Args:
        task_space: a bounded ``Box`` of shape (D,), or ``Discrete``.
        bins: tiles per dimension of a box, one number or D of them, >= 1; None means the default.

    Attributes: ``kind`` is "grid", "items" or "labels"; ``count`` the number of tiles; ``bins``
    the tiles per dimension (D,), empty for a pool; ``labels`` (count,) for labels, else None.

    Raises:
        ValueError: the box is unbounded or no vector, ``bins`` do not fit or make more than 10,000
            tiles, or a large pool has no labels or more than 1024.
    """

    def __init__(self, task_space: TaskSpace, bins: int | Sequence[int] | None = None):
        self.labels: np.ndarray | None = None
        if isinstance(task_space.space, spaces.Discrete):
            self._cut_pool(task_space, bins)
        else:
            self._cut_box(task_space, bins)

    def locate(self, tasks: np.ndarray) -> np.ndarray:
        """Return the tile (n,) of every task (n, *task_shape)."""
        if self.kind != "grid":
            return self.tile_of[np.asarray(tasks, dtype=np.int64) - self.first]
        index = ((np.asarray(tasks) - self.low) / self.width).astype(np.int64)
        return np.clip(index, 0, self.bins - 1) @ self.strides

    def sample(self, tiles: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return one uniform task per tile: (n, D) float64, or items (n,) int64."""
        if self.kind != "grid":
            place = (rng.random(len(tiles)) * self.sizes[tiles]).astype(np.int64)
            return self.order[self.starts[tiles] + place] + self.first
        index = tiles[:, None] // self.strides % self.bins
        tasks = self.low + (index + rng.random(index.shape)) * self.width
        return np.clip(tasks, self.low, self.high)

    def _cut_box(self, task_space: TaskSpace, bins: int | Sequence[int] | None) -> None:
        box = bounded_box(task_space, "a grid of tiles")
        self.kind, self.low, self.high = "grid", box.low, box.high
        free = box.high > box.low
        self.bins = np.ones(len(free), dtype=np.int64)
        self.bins[free] = _default_bins(int(free.sum())) if bins is None else 1
        if bins is not None:
            asked = np.asarray(bins)
            fits = asked.shape in ((), box.shape) and asked.dtype.kind in "iu"
            if not fits or (asked < 1).any():
                raise ValueError(
                    f"bins must be a whole number >= 1, or {len(free)} of them, but is {bins!r}"
                )
            self.bins[free] = np.broadcast_to(asked, box.shape)[free]
        total = float(np.prod(self.bins, dtype=np.float64))
        if total > MAX_TILES:
            raise ValueError(
                f"bins make {total:.0f} tiles, more than the {MAX_TILES} a bandit can visit; "
                "give fewer bins per dimension"
            )
        self.count = int(total)
        self.strides = np.cumprod([1, *self.bins[:0:-1]])[::-1]  # the last dimension runs first
        # A dimension that is not cut may have no width; any other number serves for it.
        self.width = np.where(free, (box.high - box.low) / self.bins, 1.0)

    def _cut_pool(self, task_space: TaskSpace, bins: int | Sequence[int] | None) -> None:
        if bins is not None:
            raise ValueError(f"bins cut a box, but the space is a pool of items; bins is {bins!r}")
        n, self.first = int(task_space.space.n), int(task_space.space.start)
        self.kind, self.bins, self.tile_of = "items", np.empty(0, np.int64), np.arange(n)
        if n > DEFAULT_TILES:
            if task_space.label is None:
                raise ValueError(
                    f"a pool of {n} items is too large for one tile each (at most "
                    f"{DEFAULT_TILES}) and has no labels to group them by"
                )
            self.kind = "labels"
            self.labels, self.tile_of = np.unique(task_space.label, return_inverse=True)
        self.count = int(self.tile_of.max()) + 1
        if self.count > DEFAULT_TILES:
            raise ValueError(
                f"a pool of {n} items with {self.count} labels has too many tiles; at most "
                f"{DEFAULT_TILES} can be taught as arms of a bandit"
            )
        self.order = np.argsort(self.tile_of, kind="stable")
        self.sizes = np.bincount(self.tile_of)
        self.starts = np.cumsum(self.sizes) - self.sizes


def _default_bins(dimensions: int) -> np.ndarray:
    """Bins of each of so many dimensions that have a width."""
    bins = DEFAULT_BINS
    while bins > 2 and bins**dimensions > DEFAULT_TILES:
        bins -= 1
    several = np.full(dimensions, bins)
    several[10:] = 1  # 2 ** 10 tiles are as many as there may be
    return several

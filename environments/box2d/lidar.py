"""The lidar of the Box2D worlds, computed instead of cast: many worlds in one call, no callbacks.

Ten rays start at the reference body and reach 5.33 m. A ray reads the fraction of its length at the
closest hit, 1.0 if it hits nothing. As in the engine, a ground edge is hit from both sides and a
convex polygon only from outside.

A ray that enters a convex polygon passes from outside to inside through exactly one of its
half-planes' borders: the edge that faces it. Hence every polygon becomes its facing edges, hit from
one side, and the ground its edges, hit from both; the closest hit of all is the engine's answer.
Only + - * and comparisons act on single elements, so a world reads the same bits in any company.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from environments.box2d.engine import SCALE

NUM_RAYS = 10
RANGE = 160 / SCALE
MARGIN = 1e-9  # share of an edge; closes the gap that rounding leaves between two neighbours
# What an edge belongs to. Of two hits at one distance the smaller number counts.
TERRAIN, CREEPER, WATER = 0, 1, 2
KIND_BITS = 3
QUARTER_TURN = np.array([1.0, -1.0])  # to the right, of a vector whose numbers are swapped

# Rows of a table: where an edge starts, its normal, its direction over its squared length, then per
# ray 1 / (normal · ray) and (scaled direction · ray), and last what the edge belongs to.
START_X, START_Y, NORMAL_X, NORMAL_Y, ALONG_X, ALONG_Y, RATE = range(7)
SHARE = RATE + NUM_RAYS
KIND = SHARE + NUM_RAYS


@dataclass(frozen=True)
class Layout:
    """Where the rays point: ray i has the angle ``spread`` · i / 10 + ``first``.

    Angles are in radians; 0 points down, π/2 forward.
    """

    spread: float
    first: float

    @cached_property
    def rays(self) -> np.ndarray:
        """The rays at full length (10, 2), metres."""
        angles = self.spread * np.arange(NUM_RAYS) / NUM_RAYS + self.first
        return RANGE * np.stack([np.sin(angles), -np.cos(angles)], axis=1)

    @cached_property
    def reach(self) -> tuple[float, float]:
        """How far the rays reach backward and forward, metres."""
        return max(float(-self.rays[:, 0].min()), 0.0), max(float(self.rays[:, 0].max()), 0.0)


LAYOUTS = {"down": Layout(1.5, 0.0), "up": Layout(2.3, 1.5), "full": Layout(np.pi, 0.0)}


class Edges:
    """Directed edges that rays may hit, gathered group by group.

    They are rounded to single precision as in the engine: the rays must meet the same edges as the
    feet.
    """

    def __init__(self) -> None:
        self._groups: list[tuple[np.ndarray, np.ndarray, bool, int]] = []

    def add(self, start: np.ndarray, end: np.ndarray, one_sided: bool, kind: int) -> Edges:
        """Add edges from ``start`` to ``end`` (m, 2) of a kind: TERRAIN, CREEPER or WATER.

        One-sided edges are hit only from the right of their direction, as those of a
        counter-clockwise polygon are from outside.
        """
        self._groups.append((start, end, one_sided, kind))
        return self

    def add_line(self, vertices: np.ndarray, kind: int = TERRAIN) -> Edges:
        """Add the edges between consecutive vertices (v, 2), hit from both sides."""
        return self.add(vertices[:-1], vertices[1:], False, kind)

    def add_polygons(self, corners: np.ndarray, kind: int = TERRAIN) -> Edges:
        """Add the sides of convex polygons, counter-clockwise corners (k, n, 2)."""
        start, end = corners.reshape(-1, 2), np.roll(corners, -1, axis=1).reshape(-1, 2)
        return self.add(start, end, True, kind)

    def columns(
        self, layout: Layout, low: float = -np.inf, high: float = np.inf
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A table's columns (rows, m) of the edges that a ray can hit, their left and right ends.

        The columns are sorted by where the edges begin on the left. Edges that lie wholly outside
        of ``low`` to ``high`` are left out.
        """
        start, end, one_sided, kind = self._gathered
        if np.isfinite([low, high]).any():
            near = (np.maximum(start[:, 0], end[:, 0]) >= low) & (
                np.minimum(start[:, 0], end[:, 0]) <= high
            )
            start, end, one_sided, kind = (array[near] for array in (start, end, one_sided, kind))
        along = end - start
        normal = along[:, ::-1] * QUARTER_TURN
        facing = normal @ layout.rays.T  # negative: the ray enters, zero: it never meets the edge
        hit = (facing < 0.0) | ((facing > 0.0) & ~one_sided)
        left = np.minimum(start[:, 0], end[:, 0])
        kept = np.flatnonzero(hit.any(axis=1))
        kept = kept[np.argsort(left[kept], kind="stable")]
        start, end, along, facing, hit = (array[kept] for array in (start, end, along, facing, hit))
        along /= (along**2).sum(axis=1, keepdims=True)
        rate = np.divide(1.0, facing, out=np.full_like(facing, np.nan), where=hit)
        columns = np.concatenate(
            [start, normal[kept], along, rate, along @ layout.rays.T, kind[kept]], axis=1
        )
        right = np.maximum(start[:, 0], end[:, 0])
        return np.ascontiguousarray(columns.T), left[kept], right

    @cached_property
    def _gathered(self) -> tuple[np.ndarray, ...]:
        """Start (m, 2), end (m, 2), one-sided (m, 1) and kind (m, 1) of all edges."""
        starts, ends, one_sided, kinds = zip(*self._groups, strict=True)
        counts = [len(start) for start in starts]
        start, end = (
            np.concatenate(parts).astype(np.float32).astype(np.float64) for parts in (starts, ends)
        )
        return start, end, np.repeat(one_sided, counts)[:, None], np.repeat(kinds, counts)[:, None]


class LidarTable:
    """The edges of one terrain, sorted by where they start, ready for ``scan``.

    Args:
        edges: of the whole terrain.
        layout: of the rays.
        stretch: how much of the terrain is made ready at a time, metres to each side; when the rays
            leave it, the next stretch is. Most episodes end long before the end of the track.
    """

    def __init__(
        self, edges: Edges, layout: Layout = LAYOUTS["down"], stretch: float = float("inf")
    ):
        self.edges, self.layout, self.stretch = edges, layout, stretch
        self._low = self._high = 0.0  # nothing is ready

    def _prepare(self, x: float) -> None:
        self._low, self._high = x - self.stretch, x + self.stretch
        self.columns, left, right = self.edges.columns(self.layout, self._low, self._high)
        self._left = left.tolist()
        self._right = np.maximum.accumulate(right).tolist()

    def window(self, x: float) -> np.ndarray:
        """The columns of all edges a ray from ``x`` could hit; at least one if there is any."""
        behind, ahead = self.layout.reach
        low, high = x - behind - MARGIN, x + ahead + MARGIN
        if low < self._low or high > self._high:
            self._prepare(x)
        first = min(bisect_left(self._right, low), len(self._right) - 1)
        last = bisect_right(self._left, high)
        return self.columns[:, max(first, 0) : max(last, first + 1)]


def scan(windows: Sequence[np.ndarray], xs: Sequence[float], ys: Sequence[float]) -> np.ndarray:
    """Read the lidar of many worlds at once.

    Args:
        windows: what the rays of each world could hit (n), from ``LidarTable.window``.
        xs: where the rays of each world start (n), metres to the right.
        ys: the same upwards (n).

    Returns:
        Fractions (n, 10) float64 in [0, 1].
    """
    hit, starts, _ = _hits(windows, xs, ys)
    return np.minimum.reduceat(hit, starts, axis=1).T


def scan_kinds(
    windows: Sequence[np.ndarray], xs: Sequence[float], ys: Sequence[float]
) -> tuple[np.ndarray, np.ndarray]:
    """Like ``scan``; also what each ray hits: TERRAIN, CREEPER, WATER, or -1 for nothing.

    The kind travels in the two lowest bits of a fraction, where it costs no second search and
    changes the fraction by less than 1e-15.

    Returns:
        Fractions (n, 10) float64 in [0, 1] and kinds (n, 10) int64.
    """
    hit, starts, edges = _hits(windows, xs, ys)
    bits = np.abs(hit).view(np.int64) & ~KIND_BITS
    bits |= edges[KIND].astype(np.int64)
    bits[hit == 1.0] = np.float64(1.0).view(np.int64)
    nearest = np.minimum.reduceat(bits, starts, axis=1).T
    fractions = np.ascontiguousarray(nearest & ~KIND_BITS).view(np.float64)
    return fractions, np.where(fractions < 1.0, nearest & KIND_BITS, -1)


def _hits(
    windows: Sequence[np.ndarray], xs: Sequence[float], ys: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where every ray hits every edge (10, edges), 1.0 for a miss; the windows' starts; edges."""
    counts = [window.shape[1] for window in windows]
    edges = np.concatenate(windows, axis=1) if len(windows) > 1 else windows[0]
    to_x = edges[START_X] - np.repeat(xs, counts)
    to_y = edges[START_Y] - np.repeat(ys, counts)
    # Where the ray meets the line of the edge, as a share of the ray ...
    hit = (edges[NORMAL_X] * to_x + edges[NORMAL_Y] * to_y) * edges[RATE:SHARE]
    # ... and as a share of the edge.
    share = edges[SHARE:KIND] * hit
    share -= edges[ALONG_X] * to_x + edges[ALONG_Y] * to_y
    valid = (hit >= 0.0) & (share >= -MARGIN) & (share <= 1.0 + MARGIN) & (hit <= 1.0)
    starts = np.concatenate(([0], np.cumsum(counts[:-1], dtype=np.intp)))
    return np.where(valid, hit, 1.0), starts, edges

"""The lidar of the walkers, computed instead of cast: many worlds in one call, no callbacks.

Ten rays start at the reference body and reach 5.33 m, from straight down to 1.35 rad forward. A ray
reads the fraction of its length at the closest hit, 1.0 if it hits nothing. As in the engine, a
ground edge is hit from both sides and a convex polygon only from outside.

A ray that enters a convex polygon passes from outside to inside through exactly one of its
half-planes' borders: the edge that faces it. Hence every polygon becomes its facing edges, hit from
one side, and the ground its edges, hit from both; the closest hit of all is the engine's answer.
Only + - * and comparisons act on single elements, so a world reads the same bits in any company.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import numpy as np

from environments.box2d.engine import SCALE

NUM_RAYS = 10
RANGE = 160 / SCALE
ANGLES = 1.5 * np.arange(NUM_RAYS) / NUM_RAYS  # from straight down, forward
RAYS = RANGE * np.stack([np.sin(ANGLES), -np.cos(ANGLES)], axis=1)  # (rays, 2)
REACH = float(RAYS[:, 0].max())  # no ray points backward
MARGIN = 1e-9  # share of an edge; closes the gap that rounding leaves between two neighbours

# Rows of a table: where an edge starts, its normal, its direction over its squared length, then per
# ray 1 / (normal · ray) and (scaled direction · ray).
START_X, START_Y, NORMAL_X, NORMAL_Y, ALONG_X, ALONG_Y, RATE = range(7)
SHARE = RATE + NUM_RAYS


class LidarTable:
    """All edges of one terrain, sorted by where they start, ready for ``scan``.

    Args:
        ground: (v, 2) vertices of the ground.
        polygons: (k, n, 2) counter-clockwise vertices of convex polygons.
    """

    def __init__(self, ground: np.ndarray, polygons: np.ndarray):
        # The engine keeps single precision: the rays must meet the same edges as the feet.
        ground = np.asarray(ground, np.float32).astype(np.float64)
        polygons = np.asarray(polygons, np.float32).astype(np.float64)
        start = np.concatenate([ground[:-1], polygons.reshape(-1, 2)])
        end = np.concatenate([ground[1:], np.roll(polygons, -1, axis=1).reshape(-1, 2)])
        one_sided = np.arange(len(start)) >= len(ground) - 1
        along = end - start
        normal = np.stack([along[:, 1], -along[:, 0]], axis=1)
        facing = normal @ RAYS.T  # (edges, rays); negative: the ray enters, zero: it never meets
        hit = (facing != 0.0) & ((facing < 0.0) | ~one_sided[:, None])
        keep = hit.any(axis=1)
        start, end, along, normal, facing, hit = (
            array[keep] for array in (start, end, along, normal, facing, hit)
        )
        along = along / (along**2).sum(axis=1, keepdims=True)
        rate = np.divide(1.0, facing, out=np.full_like(facing, np.nan), where=hit)
        left = np.minimum(start[:, 0], end[:, 0])
        order = np.argsort(left, kind="stable")
        columns = np.concatenate([start, normal, along, rate, along @ RAYS.T], axis=1)
        self.rows = np.ascontiguousarray(columns[order].T)  # (6 + 2 rays, edges)
        right = np.maximum(start[:, 0], end[:, 0])[order]
        self._left = left[order].tolist()
        self._right = np.maximum.accumulate(right).tolist()

    def window(self, x: float) -> np.ndarray:
        """The columns of all edges a ray from ``x`` could hit; at least one column."""
        first = min(bisect_left(self._right, x - MARGIN), len(self._right) - 1)
        last = bisect_right(self._left, x + REACH + MARGIN)
        return self.rows[:, first : max(last, first + 1)]


def scan(tables: Sequence[LidarTable], xs: Sequence[float], ys: Sequence[float]) -> np.ndarray:
    """Read the lidar of many worlds at once.

    Args:
        tables: one table per world (n).
        xs: where the rays of each world start (n), metres to the right.
        ys: the same upwards (n).

    Returns:
        Fractions (n, 10) float64 in [0, 1].
    """
    windows = [table.window(x) for table, x in zip(tables, xs, strict=True)]
    counts = [window.shape[1] for window in windows]
    edges = np.concatenate(windows, axis=1) if len(windows) > 1 else windows[0]
    to_x = edges[START_X] - np.repeat(xs, counts)
    to_y = edges[START_Y] - np.repeat(ys, counts)
    # Where the ray meets the line of the edge, as a share of the ray ...
    hit = (edges[NORMAL_X] * to_x + edges[NORMAL_Y] * to_y) * edges[RATE:SHARE]
    # ... and as a share of the edge.
    share = edges[SHARE:] * hit
    share -= edges[ALONG_X] * to_x + edges[ALONG_Y] * to_y
    valid = (hit >= 0.0) & (share >= -MARGIN) & (share <= 1.0 + MARGIN) & (hit <= 1.0)
    hit = np.where(valid, hit, 1.0)
    starts = np.concatenate(([0], np.cumsum(counts[:-1], dtype=np.intp)))
    return np.minimum.reduceat(hit, starts, axis=1).T

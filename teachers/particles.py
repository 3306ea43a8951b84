"""Sets of tasks that stand for a distribution: drawn, matched with others, moved towards them.

Everything lives in a unit box: positions (n, d) in [0, 1]. The steps are those of CURROT, Klink et
al., 2024, https://arxiv.org/abs/2309.14091; kernel regression is Nadaraya's and Watson's, 1964.
"""

from __future__ import annotations

import itertools

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

CHUNK = 100  # positions per table of kernels, which then fits into the processor's cache
FAINTEST = -700.0  # exponents below count as this: with fewer digits processors become slow
FAR = -500.0  # where the largest exponent is below, all are made relative to it
REACH, LONELY = 7.0, 1e-3  # length scales, and a sum of weights that may miss what is beyond
STAGES = (0, 1, 10)  # candidates are tried in parts, because the first ones mostly do
MANY = 50  # candidates of one place from which on sorting out known positions saves time
ALIKE = 0.5  # two sets are if their spreads differ by a factor below exp(2 · 0.5)


def drawn(
    gaussian: tuple[np.ndarray, np.ndarray] | None, count: int, size: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw positions (count, size): a Gaussian clipped to the box, or uniform if there is none."""
    if gaussian is None:
        return rng.random((count, size))
    mean, std = gaussian
    return np.clip(mean + std * rng.standard_normal((count, size)), 0, 1)


def assign(points: np.ndarray, pool: np.ndarray) -> np.ndarray:
    """Give every one of n points a row of its own in a pool of m >= n, (n,) row numbers.

    The sum of the squared distances between points (n, d) and their rows of ``pool`` (m, d) is the
    least there is.
    """
    cost, unused = cdist(points, pool, "sqeuclidean"), len(pool) - len(points)
    spread = np.sqrt(np.maximum(points.std(axis=0), 1e-9) / np.maximum(pool.std(axis=0), 1e-9))
    alike = (np.abs(np.log(spread)) < ALIKE).all()
    if unused > len(pool) // 8 or (unused and alike):
        return linear_sum_assignment(cost)[1]
    # The solver is many times faster if both sets have one mean and one spread. Stretching one and
    # shrinking the other, dimension by dimension, keeps all inner products, so that a squared
    # distance changes by one number per point and one per row: no best assignment changes if the
    # rows that stay unused, matched with dummies at no cost, pay the number of their row.
    matched = (points - points.mean(axis=0)) / spread, (pool - pool.mean(axis=0)) * spread
    near = cdist(*matched, "sqeuclidean")
    per_row = cost[0] - near[0]
    dummies = np.tile(per_row.max() - per_row, (unused, 1))
    return linear_sum_assignment(np.vstack([near, dummies]))[1][: len(points)]


def sliced_displacement(
    source: np.ndarray, target: np.ndarray, rng: np.random.Generator, projections: int = 100
) -> np.ndarray:
    """Displacements (n, d) that carry positions (n, d) to the distribution of ``target`` (n, d).

    Along a random direction the best matching of two sets is that of their order. The displacements
    that agree best with all these, by least squares, are exact for a shift.
    """
    directions = rng.standard_normal((source.shape[1], projections))
    directions /= np.linalg.norm(directions, axis=0)
    shadow = source @ directions  # (n, projections)
    order, gap = np.argsort(shadow, axis=0), np.empty_like(shadow)
    sorted_gap = np.sort(target @ directions, axis=0) - np.take_along_axis(shadow, order, axis=0)
    np.put_along_axis(gap, order, sorted_gap, axis=0)
    return gap @ np.linalg.pinv(directions)


class KernelRegression:
    """Predicts a value as the mean of known values (m,), weighted by a Gaussian kernel.

    The weight of a known position (m, d) is exp(-distance² / (2 length²)). Far from everything the
    nearest known position decides, since only ratios of weights count.
    """

    def __init__(self, points: np.ndarray, values: np.ndarray, length: float):
        self.points, self.values, self.length = points / length, values, length
        ones, squares = np.ones(len(points)), -0.5 * (self.points**2).sum(axis=1)
        # -|w - p|² / 2 = w·p - |p|² / 2 - |w|² / 2, as one product of matrices.
        self._right = np.vstack([self.points.T, squares, ones])
        self._table = np.column_stack([values, ones])

    def __call__(self, where: np.ndarray) -> np.ndarray:
        """Predictions (n,) at positions (n, d)."""
        left, sums = self._left(where), [np.empty((0, 2))]
        for start in range(0, len(where), CHUNK):
            exponent = left[start : start + CHUNK] @ self._right
            largest = exponent.max(axis=1, keepdims=True)
            if (largest < FAR).any():
                exponent -= largest
            np.exp(np.maximum(exponent, FAINTEST, out=exponent), out=exponent)
            sums.append(exponent @ self._table)
        values, weights = np.concatenate(sums).T
        return values / weights

    def near(self, groups: np.ndarray) -> np.ndarray:
        """The same (n, k) for groups (n, k, d) of positions close together, sooner.

        Known positions more than 7 length scales away from a group are left out there, unless
        there is none much nearer. With 1,000 of them that is below 3e-5 of the largest value.
        """
        left = self._left(groups)
        centres = left[:, :, :-2].mean(axis=1)
        radius = np.sqrt(((left[:, :, :-2] - centres[:, None]) ** 2).sum(axis=2).max(axis=1))
        close = cdist(centres, self.points) < radius[:, None] + REACH
        sums = np.empty((*groups.shape[:2], 2))
        for row, known in enumerate(close):
            some = np.flatnonzero(known)
            exponent = left[row] @ self._right[:, some]
            sums[row] = np.exp(exponent, out=exponent) @ self._table[some]
        lonely = sums[:, :, 1] < LONELY
        sums[lonely] = np.column_stack([self(groups[lonely]), np.ones(lonely.sum())])
        return sums[:, :, 0] / sums[:, :, 1]

    def _left(self, where: np.ndarray) -> np.ndarray:
        where = where / self.length
        squares = -0.5 * (where**2).sum(axis=-1, keepdims=True)
        return np.concatenate([where, np.ones_like(squares), squares], axis=-1)


def half_balls(
    centres: np.ndarray,
    displacements: np.ndarray,
    radius: float,
    count: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """Candidates (n, count, d): uniform in each centre's half-ball towards its displacement.

    The ball has the given radius, or the length of the displacement if that is shorter.
    Candidates are clipped to the box.
    """
    (n, size), length = centres.shape, np.linalg.norm(displacements, axis=1)
    steps = rng.standard_normal((n, count, size))
    reach = np.minimum(radius, length)[:, None] * rng.random((n, count)) ** (1 / size)
    reach /= np.sqrt(np.einsum("nkd,nkd->nk", steps, steps))
    reach = np.copysign(reach, np.einsum("nkd,nd->nk", steps, displacements))
    steps *= reach[:, :, None]
    steps += centres[:, None]
    return np.clip(steps, 0, 1, out=steps)


def approached(
    places: np.ndarray,
    candidates: np.ndarray,
    goals: np.ndarray,
    model: KernelRegression,
    least: float,
) -> np.ndarray:
    """Choose one of its candidates (n, k, d) for each of n places: (n, d).

    It is the one nearest to the goal (n, d) with a prediction of ``least`` or more. Where there is
    none, it is the best predicted, or the place (n, d) itself if none is predicted better.
    """
    n, count, size = candidates.shape
    gaps = candidates - goals[:, None]
    order = np.argsort(np.einsum("nkd,nkd->nk", gaps, gaps), axis=1)
    chosen, best, left = places.copy(), model(places), np.arange(n)
    for start, stop in itertools.pairwise([each for each in STAGES if each < count] + [count]):
        part = candidates[left[:, None], order[left, start:stop]]
        if stop - start < MANY:
            predicted = model(part.reshape(-1, size)).reshape(part.shape[:2])
        else:
            predicted = model.near(part)
        enough = predicted >= least
        found = enough.any(axis=1)
        pick = np.where(found, enough.argmax(axis=1), predicted.argmax(axis=1))
        value = np.take_along_axis(predicted, pick[:, None], axis=1)[:, 0]
        better = np.flatnonzero(found | (value > best[left]))
        chosen[left[better]], best[left[better]] = part[better, pick[better]], value[better]
        left = left[~found]
    return chosen

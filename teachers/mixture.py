"""Gaussian mixtures for teachers: fitted to a few hundred points, with a choice of their number.

Expectation maximisation: Dempster, Laird & Rubin, 1977. Start: k-means++, Arthur & Vassilvitskii,
2007. Criteria: AIC, Akaike 1974; BIC, Schwarz 1978; AICc, Hurvich & Tsai 1989. Written for small
data, where a general library spends most of its time outside the arithmetic, and without global
randomness, thread pools or warnings.

Departures from the paper: a floor of 1e-6 on the diagonal of every covariance, as usual.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

COVARIANCE_FLOOR = 1e-6
TOLERANCE = 1e-3  # change of the mean log-likelihood at which the iteration stops
MAX_ITERATIONS = 100
CRITERIA = ("aic", "aicc", "bic")


@dataclass(frozen=True)
class Mixture:
    """k Gaussians in d dimensions: weights (k,), means (k, d), covariances (k, d, d)."""

    weights: np.ndarray
    means: np.ndarray
    covariances: np.ndarray
    log_likelihood: float  # of all points it was fitted to


def best_mixture(
    points: np.ndarray, counts: Iterable[int], criterion: str, rng: np.random.Generator
) -> Mixture | None:
    """Fit one mixture per number of components and return the one with the lowest criterion.

    Args:
        points: (n, d).
        counts: numbers of components to try; those above the number of distinct points are left
            out, and so are fits that break down numerically.
        criterion: one of ``CRITERIA``.
        rng: draws the starts.

    Returns:
        The best mixture, or None if there is none: too few distinct points.
    """
    distinct = len(np.unique(points, axis=0))
    best, lowest = None, np.inf
    for count in counts:
        mixture = fit_mixture(points, count, rng) if count <= distinct else None
        if mixture is None:
            continue
        value = information(criterion, mixture.log_likelihood, count, *points.shape)
        if best is None or value < lowest:
            best, lowest = mixture, value
    return best


def information(criterion: str, log_likelihood: float, count: int, n: int, d: int) -> float:
    """The criterion of a mixture of ``count`` Gaussians on n points in d dimensions; low is good.

    p = count · (d + d (d + 1) / 2) + count − 1 parameters are free. AICc is infinite where it is
    not defined, from n = p + 1 points downwards.
    """
    p = count * (d + d * (d + 1) // 2) + count - 1
    if criterion == "bic":
        return p * np.log(n) - 2 * log_likelihood
    value = 2 * p - 2 * log_likelihood
    if criterion == "aicc":
        return value + 2 * p * (p + 1) / (n - p - 1) if n > p + 1 else np.inf
    return value


def fit_mixture(points: np.ndarray, count: int, rng: np.random.Generator) -> Mixture | None:
    """Fit ``count`` Gaussians with full covariances to points (n, d), or None if that breaks down.

    At least ``count`` points must be distinct.
    """
    with np.errstate(all="ignore"):  # values near the limits of float64 are caught below
        nearest = _k_means(points, count, rng)
        shares = (nearest == np.arange(count)[:, None]).astype(np.float64)
        previous = -np.inf
        try:
            for _ in range(MAX_ITERATIONS):
                weights, means, covariances, differences = _maximise(points, shares)
                shares, mean_log = _expect(weights, covariances, differences)
                if not abs(mean_log - previous) >= TOLERANCE:
                    break
                previous = mean_log
        except np.linalg.LinAlgError:
            return None
    if not (np.isfinite(mean_log) and np.isfinite(covariances).all()):
        return None
    return Mixture(weights, means, covariances, mean_log * len(points))


def _maximise(points: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights, means, covariances and points minus means (k, n, d) for shares (k, n)."""
    mass = shares.sum(axis=1) + 10 * np.finfo(np.float64).eps
    means = shares @ points / mass[:, None]
    differences = points - means[:, None]
    weighted = (shares / mass[:, None])[:, :, None] * differences
    covariances = weighted.transpose(0, 2, 1) @ differences
    covariances += COVARIANCE_FLOOR * np.eye(points.shape[1])
    return mass / mass.sum(), means, covariances, differences


def _expect(
    weights: np.ndarray, covariances: np.ndarray, differences: np.ndarray
) -> tuple[np.ndarray, float]:
    """Each component's share (k, n) in each point, and the mean log-likelihood per point."""
    factors = np.linalg.cholesky(covariances)
    white = differences @ np.linalg.inv(factors).transpose(0, 2, 1)
    spread = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
    constant = np.log(weights) - spread - 0.5 * differences.shape[2] * np.log(2 * np.pi)
    logs = constant[:, None] - 0.5 * np.einsum("knd,knd->kn", white, white)
    top = logs.max(axis=0)
    shares = np.exp(logs - top)
    total = shares.sum(axis=0)
    return shares / total, float((top + np.log(total)).mean())


def _k_means(points: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """The cluster (n,) of each point after k-means++ and Lloyd's iteration."""
    centres = points[[rng.integers(len(points))]]
    gap = ((points - centres[0]) ** 2).sum(axis=1)
    while len(centres) < count:
        total = gap.sum()
        chances = gap / total if 0 < total < np.inf else None
        centres = np.vstack([centres, points[rng.choice(len(points), p=chances)]])
        gap = np.minimum(gap, ((points - centres[-1]) ** 2).sum(axis=1))
    nearest = np.full(len(points), -1)
    for _ in range(MAX_ITERATIONS):
        before = nearest
        nearest = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        if (nearest == before).all():
            break
        members = nearest == np.arange(count)[:, None]
        sizes = members.sum(axis=1)
        filled = sizes > 0  # an empty cluster keeps its centre
        centres[filled] = (members @ points)[filled] / sizes[filled, None]
    return nearest

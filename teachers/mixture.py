"""Gaussian mixtures for teachers: their fit, and the choice of the number of Gaussians.

Criteria: AIC, Akaike 1974; BIC, Schwarz 1978; AICc, Hurvich & Tsai 1989. A fitted mixture is kept
as plain arrays, so that a teacher's state needs no pickle and no certain version of a library.

Expectation maximisation (Dempster, Laird & Rubin 1977) stands here and not in a call of
scikit-learn's GaussianMixture, which handles one Gaussian after the other: with a few hundred
points that is nine tenths of ALP-GMM's seconds. Start, floor, stopping rule and so the numbers are
the same up to rounding; a test compares them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.cluster import KMeans
from sklearn.exceptions import ConvergenceWarning

COVARIANCE_FLOOR = 1e-6  # added to the diagonal of every covariance
TOLERANCE = 1e-3  # gain of the mean log-likelihood, in nats, below which a fit has converged
ROUNDS = 100
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
    # The last bits of a fit depend on the order of its numbers in memory, and that on how the
    # points were put together.
    points = np.ascontiguousarray(points)
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


def parameters(count: int, d: int) -> int:
    """Free parameters of ``count`` Gaussians in d dimensions: means, covariances and weights."""
    return count * (d + d * (d + 1) // 2) + count - 1


def information(criterion: str, log_likelihood: float, count: int, n: int, d: int) -> float:
    """The criterion of a mixture of ``count`` Gaussians on n points in d dimensions; low is good.

    With p free parameters, AICc is infinite where it is not defined, from n = p + 1 points
    downwards.
    """
    p = parameters(count, d)
    if criterion == "bic":
        return p * np.log(n) - 2 * log_likelihood
    value = 2 * p - 2 * log_likelihood
    if criterion == "aicc":
        return value + 2 * p * (p + 1) / (n - p - 1) if n > p + 1 else np.inf
    return value


def fit_mixture(points: np.ndarray, count: int, rng: np.random.Generator) -> Mixture | None:
    """Fit ``count`` Gaussians with full covariances to points (n, d), or None if that breaks down.

    Expectation maximisation from one k-means start, as in the papers; at least ``count`` points
    must be distinct.
    """
    seed = np.random.RandomState(int(rng.integers(2**31)))
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # A fit that has not converged, or has an empty cluster, is still the method's fit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            labels = KMeans(count, n_init=1, random_state=seed).fit(points).labels_
            mixture = _climb(points, labels[:, None] == np.arange(count))
        except (ValueError, np.linalg.LinAlgError):  # values near the limits of float64
            return None
    finite = np.isfinite(mixture.log_likelihood) and np.isfinite(mixture.covariances).all()
    return mixture if finite else None


def _climb(points: np.ndarray, shares: np.ndarray) -> Mixture:
    """Expectation maximisation from the shares (n, k) that the Gaussians have in the points."""
    before = -np.inf
    parts, densities = _maximise(points, shares)
    for _ in range(ROUNDS):
        total = np.logaddexp.reduce(densities, axis=1)
        now = float(total.mean())
        parts, densities = _maximise(points, np.exp(densities - total[:, None]))
        if abs(now - before) < TOLERANCE:
            break
        before = now
    return Mixture(*parts, float(np.logaddexp.reduce(densities, axis=1).sum()))


def _maximise(
    points: np.ndarray, shares: np.ndarray
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """The likeliest weights, means and covariances, and the log densities (n, k) they give.

    Raises:
        LinAlgError: a covariance is not positive definite.
    """
    d = points.shape[1]
    sizes = shares.sum(axis=0) + 10 * np.finfo(float).eps
    weights = sizes / sizes.sum()
    means = shares.T @ points / sizes[:, None]
    gaps = points - means[:, None]  # (k, n, d)
    covariances = (shares.T[..., None] * gaps).transpose(0, 2, 1) @ gaps / sizes[:, None, None]
    covariances += COVARIANCE_FLOOR * np.eye(d)
    factors = np.linalg.cholesky(covariances)
    white = gaps @ np.linalg.inv(factors).transpose(0, 2, 1)
    volumes = np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1) + d / 2 * np.log(2 * np.pi)
    return (weights, means, covariances), np.log(weights) - volumes - 0.5 * np.einsum(
        "knd,knd->nk", white, white
    )

"""A Gaussian over tasks that is moved by natural-gradient steps.

The parameters are the mean, the logarithms of the diagonal of the Cholesky factor L, and what is
below that diagonal. In coordinates relative to the present Gaussian, L^-1 d(mean) and L^-1 dL, the
Fisher matrix is diagonal: 1 for the mean, 2 for the diagonal, 1 below it. So the natural gradient
(Amari 1998, https://doi.org/10.1162/089976698300017746) needs no solver.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

TRIES = 10  # lengths tried per step, each half of the one before
LEAST_STD = 1e-6  # of the diagonal of the factor, so that no density becomes infinite


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and lower triangular Cholesky factor (d, d) of the covariance."""

    mean: np.ndarray
    factor: np.ndarray

    def whiten(self, points: np.ndarray) -> np.ndarray:
        """L^-1 (c - mean) of points (n, d): standard normal if they come from here."""
        return solve_triangular(self.factor, (points - self.mean).T, lower=True).T

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Natural logarithm of the density (n,) at points (n, d)."""
        volume = np.log(np.diag(self.factor)).sum() + len(self.mean) / 2 * np.log(2 * np.pi)
        return -0.5 * (self.whiten(points) ** 2).sum(axis=1) - volume

    def moved(self, step: Step, scale: float) -> Gaussian:
        """The Gaussian after ``scale`` times a step in parameter space."""
        diagonal = np.diag(self.factor) * np.exp(scale * np.diag(step.factor))
        below = np.tril(self.factor + scale * self.factor @ step.factor, -1)
        mean = self.mean + scale * self.factor @ step.mean
        return Gaussian(mean, below + np.diag(np.maximum(diagonal, LEAST_STD)))


@dataclass(frozen=True)
class Step:
    """A direction in relative coordinates: mean (d,), factor (d, d) lower triangular."""

    mean: np.ndarray
    factor: np.ndarray


def diagonal(mean: np.ndarray, std: np.ndarray) -> Gaussian:
    """A Gaussian of independent dimensions with mean and standard deviation (d,)."""
    return Gaussian(np.array(mean, float), np.diag(np.maximum(std, LEAST_STD)))


def kl(p: Gaussian, q: Gaussian) -> float:
    """KL divergence of p from q in nats: the mean of log p - log q under p."""
    ratio = solve_triangular(q.factor, p.factor, lower=True)
    gap = q.whiten(p.mean[None])[0]
    logs = np.log(np.diag(q.factor)).sum() - np.log(np.diag(p.factor)).sum()
    return float(0.5 * ((ratio**2).sum() + gap @ gap - len(gap)) + logs)


def objective(
    new: Gaussian,
    old: Gaussian,
    target: Gaussian,
    points: np.ndarray,
    values: np.ndarray,
    alpha: float,
) -> float:
    """Mean of values (n,) at points (n, d) of ``old``, as ``new`` weighs them, - alpha KL."""
    with np.errstate(all="ignore"):
        ratio = np.exp(new.log_density(points) - old.log_density(points))
        return float((ratio * values).mean() - alpha * kl(new, target))


def natural_gradient(
    old: Gaussian, target: Gaussian, points: np.ndarray, values: np.ndarray, alpha: float
) -> tuple[Step, float]:
    """The steepest ascent of ``objective`` at ``old``, and its length² in units of 2 KL."""
    white = old.whiten(points)
    identity = np.eye(len(old.mean))
    # d log p: e for the mean and tril(e eᵀ) - I for the factor, e = L^-1 (c - mean).
    mean = white.T @ values / len(values)
    factor = (white.T * values) @ white / len(values) - values.mean() * identity
    # d KL(p || q): Lᵀ S^-1 (mean - mean_q) and tril(Lᵀ S^-1 L) - I, S the covariance of q.
    ratio = solve_triangular(target.factor, old.factor, lower=True)
    mean -= alpha * ratio.T @ target.whiten(old.mean[None])[0]
    factor -= alpha * (ratio.T @ ratio - identity)
    step = Step(mean, np.tril(factor) / (1 + identity))
    length = (step.mean**2).sum() + (step.factor**2 * (1 + identity)).sum()
    return step, float(length)


def ascend(
    old: Gaussian,
    target: Gaussian,
    points: np.ndarray,
    values: np.ndarray,
    alpha: float,
    epsilon: float,
    accept: str,
) -> Gaussian:
    """Move ``old`` along the natural gradient of ``objective`` by about ``epsilon`` nats.

    With ``accept="both"`` a step has KL(old || new) <= epsilon and improves the objective; with
    "either" it has at most 1.5 epsilon or improves. If none of ten halvings does, ``old`` stays.
    """
    step, length = natural_gradient(old, target, points, values, alpha)
    if not 0 < length < np.inf:
        return old
    both, scale = accept == "both", np.sqrt(2 * epsilon / length)
    # The KL divergence is quadratic for small steps only.
    while both and kl(old, old.moved(step, scale)) > epsilon:
        scale *= 0.95
    now = objective(old, old, target, points, values, alpha)
    for _ in range(TRIES):
        new = old.moved(step, scale)
        better = objective(new, old, target, points, values, alpha) > now
        near = kl(old, new) <= epsilon * (1 if both else 1.5)
        if (better and near) if both else (better or near):
            return new
        scale /= 2
    return old

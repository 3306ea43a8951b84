"""A product of Beta distributions over the unit box, and how it moves within a trust region.

All gradients are in closed form, by the special functions ψ (``psi``) and ψ' (``polygamma(1, .)``).
The problems are those of DORAEMON, Tiboni et al., 2024, https://arxiv.org/abs/2311.01885.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import betaln, polygamma, psi, xlog1py, xlogy

EDGE = 1e-9  # positions are kept this far from the faces of the box, where densities may be 0
LARGEST_LOG_RATIO = 20.0  # of two densities
# Half widths of the region that the solver may search, in steps that cost epsilon to second order.
# From a larger region it finds more, but not always its way back.
REACHES = (3.0, 1.0, 0.3)
SLACK = 0.999  # of the trust region that the solver may use, so that rounding stays inside


@dataclass(frozen=True)
class Betas:
    """One Beta(a, b) per dimension; a and b (d,) are > 0. Gradients (2, d) are those by a and b."""

    a: np.ndarray
    b: np.ndarray

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw positions (count, d)."""
        return rng.beta(self.a, self.b, size=(count, len(self.a)))

    def log_density(self, points: np.ndarray) -> np.ndarray:
        """Natural logarithm of the density (n,) at positions (n, d)."""
        x = np.clip(points, EDGE, 1 - EDGE)
        each = xlogy(self.a - 1, x) + xlog1py(self.b - 1, -x) - betaln(self.a, self.b)
        return each.sum(axis=1)

    def log_density_gradient(self, points: np.ndarray) -> np.ndarray:
        """Gradients (n, 2, d) of the logarithm of the density at positions (n, d)."""
        x, both = np.clip(points, EDGE, 1 - EDGE), psi(self.a + self.b)
        return np.stack([np.log(x) - psi(self.a) + both, np.log1p(-x) - psi(self.b) + both], axis=1)

    def entropy(self) -> float:
        """Differential entropy in nats, at most 0, that of the uniform distribution."""
        a, b = self.a, self.b
        value = betaln(a, b) - (a - 1) * psi(a) - (b - 1) * psi(b) + (a + b - 2) * psi(a + b)
        return float(value.sum())

    def entropy_gradient(self) -> np.ndarray:
        """Gradient (2, d) of the entropy."""
        a, b = self.a, self.b
        both = (a + b - 2) * polygamma(1, a + b)
        return np.stack([both - (a - 1) * polygamma(1, a), both - (b - 1) * polygamma(1, b)])


def kl(p: Betas, q: Betas) -> float:
    """KL divergence of p from q in nats: the mean of log p - log q under p."""
    a, b = p.a - q.a, p.b - q.b
    value = betaln(q.a, q.b) - betaln(p.a, p.b) + a * psi(p.a) + b * psi(p.b)
    return float((value - (a + b) * psi(p.a + p.b)).sum())


def kl_gradient(p: Betas, q: Betas) -> np.ndarray:
    """Gradient (2, d) of ``kl`` by the parameters of q."""
    both = psi(p.a + p.b) - psi(q.a + q.b)
    return np.stack([psi(q.a) - psi(p.a) + both, psi(q.b) - psi(p.b) + both])


def peaked(mode: np.ndarray, concentration: np.ndarray) -> Betas:
    """Betas with modes (d,) in [0, 1] and a + b = 2 + concentration (d,)."""
    return Betas(1 + mode * concentration, 1 + (1 - mode) * concentration)


def concentration_of(mode: float, std: float, largest: float) -> float:
    """Concentration, from 0 to ``largest``, at which a Beta with this mode has this deviation."""

    def excess(concentration: float) -> float:
        a, b = 1 + mode * concentration, 1 + (1 - mode) * concentration
        return float(np.sqrt(a * b / (a + b + 1)) / (a + b)) - std

    if excess(0.0) <= 0:
        return 0.0
    return largest if excess(largest) >= 0 else float(brentq(excess, 0.0, largest))


@dataclass(frozen=True)
class Evidence:
    """How n draws went: positions (n, d), log densities (n,) they were drawn with, success (n,)."""

    points: np.ndarray
    log_drawn: np.ndarray
    success: np.ndarray

    def rate(self, betas: Betas) -> float:
        """The success rate that importance sampling expects under another distribution."""
        return float(self._shares(betas).sum())

    def rate_gradient(self, betas: Betas) -> np.ndarray:
        """Gradient (2, d) of the rate."""
        gradients = betas.log_density_gradient(self.points)
        return np.einsum("n,nij->ij", self._shares(betas), gradients)

    def _shares(self, betas: Betas) -> np.ndarray:
        """What each draw (n,) adds to the rate: its density ratio, if it succeeded, over n."""
        log_ratio = betas.log_density(self.points) - self.log_drawn
        ratio = np.exp(np.clip(log_ratio, -LARGEST_LOG_RATIO, LARGEST_LOG_RATIO))
        return ratio * self.success / len(self.success)


def widened(
    value: Callable[[Betas], float],
    gradient: Callable[[Betas], np.ndarray],
    start: Betas,
    *,
    old: Betas,
    epsilon: float,
    highest: float,
    evidence: Evidence | None = None,
    least: float = 0.0,
) -> Betas:
    """The distribution with the largest ``value``, which has ``gradient`` (2, d), near ``old``.

    That is, with KL(old || it) <= ``epsilon``, all a and b from 1 to ``highest``, and, if there is
    evidence, a success rate of at least ``least``. ``start`` has to fulfil this, too; it is
    returned if nothing better is found.
    """
    origin, unit = np.log(np.stack([old.a, old.b])), np.sqrt(2 * epsilon)

    def at(steps: np.ndarray) -> Betas:
        return Betas(*np.exp(origin + unit * steps.reshape(origin.shape)))

    def chain(betas: Betas, slope: np.ndarray) -> np.ndarray:
        return unit * (slope * np.stack([betas.a, betas.b])).ravel()

    def objective(steps: np.ndarray) -> tuple[float, np.ndarray]:
        return -value(at(steps)) / unit, -chain(at(steps), gradient(at(steps))) / unit

    def constraint(function: Callable, slope: Callable, scale: float, bound: float) -> dict:
        return {
            "type": "ineq",
            "fun": lambda steps: scale * (function(at(steps)) - bound),
            "jac": lambda steps: scale * chain(at(steps), slope(at(steps))),
        }

    def near(betas: Betas) -> float:
        return kl(old, betas)

    rules = [constraint(near, lambda q: kl_gradient(old, q), -1 / epsilon, SLACK * epsilon)]
    if evidence is not None:
        rules.append(constraint(evidence.rate, evidence.rate_gradient, 1.0, least))
    first = (np.log(np.stack([start.a, start.b])) - origin).ravel() / unit
    lowest, ceiling = -origin.ravel() / unit, (np.log(highest) - origin.ravel()) / unit
    for reach in REACHES:
        bounds = np.stack([np.maximum(lowest, -reach), np.minimum(ceiling, reach)], axis=1)
        begin = np.clip(first, *bounds.T)
        found = at(minimize(objective, begin, jac=True, bounds=bounds, constraints=rules).x)
        enough = evidence is None or evidence.rate(found) >= least - 1e-4
        if enough and near(found) <= epsilon and value(found) > value(start):
            return found
    return start

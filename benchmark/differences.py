"""Two teachers side by side, beyond Welch's test: pairs of seeds, power, exact checks, many tasks.

``x`` and ``y`` are lists with one array (n_j,) of run scores per task, higher is better. Sources:
Student (1908) for pairs; Colas et al. (2018, https://arxiv.org/abs/1806.08295) for the power of
tests between few runs; Pitman (1937) for permutations; Wilcoxon (1945) for signed ranks; Demsar
(2006) for tests across data sets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from benchmark.statistics import Difference, Samples, spread, tested

FEWEST_TASKS = 6  # over five tasks no rank test can reach p < 0.05: the smallest is 0.0625
EXACT_RUNS = 8  # up to so many runs on a side all permutations are counted
LARGEST_EFFECT = 1e6  # standard errors; a search for more than that has lost its way


@dataclass(frozen=True)
class PairedDifference(Difference):
    """The mean over shared seeds of x - y, with its t interval and p-value.

    ``runs`` counts the pairs, ``ahead`` those in which x is better and ``level`` the ties;
    ``correlation`` is Pearson's between both sides, None with several tasks or without variance.
    """

    runs: int
    ahead: int
    level: int
    correlation: float | None


def paired_difference(x: Samples, y: Samples, confidence: float = 0.95) -> PairedDifference:
    """The difference x - y over runs that share their seeds: ``x[j][i]`` belongs to ``y[j][i]``.

    The t test of the differences d_i = x_i - y_i; over several tasks their means are averaged and
    the variances combined as in ``mean_interval``. Equal seeds give equal untrained students and
    equal evaluation episodes, so the pair's common luck cancels.

    Raises:
        ValueError: the two sides do not have the same number of runs in every task.
    """
    if [len(sample) for sample in x] != [len(sample) for sample in y]:
        raise ValueError(
            "pairs need the same seeds on both sides, but the numbers of runs per task are "
            f"{[len(s) for s in x]} and {[len(s) for s in y]}"
        )
    gaps = [np.asarray(a) - np.asarray(b) for a, b in zip(x, y, strict=True)]
    # What differs by rounding alone is equal.
    gaps = [np.full_like(gap, gap.mean()) if np.ptp(gap) < 1e-12 else gap for gap in gaps]
    gaps = [np.where(np.abs(gap) < 1e-12, 0.0, gap) for gap in gaps]
    value = float(np.mean([np.mean(gap) for gap in gaps]))
    found = tested(value, spread([gaps]), confidence, "paired")
    every = np.concatenate(gaps)
    return PairedDifference(
        **vars(found),
        runs=len(every),
        ahead=int((every > 0).sum()),
        level=int((every == 0).sum()),
        correlation=_correlation(x, y),
    )


def _correlation(x: Samples, y: Samples) -> float | None:
    if len(x) != 1 or len(x[0]) < 3 or np.ptp(x[0]) == 0 or np.ptp(y[0]) == 0:
        return None
    return float(stats.pearsonr(x[0], y[0]).statistic)


def smallest_difference(
    x: Samples, y: Samples, power: float = 0.8, alpha: float = 0.05
) -> float | None:
    """The smallest true difference that Welch's two-sided test would find with chance ``power``.

    With V = sum_j (sd_xj^2 / n_xj + sd_yj^2 / n_yj) / J^2 and nu as in ``welch`` it is the delta
    that solves P(|T| > t_{1 - alpha/2, nu}) = power, where T is noncentral t with nu degrees of
    freedom and noncentrality delta / sqrt(V); V and nu are taken as known. With one task, equal
    spreads and many runs this is 2.8 sd sqrt(2 / n) at the defaults. For k comparisons under
    Holm's correction give alpha / k, what its strictest step asks. It is 0 if no run varies, None
    if a task has fewer than two runs.

    Raises:
        ValueError: ``alpha`` or ``power`` is not in (0, 1), or ``power`` is not above ``alpha``.
    """
    if not 0 < alpha < power < 1:
        raise ValueError(f"needs 0 < alpha < power < 1, but got alpha {alpha} and power {power}")
    found = spread([x, y])
    if found is None:
        return None
    variance, freedom = found
    return float(np.sqrt(variance)) * _effect(freedom, power, alpha) if variance else 0.0


def _effect(freedom: float, power: float, alpha: float) -> float:
    """The noncentrality at which a t test of level ``alpha`` has this power."""
    critical = stats.t.isf(alpha / 2, freedom)

    def missing(effect: float) -> float:
        return welch_power(effect, freedom, critical) - power

    high = 1.0 + critical
    while missing(high) < 0:
        high *= 2
        if high > LARGEST_EFFECT:
            return float("inf")
    return float(optimize.brentq(missing, 0.0, high, xtol=1e-9))


def welch_power(effect: float, freedom: float, critical: float) -> float:
    """P(|T| > critical) for a noncentral T with so many degrees of freedom.

    ``effect`` is the true difference in standard errors.
    """
    if effect == 0:
        return float(2 * stats.t.sf(critical, freedom))
    # The lower tail as a mirrored upper one: scipy's cdf is NaN far out.
    return float(sum(stats.nct.sf(critical, freedom, sign * effect) for sign in (1, -1)))


def permutation_p(x: np.ndarray, y: np.ndarray) -> float | None:
    """The exact two-sided p-value of a difference of means of one task, by all permutations.

    The share of all ways to deal the pooled runs to both sides whose difference is at least as
    large in size. A check on Welch's test for very few runs: None above ``EXACT_RUNS`` runs on a
    side. With three runs each it cannot fall below 0.1.
    """
    if max(len(x), len(y)) > EXACT_RUNS or min(len(x), len(y)) < 1:
        return None
    found = stats.permutation_test(
        (np.asarray(x, dtype=float), np.asarray(y, dtype=float)),
        lambda a, b, axis: np.abs(np.mean(a, axis=axis) - np.mean(b, axis=axis)),
        permutation_type="independent",
        alternative="greater",
        vectorized=True,
        n_resamples=np.inf,
    )
    return float(found.pvalue)


@dataclass(frozen=True)
class AcrossTasks:
    """On how many tasks the mean of x lies above, at and below that of y; p is Wilcoxon's."""

    wins: int
    ties: int
    losses: int
    p: float | None


def across_tasks(x: Samples, y: Samples) -> AcrossTasks:
    """Count tasks won, tied and lost by x, and test with signed ranks over the tasks.

    No p-value below ``FEWEST_TASKS`` tasks, where none could be small, or if all tasks tie.
    """
    gaps = np.array([np.mean(a) - np.mean(b) for a, b in zip(x, y, strict=True)])
    gaps[np.abs(gaps) < 1e-12] = 0.0
    p = None
    if len(gaps) >= FEWEST_TASKS and gaps.any():
        p = float(stats.wilcoxon(gaps).pvalue)
    wins, losses = int((gaps > 0).sum()), int((gaps < 0).sum())
    return AcrossTasks(wins, len(gaps) - wins - losses, losses, p)

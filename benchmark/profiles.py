"""What a set of runs looks like as a whole: aggregates, score profiles, times to targets.

``samples`` is a list with one array (n_j,) per task (a protocol, say); tasks may have different
numbers of runs. All intervals are stratified bootstraps, runs resampled within their task, read at
expanded percentiles (``statistics.tail_level``). Sources: Agarwal et al. (2021,
https://arxiv.org/abs/2108.13264) for the aggregates and the score profile; Dolan and More (2002,
https://arxiv.org/abs/cs/0102001) for ratios of times; Hansen et al. (2016,
https://arxiv.org/abs/1605.03560) for the distribution of times to targets and the expected running
time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.statistics import (
    Interval,
    Samples,
    bootstrap_interval,
    pooled_iqm,
    portions,
    tail_level,
)


@dataclass(frozen=True)
class Profile:
    """A share of runs at each place of an axis, with its pointwise band.

    All arrays have the shape of ``x``; ``low`` and ``high`` are None if a task has a single run.
    """

    x: np.ndarray
    share: np.ndarray
    low: np.ndarray | None
    high: np.ndarray | None


def mean_of_tasks(samples: Samples) -> np.ndarray:
    """The mean over tasks of the mean over runs; samples (..., n_j) give (...)."""
    return np.mean([sample.mean(axis=-1) for sample in samples], axis=0)


def median_of_tasks(samples: Samples) -> np.ndarray:
    """The median over tasks of the mean over runs; of a single task the median over its runs."""
    if len(samples) == 1:
        return np.median(samples[0], axis=-1)
    return np.median([sample.mean(axis=-1) for sample in samples], axis=0)


def optimality_gap(samples: Samples, gamma: float = 1.0) -> np.ndarray:
    """How far all runs fall short of the score ``gamma``: gamma - mean(min(z, gamma)).

    What lies above it earns nothing; lower is better. Samples (..., n_j) of all tasks give (...).
    """
    return gamma - np.minimum(np.concatenate(samples, axis=-1), gamma).mean(axis=-1)


AGGREGATES = {
    "mean": mean_of_tasks,
    "median": median_of_tasks,
    "iqm": pooled_iqm,
    "optimality_gap": optimality_gap,
}


def aggregates(
    samples: Samples, confidence: float = 0.95, resamples: int = 10000, seed: int = 0
) -> dict[str, Interval]:
    """Mean, median, interquartile mean and optimality gap with stratified bootstrap intervals.

    For the mean ``statistics.mean_interval`` covers better; it is here for completeness.
    """
    return {
        name: bootstrap_interval(samples, statistic, confidence, resamples, seed)
        for name, statistic in AGGREGATES.items()
    }


def performance_profile(
    scores: Samples,
    thresholds: np.ndarray,
    confidence: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
) -> Profile:
    """The share of all runs whose score is above each threshold (M,): the run-score distribution.

    rho(tau) = #{z > tau} / sum_j n_j. It falls from 1 to 0; where one teacher's profile lies above
    another's everywhere, it is better at every level of ambition.
    """
    x = np.asarray(thresholds, dtype=float)
    above = [np.asarray(sample)[:, None] > x for sample in scores]
    return _profile(x, above, confidence, resamples, seed)


def time_to_target_share(
    times: Samples,
    at: np.ndarray,
    confidence: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
) -> Profile:
    """The share of runs that had reached their target by each time of ``at`` (M,).

    The empirical distribution of times to target: #{T <= t} / sum_j n_j. Runs that never reached
    it have an infinite time and keep the curve below 1. Tasks of different budgets need times in
    shares of the budget. Several targets of the same runs are not independent tasks: their band
    would be too narrow.
    """
    x = np.asarray(at, dtype=float)
    reached = [np.asarray(sample)[:, None] <= x for sample in times]
    return _profile(x, reached, confidence, resamples, seed)


def _profile(
    x: np.ndarray, hits: list[np.ndarray], confidence: float, resamples: int, seed: int
) -> Profile:
    """The pooled share of hits (n_j, M) with its band; one draw of runs serves all places of x."""
    runs = sum(len(table) for table in hits)
    share = sum(table.sum(axis=0) for table in hits) / runs
    if min(len(table) for table in hits) < 2:
        return Profile(x, share, None, None)
    rng = np.random.default_rng(seed)
    estimates = []
    for count in portions(resamples, max(runs, x.size)):
        total = np.zeros((count, x.size))
        for table in hits:
            # How often each run is drawn decides the share at every place at once.
            drawn = rng.multinomial(len(table), np.full(len(table), 1 / len(table)), size=count)
            total += drawn @ table.astype(float)
        estimates.append(total / runs)
    level = tail_level(hits, confidence)
    low, high = np.quantile(np.concatenate(estimates), [level, 1 - level], axis=0)
    return Profile(x, share, low, high)


def hit_rate(times: np.ndarray) -> float:
    """The share of runs (n,) that reached their target: whose time is finite."""
    return float(np.mean(np.isfinite(times)))


def median_time(times: np.ndarray) -> float:
    """The median over runs (n,), those that never arrived included: infinite if half of them did.

    With an even number of runs, one of the middle pair infinite, it is infinite too.
    """
    return float(np.median(times))


def expected_running_time(times: np.ndarray, budget: float) -> float:
    """What it costs on average to restart until the target is reached; infinite without a hit.

    ERT = (sum of the times of hits + budget * number of misses) / number of hits.
    """
    reached = np.isfinite(times)
    if not reached.any():
        return float("inf")
    return float((times[reached].sum() + budget * (~reached).sum()) / reached.sum())


def speed_up(times: Sequence[float], reference: Sequence[float]) -> tuple[float | None, int]:
    """How many times faster than the reference: the geometric mean over tasks, and how many count.

    exp(-(1/J) sum_j ln(T_j / T_ref,j)) over the tasks that both reached; None without any.
    """
    mine, theirs = np.asarray(times, dtype=float), np.asarray(reference, dtype=float)
    both = np.isfinite(mine) & np.isfinite(theirs)
    if not both.any():
        return None, 0
    return float(np.exp(-np.mean(np.log(mine[both] / theirs[both])))), int(both.sum())


def ratio_profile(
    times: Sequence[float], reference: Sequence[float], ratios: np.ndarray
) -> np.ndarray:
    """The share of tasks whose time is at most each multiple (M,) of the reference teacher's.

    rho(q) = #{j : T_j / T_ref,j <= q} / J. A task that the reference never reached counts as
    ratio 0 for who did reach it and as infinite for who did not.
    """
    return np.mean(_ratios(times, reference)[:, None] <= np.asarray(ratios, dtype=float), axis=0)


def ratio_score(
    times: Sequence[float],
    reference: Sequence[float],
    lowest: float = 0.25,
    highest: float = 4.0,
) -> float:
    """The area below the ratio profile between two ratios, exactly, in [0, 1].

    B = (1/J) sum_j max(0, q_max - max(r_j, q_min)) / (q_max - q_min). The reference is fixed, so no
    third teacher can change it.
    """
    ratios = np.maximum(_ratios(times, reference), lowest)
    return float(np.mean(np.maximum(0.0, highest - ratios)) / (highest - lowest))


def _ratios(times: Sequence[float], reference: Sequence[float]) -> np.ndarray:
    mine, theirs = np.asarray(times, dtype=float), np.asarray(reference, dtype=float)
    ratios = np.full(len(mine), np.inf)
    reached = np.isfinite(mine)
    ratios[reached] = mine[reached] / theirs[reached]
    return ratios

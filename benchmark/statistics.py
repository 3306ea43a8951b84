"""Intervals, tests and rankings for few runs.

``samples`` is always a list with one array (n_j,) of run scores per task; tasks may have different
numbers of runs. Sources: Welch (1947) and Satterthwaite (1946) for means; Hesterberg (2015,
https://doi.org/10.1080/00031305.2015.1089789) for expanded percentiles; Agarwal et al. (2021,
https://arxiv.org/abs/2108.13264) for the interquartile mean and the probability of improvement;
Holm (1979) for the correction.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats

Samples = Sequence[np.ndarray]
_CHUNK = 2_000_000  # resampled numbers held at once


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval; low and high are None if there is none."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Difference:
    """A difference of two teachers with interval and two-sided p-value.

    ``kind`` says why there may be no p-value: "welch" and "paired" have one; with "deterministic"
    runs neither teacher varies, so the difference is a fact and no test applies; "too few" runs
    allow no test.
    """

    value: float
    low: float | None
    high: float | None
    p: float | None
    kind: Literal["welch", "paired", "deterministic", "too few"]


def mean_interval(samples: Samples, confidence: float = 0.95) -> Interval:
    """The mean over tasks of the mean over runs, with the Welch-Satterthwaite t interval.

    V = (1/J^2) sum v_j with v_j = sd_j^2 / n_j, nu = (sum v_j)^2 / sum(v_j^2 / (n_j - 1)). One
    task gives the usual t interval. A task with one run leaves no interval.
    """
    value = float(np.mean([np.mean(sample) for sample in samples]))
    found = spread([samples])
    if found is None:
        return Interval(value)
    half = half_width(found, confidence)
    return Interval(value, value - half, value + half)


def welch(x: Samples, y: Samples, confidence: float = 0.95) -> Difference:
    """The difference of the means over tasks, x - y, by Welch's test.

    Equal runs on both sides give p = 1; different ones without any variance give no p-value.
    """
    value = float(np.mean([np.mean(s) for s in x]) - np.mean([np.mean(s) for s in y]))
    return tested(value, spread([x, y]), confidence, "welch")


def tested(
    value: float,
    found: tuple[float, float] | None,
    confidence: float,
    kind: Literal["welch", "paired"],
) -> Difference:
    """A difference with t interval and p-value, given what ``spread`` says of it."""
    if found is None:
        return Difference(value, None, None, None, "too few")
    if found[0] == 0.0:
        if abs(value) < 1e-12:
            return Difference(0.0, 0.0, 0.0, 1.0, kind)
        return Difference(value, value, value, None, "deterministic")
    half = half_width(found, confidence)
    p = 2 * stats.t.sf(abs(value) / np.sqrt(found[0]), found[1])
    return Difference(value, value - half, value + half, float(p), kind)


def spread(groups: Sequence[Samples]) -> tuple[float, float] | None:
    """Variance and degrees of freedom of a mean over tasks, or of the difference of two.

    Each group holds the samples of one teacher. None if any task has fewer than two runs.
    """
    tasks = len(groups[0])
    every = [sample for samples in groups for sample in samples]
    if min(len(sample) for sample in every) < 2:
        return None
    # Rounding gives equal runs a tiny variance; they have none.
    parts = [0.0 if np.ptp(s) == 0 else float(np.var(s, ddof=1)) / len(s) for s in every]
    total = sum(parts)
    if total == 0.0:
        return 0.0, float("inf")
    shares = sum((v / total) ** 2 / (len(s) - 1) for v, s in zip(parts, every, strict=True))
    return total / tasks**2, 1 / shares


def half_width(found: tuple[float, float], confidence: float) -> float:
    """Half of the t interval for what ``spread`` found."""
    variance, freedom = found
    if variance == 0.0:
        return 0.0
    return float(stats.t.ppf((1 + confidence) / 2, freedom) * np.sqrt(variance))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down correction within one family; None stays None and does not count."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        corrected[place] = largest
    return corrected


def iqm(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half along the last axis: floor(n / 4) values fall off at each end.

    By this floor rule 3 of 3, 3 of 5, 5 of 7 and 6 of 10 values are kept.
    """
    values = np.sort(values, axis=-1)
    cut = values.shape[-1] // 4
    return values[..., cut : values.shape[-1] - cut].mean(axis=-1)


def iqm_interval(
    samples: Samples,
    confidence: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
    expanded: bool = True,
) -> Interval:
    """The interquartile mean of all runs and tasks, runs resampled within each task.

    ``expanded`` percentiles make up for the bootstrap's too small variance with few runs (see
    ``tail_level``); the plain ones are there for comparison. One run gives no interval.
    """
    return bootstrap_interval(samples, pooled_iqm, confidence, resamples, seed, expanded)


def pooled_iqm(samples: Samples) -> np.ndarray:
    """The interquartile mean of all runs, whatever their task; samples (..., n_j) give (...)."""
    return iqm(np.concatenate(samples, axis=-1))


def bootstrap_interval(
    samples: Samples,
    statistic: Callable[[Samples], np.ndarray],
    confidence: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
    expanded: bool = True,
) -> Interval:
    """A statistic of all runs with its stratified bootstrap interval: runs resampled within tasks.

    ``statistic`` maps one array (..., n_j) per task to values (...). One run gives no interval.
    """
    value = float(statistic(samples))
    if min(len(sample) for sample in samples) < 2:
        return Interval(value)
    estimates = [statistic(drawn) for drawn in resampled(samples, resamples, seed)]
    level = tail_level(samples, confidence) if expanded else (1 - confidence) / 2
    return percentiles(value, np.concatenate(estimates), level)


def resampled(samples: Samples, resamples: int, seed: int) -> Iterator[list[np.ndarray]]:
    """Portions of a stratified bootstrap: per task an array (portion, n_j), drawn from its runs."""
    rng = np.random.default_rng(seed)
    for count in portions(resamples, sum(len(sample) for sample in samples)):
        yield [s[rng.integers(len(s), size=(count, len(s)))] for s in samples]


def tail_level(samples: Samples, confidence: float = 0.95) -> float:
    """The expanded tail level Phi(-sqrt(n / (n - 1)) t_{1 - alpha/2, nu}).

    n = min n_j, nu = sum (n_j - 1). It replaces alpha / 2 when percentiles are read.
    """
    fewest = min(len(sample) for sample in samples)
    freedom = sum(len(sample) - 1 for sample in samples)
    quantile = stats.t.ppf((1 + confidence) / 2, freedom)
    return float(stats.norm.cdf(-np.sqrt(fewest / (fewest - 1)) * quantile))


def probability_of_improvement(
    x: Samples,
    y: Samples,
    confidence: float = 0.95,
    resamples: int = 10000,
    seed: int = 0,
) -> Interval:
    """The chance that a run of x beats a run of y on a random task; ties count half."""
    wins = [
        (a[:, None] > b[None, :]) + 0.5 * (a[:, None] == b[None, :])
        for a, b in zip(x, y, strict=True)
    ]
    value = float(np.mean([table.mean() for table in wins]))
    if min(len(sample) for sample in [*x, *y]) < 2:
        return Interval(value)
    rng = np.random.default_rng(seed)
    estimates = []
    for count in portions(resamples, sum(table.size for table in wins)):
        total = np.zeros(count)
        for table in wins:
            rows, columns = (rng.integers(n, size=(count, n)) for n in table.shape)
            total += table[rows[:, :, None], columns[:, None, :]].mean(axis=(1, 2))
        estimates.append(total / len(wins))
    return percentiles(value, np.concatenate(estimates), tail_level([*x, *y], confidence))


def portions(resamples: int, size: int) -> list[int]:
    """Split the resamples so that memory stays small; the drawn numbers depend on the split."""
    portion = max(1, min(resamples, _CHUNK // size))
    full, rest = divmod(resamples, portion)
    return [portion] * full + [rest] * (rest > 0)


def percentiles(value: float, estimates: np.ndarray, level: float) -> Interval:
    """An estimate with the quantiles ``level`` and 1 - ``level`` of its bootstrap estimates."""
    low, high = np.quantile(estimates, [level, 1 - level])
    return Interval(value, float(low), float(high))


def rank_ranges(
    scores: Mapping[str, Samples], confidence: float = 0.95
) -> dict[str, tuple[int, int]]:
    """Which places each teacher may hold: 1 + number better to N - number worse, higher is better.

    Better and worse mean significantly so: all pairs are compared by Welch's test with Holm's
    correction over these pairs. A deterministic difference counts as significant.
    """
    pairs = list(itertools.combinations(scores, 2))
    found = [welch(scores[a], scores[b], confidence) for a, b in pairs]
    corrected = holm([difference.p for difference in found])
    better, worse = dict.fromkeys(scores, 0), dict.fromkeys(scores, 0)
    for (a, b), difference, p in zip(pairs, found, corrected, strict=True):
        if significant(difference.kind, p, confidence):
            winner, loser = (a, b) if difference.value > 0 else (b, a)
            worse[winner] += 1
            better[loser] += 1
    return {name: (1 + better[name], len(scores) - worse[name]) for name in scores}


def significant(kind: str, corrected_p: float | None, confidence: float = 0.95) -> bool:
    """Whether a difference counts after correction."""
    return kind == "deterministic" or (corrected_p is not None and corrected_p < 1 - confidence)


def standing(
    runs: int, ranked_from: int = 10, listed_from: int = 5
) -> Literal["ranked", "listed", "provisional"]:
    """What a number of runs allows: a rank, a place in the list, or a value without interval."""
    if runs >= ranked_from:
        return "ranked"
    return "listed" if runs >= listed_from else "provisional"

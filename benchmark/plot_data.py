"""The numbers behind the figures of a curriculum: densities and running shares over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage, stats

from benchmark.protocol import Protocol

TIME_BINS, VALUE_BINS, DECILES = 40, 20, 10
BAND_FROM = 3  # a t band over two runs says nothing but is as wide as the figure
RETURN = "normalised return"  # the line drawn for protocols that score returns
FEWEST = 12  # pooled outcomes behind a cell of the success map
SMOOTHING = (2.5, 1.5)  # standard deviations of the success map's filter, in bins

Run = Mapping[str, np.ndarray]
Curricula = Mapping[str, Sequence[Run]]


@dataclass(frozen=True)
class Measure:
    """One quantity of every presentation: its name, and how to read it from a run, (N,)."""

    name: str
    read: Callable[[Run], np.ndarray]
    edges: np.ndarray | None = None  # bins of a heat map; None for a share over time


@dataclass(frozen=True)
class Density:
    """A heat map (time, value): proposals relative to even ones, and the smoothed success.

    ``relative`` is 1 where proposals are as dense as if all bins were equally likely, NaN where
    nothing was proposed at all; ``success`` is NaN where outcomes are too few.
    """

    times: np.ndarray
    edges: np.ndarray
    relative: np.ndarray
    success: np.ndarray


@dataclass(frozen=True)
class Share:
    """A share over time (time,) with its pointwise t band; NaN where there is none."""

    times: np.ndarray
    mean: np.ndarray
    low: np.ndarray
    high: np.ndarray


def measures(
    curricula: Curricula, protocol: Protocol | None = None
) -> tuple[list[Measure], list[Measure]]:
    """Which heat maps and which lines over time the stored columns allow.

    Under a protocol that scores returns the first line shows their normalised mean, for success is
    rare there. The ranges of parameters are those of all pooled proposals: the reference covers
    its space.
    """
    parts = [run for runs in curricula.values() for run in runs]
    first = parts[0]
    if protocol is not None and protocol.score.measure == "return":
        shares = [Measure(RETURN, lambda run: protocol.normalise(run["score"]))]
    else:
        shares = [Measure("success", lambda run: run["success"].astype(float))]
    if first["tasks"].ndim == 2:
        tasks = np.concatenate([run["tasks"] for run in parts])
        names = [str(name) for name in first["names"]]
        names += [f"parameter {d + 1}" for d in range(len(names), tasks.shape[1])]
        maps = [
            Measure(names[d], lambda run, d=d: run["tasks"][:, d], _edges(tasks[:, d]))
            for d in range(tasks.shape[1])
        ]
        return maps, shares
    maps = []
    if all("item_prior" in run for run in parts):
        edges = np.arange(DECILES + 1) + 0.5
        maps.append(Measure("difficulty decile", _decile, edges))
    if all("item_mislabelled" in run for run in parts) and any(
        run["item_mislabelled"].any() for run in parts
    ):
        shares.append(
            Measure("wrong labels", lambda run: run["item_mislabelled"][run["tasks"]] * 1.0)
        )
    return maps, shares


def settled(run: Run, total: float, parallel: int) -> Run:
    """The run without the tasks of its last moments, of which only the short episodes have ended.

    An episode of L steps, beside ``parallel`` - 1 others, takes L · parallel of the budget. What
    was proposed later than that before the end is left out: only early falls could be known.
    """
    longest = int(run["length"].max(initial=1))
    if longest == 1:
        return run
    kept = run["spent"] <= total - longest * parallel
    columns = ("spent", "proposal", "tasks", "score", "success", "length")
    return {**run, **{name: run[name][kept] for name in columns if name in run}}


def _edges(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return np.linspace(low, high if high > low else low + 1.0, VALUE_BINS + 1)


def _decile(run: Run) -> np.ndarray:
    """Difficulty decile 1..10 of each presentation; equal difficulties are split by item number."""
    prior = run["item_prior"]
    rank = np.empty(len(prior), dtype=int)
    rank[np.argsort(prior, kind="stable")] = np.arange(len(prior))
    return 1 + rank[run["tasks"]] * DECILES // len(prior)


def _time_edges(total: float) -> np.ndarray:
    return np.linspace(0.0, total, TIME_BINS + 1)


def density(runs: Sequence[Run], measure: Measure, total: float) -> Density:
    """Pool all runs and count proposals per time and value."""
    times, edges = _time_edges(total), measure.edges
    spent = np.concatenate([run["spent"] for run in runs]).clip(0, total)
    values = np.concatenate([measure.read(run) for run in runs])
    success = np.concatenate([run["success"] for run in runs]).astype(float)
    count = np.histogram2d(spent, values, bins=(times, edges))[0]
    hits = np.histogram2d(spent, values, bins=(times, edges), weights=success)[0]
    column = count.sum(axis=1, keepdims=True)
    bins = len(edges) - 1
    relative = np.divide(count * bins, column, out=np.full_like(count, np.nan), where=column > 0)
    smooth = ndimage.gaussian_filter(count, SMOOTHING, mode="nearest")
    rate = ndimage.gaussian_filter(hits, SMOOTHING, mode="nearest")
    # A Gaussian filter averages over about 4 pi s1 s2 cells.
    enough = smooth * 4 * np.pi * SMOOTHING[0] * SMOOTHING[1] >= FEWEST
    return Density(
        times,
        edges,
        relative,
        np.divide(rate, smooth, out=np.full_like(count, np.nan), where=enough),
    )


def share(runs: Sequence[Run], measure: Measure, total: float, confidence: float) -> Share:
    """The mean over runs of a quantity per time bin, with its pointwise t interval."""
    times = _time_edges(total)
    means = []
    for run in runs:
        spent = run["spent"].clip(0, total)
        count = np.histogram(spent, times)[0]
        sums = np.histogram(spent, times, weights=measure.read(run))[0]
        means.append(np.divide(sums, count, out=np.full(len(count), np.nan), where=count > 0))
    table = np.array(means)
    known = (~np.isnan(table)).sum(axis=0)
    mean = np.divide(
        np.nansum(table, axis=0), known, out=np.full(len(known), np.nan), where=known > 0
    )
    half = t_half_width(table, confidence)
    return Share((times[:-1] + times[1:]) / 2, mean, mean - half, mean + half)


def t_half_width(values: np.ndarray, confidence: float) -> np.ndarray:
    """Half of the pointwise t interval of rows (n, m): (m,), NaN below three rows."""
    if len(values) < BAND_FROM:
        return np.full(values.shape[1], np.nan)
    quantile = stats.t.ppf((1 + confidence) / 2, len(values) - 1)
    return quantile * values.std(axis=0, ddof=1) / np.sqrt(len(values))


def density_rows(what: str, teacher: str, runs: int, picture: Density) -> Iterator[dict[str, Any]]:
    """Lines of the CSV for a heat map: one per cell."""
    times, values = ((e[:-1] + e[1:]) / 2 for e in (picture.times, picture.edges))
    for t, time in enumerate(times):
        for v, value in enumerate(values):
            yield csv_row(what, teacher, runs, time, value, picture.relative[t, v], np.nan, np.nan)


def share_rows(what: str, teacher: str, runs: int, found: Share) -> Iterator[dict[str, Any]]:
    """Lines of the CSV for a share over time."""
    for time, mean, low, high in zip(found.times, found.mean, found.low, found.high, strict=True):
        yield csv_row(what, teacher, runs, time, "", mean, low, high)


def csv_row(
    what: str, teacher: str, runs: int, x: Any, y: Any, value: float, low: float, high: float
) -> dict[str, Any]:
    """One line of the CSV beside a figure; cells without a number stay empty."""
    cells = {"what": what, "teacher": teacher, "runs": runs, "x": x, "y": y}
    cells |= {"value": value, "low": low, "high": high}
    return {
        name: "" if isinstance(cell, float) and np.isnan(cell) else cell
        for name, cell in cells.items()
    }

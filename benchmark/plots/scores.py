"""Teachers side by side: aggregates with intervals, score profiles, chances to beat one another.

Sources: R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville, M. Bellemare, "Deep Reinforcement
Learning at the Edge of the Statistical Precipice", 2021, https://arxiv.org/abs/2108.13264.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from benchmark.leaderboard import Entry
from benchmark.plot_data import csv_row
from benchmark.plot_styles import FAINT, styles_of
from benchmark.plots.base import caption, new_figure, save, style
from benchmark.profiles import Profile, aggregates, performance_profile
from benchmark.protocol import Protocol
from benchmark.statistics import Interval, probability_of_improvement

Entries = Sequence[Mapping[str, Entry]]  # one mapping of teacher to entry per protocol
AGGREGATE_TITLES = {
    "mean": "mean",
    "median": "median",
    "iqm": "interquartile mean",
    "optimality_gap": "optimality gap\n(low is good)",
}
SCORES = {"area": "area under the curve", "final": "score at the end of training"}
THRESHOLDS = 201
NUMBERS_UP_TO = 12  # teachers in a matrix whose cells still have room for a number
PAIR_RESAMPLES = 2000  # of each of up to a thousand pairs


def samples_of(entries: Entries, name: str, score: str) -> list[np.ndarray]:
    """The runs of a teacher: one array (n_j,) of scores per protocol."""
    return [found[name].column(score)[0] for found in entries]


def comparable(protocols: Sequence[Protocol], entries: Entries, score: str) -> list[str]:
    """Teachers with enough runs for an interval under every protocol, best mean score first.

    Raises:
        ValueError: there is none, or ``score`` is neither "area" nor "final".
    """
    if score not in SCORES:
        raise ValueError(f"expected score to be one of {', '.join(SCORES)}, but got {score!r}")
    names = [
        name
        for name in entries[0]
        if all(name in found and found[name].status != "provisional" for found in entries)
    ]
    if not names:
        least = max(protocol.statistics.listed_from for protocol in protocols)
        raise ValueError(
            f"no teacher has the first {least} seeds of "
            f"{' and of '.join(protocol.name for protocol in protocols)}"
        )
    means = {n: np.mean([s.mean() for s in samples_of(entries, n, score)]) for n in names}
    return sorted(names, key=lambda name: (-means[name], name))


def figure_name(protocols: Sequence[Protocol], kind: str) -> str:
    """The files' stem: the protocol's name, or the first one's and how many more."""
    more = f"-and-{len(protocols) - 1}-more" if len(protocols) > 1 else ""
    return f"{protocols[0].name}{more}-{kind}"


def heading(protocols: Sequence[Protocol]) -> str:
    """The protocols' names, for a caption."""
    return ", ".join(protocol.name for protocol in protocols)


def plot_intervals(
    protocols: Sequence[Protocol], entries: Entries, out: Path, score: str = "area"
) -> list[Path]:
    """Draw mean, median, interquartile mean and optimality gap with stratified bootstrap intervals.

    Args:
        protocols: one, or several over which runs are pooled.
        entries: per protocol, teacher name to its entry; teachers with too few runs are left out.
        out: the folder for ``<protocol>-intervals.png``, ``.svg`` and ``.csv``; made if absent.
        score: "area" or "final".

    Returns:
        The written paths.

    Raises:
        ValueError: no teacher has enough runs under every protocol, or another ``score``.
    """
    names = comparable(protocols, entries, score)
    confidence = protocols[0].statistics.confidence
    found = {name: aggregates(samples_of(entries, name, score), confidence) for name in names}
    samples = {name: np.concatenate(samples_of(entries, name, score)) for name in names}
    styles = styles_of(samples, protocols[0].statistics.reference)
    with style():
        figure = new_figure(9.6, 1.9 + 0.21 * max(4, len(names)))
        panels = figure.subplots(1, len(AGGREGATE_TITLES), sharey=True)
        rows: list[dict[str, Any]] = []
        for axes, (kind, title) in zip(panels, AGGREGATE_TITLES.items(), strict=True):
            for line, name in enumerate(names):
                _draw_interval(axes, line, found[name][kind], styles[name][0])
                part = found[name][kind]
                low, high = (np.nan if b is None else b for b in (part.low, part.high))
                runs = len(samples[name])
                rows.append(csv_row(kind, name, runs, "", "", part.value, low, high))
            axes.set_title(title)
            axes.grid(axis="x", color="0.9")
            axes.tick_params(axis="y", length=0)
        panels[0].set_yticks(range(len(names)), names)
        panels[0].set_ylim(len(names) - 0.4, -0.6)
        caption(
            figure,
            f"{heading(protocols)}. {SCORES[score].capitalize()}, {_seeds(samples)}. Lines: "
            f"{100 * confidence:g} % stratified bootstrap intervals.",
        )
        return save(figure, out, figure_name(protocols, "intervals"), rows)


def plot_profiles(
    protocols: Sequence[Protocol], entries: Entries, out: Path, score: str = "area"
) -> list[Path]:
    """Draw the share of runs above every score, with pointwise bootstrap bands.

    Arguments, return value and errors are those of ``plot_intervals``; the files are called
    ``<protocol>-profile``.
    """
    names = comparable(protocols, entries, score)
    confidence = protocols[0].statistics.confidence
    samples = {name: samples_of(entries, name, score) for name in names}
    pooled = {name: np.concatenate(parts) for name, parts in samples.items()}
    every = np.concatenate(list(pooled.values()))
    margin = 0.02 * max(np.ptp(every), 0.1)
    x = np.linspace(every.min() - margin, every.max() + margin, THRESHOLDS)
    styles = styles_of(pooled, protocols[0].statistics.reference)
    with style():
        bright = [name for name in names if styles[name][0] != FAINT]
        figure = new_figure(7.4, 4.0 + 0.2 * (1 + (len(bright) - 1) // 4))
        axes, rows = figure.subplots(), []
        for name in names:
            found = performance_profile(samples[name], x, confidence, PAIR_RESAMPLES)
            rows += draw_shares(axes, "profile", name, len(pooled[name]), found, styles[name])
        axes.set(xlabel=f"score: {SCORES[score]}", ylabel="share of runs above it")
        axes.set(xlim=(x[0], x[-1]), ylim=(-0.02, 1.02))
        axes.grid(axis="y", color="0.9")
        figure.legend(loc="outside upper left", ncols=3, handlelength=2.8)
        caption(
            figure,
            f"{heading(protocols)}. Bands: pointwise {100 * confidence:g} % stratified bootstrap "
            "intervals." + ("" if len(bright) == len(names) else " Grey: all others."),
        )
        return save(figure, out, figure_name(protocols, "profile"), rows)


def draw_shares(
    axes: Axes, what: str, name: str, runs: int, found: Profile, look: tuple[str, Any]
) -> list[dict[str, Any]]:
    """Draw one teacher's share over an axis with its band; return the lines of the CSV."""
    color, dash = look
    faint = color == FAINT
    label = None if faint else f"{name} (n = {runs})"
    width, order = (0.8, 1) if faint else (1.8, 2)
    axes.step(
        found.x, found.share, where="post", color=color, linestyle=dash, label=label,
        linewidth=width, zorder=order,
    )  # fmt: skip
    nothing = np.full(len(found.x), np.nan)
    low = nothing if found.low is None else found.low
    high = nothing if found.high is None else found.high
    if not faint:
        axes.fill_between(found.x, low, high, step="post", color=color, alpha=0.13, linewidth=0)
    return [
        csv_row(what, name, runs, place, "", share, *band)
        for place, share, *band in np.column_stack([found.x, found.share, low, high]).tolist()
    ]


def plot_improvement(
    protocols: Sequence[Protocol], entries: Entries, out: Path, score: str = "area"
) -> list[Path]:
    """Draw for every pair the chance that a run of the row's teacher beats one of the column's.

    Arguments, return value and errors are those of ``plot_intervals``; the files are called
    ``<protocol>-improvement``. Cells whose interval holds one half are hatched: these pairs the
    runs cannot tell apart. The intervals are not corrected for the number of pairs.
    """
    names = comparable(protocols, entries, score)
    confidence, count = protocols[0].statistics.confidence, len(names)
    samples = [samples_of(entries, name, score) for name in names]
    chance, open_ = np.full((count, count), np.nan), np.zeros((count, count), dtype=bool)
    rows, pairs = [], {}
    for i, j in itertools.permutations(range(count), 2):
        found = (
            probability_of_improvement(samples[i], samples[j], confidence, PAIR_RESAMPLES)
            if i < j
            else _mirrored(pairs[j, i])
        )
        pairs[i, j] = found
        chance[i, j] = found.value
        open_[i, j] = found.low is None or found.low <= 0.5 <= found.high
        low, high = (np.nan if b is None else b for b in (found.low, found.high))
        runs = sum(map(len, samples[i]))
        rows.append(csv_row("improvement", names[i], runs, names[j], "", found.value, low, high))
    if count < 2:
        raise ValueError("a matrix of pairs needs at least two teachers with enough runs")
    with style():
        size = 2.4 + (0.42 if count <= NUMBERS_UP_TO else 0.24) * max(4, count)
        figure = new_figure(size + 1.2, size)
        axes = figure.subplots()
        _draw_matrix(figure, axes, names, chance, open_)
        caption(
            figure,
            f"{heading(protocols)}. {SCORES[score].capitalize()}. Hatched: the "
            f"{100 * confidence:g} % bootstrap\ninterval holds one half. Not corrected for the "
            "number of pairs.",
        )
        return save(figure, out, figure_name(protocols, "improvement"), rows)


def _mirrored(found: Interval) -> Interval:
    if found.low is None or found.high is None:
        return Interval(1 - found.value)
    return Interval(1 - found.value, 1 - found.high, 1 - found.low)


def _draw_interval(axes: Axes, line: int, found: Interval, color: str) -> None:
    color = "0.55" if color == FAINT else color
    if found.low is not None:
        axes.plot([found.low, found.high], [line, line], color=color, linewidth=4, alpha=0.4)
    axes.plot(found.value, line, "|", color=color, markersize=9, markeredgewidth=2)


def _draw_matrix(
    figure: Any, axes: Axes, names: Sequence[str], chance: np.ndarray, open_: np.ndarray
) -> None:
    count = len(names)
    mesh = axes.pcolormesh(np.ma.masked_invalid(chance), cmap="PuOr_r", vmin=0, vmax=1)
    for i, j in np.ndindex(count, count):
        if i != j and open_[i, j]:
            axes.fill_between(
                [j, j + 1], i, i + 1, facecolor="none", hatch="////", edgecolor="0.75", linewidth=0
            )
        if i != j and count <= NUMBERS_UP_TO:
            dark = not 0.15 < chance[i, j] < 0.85
            axes.text(
                j + 0.5, i + 0.5, f"{chance[i, j]:.2f}", ha="center", va="center",
                fontsize="x-small", color="white" if dark else "black",
            )  # fmt: skip
    axes.set_xticks(np.arange(count) + 0.5, names, rotation=90)
    axes.set_yticks(np.arange(count) + 0.5, names)
    axes.set(ylim=(count, 0), xlabel="... beats a run of", ylabel="a run of ...")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    figure.colorbar(mesh, ax=axes, label="chance that the row is better", shrink=0.7)


def _seeds(samples: Mapping[str, np.ndarray]) -> str:
    counts = sorted({len(values) for values in samples.values()})
    return f"n = {counts[0]}" + (f" to {counts[-1]}" if len(counts) > 1 else "") + " runs each"

"""Learning curves with intervals, and the end of every run beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from benchmark.metrics import curve, final_score
from benchmark.plot_data import BAND_FROM, csv_row, t_half_width
from benchmark.plot_styles import FAINT, ordered, score_label, styles_of, unit_label
from benchmark.plots.base import caption, new_figure, save, style, thousands
from benchmark.protocol import Protocol
from benchmark.schema import RunRecord
from benchmark.statistics import mean_interval


def plot_learning_curves(
    protocol: Protocol,
    runs: Mapping[str, Sequence[RunRecord]],
    out: Path,
    x: str = "budget",
    seconds: Mapping[str, Sequence[Sequence[float]]] | None = None,
) -> list[Path]:
    """Draw mean learning curves with pointwise t bands, and the final score of every run.

    Of more than 12 teachers, the reference and the 8 with the largest mean area have colours.

    Args:
        protocol: all records must belong to it.
        runs: teacher name to its records.
        out: the folder for ``<protocol>-curves.png``, ``.svg`` and ``.csv``; made if absent.
        x: "budget" (student and teacher together), "updates" (of the student) or "seconds".
        seconds: for x = "seconds", teacher name to what each run had cost at its grid points.

    Returns:
        The written paths.

    Raises:
        ValueError: no runs, or another ``x``.
    """
    labels = {"updates": "student updates", "seconds": "CPU seconds of student, world and teacher"}
    labels["budget"] = unit_label(protocol.budget.unit)
    if not any(runs.values()) or x not in labels or (x == "seconds") != (seconds is not None):
        raise ValueError(
            f"expected runs, x = {', '.join(map(repr, labels))}, and seconds with 'seconds' only; "
            f"got x = {x!r}"
        )
    runs = {name: runs[name] for name in ordered(protocol, runs) if runs[name]}
    scores = {
        name: np.array([curve(record, protocol) for record in records])
        for name, records in runs.items()
    }
    styles = styles_of(scores, protocol.statistics.reference)
    bright = [name for name in scores if styles[name][0] != FAINT]
    if len(bright) < len(scores):
        scores = dict(sorted(scores.items(), key=lambda item: -item[1].mean()))
    if seconds is None:
        place = {name: _places(records, x) for name, records in runs.items()}
    else:
        place = {name: np.mean(seconds[name], axis=0) for name in runs}
    confidence = protocol.statistics.confidence
    with style():
        lines = 1 + (len(bright) - 1) // 4
        # A crowd needs its line each in the right panel.
        figure = new_figure(9.6, 3.9 + 0.2 * lines + 0.12 * max(0, len(runs) - 6))
        left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
        rows = _draw_curves(left, place, scores, styles, confidence)
        left.set(xlabel=labels[x], ylabel=score_label(protocol))
        left.set_title("Learning curves")
        rows += _draw_final(right, protocol, runs, scores, styles)
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside upper left", ncols=4, handlelength=2.8
        )
        caption(
            figure,
            f"{protocol.name}. Lines: mean over seeds. Bands: pointwise {100 * confidence:g} % "
            f"t intervals, from {BAND_FROM} seeds on.\nRight: one dot per seed, mean of its last "
            f"{protocol.score.final_window} evaluations. Diamonds: mean over seeds with "
            f"{100 * confidence:g} % t interval."
            + ("" if len(bright) == len(runs) else " Grey: all others."),
        )
        suffix = "curves" if x == "budget" else f"curves-{x}"
        return save(figure, out, f"{protocol.name}-{suffix}", rows)


def _places(records: Sequence[RunRecord], x: str) -> np.ndarray:
    """Where the grid points stand on the x axis, (K+1,)."""
    if x == "budget":
        return np.array(records[0].grid, dtype=float)
    return np.mean([record.spent.updates for record in records], axis=0)


def _draw_curves(
    axes: Axes,
    place: Mapping[str, np.ndarray],
    scores: Mapping[str, np.ndarray],
    styles: Mapping[str, tuple[str, Any]],
    confidence: float,
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for name, values in scores.items():
        color, dash = styles[name]
        faint = color == FAINT
        mean = values.mean(axis=0)
        half = t_half_width(values, confidence)
        width = 0.8 if faint else 2.0 if dash == "-" else 1.7
        line = {"color": color, "linestyle": dash, "linewidth": width, "zorder": 1 if faint else 2}
        axes.plot(place[name], mean, label=None if faint else f"{name} (n = {len(values)})", **line)
        if not faint:
            axes.fill_between(
                place[name], mean - half, mean + half, color=color, alpha=0.16, linewidth=0
            )
        for k, spent in enumerate(place[name]):
            low, high = mean[k] - half[k], mean[k] + half[k]
            rows.append(csv_row("curve", name, len(values), spent, "", mean[k], low, high))
    axes.set_xlim(0, max(values[-1] for values in place.values()))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.grid(axis="y", color="0.9")
    return rows


def _draw_final(
    axes: Axes,
    protocol: Protocol,
    runs: Mapping[str, Sequence[RunRecord]],
    scores: Mapping[str, np.ndarray],
    styles: Mapping[str, tuple[str, Any]],
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    window, confidence = protocol.score.final_window, protocol.statistics.confidence
    for line, (name, values) in enumerate(scores.items()):
        color = "0.55" if styles[name][0] == FAINT else styles[name][0]
        final = np.array([final_score(run, window) for run in values])
        steps = np.arange(len(final)) % 5
        offsets = 0.22 * (steps - steps.max() / 2) / 2
        axes.scatter(final, line + offsets, s=11, color=color, alpha=0.45, linewidth=0)
        interval = mean_interval([final], confidence)
        low, high = interval.low, interval.high
        if len(final) >= BAND_FROM:
            axes.plot([low, high], [line, line], color=color, linewidth=2.2)
        axes.plot(interval.value, line, "D", color=color, markeredgecolor="white", markersize=5)
        for record, value in zip(runs[name], final, strict=True):
            rows.append(csv_row("final", name, len(final), "", record.seed, value, np.nan, np.nan))
    axes.set_yticks(range(len(scores)), list(scores))
    margin = 0.6 + max(0, 3 - len(scores)) / 2
    axes.set_ylim(len(scores) - 1 + margin, -margin)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.set(xlabel=score_label(protocol))
    axes.set_title("Final score per seed")
    return rows

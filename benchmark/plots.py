"""Figures for papers: learning curves with intervals, and the curriculum over time.

Every figure is written as PNG and SVG with its numbers as CSV beside it. Drawing needs no display,
uses the font that comes with matplotlib and gives the same bytes every time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import seaborn
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmark.metrics import curve, final_score
from benchmark.plot_data import (
    BAND_FROM,
    DECILES,
    RETURN,
    Curricula,
    Density,
    Share,
    csv_row,
    density,
    density_rows,
    measures,
    settled,
    share,
    share_rows,
    t_half_width,
)
from benchmark.plot_styles import (
    FAINT,
    ordered,
    score_label,
    styles_of,
    teacher_style,
    unit_label,
)
from benchmark.protocol import Protocol
from benchmark.schema import RunRecord
from benchmark.statistics import mean_interval

DPI = 200


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
    with _style():
        lines = 1 + (len(bright) - 1) // 4
        # A crowd needs its line each in the right panel.
        figure = _figure(9.6, 3.9 + 0.2 * lines + 0.12 * max(0, len(runs) - 6))
        left, right = figure.subplots(1, 2, width_ratios=(1.7, 1))
        rows = _draw_curves(left, place, scores, styles, confidence)
        left.set(xlabel=labels[x], ylabel=score_label(protocol))
        left.set_title("Learning curves")
        rows += _draw_final(right, protocol, runs, scores, styles)
        figure.legend(
            *left.get_legend_handles_labels(), loc="outside upper left", ncols=4, handlelength=2.8
        )
        _caption(
            figure,
            f"{protocol.name}. Lines: mean over seeds. Bands: pointwise {100 * confidence:g} % "
            f"t intervals, from {BAND_FROM} seeds on.\nRight: one dot per seed, mean of its last "
            f"{protocol.score.final_window} evaluations. Diamonds: mean over seeds with "
            f"{100 * confidence:g} % t interval."
            + ("" if len(bright) == len(runs) else " Grey: all others."),
        )
        suffix = "curves" if x == "budget" else f"curves-{x}"
        return _save(figure, out, f"{protocol.name}-{suffix}", rows)


def plot_curriculum(protocol: Protocol, curricula: Curricula, out: Path) -> list[Path]:
    """Draw what was proposed when, all seeds of a teacher pooled, one row per teacher.

    Parameters of a world: one heat map of proposal density per dimension, with a contour where
    half of the proposals succeed. Examples of a data set: presentations per difficulty decile, and
    the share of wrong labels, if these are known. Beside them the success (or the normalised
    return, where the protocol scores returns) of what was proposed.

    Args:
        protocol: the protocol of all runs.
        curricula: teacher name to the contents of its runs' ``curriculum.npz``.
        out: the folder for ``<protocol>-curriculum.png``, ``.svg`` and ``.csv``.

    Returns:
        The written paths.

    Raises:
        ValueError: no curricula.
    """
    curricula = {n: curricula[n] for n in ordered(protocol, curricula) if curricula[n]}
    if not curricula:
        raise ValueError("expected at least one curriculum")
    budget = protocol.budget
    curricula = {
        name: [settled(run, budget.total, budget.parallel) for run in runs]
        for name, runs in curricula.items()
    }
    confidence, total = protocol.statistics.confidence, protocol.budget.total
    maps, shares = measures(curricula, protocol)
    columns = len(maps) + len(shares)
    with _style():
        figure = _figure(1.0 + max(2.0, 9.0 / columns) * columns, 1.2 + 1.55 * len(curricula))
        panels = figure.subplots(len(curricula), columns, squeeze=False, sharex=True, sharey="col")
        pictures = {
            (name, m.name): density(runs, m, total)
            for name, runs in curricula.items()
            for m in maps
        }
        top = _brightest(list(pictures.values()))
        rows: list[dict[str, Any]] = []
        mesh = None
        for line, (name, runs) in zip(panels, curricula.items(), strict=True):
            for axes, m in zip(line[: len(maps)], maps, strict=True):
                mesh = _draw_density(axes, pictures[name, m.name], top)
                rows += density_rows(m.name, name, len(runs), pictures[name, m.name])
            for axes, m in zip(line[len(maps) :], shares, strict=True):
                found = share(runs, m, total, confidence)
                color = teacher_style(name, protocol.statistics.reference)[0]
                _draw_share(axes, found, color, bounded=m.name != RETURN)
                rows += share_rows(m.name, name, len(runs), found)
            line[0].set_title(f"{name} (n = {len(runs)})", fontweight="bold")
        _label_panels(panels, [m.name for m in (*maps, *shares)], protocol)
        if mesh is not None:
            figure.colorbar(
                mesh, ax=panels[:, : len(maps)], location="bottom", shrink=0.8, aspect=40, pad=0.03,
                label="proposals relative to uniform", extend="max",
            )  # fmt: skip
        _caption(figure, _curriculum_caption(protocol, _is_box(maps), bool(maps)))
        return _save(figure, out, f"{protocol.name}-curriculum", rows)


@contextmanager
def _style() -> Iterator[None]:
    """A sober theme, deterministic SVG and the bundled font, for the enclosed drawing only."""
    look = seaborn.axes_style("ticks") | seaborn.plotting_context("paper", font_scale=1.05)
    fixed = {
        "font.family": "DejaVu Sans",
        "svg.hashsalt": "lyceum",
        "svg.fonttype": "path",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": "medium",
        "axes.titlelocation": "left",
        "legend.frameon": False,
    }
    with matplotlib.rc_context({**look, **fixed}):
        yield


def _figure(width: float, height: float) -> Figure:
    """A figure with its own canvas: no display and no global state of pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _caption(figure: Figure, text: str) -> None:
    figure.supxlabel(text, x=0.01, ha="left", fontsize="small", color="0.35", wrap=True)


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
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
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


def _draw_density(axes: Axes, picture: Density, top: float) -> Any:
    """A heat map of proposals with the contour of equal chances on top."""
    mesh = axes.pcolormesh(
        picture.times, picture.edges, picture.relative.T, cmap="mako_r", vmin=0, vmax=top,
        rasterized=True,
    )  # fmt: skip
    success = picture.success
    if len(picture.edges) > DECILES + 1 and (success > 0.5).any() and (success < 0.5).any():
        middle = [(edges[:-1] + edges[1:]) / 2 for edges in (picture.times, picture.edges)]
        for color, width in (("black", 2.2), ("white", 1.1)):
            axes.contour(*middle, success.T, levels=[0.5], colors=color, linewidths=width)
    return mesh


def _is_box(maps: Sequence[Any]) -> bool:
    return any(len(m.edges) > DECILES + 1 for m in maps)


def _brightest(pictures: Sequence[Density]) -> float:
    """One colour scale for all panels; single crowded cells may exceed it."""
    if not pictures:
        return 2.0
    values = np.concatenate([picture.relative.ravel() for picture in pictures])
    return max(2.0, float(np.nanquantile(values, 0.99)))


def _draw_share(axes: Axes, found: Share, color: str, bounded: bool) -> None:
    axes.fill_between(found.times, found.low, found.high, color=color, alpha=0.2, linewidth=0)
    axes.plot(found.times, found.mean, color=color, linewidth=1.6)
    if bounded:
        axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", color="0.9")


def _label_panels(panels: np.ndarray, names: Sequence[str], protocol: Protocol) -> None:
    for line in panels:
        for axes, name in zip(line, names, strict=True):
            axes.set_ylabel(name)
            axes.set_xlim(0, protocol.budget.total)
            axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            if name == "difficulty decile":
                axes.set_yticks((1, 4, 7, 10))
    for axes in panels[-1]:
        axes.set_xlabel(unit_label(protocol.budget.unit))


def _curriculum_caption(protocol: Protocol, contour: bool, maps: bool) -> str:
    text = f"{protocol.name}."
    if maps:
        text += " Heat maps: density of proposals, all seeds pooled, 1 where it is uniform."
    if contour:
        text += " White contour: half of them succeed."
    band = f"pointwise {100 * protocol.statistics.confidence:g} % t intervals"
    text += (
        f"\nLines: mean of what was proposed, over seeds. Bands: {band}, from {BAND_FROM} seeds on."
    )
    return text


def _thousands(value: float, _: int) -> str:
    """10000 becomes 10k, 2000000 becomes 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _save(figure: Figure, out: Path, name: str, rows: Iterable[dict[str, Any]]) -> list[Path]:
    """Write PNG, SVG and CSV without anything that changes from one call to the next."""
    out.mkdir(parents=True, exist_ok=True)
    paths = [out / f"{name}.{ending}" for ending in ("png", "svg", "csv")]
    figure.savefig(paths[0], dpi=DPI, metadata={"Software": None})
    figure.savefig(paths[1], dpi=DPI, metadata={"Date": None, "Creator": None})
    rows = list(rows)
    with open(paths[2], "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return paths

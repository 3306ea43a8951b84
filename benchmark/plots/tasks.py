"""Where the differences lie: on which tasks, how early, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.ticker import FuncFormatter, PercentFormatter

from benchmark.leaderboard import Entry
from benchmark.metrics import task_curves
from benchmark.plot_data import csv_row
from benchmark.plot_styles import FAINT, score_label, styles_of, unit_label
from benchmark.plots.base import caption, new_figure, save, style, thousands
from benchmark.plots.scores import (
    PAIR_RESAMPLES,
    Entries,
    comparable,
    draw_shares,
    figure_name,
    samples_of,
)
from benchmark.profiles import time_to_target_share
from benchmark.protocol import Protocol

TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)
PLACES = 240  # of a distribution of times
EARLIEST = 0.01  # share of the budget before which no logarithmic axis begins
LABELLED_UP_TO = 24  # tasks whose names fit below a heat map
COSTS = {
    "cpu_student": ("student", "#0072B2"),
    "cpu_environment": ("world", "#56B4E9"),
    "cpu_teacher": ("teacher", "#D55E00"),
    "cpu_evaluation": ("evaluation", "0.75"),
}


def plot_targets(protocols: Sequence[Protocol], entries: Entries, out: Path) -> list[Path]:
    """Draw which share of the runs had reached the protocol's target by which share of the budget.

    The empirical distribution of times to target (N. Hansen, A. Auger, D. Brockhoff, D. Tusar,
    T. Tusar, "COCO: Performance Assessment", 2016, https://arxiv.org/abs/1605.03560), with
    pointwise stratified bootstrap bands; the axis is logarithmic. A cross at the right end counts
    the runs that never arrived: the budget cut them off.

    Args:
        protocols: one, or several whose runs are pooled; each names a target.
        entries: per protocol, teacher name to its entry; teachers with too few runs are left out.
        out: the folder for ``<protocol>-targets.png``, ``.svg`` and ``.csv``; made if absent.

    Returns:
        The written paths.

    Raises:
        ValueError: a protocol has no target, or no teacher has enough runs.
    """
    for protocol in protocols:
        if protocol.score.target is None:
            raise ValueError(f"{protocol.name} names no target, so no run can reach it")
    names = comparable(protocols, entries, "area")
    times = {
        name: [
            part / protocol.budget.total
            for part, protocol in zip(
                samples_of(entries, name, "time_to_target"), protocols, strict=True
            )
        ]
        for name in names
    }
    confidence = protocols[0].statistics.confidence
    areas = {name: np.concatenate(samples_of(entries, name, "area")) for name in names}
    styles = styles_of(areas, protocols[0].statistics.reference)
    finite = [part[np.isfinite(part)] for parts in times.values() for part in parts]
    first = min((float(part.min()) for part in finite if len(part)), default=1.0)
    x = np.geomspace(max(EARLIEST, first / 2), 1.0, PLACES)
    with style():
        bright = [name for name in names if styles[name][0] != FAINT]
        figure = new_figure(7.4, 4.0 + 0.2 * (1 + (len(bright) - 1) // 4))
        axes, rows = figure.subplots(), []
        for name in names:
            found = time_to_target_share(times[name], x, confidence, resamples=PAIR_RESAMPLES)
            rows += draw_shares(axes, "reached", name, len(areas[name]), found, styles[name])
            if found.share[-1] < 1:
                cross = {"color": styles[name][0], "markersize": 6, "clip_on": False}
                axes.plot(1.0, found.share[-1], "x", **cross)
        axes.set(xscale="log", xlim=(x[0], 1.0), ylim=(-0.02, 1.02))
        axes.set_xticks([tick for tick in TICKS if tick >= x[0]], minor=False)
        axes.set_xticks([], minor=True)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
        axes.set(xlabel="share of the budget spent", ylabel="share of runs at the target")
        axes.grid(axis="y", color="0.9")
        figure.legend(loc="outside upper left", ncols=3, handlelength=2.8)
        goals = ", ".join(f"{protocol.name} {protocol.score.target:g}" for protocol in protocols)
        caption(
            figure,
            f"Targets: {goals}. Bands: pointwise {100 * confidence:g} % stratified bootstrap "
            "intervals.\nCrosses: the other runs never reached it within the budget."
            + ("" if len(bright) == len(names) else " Grey: all others."),
        )
        return save(figure, out, figure_name(protocols, "targets"), rows)


def plot_task_map(protocol: Protocol, entries: Mapping[str, Entry], out: Path) -> list[Path]:
    """Draw the score of every teacher on every held-out task at the end of training.

    Tasks stand from easy to hard by their mean over teachers, teachers from good to bad; each cell
    is the mean over a teacher's runs of the last evaluations.

    Args:
        protocol: of all entries.
        entries: teacher name to its entry.
        out: the folder for ``<protocol>-tasks.png``, ``.svg`` and ``.csv``; made if absent.

    Returns:
        The written paths.

    Raises:
        ValueError: no entries.
    """
    if not entries:
        raise ValueError("expected at least one entry")
    window = protocol.score.final_window
    table = {
        name: np.mean(
            [task_curves(run.record, protocol)[-window:].mean(0) for run in entry.submission.runs],
            axis=0,
        )
        for name, entry in entries.items()
    }
    names = sorted(table, key=lambda name: (-table[name].mean(), name))
    cells = np.array([table[name] for name in names])
    order = np.argsort(-cells.mean(axis=0), kind="stable")
    cells = cells[:, order]
    tasks = [
        next(iter(entries.values())).submission.runs[0].record.evaluation.tasks[j] for j in order
    ]
    with style():
        figure = new_figure(9.6, 1.9 + 0.2 * max(4, len(names)))
        axes = figure.subplots()
        top = 1.0 if cells.min() >= 0 and cells.max() <= 1 else float(cells.max())
        low = 0.0 if top == 1.0 else float(cells.min())
        mesh = axes.pcolormesh(cells, cmap="mako", vmin=low, vmax=top, rasterized=True)
        axes.set_yticks(np.arange(len(names)) + 0.5, names)
        axes.set_ylim(len(names), 0)
        axes.tick_params(axis="y", length=0)
        if len(tasks) <= LABELLED_UP_TO:
            axes.set_xticks(np.arange(len(tasks)) + 0.5, tasks, rotation=90)
        else:
            axes.set_xticks([0.5, len(tasks) - 0.5], ["easiest", "hardest"])
        axes.set_xlabel(f"held-out tasks ({len(tasks)}), by their mean over teachers")
        figure.colorbar(mesh, ax=axes, label=score_label(protocol), aspect=15)
        caption(
            figure,
            f"{protocol.name}. Mean over runs of the last {window} evaluations; n is told beside "
            "the learning curves.",
        )
        rows = [
            csv_row("task", name, len(entries[name].scores), task, "", float(value), np.nan, np.nan)
            for name, line in zip(names, cells, strict=True)
            for task, value in zip(tasks, line, strict=True)
        ]
        return save(figure, out, f"{protocol.name}-tasks", rows)


def plot_costs(protocol: Protocol, entries: Mapping[str, Entry], out: Path) -> list[Path]:
    """Draw what a run cost: CPU seconds of student, world, teacher and evaluation, mean over runs.

    Arguments, return value and errors are those of ``plot_task_map``; the files are called
    ``<protocol>-costs``. Seconds of runs on different machines do not compare.
    """
    if not entries:
        raise ValueError("expected at least one entry")
    means = {
        name: {
            kind: float(np.mean([getattr(run.costs, kind) for run in entry.submission.runs]))
            for kind in COSTS
        }
        for name, entry in entries.items()
    }
    names = sorted(means, key=lambda name: (sum(means[name].values()), name))
    with style():
        figure = new_figure(7.4, 1.7 + 0.22 * max(3, len(names)))
        axes, rows = figure.subplots(), []
        left = np.zeros(len(names))
        for kind, (label, color) in COSTS.items():
            widths = np.array([means[name][kind] for name in names])
            axes.barh(range(len(names)), widths, left=left, color=color, label=label, height=0.7)
            left = left + widths
            for name, value in zip(names, widths, strict=True):
                runs = len(entries[name].scores)
                rows.append(csv_row(label, name, runs, "", "", float(value), np.nan, np.nan))
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="CPU seconds per run")
        axes.xaxis.set_major_formatter(FuncFormatter(thousands))
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="0.9")
        axes.set_axisbelow(True)
        figure.legend(loc="outside upper left", ncols=4)
        caption(
            figure,
            f"{protocol.name}, {protocol.budget.total:,} {unit_label(protocol.budget.unit)}. Mean "
            "over runs.\nEntries may come from different machines.",
        )
        return save(figure, out, f"{protocol.name}-costs", rows)

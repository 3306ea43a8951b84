"""One look at several challenges: a radar of teachers over protocols, its numbers beside it.

Source: C. Romac, R. Portelas, K. Hofmann, P.-Y. Oudeyer, "TeachMyAgent: a Benchmark for Automatic
Curriculum Learning in Deep RL", 2021, https://arxiv.org/abs/2103.09815, figure 2. There an axis
shows the share of mastered tasks relative to the random teacher; here it shows the score itself
with its interval, for a quotient of two small shares says little.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import SubFigure

from benchmark.plot_data import csv_row
from benchmark.plot_styles import apart
from benchmark.plots.base import caption, new_figure, save, style
from benchmark.plots.scores import SCORES, Entries, comparable, figure_name, samples_of
from benchmark.protocol import Protocol
from benchmark.statistics import Interval, mean_interval

MOST = 5  # teachers: more lines in a radar hide one another
LEAST_AXES = 3


def plot_radar(
    protocols: Sequence[Protocol],
    entries: Entries,
    out: Path,
    score: str = "area",
    teachers: Sequence[str] = (),
) -> list[Path]:
    """Draw up to five teachers over at least three protocols, and their means with intervals.

    Args:
        protocols: one axis each, clockwise from the top in this order.
        entries: per protocol, teacher name to its entry.
        out: the folder for ``<protocol>-and-<n>-more-radar.png``, ``.svg`` and ``.csv``.
        score: "area" or "final".
        teachers: whom to draw; nobody named means the reference and the best four by mean score.

    Returns:
        The written paths.

    Raises:
        ValueError: fewer than three protocols, more than five teachers, or one without enough
            runs under every protocol.
    """
    if len(protocols) < LEAST_AXES:
        raise ValueError(
            f"a radar needs at least {LEAST_AXES} protocols as its axes, but got {len(protocols)}; "
            "for fewer the intervals say the same more plainly"
        )
    names = chosen(protocols, comparable(protocols, entries, score), teachers)
    confidence = protocols[0].statistics.confidence
    found = {
        name: [mean_interval([part], confidence) for part in samples_of(entries, name, score)]
        for name in names
    }
    with style():
        figure = new_figure(9.6, 4.6)
        left, right = figure.subfigures(1, 2, width_ratios=(1.15, 1))
        _draw_rings(left, protocols, names, found)
        _draw_table(right, protocols, names, found)
        caption(
            figure,
            f"{SCORES[score].capitalize()}, mean over runs; in brackets {100 * confidence:g} % t "
            "intervals. The order of the axes is the order in which the protocols were named.",
        )
        rows = []
        for name in names:
            for protocol, found_in, part in zip(protocols, entries, found[name], strict=True):
                low, high = (np.nan if bound is None else bound for bound in (part.low, part.high))
                runs = len(found_in[name].scores)
                rows.append(csv_row(protocol.name, name, runs, "", "", part.value, low, high))
        return save(figure, out, figure_name(protocols, "radar"), rows)


def chosen(
    protocols: Sequence[Protocol], names: Sequence[str], teachers: Sequence[str]
) -> list[str]:
    """Whom a radar shows: those who are named, else the reference and the best."""
    strangers = [name for name in teachers if name not in names]
    if strangers:
        raise ValueError(
            f"{', '.join(strangers)} has not enough runs under every one of these protocols"
        )
    if len(teachers) > MOST:
        raise ValueError(f"a radar shows at most {MOST} teachers, but {len(teachers)} are named")
    if teachers:
        return list(teachers)
    reference = protocols[0].statistics.reference
    best = [name for name in names if name != reference][: MOST - (reference in names)]
    return [reference] * (reference in names) + best


def _short(name: str) -> str:
    """A protocol's name on short lines."""
    lines = [""]
    for part in name.split("-"):
        joined = f"{lines[-1]}-{part}" if lines[-1] else part
        if len(joined) > 10 and lines[-1]:
            lines.append(part)
        else:
            lines[-1] = joined
    return "\n".join(lines)


def _draw_rings(
    panel: SubFigure,
    protocols: Sequence[Protocol],
    names: Sequence[str],
    found: Mapping[str, Sequence[Interval]],
) -> None:
    angles = np.linspace(0, 2 * np.pi, len(protocols), endpoint=False)
    axes = panel.add_subplot(projection="polar")
    axes.set_theta_offset(np.pi / 2)
    axes.set_theta_direction(-1)
    styles = apart(names, protocols[0].statistics.reference)
    for name in names:
        color, dash = styles[name]
        values = [part.value for part in found[name]]
        ring = {"color": color, "linestyle": dash, "linewidth": 1.8, "label": name}
        axes.plot([*angles, angles[0]], [*values, values[0]], **ring)
        axes.fill([*angles, angles[0]], [*values, values[0]], color=color, alpha=0.07)
    axes.set_xticks(angles, [_short(protocol.name) for protocol in protocols])
    axes.tick_params(axis="x", pad=14)
    for angle, label in zip(angles, axes.get_xticklabels(), strict=True):
        # Beside the circle, not across it.
        side = np.sin(angle)
        label.set_horizontalalignment(
            "center" if abs(side) < 0.3 else "left" if side > 0 else "right"
        )
    lowest = min(0.0, *(part.value for parts in found.values() for part in parts))
    axes.set_rmin(lowest)
    axes.set_rlabel_position(180 / len(protocols))
    axes.grid(color="0.85")
    panel.legend(loc="outside upper left", ncols=3, handlelength=2.8)


def _draw_table(
    panel: SubFigure,
    protocols: Sequence[Protocol],
    names: Sequence[str],
    found: Mapping[str, Sequence[Interval]],
) -> None:
    axes = panel.add_subplot()
    axes.set_axis_off()
    lines = []
    for name in names:
        lines.append(f"{name}")
        for protocol, part in zip(protocols, found[name], strict=True):
            band = "" if part.low is None else f" [{part.low:.3f}, {part.high:.3f}]"
            lines.append(f"   {protocol.name:<26.26} {part.value:6.3f}{band}")
    size = min(8.0, 190 / len(lines))
    axes.text(
        0, 1, "\n".join(lines), va="top", family="DejaVu Sans Mono", fontsize=size,
        transform=axes.transAxes, linespacing=1.35,
    )  # fmt: skip

"""Figures for the report: learning curves and intervals that tell their values when pointed at.

The only importer of plotly. A figure is plain JSON that ``plotly.min.js`` draws in the browser;
numbers have six significant digits, so that every machine writes the same bytes.
"""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from benchmark.board import Comparison, Estimate
from benchmark.plot_data import BAND_FROM, t_half_width
from benchmark.plot_styles import FAINT, ordered, styles_of
from benchmark.protocol import Protocol

__all__ = ["Dot", "curves_figure", "dots_figure", "get_plotlyjs"]

INK, GRID, CROWD = "#1f2328", "#e3e6ea", "#c9ced6"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif"
LINE_HEIGHT = 24  # pixels per teacher in a figure of dots


@dataclass(frozen=True)
class Dot:
    """One line of a figure of intervals: its label, its value, whether it stands out."""

    label: str
    estimate: Estimate | Comparison
    bold: bool = False


def curves_figure(
    protocol: Protocol, scores: Mapping[str, np.ndarray], unit: str, score: str
) -> dict[str, Any]:
    """Mean learning curves with pointwise t bands.

    Args:
        protocol: whose grid the curves follow.
        scores: teacher name to curves (n, K + 1).
        unit: what stands on the x axis.
        score: what stands on the y axis.

    Returns:
        A figure as plain JSON values. Of more than 12 teachers, the reference and the 8 with the
        largest mean score have colours and bands.
    """
    styles = styles_of(scores, protocol.statistics.reference)
    names = ordered(protocol, scores)
    # What has a colour is drawn last, on top.
    names.sort(key=lambda name: styles[name][0] != FAINT)
    figure = go.Figure(layout=_layout(460))
    for name in names:
        for trace in _curve(protocol, name, scores[name], styles[name]):
            figure.add_trace(trace)
    figure.update_xaxes(title=unit, range=[0, protocol.budget.total])
    figure.update_yaxes(title=score)
    figure.update_layout(
        hovermode="closest",
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        margin={"l": 56, "r": 24, "t": 34, "b": 130},
    )
    return _plain(figure)


def _curve(
    protocol: Protocol, name: str, scores: np.ndarray, style: tuple[str, Any]
) -> list[go.Scatter]:
    """The band, if there is one, and the line of one teacher."""
    grid, mean = list(protocol.grid), scores.mean(axis=0)
    half = t_half_width(scores, protocol.statistics.confidence)
    faint = style[0] == FAINT
    color, dash = (CROWD, "solid") if faint else (style[0], _dash(style[1]))
    label = html.escape(f"{name} (n = {len(scores)})")
    known = len(scores) >= BAND_FROM
    traces = []
    if known and not faint:
        edge = _numbers([*(mean + half), *(mean - half)[::-1]])
        traces.append(
            go.Scatter(
                x=grid + grid[::-1],
                y=edge,
                fill="toself",
                fillcolor=_veil(color),
                mode="none",
                hoverinfo="skip",
                showlegend=False,
                legendgroup=label,
            )
        )
    texts = [
        f"{m:.3f}" + (f" [{m - h:.3f}, {m + h:.3f}]" if known else "")
        for m, h in zip(mean, half, strict=True)
    ]
    line = {"color": color, "width": 1.2 if faint else 2.4, "dash": dash}
    traces.append(
        go.Scatter(
            x=grid,
            y=_numbers(mean),
            text=texts,
            name=label,
            legendgroup=label,
            mode="lines",
            line=line,
            showlegend=not faint,
            hovertemplate=f"<b>{label}</b><br>%{{text}}<br>at %{{x:,}}<extra></extra>",
        )
    )
    return traces


def dots_figure(dots: Sequence[Dot], title: str, zero: bool = False) -> dict[str, Any]:
    """One value with its interval per line, the first on top.

    Args:
        dots: what to draw; an estimate without an interval is an open dot.
        title: what stands on the x axis.
        zero: draw a line at zero, for differences.
    """
    figure = go.Figure(layout=_layout(90 + LINE_HEIGHT * max(2, len(dots))))
    labels = [html.escape(dot.label) for dot in dots]
    known = [dot.estimate.low is not None for dot in dots]
    values = [dot.estimate.value for dot in dots]
    arms = [
        (d.estimate.high - d.estimate.value, d.estimate.value - d.estimate.low) if k else (0, 0)
        for d, k in zip(dots, known, strict=True)
    ]
    sign = "+" if zero else ""
    texts = [
        f"{d.estimate.value:{sign}.3f}"
        + (f" [{d.estimate.low:{sign}.3f}, {d.estimate.high:{sign}.3f}]" if k else "")
        for d, k in zip(dots, known, strict=True)
    ]
    colors = [("#D55E00" if dot.bold else "#0072B2") for dot in dots]
    figure.add_trace(
        go.Scatter(
            x=_numbers(values),
            y=labels,
            text=texts,
            mode="markers",
            showlegend=False,
            marker={
                "color": colors,
                "size": 9,
                "symbol": ["circle" if k else "circle-open" for k in known],
            },
            error_x={
                "type": "data",
                "array": _numbers(a for a, _ in arms),
                "symmetric": False,
                "arrayminus": _numbers(b for _, b in arms),
                "color": "#57606a",
                "width": 0,
                "thickness": 2,
            },
            hovertemplate="<b>%{y}</b><br>%{text}<extra></extra>",
        )
    )
    figure.update_xaxes(title=title, zeroline=zero, zerolinecolor=INK, zerolinewidth=1.2)
    ends = [len(dots) - 0.4, -0.6]  # the first on top
    figure.update_yaxes(range=ends, type="category", automargin=True, showgrid=False, dtick=1)
    figure.update_layout(hovermode="closest", margin={"l": 8, "r": 12, "t": 8, "b": 50})
    return _plain(figure)


def _layout(height: int) -> dict[str, Any]:
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": GRID}
    return {
        "template": "none",
        "height": height,
        "font": {"family": FONT, "size": 13, "color": INK},
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": axis,
        "yaxis": axis,
        "hoverlabel": {"bgcolor": "white", "bordercolor": INK, "font": {"color": INK}},
    }


def _dash(dash: Any) -> str:
    """A dash pattern of matplotlib, in line widths, as plotly's in pixels."""
    return "solid" if dash == "-" else ",".join(f"{2.4 * part:g}px" for part in dash[1])


def _veil(color: str) -> str:
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"


def _numbers(values: Any) -> list[float]:
    return [float(f"{value:.6g}") + 0.0 for value in values]


def _plain(figure: go.Figure) -> dict[str, Any]:
    """Only data and layout, checked by plotly, as plain JSON values."""
    content = json.loads(figure.to_json())
    return {"data": content["data"], "layout": content["layout"]}

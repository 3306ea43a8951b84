"""What every figure shares: its look, its canvas, and the three files it is written to.

Every figure is written as PNG and SVG with its numbers as CSV beside it. Drawing needs no display,
uses the font that comes with matplotlib and gives the same bytes every time.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import seaborn
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 200


@contextmanager
def style() -> Iterator[None]:
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


def new_figure(width: float, height: float) -> Figure:
    """A figure with its own canvas: no display and no global state of pyplot."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def caption(figure: Figure, text: str) -> None:
    """Say below the figure what it shows: protocol, runs, kind of interval."""
    figure.supxlabel(text, x=0.01, ha="left", fontsize="small", color="0.35", wrap=True)


def thousands(value: float, _: int) -> str:
    """10000 becomes 10k, 2000000 becomes 2M."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def save(figure: Figure, out: Path, name: str, rows: Iterable[dict[str, Any]]) -> list[Path]:
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

"""The curriculum over time: what was proposed when, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmark.plot_data import (
    BAND_FROM,
    DECILES,
    RETURN,
    Curricula,
    Density,
    Share,
    density,
    density_rows,
    measures,
    settled,
    share,
    share_rows,
)
from benchmark.plot_styles import ordered, teacher_style, unit_label
from benchmark.plots.base import caption, new_figure, save, style, thousands
from benchmark.protocol import Protocol


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
    with style():
        figure = new_figure(1.0 + max(2.0, 9.0 / columns) * columns, 1.2 + 1.55 * len(curricula))
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
        caption(figure, _curriculum_caption(protocol, _is_box(maps), bool(maps)))
        return save(figure, out, f"{protocol.name}-curriculum", rows)


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
            axes.xaxis.set_major_formatter(FuncFormatter(thousands))
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

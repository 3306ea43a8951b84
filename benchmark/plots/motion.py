"""Curricula made visible: snapshots of the task space, ridges over time, and an animation.

All seeds of a teacher are shown, not its best one. Below the proposals lies what the students
could do: their score on the held-out tasks at the latest evaluation before that moment, mean over
seeds and interpolated between the tasks.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from scipy import interpolate

from benchmark.metrics import task_curves
from benchmark.plot_data import DECILES, Curricula, Measure, Run, csv_row, measures, settled
from benchmark.plot_styles import ordered, score_label, teacher_style, unit_label
from benchmark.plots.base import caption, new_figure, save, style, thousands
from benchmark.protocol import Protocol
from benchmark.schema import RunRecord

Records = Mapping[str, Sequence[RunRecord]]
MOMENTS = 5  # snapshots, evenly over the budget
DOTS = 250  # proposals shown at one moment
SLICES = 12  # of the budget, one ridge each
RIDGE_BINS = 40
TALLEST = 2.5  # rows that the highest ridge of a panel may cover
FRAMES, FRAME_MS, ANIMATION_DPI = 40, 150, 90
PIXELS = 60  # of the competence map, along each axis
TINT = 1.6  # the score that would be darkest: less than that leaves dots legible
HIT, MISS = "#D55E00", "#0072B2"  # success and failure, also told apart by their markers


@dataclass(frozen=True)
class Scene:
    """One teacher's proposals and competence in two dimensions of its task space.

    ``points`` is (N, 2), ``spent`` and ``success`` (N,); ``competence`` is (K + 1, PIXELS, PIXELS)
    at the grid points ``times`` (K + 1,), None if no held-out tasks lie in these dimensions.
    """

    points: np.ndarray
    spent: np.ndarray
    success: np.ndarray
    times: np.ndarray
    competence: np.ndarray | None


def plot_snapshots(
    protocol: Protocol, curricula: Curricula, records: Records, out: Path
) -> list[Path]:
    """Draw what was proposed at five moments, as dots over what the students could do then.

    Args:
        protocol: of all runs; its tasks are vectors of parameters, the first two are drawn.
        curricula: teacher name to the contents of its runs' ``curriculum.npz``.
        records: teacher name to its run records.
        out: the folder for ``<protocol>-snapshots.png``, ``.svg`` and ``.csv``; made if absent.

    Returns:
        The written paths.

    Raises:
        ValueError: no curricula, or tasks that are no vectors.
    """
    scenes, names, box = _scenes(protocol, curricula, records)
    edges = np.linspace(0, protocol.budget.total, MOMENTS + 1)
    with style():
        figure = new_figure(2.0 * MOMENTS + 0.6, 1.4 + 1.9 * len(scenes))
        panels = figure.subplots(len(scenes), MOMENTS, squeeze=False, sharex=True, sharey=True)
        rows: list[dict[str, Any]] = []
        mesh = None
        for line, (name, scene) in zip(panels, scenes.items(), strict=True):
            for axes, (start, stop) in zip(line, itertools.pairwise(edges), strict=True):
                mesh = _draw_moment(axes, scene, start, stop, box) or mesh
                axes.set_title(f"{thousands(start, 0)} to {thousands(stop, 0)}")
                rows += _dot_rows(name, len(curricula[name]), scene, start, stop)
            line[0].set_ylabel(f"{name}\n\n{names[1]}")
        for axes in panels[-1]:
            axes.set_xlabel(names[0])
        if mesh is not None:
            bar = {"label": score_label(protocol), "aspect": 30, "shrink": 0.9}
            figure.colorbar(mesh, ax=panels, boundaries=np.linspace(0, 1, 101), **bar).set_ticks(
                np.linspace(0, 1, 6)
            )
        caption(figure, f"{protocol.name}. {_explained(protocol)}")
        return save(figure, out, f"{protocol.name}-snapshots", rows)


def plot_ridges(protocol: Protocol, curricula: Curricula, out: Path) -> list[Path]:
    """Draw the density of proposals as one ridge per twelfth of the budget, early ones on top.

    Arguments, return value and errors are those of ``plot_snapshots``; difficulty deciles stand
    for the tasks of a data set whose examples have a known difficulty. The files are called
    ``<protocol>-ridges``.
    """
    curricula = _settled(protocol, curricula)
    maps, _ = measures(curricula, protocol)
    if not maps:
        raise ValueError(f"the tasks of {protocol.name} have neither parameters nor a difficulty")
    edges = np.linspace(0, protocol.budget.total, SLICES + 1)
    with style():
        figure = new_figure(1.2 + 2.5 * len(curricula), 1.2 + 3.0 * len(maps))
        panels = figure.subplots(len(maps), len(curricula), squeeze=False, sharey=True)
        rows: list[dict[str, Any]] = []
        for line, measure in zip(panels, maps, strict=True):
            for axes, (name, runs) in zip(line, curricula.items(), strict=True):
                color = teacher_style(name, protocol.statistics.reference)[0]
                rows += _draw_ridges(axes, measure, name, runs, edges, color)
                axes.set_xlabel(measure.name)
            line[0].set_yticks([0, -SLICES], ["0", thousands(protocol.budget.total, 0)])
            line[0].set_ylabel(unit_label(protocol.budget.unit))
        for axes, (name, runs) in zip(panels[0], curricula.items(), strict=True):
            axes.set_title(f"{name} (n = {len(runs)})", fontweight="bold")
        caption(
            figure,
            f"{protocol.name}. One ridge per {100 / SLICES:.0f} % of the budget, from top to "
            "bottom:\nwhere proposals fell, all seeds pooled; within a panel areas are equal.",
        )
        return save(figure, out, f"{protocol.name}-ridges", rows)


def animate_curriculum(
    protocol: Protocol, curricula: Curricula, records: Records, out: Path
) -> list[Path]:
    """Write ``<protocol>-curriculum.gif``: proposals wander over the task space, competence below.

    Arguments, return value and errors are those of ``plot_snapshots``; one panel per teacher.
    """
    scenes, names, box = _scenes(protocol, curricula, records)
    total = protocol.budget.total
    width = total / FRAMES
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{protocol.name}-curriculum.gif"
    with style():
        columns = min(4, len(scenes))
        lines = -(-len(scenes) // columns)
        figure = new_figure(0.9 + 2.6 * columns, 1.3 + 2.5 * lines)
        panels = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True).ravel()
        title = figure.suptitle(" ", x=0.01, ha="left", fontsize="medium")
        caption(figure, f"{protocol.name}. {_explained(protocol)}")

        def draw(frame: int) -> list[Any]:
            for axes, (name, scene) in zip(panels, scenes.items(), strict=False):
                axes.clear()
                _draw_moment(axes, scene, frame * width, (frame + 1) * width, box)
                axes.set_title(f"{name} (n = {len(curricula[name])})")
                axes.set(xlabel=names[0], ylabel=names[1])
            for axes in panels[len(scenes) :]:
                axes.set_axis_off()
            spent = thousands(round((frame + 1) * width), 0)
            title.set_text(f"{spent} {unit_label(protocol.budget.unit)}")
            return []

        draw(0)
        figure.draw_without_rendering()
        figure.set_layout_engine("none")  # every frame has the first one's layout
        film = FuncAnimation(figure, draw, frames=FRAMES, init_func=lambda: [], blit=False)
        film.save(path, writer=PillowWriter(fps=1000 / FRAME_MS), dpi=ANIMATION_DPI)
    return [path]


def _settled(protocol: Protocol, curricula: Curricula) -> dict[str, list[Run]]:
    found = {name: curricula[name] for name in ordered(protocol, curricula) if curricula[name]}
    if not found:
        raise ValueError("expected at least one curriculum")
    budget = protocol.budget
    return {
        name: [settled(run, budget.total, budget.parallel) for run in runs]
        for name, runs in found.items()
    }


def _scenes(
    protocol: Protocol, curricula: Curricula, records: Records
) -> tuple[dict[str, Scene], list[str], np.ndarray]:
    """Per teacher a scene; the two names of the axes; their ranges (2, 2)."""
    runs_of = _settled(protocol, curricula)
    first = next(iter(runs_of.values()))[0]
    if first["tasks"].ndim != 2:
        raise ValueError(
            f"the tasks of {protocol.name} are the examples of a data set, not vectors of "
            "parameters, so there is no task space to draw; --kind ridges shows their difficulty"
        )
    names = [str(name) for name in first["names"]]
    flat = len(names) == 1
    every = np.concatenate([run["tasks"] for runs in runs_of.values() for run in runs])
    held = protocol.held_out
    if held is not None:
        every = np.concatenate([every, held])
    box = np.array([every.min(axis=0), every.max(axis=0)]).T[:2]
    if flat:
        box, names = np.array([box[0], [0.0, 1.0]]), [names[0], ""]
    scenes = {}
    for name, runs in runs_of.items():
        points = np.concatenate([run["tasks"] for run in runs])[:, :2].astype(float)
        if flat:  # a line of tasks becomes a strip: heights by chance, so that dots stay apart
            heights = np.random.default_rng(0).random(len(points))
            points = np.column_stack([points[:, 0], heights])
        scenes[name] = Scene(
            points,
            np.concatenate([run["spent"] for run in runs]),
            np.concatenate([run["success"] for run in runs]).astype(bool),
            np.array(protocol.grid, dtype=float),
            None if flat or held is None else _competence(protocol, records[name], held, box),
        )
    return scenes, names[:2], box


def _competence(
    protocol: Protocol, records: Sequence[RunRecord], held: np.ndarray, box: np.ndarray
) -> np.ndarray | None:
    """Mean score over seeds per grid point, spread over the plane: (K + 1, PIXELS, PIXELS)."""
    places = held[:, :2]
    if np.linalg.matrix_rank(places - places.mean(axis=0)) < 2:
        return None  # the tasks lie on a line
    scores = np.mean([task_curves(record, protocol) for record in records], axis=0)
    unit = box[:, 1] - box[:, 0]
    axes = [np.linspace(0, 1, PIXELS)] * 2
    grid = np.stack(np.meshgrid(*axes, indexing="xy"), axis=-1)
    # Tasks that share their first two parameters are averaged.
    spots, which = np.unique(np.round((places - box[:, 0]) / unit, 9), axis=0, return_inverse=True)
    counts = np.bincount(which.ravel())
    means = np.stack([np.bincount(which.ravel(), weights=row) / counts for row in scores])
    nearest = interpolate.NearestNDInterpolator(spots, np.arange(len(spots)))(grid)
    return means[:, nearest.astype(int)]


def _draw_moment(
    axes: Axes, scene: Scene, start: float, stop: float, box: np.ndarray
) -> Any | None:
    """Competence and proposals between two moments; return the picture, if there is one."""
    mesh = None
    if scene.competence is not None:
        place = np.searchsorted(scene.times, stop, side="right") - 1
        corners = [np.linspace(*side, PIXELS + 1) for side in box]
        picture = scene.competence[place]
        mesh = axes.pcolormesh(*corners, picture, cmap="Greens", vmin=0, vmax=TINT, rasterized=True)
    shown = _shown(scene, start, stop)
    for outcome, color, marker, label in (
        (False, MISS, "x", "failure"),
        (True, HIT, "o", "success"),
    ):
        dots = scene.points[shown][scene.success[shown] == outcome]
        axes.scatter(
            *dots.T, s=9, color=color, marker=marker, linewidth=0.8, label=label, alpha=0.8
        )
    margin = 0.02 * (box[:, 1] - box[:, 0])
    axes.set_xlim(box[0, 0] - margin[0], box[0, 1] + margin[0])
    axes.set_ylim(box[1, 0] - margin[1], box[1, 1] + margin[1])
    return mesh


def _shown(scene: Scene, start: float, stop: float) -> np.ndarray:
    """Up to DOTS proposals between two moments, evenly thinned."""
    inside = np.flatnonzero((scene.spent >= start) & (scene.spent < stop))
    return inside[:: max(1, -(-len(inside) // DOTS))]


def _dot_rows(
    name: str, runs: int, scene: Scene, start: float, stop: float
) -> list[dict[str, Any]]:
    nothing = (np.nan, np.nan)
    return [
        csv_row(f"from {start:g}", name, runs, *map(float, scene.points[i]), success, *nothing)
        for i, success in ((i, float(scene.success[i])) for i in _shown(scene, start, stop))
    ]


def _draw_ridges(
    axes: Axes, measure: Measure, name: str, runs: Sequence[Run], times: np.ndarray, color: str
) -> list[dict[str, Any]]:
    spent = np.concatenate([run["spent"] for run in runs])
    values = np.concatenate([measure.read(run) for run in runs]).astype(float)
    edges = measure.edges
    if len(edges) != DECILES + 1:
        edges = np.linspace(edges[0], edges[-1], RIDGE_BINS + 1)
    middles, rows = (edges[:-1] + edges[1:]) / 2, []
    slices = [values[(spent >= a) & (spent < b)] for a, b in itertools.pairwise(times)]
    found = [np.histogram(part, edges)[0] / max(1, len(part)) * len(middles) for part in slices]
    tall = min(0.4, TALLEST / max(1.0, np.max(found)))
    for slice_, (start, density) in enumerate(zip(times, found, strict=False)):
        foot = -slice_ - 1
        axes.fill_between(
            middles, foot, foot + density * tall, color=color, alpha=0.75, zorder=slice_,
            edgecolor="white", linewidth=0.6,
        )  # fmt: skip
        rows += [
            csv_row(measure.name, name, len(runs), float(start), float(x), float(y), np.nan, np.nan)
            for x, y in zip(middles, density, strict=True)
        ]
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    return rows


def _explained(protocol: Protocol) -> str:
    shade = (
        "Green: score on held-out tasks, mean over seeds.\n"
        if protocol.held_out is not None
        else ""
    )
    return f"{shade}Circles: proposals that succeeded; crosses: that failed (all seeds, thinned)."

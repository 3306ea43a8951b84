"""``lyceum plot``: which figures are drawn from which runs and entries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmark import leaderboard, record
from benchmark.commands import gather, run_folders
from benchmark.errors import LyceumError, unknown
from benchmark.leaderboard import Entry
from benchmark.protocol import Protocol

OVER = ("budget", "updates", "seconds")
SCORES = ("area", "final")
# What a published board is enough for, and what needs runs of one's own.
FROM_BOARDS = ("curves", "intervals", "profile", "improvement", "targets", "tasks", "costs")
FROM_RUNS = ("curriculum", "snapshots", "ridges", "animation")
POOLING = ("intervals", "profile", "improvement", "targets", "radar")  # over several protocols
KINDS = (*FROM_BOARDS, "radar", *FROM_RUNS)
RADAR_FROM = 3


@dataclass(frozen=True)
class Sources:
    """Where the numbers of the figures come from.

    ``protocols`` are names or files; ``only`` names the teachers to draw, all if empty.
    """

    protocols: Sequence[str]
    runs: Path
    local: bool = False
    only: Sequence[str] = ()
    over: str = "budget"
    score: str = "area"
    loaded: list[Protocol] = field(init=False)

    def __post_init__(self) -> None:
        if self.over not in OVER:
            raise unknown("x axis", self.over, OVER)
        if self.score not in SCORES:
            raise unknown("score", self.score, SCORES)
        names = list(dict.fromkeys(self.protocols))
        object.__setattr__(self, "loaded", [Protocol.load(name) for name in names])

    @cached_property
    def entries(self) -> list[dict[str, Entry]]:
        """Per protocol the entries of the chosen teachers."""
        found = []
        for protocol in self.loaded:
            # A published entry tells what its runs cost in all, not what at each evaluation.
            gathered = gather(protocol, self.runs, self.local or self.over == "seconds")
            entries = leaderboard.checked_entries(protocol, gathered)
            for teacher in self.only:
                if teacher not in entries:
                    raise unknown("teacher", teacher, entries)
            found.append({n: e for n, e in entries.items() if n in (self.only or entries)})
        return found

    def folders(self, protocol: Protocol) -> dict[str, list[Path]]:
        """The chosen teachers' own finished runs, which alone know the curriculum."""
        here = run_folders(protocol, self.runs)
        return {name: paths for name, paths in here.items() if name in (self.only or here)}


def draw(
    console: Console, sources: Sources, out: Path | None, kinds: Sequence[str] | None = None
) -> None:
    """Draw the figures of the given kinds; "all" means all that these sources allow.

    Without ``kinds`` the learning curves are drawn, and the curriculum of the runs that lie here.

    Raises:
        LyceumError: nothing to draw, an unknown kind, x axis, score or teacher, or a kind that
            these sources do not allow.
    """
    for kind in kinds or []:
        if kind not in (*KINDS, "all"):
            raise unknown("kind of figure", kind, (*KINDS, "all"))
    folder = out or sources.runs / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    asked = list(dict.fromkeys(kinds or ["curves", "curriculum"]))
    eager = not kinds or "all" in asked  # then what cannot be drawn is left out
    for kind in KINDS if "all" in asked else asked:
        if eager and not _possible(sources, kind):
            continue
        try:
            written = _draw_kind(sources, kind, folder)
        except ValueError as error:
            if not eager:
                raise LyceumError(f"--kind {kind}: {error}") from error
            console.print(f"Not drawn, {kind}: {error}", highlight=False, soft_wrap=True)
            continue
        for path in written:
            console.print(f"Written: {path}", highlight=False, soft_wrap=True)


def _possible(sources: Sources, kind: str) -> bool:
    """Whether a figure makes sense here when nobody asked for it by name."""
    several = len(sources.loaded) > 1
    if kind == "radar":
        return len(sources.loaded) >= RADAR_FROM
    if kind in FROM_RUNS:
        supervised = sources.loaded[0].task.kind == "supervised"
        space = kind not in ("snapshots", "animation") or not supervised
        return space and any(sources.folders(protocol) for protocol in sources.loaded)
    if kind == "targets":
        return all(protocol.score.target is not None for protocol in sources.loaded)
    return not (several and kind == "improvement" and len(sources.entries[0]) < 2)


def _draw_kind(sources: Sources, kind: str, folder: Path) -> list[Path]:
    from benchmark import plots

    pooled = {
        "intervals": plots.plot_intervals,
        "profile": plots.plot_profiles,
        "improvement": plots.plot_improvement,
    }
    if kind in pooled:
        return pooled[kind](sources.loaded, sources.entries, folder, sources.score)
    if kind == "targets":
        return plots.plot_targets(sources.loaded, sources.entries, folder)
    if kind == "radar":
        arguments = (sources.loaded, sources.entries, folder, sources.score, sources.only)
        return plots.plot_radar(*arguments)
    written = []
    for protocol, entries in zip(sources.loaded, sources.entries, strict=True):
        written += _draw_one(sources, kind, folder, protocol, entries)
    return written


def _draw_one(
    sources: Sources, kind: str, folder: Path, protocol: Protocol, entries: Mapping[str, Entry]
) -> list[Path]:
    """A figure of a single protocol."""
    from benchmark import plots

    if kind == "tasks":
        return plots.plot_task_map(protocol, entries, folder)
    if kind == "costs":
        return plots.plot_costs(protocol, entries, folder)
    records = {name: [run.record for run in e.submission.runs] for name, e in entries.items()}
    here = sources.folders(protocol)
    if kind == "curves":
        seconds = None
        if sources.over == "seconds":
            seconds = {name: [_seconds(path) for path in paths] for name, paths in here.items()}
        return plots.plot_learning_curves(protocol, records, folder, sources.over, seconds)
    if not here:
        raise ValueError(
            f"only your own runs know what was proposed, and {sources.runs} has no finished run of "
            f"{protocol.name}; try: lyceum run {protocol.name} --teacher uniform --seeds 3"
        )
    curricula = {label: [_curriculum(path) for path in paths] for label, paths in here.items()}
    if kind == "curriculum":
        return plots.plot_curriculum(protocol, curricula, folder)
    if kind == "ridges":
        return plots.plot_ridges(protocol, curricula, folder)
    own = {name: [record.read_run(path)[0] for path in paths] for name, paths in here.items()}
    film = plots.animate_curriculum if kind == "animation" else plots.plot_snapshots
    return film(protocol, curricula, own, folder)


def _seconds(folder: Path) -> np.ndarray:
    """CPU seconds of student, world and teacher at each evaluation (K + 1,)."""
    _, costs = record.read_run(folder)
    if costs is None:
        raise LyceumError(f"{folder} has no costs.json, which tells the seconds of a run")
    return np.sum([costs.cpu_student, costs.cpu_environment, costs.cpu_teacher], axis=0)


def _curriculum(folder: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, ValueError) as error:
        raise LyceumError(f"{folder / 'curriculum.npz'} cannot be read: {error}") from error

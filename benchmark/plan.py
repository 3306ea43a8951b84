"""What a sweep will do: which runs, in which order, for how long, with how much disk.

A run is finished if it has a record, never because its folder exists. What a run takes is told by
finished runs: of the same protocol and teacher in the same folder, else of other teachers there,
else by the published entries, whose seconds come from other machines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmark import record
from benchmark.arguments import parse_seeds, parse_settings
from benchmark.assemble import check_options
from benchmark.devices import place
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.provenance import BOARDS
from benchmark.run import RunRequest
from benchmark.strict_json import read_json
from benchmark.telling import fitting_teacher

CLOCKS = ("cpu_environment", "cpu_student", "cpu_teacher", "cpu_evaluation")
BOARD_BYTES = 32_000_000
SAMPLE = 5  # finished runs that are asked per teacher
HERE, ALIKE, PUBLISHED, UNKNOWN = "here", "other teachers here", "published entries", "unknown"


@dataclass(frozen=True)
class Guess:
    """What a run is expected to take: seconds of one core, bytes of disk, and who says so."""

    seconds: float | None
    size: float | None
    source: str


@dataclass(frozen=True)
class Plan:
    """All runs of a sweep. ``pending`` are those without a record, the longest first."""

    requests: list[RunRequest]
    pending: list[RunRequest]
    guesses: Mapping[tuple[str, str], Guess] = field(repr=False)

    @property
    def finished(self) -> int:
        """How many runs have a record."""
        return len(self.requests) - len(self.pending)

    @property
    def pending_folders(self) -> set[Path]:
        """The folders of the runs to do."""
        return {request.folder for request in self.pending}

    def guess(self, request: RunRequest) -> Guess:
        """What a run is expected to take."""
        return self.guesses[request.protocol, request.label]

    def hours(self, workers: int) -> float | None:
        """Expected hours of the pending runs with so many side by side; None if nobody knows.

        At least the longest run, at least an even share of all. Runs of which nothing is known
        count as the mean of the others.
        """
        seconds = [self.guess(request).seconds for request in self.pending]
        known = [value for value in seconds if value is not None]
        if not known:
            return None if seconds else 0.0
        total = sum(known) + np.mean(known) * (len(seconds) - len(known))
        return float(max(max(known), total / max(1, workers)) / 3600)

    def size(self) -> float | None:
        """Expected bytes of the pending runs when finished; None if nobody knows."""
        sizes = [self.guess(request).size for request in self.pending]
        known = [value for value in sizes if value is not None]
        if not known:
            return None if sizes else 0.0
        return float(sum(known) + np.mean(known) * (len(sizes) - len(known)))


def make_requests(
    protocols: Sequence[str],
    teachers: Sequence[str],
    seeds: str = "",
    settings: Sequence[str] = (),
    smoke: bool = False,
    **options: Any,
) -> list[RunRequest]:
    """The runs of protocols x teachers x seeds; whatever can be refused is refused here.

    Args:
        protocols: names or .toml files.
        teachers: registered names or ``file.py:Class``.
        seeds: how many of each protocol's seeds, or a list; empty: all.
        settings: hyperparameters of the teachers, ``name=value``.
        smoke: shorten every protocol to a moment.
        options: other fields of ``RunRequest``, such as ``runs``.

    Raises:
        LyceumError: a protocol, teacher, seed or setting that does not exist or fit.
    """
    arguments, requests = parse_settings(list(settings)), []
    place(options.get("device", "cpu"))
    for protocol in dict.fromkeys(protocols):
        loaded, given = Protocol.load(protocol), dict(options)
        if smoke and loaded.status != "smoke":
            loaded = loaded.smoke()
            given["smoke"] = loaded.budget.total
        check_options(loaded)
        wanted = parse_seeds(seeds, loaded)
        for teacher in dict.fromkeys(teachers):
            fitting_teacher(loaded, teacher, arguments)
            these = [RunRequest(protocol, teacher, seed, arguments, **given) for seed in wanted]
            record.require_teacher(these[0].label, arguments)
            requests += these
    return requests


def make_plan(requests: Sequence[RunRequest]) -> Plan:
    """Sort runs into finished and pending ones, and guess what the pending ones take.

    Raises:
        LyceumError: there is nothing to run.
    """
    if not requests:
        raise LyceumError("a sweep needs at least one protocol, one teacher and one seed")
    there: dict[Path, set[str]] = {}
    pending = []
    for request in requests:
        folder = request.folder
        if folder.parent not in there:  # one look per teacher, not one per seed
            there[folder.parent] = {
                path.parent.name for path in folder.parent.glob("*/record.json")
            }
        if folder.name not in there[folder.parent]:
            pending.append(request)
    guesses: dict[tuple[str, str], Guess] = {}
    for request in requests:
        key = request.protocol, request.label
        if key not in guesses:
            guesses[key] = _guess(request)
    places = {request.folder: place for place, request in enumerate(pending)}
    pending.sort(
        key=lambda request: (
            -(guesses[request.protocol, request.label].seconds or float("inf")),
            places[request.folder],
        )
    )
    return Plan(list(requests), pending, guesses)


def _guess(request: RunRequest) -> Guess:
    own = request.folder.parent
    for source, folders in ((HERE, [own]), (ALIKE, sorted(own.parent.glob("*")))):
        runs = [path.parent for f in folders for path in sorted(f.glob("*/costs.json"))[:SAMPLE]]
        measured = [found for run in runs if (found := _measured(run)) is not None]
        if measured:
            seconds, size = np.mean(measured, axis=0)
            return Guess(float(seconds), float(size), source)
    published = _published(request.loaded.name)
    if published and not request.smoke:
        seconds = published.get(request.label, float(np.mean(list(published.values()))))
        return Guess(seconds, None, PUBLISHED)
    return Guess(None, None, UNKNOWN)


def _measured(run: Path) -> tuple[float, float] | None:
    """Seconds by the clock and bytes on disk of a finished run; None if it is not whole."""
    try:
        _, costs = record.read_run(run)
    except LyceumError:
        return None
    if costs is None:
        return None
    return costs.wall[-1], sum(path.stat().st_size for path in run.rglob("*") if path.is_file())


@cache
def _published(protocol: str) -> dict[str, float]:
    """CPU seconds per run of every published teacher, from the board."""
    path = BOARDS / protocol / "leaderboard.json"
    if not path.is_file():
        return {}
    rows = read_json(path, BOARD_BYTES).get("rows", [])
    return {row["teacher"]["name"]: row["cpu_seconds"] for row in rows if row.get("cpu_seconds")}


def print_plan(console: Console, plan: Plan, workers: int) -> None:
    """Print a line per protocol and teacher, and what all of it takes."""
    table = Table(title=f"{len(plan.requests):,} runs", title_justify="left")
    for heading in ("protocol", "teacher", "runs", "finished", "s per run", "measured by"):
        table.add_column(heading, justify="left" if heading[0] in "ptm" else "right")
    waiting: dict[tuple[str, str], int] = {}
    for request in plan.pending:
        key = request.protocol, request.label
        waiting[key] = waiting.get(key, 0) + 1
    counts: dict[tuple[str, str], int] = {}
    for request in plan.requests:
        key = request.protocol, request.label
        counts[key] = counts.get(key, 0) + 1
    for key, count in counts.items():
        guess = plan.guesses[key]
        seconds = "?" if guess.seconds is None else f"{guess.seconds:,.1f}"
        done = count - waiting.get(key, 0)
        table.add_row(*key, str(count), str(done), seconds, guess.source)
    console.print(table)
    console.print(summary(plan, workers), highlight=False, soft_wrap=True)


def summary(plan: Plan, workers: int) -> str:
    """The plan in two sentences."""
    hours, size = plan.hours(workers), plan.size()
    text = f"{len(plan.pending):,} runs to do, {plan.finished:,} finished. "
    if hours is None:
        text += "How long they take is not known: no run of these protocols was measured yet. "
    else:
        text += f"About {_duration(hours)} with {workers} side by side. "
    if size is None:
        return text + "Disk: not known before the first run is finished; mostly below 1 MB a run."
    return text + f"Disk: about {size / 1e6:,.1f} MB."


def _duration(hours: float) -> str:
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    return f"{60 * hours:.0f} min" if hours < 2 else f"{hours:,.1f} h"

"""What the report shows: published boards beside the learning curves they were computed from.

All of it may come from strangers: entries are read as everywhere else, with limits and strictly,
and a board that does not follow from the entries beside it is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmark import leaderboard, record, submissions
from benchmark.board import Board, Row
from benchmark.commands import gather, run_folders
from benchmark.errors import LyceumError
from benchmark.metrics import area_under_curve, cpu_seconds, curve
from benchmark.protocol import Protocol
from benchmark.schema import Submission
from benchmark.strict_json import read_json
from benchmark.submissions import BOARD_FILE

AGREEMENT = 1e-5  # of an area: a board has six significant digits


@dataclass(frozen=True)
class Entry:
    """A row of a board with the learning curves (n, K + 1) behind it and where they were made.

    ``provenance`` holds, per fact, every value that occurs among the runs. ``seconds`` are CPU
    seconds of all runs without evaluation, None if a run does not know. ``own`` marks your own.
    """

    row: Row
    scores: np.ndarray
    provenance: dict[str, list[str]]
    seconds: float | None
    own: bool

    @property
    def name(self) -> str:
        """The teacher's name."""
        return self.row.teacher.name


@dataclass(frozen=True)
class Standing:
    """A protocol, its board, and the entries in the board's order."""

    protocol: Protocol
    board: Board
    entries: dict[str, Entry] = field(default_factory=dict)

    def leaders(self) -> list[Entry]:
        """The entries that may hold rank 1, best area first; empty if nothing is ranked."""
        ranked = [entry for entry in self.entries.values() if entry.row.rank is not None]
        return [entry for entry in ranked if entry.row.rank.low == 1]


def standings(boards: Path, runs: Path | None = None) -> Iterator[Standing]:
    """Every protocol with a published board, or with finished runs in ``runs``, by name.

    With runs of your own the board of their protocol is computed anew.

    Raises:
        LyceumError: a folder that is no protocol's, a damaged file, a board that does not follow
            from its entries, or nothing to show.
    """
    names = {path.parent.name for path in boards.glob(f"*/{BOARD_FILE}")}
    local = set()
    if runs is not None:
        local = {name for name in Protocol.names() if run_folders(Protocol.load(name), runs)}
        if not local:
            raise LyceumError(f"no finished run of a published protocol in {runs}")
    if not names | local:
        raise LyceumError(f"{boards} holds no leaderboard; there is nothing to report")
    for name in sorted(names | local):
        if name not in Protocol.names():
            raise LyceumError(f"{boards / name}: no published protocol is called {name}")
        protocol = Protocol.load(name)
        if runs is not None and name in local:
            yield _with_own_runs(protocol, boards, runs)
        else:
            yield _published(protocol, boards / name)


def _with_own_runs(protocol: Protocol, boards: Path, runs: Path) -> Standing:
    folders = run_folders(protocol, runs)
    chosen = gather(protocol, runs, local=False, boards=boards)
    board = leaderboard.build_board(protocol, chosen)
    # Of a teacher with both, ``gather`` takes the published entry only if it has more runs.
    own = {
        entry.teacher.name
        for entry in chosen
        if len(entry.runs) == len(folders.get(entry.teacher.name, []))
    }
    return _standing(protocol, board, chosen, own)


def _published(protocol: Protocol, folder: Path) -> Standing:
    path = folder / BOARD_FILE
    board = record.validate(Board, read_json(path, record.SUBMISSION_BYTES), str(path))
    if (board.protocol.name, board.protocol.fingerprint) != (protocol.name, protocol.fingerprint):
        raise LyceumError(f"{path}: protocol: belongs to another version of {protocol.name}")
    entries = submissions.load_submissions(folder)
    for entry in entries:
        for run in entry.runs:
            source = f"{folder}, entry {entry.teacher.name}, seed {run.record.seed}"
            record.check_against(run.record, protocol, source)
    standing = _standing(protocol, board, entries, set())
    _check_agreement(standing, {entry.teacher.name for entry in entries}, path)
    return standing


def _standing(
    protocol: Protocol, board: Board, chosen: Sequence[Submission], own: set[str]
) -> Standing:
    by_name = {entry.teacher.name: entry for entry in chosen}
    rows = [row for row in board.rows if row.teacher.name in by_name]
    entries = {
        row.teacher.name: _entry(protocol, row, by_name[row.teacher.name], own) for row in rows
    }
    return Standing(protocol, board, entries)


def _entry(protocol: Protocol, row: Row, submission: Submission, own: set[str]) -> Entry:
    bills = [run.costs for run in submission.runs]
    seconds = None
    if all(bill is not None for bill in bills):
        seconds = sum(map(cpu_seconds, bills))
    return Entry(
        row=row,
        scores=np.array([curve(run.record, protocol) for run in submission.runs]),
        provenance=_together(run.record.provenance for run in submission.runs),
        seconds=seconds,
        own=row.teacher.name in own,
    )


def _together(facts: Iterable[dict[str, str]]) -> dict[str, list[str]]:
    """Every value of every fact, in the order of the facts' names."""
    found: dict[str, set[str]] = {}
    for each in facts:
        for name, text in each.items():
            found.setdefault(name, set()).add(text)
    return {name: sorted(found[name]) for name in sorted(found)}


def _check_agreement(standing: Standing, there: set[str], path: Path) -> None:
    """Refuse a table that was edited, or is older than the entries beside it."""
    listed = {row.teacher.name for row in standing.board.rows}
    strange = sorted(listed ^ there)
    for name, entry in standing.entries.items():
        areas = [area_under_curve(scores, standing.protocol.grid) for scores in entry.scores]
        error = abs(float(np.mean(areas)) - entry.row.area.value)
        if len(entry.row.seeds) != len(areas) or error > AGREEMENT * max(1.0, abs(np.mean(areas))):
            strange.append(name)
    if strange:
        raise LyceumError(
            f"{path}: does not follow from the entries beside it ({', '.join(strange)}); it was "
            "edited or is out of date, and is computed anew when an entry is added "
            "(lyceum leaderboard PROTOCOL --add RUNS)"
        )

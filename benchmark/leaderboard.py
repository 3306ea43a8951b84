"""The leaderboard: a pure function of submissions and protocol, byte-identical when recomputed.

Every number of a row depends on that row and the reference teacher only, so removing any other row
changes nothing, with two exceptions by definition: Holm's correction and the rank range refer to
all rows that are there. Both families leave provisional rows out, so that an entry with few runs
weakens nobody's test. Area and final score are two families of their own.

A row is ranked or listed only if its seeds are the first of the protocol's list without a gap: a
missing seed is a failed run, and choosing among finished runs would choose the luckiest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import statistics
from benchmark.board import Board, markdown, verdict
from benchmark.errors import LyceumError
from benchmark.metrics import RunScores, cpu_seconds, curve, overhead, score_run
from benchmark.protocol import Protocol, StatisticsBlock, canonical_json
from benchmark.record import check_against, validate
from benchmark.schema import Submission
from benchmark.strict_json import write_json_atomically, write_text_atomically
from benchmark.submissions import (
    BOARD_FILE,
    add_submission,
    load_submissions,
    make_submission,
    merge,
)

__all__ = ["add_submission", "load_submissions", "make_submission", "merge"]

DIGITS = 6
START_TOLERANCE = 0.05  # other processors may round an untrained student's answers differently


@dataclass(frozen=True)
class Entry:
    """A submission with the scores of its runs and what their number allows."""

    submission: Submission
    scores: list[RunScores]
    status: str

    @property
    def name(self) -> str:
        return self.submission.teacher.name

    @property
    def seeds(self) -> list[int]:
        return [run.record.seed for run in self.submission.runs]

    def column(self, name: str) -> list[np.ndarray]:
        """One score per run as the samples of a single task."""
        return [np.array([getattr(scores, name) for scores in self.scores], dtype=float)]


def build_board(protocol: Protocol, submissions: Iterable[Submission]) -> Board:
    """Rank submissions under their common protocol.

    Submissions of the same teacher are merged first.

    Raises:
        LyceumError: a record belongs to another protocol version or breaks its rules, or two
            submissions are in conflict.
    """
    entries = checked_entries(protocol, submissions)
    reference = entries.get(protocol.statistics.reference)
    ranks = _ranks(protocol, entries)
    comparisons = _comparisons(protocol, entries, reference)
    rows = []
    for name, entry in entries.items():
        row = _scores_of(protocol, entry)
        row |= {"rank": ranks.get(name), "versus_reference": comparisons.get(name)}
        rows.append(row)
    rows = _rounded(rows)
    rows.sort(key=lambda row: (-row["area"]["value"], row["teacher"]["name"]))
    content = {
        "schema": "board/1",
        "protocol": {"name": protocol.name, "fingerprint": protocol.fingerprint},
        "unit": protocol.budget.unit,
        "budget": protocol.budget.total,
        "measure": protocol.score.measure,
        "confidence": protocol.statistics.confidence,
        "listed_from": protocol.statistics.listed_from,
        "reference": protocol.statistics.reference,
        "rows": rows,
        "notes": _notes(protocol, entries, reference),
        "verdict": [],
    }
    board = validate(Board, content, f"leaderboard of {protocol.name}")
    return board.model_copy(update={"verdict": verdict(board)})


def checked_entries(protocol: Protocol, submissions: Iterable[Submission]) -> dict[str, Entry]:
    """Checked and merged submissions by teacher name, in the order of the names."""
    merged: dict[str, Submission] = {}
    for submission in submissions:
        name = submission.teacher.name
        for run in submission.runs:
            check_against(run.record, protocol, f"entry {name}, seed {run.record.seed}")
        merged[name] = merge(merged[name], submission) if name in merged else submission
    if not merged:
        raise LyceumError(f"{protocol.name}: a leaderboard needs at least one submission")
    return {name: _entry(protocol, merged[name]) for name in sorted(merged)}


def _entry(protocol: Protocol, submission: Submission) -> Entry:
    scores = [score_run(run.record, protocol) for run in submission.runs]
    block = protocol.statistics
    status = statistics.standing(len(scores), block.ranked_from, block.listed_from)
    if gaps(protocol, submission):
        status = "provisional"
    return Entry(submission, scores, status)


def gaps(protocol: Protocol, submission: Submission) -> list[int]:
    """Seeds that are missing before the last one that is there, in the protocol's order."""
    order = {seed: place for place, seed in enumerate(protocol.statistics.seeds)}
    there = {run.record.seed for run in submission.runs}
    last = max(order[seed] for seed in there)
    return [seed for seed, place in order.items() if place < last and seed not in there]


def _scores_of(protocol: Protocol, entry: Entry) -> dict[str, Any]:
    """What a row says about its own teacher, without any other row."""
    block = protocol.statistics
    areas = entry.column("area")
    iqm = statistics.iqm_interval(areas, block.confidence, block.resamples, block.bootstrap_seed)
    bills = [run.costs for run in entry.submission.runs if run.costs is not None]
    shares = [share for share in map(overhead, bills) if share is not None]
    content = canonical_json(entry.submission.content())
    return {
        "teacher": entry.submission.teacher.content(),
        "seeds": entry.seeds,
        "status": entry.status,
        "area": _mean(protocol, entry, areas),
        "final": _mean(protocol, entry, entry.column("final")),
        "iqm": _shown(entry.status, iqm),
        "time_to_target": _time_to_target(protocol, entry),
        "tail": _mean(protocol, entry, entry.column("tail")),
        "forgetting": _forgetting(protocol, entry),
        "overhead": float(np.mean(shares)) if shares else None,
        "cpu_seconds": float(np.mean([cpu_seconds(bill) for bill in bills])) if bills else None,
        "submission_sha256": hashlib.sha256(content.encode()).hexdigest(),
    }


def _mean(protocol: Protocol, entry: Entry, samples: list[np.ndarray]) -> dict[str, Any]:
    return _shown(entry.status, statistics.mean_interval(samples, protocol.statistics.confidence))


def _shown(status: str, interval: statistics.Interval) -> dict[str, Any]:
    """Provisional rows show no interval: with so few runs it would be far too narrow or useless."""
    if status == "provisional":
        return {"value": interval.value, "low": None, "high": None}
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _time_to_target(protocol: Protocol, entry: Entry) -> dict[str, Any] | None:
    if protocol.score.target is None:
        return None
    times = entry.column("time_to_target")[0]
    restricted = np.minimum(times, protocol.budget.total)
    return {
        "restricted_mean": _mean(protocol, entry, [restricted]),
        "hit_rate": float(np.mean(np.isfinite(times))),
    }


def _forgetting(protocol: Protocol, entry: Entry) -> dict[str, Any] | None:
    values = [scores.forgetting for scores in entry.scores]
    if any(value is None for value in values):
        return None
    return _mean(protocol, entry, [np.array(values)])


def _ranks(protocol: Protocol, entries: dict[str, Entry]) -> dict[str, dict[str, int]]:
    ranked = {n: entry.column("area") for n, entry in entries.items() if entry.status == "ranked"}
    ranges = statistics.rank_ranges(ranked, protocol.statistics.confidence)
    return {name: {"low": low, "high": high} for name, (low, high) in ranges.items()}


def _comparisons(
    protocol: Protocol, entries: dict[str, Entry], reference: Entry | None
) -> dict[str, dict[str, Any]]:
    """Differences from the reference teacher by name; empty without a reference."""
    if reference is None:
        return {}
    block = protocol.statistics
    others = {name: entry for name, entry in entries.items() if entry is not reference}
    found: dict[str, dict[str, Any]] = {name: {} for name in others}
    for measure in ("area", "final"):
        pairs = {
            name: entry_difference(block, entry, reference, measure)
            for name, entry in others.items()
        }
        corrected = statistics.holm([difference.p for difference in pairs.values()])
        for (name, difference), p in zip(pairs.items(), corrected, strict=True):
            found[name][measure] = {
                "value": difference.value,
                "low": difference.low,
                "high": difference.high,
                "p_holm": p,
                "kind": difference.kind,
            }
    for name, entry in others.items():
        chance = statistics.probability_of_improvement(
            entry.column("area"),
            reference.column("area"),
            block.confidence,
            block.resamples,
            block.bootstrap_seed,
        )
        status = "provisional" if untested(entry, reference) else entry.status
        found[name]["probability_of_improvement"] = _shown(status, chance)
    return found


def entry_difference(
    block: StatisticsBlock, entry: Entry, reference: Entry, measure: str
) -> statistics.Difference:
    """Welch's difference of two entries in one score; without interval if one is provisional."""
    found = statistics.welch(entry.column(measure), reference.column(measure), block.confidence)
    if untested(entry, reference):
        return statistics.Difference(found.value, None, None, None, "too few")
    return found


def untested(entry: Entry, reference: Entry) -> bool:
    """Whether one of two entries has too few runs, or a gap in its seeds."""
    return "provisional" in (entry.status, reference.status)


def _notes(protocol: Protocol, entries: dict[str, Entry], reference: Entry | None) -> list[str]:
    """What a reader must know about single rows before trusting a comparison."""
    notes = []
    if reference is None:
        notes.append(
            f"The reference teacher {protocol.statistics.reference} has no entry, so no "
            "differences are shown."
        )
    for name, entry in entries.items():
        missing = gaps(protocol, entry.submission)
        if missing:
            notes.append(
                f"{name} lacks seed {', '.join(map(str, missing))}; a missing seed counts as a "
                "failed run, so the row stays provisional."
            )
        if reference is not None and entry is not reference:
            notes += _start_notes(protocol, entry, reference)
    return notes


def _start_notes(protocol: Protocol, entry: Entry, reference: Entry) -> list[str]:
    """Untrained students of the same seed are the same, whoever will teach them."""
    starts = {run.record.seed: curve(run.record, protocol)[0] for run in reference.submission.runs}
    strange = [
        run.record.seed
        for run in entry.submission.runs
        if run.record.seed in starts
        and abs(curve(run.record, protocol)[0] - starts[run.record.seed]) > START_TOLERANCE
    ]
    if not strange:
        return []
    return [
        f"{entry.name} does not start at the level of {reference.name} (seed "
        f"{', '.join(map(str, strange))}); untrained students should be equal."
    ]


def _rounded(value: Any) -> Any:
    """Six significant digits everywhere, so that other machines write the same bytes."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") + 0.0  # no negative zero
    if isinstance(value, dict):
        return {key: item if key == "teacher" else _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def write_board(folder: Path, board: Board) -> list[Path]:
    """Write ``leaderboard.json`` and ``leaderboard.md`` into ``folder``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / BOARD_FILE, folder / "leaderboard.md"]
    write_json_atomically(paths[0], board.content())
    write_text_atomically(paths[1], markdown(board))
    return paths

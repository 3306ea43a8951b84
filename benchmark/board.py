"""What a leaderboard holds, what it says in plain sentences, and its Markdown form."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Literal

from pydantic import Field

from benchmark.schema import (
    Count,
    Line,
    Model,
    ProtocolReference,
    Sha256,
    TeacherIdentity,
)
from benchmark.statistics import significant

Status = Literal["ranked", "listed", "provisional"]


class Estimate(Model):
    """A mean over runs with its interval; low and high are null when the runs are too few."""

    value: float
    low: float | None
    high: float | None


class Comparison(Model):
    """This teacher minus the reference teacher: interval and Holm-corrected p-value.

    ``kind`` is "welch", "deterministic" (neither side varies, no test applies) or "too few".
    """

    value: float
    low: float | None
    high: float | None
    p_holm: float | None
    kind: Literal["welch", "deterministic", "too few"]


class AgainstReference(Model):
    """Both differences to the reference, and the chance that a run has the larger area."""

    area: Comparison
    final: Comparison
    probability_of_improvement: Estimate


class TimeToTarget(Model):
    """Budget spent until the target: mean of min(time, budget), and the share that reached it."""

    restricted_mean: Estimate
    hit_rate: float


class RankRange(Model):
    """Places a teacher may hold: 1 + number better to N - number worse, both significantly."""

    low: Count
    high: Count


class Row(Model):
    """One teacher's line. Scores are in normalised units, times in units of the budget.

    ``area`` is the primary score; ``iqm`` is the interquartile mean of the runs' areas. ``tail`` is
    the worst tenth of the tasks. ``overhead`` is the teacher's share of CPU time; ``cpu_seconds``
    is the mean CPU time of a run without evaluation. ``submission_sha256`` names the input.
    """

    teacher: TeacherIdentity
    seeds: list[Count]
    status: Status
    rank: RankRange | None
    area: Estimate
    final: Estimate
    iqm: Estimate
    versus_reference: AgainstReference | None
    time_to_target: TimeToTarget | None
    tail: Estimate
    forgetting: Estimate | None
    overhead: float | None
    cpu_seconds: float | None
    submission_sha256: Sha256


class Board(Model):
    """A ranked table: rows sorted by the primary score, then by name."""

    schema_: Literal["board/1"] = Field("board/1", alias="schema")
    protocol: ProtocolReference
    unit: Line
    budget: Count
    measure: Line
    confidence: float
    listed_from: Count
    reference: Line
    rows: list[Row]
    notes: list[str]
    verdict: list[str]


_PHRASES = {
    "final": ("ends {points} points {side} {reference}", "at the end of training"),
    "area": (
        "averages {points} points {side} {reference} over the whole training",
        "over the whole training",
    ),
}


def verdict(board: Board) -> list[str]:
    """What the table says about teachers and reference, with figures; a point is 0.01 of a score.

    The end of training comes first, then the average over training. A difference counts when its
    Holm-corrected p-value is below 1 - confidence.
    """
    others = [row for row in board.rows if row.versus_reference is not None]
    tested = [row for row in others if row.versus_reference.final.kind != "too few"]
    sentences: list[str] = []
    if tested:
        sentences += [*_verdict_on("final", board, tested), *_verdict_on("area", board, tested)]
    waiting = [row.teacher.name for row in board.rows if row.status == "provisional"]
    if waiting:
        sentences.append(
            f"{join_names(waiting)}: provisional, without intervals and tests, which need the "
            f"first {board.listed_from} seeds of the protocol."
        )
    if not others:
        sentences.append(f"There is nothing to compare with {board.reference} yet.")
    return sentences


def _verdict_on(measure: Literal["final", "area"], board: Board, rows: list[Row]) -> Iterator[str]:
    phrase, when = _PHRASES[measure]
    pairs = [(row.teacher.name, getattr(row.versus_reference, measure)) for row in rows]
    pairs.sort(key=lambda pair: -pair[1].value)
    found = [p for p in pairs if significant(p[1].kind, p[1].p_holm, board.confidence)]
    for name, difference in found:
        side = "above" if difference.value > 0 else "below"
        text = phrase.format(
            points=points_text(abs(difference.value)), side=side, reference=board.reference
        )
        yield f"{name} {text} ({_evidence(difference, board.confidence)})."
    open_ = [name for name, _ in pairs if name not in {name for name, _ in found}]
    single = [(n, d) for n, d in pairs if n in open_ and d.low * d.high > 0]
    if not found and not single:
        yield f"No teacher differs from {board.reference} {when} by more than its interval."
    elif open_:
        yield f"No difference from {board.reference} {when} is established for {join_names(open_)}."
    for name, difference in single:
        yield (
            f"The interval of {name} alone excludes zero {when} "
            f"({_evidence(difference, board.confidence)}), but not after correction for all "
            "comparisons."
        )


def _evidence(difference: Comparison, confidence: float) -> str:
    if difference.kind == "deterministic":
        return "a deterministic difference: no run varies, so no test applies"
    low, high = difference.low, difference.high
    if difference.value < 0:
        low, high = -high, -low
    p = "p < 0.001" if difference.p_holm < 0.001 else f"p = {difference.p_holm:.2g}"
    return f"{100 * confidence:g} % interval {points_text(low)} to {points_text(high)}, Holm {p}"


def points_text(score: float) -> str:
    """A score in points, a hundredth each: one digit after the point, or one that is not zero."""
    points = 100 * score
    return f"{points:.1f}" if abs(points) >= 0.1 or points == 0 else f"{points:.1g}"


def join_names(names: list[str]) -> str:
    """For example a, b and c."""
    return " and ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]


def interval_text(estimate: Estimate | Comparison, digits: int = 3, sign: bool = False) -> str:
    """For example 0.812 [0.790, 0.834], or only the value when there is no interval."""
    form = f"{'+' if sign else ''}.{digits}f"
    text = format(estimate.value, form)
    if estimate.low is None:
        return text
    return f"{text} [{estimate.low:{form}}, {estimate.high:{form}}]"


def rank_text(row: Row) -> str:
    """For example 1-3 or 2, or a dash for rows that hold no rank."""
    if row.rank is None:
        return "–"
    return f"{row.rank.low}-{row.rank.high}" if row.rank.low < row.rank.high else str(row.rank.low)


def p_text(comparison: Comparison) -> str:
    """For example p<0.001 or p=0.03, or why there is none."""
    if comparison.p_holm is None:
        return comparison.kind
    return "p<0.001" if comparison.p_holm < 0.001 else f"p={comparison.p_holm:.2g}"


def escape_markdown(text: str) -> str:
    """Text that Markdown and HTML show as it stands, inside a table cell too."""
    escaped = html.escape(text, quote=False)
    return re.sub(r"([\\`*_\[\]|~#!])", r"\\\1", escaped)


def markdown(board: Board) -> str:
    """The table, the verdict and the notes as Markdown; all submitted text is escaped."""
    percent = f"{100 * board.confidence:g} %"
    heading = (
        "rank", "teacher", "seeds", "area", "final", "IQM of areas",
        f"area vs {board.reference}", f"final vs {board.reference}", "time to target", "tail",
        "forgetting", "overhead", "CPU s per run", "signals", "privileges", "reference",
    )  # fmt: skip
    lines = [
        f"# {escape_markdown(board.protocol.name)}",
        "",
        f"Protocol `{board.protocol.fingerprint[:16]}`, budget {board.budget:,} {board.unit}. "
        f"Means over seeds with {percent} intervals; p-values by Welch's test with Holm's "
        "correction. Computed from the entries beside this file; do not edit.",
        "",
        "| " + " | ".join(escape_markdown(cell) for cell in heading) + " |",
        "|" + " --- |" * len(heading),
    ]
    lines += ["| " + " | ".join(map(escape_markdown, _cells(row))) + " |" for row in board.rows]
    for sentences in (board.verdict, board.notes):
        lines += ["", *(f"- {escape_markdown(sentence)}" for sentence in sentences)]
    return "\n".join(lines) + "\n"


def _cells(row: Row) -> list[str]:
    versus, reach = row.versus_reference, row.time_to_target
    compared = [versus.area, versus.final] if versus else []
    differences = [f"{interval_text(d, sign=True)} {p_text(d)}" for d in compared] or ["–", "–"]
    target = f"{reach.restricted_mean.value:,.0f} ({reach.hit_rate:.0%} of runs)" if reach else "–"
    return [
        rank_text(row),
        row.teacher.name,
        f"{len(row.seeds)} {row.status}",
        interval_text(row.area),
        interval_text(row.final),
        interval_text(row.iqm),
        *differences,
        target,
        interval_text(row.tail),
        interval_text(row.forgetting) if row.forgetting else "–",
        "–" if row.overhead is None else f"{row.overhead:.1%}",
        "–" if row.cpu_seconds is None else f"{row.cpu_seconds:.1f}",
        ", ".join(row.teacher.signals) or "–",
        ", ".join(row.teacher.flags) or "–",
        row.teacher.reference or "–",
    ]

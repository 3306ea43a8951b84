"""Teachers over several protocols at once: levels, differences from the reference, times.

Every protocol counts alike; runs are compared within their protocol only. One family of tests: all
teachers against the reference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from rich.text import Text

from benchmark.board import join_names, points_text
from benchmark.conclusions import by_size, evidence, p_text, signed_points
from benchmark.differences import AcrossTasks, across_tasks, smallest_difference
from benchmark.leaderboard import Entry
from benchmark.profiles import aggregates, median_time, ratio_score, speed_up
from benchmark.protocol import Protocol, StatisticsBlock
from benchmark.score_tables import plain_table
from benchmark.statistics import (
    Difference,
    Interval,
    Samples,
    holm,
    mean_interval,
    probability_of_improvement,
    significant,
    welch,
)

FEWEST_SCORES = 20  # an interquartile mean of fewer is close to the mean


@dataclass(frozen=True)
class Overall:
    """One teacher over all protocols; what refers to the reference is None for itself.

    ``lowest`` names the protocol with the lowest mean area. ``speed`` is the geometric mean of how
    many times faster the reference's median time to target is, over ``timed`` protocols.
    """

    name: str
    mean: Interval
    iqm: Interval
    gap: Interval
    scores: int
    lowest: tuple[str, float]
    difference: Difference | None = None
    p: float | None = None
    smallest: float | None = None
    chance: Interval | None = None
    tasks: AcrossTasks | None = None
    speed: float | None = None
    timed: int = 0
    ratio: float | None = None


def overall(
    protocols: Sequence[Protocol], entries: Sequence[Mapping[str, Entry]], names: Sequence[str]
) -> list[Overall]:
    """Aggregate the areas of ``names`` over protocols; each must have an entry under every one."""
    block, reference = protocols[0].statistics, protocols[0].statistics.reference
    samples = {n: [found[n].column("area")[0] for found in entries] for n in names}
    others = [name for name in names if name != reference] if reference in names else []
    versus = {n: welch(samples[n], samples[reference], block.confidence) for n in others}
    corrected = dict(zip(others, holm([d.p for d in versus.values()]), strict=True))
    alpha = (1 - block.confidence) / max(1, sum(d.p is not None for d in versus.values()))
    rows = []
    for name in names:
        row = _levels(protocols, samples[name], name)
        if name in versus:
            row |= {"difference": versus[name], "p": corrected[name]}
            row["smallest"] = smallest_difference(samples[name], samples[reference], alpha=alpha)
            row["chance"] = probability_of_improvement(
                samples[name],
                samples[reference],
                block.confidence,
                block.resamples,
                block.bootstrap_seed,
            )
            row["tasks"] = across_tasks(samples[name], samples[reference])
            row |= _times(protocols, entries, name, reference)
        rows.append(Overall(**row))
    return sorted(rows, key=lambda row: (-row.mean.value, row.name))


def _levels(protocols: Sequence[Protocol], samples: Samples, name: str) -> dict[str, object]:
    block = protocols[0].statistics
    found = aggregates(samples, block.confidence, block.resamples, block.bootstrap_seed)
    means = {p.name: float(np.mean(s)) for p, s in zip(protocols, samples, strict=True)}
    lowest = min(means, key=means.__getitem__)
    return {
        "name": name,
        "mean": mean_interval(samples, block.confidence),
        "iqm": found["iqm"],
        "gap": found["optimality_gap"],
        "scores": sum(len(sample) for sample in samples),
        "lowest": (lowest, means[lowest]),
    }


def _times(
    protocols: Sequence[Protocol],
    entries: Sequence[Mapping[str, Entry]],
    name: str,
    reference: str,
) -> dict[str, object]:
    """Median times to target beside the reference's, where protocols name a target."""
    aimed = [
        found
        for protocol, found in zip(protocols, entries, strict=True)
        if protocol.score.target is not None
    ]
    if not aimed:
        return {}
    mine, theirs = (
        [median_time(found[who].column("time_to_target")[0]) for found in aimed]
        for who in (name, reference)
    )
    factor, timed = speed_up(mine, theirs)
    return {"speed": factor, "timed": timed, "ratio": ratio_score(mine, theirs)}


def overall_table(rows: Sequence[Overall], protocols: Sequence[Protocol]) -> Table:
    """The ranked table over all protocols, 100 columns wide."""
    block = protocols[0].statistics
    table = plain_table(
        f"Over {len(protocols)} protocols: {join_names([p.name for p in protocols])}",
        f"Areas; every protocol counts alike. mean ± half of the {100 * block.confidence:g} % "
        "interval; IQM: interquartile mean of all runs with its bootstrap interval; gap: "
        "optimality gap; p: Welch's test with Holm's correction; +/=/-: protocols on which the "
        f"mean lies above, at and below that of {block.reference}.",
        ("teacher", "mean", "IQM", "gap", f"vs {block.reference}", "p", "+/=/-"),
    )
    for row in rows:
        cells = ["", "", ""]
        if row.difference is not None and row.tasks is not None:
            counts = (row.tasks.wins, row.tasks.ties, row.tasks.losses)
            p = p_text(row.p).removeprefix("p ").removeprefix("= ") if row.p is not None else "–"
            cells = [_half(row.difference, "+"), p, "/".join(map(str, counts))]
        iqm = f"{row.iqm.value:.3f} [{row.iqm.low:.3f}, {row.iqm.high:.3f}]"
        table.add_row(Text(row.name), _half(row.mean), iqm, f"{row.gap.value:.3f}", *cells)
    return table


def _half(found: Interval | Difference, sign: str = "") -> str:
    text = f"{found.value:{sign}.3f}"
    return text if found.low is None else f"{text} ±{(found.high - found.low) / 2:.3f}"


def overall_sentences(rows: Sequence[Overall], protocols: Sequence[Protocol]) -> Iterator[str]:
    """What can be concluded over all protocols, a sentence or three per teacher."""
    block, count = protocols[0].statistics, len(protocols)
    for row in rows:
        if row.difference is None:
            continue
        text = f"{_verdict(row, block, count)} Lowest on {row.lowest[0]} ({row.lowest[1]:.3f})."
        if row.tasks is not None and row.tasks.wins and row.tasks.losses:
            text += f" It is above on {row.tasks.wins} and below on {row.tasks.losses} of them."
        chance = row.chance
        if chance is not None and chance.low is not None:
            text += (
                f" A run has the larger area with probability {chance.value:.2f} "
                f"({chance.low:.2f} to {chance.high:.2f})."
            )
        if row.tasks is not None and row.tasks.p is not None:
            text += f" Wilcoxon's signed ranks over the protocols: {p_text(row.tasks.p)}."
        if row.speed is not None:
            text += (
                f" It reaches the target {row.speed:.2f} times as fast where both do "
                f"({row.timed} protocols); ratio score {row.ratio:.2f}."
            )
        yield text


def _verdict(row: Overall, block: StatisticsBlock, count: int) -> str:
    """Whether one teacher differs from the reference over ``count`` protocols."""
    difference, reference = row.difference, block.reference
    figures = evidence(difference, row.p, block.confidence)
    if significant(difference.kind, row.p, block.confidence):
        side = "above" if difference.value > 0 else "below"
        size, figures = by_size(difference), evidence(by_size(difference), row.p, block.confidence)
        return (
            f"{row.name} averages {points_text(size.value)} points {side} {reference} ({figures})."
        )
    text = (
        f"{row.name} and {reference} cannot be told apart over these {count} protocols "
        f"({signed_points(difference.value)} points, {figures})."
    )
    if row.smallest:
        text += (
            f" That is not equality: a true difference below {points_text(row.smallest)} points "
            "is missed more than one time in five."
        )
    return text


def overall_cautions(rows: Sequence[Overall]) -> Iterator[str]:
    """What limits a comparison over protocols."""
    fewest = min((row.scores for row in rows), default=FEWEST_SCORES)
    if fewest < FEWEST_SCORES:
        yield (
            f"The interquartile mean is of {fewest} runs; below {FEWEST_SCORES} it is hardly more "
            "than a mean."
        )
    yield (
        "The protocols were chosen, not drawn: intervals say how sure the means over these "
        "protocols are, not what another protocol would show."
    )

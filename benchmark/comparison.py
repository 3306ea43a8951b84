"""Pairs of teachers under one protocol, compared as one family of tests.

Every pair is tested twice, on the end of training and on the whole of it; each is one family for
Holm's correction over all pairs. What is only shown beside it, pairs of seeds and permutations, is
no further test of the protocol.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark import statistics
from benchmark.differences import (
    PairedDifference,
    paired_difference,
    permutation_p,
    smallest_difference,
)
from benchmark.leaderboard import Entry, entry_difference, untested
from benchmark.protocol import Protocol
from benchmark.statistics import Difference, Interval

POWER = 0.8
MEASURES = ("final", "area")


@dataclass(frozen=True)
class Judged:
    """One score of one pair: x minus y, in normalised units.

    ``p`` is corrected for all pairs of the family; ``smallest`` is the true difference that the
    runs would have shown with ``POWER``; ``paired`` looks at shared seeds only, ``paired_p`` is
    corrected over all pairs too; ``exact`` is the p-value of all permutations, not corrected.
    """

    difference: Difference
    p: float | None
    smallest: float | None
    paired: PairedDifference | None
    paired_p: float | None
    exact: float | None

    def established(self, confidence: float) -> bool:
        """Whether the difference counts after correction."""
        return statistics.significant(self.difference.kind, self.p, confidence)


@dataclass(frozen=True)
class Pair:
    """Two teachers: both scores, and the chance that a run of x has the larger area."""

    x: str
    y: str
    scores: Mapping[str, Judged]
    chance: Interval
    shared: int


def pairs_of(
    names: Sequence[str], reference: str | None, every: bool = True
) -> list[tuple[str, str]]:
    """Each named teacher with the reference and, if ``every``, all pairs among the named."""
    named = [name for name in dict.fromkeys(names) if name != reference]
    against = [(name, reference) for name in named] if reference is not None else []
    return against + (list(itertools.combinations(named, 2)) if every else [])


def compare_pairs(
    protocol: Protocol, entries: Mapping[str, Entry], pairs: Sequence[tuple[str, str]]
) -> list[Pair]:
    """Compare entries pair by pair, as one family."""
    judged = {
        measure: _family(protocol, [(entries[x], entries[y]) for x, y in pairs], measure)
        for measure in MEASURES
    }
    found = []
    for number, (x, y) in enumerate(pairs):
        scores = {measure: judged[measure][number] for measure in MEASURES}
        chance = _chance(protocol, entries[x], entries[y])
        shared = len(set(entries[x].seeds) & set(entries[y].seeds))
        found.append(Pair(x, y, scores, chance, shared))
    return found


def _family(protocol: Protocol, pairs: Sequence[tuple[Entry, Entry]], measure: str) -> list[Judged]:
    """One score of all pairs, with p-values corrected over them."""
    block = protocol.statistics
    found = [entry_difference(block, x, y, measure) for x, y in pairs]
    corrected = statistics.holm([difference.p for difference in found])
    tests = max(1, sum(difference.p is not None for difference in found))
    paired = [_paired(x, y, measure, block.confidence) for x, y in pairs]
    paired_p = statistics.holm([None if pair is None else pair.p for pair in paired])
    return [
        Judged(
            difference,
            corrected[number],
            smallest_difference(
                x.column(measure), y.column(measure), POWER, (1 - block.confidence) / tests
            ),
            paired[number],
            paired_p[number],
            None if untested(x, y) else permutation_p(x.column(measure)[0], y.column(measure)[0]),
        )
        for number, ((x, y), difference) in enumerate(zip(pairs, found, strict=True))
    ]


def _paired(x: Entry, y: Entry, measure: str, confidence: float) -> PairedDifference | None:
    """The difference over shared seeds; None if an entry is provisional or they share too few."""
    sides = []
    shared = set(x.seeds) & set(y.seeds)
    for entry in (x, y):
        kept = np.isin(entry.seeds, list(shared))
        sides.append([entry.column(measure)[0][kept]])
    if untested(x, y) or len(shared) < 2:
        return None
    return paired_difference(*sides, confidence)


def _chance(protocol: Protocol, x: Entry, y: Entry) -> Interval:
    block = protocol.statistics
    found = statistics.probability_of_improvement(
        x.column("area"), y.column("area"), block.confidence, block.resamples, block.bootstrap_seed
    )
    return Interval(found.value) if untested(x, y) else found

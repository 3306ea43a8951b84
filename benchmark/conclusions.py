"""What a comparison says in words: what can be concluded from it, and what cannot.

A point is 0.01 of a score. A pair that is not told apart is never called equal: the sentence says
which differences the runs could have shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmark.board import Board, join_names, points_text, rank_text
from benchmark.comparison import POWER, Judged, Pair
from benchmark.leaderboard import Entry, gaps
from benchmark.metrics import overhead
from benchmark.protocol import Protocol
from benchmark.statistics import Difference

WHEN = {"final": "at the end of training", "area": "over the whole training"}
LARGE_OVERHEAD = 0.5
FEW_NAMES = 6  # so many teachers are named with their figures, of more the first and the last


def conclusions(protocol: Protocol, entries: Mapping[str, Entry], pair: Pair) -> str:
    """One paragraph about one pair."""
    x, y = entries[pair.x], entries[pair.y]
    tested = [judged for judged in pair.scores.values() if judged.difference.kind != "too few"]
    if not tested:
        return _untested(protocol, x, y, pair)
    if all(_always_level(judged, x, y) for judged in tested):
        return _level(x, y)
    confidence = protocol.statistics.confidence
    sentences = [
        f"{_measured(pair, confidence)}.",
        _resolution(pair, x, y, confidence),
        *_paired(pair, confidence),
        *_exactly(pair),
        *_chance(pair),
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _always_level(judged: Judged, x: Entry, y: Entry) -> bool:
    paired = judged.paired
    return paired is not None and x.seeds == y.seeds and paired.level == paired.runs


def _level(x: Entry, y: Entry) -> str:
    """Equal scores; the hashes of results and curricula say whether the runs are equal too."""
    one, other = ([run.record.result_sha256 for run in e.submission.runs] for e in (x, y))
    text = f"{x.name} and {y.name} have the same end and area on each of their {len(one)} seeds"
    if one == other:
        return f"{text}: their runs are equal to the last digit, curricula included."
    return f"{text}, so nothing tells them apart, although their runs are not the same."


def _untested(protocol: Protocol, x: Entry, y: Entry, pair: Pair) -> str:
    needed = protocol.statistics.listed_from
    reasons = []
    for entry in (x, y):
        count = len(entry.seeds)
        if gaps(protocol, entry.submission):
            reasons.append(f"{entry.name} lacks seeds")
        elif count < needed:
            reasons.append(f"{entry.name} has {count} seed{'s' if count > 1 else ''}")
    judged = pair.scores["final"]
    text = (
        f"{pair.x} and {pair.y}: nothing can be concluded yet. Their ends differ by "
        f"{signed_points(judged.difference.value)} points, but {join_names(reasons)}, and a test "
        f"needs the first {needed} seeds of both."
    )
    if judged.smallest:
        text += (
            f" Between so few runs, scattered as these are, a true difference below "
            f"{points_text(judged.smallest)} points at the end would be missed more than one time "
            f"in five (power {POWER:g})."
        )
    return text


def _measured(pair: Pair, confidence: float) -> str:
    """Both scores of a pair, the end first, in one sentence without its full stop."""
    final, area = pair.scores["final"], pair.scores["area"]
    established = [judged.established(confidence) for judged in (final, area)]
    if established == [False, False]:
        return (
            f"{pair.x} and {pair.y} cannot be told apart, neither {WHEN['final']} "
            f"({_open(final, confidence)}) nor {WHEN['area']} ({_open(area, confidence)})"
        )
    if established == [False, True]:
        return (
            f"{pair.x} averages {_sure(area, pair.y, confidence, WHEN['area'])}, but "
            f"{WHEN['final']} they cannot be told apart ({_open(final, confidence)})"
        )
    text = f"{pair.x} ends {_sure(final, pair.y, confidence)}"
    if established == [True, True]:
        return f"{text} and averages {_sure(area, 'it', confidence, WHEN['area'])}"
    return f"{text}, but {WHEN['area']} they cannot be told apart ({_open(area, confidence)})"


def _sure(judged: Judged, other: str, confidence: float, when: str = "") -> str:
    """For example: 3.1 points above y (95 % interval 1.2 to 5.0, corrected p = 0.003)."""
    difference = judged.difference
    side = "above" if difference.value > 0 else "below"
    text = f"{points_text(abs(difference.value))} points {side} {other}{when and ' ' + when}"
    if difference.kind == "deterministic":
        return f"{text} (in every run: no run varies, so no test applies)"
    return f"{text} ({evidence(by_size(difference), judged.p, confidence)})"


def _open(judged: Judged, confidence: float) -> str:
    """The figures of a difference that is not established."""
    difference = judged.difference
    text = f"{signed_points(difference.value)} points, {evidence(difference, judged.p, confidence)}"
    if difference.low * difference.high > 0:
        text += "; the interval by itself excludes zero, but not after correction"
    return text


def _resolution(pair: Pair, x: Entry, y: Entry, confidence: float) -> str:
    """Which differences the runs could have shown, and that silence is not equality."""
    smallest = [judged.smallest for judged in pair.scores.values()]
    if not all(smallest):
        return ""
    seeds = (
        f"{len(x.seeds)} seeds each"
        if len(x.seeds) == len(y.seeds)
        else f"{len(x.seeds)} and {len(y.seeds)} seeds"
    )
    open_ = [j for j in pair.scores.values() if not j.established(confidence)]
    start = "That is not equality: with" if open_ else "With"
    end, whole = (points_text(value) for value in smallest)
    return (
        f"{start} {seeds}, a true difference below {end} points at the end, or {whole} over the "
        f"whole training, is missed more than one time in five (power {POWER:g})."
    )


def _paired(pair: Pair, confidence: float) -> Iterator[str]:
    judged = pair.scores["final"]
    paired = judged.paired
    if paired is None or paired.kind != "paired":
        return
    text = (
        f"Seed by seed the difference at the end is {signed_points(paired.value)} points "
        f"({points_text(paired.low)} to {points_text(paired.high)}, corrected "
        f"{p_text(judged.paired_p)}); {pair.x} is above in {paired.ahead} of {paired.runs} shared "
        "seeds"
    )
    text += f" and level in {paired.level}" if paired.level else ""
    found = judged.paired_p is not None and judged.paired_p < 1 - confidence
    if found and not judged.established(confidence):
        text += ". The protocol's own test is not paired and does not establish it"
    yield text + "."


def _chance(pair: Pair) -> Iterator[str]:
    chance = pair.chance
    if chance.low is None:
        return
    if chance.value in (0.0, 1.0):
        better, worse = (pair.x, pair.y) if chance.value else (pair.y, pair.x)
        yield f"Every run of {better} has a larger area than every run of {worse}."
        return
    yield (
        f"A run of {pair.x} has the larger area with probability {chance.value:.2f} "
        f"({chance.low:.2f} to {chance.high:.2f})."
    )


def _exactly(pair: Pair) -> Iterator[str]:
    exact = pair.scores["final"].exact
    if exact is not None:
        yield f"By all permutations of the runs {p_text(exact)} at the end, before correction."


def warnings(
    protocol: Protocol, entries: Mapping[str, Entry], pairs: Sequence[Pair], named: bool
) -> list[str]:
    """What limits every comparison made here: seeds, privileges, the family of tests.

    ``named`` says that somebody chose these teachers out of more.
    """
    block, found = protocol.statistics, []
    listed = [entry for entry in entries.values() if entry.status == "listed"]
    if listed:
        names = join_names([f"{entry.name} ({len(entry.seeds)})" for entry in listed])
        found.append(
            f"Fewer than {block.ranked_from} seeds: {names}. Intervals of so few runs are less "
            "sure than they say, and no rank is given."
        )
    few = [entry for entry in entries.values() if entry.status == "provisional"]
    if few:
        names = join_names([f"{entry.name} ({len(entry.seeds)})" for entry in few])
        found.append(
            f"Provisional, without intervals and tests: {names}; needed are the first "
            f"{block.listed_from} seeds of the protocol without a gap."
        )
    found += _privileges(entries, pairs)
    costly = [name for name, entry in entries.items() if _overhead(entry) > LARGE_OVERHEAD]
    if costly:
        found.append(
            f"More than half of the CPU time is the teacher's own: {_few(costly)}. Equal "
            "budgets are not equal times."
        )
    unshared = [f"{pair.x} and {pair.y}" for pair in pairs if pair.shared == 0]
    if unshared:
        found.append(f"No shared seeds: {'; '.join(unshared)}.")
    tests = sum(pair.scores["area"].p is not None for pair in pairs)
    if tests > 1:
        text = (
            f"p-values are corrected (Holm) for {tests} pairs, separately at the end and over the "
            "whole training."
        )
        if named:
            text += " Names that were picked after a look at a larger table make them too small."
        found.append(text)
    return found


def _overhead(entry: Entry) -> float:
    bills = [run.costs for run in entry.submission.runs if run.costs is not None]
    shares = [share for share in map(overhead, bills) if share is not None]
    return sum(shares) / len(shares) if shares else 0.0


def _privileges(entries: Mapping[str, Entry], pairs: Sequence[Pair]) -> Iterator[str]:
    """Teachers that are told different things do not compete on equal terms."""
    told = {n: frozenset(e.submission.teacher.privileges) for n, e in entries.items()}
    if any(told[pair.x] != told[pair.y] for pair in pairs):
        groups: dict[frozenset[str], list[str]] = {}
        for name, privileges in told.items():
            groups.setdefault(privileges, []).append(name)
        parts = [
            f"{_few(names)}: {', '.join(sorted(privileges)) or 'none'}"
            for privileges, names in groups.items()
        ]
        yield (
            f"Privileges differ ({'; '.join(parts)}). A difference between such teachers is also "
            "one between what they are told."
        )


def against_reference(protocol: Protocol, pairs: Sequence[Pair], reference: str) -> Iterator[str]:
    """A few sentences about many teachers against the reference: above, below, not told apart.

    Those without a test are left to ``warnings``.
    """
    confidence = protocol.statistics.confidence
    for measure in ("final", "area"):
        judged = {pair.x: pair.scores[measure] for pair in pairs}
        judged = {n: j for n, j in judged.items() if j.difference.kind != "too few"}
        if not judged:
            continue
        order = sorted(judged, key=lambda name: -judged[name].difference.value)
        sure = [name for name in order if judged[name].established(confidence)]
        above = [name for name in sure if judged[name].difference.value > 0]
        below = [name for name in sure if judged[name].difference.value < 0]
        for side, names in (("above", above), ("below", below[::-1])):
            if names:
                yield (
                    f"{WHEN[measure].capitalize()} {len(names)} of {len(judged)} teachers "
                    f"{'is' if len(names) == 1 else 'are'} {side} {reference}: "
                    f"{_figures(names, judged)}."
                )
        open_ = [name for name in order if name not in sure]
        if open_:
            yield from _not_told_apart(open_, judged, measure, reference)


def places(board: Board) -> Iterator[str]:
    """The rank ranges in words, of not too many teachers."""
    groups: dict[str, list[str]] = {}
    for row in board.rows:
        if row.rank is not None:
            groups.setdefault(rank_text(row).replace("-", " to "), []).append(row.teacher.name)
    ranked = sum(len(names) for names in groups.values())
    if 1 < ranked <= FEW_NAMES:
        parts = [f"{join_names(names)}: {place}" for place, names in groups.items()]
        yield (
            f"Places by area that each of these {ranked} may hold, given all differences between "
            f"them that are established: {'; '.join(parts)}."
        )


def _few(names: Sequence[str]) -> str:
    """All names, or how many there are and the first."""
    if len(names) <= FEW_NAMES:
        return join_names(list(names))
    return f"{len(names)} teachers ({', '.join(names[:FEW_NAMES])} ...)"


def _figures(names: Sequence[str], judged: Mapping[str, Judged]) -> str:
    def one(name: str) -> str:
        found = judged[name].difference
        low, high = points_text(found.low), points_text(found.high)
        return f"{name} {signed_points(found.value)} points ({low} to {high})"

    if len(names) <= FEW_NAMES:
        return join_names([one(name) for name in names])
    return f"from {one(names[0])} to {one(names[-1])}"


def _not_told_apart(
    names: Sequence[str], judged: Mapping[str, Judged], measure: str, reference: str
) -> Iterator[str]:
    """Those that have the reference's very results, and those that only cannot be told from it."""
    same = [n for n in names if (p := judged[n].paired) is not None and p.level == p.runs]
    if same:
        yield (
            f"{WHEN[measure].capitalize()} {join_names(same)} "
            f"{'has' if len(same) == 1 else 'have'} the same result as {reference} on every shared "
            "seed."
        )
    names = [name for name in names if name not in same]
    if not names:
        return
    limits = [judged[name].smallest for name in names if judged[name].smallest]
    text = f"{WHEN[measure].capitalize()} {len(names)} of {len(judged)} teachers "
    text += f"cannot be told apart from {reference}: {_figures(names, judged)}"
    if limits:
        low, high = points_text(min(limits)), points_text(max(limits))
        size = f"{low} points" if low == high else f"{low} points, or {high} for some,"
        text += (
            f". That is not equality: a true difference below {size} is missed more than one time "
            f"in five (power {POWER:g})"
        )
    yield text + "."


def by_size(difference: Difference) -> Difference:
    """The same without its sign: "3 points below" goes with positive bounds."""
    if difference.value >= 0 or difference.low is None:
        return difference
    return replace(difference, value=-difference.value, low=-difference.high, high=-difference.low)


def evidence(difference: Difference, p: float | None, confidence: float) -> str:
    """Interval and corrected p-value of a difference, or why there are none."""
    if difference.low is None or difference.high is None:
        return "too few runs for an interval"
    low, high = points_text(difference.low), points_text(difference.high)
    return f"{100 * confidence:g} % interval {low} to {high}, corrected {p_text(p)}"


def signed_points(score: float) -> str:
    """A difference in points with its sign."""
    return f"{'+' if score >= 0 else ''}{points_text(score)}"


def p_text(p: float | None) -> str:
    """For example p < 0.001 or p = 0.03."""
    if p is None:
        return "without p"
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"

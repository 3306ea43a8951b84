"""Pairs of teachers as one family of tests, and what is said about them."""

import dataclasses

import numpy as np
import pytest

from benchmark import comparison, conclusions, leaderboard, statistics
from benchmark.differences import permutation_p, smallest_difference
from tests import factories

LEVELS = {"uniform": 0.6, "capped": 0.8, "near": 0.605, "anti": 0.3}


@pytest.fixture(scope="module")
def protocol():
    published = factories.supervised_protocol()
    fewer = dataclasses.replace(published.statistics, resamples=500)
    return dataclasses.replace(published, statistics=fewer)


@pytest.fixture(scope="module")
def entries(protocol, tmp_path_factory):
    return make_entries(protocol, tmp_path_factory.mktemp("runs"), LEVELS, range(10))


def make_entries(protocol, runs, levels, seeds, **options):
    made = [
        factories.make_submission(protocol, name, seeds, runs, final=level, **options)
        for name, level in levels.items()
    ]
    return leaderboard.checked_entries(protocol, made)


def paragraph(protocol, entries, x, y="uniform"):
    (pair,) = comparison.compare_pairs(protocol, entries, [(x, y)])
    return pair, conclusions.conclusions(protocol, entries, pair)


def test_pairs_are_with_the_reference_first_and_then_among_the_named():
    pairs = comparison.pairs_of(["a", "uniform", "b", "a"], "uniform")
    assert pairs == [("a", "uniform"), ("b", "uniform"), ("a", "b")]
    assert comparison.pairs_of(["a", "b"], "uniform", every=False) == pairs[:2]
    assert comparison.pairs_of(["a", "b"], None) == [("a", "b")]
    assert comparison.pairs_of(["uniform"], "uniform") == []


def test_one_family_per_score(protocol, entries):
    names = comparison.pairs_of(["capped", "near", "anti"], "uniform")
    pairs = comparison.compare_pairs(protocol, entries, names)
    for measure in comparison.MEASURES:
        columns = {name: entry.column(measure) for name, entry in entries.items()}
        raw = [statistics.welch(columns[x], columns[y]).p for x, y in names]
        found = [pair.scores[measure].p for pair in pairs]
        assert found == pytest.approx(statistics.holm(raw))
        smallest = smallest_difference(columns["near"], columns["uniform"], 0.8, 0.05 / 6)
        assert pairs[1].scores[measure].smallest == pytest.approx(smallest)


def test_pairs_of_seeds_use_shared_seeds_only(protocol, entries, tmp_path):
    more = make_entries(protocol, tmp_path, {"late": 0.7}, range(8))
    pair, text = paragraph(protocol, entries | more, "late")
    assert pair.shared == 8 and pair.scores["final"].paired.runs == 8
    assert "8 and 10 seeds" in text and "of 8 shared seeds" in text


def test_a_clear_difference_is_told_with_its_figures(protocol, entries):
    pair, text = paragraph(protocol, entries, "capped")
    found = pair.scores["final"].difference
    figures = [f"{100 * value:.1f}" for value in (found.value, found.low, found.high)]
    assert text.startswith(
        f"capped ends {figures[0]} points above uniform (95 % interval {figures[1]} to "
        f"{figures[2]}, corrected p < 0.001) and averages "
    )
    least = 100 * pair.scores["final"].smallest
    assert f"With 10 seeds each, a true difference below {least:.1f} points at the end" in text
    assert "not equality" not in text
    assert "Every run of capped has a larger area than every run of uniform." in text


def test_a_teacher_below_has_positive_figures(protocol, entries):
    pair, text = paragraph(protocol, entries, "anti")
    found = pair.scores["final"].difference
    assert text.startswith(
        f"anti ends {-100 * found.value:.1f} points below uniform (95 % interval "
        f"{-100 * found.high:.1f} to {-100 * found.low:.1f}, "
    )
    assert "Every run of uniform has a larger area than every run of anti." in text


def test_what_is_not_told_apart_is_not_called_equal(protocol, entries):
    pair, text = paragraph(protocol, entries, "near")
    assert not any(judged.established(0.95) for judged in pair.scores.values())
    assert text.startswith("near and uniform cannot be told apart, neither at the end")
    assert "That is not equality: with 10 seeds each, a true difference below" in text
    assert "A run of near has the larger area with probability" in text


@pytest.mark.parametrize(
    ("final", "area", "expected"),
    [
        (True, True, "x ends 3.0 points above y (95 % interval 1.0 to 5.0, corrected p = 0.01) and "
         "averages 3.0 points above it over the whole training"),
        (False, True, "x averages 3.0 points above y over the whole training (95 % interval 1.0 to "
         "5.0, corrected p = 0.01), but at the end of training they cannot be told apart (+3.0 "
         "points, 95 % interval 1.0 to 5.0, corrected p = 0.2; the interval by itself excludes "
         "zero, but not after correction)"),
        (True, False, "x ends 3.0 points above y (95 % interval 1.0 to 5.0, corrected p = 0.01), "
         "but over the whole training they cannot be told apart"),
    ],
)  # fmt: skip
def test_the_end_and_the_whole_may_differ(protocol, entries, final, area, expected):
    pair, _ = paragraph(protocol, entries, "capped")
    difference = statistics.Difference(0.03, 0.01, 0.05, 0.005, "welch")
    scores = {
        measure: dataclasses.replace(
            pair.scores[measure], difference=difference, p=0.01 if sure else 0.2
        )
        for measure, sure in (("final", final), ("area", area))
    }
    changed = dataclasses.replace(pair, x="x", y="y", scores=scores)
    named = {"x": entries["capped"], "y": entries["uniform"]}
    assert expected in conclusions.conclusions(protocol, named, changed)


def test_a_paired_finding_does_not_replace_the_protocols_test(protocol, entries):
    pair, _ = paragraph(protocol, entries, "near")
    judged = pair.scores["final"]
    sure = dataclasses.replace(judged, p=0.3, paired_p=0.001)
    changed = dataclasses.replace(pair, scores=pair.scores | {"final": sure})
    text = conclusions.conclusions(protocol, entries, changed)
    assert "The protocol's own test is not paired and does not establish it." in text
    level = dataclasses.replace(changed, scores=pair.scores | {"final": judged})
    assert "does not establish" not in conclusions.conclusions(protocol, entries, level)


def test_teachers_with_the_same_scores_are_told_by_their_runs(protocol, entries):
    first = entries["uniform"]
    teacher = first.submission.teacher.model_copy(update={"name": "no_op"})
    runs = first.submission.runs
    twin = dataclasses.replace(
        first, submission=first.submission.model_copy(update={"teacher": teacher})
    )
    _, text = paragraph(protocol, {"no_op": twin, "uniform": first}, "no_op")
    start = "no_op and uniform have the same end and area on each of their 10 seeds"
    assert text == f"{start}: their runs are equal to the last digit, curricula included."
    # Equal scores of other runs, two teachers under whom nothing is learned, say.
    record = runs[0].record.model_copy(update={"result_sha256": "0" * 64})
    others = [runs[0].model_copy(update={"record": record}), *runs[1:]]
    other = dataclasses.replace(
        twin, submission=twin.submission.model_copy(update={"runs": others})
    )
    _, text = paragraph(protocol, {"no_op": other, "uniform": first}, "no_op")
    assert text == f"{start}, so nothing tells them apart, although their runs are not the same."


def test_few_runs_are_checked_by_all_permutations(protocol, tmp_path):
    few = make_entries(protocol, tmp_path, {"uniform": 0.6, "mine": 0.61}, range(5))
    pair, text = paragraph(protocol, few, "mine")
    columns = [few[name].column("final")[0] for name in ("mine", "uniform")]
    assert pair.scores["final"].exact == permutation_p(*columns)
    assert "By all permutations of the runs p = " in text
    (caution, *_) = conclusions.warnings(protocol, few, [pair], named=True)
    assert caution.startswith("Fewer than 10 seeds: mine (5) and uniform (5).")


def test_provisional_entries_conclude_nothing(protocol, entries, tmp_path):
    few = make_entries(protocol, tmp_path, {"mine": 0.9}, range(3))
    pair, text = paragraph(protocol, entries | few, "mine")
    assert text.startswith("mine and uniform: nothing can be concluded yet.")
    assert "mine has 3 seeds, and a test needs the first 5 seeds of both" in text
    assert "would be missed more than one time in five" in text
    assert pair.chance.low is None and pair.scores["final"].paired is None
    lone = make_entries(protocol, tmp_path / "lone", {"mine": 0.9}, [0])
    with np.errstate(all="raise"):
        _, text = paragraph(protocol, entries | lone, "mine")
    assert "mine has 1 seed, " in text and "missed" not in text
    gap = make_entries(protocol, tmp_path / "gap", {"mine": 0.9}, [0, 1, 2, 3, 4, 6])
    assert "mine lacks seeds" in paragraph(protocol, entries | gap, "mine")[1]


def test_constant_runs_need_no_test(protocol, entries):
    pair, _ = paragraph(protocol, entries, "capped")
    fact = statistics.Difference(0.25, 0.25, 0.25, None, "deterministic")
    scores = {
        measure: dataclasses.replace(judged, difference=fact, p=None, smallest=0.0)
        for measure, judged in pair.scores.items()
    }
    text = conclusions.conclusions(protocol, entries, dataclasses.replace(pair, scores=scores))
    assert text.startswith(
        "capped ends 25.0 points above uniform (in every run: no run varies, so no test applies)"
    )
    assert "missed" not in text


def test_cautions(protocol, entries, tmp_path):
    told = make_entries(protocol, tmp_path, {"told": 0.7}, range(10, 20), privileges=("prior",))
    few = make_entries(protocol, tmp_path, {"few": 0.7}, range(2))
    every = entries | told | few
    pairs = comparison.compare_pairs(
        protocol, every, comparison.pairs_of(["told", "few", "capped"], "uniform")
    )
    text = " ".join(conclusions.warnings(protocol, every, pairs, named=True))
    assert "Provisional, without intervals and tests: told (10) and few (2)" in text  # a gap
    assert "Privileges differ (" in text and "told: prior" in text
    assert "No shared seeds: told and uniform" in text
    assert "picked after a look" not in text  # a single tested pair is no family
    pairs = comparison.compare_pairs(
        protocol, entries, comparison.pairs_of(["near", "capped"], "uniform")
    )
    text = " ".join(conclusions.warnings(protocol, entries, pairs, named=True))
    assert "corrected (Holm) for 3 pairs" in text and "picked after a look" in text
    assert "picked" not in " ".join(conclusions.warnings(protocol, entries, pairs, named=False))


def test_a_costly_teacher_is_named(protocol, entries):
    assert not any("CPU" in text for text in conclusions.warnings(protocol, entries, [], False))
    entry = entries["capped"]
    runs = [
        run.model_copy(update={"costs": run.costs.model_copy(update={"cpu_teacher": 99.0})})
        for run in entry.submission.runs
    ]
    costly = dataclasses.replace(
        entry, submission=entry.submission.model_copy(update={"runs": runs})
    )
    (text,) = conclusions.warnings(protocol, {"capped": costly}, [], named=False)
    assert text.startswith("More than half of the CPU time is the teacher's own: capped.")


def test_many_teachers_are_summed_up(protocol, entries):
    others = [name for name in LEVELS if name != "uniform"]
    pairs = comparison.compare_pairs(
        protocol, entries, comparison.pairs_of(others, "uniform", every=False)
    )
    above, below, open_, *area = conclusions.against_reference(protocol, pairs, "uniform")
    assert above.startswith("At the end of training 1 of 3 teachers is above uniform: capped +")
    assert below.startswith("At the end of training 1 of 3 teachers is below uniform: anti -")
    assert "cannot be told apart from uniform: near" in open_ and "not equality" in open_
    assert len(area) == 3


def test_of_very_many_the_first_and_the_last_are_named(protocol, entries):
    (pair,) = comparison.compare_pairs(protocol, entries, [("capped", "uniform")])
    crowd = [dataclasses.replace(pair, x=f"t{number}") for number in range(9)]
    first, *_ = conclusions.against_reference(protocol, crowd, "uniform")
    assert "9 of 9 teachers are above uniform: from t0 +" in first and " to t8 +" in first
    assert "t4" not in first


def test_places_in_words(protocol, tmp_path):
    made = [
        factories.make_submission(protocol, name, range(10), tmp_path, final=level)
        for name, level in LEVELS.items()
    ]
    board = leaderboard.build_board(protocol, made)
    (text,) = conclusions.places(board)
    assert "capped: 1;" in text
    assert "near and uniform: 2 to 3;" in text or "uniform and near: 2 to 3;" in text
    assert text.endswith("anti: 4.")
    alone = leaderboard.build_board(protocol, made[:1])
    assert list(conclusions.places(alone)) == []

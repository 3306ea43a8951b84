import dataclasses
import itertools
import json

import numpy as np
import pytest
from rich.console import Console

from benchmark import leaderboard, metrics, record, statistics
from benchmark.board import Board, escape_markdown, verdict
from benchmark.errors import LyceumError
from benchmark.table import print_board
from tests import factories

LEVELS = {"uniform": 0.6, "capped": 0.8, "same": 0.6, "anti": 0.3}


@pytest.fixture(scope="module")
def protocol():
    """The published protocol with fewer resamples; the fingerprint follows."""
    published = factories.supervised_protocol()
    fewer = dataclasses.replace(published.statistics, resamples=800)
    return dataclasses.replace(published, statistics=fewer)


@pytest.fixture(scope="module")
def submissions(protocol, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    return {
        name: factories.make_submission(protocol, name, range(10), runs, final=level)
        for name, level in LEVELS.items()
    }


@pytest.fixture(scope="module")
def board(protocol, submissions):
    return leaderboard.build_board(protocol, submissions.values())


def rows_of(board):
    return {row.teacher.name: row for row in board.rows}


def without_family(row):
    """A row without what refers to all rows by definition: Holm's correction and ranks."""
    content = row.content()
    del content["rank"]
    for measure in ("area", "final"):
        if content["versus_reference"]:
            del content["versus_reference"][measure]["p_holm"]
    return content


def some_runs(protocol, tmp_path, name, seeds, **options):
    return factories.make_submission(protocol, name, seeds, tmp_path / name, **options)


def test_rows_are_sorted_by_the_primary_score(board):
    assert [row.teacher.name for row in board.rows][0::3] == ["capped", "anti"]
    areas = [row.area.value for row in board.rows]
    assert areas == sorted(areas, reverse=True)
    assert {row.status for row in board.rows} == {"ranked"}


def test_numbers_agree_with_metrics_and_statistics(protocol, submissions, board):
    def areas(name):
        runs = submissions[name].runs
        return np.array([metrics.score_run(run.record, protocol).area for run in runs])

    row = rows_of(board)["capped"]
    interval = statistics.mean_interval([areas("capped")])
    assert (row.area.value, row.area.low) == pytest.approx((interval.value, interval.low), rel=1e-5)
    assert row.iqm.value == pytest.approx(np.sort(areas("capped"))[2:8].mean(), rel=1e-5)
    difference = statistics.welch([areas("capped")], [areas("uniform")])
    assert row.versus_reference.area.value == pytest.approx(difference.value, rel=1e-5)
    others = [name for name in sorted(LEVELS) if name != "uniform"]
    p_values = [statistics.welch([areas(n)], [areas("uniform")]).p for n in others]
    for name, p in zip(others, statistics.holm(p_values), strict=True):
        found = rows_of(board)[name].versus_reference.area.p_holm
        assert found == pytest.approx(p, rel=1e-5)
    assert row.versus_reference.probability_of_improvement.value == 1.0
    assert row.overhead == pytest.approx(0.1)
    assert row.cpu_seconds == pytest.approx(2 + 3 + 5 / 9, rel=1e-5)


def test_ranks_are_ranges(board):
    ranks = {name: (row.rank.low, row.rank.high) for name, row in rows_of(board).items()}
    assert ranks == {"capped": (1, 1), "uniform": (2, 3), "same": (2, 3), "anti": (4, 4)}


def test_recomputation_is_byte_identical(protocol, submissions, board, tmp_path):
    first = leaderboard.write_board(tmp_path / "a", board)
    entries = tmp_path / "entries"
    for submission in reversed(submissions.values()):
        leaderboard.add_submission(entries, submission)
    again = leaderboard.build_board(protocol, leaderboard.load_submissions(entries)[::-1])
    second = leaderboard.write_board(entries, again)
    assert [path.name for path in first] == ["leaderboard.json", "leaderboard.md"]
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    # The table lies beside the entries and is not taken for one.
    assert len(leaderboard.load_submissions(entries)) == 4


def test_a_board_file_follows_its_schema(board, tmp_path):
    path = leaderboard.write_board(tmp_path, board)[0]
    assert record.validate(Board, json.loads(path.read_text()), "board") == board


@pytest.mark.parametrize("removed", ["capped", "same", "anti"])
def test_removing_a_row_changes_no_other_row(protocol, submissions, board, removed):
    rest = [submission for name, submission in submissions.items() if name != removed]
    fewer = rows_of(leaderboard.build_board(protocol, rest))
    for name, row in rows_of(board).items():
        if name != removed:
            assert without_family(fewer[name]) == without_family(row)


def test_provisional_rows_change_nothing_at_all_for_others(protocol, submissions, board, tmp_path):
    extra = some_runs(protocol, tmp_path, "few", range(2), final=0.9)
    more = rows_of(leaderboard.build_board(protocol, [*submissions.values(), extra]))
    for name, row in rows_of(board).items():
        assert more[name] == row


@pytest.mark.parametrize(
    ("seeds", "status"), [(1, "provisional"), (4, "provisional"), (5, "listed")]
)
def test_few_seeds(protocol, submissions, tmp_path, seeds, status):
    few = some_runs(protocol, tmp_path, "few", range(seeds), final=0.8)
    board = leaderboard.build_board(protocol, [submissions["uniform"], few])
    row = rows_of(board)["few"]
    assert (row.status, row.rank) == (status, None)
    final = row.versus_reference.final
    if status == "listed":
        assert row.area.low < row.area.value < row.area.high
        assert final.p_holm < 0.05
    else:
        assert (row.area.low, row.iqm.high, row.tail.low, final.low) == (None,) * 4
        assert (final.kind, final.p_holm) == ("too few", None)
        assert any("few: provisional" in sentence for sentence in board.verdict)


def test_missing_seeds_make_a_row_provisional(protocol, submissions, tmp_path):
    lucky = some_runs(protocol, tmp_path, "lucky", [0, 1, *range(3, 14)], final=0.8)
    board = leaderboard.build_board(protocol, [submissions["uniform"], lucky])
    assert rows_of(board)["lucky"].status == "provisional"
    assert any("lucky lacks seed 2;" in note for note in board.notes)


def test_without_the_reference_there_are_no_differences(protocol, submissions):
    board = leaderboard.build_board(protocol, [submissions["capped"], submissions["anti"]])
    assert all(row.versus_reference is None for row in board.rows)
    assert "uniform has no entry" in board.notes[0]
    assert board.verdict == ["There is nothing to compare with uniform yet."]
    assert rows_of(board)["capped"].rank.high == 1


def test_other_fingerprints_are_refused(protocol, submissions, tmp_path):
    other = dataclasses.replace(protocol, task=dataclasses.replace(protocol.task, version=2))
    stale = some_runs(other, tmp_path, "stale", range(2))
    with pytest.raises(LyceumError, match=r"entry stale, seed 0: .* another version of digits-noi"):
        leaderboard.build_board(protocol, [submissions["uniform"], stale])
    with pytest.raises(LyceumError, match="at least one"):
        leaderboard.build_board(protocol, [])


def test_foreign_starting_levels_are_noted(protocol, submissions, tmp_path):
    odd = some_runs(protocol, tmp_path, "odd", range(5), start=0.3)
    board = leaderboard.build_board(protocol, [submissions["uniform"], odd])
    assert any("odd does not start at the level of uniform" in note for note in board.notes)
    assert leaderboard.build_board(protocol, submissions.values()).notes == []


def test_verdict_gives_figures_for_both_measures(board):
    final, area = board.verdict[0], board.verdict[3]
    row = rows_of(board)["capped"].versus_reference
    assert final == (
        f"capped ends {100 * row.final.value:.1f} points above uniform (95 % interval "
        f"{100 * row.final.low:.1f} to {100 * row.final.high:.1f}, Holm p < 0.001)."
    )
    assert area.startswith("capped averages ")
    assert "points below uniform (95 % interval" in board.verdict[1]
    low, high = board.verdict[1].split("interval ")[1].split(",")[0].split(" to ")
    assert 0 < float(low) < float(high)
    assert board.verdict[2].endswith("at the end of training is established for same.")


def test_verdict_says_when_nothing_differs(protocol, submissions):
    board = leaderboard.build_board(protocol, [submissions["uniform"], submissions["same"]])
    assert board.verdict == [
        "No teacher differs from uniform at the end of training by more than its interval.",
        "No teacher differs from uniform over the whole training by more than its interval.",
    ]


def test_verdict_does_not_hide_an_interval_that_excludes_zero(protocol, submissions):
    board = leaderboard.build_board(protocol, [submissions["uniform"], submissions["same"]])
    row = rows_of(board)["same"]
    weak = row.versus_reference.final.model_copy(
        update={"value": 0.02, "low": 0.001, "high": 0.039, "p_holm": 0.08}
    )
    versus = row.versus_reference.model_copy(update={"final": weak})
    changed = [
        row.model_copy(update={"versus_reference": versus}) if row.teacher.name == "same" else row
        for row in board.rows
    ]
    sentences = verdict(board.model_copy(update={"rows": changed}))
    assert (
        sentences[0] == "No difference from uniform at the end of training is established for same."
    )
    assert sentences[1].startswith("The interval of same alone excludes zero at the end")


def test_identical_and_constant_runs(protocol, submissions, tmp_path):
    def constant(name, level):
        content = factories.make_content(protocol, name, 0)
        points, tasks = len(protocol.grid), len(content["evaluation"]["tasks"])
        for half in "ab":
            content["evaluation"][f"success_{half}"] = [[level] * tasks] * points
        folders = []
        for seed in range(5):
            folders.append(tmp_path / name / str(seed))
            folders[-1].mkdir(parents=True)
            record.write_run(
                folders[-1],
                factories.sign(content | {"seed": seed}),
                factories.make_costs(protocol),
            )
        return leaderboard.make_submission(folders)

    entries = [constant("uniform", 0.5), constant("equal", 0.5), constant("better", 0.75)]
    board = leaderboard.build_board(protocol, entries)
    rows = rows_of(board)
    assert rows["equal"].versus_reference.final.p_holm == 1.0
    better = rows["better"].versus_reference.final
    assert (better.kind, better.p_holm, better.value) == ("deterministic", None, 0.25)
    assert board.verdict[0] == (
        "better ends 25.0 points above uniform (a deterministic difference: no run varies, so no "
        "test applies)."
    )


def test_one_seed_divides_by_nothing(protocol, tmp_path):
    entries = [some_runs(protocol, tmp_path, name, [0]) for name in ("uniform", "mine")]
    with np.errstate(all="raise"):
        board = leaderboard.build_board(protocol, entries)
    assert {row.status for row in board.rows} == {"provisional"}
    assert board.verdict[-1].startswith("mine and uniform: provisional") or board.verdict[
        -1
    ].startswith("uniform and mine: provisional")


def test_worlds_with_one_episode_per_task(tmp_path):
    protocol = factories.procedural_protocol()
    entry = factories.make_submission(protocol, "uniform", range(5), tmp_path, start=0.0)
    row = leaderboard.build_board(protocol, [entry]).rows[0]
    assert row.forgetting is None
    assert row.time_to_target.hit_rate == 1.0
    assert 0 < row.time_to_target.restricted_mean.value < protocol.budget.total


def test_runs_of_two_teacher_versions_make_no_entry(protocol, tmp_path):
    old = factories.write_runs(protocol, "mine", [0], tmp_path / "old")
    new = factories.write_runs(protocol, "mine", [1], tmp_path / "new", source="edited")
    with pytest.raises(LyceumError, match="one version of the teacher's file"):
        leaderboard.make_submission([*old, *new])
    with pytest.raises(LyceumError, match="at least one finished run"):
        leaderboard.make_submission([])


def test_smoke_runs_make_no_entry(protocol, tmp_path):
    content = factories.make_content(protocol) | {"status": "smoke"}
    record.write_run(tmp_path, content, factories.make_costs(protocol))
    with pytest.raises(LyceumError, match="smoke runs are never compared"):
        leaderboard.make_submission([tmp_path])


def test_merging_is_commutative_associative_and_idempotent(protocol, tmp_path):
    parts = [
        factories.make_submission(protocol, "mine", seeds, tmp_path / str(number))
        for number, seeds in enumerate(([0, 1], [1, 2, 3], [3, 0]))
    ]
    whole = {
        record.format_json(leaderboard.merge(leaderboard.merge(a, b), c).content())
        for a, b, c in itertools.permutations(parts)
    }
    assert len(whole) == 1
    a, b, c = parts
    right = leaderboard.merge(a, leaderboard.merge(b, c))
    assert record.format_json(right.content()) in whole
    assert leaderboard.merge(right, right) == right
    assert [run.record.seed for run in right.runs] == [0, 1, 2, 3]


def test_the_same_result_from_another_machine_is_no_conflict(protocol, tmp_path):
    here = factories.make_submission(protocol, "mine", [0], tmp_path / "here")
    content = here.content()
    content["runs"][0]["costs"]["wall"] = 99.0
    content["runs"][0]["record"]["provenance"]["processor"] = "Another one"
    there = record.validate(type(here), content, "x")
    assert leaderboard.merge(here, there) == leaderboard.merge(there, here)
    content["runs"][0]["costs"] = None
    unknown = record.validate(type(here), content, "x")
    assert leaderboard.merge(unknown, here) == here == leaderboard.merge(here, unknown)


def test_conflicts_are_refused_and_nothing_is_overwritten(protocol, tmp_path):
    path = leaderboard.add_submission(
        tmp_path / "board", factories.make_submission(protocol, "mine", [0], tmp_path / "a")
    )
    before = path.read_bytes()
    content = factories.make_content(protocol, "mine", 0)
    content["evaluation"]["success_a"][4][4] = 0.5
    (tmp_path / "b").mkdir()
    record.write_run(tmp_path / "b", factories.sign(content), factories.make_costs(protocol))
    with pytest.raises(LyceumError, match="conflict: mine, seed 0: two different results"):
        leaderboard.add_submission(
            tmp_path / "board", leaderboard.make_submission([tmp_path / "b"])
        )
    edited = factories.make_submission(protocol, "mine", [1], tmp_path / "c", source="edited")
    with pytest.raises(LyceumError, match="conflict: two entries are called mine"):
        leaderboard.add_submission(tmp_path / "board", edited)
    assert path.read_bytes() == before


def test_adding_more_seeds_extends_an_entry(protocol, tmp_path):
    for number, seeds in enumerate(([0, 1], [1, 2])):
        submission = factories.make_submission(protocol, "mine", seeds, tmp_path / str(number))
        leaderboard.add_submission(tmp_path / "board", submission)
    (found,) = leaderboard.load_submissions(tmp_path / "board")
    assert [run.record.seed for run in found.runs] == [0, 1, 2]


def test_no_teacher_may_take_the_tables_name(protocol, tmp_path):
    for name in ("leaderboard", "Leaderboard"):
        submission = some_runs(protocol, tmp_path, name, [0])
        with pytest.raises(LyceumError, match="the table's own file"):
            leaderboard.add_submission(tmp_path / "board", submission)


def test_all_damaged_files_are_named_at_once(protocol, tmp_path):
    board = tmp_path / "board"
    submission = factories.make_submission(protocol, "good", [0], tmp_path)
    leaderboard.add_submission(board, submission)
    (board / "one.json").write_text('{"a": NaN}')
    (board / "two.json").write_text("{}")
    (board / "three.pyc").write_bytes(b"\x00")
    (board / "four.pkl").write_bytes(b"\x80")
    (board / "five.json").symlink_to(board / "good.json")
    (board / ".hidden").write_text("ignored")
    with pytest.raises(LyceumError) as caught:
        leaderboard.load_submissions(board)
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for name in ("one.json", "two.json", "three.pyc", "four.pkl", "five.json"):
        assert sum(name in line for line in lines) == 1
    assert leaderboard.load_submissions(tmp_path / "nowhere") == []


def test_strangers_text_is_escaped_in_markdown(protocol, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    content = factories.make_content(protocol, "Mine[x=1]")
    content["teacher"]["reference"] = "<script>|[click](http://x) *b* `c`"
    record.write_run(folder, content, factories.make_costs(protocol))
    board = leaderboard.build_board(protocol, [leaderboard.make_submission([folder])])
    path = leaderboard.write_board(tmp_path, board)[1]
    text = path.read_text("utf-8")
    assert "<script>" not in text
    assert r"&lt;script&gt;\|\[click\](http://x) \*b\* \`c\`" in text
    assert r"Mine\[x=1\]" in text
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace(r"\|", "").count("|") for line in table}) == 1
    assert escape_markdown("a_b") == r"a\_b"


@pytest.mark.parametrize("width", [100, 120])
def test_the_table_fits_a_terminal(protocol, submissions, tmp_path, width):
    few = some_runs(protocol, tmp_path, "self_paced_capped", range(3), privileges=("noise_rate",))
    board = leaderboard.build_board(protocol, [*submissions.values(), few])
    console = Console(width=width, record=True, file=open("/dev/null", "w"))
    print_board(console, board)
    text = console.export_text()
    lines = text.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    assert any("capped" in line and "<0.001" in line and "±" in line for line in lines)
    assert "provisional" in text
    assert "noise_rate" in text
    flat = " ".join(text.split())
    assert board.verdict[0] in flat


def test_the_table_prints_names_as_plain_text(protocol, tmp_path):
    entry = some_runs(protocol, tmp_path, "Mine[red]", [0])
    board = leaderboard.build_board(protocol, [entry])
    console = Console(width=120, record=True, file=open("/dev/null", "w"))
    print_board(console, board)
    assert "Mine[red]" in console.export_text()

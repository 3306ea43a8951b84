"""The published leaderboards: recomputed from their entries, byte for byte."""

from functools import cache

import pytest

from benchmark import leaderboard, submissions
from benchmark.board import Board
from benchmark.commands import BOARDS
from benchmark.protocol import Protocol
from benchmark.record import validate
from benchmark.registry import load
from benchmark.strict_json import read_json
from teachers import TEACHERS

FOLDERS = sorted(path.parent for path in BOARDS.glob("*/leaderboard.json"))


@cache
def rows(name):
    """The rows of the published file, which the first test here computes anew."""
    content = read_json(BOARDS / name / "leaderboard.json", 32_000_000)
    return {row.teacher.name: row for row in validate(Board, content, name).rows}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_published_board_is_a_function_of_its_entries(folder, tmp_path):
    protocol = Protocol.load(folder.name)
    entries = submissions.load_submissions(folder)
    assert all(entry.protocol.fingerprint == protocol.fingerprint for entry in entries)
    leaderboard.write_board(tmp_path, leaderboard.build_board(protocol, entries))
    for name in ("leaderboard.json", "leaderboard.md"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_under_label_noise_the_capped_teachers_end_well_above_uniform():
    board = rows("digits-noise-v1")
    for name in ("self_paced_capped", "easy_first_capped"):
        difference = board[name].versus_reference.final
        assert difference.low > 0.15
        assert difference.p_holm < 0.001


def test_on_clean_digits_no_ordering_differs_from_uniform_at_the_end():
    board = rows("digits-standard-v1")
    for name in ("easy_first", "anti", "random_pace", "self_paced", "no_op"):
        difference = board[name].versus_reference.final
        assert difference.p_holm > 0.05
        assert difference.low <= 0 <= difference.high


def test_on_the_hypercube_alp_gmm_beats_uniform():
    difference = rows("hypercube-v1")["alp_gmm"].versus_reference
    assert difference.area.low > 0
    assert difference.final.low > 0.05


def test_no_op_stands_where_uniform_stands():
    for name in ("digits-noise-v1", "digits-standard-v1", "digits-longtail-v1"):
        board = rows(name)
        assert board["no_op"].area == board["uniform"].area
        assert board["no_op"].final == board["uniform"].final


HYPERCUBES = ("v2", "rugged-v1", "unfeasible-v1", "trivial-v1", "forgetting-v1")


def difference(board, name):
    return board[name].versus_reference.area


@pytest.mark.parametrize("variant", HYPERCUBES)
def test_every_teacher_of_boxes_is_ranked_on_the_hypercubes(variant):
    board = rows(f"hypercube-{variant}")
    boxes = {name for name in TEACHERS if "box" in load("teacher", name).spaces}
    assert set(board) == boxes - {"no_op"}
    assert all(row.status == "ranked" and len(row.seeds) >= 20 for row in board.values())


def test_on_the_hypercube_most_teachers_beat_uniform_and_some_known_ones_do_not():
    board = rows("hypercube-v2")
    for name in ("tscl", "exp3s", "currot", "adr", "riac", "covar_gmm", "setter_solver"):
        assert difference(board, name).low > 0.2
    for name in ("easiest", "learning_progress", "sfl"):
        assert difference(board, name).high < 0


def test_a_rugged_space_stops_what_starts_at_the_easy_corner():
    board = rows("hypercube-rugged-v1")
    for name in ("adr", "accel", "doraemon", "expanding_box", "goal_gan", "spdl"):
        assert board[name].final.value == 0
    for name in ("covar_gmm", "riac", "alp_gmm"):
        assert difference(board, name).low > 0.05


def test_goal_gan_loses_a_student_that_forgets_and_tscl_does_not():
    kept, forgotten = rows("hypercube-v2"), rows("hypercube-forgetting-v1")
    for name in ("goal_gan", "exp3s", "linear_anneal"):
        assert forgotten[name].final.value < 0.05 * kept[name].final.value
    for name in ("tscl", "adr"):
        assert forgotten[name].final.value > 0.3 * kept[name].final.value

"""The published leaderboards: recomputed from their entries, byte for byte."""

import pytest

from benchmark import leaderboard, submissions
from benchmark.commands import BOARDS
from benchmark.protocol import Protocol

FOLDERS = sorted(path.parent for path in BOARDS.glob("*/leaderboard.json"))


def rows(name):
    protocol = Protocol.load(name)
    board = leaderboard.build_board(protocol, submissions.load_submissions(BOARDS / name))
    return {row.teacher.name: row for row in board.rows}


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

"""Large entries of a leaderboard are compressed, and nobody can hide a bomb in one."""

import gzip
import zlib

import pytest

from benchmark import submissions
from benchmark.errors import LyceumError
from benchmark.strict_json import read_json
from tests import factories


@pytest.fixture
def protocol():
    return factories.supervised_protocol()


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(submissions, "COMPRESSED_FROM", 100)


def add(protocol, folder, tmp_path, seeds):
    runs = tmp_path / f"runs-{len(list(tmp_path.iterdir()))}"
    submission = factories.make_submission(protocol, "mine", seeds, runs)
    return submissions.add_submission(folder, submission)


def test_a_large_entry_is_compressed_and_read_back(protocol, tmp_path, small_limit):
    board = tmp_path / "board"
    path = add(protocol, board, tmp_path, [0])
    assert path.name == "mine.json.gz" and [path] == list(board.iterdir())
    again = add(protocol, board, tmp_path, [1])
    (entry,) = submissions.load_submissions(board)
    assert again == path and [run.record.seed for run in entry.runs] == [0, 1]
    before = path.read_bytes()
    add(protocol, board, tmp_path, [0])
    assert path.read_bytes() == before  # the same content, the same bytes


def test_small_entries_and_entries_that_were_plain_stay_plain(protocol, tmp_path, monkeypatch):
    board = tmp_path / "board"
    assert add(protocol, board, tmp_path, [0]).name == "mine.json"
    monkeypatch.setattr(submissions, "COMPRESSED_FROM", 100)
    assert add(protocol, board, tmp_path, [1]).name == "mine.json"
    (entry,) = submissions.load_submissions(board)
    assert [run.record.seed for run in entry.runs] == [0, 1]


def test_one_entry_in_two_files_is_refused(protocol, tmp_path, small_limit):
    board = tmp_path / "board"
    path = add(protocol, board, tmp_path, [0])
    (board / "mine.json").write_bytes(gzip.decompress(path.read_bytes()))
    with pytest.raises(LyceumError, match="remove one of the two"):
        submissions.load_submissions(board)


def test_the_file_is_named_after_its_teacher(protocol, tmp_path, small_limit):
    path = add(protocol, tmp_path / "board", tmp_path, [0])
    path.rename(path.with_name("yours.json.gz"))
    with pytest.raises(LyceumError, match=r"mine\.json\.gz"):
        submissions.load_submissions(tmp_path / "board")


def raw_deflate(content):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b" " * 10_000_000, mtime=0), "unpacks to more than 1000 bytes"),
        (gzip.compress(b'{"a": NaN}', mtime=0), "NaN"),
        (gzip.compress(b"{}", mtime=0)[:-3], "cut off"),
        (gzip.compress(b"{}", mtime=0) + b"more", "something follows"),
        (gzip.compress(b"{}", mtime=0) + gzip.compress(b"{}", mtime=0), "something follows"),
        (b"{}", "is no gzip file"),
        (raw_deflate(b"{}"), "is no gzip file"),
        (b"", "cut off"),
    ],
)
def test_damaged_and_bloated_files_are_refused(tmp_path, content, reason):
    path = tmp_path / "entry.json.gz"
    path.write_bytes(content)
    if len(content) > 1000:
        path.write_bytes(content[:1000])  # its head alone unpacks to too much
    with pytest.raises(LyceumError, match=reason):
        read_json(path, 1000)


def test_a_sound_compressed_file_is_read(tmp_path):
    path = tmp_path / "entry.json.gz"
    path.write_bytes(gzip.compress(b'{"a": [1, 2.5]}', mtime=0))
    assert read_json(path, 1000) == {"a": [1, 2.5]}

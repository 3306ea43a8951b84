"""Entries that were tampered with are refused with a reason; honest ones are not."""

import contextlib
import copy
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from benchmark import leaderboard, rerun, verify
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.run import RunRequest, execute
from benchmark.schema import About
from benchmark.strict_json import format_json
from benchmark.template import TEXT
from tests.tampering import BOARDS, FILES, TAMPERED, evaluation, everywhere, sign
from tests.test_cli import TINY

SEEDS = (0, 1, 2)
CODE = TEXT.format(name="Mine")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A board with uniform and easy_first, and the entry of a stranger's file beside it."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "mine.py").write_text(CODE, encoding="utf-8")
    protocol, board = Protocol.load(TINY), folder / "boards" / "tiny-digits"
    about = About.model_validate({"authors": ["Ada"], "paper": "unpublished", "class": "Mine"})
    for teacher, name in (("uniform", ""), ("easy_first", ""), (f"{folder}/mine.py:Mine", "mine")):
        requests = [RunRequest(TINY, teacher, n, runs=str(folder), name=name) for n in SEEDS]
        runs = [execute(request) for request in requests]
        place = folder / "sent" if name else board
        entry = leaderboard.make_submission(runs, about if name else None)
        leaderboard.add_submission(place, entry)
    table = leaderboard.build_board(protocol, leaderboard.load_submissions(board))
    leaderboard.write_board(board, table)
    return folder


def check(what, made, capsys, monkeypatch, boards=None, **options):
    """The exit code and all sentences of ``lyceum leaderboard verify``."""
    monkeypatch.chdir(Path(boards or made).parent)
    console = Console(record=True, width=400, file=open("/dev/null", "w"))
    settings = {"protocol": TINY, "folder": boards or made / "boards", "again": False}
    settings |= {"seed": None, "teacher": None, "runs": Path("reruns")} | options
    try:
        code = verify.verify(console, str(what), **settings)
    except LyceumError as error:
        return 2, str(error)
    return code, console.export_text() + capsys.readouterr().err


@pytest.mark.parametrize("case", TAMPERED)
def test_a_tampered_entry_is_refused_with_its_reason(case, made, tmp_path, capsys, monkeypatch):
    change, reason = TAMPERED[case]
    content = json.loads((made / "sent/mine.json").read_text("utf-8"))
    before = copy.deepcopy(content)
    change(content)
    assert content != before
    path = tmp_path / "mine.json"
    path.write_text(format_json(content), "utf-8")
    code, text = check(path, made, capsys, monkeypatch)
    assert code == 2 and reason in text, text
    assert "Traceback" not in text


def test_at_least_forty_ways_are_tried():
    assert len(TAMPERED) + len(FILES) + len(BOARDS) >= 60


@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_no_entry_is_refused(case, made, tmp_path, capsys, monkeypatch):
    name, change, reason = FILES[case]
    path = tmp_path / name
    path.write_bytes((made / "sent/mine.json").read_bytes())
    change(path)
    code, said = check(path, made, capsys, monkeypatch, boards=tmp_path / "boards")
    assert code == 2 and reason in said, said
    assert not (tmp_path / "exploded").exists()


@pytest.fixture
def boards(made, tmp_path):
    place = tmp_path / "boards" / "tiny-digits"
    place.mkdir(parents=True)
    for path in (made / "boards/tiny-digits").iterdir():
        (place / path.name).write_bytes(path.read_bytes())
    return tmp_path / "boards"


@pytest.mark.parametrize("case", BOARDS)
def test_a_tampered_board_is_refused(case, made, boards, capsys, monkeypatch):
    change, reason = BOARDS[case]
    change(boards / "tiny-digits")
    code, said = check(TINY, made, capsys, monkeypatch, boards=boards)
    assert code == 2 and reason in said, said


def test_honest_entries_and_boards_are_accepted(made, boards, capsys, monkeypatch):
    code, said = check(made / "sent/mine.json", made, capsys, monkeypatch)
    assert code == 0 and "ok    mine: 3 seeds" in said, said
    code, said = check(TINY, made, capsys, monkeypatch, boards=boards)
    assert code == 0 and "ok    uniform: 3 seeds" in said and "ok    easy_first" in said, said
    code, said = check("hypercube-v1", made, capsys, monkeypatch, folder=None)
    assert code == 0 and "ok    alp_gmm: 20 seeds" in said, said


def changed(made, tmp_path, change, name="mine"):
    content = json.loads((made / "sent/mine.json").read_text("utf-8"))
    change(content)
    path = tmp_path / f"{name}.json"
    path.write_text(format_json(content), "utf-8")
    return path


def test_seeds_that_were_left_out_are_named(made, tmp_path, capsys, monkeypatch):
    path = changed(made, tmp_path, lambda content: content["runs"].pop(1))
    code, said = check(path, made, capsys, monkeypatch)
    assert code == 0 and "mine: 2 seeds without 1, so it stays provisional" in said, said


def places(content, path=()):
    """The paths of all values in parsed JSON."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


STRANGE = [None, True, -1, 0, 2**52, 1e308, 0.5, "", "<b>", "\0", [], {}, [[]], {"a": 1}, [0] * 5]


@pytest.mark.parametrize("seed", range(60))
def test_whatever_is_put_anywhere_ends_in_a_sentence(made, tmp_path, capsys, monkeypatch, seed):
    rng = np.random.default_rng(seed)

    def put_anything(content):
        depth = rng.integers(1, 8)
        paths = [path for path in places(content) if len(path) == depth]
        *path, last = paths[rng.integers(len(paths))]
        target = content
        for key in path:
            target = target[key]
        target[last] = STRANGE[rng.integers(len(STRANGE))]
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            sign(content)

    code, said = check(changed(made, tmp_path, put_anything), made, capsys, monkeypatch)
    assert code in (0, 2) and said


def test_a_copied_result_is_named(made, tmp_path, capsys, monkeypatch):
    other = json.loads((made / "boards/tiny-digits/uniform.json").read_text("utf-8"))

    def steal(content):
        teacher = content["teacher"]
        content["runs"] = other["runs"]
        for run in content["runs"]:
            run["record"]["teacher"] = teacher

    code, said = check(changed(made, tmp_path, steal), made, capsys, monkeypatch)
    assert code == 2 and "seed 0, 1, 2: has the very result of uniform" in said, said


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("privileges", [], "teacher.privileges: are not those of easy_first"),
        ("arguments", {"cap": 0.5}, "teacher.arguments: belong to easy_first[cap=0.5]"),
    ],
)
def test_a_registered_name_keeps_what_its_class_declares(
    made, boards, capsys, monkeypatch, key, value, reason
):
    path = boards / "tiny-digits/easy_first.json"
    content = json.loads(path.read_text("utf-8"))
    everywhere(content, f"teacher.{key}", value)
    path.write_text(format_json(content), "utf-8")
    code, said = check(TINY, made, capsys, monkeypatch, boards=boards)
    assert code == 2 and reason in said, said


def test_a_success_is_a_return_above_the_protocols_limit():
    protocol = Protocol.load("stump_tracks-quick-v1")
    folder = verify.BOARDS / protocol.name
    (entry,) = [e for e in leaderboard.load_submissions(folder) if e.teacher.name == "alp_gmm"]
    rule = verify.Verifier(protocol, {})._shares
    assert list(rule(entry.runs[0])) == []
    entry.runs[0].record.evaluation.success_a[-1][0] = 1.0
    entry.runs[0].record.evaluation.score_a[-1][0] = -50.0
    assert any("a success is a return above 230" in text for text in rule(entry.runs[0]))


def forge(content):
    """A better curve that breaks no rule: whole numbers of successes, the true start, signed."""
    rows = evaluation(content)
    count = np.array(rows["count_a"])
    rows["success_a"][-1] = (count / count).tolist()
    sign(content)


def test_a_rerun_tells_a_forged_curve_from_an_honest_one(made, tmp_path, capsys, monkeypatch):
    options = {"again": True, "seed": 0, "teacher": f"{made}/mine.py"}
    path = changed(made, tmp_path, forge)
    assert check(path, made, capsys, monkeypatch)[0] == 0  # no rule can see it
    code, said = check(path, made, capsys, monkeypatch, **options)
    assert code == 2 and "the re-run gave another evaluation (curves differ by up to" in said
    code, said = check(made / "sent/mine.json", made, capsys, monkeypatch, **options)
    assert code == 0 and "same: seed 0: the re-run gave the same record" in said, said


def test_another_installation_is_no_tampering(made, tmp_path, capsys, monkeypatch):
    def older(content):
        forge(content)
        for run in content["runs"]:
            run["record"]["provenance"]["torch"] = "1.0"

    options = {"again": True, "seed": 0, "teacher": f"{made}/mine.py:Mine"}
    code, said = check(changed(made, tmp_path, older), made, capsys, monkeypatch, **options)
    assert code == 1 and "OPEN  mine" in said and "made with another torch" in said, said


def test_a_rerun_takes_only_the_file_that_the_entry_was_made_with(
    made, tmp_path, capsys, monkeypatch
):
    (tmp_path / "other.py").write_text(CODE + "# edited\n", encoding="utf-8")
    for options, reason in (
        ({"teacher": f"{tmp_path}/other.py"}, "is not the file that mine was made with"),
        ({"teacher": None}, "its file is not at hand"),
        ({"teacher": f"{made}/mine.py", "seed": 9}, "mine has seeds 0, 1, 2"),
    ):
        options = {"again": True, **options}
        code, said = check(made / "sent/mine.json", made, capsys, monkeypatch, **options)
        assert code == 2 and reason in said, said


def test_registered_teachers_are_rerun_without_a_file_and_the_seed_is_drawn(
    made, boards, capsys, monkeypatch
):
    seen = set()

    def noted(console, protocol, entry, seed, teacher, runs):
        assert seed is None
        outcome = rerun.rerun(console, protocol, entry, seed, teacher, runs)
        seen.add((entry.teacher.name, outcome.state))
        return outcome

    monkeypatch.setattr(verify, "rerun", noted)
    code, said = check(TINY, made, capsys, monkeypatch, boards=boards, again=True)
    assert code == 0 and seen == {("uniform", "same"), ("easy_first", "same")}, said


def test_no_name_in_an_entry_makes_code_run(made, tmp_path, capsys, monkeypatch):
    (tmp_path / "evil.py").write_text("open('exploded', 'w')\nclass A: pass\n", encoding="utf-8")
    (tmp_path / "evil.toml").write_text(Path(TINY).read_text("utf-8"), encoding="utf-8")
    named = changed(made, tmp_path, lambda c: everywhere(c, "teacher.name", "evil.py"), "evil.py")
    check(named, made, capsys, monkeypatch, boards=tmp_path / "boards", again=True)
    there = changed(made, tmp_path, lambda c: everywhere(c, "protocol.name", "evil.toml"))
    code, said = check(there, made, capsys, monkeypatch, boards=tmp_path / "b", protocol=None)
    assert code == 2 and "evil.toml is no published protocol" in said
    assert not (tmp_path / "exploded").exists()

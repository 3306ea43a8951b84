"""The command line from outside: what a stranger types, and what a mistake is answered with."""

import io
import json
from pathlib import Path

import pytest

from tests.command_line import lyceum, lyceum_process

PROTOCOLS = Path(__file__).parent / "data" / "protocols"
TINY = str(PROTOCOLS / "tiny-digits.toml")
CUBE = str(PROTOCOLS / "tiny-hypercube.toml")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with finished runs of uniform and easy_first under the tiny protocol."""
    folder = tmp_path_factory.mktemp("finished")
    code, out, err = lyceum_process(
        "run", TINY, "-t", "uniform", "-t", "easy_first", "--seeds", 5, cwd=folder
    )
    assert code == 0, err
    return folder, out


def test_run_prints_a_ranked_table_and_writes_the_leaderboard(finished):
    folder, out = finished
    assert "uniform" in out
    assert "easy_first" in out
    board = json.loads((folder / "runs/tiny-digits/leaderboard.json").read_text("utf-8"))
    assert {row["teacher"]["name"] for row in board["rows"]} == {"uniform", "easy_first"}
    assert all(row["status"] == "listed" for row in board["rows"])


def test_a_second_call_keeps_what_is_finished(finished):
    folder, _ = finished
    records = {path: path.read_bytes() for path in folder.rglob("record.json")}
    code, out, _ = lyceum("run", TINY, "-t", "uniform", "--seeds", 5, cwd=folder)
    assert code == 0
    assert "5 kept" in out
    assert all(path.read_bytes() == content for path, content in records.items())


def test_compare_status_and_plot_read_the_same_runs(finished):
    folder, _ = finished
    code, out, _ = lyceum("compare", TINY, cwd=folder)
    assert code == 0
    assert "uniform" in out
    code, out, _ = lyceum("status", cwd=folder)
    assert code == 0
    assert "tiny-digits" in out
    code, out, err = lyceum("plot", TINY, "--out", "figures", cwd=folder)
    assert code == 0, err
    suffixes = sorted({path.suffix for path in (folder / "figures").iterdir()})
    assert suffixes == [".csv", ".png", ".svg"]
    assert len(list((folder / "figures").glob("*.png"))) == 2
    options = ("-t", "uniform", "--out", "others")
    for over in ("updates", "seconds"):
        code, out, err = lyceum("plot", TINY, "--over", over, *options, cwd=folder)
        assert code == 0 and (folder / "others" / f"tiny-digits-curves-{over}.png").exists(), err
    for wrong in (("--over", "second"), ("-t", "unifrom")):
        code, out, err = lyceum("plot", TINY, *wrong, cwd=folder)
        assert code == 2 and "did you mean" in err


def test_leaderboard_takes_entries_and_recomputes(finished, tmp_path):
    folder, _ = finished
    options = ("--folder", tmp_path / "boards")
    code, _, err = lyceum("leaderboard", TINY, "--add", "runs", *options, cwd=folder)
    assert code == 0, err
    place = tmp_path / "boards" / "tiny-digits"
    first = (place / "leaderboard.json").read_bytes()
    assert {path.stem for path in place.glob("*.json")} == {"uniform", "easy_first", "leaderboard"}
    code, out, _ = lyceum("leaderboard", TINY, *options, cwd=folder)
    assert code == 0
    assert "easy_first" in out
    code, _, _ = lyceum("leaderboard", TINY, "--add", "runs", *options, cwd=folder)
    assert (place / "leaderboard.json").read_bytes() == first


def test_a_stranger_writes_checks_and_ranks_a_teacher(finished):
    folder, _ = finished
    code, out, _ = lyceum("new", "my_teacher.py", cwd=folder)
    assert code == 0
    assert len((folder / "my_teacher.py").read_text("utf-8").splitlines()) <= 28
    assert "lyceum check my_teacher.py:MyTeacher" in out
    code, out, err = lyceum("check", "my_teacher.py:MyTeacher", cwd=folder)
    assert code == 0, out + err
    assert "FAIL" not in out
    assert "check_short_run" in out
    name = "my_teacher.py:MyTeacher"
    code, out, err = lyceum("run", TINY, "--teacher", name, "--seeds", 5, cwd=folder)
    assert code == 0, err
    table = out[out.index("rank") :]
    assert "MyTeacher" in table
    assert "uniform" in table


def test_of_two_entries_of_a_teacher_the_one_with_more_seeds_counts(tmp_path):
    from benchmark.commands import gather
    from benchmark.protocol import Protocol

    assert lyceum("run", TINY, "-t", "uniform", "--seeds", 3, cwd=tmp_path)[0] == 0
    boards = tmp_path / "boards"
    options = ("--add", "runs", "--folder", boards)
    assert lyceum("leaderboard", TINY, *options, cwd=tmp_path)[0] == 0
    protocol = Protocol.load(TINY)
    (published,) = gather(protocol, tmp_path / "nothing", local=False, boards=boards)
    assert len(published.runs) == 3
    assert lyceum("run", TINY, "-t", "uniform", "--seeds", 1, "--runs", "few", cwd=tmp_path)[0] == 0
    (chosen,) = gather(protocol, tmp_path / "few", local=False, boards=boards)
    assert len(chosen.runs) == 3
    (own,) = gather(protocol, tmp_path / "few", local=True, boards=boards)
    assert len(own.runs) == 1


def test_a_hyperparameter_gives_an_entry_of_its_own(finished):
    folder, _ = finished
    code, out, err = lyceum(
        "run", TINY, "-t", "easy_first", "--set", "cap=0.6", "--seeds", "0-0", cwd=folder
    )
    assert code == 0, err
    label = "easy_first[cap=0.6]"
    stored = folder / "runs/tiny-digits" / label / "seed-0000/record.json"
    record = json.loads(stored.read_text("utf-8"))
    assert record["teacher"]["arguments"] == {"cap": 0.6}
    assert label in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("run", "digits-nois-v1", "-t", "uniform"), "did you mean 'digits-noise-v1'"),
        (("run", TINY, "-t", "unifrom"), "did you mean 'uniform'"),
        (("run", TINY, "-t", "easy_first", "--set", "capp=1"), "did you mean 'cap'"),
        (("run", TINY, "-t", "easy_first", "--set", "cap"), "name=value"),
        (("run", TINY, "-t", "easy_first", "--set", "cap=7"), "cap"),
        (("run", TINY, "-t", "uniform", "--seeds", "three"), "--seeds"),
        (("run", TINY, "-t", "uniform", "--seeds", "77-78"), "seed 77"),
        (("run", TINY, "-t", "alp_gmm"), "box"),
        (("run", CUBE, "-t", "easy_first"), "discrete"),
        (("run", CUBE, "-t", "nowhere.py:Mine"), "no file nowhere.py"),
        (("run", TINY, "--teachr", "uniform"), "--teacher"),
        (("run", TINY), "--teacher"),
        (("compare", TINY), "no finished run"),
        (("plot", TINY), "no finished run"),
        (("status",), "no runs"),
        (("list", "teacher"), "did you mean 'teachers'"),
        (("check", "unifrom"), "did you mean 'uniform'"),
        (("leaderboard", TINY, "--add", "runs"), "no finished run"),
        (("new", "teacher.txt"), ".py"),
        (("runn",), "run"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, arguments, expected):
    code, out, err = lyceum(*arguments, cwd=tmp_path)
    assert code == 2, out + err
    assert expected in err
    assert "Traceback" not in err
    assert not list(tmp_path.rglob("record.json"))


def test_a_protocol_with_an_unknown_key_names_the_nearest(tmp_path):
    text = Path(TINY).read_text("utf-8").replace("final_window", "final_windw")
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    code, _, err = lyceum("run", "mine.toml", "-t", "uniform", cwd=tmp_path)
    assert code == 2
    assert "did you mean 'final_window'" in err


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("hidden = [16]", "hiden = [16]", "did you mean 'hidden'"),
        ("hidden = [16]", "hidden = [0]", "hidden"),
        ("noise_rate = 0.4 }", "noise_rat = 0.4 }", "did you mean 'noise_rate'"),
        ("noise_rate = 0.4 }", "noise_rate = 4.0 }", "noise_rate"),
        ('name = "digits"', 'name = "digit"', "did you mean 'digits'"),
        ('name = "classifier"', 'name = "ppo"', "does not learn from a supervised task"),
    ],
)
def test_a_protocol_that_cannot_be_built_is_one_sentence(tmp_path, old, new, expected):
    text = Path(TINY).read_text("utf-8")
    assert old in text
    (tmp_path / "mine.toml").write_text(text.replace(old, new), encoding="utf-8")
    code, out, err = lyceum("run", "mine.toml", "-t", "uniform", "--seeds", 1, cwd=tmp_path)
    assert code == 2, out + err
    assert expected in err
    assert "Traceback" not in out + err


def test_held_out_tasks_outside_the_space_are_refused(tmp_path):
    (tmp_path / "mine.toml").write_text(Path(CUBE).read_text("utf-8"), encoding="utf-8")
    tasks = {"columns": ["parameter_1", "parameter_2"], "tasks": [[0.5, 1.5]]}
    (tmp_path / "tiny-hypercube-tasks.json").write_text(json.dumps(tasks), encoding="utf-8")
    code, _, err = lyceum("run", "mine.toml", "-t", "uniform", "--seeds", 1, cwd=tmp_path)
    assert code == 2
    assert "outside the task space" in err


def test_a_faulty_teacher_leaves_the_others_finished(tmp_path):
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nfrom teachers.base import Proposal, Teacher\n\n"
        "class Bad(Teacher):\n    reference = 'none'\n"
        "    def propose(self, count, progress):\n"
        "        return Proposal(np.full((count, 2), np.nan if progress > 0.5 else 0.5))\n",
        encoding="utf-8",
    )
    arguments = ("run", CUBE, "-t", "uniform", "-t", "bad.py:Bad", "--seeds", 2)
    code, out, err = lyceum(*arguments, cwd=tmp_path)
    assert code == 2
    assert "nan" in err
    assert "Traceback" not in out + err
    assert len(list(tmp_path.glob("runs/tiny-hypercube/uniform/*/record.json"))) == 2
    assert len(list(tmp_path.glob("runs/tiny-hypercube/Bad/*/failure.json"))) == 2
    code, out, _ = lyceum("status", cwd=tmp_path)
    assert code == 0
    assert "Bad" in out


def test_a_damaged_record_is_named_and_nothing_else_is_lost(tmp_path):
    assert lyceum("run", CUBE, "-t", "uniform", "--seeds", 2, cwd=tmp_path)[0] == 0
    paths = sorted(tmp_path.rglob("record.json"))
    paths[0].write_bytes(paths[0].read_bytes()[:200])
    other = paths[1].read_bytes()
    for arguments in (("compare", CUBE), ("run", CUBE, "-t", "uniform", "--seeds", "2")):
        code, _, err = lyceum(*arguments, cwd=tmp_path)
        assert code == 2
        assert "record.json" in err
        assert "Traceback" not in err
    assert paths[1].read_bytes() == other


def test_no_room_on_the_disk_is_one_sentence_and_loses_nothing(tmp_path):
    assert lyceum("run", TINY, "-t", "uniform", "--seeds", 1, cwd=tmp_path)[0] == 0
    finished = {path: path.read_bytes() for path in tmp_path.rglob("record.json")}
    again = ("run", TINY, "-t", "uniform", "--seeds", 3)
    code, out, err = lyceum_process(*again, cwd=tmp_path, before="ulimit -f 8")
    assert code == 2, out + err
    assert "the disk is full" in err
    assert "Traceback" not in out + err
    assert {path: path.read_bytes() for path in tmp_path.rglob("record.json")} == finished
    code, out, _ = lyceum(*again, cwd=tmp_path)
    assert code == 0
    assert "1 kept" in out


def test_a_file_with_a_syntax_error_is_explained(tmp_path):
    (tmp_path / "broken.py").write_text("def oops(:\n", encoding="utf-8")
    code, _, err = lyceum("run", TINY, "-t", "broken.py:Mine", cwd=tmp_path)
    assert code == 2
    assert "SyntaxError" in err
    assert "Traceback" not in err


def test_check_fails_a_broken_teacher_and_a_hanging_one(tmp_path):
    (tmp_path / "bad.py").write_text(
        "import numpy as np\nfrom teachers.base import Proposal, Teacher\n\n"
        "class Outside(Teacher):\n    '''Leaves the space.'''\n    reference = 'none'\n"
        "    spaces = ('box',)\n"
        "    def propose(self, count, progress):\n"
        "        return Proposal(np.full((count, *self.task_space.space.shape), 1e9))\n",
        encoding="utf-8",
    )
    code, out, _ = lyceum("check", "bad.py:Outside", cwd=tmp_path)
    assert code == 2
    assert "FAIL" in out


def test_check_wants_names_or_all(tmp_path, monkeypatch):
    for arguments in ((), ("uniform", "--all")):
        code, _, err = lyceum("check", *arguments, cwd=tmp_path)
        assert code == 2 and "--all" in err
    from rich.console import Console

    from benchmark import conformance

    few = {"teacher": {"uniform": ""}, "world": {"hypercube": ""}}
    monkeypatch.setattr(conformance, "TABLES", few)
    console = Console(record=True, width=120)
    assert conformance.check_everything(console) == 0
    text = console.export_text()
    assert "PASS  uniform: 33 passed, 0 failed" in text
    assert "PASS  hypercube: 17 passed, 0 failed" in text


def test_help_teaches_by_example(tmp_path):
    commands = ("new", "list", "run", "status", "compare", "plot", "check", "leaderboard")
    commands += ("play", "gallery", "show", "report")
    for command in commands:
        code, out, _ = lyceum(command, "--help", cwd=tmp_path)
        assert code == 0
        assert "Example: lyceum" in out
    code, out, _ = lyceum("--help", cwd=tmp_path)
    assert all(command in out for command in commands)


def test_list_shows_every_teacher_and_protocol(tmp_path):
    from benchmark.families import families, members
    from benchmark.protocol import Protocol
    from teachers import TEACHERS

    code, out, _ = lyceum("list", cwd=tmp_path)
    assert code == 0
    for name in (*TEACHERS, *(set(Protocol.names()) - set(members()))):
        assert name in out
    for family in families().values():  # one line for all members
        (line,) = [line for line in out.splitlines() if line.startswith(family.name)]
        assert f"({len(family.members)})" in line and family.about in line
    assert not any(name in out for name in members())
    code, out, _ = lyceum("list", "protocols", "--all", cwd=tmp_path)
    assert code == 0 and all(name in out for name in Protocol.names())
    code, out, _ = lyceum("list", "protocols", "rugged", cwd=tmp_path)
    assert code == 0
    for name in Protocol.names():
        assert (f" {name} " in out) == ("rugged" in name)
    code, _, err = lyceum("list", "protocols", "ruged", cwd=tmp_path)
    assert code == 2 and "unknown protocol 'ruged'" in err
    code, _, err = lyceum("list", "teachers", "rugged", cwd=tmp_path)
    assert code == 2 and "only protocols" in err


def test_the_list_of_protocols_fits_a_narrow_terminal():
    from rich.console import Console

    from benchmark.catalogue import print_catalogue

    console = Console(record=True, width=100, file=io.StringIO())
    print_catalogue(console, "protocols")
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 100
    for line in lines[4:]:
        if not line.strip():
            break
        assert line.startswith(" ") and line[1] != " "  # nothing goes on in a second line

"""``lyceum submit`` from outside: one Python file and one TOML file become one entry."""

import gzip
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmark import submit
from benchmark.cli import app
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.record import read_submission
from benchmark.template import TEXT
from tests.test_cli import TINY, lyceum

ABOUT = """name = "surprise"
authors = ["Ada Lovelace", "Zoë Müller"]
paper = "https://example.org/surprise"
class = "Surprise"
privileges = []

[keywords]
floor = 0.3
"""


CODE = TEXT.format(name="Surprise")


def write(folder, about=ABOUT, code=CODE):
    (folder / "mine.py").write_text(code, encoding="utf-8")
    (folder / "mine.toml").write_text(about, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def submitted(tmp_path_factory):
    """What a user's folder holds after ``lyceum submit`` with three seeds, and what it printed."""
    folder = write(tmp_path_factory.mktemp("submitted"))
    code, out, err = lyceum("submit", "mine.py", "--protocol", TINY, "--seeds", 3, cwd=folder)
    assert code == 0, out + err
    return folder, out


def here(folder, monkeypatch, seeds="3", checked=0, **changes):
    """Submit in this process, with conformance answered by ``checked``; the text and the code."""
    calls = []
    monkeypatch.setattr(submit, "check_names", lambda *a: calls.append(a) or checked)
    monkeypatch.chdir(folder)
    console = Console(record=True, width=200, file=open("/dev/null", "w"))
    options = {"protocol": TINY, "about": None, "seeds": seeds, "out": Path("submissions")}
    options |= {"workers": 1, "retry_failed": False, "fresh": False, "options": {"runs": "runs"}}
    code = submit.submit(console, Path("mine.py"), **options | changes)
    return code, console.export_text(), len(calls)


def test_one_command_checks_trains_and_writes_one_entry(submitted):
    folder, out = submitted
    assert "0 of 3 seeds" in out and "PASS  check_state_continues_exactly" in out
    assert "Smoke run: 4,000 presentations passed." in out
    assert "surprise" in out[out.index("rank") :]
    (path,) = (folder / "submissions").rglob("*.*")
    assert path == folder / "submissions/tiny-digits/surprise.json"
    entry = read_submission(path, Protocol.load(TINY))
    assert entry.teacher.arguments == {"floor": 0.3}
    assert entry.about.authors == ["Ada Lovelace", "Zoë Müller"]
    assert (entry.about.paper, entry.about.class_) == ("https://example.org/surprise", "Surprise")
    assert [run.record.seed for run in entry.runs] == [0, 1, 2]
    assert json.loads(path.read_text("utf-8"))["schema"] == "submission/2"
    assert not list(folder.rglob("*smoke*"))


def test_given_again_it_repeats_nothing(submitted, tmp_path, monkeypatch):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    before = {path: path.read_bytes() for path in folder.rglob("*.json")}
    code, out, calls = here(folder, monkeypatch)
    assert (code, calls) == (0, 0)
    assert "3 of 3 seeds" in out and "3 kept" in out and "passed before" in out
    assert {path: path.read_bytes() for path in folder.rglob("*.json")} == before


def test_more_seeds_extend_the_entry(submitted, tmp_path, monkeypatch):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    code, out, calls = here(folder, monkeypatch, seeds="4")
    assert (code, calls) == (0, 0) and "3 kept" in out and "1 finished" in out
    entry = read_submission(folder / "submissions/tiny-digits/surprise.json")
    assert [run.record.seed for run in entry.runs] == [0, 1, 2, 3]


def test_the_next_steps_that_it_prints_work(submitted, tmp_path, monkeypatch):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    steps = [line.split() for line in submitted[1].splitlines() if line.startswith("  lyceum")]
    assert [step[1:3] for step in steps] == [["leaderboard", "verify"], ["leaderboard", TINY]]
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(app, steps[0][1:])
    assert result.exit_code == 0, result.output
    assert "ok    surprise: 3 seeds; same: seed" in result.output
    result = CliRunner().invoke(app, [*steps[1][1:], "--folder", "boards"])
    assert result.exit_code == 0, result.output
    place = folder / "boards/tiny-digits"
    assert sorted(path.name for path in place.iterdir()) == [
        "leaderboard.json",
        "leaderboard.md",
        "surprise.json",
    ]
    sent = folder / "submissions/tiny-digits/surprise.json"
    assert (place / "surprise.json").read_bytes() == sent.read_bytes()


def test_interrupted_it_keeps_what_is_finished_and_continues(submitted, tmp_path, monkeypatch):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    entry = folder / "submissions/tiny-digits/surprise.json"
    wanted = entry.read_bytes()
    entry.unlink()
    shutil.rmtree(folder / "runs/tiny-digits/surprise/seed-0001")
    real = submit.sweep
    monkeypatch.setattr(submit, "sweep", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        here(folder, monkeypatch)
    assert not entry.exists()
    monkeypatch.setattr(submit, "sweep", real)
    code, out, calls = here(folder, monkeypatch)
    assert (code, calls) == (0, 0)
    assert "2 of 3 seeds" in out and "2 kept" in out and "1 finished" in out
    again, before = json.loads(entry.read_text("utf-8")), json.loads(wanted)
    for one, two in zip(again["runs"], before["runs"], strict=True):
        assert one["record"] == two["record"]  # its costs are another day's


def test_an_edited_teacher_is_checked_again_and_its_old_runs_are_not_mixed(
    submitted, tmp_path, monkeypatch
):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    write(folder, code=CODE + "\n# another version\n")
    with pytest.raises(LyceumError, match="made with another file or other keywords"):
        here(folder, monkeypatch)
    shutil.rmtree(folder / "submissions")
    with pytest.raises(LyceumError, match="another teacher source; give --fresh"):
        here(folder, monkeypatch)
    assert len(list(folder.glob("runs/tiny-digits/surprise/*/record.json"))) == 3
    code, _, calls = here(folder, monkeypatch, checked=2, fresh=True)
    assert (code, calls) == (2, 1)
    assert len(list(folder.glob("runs/tiny-digits/surprise/*/record.json"))) == 3


def test_nothing_is_trained_when_conformance_fails(tmp_path, monkeypatch):
    code, out, calls = here(write(tmp_path), monkeypatch, checked=2)
    assert (code, calls) == (2, 1) and "Smoke" not in out
    assert not (tmp_path / "runs").exists() and not (tmp_path / "submissions").exists()


BAD_PROPOSAL = "    def propose(self, count, progress):\n"


def test_a_failing_run_leaves_no_entry_and_a_failing_smoke_run_no_runs(tmp_path, monkeypatch):
    fault = (
        "        if self.difficulty.size > 100 and {}:\n            raise RuntimeError('boom')\n"
    )
    late = CODE.replace(BAD_PROPOSAL, BAD_PROPOSAL + fault.format("0.965 < progress < 0.97"))
    seen, out, _ = here(write(tmp_path, code=late), monkeypatch, seeds="2")
    assert seen == 2 and "No entry is written: it lacks seed 0, 1" in out
    assert not (tmp_path / "submissions").exists()
    other = tmp_path / "other"
    other.mkdir()
    early = CODE.replace(BAD_PROPOSAL, BAD_PROPOSAL + fault.format("progress > 0.3"))
    with pytest.raises(
        LyceumError, match=r"smoke run of 4000 presentations failed: surprise, .*boom"
    ):
        here(write(other, code=early), monkeypatch, seeds="2")
    assert not (other / "runs").exists()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("authors =", "author =", "unknown key 'author'; did you mean 'authors'"),
        ("[keywords]", "[keyword]", "unknown key 'keyword'; did you mean 'keywords'"),
        ("privileges =", "privilege =", "did you mean 'privileges'"),
        ('name = "surprise"\n', "", "the key 'name' is missing"),
        ('class = "Surprise"\n', "", "the key 'class' is missing"),
        ('"surprise"', '"../../surprise"', "name: String should match"),
        ('"surprise"', '"leaderboard"', "the name 'leaderboard' is taken"),
        ('"surprise"', '"Uniform"', "the name 'Uniform' is taken"),
        ('"Zoë Müller"', '"<b>Zoë</b>"', "authors.1: must be plain text"),
        ('"Zoë Müller"', '"Zoë\\u202e"', "authors.1: must be printable"),
        ('["Ada Lovelace", "Zoë Müller"]', '"Ada"', "authors: Input should be a valid list"),
        ('["Ada Lovelace", "Zoë Müller"]', "[]", "authors: List should have at least 1 item"),
        ("https://example.org/surprise", "javascript:alert(1)", "paper: must be plain text"),
        ('"Surprise"', '"Surprize"', "did you mean 'Surprise'"),
        ('"Surprise"', '"os.system"', "class: String should match"),
        ("floor = 0.3", "flor = 0.3", "did you mean 'floor'"),
        ("floor = 0.3", "floor = 2026-01-01", "keywords.floor"),
        ("floor = 0.3", "floor = inf", "keywords.floor"),
        (
            "privileges = []",
            'privileges = ["probe"]',
            "declares none, but the TOML file says probe",
        ),
        ("privileges = []", "privileges = [", "is not valid TOML"),
        ("privileges = []", "privileges = []\n#" + 30000 * "x", "20000 bytes at most"),
    ],
)
def test_a_mistake_in_the_toml_file_is_one_sentence(tmp_path, monkeypatch, old, new, reason):
    assert old in ABOUT
    write(tmp_path, ABOUT.replace(old, new))
    with pytest.raises(LyceumError) as caught:
        here(tmp_path, monkeypatch)
    assert reason in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "runs").exists()


def test_other_mistakes_are_one_sentence_and_exit_code_2(tmp_path, monkeypatch):
    code, out, err = lyceum("submit", "mine.py", "--protocol", TINY, cwd=tmp_path)
    assert code == 2 and "no file mine.toml; it says name, authors" in err
    assert "Traceback" not in out + err
    write(tmp_path)
    for changes, reason in (
        ({"protocol": "digits-nois-v1"}, "did you mean 'digits-noise-v1'"),
        ({"seeds": "77-78"}, "does not list seed 77"),
        ({"protocol": TINY.replace("digits", "hypercube"), "seeds": "1"}, "discrete"),
    ):
        with pytest.raises(LyceumError, match=reason):
            here(tmp_path, monkeypatch, **changes)


def test_the_toml_file_is_no_link(tmp_path, monkeypatch):
    write(tmp_path)
    (tmp_path / "mine.toml").rename(tmp_path / "there.toml")
    (tmp_path / "mine.toml").symlink_to(tmp_path / "there.toml")
    with pytest.raises(LyceumError, match="must be a regular file"):
        here(tmp_path, monkeypatch)


def test_a_large_entry_is_compressed_and_submits_the_same(submitted, tmp_path, monkeypatch):
    folder = shutil.copytree(submitted[0], tmp_path / "copy")
    plain = (folder / "submissions/tiny-digits/surprise.json").read_bytes()
    shutil.rmtree(folder / "submissions")
    monkeypatch.setattr("benchmark.submissions.COMPRESSED_FROM", 100)
    assert here(folder, monkeypatch)[0] == 0
    packed = folder / "submissions/tiny-digits/surprise.json.gz"
    assert gzip.decompress(packed.read_bytes()) == plain


@pytest.mark.parametrize("command", ["submit", "leaderboard", "leaderboard show"])
def test_help_teaches_by_example(command):
    result = CliRunner().invoke(app, [*command.split(), "--help"])
    assert result.exit_code == 0 and f"Example: lyceum {command.split()[0]}" in result.output

"""Whatever is typed or written into a file: one sentence or a right answer, never a traceback."""

import contextlib
import json
import tomllib
from pathlib import Path

import hypothesis.strategies as some
import pytest
from hypothesis import given, settings
from typer.testing import CliRunner

from benchmark.cli import app
from benchmark.errors import LyceumError
from benchmark.protocol import FOLDER, Protocol
from benchmark.record import read_submission
from tests import factories

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
SOURCE = (FOLDER / "digits-noise-v1.toml").read_text("utf-8")
LINES = SOURCE.splitlines()
JUNK = some.sampled_from(
    ["-1", "0", "1e400", "nan", "inf", '""', '"../x"', "[]", "{}", "true", "[1, [2]]", '"<script>"']
)


@EXAMPLES
@given(line=some.integers(0, len(LINES) - 1), junk=JUNK | some.text(max_size=12))
def test_a_protocol_with_any_value_replaced_is_read_or_refused(tmp_path_factory, line, junk):
    lines = list(LINES)
    key = lines[line].split("=")[0]
    lines[line] = f"{key}= {junk}" if "=" in lines[line] else junk
    path = tmp_path_factory.mktemp("p") / "mine-v1.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        protocol = Protocol.load(str(path))
    except LyceumError as error:
        assert str(error)
        return
    # What was accepted is what stands in the file.
    content = tomllib.loads(path.read_text("utf-8"))
    assert content["budget"]["total"] == protocol.budget.total > 0
    assert content["student"]["name"] == protocol.student.name


@EXAMPLES
@given(raw=some.binary(max_size=200))
def test_any_bytes_as_a_protocol_are_read_or_refused(tmp_path_factory, raw):
    path = tmp_path_factory.mktemp("p") / "mine-v1.toml"
    path.write_bytes(raw)
    try:
        Protocol.load(str(path))
    except LyceumError as error:
        assert str(error)
    else:
        raise AssertionError("random bytes were taken for a protocol")


@pytest.fixture(scope="module")
def submission(tmp_path_factory):
    protocol = factories.supervised_protocol()
    made = factories.make_submission(protocol, "mine", range(2), tmp_path_factory.mktemp("runs"))
    return json.dumps(made.model_dump(mode="json", by_alias=True))


@EXAMPLES
@given(data=some.data())
def test_a_submission_with_any_field_replaced_is_read_or_refused(
    tmp_path_factory, submission, data
):
    protocol = factories.supervised_protocol()
    content = json.loads(submission)
    place, parent, key = content, None, None
    for _ in range(data.draw(some.integers(1, 5))):
        if not isinstance(place, (dict, list)) or not place:
            break
        parent = place
        keys = sorted(parent) if isinstance(parent, dict) else range(len(parent))
        key = data.draw(some.sampled_from(list(keys)))
        place = parent[key]
    before = json.dumps(parent[key])
    parent[key] = data.draw(
        some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False)
        | some.text(max_size=8) | some.lists(some.integers(), max_size=2)
    )  # fmt: skip
    path = tmp_path_factory.mktemp("s") / "mine.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    try:
        found = read_submission(path, protocol)
    except LyceumError as error:
        assert str(error)
        return
    changed = json.dumps(parent[key]) != before
    inside = "record" in path.read_text("utf-8")
    assert found.runs and inside
    if changed:  # what is accepted in spite of a change must still hash to what it says
        for run in found.runs:
            assert len(run.record.result_sha256) == 64


WORDS = some.sampled_from(
    ["digits-noise-v1", "hypercube-v2", "uniform", "nobody", "--seeds", "0-1", "9" * 30, "-t", "-p",
     "--set", "cap=0.5", "=", "cap=", "--kind", "radar", "--over", "--local", "../x", "a.toml", "",
     "x.py:Mine", "--plan", "--engine", "print", "\x00", "ü", "--out"]
)  # fmt: skip
COMMANDS = some.sampled_from(["show", "list", "compare", "plot", "status", "sweep", "leaderboard"])


@EXAMPLES
@given(command=COMMANDS, words=some.lists(WORDS, max_size=5))
def test_any_words_on_the_command_line_end_in_an_answer_or_a_sentence(
    tmp_path_factory, command, words
):
    folder = tmp_path_factory.mktemp("c")
    extra = ["--plan"] if command == "sweep" else []
    with contextlib.chdir(folder):
        result = CliRunner().invoke(app, [command, *words, *extra])
    expected = (type(None), SystemExit, LyceumError, OSError)
    assert isinstance(result.exception, expected), (command, words, result.exception)
    assert not [path for path in Path(folder).rglob("*") if path.suffix == ".py"]

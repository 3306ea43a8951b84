import copy
import errno
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from benchmark import record, strict_json
from benchmark.errors import LyceumError
from benchmark.schema import Costs, RunRecord, Submission, clean_text
from tests import factories


@pytest.fixture
def protocol():
    return factories.supervised_protocol()


@pytest.fixture
def folder(protocol, tmp_path):
    return factories.write_runs(protocol, "uniform", [0], tmp_path)[0]


def change(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def edit(path, keys, value):
    content = json.loads(path.read_text("utf-8"))
    place = content
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content), "utf-8")


def test_a_written_run_is_read_back(protocol, folder):
    found, costs = record.read_run(folder, protocol)
    assert found == factories.make_record(protocol)
    assert costs.total().cpu_student == pytest.approx(3.0)
    assert record.read_run(folder)[0].seed == 0


def test_writing_is_deterministic_and_the_record_comes_last(protocol, tmp_path, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append(b.name), replace(a, b)))
    one, two = (factories.write_runs(protocol, "uniform", [0], tmp_path / name)[0] for name in "ab")
    assert (one / "record.json").read_bytes() == (two / "record.json").read_bytes()
    assert order[:2] == ["costs.json", "record.json"]
    assert sorted(path.name for path in one.iterdir()) == ["costs.json", "record.json"]


def test_a_full_disk_leaves_the_old_file_and_no_leftovers(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    record.write_json_atomically(path, {"a": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        record.write_json_atomically(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_without_costs_there_are_none(folder):
    (folder / "costs.json").unlink()
    assert record.read_run(folder)[1] is None


def test_result_hash_covers_results_and_nothing_else(protocol):
    content = factories.make_content(protocol)
    other = copy.deepcopy(content)
    other["provenance"]["processor"] = "Another one"
    assert record.result_sha256(other) == content["result_sha256"]
    other["evaluation"]["success_a"][3][2] = 0.123
    assert record.result_sha256(other) != content["result_sha256"]
    # 0 and 0.0 are the same score, whoever wrote it down.
    other = copy.deepcopy(content)
    other["spent"]["teacher"] = [0] * len(content["grid"])
    assert record.result_sha256(other) == content["result_sha256"]


TEXT_FAULTS = {
    "NaN": ('"seed": 0', '"seed": NaN', "NaN is not allowed"),
    "infinity": ('"seed": 0', '"seed": -Infinity', "not allowed"),
    "overflow": ('"seed": 0', '"seed": 1e999', "1e999 is not finite"),
    "digits": ('"seed": 0', '"seed": ' + "9" * 5000, "5000 digits"),
    "repeated key": ('"seed": 0', '"seed": 0, "seed": 1', "'seed' occurs twice"),
    "nesting": ('"seed": 0', '"seed": ' + "[" * 200_000 + "]" * 200_000, "levels of nesting"),
    "shallow nesting": ('"seed": 0', '"seed": ' + "[" * 40 + "]" * 40, "levels of nesting"),
    "torn": ('"seed": 0', '"seed": 0 # ', "not JSON"),
    "unknown key": ('"seed": 0', '"seed": 0, "sede": 1', "sede: Extra inputs"),
    "wrong type": ('"seed": 0', '"seed": "0"', "seed: Input should be a valid integer"),
    "bool as int": ('"seed": 0', '"seed": true', "seed: Input should be a valid integer"),
    "negative": ('"seed": 0', '"seed": -1', "seed: Input should be greater"),
    "schema": ('"run/1"', '"run/2"', "schema: Input should be 'run/1'"),
    "path as name": ('"name": "uniform"', '"name": "../uniform"', "teacher.name"),
    "line end in name": ('"name": "uniform"', '"name": "uniform\\n"', "teacher.name"),
    "escape codes": ("Somebody", "\\u001b[31mSomebody", "teacher.reference: must be printable"),
    "bidirectional": ("Somebody", "\\u202eSomebody", "teacher.reference: must be printable"),
    "decomposed": ("Somebody", "Some\\u0308body\\u0308", "teacher.reference: must be printable"),
}


@pytest.mark.parametrize("fault", TEXT_FAULTS)
def test_damaged_text_is_refused_in_one_sentence(folder, fault):
    old, new, rule = TEXT_FAULTS[fault]
    change(folder / "record.json", old, new)
    with pytest.raises(LyceumError) as caught:
        record.read_run(folder)
    message = str(caught.value)
    assert rule in message
    assert "record.json: " in message
    assert "\n" not in message
    assert message.isprintable()


FIELD_FAULTS = {
    "grid start": (["grid", 0], 5, "grid: must start at 0"),
    "grid order": (["grid", 3], 1, "grid: must start at 0 and increase"),
    "short column": (["spent", "updates"], [0, 1], "spent.updates: has 2 entries"),
    "falling": (["spent", "student", 2], 0, "spent.student: is cumulative"),
    "edited score": (["evaluation", "success_a", 5, 5], 0.987, "result_sha256: does not match"),
    "above one": (["evaluation", "success_b", 5, 5], 1.5, "success_b: must be shares"),
    "ragged": (["evaluation", "score_a", 5], [0.1], "score_a: must have 21 rows of 10"),
    "counts": (["evaluation", "count_a"], [1, 2], "count_a: must have one entry per task"),
    "empty half": (["evaluation", "count_b", 0], 0, "must be 0 where its half has no episodes"),
    "long text": (["teacher", "reference"], "x" * 301, "teacher.reference"),
    "nested argument": (["teacher", "arguments"], {"a": {"b": 1}}, "teacher.arguments.a"),
    "not a hash": (["curriculum_sha256"], "C" * 64, "curriculum_sha256"),
}


@pytest.mark.parametrize("fault", FIELD_FAULTS)
def test_broken_rules_name_file_field_and_rule(folder, fault):
    keys, value, rule = FIELD_FAULTS[fault]
    edit(folder / "record.json", keys, value)
    with pytest.raises(LyceumError) as caught:
        record.read_run(folder)
    assert rule in str(caught.value)
    assert str(folder / "record.json") in str(caught.value)


def test_size_is_checked_before_anything_is_parsed(folder, monkeypatch):
    monkeypatch.setattr(record, "RUN_BYTES", 100)
    monkeypatch.setattr(strict_json, "parse_json", lambda raw: pytest.fail("was parsed"))
    with pytest.raises(LyceumError, match="at most 100 are read"):
        record.read_run(folder)


def test_missing_linked_and_binary_files_are_refused(folder, tmp_path):
    with pytest.raises(LyceumError, match=r"record.json: cannot be read: No such file"):
        record.read_run(tmp_path)
    path = folder / "record.json"
    path.rename(tmp_path / "elsewhere.json")
    path.symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(LyceumError, match="not a link"):
        record.read_run(folder)
    path.unlink()
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LyceumError, match="not UTF-8"):
        record.read_run(folder)


def test_costs_must_grow_and_fit_the_grid(protocol, folder):
    edit(folder / "costs.json", ["wall", 5], 0.0)
    with pytest.raises(LyceumError, match=r"costs.json: wall: is cumulative"):
        record.read_run(folder)
    costs = factories.make_costs(protocol)
    costs |= {name: values[:5] for name, values in costs.items() if name[:4] in ("cpu_", "wall")}
    record.write_json_atomically(folder / "costs.json", costs)
    with pytest.raises(LyceumError, match="one entry per grid point, 21"):
        record.read_run(folder)


PROTOCOL_FAULTS = {
    "fingerprint": (["protocol", "fingerprint"], "0" * 64, "another version of digits-noise-v1"),
    "name": (["protocol", "name"], "digits-other-v1", "protocol.name"),
    "seed": (["seed"], 999, "seed: 999 is not a seed"),
    "privilege": (["teacher", "privileges"], ["value_function"], "forbids value_function"),
}


@pytest.mark.parametrize("fault", PROTOCOL_FAULTS)
def test_a_record_must_follow_its_protocol(protocol, folder, fault):
    keys, value, rule = PROTOCOL_FAULTS[fault]
    edit(folder / "record.json", keys, value)
    assert record.read_run(folder)[0].teacher.name == "uniform"
    with pytest.raises(LyceumError, match=rule):
        record.read_run(folder, protocol)


def changed(protocol, **parts):
    content = factories.make_content(protocol) | parts
    return RunRecord.model_validate(factories.sign(content))


def test_grid_and_budget_must_be_the_protocols(protocol):
    content = factories.make_content(protocol)
    grid = [0, *(point - 1 for point in content["grid"][1:])]
    with pytest.raises(LyceumError, match="grid: differs from the grid"):
        record.check_against(changed(protocol, grid=grid), protocol, "x")
    for factor in (0.9, 1.3):
        student = [round(factor * point) for point in content["grid"]]
        spent = content["spent"] | {"student": student}
        with pytest.raises(LyceumError, match=r"spent.student: .* must follow the grid"):
            record.check_against(changed(protocol, spent=spent), protocol, "x")
    # What a teacher asked of the probe comes from the same budget.
    spent = content["spent"] | {
        "student": [point // 2 for point in content["grid"]],
        "teacher": [point / 2 for point in content["grid"]],
    }
    record.check_against(changed(protocol, spent=spent), protocol, "x")


def test_held_out_tasks_must_all_be_played():
    protocol = factories.procedural_protocol()
    content = factories.make_content(protocol)
    rows = content["evaluation"]
    fewer = {name: values[:50] for name, values in rows.items() if name in ("tasks", "count_a")}
    fewer |= {"count_b": rows["count_b"][:50]}
    fewer |= {n: [row[:50] for row in rows[n]] for n in rows if n.startswith(("score", "succ"))}
    with pytest.raises(LyceumError, match="100 held-out tasks with 1 episodes each"):
        record.check_against(changed(protocol, evaluation=fewer), protocol, "x")


def test_write_run_makes_foreign_text_printable(protocol, tmp_path):
    content = factories.make_content(protocol)
    content["teacher"]["reference"] = "Me\n(2020), \x1b[31m" + "x" * 400
    content["provenance"]["processor"] = "Tab\tCPU"
    record.write_run(tmp_path, content, factories.make_costs(protocol))
    found, _ = record.read_run(tmp_path)
    assert found.teacher.reference.startswith("Me (2020),  [31mxxx")
    assert found.provenance["processor"] == "Tab CPU"


def test_failures_keep_the_first_lines_of_any_message(tmp_path):
    failure = record.Failure(
        protocol="digits-noise-v1",
        teacher="Mine",
        seed=0,
        kind="teacher",
        message="propose() raised\x1b[2J\nsecond line" + "x" * 3000,
        spent=12.5,
        attempts=1,
    )
    record.write_json_atomically(tmp_path / "failure.json", failure.content())
    found = record.read_failure(tmp_path)
    assert found.message.splitlines()[0] == "propose() raised [2J"
    assert len(found.message) == 2000


def test_teachers_that_no_record_could_hold_are_refused_early():
    record.require_teacher("Mine[cap=0.3]", {"cap": 0.3, "layers": [1, 2], "mode": None})
    with pytest.raises(LyceumError, match="name"):
        record.require_teacher("_hidden", {})
    with pytest.raises(LyceumError, match=r"arguments.a"):
        record.require_teacher("Mine", {"a": {"b": 1}})
    with pytest.raises(LyceumError, match=r"arguments.a"):
        record.require_teacher("Mine", {"a": float("nan")})


def test_a_submission_file_is_named_after_its_teacher(protocol, tmp_path):
    submission = factories.make_submission(protocol, "uniform", [0, 1], tmp_path)
    record.write_json_atomically(tmp_path / "other.json", submission.content())
    with pytest.raises(LyceumError, match=r"the file must be called uniform\.json"):
        record.read_submission(tmp_path / "other.json")
    record.write_json_atomically(tmp_path / "uniform.json", submission.content())
    assert record.read_submission(tmp_path / "uniform.json", protocol) == submission


SUBMISSION_FAULTS = {
    "order": (lambda s: s["runs"].reverse(), "sorted by seed"),
    "twice": (lambda s: s["runs"].append(s["runs"][-1]), "every seed once"),
    "empty": (lambda s: s["runs"].clear(), "runs"),
    "other teacher": (lambda s: s["teacher"].update(name="other"), "teacher: differs"),
    "smoke": (lambda s: s["runs"][0]["record"].update(status="smoke"), "never compared"),
}


@pytest.mark.parametrize("fault", SUBMISSION_FAULTS)
def test_inconsistent_submissions_are_refused(protocol, tmp_path, fault):
    submission = factories.make_submission(protocol, "uniform", [0, 1], tmp_path)
    content, (spoil, rule) = submission.content(), SUBMISSION_FAULTS[fault]
    spoil(content)
    with pytest.raises(LyceumError, match=rule):
        record.validate(Submission, content, "x")


def test_exported_schemas_equal_the_models():
    texts = record.json_schemas()
    assert sorted(path.name for path in record.SCHEMAS.iterdir()) == sorted(texts)
    for name, text in texts.items():
        assert (record.SCHEMAS / name).read_text("utf-8") == text, (
            f"{name} changed: give the model a new schema number, then call export_schemas()"
        )


def test_format_keeps_rows_together():
    text = record.format_json({"b": [[1, 2.5], [3, 4]], "a": {}, "c": []})
    assert text == '{\n "a": {},\n "b": [\n  [1, 2.5],\n  [3, 4]\n ],\n "c": []\n}\n'
    with pytest.raises(ValueError, match="not JSON compliant"):
        record.format_json({"a": float("nan")})


json_values = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats(allow_nan=False) | some.text(),
    lambda inner: some.lists(inner) | some.dictionaries(some.text(), inner),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(raw=some.binary(max_size=60) | json_values.map(lambda v: json.dumps(v).encode()))
def test_no_input_escapes_as_another_kind_of_error(raw):
    try:
        content = strict_json.parse_json(raw)
    except ValueError:
        return
    with pytest.raises(LyceumError):
        record.validate(RunRecord, content, "x")


def _keys(value):
    if isinstance(value, dict):
        return sorted(value)
    return list(range(len(value))) if isinstance(value, list) else []


@settings(max_examples=150, deadline=None, derandomize=True)
@given(data=some.data())
def test_a_record_with_any_field_replaced_is_read_or_refused(data):
    content = factories.make_content(factories.supervised_protocol())
    place = content
    for _ in range(data.draw(some.integers(1, 4))):
        parent = place
        key = data.draw(some.sampled_from(_keys(parent)))
        place = parent[key]
        if not _keys(place):
            break
    parent[key] = data.draw(json_values)
    try:
        record.validate(RunRecord, content, "x")
    except LyceumError as error:
        assert str(error).startswith("x: ")


@settings(deadline=None, derandomize=True)
@given(text=some.text(max_size=50))
def test_cleaned_text_is_always_accepted(text):
    costs = factories.make_costs(factories.supervised_protocol())
    costs["attempts"][0]["reason"] = clean_text(text, 300)
    assert record.validate(Costs, costs, "x").attempts[0].reason == clean_text(text, 300)

"""Every required rule has a twin that is wrong in one way and must fail exactly that rule."""

import importlib.util

import pytest

from teachers import check as teacher_check
from teachers import check_rules, check_stress
from teachers.check import check_teacher
from tests import broken_conduct, broken_teachers

SLOW = "check_same_in_another_process"
# Lines put into a file that is otherwise sound; the file must fail exactly this rule.
LINES = {
    "check_imports_are_allowed": (
        "import os",
        "import random",
        "import gymnasium",
        "from environments import base",
        "from sklearn.datasets import load_digits",
        "from benchmark import registry",
    ),
    "check_no_files_clock_or_network": (
        "TEXT = lambda: open('x')",
        "TABLE = lambda: np.load('x.npy')",
        "RUN = lambda: eval('1')",
    ),
}


def failed(records):
    return {record.name for record in records if record.status == "failed"}


def try_teacher(cls, left_out, **keywords):
    rules = [rule for rule in teacher_check.RULES if rule.__name__ not in left_out]
    return check_teacher(cls, raise_first=False, rules=rules, **keywords)


HOOKS = ["check_weigh_is_valid", "check_transform_loss_is_valid", "check_adjust_is_valid"]


def test_sound_teacher_passes():
    records = check_teacher(broken_teachers.Sound)
    assert [r.name for r in records if r.status == "skipped"] == HOOKS
    assert sum(record.status == "reported" for record in records) == len(teacher_check.REPORTS)
    assert len(records) == len(teacher_check.RULES) + len(teacher_check.REPORTS)


def test_teacher_that_reads_all_it_declares_passes():
    records = check_teacher(broken_teachers.ReadsEverything)
    skipped = [record.name for record in records if record.status == "skipped"]
    assert skipped == ["check_hyperparameters_are_validated"]


def test_what_a_teacher_raises_is_told_with_its_line():
    [record] = check_teacher(
        broken_teachers.WaitsForOutcomes,
        raise_first=False,
        rules=[check_rules.check_many_proposals_without_outcomes],
    )
    assert "RuntimeError: no outcome came (broken_teachers.py, line" in record.reason


@pytest.mark.parametrize("cls", broken_teachers.TWINS, ids=lambda cls: cls.__name__)
def test_broken_teacher_fails_exactly(cls, monkeypatch):
    monkeypatch.setattr(check_stress, "clock", lambda: broken_conduct.TICKS[0])
    expected = broken_teachers.TWINS[cls]
    keywords = broken_teachers.KEYWORDS.get(cls, {})
    left_out = {SLOW, *LINES} - expected  # LINES: rules about the whole file, tried below
    assert failed(try_teacher(cls, left_out, **keywords)) == expected


def load_source(folder, line):
    file = folder / "stranger.py"
    file.write_text(
        f"import numpy as np\n{line}\nfrom teachers.base import Proposal, Teacher\n"
        "class Mine(Teacher):\n"
        "    'A stranger.'\n"
        "    reference = 'own'\n"
        "    spaces = ('discrete',)\n"
        "    def propose(self, count, progress):\n"
        "        return Proposal(self.rng.integers(self.task_space.space.n, size=count))\n"
    )
    spec = importlib.util.spec_from_file_location("stranger", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Mine


@pytest.mark.parametrize(
    ("rule", "line"), [(rule, line) for rule, lines in LINES.items() for line in lines]
)
def test_unfair_file_fails_exactly(rule, line, tmp_path):
    assert failed(try_teacher(load_source(tmp_path, line), {SLOW})) == {rule}


def test_stranger_without_package_passes_in_another_process(tmp_path):
    records = check_teacher(load_source(tmp_path, "import math"))
    assert {r.name: r.status for r in records}[SLOW] == "passed"


def test_every_teacher_rule_has_a_twin():
    covered = set().union(*broken_teachers.TWINS.values()) | set(LINES)
    assert {rule.__name__ for rule in teacher_check.RULES} == covered


def test_first_failure_raises_with_name_and_reason():
    with pytest.raises(AssertionError, match=r"check_class_facts: .*`reference` must say"):
        check_teacher(broken_teachers.NoReference)


def test_expected_failure_is_recorded_with_its_reason():
    records = check_teacher(
        broken_teachers.NoReference, expected_failures={"check_class_facts": "a test"}
    )
    [record] = [record for record in records if record.name == "check_class_facts"]
    assert record == ("check_class_facts", "expected failure", "a test")


def test_checker_refuses_unknown_names():
    with pytest.raises(ValueError, match="unknown rules"):
        check_teacher(broken_teachers.Sound, expected_failures={"check_clas_facts": ""})
    with pytest.raises(ValueError, match="unknown task spaces"):
        check_teacher(broken_teachers.Sound, spaces=["box-3"])
    with pytest.raises(TypeError, match="subclass"):
        check_teacher(int)


def test_parametrize_yields_every_rule():
    cases = list(teacher_check.parametrize_with_checks([broken_teachers.Sound]))
    assert {rule for _, rule, _ in cases} == set(teacher_check.RULES)
    assert len({name for name, _, _ in cases}) == len(cases)

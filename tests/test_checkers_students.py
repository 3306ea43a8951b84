"""Every rule for students has a twin that must fail exactly that rule."""

import pytest

from students.check import check_student
from students.check_acting import ACTING_RULES
from students.check_supervised import SUPERVISED_RULES
from tests import broken_students

TWINS = broken_students.ACTING_TWINS | broken_students.SUPERVISED_TWINS


def failed(records):
    return {record.name for record in records if record.status == "failed"}


@pytest.mark.parametrize(
    ("cls", "rules"),
    [(broken_students.Climber, ACTING_RULES), (broken_students.Linear, SUPERVISED_RULES)],
)
def test_sound_students_pass(cls, rules):
    got = [(record.name, record.status) for record in check_student(cls)]
    assert got == [(rule.__name__, "passed") for rule in rules]


@pytest.mark.parametrize("cls", TWINS, ids=lambda cls: cls.__name__)
def test_broken_student_fails_exactly(cls):
    assert failed(check_student(cls, raise_first=False)) == TWINS[cls]


@pytest.mark.parametrize(
    ("rules", "twins"),
    [
        (ACTING_RULES, broken_students.ACTING_TWINS),
        (SUPERVISED_RULES, broken_students.SUPERVISED_TWINS),
    ],
    ids=["acting", "supervised"],
)
def test_every_rule_has_a_twin(rules, twins):
    assert {rule.__name__ for rule in rules} == set().union(*twins.values())


def test_failures_raise_unless_expected():
    with pytest.raises(AssertionError, match="check_alignment_shape"):
        check_student(broken_students.AlignmentColumn)
    records = check_student(
        broken_students.AlignmentColumn, expected_failures={"check_alignment_shape": "a test"}
    )
    assert ("check_alignment_shape", "expected failure", "a test") in records
    with pytest.raises(ValueError, match="unknown rules"):
        check_student(broken_students.Linear, expected_failures={"check_shape": ""})
    with pytest.raises(TypeError, match="subclass"):
        check_student(dict)

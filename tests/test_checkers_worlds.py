"""Every rule for worlds and supervised tasks has a twin that must fail exactly that rule."""

import pytest

from environments.check import check_environment, check_task
from environments.check_tasks import TASK_RULES
from environments.check_worlds import WORLD_RULES
from tests import broken_worlds


def failed(records):
    return {record.name for record in records if record.status == "failed"}


def test_sound_classes_pass():
    for check, cls, rules in (
        (check_environment, broken_worlds.Walk, WORLD_RULES),
        (check_task, broken_worlds.Table, TASK_RULES),
        (check_task, broken_worlds.Fresh, TASK_RULES),
    ):
        assert [(r.name, r.status) for r in check(cls)] == [
            (rule.__name__, "passed") for rule in rules
        ]


@pytest.mark.parametrize("cls", broken_worlds.WORLD_TWINS, ids=lambda cls: cls.__name__)
def test_broken_world_fails_exactly(cls):
    records = check_environment(cls, raise_first=False)
    assert failed(records) == broken_worlds.WORLD_TWINS[cls]


@pytest.mark.parametrize("cls", broken_worlds.TASK_TWINS, ids=lambda cls: cls.__name__)
def test_broken_task_fails_exactly(cls):
    assert failed(check_task(cls, raise_first=False)) == broken_worlds.TASK_TWINS[cls]


@pytest.mark.parametrize(
    ("rules", "twins"),
    [(WORLD_RULES, broken_worlds.WORLD_TWINS), (TASK_RULES, broken_worlds.TASK_TWINS)],
    ids=["worlds", "tasks"],
)
def test_every_rule_has_a_twin(rules, twins):
    assert {rule.__name__ for rule in rules} == set().union(*twins.values())


def test_failures_raise_unless_expected():
    with pytest.raises(AssertionError, match=r"check_datasheet: .*lacks the headings"):
        check_environment(broken_worlds.NoDatasheet)
    records = check_environment(
        broken_worlds.NoDatasheet, expected_failures={"check_datasheet": "a test"}
    )
    assert ("check_datasheet", "expected failure", "a test") in records
    with pytest.raises(ValueError, match="unknown rules"):
        check_environment(broken_worlds.Walk, expected_failures={"check_datashet": ""})

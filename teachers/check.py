"""The conformance checker of teachers, for the house's own and for strangers'.

``check_teacher(MyTeacher)`` tries a class on small task spaces with synthetic pupils, one rule per
function. Required rules pass or fail; reports on behaviour only tell figures.
"""

from __future__ import annotations

import contextlib
import io
import traceback
import unittest
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gymnasium import spaces as gymnasium_spaces

from teachers import proposals
from teachers.base import Teacher
from teachers.check_classroom import SPACES, Room
from teachers.check_conduct import CONDUCT_RULES
from teachers.check_rules import PROPOSAL_RULES, Rule
from teachers.check_stress import REPORTS, STRESS_RULES

RULES: tuple[Rule, ...] = PROPOSAL_RULES + STRESS_RULES + CONDUCT_RULES


class CheckRecord(NamedTuple):
    """One rule: its name, a status and the reason.

    The status is "passed", "failed", "skipped", "expected failure" or, for behaviour, "reported".
    """

    name: str
    status: str
    reason: str


def check_teacher(
    cls: type[Teacher],
    *,
    expected_failures: Mapping[str, str] | None = None,
    raise_first: bool = True,
    spaces: Iterable[str] | None = None,
    rules: Iterable[Rule] | None = None,
    **keywords: Any,
) -> list[CheckRecord]:
    """Try a teacher class against every rule and return one record per rule.

    Args:
        cls: the class.
        expected_failures: names of rules that are known to fail, each with the reason.
        raise_first: raise at the first failure instead of recording it.
        spaces: names of task spaces to try; all that the class can teach if None.
        rules: the rule functions; all rules and reports if None.
        **keywords: hyperparameters to build the teacher with.

    Raises:
        AssertionError: a required rule failed and ``raise_first`` is set.
        ValueError: an unknown task space or an unknown rule in ``expected_failures``.
        TypeError: ``cls`` is not a subclass of ``Teacher``.
    """
    expected = dict(expected_failures or {})
    unknown = set(expected) - {rule.__name__ for rule in RULES}
    if unknown:
        known = ", ".join(rule.__name__ for rule in RULES)
        raise ValueError(f"expected_failures names unknown rules {sorted(unknown)}; known: {known}")
    rooms = _rooms(cls, spaces, keywords)
    records = []
    for rule in (*RULES, *REPORTS) if rules is None else rules:
        record = _try(rule, _places(rule, rooms))
        if record.status == "failed" and rule in REPORTS:
            record = record._replace(status="reported", reason=f"not measured: {record.reason}")
        if record.status == "failed" and rule.__name__ in expected:
            record = record._replace(status="expected failure", reason=expected[rule.__name__])
        if record.status == "failed" and raise_first:
            raise AssertionError(f"{record.name}: {record.reason}")
        records.append(record)
    return records


def parametrize_with_checks(
    classes: Iterable[type[Teacher]], **keywords: Any
) -> Iterator[tuple[str, Rule, Room]]:
    """Yield (name, rule, room) for ``pytest.mark.parametrize``; call ``rule(room)`` in the test.

    A rule raises AssertionError when broken and ``unittest.SkipTest`` when it does not apply.
    """
    for cls in classes:
        rooms = _rooms(cls, None, keywords)
        for rule in RULES:
            for room in _places(rule, rooms):
                yield f"{cls.__name__}-{rule.__name__}-{room.name}", rule, room


def _try(rule: Rule, rooms: list[Room]) -> CheckRecord:
    """Apply one rule in its rooms and sum up: a failure beats a pass, a pass beats a skip."""
    passed, told, skipped = False, [], "not for this kind of task space"
    for room in rooms:
        try:
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                warnings.simplefilter("ignore")
                answer = rule(room)
        except unittest.SkipTest as reason:
            skipped = str(reason)
        except Exception as error:
            return CheckRecord(rule.__name__, "failed", f"on {room.name}: {_explain(error)}")
        else:
            passed = True
            told += [f"{room.name}: {answer}"] if isinstance(answer, str) else []
    status = "skipped" if not passed else "reported" if rule in REPORTS else "passed"
    return CheckRecord(rule.__name__, status, "; ".join(told) if passed else skipped)


def _explain(error: Exception) -> str:
    """The message of a broken rule, or what was raised and on which line of whose file."""
    frames = traceback.extract_tb(error.__traceback__)
    if type(error) is AssertionError or frames[-1].filename == proposals.__file__:
        return str(error)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    place = f"{Path(own[-1].filename).name}, line {own[-1].lineno}"
    return f"{type(error).__name__}: {error} ({place})"


def _rooms(
    cls: type[Teacher], names: Iterable[str] | None, keywords: Mapping[str, Any]
) -> list[Room]:
    """One room per task space that is asked for and that the class can teach."""
    if not (isinstance(cls, type) and issubclass(cls, Teacher)):
        raise TypeError(f"expected a subclass of teachers.base.Teacher; got {cls!r}")
    wanted = list(SPACES) if names is None else list(names)
    unknown = set(wanted) - set(SPACES)
    if unknown:
        raise ValueError(f"unknown task spaces {sorted(unknown)}; known: {', '.join(SPACES)}")
    kinds = {
        name: "discrete" if isinstance(space, gymnasium_spaces.Discrete) else "box"
        for name, space in SPACES.items()
    }
    return [Room(cls, name, keywords) for name in wanted if kinds[name] in cls.spaces]


def _places(rule: Rule, rooms: list[Room]) -> list[Room]:
    """The rooms a rule is meant for; a rule limited to one space takes the first room instead."""
    limited = getattr(rule, "spaces", None)
    if limited is None:
        return rooms
    found = [room for room in rooms if room.name in limited]
    return found or (rooms[:1] if len(limited) == 1 else [])

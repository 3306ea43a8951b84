"""The conformance checker of students, of both contracts.

``check_student(MyStudent)`` tries a class rule by rule; one rule is one function, in
``check_acting.py`` (procedural worlds) and ``check_supervised.py`` (data sets).
"""

from __future__ import annotations

import contextlib
import io
import unittest
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from students.base import Student, SupervisedStudent
from students.check_acting import ACTING_RULES
from students.check_supervised import SUPERVISED_RULES

Rule = Callable[[Callable[..., Any]], Any]


class CheckRecord(NamedTuple):
    """One rule: name; "passed", "failed", "skipped" or "expected failure"; the reason."""

    name: str
    status: str
    reason: str


def check_student(
    cls: type[Student] | type[SupervisedStudent],
    *,
    expected_failures: Mapping[str, str] | None = None,
    raise_first: bool = True,
    rules: Iterable[Rule] | None = None,
    **keywords: Any,
) -> list[CheckRecord]:
    """Try a student class against every rule of its contract and return one record per rule.

    Args:
        cls: the class.
        expected_failures: names of rules that are known to fail, each with the reason.
        raise_first: raise at the first failure instead of recording it.
        rules: the rule functions; all rules of the class's contract if None.
        **keywords: hyperparameters to build the student with.

    Raises:
        AssertionError: a rule failed and ``raise_first`` is set.
        ValueError: ``expected_failures`` names an unknown rule.
        TypeError: ``cls`` is neither a ``Student`` nor a ``SupervisedStudent``.
    """
    if not (isinstance(cls, type) and issubclass(cls, Student | SupervisedStudent)):
        raise TypeError(f"expected a subclass of Student or SupervisedStudent; got {cls!r}")
    known = ACTING_RULES if issubclass(cls, Student) else SUPERVISED_RULES
    expected = dict(expected_failures or {})
    unknown = set(expected) - {rule.__name__ for rule in known}
    if unknown:
        names = ", ".join(rule.__name__ for rule in known)
        raise ValueError(f"expected_failures names unknown rules {sorted(unknown)}; known: {names}")

    def make(*arguments: Any, **more: Any) -> Any:
        return cls(*arguments, **{**keywords, **more})

    records = []
    for rule in known if rules is None else rules:
        status, reason = _try(rule, make)
        if status == "failed" and rule.__name__ in expected:
            status, reason = "expected failure", expected[rule.__name__]
        if status == "failed" and raise_first:
            raise AssertionError(f"{rule.__name__}: {reason}")
        records.append(CheckRecord(rule.__name__, status, reason))
    return records


def _try(rule: Rule, make: Callable[..., Any]) -> tuple[str, str]:
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            return "passed", rule(make) or ""
    except unittest.SkipTest as reason:
        return "skipped", str(reason)
    except Exception as error:
        kind = "" if type(error) is AssertionError else f"{type(error).__name__}: "
        return "failed", f"{kind}{error}"

"""The conformance checker of procedural worlds and supervised tasks.

``check_environment(MyWorld)`` and ``check_task(MyTask)`` try a class rule by rule; one rule is one
function, in ``check_worlds.py`` and ``check_tasks.py``.
"""

from __future__ import annotations

import contextlib
import functools
import io
import unittest
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from environments.check_tasks import TASK_RULES
from environments.check_worlds import WORLD_RULES

Rule = Callable[[Callable[..., Any]], Any]


class CheckRecord(NamedTuple):
    """One rule: name; "passed", "failed", "skipped" or "expected failure"; the reason."""

    name: str
    status: str
    reason: str


def check_environment(
    factory: Callable[..., Any],
    *,
    expected_failures: Mapping[str, str] | None = None,
    raise_first: bool = True,
    rules: Iterable[Rule] = WORLD_RULES,
    **keywords: Any,
) -> list[CheckRecord]:
    """Try a ``ProceduralEnv`` against every rule and return one record per rule.

    Args:
        factory: the class, or a function that builds a world; it takes ``render_mode``.
        expected_failures: names of rules that are known to fail, each with the reason.
        raise_first: raise at the first failure instead of recording it.
        rules: the rule functions.
        **keywords: arguments to build the world with.

    Raises:
        AssertionError: a rule failed and ``raise_first`` is set.
        ValueError: ``expected_failures`` names an unknown rule.
    """

    def make(**more: Any) -> Any:
        return factory(**keywords, **more)

    return _run(tuple(rules), make, expected_failures or {}, raise_first)


def check_task(
    factory: Callable[..., Any],
    *,
    expected_failures: Mapping[str, str] | None = None,
    raise_first: bool = True,
    rules: Iterable[Rule] = TASK_RULES,
    **keywords: Any,
) -> list[CheckRecord]:
    """Try a ``SupervisedTask``; arguments, result and errors as in ``check_environment``."""
    make = functools.partial(factory, **keywords)
    return _run(tuple(rules), make, expected_failures or {}, raise_first)


def _run(
    rules: tuple[Rule, ...],
    make: Callable[..., Any],
    expected: Mapping[str, str],
    raise_first: bool,
) -> list[CheckRecord]:
    unknown = set(expected) - {rule.__name__ for rule in rules}
    if unknown:
        known = ", ".join(rule.__name__ for rule in rules)
        raise ValueError(f"expected_failures names unknown rules {sorted(unknown)}; known: {known}")
    records = []
    for rule in rules:
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

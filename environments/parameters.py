"""Checks of what a world is built with: one of several names, and the bounds of its task."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from environments.base import TaskParameter


def one_of(name: str, choice: str, known: Iterable[str]) -> None:
    """Refuse a choice that is not known.

    Raises:
        ValueError: with the known choices and the nearest one.
    """
    known = list(known)
    if choice not in known:
        near = difflib.get_close_matches(str(choice), known, n=1, cutoff=0.0)[0]
        raise ValueError(
            f"{name} must be one of {', '.join(known)}, but is {choice!r}; did you mean {near!r}?"
        )


def bounded(
    used: Sequence[TaskParameter],
    left_out: Sequence[TaskParameter],
    bounds: Mapping[str, Sequence[float]],
) -> tuple[TaskParameter, ...]:
    """The parameters ``used`` with other bounds; a default outside moves to the nearest.

    Equal bounds pin a parameter: teachers and tasks keep the dimension, which then has no width.

    Raises:
        ValueError: a name is neither used nor ``left_out``, or a range is empty or not finite.
    """
    names = [parameter.name for parameter in (*used, *left_out)]
    unknown = sorted(set(bounds) - set(names))
    if unknown:
        raise ValueError(f"task_bounds names {unknown}, but the task parameters are {names}")
    parameters = []
    for one in used:
        low, high = (float(end) for end in bounds.get(one.name, (one.low, one.high)))
        if not (np.isfinite([low, high]).all() and low <= high):
            raise ValueError(
                f"task_bounds of {one.name} must be finite with low <= high, but are "
                f"({low}, {high})"
            )
        default = min(max(one.default, low), high)
        parameters.append(replace(one, low=low, high=high, default=default))
    return tuple(parameters)

"""Presets: how a teacher behaves by default, and as a published release does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

PRESETS = ("corrected", "parity")


def choose(
    who: str, preset: str, behaviours: Mapping[str, tuple[Any, Any]], given: Sequence[Any]
) -> dict[str, Any]:
    """Return the value of every behaviour: the given one, or the preset's where that is None.

    Args:
        who: the teacher's name, for the message.
        preset: one of ``PRESETS``.
        behaviours: per name its value in "corrected" and in "parity"; no other one is allowed.
        given: per behaviour what the user asked for, or None.

    Raises:
        ValueError: an unknown preset or behaviour.
    """
    if preset not in PRESETS:
        raise ValueError(f"{who} needs preset to be one of {PRESETS}, not {preset!r}")
    chosen = {}
    for (name, known), value in zip(behaviours.items(), given, strict=True):
        if value not in (None, *known):
            raise ValueError(f"{who} needs {name} to be one of {known}, not {value!r}")
        chosen[name] = known[PRESETS.index(preset)] if value is None else value
    return chosen


def require(who: str, low: float, high: float, **numbers: float) -> None:
    """Check that numbers lie in [low, high]; infinity is never allowed.

    Raises:
        ValueError: one is out of range, infinite or NaN.
    """
    for name, value in numbers.items():
        if not (low <= value <= high and value < np.inf):
            raise ValueError(f"{who} needs {low:g} <= {name} <= {high:g}, not {value}")

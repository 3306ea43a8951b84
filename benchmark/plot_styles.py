"""What figures share: colours and dashes of teachers, their order, names of axes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmark.protocol import Protocol

# Okabe and Ito's palette (2008) and two more, safe for colour-blind readers.
_PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C6D31")
_DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
# One colour and dash per known teacher in every figure; capped and plain forms differ in both.
_KNOWN = {
    "easy_first": (2, 0),
    "easy_first_capped": (4, 1),
    "self_paced": (3, 0),
    "self_paced_capped": (1, 1),
    "anti": (5, 1),
    "random_pace": (6, 0),
    "no_op": (7, 1),
    "alp_gmm": (0, 0),
}
_REFERENCE = ("#4D4D4D", "-")
_CROWD = 12  # from more teachers on, only the reference and the best have colours
FAINT = "0.8"


def teacher_style(name: str, reference: str = "uniform") -> tuple[str, Any]:
    """The fixed colour and dash pattern of a teacher; strangers get one from their name."""
    if name == reference:
        return _REFERENCE
    if name in _KNOWN:
        color, dash = _KNOWN[name]
        return _PALETTE[color], _DASHES[dash]
    number = sum(place * ord(letter) for place, letter in enumerate(name, 1))
    return _PALETTE[number % len(_PALETTE)], _DASHES[2 + number // len(_PALETTE) % 2]


def apart(names: Iterable[str], reference: str) -> dict[str, tuple[str, Any]]:
    """The styles of a few teachers, where two of the same colour would not be told apart.

    Everyone keeps the fixed colour unless somebody before has it.
    """
    styles: dict[str, tuple[str, Any]] = {}
    for name in names:
        color, dash = teacher_style(name, reference)
        taken = {used for used, _ in styles.values()}
        free = [color, *(other for other in _PALETTE if other not in taken)]
        styles[name] = (free[1] if color in taken and len(free) > 1 else color, dash)
    return styles


def styles_of(scores: Mapping[str, np.ndarray], reference: str) -> dict[str, tuple[str, Any]]:
    """Colour and dash of every teacher; in a crowd, of the best by mean score and the reference."""
    if len(scores) <= _CROWD:
        return {name: teacher_style(name, reference) for name in scores}
    styles = dict.fromkeys(scores, (FAINT, "-"))
    others = [name for name in scores if name != reference]
    best = sorted(others, key=lambda name: -scores[name].mean())[: len(_PALETTE)]
    styles |= {name: (color, "-") for name, color in zip(best, _PALETTE, strict=True)}
    return styles | ({reference: _REFERENCE} if reference in scores else {})


def ordered(protocol: Protocol, names: Iterable[str]) -> list[str]:
    """The reference first, known teachers in their fixed order, then everybody else by name."""
    rank = {protocol.statistics.reference: -1, **{name: i for i, name in enumerate(_KNOWN)}}
    return sorted(names, key=lambda name: (rank.get(name, len(rank)), name))


def unit_label(unit: str) -> str:
    """What is spent, for an axis."""
    return {"presentations": "example presentations"}.get(unit, unit)


def score_label(protocol: Protocol) -> str:
    """What the normalised score means, for an axis."""
    score = protocol.score
    plain = (score.low, score.high) == (0.0, 1.0)
    if score.measure == "return":
        return "mean episode return" if plain else "normalised episode return"
    what = "test accuracy" if protocol.task.kind == "supervised" else "share of tasks mastered"
    return what if plain else f"normalised {what}"

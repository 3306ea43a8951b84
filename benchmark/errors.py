"""The one kind of error that is the user's to mend: a sentence, no traceback, exit code 2."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class LyceumError(Exception):
    """Says what was expected, what came and the likely cause; the command line exits with 2."""


class TeacherError(LyceumError):
    """A teacher broke its contract: it raised, took too long or proposed something invalid."""


def unknown(kind: str, name: str, known: Iterable[str]) -> LyceumError:
    """An error for a name that is not known, with the nearest known one."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"; did you mean '{near[0]}'?" if near else ""
    return LyceumError(f"unknown {kind} '{name}'{hint} (known: {', '.join(known)})")


def print_error(sentence: str) -> None:
    """Tell the user on standard error, in one line however long."""
    from rich.console import Console  # only a mistake pays for it

    Console(stderr=True).print(
        f"error: {sentence}", style="red", markup=False, highlight=False, soft_wrap=True
    )

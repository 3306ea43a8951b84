"""What the report says of teachers: from the suite's own docstrings, or only from their entries.

The code of strangers is never imported; a name that is registered is this suite's own class.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from benchmark.registry import TABLES, load, public_hyperparameters, source_sha256
from benchmark.report_data import Entry, Standing
from teachers.status import STATUS

Departure = tuple[str, list[str]]  # an opening sentence and its list


@dataclass(frozen=True)
class TeacherPage:
    """One teacher with its results by protocol; what only a registered one can say is empty else.

    ``source_sha256`` is that of the file in this suite, to be compared with what the entries ran.
    """

    name: str
    registered: bool
    reference: str
    spaces: list[str]
    signals: list[str]
    privileges: list[str]
    changes: list[str]
    status: str
    results: list[tuple[Standing, Entry]]
    summary: str = ""
    about: str = ""
    departures: list[Departure] = field(default_factory=list)
    hyperparameters: dict[str, Any] = field(default_factory=dict)
    source_sha256: str = ""

    @property
    def flags(self) -> list[str]:
        """What sets it apart from a plain run, as boards say it."""
        return [*self.privileges, *(f"changes the {word}" for word in self.changes)]


def teacher_pages(found: Iterable[Standing]) -> list[TeacherPage]:
    """A page for every teacher that has an entry, by name."""
    results: dict[str, list[tuple[Standing, Entry]]] = {}
    for item in found:
        for name, entry in item.entries.items():
            results.setdefault(name, []).append((item, entry))
    return [
        (_registered if name in TABLES["teacher"] else _foreign)(name, results[name])
        for name in sorted(results, key=lambda name: (name.casefold(), name))
    ]


def _registered(name: str, results: list[tuple[Standing, Entry]]) -> TeacherPage:
    cls = load("teacher", name)
    summary, *rest = _paragraphs(inspect.getdoc(cls) or "")
    return TeacherPage(
        name=name,
        registered=True,
        reference=cls.reference,
        spaces=list(cls.spaces),
        signals=list(cls.signals),
        privileges=list(cls.privileges),
        changes=list(cls.changes),
        status=STATUS[name],
        results=results,
        summary=summary,
        about=_first_description(rest),
        departures=departures(inspect.getdoc(sys.modules[cls.__module__]) or ""),
        hyperparameters=public_hyperparameters(cls),
        source_sha256=source_sha256(cls),
    )


def _foreign(name: str, results: list[tuple[Standing, Entry]]) -> TeacherPage:
    """What the entries of a teacher say that is not registered; they may differ, so all count."""
    told = [entry.row.teacher for _, entry in results]
    return TeacherPage(
        name=name,
        registered=False,
        reference=told[0].reference,
        spaces=[],
        signals=sorted({word for identity in told for word in identity.signals}),
        privileges=sorted({word for identity in told for word in identity.privileges}),
        changes=sorted({word for identity in told for word in identity.changes}),
        status="not part of this suite",
        results=results,
    )


def departures(docstring: str) -> list[Departure]:
    """The paragraphs of a module's docstring that list departures from the paper."""
    return [
        _split_list(block)
        for block in docstring.split("\n\n")
        if block.startswith(("Departures ", "Departure "))
    ]


def _split_list(block: str) -> Departure:
    """An opening sentence and the items below it, each joined to one line."""
    lead: list[str] = []
    items: list[list[str]] = []
    for line in block.splitlines():
        if line.startswith("- "):
            items.append([line[2:]])
        else:
            (items[-1] if items else lead).append(line.strip())
    return " ".join(lead), [" ".join(item) for item in items]


def _paragraphs(docstring: str) -> list[str]:
    return [" ".join(block.split()) for block in docstring.split("\n\n")]


def _first_description(paragraphs: list[str]) -> str:
    """The paragraph after the summary, unless it already is a list of arguments."""
    headings = ("Args:", "Attributes:", "Raises:", "Returns:")
    return paragraphs[0] if paragraphs and not paragraphs[0].startswith(headings) else ""

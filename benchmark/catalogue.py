"""What there is to choose from, as tables in the terminal."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from benchmark.errors import LyceumError, unknown
from benchmark.families import families, members
from benchmark.protocol import Protocol
from benchmark.registry import TABLES, load
from teachers.status import STATUS

KINDS = ("teachers", "protocols", "worlds", "tasks", "students")
COSTS = Path(__file__).with_name("teacher_costs.json")  # written by tests/bench_teachers.py
HEADINGS = ("name", "task spaces", "reads", "privileges", "µs per task", "status", "reference")
WIDTHS = (26, 8, 10, 14, 7, 20, 13)  # 120 columns with their rules
PAGE = """# The catalogue of teachers

Written by `python -m benchmark.catalogue`, also to be had as `lyceum list teachers`. What a
teacher does, its departures from the paper and its hyperparameters: `lyceum show NAME`.

- **reads**: signals beyond task, score, success and length.
- **privileges**: what a plain run does not have; a protocol must allow them, and boards print
  them. "changes the objective" and "changes the student": the student does not minimise plain
  weighted cross-entropy, or is altered on the way (teachers/hooks.py); every protocol allows that.
- **µs per task**: CPU microseconds per proposed task, updates included, over 10,000 episodes of
  2000 steps in two dimensions (pools: 20 passes over 1000 examples), one thread; asking the
  student is not included. 2000 steps of StumpTracks took {episode:,} in the same run. Measured by
  `python -m tests.bench_teachers`.

PAIRED (Dennis et al. 2020, arXiv 2012.02096) is missing on purpose. Its teacher is paid the
regret of the student against a second student, the antagonist, that trains on the same levels. A
probe answers for the one student and never trains it, and a teacher never touches an optimiser:
an antagonist would be a second student within the teacher, with rollouts and updates that no bill
shows. It needs a loop of its own with two students in one budget, as do minimax with a trained
generator and REPAIRED.
"""


def print_catalogue(console: Console, what: str, part: str = "", every: bool = False) -> None:
    """Print one kind of thing, or all of them.

    Of protocols, those whose name holds ``part``, or with ``every`` all of them; without both the
    members of a family share a line.

    Raises:
        LyceumError: ``what`` is not a kind, or no protocol's name holds ``part``.
    """
    if what not in (*KINDS, "all"):
        raise unknown("kind", what, (*KINDS, "all"))
    if part and what != "protocols":
        raise LyceumError(f"only protocols are listed by a part of their name, not {what}")
    for kind in KINDS if what == "all" else (what,):
        if kind == "protocols":
            _print_protocols(console, part, every)
        elif kind == "teachers":
            console.print(_teachers())
        else:
            console.print(_things(kind))


def teacher_rows() -> list[tuple[str, ...]]:
    """One row per registered teacher; its cells are those of ``HEADINGS``."""
    costs = _measured()["microseconds_per_task"]
    return [
        (
            name,
            ", ".join(cls.spaces),
            ", ".join(cls.signals) or "scores only",
            ", ".join([*cls.privileges, *(f"changes the {word}" for word in cls.changes)])
            or "none",
            f"{costs[name]:.2g}" if costs[name] < 10 else f"{costs[name]:,.0f}",
            STATUS[name],
            cls.reference,
        )
        for name, cls in ((name, load("teacher", name)) for name in sorted(TABLES["teacher"]))
    ]


def print_page() -> None:
    """Print ``docs/catalogue.md``."""
    print(PAGE.format(episode=_measured()["episode_microseconds"]))
    print("| " + " | ".join(HEADINGS) + " |")
    print("|---" * len(HEADINGS) + "|")
    for name, *middle, reference in teacher_rows():
        paper, _, link = reference.rpartition(", ")
        cell = f"[{paper}]({link})" if link.startswith("http") else reference
        print("| " + " | ".join([f"`{name}`", *middle, cell]) + " |")


def _measured() -> dict[str, Any]:
    """What tests/bench_teachers.py wrote."""
    return json.loads(COSTS.read_text("utf-8"))


def _teachers() -> Table:
    table = Table(title="Teachers", title_justify="left", caption="lyceum show NAME tells more")
    for heading, width in zip(HEADINGS, WIDTHS, strict=True):
        table.add_column(heading, overflow="fold", width=width)
    for *cells, reference in teacher_rows():
        table.add_row(*cells, reference.partition(", http")[0])  # the page and ``show`` have links
    return table


def _print_protocols(console: Console, part: str, every: bool) -> None:
    """The protocols with files of their own, then the families; or those that were asked for."""
    names = [name for name in Protocol.names() if part in name]
    if not names:
        raise unknown("protocol", part, Protocol.names())
    grouped = not (part or every)
    generated = members() if grouped else {}
    table = _table("Protocols", "name", "about", "budget")
    for protocol in (Protocol.load(name) for name in names if name not in generated):
        unit = "steps" if protocol.budget.unit == "environment steps" else "examples"
        mark = " *" if protocol.status == "draft" else ""
        table.add_row(protocol.name, protocol.title + mark, f"{protocol.budget.total:,} {unit}")
    console.print(table)
    lines = ["* a draft: it may still change", *(_family_lines() if grouped else [])]
    lines += ["lyceum show NAME: all that it pins; lyceum run NAME --smoke: a moment, never ranked"]
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _family_lines() -> list[str]:
    """Each family with the number of its members, and below it the values of its fields."""
    lines = ["", "Families of protocols: lyceum list protocols PART, for example parkour, or --all"]
    for family in families().values():
        lines += ["", f"{family.name}  ({len(family.members)}) {family.about}"]
        lines += [f"    {field}: {', '.join(names)}" for field, names in family.axes.items()]
    return [*lines, ""]


def _table(title: str, *headings: str) -> Table:
    """A table whose names are never cut."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=heading == "name", overflow="fold")
    return table


def _things(kind: str) -> Table:
    table = Table(title=kind.capitalize(), title_justify="left")
    table.add_column("name")
    table.add_column("about", overflow="fold")
    singular = kind.rstrip("s")
    for name in sorted(TABLES[singular]):
        about = (load(singular, name).__doc__ or "").strip().splitlines()
        table.add_row(name, about[0] if about else "")
    return table


if __name__ == "__main__":
    print_page()

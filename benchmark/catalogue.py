"""What there is to choose from, as tables in the terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmark.errors import unknown
from benchmark.protocol import Protocol
from benchmark.registry import TABLES, load, public_hyperparameters

KINDS = ("teachers", "protocols", "worlds", "tasks", "students")


def print_catalogue(console: Console, what: str) -> None:
    """Print one kind of thing, or all of them.

    Raises:
        LyceumError: ``what`` is not a kind.
    """
    if what not in (*KINDS, "all"):
        raise unknown("kind", what, (*KINDS, "all"))
    for kind in KINDS if what == "all" else (what,):
        if kind == "protocols":
            console.print(_protocols())
        elif kind == "teachers":
            console.print(_teachers())
        else:
            console.print(_things(kind))


def _teachers() -> Table:
    table = Table(title="Teachers", title_justify="left")
    for heading in ("name", "task spaces", "reads", "privileges", "hyperparameters", "reference"):
        table.add_column(heading, overflow="fold")
    for name in sorted(TABLES["teacher"]):
        cls = load("teacher", name)
        options = ", ".join(f"{k}={v}" for k, v in public_hyperparameters(cls).items())
        table.add_row(
            name,
            ", ".join(cls.spaces),
            ", ".join(cls.signals) or "scores only",
            ", ".join(cls.privileges) or "none",
            options or "none",
            cls.reference,
        )
    return table


def _protocols() -> Table:
    table = Table(title="Protocols", title_justify="left")
    for heading in ("name", "about", "student", "budget", "seeds", "fingerprint"):
        table.add_column(heading, overflow="fold")
    for name in Protocol.names():
        protocol = Protocol.load(name)
        table.add_row(
            name,
            protocol.title,
            protocol.student.name,
            f"{protocol.budget.total:,} {protocol.budget.unit}",
            str(len(protocol.statistics.seeds)),
            protocol.fingerprint[:12],
        )
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

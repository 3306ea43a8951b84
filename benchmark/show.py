"""One thing explained in the terminal: a teacher, world, task, student or protocol."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from typing import Any

from rich.console import Console

from benchmark.errors import unknown
from benchmark.protocol import SMOKE, Protocol
from benchmark.registry import TABLES, load, public_hyperparameters
from teachers.status import STATUS


def print_thing(console: Console, name: str) -> None:
    """Print what is registered as ``name``, a protocol of this name, or a class in a file.

    Raises:
        LyceumError: nothing has that name.
    """
    kinds = [kind for kind, table in TABLES.items() if name in table]
    if kinds or ".py" in name:
        lines = _class_lines(name, kinds[0] if kinds else "teacher")
    elif name.removesuffix(SMOKE) in Protocol.names() or name.endswith(".toml"):
        lines = _protocol_lines(Protocol.load(name))
    else:
        known = [entry for table in TABLES.values() for entry in table]
        raise unknown("name", name, [*known, *Protocol.names()])
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _class_lines(name: str, kind: str) -> list[str]:
    """What a class and its module say of themselves, and its hyperparameters."""
    cls = load(kind, name)
    lines = [f"{name}: {kind} {cls.__module__}.{cls.__qualname__}", ""]
    lines += [inspect.getdoc(sys.modules[cls.__module__]) or "", "", inspect.getdoc(cls) or "", ""]
    if kind == "teacher":
        facts = {"reference": cls.reference, "task spaces": ", ".join(cls.spaces)}
        facts |= {"reads": ", ".join(cls.signals) or "scores only"}
        facts |= {"privileges": ", ".join(cls.privileges) or "none"}
        facts |= {"changes": ", ".join(f"the {word}" for word in cls.changes) or "nothing"}
        facts |= {"status": STATUS[name]} if name in STATUS else {}
        lines += [f"{fact}: {value}" for fact, value in facts.items()]
    options = public_hyperparameters(cls)
    lines.append("hyperparameters:" if options else "hyperparameters: none")
    return lines + [f"  {option} = {default}" for option, default in options.items()]


def _protocol_lines(protocol: Protocol) -> list[str]:
    """All that a protocol pins, block by block."""
    lines = [f"{protocol.name}: {protocol.title}", f"status = {protocol.status}"]
    lines += [f"fingerprint = {protocol.fingerprint}"]
    for field in dataclasses.fields(protocol):
        block = getattr(protocol, field.name)
        if dataclasses.is_dataclass(block):
            lines += ["", f"[{field.name}]", *_block_lines(dataclasses.asdict(block))]
            if field.name == "evaluation" and protocol.held_out is not None:
                lines.append(f"  {len(protocol.held_out)} held-out tasks")
    return lines


def _block_lines(block: dict[str, Any]) -> list[str]:
    lines = []
    for key, value in block.items():
        if isinstance(value, dict):
            lines += [f"  {key}.{option} = {each}" for option, each in value.items()]
        elif value not in (None, ""):
            lines.append(f"  {key} = {value}")
    return lines

"""Families of protocols: one file generates its members, so that nothing is copied.

A family file is a protocol with fields in its name and title, a list of ``axes``, and ``about``, a
line on all members. A member takes one value of every axis; the value's ``set`` holds the keys,
with dots, that it changes. A setting ``{ share = 0.35, of = "budget.total" }`` is that share of
another one, rounded. A value with ``only`` is combined with the named values of other axes alone.
An axis may take its first values from a ``file`` beside, which several families share.
"""

from __future__ import annotations

import copy
import itertools
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import LyceumError

FOLDER = Path(__file__).parent / "protocols" / "families"


class Value(BaseModel):
    """One value of an axis: the words for titles, what it sets, and what it is combined with."""

    model_config = ConfigDict(extra="forbid")
    title: str
    set: dict[str, Any] = Field(default_factory=dict)
    only: dict[str, list[str]] = Field(default_factory=dict)


class Axis(BaseModel):
    """A field of the members' names and the values that it takes, by name."""

    model_config = ConfigDict(extra="forbid")
    name: str
    values: dict[str, Value] = Field(min_length=1)


@dataclass(frozen=True)
class Family:
    """What one file generates.

    ``name`` has its fields in braces, ``axes`` holds the values of each field, and ``members`` the
    content of every member by name, as a protocol file would hold it.
    """

    name: str
    about: str
    axes: dict[str, list[str]]
    members: dict[str, dict[str, Any]]


@cache
def families() -> dict[str, Family]:
    """All families by name.

    Raises:
        LyceumError: a family file is malformed, or two members have one name.
    """
    found: dict[str, Family] = {}
    names: set[str] = set()
    for path in sorted(FOLDER.glob("*.toml")):
        family = expand(tomllib.loads(path.read_text("utf-8")), path.name)
        twice = names & set(family.members)
        if twice:
            raise LyceumError(f"family {path.name}: {min(twice)} is there already")
        names |= set(family.members)
        found[family.name] = family
    return found


@cache
def members() -> dict[str, dict[str, Any]]:
    """The content of every member of every family by name, as a protocol file would hold it."""
    return {name: one for family in families().values() for name, one in family.members.items()}


def expand(family: dict[str, Any], file: str) -> Family:
    """Everything that one family file generates, in the order of its axes.

    Raises:
        LyceumError: the axes are malformed, or the name lacks one of them.
    """
    family = copy.deepcopy(family)
    axes = _axes(family.pop("axes", []), file)
    about = family.pop("about", "")
    if any(f"{{{axis.name}}}" not in family["name"] for axis in axes):
        raise LyceumError(f"family {file}: its name must hold every axis in braces")
    generated: dict[str, dict[str, Any]] = {}
    for choice in _choices(axes):
        content, fields = copy.deepcopy(family), {}
        for axis, (name, value) in choice.items():
            fields[axis] = (name, value.title)
            for key, setting in value.set.items():
                _place(content, key, copy.deepcopy(setting), file)
        content = _resolved(content, content, file)
        content["name"] = content["name"].format(**{k: v[0] for k, v in fields.items()})
        content["title"] = content["title"].format(**{k: v[1] for k, v in fields.items()})
        if content["name"] in generated:
            raise LyceumError(f"family {file}: {content['name']} is there already")
        generated[content["name"]] = content
    return Family(family["name"], about, {axis.name: list(axis.values) for axis in axes}, generated)


def _axes(raw: list[dict[str, Any]], file: str) -> list[Axis]:
    """The axes of a family, with the values that they share with others."""
    try:
        for axis in raw:
            if "file" in axis:
                shared = tomllib.loads((FOLDER / axis.pop("file")).read_text("utf-8"))
                axis["values"] = {**shared, **axis.get("values", {})}
        axes = [Axis.model_validate(axis) for axis in raw]
    except OSError as error:
        raise LyceumError(f"family {file}: axes.file cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LyceumError(f"family {file}: axes.{where}: {first['msg'].lower()}") from error
    known = {axis.name: axis.values for axis in axes}
    for axis in axes:
        for name, value in axis.values.items():
            for other, partners in value.only.items():
                if not set(partners) <= set(known.get(other, ())):
                    raise LyceumError(
                        f"family {file}: axes.{axis.name}.{name}.only: {other} does not have all "
                        f"of {', '.join(partners)}"
                    )
    return axes


def _choices(axes: list[Axis]) -> Iterator[dict[str, tuple[str, Value]]]:
    """One value of every axis by the axis's name, as far as they are combined."""
    for items in itertools.product(*(axis.values.items() for axis in axes)):
        choice = dict(zip((axis.name for axis in axes), items, strict=True))
        limits = [pair for _, value in items for pair in value.only.items()]
        if all(choice[other][0] in partners for other, partners in limits):
            yield choice


def _place(content: dict[str, Any], key: str, setting: Any, file: str) -> None:
    """Set ``content[a][b][c]`` for the key "a.b.c"; tables on the way are made."""
    *path, last = key.split(".")
    for part in path:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise LyceumError(f"family {file}: {key}: {part} is no table")
    content[last] = setting


def _resolved(part: Any, content: dict[str, Any], file: str) -> Any:
    """The same with every share of another setting computed."""
    if not isinstance(part, dict):
        return part
    if set(part) != {"share", "of"}:
        return {key: _resolved(value, content, file) for key, value in part.items()}
    whole: Any = content
    for name in part["of"].split("."):
        whole = whole.get(name) if isinstance(whole, dict) else None
    if not isinstance(whole, int | float):
        raise LyceumError(f"family {file}: {part['of']} is no number to take a share of")
    return round(part["share"] * whole)

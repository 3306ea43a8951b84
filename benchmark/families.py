"""Families of protocols: one file generates its members, so that nothing is copied.

A family file is a protocol with fields in its name and title and a list of ``axes``. A member takes
one value of every axis; the value's ``set`` holds the keys, with dots, that it changes. A setting
``{ share = 0.35, of = "budget.total" }`` is that share of another one, rounded.
"""

from __future__ import annotations

import copy
import itertools
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.errors import LyceumError

FOLDER = Path(__file__).parent / "protocols" / "families"


class Value(BaseModel):
    """One value of an axis: the words for titles, and what it sets in the protocol."""

    model_config = ConfigDict(extra="forbid")
    title: str
    set: dict[str, Any] = Field(default_factory=dict)


class Axis(BaseModel):
    """A field of the members' names and the values that it takes, by name."""

    model_config = ConfigDict(extra="forbid")
    name: str
    values: dict[str, Value] = Field(min_length=1)


@cache
def members() -> dict[str, dict[str, Any]]:
    """The content of every member of every family by name, as a protocol file would hold it.

    Raises:
        LyceumError: a family file is malformed, or two members have one name.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(FOLDER.glob("*.toml")):
        for content in expand(tomllib.loads(path.read_text("utf-8")), path.name):
            if content["name"] in found:
                raise LyceumError(f"family {path.name}: {content['name']} is there already")
            found[content["name"]] = content
    return found


def expand(family: dict[str, Any], file: str) -> list[dict[str, Any]]:
    """The contents of all members of one family, in the order of its axes.

    Raises:
        LyceumError: the axes are malformed, or the name lacks one of them.
    """
    family = copy.deepcopy(family)
    try:
        axes = [Axis.model_validate(axis) for axis in family.pop("axes", [])]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise LyceumError(f"family {file}: axes.{where}: {first['msg'].lower()}") from error
    contents = []
    for choice in itertools.product(*(axis.values.items() for axis in axes)):
        content, fields = copy.deepcopy(family), {}
        for axis, (name, value) in zip(axes, choice, strict=True):
            fields[axis.name] = (name, value.title)
            for key, setting in value.set.items():
                _place(content, key, copy.deepcopy(setting), file)
        content = _resolved(content, content, file)
        if any(f"{{{axis.name}}}" not in family["name"] for axis in axes):
            raise LyceumError(f"family {file}: its name must hold every axis in braces")
        content["name"] = content["name"].format(**{k: v[0] for k, v in fields.items()})
        content["title"] = content["title"].format(**{k: v[1] for k, v in fields.items()})
        contents.append(content)
    return contents


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

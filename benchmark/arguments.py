"""Reads what a user types on the command line: seed lists and hyperparameters."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from benchmark.errors import LyceumError
from benchmark.protocol import Protocol


def parse_seeds(text: str, protocol: Protocol) -> list[int]:
    """Turn "", "10", "0,3,5" or "0-4,9" into run seeds of the protocol.

    Nothing means as many as a ranked entry needs; a single number n means the first n of the
    protocol's list.

    Raises:
        LyceumError: another form, or a seed that the protocol does not list.
    """
    listed = protocol.statistics.seeds
    if not text:
        return listed[: protocol.statistics.ranked_from]
    if not re.fullmatch(r"\d+(-\d+)?(,\d+(-\d+)?)*", text):
        raise LyceumError(f"--seeds takes a number, or a list like 0,3,5 or 0-4, but got '{text}'")
    if text.isdigit():
        count = int(text)
        if not 1 <= count <= len(listed):
            raise LyceumError(
                f"--seeds {count}: {protocol.name} lists {len(listed)} seeds; name a single seed "
                f"as a range, for example {listed[0]}-{listed[0]}"
            )
        return listed[:count]
    seeds: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        seeds += range(int(first), int(last or first) + 1)
    strange = sorted(set(seeds) - set(listed))
    if strange:
        raise LyceumError(f"--seeds: {protocol.name} does not list seed {strange[0]}")
    return list(dict.fromkeys(seeds))


def parse_settings(settings: list[str]) -> dict[str, Any]:
    """Turn "name=value" into hyperparameters; values are numbers, true/false, lists or words.

    Raises:
        LyceumError: a setting without "=".
    """
    arguments: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals or not name.isidentifier():
            raise LyceumError(f"--set takes name=value, but got '{setting}'")
        try:
            arguments[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            arguments[name] = value
    return arguments

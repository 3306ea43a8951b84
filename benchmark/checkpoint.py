"""Checkpoints: two checksummed generations of plain arrays and JSON, never pickle."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.errors import LyceumError
from benchmark.strict_json import write_bytes_atomically

GENERATIONS = 2


def save(folder: Path, number: int, state: dict[str, Any]) -> None:
    """Write ``state`` as generation ``number`` and drop all but the newest two.

    ``state`` may hold numbers, strings, None, arrays, dicts with string keys, and lists; tuples
    come back as lists. Raises TypeError for anything else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, np.ndarray] = {}
    tree = json.dumps(_encode(state, arrays), allow_nan=True).encode()
    buffer = io.BytesIO()
    np.savez(buffer, tree=np.frombuffer(tree, dtype=np.uint8), **arrays)
    content = buffer.getvalue()
    path = folder / f"{number:09d}.npz"
    # The checksum stands in front: a torn or flipped file is recognised before it is parsed.
    write_bytes_atomically(path, hashlib.sha256(content).digest() + content)
    for old in sorted(folder.glob("*.npz"))[:-GENERATIONS]:
        old.unlink()


def load(folder: Path) -> dict[str, Any] | None:
    """Return the newest undamaged state, or None if there is none."""
    return next(states(folder), None)


def states(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the undamaged states, newest first."""
    for path in sorted(folder.glob("*.npz"), reverse=True):
        raw = path.read_bytes()
        digest, content = raw[:32], raw[32:]
        if hashlib.sha256(content).digest() == digest:
            with np.load(io.BytesIO(content), allow_pickle=False) as stored:
                yield _decode(json.loads(stored["tree"].tobytes()), stored)


def _encode(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Replace arrays by references into ``arrays``; refuse what JSON cannot hold."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            raise TypeError("a state must hold plain arrays, but holds one of dtype object")
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"__array__": name}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("the keys of a state's dicts must be strings")
        return {key: _encode(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_encode(item, arrays) for item in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a state must hold plain numbers and arrays, but holds {type(value).__name__}")


def _decode(value: Any, arrays: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {"__array__"}:
            return arrays[value["__array__"]]
        return {key: _decode(item, arrays) for key, item in value.items()}
    if isinstance(value, list):
        return [_decode(item, arrays) for item in value]
    return value


def require_same(expected: dict[str, Any], found: dict[str, Any], folder: Path) -> None:
    """Refuse to continue a checkpoint that another protocol, teacher or suite version wrote."""
    for key, value in expected.items():
        if found.get(key) != value:
            raise LyceumError(
                f"{folder} holds an unfinished run with another {key.replace('_', ' ')}; "
                "give --fresh to start it again, or another --runs folder"
            )

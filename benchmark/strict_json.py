"""JSON that nobody has to trust: strict limits when reading, whole or not at all when writing."""

from __future__ import annotations

import gzip
import json
import math
import os
import stat
import zlib
from pathlib import Path
from typing import Any

from benchmark.errors import LyceumError

MAX_DIGITS = 16  # larger integers cannot be told apart once they become floating-point numbers
MAX_DEPTH = 16
_SCALARS = (str, int, float, bool, type(None))


def read_json(path: Path, limit: int) -> Any:
    """Parse a JSON file, or a compressed one (.gz), that somebody else may have written.

    Args:
        path: a regular file; links are refused.
        limit: the largest size in bytes, also unpacked, checked before anything is parsed.

    Raises:
        LyceumError: the file is missing, too large, not UTF-8 or not JSON, or holds NaN, an
            infinity, a repeated key, a huge integer or too many levels.
    """
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise LyceumError(f"{path}: must be a regular file, not a link or a folder")
        if status.st_size > limit:
            raise LyceumError(f"{path}: is {status.st_size} bytes long; at most {limit} are read")
        raw = path.read_bytes()
        if path.suffix == ".gz":
            raw = _unpack(raw, limit)
    except (zlib.error, EOFError) as error:
        raise LyceumError(f"{path}: is no gzip file: {error}; the file is damaged") from error
    except OverflowError as error:
        raise LyceumError(f"{path}: {error}") from error
    except OSError as error:
        raise LyceumError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return parse_json(raw)
    except ValueError as error:
        raise LyceumError(f"{path}: {error}; the file is damaged or was edited by hand") from error


def _unpack(raw: bytes, limit: int) -> bytes:
    """Decompress one gzip member that fills the file, never to more than ``limit`` bytes."""
    decompressor = zlib.decompressobj(wbits=31)
    content = decompressor.decompress(raw, limit + 1)
    if len(content) > limit:
        raise OverflowError(f"unpacks to more than {limit} bytes, the most that are read")
    if not decompressor.eof or decompressor.unused_data:
        raise EOFError("it is cut off, or something follows its end")
    return content


def parse_json(raw: bytes) -> Any:
    """Parse JSON text strictly; ``read_json`` says what is refused.

    Raises:
        ValueError: with the broken rule as its message.
    """
    try:
        content = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_small,
        )
    except RecursionError:
        raise ValueError(f"more than {MAX_DEPTH} levels of nesting") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} in line {error.lineno}") from None
    _check_depth(content)
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:40]!r} occurs twice")
    return content


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is not allowed, every number must be finite")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]} is not finite")
    return value


def _small(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(text)} digits; at most {MAX_DIGITS} are allowed")
    return int(text)


def _check_depth(content: Any) -> None:
    level = [content] if isinstance(content, (dict, list)) else []
    for _ in range(MAX_DEPTH + 1):
        if not level:
            return
        level = [
            below
            for item in level
            for below in (item.values() if type(item) is dict else item)
            if type(below) is dict or type(below) is list
        ]
    raise ValueError(f"more than {MAX_DEPTH} levels of nesting")


def format_json(content: Any) -> str:
    """Deterministic text: sorted keys, one row of numbers per line, a final newline.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    return _format(content, "") + "\n"


def _format(value: Any, indent: str) -> str:
    deeper = indent + " "
    if isinstance(value, dict) and value:
        lines = [f"{deeper}{json.dumps(k)}: {_format(value[k], deeper)}" for k in sorted(value)]
        return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
    if isinstance(value, list) and not all(isinstance(item, _SCALARS) for item in value):
        lines = [deeper + _format(item, deeper) for item in value]
        return "[\n" + ",\n".join(lines) + f"\n{indent}]"
    return json.dumps(value, allow_nan=False)


def write_json_atomically(path: Path, content: Any) -> None:
    """Write a JSON file that exists either whole or not at all, even if the power fails.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file stays as it was.
    """
    write_text_atomically(path, format_json(content))


def write_gzip_atomically(path: Path, content: Any) -> None:
    """The same as compressed JSON (.gz); equal content gives equal bytes."""
    text = format_json(content).encode()
    write_bytes_atomically(path, gzip.compress(text, compresslevel=9, mtime=0))


def write_text_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file that exists either whole or not at all."""
    write_bytes_atomically(path, text.encode())


def write_bytes_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary file beside ``path``, sync it, rename it and sync the folder."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)

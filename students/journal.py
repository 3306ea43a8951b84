"""Rows in append-only files, so that a checkpoint writes only what is new.

A file, once written, only grows at its end, and a state names for every file how many rows it holds
and their checksum. So an older state stays readable whatever was added later, and a torn write
beyond the end of a state does it no harm.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SEGMENT = 65_536  # rows per file
KEPT = 2  # a file that a state does without is removed this many states later


class DamagedRows(ValueError):
    """A file that a state refers to is missing or holds something else; an older state may do."""


class RowJournal:
    """The end of a long table of float32 rows (n, width), numbered from 0, in files of ``folder``.

    Rows must reach the disk before the state that names them, so ``append`` syncs its files.
    """

    def __init__(self, folder: Path, width: int):
        self.folder, self.width = Path(folder), width
        self.folder.mkdir(parents=True, exist_ok=True)
        # Each file in use: its number, its first row, how many rows, and their CRC-32.
        self.segments: list[dict[str, int]] = []
        self.next_file = 1 + max((int(path.stem) for path in self._paths()), default=-1)
        # Files not in use: those of earlier runs may still serve an older state.
        self.retired = [self._paths()]

    @property
    def end(self) -> int:
        """The number of the row to come; 0 while nothing is written."""
        return self.segments[-1]["first"] + self.segments[-1]["rows"] if self.segments else 0

    def append(self, first: int, rows: np.ndarray, oldest: int) -> list[dict[str, int]]:
        """Write rows ``first``, ``first`` + 1, ...; rows before ``oldest`` are not needed any more.

        Returns the files that hold the rows from ``oldest`` on, for ``read``.
        """
        rows, created = np.ascontiguousarray(rows, dtype=np.float32), False
        while len(rows):
            if first != self.end or not self.segments or self.segments[-1]["rows"] == SEGMENT:
                self.segments.append({"file": self.next_file, "first": first, "rows": 0, "crc": 0})
                self.next_file, created = self.next_file + 1, True
            room = SEGMENT - self.segments[-1]["rows"]
            self._write(self.segments[-1], rows[:room])
            first, rows = first + len(rows[:room]), rows[room:]
        if created:
            handle = os.open(self.folder, os.O_RDONLY)
            os.fsync(handle)  # a new file's name must reach the disk, too
            os.close(handle)
        self._retire(oldest)
        return [dict(segment) for segment in self.segments]

    def read(self, segments: Sequence[dict[str, int]], oldest: int) -> np.ndarray:
        """Return the rows from ``oldest`` on and continue after the last of them.

        Raises:
            DamagedRows: a file is missing or damaged; nothing has changed then.
        """
        parts = [np.empty((0, self.width), np.float32), *map(self._read, segments)]
        self.segments = [dict(segment) for segment in segments]
        used = {self._path(segment) for segment in segments}
        self.retired = [[path for path in self._paths() if path not in used]]
        rows = np.concatenate(parts)
        return rows[len(rows) - (self.end - oldest) :]

    def _write(self, segment: dict[str, int], rows: np.ndarray) -> None:
        """Add rows to the end of a file, over whatever lies behind it."""
        handle = os.open(self._path(segment), os.O_RDWR | os.O_CREAT, 0o644)
        with os.fdopen(handle, "r+b") as file:
            file.truncate(segment["rows"] * self.width * 4)
            file.seek(0, os.SEEK_END)
            file.write(rows.data)
            file.flush()
            os.fsync(file.fileno())
        segment["crc"] = zlib.crc32(rows.data, segment["crc"])
        segment["rows"] += len(rows)

    def _read(self, segment: dict[str, int]) -> np.ndarray:
        path, count = self._path(segment), segment["rows"] * self.width
        rows = np.fromfile(path, np.float32, count) if path.exists() else np.empty(0, np.float32)
        if len(rows) != count or zlib.crc32(rows.data) != segment["crc"]:
            raise DamagedRows(f"{path} is missing or damaged; a checkpoint needs its rows")
        return rows.reshape(-1, self.width)

    def _retire(self, oldest: int) -> None:
        """Remove files that neither this state nor the two before it need."""
        in_use = [part for part in self.segments if part["first"] + part["rows"] > oldest]
        # The last file stays: it tells where the rows end.
        in_use = in_use or self.segments[-1:]
        gone = [self._path(part) for part in self.segments if part not in in_use]
        self.segments = in_use
        self.retired.append(gone)
        while len(self.retired) > KEPT:
            for path in self.retired.pop(0):
                path.unlink(missing_ok=True)

    def _path(self, segment: dict[str, int]) -> Path:
        return self.folder / f"{segment['file']:09d}.rows"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.rows"))

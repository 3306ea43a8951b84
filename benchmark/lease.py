"""A claim on a run's folder, so that two processes never train the same run at once."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import time
from pathlib import Path
from types import TracebackType

from benchmark.errors import LyceumError

STALE_AFTER = 120.0
REFRESH_EVERY = 30.0


class Busy(LyceumError):
    """Another living process trains this run."""


class Lease:
    """Holds ``lease.json`` while a run is under way; its modification time is its heartbeat.

    A lease is stale after 120 s without a heartbeat, or at once when its process on this machine
    is gone. ``attempt`` counts how often the run was started; it is written before work begins, so
    that a run which kills its process cannot loop for ever.

    Raises:
        Busy: on entering, if another living process holds the folder.
    """

    def __init__(self, folder: Path):
        self.path = folder / "lease.json"
        self.attempt = 1
        self._stop = threading.Event()

    def __enter__(self) -> Lease:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        previous = read_lease(self.path)
        if previous is not None:
            if previous["alive"] and previous["pid"] != os.getpid():
                raise Busy(
                    f"{self.path.parent} is being trained by process {previous['pid']}; wait for "
                    "it, or stop it first"
                )
            self.attempt = int(previous["attempt"]) + 1
            self.path.unlink(missing_ok=True)
        content = {"host": host_hash(), "pid": os.getpid(), "attempt": self.attempt}
        with open(self.path, "x", encoding="utf-8") as file:
            json.dump(content, file)
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        # Kept after a crash or a stop, so that the next attempt knows its number.
        if kind is None:
            self.path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._stop.wait(REFRESH_EVERY):
            try:
                os.utime(self.path)
            except OSError:
                return


def read_lease(path: Path) -> dict[str, object] | None:
    """The lease in ``path`` with ``alive`` added; None if there is none or it is damaged."""
    try:
        lease = json.loads(path.read_text("utf-8"))
        age = time.time() - path.stat().st_mtime
        here = lease["host"] == host_hash()
        gone = here and not _process_exists(int(lease["pid"]))
        return {**lease, "alive": age < STALE_AFTER and not gone}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def host_hash() -> str:
    """A short name for this machine that does not tell its name."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:12]


def _process_exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True

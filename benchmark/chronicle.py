"""The log of a run, one JSON object a line, and listeners that pass it on.

``log.jsonl`` in the run's folder tells when an attempt began and where it continued, every
evaluation, every checkpoint, and how the attempt ended. It holds clocks, so it is no part of the
record and no two are equal. A listener that fails is left out from then on; the run never notices.
"""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.errors import LyceumError, unknown

LAST_BYTES = 4096  # of a log that are read to see how far its run is


class Listener(Protocol):
    """Hears every event of a run."""

    def hear(self, event: dict[str, Any]) -> None:
        """Take one event: at least ``event`` (its kind) and ``time``."""

    def close(self) -> None:
        """The attempt has ended."""


class Chronicle:
    """Appends events to ``log.jsonl`` and tells the listeners.

    A disk that is full or a listener that fails costs the log, never the run.
    """

    def __init__(self, folder: Path, listeners: Sequence[str] = (), label: str = ""):
        self.path = folder / "log.jsonl"
        self.listeners: list[Listener] = []
        for name in listeners:
            try:
                self.listeners.append(_listener(name)(folder, label))
            except Exception as error:
                self._leave_out(name, error)

    def note(self, event: str, **facts: Any) -> None:
        """Write one line: what happened, when, and its facts."""
        line = {"event": event, "time": _now(), **facts}
        self._write(line)
        for listener in list(self.listeners):
            try:
                listener.hear(line)
            except Exception as error:
                self.listeners.remove(listener)
                self._leave_out(type(listener).__name__, error)

    def _leave_out(self, name: str, error: Exception) -> None:
        why = f"{type(error).__name__}: {str(error)[:300]}"
        self._write({"event": "listener left out", "time": _now(), "listener": name, "why": why})

    def close(self) -> None:
        """Close the listeners."""
        for listener in self.listeners:
            try:
                listener.close()
            except Exception:
                pass

    def _write(self, line: dict[str, Any]) -> None:
        try:
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError:
            return


def require_listeners(names: Sequence[str]) -> None:
    """Refuse unknown listeners, and those whose library is missing, before any run starts.

    Raises:
        LyceumError: a listener that cannot be had.
    """
    for name in names:
        _listener(name)


def _listener(name: str) -> Any:
    if name not in LISTENERS:
        raise unknown("listener", name, LISTENERS)
    try:
        __import__(LISTENERS[name][1])
    except ImportError as error:
        raise LyceumError(
            f"--listen {name} needs another package: pip install 'lyceum[{name}]'"
        ) from error
    return LISTENERS[name][0]


class TensorBoard:
    """Scores, steps per second and costs as TensorBoard scalars over the spent budget."""

    def __init__(self, folder: Path, label: str):
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(log_dir=str(folder / "tensorboard"))

    def hear(self, event: dict[str, Any]) -> None:
        """Pass evaluations on."""
        if event["event"] == "evaluation":
            for name in ("score", "cpu_student", "cpu_teacher", "wall"):
                self.writer.add_scalar(name, event[name], int(event["spent"]))

    def close(self) -> None:
        """Write what is left."""
        self.writer.close()


class WeightsAndBiases:
    """The same as a run of Weights & Biases; a continued attempt continues its run there."""

    def __init__(self, folder: Path, label: str):
        import hashlib

        import wandb

        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        self.run = wandb.init(project="lyceum", id=name, name=label, resume="allow", reinit=True)

    def hear(self, event: dict[str, Any]) -> None:
        """Pass evaluations on."""
        if event["event"] == "evaluation":
            names = ("score", "cpu_student", "cpu_teacher", "wall", "spent")
            self.run.log({name: event[name] for name in names})

    def close(self) -> None:
        """Say that the attempt is over."""
        self.run.finish()


LISTENERS = {"tensorboard": (TensorBoard, "tensorboard"), "wandb": (WeightsAndBiases, "wandb")}


def last_progress(folder: Path) -> dict[str, Any] | None:
    """The latest evaluation in a run's log as a progress event; None if there is none yet."""
    try:
        with open(folder / "log.jsonl", "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        try:
            event = json.loads(line)
        except ValueError:  # torn, or cut by the window
            continue
        if isinstance(event, dict) and event.get("event") == "evaluation":
            return {name: event[name] for name in ("spent", "total", "score")}
    return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")

"""The progress bar of a sweep: steps, rate, time left, latest score."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from benchmark.run import RunRequest

UNITS = {"environment steps": "steps", "presentations": "examples"}


class SweepProgress:
    """One overall bar and one bar per run that is under way; without a terminal, plain lines.

    ``quiet``: of runs that had finished before nothing is said.
    """

    def __init__(self, console: Console, requests: list[RunRequest], quiet: bool = False):
        self.console, self.quiet = console, quiet
        self.lock = threading.Lock()
        self.bars: dict[str, TaskID] = {}
        self.rates: dict[str, tuple[float, float]] = {}
        self.done = 0
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f}%"),
            TextColumn("{task.fields[detail]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self.total = len(requests)
        self.share = dict.fromkeys((str(request.folder) for request in requests), 0.0)
        self.overall = self.progress.add_task(
            f"{self.total} runs", total=float(self.total), detail=""
        )

    def __enter__(self) -> SweepProgress:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def watch(self, request: RunRequest, event: dict[str, Any]) -> None:
        """Take a progress event of one run; called from several threads."""
        with self.lock:
            if "status" in event:
                self._end(request, event)
            else:
                self._move(request, event)
            shares = sum(self.share.values())
            waiting = self.total - self.done - len(self.bars)
            detail = f"{self.done:,} done, {len(self.bars)} under way, {waiting:,} waiting"
            self.progress.update(self.overall, completed=shares, detail=detail)

    def _move(self, request: RunRequest, event: dict[str, Any]) -> None:
        key = str(request.folder)
        self.share[key] = min(1.0, event["spent"] / event["total"])
        now = time.monotonic()
        if key not in self.bars:
            self.rates[key] = (now, event["spent"])
            self.bars[key] = self.progress.add_task(
                f"{request.label} seed {request.seed}", total=event["total"], detail=""
            )
        start, first = self.rates[key]
        rate = (event["spent"] - first) / max(now - start, 1e-9)
        score = "" if event["score"] is None else f"  score {event['score']:.3f}"
        unit = UNITS[request.loaded.budget.unit]
        detail = f"{event['spent']:>10,.0f} {unit}  {rate:>8,.0f}/s{score}"
        self.progress.update(self.bars[key], completed=event["spent"], detail=detail)

    def _end(self, request: RunRequest, event: dict[str, Any]) -> None:
        key = str(request.folder)
        self.share[key] = 1.0
        self.done += 1
        if key in self.bars:
            self.progress.remove_task(self.bars.pop(key))
        quiet = event["status"] in ("finished", "kept")
        if event["status"] == "kept" and self.quiet:
            return
        if not quiet or not self.console.is_terminal:
            message = f": {event['message']}" if event["message"] else ""
            line = f"[{self.done}/{self.total}] {request.label} seed {request.seed} "
            self.console.print(f"{line}{event['status']}{message}", highlight=False, markup=False)

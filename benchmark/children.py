"""The processes of a sweep: one per run, watched for time, memory, output and signs of life.

A process that goes beyond a limit is killed with everything it started, and its run is told to have
failed; the sweep goes on. The process of a run is forked from a server that has imported the slow
libraries and nothing else (see ``benchmark.preload``), so that a run of a second does not wait for
an import of three.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmark.devices import one_quiet_thread
from benchmark.run import RunRequest, run_here

PRELOAD = ["benchmark.preload"]
LOOK_EVERY = 0.5  # seconds between two looks at a process
TREE_EVERY = 3.0  # seconds between two looks at all it started
MEMORY_SHARE = 0.9  # of the machine's memory, which the runs side by side may use in all
LAST_SECONDS = 30.0  # between a run's last word and the end of its process
BEYOND_LIMIT = 4  # exit code, beside those of ``benchmark.run``
PROCESSES = 64  # that a run may have started at once, its workers included

Watcher = Callable[[RunRequest, dict[str, Any]], None]


@dataclass(frozen=True)
class Limits:
    """What one run may use before its process is stopped; 0 means no limit.

    Attributes:
        minutes: of one attempt, by the clock; a day unless told otherwise.
        memory_gb: resident memory of its process and of all it started, in units of 1e9 bytes.
        output_mb: what it may write to standard output and standard error together.
        silence_minutes: without any progress, for a call may hang where no signal reaches it.
    """

    minutes: float = 1440.0
    memory_gb: float = 0.0
    output_mb: float = 16.0
    silence_minutes: float = 10.0

    def shared(self, workers: int) -> Limits:
        """The same with an equal share of this machine's memory where none is given."""
        share = MEMORY_SHARE * psutil.virtual_memory().total / max(1, workers) / 1e9
        return self if self.memory_gb else dataclasses.replace(self, memory_gb=share)


USUAL = Limits()


@dataclass
class _Output:
    """What a process wrote: kept in ``output.log`` up to a limit, counted beyond it."""

    path: Path
    limit: float
    size: int = 0
    tail: bytes = b""
    looked: float = 0.0  # the age of the run when everything it started was last counted

    def drain(self, receiver: Any) -> None:
        with contextlib.suppress(OSError):
            while chunk := os.read(receiver.fileno(), 65536):
                self.size += len(chunk)
                self.tail = (self.tail + chunk)[-2000:]
                if self.size <= self.limit:
                    with open(self.path, "ab") as file:
                        file.write(chunk)

    @property
    def last_line(self) -> str:
        lines = self.tail.decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:500] if lines else ""


class Children:
    """All processes of a sweep, so that they can be stopped together."""

    def __init__(self, limits: Limits = USUAL):
        self.limits, self.stopped = limits, False
        self._lock = threading.Lock()
        self._running: set[Any] = set()
        one_quiet_thread()  # before the server imports the libraries
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def execute(self, request: RunRequest, watch: Watcher) -> tuple[int, str]:
        """Run one child to its end; return its exit code and the sentence it ended with.

        ``BEYOND_LIMIT`` is the code of a run that was stopped for what it used.
        """
        receiver, sender = self._context.Pipe(duplex=False)
        heard, written = self._context.Pipe(duplex=False)
        reporting = dataclasses.replace(request, report=True)
        child = self._context.Process(target=_child, args=(reporting, sender, written))
        with self._lock:
            if self.stopped:
                return 1, ""
            request.folder.mkdir(parents=True, exist_ok=True)
            child.start()
            self._running.add(child)
        sender.close()
        written.close()
        output = _Output(request.folder / "output.log", 1e6 * self.limits.output_mb or float("inf"))
        reader = threading.Thread(target=output.drain, args=(heard,), daemon=True)
        reader.start()
        fault = "interrupted"
        try:
            message, fault = self._listen(request, child, receiver, output, watch)
        finally:
            if not fault:
                child.join(LAST_SECONDS)
            _kill(child.pid)  # with whatever it left behind
            child.join()
            with self._lock:
                self._running.discard(child)
        reader.join(1.0)
        if fault:
            return BEYOND_LIMIT, fault
        return child.exitcode, message or (output.last_line if child.exitcode else "")

    def _listen(
        self, request: RunRequest, child: Any, receiver: Any, output: _Output, watch: Watcher
    ) -> tuple[str, str]:
        """Pass events on until the child ends; return its last sentence and what it did wrong."""
        message, started = "", time.monotonic()
        heard, looked = started, started
        while True:
            if receiver.poll(LOOK_EVERY):
                try:
                    event = receiver.recv()
                except EOFError:
                    return message, ""
                heard = time.monotonic()
                if isinstance(event, str):
                    message = event
                else:
                    watch(request, event)
            now = time.monotonic()
            if now - looked < LOOK_EVERY:
                continue
            looked = now
            if not child.is_alive():  # what it started may hold the pipe open
                if not receiver.poll(0):
                    return message, ""
                continue
            fault = self._fault(child.pid, now - started, now - heard, output)
            if fault:
                return message, fault

    def _fault(self, pid: int, age: float, silence: float, output: _Output) -> str:
        """Which limit a process is beyond, as a sentence; empty if none."""
        limits = self.limits
        if limits.minutes and age > 60 * limits.minutes:
            return f"longer than {limits.minutes:g} minutes; --minutes sets another limit"
        if limits.silence_minutes and silence > 60 * limits.silence_minutes:
            return f"no sign of life for {60 * limits.silence_minutes:g} s; the process was stopped"
        if output.size > output.limit:
            return f"more than {limits.output_mb:g} MB written to the terminal; the run was stopped"
        # Who is related to whom is read from the whole process table, so more seldom.
        whole = age - output.looked >= TREE_EVERY
        output.looked = age if whole else output.looked
        memory, processes = _use(pid, whole)
        if limits.memory_gb and memory > 1e9 * limits.memory_gb:
            return f"more than {limits.memory_gb:.3g} GB of memory; --memory-gb sets another limit"
        if processes > PROCESSES:
            return f"more than {PROCESSES} processes started; the run was stopped"
        return ""

    def stop(self) -> None:
        """Terminate every child; the runs continue from their checkpoints next time."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        for child in running:
            child.terminate()


def _use(pid: int, whole: bool) -> tuple[int, int]:
    """Resident bytes of a process, or of the ``whole`` of what it started; how many these are."""
    try:
        first = psutil.Process(pid)
        every = [first, *first.children(recursive=True)] if whole else [first]
    except psutil.Error:
        return 0, 0
    total = 0
    for process in every:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total, len(every)


def _kill(pid: int) -> None:
    """End a run's process and all it started: it leads a group of its own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def _child(request: RunRequest, pipe: Any, output: Any) -> None:
    """The body of a run's process: progress events and a last sentence go through the pipe."""
    os.setsid()  # a group of its own, so that nothing it starts outlives it
    for descriptor in (1, 2):
        os.dup2(output.fileno(), descriptor)
    sys.exit(run_here(request, pipe.send))

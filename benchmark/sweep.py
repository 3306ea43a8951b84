"""Many runs side by side: one process per run under a thread pool, every one accounted for."""

from __future__ import annotations

import dataclasses
import multiprocessing
import shutil
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from benchmark import record
from benchmark.devices import one_quiet_thread
from benchmark.errors import LyceumError
from benchmark.lease import read_lease
from benchmark.run import RunRequest, run_here

RETRIES = 2
SILENCE_SECONDS = 600.0
PRELOAD = ["benchmark.preload"]


@dataclass(frozen=True)
class RunResult:
    """How one run of a sweep ended; ``kept`` means that it had finished before."""

    request: RunRequest
    status: Literal["finished", "kept", "failed", "crashed", "stopped"]
    message: str = ""


Watcher = Callable[[RunRequest, dict[str, Any]], None]


def sweep(
    requests: list[RunRequest],
    workers: int,
    watch: Watcher = lambda request, event: None,
    retry_failed: bool = False,
    fresh: bool = False,
) -> list[RunResult]:
    """Execute ``requests``, ``workers`` at a time; results do not depend on that number.

    A run whose process dies is continued from its checkpoint, at most twice. ``watch`` is called
    from worker threads with progress events. Ctrl-C stops all processes; what was finished stays
    finished and the rest continues next time.
    """
    children = _Children()
    results: dict[int, RunResult] = {}

    def work(number: int) -> None:
        request = requests[number]
        result = standing(request, retry_failed, fresh) or _attempt(request, children, watch)
        results[number] = result
        watch(request, {"status": result.status, "message": result.message})

    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        futures = [pool.submit(work, number) for number in range(len(requests))]
        try:
            for future in futures:
                future.result()
        except BaseException:
            children.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return [results[number] for number in range(len(requests))]


def standing(request: RunRequest, retry_failed: bool, fresh: bool) -> RunResult | None:
    """What is already there: a finished run is kept, a failed one is not tried again unasked.

    Raises:
        LyceumError: the folder holds a finished run of another protocol or teacher version, or
            should be deleted while another process trains there.
    """
    folder = request.folder
    if fresh and folder.exists():
        lease = read_lease(folder / "lease.json")
        if lease is not None and lease["alive"]:
            raise LyceumError(f"{folder} is being trained by process {lease['pid']}; stop it first")
        shutil.rmtree(folder)
    if (folder / "record.json").exists():
        found, _ = record.read_run(folder)
        _require_same(request, found)
        return RunResult(request, "kept")
    if (folder / "failure.json").exists() and not retry_failed:
        failure = record.read_failure(folder)
        return RunResult(request, "failed", f"{failure.message} (--retry-failed tries again)")
    return None


def _require_same(request: RunRequest, found: Any) -> None:
    identity = request.identity
    pairs = {
        "protocol": (found.protocol.fingerprint, identity["protocol_fingerprint"]),
        "teacher source": (found.teacher.source_sha256, identity["teacher_source"]),
        "teacher arguments": (found.teacher.arguments, identity["teacher_arguments"]),
        "device": (found.provenance.get("device", "cpu").split(":")[0], identity["device"]),
    }
    for what, (there, asked) in pairs.items():
        if there != asked:
            raise LyceumError(
                f"{request.folder} holds a finished run with another {what}; give --fresh to "
                "replace it, or --runs to write to another folder"
            )


def _attempt(request: RunRequest, children: _Children, watch: Watcher) -> RunResult:
    """Run the request in a process of its own until it ends for good."""
    code, message = 1, ""
    for _ in range(1 + RETRIES):
        code, message = children.execute(request, watch)
        if children.stopped:
            return RunResult(request, "stopped")
        if code == 0:
            return RunResult(request, "finished")
        if code == 2:
            return RunResult(request, "failed", message)
    return RunResult(request, "crashed", message or f"its process ended with code {code}")


class _Children:
    """The processes of a sweep, one per run, so that all of them can be stopped.

    They are forked from a server that has imported the slow libraries and nothing else (see
    ``benchmark.preload``), so that a run of a second does not wait for an import of three.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._lock = threading.Lock()
        self._running: set[Any] = set()
        one_quiet_thread()  # before the server imports the libraries
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(PRELOAD)

    def execute(self, request: RunRequest, watch: Watcher) -> tuple[int, str]:
        """Run one child to its end; return its exit code and the sentence it ended with."""
        receiver, sender = self._context.Pipe(duplex=False)
        reporting = dataclasses.replace(request, report=True)
        child = self._context.Process(target=_child, args=(reporting, sender))
        with self._lock:
            if self.stopped:
                return 1, ""
            child.start()
            self._running.add(child)
        sender.close()
        message, silent = "", False
        while True:
            if not receiver.poll(SILENCE_SECONDS):
                child.kill()  # a call may hang where no signal handler is reached
                silent = True
                break
            try:
                event = receiver.recv()
            except EOFError:
                break
            if isinstance(event, str):
                message = event
            else:
                watch(request, event)
        child.join()
        with self._lock:
            self._running.discard(child)
        if silent:
            return 2, f"no sign of life for {SILENCE_SECONDS:g} s; the process was stopped"
        return child.exitcode, message

    def stop(self) -> None:
        """Terminate every child; the runs continue from their checkpoints next time."""
        with self._lock:
            self.stopped = True
            running = list(self._running)
        for child in running:
            child.terminate()


def _child(request: RunRequest, pipe: Any) -> None:
    """The body of a run's process: progress events and a last sentence go through the pipe."""
    sys.exit(run_here(request, pipe.send))

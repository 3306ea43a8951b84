"""Many runs side by side: one process per run under a thread pool, every one accounted for."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmark import record
from benchmark.children import BEYOND_LIMIT, USUAL, Children, Limits, Watcher
from benchmark.errors import LyceumError
from benchmark.lease import read_lease
from benchmark.run import BUSY, RunRequest, fail

RETRIES = 2  # after a process that died


@dataclass(frozen=True)
class RunResult:
    """How one run of a sweep ended; ``kept`` means that it had finished before."""

    request: RunRequest
    status: Literal["finished", "kept", "failed", "crashed", "stopped"]
    message: str = ""


def sweep(
    requests: list[RunRequest],
    workers: int,
    watch: Watcher = lambda request, event: None,
    retry_failed: bool = False,
    fresh: bool = False,
    limits: Limits = USUAL,
    retries: int = RETRIES,
) -> list[RunResult]:
    """Execute ``requests``, ``workers`` at a time; results do not depend on that number.

    A run whose process dies is continued from its checkpoint, at most ``retries`` times; one that
    goes beyond ``limits`` has failed. ``watch`` is called from worker threads with progress events.
    Ctrl-C stops all processes; what was finished stays
    finished and the rest continues next time.
    """
    children = Children(limits.shared(workers))
    results: dict[int, RunResult] = {}
    asked: dict[Any, dict[str, Any]] = {}

    def work(number: int) -> None:
        request = requests[number]
        result = standing(request, retry_failed, fresh, asked)
        result = result or attempt(request, children, watch, retries)
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


def standing(
    request: RunRequest,
    retry_failed: bool,
    fresh: bool,
    asked: dict[Any, dict[str, Any]] | None = None,
) -> RunResult | None:
    """What is already there: a finished run is kept, a failed one is not tried again unasked.

    ``asked`` remembers what runs that differ by their seed have in common, for a whole sweep.

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
        found = _head(folder)
        _require_same(request, found, {} if asked is None else asked)
        return RunResult(request, "kept")
    if (folder / "failure.json").exists() and not retry_failed:
        failure = record.read_failure(folder)
        return RunResult(request, "failed", f"{failure.message} (--retry-failed tries again)")
    return None


def _head(folder: Path) -> tuple[Any, ...]:
    """Protocol, teacher source, arguments, seed and kind of device of a finished run.

    A sweep of ten thousand finished runs must begin within seconds, so a record is only read whole
    and checked where its result has another hash than it says.
    """
    try:
        content = json.loads((folder / "record.json").read_bytes())
        if content["result_sha256"] == record.result_sha256(content):
            return _facts(content)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # then the reader of records says what is wrong
    found, _ = record.read_run(folder)
    return _facts(found.model_dump(mode="json"))


def _facts(content: dict[str, Any]) -> tuple[Any, ...]:
    teacher, protocol = content["teacher"], content["protocol"]["fingerprint"]
    device = content["provenance"].get("device", "cpu").split(":")[0]
    return protocol, teacher["source_sha256"], teacher["arguments"], content["seed"], device


def _require_same(
    request: RunRequest, found: tuple[Any, ...], asked: dict[Any, dict[str, Any]]
) -> None:
    key = request.protocol, request.teacher, request.label, request.smoke, request.device
    if key not in asked:
        asked[key] = request.identity
    identity = {**asked[key], "seed": request.seed}
    names = ("protocol_fingerprint", "teacher_source", "teacher_arguments", "seed", "device")
    kinds = ("protocol", "teacher source", "teacher arguments", "seed", "device")
    for what, name, there in zip(kinds, names, found, strict=True):
        if there != identity[name]:
            raise LyceumError(
                f"{request.folder} holds a finished run with another {what}; give --fresh to "
                "replace it, or --runs to write to another folder"
            )


def attempt(request: RunRequest, children: Children, watch: Watcher, retries: int) -> RunResult:
    """Run the request in a process of its own until it ends for good."""
    code, message = 1, ""
    for _ in range(1 + retries):
        code, message = children.execute(request, watch)
        if children.stopped:
            return RunResult(request, "stopped")
        result = ended(request, code, message)
        if result is not None:
            return result
    return crashed(request, code, message)


def ended(request: RunRequest, code: int, message: str) -> RunResult | None:
    """What the exit code of a run's process says; None if another attempt may do better."""
    if code == 0:
        return RunResult(request, "finished")
    if code == BEYOND_LIMIT:
        message = f"{request.label}, seed {request.seed}: {message}"
        fail(request, "limit", message)
    if code in (2, BEYOND_LIMIT, BUSY):
        return RunResult(request, "failed", message)
    return None


def crashed(request: RunRequest, code: int, message: str) -> RunResult:
    """The end of a run whose process died too often."""
    return RunResult(request, "crashed", message or f"its process ended with code {code}")

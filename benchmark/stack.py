"""Several seeds of one teacher trained in one process, their students learning as one stack.

Worlds, teachers, evaluations, checkpoints and records stay each run's own: the runs take turns, one
rollout each, and then all students learn at once. Worth it where one GPU serves several seeds; on a
CPU processes side by side are faster, unless minibatches are small.

``python -m benchmark.stack REQUESTS`` does this for requests given as a JSON list, and tells what
happens in lines of JSON.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from benchmark.devices import one_quiet_thread

if __name__ == "__main__":
    one_quiet_thread()  # the next import loads NumPy and torch, which look only then

from benchmark.errors import LyceumError
from benchmark.loops.episodic import EpisodicLoop
from benchmark.provenance import ROOT
from benchmark.registry import load
from benchmark.run import RunRequest, as_json, rounds, single_thread
from benchmark.sweep import RETRIES, RunResult, standing

Hear = Callable[[int, Any], None]
Watcher = Callable[[RunRequest, dict[str, Any]], None]


def require_stackable(requests: list[RunRequest]) -> None:
    """Refuse protocols whose student learns alone.

    Raises:
        LyceumError: which student it is.
    """
    for request in requests:
        name = request.loaded.student.name
        if not hasattr(load("student", name), "stacked"):
            raise LyceumError(
                f"--stack is for students that can learn in a stack (ppo); {request.loaded.name} "
                f"has {name}"
            )


def execute_stack(requests: list[RunRequest], hear: Hear) -> dict[int, str]:
    """Train several runs to their ends, each going on from its newest checkpoint.

    ``hear`` is told the place of a run in ``requests`` and a progress event. Returns why runs
    failed, by place; the others have finished.
    """
    from students.stacked import Stack

    stack, runs, messages = Stack(), {}, {}
    for place, request in enumerate(requests):
        runs[place] = rounds(request, lambda event, place=place: hear(place, event))
    faults: dict[int, ValueError] = {}
    while runs:
        loops: dict[int, EpisodicLoop] = {}
        for place, run in list(runs.items()):
            try:
                fault = faults.get(place)
                loops[place] = next(run) if fault is None else run.throw(fault)
            except StopIteration:
                del runs[place]
            except LyceumError as error:
                messages[place] = str(error)
                del runs[place]
        faults = _learn(stack, loops) if loops else {}
    return messages


def _learn(stack: Any, loops: dict[int, EpisodicLoop]) -> dict[int, ValueError]:
    """Let the students of all loops learn, and charge each its share."""
    start, places = time.process_time(), list(loops)
    found = stack.learn([loop.student for loop in loops.values()])
    share = (time.process_time() - start) / len(loops)
    for loop in loops.values():
        loop.ledger.cpu["student"] += share
    return {places[row]: error for row, error in found.items()}


def sweep_stacks(
    requests: list[RunRequest],
    size: int,
    workers: int,
    watch: Watcher,
    retry_failed: bool = False,
    fresh: bool = False,
) -> list[RunResult]:
    """Like ``benchmark.sweep.sweep``, with up to ``size`` seeds of a teacher per process.

    ``workers`` processes run side by side. A process that dies is started again, at most twice; its
    runs continue from their checkpoints.
    """
    requests = [dataclasses.replace(request, stacked=True, report=True) for request in requests]
    require_stackable(requests)
    results = [standing(request, retry_failed, fresh) for request in requests]
    left = [place for place, result in enumerate(results) if result is None]
    children = _Processes()

    def work(places: tuple[int, ...]) -> None:
        found = children.train([requests[place] for place in places], watch)
        for place, result in zip(places, found, strict=True):
            results[place] = result

    for result in filter(None, results):
        _tell(watch, result)
    with ThreadPoolExecutor(max_workers=max(1, workers)) as pool:
        try:
            for future in [pool.submit(work, places) for places in _groups(requests, left, size)]:
                future.result()
        except BaseException:
            children.stop()
            pool.shutdown(cancel_futures=True)
            raise
    return results


def _groups(requests: list[RunRequest], left: list[int], size: int) -> Iterator[tuple[int, ...]]:
    """Places of at most ``size`` requests of one teacher each."""
    for _, places in itertools.groupby(left, lambda place: requests[place].folder.parent):
        every = list(places)
        yield from (tuple(every[start : start + size]) for start in range(0, len(every), size))


def _tell(watch: Watcher, result: RunResult) -> None:
    watch(result.request, {"status": result.status, "message": result.message})


class _Processes:
    """The processes of stacks, so that all of them can be stopped."""

    def __init__(self) -> None:
        self.stopped, self.lock = False, threading.Lock()
        self.running: set[subprocess.Popen[str]] = set()

    def train(self, requests: list[RunRequest], watch: Watcher) -> list[RunResult]:
        """Train requests in a process of their own until they end for good."""
        code, messages = 1, {}
        for _ in range(1 + RETRIES):
            code = self._once(requests, watch, messages)
            if code == 0 or self.stopped:
                break
        results = []
        for place, request in enumerate(requests):
            if place in messages:
                result = RunResult(request, "failed", messages[place])
            elif (request.folder / "record.json").exists():
                result = RunResult(request, "finished")
            elif self.stopped:
                result = RunResult(request, "stopped")
            else:
                result = RunResult(request, "crashed", f"its process ended with code {code}")
            _tell(watch, result)
            results.append(result)
        return results

    def _once(self, requests: list[RunRequest], watch: Watcher, messages: dict[int, str]) -> int:
        listed = "[" + ",".join(as_json(request) for request in requests) + "]"
        command = [sys.executable, "-m", "benchmark.stack", listed]
        with self.lock:
            if self.stopped:
                return 1
            child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_environment())
            self.running.add(child)
        for line in child.stdout:
            place, event = json.loads(line)
            if isinstance(event, str):
                messages[place] = event
            else:
                watch(requests[place], event)
        with self.lock:
            self.running.discard(child)
        return child.wait()

    def stop(self) -> None:
        """Terminate every process; the runs continue from their checkpoints next time."""
        with self.lock:
            self.stopped = True
            for child in self.running:
                child.terminate()


def _environment() -> dict[str, str]:
    """This process's environment, with the suite where a command can import it."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path}


def main(argv: list[str]) -> int:
    """Train the runs given as a JSON list; 0 when all have ended, well or not."""
    said = sys.stdout
    sys.stdout = sys.stderr  # what a teacher prints is no event

    def hear(place: int, event: Any) -> None:
        print(json.dumps([place, event]), file=said, flush=True)

    single_thread()
    requests = [RunRequest(**each) for each in json.loads(argv[0])]
    for place, message in execute_stack(requests, hear).items():
        hear(place, message)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

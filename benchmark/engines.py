"""Where the runs of a sweep are executed: on anything with ``submit()``, on Ray, on Slurm.

The unit of work is the same everywhere: ``work`` executes one run in a process of its own on the
machine it is called on, below the given limits, and continues from the checkpoint that it finds in
the run's folder. So folders must be shared by all machines, and all must have the suite installed.
What the engine loses (a worker that dies, a node that goes away) is submitted again.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from benchmark.children import USUAL, Children, Limits, Watcher
from benchmark.chronicle import last_progress
from benchmark.devices import QUIET
from benchmark.errors import LyceumError
from benchmark.lease import STALE_AFTER
from benchmark.provenance import ROOT
from benchmark.run import BUSY, RunRequest, as_json
from benchmark.sweep import RETRIES, RunResult, crashed, ended, standing

LOOK_EVERY = 0.5  # seconds between two looks at what was submitted
TELL_EVERY = 2.0  # seconds between two looks into the folders of running runs
WAIT_BUSY = 2.0  # seconds before a run is tried again that another process seems to hold


class Future(Protocol):
    """What ``submit`` returns: of ``concurrent.futures``, Dask, submitit or anything alike."""

    def done(self) -> bool:
        """Whether it has ended, well or not."""

    def result(self) -> Any:
        """What the call returned; raises what ended it."""


class Executor(Protocol):
    """Anything that calls a function somewhere else."""

    def submit(self, function: Any, /, *arguments: Any) -> Future:
        """Call ``function(*arguments)`` elsewhere."""


def work(request: str, limits: dict[str, float]) -> tuple[int, str]:
    """Execute one run, given as JSON, on this machine; return its exit code and last sentence.

    The codes are those of ``benchmark.run`` and ``benchmark.children``.
    """
    children = Children(Limits(**limits))
    return children.execute(RunRequest(**json.loads(request)), lambda request, event: None)


@dataclasses.dataclass
class _Job:
    """One run under way on an executor; ``tries`` counts how often it was lost."""

    number: int
    future: Future | None = None
    tries: int = 0
    again: float = 0.0  # not to be submitted before
    waited: float = 0.0  # seconds for another process to let go of the run


def sweep_on(
    executor: Executor,
    requests: Sequence[RunRequest],
    watch: Watcher = lambda request, event: None,
    retry_failed: bool = False,
    fresh: bool = False,
    limits: Limits = USUAL,
    retries: int = RETRIES,
) -> list[RunResult]:
    """Execute runs on an executor, in their order; results are those of ``sweep.sweep``.

    A run that is lost with its worker, or whose process dies, is submitted again at most
    ``retries`` times. ``watch`` hears how runs end, and every two seconds how far they are.
    """
    results: dict[int, RunResult] = {}
    jobs: list[_Job] = []

    def end(number: int, result: RunResult) -> None:
        results[number] = result
        watch(requests[number], {"status": result.status, "message": result.message})

    asked: dict[Any, dict[str, Any]] = {}
    for number, request in enumerate(requests):
        found = standing(request, retry_failed, fresh, asked)
        if found is not None:
            end(number, found)
        else:
            jobs.append(_Job(number))
    told = time.monotonic()
    while jobs:
        for job in jobs:
            if job.future is None and time.monotonic() >= job.again:
                arguments = as_json(requests[job.number]), dataclasses.asdict(limits)
                job.future = executor.submit(work, *arguments)
        time.sleep(LOOK_EVERY)
        for job in [job for job in jobs if job.future is not None and job.future.done()]:
            result = _take(job, requests[job.number], retries)
            if result is not None:
                jobs.remove(job)
                end(job.number, result)
        if time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            _tell([requests[job.number] for job in jobs if job.future is not None], watch)
    return [results[number] for number in range(len(requests))]


def _take(job: _Job, request: RunRequest, retries: int) -> RunResult | None:
    """How a job ended for good; None if it is to be submitted again."""
    try:
        code, message = job.future.result()
    except Exception as error:  # whatever an engine raises when it loses a worker
        code, message = 1, f"lost by the engine: {type(error).__name__}: {str(error)[:300]}"
    job.future = None
    if code == BUSY and job.waited < 2 * STALE_AFTER:
        # Its last worker is gone, but the run's own process may need a moment to notice.
        job.waited += WAIT_BUSY
        job.again = time.monotonic() + WAIT_BUSY
        return None
    result = ended(request, code, message)
    if result is None:
        job.tries += 1
        result = crashed(request, code, message) if job.tries > retries else None
    return result


def _tell(requests: Sequence[RunRequest], watch: Watcher) -> None:
    """Say how far runs are, as their logs say: they may be anywhere."""
    for request in requests:
        event = last_progress(request.folder)
        if event is not None:
            watch(request, event)


def ray_executor(address: str = "") -> Any:
    """An executor on a Ray cluster: ``address`` of its head, empty for one on this machine.

    Every run takes one CPU of the cluster. Raises LyceumError if Ray is not installed or there is
    no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise LyceumError(
            "--engine ray needs Ray: pip install 'lyceum[ray]', on every machine of the cluster"
        ) from error
    environment = {"env_vars": {"PYTHONPATH": str(ROOT), **QUIET}}
    try:
        if not ray.is_initialized():
            ray.init(
                address=address or None, runtime_env=environment, log_to_driver=False,
                logging_level="error",
            )  # fmt: skip
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise LyceumError(f"no Ray cluster at {address or 'this machine'}: {error}") from error

    class RayExecutor:
        """``submit`` on the cluster; a lost worker is our own concern, so Ray tries once."""

        def __init__(self) -> None:
            self.call = ray.remote(num_cpus=1, max_retries=0)(work)

        def submit(self, function: Any, /, *arguments: Any) -> Future:
            return self.call.remote(*arguments).future()

    return RayExecutor()


def slurm_executor(
    folder: Path, limits: Limits, workers: int, settings: Sequence[str] = (), cluster: str = ""
) -> Any:
    """An executor that submits jobs to Slurm through submitit, one CPU each.

    Args:
        folder: for the jobs' scripts and logs; shared by all machines.
        limits: the queue's time and memory are those of a run, with some room.
        workers: jobs of an array that run at a time.
        settings: more of submitit's parameters, ``name=value``, such as ``slurm_partition=gpu``.
        cluster: another one of submitit's executors, "local" or "debug"; empty: Slurm.

    Raises:
        LyceumError: submitit or Slurm is not there, or a setting is unknown.
    """
    try:
        import submitit
    except ImportError as error:
        raise LyceumError("--engine slurm needs submitit: pip install 'lyceum[slurm]'") from error
    from benchmark.arguments import parse_settings

    try:
        executor = submitit.AutoExecutor(folder=str(folder), cluster=cluster or "slurm")
        executor.update_parameters(
            name="lyceum", cpus_per_task=1, timeout_min=int(limits.minutes or 1440) + 10,
            **({"mem_gb": limits.memory_gb + 1} if limits.memory_gb else {}),
            **({} if cluster else {"slurm_array_parallelism": workers}),
            **parse_settings(list(settings)),
        )  # fmt: skip
    except Exception as error:  # submitit raises several kinds, also for a missing sbatch
        raise LyceumError(f"no Slurm to submit to: {error}") from error
    return executor


def printed_commands(requests: Sequence[RunRequest]) -> list[str]:
    """One shell command per run, for any other queue; each may be given again after a kill."""
    threads = " ".join(f"{name}={value}" for name, value in QUIET.items())
    return [
        f"{threads} {shlex.quote(sys.executable)} -m benchmark.run {shlex.quote(as_json(request))}"
        for request in requests
    ]

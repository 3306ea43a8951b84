"""One run = protocol x teacher x seed: an idempotent unit of work with one folder.

``python -m benchmark.run REQUEST`` executes one run, given as JSON, in this process. The exit code
is 0 when it finished, 2 for a user's mistake (one sentence on standard error), 3 if another process
trains the same run, anything else for a fault of the machine, after which the same command goes on
from the newest checkpoint.
"""

from __future__ import annotations

import dataclasses
import datetime
import errno
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from benchmark.devices import device_name, one_quiet_thread, place

if __name__ == "__main__":
    one_quiet_thread()  # the next import loads NumPy and torch, which look only then

import numpy as np

from benchmark import record
from benchmark.assemble import Assembly, assemble
from benchmark.chronicle import Chronicle
from benchmark.conduct import Forks
from benchmark.errors import LyceumError, TeacherError
from benchmark.lease import Busy, Lease, host_hash
from benchmark.loops.episodic import EpisodicLoop
from benchmark.protocol import Protocol
from benchmark.provenance import provenance, suite_sha256
from benchmark.recorder import Recorder, curriculum_bytes
from benchmark.registry import describe, load, source_sha256
from benchmark.strict_json import write_bytes_atomically

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
LONGEST_LABEL = 80  # as records allow
BUSY = 3  # exit code: another process trains this run


@dataclass(frozen=True)
class RunRequest:
    """Everything that names a run and says where and how to execute it.

    ``workers`` processes step procedural worlds and change no result; ``smoke`` > 0 shortens the
    budget to that number and marks the record as not to be ranked. ``name`` is what the teacher is
    called in place of its class and hyperparameters; ``device`` is "cpu", "cuda" or "auto";
    ``stacked``: the student learns in one stack with those of other seeds; ``listeners`` names who
    hears the run's log.
    """

    protocol: str
    teacher: str
    seed: int
    arguments: dict[str, Any] = field(default_factory=dict)
    runs: str = "runs"
    workers: int = 1
    checkpoint_seconds: float = 30.0
    smoke: int = 0
    report: bool = False
    name: str = ""
    device: str = "cpu"
    stacked: bool = False
    listeners: tuple[str, ...] = ()

    @cached_property
    def loaded(self) -> Protocol:
        """The protocol, shortened if this is a smoke run."""
        return _loaded(self.protocol, self.smoke, _changed(self.protocol))

    @property
    def label(self) -> str:
        """The teacher's name with the hyperparameters that differ from its defaults.

        What file names cannot hold and what is longer than a name may be is told by a hash.
        """
        if self.name:
            return self.name
        name, options = describe(self.teacher), sorted(self.arguments.items())
        if not options:
            return name
        text = ",".join(f"{k}={v:g}" if isinstance(v, float) else f"{k}={v}" for k, v in options)
        plain = "".join(c if c.isascii() and (c.isalnum() or c in ".,=_-") else "-" for c in text)
        if plain == text and len(f"{name}[{plain}]") <= LONGEST_LABEL:
            return f"{name}[{plain}]"
        mark = hashlib.sha256(json.dumps(options).encode()).hexdigest()[:8]
        return f"{name}[{plain}"[: LONGEST_LABEL - 10] + f"-{mark}]"

    @property
    def folder(self) -> Path:
        """Where this run lives."""
        return Path(self.runs) / self.loaded.name / self.label / f"seed-{self.seed:04d}"

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for a checkpoint to be continued or a record to be kept."""
        return {
            "protocol_fingerprint": self.loaded.fingerprint,
            "teacher_source": source_sha256(load("teacher", self.teacher)),
            "teacher_arguments": json.loads(json.dumps(self.arguments)),
            "suite_version": suite_sha256(),
            "seed": self.seed,
            "device": place(self.device) + " stacked" * self.stacked,
        }


@cache
def _loaded(protocol: str, smoke: int, changed: int) -> Protocol:
    """A protocol, read once for all the runs of a sweep; ``changed`` tells when its file was."""
    loaded = Protocol.load(protocol)
    return loaded.smoke(smoke) if smoke else loaded


def _changed(protocol: str) -> int:
    try:
        return os.stat(protocol).st_mtime_ns if protocol.endswith(".toml") else 0
    except OSError:
        return 0


def execute(request: RunRequest, say: Callable[[Any], None] = lambda event: None) -> Path:
    """Train one run to its end, continuing from its newest checkpoint; return its folder.

    ``say`` hears progress events if the request asks for reports.

    Raises:
        LyceumError: a user's mistake, a faulty teacher or a full disk. A faulty teacher also
            leaves ``failure.json``; nothing that was finished before is touched.
    """
    for _ in rounds(request, say):
        raise RuntimeError("a stacked run needs others; see benchmark/stack.py")
    return request.folder


def rounds(request: RunRequest, say: Callable[[Any], None]) -> Iterator[EpisodicLoop]:
    """``execute``, with a stop wherever a stacked student waits to learn together with others."""
    folder = request.folder
    Forks.adopt()
    try:
        with Lease(folder) as lease:
            if (folder / "record.json").exists():
                return
            yield from _train(request, folder, lease.attempt, say)
    except OSError as error:
        if error.errno in DISK_FULL:
            raise LyceumError(
                f"the disk is full while writing {folder} ({error.strerror}); free some space and "
                "give the same command again: it continues from the newest checkpoint"
            ) from error
        raise


def _train(
    request: RunRequest, folder: Path, attempt: int, say: Callable[[Any], None]
) -> Iterator[EpisodicLoop]:
    started = _now()
    reporter = say if request.report else None
    log = Chronicle(folder, request.listeners, request.label)
    log.note("attempt", number=attempt, process=os.getpid(), machine=host_hash())
    recorder = Recorder(folder, request.identity, request.checkpoint_seconds, reporter, log.note)
    assembly = assemble(
        request.loaded,
        request.teacher,
        request.arguments,
        request.seed,
        recorder,
        request.workers,
        request.device,
    )
    try:
        recorder.attach(assembly)
        if request.stacked:
            assembly.student.stacked = True
            yield from assembly.loop.rounds()
        else:
            assembly.loop.run()
        recorder.finish()
        log.note("finished", spent=assembly.ledger.spent)
    except (TeacherError, ValueError) as error:  # worlds and students refuse bad numbers
        kind = "teacher" if isinstance(error, TeacherError) else "training"
        fail(request, kind, str(error), assembly.ledger.spent, attempt)
        log.note("failed", kind=kind, message=str(error)[:2000], spent=assembly.ledger.spent)
        raise TeacherError(f"{request.label}, seed {request.seed}: {error}") from error
    finally:
        assembly.close()
        log.close()
    _conclude(request, folder, assembly, recorder, {"start": started, "attempt": attempt})


def fail(
    request: RunRequest, kind: str, message: str, spent: float = 0.0, attempts: int = 1
) -> None:
    """Write ``failure.json``: this run is not tried again unless somebody asks for it."""
    failure = record.Failure(
        protocol=request.loaded.name,
        teacher=request.label,
        seed=request.seed,
        kind=kind,
        message=message[:2000],
        spent=spent,
        attempts=attempts,
    )
    record.write_json_atomically(
        request.folder / "failure.json", failure.model_dump(mode="json", by_alias=True)
    )


def _conclude(
    request: RunRequest,
    folder: Path,
    assembly: Assembly,
    recorder: Recorder,
    attempt: dict[str, Any],
) -> None:
    """Write the curriculum, the costs and, last and atomically, the record."""
    columns = recorder.columns()
    write_bytes_atomically(folder / "curriculum.npz", curriculum_bytes(columns))
    content = _record_content(request, assembly, recorder.rows, _arrays_sha256(columns))
    costs = _cost_content(request, recorder.rows, attempt)
    record.write_run(folder, content, costs)
    shutil.rmtree(folder / "checkpoint", ignore_errors=True)
    (folder / "failure.json").unlink(missing_ok=True)


def _record_content(
    request: RunRequest, assembly: Assembly, rows: list[dict[str, Any]], curriculum_sha256: str
) -> dict[str, Any]:
    """The record: nothing in it depends on clocks, workers or interruptions."""
    halves = ("score_a", "score_b", "success_a", "success_b")
    first, teacher = rows[0]["evaluation"], assembly.teacher
    evaluation = {"tasks": assembly.evaluator.labels}
    evaluation |= {name: first[name] for name in ("count_a", "count_b")}
    evaluation |= {name: [row["evaluation"][name] for row in rows] for name in halves}
    content = {
        "schema": "run/1",
        "protocol": {"name": request.loaded.name, "fingerprint": request.loaded.fingerprint},
        "teacher": {
            "name": request.label,
            "source_sha256": request.identity["teacher_source"],
            "arguments": request.identity["teacher_arguments"],
            "signals": list(teacher.signals),
            "privileges": list(teacher.privileges),
            "changes": list(teacher.changes),
            "reference": teacher.reference[:300],
        },
        "seed": request.seed,
        "status": "smoke" if request.loaded.status == "smoke" else "finished",
        "grid": list(request.loaded.grid),
        "evaluation": evaluation,
        "spent": {name: [row["spent"][name] for row in rows] for name in rows[0]["spent"]},
        "curriculum_sha256": curriculum_sha256,
        "provenance": provenance(device_name(assembly.student)),
    }
    return {**content, "result_sha256": record.result_sha256(content)}


def _cost_content(
    request: RunRequest, rows: list[dict[str, Any]], attempt: dict[str, Any]
) -> dict[str, Any]:
    """What was measured with clocks, cumulative per evaluation."""
    last = {"start": attempt["start"], "end": _now(), "reason": f"attempt {attempt['attempt']}"}
    return {
        "schema": "costs/1",
        **{f"cpu_{role}": [row["cpu"][role] for row in rows] for role in rows[0]["cpu"]},
        "wall": [row["wall"] for row in rows],
        "peak_rss_mb": rows[-1]["peak_rss_mb"],
        "workers": request.workers,
        "attempts": [last],
    }


def _arrays_sha256(columns: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(columns):
        array = np.ascontiguousarray(columns[name])
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def single_thread() -> None:
    """One torch thread per run: several runs share a machine better than one shares its cores."""
    import torch

    torch.set_num_threads(1)


def run_here(request: RunRequest, say: Callable[[Any], None]) -> int:
    """Execute a request in this process and return its exit code.

    ``say`` hears progress events (dicts) and, before an exit code of 2, one sentence.
    """
    single_thread()
    try:
        execute(request, say)
    except Busy as error:
        say(str(error))
        return BUSY
    except LyceumError as error:
        say(str(error))
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


def main(argv: list[str]) -> int:
    """Execute the run given as JSON; see the module's first lines for the exit codes."""

    def say(event: Any) -> None:
        if isinstance(event, str):
            print(event, file=sys.stderr)
        else:
            print(json.dumps(event), flush=True)

    return run_here(RunRequest(**json.loads(argv[0])), say)


def as_json(request: RunRequest) -> str:
    """The request as the argument of ``python -m benchmark.run``."""
    return json.dumps(dataclasses.asdict(request))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Trains one seed of an entry anew and compares: the only check that executes a teacher.

Registered teachers are run as they stand in the suite. A stranger's teacher is run only from a
file that the caller names, in this process's rights: read it first, or use a container.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console

from benchmark.errors import LyceumError
from benchmark.metrics import curve
from benchmark.protocol import Protocol
from benchmark.provenance import provenance
from benchmark.record import read_run
from benchmark.registry import TABLES, load, source_sha256
from benchmark.run import RunRequest
from benchmark.schema import RunRecord, SignedSubmission, Submission
from benchmark.sweep import sweep
from benchmark.telling import fitting_teacher
from benchmark.watch import SweepProgress

COMPARED = ("protocol", "teacher", "seed", "grid", "evaluation", "spent", "curriculum_sha256")


@dataclass(frozen=True)
class Outcome:
    """How a re-run ended, and a sentence about it."""

    state: Literal["same", "wrong", "undecided", "skipped"]
    sentence: str


def registered(entry: Submission) -> str | None:
    """The registered name of an entry's teacher, if it has one; never that of a file."""
    base = entry.teacher.name.split("[")[0]
    return base if base in TABLES["teacher"] else None


def rerun(
    console: Console,
    protocol: str,
    entry: Submission,
    seed: int | None,
    teacher: str | None,
    runs: Path,
) -> Outcome:
    """Train one seed of ``entry``, chosen at random if None, below ``runs`` and compare records.

    ``teacher`` is the file of a teacher that is not registered. A run that was interrupted
    continues if the same seed is asked for.

    Raises:
        LyceumError: the entry lacks the seed, or the file is not the one that the entry was made
            with.
    """
    records = {run.record.seed: run.record for run in entry.runs}
    if seed is not None and seed not in records:
        raise LyceumError(f"--seed {seed}: {entry.teacher.name} has seeds {_listed(records)}")
    source = _source(entry, teacher)
    if source is None:
        return Outcome("skipped", "its file is not at hand (--teacher FILE)")
    if source_sha256(load("teacher", source)) != entry.teacher.source_sha256:
        if teacher is None:
            return Outcome("skipped", f"{source} has changed since: another source_sha256")
        raise LyceumError(
            f"{teacher} is not the file that {entry.teacher.name} was made with: another "
            "source_sha256 (of the file and of the neighbours that it imports)"
        )
    loaded = Protocol.load(protocol)
    fitting_teacher(loaded, source, entry.teacher.arguments)
    if seed is None:
        seed = int(np.random.default_rng().choice(list(records)))
    request = RunRequest(
        protocol=protocol,
        teacher=source,
        seed=seed,
        arguments=entry.teacher.arguments,
        runs=str(runs),
        name=entry.teacher.name,
    )
    console.print(f"Re-run of {entry.teacher.name}, seed {seed}, in {runs}", highlight=False)
    # A finished run there is an older re-run and proves nothing; an interrupted one continues.
    finished = (request.folder / "record.json").exists()
    with SweepProgress(Console(quiet=True), [request]) as progress:
        (result,) = sweep([request], 1, progress.watch, retry_failed=True, fresh=finished)
    if result.status != "finished":
        return Outcome("wrong", f"seed {seed}: the re-run {result.status}: {result.message}")
    found, _ = read_run(request.folder, loaded)
    return _compare(loaded, records[seed], found)


def _source(entry: Submission, teacher: str | None) -> str | None:
    """What to load: the registered teacher, or the class in the file that the caller names."""
    base = registered(entry)
    if base is not None or teacher is None:
        return base
    if ":" in teacher or not isinstance(entry, SignedSubmission):
        return teacher
    return f"{teacher}:{entry.about.class_}"


def _compare(protocol: Protocol, claimed: RunRecord, found: RunRecord) -> Outcome:
    differing = [name for name in COMPARED if getattr(claimed, name) != getattr(found, name)]
    if not differing:
        return Outcome("same", f"seed {claimed.seed}: the re-run gave the same record")
    with np.errstate(all="ignore"):
        apart = np.abs(curve(claimed, protocol) - curve(found, protocol)).max()
    what = (
        f"seed {claimed.seed}: the re-run gave another {', '.join(differing)} (curves differ by "
        f"up to {apart:.3g})"
    )
    here = provenance()
    other = [k for k in here if claimed.provenance.get(k) != here[k]]
    # What a teacher declares does not depend on where it runs.
    if other and "teacher" not in differing:
        return Outcome(
            "undecided",
            f"{what}; it was made with another {', '.join(other)}, where results may differ in "
            "good faith: repeat this on an installation like that one",
        )
    return Outcome("wrong", f"{what}, although versions and processor are the same")


def _listed(seeds: dict[int, RunRecord]) -> str:
    return ", ".join(map(str, seeds))

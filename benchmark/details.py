"""All scores of one teacher's runs that the records allow, and more where the runs lie here.

A published entry knows the CPU seconds of whole runs; the folder of a run also knows them at every
evaluation, and what was proposed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gymnasium import spaces

from benchmark import curriculum, metrics
from benchmark.errors import LyceumError
from benchmark.leaderboard import Entry
from benchmark.protocol import Protocol
from benchmark.record import read_run
from benchmark.registry import load
from benchmark.schema import RunRecord, SubmittedRun


@dataclass(frozen=True)
class OwnRun:
    """What only the folder of a run knows: CPU seconds at each evaluation, and its proposals."""

    seconds: np.ndarray | None
    curriculum: Mapping[str, np.ndarray] | None


@dataclass(frozen=True)
class Details:
    """Scores of one teacher's runs, each an array (n,); NaN where a run does not know it.

    Times and costs to the target are infinite where it was never reached. ``assumed`` says that
    seconds to target were read off the whole run's, spent evenly.
    """

    name: str
    values: Mapping[str, np.ndarray]
    assumed: bool

    def known(self, key: str) -> np.ndarray | None:
        """The values of one score, or None if no run knows it."""
        values = self.values[key]
        return None if np.isnan(values).all() else values


@dataclass(frozen=True)
class Setting:
    """What all teachers of a comparison share.

    ``inside`` says which held-out tasks (J,) a teacher may propose, None if the protocol does not
    tell; ``equal_seconds`` is what the reference teacher's runs cost in the median.
    """

    protocol: Protocol
    space: spaces.Space
    inside: np.ndarray | None
    equal_seconds: float | None


def setting(protocol: Protocol, reference: Entry | None) -> Setting:
    """Build the task space once, and read the reference teacher's costs."""
    space = task_space(protocol)
    inside = None
    if protocol.held_out is not None:
        inside = np.array([space.contains(task) for task in protocol.held_out])
    known = []
    if reference is not None:
        bills = [run.costs for run in reference.submission.runs if run.costs is not None]
        known = [metrics.cpu_seconds(bill) for bill in bills]
    return Setting(protocol, space, inside, float(np.median(known)) if known else None)


def details(common: Setting, entry: Entry, own: Mapping[int, OwnRun]) -> Details:
    """Compute every score of every run; ``own`` holds those that lie here, by seed."""
    protocol = common.protocol
    rows, assumed = [], False
    for run in entry.submission.runs:
        mine = own.get(run.record.seed)
        row = _tasks(protocol, run.record, common.inside)
        seconds = mine.seconds if mine is not None else None
        if seconds is None and run.costs is not None:
            total = metrics.cpu_seconds(run.costs)
            seconds, assumed = np.array(protocol.grid) * total / protocol.budget.total, True
        row |= _costs(protocol, run, seconds)
        row["equal_compute"] = row["entropy"] = row["coverage"] = np.nan
        if mine is not None and mine.seconds is not None and common.equal_seconds is not None:
            curve = metrics.curve(run.record, protocol)
            row["equal_compute"] = metrics.score_at_cost(curve, mine.seconds, common.equal_seconds)
        if mine is not None and mine.curriculum is not None:
            found = curriculum.spread(mine.curriculum["tasks"], common.space)
            row |= {"entropy": found.entropy, "coverage": found.coverage}
        rows.append(row)
    values = {key: np.array([row[key] for row in rows], dtype=float) for key in rows[0]}
    return Details(entry.name, values, assumed)


def _tasks(protocol: Protocol, record: RunRecord, inside: np.ndarray | None) -> dict[str, float]:
    """Scores of one run over its held-out tasks and along its curve."""
    window, scores = protocol.score.final_window, metrics.curve(record, protocol)
    tasks, halves = metrics.task_curves(record, protocol), metrics.half_curves(record, protocol)
    gap = None if inside is None else metrics.transfer_gap(tasks, inside, window)
    found = {
        "mastered": metrics.mastered_share(tasks, window),
        "decile": metrics.worst_decile(tasks, window),
        "tail": metrics.tail(tasks, window),
        "crossed_tail": metrics.cross_fitted_tail(*halves, window),
        "forgetting": metrics.forgetting(*halves, window),
        "dispersion": metrics.dispersion(scores),
        "drop": metrics.largest_drop(scores),
        "transfer_gap": gap,
    }
    return {key: np.nan if value is None else value for key, value in found.items()}


def _costs(protocol: Protocol, run: SubmittedRun, seconds: np.ndarray | None) -> dict[str, float]:
    """What one run spent until its target, and in all."""
    target, scores = protocol.score.target, metrics.curve(run.record, protocol)
    spent = run.record.spent
    student = np.array(spent.student, dtype=float)
    costs = {
        "trained": student,
        "spent": student + spent.teacher,
        "updates": np.array(spent.updates, dtype=float),
        "seconds": seconds,
    }
    found = {
        key: np.nan
        if target is None or values is None
        else metrics.cost_to_target(scores, values, target)
        for key, values in costs.items()
    }
    found["run_seconds"] = np.nan if run.costs is None else metrics.cpu_seconds(run.costs)
    share = None if run.costs is None else metrics.overhead(run.costs)
    return found | {"overhead": np.nan if share is None else share}


def own_runs(entry: Entry, folders: Sequence[Path]) -> dict[int, OwnRun]:
    """The runs of an entry whose folders lie here, by seed; other results are left out."""
    wanted = {run.record.seed: run.record.result_sha256 for run in entry.submission.runs}
    found = {}
    for folder in folders:
        record, costs = read_run(folder)
        if wanted.get(record.seed) == record.result_sha256:
            seconds = None
            if costs is not None:
                parts = [costs.cpu_student, costs.cpu_environment, costs.cpu_teacher]
                seconds = np.sum(parts, axis=0)
            found[record.seed] = OwnRun(seconds, _proposals(folder / "curriculum.npz"))
    return found


def _proposals(path: Path) -> dict[str, np.ndarray] | None:
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in ("spent", "tasks")}
    except (OSError, ValueError, KeyError) as error:
        raise LyceumError(f"{path} cannot be read: {error}") from error


def task_space(protocol: Protocol) -> spaces.Space:
    """The tasks that a teacher may propose under a protocol."""
    kind = "task" if protocol.task.kind == "supervised" else "world"
    options = dict(protocol.task.options)
    built = load(kind, protocol.task.name)(**options, **({"seed": 0} if kind == "task" else {}))
    try:
        return built.task_space
    finally:
        getattr(built, "close", lambda: None)()

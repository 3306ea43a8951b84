"""``lyceum check``: a stranger's class against the contract, each rule in time, then a short run.

The rules run in a child process, so that a class which hangs or crashes ends the check and not the
caller.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from benchmark.errors import LyceumError, unknown
from benchmark.guard import OutOfTime, time_limit
from benchmark.protocol import Protocol
from benchmark.provenance import ROOT
from benchmark.registry import TABLES, load
from benchmark.run import RunRequest, execute, single_thread
from environments.base import ProceduralEnv, SupervisedTask
from students.base import Student, SupervisedStudent
from teachers.base import Teacher

TOTAL_SECONDS = 120.0  # most teachers take 5 to 40, one with networks a minute on a busy core
RULE_SECONDS = 15.0
SMOKE = {"discrete": ("digits-standard-v1", 1280), "box": ("hypercube-v1", 400)}
MARKS = {
    "passed": "[green]PASS[/]",
    "failed": "[red]FAIL[/]",
    "skipped": "[dim]skip[/]",
    "expected failure": "[yellow]KNOWN[/]",
    "reported": "[cyan]NOTE[/]",
}


def check_names(console: Console, names: list[str]) -> int:
    """Check every name and print one line per rule; return 0, or 2 if any required rule failed."""
    failures = 0
    for name in names:
        load_anything(name)
        console.print(f"[bold]{escape(name)}[/]", highlight=False)
        records = list(_child_records(name))
        for record in records:
            reason = f"  {escape(record['reason'])}" if record["reason"] else ""
            mark = MARKS[record["status"]]
            console.print(f"{mark}  {record['name']}{reason}", highlight=False, soft_wrap=True)
        failed = sum(record["status"] == "failed" for record in records)
        passed = sum(record["status"] == "passed" for record in records)
        console.print(f"{passed} passed, {failed} failed", highlight=False)
        failures += failed
    console.print(
        "Not checked: whether the method does what its paper says, and how well it teaches.",
        style="dim",
        highlight=False,
    )
    return 2 if failures else 0


def check_everything(console: Console) -> int:
    """Check all that is registered, one line each; return 0, or 2 if a required rule failed."""
    failures = 0
    for name in (name for table in TABLES.values() for name in table):
        records = list(_child_records(name))
        failed = [record for record in records if record["status"] == "failed"]
        passed = sum(record["status"] == "passed" for record in records)
        mark = MARKS["failed" if failed else "passed"]
        console.print(f"{mark}  {name}: {passed} passed, {len(failed)} failed", highlight=False)
        for record in failed:
            text = escape(f"      {record['name']}: {record['reason']}")
            console.print(text, highlight=False, soft_wrap=True)
        failures += len(failed)
    return 2 if failures else 0


def load_anything(name: str) -> type:
    """The class behind a file or a registered name of any kind.

    Raises:
        LyceumError: nothing has that name, or the class fits no contract.
    """
    if ".py" in name:
        cls = load("teacher", name)
    else:
        kinds = [kind for kind, table in TABLES.items() if name in table]
        if not kinds:
            raise unknown("name", name, [entry for table in TABLES.values() for entry in table])
        cls = load(kinds[0], name)
    contracts = (Teacher, ProceduralEnv, SupervisedTask, Student, SupervisedStudent)
    if not issubclass(cls, contracts):
        raise LyceumError(
            f"{name} fits no contract: its class must inherit "
            + ", ".join(contract.__name__ for contract in contracts)
        )
    return cls


def _child_records(name: str) -> Iterator[dict[str, Any]]:
    """Run the rules in a child process and yield their records as they come."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    child = subprocess.Popen(
        [sys.executable, "-m", "benchmark.conformance", name],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(TOTAL_SECONDS, child.kill)
    timer.start()
    complaints: list[str] = []
    drain = threading.Thread(target=lambda: complaints.extend(child.stderr), daemon=True)
    drain.start()
    try:
        for line in child.stdout:
            yield json.loads(line)
    finally:
        timer.cancel()
        child.wait()
        drain.join(timeout=5)
    if child.returncode:
        last = next((line.strip() for line in reversed(complaints) if line.strip()), "")
        why = f"the check took longer than {TOTAL_SECONDS:g} s" if child.returncode == -9 else last
        yield {"name": "check_to_the_end", "status": "failed", "reason": why}


def _check_here(name: str, say: Callable[[Any], None]) -> None:
    """Apply every rule of the class's contract in this process."""
    cls = load_anything(name)
    if issubclass(cls, Teacher):
        from teachers import check

        for rule in (*check.RULES, *check.REPORTS):
            for record in _in_time(
                rule.__name__,
                lambda rule=rule: check.check_teacher(cls, raise_first=False, rules=[rule]),
            ):
                say(record)
        for record in _in_time("check_short_run", lambda: _short_run(name, cls)):
            say(record)
    else:
        for record in _checker(cls)(cls, raise_first=False):
            say(record)


def _checker(cls: type) -> Callable[..., Any]:
    from environments import check as environment_check
    from students import check as student_check

    if issubclass(cls, ProceduralEnv):
        return environment_check.check_environment
    if issubclass(cls, SupervisedTask):
        return environment_check.check_task
    return student_check.check_student


def _in_time(name: str, action: Callable[[], Any]) -> Any:
    """The records of ``action``, or a failed one if it takes too long."""
    try:
        with time_limit(RULE_SECONDS):
            return action()
    except OutOfTime:
        return [(name, "failed", f"took longer than {RULE_SECONDS:g} s; is there an endless loop?")]


def _short_run(name: str, cls: type[Teacher]) -> list[tuple[str, str, str]]:
    """Train for a moment under a real protocol of each kind of space that the teacher teaches."""
    reasons = []
    for kind in cls.spaces:
        protocol, budget = SMOKE[kind]
        extra = set(cls.privileges) - set(Protocol.load(protocol).information.privileges)
        if extra:
            reasons.append(f"{protocol} does not allow {', '.join(sorted(extra))}")
            continue
        with tempfile.TemporaryDirectory() as folder:
            try:
                execute(RunRequest(protocol, name, seed=0, runs=folder, smoke=budget))
            except LyceumError as error:
                return [("check_short_run", "failed", f"on {protocol}: {error}")]
        reasons.append(f"{budget} {Protocol.load(protocol).budget.unit} of {protocol}")
    return [("check_short_run", "passed", "; ".join(reasons))]


def main(name: str) -> int:
    """Print one JSON record per rule; used by the parent process."""
    single_thread()
    real = sys.stdout

    def say(record: Any) -> None:
        line = dict(zip(("name", "status", "reason"), record, strict=True))
        real.write(json.dumps(line) + "\n")
        real.flush()

    # A class may print what it likes: only records reach the pipe.
    with contextlib.redirect_stdout(io.StringIO()):
        _check_here(name, say)
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    sys.exit(main(sys.argv[1]))

"""``lyceum sweep``: many protocols, teachers and seeds, on whichever machines there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.children import USUAL, Limits
from benchmark.chronicle import require_listeners
from benchmark.commands import exit_code, print_comparison, summarise
from benchmark.engines import printed_commands, ray_executor, slurm_executor, sweep_on
from benchmark.errors import unknown
from benchmark.plan import Plan, make_plan, make_requests, print_plan, summary
from benchmark.run import RunRequest
from benchmark.sweep import RunResult, sweep
from benchmark.watch import SweepProgress

ENGINES = ("local", "ray", "slurm", "print")


@dataclass(frozen=True)
class Where:
    """Where runs are executed, how many side by side, and within which limits."""

    engine: str = "local"
    workers: int = 2
    address: str = ""
    settings: Sequence[str] = ()
    limits: Limits = USUAL
    retries: int = 2


def plan_sweep(
    protocols: Sequence[str],
    teachers: Sequence[str],
    seeds: str,
    settings: Sequence[str],
    where: Where,
    **options: Any,
) -> Plan:
    """Everything a sweep will do; whatever can be refused is refused here.

    Raises:
        LyceumError: an engine, listener, protocol, teacher, seed or setting that is unknown.
    """
    if where.engine not in ENGINES:
        raise unknown("engine", where.engine, ENGINES)
    require_listeners(options.get("listeners", ()))
    return make_plan(make_requests(protocols, teachers, seeds, settings, **options))


def carry_out(
    console: Console, plan: Plan, where: Where, retry_failed: bool = False, fresh: bool = False
) -> int:
    """Execute a plan, its longest runs first, and print how it ended; return an exit code.

    The code is 0, 2 if a teacher failed, 1 if the machine did.
    """
    if where.engine == "print":
        for command in printed_commands(plan.pending):
            console.print(command, highlight=False, markup=False, soft_wrap=True)
        return 0
    waiting = plan.pending_folders
    requests = [*plan.pending, *(r for r in plan.requests if r.folder not in waiting)]
    console.print(summary(plan, where.workers), highlight=False, soft_wrap=True)
    with SweepProgress(console, requests, quiet=True) as progress:
        results = execute(requests, where, progress.watch, retry_failed, fresh)
    summarise(console, results)
    for protocol in dict.fromkeys(r.protocol for r in plan.requests if not r.smoke):
        ended = [r for r in results if r.request.protocol == protocol]
        if any(result.status in ("finished", "kept") for result in ended):
            print_comparison(console, protocol, Path(plan.requests[0].runs), local=True)
    return exit_code(results)


def execute(
    requests: list[RunRequest],
    where: Where,
    watch: Any = lambda request, event: None,
    retry_failed: bool = False,
    fresh: bool = False,
) -> list[RunResult]:
    """Execute runs on the chosen engine; the records do not depend on which.

    Raises:
        LyceumError: the engine is not installed or not there.
    """
    more = {"limits": where.limits, "retries": where.retries}
    if where.engine == "local":
        return sweep(requests, where.workers, watch, retry_failed, fresh, **more)
    if where.engine == "ray":
        executor = ray_executor(where.address)
    else:
        folder = Path(requests[0].runs) / "slurm"
        executor = slurm_executor(
            folder, where.limits, where.workers, where.settings, where.address
        )
    return sweep_on(executor, requests, watch, retry_failed, fresh, **more)


def sweep_command(
    console: Console, plan: Plan, where: Where, only_plan: bool, retry_failed: bool, fresh: bool
) -> int:
    """Print the plan, or carry it out."""
    if only_plan:
        print_plan(console, plan, where.workers)
        return 0
    return carry_out(console, plan, where, retry_failed, fresh)

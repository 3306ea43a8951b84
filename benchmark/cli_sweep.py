"""The command line of sweeps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_boards import Runs, console


def sweep(
    protocol: Annotated[
        list[str], typer.Argument(help="Protocols (lyceum list protocols) or .toml files.")
    ],
    teacher: Annotated[
        list[str],
        typer.Option("--teacher", "-t", help="A registered name or my_file.py:Mine; repeatable."),
    ],
    seeds: Annotated[
        str, typer.Option(help="How many of each protocol's seeds, or a list; default: all.")
    ] = "",
    set_: Annotated[
        list[str],
        typer.Option("--set", help="A hyperparameter of the teachers, name=value; repeatable."),
    ] = [],  # noqa: B006 - typer copies it
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say what would be run, how long, how much disk.")
    ] = False,
    engine: Annotated[
        str, typer.Option(help="local, ray, slurm, or print: commands for any other queue.")
    ] = "local",
    address: Annotated[str, typer.Option(help="Of the Ray cluster, for example auto.")] = "",
    slurm: Annotated[
        list[str], typer.Option("--slurm", help="A setting of submitit, name=value; repeatable.")
    ] = [],  # noqa: B006 - typer copies it
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 2,
    minutes: Annotated[float, typer.Option(min=0, help="Most minutes of a run; 0: any.")] = 1440.0,
    memory_gb: Annotated[
        float, typer.Option(min=0, help="Most memory of a run; 0: an equal share of the machine.")
    ] = 0.0,
    retries: Annotated[int, typer.Option(min=0, help="After a process that died.")] = 2,
    listen: Annotated[
        list[str], typer.Option(help="Who hears the logs: tensorboard, wandb; repeatable.")
    ] = [],  # noqa: B006 - typer copies it
    runs: Runs = Path("runs"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try runs again that failed before.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what these runs left behind and start anew.")
    ] = False,
) -> None:
    """Run protocols x teachers x seeds, stop and start at any time, on one machine or many.

    Example: lyceum sweep hypercube-v2 hypercube-rugged-v1 -t uniform -t adr --seeds 10 --plan
    """
    from benchmark.children import Limits
    from benchmark.sweeping import Where, plan_sweep, sweep_command

    limits = Limits(minutes=minutes, memory_gb=memory_gb)
    where = Where(engine, workers, address, slurm, limits, retries)
    options = {"runs": str(runs), "listeners": tuple(listen)}
    planned = plan_sweep(protocol, teacher, seeds, set_, where, **options)
    raise typer.Exit(sweep_command(console, planned, where, plan, retry_failed, fresh))

"""The commands that make, show and verify entries of leaderboards, and what all commands share."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

# A table needs its columns: where output is not a terminal, 80 would fold them.
console = Console() if sys.stdout.isatty() else Console(width=120)

ProtocolName = Annotated[
    str, typer.Argument(help="A published protocol (lyceum list protocols) or a .toml file.")
]
Runs = Annotated[Path, typer.Option(help="The folder that holds the runs.")]
Local = Annotated[
    bool, typer.Option("--local", help="Leave the published leaderboard entries out.")
]
BoardFolder = Annotated[
    Path | None, typer.Option(help="The leaderboards' folder; default: the suite's own.")
]


def submit(
    file: Annotated[Path, typer.Argument(help="The teacher's file, for example my_teacher.py.")],
    protocol: Annotated[
        str, typer.Option(help="A published protocol (lyceum list protocols) or a .toml file.")
    ],
    about: Annotated[
        Path | None,
        typer.Option(
            help="The TOML file: name, authors, paper, class, keywords, privileges; default: the "
            "teacher's file with the ending .toml."
        ),
    ] = None,
    seeds: Annotated[
        str, typer.Option(help="Default: as many as a ranked entry needs; 10 or 0-4 as in run.")
    ] = "",
    out: Annotated[Path, typer.Option(help="The folder for the entry.")] = Path("submissions"),
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 2,
    env_workers: Annotated[
        int, typer.Option(min=1, help="Processes per run that step its procedural worlds.")
    ] = 1,
    runs: Runs = Path("runs"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try runs again that failed before.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Delete what these runs left behind and start anew.")
    ] = False,
) -> None:
    """Check a teacher, train the seeds that are missing and write one entry to send.

    Given again, the same command continues; what is checked or finished is not done twice.

    Example: lyceum submit my_teacher.py --protocol digits-noise-v1
    """
    from benchmark.submit import submit as submit_teacher

    options = {"runs": str(runs), "workers": env_workers}
    code = submit_teacher(
        console,
        file,
        protocol=protocol,
        about=about,
        seeds=seeds,
        out=out,
        workers=workers,
        retry_failed=retry_failed,
        fresh=fresh,
        options=options,
    )
    raise typer.Exit(code)


class _ShowFirst(typer.core.TyperGroup):
    """``lyceum leaderboard NAME`` means ``lyceum leaderboard show NAME``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


boards = typer.Typer(cls=_ShowFirst, no_args_is_help=True, rich_markup_mode=None)


@boards.callback()
def leaderboard() -> None:
    """Show a published leaderboard, add entries to it, or verify what is there.

    Example: lyceum leaderboard digits-noise-v1 --add runs
    """


@boards.command("show")
def show_board(
    protocol: ProtocolName,
    add: Annotated[
        Path | None,
        typer.Option(help="Add the finished runs of this folder, or the entry in this file."),
    ] = None,
    folder: BoardFolder = None,
) -> None:
    """Show a published leaderboard, or add to it and recompute it; the word show may be left out.

    Example: lyceum leaderboard digits-noise-v1 --add runs
    """
    from benchmark.commands import publish

    publish(console, protocol, add, folder)


@boards.command()
def verify(
    what: Annotated[str, typer.Argument(help="A protocol, or the file of one entry (.json).")],
    protocol: Annotated[
        str | None, typer.Option(help="The .toml file of an entry whose protocol is your own.")
    ] = None,
    folder: BoardFolder = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Also train one seed of each entry anew and compare.")
    ] = False,
    seed: Annotated[
        int | None, typer.Option(help="The seed to train anew; default: one at random.")
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(help="The file of a teacher that is not registered: it is run.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder for re-runs.")] = Path("reruns"),
) -> None:
    """Check schema, hashes, fingerprints and every score of a board or of one entry.

    Example: lyceum leaderboard verify digits-noise-v1 --rerun
    """
    from benchmark.verify import verify as verify_entries

    again = rerun or seed is not None or teacher is not None
    code = verify_entries(
        console,
        what,
        protocol=protocol,
        folder=folder,
        again=again,
        seed=seed,
        teacher=teacher,
        runs=runs,
    )
    raise typer.Exit(code)

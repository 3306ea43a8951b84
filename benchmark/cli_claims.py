"""The commands about claims of papers: the table, one row, and the runs that a row lacks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.cli_boards import console

claims = typer.Typer(rich_markup_mode=None, invoke_without_command=True)
OwnRuns = Annotated[
    Path, typer.Option(help="A folder with runs of your own, which count before published ones.")
]


@claims.callback()
def table(context: typer.Context, runs: OwnRuns = Path("runs")) -> None:
    """What becomes of the claims of the founding papers, one line each, computed from records.

    Example: lyceum claims
    """
    if context.invoked_subcommand is None:
        from benchmark.claim_table import print_claims

        print_claims(console, runs)


@claims.command("show")
def show_claim(
    claim: Annotated[str, typer.Argument(help="The row's id, for example S11.")],
    runs: OwnRuns = Path("runs"),
) -> None:
    """Explain one row: claim, preset, all controls with their contrasts, what is lost in the small.

    Example: lyceum claims show S11
    """
    from benchmark.claim_table import print_claim

    print_claim(console, claim, runs)


@claims.command("run")
def run_claim(
    claim: Annotated[list[str] | None, typer.Argument(help="Ids of rows, for example S11.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every row that is tested.")] = False,
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 2,
    runs: OwnRuns = Path("runs"),
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try runs again that failed before.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Train every arm anew, the published ones too.")
    ] = False,
) -> None:
    """Train what the rows lack, preset and all controls, then say what the records say.

    Finished runs are kept, interrupted ones continue.

    Example: lyceum claims run S11
    """
    from benchmark.claim_table import run_claims

    code = run_claims(
        console,
        claim or [],
        every,
        workers=workers,
        runs=runs,
        retry_failed=retry_failed,
        fresh=fresh,
    )
    raise typer.Exit(code)

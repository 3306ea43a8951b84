"""What the commands do: run and rank, compare, draw, publish, show the state of runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmark import leaderboard, record, submissions
from benchmark.errors import LyceumError, print_error
from benchmark.lease import read_lease
from benchmark.plan import make_requests
from benchmark.protocol import Protocol
from benchmark.provenance import BOARDS
from benchmark.run import RunRequest
from benchmark.stack import sweep_stacks
from benchmark.sweep import RunResult, sweep
from benchmark.table import print_board
from benchmark.watch import SweepProgress


def run_and_rank(
    console: Console,
    *,
    protocol: str,
    teachers: list[str],
    seeds: str,
    settings: list[str],
    workers: int,
    local: bool,
    retry_failed: bool,
    fresh: bool,
    options: dict[str, Any],
    smoke: bool = False,
    stack: int = 1,
) -> int:
    """Execute all runs of the given teachers, then print the ranked table; return an exit code.

    With ``smoke`` the protocol is shortened to a moment, and nothing is ranked. The exit code is 0,
    2 if a teacher failed, or 1 if the machine did. Everything that can be refused is refused before
    the first run starts.
    """
    requests = make_requests([protocol], teachers, seeds, settings, smoke, **options)
    loaded = requests[0].loaded
    with SweepProgress(console, requests) as progress:
        train = partial(sweep_stacks, size=stack) if stack > 1 else sweep
        results = train(
            requests,
            workers=workers,
            watch=progress.watch,
            retry_failed=retry_failed,
            fresh=fresh,
        )
    summarise(console, results)
    runs = Path(options["runs"])
    done = any(result.status in ("finished", "kept") for result in results)
    if done and loaded.status == "smoke":
        text = f"{loaded.budget.total:,} {loaded.budget.unit}: things work."
        console.print(f"{text} Smoke runs are never ranked.", highlight=False)
    elif done:
        print_comparison(console, protocol, runs, local)
    return exit_code(results)


def summarise(console: Console, results: list[RunResult]) -> None:
    """Print how many runs ended how, and every cause once with the runs it ended."""
    counts: dict[str, int] = {}
    causes: dict[str, list[RunRequest]] = {}
    for result in results:
        counts[result.status] = counts.get(result.status, 0) + 1
        if result.message and result.status != "kept":
            causes.setdefault(result.message, []).append(result.request)
    text = ", ".join(f"{count} {status}" for status, count in counts.items())
    console.print(f"Runs: {text}.", highlight=False)
    for message, requests in causes.items():
        more = f" (and {len(requests) - 1} more runs)" if len(requests) > 1 else ""
        print_error(message + more)


def exit_code(results: list[RunResult]) -> int:
    """0; 2 if a teacher failed; 1 if the machine did."""
    if any(result.status in ("crashed", "stopped") for result in results):
        return 1
    return 2 if any(result.status == "failed" for result in results) else 0


def run_folders(protocol: Protocol, runs: Path) -> dict[str, list[Path]]:
    """The finished runs of a protocol below ``runs``: teacher label to sorted run folders."""
    found: dict[str, list[Path]] = {}
    for path in sorted((runs / protocol.name).glob("*/seed-*/record.json")):
        found.setdefault(path.parent.parent.name, []).append(path.parent)
    return found


def gather(protocol: Protocol, runs: Path, local: bool, boards: Path = BOARDS) -> list[Any]:
    """Submissions made of your own runs, beside the published ones unless ``local``.

    Of a teacher that has both, the entry with more seeds counts; your own if they have as many.

    Raises:
        LyceumError: a record is damaged, or there is nothing at all to compare.
    """
    entries = {
        entry.teacher.name: entry
        for entry in ([] if local else submissions.load_submissions(boards / protocol.name))
    }
    for label, folders in run_folders(protocol, runs).items():
        own = submissions.make_submission(folders)
        if label not in entries or len(own.runs) >= len(entries[label].runs):
            entries[label] = own
    if not entries:
        raise LyceumError(
            f"no finished run of {protocol.name} in {runs}; try: "
            f"lyceum run {protocol.name} --teacher uniform"
        )
    return list(entries.values())


def print_comparison(console: Console, name: str, runs: Path, local: bool) -> None:
    """Print the ranked table and the verdicts, and write them beside the runs."""
    protocol = Protocol.load(name)
    board = leaderboard.build_board(protocol, gather(protocol, runs, local))
    print_board(console, board)
    folder = runs / protocol.name
    if folder.is_dir():
        written = leaderboard.write_board(folder, board)
        console.print(f"Written: {', '.join(str(path) for path in written)}", highlight=False)


def print_status(console: Console, runs: Path) -> None:
    """Print a table of run states with the first line of each error."""
    table = Table(title=f"Runs in {runs}", title_justify="left")
    for heading in ("protocol", "teacher", "finished", "running", "interrupted", "failed"):
        table.add_column(heading, justify="left" if heading in ("protocol", "teacher") else "right")
    table.add_column("first error", overflow="fold")
    groups: dict[tuple[str, str], dict[str, int]] = {}
    errors: dict[tuple[str, str], str] = {}
    for folder in sorted(runs.glob("*/*/seed-*")):
        key = (folder.parent.parent.name, folder.parent.name)
        state, error = run_state(folder)
        counts = groups.setdefault(key, {})
        counts[state] = counts.get(state, 0) + 1
        if error:
            errors.setdefault(key, error)
    for key, counts in groups.items():
        numbers = [
            str(counts.get(state, 0)) for state in ("finished", "running", "interrupted", "failed")
        ]
        table.add_row(*key, *numbers, errors.get(key, ""))
    if not groups:
        raise LyceumError(f"no runs in {runs}; try: lyceum run digits-noise-v1 --teacher uniform")
    console.print(table)


def run_state(folder: Path) -> tuple[str, str]:
    """The state of one run folder and its error, if there is one."""
    if (folder / "record.json").exists():
        try:
            record.read_run(folder)
        except LyceumError as error:
            return "failed", str(error)
        return "finished", ""
    if (folder / "failure.json").exists():
        return "failed", record.read_failure(folder).message.splitlines()[0]
    lease = read_lease(folder / "lease.json")
    return ("running" if lease and lease["alive"] else "interrupted"), ""


def publish(console: Console, name: str, add: Path | None, folder: Path | None) -> None:
    """Print a leaderboard; with ``add``, first merge finished runs or an entry into it."""
    protocol = Protocol.load(name)
    place = (folder or BOARDS) / protocol.name
    if add is not None and add.is_file():
        submissions.add_submission(place, record.read_submission(add, protocol))
    elif add is not None:
        groups = run_folders(protocol, add)
        if not groups:
            raise LyceumError(f"no finished run of {protocol.name} in {add}")
        for folders in groups.values():
            submissions.add_submission(place, submissions.make_submission(folders))
    entries = submissions.load_submissions(place)
    if not entries:
        raise LyceumError(f"{place} holds no entries; add runs with --add RUNS")
    board = leaderboard.build_board(protocol, entries)
    print_board(console, board)
    if add is not None:
        written = leaderboard.write_board(place, board)
        console.print(f"Written: {', '.join(str(path) for path in written)}", highlight=False)


def report_boards(console: Console, out: Path, runs: Path | None, folder: Path | None) -> None:
    """Write all leaderboards as a static site, with runs of your own if ``runs`` is given."""
    from benchmark.report import write_report

    index, *others = write_report(out, folder or BOARDS, runs)
    console.print(
        f"Written: {index} and {len(others)} files; open it in a browser",
        highlight=False,
        soft_wrap=True,
    )

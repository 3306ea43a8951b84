"""``lyceum compare``: a ranked table, and in words what can be concluded from it and what not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark import leaderboard
from benchmark.across import overall, overall_cautions, overall_sentences, overall_table
from benchmark.board import Board
from benchmark.commands import gather, run_folders
from benchmark.comparison import Pair, compare_pairs, pairs_of
from benchmark.conclusions import against_reference, conclusions, places, warnings
from benchmark.details import details, own_runs, setting
from benchmark.errors import LyceumError, unknown
from benchmark.leaderboard import Entry
from benchmark.protocol import Protocol
from benchmark.registry import describe
from benchmark.schema import Submission
from benchmark.score_tables import print_table, score_tables
from benchmark.table import WIDTH, board_table
from teachers import TEACHERS

FEW_PAIRS = 3  # so many get a paragraph each, though nobody was named


def read_names(
    names: Sequence[str], protocols: Sequence[str], teachers: Sequence[str]
) -> tuple[list[str], list[str]]:
    """Which protocols and which teachers are meant by ``compare NAMES --protocol P -t T``.

    Without ``--protocol`` the first name is the protocol and the others are teachers.

    Raises:
        LyceumError: no protocol is named, or a teacher stands where it belongs.
    """
    protocols, named = list(dict.fromkeys(protocols)), [*names, *teachers]
    if not protocols:
        if not names:
            raise LyceumError(
                "name a protocol: lyceum compare digits-noise-v1, or "
                "lyceum compare uniform self_paced --protocol digits-noise-v1"
            )
        if names[0] in TEACHERS:
            raise LyceumError(
                f"{names[0]} is a teacher; name the protocol first, or with --protocol: "
                f"lyceum compare {' '.join(names)} --protocol digits-noise-v1"
            )
        protocols, named = [names[0]], [*names[1:], *teachers]
    return protocols, [describe(name) for name in dict.fromkeys(named)]


def compare(
    console: Console,
    protocols: Sequence[str],
    teachers: Sequence[str],
    runs: Path,
    local: bool,
    scores: bool,
) -> None:
    """Print the comparison under each protocol; without ``teachers`` everybody is compared.

    Raises:
        LyceumError: a protocol or teacher is unknown, or there is nothing to compare.
    """
    loaded, found = [Protocol.load(name) for name in protocols], []
    for number, protocol in enumerate(loaded):
        if number:
            console.print()
        found.append(_compare_under(console, protocol, teachers, runs, local, scores))
    if len(loaded) > 1:
        _compare_over(console, loaded, found)


def _compare_over(
    console: Console, protocols: Sequence[Protocol], entries: Sequence[Mapping[str, Entry]]
) -> None:
    """What holds over all protocols, of the teachers that have enough runs under every one."""
    width, reference = min(WIDTH, console.width), protocols[0].statistics.reference
    names = [
        name
        for name in entries[0]
        if all(name in found and found[name].status != "provisional" for found in entries)
    ]
    if not names or any(p.statistics.reference != reference for p in protocols):
        console.print()
        console.print("No teacher has enough runs under all of these protocols.")
        return
    rows = overall(protocols, entries, names)
    print_table(console, overall_table(rows, protocols), width)
    _say(console, "What can be concluded", list(overall_sentences(rows, protocols)), width)
    _say(console, "What to keep in mind", list(overall_cautions(rows)), width)


def _compare_under(
    console: Console,
    protocol: Protocol,
    teachers: Sequence[str],
    runs: Path,
    local: bool,
    scores: bool,
) -> Mapping[str, Entry]:
    """Print the comparison under one protocol; return its entries in the order of their areas."""
    found = gather(protocol, runs, local)
    chosen = _chosen(protocol, found, teachers)
    board = leaderboard.build_board(protocol, chosen)
    entries = leaderboard.checked_entries(protocol, chosen)
    entries = {row.teacher.name: entries[row.teacher.name] for row in board.rows}
    reference = board.reference if board.reference in entries else None
    pairs = compare_pairs(
        protocol,
        entries,
        # In the order of their areas, so that most sentences are about the better one.
        pairs_of([n for n in entries if n in teachers or not teachers], reference, bool(teachers)),
    )
    width = min(WIDTH, console.width)
    console.print(board_table(_corrected(board, pairs) if teachers else board), width=width)
    if teachers or scores:
        _print_scores(console, protocol, entries, runs, width)
    if teachers or len(pairs) <= FEW_PAIRS:
        paragraphs = [*places(board), *(conclusions(protocol, entries, pair) for pair in pairs)]
    else:
        paragraphs = list(against_reference(protocol, pairs, board.reference))
        paragraphs = paragraphs or ["Nothing yet: no pair has enough runs on both sides."]
    if not pairs:
        paragraphs.append(f"There is nothing to compare with {board.reference} yet.")
    _say(console, "What can be concluded", paragraphs, width)
    cautions = warnings(protocol, entries, pairs, named=bool(teachers))
    _say(console, "What to keep in mind", [*cautions, *board.notes], width)
    if not teachers:
        _write(console, runs / protocol.name, board)
    return entries


def _chosen(
    protocol: Protocol, found: Sequence[Submission], teachers: Sequence[str]
) -> list[Submission]:
    """The entries of the named teachers and of the reference; all without names."""
    known = {entry.teacher.name: entry for entry in found}
    for name in teachers:
        if name not in known and name in TEACHERS:
            raise LyceumError(
                f"{name} has no finished run under {protocol.name}; try: "
                f"lyceum run {protocol.name} --teacher {name}"
            )
        if name not in known:
            raise unknown(f"entry of {protocol.name}", name, known)
    if not teachers:
        return list(found)
    wanted = dict.fromkeys([*teachers, protocol.statistics.reference])
    return [known[name] for name in wanted if name in known]


def _corrected(board: Board, pairs: Sequence[Pair]) -> Board:
    """The board with p-values of the family of pairs that were asked for."""
    against = {pair.x: pair for pair in pairs if pair.y == board.reference}
    rows = []
    for row in board.rows:
        versus, pair = row.versus_reference, against.get(row.teacher.name)
        if versus is not None and pair is not None:
            changed = {
                measure: getattr(versus, measure).model_copy(update={"p_holm": judged.p})
                for measure, judged in pair.scores.items()
            }
            row = row.model_copy(update={"versus_reference": versus.model_copy(update=changed)})
        rows.append(row)
    return board.model_copy(update={"rows": rows})


def _print_scores(
    console: Console, protocol: Protocol, entries: Mapping[str, Entry], runs: Path, width: int
) -> None:
    folders = run_folders(protocol, runs)
    common = setting(protocol, entries.get(protocol.statistics.reference))
    found = {
        name: details(common, entry, own_runs(entry, folders.get(name, [])))
        for name, entry in entries.items()
    }
    for table in score_tables(protocol, entries, found):
        print_table(console, table, width)


def _say(console: Console, heading: str, paragraphs: Sequence[str], width: int) -> None:
    """Print paragraphs with hanging bullets; names of strangers are text, never markup."""
    if not paragraphs:
        return
    console.print()
    console.print(Text(heading, style="bold"))
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(overflow="fold")
    for paragraph in paragraphs:
        grid.add_row("-", Text(paragraph))
    console.print(grid, width=width)


def _write(console: Console, folder: Path, board: Board) -> None:
    """Write the table beside the runs, if there are any."""
    if folder.is_dir():
        written = leaderboard.write_board(folder, board)
        console.print(f"Written: {', '.join(str(path) for path in written)}", highlight=False)

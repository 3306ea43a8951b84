"""The leaderboard in a terminal."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.board import Board, Comparison, Estimate, Row, p_text, rank_text

WIDTH = 100  # columns that a table may take, however wide the terminal


def print_board(console: Console, board: Board) -> None:
    """Print the ranked table, then what it says in plain sentences, then its notes.

    Names and notes of strangers are printed as plain text, never as markup.
    """
    console.print(board_table(board), width=min(WIDTH, console.width))
    for sentence in board.verdict:
        console.print(Text(sentence))
    for note in board.notes:
        console.print(Text(f"Note: {note}", style="yellow"))


def board_table(board: Board) -> Table:
    """The ranked table; fits into 100 columns with names of up to 17 characters."""
    caption = (
        f"Means over seeds ± half of the {100 * board.confidence:g} % interval. area: mean score "
        "over the whole training (primary); final: end of training; p: Welch's test with Holm's "
        "correction."
    )
    table = Table(
        title=Text(f"{board.protocol.name}: {board.budget:,} {board.unit}", style="bold"),
        caption=Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column("rank", no_wrap=True)
    longest = max(len(row.teacher.name) for row in board.rows)
    table.add_column("teacher", overflow="fold", min_width=min(15, longest))
    table.add_column("seeds", justify="right", no_wrap=True)
    for heading in ("area", "final", f"final vs\n{board.reference}"):
        table.add_column(Text(heading), no_wrap=len(board.reference) < 20)
    table.add_column("p", no_wrap=True)
    if any(row.teacher.flags for row in board.rows):
        table.add_column("privileges", overflow="fold", min_width=10, max_width=14)
    for row in board.rows:
        table.add_row(*_cells(board, row)[: len(table.columns)])
    return table


def _cells(board: Board, row: Row) -> list[Text]:
    versus = row.versus_reference
    if versus is not None:
        difference, p = _plus_minus(versus.final, sign="+"), p_text(versus.final)
    else:
        difference, p = ("reference" if row.teacher.name == board.reference else "–"), ""
    return [
        Text(rank_text(row) if row.status == "ranked" else row.status),
        Text(row.teacher.name),
        Text(str(len(row.seeds))),
        Text(_plus_minus(row.area)),
        Text(_plus_minus(row.final)),
        Text(difference),
        Text(p.removeprefix("p=").removeprefix("p")),
        Text(", ".join(row.teacher.flags)),
    ]


def _plus_minus(estimate: Estimate | Comparison, sign: str = "") -> str:
    """A t interval lies symmetrically around its value, so half of its width says everything."""
    value = f"{estimate.value:{sign}.3f}"
    if estimate.low is None:
        return value
    return f"{value} ±{(estimate.high - estimate.low) / 2:.3f}"

"""The leaderboard in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.board import Board, Row, interval_text, p_text, rank_text


def print_board(console: Console, board: Board) -> None:
    """Print the ranked table, then what it says in plain sentences, then its notes.

    Names and notes of strangers are printed as plain text, never as markup.
    """
    console.print(board_table(board))
    for sentence in board.verdict:
        console.print(Text(sentence), highlight=False)
    for note in board.notes:
        console.print(Text(f"Note: {note}", style="yellow"), highlight=False)


def board_table(board: Board) -> Table:
    """The ranked table; fits into 100 columns with names of up to 20 characters."""
    title = f"{board.protocol.name}: {board.budget:,} {board.unit}"
    caption = (
        f"means over seeds with {board.confidence:.0%} intervals; area: mean score over the whole "
        "training (the primary score); p: Welch's test, Holm-corrected"
    )
    table = Table(
        title=Text(title, style="bold"),
        caption=Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        pad_edge=False,
    )
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("teacher", overflow="fold", min_width=12)
    table.add_column("seeds", justify="right")
    table.add_column("area", justify="right")
    table.add_column("final", justify="right")
    table.add_column(Text(f"final vs {board.reference}"), justify="right")
    if any(row.teacher.privileges for row in board.rows):
        table.add_column("privileges", overflow="fold")
    for row in board.rows:
        table.add_row(*_cells(board, row)[: len(table.columns)])
    return table


def _cells(board: Board, row: Row) -> list[Text]:
    versus = row.versus_reference
    if row.teacher.name == board.reference:
        difference = "reference"
    elif versus is None:
        difference = "–"
    else:
        difference = f"{interval_text(versus.final, sign=True)}\n{p_text(versus.final)}"
    seeds = str(len(row.seeds)) + ("" if row.status == "ranked" else f"\n{row.status}")
    texts = [
        rank_text(row),
        row.teacher.name,
        seeds,
        interval_text(row.area).replace(" ", "\n", 1),
        interval_text(row.final).replace(" ", "\n", 1),
        difference.replace(" [", "\n[", 1),
        ", ".join(row.teacher.privileges),
    ]
    return [Text(text) for text in texts]

"""Tables of all scores in a terminal: levels, tasks, speed and costs, curricula."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.details import Details
from benchmark.leaderboard import Entry
from benchmark.profiles import aggregates, expected_running_time, median_time
from benchmark.protocol import Protocol
from benchmark.statistics import Interval, mean_interval

# What each column of means holds: the score, its heading, and what the caption says about it.
TASKS = (
    ("mastered", "mastered", "mastered: share of tasks at 0.9 or above"),
    ("tail", "tail", "tail: mean of the worst tenth, which noise pulls down"),
    ("crossed_tail", "cross-fitted tail", "cross-fitted tail: the worst of one half of the "
     "episodes, measured in the other"),
    ("decile", "worst decile", "worst decile: the score below which a tenth of the tasks lies"),
    ("transfer_gap", "transfer gap", "transfer gap: tasks that a teacher may propose minus others"),
)  # fmt: skip
STEADINESS = (
    ("forgetting", "forgetting", "forgetting: fall of single tasks from their best, cross-fitted"),
    ("drop", "largest drop", "largest drop: of the curve from its own peak"),
    ("dispersion", "dispersion", "dispersion: interquartile range of the changes between "
     "evaluations"),
)  # fmt: skip
SPREAD = (
    ("entropy", "entropy", "entropy: 1 for an even spread over the task space, 0 for one cell"),
    ("coverage", "coverage", "coverage: share of cells proposed at least once"),
)


def score_tables(
    protocol: Protocol, entries: Mapping[str, Entry], found: Mapping[str, Details]
) -> list[Table]:
    """The tables for which anything is known; rows in the order of ``entries``."""
    tables = [
        _levels(protocol, entries),
        _means(protocol, entries, found, TASKS, "Held-out tasks at the end"),
        _means(protocol, entries, found, STEADINESS, "Steadiness: lower is better"),
    ]
    if protocol.score.target is not None:
        tables.append(_speed(protocol, found))
    if any(d.known("entropy") is not None for d in found.values()):
        title = "What was proposed, in the runs that lie here"
        tables.append(_means(protocol, entries, found, SPREAD, title))
    return tables


def print_table(console: Console, table: Table, width: int) -> None:
    """Print a table with a blank line before it and its caption as wide as the page."""
    caption, table.caption = table.caption, None
    console.print()
    console.print(table, width=width)
    if caption:
        console.print(caption, width=width)


def plain_table(title: str, caption: str, headings: Sequence[str]) -> Table:
    """An empty table in the manner of the leaderboard: the first column names teachers."""
    table = Table(
        title=Text(title, style="bold"),
        caption=Text(caption, style="dim"),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        show_edge=False,
    )
    table.add_column(Text(headings[0]), overflow="fold")
    for heading in headings[1:]:
        table.add_column(Text(heading), justify="right")
    return table


def _levels(protocol: Protocol, entries: Mapping[str, Entry]) -> Table:
    block = protocol.statistics
    table = plain_table(
        "Area over seeds",
        f"{100 * block.confidence:g} % intervals, bootstrap with expanded percentiles. optimality "
        "gap: how far runs fall short of 1.",
        ("teacher", "median", "interquartile mean", "optimality gap"),
    )
    for name, entry in entries.items():
        samples = entry.column("area")
        values = aggregates(samples, block.confidence, block.resamples, block.bootstrap_seed)
        shown = [values[key] for key in ("median", "iqm", "optimality_gap")]
        table.add_row(Text(name), *(_bracketed(entry, interval) for interval in shown))
    return table


def _bracketed(entry: Entry, interval: Interval) -> str:
    if interval.low is None or entry.status == "provisional":
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def _means(
    protocol: Protocol,
    entries: Mapping[str, Entry],
    found: Mapping[str, Details],
    columns: Sequence[tuple[str, str, str]],
    title: str,
) -> Table:
    """A table of means over seeds; what no teacher knows has no column."""
    known = [c for c in columns if any(d.known(c[0]) is not None for d in found.values())]
    explained = "; ".join(explanation for _, _, explanation in known)
    caption = f"Means over seeds ± half of the interval. {explained}."
    table = plain_table(title, caption, ("teacher", *(heading for _, heading, _ in known)))
    for name, each in found.items():
        cells = [_mean(protocol, entries[name], each.known(key)) for key, _, _ in known]
        table.add_row(Text(name), *cells)
    return table


def _mean(protocol: Protocol, entry: Entry, values: np.ndarray | None) -> str:
    if values is None:
        return "–"
    values = values[~np.isnan(values)]
    interval = mean_interval([values], protocol.statistics.confidence)
    if interval.low is None or entry.status == "provisional":
        return f"{interval.value:.3f}"
    return f"{interval.value:.3f} ±{(interval.high - interval.low) / 2:.3f}"


def _speed(protocol: Protocol, found: Mapping[str, Details]) -> Table:
    equal = any(d.known("equal_compute") is not None for d in found.values())
    caption = (
        "Medians over seeds; never: half of them did not reach it. trained: "
        f"{protocol.budget.unit} of the student; spent: with the teacher's questions; expected: "
        "with restarts until it is reached; overhead: the teacher's share of CPU time."
    )
    if any(d.assumed for d in found.values()):
        caption += " ≈: read off the seconds of whole runs, as if spent evenly."
    if equal:
        caption += f" equal CPU: score at the seconds of a run of {protocol.statistics.reference}."
    headings = ["teacher", "reached", "trained", "spent", "expected", "updates", "CPU s to\ntarget"]
    headings += ["CPU s\nin all", "overhead", *(["equal CPU"] if equal else [])]
    table = plain_table(
        f"To the target of {protocol.score.target:g}, and the bill", caption, headings
    )
    for name, each in found.items():
        trained, seconds = each.values["trained"], each.known("seconds")
        cells = [f"{int(np.isfinite(trained).sum())}/{len(trained)}", _time(median_time(trained))]
        cells.append(_time(median_time(each.values["spent"])))
        cells.append(_time(expected_running_time(each.values["spent"], protocol.budget.total)))
        cells.append(_time(median_time(each.values["updates"])))
        mark = "≈" if each.assumed and _seconds(seconds) not in ("–", "never") else ""
        cells.append(mark + _seconds(seconds))
        cells += [_seconds(each.known("run_seconds")), _percent(each.known("overhead"))]
        if equal:
            score = each.known("equal_compute")
            cells.append("–" if score is None else f"{np.nanmean(score):.3f}")
        table.add_row(Text(name), *cells)
    return table


def _time(value: float) -> str:
    return f"{value:,.0f}" if np.isfinite(value) else "never"


def _seconds(values: np.ndarray | None) -> str:
    if values is None:
        return "–"
    value = median_time(values[~np.isnan(values)])
    if not np.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


def _percent(values: np.ndarray | None) -> str:
    return "–" if values is None else f"{np.nanmean(values):.1%}"

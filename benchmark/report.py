"""The leaderboards as a static site: tables to sort and filter, curves to point at, provenance.

It works from the file system, without a server and without the network, which a content security
policy forbids. All text is escaped by the templates; a link leads to another page of the site, or
to an http or https address that a reference names. Equal input gives equal bytes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from benchmark.board import interval_text, p_text, rank_text
from benchmark.claim import load_claims
from benchmark.claim_table import HEADINGS, cells
from benchmark.claim_verdicts import judge
from benchmark.errors import LyceumError
from benchmark.plot_data import BAND_FROM, csv_row, t_half_width
from benchmark.plot_styles import FAINT, score_label, styles_of, unit_label
from benchmark.provenance import provenance
from benchmark.report_data import Standing, standings
from benchmark.report_plots import Dot, curves_figure, dots_figure, get_plotlyjs
from benchmark.report_teachers import TeacherPage, teacher_pages
from benchmark.statistics import significant

TEMPLATES = Path(__file__).with_name("templates")
MARK = Path("assets") / "report.css"  # only a folder that holds it is cleared
PAGES = ("protocols", "teachers", "data")
# No script, style or picture but the site's own; nothing is ever fetched or sent.
POLICY = (
    "default-src 'none'; script-src 'self' file:; style-src 'self' file: 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
BUDGETS = (("small", "up to 100,000"), ("medium", "up to 1,000,000"), ("large", "more"))
KINDS = (("procedural", "procedural worlds"), ("supervised", "supervised tasks"))
LEVELS = (("none", "none"), ("low", "low"), ("high", "high"))
LINK = re.compile(r"``([^`]+)``|(https?://[^\s<>\"'`]*[^\s<>\"'`.,;:)])")
Choices = list[tuple[str, str]]


@dataclass(frozen=True)
class Site:
    """Everything on the site: boards, teachers, claims, and the file name of every page."""

    standings: list[Standing]
    teachers: list[TeacherPage]
    claims: list[tuple[str, ...]]
    files: dict[str, dict[str, str]]


def write_report(out: Path, boards: Path, runs: Path | None = None) -> list[Path]:
    """Write the site; open ``index.html`` in a browser.

    Args:
        out: a new or empty folder, or an older report, whose pages are replaced.
        boards: the folder of the published leaderboards.
        runs: finished runs of your own to show beside the published entries.

    Returns:
        The written paths, ``index.html`` first.

    Raises:
        LyceumError: a damaged entry or board, nothing to show, or ``out`` holds other things.
    """
    found = list(standings(boards, runs))
    _clear(out)
    teachers = teacher_pages(found)
    files = {
        "protocols": _file_names(item.protocol.name for item in found),
        "teachers": _file_names(teacher.name for teacher in teachers),
    }
    claims = [cells(judge(claim, runs, boards)) for claim in load_claims()]
    site = Site(found, teachers, claims, files)
    index = _environment(site, "").get_template("index.html").render(_index(site))
    written = [_write(out / "index.html", index)]
    templates = _environment(site, "../")
    for item in found:
        name = files["protocols"][item.protocol.name]
        content = _protocol(item, runs is not None)
        text = templates.get_template("protocol.html").render(content)
        written.append(_write(out / "protocols" / f"{name}.html", text))
        written.append(_write(out / "data" / f"{name}-curves.csv", _csv(item)))
    for teacher in teachers:
        name = files["teachers"][teacher.name]
        text = templates.get_template("teacher.html").render(_teacher(teacher))
        written.append(_write(out / "teachers" / f"{name}.html", text))
    assets = {name: (TEMPLATES / name).read_text("utf-8") for name in ("report.css", "report.js")}
    assets["plotly.min.js"] = get_plotlyjs()
    return written + [_write(out / "assets" / name, text) for name, text in assets.items()]


def _clear(out: Path) -> None:
    """Remove the pages of an older report, which may show entries that are gone."""
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / MARK).is_file()):
        raise LyceumError(f"{out} holds something else than a report; name a new folder with --out")
    for folder in PAGES:
        for path in (out / folder).glob("*"):
            if path.suffix in (".html", ".csv"):
                path.unlink()


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def _file_names(names: Iterable[str]) -> dict[str, str]:
    """A file name per name, different also where upper and lower case are the same."""
    found: dict[str, str] = {}
    for name in names:
        taken = {file.casefold() for file in found.values()}
        digest = hashlib.sha256(name.encode()).hexdigest()[:8]
        found[name] = f"{name}-{digest}" if name.casefold() in taken else name
    return found


def _environment(site: Site, root: str) -> Environment:
    """The templates; ``root`` leads from the folder of a page to that of the index."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "page": lambda name, kind: f"{root}{kind}/{quote(site.files[kind][name])}.html",
        "interval": lambda estimate, sign: interval_text(estimate, sign=sign),
        "counts": lambda c, confidence: significant(c.kind, c.p_holm, confidence),
        "exact": lambda value: "" if value is None else repr(value),
        "json": lambda value: json.dumps(value, ensure_ascii=False),
        "p": lambda comparison: p_text(comparison).removeprefix("p=").removeprefix("p"),
        "rank": rank_text,
        "breakable": lambda name: escape(name).replace("_", Markup("_<wbr>")),
        "duration": _duration,
        "prose": _prose,
        "tokens": _tokens,
        "budget_class": _budget_class,
        "used": lambda item: _tokens(_used(item)),
        "most_seeds": lambda item: max(len(e.row.seeds) for e in item.entries.values()),
    }
    environment.globals |= {"root": root, "policy": POLICY, "suite": provenance()["suite"]}
    return environment


def _prose(text: str) -> Markup:
    """Escaped text in which addresses are links and ``names`` are code."""
    parts, place = [], 0
    for match in LINK.finditer(text):
        parts.append(escape(text[place : match.start()]))
        code, address = match.groups()
        if code is not None:
            parts.append(Markup("<code>{}</code>").format(code))
        else:
            link = Markup('<a href="{0}" rel="noopener noreferrer nofollow">{0}</a>')
            parts.append(link.format(address))
        place = match.end()
    return Markup("").join([*parts, escape(text[place:])])


def _duration(seconds: float) -> str:
    for size, unit in ((3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _tokens(words: Iterable[str]) -> str:
    """Words to filter by, with one of its own for none."""
    return " ".join(words) or "-"


def _used(item: Standing) -> list[str]:
    """Privileges that the teachers of a board declare."""
    return sorted({word for e in item.entries.values() for word in e.row.teacher.privileges})


def _choices(words: Iterable[str], none: str = "none") -> Choices:
    return [("-", none), *((word, word) for word in sorted(set(words)))]


def _budget_class(item: Standing) -> str:
    total = item.protocol.budget.total
    return "small" if total <= 100_000 else "medium" if total <= 1_000_000 else "large"


def _index(site: Site) -> dict[str, Any]:
    used = {word for item in site.standings for word in _used(item)}
    entries = [entry for item in site.standings for entry in item.entries.values()]
    return {
        "standings": site.standings,
        "teachers": site.teachers,
        "claims": site.claims,
        "claim_columns": HEADINGS,
        "runs": sum(len(entry.scores) for entry in entries),
        "kinds": KINDS,
        "knowledge": LEVELS,
        "budgets": BUDGETS,
        "protocol_privileges": _choices(used, "none declared"),
        "teacher_privileges": _choices(w for t in site.teachers for w in t.privileges),
        "spaces": sorted({(word, word) for t in site.teachers for word in t.spaces}),
    }


def _protocol(item: Standing, local: bool) -> dict[str, Any]:
    protocol, board, entries = item.protocol, item.board, list(item.entries.values())
    scores = {entry.name: entry.scores for entry in entries}
    styles = styles_of(scores, protocol.statistics.reference)
    label = score_label(protocol)
    dots = [Dot(e.name, e.row.area, bold=e.name == board.reference) for e in entries]
    return {
        "protocol": protocol,
        "board": board,
        "entries": entries,
        "local": local and any(entry.own for entry in entries),
        "score": label,
        "percent": f"{100 * board.confidence:g} %",
        "band_from": BAND_FROM,
        "crowd": any(color == FAINT for color, _ in styles.values()),
        "statuses": [(word, word) for word in ("ranked", "listed", "provisional")],
        "privileges": _choices(_used(item)),
        "csv": f"{quote(protocol.name)}-curves.csv",
        "curves": curves_figure(protocol, scores, unit_label(protocol.budget.unit), label),
        "areas": dots_figure(dots, "area"),
    }


def _teacher(teacher: TeacherPage) -> dict[str, Any]:
    dots = [
        Dot(item.protocol.name, entry.row.versus_reference.area)
        for item, entry in teacher.results
        if entry.row.versus_reference is not None
    ]
    figure = dots_figure(dots, "area minus that of the reference", zero=True) if dots else None
    return {"teacher": teacher, "differences": figure}


def _csv(item: Standing) -> str:
    """The numbers of the learning curves, as `lyceum plot` writes them."""
    confidence = item.protocol.statistics.confidence
    lines = []
    for entry in item.entries.values():
        mean, half = entry.scores.mean(axis=0), t_half_width(entry.scores, confidence)
        for spent, middle, reach in zip(item.protocol.grid, mean, half, strict=True):
            numbers = [float(f"{x:.6g}") + 0.0 for x in (middle, middle - reach, middle + reach)]
            row = csv_row("curve", entry.name, len(entry.scores), spent, "", *numbers)
            lines.append(row)
    text = [",".join(lines[0])]
    text += [",".join(f'"{v}"' if "," in str(v) else str(v) for v in row.values()) for row in lines]
    return "\n".join(text) + "\n"

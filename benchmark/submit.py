"""``lyceum submit``: one Python file and one TOML file become one entry that can be sent.

The teacher is checked, trains for a moment, then trains the seeds that are missing; what was
finished or checked before is not done again. The entry is written last, when nothing is missing.
"""

from __future__ import annotations

import dataclasses
import stat
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError
from rich.console import Console

from benchmark import record
from benchmark.arguments import parse_seeds
from benchmark.assemble import check_options
from benchmark.commands import BOARDS, print_comparison, run_folders, summarise
from benchmark.conformance import check_names
from benchmark.errors import LyceumError, unknown
from benchmark.protocol import Protocol
from benchmark.registry import TABLES
from benchmark.run import RunRequest
from benchmark.schema import (
    About,
    ClassName,
    EntryName,
    Model,
    PlainLine,
    Scalar,
    Word,
    clean_text,
)
from benchmark.strict_json import read_json, write_json_atomically
from benchmark.submissions import BOARD_FILE, add_submission, make_submission
from benchmark.sweep import standing, sweep
from benchmark.telling import fitting_teacher
from benchmark.watch import SweepProgress

DESCRIPTION_BYTES = 20_000
CHECKED = "checked.json"


class Description(Model):
    """The TOML file beside a teacher: name, authors, paper, class, keywords, privileges.

    ``name`` is what the entry is called; ``class`` stands in the Python file; ``keywords`` are the
    arguments of the class, its hyperparameters; ``privileges`` repeats what the class declares.
    """

    name: EntryName
    authors: list[PlainLine] = Field(min_length=1, max_length=50)
    paper: PlainLine
    class_: ClassName = Field(alias="class")
    keywords: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict)
    privileges: list[Word] = Field(default_factory=list)

    def about(self) -> About:
        """What the entry says about itself beside its runs."""
        content = {"authors": self.authors, "paper": self.paper, "class": self.class_}
        return record.validate(About, content, f"entry {self.name}")


def read_description(path: Path) -> Description:
    """Read a description strictly; it may be anybody's.

    Raises:
        LyceumError: one sentence: the file is missing, too long or not TOML, a key is unknown (with
            the nearest known one) or missing, or a value breaks its rule.
    """
    keys = [field.alias or name for name, field in Description.model_fields.items()]
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > DESCRIPTION_BYTES:
            raise LyceumError(f"{path}: must be a regular file, {DESCRIPTION_BYTES} bytes at most")
        return Description.model_validate(tomllib.loads(path.read_text("utf-8")))
    except FileNotFoundError as error:
        raise LyceumError(
            f"no file {path}; it says {', '.join(keys)} of the teacher (CONTRIBUTING.md has one to "
            "copy), and --about names another one"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LyceumError(f"{path} is not valid TOML: {error}") from error
    except ValidationError as error:
        raise LyceumError(f"{path}: {_explain(error, keys)}") from error


def _explain(error: ValidationError, keys: list[str]) -> str:
    """One sentence for the first thing wrong, a misspelt key before all others."""
    misspelt = [e for e in error.errors() if e["type"] == "extra_forbidden"]
    if misspelt:
        return str(unknown("key", clean_text(str(misspelt[0]["loc"][0]), 80), keys))
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "missing":
        return f"the key '{where}' is missing"
    return clean_text(f"{where}: {message}, but got {first['input']!r}", 400)


def submit(
    console: Console,
    file: Path,
    *,
    protocol: str,
    about: Path | None,
    seeds: str,
    out: Path,
    workers: int,
    retry_failed: bool,
    fresh: bool,
    options: dict[str, Any],
) -> int:
    """Check a teacher, train its missing seeds and write its entry; return an exit code.

    ``options`` are further fields of every ``RunRequest``. The exit code is 0, 2 if the teacher
    failed, or 1 if the machine did.

    Raises:
        LyceumError: whatever can be refused before training, or a conflict of runs or entries.
    """
    loaded = Protocol.load(protocol)
    if loaded.status == "smoke":
        raise LyceumError(f"{loaded.name} only shows that things work; smoke runs are never ranked")
    check_options(loaded)
    description = read_description(about or file.with_suffix(".toml"))
    requests = _requests(file, protocol, description, parse_seeds(seeds, loaded), options)
    _refuse(loaded, description, requests[0], (out / loaded.name, BOARDS / loaded.name))
    there = [] if fresh else [r for r in requests if standing(r, retry_failed, False)]
    console.print(
        f"{description.name}: {len(there)} of {len(requests)} seeds are there already.",
        highlight=False,
    )
    if not _checked(console, requests[0]):
        return 2
    with SweepProgress(console, requests) as progress:
        results = sweep(requests, workers, progress.watch, retry_failed, fresh)
    summarise(console, results)
    missing = [str(r.request.seed) for r in results if r.status not in ("finished", "kept")]
    if missing:
        console.print(
            f"No entry is written: it lacks seed {', '.join(missing)}, and an entry that leaves "
            "failed runs out would choose among its runs.",
            highlight=False,
        )
        return 1 if any(r.status in ("crashed", "stopped") for r in results) else 2
    print_comparison(console, protocol, Path(requests[0].runs), False)
    _write(console, loaded, protocol, description, requests[0], out)
    return 0


def _requests(
    file: Path,
    protocol: str,
    description: Description,
    seeds: list[int],
    options: dict[str, Any],
) -> list[RunRequest]:
    if file.suffix != ".py":
        raise LyceumError(
            f"expected a Python file, for example my_teacher.py, but got {file}; its class is "
            "named in the TOML file"
        )
    return [
        RunRequest(
            protocol=protocol,
            teacher=f"{file}:{description.class_}",
            seed=seed,
            arguments=description.keywords,
            name=description.name,
            **options,
        )
        for seed in seeds
    ]


def _refuse(
    protocol: Protocol, description: Description, request: RunRequest, places: Iterable[Path]
) -> None:
    """Refuse before training what no entry could be: other privileges, a name that is taken."""
    cls = fitting_teacher(protocol, request.teacher, description.keywords)
    record.require_teacher(description.name, description.keywords)
    if sorted(cls.privileges) != sorted(description.privileges):
        raise LyceumError(
            f"privileges: the class {description.class_} declares "
            f"{', '.join(cls.privileges) or 'none'}, but the TOML file says "
            f"{', '.join(description.privileges) or 'none'}; they must be the same"
        )
    taken = {name.lower() for name in TABLES["teacher"]} | {Path(BOARD_FILE).stem}
    if description.name.lower() in taken:
        raise LyceumError(f"the name '{description.name}' is taken; give your teacher another one")
    source, arguments = (request.identity[f"teacher_{what}"] for what in ("source", "arguments"))
    for place in places:
        for path in (place / f"{description.name}.json", place / f"{description.name}.json.gz"):
            if not path.exists():
                continue
            known = record.read_submission(path).teacher
            if (known.source_sha256, known.arguments) != (source, arguments):
                raise LyceumError(
                    f"{path} holds an entry of that name made with another file or other keywords; "
                    "give yours a name of its own, or remove that one"
                )


def _checked(console: Console, request: RunRequest) -> bool:
    """Conformance and a smoke run, unless this very teacher has passed both here before."""
    marker = request.folder.parent / CHECKED
    wanted = {"schema": "checked/1"} | {k: v for k, v in request.identity.items() if k != "seed"}
    try:
        known = read_json(marker, record.RUN_BYTES) == wanted
    except LyceumError:  # not there, or damaged: then it is checked again
        known = False
    if known:
        console.print("Conformance and smoke run: passed before.", highlight=False)
        return True
    if check_names(console, [request.teacher]):
        return False
    _smoke_run(console, request)
    marker.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(marker, wanted)
    return True


def _smoke_run(console: Console, request: RunRequest) -> None:
    """Train for a moment under the protocol itself; nothing of it is kept.

    Raises:
        LyceumError: the run failed.
    """
    budget = request.loaded.smoke().budget
    amount = budget.total
    with tempfile.TemporaryDirectory() as folder:
        short = dataclasses.replace(request, runs=folder, smoke=amount)
        with SweepProgress(Console(quiet=True), [short]) as progress:
            (result,) = sweep([short], 1, progress.watch)
    if result.status != "finished":
        raise LyceumError(f"the smoke run of {amount} {budget.unit} failed: {result.message}")
    console.print(f"Smoke run: {amount:,} {budget.unit} passed.", highlight=False)


def _write(
    console: Console,
    protocol: Protocol,
    asked: str,
    description: Description,
    request: RunRequest,
    out: Path,
) -> None:
    """Bundle, validate and write the entry, read it back, and say what is left to do."""
    folders = run_folders(protocol, Path(request.runs))[description.name]
    entry = make_submission(folders, description.about())
    path = add_submission(out / protocol.name, entry)
    written = record.read_submission(path, protocol)
    console.print(
        f"Written: {path} ({len(written.runs)} seeds, {path.stat().st_size / 1000:,.0f} kB). Next:",
        highlight=False,
        soft_wrap=True,
    )
    own = f" --protocol {asked}" if asked.endswith(".toml") else ""
    steps = (
        f"lyceum leaderboard verify {path}{own} --rerun --teacher {request.teacher.split(':')[0]}",
        f"lyceum leaderboard {asked} --add {path}",
        "and send the changed files as a pull request (CONTRIBUTING.md)",
    )
    for step in steps:
        console.print(f"  {step}", highlight=False, soft_wrap=True)

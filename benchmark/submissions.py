"""Submissions: made of run folders, loaded from strangers, merged without losing anything.

Merging is commutative, associative and idempotent, so that boards of several sites can be united.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from benchmark.errors import LyceumError
from benchmark.protocol import canonical_json
from benchmark.record import (
    SUBMISSION_BYTES,
    read_run,
    read_submission,
    validate,
    write_json_atomically,
)
from benchmark.schema import About, SignedSubmission, Submission, SubmittedRun
from benchmark.strict_json import format_json, write_gzip_atomically

BOARD_FILE = "leaderboard.json"
EXTENSIONS = (".json", ".json.gz", ".md", ".csv", ".txt")
MAX_FILES = 2000
COMPRESSED_FROM = 200_000  # bytes of JSON from which on a new entry is compressed


def make_submission(folders: Iterable[Path], about: About | None = None) -> Submission:
    """Bundle the finished runs of one teacher under one protocol; ``about`` says whose it is.

    Raises:
        LyceumError: a record is damaged or a smoke run, or the runs do not belong together.
    """
    runs: dict[int, SubmittedRun] = {}
    first: SubmittedRun | None = None
    for folder in folders:
        record, costs = read_run(folder)
        run = SubmittedRun(record=record, costs=costs and costs.total())
        first = first or run
        for what in ("protocol", "teacher"):
            if getattr(record, what) != getattr(first.record, what):
                raise LyceumError(
                    f"{folder}/record.json: {what}: differs from seed {first.record.seed} of "
                    f"{first.record.teacher.name}; runs of one entry must come from one protocol, "
                    "one version of the teacher's file and the same arguments (run them again "
                    "with --fresh)"
                )
        known = runs.setdefault(record.seed, run)
        if known is not run:
            runs[record.seed] = _same_run(known, run)
    if first is None:
        raise LyceumError("a submission needs at least one finished run")
    return _bundle(first, runs, about)


def _bundle(
    first: SubmittedRun | Submission, runs: dict[int, SubmittedRun], about: About | None
) -> Submission:
    part = first.record if isinstance(first, SubmittedRun) else first
    content = {
        "schema": "submission/1",
        "protocol": part.protocol,
        "teacher": part.teacher,
        "runs": [runs[seed] for seed in sorted(runs)],
    }
    source = f"entry {part.teacher.name}"
    if about is None:
        return validate(Submission, content, source)
    content |= {"schema": "submission/2", "about": about}
    return validate(SignedSubmission, content, source)


def merge(a: Submission, b: Submission) -> Submission:
    """Unite two submissions of the same teacher; equal runs count once.

    Raises:
        LyceumError: a conflict: the teachers' files or arguments differ, they name other authors,
            or the same seed has another result. Nothing is averaged and nothing overwritten.
    """
    for what in ("protocol", "teacher"):
        if getattr(a, what) != getattr(b, what):
            raise LyceumError(
                f"conflict: two entries are called {a.teacher.name}, but their {what} differs; "
                "give the new one a name of its own, or remove the old entry's file"
            )
    signs = [part.about for part in (a, b) if isinstance(part, SignedSubmission)]
    if signs and signs[0] != signs[-1]:
        raise LyceumError(
            f"conflict: two entries are called {a.teacher.name}, but their authors, paper or class "
            "differ; make them equal, or remove the old entry's file"
        )
    runs = {run.record.seed: run for run in a.runs}
    for run in b.runs:
        known = runs.setdefault(run.record.seed, run)
        runs[run.record.seed] = _same_run(known, run)
    return _bundle(a, runs, signs[0] if signs else None)


def _same_run(a: SubmittedRun, b: SubmittedRun) -> SubmittedRun:
    """One of two runs with equal results; costs and provenance may differ between machines."""
    if a.record.result_sha256 != b.record.result_sha256:
        raise LyceumError(
            f"conflict: {a.record.teacher.name}, seed {a.record.seed}: two different results "
            f"({a.record.result_sha256[:12]} and {b.record.result_sha256[:12]}) for the same "
            "protocol, teacher and arguments; neither is taken"
        )
    # Known costs before unknown ones; then the order must not depend on who came first.
    return min(a, b, key=lambda run: (run.costs is None, canonical_json(run.content())))


def load_submissions(folder: Path) -> list[Submission]:
    """Read every entry of a leaderboard's folder, sorted by name; an absent folder holds none.

    Raises:
        LyceumError: one line per damaged or unexpected file; all of them are named at once.
    """
    submissions, errors = read_folder(folder)
    if errors:
        raise LyceumError("\n".join(errors))
    return submissions


def read_folder(folder: Path) -> tuple[list[Submission], list[str]]:
    """The sound entries of a leaderboard's folder, and a sentence per damaged or unexpected file.

    Raises:
        LyceumError: there are too many files to be read at all.
    """
    if not folder.is_dir():
        return [], []
    paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    if len(paths) > MAX_FILES:
        raise LyceumError(f"{folder}: holds {len(paths)} files; at most {MAX_FILES} are read")
    submissions, errors = [], []
    for path in paths:
        if not path.name.endswith(EXTENSIONS):
            errors.append(f"{path}: only files ending in {', '.join(EXTENSIONS)} belong here")
        elif path.suffix == ".gz" and path.with_suffix("").exists():
            errors.append(f"{path}: stands beside {path.stem}; remove one of the two")
        elif path.name.endswith((".json", ".json.gz")) and path.name != BOARD_FILE:
            try:
                submissions.append(read_submission(path))
            except LyceumError as error:
                errors.append(str(error))
    return submissions, errors


def add_submission(folder: Path, submission: Submission) -> Path:
    """Merge a submission into the entry of its teacher in ``folder``; return the entry's file.

    Large entries are compressed, but a file that is there keeps its kind.

    Raises:
        LyceumError: the entry there is damaged or in conflict; it is left as it was.
    """
    path = folder / f"{submission.teacher.name}.json"
    if path.name.lower() == BOARD_FILE:
        raise LyceumError("no entry can be called 'leaderboard': that is the table's own file")
    packed = folder / f"{path.name}.gz"
    there = [old for old in (path, packed) if old.exists()]
    for old in there:
        submission = merge(read_submission(old), submission)
    content = submission.content()
    size = len(format_json(content))
    if size > SUBMISSION_BYTES:
        raise LyceumError(f"{path}: would be longer than {SUBMISSION_BYTES} bytes")
    folder.mkdir(parents=True, exist_ok=True)
    if packed in there or (not there and size >= COMPRESSED_FROM):
        write_gzip_atomically(packed, content)
        return packed
    write_json_atomically(path, content)
    return path

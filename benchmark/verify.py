"""``lyceum leaderboard verify``: what entries claim, against their protocol and one another.

Nothing of an entry is executed: it is data, size-limited, parsed strictly and compared.

What the hash of a result cannot bind: it covers grid, evaluation, spending and curriculum, not the
seed, and anybody can compute it anew. Who changes a curve and signs it again is found by the rules
below if he breaks one of them, and otherwise by a re-run of that seed (``benchmark.rerun``). Costs,
provenance, authors and paper are the submitter's word; so are the arguments and declarations of a
teacher whose file is not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmark.assemble import assemble
from benchmark.board import Board, markdown
from benchmark.commands import BOARDS
from benchmark.errors import LyceumError, print_error
from benchmark.evaluate import Evaluation, task_labels
from benchmark.leaderboard import START_TOLERANCE, build_board, gaps
from benchmark.metrics import pooled_score
from benchmark.probe import ASKING
from benchmark.protocol import Protocol
from benchmark.provenance import provenance
from benchmark.record import SUBMISSION_BYTES, check_against, read_submission, validate
from benchmark.registry import load, source_sha256
from benchmark.rerun import Outcome, registered, rerun
from benchmark.run import RunRequest, single_thread
from benchmark.schema import Submission, SubmittedRun
from benchmark.strict_json import read_json
from benchmark.submissions import BOARD_FILE, merge, read_folder

CHECKED = (
    "Checked: size, form, fingerprint, hashes, seeds, held-out tasks, budgets, shares, starts, "
    "copies and every score. Not checked without --rerun: that the teacher gives these curves. "
    "Never checked: costs, provenance, authors, paper."
)
HALVES = ("score_a", "score_b", "success_a", "success_b")


class Verifier:
    """Finds what is wrong with entries of one protocol.

    ``known`` holds the published entries by name: the reference teacher's runs tell how untrained
    students start, and nobody may hand in another's results.
    """

    def __init__(self, protocol: Protocol, known: Mapping[str, Submission]):
        self.protocol, self.known = protocol, known
        reference = known.get(protocol.statistics.reference)
        self.reference = {
            run.record.seed: run.record for run in (reference.runs if reference else ())
        }
        self._untrained: dict[int, tuple[list[str], Evaluation]] = {}

    def problems(self, entry: Submission) -> list[str]:
        """Everything that is wrong with an entry, a sentence each; nothing if it is sound."""
        with np.errstate(all="ignore"):  # absurd numbers become infinite, which no rule lets pass
            return self._problems(entry)

    def _problems(self, entry: Submission) -> list[str]:
        name, found = entry.teacher.name, []
        for run in entry.runs:
            source = f"{name}, seed {run.record.seed}"
            try:
                check_against(run.record, self.protocol, source)
            except LyceumError as error:
                found.append(str(error))
                continue
            for rule in (self._layout, self._shares, self._bill, self._start, self._facts):
                found += [f"{source}: {text}" for text in rule(run)]
        for rule in (self._markup, self._identity, self._copies):
            found += [f"{name}: {text}" for text in rule(entry)]
        return list(dict.fromkeys(found))

    def _layout(self, run: SubmittedRun) -> Iterator[str]:
        """The held-out tasks, and how many episodes or examples each half has of them."""
        rows, protocol = run.record.evaluation, self.protocol
        if protocol.held_out is None:
            labels, start = self._untrained_student(run.record.seed)
            counts = start.count_a.tolist(), start.count_b.tolist()
        else:
            labels, episodes = task_labels(protocol.held_out), protocol.evaluation.episodes_per_task
            counts = tuple([half] * len(labels) for half in ((episodes + 1) // 2, episodes // 2))
        if rows.tasks != labels:
            yield f"evaluation.tasks: are not the held-out tasks of {protocol.name}"
        elif (rows.count_a, rows.count_b) != counts:
            yield f"evaluation.count_a: {protocol.name} has other numbers of episodes or examples"

    def _shares(self, run: SubmittedRun) -> Iterator[str]:
        """A share of n is a whole number of n-ths; a lone episode succeeds by its own return."""
        rows, limit = run.record.evaluation, self.protocol.score.success_return
        for half in "ab":
            count = np.array(getattr(rows, f"count_{half}"))
            score, success = (np.array(getattr(rows, f"{k}_{half}")) for k in ("score", "success"))
            hits = success * count
            if (np.abs(hits - np.round(hits)) > 1e-6).any():
                yield f"evaluation.success_{half}: a share that no number of successes gives"
            if limit is not None and ((score > limit) != (success > 0.5))[:, count == 1].any():
                yield f"evaluation.success_{half}: a success is a return above {limit:g}"
            if self.protocol.task.kind == "supervised" and (score > 0).any():
                yield f"evaluation.score_{half}: is minus a loss, so never above 0"

    def _bill(self, run: SubmittedRun) -> Iterator[str]:
        """What the teacher's questions cost, and whether it declares that it asks."""
        spent, teacher = run.record.spent, run.record.teacher
        passes = (np.array(spent.forward) + 2 * np.array(spent.backward)) / 3
        steps = np.array(spent.teacher) - passes
        wrong = np.abs(steps) if self.protocol.task.kind == "supervised" else -steps
        if (wrong > 1e-6 * self.protocol.budget.total).any():
            yield "spent.teacher: does not match spent.forward and spent.backward"
        asks = ASKING & set(teacher.privileges) or "loss_after" in teacher.signals
        if not asks and (np.array(spent.teacher) > 0).any():
            yield "spent.teacher: a teacher that declares no question was billed for some"

    def _start(self, run: SubmittedRun) -> Iterator[str]:
        """Untrained students of the same seed are the same, whoever will teach them.

        Equal to the last digit on equal machines and versions, nearly equal elsewhere.
        """
        record, rows, here = run.record, run.record.evaluation, provenance()
        twin = self.reference.get(record.seed)
        if twin is not None and twin is not record and twin.provenance == record.provenance:
            same = all(getattr(rows, k)[0] == getattr(twin.evaluation, k)[0] for k in HALVES)
        elif record.provenance == here:
            _, start = self._untrained_student(record.seed)
            same = all(getattr(rows, k)[0] == getattr(start, k).tolist() for k in HALVES)
        else:
            if twin is None or twin is record:
                _, start = self._untrained_student(record.seed)
                level = pooled_score(start, self.protocol)
            else:
                level = pooled_score(twin.evaluation, self.protocol)[0]
            same = abs(pooled_score(rows, self.protocol)[0] - level) <= START_TOLERANCE
        if not same:
            yield "evaluation: does not start as the untrained student of this seed does"

    def _facts(self, run: SubmittedRun) -> Iterator[str]:
        """A record says which versions and which processor made it, and it was made on the CPU."""
        missing = sorted(set(provenance()) - {"device"} - set(run.record.provenance))
        if missing:
            yield f"provenance: lacks {', '.join(missing)}"
        device = run.record.provenance.get("device", "cpu")  # older records lack it
        if device != "cpu":
            yield f"provenance.device: is {device}; published results are made on the CPU"

    def _markup(self, entry: Submission) -> Iterator[str]:
        """Text that a page could take for markup; it is escaped where it is shown all the same."""
        for where, text in strings(entry.content()):
            if "<" in text or ">" in text:
                yield f"{where}: holds markup (< or >)"

    def _identity(self, entry: Submission) -> Iterator[str]:
        """A registered name belongs to that teacher: its own label, and what its class declares."""
        teacher = entry.teacher
        base = registered(entry)
        if base is None:
            return
        label = RunRequest(self.protocol.name, base, 0, arguments=teacher.arguments).label
        if label != teacher.name:
            yield f"teacher.arguments: belong to {label}"
        cls = load("teacher", base)
        if source_sha256(cls) != teacher.source_sha256:
            return  # made with an older file, which may have declared something else
        for what in ("signals", "privileges", "changes"):
            if list(getattr(cls, what)) != getattr(teacher, what):
                yield f"teacher.{what}: are not those of {base}"

    def _copies(self, entry: Submission) -> Iterator[str]:
        """The very result of another's teacher, which a stranger's can only have copied."""
        if registered(entry) is not None:
            return  # some of the suite's own teachers equal one another by design
        for other in self.known.values():
            if other.teacher.name == entry.teacher.name:
                continue
            results = {(run.record.seed, run.record.result_sha256) for run in other.runs}
            records = [run.record for run in entry.runs]
            same = [r.seed for r in records if (r.seed, r.result_sha256) in results]
            if same:
                yield (
                    f"seed {', '.join(map(str, same))}: has the very result of "
                    f"{other.teacher.name}: copied, or a teacher that does nothing else"
                )

    def _untrained_student(self, seed: int) -> tuple[list[str], Evaluation]:
        """Names of the held-out tasks, and how the untrained student of a seed does on them."""
        if seed not in self._untrained:
            single_thread()
            assembly = assemble(self.protocol, "uniform", {}, seed, None)
            try:
                start = assembly.evaluator.evaluate(assembly.student, 0)
            finally:
                assembly.close()
            self._untrained[seed] = (assembly.evaluator.labels, start)
        return self._untrained[seed]


def verify(
    console: Console,
    what: str,
    *,
    protocol: str | None,
    folder: Path | None,
    again: bool,
    seed: int | None,
    teacher: str | None,
    runs: Path,
) -> int:
    """Check a published board or one entry's file and print a line for each entry.

    With ``again`` one seed of each is trained anew below ``runs``. The exit code is 0 if all is
    sound, 2 if something is wrong, 1 if a re-run came out differently on another installation.

    Raises:
        LyceumError: there is nothing to check, or a re-run cannot be made of the one entry.
    """
    single = _entry_file(what)
    entry = None if single is None else read_submission(single)
    asked = what if entry is None else protocol or _published_name(entry, single)
    loaded = Protocol.load(asked)
    place = (folder or BOARDS) / loaded.name
    published, found = read_folder(place)
    entries = published if entry is None else [entry]
    if entry is None:
        found += _board_problems(loaded, published, place)
        if not entries and not found:
            raise LyceumError(f"{place} holds no entries")
    else:
        found = _conflicts(entry, published)
    verifier, undecided = Verifier(loaded, {each.teacher.name: each for each in published}), False
    for each in entries:
        wrong, outcome = verifier.problems(each), None
        if again and not wrong:
            outcome = rerun(console, asked, each, seed, teacher, runs)
            if outcome.state == "skipped" and entry is not None:
                raise LyceumError(f"no re-run of {each.teacher.name}: {outcome.sentence}")
            undecided |= outcome.state == "undecided"
            if outcome.state == "wrong":
                wrong.append(f"{each.teacher.name}: {outcome.sentence}")
        found += wrong
        _report(console, loaded, each, wrong, outcome)
    for sentence in found:
        print_error(sentence)
    if not found:
        console.print(CHECKED, style="dim", highlight=False)
    return 2 if found else int(undecided)


def _entry_file(what: str) -> Path | None:
    """The path of an entry's file, or None if ``what`` is a protocol."""
    path = Path(what)
    if what.endswith((".json", ".json.gz")):
        return path
    if what.endswith(".toml") or not path.is_file():
        return None
    raise LyceumError(
        f"{path}: an entry is a .json or .json.gz file; nothing else is read, pickles never"
    )


def _published_name(entry: Submission, path: Path) -> str:
    if entry.protocol.name not in Protocol.names():
        raise LyceumError(
            f"{path}: protocol.name: {entry.protocol.name} is no published protocol; give its file "
            "with --protocol"
        )
    return entry.protocol.name


def _conflicts(entry: Submission, published: list[Submission]) -> list[str]:
    """Whether a new entry could be merged into the board that is there."""
    for other in published:
        if other.teacher.name.lower() == entry.teacher.name.lower():
            try:
                merge(other, entry)
            except LyceumError as error:
                return [str(error)]
    return []


def _board_problems(protocol: Protocol, entries: list[Submission], place: Path) -> list[str]:
    """Where the table beside the entries is not what the entries give."""
    for path in sorted(place.glob("*")):
        if path.is_file() and path.stat().st_size > SUBMISSION_BYTES and path.suffix != ".json":
            return [f"{path}: is longer than {SUBMISSION_BYTES} bytes"]
    path = place / BOARD_FILE
    if not entries:
        return []
    try:
        with np.errstate(all="ignore"):
            board = build_board(protocol, entries)
        claimed = validate(Board, read_json(path, SUBMISSION_BYTES), str(path))
    except LyceumError as error:
        return [str(error)]
    found = [f"{path}: {text}" for text in differences(claimed.content(), board.content())]
    table = place / "leaderboard.md"
    if not found and (not table.is_file() or table.read_text("utf-8") != markdown(board)):
        found = [f"{table}: is not what the entries give"]
    return [f"{text}; recompute it with lyceum leaderboard" for text in found]


def differences(claimed: dict[str, Any], computed: dict[str, Any]) -> list[str]:
    """A sentence per row of a table that is not what its entries give, or one for the rest."""
    rows = [{row["teacher"]["name"]: row for row in each["rows"]} for each in (claimed, computed)]
    found = []
    for name in sorted(rows[0] | rows[1]):
        one, two = rows[0].get(name), rows[1].get(name)
        if one is None or two is None:
            found.append(f"{name}: has {'no row' if one is None else 'a row but no sound entry'}")
        elif one != two:
            key = next(key for key in two if one[key] != two[key])
            found.append(
                f"{name}: {key}: says {_short(one[key])}, the curves give {_short(two[key])}"
            )
    if not found and claimed != computed:
        key = next(key for key in computed if claimed[key] != computed[key])
        found.append(f"{key}: is not what the entries give")
    return found


def _short(value: Any) -> str:
    if isinstance(value, dict) and "value" in value:
        value = value["value"]
    return str(value)[:60]


def _report(
    console: Console,
    protocol: Protocol,
    entry: Submission,
    wrong: list[str],
    outcome: Outcome | None,
) -> None:
    """One line: the verdict, the entry, seeds left out, and what became of its re-run."""
    undecided = outcome is not None and outcome.state == "undecided"
    state = "FAIL" if wrong else "OPEN" if undecided else "ok"
    text = f"{state:<5} {entry.teacher.name}: {len(entry.runs)} seeds"
    missing = [] if wrong else gaps(protocol, entry)
    if missing:
        text += f" without {', '.join(map(str, missing))}, so it stays provisional"
    if outcome is not None and outcome.state != "wrong":
        text += f"; {'not re-run' if outcome.state == 'skipped' else outcome.state}: "
        text += outcome.sentence
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def strings(content: Any, where: str = "") -> Iterator[tuple[str, str]]:
    """All texts in parsed JSON with the place where they stand, keys included."""
    if isinstance(content, str):
        yield where, content
    elif isinstance(content, dict):
        for key, value in content.items():
            yield where, key
            yield from strings(value, f"{where}.{key}" if where else key)
    elif isinstance(content, list):
        for number, value in enumerate(content):
            if not isinstance(value, (int, float)):
                yield from strings(value, f"{where}.{number}")

"""What the files of a run and of a submission hold: strict models with rules across fields.

The models are the single source of ``leaderboards/schema/*.json``; a change of a model needs a new
schema number, unless it only adds what files may leave out and older files stay what they were.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from benchmark.protocol import canonical_json

_HALVES = ("score_a", "score_b", "success_a", "success_b")


def _printable(text: str) -> str:
    """Refuse control characters, terminal escapes and marks that reverse the reading direction."""
    if not text.isprintable() or not unicodedata.is_normalized("NFC", text):
        raise ValueError("must be printable text in Unicode's composed form (NFC)")
    return text


def clean_text(text: str, limit: int) -> str:
    """Make text printable: composed form, anything unprintable becomes a space, ``limit`` long."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(c if c.isprintable() else " " for c in composed)[:limit]


def _plain(text: str) -> str:
    """Refuse what a page could take for markup or a browser for a script."""
    text = _printable(text)
    if any(mark in text for mark in "<>`") or re.search(r"\b(javascript|data):", text, re.I):
        raise ValueError("must be plain text or an http link, without < > ` and scripts")
    return text


def _clean_lines(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    return "\n".join(clean_text(line, 2000) for line in text.splitlines())[:2000]


Line = Annotated[str, Field(max_length=300), AfterValidator(_printable)]
PlainLine = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_plain)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Amount = Annotated[float, Field(ge=0)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_:]{0,39}$")]
ProtocolName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
TeacherName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.=,\[\]-]{0,79}$")]
EntryName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{1,39}$")]
ClassName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,79}$")]
Scalar = bool | int | float | Line | None


class Model(BaseModel):
    """Strict: no unknown field, no conversion between types, no NaN and no infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    def content(self) -> dict[str, Any]:
        """The content as plain JSON values under the names that stand in the file."""
        return self.model_dump(mode="json", by_alias=True)


class ProtocolReference(Model):
    """Which protocol a result belongs to: only equal fingerprints are compared."""

    name: ProtocolName
    fingerprint: Sha256


class TeacherIdentity(Model):
    """Which teacher it was: name, hash of its source file, full arguments, what it asks for."""

    name: TeacherName
    source_sha256: Sha256
    arguments: dict[
        Annotated[str, Field(max_length=80), AfterValidator(_printable)], Scalar | list[Scalar]
    ]
    signals: list[Word]
    privileges: list[Word]
    changes: list[Word] = Field(default_factory=list)
    reference: Line

    @property
    def flags(self) -> list[str]:
        """What sets it apart from a plain run: its privileges, and what it changes."""
        return [*self.privileges, *(f"changes the {word}" for word in self.changes)]

    @model_serializer(mode="wrap")
    def _without_none(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Who changes nothing but the tasks is written as before there was such a field."""
        content = plain(self)
        return content if self.changes else {k: v for k, v in content.items() if k != "changes"}


class EvaluationRows(Model):
    """Held-out results per grid point and task, as the means of two halves of the episodes."""

    tasks: list[Line] = Field(min_length=1)
    count_a: list[Count]
    count_b: list[Count]
    score_a: list[list[float]]
    score_b: list[list[float]]
    success_a: list[list[float]]
    success_b: list[list[float]]


class Spent(Model):
    """Cumulative amounts per grid point; student + teacher are in the budget's unit.

    ``forward`` and ``backward`` are the teacher's, the training of ``references`` included: so many
    reference students.
    """

    student: list[Count]
    teacher: list[Amount]
    updates: list[Count]
    forward: list[Count]
    backward: list[Count]
    references: list[Count] | None = None

    @model_serializer(mode="wrap")
    def _without_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records of runs without reference students say nothing of them."""
        return {name: values for name, values in dump(self).items() if values is not None}


class RunRecord(Model):
    """One finished run: protocol x teacher x seed. Deterministic, byte for byte."""

    schema_: Literal["run/1"] = Field(alias="schema")
    protocol: ProtocolReference
    teacher: TeacherIdentity
    seed: Count
    status: Literal["finished", "smoke"]
    grid: list[Count] = Field(min_length=2)
    evaluation: EvaluationRows
    spent: Spent
    curriculum_sha256: Sha256
    provenance: dict[Annotated[str, Field(max_length=80), AfterValidator(_printable)], Line]
    result_sha256: Sha256
    # Pydantic repeats this check wherever a record becomes a part of something, hash and all.
    _checked: bool = PrivateAttr(default=False)

    @model_validator(mode="after")
    def _consistent(self) -> RunRecord:
        if self._checked:
            return self
        if self.grid[0] != 0 or any(np.diff(self.grid) <= 0):
            raise ValueError("grid: must start at 0 and increase")
        for name, values in self.spent.content().items():
            _check_growing(f"spent.{name}", values, len(self.grid))
        _check_evaluation(self.evaluation, len(self.grid))
        if result_sha256(self.content()) != self.result_sha256:
            raise ValueError("result_sha256: does not match grid, evaluation, spent and curriculum")
        self._checked = True
        return self


class Attempt(Model):
    """One process that worked on a run."""

    start: Line
    end: Line
    reason: Line


class Costs(Model):
    """What a run cost by the clock: cumulative seconds per grid point. Never bit-identical."""

    schema_: Literal["costs/1"] = Field("costs/1", alias="schema")
    cpu_environment: list[Amount]
    cpu_student: list[Amount]
    cpu_teacher: list[Amount]
    cpu_evaluation: list[Amount]
    wall: list[Amount]
    peak_rss_mb: Amount
    workers: Annotated[int, Field(ge=1)]
    attempts: list[Attempt]

    @model_validator(mode="after")
    def _consistent(self) -> Costs:
        for name in _CLOCKS:
            _check_growing(name, getattr(self, name), len(self.wall))
        return self

    def total(self) -> TotalCosts:
        """The costs of the whole run."""
        last = {name: getattr(self, name)[-1] for name in _CLOCKS}
        return TotalCosts(**last, peak_rss_mb=self.peak_rss_mb, attempts=len(self.attempts))


class TotalCosts(Model):
    """What a submission says about the costs of a run: seconds at the end, memory, attempts."""

    cpu_environment: Amount
    cpu_student: Amount
    cpu_teacher: Amount
    cpu_evaluation: Amount
    wall: Amount
    peak_rss_mb: Amount
    attempts: Count


_CLOCKS = ("cpu_environment", "cpu_student", "cpu_teacher", "cpu_evaluation", "wall")


class Failure(Model):
    """Why a run could not be finished; the message of a stranger's code is made printable."""

    schema_: Literal["failure/1"] = Field("failure/1", alias="schema")
    protocol: ProtocolName
    teacher: TeacherName
    seed: Count
    kind: Word
    message: Annotated[str, BeforeValidator(_clean_lines), Field(max_length=2000)]
    spent: Amount
    attempts: Count


class SubmittedRun(Model):
    """A record with its total costs, if they are known."""

    record: RunRecord
    costs: TotalCosts | None


class Submission(Model):
    """All runs of one teacher under one protocol, sorted by seed."""

    schema_: Literal["submission/1"] = Field("submission/1", alias="schema")
    protocol: ProtocolReference
    teacher: TeacherIdentity
    runs: list[SubmittedRun] = Field(min_length=1, max_length=2000)

    @model_validator(mode="after")
    def _consistent(self) -> Submission:
        seeds = [run.record.seed for run in self.runs]
        if any(np.diff(seeds) <= 0):
            raise ValueError("runs: must be sorted by seed, with every seed once")
        for number, run in enumerate(self.runs):
            for name in ("protocol", "teacher"):
                if getattr(run.record, name) != getattr(self, name):
                    raise ValueError(f"runs.{number}.record.{name}: differs from the submission's")
            if run.record.status != "finished":
                raise ValueError(f"runs.{number}.record.status: smoke runs are never compared")
        return self


class About(Model):
    """Who submits a teacher, where it is described, and its class in the file that was hashed."""

    authors: list[PlainLine] = Field(min_length=1, max_length=50)
    paper: PlainLine
    class_: ClassName = Field(alias="class")


class SignedSubmission(Submission):
    """A submission that says whose it is: what ``lyceum submit`` writes."""

    schema_: Literal["submission/2"] = Field("submission/2", alias="schema")
    about: About


def _check_growing(name: str, values: list[float], length: int) -> None:
    if len(values) != length:
        raise ValueError(f"{name}: has {len(values)} entries, but the grid has {length}")
    if any(np.diff(values) < 0):
        raise ValueError(f"{name}: is cumulative and must never fall")


def _check_evaluation(rows: EvaluationRows, points: int) -> None:
    tasks = len(rows.tasks)
    for name in ("count_a", "count_b"):
        if len(getattr(rows, name)) != tasks:
            raise ValueError(f"evaluation.{name}: must have one entry per task, {tasks}")
    counts = {half: np.array(getattr(rows, f"count_{half}")) for half in "ab"}
    if not (counts["a"] + counts["b"] > 0).all():
        raise ValueError("evaluation.count_a: every task needs at least one episode or example")
    for name in _HALVES:
        values = getattr(rows, name)
        if len(values) != points or any(len(row) != tasks for row in values):
            raise ValueError(f"evaluation.{name}: must have {points} rows of {tasks} numbers")
        table = np.array(values)
        if table[:, counts[name[-1]] == 0].any():
            raise ValueError(f"evaluation.{name}: must be 0 where its half has no episodes")
        if name.startswith("success") and not ((table >= 0) & (table <= 1)).all():
            raise ValueError(f"evaluation.{name}: must be shares in [0, 1]")


def result_sha256(parts: Mapping[str, Any]) -> str:
    """SHA-256 of what a run measured: its grid, evaluation, spending and curriculum.

    ``parts`` is the content of a record; other keys are left out. Scores count as floating-point
    numbers, however they were written down.
    """
    evaluation, spent = dict(parts["evaluation"]), dict(parts["spent"])
    for name in _HALVES:
        evaluation[name] = [[float(value) for value in row] for row in evaluation[name]]
    spent["teacher"] = [float(value) for value in spent["teacher"]]
    content = {
        "grid": parts["grid"],
        "evaluation": evaluation,
        "spent": spent,
        "curriculum_sha256": parts["curriculum_sha256"],
    }
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()

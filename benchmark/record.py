"""How the records of runs are written, read and checked.

Everything that is read may come from a stranger: it is size-limited, parsed strictly and
validated, never unpickled or executed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from pydantic import ValidationError

from benchmark.board import Board
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.schema import (
    Costs,
    Failure,
    Model,
    RunRecord,
    SignedSubmission,
    Submission,
    TeacherIdentity,
    clean_text,
    result_sha256,
)
from benchmark.strict_json import (
    format_json,
    read_json,
    write_json_atomically,
    write_text_atomically,
)

__all__ = ["Costs", "Failure", "RunRecord", "Submission", "result_sha256", "write_json_atomically"]

RUN_BYTES = 4_000_000
SUBMISSION_BYTES = 50_000_000
SCHEMAS = Path(__file__).resolve().parent.parent / "leaderboards" / "schema"
EXPORTED = {
    "run-1.json": RunRecord,
    "costs-1.json": Costs,
    "failure-1.json": Failure,
    "submission-1.json": Submission,
    "submission-2.json": SignedSubmission,
    "board-1.json": Board,
}
AnyModel = TypeVar("AnyModel", bound=Model)


def validate(model: type[AnyModel], content: Any, source: str) -> AnyModel:
    """Build a model from parsed JSON.

    Raises:
        LyceumError: one sentence with the source, the field and the rule it breaks.
    """
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first, *others = error.errors()
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        message = f"{where}: {message}" if where else message
        more = f" (and {len(others)} more)" if others else ""
        raise LyceumError(f"{source}: {clean_text(message, 400)}{more}") from error


def require_teacher(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse, before anything is trained, a name or arguments that no record could hold.

    Raises:
        LyceumError: which of them, and the rule.
    """
    content = {"name": name, "arguments": dict(arguments), "source_sha256": "0" * 64}
    content |= {"signals": [], "privileges": [], "reference": ""}
    validate(TeacherIdentity, content, f"teacher {clean_text(name, 80)}")


def write_run(folder: Path, content: dict[str, Any], costs: dict[str, Any]) -> None:
    """Validate a run and write ``costs.json`` and, last, ``record.json``: that one means finished.

    Raises:
        LyceumError: the content breaks the schema. OSError: the disk is full.
    """
    teacher = content["teacher"]
    provenance = {name: clean_text(text, 300) for name, text in content["provenance"].items()}
    teacher = teacher | {"reference": clean_text(teacher["reference"], 300)}
    content = content | {"teacher": teacher, "provenance": provenance}
    record = validate(RunRecord, content, f"{folder}/record.json")
    bill = validate(Costs, costs, f"{folder}/costs.json")
    if len(format_json(record.content())) > RUN_BYTES:
        raise LyceumError(f"{folder}/record.json: would be longer than {RUN_BYTES} bytes")
    write_json_atomically(folder / "costs.json", bill.content())
    write_json_atomically(folder / "record.json", record.content())


def read_run(folder: Path, protocol: Protocol | None = None) -> tuple[RunRecord, Costs | None]:
    """Read a finished run; the costs are None if their file is missing.

    With ``protocol``, the record must also belong to it.

    Raises:
        LyceumError: a file is missing or damaged: file, field and rule in one sentence.
    """
    path = folder / "record.json"
    record = validate(RunRecord, read_json(path, RUN_BYTES), str(path))
    if protocol is not None:
        check_against(record, protocol, str(path))
    path = folder / "costs.json"
    if not path.exists():
        return record, None
    costs = validate(Costs, read_json(path, RUN_BYTES), str(path))
    if len(costs.wall) != len(record.grid):
        raise LyceumError(f"{path}: wall: must have one entry per grid point, {len(record.grid)}")
    return record, costs


def read_failure(folder: Path) -> Failure:
    """Read why a run failed.

    Raises:
        LyceumError: the file is missing or damaged.
    """
    path = folder / "failure.json"
    return validate(Failure, read_json(path, RUN_BYTES), str(path))


def read_submission(path: Path, protocol: Protocol | None = None) -> Submission:
    """Read a submission file (.json or .json.gz) of either schema.

    With ``protocol``, every record must belong to it.

    Raises:
        LyceumError: the file is damaged, or is not named after its teacher.
    """
    content = read_json(path, SUBMISSION_BYTES)
    signed = isinstance(content, dict) and content.get("schema") == "submission/2"
    submission = validate(SignedSubmission if signed else Submission, content, str(path))
    name = f"{submission.teacher.name}.json"
    if path.name not in (name, f"{name}.gz"):
        raise LyceumError(f"{path}: teacher.name: the file must be called {name} or {name}.gz")
    if protocol is not None:
        for run in submission.runs:
            check_against(run.record, protocol, f"{path}, seed {run.record.seed}")
    return submission


def check_against(record: RunRecord, protocol: Protocol, source: str) -> None:
    """Refuse a record that does not follow ``protocol``: another version, grid, seed or budget.

    Raises:
        LyceumError: one sentence with the source, the field and the rule it breaks.
    """
    if record.protocol.fingerprint != protocol.fingerprint:
        raise LyceumError(
            f"{source}: protocol.fingerprint: belongs to another version of {protocol.name} "
            f"({record.protocol.fingerprint[:12]}, not {protocol.fingerprint[:12]}); results are "
            "only compared under equal protocols, so run it again"
        )
    if record.protocol.name != protocol.name:
        raise LyceumError(f"{source}: protocol.name: must be {protocol.name}")
    if record.grid != list(protocol.grid):
        raise LyceumError(f"{source}: grid: differs from the grid of {protocol.name}")
    if record.seed not in protocol.statistics.seeds:
        raise LyceumError(f"{source}: seed: {record.seed} is not a seed of {protocol.name}")
    extra = sorted(set(record.teacher.privileges) - set(protocol.information.privileges))
    if extra:
        raise LyceumError(f"{source}: teacher.privileges: {protocol.name} forbids {extra[0]}")
    _check_spending(record, protocol, source)
    if protocol.held_out is not None:
        counts = np.array(record.evaluation.count_a) + record.evaluation.count_b
        expected = [protocol.evaluation.episodes_per_task] * len(protocol.held_out)
        if counts.tolist() != expected:
            raise LyceumError(
                f"{source}: evaluation.count_a: {protocol.name} plays {len(expected)} held-out "
                f"tasks with {expected[0]} episodes each"
            )


def _check_spending(record: RunRecord, protocol: Protocol, source: str) -> None:
    """A run neither skips training before a grid point nor goes on after its budget is spent."""
    budget = protocol.budget
    spent = np.array(record.spent.student) + record.spent.teacher
    # A loop ends within its last proposal or its last question to the probe, not at a fraction.
    slack = 0.1 * budget.total + 2 * budget.parallel * budget.batches_per_proposal
    if (spent < np.array(protocol.grid) - 1).any() or spent[-1] > budget.total + slack:
        raise LyceumError(
            f"{source}: spent.student: together with spent.teacher it must follow the grid up to "
            f"{budget.total} {budget.unit}"
        )


def json_schemas() -> dict[str, str]:
    """The text of every exported JSON Schema (2020-12) by file name."""
    texts = {}
    for name, model in EXPORTED.items():
        content = model.model_json_schema(by_alias=True)
        content["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        texts[name] = format_json(content)
    return texts


def export_schemas(folder: Path = SCHEMAS) -> None:
    """Write the JSON Schemas; a test fails when the committed files differ from the models."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in json_schemas().items():
        write_text_atomically(folder / name, text)

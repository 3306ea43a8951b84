"""Protocols: published experiments as data, read strictly from TOML into frozen dataclasses."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import tomllib
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from benchmark.errors import LyceumError, unknown
from benchmark.families import members

FOLDER = Path(__file__).parent / "protocols"
RELEASED = FOLDER / "fingerprints.json"
# Keys that came after the first protocols: unused, they are no part of a fingerprint.
LATER = (("student", "observes_task"), ("evaluation", "options"), ("task", "rugged"))
# What a smoke budget is made of: see ``Protocol.smoke``.
SMOKE, SMOKE_AMOUNT, SMOKE_TASKS, SMOKE_EPISODES = "-smoke", 4000, 10, 2
_STRICT = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True)


@dataclass(frozen=True, config=_STRICT)
class TaskBlock:
    """Which world or supervised task, and which tasks of it a teacher may propose.

    ``rugged`` > 0 cuts every task parameter of a world into so many segments and shuffles them for
    the teacher, differently for each run seed.
    """

    kind: Literal["procedural", "supervised"]
    name: str
    version: int
    rugged: int = Field(default=0, ge=0)
    options: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class StudentBlock:
    """The student and all its hyperparameters.

    With ``observes_task`` every observation of a procedural world ends with the task, scaled to
    [-1, 1].
    """

    name: str
    observes_task: bool = False
    options: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class BudgetBlock:
    """What a run may spend, and in which portions.

    ``total`` counts environment steps or example presentations (one forward and one backward pass
    of one example). ``parallel`` is the number of worlds side by side, or examples per batch;
    ``batches_per_proposal`` says how many batches a teacher of examples proposes at once.
    """

    unit: Literal["environment steps", "presentations"]
    total: int = Field(gt=0)
    parallel: int = Field(gt=0)
    batches_per_proposal: int = Field(default=1, gt=0)
    teacher_call_seconds: float = Field(default=20.0, gt=0)


@dataclass(frozen=True, config=_STRICT)
class EvaluationBlock:
    """The held-out evaluation: ``count`` equally spaced grid points after the one at zero.

    ``options`` of the world replace those of the task block where held-out tasks are played, so
    that a student can be tested where no teacher may send it.
    """

    count: int = Field(gt=0)
    tasks: str = ""  # a JSON file beside the protocol; empty for supervised tasks
    episodes_per_task: int = Field(default=1, gt=0)
    options: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True, config=_STRICT)
class ScoreBlock:
    """How raw results become a score: z = (x - low) / (high - low).

    ``measure`` is "success" (share of successes or of correct answers) or "return" (mean episode
    return). With ``success_return`` an episode succeeds when its return is above it; without, the
    world's own flag counts. ``final_window`` evaluations make the final score, ``target`` is the
    level for time-to-target in units of z.
    """

    measure: Literal["success", "return"]
    low: float = 0.0
    high: float = 1.0
    success_return: float | None = None
    final_window: int = Field(default=3, gt=0)
    target: float | None = None


@dataclass(frozen=True, config=_STRICT)
class InformationBlock:
    """What a teacher may be told: the knowledge level and the privileges that are allowed."""

    knowledge: Literal["none", "low", "high"] = "none"
    privileges: list[str] = Field(default_factory=list)
    return_range: list[float] | None = None
    initial_mean: list[float] | None = None
    initial_std: list[float] | None = None
    target_mean: list[float] | None = None
    target_std: list[float] | None = None


@dataclass(frozen=True, config=_STRICT)
class StatisticsBlock:
    """Seeds and how the table is computed."""

    seeds: list[int]
    ranked_from: int = 10
    listed_from: int = 5
    reference: str = "uniform"
    confidence: float = 0.95
    resamples: int = 10000
    bootstrap_seed: int = 0


@dataclass(frozen=True, config=_STRICT)
class Protocol:
    """One published experiment: everything that decides a number stands in here.

    Raises:
        LyceumError: from ``Protocol.load``: the file is missing, malformed or has an unknown key.
    """

    name: str
    title: str
    status: Literal["draft", "frozen", "retired", "smoke"]
    task: TaskBlock
    student: StudentBlock
    budget: BudgetBlock
    evaluation: EvaluationBlock
    score: ScoreBlock
    statistics: StatisticsBlock
    information: InformationBlock = Field(default_factory=InformationBlock)

    @staticmethod
    def names() -> list[str]:
        """The names of all published protocols."""
        return sorted([*(path.stem for path in FOLDER.glob("*.toml")), *members()])

    @staticmethod
    def load(name: str) -> Protocol:
        """Read a published protocol by name, or one of your own by a path ending in .toml.

        ``NAME-smoke`` is the shortened copy of NAME. A published protocol that was edited, wherever
        it lies, is refused.
        """
        whole = name.removesuffix(SMOKE)
        if whole != name and whole in Protocol.names():
            return Protocol.load(whole).smoke()
        path = Path(name) if name.endswith(".toml") else FOLDER / f"{name}.toml"
        if not path.is_file() and name.endswith(".toml"):
            raise LyceumError(f"no protocol file {name}")
        if not path.is_file() and name not in members():
            raise unknown("protocol", name, Protocol.names())
        try:
            content = members().get(name) or tomllib.loads(path.read_text("utf-8"))
            protocol = TypeAdapter(Protocol).validate_json(json.dumps(content))
        except UnicodeDecodeError as error:
            raise LyceumError(f"{path} is no TOML file: it is not written in UTF-8") from error
        except tomllib.TOMLDecodeError as error:
            raise LyceumError(f"protocol file {path.name} is not valid TOML: {error}") from error
        except ValidationError as error:
            raise LyceumError(_explain(path.name, error)) from error
        if protocol.evaluation.tasks:
            object.__setattr__(protocol, "_folder", path.parent)
            protocol.held_out  # noqa: B018 - read now, so that a missing file is found at once
        _refuse_edited(protocol, name)
        return protocol

    @cached_property
    def held_out(self) -> np.ndarray | None:
        """Held-out tasks of a procedural world, float64 (J, dimensions); None if supervised."""
        if not self.evaluation.tasks:
            return None
        path = getattr(self, "_folder", FOLDER) / self.evaluation.tasks
        try:
            return np.array(json.loads(path.read_text("utf-8"))["tasks"], dtype=np.float64)
        except (OSError, ValueError, KeyError) as error:
            raise LyceumError(
                f"held-out tasks {self.evaluation.tasks} of {self.name} cannot be read: {error}"
            ) from error

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical content, held-out tasks included, titles and status excluded."""
        content = dataclasses.asdict(self)
        del content["title"], content["status"]
        for block, key in LATER:
            if not content[block][key]:
                del content[block][key]
        if self.held_out is not None:
            content["held_out"] = self.held_out.tolist()
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()

    @cached_property
    def grid(self) -> tuple[int, ...]:
        """The budget spent at each evaluation: 0, then ``count`` equally spaced points."""
        count = self.evaluation.count
        return tuple(round(self.budget.total * k / count) for k in range(count + 1))

    def normalise(self, raw: np.ndarray) -> np.ndarray:
        """Map raw results to scores: z = (x - low) / (high - low)."""
        return (np.asarray(raw) - self.score.low) / (self.score.high - self.score.low)

    def smoke(self, budget: int = 0, evaluations: int = 2) -> Protocol:
        """A shortened copy that only shows that things work; its records are never ranked.

        It has the world, the student and the knowledge of this one, ``budget`` units (0: enough for
        a few thousand steps or examples, an episode in every world and two updates of PPO), one
        seed, and of the held-out tasks at most ten from first to last, twice each.
        """
        evaluation, tasks = self.evaluation, self.held_out
        short = dataclasses.replace(
            self,
            name=f"{self.name}{SMOKE}",
            status="smoke",
            budget=dataclasses.replace(self.budget, total=budget or self._smoke_amount()),
            evaluation=dataclasses.replace(
                evaluation,
                count=evaluations,
                episodes_per_task=min(evaluation.episodes_per_task, SMOKE_EPISODES),
            ),
            statistics=dataclasses.replace(self.statistics, seeds=self.statistics.seeds[:1]),
        )
        object.__setattr__(short, "_folder", getattr(self, "_folder", FOLDER))
        if tasks is not None:
            rows = np.linspace(0, len(tasks) - 1, min(len(tasks), SMOKE_TASKS)).astype(int)
            object.__setattr__(short, "held_out", tasks[rows])
        return short

    def _smoke_amount(self) -> int:
        """How much a smoke run spends, in the budget's unit."""
        budget, options = self.budget, self.task.options
        episode = budget.parallel * options.get("max_episode_steps", 0)
        learned = 2 * self.student.options.get("rollout", 0)
        portions = 4 * budget.parallel * budget.batches_per_proposal
        return min(budget.total, max(SMOKE_AMOUNT, portions, episode, learned))


@cache
def released() -> dict[str, str]:
    """The fingerprints of all published protocols by name, as they were when they came out."""
    return json.loads(RELEASED.read_text("utf-8"))


def _refuse_edited(protocol: Protocol, asked: str) -> None:
    """Whoever reads a published name may rely on its content, also in a copy of the file."""
    if not asked.endswith(".toml") and protocol.name != asked:
        raise LyceumError(
            f"protocol file {asked}.toml calls itself {protocol.name}; a published protocol has "
            "the name of its file"
        )
    known = released().get(protocol.name, protocol.fingerprint)
    if protocol.fingerprint != known:
        raise LyceumError(
            f"protocol {asked}: {protocol.name} was published with another content (fingerprint "
            f"{known[:12]}, here {protocol.fingerprint[:12]}) and is never edited; undo the "
            "change, or give what you changed a name of its own in a file of its own"
        )


_EXTRA = ("unexpected_keyword_argument", "extra_forbidden")
_BLOCKS = {
    "task": TaskBlock,
    "student": StudentBlock,
    "budget": BudgetBlock,
    "evaluation": EvaluationBlock,
    "score": ScoreBlock,
    "information": InformationBlock,
    "statistics": StatisticsBlock,
}


def canonical_json(content: Any) -> str:
    """JSON with sorted keys, no white space, shortest numbers and no NaN or infinity."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _explain(file: str, error: ValidationError) -> str:
    """One sentence for the first thing wrong in a protocol file."""
    misspelt = [e for e in error.errors() if e["type"] in _EXTRA]
    first = (misspelt or error.errors())[0]
    where = ".".join(str(part) for part in first["loc"])
    if misspelt:
        owner: Any = Protocol
        for part in first["loc"][:-1]:
            owner = _BLOCKS[str(part)]
        known = [field.name for field in dataclasses.fields(owner)]
        return f"protocol file {file}: {unknown('key', str(first['loc'][-1]), known)}"
    came = "" if first["type"].startswith("missing") else f", but got {first.get('input')!r}"
    return f"protocol file {file}: {where}: {first['msg'].lower()}{came}"

"""Claims of papers as data: a TOML file per row in ``benchmark/claims``, read strictly.

A row is tested (protocol, preset, controls), or waits for parts that the suite lacks, or is not
testable, with the reason. No row holds a result: verdicts are computed from records
(benchmark/claim_verdicts.py).
"""

from __future__ import annotations

import tomllib
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator

from benchmark.errors import LyceumError, unknown
from benchmark.protocol import Protocol
from benchmark.record import require_teacher, validate
from benchmark.registry import TABLES
from benchmark.run import RunRequest
from benchmark.schema import Count, Line, Model, Scalar, Word
from benchmark.telling import fitting_teacher

FOLDER = Path(__file__).parent / "claims"
FEWEST_SEEDS = 10
Standard = Literal["uniform", "reverse", "random order", "matched exposure", "matched compute"]
STANDARD: tuple[Standard, ...] = get_args(Standard)
Text = Annotated[str, Field(min_length=1, max_length=600)]


class Arm(Model):
    """One side of a test: a registered teacher with its arguments, under a name of its own."""

    name: Word
    teacher: Word
    arguments: dict[Word, Scalar | list[Scalar]] = Field(default_factory=dict)
    about: Text


class Control(Arm):
    """What a preset must beat; the ``kind`` "other" is for a paper's own baselines."""

    kind: Literal[Standard, "other"]


class Trial(Model):
    """How a claim is tested: preset against controls under one protocol, with paired seeds.

    ``measure`` is a score of a run, higher is better. ``held_out`` names the held-out tasks that
    count by their place, all if empty; only the final score can be restricted to some.
    ``without`` gives for every standard control that is missing the reason.
    """

    protocol: Line
    measure: Literal["area", "final", "tail"]
    held_out: list[Count] = Field(default_factory=list)
    seeds: Annotated[int, Field(ge=FEWEST_SEEDS)] = FEWEST_SEEDS
    preset: Arm
    controls: Annotated[list[Control], Field(min_length=1)]
    without: dict[Standard, Text] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _whole(self) -> Trial:
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"arms need different names, but they are {', '.join(names)}")
        kinds = {control.kind for control in self.controls}
        if "uniform" not in kinds:
            raise ValueError("controls: one must be of the kind 'uniform'")
        missing = [kind for kind in STANDARD if kind not in kinds | set(self.without)]
        both = [kind for kind in STANDARD if kind in kinds & set(self.without)]
        if missing or both:
            raise ValueError(
                "every standard control is either there or left out with a reason in 'without'; "
                + (f"neither holds for {', '.join(missing)}" if missing else "")
                + (f"both hold for {', '.join(both)}" if both else "")
            )
        if self.held_out and self.measure != "final":
            raise ValueError("held_out: only the measure 'final' can be restricted to some tasks")
        return self

    @property
    def arms(self) -> list[Arm]:
        """The preset, then its controls."""
        return [self.preset, *self.controls]


class Waits(Model):
    """What must be built before a row can be tested, by the names that it will have.

    ``other`` are parts that no registry lists, such as a protocol with a new loop.
    """

    tasks: list[Word] = Field(default_factory=list)
    teachers: list[Word] = Field(default_factory=list)
    students: list[Word] = Field(default_factory=list)
    other: list[Line] = Field(default_factory=list)
    plan: Text

    @property
    def missing(self) -> list[str]:
        """The parts that are still missing."""
        parts = (("task", self.tasks), ("teacher", self.teachers), ("student", self.students))
        return [n for kind, names in parts for n in names if n not in TABLES[kind]] + self.other


class Claim(Model):
    """One paper: what it claims in a sentence, and how this suite tests it, or why it does not.

    An id with a letter, such as S22b, is a further row of the same paper.
    """

    id: Annotated[str, Field(pattern=r"^S[0-9]{2}[b-z]?$")]
    title: Line
    reference: Line
    claim: Text
    lost: Text = "nothing known"
    test: Trial | None = None
    waits: Waits | None = None
    untestable: Text | None = None

    @model_validator(mode="after")
    def _one_fate(self) -> Claim:
        fates = [name for name in ("test", "waits", "untestable") if getattr(self, name)]
        if len(fates) != 1:
            raise ValueError(
                "a claim has exactly one of 'test', 'waits' and 'untestable', but has "
                + (" and ".join(fates) or "none")
            )
        return self

    @cached_property
    def protocol(self) -> Protocol:
        """The protocol of a tested claim.

        Raises:
            LyceumError: the claim is not tested, or names no protocol.
        """
        if self.test is None:
            raise LyceumError(f"{self.id} ({self.title}) is not tested: {why_not(self)}")
        return Protocol.load(self.test.protocol)

    def label(self, arm: Arm) -> str:
        """Under which name the records of an arm are filed.

        Without arguments the teacher's own name, so that boards and claims share their runs.
        """
        return f"{arm.teacher}[{self.id}-{arm.name}]" if arm.arguments else arm.teacher

    def requests(self, runs: Path | str, device: str = "cpu") -> dict[str, list[RunRequest]]:
        """The runs of every arm by its name, one per seed.

        Raises:
            LyceumError: the claim is not tested, or an arm does not fit its protocol.
        """
        protocol, found = self.protocol, {}
        seeds = protocol.statistics.seeds[: self.test.seeds]
        if len(seeds) < self.test.seeds:
            raise LyceumError(
                f"{self.id}: asks for {self.test.seeds} seeds, but {protocol.name} has {len(seeds)}"
            )
        for arm in self.test.arms:
            fitting_teacher(protocol, arm.teacher, arm.arguments)
            require_teacher(self.label(arm), arm.arguments)
            found[arm.name] = [
                RunRequest(
                    self.test.protocol,
                    arm.teacher,
                    seed,
                    arm.arguments,
                    runs=str(runs),
                    device=device,
                    name=self.label(arm) if arm.arguments else "",
                )
                for seed in seeds
            ]
        return found


def why_not(claim: Claim) -> str:
    """Why a claim has no test, in a clause."""
    if claim.untestable is not None:
        return f"not testable in the small, because {claim.untestable}"
    missing = ", ".join(claim.waits.missing)
    return f"not built yet: {missing}" if missing else "not built yet: its parts exist, its row not"


def read_claim(path: Path) -> Claim:
    """Read one claim from its file, which bears its id.

    Raises:
        LyceumError: the file is missing, no TOML, breaks the schema or bears another name.
    """
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise LyceumError(f"claim file {path.name} is not valid TOML: {error}") from error
    except OSError as error:
        raise LyceumError(f"claim file {path.name} cannot be read: {error.strerror}") from error
    claim = validate(Claim, content, f"claim file {path.name}")
    if path.stem != claim.id:
        raise LyceumError(f"claim file {path.name} holds {claim.id}; call it {claim.id}.toml")
    return claim


def load_claims(names: list[str] | None = None, folder: Path = FOLDER) -> list[Claim]:
    """The claims with these ids, or all of them, in the order of the founding list.

    Raises:
        LyceumError: an unknown id, or a damaged file.
    """
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    for name in names or ():
        if _id(name) not in known:
            raise unknown("claim", name, known)
    chosen = known if names is None else dict.fromkeys(map(_id, names))
    return [read_claim(known[name]) for name in chosen]


def _id(name: str) -> str:
    """What somebody means by s22b."""
    return name[:1].upper() + name[1:].lower()

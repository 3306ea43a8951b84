"""The teacher contract: what a teacher is told, what it proposes, what it hears back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

SIGNALS = ("loss", "loss_after", "logits", "embedding", "initial_observation", "trajectory")
SIGNALS += ("inputs",)  # of a supervised student
PRIVILEGES = ("probe", "value_function", "reference_model", "validation_labels", "groups")
PRIVILEGES += ("prior", "noise_rate", "knowledge:low", "knowledge:high")


@dataclass(frozen=True)
class TaskSpace:
    """What a teacher may know about the tasks: a ``Box`` of parameters or ``Discrete(n)`` items.

    Names, units, meanings, default stand per dimension of a ``Box``. Item columns of shape (n,)
    belong to ``Discrete``; ``group`` and ``prior`` are filled for who declares the privilege.
    """

    space: spaces.Box | spaces.Discrete
    names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    meanings: tuple[str, ...] = ()
    default: np.ndarray | None = None
    label: np.ndarray | None = None
    group: np.ndarray | None = None
    prior: np.ndarray | None = None


@dataclass(frozen=True)
class Knowledge:
    """Expert knowledge; ``None`` means not told. Distributions are Gaussians (mean, std)."""

    return_range: tuple[float, float] | None = None
    initial: tuple[np.ndarray, np.ndarray] | None = None
    target: tuple[np.ndarray, np.ndarray] | None = None


@dataclass(frozen=True)
class Proposal:
    """Tasks of shape (count, *task_shape), optional loss weights and terrain seeds of (count,).

    A level is a task plus its terrain seed, so that it can be replayed exactly.
    """

    tasks: np.ndarray
    weights: np.ndarray | None = None
    seeds: np.ndarray | None = None


@dataclass(frozen=True)
class Outcomes:
    """How n proposed tasks went, as a struct of arrays; late, partial and unordered is normal.

    ``proposal`` counts proposed tasks from 0; ``score`` (higher is better), ``success`` (0 or 1)
    and ``length`` (steps; 1 per example) have shape (n,). Declared signals are attributes.
    """

    proposal: np.ndarray
    tasks: np.ndarray
    score: np.ndarray
    success: np.ndarray
    length: np.ndarray
    signals: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in {"score": self.score, **self.signals}.items():
            if values.dtype != object and not np.isfinite(values).all():
                raise ValueError(f"Outcomes.{name} must be finite; the student has diverged")

    def __getattr__(self, name: str) -> np.ndarray:
        if name in SIGNALS and name in self.__dict__.get("signals", {}):
            return self.signals[name]
        raise AttributeError(f"'{name}' was not declared: add it to the teacher's `signals`")


class Teacher:
    """Decides what a student trains on next: one class, two methods.

    Hyperparameters are keywords with defaults; out-of-range values raise ``ValueError``. ``memory``
    names the attributes to be saved. Optional methods (``weigh`` ...): teachers/hooks.py.
    """

    reference: ClassVar[str] = ""  # paper, year, link
    spaces: ClassVar[tuple[str, ...]] = ("box", "discrete")  # kinds of task space it can teach
    signals: ClassVar[tuple[str, ...]] = ()
    privileges: ClassVar[tuple[str, ...]] = ()
    changes: ClassVar[tuple[str, ...]] = ()  # beside the tasks: "objective", "student"
    memory: ClassVar[tuple[str, ...]] = ()
    probe: Any = None  # handed over before the first proposal to those that declare it

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        self.task_space = task_space
        self.knowledge = knowledge or Knowledge()
        self.rng = np.random.default_rng(seed)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks to train on next; ``progress`` in [0, 1] is the spent budget."""
        raise NotImplementedError(f"{type(self).__name__} must define propose(count, progress)")

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from finished tasks. The default learns nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs: plain numbers, strings and arrays."""
        memory = {name: getattr(self, name) for name in self.memory}
        return copy.deepcopy({"rng": self.rng.bit_generator.state, **memory})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.rng.bit_generator.state = copy.deepcopy(state["rng"])
        for name in self.memory:
            setattr(self, name, copy.deepcopy(state[name]))

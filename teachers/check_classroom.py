"""Where ``check_teacher`` tries a teacher: task spaces, synthetic students and a fake probe."""

from __future__ import annotations

import copy
import functools
import inspect
import unittest
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces

from teachers.base import SIGNALS, Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.proposals import validate_proposal

PROBED = {"probe", "value_function", "reference_model", "validation_labels"}
SPACES: dict[str, spaces.Box | spaces.Discrete] = {
    "box-2": spaces.Box(np.array([0.0, -50.0]), np.array([3.0, 1000.0]), dtype=np.float64),
    "discrete-40": spaces.Discrete(40),
    "box-1": spaces.Box(0.0, 1.0, (1,), np.float64),
    "box-2-narrow": spaces.Box(
        np.array([1.0, 5.0]), np.array([1.0 + 1e-6, 5.0 + 1e-9]), dtype=np.float64
    ),
    "box-10": spaces.Box(-np.arange(1.0, 11.0), 10.0 ** np.arange(-4.0, 6.0), dtype=np.float64),
    "discrete-1": spaces.Discrete(1),
}
Feedback = Callable[[dict[str, np.ndarray]], None]


class Pupil:
    """A student without a network: its competence in [0, 1] is a closed formula.

    A task has a difficulty in [0, 1]; a box grows harder along its diagonal, a pool has its items
    in a fixed mixed order. The chance of success is a sigmoid of competence minus difficulty.
    Practice just above or below the competence raises it, up to ``ceiling``.

    Args:
        space: the task space.
        ceiling: the competence that cannot be passed; harder tasks stay impossible.
        rate: gain of competence for one well placed task.
    """

    def __init__(self, space: spaces.Space, ceiling: float = 1.0, rate: float = 0.002):
        self.space, self.ceiling, self.rate = space, ceiling, rate
        self.competence = 0.1
        self.rng = np.random.default_rng(0)

    def difficulty(self, tasks: np.ndarray) -> np.ndarray:
        """Return the difficulty (n,) in [0, 1] of tasks (n, *task_shape)."""
        rows = np.asarray(tasks, dtype=np.float64).reshape(len(tasks), -1)
        if isinstance(self.space, spaces.Discrete):
            return (np.nan_to_num(rows[:, 0]) * 7 % self.space.n) / max(self.space.n - 1, 1)
        width = min(rows.shape[1], self.space.shape[0])
        low, high = self.space.low[:width], self.space.high[:width]
        return np.clip(np.nan_to_num((rows[:, :width] - low) / (high - low)), 0, 1).mean(axis=1)

    def chance(self, tasks: np.ndarray) -> np.ndarray:
        """Return the chance of success (n,)."""
        return 1.0 / (1.0 + np.exp((self.difficulty(tasks) - self.competence) / 0.05))

    def practise(self, tasks: np.ndarray) -> dict[str, np.ndarray]:
        """Train on tasks and return score, success, length and every signal, each (n, ...)."""
        facts = self.facts(tasks)
        near = np.abs(self.difficulty(tasks) - self.competence) < 0.15
        self.competence = min(self.ceiling, self.competence + self.rate * float(near.sum()))
        facts["loss_after"] = -np.log(np.maximum(self.chance(tasks), 1e-9))
        return facts

    def facts(self, tasks: np.ndarray) -> dict[str, np.ndarray]:
        """Measure tasks without learning."""
        n, chance = len(tasks), self.chance(tasks)
        success = (self.rng.random(n) < chance).astype(np.float64)
        loss = -np.log(np.maximum(chance, 1e-9))
        observation = np.stack([self.difficulty(tasks), np.ones(n)], axis=1)
        if isinstance(self.space, spaces.Discrete):
            score, length = -loss, np.ones(n, dtype=np.int64)
        else:
            score = 300.0 * chance - 100.0 + self.rng.normal(size=n)
            length = (20 + 100 * chance).astype(np.int64)
        return {
            "score": score,
            "success": success,
            "length": length,
            "loss": loss,
            "logits": np.stack([np.log(np.maximum(chance, 1e-9)), np.zeros(n), -loss], axis=1),
            "embedding": np.concatenate([observation, 1.0 - observation], axis=1),
            "initial_observation": observation,
            "inputs": np.stack([observation[:, 0], np.sin(np.arange(n))], axis=1),
            "trajectory": trajectories(observation, score, length),
        }


def trajectories(observation: np.ndarray, score: np.ndarray, length: np.ndarray) -> np.ndarray:
    """Return n dicts as the real loop gives them: the student stands still and is paid evenly.

    Args:
        observation: what it sees (n, 2).
        score: episode returns (n,).
        length: steps (n,).
    """
    traces = np.empty(len(score), dtype=object)
    for row, steps in enumerate(length.tolist()):
        traces[row] = {
            "observations": np.repeat(observation[row][None], steps + 1, axis=0),
            "actions": np.zeros((steps, 1)),
            "rewards": np.full(steps, score[row] / steps),
            "terminated": True,
        }
    return traces


def leaves(tasks: np.ndarray, logits: np.ndarray) -> tuple[Any, Any, np.ndarray]:
    """What ``transform_loss`` is given: logits (n, 3) with a graph, targets (n,), a copy of tasks.

    The target of an item is the remainder of its number by three, as its label is.
    """
    import torch  # most teachers need no torch to be checked

    leaf = torch.tensor(np.clip(logits, -50, 50), dtype=torch.float32, requires_grad=True)
    return leaf, torch.from_numpy(np.asarray(tasks, dtype=np.int64) % 3), np.array(tasks)


class FakeProbe:
    """Answers what the real probe answers, from the pupil's closed formula, and bills nothing."""

    def __init__(self, pupil: Pupil):
        self._pupil = pupil

    def loss(self, tasks: np.ndarray) -> np.ndarray:
        """Return the loss (n,)."""
        return -np.log(np.maximum(self._pupil.chance(tasks), 1e-9))

    def correct(self, tasks: np.ndarray) -> np.ndarray:
        """Return 1.0 where the student would succeed (n,)."""
        return (self._pupil.chance(tasks) > 0.5).astype(np.float64)

    def embedding(self, tasks: np.ndarray) -> np.ndarray:
        """Return features (n, 2)."""
        return np.stack([self._pupil.difficulty(tasks), np.ones(len(tasks))], axis=1)

    def alignment(
        self, tasks: np.ndarray, reference: np.ndarray | str, step: np.ndarray | None = None
    ) -> np.ndarray:
        """Return how alike tasks and reference tasks (or "validation") are (n,)."""
        middle = 0.5 if isinstance(reference, str) else self._pupil.difficulty(reference).mean()
        return 1.0 - np.abs(self._pupil.difficulty(tasks) - middle)

    def reference_loss(
        self, tasks: np.ndarray, learn_from: np.ndarray | str, share: float
    ) -> np.ndarray:
        """Return what another student finds of tasks (n,): their difficulty."""
        return self._pupil.difficulty(tasks)

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the value (n,) of initial observations (n, 2)."""
        return 200.0 * (self._pupil.competence - np.asarray(observations)[:, 0])

    def evaluate(self, tasks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Return the expected score (n,)."""
        return 300.0 * self._pupil.chance(tasks) - 100.0

    def rollout(
        self, tasks: np.ndarray, seeds: np.ndarray | None = None, explore: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the expected episodes: score, success, length (n,) and trajectory."""
        chance, score = self._pupil.chance(tasks), self.evaluate(tasks)
        length = (20 + 100 * chance).astype(np.int64)
        seen = np.stack([self._pupil.difficulty(tasks), np.ones(len(tasks))], axis=1)
        answer = {"score": score, "success": (chance > 0.5).astype(np.float64), "length": length}
        return answer | {"trajectory": trajectories(seen, score, length)}


class WatchedSignals(dict):
    """Signals that write down every undeclared name a teacher asks for."""

    def __init__(self, signals: Mapping[str, np.ndarray], touched: set[str]):
        super().__init__(signals)
        self._touched = touched

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self:
            self._touched.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a signal or the default, and write down an undeclared name."""
        if name not in self:
            self._touched.add(name)
        return super().get(name, default)


@dataclass(frozen=True)
class WatchedOutcomes(Outcomes):
    """Outcomes that write down every undeclared signal a teacher touches."""

    touched: set[str] = field(default_factory=set)

    def __getattr__(self, name: str) -> np.ndarray:
        if name in SIGNALS and name not in self.__dict__.get("signals", {}):
            self.__dict__.get("touched", set()).add(name)
        return super().__getattr__(name)


class Lesson:
    """One teacher with one pupil, and the count of proposed tasks."""

    horizon = 2000  # tasks; progress is 1 from there on

    def __init__(self, teacher: Teacher, pupil: Pupil):
        self.teacher, self.pupil = teacher, pupil
        self.proposed, self.prepared = 0, False
        self.touched: set[str] = set()
        if PROBED & set(teacher.privileges):
            teacher.probe = FakeProbe(pupil)

    def propose(self, count: int) -> tuple[Proposal, np.ndarray]:
        """Return a proposal and the numbers (count,) of its tasks."""
        if self.proposed == 0 and not self.prepared and hasattr(self.teacher, "prepare"):
            self.teacher.prepare()
        self.prepared = True
        proposal = self.teacher.propose(count, min(1.0, self.proposed / self.horizon))
        numbers = self.proposed + np.arange(len(proposal.tasks))
        self.proposed += len(numbers)
        return proposal, numbers

    def answer(
        self, tasks: np.ndarray, numbers: np.ndarray, feedback: Feedback | None = None
    ) -> WatchedOutcomes:
        """Train the pupil on tasks and return how it went; ``feedback`` may bend the facts."""
        facts = self.pupil.practise(tasks)
        if feedback is not None:
            feedback(facts)
        if isinstance(self.pupil.space, spaces.Discrete):
            self.train_with_hooks(tasks, facts)
        signals = {name: facts[name] for name in self.teacher.signals}
        return WatchedOutcomes(
            proposal=numbers,
            tasks=np.array(tasks),
            score=facts["score"],
            success=facts["success"],
            length=facts["length"],
            signals=WatchedSignals(signals, self.touched),
            touched=self.touched,
        )

    def train_with_hooks(self, tasks: np.ndarray, facts: dict[str, np.ndarray]) -> None:
        """Ask every hook that the teacher defines, in the order of the real loop."""
        if hasattr(self.teacher, "adjust"):
            self.teacher.adjust(min(1.0, self.proposed / self.horizon))
        if hasattr(self.teacher, "weigh"):
            self.teacher.weigh(self.batch(tasks, facts))
        if hasattr(self.teacher, "transform_loss"):
            self.teacher.transform_loss(*leaves(tasks, facts["logits"]))

    def batch(self, tasks: np.ndarray, facts: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What ``weigh`` is given."""
        names = ("loss", "logits", *(["inputs"] if "inputs" in self.teacher.signals else []))
        return {"tasks": tasks, **{name: facts[name] for name in names}}

    def step(self, count: int, feedback: Feedback | None = None) -> Proposal:
        """Propose, practise and observe once; return a copy of the proposal."""
        proposal, numbers = self.propose(count)
        kept = copy.deepcopy(proposal)
        self.teacher.observe(self.answer(kept.tasks, numbers, feedback))
        return kept

    def run(self, rounds: int = 24, count: int = 25) -> list[Proposal]:
        """Return copies of the proposals of ``rounds`` steps."""
        return [self.step(count) for _ in range(rounds)]


@dataclass
class Room:
    """A teacher class on one task space: what every rule is given."""

    cls: type[Teacher]
    name: str
    keywords: Mapping[str, Any] = field(default_factory=dict)

    def task_space(self) -> TaskSpace:
        """Describe the task space anew, with the columns that the class has declared."""
        space, privileges = copy.deepcopy(SPACES[self.name]), self.cls.privileges
        if isinstance(space, spaces.Discrete):
            items = np.arange(space.n)
            return TaskSpace(
                space,
                label=items % 3,
                group=items % 4 if "groups" in privileges else None,
                # Two items share each value, so that ties occur.
                prior=np.floor((items * 7 % space.n) / 2.0) if "prior" in privileges else None,
            )
        names = tuple(f"parameter_{index}" for index in range(space.shape[0]))
        easy = space.low + (space.high - space.low) / 10  # which the pupil masters from the start
        return TaskSpace(space, names, ("1",) * len(names), ("test",) * len(names), easy)

    def knowledge(self, task_space: TaskSpace) -> Knowledge:
        """Expert knowledge as far as the class has declared it."""
        space, privileges = task_space.space, set(self.cls.privileges)
        if isinstance(space, spaces.Discrete) or not privileges & {
            "knowledge:low",
            "knowledge:high",
        }:
            return Knowledge()
        if "knowledge:high" not in privileges:
            return Knowledge(return_range=(-100.0, 200.0))
        width = space.high - space.low
        initial = (space.low + 0.1 * width, 0.1 * width)
        target = (space.low + 0.8 * width, 0.2 * width)
        return Knowledge(return_range=(-100.0, 200.0), initial=initial, target=target)

    def bare(self, **keywords: Any) -> Teacher:
        """Build a teacher without the keywords under test, told only what it has declared."""
        space = self.task_space()
        if {"knowledge:low", "knowledge:high"} & set(self.cls.privileges):
            keywords["knowledge"] = self.knowledge(space)
        return self.cls(space, seed=1, **keywords)

    def make(self, seed: int = 1, task_space: TaskSpace | None = None) -> Teacher:
        """Build a teacher with the keywords under test."""
        task_space = task_space or self.task_space()
        extra = dict(copy.deepcopy(dict(self.keywords)))
        if "knowledge" in inspect.signature(self.cls).parameters and "knowledge" not in extra:
            extra["knowledge"] = self.knowledge(task_space)
        return self.cls(task_space, seed=seed, **extra)

    def lesson(self, seed: int = 1, **pupil: float) -> Lesson:
        """Start a lesson with a fresh teacher and a fresh pupil."""
        return Lesson(self.make(seed), Pupil(copy.deepcopy(SPACES[self.name]), **pupil))

    @functools.cached_property
    def reference(self) -> list[Proposal]:
        """The proposals of one plain run with seed 1."""
        return self.lesson().run()

    @functools.cached_property
    def reproducible(self) -> bool:
        """Whether a second plain run repeats the first."""
        return same_proposals(self.lesson().run(), self.reference)

    def require_reproducible(self) -> None:
        """Skip a rule that compares runs when plain runs already differ."""
        if not self.reproducible:
            raise unittest.SkipTest("two runs with one seed differ, so nothing can be compared")

    def require_valid(self) -> None:
        """Skip a rule on hard feedback when plain proposals are already invalid."""
        try:
            for proposal in self.reference:
                validate_proposal(proposal, self.task_space(), len(proposal.tasks))
        except Exception as error:
            raise unittest.SkipTest("plain proposals are already invalid") from error


def source_file(cls: type) -> Path:
    """The file that a class was written in, also when its module is not registered.

    Raises:
        unittest.SkipTest: there is no such file.
    """
    codes = [value.__code__ for value in vars(cls).values() if inspect.isfunction(value)]
    try:
        names = [inspect.getsourcefile(cls)]
    except (TypeError, OSError):
        names = [code.co_filename for code in codes]
    for name in names:
        if name and Path(name).is_file():
            return Path(name).resolve()
    raise unittest.SkipTest("the class has no source file")


def same_proposals(ours: list[Proposal], theirs: list[Proposal]) -> bool:
    """Whether two lists of proposals are equal bit for bit."""
    return len(ours) == len(theirs) and all(
        np.array_equal(_array(getattr(a, name)), _array(getattr(b, name)))
        for a, b in zip(ours, theirs, strict=True)
        for name in ("tasks", "weights", "seeds")
    )


def _array(values: Any) -> np.ndarray:
    return np.zeros(0) if values is None else np.asarray(values)

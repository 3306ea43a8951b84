"""What teachers of pools share: reshuffled passes over a choice, and the last loss of each item.

Departures from the paper: none; these are parts, not methods.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.pacing import draw


class PoolTeacher(Teacher):
    """Items of a pool in passes without replacement; a subclass says what the next pass holds.

    Attributes: ``items`` n, ``first`` the number of the first item, ``passes`` begun so far,
    ``queue`` what is left of the current pass, numbered from 0.
    """

    spaces = ("discrete",)
    memory = ("queue", "passes")

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.items, self.first = int(task_space.space.n), int(task_space.space.start)
        self.passes = 0
        self.queue = np.empty(0, dtype=np.int64)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) in the passes that ``next_pass`` chooses."""

        def begin() -> np.ndarray:
            self.passes += 1
            return self.next_pass(progress)

        items, self.queue = draw(self.queue, count, begin, self.rng)
        return Proposal(items + self.first)

    def next_pass(self, progress: float) -> np.ndarray:
        """The items of the next pass, numbered from 0, not empty; everything by default."""
        return np.arange(self.items)


class LossMemory(PoolTeacher):
    """A ``PoolTeacher`` that keeps the loss each item had when it was trained on last.

    Attributes: ``losses`` (n,), and ``visits`` (n,), how often each item was trained on. An item
    that was never trained on has the loss ``unseen``, which makes it the hardest by default.
    """

    signals = ("loss",)
    memory = (*PoolTeacher.memory, "losses", "visits")
    unseen: ClassVar[float] = np.inf

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.losses = np.full(self.items, self.unseen)
        self.visits = np.zeros(self.items, dtype=np.int64)

    def observe(self, outcomes: Outcomes) -> None:
        """Keep the losses (n,) of what was trained on."""
        items = np.asarray(outcomes.tasks, dtype=np.int64) - self.first
        self.learn(items, np.asarray(outcomes.loss, dtype=np.float64), outcomes)

    def learn(self, items: np.ndarray, losses: np.ndarray, outcomes: Outcomes) -> None:
        """Take over losses (n,) of items (n,), numbered from 0; of equal items the last counts."""
        self.losses[items] = losses
        np.add.at(self.visits, items, 1)


def asked_probe(teacher: Teacher) -> object:
    """The probe of a teacher that asks the student.

    Raises:
        ValueError: nobody has set it.
    """
    if teacher.probe is None:
        raise ValueError(
            f"{type(teacher).__name__} asks the student, but nobody set `probe`; the harness does "
            "so before the first proposal"
        )
    return teacher.probe


def drawn_without_replacement(
    count: int, chances: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw ``count`` distinct items (count,) with chances (n,) that need not sum to one.

    The items with the largest log(chance) + Gumbel noise, which is the same as drawing one after
    the other from what is left. Items of chance 0 come last, in random order.
    """
    with np.errstate(divide="ignore"):
        keys = np.log(chances)
    # Any finite number below all others will do: ties among these are broken by the noise.
    keys = np.maximum(keys, -1e6) - np.log(rng.exponential(size=len(chances)))
    return np.argsort(-keys, kind="stable")[:count]

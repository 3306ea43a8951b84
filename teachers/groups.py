"""What teachers of groups share: which items belong to a group, and passes within each of them.

Departures from the paper: none; these are parts, not methods.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.pacing import draw


class Groups:
    """The groups of a pool as arms, numbered from 0 in the order of their group numbers.

    Attributes: ``count`` arms; ``values`` (count,) their group numbers; ``sizes`` (count,).

    Raises:
        ValueError: the pool has no groups.
    """

    def __init__(self, task_space: TaskSpace, who: str):
        if task_space.group is None:
            raise ValueError(
                f"{who} mixes groups of items, but this task gives none (TaskSpace.group is None); "
                "its class must declare the privilege 'groups'"
            )
        self.values, self.arm_of = np.unique(task_space.group, return_inverse=True)
        self.count, self.first = len(self.values), int(task_space.space.start)
        self.members = [np.flatnonzero(self.arm_of == arm) for arm in range(self.count)]
        self.sizes = np.array([len(each) for each in self.members])

    def locate(self, tasks: np.ndarray) -> np.ndarray:
        """The arm (n,) of every item (n,)."""
        return self.arm_of[np.asarray(tasks, dtype=np.int64) - self.first]

    def empty_queues(self) -> list[np.ndarray]:
        """What is left of the current pass of each arm, before the first one."""
        return [np.empty(0, dtype=np.int64) for _ in range(self.count)]

    def items(
        self, arms: np.ndarray, queues: list[np.ndarray], rng: np.random.Generator
    ) -> np.ndarray:
        """One item (n,) per arm (n,), in passes without replacement; ``queues`` moves on."""
        items = np.empty(len(arms), dtype=np.int64)
        for arm in np.unique(arms).tolist():
            rows, members = np.flatnonzero(arms == arm), self.members[arm]
            items[rows], queues[arm] = draw(queues[arm], len(rows), members.copy, rng)
        return items + self.first


class GroupTeacher(Teacher):
    """Draws groups by the chances (arms,) that a subclass gives in ``chances``.

    Attributes: ``groups``; ``queues``, what is left of the current pass of each group.
    """

    spaces = ("discrete",)
    privileges = ("groups",)
    memory = ("queues",)

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.groups = Groups(task_space, type(self).__name__)
        self.queues = self.groups.empty_queues()

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,), each of a group drawn by its chance."""
        arms = self.rng.choice(self.groups.count, size=count, p=self.chances(progress))
        return Proposal(self.groups.items(arms, self.queues, self.rng))

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group at ``progress``; they sum to one."""
        raise NotImplementedError(f"{type(self).__name__} must define chances(progress)")


def per_arm(outcomes: Outcomes, arms: np.ndarray) -> Outcomes:
    """One outcome per arm that occurs: its mean score and success, numbered as its first item."""
    present, first, inverse = np.unique(arms, return_index=True, return_inverse=True)
    number = np.bincount(inverse)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(inverse, weights=np.asarray(values, dtype=np.float64)) / number

    return dataclasses.replace(
        outcomes,
        proposal=np.asarray(outcomes.proposal)[first],
        tasks=present,
        score=mean(outcomes.score),
        success=mean(outcomes.success),
        length=np.ones(len(present), dtype=np.int64),
        signals={},
    )

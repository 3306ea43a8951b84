"""One stratum of a pool after the other: levels with all topics mixed, or topic after topic.

Lee et al., "Instruction Tuning with Human Curriculum", 2023, https://arxiv.org/abs/2310.09518:
every item has a subject and a level of understanding. Interleaving goes through the levels and
mixes all subjects within each; blocking goes through the subjects, and within each through its
levels. It is one sweep over the data, at no extra cost.

Departures from the paper: levels are the distinct values of the task's ``prior``, subjects its
groups. A stratum gets the share of the budget that it has of the items and is passed again and
again within it. More than one sweep is ours.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.pool import PoolTeacher
from teachers.presets import require

ORDERS = ("rising", "falling", "random")


class InterleaveLevels(PoolTeacher):
    """Level by level, all topics mixed within each; every level for its share of the items.

    Args:
        task_space: a pool whose ``prior`` (n,) tells the level; for topics also its ``group`` (n,).
        seed: draws the passes, a random order, and the order of topics.
        knowledge: not used.
        order: "rising" levels, "falling" ones, or "random": each level once, in a drawn order.
        sweeps: how often all strata are gone through in the budget, >= 1.

    Attributes: ``strata``, the items of each stratum in the order of training.

    Raises:
        ValueError: an argument is out of range, or the pool lacks a prior or groups.
    """

    reference = "Lee et al. 2023, https://arxiv.org/abs/2310.09518"
    privileges = ("prior",)
    memory = (*PoolTeacher.memory, "stratum")
    by_topic: ClassVar[bool] = False

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        order: str = "rising",
        sweeps: int = 1,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        who = type(self).__name__
        for what, needed in (("prior", True), ("group", self.by_topic)):
            if needed and getattr(task_space, what) is None:
                raise ValueError(
                    f"{who} needs the {what} of every item, but this task gives none "
                    f"(TaskSpace.{what} is None)"
                )
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, but is {order!r}")
        require(who, 1, 10**6, sweeps=sweeps)
        levels, level = np.unique(task_space.prior, return_inverse=True)
        place = np.arange(len(levels))
        if order != "rising":
            place = place[::-1] if order == "falling" else self.rng.permutation(place)
        key = place[level]
        if self.by_topic:
            topics, topic = np.unique(task_space.group, return_inverse=True)
            key = key + len(levels) * self.rng.permutation(len(topics))[topic]
        present, key = np.unique(key, return_inverse=True)
        self.strata = [np.flatnonzero(key == place) for place in range(len(present))]
        self.ends = np.cumsum(np.bincount(key)) / self.items  # of each stratum, within a sweep
        self.sweeps = sweeps
        self.stratum = -1

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) of the stratum whose time it is."""
        at = self.place(progress)
        if at != self.stratum:
            self.stratum, self.queue = at, np.empty(0, dtype=np.int64)
        return super().propose(count, progress)

    def place(self, progress: float) -> int:
        """Which stratum is trained on at ``progress`` in [0, 1]."""
        # What is proposed at the very end, if anything, belongs to the last stratum.
        within = progress * self.sweeps % 1 if progress < 1 else 1.0
        at = np.searchsorted(self.ends, within + 1e-9, side="right")
        return int(min(at, len(self.strata) - 1))

    def next_pass(self, progress: float) -> np.ndarray:
        """The items of the present stratum."""
        return self.strata[self.place(progress)]


class BlockTopics(InterleaveLevels):
    """Topic after topic, in random order, and within each its levels."""

    privileges = ("prior", "groups")
    by_topic = True

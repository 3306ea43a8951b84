"""Paced subsets of a pool in the order of a hand-made difficulty: one mechanism, many presets.

The presets, with the constants of their papers where these have a unit in this suite:

- ``Competence``: Platanios et al., "Competence-based Curriculum Learning for Neural Machine
  Translation", 2019, https://arxiv.org/abs/1903.09848: start 0.01, the root curve;
- ``BabyStep``: Spitkovsky, Alshawi & Jurafsky, "From Baby Steps to Leapfrog", 2010,
  https://aclanthology.org/N10-1116: equal buckets, easiest first, each added to those before;
- ``FixedExponential``: Hacohen & Weinshall, "On The Power of Curriculum Learning in Training Deep
  Networks", 2019, https://arxiv.org/abs/1904.03626: start 0.04, factor 1.9, balanced classes,
  everything after 600 of 3500 steps;
- ``LocalToGlobal``: Cheng et al., "Local to Global Learning", 2019,
  https://doi.org/10.1109/CVPR.2019.00488: 40 %, 70 %, then all classes.

Departures from the paper: the difficulty is the task's ``prior``, so that no other model has to be
trained and billed. A pool is passed without replacement where "competence" draws with it. The end
of "competence" and "baby_step" is ours, half of the budget. "Local to global" restricts neither
the softmax to the classes seen nor restarts the learning rate, which belong to the student; its
classes come in random order, its stages last a tenth of the budget each, as in CurBench.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, TaskSpace
from teachers.pacing import ranking
from teachers.pool import PoolTeacher
from teachers.presets import require
from teachers.schedules import Pace

ORDERS = ("easy", "anti", "random")


class PacedSubset(PoolTeacher):
    """A growing share of a pool in a fixed order.

    Args:
        task_space: the pool; its ``prior`` (n,) is the difficulty, its ``label`` balances.
        seed: draws the passes, a random order, and breaks ties.
        knowledge: not used.
        pacing: shape of the growth, one of ``teachers.schedules.PACES``.
        order: "easy" first, "anti" (hardest first) or "random".
        start: share of the pool at the beginning, in (0, 1].
        end: share of the budget after which everything is used, > 0.
        cap: largest share ever used, in (0, 1].
        power: of the pacing "power", in (0, 100].
        stages: of the pacing "baby_step", >= 1.
        balanced: interleave the classes, so that each is present from the beginning.

    Raises:
        ValueError: an argument is out of range, or the pool has no prior.
    """

    reference = "Wu, Dyer & Neyshabur 2021, https://arxiv.org/abs/2012.03107"
    privileges = ("prior",)
    memory = (*PoolTeacher.memory, "ranked")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        pacing: str = "linear",
        order: str = "easy",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        power: float = 2.0,
        stages: int = 5,
        balanced: bool = True,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if order not in ORDERS:
            raise ValueError(f"order must be one of {', '.join(ORDERS)}, but is {order!r}")
        self.pacing = Pace(pacing, start, end, cap, power, stages)
        self.order, self.label = order, task_space.label if balanced else None
        self.ranked = self.rank(self.difficulty())

    def difficulty(self) -> np.ndarray:
        """Scores (n,), lowest is easiest: the pool's prior."""
        if self.task_space.prior is None:
            raise ValueError(
                f"{type(self).__name__} orders items by their prior difficulty, but this task "
                "gives none (TaskSpace.prior is None); use random_pace or self_taught here"
            )
        return np.asarray(self.task_space.prior, dtype=np.float64)

    def rank(self, difficulty: np.ndarray) -> np.ndarray:
        """Items (n,) in the order in which they come into use."""
        if self.order == "random":
            difficulty = self.rng.random(self.items)
        elif self.order == "anti":
            difficulty = -difficulty
        return ranking(difficulty, self.label, self.rng)

    def next_pass(self, progress: float) -> np.ndarray:
        """The items in use at ``progress``, first in the order first."""
        return self.ranked[: self.pacing.size(progress, self.items)]


class Competence(PacedSubset):
    """``PacedSubset`` with the root curve of competence, from 1 % of the pool.

    Args: see ``PacedSubset``; ``start`` is the initial competence c0.
    """

    reference = "Platanios et al. 2019, https://arxiv.org/abs/1903.09848"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        start: float = 0.01,
        end: float = 0.5,
    ):
        options = {"pacing": "competence", "start": start, "end": end, "balanced": False}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)


class BabyStep(PacedSubset):
    """``PacedSubset`` that adds one of ``stages`` equal buckets at a time, easiest first.

    Args: see ``PacedSubset``; ``stages`` buckets share the time until ``end``.
    """

    reference = "Spitkovsky, Alshawi & Jurafsky 2010, https://aclanthology.org/N10-1116"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        stages: int = 5,
        end: float = 0.5,
    ):
        require("baby_step", 2, 10**6, stages=stages)
        # The last bucket comes at ``end``: before it there are stages - 1 shares, from 1 / stages.
        options = {"pacing": "baby_step", "start": 1 / stages, "end": end, "balanced": False}
        super().__init__(task_space, seed=seed, knowledge=knowledge, stages=stages - 1, **options)


class FixedExponential(PacedSubset):
    """``PacedSubset`` that multiplies its share by 1.9 at equal intervals, in balanced classes.

    Args: see ``PacedSubset``; ``start`` is the share of the first stage.
    """

    reference = "Hacohen & Weinshall 2019, https://arxiv.org/abs/1904.03626"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        start: float = 0.04,
        end: float = 0.17,
    ):
        options = {"pacing": "fixed", "start": start, "end": end}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)


class LocalToGlobal(PoolTeacher):
    """The items of a few classes first, of all classes in the end.

    Args:
        task_space: the pool with its ``label`` (n,).
        seed: draws the order of the classes and the passes.
        knowledge: not used.
        start: share of the classes at the beginning, in (0, 1], rounded up.
        stages: how often classes are added, >= 1; each time the same share, rounded up.
        end: share of the budget after which all classes are used, > 0.

    Raises:
        ValueError: an argument is out of range, or the pool has no labels.
    """

    reference = "Cheng et al. 2019, https://doi.org/10.1109/CVPR.2019.00488"
    memory = (*PoolTeacher.memory, "classes")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        start: float = 0.4,
        stages: int = 2,
        end: float = 0.2,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if task_space.label is None:
            raise ValueError(
                "local_to_global adds one class after the other, but this task gives no labels "
                "(TaskSpace.label is None)"
            )
        self.pacing = Pace("baby_step", start, end, stages=stages)
        self.classes = self.rng.permutation(np.unique(task_space.label))

    def next_pass(self, progress: float) -> np.ndarray:
        """The items of the classes in use at ``progress``."""
        used = self.classes[: self.pacing.size(progress, len(self.classes))]
        return np.flatnonzero(np.isin(self.task_space.label, used))

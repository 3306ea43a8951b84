"""Fixed orders on a pool with a growing share: easy first, and the controls it must beat.

Bengio et al., "Curriculum Learning", 2009, https://doi.org/10.1145/1553374.1553380; pacing, dynamic
epochs, balanced order and the two controls as in Wu, Dyer & Neyshabur, "When Do Curricula Work?",
2021, https://arxiv.org/abs/2012.03107.

Departures from the paper: the difficulty is the task's hand-made ``prior`` instead of the loss of a
reference model, so that no other model has to be trained and billed.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace, Teacher
from teachers.pacing import Pacing, draw, ranking


class _Ordered(Teacher):
    """A pool in a fixed order of which a growing share is used, in reshuffled passes."""

    spaces = ("discrete",)
    memory = ("queue", "order")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 1.0,
        balanced: bool = True,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.pacing = Pacing(pacing, start, end, cap)
        label = task_space.label if balanced else None
        self.order = ranking(self.difficulty(), label, self.rng)
        self.queue = np.empty(0, dtype=np.int64)  # what is left of the current pass

    def difficulty(self) -> np.ndarray:
        """Scores (n,) by which the pool is ordered, lowest first."""
        prior = self.task_space.prior
        if prior is None:
            raise ValueError(
                f"{type(self).__name__} orders items by their prior difficulty, but this task "
                "gives none (TaskSpace.prior is None); use random_pace or self_paced here"
            )
        return np.asarray(prior)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) of the share that ``progress`` allows."""
        space = self.task_space.space
        items, self.queue = draw(self.queue, count, lambda: self.pool(progress), self.rng)
        return Proposal(items + space.start)

    def pool(self, progress: float) -> np.ndarray:
        """The items in use at ``progress``, first in the order first."""
        return self.order[: self.pacing.size(progress, len(self.order))]


class EasyFirst(_Ordered):
    """The easiest share of the pool first, growing to everything.

    Args:
        task_space: the pool; its ``prior`` (n,) is the difficulty, its ``label`` balances.
        seed: draws the passes and breaks ties.
        knowledge: not used.
        pacing: shape of the growth, one of ``teachers.pacing.PACINGS``.
        start: share of the pool at the beginning, in (0, 1].
        end: share of the budget after which everything is used, > 0.
        cap: largest share ever used, in (0, 1].
        balanced: interleave the classes, so that each is present from the beginning.

    Raises:
        ValueError: an argument is out of range, or the pool has no prior.
    """

    reference = "Bengio et al. 2009, https://doi.org/10.1145/1553374.1553380"
    privileges = ("prior",)


class HardFirst(_Ordered):
    """The control "anti": the same scores and pacing as ``EasyFirst``, hardest first."""

    reference = "Wu, Dyer & Neyshabur 2021, https://arxiv.org/abs/2012.03107"
    privileges = ("prior",)

    def difficulty(self) -> np.ndarray:
        """The prior with its sign changed (n,)."""
        return -super().difficulty()


class RandomPace(_Ordered):
    """The control "random": the same pacing as ``EasyFirst`` over a random order.

    What it gains or loses comes from the size of the pool alone.
    """

    reference = "Wu, Dyer & Neyshabur 2021, https://arxiv.org/abs/2012.03107"

    def difficulty(self) -> np.ndarray:
        """Random scores (n,), drawn once."""
        return self.rng.random(int(self.task_space.space.n))


class EasyFirstCapped(EasyFirst):
    """``EasyFirst`` that never touches the hardest items, by default the hardest 40 %.

    With wrong labels, growing to everything throws the gain away. The right cap is one minus the
    noise rate: who sets it knows that rate, which is declared as a privilege.
    """

    privileges = ("prior", "noise_rate")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        pacing: str = "linear",
        start: float = 0.4,
        end: float = 0.5,
        cap: float = 0.6,
        balanced: bool = True,
    ):
        options = {"pacing": pacing, "start": start, "end": end, "cap": cap, "balanced": balanced}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)

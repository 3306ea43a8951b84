"""Self-paced learning: train on what the student itself finds easy now, and let that share grow.

Kumar, Packer & Koller, "Self-Paced Learning for Latent Variable Models", 2010,
https://papers.nips.cc/paper/3923-self-paced-learning-for-latent-variable-models.

Departures from the paper: the share of examples grows by a pacing function of the budget instead of
a threshold that is multiplied per iteration, as later works do; losses are measured again after
each pass over the chosen examples, and not at all while everything is in use anyway. The paper's
first iterations on everything are kept as ``warm_up``: by its own losses alone an untrained student
stays with the few classes it happens to guess.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Proposal, TaskSpace, Teacher
from teachers.pacing import Pacing, draw, ranking


class SelfPaced(Teacher):
    """The items with the smallest loss of the current student, a growing share of the pool.

    Before each pass over its choice it asks the probe for the loss of all n items, which costs n
    forward passes of the run's budget.

    Args:
        task_space: the pool of n items.
        seed: draws the passes.
        knowledge: not used.
        pacing: shape of the growth, one of ``teachers.pacing.PACINGS``.
        start: share of the pool at the beginning, in (0, 1].
        end: share of the budget after which everything is used, > 0.
        cap: largest share ever used, in (0, 1].
        balanced: choose the same number within each class (paper: no).
        warm_up: passes over the whole pool before the first choice, >= 0.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``probe`` is set.
    """

    reference = (
        "Kumar, Packer & Koller 2010, "
        "https://papers.nips.cc/paper/3923-self-paced-learning-for-latent-variable-models"
    )
    spaces = ("discrete",)
    privileges = ("probe",)
    memory = ("queue", "passes")

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
        balanced: bool = False,
        warm_up: int = 2,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.pacing = Pacing(pacing, start, end, cap)
        self.label = task_space.label if balanced else None
        if warm_up < 0:
            raise ValueError(f"warm_up must be a number of passes >= 0, but is {warm_up}")
        self.warm_up = warm_up
        self.passes = 0  # begun so far
        self.queue = np.empty(0, dtype=np.int64)  # what is left of the current pass

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,); asks the probe whenever a pass is over."""
        space = self.task_space.space
        items, self.queue = draw(self.queue, count, lambda: self.pool(progress), self.rng)
        return Proposal(items + space.start)

    def pool(self, progress: float) -> np.ndarray:
        """The r · n items with the smallest loss now, r being the share at ``progress``."""
        space = self.task_space.space
        items = np.arange(space.n)
        self.passes += 1
        size = self.pacing.size(progress, len(items))
        if size == len(items) or self.passes <= self.warm_up:
            return items
        if self.probe is None:
            raise ValueError(
                "self-paced learning asks the student for its losses, but nobody set `probe`; "
                "the harness does so before the first proposal"
            )
        losses = np.asarray(self.probe.loss(items + space.start))
        return ranking(losses, self.label, self.rng)[:size]


class SelfPacedCapped(SelfPaced):
    """``SelfPaced`` that leaves the items with the largest loss alone, by default 40 % of them.

    Only the warm-up passes over everything.
    The right cap is one minus the share of wrong labels: who sets it knows that rate, which is
    declared as a privilege.
    """

    privileges = ("probe", "noise_rate")

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
        balanced: bool = False,
        warm_up: int = 2,
    ):
        options = {"pacing": pacing, "start": start, "end": end, "cap": cap, "balanced": balanced}
        super().__init__(task_space, seed=seed, knowledge=knowledge, warm_up=warm_up, **options)

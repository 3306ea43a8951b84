"""A pool that grows whenever learning stalls, easiest first by the student's own loss.

Yang, Kindratenko & Zhai, "TinyHelen's First Curriculum", 2025, https://arxiv.org/abs/2501.00522.

Departures from the paper: learning stalls by the loss of a part of the training set that is kept
out of training, wrong labels included, instead of the validation set, which is a privilege. The
training loss would not do: a small pool is learned by heart and never stalls. Losses are asked for,
a forward pass each: those of the kept part at every test, those of all others at every growth.
"""

from __future__ import annotations

import numpy as np

from teachers.alignment import HeldOut
from teachers.base import Knowledge, Proposal, TaskSpace
from teachers.pacing import ranking
from teachers.pool import asked_probe
from teachers.presets import require


class PlateauPaced(HeldOut):
    """The share of the pool with the smallest losses now; it grows when a test brings no progress.

    Args:
        task_space: the pool; its ``label`` balances.
        seed: draws the kept part and the passes.
        knowledge: not used.
        start: share of the pool at the beginning, in (0, 1] (paper 0.05).
        step: what is added to the share when learning stalls, in (0, 1] (paper 0.05).
        gain: share by which a test must lower the best loss so far, in [0, 0.999] (paper 0).
        every: examples between two tests, at least, >= 1 (paper 20 updates).
        reference_share: share of the pool that is kept for the tests, in (0, 1).
        balanced: choose the same number within each class.

    Attributes: ``share``; ``best``, the loss to be beaten, None right after a growth; ``chosen``,
    the items in use.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``probe`` is set.
    """

    reference = "Yang, Kindratenko & Zhai 2025, https://arxiv.org/abs/2501.00522"
    memory = (*HeldOut.memory, "share", "best", "since", "chosen")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        start: float = 0.05,
        step: float = 0.05,
        gain: float = 0.0,
        every: int = 640,
        reference_share: float = 0.1,
        balanced: bool = True,
    ):
        super().__init__(task_space, reference_share, 1, seed=seed, knowledge=knowledge)
        require("plateau_paced", 1e-6, 1, start=start, step=step)
        require("plateau_paced", 0, 0.999, gain=gain)
        require("plateau_paced", 1, 10**9, every=every)
        self.share, self.step, self.gain, self.every = start, step, gain, every
        self.label = task_space.label if balanced else None
        self.best: float | None = None
        self.since = 0  # examples since the last test
        self.chosen = np.empty(0, dtype=np.int64)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) in use; asks the probe between two passes."""
        proposal = super().propose(count, progress)
        self.since += count
        return proposal

    def next_pass(self, progress: float) -> np.ndarray:
        """The items in use, more of them if the last test has shown no progress."""
        if not len(self.chosen):
            self._choose()
        elif self.since >= self.every and len(self.chosen) < len(self.free):
            self.since = 0
            self._test()
        return self.chosen

    def _test(self) -> None:
        loss = float(np.mean(asked_probe(self).loss(self.held + self.first)))
        if self.best is not None and loss >= (1 - self.gain) * self.best:
            self.share, self.best = min(1.0, self.share + self.step), None
            self._choose()
        else:
            self.best = loss

    def _choose(self) -> None:
        """Take the easiest share of what is not kept for the tests."""
        losses = np.asarray(asked_probe(self).loss(self.free + self.first), dtype=np.float64)
        label = None if self.label is None else np.asarray(self.label)[self.free]
        size = max(1, int(np.ceil(self.share * len(self.free) - 1e-9)))
        self.chosen = self.free[ranking(losses, label, self.rng)[:size]]

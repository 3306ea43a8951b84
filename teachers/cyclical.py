"""Cyclical curricula: subsets that grow and shrink again and again, drawn easy first.

Kesgin & Amasyali, "Cyclical Curriculum Learning", 2023, https://arxiv.org/abs/2202.05531. The
modified forms are those of the released code: uniform passes first, scores of the current student,
chances that are exponential in the loss, and tired examples.

Departures from the paper: scores come from the same student's uniform passes in the first half of
the budget instead of another model trained on everything before, which would double the budget; the
release has this as a variant. "Current" scores are last known losses, not measured anew. Cycles go
on until the budget is spent, which the paper's stop at equal sample counts amounts to.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, TaskSpace
from teachers.pool import LossMemory, drawn_without_replacement
from teachers.presets import require
from teachers.schedules import cycle

FORMS = ("inverse", "exponential")
SCORES = ("frozen", "current")
LEAST_LOSS = 1e-6  # 1 / loss has no other bound


class CCL(LossMemory):
    """Uniform passes, then passes over 25 %, 50 %, 100 %, 50 %, ... of the pool, drawn easy first.

    A pass is drawn without replacement with chances proportional to 1 / loss.

    Args:
        task_space: the pool.
        seed: draws the subsets and the passes.
        knowledge: not used.
        form: chances proportional to 1 / l ("inverse") or to e^(-l / mean) ("exponential"); None
            means the default of the class.
        scores: "frozen" at the end of the warm-up, or "current"; None means the class's default.
        fatigue: factor in [0, 1] on the chance of items of the last pass; None means the default
            of the class, 1 or for ``CCLFatigue`` 0.5.
        start: smallest share of the pool, in [1e-4, end].
        end: largest share, in [start, 1].
        factor: alpha, by which shares shrink and whose inverse they grow by, in [0.01, 0.99].
        warm_up: share of the budget spent on uniform passes first, in [0, 1).

    Raises:
        ValueError: an argument is out of range.
    """

    reference = "Kesgin & Amasyali 2023, https://arxiv.org/abs/2202.05531"
    memory = (*LossMemory.memory, "frozen", "cycles", "tired")
    preset: ClassVar[tuple[str, str, float]] = ("inverse", "frozen", 1.0)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        form: str | None = None,
        scores: str | None = None,
        fatigue: float | None = None,
        start: float = 0.25,
        end: float = 1.0,
        factor: float = 0.5,
        warm_up: float = 0.5,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = (form, scores, fatigue)
        self.form, self.scores, self.fatigue = (
            default if value is None else value
            for value, default in zip(given, self.preset, strict=True)
        )
        if self.form not in FORMS:
            raise ValueError(f"form must be one of {', '.join(FORMS)}, but is {form!r}")
        if self.scores not in SCORES:
            raise ValueError(f"scores must be one of {', '.join(SCORES)}, but is {scores!r}")
        require("ccl", 0, 1, fatigue=self.fatigue)
        require("ccl", 0, 0.999, warm_up=warm_up)
        self.shares, self.warm_up = cycle(start, end, factor), warm_up
        self.frozen = np.empty(0)  # losses (n,) at the end of the warm-up
        self.cycles = 0  # passes since the warm-up
        self.tired = np.ones(self.items)

    def chances(self) -> np.ndarray:
        """What each item's chance (n,) is proportional to, in [0, 1]."""
        losses = self.losses if self.scores == "current" else self.frozen
        if not np.isfinite(losses).any():
            return np.ones(self.items)  # nothing was trained on yet
        # An item never trained on is as hard as the hardest that was.
        losses = np.minimum(losses, losses[np.isfinite(losses)].max())
        if self.form == "inverse":
            losses = np.maximum(losses, LEAST_LOSS)
            return losses.min() / losses * self.tired
        return np.exp(-(losses - losses.min()) / max(losses.mean(), LEAST_LOSS)) * self.tired

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything during the warm-up, then the next subset of the cycle."""
        if progress < self.warm_up:
            return np.arange(self.items)
        if not len(self.frozen):
            self.frozen = self.losses.copy()
        share = self.shares[self.cycles % len(self.shares)]
        size = max(1, int(np.ceil(share * self.items - 1e-9)))
        items = drawn_without_replacement(size, self.chances(), self.rng)
        self.cycles += 1
        self.tired = np.ones(self.items)
        self.tired[items] = self.fatigue
        return items


class CCLCurrent(CCL):
    """``CCL`` by the losses that items have now."""

    preset = ("inverse", "current", 1.0)


class CCLExponential(CCL):
    """``CCL`` with chances that fall exponentially with the loss."""

    preset = ("exponential", "frozen", 1.0)


class CCLFatigue(CCL):
    """``CCL`` in which items of the last pass have half the chance."""

    preset = ("inverse", "frozen", 0.5)

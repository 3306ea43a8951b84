"""Bandits over the groups of a pool: TSCL, EXP3.S with prediction gain, and online data mixing.

``TSCLGroups`` and ``EXP3SGroups`` are ``teachers.tscl.TSCL`` and ``teachers.exp3s.EXP3S`` with
groups for arms. Prediction gain: Graves, Bellemare, Menick, Munos & Kavukcuoglu, "Automated
curriculum learning for neural networks", 2017, https://arxiv.org/abs/1704.03003. ``ODM``: Albalak,
Pan, Raffel & Wang, "Efficient Online Data Mixing For Language Model Pre-Training", 2023,
https://arxiv.org/abs/2312.02406.

Departures from the paper:
- A batch holds examples of several groups, each drawn by the chances; the papers take a whole batch
  from one. What a group's examples say in one report is averaged to one observation.
- TSCL's score is minus the mean training loss. Its variant "naive" is left out: a group is not
  practised alone several times in a row here.
- EXP3.S has the step size of the suite's other bandits, 0.025: the paper's 0.001 is meant for many
  more steps than budgets here have.
- ODM divides by the chance at the time of the report. Groups of the first steps have equal chances
  instead of those of their sizes. The default adds rewards up, as EXP3 does and the release can;
  smoothed ones stay bounded while their factor e falls, so that chances return to uniform.
"""

from __future__ import annotations

import numpy as np
from gymnasium import spaces
from scipy.special import softmax

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace
from teachers.exp3s import EXP3S, REMEMBERED
from teachers.groups import Groups, GroupTeacher, per_arm
from teachers.tscl import TSCL

UPDATES = ("smoothed", "sum")


class TSCLGroups(TSCL):
    """Items from the group whose learning curve is steepest, upwards or downwards.

    Args:
        task_space: a pool with groups.
        seed: draws groups and items.
        knowledge: not used.
        variant: "online", "window" or "sampling"; see ``TSCL``.
        window: scores per slope, >= 2 (paper 10).
        rate: step size of the running means of "online", in (0, 1] (paper 0.1).
        absolute: compare absolute values, so that forgotten groups are practised again.
        exploration: "epsilon" or "boltzmann"; "sampling" takes "epsilon" only.
        epsilon: chance of a uniform group, in [0, 1].
        temperature: of the softmax, > 0, in units of the range of scores.

    Attributes: ``groups``; the rest as in ``TSCL``, a group for a tile.

    Raises:
        ValueError: an argument is out of range, or the pool has no groups.
    """

    spaces = ("discrete",)
    privileges = ("groups",)
    memory = (*TSCL.memory, "queues")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        variant: str = "sampling",
        window: int = 10,
        rate: float = 0.1,
        absolute: bool = True,
        exploration: str = "epsilon",
        epsilon: float = 0.1,
        temperature: float = 0.0004,
    ):
        if variant == "naive":
            raise ValueError(
                "variant must be online, window or sampling: 'naive' practises one group several "
                "times in a row, which mixed batches do not"
            )
        self.groups = Groups(task_space, "tscl_groups")
        options = {"variant": variant, "window": window, "rate": rate, "absolute": absolute}
        options |= {"exploration": exploration, "epsilon": epsilon, "temperature": temperature}
        # To the bandit the task space is a pool with one item per arm.
        arms = TaskSpace(spaces.Discrete(self.groups.count))
        super().__init__(arms, seed=seed, knowledge=knowledge, **options)
        self.task_space, self.queues = task_space, self.groups.empty_queues()

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,); ``progress`` is ignored."""
        arms = super().propose(count, progress).tasks
        return Proposal(self.groups.items(arms, self.queues, self.rng))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from the mean score of each group that occurs."""
        if len(outcomes.tasks):
            super().observe(per_arm(outcomes, self.groups.locate(outcomes.tasks)))


class EXP3SGroups(EXP3S):
    """Items from groups on which a step lowers the loss most, by an adversarial bandit.

    The reward of a group is its prediction gain: the mean loss of its examples before the step
    less that after it, which costs one more forward pass per example.

    Args:
        task_space: a pool with groups.
        seed: draws groups, items and the reservoir.
        knowledge: not used.
        eta: step size of the weights, > 0.
        epsilon: share of uniform groups, in (0, 1] (paper 0.05).
        scaling: "quantile" (paper) or "range", how rewards are brought to [-1, 1].

    Attributes: ``groups``; the rest as in ``EXP3S``, a group for a tile.

    Raises:
        ValueError: an argument is out of range, or the pool has no groups.
    """

    spaces = ("discrete",)
    privileges = ("groups",)
    signals = ("loss", "loss_after")
    memory = (*EXP3S.memory, "queues")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        eta: float = 0.025,
        epsilon: float = 0.05,
        scaling: str = "quantile",
    ):
        self.groups = Groups(task_space, "exp3s_groups")
        arms = TaskSpace(spaces.Discrete(self.groups.count))
        options = {"eta": eta, "epsilon": epsilon, "scaling": scaling}
        super().__init__(arms, seed=seed, knowledge=knowledge, **options)
        self.task_space, self.queues = task_space, self.groups.empty_queues()

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,); ``progress`` is ignored."""
        arms = super().propose(count, progress).tasks
        return Proposal(self.groups.items(arms, self.queues, self.rng))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from the mean gain of each group that occurs."""
        arms, gains = self.groups.locate(outcomes.tasks), outcomes.loss - outcomes.loss_after
        numbers = np.asarray(outcomes.proposal)
        for arm in np.unique(arms).tolist():
            number = int(numbers[arms == arm][0])
            slot = number % REMEMBERED
            known = self.numbers[slot] == number
            chance = float(self.given[slot] if known else self.chances[arm])
            self._update(arm, float(gains[arms == arm].mean()), chance)


class ODM(GroupTeacher):
    """Items from groups with a large training loss, by the bandit EXP3.

    With K groups and t reports so far, e_t = min(1 / K, sqrt(ln(K) / (K t))), the chance of a
    group is (1 - K e_t) softmax(e_(t-1) R) + e_t. A report with mean loss L of a group moves its R.

    Args:
        task_space: a pool with groups.
        seed: draws groups and items.
        knowledge: not used.
        update: "sum", R <- R + L / (10 chance), or "smoothed", R <- s R + (1 - s) L / chance.
        smoothing: s of "smoothed", in [0, 0.999] (paper 0.9).

    Attributes: ``rewards`` R (arms,), ``reports`` t.

    Raises:
        ValueError: an argument is out of range, or the pool has no groups.
    """

    reference = "Albalak et al. 2023, https://arxiv.org/abs/2312.02406"
    signals = ("loss",)
    memory = (*GroupTeacher.memory, "rewards", "reports")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        update: str = "sum",
        smoothing: float = 0.9,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if update not in UPDATES:
            raise ValueError(f"update must be one of {', '.join(UPDATES)}, but is {update!r}")
        if not 0 <= smoothing <= 0.999:
            raise ValueError(f"smoothing must be in [0, 0.999], but is {smoothing}")
        self.update, self.smoothing = update, smoothing
        self.rewards, self.reports = np.zeros(self.groups.count), 0

    def exploration(self, reports: int) -> float:
        """The least chance e of a group after so many reports."""
        k = self.groups.count
        return float(min(1 / k, np.sqrt(np.log(k) / (k * max(reports, 1)))))

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group; ``progress`` is ignored."""
        least, before = self.exploration(self.reports), self.exploration(self.reports - 1)
        mixed = (1 - self.groups.count * least) * softmax(before * self.rewards) + least
        return mixed / mixed.sum()

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from the mean loss of each group that occurs."""
        arms, losses = self.groups.locate(outcomes.tasks), np.asarray(outcomes.loss)
        if not len(arms):
            return
        chances = self.chances(0.0)
        self.reports += 1
        for arm in np.unique(arms).tolist():
            reward = float(losses[arms == arm].mean()) / chances[arm]
            if self.update == "sum":
                self.rewards[arm] += reward / 10
            else:
                old = self.rewards[arm]
                self.rewards[arm] = self.smoothing * old + (1 - self.smoothing) * reward

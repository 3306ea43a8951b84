"""Teachers that ask which examples pull the student the way a reference set does.

With a_i = <gradient of example i, mean gradient of the reference>, which the probe answers without
second derivatives: learning to reweight, Ren, Zeng, Yang & Urtasun, 2018,
https://arxiv.org/abs/1803.09050, weighs by max(a_i, 0), which is the derivative of the reference
loss after a virtual step; differentiable data selection, Wang et al., 2020,
https://arxiv.org/abs/1911.10088, rewards a learned sampler with a_i, and MultiDDS, Wang, Tsvetkov &
Neubig, 2020, https://arxiv.org/abs/2004.06748, one over groups.

Departures from the paper:
- The reference is a fixed random part of the training examples, wrong labels included, which the
  student is not trained on, as in CurBench; the papers hold out clean ones. The classes
  whose names end in ``Validation`` take the validation set instead, and train on everything.
- All examples of a proposal are judged at once, before its first batch (LRE) or after its last one
  (DDS), and by a draw of the reference: one question per batch would cost more than the training.
- The virtual step is one of gradient descent, whatever the student's optimiser. Its weights need
  no step size, because the harness scales them to a mean of one per batch.
- DDS: no inputs reach a teacher, so the sampler is a table with one number per item, not a network.
  Rewards are made free of units: the batch's mean is taken off and its deviation divided out, where
  MultiDDS takes a cosine.
"""

from __future__ import annotations

import numpy as np
from scipy.special import softmax

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace
from teachers.groups import GroupTeacher
from teachers.pool import PoolTeacher, asked_probe
from teachers.presets import require


class HeldOut(PoolTeacher):
    """A ``PoolTeacher`` that keeps a part of the pool for a reference and trains on the rest.

    Attributes: ``held`` (m,) and ``free`` (n - m,), item numbers from 0; of a pool of one item both
    hold it.
    """

    privileges = ("probe",)
    memory = (*PoolTeacher.memory, "held", "free")

    def __init__(
        self,
        task_space: TaskSpace,
        share: float,
        size: int,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("the reference", 1e-6, 0.999, reference_share=share)
        require("the reference", 1, 10**6, reference_size=size)
        self.size, order = size, self.rng.permutation(self.items)
        count = min(int(np.ceil(share * self.items)), max(self.items - 1, 1))
        self.held, self.free = (
            order[:count],
            np.sort(order[count:] if count < len(order) else order),
        )

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything but the reference."""
        return self.free

    def alignment(self, tasks: np.ndarray, step: np.ndarray | None = None) -> np.ndarray:
        """How much each of the tasks (n,) helps a draw of the reference, behind a ``step`` (n,)."""
        question = self.rng.permutation(self.held)[: self.size] + self.first
        return ask_alignment(self, tasks, question, step)


class ByValidation:
    """Makes a ``HeldOut`` teacher ask about the validation set, and train on the whole pool."""

    privileges = ("probe", "validation_labels")

    def next_pass(self, progress: float) -> np.ndarray:
        """Everything."""
        return np.arange(self.items)

    def alignment(self, tasks: np.ndarray, step: np.ndarray | None = None) -> np.ndarray:
        """How much each of the tasks (n,) helps the validation set, behind a ``step`` (n,)."""
        return ask_alignment(self, tasks, "validation", step)


def ask_alignment(
    teacher: PoolTeacher, tasks: np.ndarray, reference: np.ndarray | str, step: np.ndarray | None
) -> np.ndarray:
    """What the teacher's probe says of the tasks' gradients and the reference's (n,)."""
    ahead = {} if step is None else {"step": step}
    return np.asarray(asked_probe(teacher).alignment(tasks, reference, **ahead), np.float64)


def judged(alignment: np.ndarray) -> np.ndarray:
    """Rewards (n,) without units: 0 in the mean, with a deviation of one where they differ."""
    centred = np.asarray(alignment, dtype=np.float64) - np.mean(alignment)
    spread = centred.std()
    return centred / spread if spread > 0 else centred


def policy_step(logits: np.ndarray, drawn: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """The policy gradient (arms,) of draws (n,) from softmax(logits) with their rewards (n,).

    It is the sum over draws of reward x (indicator of the drawn arm - chances).
    """
    gradient = np.bincount(drawn, weights=rewards, minlength=len(logits))
    return gradient - rewards.sum() * softmax(logits)


class LRE(HeldOut):
    """Uniform passes, weighted by how much each example helps on a reference set.

    A proposal costs two forward passes per example, and a forward and a backward pass per item
    drawn from the reference.

    Args:
        task_space: the pool.
        seed: draws the reference and the passes.
        knowledge: not used.
        reference_share: share of the pool that is the reference, in (0, 1) (CurBench 0.1).
        reference_size: items drawn from it for a question, >= 1.

    Raises:
        ValueError: an argument is out of range, or tasks are asked for before ``probe`` is set.
    """

    reference = "Ren et al. 2018, https://arxiv.org/abs/1803.09050"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        reference_share: float = 0.1,
        reference_size: int = 128,
    ):
        reference = (reference_share, reference_size)
        super().__init__(task_space, *reference, seed=seed, knowledge=knowledge)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,) with the weights (count,) max(a, 0)."""
        tasks = super().propose(count, progress).tasks
        return Proposal(tasks, np.maximum(self.alignment(tasks), 0.0))


class LREValidation(ByValidation, LRE):
    """``LRE`` with the validation set for its reference, every example of it at every question.

    Raises:
        ValueError: tasks are asked for before ``probe`` is set.
    """

    def __init__(self, task_space: TaskSpace, *, seed: int, knowledge: Knowledge | None = None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)


class DDS(HeldOut):
    """Items drawn by a softmax over one number each, moved towards those that help a reference.

    A report costs what a proposal of ``LRE`` does.

    Args:
        task_space: the pool.
        seed: draws the reference and the items.
        knowledge: not used.
        rate: step size of the policy gradient, in [0, 1e3].
        reference_share: share of the pool that is the reference, in (0, 1).
        reference_size: items drawn from it for a question, >= 1.

    Attributes: ``logits`` (n,), minus infinity for the items of the reference.

    Raises:
        ValueError: an argument is out of range, or outcomes come before ``probe`` is set.
    """

    reference = "Wang et al. 2020, https://arxiv.org/abs/1911.10088"
    memory = (*HeldOut.memory, "logits")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.02,
        reference_share: float = 0.1,
        reference_size: int = 128,
    ):
        reference = (reference_share, reference_size)
        super().__init__(task_space, *reference, seed=seed, knowledge=knowledge)
        require("dds", 0, 1e3, rate=rate)
        self.rate = rate
        self.logits = np.full(self.items, -np.inf)  # what is held out is never drawn
        self.logits[self.next_pass(0.0)] = 0.0

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` items (count,), drawn with replacement."""
        drawn = self.rng.choice(self.items, size=count, p=softmax(self.logits))
        return Proposal(drawn + self.first)

    def observe(self, outcomes: Outcomes) -> None:
        """Move the table towards the items that help the reference now."""
        if not len(outcomes.tasks):
            return
        rewards = judged(self.alignment(outcomes.tasks))
        drawn = np.asarray(outcomes.tasks, dtype=np.int64) - self.first
        self.logits = self.logits + self.rate * policy_step(self.logits, drawn, rewards)


class DDSValidation(ByValidation, DDS):
    """``DDS`` with the validation set for its reference, every example of it at every question.

    Args: see ``DDS``.

    Raises:
        ValueError: an argument is out of range, or outcomes come before ``probe`` is set.
    """

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.1,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge, rate=rate)


class MultiDDS(GroupTeacher):
    """Groups drawn by a softmax over one number each, moved towards those that help all groups.

    The reference has equally many random items of every group. Each report costs two forward
    passes per example, and a forward and a backward pass per item of the reference.

    Args:
        task_space: a pool with groups.
        seed: draws groups, items and the reference.
        knowledge: not used.
        rate: step size of the policy gradient over the root of the number of draws, in [0, 1e3].
        reference_size: items of the reference per question, about, >= 1.

    Attributes: ``logits`` (groups,), at first those of the groups' sizes.

    Raises:
        ValueError: an argument is out of range, the pool has no groups, or outcomes come before
            ``probe`` is set.
    """

    reference = "Wang, Tsvetkov & Neubig 2020, https://arxiv.org/abs/2004.06748"
    privileges = ("probe", "groups")
    memory = (*GroupTeacher.memory, "logits")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.2,
        reference_size: int = 128,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        require("multi_dds", 0, 1e3, rate=rate)
        require("multi_dds", 1, 10**6, reference_size=reference_size)
        self.rate, self.reference_size = rate, reference_size
        self.logits = np.log(self.groups.sizes / self.groups.sizes.sum())

    def chances(self, progress: float) -> np.ndarray:
        """The chance (arms,) of each group; ``progress`` is ignored."""
        return softmax(self.logits)

    def observe(self, outcomes: Outcomes) -> None:
        """Move the chances towards the groups that help all groups now."""
        n = len(outcomes.tasks)
        if not n:
            return
        each = -(-self.reference_size // self.groups.count)
        parts = [self.rng.permutation(members)[:each] for members in self.groups.members]
        question = np.concatenate(parts) + self.groups.first
        rewards = judged(asked_probe(self).alignment(outcomes.tasks, question))
        step = policy_step(self.logits, self.groups.locate(outcomes.tasks), rewards)
        self.logits = self.logits + self.rate * step / np.sqrt(n)

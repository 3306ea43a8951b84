"""Meta-Weight-Net: a small network learns what weight a loss deserves.

Shu et al., "Meta-Weight-Net: Learning an Explicit Mapping For Sample Weighting", 2019,
https://arxiv.org/abs/1902.07379.

Departures from the paper:
- The reference is a fixed random part of the training examples, wrong labels included, which the
  student is not trained on, as in CurBench; the paper holds out 1000 clean ones.
  ``MWNetValidation`` takes the validation set instead.
- With a_i = <gradient of example i, mean gradient of the reference> and weights V(l_i) divided by
  their sum, as in the release and up to a factor in the harness, the reference loss after a virtual
  step falls by the sum of a_i V(l_i) / sum of V(l_j), up to a factor that Adam does not see. Here
  a_i comes from the probe after the real steps with those weights, where the paper takes it at the
  end of a virtual step, before the real one. ``MWNetAhead`` and ``MWNetAheadValidation`` look
  ahead as the paper does, batch by batch; their virtual step is one of gradient descent with a
  length of its own, because the student's optimiser is not a teacher's to know.
- The network's input is cut at 1e6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from teachers.alignment import ByValidation, HeldOut
from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.nets import Trained, mlp
from teachers.presets import require

MAX_LOSS = 1e6
TINY = 1e-12
WEIGHT_DECAY = 1e-4  # of Adam, as in the paper


class MWNet(HeldOut):
    """Uniform passes with weights that a network gives to losses, so as to help a reference set.

    A report costs two forward passes per example, and a forward and a backward pass per item drawn
    from the reference.

    Args:
        task_space: the pool.
        seed: draws the reference, the passes and the network.
        knowledge: not used.
        hidden: width of the network's hidden layer, >= 1 (paper 100).
        rate: step size of its optimiser Adam, in [1e-9, 1] (paper 0.001).
        batch: examples per step of the network, >= 1.
        reference_share: share of the pool that is the reference, in (0, 1) (CurBench 0.1).
        reference_size: items drawn from it for a question, >= 1.

    Raises:
        ValueError: an argument is out of range, or outcomes come before ``probe`` is set.
    """

    reference = "Shu et al. 2019, https://arxiv.org/abs/1902.07379"
    signals = ("loss",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        hidden: int = 100,
        rate: float = 1e-3,
        batch: int = 32,
        reference_share: float = 0.1,
        reference_size: int = 128,
    ):
        reference = (reference_share, reference_size)
        super().__init__(task_space, *reference, seed=seed, knowledge=knowledge)
        require("mw_net", 1, 100_000, hidden=hidden, batch=batch)
        require("mw_net", 1e-9, 1, rate=rate)
        self.batch = batch
        network = mlp((1, hidden, 1), nn.ReLU, self.rng)
        self.net = Trained(network, torch.optim.Adam, lr=rate, weight_decay=WEIGHT_DECAY)

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) in [0, 1] of the batch's losses (n,)."""
        with torch.no_grad():
            return self.value(batch["loss"]).numpy().astype(np.float64)

    def value(self, losses: np.ndarray) -> torch.Tensor:
        """What the network gives to losses (n,), with its graph."""
        inputs = np.minimum(np.array(losses, dtype=np.float32), MAX_LOSS)
        return torch.sigmoid(self.net.network(torch.from_numpy(inputs)[:, None])[:, 0])

    def observe(self, outcomes: Outcomes) -> None:
        """Teach the network to give more to losses whose examples help the reference."""
        if not len(outcomes.tasks):
            return
        alignment = self.alignment(outcomes.tasks)
        for start in range(0, len(outcomes.tasks), self.batch):
            part = slice(start, start + self.batch)
            self.learn(outcomes.loss[part], alignment[part])

    def learn(self, losses: np.ndarray, alignment: np.ndarray) -> None:
        """Take a step of the network for losses (n,) whose examples help so much (n,)."""
        helps = torch.from_numpy(alignment.astype(np.float32))
        values = self.value(losses)
        self.net.descend(-(helps * values).sum() / (values.sum() + TINY))

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the network included."""
        return {**super().state_dict(), "net": self.net.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        self.net.load_state_dict(state["net"])


class MWNetValidation(ByValidation, MWNet):
    """``MWNet`` with the validation set for its reference, every example of it at every question.

    Args: see ``MWNet``.

    Raises:
        ValueError: an argument is out of range, or outcomes come before ``probe`` is set.
    """

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        hidden: int = 100,
        rate: float = 1e-3,
        batch: int = 32,
    ):
        options = {"hidden": hidden, "rate": rate, "batch": batch}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)


class MWNetAhead(MWNet):
    """``MWNet`` as in the paper: every batch asks where its own virtual step would lead.

    Between the forward and the backward pass of a batch: with weights w = V(l) / sum of V(l) the
    virtual step goes from the student's parameters by minus ``step`` times the sum of w_i times
    example i's gradient; a_i is the product of that gradient with the reference's behind the step;
    the network takes a step on minus the sum of a_i w_i, the derivative of the reference loss up to
    a factor; its new weights are those of the real step.

    A batch costs three forward passes and a backward pass per example, and a forward and a backward
    pass per item of the reference.

    Args: see ``MWNet``; ``batch`` is the student's.
        step: length of the virtual step in units of the weighted mean gradient, in [1e-9, 1e3].

    Raises:
        ValueError: an argument is out of range, or a batch comes before ``probe`` is set.
    """

    signals = ()

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        step: float = 0.1,
        hidden: int = 100,
        rate: float = 1e-3,
        reference_share: float = 0.1,
        reference_size: int = 128,
    ):
        options = {"hidden": hidden, "rate": rate, "reference_share": reference_share}
        options |= {"reference_size": reference_size}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)
        require("mw_net", 1e-9, 1e3, step=step)
        self.step = step

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Weights (n,) in [0, 1] of the batch's losses (n,), after a step of the network."""
        values = super().weigh(batch)
        share = values / (values.sum() + TINY)
        helps = self.alignment(np.asarray(batch["tasks"]), self.step * share)
        self.learn(batch["loss"], helps)
        return super().weigh(batch)

    def observe(self, outcomes: Outcomes) -> None:
        """Nothing is left to learn from a report."""


class MWNetAheadValidation(ByValidation, MWNetAhead):
    """``MWNetAhead`` with the validation set for its reference, all of it for every batch.

    Args: see ``MWNetAhead``.

    Raises:
        ValueError: an argument is out of range, or a batch comes before ``probe`` is set.
    """

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        step: float = 0.1,
        hidden: int = 100,
        rate: float = 1e-3,
    ):
        options = {"step": step, "hidden": hidden, "rate": rate}
        super().__init__(task_space, seed=seed, knowledge=knowledge, **options)

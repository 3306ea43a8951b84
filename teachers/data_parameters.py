"""Data parameters: a temperature per example or class that is learned along with the student.

Saxena, Tuzel & DeCoste, "Data Parameters: A New Family of Parameters for Learning a Differentiable
Curriculum", 2019, https://papers.nips.cc/paper/2019/hash/926ffc0ca56636b9e73c565cf994ea5a-Abstract.html.

The student minimises the cross-entropy of logits / sigma, where sigma = exp(s_item) + exp(s_class)
(or one of the two). The numbers s go down the gradient of the same loss: the temperature of an
example that the student gets wrong rises, which makes its gradient smaller and its target softer.

Departures from the paper:
- The numbers move within the step in which their gradient is measured; in CurBench they lag by one
  batch and the last step is lost.
- The default step of ``DataParameters`` is the one of CurBench; the paper tunes it per data set,
  and stops early under label noise. Items of ``JointParameters`` start at 1/20, the lower bound of
  temperatures, where the paper starts them at 0.001.
- As in the release the gradient is that of the batch's mean, so that the size of the batch changes
  the method; only items and classes in the batch move, and their momentum stands still otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from teachers.base import Knowledge, TaskSpace
from teachers.pool import PoolTeacher
from teachers.presets import require

BOUND = 20.0  # temperatures stay within 1/20 and 20
MOMENTUM = 0.9


def class_count(task_space: TaskSpace, who: str) -> int:
    """How many classes the labels of a pool name.

    Raises:
        ValueError: there are no labels.
    """
    if task_space.label is None:
        raise ValueError(f"{who} keeps a number per class, but TaskSpace.label is None")
    return int(np.max(task_space.label)) + 1


class Temperatures:
    """Logarithms of temperatures, moved by gradient descent with momentum where they are used.

    Args:
        name: of what each is, for messages and states.
        count: how many.
        start: the first temperature, in [1/20, 20].
        rate: step size, in [0, 1e3].
        decay: factor of s^2 / 2 in the objective, in [0, 1e3].

    Attributes: ``logs`` (count,) and ``speed`` (count,).

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, name: str, count: int, start: float, rate: float, decay: float):
        require(f"a temperature per {name}", 0, 1e3, rate=rate, decay=decay)
        require(f"a temperature per {name}", 1 / BOUND, BOUND, start=start)
        self.name = name
        self.logs, self.speed = np.full(count, np.log(start)), np.zeros(count)
        self.rate, self.decay = rate, decay

    def copy(self) -> dict[str, np.ndarray]:
        """The numbers, for a state."""
        return {"logs": self.logs.copy(), "speed": self.speed.copy()}

    def of(self, places: np.ndarray) -> np.ndarray:
        """The temperatures (n,) at places (n,)."""
        return np.exp(self.logs[places])

    def descend(self, places: np.ndarray, slopes: np.ndarray) -> None:
        """Step against slopes (n,) of the objective by the temperatures at places (n,).

        Equal places add up, as the gradient of a shared number does.
        """
        moved = np.unique(places)
        by_log = slopes * self.of(places) + self.decay * self.logs[places]
        gradient = np.bincount(places, weights=by_log, minlength=len(self.logs))
        self.speed[moved] = MOMENTUM * self.speed[moved] + gradient[moved]
        stepped = self.logs[moved] - self.rate * self.speed[moved]
        self.logs[moved] = np.clip(stepped, -np.log(BOUND), np.log(BOUND))


class DataParameters(PoolTeacher):
    """Uniform passes over items whose logits are divided by a learned temperature of each item.

    Args:
        task_space: the pool.
        seed: draws the passes.
        knowledge: not used.
        rate: step size of the temperatures' logarithms, in [0, 1e3].
        decay: factor of s^2 / 2 per item of the batch in the objective, in [0, 1e3].
        start: the first temperature, in [1/20, 20].

    Attributes: ``temperatures`` of the items, numbered from 0.

    Raises:
        ValueError: an argument is out of range.
    """

    reference = (
        "Saxena, Tuzel & DeCoste 2019, "
        "https://papers.nips.cc/paper/2019/hash/926ffc0ca56636b9e73c565cf994ea5a-Abstract.html"
    )
    changes = ("objective",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.1,
        decay: float = 0.0,
        start: float = 1.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.temperatures = (Temperatures("item", self.items, start, rate, decay),)

    def places(self, items: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where items (n,) of classes (n,) find each of their temperatures."""
        return (items,)

    def transform_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, tasks: np.ndarray
    ) -> torch.Tensor:
        """Cross-entropies (n,) of logits / sigma; the temperatures take their own step."""
        places = self.places(np.asarray(tasks, dtype=np.int64) - self.first, targets.numpy())
        found = zip(self.temperatures, places, strict=True)
        sigma = np.sum([one.of(where) for one, where in found], axis=0)
        divisor = torch.tensor(sigma, dtype=logits.dtype, requires_grad=True)
        losses = functional.cross_entropy(logits / divisor[:, None], targets, reduction="none")
        (slope,) = torch.autograd.grad(losses.mean(), divisor, retain_graph=True)
        for one, where in zip(self.temperatures, places, strict=True):
            one.descend(where, slope.numpy().astype(np.float64))
        return losses

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the temperatures included."""
        return {**super().state_dict(), **{one.name: one.copy() for one in self.temperatures}}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        for one in self.temperatures:
            one.logs, one.speed = (np.array(state[one.name][key]) for key in ("logs", "speed"))


class ClassParameters(DataParameters):
    """``DataParameters`` with one temperature per class instead of one per item.

    Args: see ``DataParameters``.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.1,
        decay: float = 0.0,
        start: float = 1.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        classes = class_count(task_space, "class_parameters")
        self.temperatures = (Temperatures("class", classes, start, rate, decay),)

    def places(self, items: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where items (n,) of classes (n,) find their temperature."""
        return (classes,)


class JointParameters(DataParameters):
    """``DataParameters`` with temperatures that are the sum of one per class and one per item.

    Args:
        task_space: the pool with its ``label``.
        seed: draws the passes.
        knowledge: not used.
        item_rate: step size of the items' temperatures, in [0, 1e3].
        class_rate: the same of the classes'.
        item_decay: factor of s^2 / 2 per item of the batch, in [0, 1e3].
        class_decay: the same of the classes'.
        item_start: the first temperature of items, in [1/20, 20].
        class_start: the same of classes.

    Attributes: ``temperatures``, those of the classes and those of the items.

    Raises:
        ValueError: an argument is out of range, or the pool has no labels.
    """

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        item_rate: float = 0.8,
        class_rate: float = 0.1,
        item_decay: float = 1e-8,
        class_decay: float = 1e-4,
        item_start: float = 0.05,
        class_start: float = 1.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        classes = class_count(task_space, "joint_parameters")
        self.temperatures = (
            Temperatures("class", classes, class_start, class_rate, class_decay),
            Temperatures("item", self.items, item_start, item_rate, item_decay),
        )

    def places(self, items: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, ...]:
        """Where items (n,) of classes (n,) find both of their temperatures."""
        return classes, items

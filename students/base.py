"""The student contracts: one for procedural worlds, one for supervised tasks. Batch first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Transitions:
    """One step of ``num_envs`` worlds, row i always the same world; all arrays start with (n,).

    ``next_observations`` holds the true last observation where an episode ended, never the first
    one of the next episode, so that a time limit can be bootstrapped.
    """

    observations: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    next_observations: np.ndarray


class Learner(ABC):
    """What both kinds of student have in common; ``updates`` counts optimiser steps."""

    updates: int = 0

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything exact continuation needs: numbers, strings, arrays, dicts and lists."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""


class Student(Learner):
    """Learns from transitions of vectorised procedural worlds.

    The constructor takes ``(observation_space, action_space, *, num_envs, seed, device="cpu",
    <hyperparameters with defaults>)``.
    """

    @abstractmethod
    def act(self, observations: np.ndarray, explore: bool = True) -> np.ndarray:
        """Return actions (n, *action_shape) for observations (n, *observation_shape).

        With ``explore=False`` the actions are deterministic, nothing is learned, no randomness is
        drawn, and n may be any number.
        """

    @abstractmethod
    def observe(self, transitions: Transitions) -> bool | None:
        """Learn from one step of all worlds, with an update whenever there is enough for one.

        Only a student in a stack returns True: it waits until it has learned with the others.
        """

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the estimated return (n,) of observations (n, *observation_shape), raw units."""
        raise NotImplementedError(f"{type(self).__name__} has no value function")

    def keep_in(self, folder: Path) -> None:
        """Keep what is large in files of ``folder`` from now on, so that states stay small.

        A student with a large memory may then let ``state_dict`` write what is new there and only
        refer to it. The files must serve the last two states, and ``load_state_dict`` raises
        ``DamagedRows`` (students/journal.py) before it changes anything if they do not.
        """


Weigh = Callable[[Mapping[str, np.ndarray]], np.ndarray]
Slope = Callable[[np.ndarray, np.ndarray, np.ndarray | None], np.ndarray]
Pair = tuple[np.ndarray, np.ndarray]  # inputs and targets


class SupervisedStudent(ABC):
    """Learns from batches of examples with per-example losses and weights.

    The constructor takes ``(input_shape, num_classes, *, seed, device="cpu", <hyperparameters>)``.
    """

    @abstractmethod
    def train(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        weigh: Weigh | None = None,
        slope: Slope | None = None,
    ) -> dict[str, np.ndarray]:
        """Take one optimiser step on inputs (n, *input_shape) float32 and targets (n,) int64.

        ``weigh`` gets detached "loss" (n,) and "logits" (n, classes) between forward and backward
        and returns finite weights (n,) >= 0; the objective is the mean of weight x loss, and zeros
        skip the step. ``slope(logits, targets, weights or None)`` gives the gradient (n, classes)
        of another objective by the logits. Returns cross-entropy "loss" (n,), "correct" (n,),
        "logits" and "embedding" (n, width), all measured before the step.
        """

    @abstractmethod
    def predict(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return "logits" (n, classes) and "embedding" (n, width) without learning anything."""

    @abstractmethod
    def alignment(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        reference: Pair,
        step: np.ndarray | None = None,
    ) -> np.ndarray:
        """Products (n,) of gradients with ``reference``'s mean one, after ``step`` (n,) if any."""

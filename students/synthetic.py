"""A student without a network: competence grows cube by cube where neighbours are mastered.

Reference: R. Portelas, C. Colas, K. Hofmann, P.-Y. Oudeyer, "Teacher algorithms for curriculum
learning of Deep RL in continuously parameterized environments", CoRL 2019,
https://arxiv.org/abs/1910.07224 (its toy parameter space).

Departures from the paper: the competence of the cubes lives in the student, not in the world.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from students.base import Student, Transitions
from students.rules import crosses

MAX_CELLS = 20_000_000


class SyntheticStudent(Student):
    """Practises tasks of a unit cube that is cut into ``cubes ** relevant`` small cubes.

    An episode in an unlocked cube adds 1 to the competence of that cube, up to ``max_competence``.
    The cube at the origin is unlocked; another one is when at least one of its lower neighbours
    (every index equal or one lower, not the cube itself) has reached ``unlock`` x
    ``max_competence``. An episode's score is the cube's competence after it, as a share of
    ``max_competence``.

    Args:
        observation_space: a bounded ``Box`` of shape (dimensions,); observations are task vectors.
        action_space: a ``Box`` of shape (1,) that contains [0, 1].
        num_envs: number of worlds; rows of a batch are practised in order.
        seed: part of the contract; nothing here is random.
        device: part of the contract; "cpu", "cuda" and "auto" all mean the CPU.
        cubes: cubes per dimension, >= 1.
        relevant: how many leading dimensions matter; None means all.
        max_competence: episodes until a cube is fully mastered, >= 1.
        unlock: share of ``max_competence`` that opens the neighbours above, in (0, 1].
        domain: the stretch of every coordinate that is cut into cubes; below it tasks are trivial
            (the lowest cube), above it nobody can learn them. None: the observation space's.
        forget_every: episodes after which the student is a new one, again and again, >= 1; None:
            never.

    Raises:
        ValueError: a space or an argument that does not fit; observations outside their space.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        *,
        num_envs: int,
        seed: int,
        device: str = "cpu",
        cubes: int = 10,
        relevant: int | None = None,
        max_competence: int = 100,
        unlock: float = 0.75,
        domain: Sequence[float] | None = None,
        forget_every: int | None = None,
    ):
        dimensions = _check_spaces(observation_space, action_space)
        _check_extras(domain, forget_every)
        relevant = dimensions if relevant is None else relevant
        facts = {
            f"relevant must be between 1 and {dimensions}": 1 <= relevant <= dimensions,
            "cubes and max_competence must be at least 1": cubes >= 1 and max_competence >= 1,
            "unlock must lie in (0, 1]": 0 < unlock <= 1,
            f"(cubes + 1) ** relevant must stay below {MAX_CELLS}": (cubes + 1) ** relevant
            < MAX_CELLS,
        }
        for rule, holds in facts.items():
            if not holds:
                raise ValueError(
                    f"{rule}, but got cubes={cubes}, relevant={relevant}, "
                    f"max_competence={max_competence}, unlock={unlock}"
                )
        self.updates = 0
        self.num_envs, self.cubes, self.relevant = num_envs, cubes, relevant
        self.max_competence, self.threshold = max_competence, unlock * max_competence
        self.low, self.high = observation_space.low, observation_space.high
        bounds = (self.low, self.high) if domain is None else domain
        self.begin, self.end = (np.broadcast_to(end, self.low.shape) for end in bounds)
        self.forget_every, self.episodes = forget_every, 0
        # The grids have one spare layer at the top of every axis: the upper neighbours of a cube
        # at the edge fall into it, so that no index needs a check.
        shape = (cubes + 1,) * relevant
        self.strides = np.array([(cubes + 1) ** power for power in range(relevant)][::-1])
        self.upper = np.array(list(itertools.product((0, 1), repeat=relevant))[1:]) @ self.strides
        # One more, which nothing opens, holds what nobody can learn.
        self.competence = np.zeros((cubes + 1) ** relevant + 1, dtype=np.int32)
        self.grid = self.competence[:-1].reshape(shape)
        self.unlocked = self._find_unlocked()
        self.located = np.empty((0, 0)), np.empty(0, np.int64)  # observations (n, D), their cubes

    def act(self, observations: np.ndarray, explore: bool = True) -> np.ndarray:
        """Answer (n, 1) with the competence at the tasks ``observations`` (n, dimensions).

        With ``explore`` it is the competence after the practice of this batch, which ``observe``
        will bring, as in the paper; without, the present one. Neither changes the student.
        """
        cubes = self._locate(observations)
        if explore:
            self.located = np.array(observations), cubes
            after, raised, opened = self._practise(cubes)
            np.subtract.at(self.competence, raised, 1)
            self.unlocked[opened] = False
        else:
            after = self.competence[cubes]
        return np.asarray(after, dtype=np.float64)[:, None] / self.max_competence

    def observe(self, transitions: Transitions) -> None:
        """Practise the tasks of one step of all worlds, row by row."""
        # Mostly these are the observations that were just acted upon.
        known, cubes = self.located
        if not np.array_equal(known, transitions.observations):
            cubes = self._locate(transitions.observations)
        _, raised, _ = self._practise(cubes)
        self.updates += len(raised)
        before, self.episodes = self.episodes, self.episodes + len(transitions.observations)
        if crosses(self.forget_every, before, self.episodes):
            self.grid[...] = 0
            self.unlocked = self._find_unlocked()

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the present competence (n,), a share of full competence."""
        return self.competence[self._locate(observations)] / self.max_competence

    def mastered(self) -> float:
        """The share of cubes whose competence lies above the unlocking one."""
        inside = self.grid[(slice(0, self.cubes),) * self.relevant]
        return float(np.mean(inside > self.threshold))

    def state_dict(self) -> dict[str, Any]:
        """The competence of every cube; what is unlocked follows from it."""
        state = {"competence": self.grid.copy(), "updates": self.updates}
        return state | {"episodes": self.episodes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        if np.shape(state["competence"]) != self.grid.shape:
            raise ValueError(
                f"the saved competence has shape {np.shape(state['competence'])}, expected "
                f"{self.grid.shape}: it belongs to a student with other cubes or dimensions"
            )
        self.grid[...] = state["competence"]
        self.updates, self.episodes = int(state["updates"]), int(state["episodes"])
        self.unlocked = self._find_unlocked()

    def _practise(self, cubes: np.ndarray) -> tuple[list[int], list[int], list[int]]:
        """Train on cubes (n,) one after the other.

        Returns the competence after each row (n,), the cubes that were raised, in order, and the
        cubes that were unlocked by it.
        """
        competence, unlocked = self.competence, self.unlocked
        after, raised, opened = [], [], []
        for cube in cubes.tolist():
            level = int(competence[cube])
            if unlocked[cube] and level < self.max_competence:
                level += 1
                competence[cube] = level
                raised.append(cube)
                if level - 1 < self.threshold <= level:
                    above = cube + self.upper
                    opened += above[~unlocked[above]].tolist()
                    unlocked[above] = True
            after.append(level)
        return after, raised, opened

    def _find_unlocked(self) -> np.ndarray:
        unlocked = np.zeros(self.competence.shape, dtype=bool)
        unlocked[0] = True
        done = np.flatnonzero(self.competence >= self.threshold)
        unlocked[(done[:, None] + self.upper).ravel()] = True
        return unlocked

    def _locate(self, observations: np.ndarray) -> np.ndarray:
        """Return the flat cube number (n,) of observations (n, dimensions)."""
        observations = np.asarray(observations, dtype=np.float64)
        inside = (observations >= self.low) & (observations <= self.high)
        if observations.ndim != 2 or not inside.all():
            raise ValueError(
                f"observations must be task vectors (n, {len(self.low)}) within their space, "
                f"but one of shape {observations.shape} lies outside or holds NaN"
            )
        share = ((observations - self.begin) / (self.end - self.begin))[:, : self.relevant]
        index = (share * self.cubes).astype(np.int64)
        index = np.minimum(np.maximum(index, 0), self.cubes - 1)  # np.clip takes twice as long
        beyond = (share > 1.0).any(axis=1)
        return np.where(beyond, len(self.competence) - 1, index @ self.strides)


def _check_extras(domain: Sequence[float] | None, forget_every: int | None) -> None:
    if domain is not None and (len(domain) != 2 or not -np.inf < domain[0] < domain[1] < np.inf):
        raise ValueError(f"domain must be two finite numbers, low < high, but is {domain!r}")
    if forget_every is not None and forget_every < 1:
        raise ValueError(f"forget_every must be None or at least 1 episode, but is {forget_every}")


def _check_spaces(observation_space: spaces.Space, action_space: spaces.Space) -> int:
    """Return the number of dimensions of a fitting observation space."""
    if (
        not isinstance(observation_space, spaces.Box)
        or len(observation_space.shape) != 1
        or not observation_space.is_bounded()
    ):
        raise ValueError(f"expected a bounded Box of task vectors, but got {observation_space}")
    if not isinstance(action_space, spaces.Box) or action_space.shape != (1,):
        raise ValueError(f"expected an action Box of shape (1,), but got {action_space}")
    return observation_space.shape[0]

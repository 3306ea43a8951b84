"""Steps many procedural worlds at once, in this process or in a few workers.

Nothing resets by itself: an ended world waits until its next task is known, so every terrain is
built once and the last observation of an episode is the true one. Both ways of stepping give the
same numbers, bit for bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator

from environments.base import ProceduralEnv


@dataclass(frozen=True)
class StepResult:
    """One step of k worlds; row j belongs to ``index[j]``.

    ``observations`` (k, *observation_shape) in the space's dtype, ``rewards`` (k,) float64,
    ``terminated``, ``truncated`` and ``success`` (k,) bool; ``success`` means something only where
    an episode ended.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray


class VectorWorlds(ABC):
    """``num_envs`` worlds of one class behind batched ``reset`` and ``step``.

    After an error in ``reset`` or ``step`` the worlds named in that call must be reset before they
    are stepped again.
    """

    num_envs: int
    observation_space: spaces.Box
    action_space: spaces.Box
    task_space: spaces.Box

    def reset(
        self, index: Sequence[int] | np.ndarray, tasks: np.ndarray, seeds: np.ndarray
    ) -> np.ndarray:
        """Begin an episode in each world of ``index`` (k,), with its own task and terrain seed.

        Args:
            index: world numbers (k,), each at most once.
            tasks: task vectors (k, dimensions).
            seeds: terrain seeds (k,), integers >= 0.

        Returns:
            First observations (k, *observation_shape).

        Raises:
            ValueError: a task outside the space (the world's own error), or arrays whose shapes do
                not fit ``index``.
            RuntimeError: the worlds are closed, or a worker has died.
        """
        index = self._check_index(index)
        tasks = np.asarray(tasks, dtype=np.float64)
        seeds = np.asarray(seeds, dtype=np.int64)
        expected = (len(index), *self.task_space.shape)
        if tasks.shape != expected or seeds.shape != index.shape:
            raise ValueError(
                f"reset of {len(index)} worlds expects tasks of shape {expected} and seeds of "
                f"shape {index.shape}, but got {tasks.shape} and {seeds.shape}"
            )
        return self._reset(index, tasks, seeds)

    def step(
        self, actions: np.ndarray, index: Sequence[int] | np.ndarray | None = None
    ) -> StepResult:
        """Step the worlds of ``index`` (all when None) with ``actions`` (k, *action_shape).

        Raises:
            ValueError: the actions do not fit ``index``.
            RuntimeError: the worlds are closed, or a worker has died.
        """
        index = np.arange(self.num_envs) if index is None else self._check_index(index)
        actions = np.asarray(actions, dtype=self.action_space.dtype)
        expected = (len(index), *self.action_space.shape)
        if actions.shape != expected:
            raise ValueError(
                f"step of {len(index)} worlds expects actions of shape {expected}, "
                f"but got {actions.shape}"
            )
        return self._step(index, actions)

    @abstractmethod
    def close(self) -> None:
        """Free what the worlds hold; closing twice is fine."""

    def __enter__(self) -> VectorWorlds:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult: ...

    def _describe(self, world: ProceduralEnv, num_envs: int) -> None:
        self.num_envs = num_envs
        self.observation_space = world.observation_space
        self.action_space = world.action_space
        self.task_space = world.task_space

    def _check_index(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        index = np.asarray(index, dtype=np.intp)
        numbers = index.tolist()
        fits = index.ndim == 1 and len(set(numbers)) == len(numbers)
        if not fits or (numbers and not 0 <= min(numbers) <= max(numbers) < self.num_envs):
            raise ValueError(
                f"index must hold different world numbers from 0 to {self.num_envs - 1}, "
                f"but is {numbers}"
            )
        return index


class LocalWorlds(VectorWorlds):
    """Worlds in this process; their class may share array work between them (``step_many``)."""

    def __init__(self, entry_point: str, kwargs: Mapping[str, Any], num_envs: int):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, but is {num_envs}")
        create = load_env_creator(entry_point)
        self.worlds = [create(**kwargs) for _ in range(num_envs)]
        self.closed = False
        self._describe(self.worlds[0], num_envs)

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self._check_open()
        observations = self._empty(len(index))
        for row, (world, task, seed) in enumerate(zip(index, tasks, seeds.tolist(), strict=True)):
            observations[row], _ = self.worlds[world].reset(seed=seed, options={"task": task})
        return observations

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self._check_open()
        count = len(index)
        observations, rewards = self._empty(count), np.empty(count)
        flags = np.empty((3, count), dtype=bool)
        worlds = [self.worlds[world] for world in index.tolist()]
        results = type(worlds[0]).step_many(worlds, actions) if worlds else []
        for row, (observation, reward, terminated, truncated, info) in enumerate(results):
            observations[row] = observation
            rewards[row] = reward
            flags[:, row] = terminated, truncated, info.get("success", False)
        return StepResult(observations, rewards, *flags)

    def close(self) -> None:
        """Close every world."""
        if not self.closed:
            self.closed = True
            for world in self.worlds:
                world.close()

    def _empty(self, count: int) -> np.ndarray:
        return np.empty((count, *self.observation_space.shape), self.observation_space.dtype)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")


class WrappedWorlds(VectorWorlds):
    """The given worlds as they are; a subclass changes what goes in or what comes out."""

    def __init__(self, worlds: VectorWorlds):
        self.worlds, self.num_envs = worlds, worlds.num_envs
        self.observation_space = worlds.observation_space
        self.action_space, self.task_space = worlds.action_space, worlds.task_space

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        return self.worlds.reset(index, tasks, seeds)

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        return self.worlds.step(actions, index)

    def close(self) -> None:
        """Close the worlds."""
        self.worlds.close()


def make_worlds(
    entry_point: str, kwargs: Mapping[str, Any], num_envs: int, workers: int = 1
) -> VectorWorlds:
    """Build ``num_envs`` worlds of "module:Class".

    A class with a method ``batch(num_envs, **kwargs)`` steps all its worlds in one array, in this
    process: that is faster than any number of processes. So is this process alone for one worker or
    one world. Results do not depend on ``workers``; more workers than worlds are not started.
    """
    create = load_env_creator(entry_point)
    if hasattr(create, "batch"):
        return create.batch(num_envs, **kwargs)
    if workers <= 1 or num_envs == 1:
        return LocalWorlds(entry_point, kwargs, num_envs)
    # Imported here: the processes need the classes of this file.
    from environments.processes import ProcessWorlds

    return ProcessWorlds(entry_point, kwargs, num_envs, min(workers, num_envs))

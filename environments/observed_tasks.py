"""Worlds that show their task: every observation ends with the task of the episode.

A student without it must find out from what it sees which task it has; with it, it can learn a
policy per task (contextual reinforcement learning, Hallak, Di Castro & Mannor, 2015,
https://arxiv.org/abs/1502.02259). A protocol declares it, because it makes another problem.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gymnasium import spaces

from environments.vector import StepResult, VectorWorlds, WrappedWorlds


class ObservedTasks(WrappedWorlds):
    """The given worlds, observed together with their tasks.

    Observations (inputs,) become (inputs + dimensions,): the task follows, scaled to [-1, 1] within
    the task space; a dimension without width shows 0. All else is as it was.
    """

    def __init__(self, worlds: VectorWorlds):
        super().__init__(worlds)
        self.observation_space = with_task(worlds.observation_space, worlds.task_space)
        shape = worlds.num_envs, *worlds.task_space.shape
        self.shown = np.zeros(shape, self.observation_space.dtype)  # the scaled tasks

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        observations = super()._reset(index, tasks, seeds)
        low, width = self.task_space.low, self.task_space.high - self.task_space.low
        share = np.divide(tasks - low, width, out=np.full(tasks.shape, 0.5), where=width > 0)
        self.shown[index] = 2 * share - 1
        return self._joined(observations, index)

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        result = super()._step(index, actions)
        return replace(result, observations=self._joined(result.observations, index))

    def _joined(self, observations: np.ndarray, index: np.ndarray) -> np.ndarray:
        return np.concatenate([observations, self.shown[index]], axis=1)


def with_task(observations: spaces.Box, tasks: spaces.Box) -> spaces.Box:
    """The space of observations (inputs,) that end with a task scaled to [-1, 1]."""
    ones = np.ones(tasks.shape, observations.dtype)
    low, high = np.append(observations.low, -ones), np.append(observations.high, ones)
    return spaces.Box(low, high, dtype=observations.dtype)

"""Hypercube: the synthetic task space on which teachers are compared in seconds.

Reference: R. Portelas, C. Colas, K. Hofmann, P.-Y. Oudeyer, "Teacher algorithms for curriculum
learning of Deep RL in continuously parameterized environments", CoRL 2019,
https://arxiv.org/abs/1910.07224 (its toy parameter space).

Departures from the paper: the paper's toy world holds the student's competence itself. Here the
world only asks and scores; competence lives in the student (``students/synthetic.py``), so that
the same loop serves this world and the real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from environments.base import ProceduralEnv, TaskParameter
from environments.rugged_tasks import rearranged
from environments.vector import StepResult, VectorWorlds

MASTERED = 0.75
PIXELS = 200


class Hypercube(ProceduralEnv):
    """One-step episodes in which the student answers how competent it is at the task.

    ## Description
    A task is a point of the unit cube. The student sees the point and answers with its competence
    there; the answer is the reward. Nothing is random.

    ## Action Space
    ``Box(0, 1, (1,), float64)``: the competence at the task, as a share of full competence.

    ## Observation Space
    ``Box(low, high, (dimensions + irrelevant,), float64)``: the task vector. float64, so that a
    point lies in the same cube for the teacher and for the student.

    ## Rewards
    The answer, between 0 and 1.

    ## Starting State
    The task given at reset; without one, the origin, the easiest task.

    ## Episode End
    Termination: after one step. There is no truncation. ``info["success"]`` is answer > 0.75.

    ## Arguments
    * ``dimensions`` (>= 1, default 2): parameters that matter.
    * ``irrelevant`` (>= 0, default 0): further parameters that mean nothing.
    * ``low`` (<= 0), ``high`` (>= 1): bounds of the parameters that matter. The student decides
      what tasks beyond the unit cube are worth: see ``domain`` of the synthetic student.
    * ``rugged``: None, or per parameter that matters a permutation of 0 ... k-1: its range is cut
      into k stretches, and a task in stretch j is shown and scored as the one at the same place of
      stretch ``rugged[parameter][j]``. Difficulty then jumps from stretch to stretch (the "rugged
      difficulty landscape" of TeachMyAgent, https://arxiv.org/abs/2103.09815).
    * ``render_mode``: None or "rgb_array" (the first two dimensions, brighter for a better answer).

    ## Version History
    * v0: first version (``version = 1`` of the first protocols).

    Raises:
        ValueError: an argument outside its range, a task outside the cube, an answer outside
            [0, 1].
        RuntimeError: a step without a reset before it.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 1}

    def __init__(
        self,
        dimensions: int = 2,
        irrelevant: int = 0,
        render_mode: str | None = None,
        *,
        low: float = 0.0,
        high: float = 1.0,
        rugged: Sequence[Sequence[int]] | None = None,
    ):
        if dimensions < 1 or irrelevant < 0:
            raise ValueError(
                "Hypercube expects dimensions >= 1 and irrelevant >= 0, "
                f"but got {dimensions} and {irrelevant}"
            )
        if not -np.inf < low <= 0.0 < 1.0 <= high < np.inf:
            raise ValueError(f"Hypercube expects low <= 0 and high >= 1, but got {low} and {high}")
        self.moved = _moves(rugged, dimensions)
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or 'rgb_array', but is {render_mode!r}")
        self.render_mode = render_mode
        self.task_parameters = tuple(
            TaskParameter(f"x{i}", low, high, 0.0, "", f"coordinate {i}: harder upwards")
            for i in range(dimensions)
        ) + tuple(
            TaskParameter(f"irrelevant{i}", 0.0, 1.0, 0.0, "", "changes nothing")
            for i in range(irrelevant)
        )
        bounds = self.task_space.low, self.task_space.high
        self.observation_space = spaces.Box(*bounds, dtype=np.float64)
        self.action_space = spaces.Box(0.0, 1.0, (1,), np.float64)
        self.task: np.ndarray | None = None
        self.answer = 0.0
        self.open = False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Show the task ``options["task"]`` (the origin without one)."""
        self.task = self.begin(seed, options)
        self.answer, self.open = 0.0, True
        return self.shown(self.task[None])[0], {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Score the answer ``action`` (1,) and end the episode."""
        answer = float(action[0])
        if not self.open:
            raise RuntimeError("Hypercube.step() needs reset() first: an episode has one step")
        if not 0.0 <= answer <= 1.0:
            raise ValueError(f"an answer is a competence between 0 and 1, but is {answer}")
        self.answer, self.open = answer, False
        return self.shown(self.task[None])[0], answer, True, False, {"success": answer > MASTERED}

    def shown(self, tasks: np.ndarray) -> np.ndarray:
        """What the student sees of tasks (n, size): a copy, its stretches moved if rugged."""
        if self.moved is None:
            return tasks.copy()
        count, seen = len(self.moved), tasks.copy()
        bounds = self.task_space.low[:count], self.task_space.high[:count]
        seen[:, :count] = rearranged(tasks[:, :count], *bounds, self.moved)
        return seen

    @classmethod
    def batch(cls, num_envs: int, **options: Any) -> HypercubeBatch:
        """``num_envs`` of these worlds in one array."""
        return HypercubeBatch(cls(**options), num_envs)

    def render(self) -> np.ndarray | None:
        """Draw the task as a dot in the plane of the first two coordinates, (200, 200, 3) uint8."""
        if self.render_mode is None:
            return None
        image = np.full((PIXELS, PIXELS, 3), 40, dtype=np.uint8)
        point = self.default_task if self.task is None else self.task
        space = self.task_space
        point = (point - space.low) / (space.high - space.low)
        x, y = point[0], (point[1] if len(point) > 1 else 0.5)
        rows, columns = np.mgrid[0:PIXELS, 0:PIXELS] / (PIXELS - 1)
        dot = (columns - x) ** 2 + (1 - rows - y) ** 2 < 0.03**2
        image[dot] = 90 + round(165 * self.answer)
        return image


def _moves(rugged: Sequence[Sequence[int]] | None, dimensions: int) -> np.ndarray | None:
    """The permutations as an array (dimensions, stretches)."""
    if rugged is None:
        return None
    rows = [list(row) for row in rugged]
    size = len(rows[0]) if rows else 0
    if len(rows) != dimensions or any(sorted(row) != list(range(size)) for row in rows):
        raise ValueError(
            f"rugged must hold {dimensions} permutations of 0 to k-1, all of one length k, "
            f"but is {rugged!r}"
        )
    return np.array(rows)


class HypercubeBatch(VectorWorlds):
    """Many worlds like ``world`` in one array: a step is nothing but a few comparisons."""

    def __init__(self, world: Hypercube, num_envs: int):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, but is {num_envs}")
        self._describe(world, num_envs)
        self.world, self.seen = world, np.zeros((num_envs, *self.task_space.shape))
        self.open = np.zeros(num_envs, dtype=bool)
        self.closed = False

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self._check_open()
        inside = (tasks >= self.task_space.low) & (tasks <= self.task_space.high)
        if not inside.all():
            wrong = int(np.argmin(inside.all(axis=1)))
            raise ValueError(
                f"task {tasks[wrong].tolist()} is outside the task space: expected numbers between "
                f"{self.task_space.low.tolist()} and {self.task_space.high.tolist()}"
            )
        self.seen[index], self.open[index] = self.world.shown(tasks), True
        return self.seen[index]

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self._check_open()
        answers = actions[:, 0]
        if not self.open[index].all():
            raise RuntimeError("Hypercube.step() needs reset() first: an episode has one step")
        if not ((answers >= 0.0) & (answers <= 1.0)).all():
            raise ValueError(
                f"an answer is a competence between 0 and 1, but is {answers.tolist()}"
            )
        self.open[index] = False
        count = len(index)
        ended, cut = np.ones(count, dtype=bool), np.zeros(count, dtype=bool)
        return StepResult(self.seen[index], answers.copy(), ended, cut, answers > MASTERED)

    def close(self) -> None:
        """There is nothing to free."""
        self.closed = True

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")

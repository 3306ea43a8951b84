"""PointMass: through a gate in a wall, thousands of worlds in a few NumPy calls.

``PointMassBatch`` holds the physics of any number of worlds in one set of arrays; ``PointMass``,
the Gymnasium environment, is a batch of one. Every operation works on each world by itself, so what
happens in a world does not depend on those that step beside it, bit for bit.

Noise comes from a counter, not from a generator per world: the hash of (seed, step) is cut into
pieces of 16 bits, and each piece picks one of 65536 equally likely values of a standard normal
distribution. The hash is SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom
number generators", OOPSLA 2014, https://doi.org/10.1145/2660193.2660195).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from gymnasium import logger, spaces
from gymnasium.error import ResetNeeded

from environments.base import ProceduralEnv, TaskParameter
from environments.parameters import bounded
from environments.vector import StepResult, VectorWorlds

ROOM = 4.0  # half a side, m
START, GOAL = (0.0, 3.0), (0.0, -3.0)  # m
SUBSTEPS, SUBSTEP = 10, 0.01  # per step; s
MAX_ACTION = 10.0
GAIN = 1.5  # m/s^2 per unit of action
NOISE = 0.05  # standard deviation of the acceleration, m/s^2
REWARD_DECAY = 0.6  # 1/m
SUCCESS_DISTANCE = 0.25  # m

HASHES, BITS = 5, 16  # 5 hashes of 4 draws each: one draw per substep and direction
LANES = (np.arange(64 // BITS, dtype=np.uint64) * BITS)[:, None, None]
INCREMENT = 0x9E3779B97F4A7C15


class PointMass(ProceduralEnv):
    """A point mass is pushed through a gate in a wall to the other side of a room.

    ## Description
    The room is a square of 8 m, from -4 to 4. A wall without thickness crosses it at y = 0; it has
    one gate, whose position and width are the task. Friction can be a part of the task, too.
    Source: Klink, D'Eramo, Peters, Pajarinen, *Self-Paced Deep Reinforcement Learning* (NeurIPS
    2020, https://arxiv.org/abs/2004.11812; code psclklnk/spdl, commit dfd9429), also used by Klink,
    D'Eramo, Peters, Pajarinen, *On the Benefit of Optimal Transport for Curriculum Reinforcement
    Learning* (2023, https://arxiv.org/abs/2309.14091). There the target tasks are narrow displaced
    gates: position 2.5 and width 0.5, or positions -3 and 3 and width 0.5.

    A step lasts 0.1 s, ten substeps of h = 0.01 s with one action a:
    position += h velocity, then velocity += h (1.5 a - friction velocity + noise), both from the
    values before the substep. The noise has a standard deviation of 0.05 m/s² in each direction and
    substep. The position is clipped to the room; the velocity of a mass at the border is not.

    With ``gates`` = n > 1 there are n walls with a gate each, at equal distances between start and
    goal: a small maze. This is not in the source.

    ## Task parameters
    | name | range | default | unit | meaning |
    |---|---|---|---|---|
    | gate_position | [-4, 4] | 0 | m | x of the gate's middle |
    | gate_width | [0.5, 8] | 8 | m | width of the gate |
    | friction (with ``friction_varies``) | [0, 4] | 0 | 1/s | deceleration per velocity |

    With several gates they are ``gate_position_1``, ``gate_width_1``, ``gate_position_2`` and so
    on, in the order in which the mass meets them. ``task_bounds`` widens or narrows the ranges; a
    default outside them moves to the nearest bound.

    ## Action Space
    ``Box(-10, 10, (2,), float32)``: the push along x and y. Numbers beyond ±10 count as ±10.

    ## Observation Space
    ``Box((4 + parameters,), float32)``: x (m), velocity along x (m/s), y, velocity along y, then
    the task. Positions lie in [-4, 4], the task in its space, velocities are not bounded.

    ## Rewards
    exp(-0.6 distance) after each step, with the distance to the goal (0, -3) in metres.

    ## Starting State
    At rest at (0, 3). The seed decides only the noise.

    ## Episode End
    Termination: the mass crosses a wall outside its gate, in whichever direction; it stops where it
    hit. Reaching the goal does not end the episode. Truncation: after ``max_episode_steps`` steps.
    ``info`` holds ``success``, a distance to the goal below 0.25 m, and ``episode_return``, the sum
    of the rewards so far, at every step.

    ## Arguments
    - ``gates``: number of walls, at least 1.
    - ``friction_varies``: make friction the last parameter of the task.
    - ``friction``: in [0, 100], 1/s; the default of the parameter when it varies.
    - ``render_mode``: None, "rgb_array" or "human".
    - ``max_episode_steps``: when an episode is truncated; None: never, a mass may go on for ever.
    - ``task_bounds``: for example ``{"gate_width": (0.25, 8)}``; widths are at least 0, friction
      lies in [0, 100].

    ## Version History
    - v0: equal to the source but for these: the noise is drawn from 65536 values (their standard
      deviation is 0.99999, the largest 4.32) by seed and step, not from the global generator;
      truncation happens here; the task is part of the observation, as in the source's
      experiments, where a wrapper adds it; positions along a step are rounded in another order.
      Kept on purpose: a mass at the border keeps its velocity and stays until it has lost it.

    Raises:
        ValueError: an unknown mode or task parameter, a number out of range, a NaN action.
        ResetNeeded: the episode is over or none has begun.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array", "human"], "render_fps": 10}

    def __init__(
        self,
        gates: int = 1,
        render_mode: str | None = None,
        max_episode_steps: int | None = 100,
        task_bounds: Mapping[str, Sequence[float]] | None = None,
        *,
        friction: float = 0.0,
        friction_varies: bool = False,
    ):
        if render_mode not in (None, *self.metadata["render_modes"]):
            modes = " or ".join(repr(mode) for mode in self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or {modes}, but is {render_mode!r}")
        if gates < 1:
            raise ValueError(f"gates must be at least 1, but is {gates}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(
                f"max_episode_steps must be None or at least 1, but is {max_episode_steps}"
            )
        self.render_mode, self.max_episode_steps = render_mode, max_episode_steps
        self.friction, self.friction_varies = friction, friction_varies
        gap = (GOAL[1] - START[1]) / (gates + 1)
        self.walls = tuple(START[1] + gap * number for number in range(1, gates + 1))
        self.task_parameters = _parameters(gates, friction, friction_varies, task_bounds or {})
        motion = np.array([ROOM, np.inf, ROOM, np.inf])
        low = np.concatenate([-motion, self.task_space.low]).astype(np.float32)
        high = np.concatenate([motion, self.task_space.high]).astype(np.float32)
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.action_space = spaces.Box(-MAX_ACTION, MAX_ACTION, (2,), np.float32)
        self.alone = PointMassBatch(self, 1)
        self.trail: list[tuple[float, float]] = []  # places so far; only kept to be drawn
        self.crashed = False
        self._display: Any = None

    @classmethod
    def batch(cls, num_envs: int, **kwargs: Any) -> PointMassBatch:
        """Build ``num_envs`` worlds with the arguments ``kwargs`` that share their arrays."""
        return PointMassBatch(cls(**kwargs), num_envs)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Put the mass at the start, before the gates of ``options["task"]``."""
        task = self.begin(seed, options)
        if seed is None:
            seed = int(self.np_random.integers(2**63))
        seeds = np.array([seed % 2**64], dtype=np.uint64)
        observation = self.alone._reset(np.arange(1), task[None], seeds)[0]
        self.trail, self.crashed = [START], False
        if self.render_mode == "human":
            self.render()
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Push with ``action`` (2,) for 0.1 s."""
        result = self.alone.step(np.asarray(action)[None])
        self.crashed = bool(result.terminated[0])
        if self.render_mode is not None:
            self.trail.append(tuple(self.alone.position[:, 0].tolist()))
        if self.render_mode == "human":
            self.render()
        info = {
            "success": bool(result.success[0]),
            "episode_return": float(self.alone.episode_return[0]),
        }
        reward, truncated = float(result.rewards[0]), bool(result.truncated[0])
        return result.observations[0], reward, self.crashed, truncated, info

    def render(self) -> np.ndarray | None:
        """Return the room from above, (400, 400, 3) uint8; in "human" mode show it.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self.render_mode is None:
            logger.warn('render() needs a render mode: PointMass(render_mode="rgb_array")')
            return None
        if not self.trail:
            raise ResetNeeded("nothing to draw yet: call reset() before render()")
        # Pictures are rare and Pillow is slow to load.
        from environments.point_mass_picture import draw_room

        gates = self.alone.tasks[0, : 2 * len(self.walls)].reshape(-1, 2).tolist()
        picture = draw_room(self.walls, gates, self.trail, self.crashed)
        if self.render_mode == "rgb_array":
            return picture
        if self._display is None:
            from environments.window import Window

            self._display = Window("PointMass", picture.shape, self.metadata["render_fps"])
        self._display.show(picture)
        return None

    def close(self) -> None:
        """Close the window; closing twice is fine."""
        if self._display is not None:
            self._display.close()
            self._display = None


class PointMassBatch(VectorWorlds):
    """``num_envs`` worlds built like ``world``, as arrays with one column or row per world.

    Attributes: ``position``, ``velocity`` (2, num_envs) in m and m/s, ``tasks`` (num_envs,
    dimensions), ``episode_return`` (num_envs,), ``over`` (num_envs,) bool.
    """

    def __init__(self, world: PointMass, num_envs: int):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, but is {num_envs}")
        self._describe(world, num_envs)
        self.world = world
        self.limit = np.inf if world.max_episode_steps is None else world.max_episode_steps
        self.position, self.velocity = np.zeros((2, num_envs)), np.zeros((2, num_envs))
        self.tasks = np.tile(world.default_task, (num_envs, 1))
        self.keys = np.zeros(num_envs, dtype=np.uint64)
        self.steps = np.zeros(num_envs, dtype=np.int64)
        self.episode_return = np.zeros(num_envs)
        self.over = np.ones(num_envs, dtype=bool)
        self.closed = False

    def close(self) -> None:
        """Refuse further resets and steps; there is nothing else to free."""
        self.closed = True

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self._check_open()
        self.over[index] = True
        space = self.task_space
        inside = ((tasks >= space.low) & (tasks <= space.high)).all(axis=1)
        if not inside.all():
            self.world.begin(None, {"task": tasks[~inside][0]})  # raises the world's own error
        self.position[:, index] = np.array(START)[:, None]
        self.velocity[:, index] = 0.0
        self.tasks[index] = tasks
        self.keys[index] = _mix(seeds.astype(np.uint64) * INCREMENT + 1)
        self.steps[index] = 0
        self.episode_return[index] = 0.0
        self.over[index] = False
        return self._observe(index)

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self._check_open()
        if self.over[index].any():
            raise ResetNeeded("an episode is over, or none has begun: call reset() before step()")
        if np.isnan(actions).any():
            raise ValueError("an action holds NaN; the policy has probably diverged")
        pushes = (SUBSTEP * GAIN) * np.clip(actions.T.astype(np.float64), -MAX_ACTION, MAX_ACTION)
        impulses = _noise(self.keys[index], self.steps[index])
        impulses += pushes
        path, velocity = self._move(index, impulses)
        place, terminated = self._collide(index, path)
        velocity[:, terminated] = 0.0
        self.position[:, index], self.velocity[:, index] = place, velocity
        across, along = place[0] - GOAL[0], place[1] - GOAL[1]
        distance = np.sqrt(across * across + along * along)
        rewards = np.exp(-REWARD_DECAY * distance)
        self.steps[index] += 1
        self.episode_return[index] += rewards
        truncated = self.steps[index] >= self.limit
        self.over[index] = terminated | truncated
        success = distance < SUCCESS_DISTANCE
        return StepResult(self._observe(index), rewards, terminated, truncated, success)

    def _move(self, index: np.ndarray, impulses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Places (SUBSTEPS + 1, 2, k) along a step without walls, and the last velocity (2, k)."""
        path = np.empty((SUBSTEPS + 1, *impulses.shape[1:]))
        path[0] = self.position[:, index]
        velocity = self.velocity[:, index]
        varies = self.world.friction_varies
        friction = self.tasks[index, -1] if varies else self.world.friction
        kept = 1.0 - SUBSTEP * friction
        for before, after, impulse in zip(path, path[1:], impulses, strict=False):
            np.multiply(velocity, SUBSTEP, out=after)
            after += before
            np.maximum(after, -ROOM, out=after)
            np.minimum(after, ROOM, out=after)
            if varies or friction:
                velocity *= kept
            velocity += impulse
        return path, velocity

    def _collide(self, index: np.ndarray, path: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the masses are after the step (2, k), and which of them hit a wall (k,)."""
        place, crashed = path[-1].copy(), np.zeros(len(index), dtype=bool)
        lowest, highest = path[:, 1].min(axis=0), path[:, 1].max(axis=0)
        hits = []
        for number, wall in enumerate(self.world.walls):
            near = np.flatnonzero((lowest <= wall) & (highest >= wall))
            if near.size:
                gates = self.tasks[index[near], 2 * number : 2 * number + 2].T
                time, column, x = _hits(path[:, :, near], wall, *gates)
                hits.append((time, near[column], x, np.full(len(x), wall)))
        if hits:
            time, world, x, y = (np.concatenate(parts) for parts in zip(*hits, strict=True))
            # What came after the first hit never happened: the earliest is written last.
            late_first = np.argsort(-time, kind="stable")
            place[:, world[late_first]] = x[late_first], y[late_first]
            crashed[world] = True
        return place, crashed

    def _observe(self, index: np.ndarray) -> np.ndarray:
        observations = np.empty((len(index), *self.observation_space.shape), dtype=np.float32)
        observations[:, 0:4:2] = self.position[:, index].T
        observations[:, 1:4:2] = self.velocity[:, index].T
        observations[:, 4:] = self.tasks[index]
        return observations

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")


def _parameters(
    gates: int, friction: float, varies: bool, bounds: Mapping[str, Sequence[float]]
) -> tuple[TaskParameter, ...]:
    """The task parameters; what no physics could follow is refused."""
    used = []
    for number in range(1, gates + 1):
        end = f"_{number}" if gates > 1 else ""
        used += [
            TaskParameter(f"gate_position{end}", -4.0, 4.0, 0.0, "m", "x of the gate's middle"),
            TaskParameter(f"gate_width{end}", 0.5, 8.0, 8.0, "m", "width of the gate"),
        ]
    slow = TaskParameter("friction", 0.0, 4.0, friction, "1/s", "deceleration per velocity")
    if not 0.0 <= friction <= 1 / SUBSTEP:
        raise ValueError(f"friction must be between 0 and {1 / SUBSTEP:g}, but is {friction}")
    parameters = bounded([*used, slow] if varies else used, [] if varies else [slow], bounds)
    for one in parameters:
        high = 1 / SUBSTEP if one.name == "friction" else np.inf
        if not one.name.startswith("gate_position") and not 0.0 <= one.low < one.high <= high:
            raise ValueError(
                f"task_bounds of {one.name} must lie between 0 and {high:g}, "
                f"but are ({one.low}, {one.high})"
            )
    return parameters


@functools.cache
def _kicks() -> np.ndarray:
    """65536 equally likely changes of velocity by the noise of a substep, m/s."""
    size = 2**BITS
    inverse = NormalDist(0.0, SUBSTEP * NOISE).inv_cdf
    upper = np.array([inverse((k + 0.5) / size) for k in range(size // 2, size)])
    return np.concatenate([-upper[::-1], upper])


def _mix(z: np.ndarray) -> np.ndarray:
    """The output function of SplitMix64, in place on uint64."""
    z ^= z >> 30
    z *= 0xBF58476D1CE4E5B9
    z ^= z >> 27
    z *= 0x94D049BB133111EB
    z ^= z >> 31
    return z


def _noise(keys: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Changes of velocity (SUBSTEPS, 2, k) in a step, from the keys and step numbers (k,)."""
    counters = steps.astype(np.uint64) * HASHES + np.arange(1, HASHES + 1, dtype=np.uint64)[:, None]
    hashes = _mix(counters * INCREMENT + keys)
    lanes = (hashes >> LANES) & (2**BITS - 1)
    return _kicks().take(lanes.view(np.int64)).reshape(SUBSTEPS, 2, len(keys))


def _hits(
    path: np.ndarray, wall: float, position: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where paths (SUBSTEPS + 1, 2, k) cross y = ``wall`` outside their gates (k,).

    Returns:
        For each hit, its time in substeps, its column of ``path`` and its x.
    """
    x, y = path[:, 0], path[:, 1]
    above, below = y > wall, y < wall
    substep, column = np.nonzero((~above[:-1] & above[1:]) | (~below[:-1] & below[1:]))
    start = y[substep, column]
    share = (wall - start) / (y[substep + 1, column] - start)
    crossing = share * x[substep + 1, column] + (1.0 - share) * x[substep, column]
    hit = np.abs(crossing - position[column]) > 0.5 * width[column]
    return (substep + share)[hit], column[hit], crossing[hit]

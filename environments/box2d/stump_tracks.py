"""StumpTracks: a walker on a track of stumps, the first procedural world of TeachMyAgent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import logger, spaces
from gymnasium.error import ResetNeeded

from environments.base import ProceduralEnv, TaskParameter
from environments.box2d import lidar
from environments.box2d.body import BodyPlan, Walker
from environments.box2d.engine import (
    FPS,
    MAX_PUSH,
    POSITION_ITERATIONS,
    SCALE,
    TERRAIN_STEP,
    TERRAIN_STEPS,
    TIME_STEP,
    VELOCITY_ITERATIONS,
    add_scenery,
    build_world,
)
from environments.box2d.terrain import Terrain, generate

# Bodies whose every recording is met bit for bit.
BODIES = (
    "classic_bipedal",
    "old_classic_bipedal",
    "small_bipedal",
    "big_quadru",
    "spider",
    "wheel",
    "profile_chimpanzee",
)
FINISH_LINE = (TERRAIN_STEPS - 10) * TERRAIN_STEP  # m
FALL_REWARD = -100.0
SUCCESS_RETURN = 230.0
TASK_PARAMETERS = (
    TaskParameter(
        "stump_height", 0.0, 3.0, 0.0, "0.467 m", "mean height; a stump draws from N(height, 0.1)"
    ),
    TaskParameter(
        "obstacle_spacing", 0.0, 6.0, 6.0, "m", "flat stretch after each stump, at least 0.01 m"
    ),
)


class StumpTracks(ProceduralEnv):
    """A walker crosses a track whose stumps are as high and as close as the task says.

    ## Description
    A two-dimensional walker with motors in its joints starts on a flat pad and walks to the right.
    The track is 93.3 m long. From 9.3 m on, stumps of random height stand on it, one every
    ``obstacle_spacing`` metres. Source: Romac, Portelas, Hofmann, Oudeyer, *TeachMyAgent: a
    Benchmark for Automatic Curriculum Learning in Deep RL* (ICML 2021,
    https://arxiv.org/abs/2103.09815). Given the same terrain and push, and a new Box2D world per
    episode, poses equal those of the reference (commit ce15344) bit for bit; the lidar is computed
    in double precision and differs by less than 3e-6.

    ## Task parameters
    | name | range | default | unit | meaning |
    |---|---|---|---|---|
    | stump_height | [0, 3] | 0 | 0.467 m | mean height; each stump draws from N(height, 0.1) |
    | obstacle_spacing | [0, 6] | 6 | m | flat stretch after each stump, at least 0.01 m |

    ``task_bounds`` widens or narrows the ranges; a default outside them moves to the nearest bound.

    ## Action Space
    ``Box(-1, 1, (motors,), float32)``: one number per motor. The sign is the direction in which the
    motor turns at its fixed speed (hips 4, knees 6 rad/s), the size is the share of its greatest
    torque. Numbers beyond ±1 count as ±1. The classic bipeds have four motors: hip and knee of one
    leg, hip and knee of the other.

    ## Observation Space
    ``Box(-inf, inf, (size,), float32)``; 24 numbers for the classic bipeds. The same in double
    precision is kept in ``observation64``.

    | index | quantity | unit |
    |---|---|---|
    | 0 | angle of the reference body (the hull, or the head of a chimpanzee) | rad |
    | 1 | its angular velocity · 2/50 | rad/s |
    | 2, 3 | its horizontal velocity · 0.12, vertical velocity · 0.08 | m/s |
    | then per motor | joint angle + correction (1 for knees, else 0) | rad |
    | | joint speed / motor speed | 1 |
    | | only for the last part of a limb: 1 if it touches something, else 0 | 1 |
    | last 10 | lidar: free share of a 5.33 m ray, from straight down to 1.35 rad forward | 1 |

    ## Rewards
    130/30 per metre forward, minus 5 per radian by which the reference body leans more than before
    (not for wheel and profile_chimpanzee), minus a price per motor at full effort (0.028 for the
    bipeds). A fall replaces the step's reward by -100. Crossing the whole track is worth 364 before
    costs; ``success`` means a return above 230.

    ## Starting State
    The walker stands at x = 4.67 m. A horizontal push of up to 5 N, drawn uniformly, acts on its
    reference body in the first engine step, which is played with a zero action inside ``reset``.

    ## Episode End
    Termination: (1) a critical part (the hull; head and trunk of a chimpanzee) touches something;
    (2) the reference body is left of x = 0; (3) it is right of the finish line, x = 88.67 m.
    Truncation: after ``max_episode_steps`` steps (2000).
    ``info`` holds ``success`` and ``episode_return``, the sum of the rewards so far, at every step.

    ## Arguments
    - ``body``: one of ``BODIES``; old_classic_bipedal is the body of the published benchmark.
    - ``render_mode``: None or "rgb_array".
    - ``max_episode_steps``: when an episode is truncated.
    - ``task_bounds``: for example ``{"stump_height": (0, 9)}``.
    - ``stump_width``, ``stump_rotation``: None, or mean and standard deviation (0.467 m, rad);
      ``roughness``: half width of the ground's bends, px. Not part of the task.

    ## Version History
    - v1: exact against the reference. Quirks kept on purpose: one contact flag per part, cleared by
      the end of any of its contacts; stumps stand even at height 0 or below (2.3 cm at least); for
      spacing 6 the ground ends 1.27 m before the finish line; a zero-length edge where the pad
      ends; success asks for the return, not for the finish line; -100 replaces the step's reward;
      a fall during ``reset`` counts in the first step; falling off the track does not end the
      episode; joints start outside their limits and snap in the first engine step; both legs start
      at the same place.
      Changed: all draws come from the environment's generator, widths and rotations after the
      height of their stump, none for clouds; a new Box2D world per episode; truncation happens
      here, not in the student; widths and rotations are settings, not dimensions of the task.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}

    def __init__(
        self,
        body: str = "old_classic_bipedal",
        render_mode: str | None = None,
        max_episode_steps: int = 2000,
        task_bounds: Mapping[str, Sequence[float]] | None = None,
        *,
        stump_width: tuple[float, float] | None = None,
        stump_rotation: tuple[float, float] | None = None,
        roughness: float = 0.0,
    ):
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise ValueError(f"render_mode must be None or 'rgb_array', but is {render_mode!r}")
        if max_episode_steps < 1:
            raise ValueError(f"max_episode_steps must be at least 1, but is {max_episode_steps}")
        self.plan = BodyPlan.load(body, "StumpTracks", BODIES)
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self.task_parameters = _bounded(task_bounds or {})
        self.terrain_options = {
            "stump_width": stump_width,
            "stump_rotation": stump_rotation,
            "roughness": roughness,
        }
        size = self.plan.state_size + lidar.NUM_RAYS
        self.observation_space = spaces.Box(-np.inf, np.inf, (size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (self.plan.action_size,), np.float32)
        self.terrain: Terrain | None = None
        self.walker: Walker | None = None
        self.over = True
        self._world: Any = None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a track for ``options["task"]`` and place the walker on it."""
        height, spacing = self.begin(seed, options).tolist()
        terrain = generate(self.np_random, height, spacing, **self.terrain_options)
        return self.reset_scene(terrain, self.np_random.uniform(-MAX_PUSH, MAX_PUSH))

    def reset_scene(
        self, terrain: Terrain, push: float = 0.0, *, run_on: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode on a finished track, without any draw; for replaying recorded scenes.

        Args:
            terrain: the track.
            push: horizontal force on the reference body during the first engine step, N.
            run_on: keep stepping after the episode has ended, as the reference does.
        """
        self.close()
        self.terrain = terrain
        self._run_on = run_on
        self._table = lidar.LidarTable(terrain.ground, terrain.stumps)
        self._world = build_world()
        add_scenery(self._world, terrain.stumps, terrain.ground)
        self.walker = Walker(self.plan, self._world)
        self.walker.head.ApplyForceToCenter((float(push), 0.0), True)
        self._advance = self._world.Step
        self.over = False
        self.steps, self.episode_return = 0, 0.0
        self._move([0.0] * self.plan.action_size)
        observation = _observe([self])[0]
        self._shaping = self._shape()
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one step of 1/50 s.

        Raises:
            ResetNeeded: the episode is over or none has begun.
            ValueError: the action has another shape or holds NaN.
        """
        return self.step_many([self], np.asarray(action)[None])[0]

    @classmethod
    def step_many(
        cls, worlds: Sequence[StumpTracks], actions: np.ndarray
    ) -> list[tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        """Step several worlds with bodies of one size; their lidars are read in one call.

        Args:
            worlds: the worlds (n), each at most once.
            actions: (n, motors), float32 or float64.

        Returns:
            What ``step`` returns for each world, bit for bit.

        Raises:
            ResetNeeded: one of the episodes is over; no world has moved then.
            ValueError: the actions do not fit or hold NaN; no world has moved then.
        """
        if not worlds:
            return []
        actions = np.asarray(actions, dtype=np.float64)
        _check(worlds, actions)
        efforts = [
            world._move(action) for world, action in zip(worlds, actions.tolist(), strict=True)
        ]
        observations = _observe(worlds)
        return [
            (observation, *world._judge(effort))
            for world, observation, effort in zip(worlds, observations, efforts, strict=True)
        ]

    def _move(self, action: list[float]) -> list[float]:
        """Motors and engine; returns the effort of each motor."""
        walker = self.walker
        efforts = walker.drive(action)
        self._advance(TIME_STEP, VELOCITY_ITERATIONS, POSITION_ITERATIONS)
        self._x, self._y = walker.place()
        self._state = walker.sense()
        return efforts

    def _shape(self) -> float:
        """The potential whose growth is rewarded."""
        shaping = 130 * self._x / SCALE
        return shaping - 5.0 * abs(self._state[0]) if self.plan.penalises_angle else shaping

    def _judge(self, efforts: list[float]) -> tuple[float, bool, bool, dict[str, Any]]:
        """Reward and end of the step just moved."""
        shaping = self._shape()
        reward = shaping - self._shaping
        self._shaping = shaping
        price = self.plan.torque_price
        for effort in efforts:
            reward -= price * effort
        fallen = self.walker.contacts.fallen or self._x < 0
        if fallen:
            reward = FALL_REWARD
        terminated = fallen or self._x > FINISH_LINE
        self.steps += 1
        self.episode_return += reward
        truncated = self.steps >= self.max_episode_steps and not self._run_on
        self.over = (terminated or truncated) and not self._run_on
        info = {
            "success": self.episode_return > SUCCESS_RETURN,
            "episode_return": self.episode_return,
        }
        return reward, terminated, truncated, info

    def render(self) -> np.ndarray | None:
        """Return the scene around the walker, (400, 600, 3) uint8."""
        if self.render_mode is None:
            logger.warn('render() needs a render mode: StumpTracks(render_mode="rgb_array")')
            return None
        if self.walker is None:
            raise ResetNeeded("nothing to draw yet: call reset() before render()")
        # Pictures are rare and Pillow is slow to load.
        from environments.box2d.render import draw_scene

        return draw_scene(self.terrain, self.walker, self.observation64[-lidar.NUM_RAYS :])

    def close(self) -> None:
        """Free the engine's world; the contact listener must outlive the engine's use of it."""
        if self._world is not None:
            self._world.contactListener = None
        self.walker = self._advance = self._world = None
        self.over = True


def _bounded(bounds: Mapping[str, Sequence[float]]) -> tuple[TaskParameter, ...]:
    """The task parameters with other bounds."""
    known = [parameter.name for parameter in TASK_PARAMETERS]
    unknown = sorted(set(bounds) - set(known))
    if unknown:
        raise ValueError(f"task_bounds names {unknown}, but the task parameters are {known}")
    parameters = []
    for one in TASK_PARAMETERS:
        low, high = (float(end) for end in bounds.get(one.name, (one.low, one.high)))
        if not (np.isfinite([low, high]).all() and low < high):
            raise ValueError(
                f"task_bounds of {one.name} must be finite with low < high, but are ({low}, {high})"
            )
        default = min(max(one.default, low), high)
        parameters.append(TaskParameter(one.name, low, high, default, one.unit, one.meaning))
    return tuple(parameters)


def _check(worlds: Sequence[StumpTracks], actions: np.ndarray) -> None:
    """Refuse a step before anything has moved."""
    for world in worlds:
        if world.over:
            raise ResetNeeded("the episode is over, or none has begun: call reset() before step()")
    expected = (len(worlds), *worlds[0].action_space.shape)
    if actions.shape != expected:
        raise ValueError(
            f"step expects one action of shape {expected[1:]} per world, "
            f"but got an array of shape {actions.shape[1:]} for {len(worlds)} world(s)"
        )
    if np.isnan(actions).any():
        raise ValueError("an action holds NaN; the policy has probably diverged")


def _observe(worlds: Sequence[StumpTracks]) -> np.ndarray:
    """Observations (n, size) of worlds that have just moved, in the declared type."""
    rays = lidar.scan(
        [world._table for world in worlds],
        [world._x for world in worlds],
        [world._y for world in worlds],
    )
    observations = np.concatenate([[world._state for world in worlds], rays], axis=1)
    for world, observation in zip(worlds, observations, strict=True):
        world.observation64 = observation
    return observations.astype(np.float32)

"""What the Box2D worlds share: a body is driven along a track, and paid for every metre."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from gymnasium import logger, spaces
from gymnasium.error import ResetNeeded

from environments.base import ProceduralEnv
from environments.box2d import lidar
from environments.box2d.body import BodyPlan, Embodiment
from environments.box2d.contacts import Contacts
from environments.box2d.engine import (
    FPS,
    POSITION_ITERATIONS,
    SCALE,
    TIME_STEP,
    VELOCITY_ITERATIONS,
    Scenery,
    build_world,
)

FALL_REWARD = -100.0
SUCCESS_RETURN = 230.0


class TrackWorld(ProceduralEnv):
    """A body on a track. A subclass draws the scene, furnishes the engine's world and documents.

    Attributes:
        plan: the body before it is built; ``embodiment``: the built one, None before a reset.
        scene: the terrain of the episode, None before the first reset.
        observation64: the last observation (size,) in double precision.
        steps, episode_return: of the episode so far.
    """

    metadata: ClassVar[dict[str, Any]] = {
        "render_modes": ["rgb_array", "human"],
        "render_fps": FPS,
    }
    finish_line: ClassVar[float]  # m
    stretch: ClassVar[float] = float("inf")  # m, see LidarTable

    def __init__(
        self,
        plan: BodyPlan,
        layout: lidar.Layout,
        observation_size: int,
        render_mode: str | None,
        max_episode_steps: int | None,
        quirks: bool,
    ):
        if render_mode not in (None, *self.metadata["render_modes"]):
            modes = " or ".join(repr(mode) for mode in self.metadata["render_modes"])
            raise ValueError(f"render_mode must be None or {modes}, but is {render_mode!r}")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(
                f"max_episode_steps must be None or at least 1, but is {max_episode_steps}"
            )
        self.plan, self.layout, self.quirks = plan, layout, quirks
        self.render_mode = render_mode
        self.max_episode_steps = max_episode_steps
        self._limit = float("inf") if max_episode_steps is None else max_episode_steps
        self.observation_space = spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (plan.action_size,), np.float32)
        self.scene: Any = None
        self.embodiment: Embodiment | None = None
        self.over = True
        self._world: Any = None
        self._display: Any = None

    @abstractmethod
    def _edges(self, scene: Any) -> lidar.Edges:
        """What the lidar can hit."""

    @abstractmethod
    def _furnish(self, scenery: Scenery, scene: Any) -> None:
        """Build the scene in the engine."""

    @abstractmethod
    def _listen(self) -> Contacts:
        """A contact listener for the furnished world."""

    def reset_scene(
        self, scene: Any, push: float = 0.0, *, run_on: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode on a finished scene, without any draw; for replaying recorded ones.

        Args:
            scene: the terrain.
            push: horizontal force on the body during the first engine step, N.
            run_on: keep stepping after the episode has ended, as the reference does.
        """
        self._free()
        self.scene = scene
        self._run_on = run_on
        self._table = lidar.LidarTable(self._edges(scene), self.layout, self.stretch)
        self._world = build_world()
        self._furnish(Scenery(self._world), scene)
        self.embodiment = Embodiment(self.plan, self._world, self._listen())
        self.embodiment.push(push)
        self._advance = self._world.Step
        self.over = False
        self.steps, self.episode_return = 0, 0.0
        observation = self._settle()
        self._shaping = self._shape()
        if self.render_mode == "human":
            self.render()
        return observation, {}

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Play one step of 1/50 s.

        Raises:
            ResetNeeded: the episode is over or none has begun.
            ValueError: the action has another shape or holds NaN.
        """
        result = self.step_many([self], np.asarray(action)[None])[0]
        if self.render_mode == "human":
            self.render()
        return result

    @classmethod
    def step_many(
        cls, worlds: Sequence[TrackWorld], actions: np.ndarray
    ) -> list[tuple[np.ndarray, float, bool, bool, dict[str, Any]]]:
        """Step several worlds with bodies of one size; their lidars are read in one call.

        Args:
            worlds: the worlds (n), each at most once.
            actions: (n, action size), float32 or float64.

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
        observations = cls._observe(worlds)
        return [
            (observation, *world._judge(effort))
            for world, observation, effort in zip(worlds, observations, efforts, strict=True)
        ]

    def _settle(self) -> np.ndarray:
        """Play what a reset plays, one step without action; return the first observation."""
        self._move([0.0] * self.plan.action_size)
        return self._observe([self])[0]

    def _move(self, action: list[float]) -> list[float]:
        """Motors and engine; returns the effort of each entry of the action."""
        embodiment = self.embodiment
        efforts = embodiment.drive(action)
        self._advance(TIME_STEP, VELOCITY_ITERATIONS, POSITION_ITERATIONS)
        self._x, self._y = embodiment.place()
        self._state = embodiment.sense()
        return efforts

    @classmethod
    def _observe(cls, worlds: Sequence[TrackWorld]) -> np.ndarray:
        """Observations (n, size) of worlds that have just moved, in the declared type."""
        xs, ys = [world._x for world in worlds], [world._y for world in worlds]
        rays = lidar.scan([world._within_reach() for world in worlds], xs, ys)
        observations = np.concatenate([[world._state for world in worlds], rays], axis=1)
        for world, observation, row in zip(worlds, observations, rays, strict=True):
            world.observation64, world.rays = observation, row
        return observations.astype(np.float32)

    def _within_reach(self) -> np.ndarray:
        """The columns of what the rays could hit now."""
        return self._table.window(self._x)

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
        fallen = self.embodiment.contacts.fallen or self._x < 0
        if fallen:
            reward = FALL_REWARD
        terminated = fallen or self._x > self.finish_line or self._given_up()
        self.steps += 1
        self.episode_return += reward
        truncated = self.steps >= self._limit and not self._run_on
        self.over = (terminated or truncated) and not self._run_on
        info = {
            "success": self.episode_return > SUCCESS_RETURN,
            "episode_return": self.episode_return,
        }
        return reward, terminated, truncated, info

    def _given_up(self) -> bool:
        """Whether the episode ends although nothing has fallen or arrived."""
        return False

    def render(self) -> np.ndarray | None:
        """Return the scene around the body, (400, 600, 3) uint8; in "human" mode show it.

        Raises:
            ResetNeeded: no episode has begun.
        """
        if self.render_mode is None:
            name = type(self).__name__
            logger.warn(f'render() needs a render mode: {name}(render_mode="rgb_array")')
            return None
        if self.embodiment is None:
            raise ResetNeeded("nothing to draw yet: call reset() before render()")
        # Pictures are rare and Pillow is slow to load.
        from environments.box2d.render import draw_scene

        picture = draw_scene(self)
        if self.render_mode == "rgb_array":
            return picture
        if self._display is None:
            from environments.window import Window

            self._display = Window(type(self).__name__, picture.shape, FPS)
        self._display.show(picture)
        return None

    def close(self) -> None:
        """Free the engine's world and the window; closing twice is fine."""
        self._free()
        if self._display is not None:
            self._display.close()
            self._display = None

    def _free(self) -> None:
        """Free the engine's world; the contact listener must outlive the engine's use of it."""
        if self._world is not None:
            self._world.contactListener = None
        self.embodiment = self._advance = self._world = None
        self.over = True


def _check(worlds: Sequence[TrackWorld], actions: np.ndarray) -> None:
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

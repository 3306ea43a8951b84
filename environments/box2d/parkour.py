"""Parkour: walk, climb or swim through a corridor, the second procedural world of TeachMyAgent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments.box2d import corridor, lidar
from environments.box2d.body import HEAD_ENTRIES, BodyPlan
from environments.box2d.climbing import Grips, ParkourContacts
from environments.box2d.corridor import Corridor, Creepers
from environments.box2d.corridor_bodies import box_around, build
from environments.box2d.engine import (
    MAX_PUSH,
    POSITION_ITERATIONS,
    START_PAD_STEPS,
    TERRAIN_STEP,
    TERRAIN_STEPS,
    TIME_STEP,
    VELOCITY_ITERATIONS,
    Scenery,
)
from environments.box2d.track import TrackWorld
from environments.box2d.water import Water
from environments.parameters import bounded, one_of

FINISH_LINE = (START_PAD_STEPS + TERRAIN_STEPS - 5) * TERRAIN_STEP  # m
HANGING_STEPS = 6  # a reset plays them with closed grips and idle motors
LAYOUT_OF = {"walker": "down", "climber": "up", "swimmer": "full", "amphibian": "full"}
SURFACE = np.array([0.0, 1.0, -1.0])  # what is observed of TERRAIN, CREEPER and WATER


class Parkour(TrackWorld):
    """A body makes its way through a corridor with creepers that hang into it and water below.

    ## Description
    Ground and ceiling of the corridor, 102.2 m long, are drawn by a network with fixed weights
    whose input is part of the task. Creepers hang from the ceiling: they never push, but climbers
    can hold on to them as to the ceiling. Water fills the corridor up to a level; it carries, drags
    and lets walkers and climbers drown, while fish suffocate outside of it. Source: Romac,
    Portelas, Hofmann, Oudeyer, *TeachMyAgent: a Benchmark for Automatic Curriculum Learning in Deep
    RL* (ICML 2021, https://arxiv.org/abs/2103.09815). Given the same corridor and push, and a new
    Box2D world per episode, dry episodes equal those of the reference (commit ce15344) bit for bit
    in poses; in water, whose forces are computed in double precision, they part by 1e-6 in a step.

    ## Task parameters
    | name | range | default | unit | meaning |
    |---|---|---|---|---|
    | input_vector_0 | [-0.35, 0.05] | -0.15 | 1 | first input of the network |
    | input_vector_1 | [0.6, 1] | 0.9 | 1 | second input |
    | input_vector_2 | [-0.1, 0.3] | 0.1 | 1 | third input |
    | water_level | [0, 1] | 0 (fish 1, amphibian 0.5) | 1 | surface, as a share of the height |
    | creepers_height | [0, 4] | 0 | m | mean length; each draws from N(length, 0.1) |
    | creepers_spacing | [0, 5] | 5 | m | free stretch between two creepers |

    Heights of the water run from the bottom of the world, -100 m at the usual scale, to the highest
    ceiling: the start pad floods above 0.84. Two further parameters join the task, in the place
    where the published vectors of eight numbers have them, when ``task_bounds`` names them:
    ``creepers_width`` [0, 2] m before ``creepers_height``, and last ``terrain_cppn_scale`` [2, 50],
    by which the network's output is divided. ``task_bounds`` also widens or narrows the ranges; a
    default outside them moves to the nearest bound. Not every task can be solved.

    ## Action Space
    ``Box(-1, 1, (size,), float32)``: one number per motor as in StumpTracks; last, one per grip of
    a climber: above 0 it holds what it touches, otherwise it lets go.

    ## Observation Space
    ``Box(-inf, inf, (size,), float32)``; 36 numbers for the classic bipeds. The same in double
    precision is kept in ``observation64``.

    | index | quantity | unit |
    |---|---|---|
    | 0 | angle of the reference body (the hull, or the head of a chimpanzee) | rad |
    | 1 | its angular velocity · 2/50 | rad/s |
    | 2, 3 | its horizontal velocity · 0.12, vertical velocity · 0.08 | m/s |
    | 4 | 1 if it is under water | 1 |
    | 5 | 1 if the body has drowned or suffocated | 1 |
    | then per motor | joint angle + correction (1 for knees, else 0) | rad |
    | | joint speed / motor speed | 1 |
    | | only for the last part of a limb: 1 if it touches something, else 0 | 1 |
    | climbers, per grip | touches something to hold, holds it | 1 |
    | next 10 | lidar: free share of a 5.33 m ray | 1 |
    | last 10 | what the ray meets: -1 water, 1 creeper, 0 anything else | 1 |

    Rays point from straight down to 1.35 rad forward (walkers), from 1.5 to 3.57 rad, that is
    forward and up (climbers), or from 0 to 0.9 π (fish, amphibian).

    ## Rewards
    As in StumpTracks: 130/30 per metre forward, minus 5 per radian by which the reference body
    leans more than before (not for fish, wheel and chimpanzees), minus a price per entry of the
    action at full size. A fall replaces the step's reward by -100. The whole track is worth 415
    before costs; ``success`` means a return above 230.

    ## Starting State
    The body stands at x = 4.67 m; a climber hangs from the ceiling by its grips, for which six
    steps are played inside ``reset``, for others one. A horizontal push of up to 5 N, drawn
    uniformly, acts in the first of them.

    ## Episode End
    Termination: (1) a critical part touches something but ceiling and creepers: head and trunk of a
    chimpanzee, also the lower legs of the one that climbs with legs; other bodies have none; (2)
    the reference body is left of x = 0; (3) it is right of the finish line, x = 100.33 m.
    Truncation: after ``max_episode_steps`` steps (2000). A body whose head was under water (fish:
    outside) for more than ``breath_steps`` steps in a row no longer moves by itself.
    ``info`` holds ``success`` and ``episode_return``, the sum of the rewards so far, at every step.

    ## Arguments
    - ``body``: one of the 13 in ``environments.box2d.body.BODIES``; the published benchmark uses
      old_classic_bipedal, climbing_profile_chimpanzee and fish.
    - ``render_mode``: None, "rgb_array" or "human".
    - ``max_episode_steps``: when an episode is truncated; None: never.
    - ``task_bounds``: for example ``{"water_level": (0, 0.2), "terrain_cppn_scale": (10, 20)}``.
    - ``area``: ranges of the input vector, "easy" [-0.25, -0.05] [0.8, 1] [0, 0.2], "medium" as
      above, or "whole" [-1, 1]³.
    - ``creepers``: "fixed", "movable" (chains of segments that swing) or "none", without their
      parameters.
    - ``creepers_width`` (0.25 m), ``terrain_cppn_scale`` (10): what they are if not in the task.
    - ``clearance``: smallest height of the corridor times the scale, m; 0 lets it close.
    - ``lidar_layout``: "down", "up" or "full" instead of the body's own.
    - ``breath_steps``: for how many steps a body holds its breath.
    - ``max_push``: limit of each component of a stroke's push, N.
    - ``motors_torque``: greatest torque of every motor, N m; None: the body's own.
    - ``body_size``: segments of a millipede (4; 1 to 10), pairs of legs of a spider (2; 1 to 6) or
      scale of a wheel's trunk (1; 0.25 to 3); None: the first of these. No other body takes it. A
      motor of a millipede or spider costs 0.028 divided by their number at full effort.
    - ``quirks``: keep what v1 mends.

    ## Version History
    - v0 (``quirks=True``): exact against the reference. Kept on purpose: one contact flag per part,
      cleared by the end of any contact, even one with a creeper; a ray that meets nothing keeps the
      surface that it met last; creepers stand one step of 0.47 m farther apart than asked, rounded
      up to whole steps, and are 0.2 m wide and long where the task says 0; a dead body idles until
      the time limit; the walking chimpanzee is the only walker with critical parts; grips compare
      with where a movable creeper hung at first; water pushes by an empirical rule; grips never
      float; walkers see the water from above and not from below; the corridor may close;
      old_classic_bipedal starts 0.23 m higher than in StumpTracks; the published test sets of
      walking and half of swimming use scale 20 while training uses 10; and what StumpTracks keeps.
      Mended at once: as in StumpTracks, body sizes included; amphibians have a lidar; the scale
      is what the task or the argument says; a listener never hears another world.
    - v1 (``quirks=False``): contacts are counted and creepers are not felt; surfaces are those of
      the last scan; creepers stand as asked, none where width or length is 0; death ends the
      episode; no walker has critical parts; grips compare with present positions.

    Raises:
        ValueError: an unknown body, mode, choice or task parameter, a number out of range, or a
            size for a body that has only one.
    """

    finish_line = FINISH_LINE
    stretch = 16.0

    def __init__(
        self,
        body: str = "old_classic_bipedal",
        render_mode: str | None = None,
        max_episode_steps: int | None = 2000,
        task_bounds: Mapping[str, Sequence[float]] | None = None,
        *,
        area: str = "medium",
        creepers: str = "fixed",
        creepers_width: float = 0.25,
        terrain_cppn_scale: float = 10.0,
        clearance: float = 0.0,
        lidar_layout: str | None = None,
        breath_steps: int = 600,
        max_push: float = 20.0,
        motors_torque: float | None = None,
        body_size: float | None = None,
        quirks: bool = True,
    ):
        plan = BodyPlan.load(body, "Parkour", quirks=quirks, torque=motors_torque, size=body_size)
        layout = LAYOUT_OF[plan.kind] if lidar_layout is None else lidar_layout
        for name, choice, known in (
            ("lidar_layout", layout, lidar.LAYOUTS),
            ("area", area, corridor.AREAS),
            ("creepers", creepers, corridor.CREEPERS),
        ):
            one_of(name, choice, known)
        if terrain_cppn_scale <= 1 or creepers_width < 0 or breath_steps < 0 or max_push < 0:
            raise ValueError(
                "expected terrain_cppn_scale above 1 and creepers_width, breath_steps and max_push "
                f"of at least 0, but they are {terrain_cppn_scale}, {creepers_width}, "
                f"{breath_steps} and {max_push}"
            )
        size = plan.state_size + 2 + 2 * lidar.NUM_RAYS
        super().__init__(plan, lidar.LAYOUTS[layout], size, render_mode, max_episode_steps, quirks)
        self.creepers, self.clearance = creepers, clearance
        self.settings = {
            "creepers_width": creepers_width,
            "terrain_cppn_scale": terrain_cppn_scale,
        }
        self.breath_steps, self.max_push = breath_steps, max_push
        self.task_parameters = bounded(
            *corridor.task_parameters(area, creepers, plan.kind, task_bounds or {}),
            task_bounds or {},
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a corridor for ``options["task"]`` and place the body in it."""
        values = self.begin(seed, options)
        names = [parameter.name for parameter in self.task_parameters]
        task = self.settings | dict(zip(names, values.tolist(), strict=True))
        creepers = None
        if self.creepers != "none":
            sizes = ("creepers_width", "creepers_height", "creepers_spacing")
            creepers = Creepers(*(task[name] for name in sizes))
        scene = corridor.generate(
            self.np_random,
            values[:3],
            water_level=task["water_level"],
            creepers=creepers,
            scale=task["terrain_cppn_scale"],
            movable=self.creepers == "movable",
            clearance=self.clearance,
            quirks=self.quirks,
        )
        return self.reset_scene(scene, self.np_random.uniform(-MAX_PUSH, MAX_PUSH))

    def _edges(self, scene: Corridor) -> lidar.Edges:
        """Ground, ceiling, fixed creepers, and the water's surface cut into pieces.

        A surface in one piece would be in every window. Below the ground no ray meets it.
        """
        over = np.flatnonzero(np.minimum(scene.ground[1:], scene.ground[:-1]) < scene.water)
        surface = np.stack([scene.x, np.full(len(scene.x), scene.water)], axis=1)
        edges = lidar.Edges().add_line(np.stack([scene.x, scene.ground], axis=1))
        edges.add_line(np.stack([scene.x, scene.ceiling], axis=1))
        edges.add(surface[over + 1], surface[over], True, lidar.WATER)
        if not scene.movable:
            edges.add_polygons(scene.creeper_corners, lidar.CREEPER)
        return edges

    def _furnish(self, scenery: Scenery, scene: Corridor) -> None:
        climber = self.plan.kind == "climber"
        self._holds, self._movable = build(scenery, scene, gripped=climber)

    def _listen(self) -> ParkourContacts:
        return ParkourContacts(self.plan.critical, self.plan.grips, self._holds, self.quirks)

    def _settle(self) -> np.ndarray:
        """One step without action; climbers first take hold of the ceiling."""
        self.surfaces = np.zeros(lidar.NUM_RAYS)
        self._under = self._outside = 0
        self.dead = False
        self._water = Water(self.embodiment, self.scene.water, self.max_push)
        self._grips = None
        action = [0.0] * self.plan.action_size
        steps = 1
        if self.plan.kind == "climber":
            self._grips = Grips(self.embodiment, self.embodiment.contacts, self._outline)
            self._lift()
            action[len(self.plan.motors) :] = [1.0] * len(self.plan.grips)
            steps = HANGING_STEPS
        moments = []
        for _ in range(steps):
            self._drive(action)
            moments.append((self._within_reach(), self._x, self._y))
        self._feel()
        # Also what the rays met on the way counts: it is remembered.
        rays, kinds = lidar.scan_kinds(*zip(*moments, strict=True))
        for row, kind in zip(rays, kinds, strict=True):
            self._see(row, kind)
        self._under = self._outside = 0
        self.observation64 = np.concatenate([self._state, self.rays, self.surfaces])
        return self.observation64.astype(np.float32)

    def _lift(self) -> None:
        """Move a climber up until its grips are at the ceiling."""
        parts, grips = self.embodiment.parts, self.plan.grips
        height = float(self.scene.ceiling[0])
        rise = height - parts[grips[-1]].position.y
        for number, part in enumerate(parts):
            place = part.position
            part.position = (place.x, height if number in grips else place.y + rise)

    def _outline(self, hold: int) -> tuple[float, float, float, float]:
        """The box with which a grip is compared."""
        body, creeper, corners = self._holds[hold]
        if creeper and self._movable is not None and not self.quirks:
            corners = self._movable.corners_of(body)
        return box_around(corners)

    def creeper_corners(self) -> np.ndarray:
        """The present corners of all creepers or their segments, (k, 4, 2)."""
        if self._movable is None:
            return self.scene.creeper_corners
        return self._movable.corners()

    def _move(self, action: list[float]) -> list[float]:
        """Motors, grips, engine and water; returns the effort of each entry of the action."""
        efforts = self._drive(action)
        self._feel()
        return efforts

    def _feel(self) -> None:
        """Sense the body's own state."""
        self._state = self.embodiment.sense()
        self._state[HEAD_ENTRIES:HEAD_ENTRIES] = [float(self._submerged), float(self.dead)]

    def _drive(self, action: list[float]) -> list[float]:
        """The same without a look at the new state."""
        breath = {"under water": self._under, "outside water": self._outside}
        self.dead = self.dead or breath.get(self.plan.breath, 0) > self.breath_steps
        if self.dead:
            action = [0.0] * len(action)
        if self._grips is not None:
            self._grips.release(action[len(self.plan.motors) :])
        efforts = self.embodiment.drive(action)
        self._advance(TIME_STEP, VELOCITY_ITERATIONS, POSITION_ITERATIONS)
        if self._grips is not None:
            self._grips.hold()
        self._water.push()
        self._x, self._y = self.embodiment.place()
        self._submerged = self._y <= self.scene.water
        if not self.dead and self._submerged:
            self._under, self._outside = self._under + 1, 0
        elif not self.dead:
            self._under, self._outside = 0, self._outside + 1
        return efforts

    def _within_reach(self) -> np.ndarray:
        fixed = super()._within_reach()
        if self._movable is None:
            return fixed
        near = self._movable.near(self._x, lidar.RANGE)
        moving = lidar.Edges().add_polygons(near, lidar.CREEPER).columns(self.layout)[0]
        return np.concatenate([fixed, moving], axis=1)

    def _see(self, rays: np.ndarray, kinds: np.ndarray) -> None:
        """Take in one scan."""
        missed = self.surfaces if self.quirks else 0.0
        self.rays, self.surfaces = rays, np.where(kinds < 0, missed, SURFACE[kinds])

    @classmethod
    def _observe(cls, worlds: Sequence[Parkour]) -> np.ndarray:
        """Observations (n, size) of worlds that have just moved, in the declared type."""
        xs, ys = [world._x for world in worlds], [world._y for world in worlds]
        rays, kinds = lidar.scan_kinds([world._within_reach() for world in worlds], xs, ys)
        for world, row, kind in zip(worlds, rays, kinds, strict=True):
            world._see(row, kind)
        states, surfaces = [world._state for world in worlds], [w.surfaces for w in worlds]
        observations = np.concatenate([states, rays, surfaces], axis=1)
        for world, observation in zip(worlds, observations, strict=True):
            world.observation64 = observation
        return observations.astype(np.float32)

    def _given_up(self) -> bool:
        return self.dead and not self.quirks

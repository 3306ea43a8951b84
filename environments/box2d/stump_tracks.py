"""StumpTracks: a walker on a track of stumps, the first procedural world of TeachMyAgent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments.base import TaskParameter
from environments.box2d import lidar
from environments.box2d.body import BodyPlan
from environments.box2d.contacts import Contacts, CountedContacts
from environments.box2d.engine import MAX_PUSH, TERRAIN_STEP, TERRAIN_STEPS, Scenery
from environments.box2d.terrain import Terrain, generate
from environments.box2d.track import TrackWorld
from environments.parameters import bounded, one_of

FINISH_LINE = (TERRAIN_STEPS - 10) * TERRAIN_STEP  # m
DRAW_STD = 0.1  # of widths and rotations that are part of the task, as of all heights
STUMP_HEIGHT = TaskParameter(
    "stump_height", 0.0, 3.0, 0.0, "0.467 m", "mean height; a stump draws from N(height, 0.1)"
)
SPACING = TaskParameter(
    "obstacle_spacing", 0.0, 6.0, 6.0, "m", "flat stretch after each stump, at least 0.01 m"
)
OPTIONAL = (
    TaskParameter(
        "stump_width", 0.0, 3.0, 1.0, "0.467 m", "mean width; a stump draws from N(width, 0.1)"
    ),
    TaskParameter(
        "stump_rotation", 0.0, 1.571, 0.0, "rad", "mean turn; a stump draws from N(rotation, 0.1)"
    ),
    TaskParameter(
        "roughness", 0.0, 5.0, 0.0, "px", "half width of the uniform draw that bends the ground"
    ),
)
SEQUENCE = tuple(
    TaskParameter(
        f"sequence_{what}_{number}", 0.0, 6.0, 0.0, unit, f"mean {what} of adjoining stump {number}"
    )
    for number in range(1, 6)
    for what, unit in (("height", "0.467 m"), ("width", "m"))
)
OBSTACLES = ("stumps", "sequence")


class StumpTracks(TrackWorld):
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

    These two are the task of the published benchmark. Further parameters join the task, in this
    order, when ``task_bounds`` names them, and are switched off otherwise:

    | name | range | default | unit | meaning |
    |---|---|---|---|---|
    | stump_width | [0, 3] | 1 | 0.467 m | mean width; each stump draws from N(width, 0.1) |
    | stump_rotation | [0, 1.571] | 0 | rad | mean turn; each stump draws from N(rotation, 0.1) |
    | roughness | [0, 5] | 0 | px | half width of the uniform draw that bends the ground |

    With "sequence" among the ``obstacles`` ten parameters follow, ``sequence_height_1``,
    ``sequence_width_1`` to ``sequence_width_5``, [0, 6] with default 0: mean heights (0.467 m) and
    widths (m) of five adjoining stumps. ``task_bounds`` also widens or narrows the ranges; a
    default outside them moves to the nearest bound.

    ## Action Space
    ``Box(-1, 1, (motors,), float32)``: one number per motor. The sign is the direction in which the
    motor turns at its fixed speed (hips 4, knees 6 rad/s), the size is the share of its greatest
    torque. Numbers beyond ±1 count as ±1. The classic bipeds have four motors: hip and knee of one
    leg, hip and knee of the other. The last two numbers of a climber belong to its grips, which
    cost torque and do nothing here.

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
    | climbers, per grip | contact, attached (never here) | 1 |
    | last 10 | lidar: free share of a 5.33 m ray, from straight down to 1.35 rad forward | 1 |

    ## Rewards
    130/30 per metre forward, minus 5 per radian by which the reference body leans more than before
    (not for wheel, chimpanzees and fish), minus a price per motor at full effort (0.028 for the
    bipeds). A fall replaces the step's reward by -100. Crossing the whole track is worth 364 before
    costs; ``success`` means a return above 230.

    ## Starting State
    The walker stands at x = 4.67 m. A horizontal push of up to 5 N, drawn uniformly, acts on its
    reference body in the first engine step, which is played with a zero action inside ``reset``.

    ## Episode End
    Termination: (1) a critical part (the hull; head and trunk of a chimpanzee, also the lower
    legs of the one that climbs with legs; none of fish, amphibian and millipede) touches something;
    (2) the reference body is left of x = 0; (3) it is right of the finish line, x = 88.67 m.
    Truncation: after ``max_episode_steps`` steps (2000).
    ``info`` holds ``success`` and ``episode_return``, the sum of the rewards so far, at every step.

    ## Arguments
    - ``body``: one of the 13 in ``environments.box2d.body.BODIES``; old_classic_bipedal is the body
      of the published benchmark.
    - ``render_mode``: None, "rgb_array" or "human".
    - ``max_episode_steps``: when an episode is truncated; None: never.
    - ``task_bounds``: for example ``{"stump_height": (0, 9)}``.
    - ``stump_width``, ``stump_rotation``: None, or mean and standard deviation (0.467 m, rad);
      ``roughness``: px. Settings for what is not part of the task.
    - ``obstacles``: ("stumps",), ("sequence",) or both; with both, each obstacle draws its kind.
    - ``motors_torque``: greatest torque of every motor, N m; None: the body's own.
    - ``body_size``: segments of a millipede (4; 1 to 10), pairs of legs of a spider (2; 1 to 6) or
      scale of a wheel's trunk (1; 0.25 to 3); None: the first of these. No other body takes it. A
      motor of a millipede or spider costs 0.028 divided by their number at full effort.
    - ``quirks``: keep what v1 mends.

    ## Version History
    - v0 (``quirks=True``; ``version = 1`` of the first protocols): exact against the reference.
      Kept on purpose: one contact flag per part, cleared by the end of any of its contacts; for
      spacing 6 the ground ends 1.27 m before the finish line; a millipede never falls; stumps stand
      even at height 0 or below (2.3 cm at least); a zero-length edge where the pad ends; success
      asks for the return, not for the finish line; -100 replaces the step's reward; a fall during
      ``reset`` counts in the first step; falling off the track does not end the episode; joints
      start outside their limits and snap in the first engine step; left and right limbs start at
      the same place; the push at the start spares the fish and meets every segment of a millipede.
      Mended at once: all draws come from the environment's generator, which is seeded, none for
      clouds and for a choice of one; a new Box2D world per episode; truncation happens here, not in
      the student; scalar widths and rotations are means with a standard deviation of 0.1; every
      body takes a torque; a millipede's segments, a spider's pairs of legs and a wheel's scale can
      be chosen, where the reference lets only the usual ones through. Left out: hexagons, which
      raise at the first touch in the reference.
    - v1 (``quirks=False``): contacts are counted, so that a flag falls with the last one; the
      ground reaches the end of the track; the segments of a millipede are critical.

    Raises:
        ValueError: an unknown body, mode, obstacle or task parameter, a number out of range, or a
            size for a body that has only one.
    """

    finish_line = FINISH_LINE

    def __init__(
        self,
        body: str = "old_classic_bipedal",
        render_mode: str | None = None,
        max_episode_steps: int | None = 2000,
        task_bounds: Mapping[str, Sequence[float]] | None = None,
        *,
        stump_width: tuple[float, float] | None = None,
        stump_rotation: tuple[float, float] | None = None,
        roughness: float = 0.0,
        obstacles: Sequence[str] = ("stumps",),
        motors_torque: float | None = None,
        body_size: float | None = None,
        quirks: bool = True,
    ):
        plan = BodyPlan.load(
            body, "StumpTracks", quirks=quirks, torque=motors_torque, size=body_size
        )
        size = plan.state_size + lidar.NUM_RAYS
        super().__init__(plan, lidar.LAYOUTS["down"], size, render_mode, max_episode_steps, quirks)
        self.task_parameters = _parameters(obstacles, task_bounds or {})
        self.terrain_options = {
            "stump_width": stump_width,
            "stump_rotation": stump_rotation,
            "roughness": roughness,
            "to_the_end": not quirks,
        }

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a track for ``options["task"]`` and place the body on it."""
        values = self.begin(seed, options).tolist()
        task = {one.name: value for one, value in zip(self.task_parameters, values, strict=True)}
        terrain = self._draw(task)
        return self.reset_scene(terrain, self.np_random.uniform(-MAX_PUSH, MAX_PUSH))

    def _draw(self, task: dict[str, float]) -> Terrain:
        """A track for the task, given by name."""
        options = dict(self.terrain_options)
        for name in ("stump_width", "stump_rotation"):
            if name in task:
                options[name] = (task[name], DRAW_STD)
        if "roughness" in task:
            options["roughness"] = task["roughness"]
        if SEQUENCE[0].name in task:
            options["sequence"] = np.reshape([task[one.name] for one in SEQUENCE], (-1, 2))
        return generate(
            self.np_random, task.get("stump_height"), task["obstacle_spacing"], **options
        )

    def _edges(self, scene: Terrain) -> lidar.Edges:
        return lidar.Edges().add_line(scene.ground).add_polygons(scene.stumps)

    def _furnish(self, scenery: Scenery, scene: Terrain) -> None:
        for stump in scene.stumps.tolist():
            scenery.add_box(stump, scenery.common)
        scenery.add_line(scene.ground)

    def _listen(self) -> Contacts:
        return (Contacts if self.quirks else CountedContacts)(self.plan.critical)


def _parameters(
    obstacles: Sequence[str], bounds: Mapping[str, Sequence[float]]
) -> tuple[TaskParameter, ...]:
    """The dimensions of the task for these kinds of obstacles and named bounds."""
    if isinstance(obstacles, str) or not obstacles:
        raise ValueError(
            f"obstacles must be a list with one or more of {', '.join(OBSTACLES)}, "
            f"but is {obstacles!r}"
        )
    for kind in obstacles:
        one_of("obstacles", kind, OBSTACLES)
    known = [STUMP_HEIGHT] if "stumps" in obstacles else []
    known += [SPACING, *(one for one in OPTIONAL if one.name in bounds)]
    known += SEQUENCE if "sequence" in obstacles else ()
    return bounded(known, [one for one in OPTIONAL if one not in known], bounds)

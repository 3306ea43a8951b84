"""BipedalTerrain: BipedalWalker on the 8-D tracks of unsupervised environment design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from environments.base import TaskParameter
from environments.box2d import lidar
from environments.box2d.body import BodyPlan
from environments.box2d.contacts import Contacts
from environments.box2d.engine import MAX_PUSH, TERRAIN_STEP, TERRAIN_STEPS, Scenery
from environments.box2d.track import TrackWorld
from environments.box2d.ued_terrain import (
    CLOUD_DRAWS,
    TASK_PARAMETERS,
    TEST_TASKS,
    UEDTerrain,
    generate,
    generate_gymnasium,
)
from environments.parameters import bounded, one_of

HARDCORE = TaskParameter("hardcore", 0.0, 1.0, 0.0, "1", "from 0.5 on: Gymnasium's own obstacles")
FINISH_LINE = (TERRAIN_STEPS - 10) * TERRAIN_STEP  # m
WALKERS = (
    "big_quadru",
    "classic_bipedal",
    "millipede",
    "old_big_quadru",
    "old_classic_bipedal",
    "profile_chimpanzee",
    "small_bipedal",
    "spider",
    "wheel",
)


class BipedalTerrain(TrackWorld):
    """BipedalWalker crosses grass, stumps, stairs and pits that eight numbers describe.

    ## Description
    A two-dimensional walker with motors in its joints starts on a flat pad and walks to the right.
    The track is 92.9 m long. From 9.3 m on, stretches of rough ground and the obstacles that the
    task switches on take turns. Sources: the task and its tracks are those of ACCEL (Parker-Holder,
    Jiang, Dennis, Samvelyan, Foerster, Grefenstette, Rocktäschel, *Evolving Curricula with
    Regret-Based Environment Design*, ICML 2022, https://arxiv.org/abs/2203.01302; reference
    facebookresearch/dcd), which adds stairs to those of POET (Wang, Lehman, Clune, Stanley, 2019,
    https://arxiv.org/abs/1901.01753). Body, motors, lidar, rewards and the ends of an episode are
    those of Gymnasium's BipedalWalker-v3. With the default task, and with ``hardcore``, a seed
    begins the very episode that it begins in a new world of Gymnasium: given the same float64
    actions, poses, flags, rewards and ends are equal bit for bit. The lidar is computed in double
    precision and differs by less than 3e-6.

    ## Task parameters
    | name | range | default | unit | meaning |
    |---|---|---|---|---|
    | roughness | [0, 10] | 1 | 1 | factor on the bends of the ground; 1 is BipedalWalker-v3 |
    | pit_gap_low | [0, 10] | 0 | 0.467 m | one end of the range of widths of a pit |
    | pit_gap_high | [0, 10] | 0 | 0.467 m | the other end; both below 0.8: no pits |
    | stump_height_low | [0, 5] | 0 | 0.467 m | one end of the range of heights of a stump |
    | stump_height_high | [0, 5] | 0 | 0.467 m | the other end; both below 0.2: no stumps |
    | stair_height_low | [0, 5] | 0 | 0.467 m | one end of the range of rises from tread to tread |
    | stair_height_high | [0, 5] | 0 | 0.467 m | the other end; both below 0.2: no stairs |
    | stair_steps | [1, 9] | 1 | 1 | rounded, halves to even; a flight draws 0 to this - 1 treads |

    The order of the two ends does not matter; every obstacle draws anew between them. Pits are 1.87
    m deep, treads 1.87 m long, stumps 0.467 m wide. Not every task can be solved: a pit of 10 is
    4.67 m wide. ``TEST_TASKS`` holds the tracks on which results are published, and
    ``held_out_tasks`` their vectors.

    With ``hardcore`` the obstacles are those of Gymnasium's hardcore version instead (square stumps
    of 1 or 2, 3 or 4 treads of rise 1, on the way up under a ramp, pits of 2 or 3, in 0.467 m),
    which the encoding cannot say; then ``roughness`` is the only task parameter, and its default is
    Gymnasium's track. So that one list of held-out tasks can hold both, a ninth parameter,
    ``hardcore`` [0, 1], joins the task when ``task_bounds`` names it: from 0.5 on the track is that
    of ``hardcore``, with the task's roughness, and the numbers between count for nothing.

    ## Action Space
    ``Box(-1, 1, (motors,), float32)``: one number per motor. The sign is the direction in which the
    motor turns at its fixed speed (hips 4, knees 6 rad/s), the size is the share of its greatest
    torque. Numbers beyond ±1 count as ±1. The biped has four motors: hip and knee of one leg, hip
    and knee of the other.

    ## Observation Space
    ``Box(-inf, inf, (size,), float32)``; 24 numbers for the biped. The same in double precision is
    kept in ``observation64``.

    | index | quantity | unit |
    |---|---|---|
    | 0 | angle of the hull | rad |
    | 1 | its angular velocity · 2/50 | rad/s |
    | 2, 3 | its horizontal velocity · 0.12, vertical velocity · 0.08 | m/s |
    | 4, 6, 9, 11 | angles of hip, knee + 1, other hip, other knee + 1 | rad |
    | 5, 7, 10, 12 | their speeds, as shares of the motors' | 1 |
    | 8, 13 | 1 if the lower leg, the other lower leg touches something, else 0 | 1 |
    | 14 to 23 | lidar: free share of a 5.33 m ray, from straight down to 1.35 rad forward | 1 |

    Other bodies observe their own motors between the first four and the last ten numbers.

    ## Rewards
    130/30 per metre forward, minus 5 per radian by which the hull leans more than before (not for
    wheel and chimpanzee), minus a price per motor at full effort (0.028 for the bipeds). A fall
    replaces the step's reward by -100. Crossing the whole track is worth 364 before costs;
    ``success`` means a return above 230, as in the published results.

    ## Starting State
    The walker stands at x = 4.67 m. A horizontal push of up to 5 N, drawn uniformly, acts on its
    hull in the first engine step, which is played with a zero action inside ``reset``.

    ## Episode End
    Termination: (1) a critical part (the hull; head and trunk of the chimpanzee; the segments of
    the millipede) touches something; (2) the hull is left of x = 0; (3) it is right of the finish
    line, x = 88.67 m. Truncation: after ``max_episode_steps`` steps (2000 as published;
    BipedalWalker-v3: 1600).
    ``info`` holds ``success`` and ``episode_return``, the sum of the rewards so far, at every step.

    ## Arguments
    - ``render_mode``: None, "rgb_array" or "human".
    - ``max_episode_steps``: when an episode is truncated; None: never.
    - ``task_bounds``: narrower ranges, for example ``{"stump_height_high": (0, 3)}``; a default
      outside them moves to the nearest bound.
    - ``body``: one of ``WALKERS``; old_classic_bipedal is BipedalWalker's own. Others walk in no
      published result.
    - ``hardcore``: Gymnasium's own obstacles; see the task parameters.

    ## Version History
    - v0: body, rewards and default track exact against BipedalWalker-v3; tracks as in the
      reference, quirks included: a flight of stairs has fewer treads than ``stair_steps`` says, so
      that 1 means none; the ground beside a stump is flat for 5 to 9 steps; a flight that rises by
      0.005 m or less has no treads; one contact flag per leg, cleared by the end of any of its
      contacts; success asks for the return, not for the finish line; -100 replaces the step's
      reward; a fall during ``reset`` counts in the first step; falling into a pit does not end the
      episode. Departures from the reference: observations have no bounds; the same seed gives
      another track, because its generator is another; stumps are never lower than 0.005 m; a
      new Box2D world per episode; resets draw Gymnasium's clouds, which are not shown.

    Raises:
        ValueError: an unknown body, mode or task parameter, or a number out of range.
    """

    finish_line = FINISH_LINE

    def __init__(
        self,
        render_mode: str | None = None,
        max_episode_steps: int | None = 2000,
        task_bounds: Mapping[str, Sequence[float]] | None = None,
        *,
        body: str = "old_classic_bipedal",
        hardcore: bool = False,
    ):
        one_of("body", body, WALKERS)
        # A millipede that falls: the reference has no such body whose quirk could be kept.
        plan = BodyPlan.load(body, "StumpTracks", quirks=False)
        size = plan.state_size + lidar.NUM_RAYS
        super().__init__(plan, lidar.LAYOUTS["down"], size, render_mode, max_episode_steps, True)
        self.hardcore = hardcore
        known = TASK_PARAMETERS[:1] if hardcore else TASK_PARAMETERS
        if HARDCORE.name in (task_bounds or {}) and not hardcore:
            known = (*known, HARDCORE)
        self.task_parameters = bounded(known, [], task_bounds or {})
        for one, full in zip(self.task_parameters, known, strict=True):
            _check_within(one, full)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Draw a track for ``options["task"]`` and place the walker on it."""
        task = self.begin(seed, options)
        rng = self.np_random
        if self.hardcore or (task[len(TASK_PARAMETERS) :] >= 0.5).any():
            terrain = generate_gymnasium(rng, hardcore=True, roughness=float(task[0]))
        else:
            terrain = generate(rng, task[: len(TASK_PARAMETERS)])
        rng.random(CLOUD_DRAWS)
        return self.reset_scene(terrain, rng.uniform(-MAX_PUSH, MAX_PUSH))

    def _edges(self, scene: UEDTerrain) -> lidar.Edges:
        return lidar.Edges().add_line(scene.ground).add_polygons(scene.polygons)

    def _furnish(self, scenery: Scenery, scene: UEDTerrain) -> None:
        for polygon in scene.polygons.tolist():
            scenery.add_box(polygon, scenery.common)
        scenery.add_line(scene.ground)

    def _listen(self) -> Contacts:
        return Contacts(self.plan.critical)


def held_out_tasks(names: Sequence[str] | None = None) -> dict[str, tuple[float, ...]]:
    """The vectors of published tracks, for the list of held-out tasks of a protocol.

    Args:
        names: some of ``TEST_TASKS``; None: all that the encoding can say, that is all but
            BipedalWalkerHardcore-v3, which is ``BipedalTerrain(hardcore=True)``.

    Returns:
        Per name eight numbers in the order of the task parameters.

    Raises:
        ValueError: an unknown name, or a track without a vector.
    """
    vectors = {name: entry.task for name, entry in TEST_TASKS.items() if entry.task is not None}
    chosen = list(vectors) if names is None else list(names)
    for name in chosen:
        if name in TEST_TASKS and name not in vectors:
            raise ValueError(
                f"{name} has no vector of eight numbers; play it in BipedalTerrain(hardcore=True)"
            )
        one_of("a published track", name, vectors)
    return {name: vectors[name] for name in chosen}


def _check_within(one: TaskParameter, full: TaskParameter) -> None:
    """Refuse bounds that the encoding does not know."""
    if one.low < full.low or one.high > full.high:
        raise ValueError(
            f"task_bounds of {one.name} must lie within [{full.low:g}, {full.high:g}], "
            f"but are ({one.low:g}, {one.high:g})"
        )

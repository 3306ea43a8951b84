"""The tracks of BipedalWalker as unsupervised environment design draws them: an 8-D encoding.

Sources: the encoding and its track are those of ACCEL (Parker-Holder, Jiang, Dennis, Samvelyan,
Foerster, Grefenstette, Rocktäschel, 2022, https://arxiv.org/abs/2203.01302; reference
facebookresearch/dcd), which extends POET (Wang, Lehman, Clune, Stanley, 2019,
https://arxiv.org/abs/1901.01753) by stairs; POET extends OpenAI's BipedalWalker. All lengths are in
metres; one step of the ground, ``TERRAIN_STEP``, is 0.467 m.

A track has 200 vertices, one step apart. The first 20 are a flat pad. Then an obstacle and a
stretch of grass take turns, from the pad's end on; without obstacles grass follows grass. A stretch
of grass has 5 to 9 vertices: the first keeps the height, every further one adds roughness * v,
where v becomes 0.8 v + 0.01 sign(start height - height) + U(-1, 1) / 30. The obstacle is drawn
uniformly among those that the task switches on:

- stump: a box one step wide; its height is drawn from the task's range. The ground runs on below
  it, flat for 5 to 9 vertices.
- stairs: a flight, up or down with equal chance, of treads four steps long and as thick as they are
  high; the height is drawn from the task's range, the number from 0 to ``stair_steps`` - 1.
- pit: two boxes, one step wide and four deep, whose distance is drawn from the task's range; the
  ground between them lies four steps lower.

Quirks of the reference kept on purpose, because published results depend on them: ``stair_steps``
is not the number of treads but one more than the largest possible number (1 means no stairs, only
one flat vertex); the flat vertices beside a stump (POET and Gymnasium go on with grass at once);
a flight whose height comes out at 0.01 or less becomes 5 to 9 almost flat vertices without treads.

Departures: the same seed gives another track than in the reference, whose random generator is
another. Stumps are never lower than 0.01 steps, where the reference seeds anew when the engine
refuses a box (below 1e-5 to 5e-3 steps, depending on the place). Half-open ranges of the reference
with one integer in them are constants (stump width 1, height of a stump above the ground 0, tread
length 4).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

from environments.base import TaskParameter
from environments.box2d.engine import (
    SCALE,
    START_PAD_STEPS,
    TERRAIN_HEIGHT,
    TERRAIN_STEP,
    TERRAIN_STEPS,
)
from environments.box2d.terrain import checked_track

TASK_PARAMETERS = (
    TaskParameter("roughness", 0.0, 10.0, 1.0, "1", "bends of the ground; 1: BipedalWalker-v3"),
    TaskParameter("pit_gap_low", 0.0, 10.0, 0.0, "0.467 m", "one end of the range of widths"),
    TaskParameter("pit_gap_high", 0.0, 10.0, 0.0, "0.467 m", "other end; both < 0.8: no pits"),
    TaskParameter("stump_height_low", 0.0, 5.0, 0.0, "0.467 m", "one end of the range of heights"),
    TaskParameter("stump_height_high", 0.0, 5.0, 0.0, "0.467 m", "other end; both < 0.2: none"),
    TaskParameter("stair_height_low", 0.0, 5.0, 0.0, "0.467 m", "one end of the range of rises"),
    TaskParameter("stair_height_high", 0.0, 5.0, 0.0, "0.467 m", "other end; both < 0.2: none"),
    TaskParameter("stair_steps", 1.0, 9.0, 1.0, "1", "rounded; a flight has fewer treads"),
)
LOW = np.array([parameter.low for parameter in TASK_PARAMETERS])
HIGH = np.array([parameter.high for parameter in TASK_PARAMETERS])

MIN_PIT_GAP = 0.8  # steps; a range that ends below is off
MIN_HEIGHT = 0.2  # steps; the same for stumps and stairs
LOWEST_STUMP = 0.01  # steps; the engine refuses much flatter boxes
LOWEST_STAIR = 0.01  # steps; no treads up to here
TREAD_LENGTH = 4  # steps
PIT_DEPTH = 4  # steps
STRETCH = (5, 10)  # vertices from one turn to the next, half-open
CLOUD_DRAWS = 110  # doubles that Gymnasium draws for its clouds between the track and the push

# ACCEL's first levels: seven numbers are fixed and the roughness is drawn uniformly.
EASY_LOW = np.array([0.0, 0.0, 0.8, 0.0, 0.4, 0.0, 0.4, 1.0])
EASY_HIGH = np.array([0.6, 0.0, 0.8, 0.0, 0.4, 0.0, 0.4, 1.0])
# ACCEL's edits: EDITS times one of the eight numbers, drawn uniformly, moves by -1, 0 or +1 times
# its size and is clipped to the full range; the size of the first is drawn from U(0, size).
EDIT_SIZES = np.array([0.6, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 1.0])
EDITS = 3
# The "extremely challenging" test draws its tasks uniformly from this box.
EXTREME_LOW = np.array([4.5, 0.0, 6.0, 0.0, 2.4, 0.0, 0.0, 1.0])
EXTREME_HIGH = np.array([8.0, 0.0, 8.0, 0.0, 3.0, 0.0, 0.0, 1.0])


@dataclass(frozen=True)
class UEDTerrain:
    """A finished track; one static fixture per polygon, then one per edge, in this order.

    Attributes:
        ground: (v, 2) float64, vertices of the ground line from left to right.
        polygons: (k, 4, 2) float64, counter-clockwise corners of the boxes from the lower right
            one on, in creation order.

    Raises:
        ValueError: an array has another shape or holds NaN or infinity, or the ground goes back.
    """

    ground: np.ndarray
    polygons: np.ndarray

    def __post_init__(self) -> None:
        ground, polygons = checked_track(self.ground, self.polygons, "polygons")
        object.__setattr__(self, "ground", ground)
        object.__setattr__(self, "polygons", polygons)

    @property
    def edges(self) -> np.ndarray:
        """The ground as edges, (v - 1, 2, 2): start and end of each, from left to right."""
        return np.stack([self.ground[:-1], self.ground[1:]], axis=1)


@dataclass(frozen=True)
class Decoded:
    """What a task means: sorted ranges in steps of the ground; None where an obstacle is off."""

    roughness: float  # factor on the bends of the ground; 1 is BipedalWalker-v3
    stump_height: tuple[float, float] | None
    stair_height: tuple[float, float] | None
    stair_steps: int  # a flight has 0 to stair_steps - 1 treads
    pit_gap: tuple[float, float] | None


def decode(task: Sequence[float] | np.ndarray) -> Decoded:
    """Sort the ranges of a task (8,), round its steps (halves to even), switch off what is small.

    Raises:
        ValueError: not eight finite numbers within the ranges of ``TASK_PARAMETERS``.
    """
    values = np.asarray(task, dtype=np.float64)
    if values.shape != LOW.shape or not ((values >= LOW) & (values <= HIGH)).all():
        raise ValueError(
            f"a task is {len(LOW)} finite numbers between {LOW.tolist()} and {HIGH.tolist()} "
            f"({', '.join(parameter.name for parameter in TASK_PARAMETERS)}), not {values.tolist()}"
        )
    roughness, *ends, steps = values.tolist()
    pit, stump, stair = (tuple(sorted(ends[n : n + 2])) for n in (0, 2, 4))
    return Decoded(
        roughness,
        stump if stump[1] >= MIN_HEIGHT else None,
        stair if stair[1] >= MIN_HEIGHT else None,
        round(steps),
        pit if pit[1] >= MIN_PIT_GAP else None,
    )


def generate(rng: np.random.Generator, task: Sequence[float] | np.ndarray) -> UEDTerrain:
    """Draw the track of a task.

    Args:
        rng: source of all draws, taken from left to right: per turn its length, which obstacle,
            what it looks like; per vertex of grass its bend.
        task: the eight numbers of ``TASK_PARAMETERS``, in the order of the reference.

    Raises:
        ValueError: not eight finite numbers within the ranges of ``TASK_PARAMETERS``.
    """
    plan = decode(task)
    obstacles: list[Obstacle] = []
    if plan.stump_height:
        obstacles.append(functools.partial(_stump, plan.stump_height))
    if plan.stair_height:
        obstacles.append(functools.partial(_stairs, plan.stair_height, plan.stair_steps))
    if plan.pit_gap:
        obstacles.append(functools.partial(_pit, plan.pit_gap))
    return _lay(rng, plan.roughness, obstacles)


def generate_gymnasium(
    rng: np.random.Generator, *, hardcore: bool, roughness: float = 1.0
) -> UEDTerrain:
    """Draw the track of Gymnasium's BipedalWalker-v3, or of its hardcore version.

    A generator in the state of the world's ``np_random`` gives the same bits for roughness 1 and is
    left in the same state; the world then draws ``CLOUD_DRAWS`` doubles and the push.
    """
    return _lay(rng, roughness, [_square_stump, _short_stairs, _whole_pit] if hardcore else [])


class _Track:
    """A track in the making: vertices are added from left to right until there are 200."""

    def __init__(self, rng: np.random.Generator, roughness: float):
        self.rng, self.roughness = rng, roughness
        self.height, self.slope = TERRAIN_HEIGHT, 0.0
        self.ground: list[tuple[float, float]] = []
        self.polygons: list[list[tuple[float, float]]] = []
        self.cut = False  # the track ended before the latest stretch did

    @property
    def x(self) -> float:
        """Where the next vertex goes."""
        return len(self.ground) * TERRAIN_STEP

    @property
    def full(self) -> bool:
        """Whether all vertices are there."""
        return len(self.ground) == TERRAIN_STEPS

    def add(self, count: int, height: Callable[[int], float]) -> None:
        """Add ``count`` vertices, as far as they fit; ``height(n)`` is that of number n."""
        fit = min(count, TERRAIN_STEPS - len(self.ground))
        for number in range(fit):
            self.height = height(number)
            self.ground.append((self.x, self.height))
        self.cut = fit < count

    def flat(self, count: int) -> None:
        """Add vertices at the present height."""
        self.add(count, lambda number: self.height)

    def grass(self, count: int) -> None:
        """Add a vertex at the present height, then bent ground."""
        self.flat(1)
        self.add(count - 1, self._bend)

    def box(self, left: float, right: float, bottom: float, top: float) -> None:
        """Stand a box on the track, or sink it in."""
        self.polygons.append([(right, bottom), (right, top), (left, top), (left, bottom)])

    def _bend(self, number: int) -> float:
        self.slope = 0.8 * self.slope + 0.01 * float(np.sign(TERRAIN_HEIGHT - self.height))
        self.slope += self.rng.uniform(-1, 1) / SCALE
        return self.height + self.roughness * self.slope


# Draws what an obstacle looks like and adds it; the second argument is the length of the turn.
Obstacle = Callable[[_Track, int], None]


def _lay(rng: np.random.Generator, roughness: float, obstacles: Sequence[Obstacle]) -> UEDTerrain:
    """Lay pad, obstacle, grass, obstacle, grass ... up to the last vertex."""
    track = _Track(rng, roughness)
    track.flat(START_PAD_STEPS)
    on_grass = True
    while not track.cut:
        length = int(rng.integers(*STRETCH))
        obstacle = None
        if on_grass and obstacles:
            obstacle = obstacles[int(rng.integers(1, len(obstacles) + 1)) - 1]
        if track.full:  # only here: Gymnasium draws the next turn even if there is no room for it
            break
        if obstacle:
            obstacle(track, length)
        else:
            track.grass(length)
        on_grass = obstacle is None
    return UEDTerrain(np.array(track.ground), np.array(track.polygons))


def _add_stump(track: _Track, width: int, height: float, length: int) -> None:
    x, y = track.x, track.height
    track.box(x, x + width * TERRAIN_STEP, y, y + height * TERRAIN_STEP)
    track.flat(length)


def _stump(heights: tuple[float, float], track: _Track, length: int) -> None:
    _add_stump(track, 1, track.rng.uniform(max(heights[0], LOWEST_STUMP), heights[1]), length)


def _square_stump(track: _Track, length: int) -> None:
    size = int(track.rng.integers(1, 3))
    _add_stump(track, size, size, size)


def _add_treads(track: _Track, number: int, rise: float) -> None:
    """Add treads as thick as they are high, each ``rise`` steps above the one before."""
    x, y, long = track.x, track.height, TREAD_LENGTH
    for n in range(number):
        left, right = x + (n * long) * TERRAIN_STEP, x + ((1 + n) * long) * TERRAIN_STEP
        top = y + (n * rise) * TERRAIN_STEP
        track.box(left, right, y + (-abs(rise) + n * rise) * TERRAIN_STEP, top)


def _stairs(heights: tuple[float, float], limit: int, track: _Track, length: int) -> None:
    rise = track.rng.uniform(*heights)
    rise *= 1 if track.rng.random() > 0.5 else -1
    number = int(track.rng.integers(limit))
    y, vertices, first = track.height, number * TREAD_LENGTH, 0
    if abs(rise) > LOWEST_STAIR:
        _add_treads(track, number, rise)
    else:  # the reference counts its turn from the end: it starts in the middle of the flight
        vertices, first = length - 1, vertices - (length - 1)
    below = -min(rise, 0.0)  # a flight down has its ground at the lower side of the treads

    def ground(vertex: int) -> float:
        step = (first + vertex) // TREAD_LENGTH
        return y + (step * rise) * TERRAIN_STEP - below * TERRAIN_STEP

    track.flat(1)
    track.add(vertices, ground)


def _short_stairs(track: _Track, length: int) -> None:
    rise = 1 if track.rng.random() > 0.5 else -1
    number = int(track.rng.integers(3, 5))
    _add_treads(track, number, rise)
    y = track.height
    track.flat(1)
    track.add(  # the ground is a ramp, on the way up over the treads
        number * TREAD_LENGTH - 1,
        lambda vertex: y + ((vertex + 1 - rise) / TREAD_LENGTH * rise) * TERRAIN_STEP,
    )


def _add_pit(track: _Track, gap: float) -> None:
    """Add a pit whose walls' left sides are ``gap`` steps apart; the walls are one step wide."""
    x, y = track.x, track.height
    bottom = y - PIT_DEPTH * TERRAIN_STEP
    track.box(x, x + TERRAIN_STEP, bottom, y)
    track.box(x + TERRAIN_STEP * gap, x + TERRAIN_STEP + TERRAIN_STEP * gap, bottom, y)
    low = math.ceil(gap)
    track.add(low + 2, lambda vertex: bottom if 0 < vertex <= low else y)
    if not track.cut:  # the last vertex moves back to the corner of the second wall
        track.ground[-1] = (track.ground[-1][0] - (low - gap) * TERRAIN_STEP, y)


def _pit(gaps: tuple[float, float], track: _Track, length: int) -> None:
    _add_pit(track, 1.0 + track.rng.uniform(*gaps))


def _whole_pit(track: _Track, length: int) -> None:
    _add_pit(track, int(track.rng.integers(3, 5)))


def easy_task_space() -> spaces.Box:
    """The box of ACCEL's first levels; stairs are switched on, but have no treads."""
    return spaces.Box(EASY_LOW, EASY_HIGH, dtype=np.float64)


def difficulty_class(tasks: np.ndarray) -> np.ndarray:
    """POET's class of tasks (n, 8): 0 easy, 1 challenging, 2 very, 3 extremely challenging.

    Returns:
        (n,) int64, how many of these hold: roughness >= 4.5, pit end >= 6, stump end >= 2.4.

    Raises:
        ValueError: the array has another shape.
    """
    tasks = np.asarray(tasks, dtype=np.float64)
    if tasks.ndim != 2 or tasks.shape[1] != len(LOW):
        raise ValueError(f"tasks must be an array (n, {len(LOW)}), but have shape {tasks.shape}")
    pit, stump = tasks[:, 1:3].max(axis=1), tasks[:, 3:5].max(axis=1)
    return (tasks[:, 0] >= 4.5).astype(np.int64) + (pit >= 6.0) + (stump >= 2.4)


@dataclass(frozen=True)
class PublishedTask:
    """A track on which results are published.

    Attributes:
        task: the eight numbers of ``TASK_PARAMETERS``; None: Gymnasium's hardcore track, which
            the encoding cannot say.
        max_episode_steps: the published time limit.
    """

    task: tuple[float, ...] | None
    max_episode_steps: int = 2000

    def generate(self, rng: np.random.Generator) -> UEDTerrain:
        """Draw its track."""
        if self.task is None:
            return generate_gymnasium(rng, hardcore=True)
        return generate(rng, self.task)


# The vectors in the order of TASK_PARAMETERS: roughness, pits, stumps, stairs, steps. Roughness 1
# without obstacles draws the same bits as BipedalWalker-v3.
TEST_TASKS = {
    "BipedalWalker-v3": PublishedTask((1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0), 1600),
    "BipedalWalkerHardcore-v3": PublishedTask(None),
    "Med-Stairs": PublishedTask((0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 5.0)),
    "Med-PitGap": PublishedTask((0.0, 5.0, 5.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "Med-StumpHeight": PublishedTask((0.0, 0.0, 0.0, 2.0, 2.0, 0.0, 0.0, 1.0)),
    "Med-Roughness": PublishedTask((5.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "High-Stairs": PublishedTask((0.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 9.0)),
    "Wide-PitGap": PublishedTask((0.0, 10.0, 10.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "High-StumpHeight": PublishedTask((0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 1.0)),
    "High-Roughness": PublishedTask((9.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "Insane": PublishedTask((9.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 9.0)),
    "Default": PublishedTask((0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)),
    "POET-Rose-1a": PublishedTask((5.6, 4.48, 6.4, 2.4, 2.82, 0.0, 0.0, 1.0)),
    "POET-Rose-1b": PublishedTask((5.44, 4.48, 6.72, 1.8, 2.82, 0.0, 0.0, 1.0)),
    "POET-Rose-2a": PublishedTask((7.2, 5.6, 7.2, 1.98, 2.82, 0.0, 0.0, 1.0)),
    "POET-Rose-2b": PublishedTask((5.76, 1.6, 7.2, 2.16, 2.76, 0.0, 0.0, 1.0)),
    "POET-Rose-3a": PublishedTask((5.28, 4.8, 7.2, 1.98, 2.76, 0.0, 0.0, 1.0)),
    "POET-Rose-3b": PublishedTask((4.8, 4.8, 4.48, 2.4, 2.76, 0.0, 0.0, 1.0)),
}

"""The terrain of Parkour: ground and ceiling from a network, creepers between them, water below.

Source: TeachMyAgent (Romac, Portelas, Hofmann, Oudeyer, 2021, https://arxiv.org/abs/2103.09815).
All lengths are in metres.
"""

from __future__ import annotations

import math
from collections.abc import Container
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from environments.base import TaskParameter
from environments.box2d import cppn
from environments.box2d.engine import (
    START_PAD_STEPS,
    TERRAIN_HEIGHT,
    TERRAIN_STEP,
    TERRAIN_STEPS,
)

LIMIT = 1000.0  # CPPN units: how far below (and above) zero the world ends
# Published ranges of the network's input; the benchmark trains on "medium".
AREAS = {
    "easy": ((-0.25, -0.05), (0.8, 1.0), (0.0, 0.2)),
    "medium": ((-0.35, 0.05), (0.6, 1.0), (-0.1, 0.3)),
    "whole": ((-1.0, 1.0), (-1.0, 1.0), (-1.0, 1.0)),
}
CREEPERS = ("fixed", "movable", "none")
EASY_WATER = {"swimmer": 1.0, "amphibian": 0.5}  # default water levels; others start dry
CEILING = 200.0  # CPPN units: height of the ceiling above the start pad
CREEPER_STD = 0.1  # m, spread of the length draw
MIN_CREEPER = 0.2  # m, smallest width and length
MIN_SPACING = 0.01  # m
MIN_LEVEL = 0.01  # share of the height between the world's bottom and the highest ceiling
SEGMENT = 1.0  # m, length of the segments of a movable creeper
# Positions are summed, not multiplied: the last bits are those of the reference.
TRACK_X = np.cumsum([0.0] + [TERRAIN_STEP] * (START_PAD_STEPS + TERRAIN_STEPS - 1))


@dataclass(frozen=True)
class Corridor:
    """A finished track; build one by hand to replay a recorded scene.

    Attributes:
        x: (v,) positions of the vertices of ground and ceiling, from left to right.
        ground, ceiling: (v,) their heights.
        creepers: (k, 4) left, right, bottom and top of each creeper in creation order; of each
            segment of a creeper, from the ceiling downwards, if they are movable.
        water: height of the water's surface.
        movable: whether the creepers swing.

    Raises:
        ValueError: an array has another shape or holds NaN or infinity, or x does not rise.
    """

    x: np.ndarray
    ground: np.ndarray
    ceiling: np.ndarray
    creepers: np.ndarray
    water: float
    movable: bool = False

    def __post_init__(self) -> None:
        for name in ("x", "ground", "ceiling", "creepers"):
            object.__setattr__(self, name, np.array(getattr(self, name), dtype=np.float64))
        count = len(self.x)
        if count < 2 or self.ground.shape != (count,) or self.ceiling.shape != (count,):
            raise ValueError(
                "x, ground and ceiling need the same number of vertices, two or more, but have "
                f"shapes {self.x.shape}, {self.ground.shape} and {self.ceiling.shape}"
            )
        if self.creepers.size == 0:
            object.__setattr__(self, "creepers", np.empty((0, 4)))
        if self.creepers.shape[1:] != (4,):
            raise ValueError(f"creepers need four numbers each, but are {self.creepers.shape}")
        if (self.creepers[:, 1::2] <= self.creepers[:, ::2]).any():
            raise ValueError("a creeper's right and top must lie beyond its left and bottom")
        arrays = (self.x, self.ground, self.ceiling, self.creepers)
        if not math.isfinite(sum(float(array.sum()) for array in arrays) + self.water):
            raise ValueError("a corridor must be finite, but holds NaN or infinity")
        if (self.x[1:] <= self.x[:-1]).any():
            raise ValueError("x must rise from left to right")

    @cached_property
    def creeper_corners(self) -> np.ndarray:
        """Corners of the creepers (k, 4, 2), counter-clockwise from the lower left one."""
        return self.creepers[:, [0, 2, 1, 2, 1, 3, 0, 3]].reshape(-1, 4, 2)


@dataclass(frozen=True)
class Creepers:
    """What a task says about creepers: width, mean length and spacing in metres."""

    width: float
    length: float
    spacing: float


def task_parameters(
    area: str, creepers: str, kind: str, named: Container[str]
) -> tuple[list[TaskParameter], list[TaskParameter]]:
    """The dimensions of the task, in the order of the published vectors, and those left out.

    Args:
        area: ranges of the input vector, one of AREAS.
        creepers: one of CREEPERS; "none" has no parameters.
        kind: how the body lives; swimmers and amphibians start in water.
        named: which of the optional parameters take part.
    """
    easy = [sum(pair) / 2 for pair in AREAS["easy"]]
    inputs = [
        TaskParameter(f"input_vector_{i}", *AREAS[area][i], easy[i], "", f"network input {i}")
        for i in range(3)
    ]
    level = EASY_WATER.get(kind, 0.0)
    water = TaskParameter("water_level", 0.0, 1.0, level, "", "surface: share of the height")
    width = TaskParameter("creepers_width", 0.0, 2.0, 0.25, "m", "width of the creepers")
    hanging = [
        TaskParameter("creepers_height", 0.0, 4.0, 0.0, "m", "mean length; draws N(length, 0.1)"),
        TaskParameter("creepers_spacing", 0.0, 5.0, 5.0, "m", "free stretch between two"),
    ]
    scale = TaskParameter(
        "terrain_cppn_scale", 2.0, 50.0, 10.0, "", "divides the output of the network"
    )
    optional = [one for one in (width, scale) if one.name not in named]
    known = [*inputs, water, width, *hanging, scale]
    if creepers == "none":
        known = [*inputs, water, scale]
        optional = [one for one in optional if one is scale]
    return [one for one in known if one not in optional], optional


def generate(
    rng: np.random.Generator,
    vector: np.ndarray,
    *,
    water_level: float,
    creepers: Creepers | None,
    scale: float,
    movable: bool = False,
    clearance: float = 0.0,
    quirks: bool = True,
) -> Corridor:
    """Draw a corridor; only the lengths of the creepers are random.

    Args:
        rng: source of one draw per creeper.
        vector: (3,) input of the network that draws ground and ceiling.
        water_level: surface of the water, as a share of the height between the bottom of the world
            and the highest ceiling; at least 0.01.
        creepers: None: none at all.
        scale: by what the network's output is divided, > 1: larger is flatter and lower.
        movable: creepers are chains of segments that swing.
        clearance: smallest height of the corridor times ``scale``, m; 0 lets it close.
        quirks: place creepers as the reference does: one TERRAIN_STEP farther apart than asked,
            rounded up to whole steps, and at least 0.2 m wide and long even where the task says 0.
    """
    height = cppn.evaluate(vector).astype(np.float64) / scale
    start = np.array([TERRAIN_HEIGHT, TERRAIN_HEIGHT + CEILING / scale])
    track = np.empty((len(TRACK_X), 2))
    track[:START_PAD_STEPS] = start
    track[START_PAD_STEPS:] = height + (start - height[0])
    ground, ceiling = track.T
    np.maximum(ceiling, ground + clearance / scale, out=ceiling)
    ceiling[:START_PAD_STEPS] = start[1]
    bottom = -LIMIT / scale
    water = bottom + max(MIN_LEVEL, water_level) * (float(ceiling.max()) - bottom)
    rectangles = np.empty((0, 4))
    if creepers is not None:
        place = _as_the_reference if quirks else _as_asked
        x, top, least = np.reshape(place(ceiling, creepers), (-1, 3)).T
        length = np.maximum(least, rng.normal(creepers.length, CREEPER_STD, len(x)))
        rectangles = _hung(x, np.maximum(least, creepers.width), top, length, movable)
    return Corridor(TRACK_X, ground, ceiling, rectangles, water, movable)


def _as_the_reference(ceiling: np.ndarray, creepers: Creepers) -> list[tuple[float, float, float]]:
    """Where creepers hang: left side, top, smallest width and length."""
    spacing, width = max(MIN_SPACING, creepers.spacing), max(MIN_CREEPER, creepers.width)
    across = max(1, math.floor(width / TERRAIN_STEP))
    last = len(ceiling) - 1
    heights, xs = ceiling.tolist(), TRACK_X.tolist()
    spots, gap = [], spacing
    for number in range(last):
        if gap >= spacing:
            top = max(heights[number], heights[min(number + across, last)])
            spots.append((xs[number], top, MIN_CREEPER))
            gap = 0.0
        else:
            gap += xs[number] - xs[number - 1]
    return spots


def _as_asked(ceiling: np.ndarray, creepers: Creepers) -> list[tuple[float, float, float]]:
    """The same with exact spacing; none where width or length is zero."""
    if creepers.width <= 0 or creepers.length <= 0:
        return []
    pitch = max(creepers.spacing, creepers.width, TERRAIN_STEP)
    x = np.arange(0.0, TRACK_X[-1] - creepers.width, pitch)
    top = np.maximum(
        np.interp(x, TRACK_X, ceiling), np.interp(x + creepers.width, TRACK_X, ceiling)
    )
    return [(*spot, MIN_SPACING) for spot in zip(x.tolist(), top.tolist(), strict=True)]


def _hung(
    x: np.ndarray, width: np.ndarray, top: np.ndarray, length: np.ndarray, movable: bool
) -> np.ndarray:
    """Rectangles (k, 4) of creepers: left, right, bottom, top.

    A movable creeper is cut, from the ceiling downwards, into whole segments and what is left.
    """
    if not movable:
        return np.stack([x, x + width, top - length, top], axis=1)
    segments = []
    columns = (array.tolist() for array in (x, x + width, top, length))
    for left, right, high, long in zip(*columns, strict=True):
        count = math.ceil(long)
        for number in range(count):
            size = SEGMENT if number < count - 1 else max(MIN_CREEPER, long % SEGMENT)
            segments.append((left, right, high - number - size, high - number))
    return np.reshape(segments, (-1, 4))

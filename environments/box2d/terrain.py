"""The terrain of StumpTracks: a ground line and a row of stumps, drawn from a random generator.

Source: TeachMyAgent (Romac, Portelas, Hofmann, Oudeyer, 2021, https://arxiv.org/abs/2103.09815).
All lengths are in metres.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from environments.box2d.engine import (
    SCALE,
    START_PAD_STEPS,
    TERRAIN_HEIGHT,
    TERRAIN_LENGTH,
    TERRAIN_STEP,
)

START_PAD = START_PAD_STEPS * TERRAIN_STEP
HEIGHT_STD = 0.1  # spread of the height draw, in units of TERRAIN_STEP
MIN_STUMP = 0.05  # smallest draw of a height or a width
MIN_SPACING = 0.01  # m


@dataclass(frozen=True)
class Terrain:
    """A finished track; build one by hand to replay a recorded scene.

    Attributes:
        ground: (v, 2) float64, vertices of the ground line from left to right.
        stumps: (k, 4, 2) float64, counter-clockwise vertices of the stumps in creation order.

    Raises:
        ValueError: an array has another shape or holds NaN or infinity, or the ground goes back.
    """

    ground: np.ndarray
    stumps: np.ndarray

    def __post_init__(self) -> None:
        ground, stumps = checked_track(self.ground, self.stumps, "stumps")
        object.__setattr__(self, "ground", ground)
        object.__setattr__(self, "stumps", stumps)


def checked_track(
    ground: np.ndarray, boxes: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """A ground line (v, 2) and boxes (k, 4, 2) that ``name`` names, as float64 copies.

    Raises:
        ValueError: an array has another shape or holds NaN or infinity, or the ground goes back.
    """
    ground, boxes = np.array(ground, dtype=np.float64), np.array(boxes, dtype=np.float64)
    if ground.ndim != 2 or ground.shape[1] != 2 or len(ground) < 2:
        raise ValueError(f"ground needs at least two points (v, 2), but is {ground.shape}")
    if boxes.size == 0:
        boxes = np.empty((0, 4, 2))
    if boxes.shape[1:] != (4, 2):
        raise ValueError(f"{name} need four corners each, (k, 4, 2), but are {boxes.shape}")
    if not (np.isfinite(ground).all() and np.isfinite(boxes).all()):
        raise ValueError(f"ground and {name} must be finite, but hold NaN or infinity")
    if (np.diff(ground[:, 0]) < 0).any() or ground[0, 0] == ground[-1, 0]:
        raise ValueError("ground must run from left to right, but x goes back or stands still")
    return ground, boxes


def generate(
    rng: np.random.Generator,
    stump_height: float | None,
    obstacle_spacing: float,
    *,
    stump_width: tuple[float, float] | None = None,
    stump_rotation: tuple[float, float] | None = None,
    roughness: float = 0.0,
    sequence: np.ndarray | None = None,
    to_the_end: bool = False,
) -> Terrain:
    """Draw a track: obstacle, ground, obstacle ... until the end of the track is reached.

    Args:
        rng: source of all draws; per obstacle its kind if there are two, per stump its height, then
            width and rotation if asked for; per stretch of ground its roughness if there is any.
        stump_height: mean height, in units of TERRAIN_STEP (0.467 m); the standard deviation is
            0.1. Draws below 0.05 become 0.05: there is always a small stump. None: no stumps.
        obstacle_spacing: length of the flat stretch after each obstacle, metres; at least 0.01.
        stump_width: mean and standard deviation in units of TERRAIN_STEP; None: exactly one.
        stump_rotation: mean and standard deviation of the turn about the middle of the base,
            radians, between 0 and 2π; None: upright.
        roughness: half width of the uniform draw that bends the ground, px per step.
        sequence: (k, 2) mean height (units of TERRAIN_STEP) and mean width (metres) of k adjoining
            stumps that form one obstacle; standard deviations 0.1. None: no sequences.
        to_the_end: lengthen the last stretch of ground to the end of the track. Without it the
            ground may end before the finish line, as in the reference.

    Raises:
        ValueError: there is neither a stump height nor a sequence.
    """
    if stump_height is None and sequence is None:
        raise ValueError("a track needs obstacles: give a stump height, a sequence or both")
    spacing = max(MIN_SPACING, obstacle_spacing)
    x, y, slope = START_PAD, TERRAIN_HEIGHT, 0.0
    ground, stumps = [(0.0, y), (x, y)], []
    while x < TERRAIN_LENGTH:
        ground.append((x, y))
        if sequence is None or (stump_height is not None and rng.integers(2) == 0):
            stumps.append(_draw_stump(rng, x, y, stump_height, stump_width, stump_rotation))
            x += stumps[-1].width
        else:
            for height, width in sequence:
                stumps.append(_draw_adjoining(rng, x, y, height, width))
                x += stumps[-1].width
        if x >= TERRAIN_LENGTH:
            break
        slope = 0.8 * slope + 0.01 * float(np.sign(TERRAIN_HEIGHT - y))
        if roughness:
            slope += rng.uniform(-roughness, roughness) / SCALE
        y += slope
        ground.append((x, y))
        x += spacing
    if to_the_end and ground[-1][0] < TERRAIN_LENGTH:
        ground.append((TERRAIN_LENGTH, y))
    return Terrain(np.array(ground), np.array([_corners(stump) for stump in stumps]))


class _Stump(NamedTuple):
    """A box whose lower left corner is (x, y), turned about the middle of its base."""

    x: float
    y: float
    width: float
    height: float
    turn: float


def _draw_stump(
    rng: np.random.Generator,
    x: float,
    y: float,
    mean_height: float,
    stump_width: tuple[float, float] | None,
    stump_rotation: tuple[float, float] | None,
) -> _Stump:
    """A single stump."""
    height = max(MIN_STUMP, rng.normal(mean_height, HEIGHT_STD)) * TERRAIN_STEP
    width, turn = TERRAIN_STEP, 0.0
    if stump_width is not None:
        width *= max(MIN_STUMP, rng.normal(*stump_width))
    if stump_rotation is not None:
        turn = min(max(rng.normal(*stump_rotation), 0.0), 2 * math.pi)
    return _Stump(x, y, width, height, turn)


def _draw_adjoining(
    rng: np.random.Generator, x: float, y: float, mean_height: float, mean_width: float
) -> _Stump:
    """One stump of a sequence; its width is in metres, unlike that of a single stump."""
    height = max(MIN_STUMP, rng.normal(mean_height, HEIGHT_STD)) * TERRAIN_STEP
    return _Stump(x, y, max(MIN_STUMP, rng.normal(mean_width, HEIGHT_STD)), height, 0.0)


def _corners(stump: _Stump) -> list[tuple[float, float]]:
    """Corners of a stump, counter-clockwise from the lower right one."""
    x, y, width, height, turn = stump
    corners = [(x + width, y), (x + width, y + height), (x, y + height), (x, y)]
    if not turn:
        return corners
    middle, cos, sin = x + width / 2, math.cos(turn), math.sin(turn)
    return [
        (middle + (cx - middle) * cos - (cy - y) * sin, y + (cx - middle) * sin + (cy - y) * cos)
        for cx, cy in corners
    ]

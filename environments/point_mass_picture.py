"""Pictures of PointMass: the room from above, drawn without a display.

Shapes are drawn at twice the size and halved afterwards, which smooths their edges. Nothing here is
random and nothing reaches the physics.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from environments.point_mass import GOAL, ROOM, START, SUCCESS_DISTANCE

PIXELS, OVERSAMPLING = 400, 2
MARGIN = 0.2  # shown beyond the border, m
EDGE = ROOM + MARGIN
ZOOM = OVERSAMPLING * PIXELS / (2 * EDGE)  # drawn pixels per metre

OUTSIDE, FLOOR, TILE = (92, 98, 112), (247, 245, 239), (232, 229, 219)
WALL, POST = (58, 64, 82), (232, 142, 60)
TARGET, BULLSEYE, ORIGIN = (112, 176, 120), (250, 250, 246), (150, 158, 176)
TRAIL_OLD, TRAIL_NEW = (172, 184, 222), (70, 98, 196)
MASS, ARRIVED, CRASHED = (44, 70, 170), (34, 132, 72), (204, 48, 48)

Point = tuple[float, float]
Colour = tuple[int, int, int]


def draw_room(
    walls: Sequence[float],
    gates: Sequence[Sequence[float]],
    trail: Sequence[Point],
    crashed: bool,
) -> np.ndarray:
    """Draw the room with its walls, and where the mass has been.

    Args:
        walls: their y, m.
        gates: position and width of the gate of each wall, m.
        trail: where the mass was after each step, the present place last, m.
        crashed: whether it has hit a wall there.

    Returns:
        The picture, (400, 400, 3) uint8.
    """
    picture = Image.new("RGB", (OVERSAMPLING * PIXELS,) * 2, OUTSIDE)
    draw = ImageDraw.Draw(picture)
    draw.rectangle(_pixels((-ROOM, ROOM), (ROOM, -ROOM)), fill=FLOOR)
    for line in range(-3, 4):
        draw.line(_pixels((line, ROOM), (line, -ROOM)), fill=TILE, width=OVERSAMPLING)
        draw.line(_pixels((-ROOM, line), (ROOM, line)), fill=TILE, width=OVERSAMPLING)
    for radius, colour in ((SUCCESS_DISTANCE, TARGET), (0.16, BULLSEYE), (0.07, TARGET)):
        _disc(draw, GOAL, radius, colour)
    _disc(draw, START, 0.12, ORIGIN)
    _draw_trail(draw, trail)
    for wall, gate in zip(walls, gates, strict=True):
        _draw_wall(draw, wall, *gate)
    arrived = math.dist(trail[-1], GOAL) < SUCCESS_DISTANCE
    _disc(draw, trail[-1], 0.13, CRASHED if crashed else ARRIVED if arrived else MASS)
    return np.asarray(picture.reduce(OVERSAMPLING))


def _pixels(*points: Point) -> list[Point]:
    """Pixels (column, row) of the large picture."""
    return [((x + EDGE) * ZOOM, (EDGE - y) * ZOOM) for x, y in points]


def _disc(draw: ImageDraw.ImageDraw, place: Point, radius: float, fill: Colour) -> None:
    x, y = place
    draw.ellipse(_pixels((x - radius, y + radius), (x + radius, y - radius)), fill=fill)


def _draw_trail(draw: ImageDraw.ImageDraw, trail: Sequence[Point]) -> None:
    """The way so far, the later the darker."""
    last = max(1, len(trail) - 2)
    for number, (before, after) in enumerate(itertools.pairwise(trail)):
        shade = tuple(
            round(old + (new - old) * number / last)
            for old, new in zip(TRAIL_OLD, TRAIL_NEW, strict=True)
        )
        draw.line(_pixels(before, after), fill=shade, width=3 * OVERSAMPLING)
        _disc(draw, after, 0.05, shade)


def _draw_wall(draw: ImageDraw.ImageDraw, wall: float, position: float, width: float) -> None:
    """A wall with its gate, and posts at those ends of the gate that are in the room."""
    left, right = position - width / 2, position + width / 2
    for start, end in ((-ROOM, min(left, ROOM)), (max(right, -ROOM), ROOM)):
        if start < end:
            draw.rectangle(_pixels((start, wall + 0.06), (end, wall - 0.06)), fill=WALL)
    for post in (left, right):
        if -ROOM <= post <= ROOM:
            draw.rectangle(_pixels((post - 0.05, wall + 0.1), (post + 0.05, wall - 0.1)), fill=POST)

"""Pictures of the Box2D worlds, drawn without a display.

The camera follows the walker, 20 m wide. Shapes are drawn at twice the size and halved afterwards,
which smooths their edges. Nothing here is random and nothing reaches the physics.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import Box2D
import numpy as np
from PIL import Image, ImageDraw

from environments.box2d import lidar
from environments.box2d.body import Embodiment
from environments.box2d.engine import (
    SCALE,
    TERRAIN_HEIGHT,
    TERRAIN_STEP,
    TERRAIN_STEPS,
    VIEWPORT_H,
    VIEWPORT_W,
)
from environments.box2d.terrain import Terrain

OVERSAMPLING = 2
ZOOM = OVERSAMPLING * SCALE  # drawn pixels per metre
WIDTH, HEIGHT = OVERSAMPLING * VIEWPORT_W, OVERSAMPLING * VIEWPORT_H
VIEW_W, VIEW_H = VIEWPORT_W / SCALE, VIEWPORT_H / SCALE  # m
BEHIND = VIEW_W / 5  # how much of the track behind the walker is shown, m
FINISH_LINE = (TERRAIN_STEPS - 10) * TERRAIN_STEP

SKY_TOP, SKY_BOTTOM = (132, 182, 226), (238, 244, 246)
# Distant ridges: colour, height above the ground (m), speed relative to the ground, wavelength (m).
RIDGES = (((197, 215, 226), 3.2, 0.15, 5.3), ((172, 199, 196), 1.7, 0.35, 3.1))
SOIL, GRASS, DEEP_SOIL = (124, 94, 72), (112, 158, 84), (104, 78, 60)
STUMP, STUMP_EDGE, STUMP_TOP = (176, 128, 82), (104, 70, 44), (222, 184, 134)
TRUNK, TRUNK_EDGE = (108, 92, 206), (60, 48, 138)
NEAR_LIMB, FAR_LIMB, LIMB_EDGE = (232, 142, 92), (190, 104, 84), (112, 58, 48)
TOUCHING = (246, 200, 92)
RAY, RAY_HIT = (214, 52, 62, 56), (214, 52, 62, 170)
POLE, FLAG_START, FLAG_FINISH = (70, 70, 78), (236, 180, 60), (206, 66, 66)

Point = tuple[float, float]


class Camera:
    """Turns metres into pixels of the large picture."""

    def __init__(self, x: float, ground: float):
        self.left = x - BEHIND
        self.bottom = ground - TERRAIN_HEIGHT

    def __call__(self, points: Iterable[Point]) -> list[Point]:
        """Pixels (column, row) of the given points."""
        return [((x - self.left) * ZOOM, HEIGHT - (y - self.bottom) * ZOOM) for x, y in points]


def draw_scene(world: Any) -> np.ndarray:
    """Draw the track around the walker.

    Args:
        terrain: the track.
        walker: the body on it.
        rays: (10,) lidar fractions.

    Returns:
        The picture, (400, 600, 3) uint8.
    """
    terrain, walker, rays = world.scene, world.embodiment, world.rays
    x, y = walker.place()
    ground_x, ground_y = terrain.ground.T
    camera = Camera(x, float(np.interp(x, ground_x, ground_y)))
    picture = _sky().copy()
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_ridges(draw, camera)
    _draw_flag(draw, camera, ground_x, ground_y, walker.plan.spawn_x, FLAG_START)
    _draw_flag(draw, camera, ground_x, ground_y, FINISH_LINE, FLAG_FINISH)
    _draw_terrain(draw, camera, terrain)
    _draw_rays(draw, camera, x, y, rays)
    _draw_walker(draw, camera, walker)
    _draw_progress(draw, x)
    return np.asarray(picture.reduce(OVERSAMPLING))


@functools.cache
def _sky() -> Image.Image:
    share = np.linspace(0.0, 1.0, HEIGHT)[:, None]
    column = (1 - share) * np.array(SKY_TOP) + share * np.array(SKY_BOTTOM)
    pixels = np.broadcast_to(column.round().astype(np.uint8)[:, None, :], (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.ascontiguousarray(pixels))


def _draw_ridges(draw: ImageDraw.ImageDraw, camera: Camera) -> None:
    across = np.linspace(0.0, VIEW_W, 81)
    for colour, height, speed, wavelength in RIDGES:
        phase = (across + speed * camera.left) / wavelength
        line = TERRAIN_HEIGHT + height * (
            1.0 + 0.28 * np.sin(phase) + 0.17 * np.sin(2.3 * phase + 1.0)
        )
        outline = [(a * ZOOM, HEIGHT - b * ZOOM) for a, b in zip(across, line, strict=True)]
        draw.polygon([*outline, (WIDTH, HEIGHT), (0, HEIGHT)], fill=colour)


def _draw_flag(
    draw: ImageDraw.ImageDraw,
    camera: Camera,
    ground_x: np.ndarray,
    ground_y: np.ndarray,
    x: float,
    colour: tuple[int, int, int],
) -> None:
    base = float(np.interp(x, ground_x, ground_y))
    pole = [(x, base), (x, base + 2.0)]
    draw.line(camera(pole), fill=POLE, width=2 * OVERSAMPLING)
    cloth = [(x, base + 2.0), (x + 0.8, base + 1.72), (x, base + 1.45)]
    draw.polygon(camera(cloth), fill=colour, outline=POLE)


def _draw_terrain(draw: ImageDraw.ImageDraw, camera: Camera, terrain: Terrain) -> None:
    ground = terrain.ground
    right = camera.left + VIEW_W
    visible = np.flatnonzero((ground[1:, 0] >= camera.left) & (ground[:-1, 0] <= right))
    line = camera(ground[visible[0] : visible[-1] + 2].tolist()) if len(visible) else []
    if line:
        foot = [(line[-1][0], HEIGHT), (line[0][0], HEIGHT)]
        draw.polygon([*line, *foot], fill=SOIL)
        draw.polygon([*((a, b + 1.2 * ZOOM) for a, b in line), *foot], fill=DEEP_SOIL)
    for stump in terrain.stumps:
        if stump[:, 0].max() < camera.left or stump[:, 0].min() > right:
            continue
        corners = camera(stump.tolist())
        _outlined(draw, corners, STUMP, STUMP_EDGE)
        draw.line(corners[1:3], fill=STUMP_TOP, width=2 * OVERSAMPLING)
    if line:
        draw.line(line, fill=GRASS, width=3 * OVERSAMPLING, joint="curve")


def _draw_rays(
    draw: ImageDraw.ImageDraw, camera: Camera, x: float, y: float, rays: np.ndarray
) -> None:
    ends = np.array([x, y]) + lidar.LAYOUTS["down"].rays * rays[:, None]
    for end, share in zip(ends.tolist(), rays.tolist(), strict=True):
        (start, stop) = camera([(x, y), end])
        draw.line([start, stop], fill=RAY, width=OVERSAMPLING)
        if share < 1.0:
            radius = 2 * OVERSAMPLING
            box = [stop[0] - radius, stop[1] - radius, stop[0] + radius, stop[1] + radius]
            draw.ellipse(box, fill=RAY_HIT)


def _draw_walker(draw: ImageDraw.ImageDraw, camera: Camera, walker: Embodiment) -> None:
    """Limbs made later lie behind; the trunk comes last. A checked part that touches lights up."""
    count = len(walker.parts)
    for number in reversed(range(count)):
        part, facts = walker.parts[number], walker.plan.facts["bodies"][number]
        outline = camera(_corners(part))
        if facts["critical_contact"]:
            _outlined(draw, outline, TRUNK, TRUNK_EDGE)
        elif walker.contacts.touching[number]:
            _outlined(draw, outline, TOUCHING, LIMB_EDGE)
        else:
            near = number <= count // 2
            _outlined(draw, outline, NEAR_LIMB if near else FAR_LIMB, LIMB_EDGE)


def _corners(part: Box2D.b2Body) -> list[Point]:
    return [tuple(part.transform * vertex) for vertex in part.fixtures[0].shape.vertices]


def _outlined(
    draw: ImageDraw.ImageDraw,
    corners: list[Point],
    fill: tuple[int, int, int],
    edge: tuple[int, int, int],
) -> None:
    draw.polygon(corners, fill=fill)
    draw.line([*corners, corners[0], corners[1]], fill=edge, width=OVERSAMPLING + 1, joint="curve")


def _draw_progress(draw: ImageDraw.ImageDraw, x: float) -> None:
    """A thin bar along the upper border: how much of the track is done."""
    share = min(max(x / FINISH_LINE, 0.0), 1.0)
    draw.rectangle([0, 0, WIDTH, 4 * OVERSAMPLING], fill=(255, 255, 255, 110))
    draw.rectangle([0, 0, share * WIDTH, 4 * OVERSAMPLING], fill=TRUNK)

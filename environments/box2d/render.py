"""Pictures of the Box2D worlds, drawn without a display.

What is drawn depends on what the scene has: ``ground``, a line (v, 2), or (v,) heights beside
``x``; ``stumps`` or ``polygons`` (k, 4, 2) that stand on it; a ``ceiling`` (v,), above which all is
rock; the height of the ``water``; creepers, where the world tells their corners.

The camera follows the reference body. In the open it is 20 m wide and keeps the ground at one
height. In a corridor it is 25 m wide; a corridor that is too high to fit is shown as the body sees
it: a body on the ground sees the ground, one at the ceiling the ceiling.

Shapes are drawn at twice the size and halved afterwards, which smooths their edges. Nothing here is
random and nothing reaches the physics.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from typing import Any

import Box2D
import numpy as np
from PIL import Image, ImageDraw

from environments.box2d.body import BodyPlan, Embodiment
from environments.box2d.engine import SCALE, VIEWPORT_H, VIEWPORT_W

OVERSAMPLING = 2
WIDTH, HEIGHT = OVERSAMPLING * VIEWPORT_W, OVERSAMPLING * VIEWPORT_H
OPEN_SCALE, CORRIDOR_SCALE = SCALE, 24.0  # px per metre
BEHIND = 0.2  # share of the picture behind the body
GROUND_SHARE = 0.25  # of the picture's height, where the ground is in the open
MARGIN = 2.5  # m of rock below and above a corridor; the body stays as far from the borders
SMOOTHING = 3.0  # m before and behind over which heights are averaged: the camera does not jump
TRUNK_NAMES = {"hull", "main_body", "head", "body"}
FAR, TRUNK, NEAR = range(3)  # layers of a body, from behind

Colour = tuple[int, ...]
Point = tuple[float, float]

SKY = (132, 182, 226), (238, 244, 246)  # top, bottom
CAVE = (188, 192, 204), (232, 228, 220)
HILLS = (197, 215, 226), (172, 199, 196)
CLIFFS = (196, 196, 202), (180, 180, 188)
# Two distant ridges: height (m), speed relative to the ground, wavelength (m).
RIDGES = ((3.2, 0.15, 5.3), (1.7, 0.35, 3.1))
SOIL, GRASS, DEEP_SOIL = (124, 94, 72), (112, 158, 84), (104, 78, 60)
ROCK, ROCK_EDGE, DEEP_ROCK = (112, 112, 126), (66, 66, 80), (92, 92, 106)
STUMP, STUMP_EDGE, STUMP_TOP = (176, 128, 82), (104, 70, 44), (222, 184, 134)
CREEPER, CREEPER_EDGE = (62, 152, 74), (28, 92, 46)
WATER_BEHIND, WATER_BEFORE, SURFACE = (64, 132, 206, 120), (64, 132, 206, 50), (240, 248, 255)
BODY = {FAR: (190, 104, 84), TRUNK: (108, 92, 206), NEAR: (232, 142, 92)}
EDGE = {FAR: (112, 58, 48), TRUNK: (60, 48, 138), NEAR: (112, 58, 48)}
DEAD = {FAR: (122, 122, 122), TRUNK: (150, 150, 150), NEAR: (176, 176, 176)}
DEAD_EDGE, DEAD_MARK = (70, 70, 70), (176, 30, 40)
TOUCHING = (246, 200, 92)
GRIP, GRIP_EDGE = (250, 226, 60), (30, 30, 34)
GRIP_RADIUS = 0.16  # m, three times the real one, which could not be seen
# What a ray meets, in the numbers in which a world observes it; None: nothing.
RAYS = {0.0: (214, 52, 62), 1.0: (12, 110, 46), -1.0: (20, 84, 196), None: (110, 110, 120)}
RAY_ALPHA, FREE_RAY_ALPHA, HIT_ALPHA = 130, 90, 230
POLE, FLAG_START, FLAG_FINISH = (70, 70, 78), (236, 180, 60), (206, 66, 66)


class Camera:
    """Turns metres into pixels of the large picture.

    Attributes:
        left, bottom: where the picture begins, m.
        floor: height of the ground near the body, m.
        width, height: how much it shows, m.
        zoom: drawn pixels per metre.
    """

    def __init__(self, left: float, bottom: float, floor: float, scale: float):
        self.left, self.bottom, self.floor = left, bottom, floor
        self.width, self.height = VIEWPORT_W / scale, VIEWPORT_H / scale
        self.zoom = OVERSAMPLING * scale

    @classmethod
    def follow(cls, world: Any) -> Camera:
        """The camera of the present moment."""
        x, y = world.embodiment.place()
        ground, ceiling = _line(world.scene, "ground"), _line(world.scene, "ceiling")
        around = np.linspace(x - SMOOTHING, x + SMOOTHING, 49)
        floor = float(np.interp(around, *ground.T).mean())
        if ceiling is None:
            scale = OPEN_SCALE
            bottom = floor - GROUND_SHARE * VIEWPORT_H / scale
        else:
            scale = CORRIDOR_SCALE
            roof = float(np.interp(around, *ceiling.T).mean())
            spare = VIEWPORT_H / scale - 2 * MARGIN - (roof - floor)
            share = 0.5
            if spare < 0:  # still in the lowest and the highest quarter
                share = min(max(2.0 * (y - floor) / (roof - floor) - 0.5, 0.0), 1.0)
            bottom = floor - MARGIN - share * spare
        bottom = min(max(bottom, y + MARGIN - VIEWPORT_H / scale), y - MARGIN)
        return cls(x - BEHIND * VIEWPORT_W / scale, bottom, floor, scale)

    def __call__(self, points: Iterable[Sequence[float]]) -> list[Point]:
        """Pixels (column, row) of the given points."""
        zoom = self.zoom
        return [((x - self.left) * zoom, HEIGHT - (y - self.bottom) * zoom) for x, y in points]

    def slice(self, line: np.ndarray) -> list[Point]:
        """Pixels of the part of a line (v, 2) from left to right that can be seen."""
        right = self.left + self.width
        seen = np.flatnonzero((line[1:, 0] >= self.left) & (line[:-1, 0] <= right))
        return self(line[seen[0] : seen[-1] + 2].tolist()) if len(seen) else []

    def shows(self, corners: np.ndarray) -> bool:
        """Whether something with these corners (k, 2) may be in the picture."""
        left, right = corners[:, 0].min(), corners[:, 0].max()
        return bool(right >= self.left and left <= self.left + self.width)


def draw_scene(world: Any) -> np.ndarray:
    """Draw the surroundings of the body.

    Args:
        world: a world in an episode, with ``scene``, ``embodiment``, ``rays`` (10,), ``layout`` and
            ``finish_line``; where there are any, also ``surfaces`` (10,), ``creeper_corners()`` and
            ``dead``.

    Returns:
        The picture, (400, 600, 3) uint8.
    """
    scene, body = world.scene, world.embodiment
    ground, ceiling = _line(scene, "ground"), _line(scene, "ceiling")
    camera = Camera.follow(world)
    picture = _backdrop(*(SKY if ceiling is None else CAVE)).copy()
    draw = ImageDraw.Draw(picture, "RGBA")
    _draw_ridges(draw, camera, HILLS if ceiling is None else CLIFFS)
    for x, colour in ((body.plan.spawn_x, FLAG_START), (world.finish_line, FLAG_FINISH)):
        _draw_flag(draw, camera, x, float(np.interp(x, *ground.T)), colour)
    water = _pools(camera, ground, ceiling, scene.water) if hasattr(scene, "water") else []
    for pool in water:
        draw.polygon(pool, fill=WATER_BEHIND)
    if water:
        _draw_surface(draw, camera, ground, ceiling, scene.water)
    _draw_terrain(draw, camera, scene)
    if hasattr(world, "creeper_corners"):
        _draw_creepers(draw, camera, world.creeper_corners())
    _draw_rays(draw, camera, world)
    _draw_body(draw, camera, body, getattr(world, "dead", False))
    for pool in water:
        draw.polygon(pool, fill=WATER_BEFORE)
    _draw_progress(draw, body.place()[0] / world.finish_line)
    return np.array(picture.reduce(OVERSAMPLING))


def _line(scene: Any, name: str) -> np.ndarray | None:
    """The ground or the ceiling as vertices (v, 2) from left to right; None if there is none."""
    line = getattr(scene, name, None)
    if line is None or line.ndim == 2:
        return line
    return np.stack([scene.x, line], axis=1)


@functools.cache
def _backdrop(top: Colour, bottom: Colour) -> Image.Image:
    share = np.linspace(0.0, 1.0, HEIGHT)[:, None]
    column = (1 - share) * np.array(top) + share * np.array(bottom)
    pixels = np.broadcast_to(column.round().astype(np.uint8)[:, None, :], (HEIGHT, WIDTH, 3))
    return Image.fromarray(np.ascontiguousarray(pixels))


def _draw_ridges(draw: ImageDraw.ImageDraw, camera: Camera, colours: Sequence[Colour]) -> None:
    """Far away; they stand on the ground near the body and pass more slowly."""
    across = np.linspace(0.0, camera.width, 81)
    base = camera.floor - camera.bottom
    for colour, (height, speed, wavelength) in zip(colours, RIDGES, strict=True):
        phase = (across + speed * camera.left) / wavelength
        line = base + height * (1.0 + 0.28 * np.sin(phase) + 0.17 * np.sin(2.3 * phase + 1.0))
        outline = np.stack([across * camera.zoom, HEIGHT - line * camera.zoom], axis=1)
        corners = [(WIDTH, HEIGHT), (0, HEIGHT)]
        draw.polygon([*map(tuple, outline.tolist()), *corners], fill=colour)


def _draw_flag(
    draw: ImageDraw.ImageDraw, camera: Camera, x: float, base: float, colour: Colour
) -> None:
    draw.line(camera([(x, base), (x, base + 2.0)]), fill=POLE, width=2 * OVERSAMPLING)
    cloth = [(x, base + 2.0), (x + 0.8, base + 1.72), (x, base + 1.45)]
    draw.polygon(camera(cloth), fill=colour, outline=POLE)


def _draw_terrain(draw: ImageDraw.ImageDraw, camera: Camera, scene: Any) -> None:
    """Ground, what stands on it, and the rock above."""
    line = camera.slice(_line(scene, "ground"))
    _draw_mass(draw, camera, line, HEIGHT, (SOIL, DEEP_SOIL))
    if line:
        draw.line(line, fill=GRASS, width=3 * OVERSAMPLING, joint="curve")
    # Boxes come after the ground: in treads and in the walls of pits its line runs inside them.
    boxes = (corners for name in ("stumps", "polygons") for corners in getattr(scene, name, ()))
    for box in boxes:
        if camera.shows(box):
            corners = camera(box.tolist())
            _outlined(draw, corners, STUMP, STUMP_EDGE)
            draw.line(corners[1:3], fill=STUMP_TOP, width=2 * OVERSAMPLING)
    ceiling = _line(scene, "ceiling")
    above = [] if ceiling is None else camera.slice(ceiling)
    if above:
        _draw_mass(draw, camera, above, 0, (ROCK, DEEP_ROCK))
        draw.line(above, fill=ROCK_EDGE, width=3 * OVERSAMPLING, joint="curve")


def _draw_mass(
    draw: ImageDraw.ImageDraw,
    camera: Camera,
    line: list[Point],
    border: int,
    colours: tuple[Colour, Colour],
) -> None:
    """All between a line and the lower or upper border, darker from 1.2 m inwards."""
    if not line:
        return
    inwards = 1.2 * camera.zoom * (1 if border else -1)
    # A line beyond the border needs its foot farther out, or the shape would cross itself.
    rows = [row for _, row in line] + [row + inwards for _, row in line]
    end = max(border, *rows) if border else min(border, *rows)
    foot = [(line[-1][0], end), (line[0][0], end)]
    draw.polygon([*line, *foot], fill=colours[0])
    draw.polygon([*((column, row + inwards) for column, row in line), *foot], fill=colours[1])


def _draw_creepers(draw: ImageDraw.ImageDraw, camera: Camera, creepers: np.ndarray) -> None:
    for creeper in creepers:
        if camera.shows(creeper):
            _outlined(draw, camera(creeper.tolist()), CREEPER, CREEPER_EDGE)


def _columns(
    camera: Camera, ground: np.ndarray, ceiling: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Across the picture and the track: position, bed and upper end of the water."""
    ends = max(camera.left, ground[0, 0]), min(camera.left + camera.width, ground[-1, 0])
    across = np.linspace(*ends, VIEWPORT_W + 1)
    top = np.minimum(np.interp(across, *ceiling.T), level)
    return across, np.interp(across, *ground.T), top


def _pools(
    camera: Camera, ground: np.ndarray, ceiling: np.ndarray, level: float
) -> list[list[Point]]:
    """Outlines of the water between ground, ceiling and its surface, in pixels."""
    across, bed, top = _columns(camera, ground, ceiling, level)
    pools = []
    for run in _runs(top > bed):
        upper = np.stack([across[run], top[run]], axis=1)
        lower = np.stack([across[run], bed[run]], axis=1)[::-1]
        pools.append(camera(np.concatenate([upper, lower]).tolist()))
    return pools


def _draw_surface(
    draw: ImageDraw.ImageDraw, camera: Camera, ground: np.ndarray, ceiling: np.ndarray, level: float
) -> None:
    """A bright line where the water meets air."""
    across, bed, top = _columns(camera, ground, ceiling, level)
    for run in _runs((bed < level) & (top == level)):
        line = camera([(x, level) for x in (across[run][0], across[run][-1])])
        draw.line(line, fill=SURFACE, width=2 * OVERSAMPLING)


def _runs(true: np.ndarray) -> list[slice]:
    """Where neighbours are all true, two or more of them."""
    borders = np.flatnonzero(np.diff(np.concatenate([[False], true, [False]]).astype(np.int8)))
    pairs = borders.reshape(-1, 2).tolist()
    return [slice(first, last) for first, last in pairs if last - first > 1]


def _draw_rays(draw: ImageDraw.ImageDraw, camera: Camera, world: Any) -> None:
    """Each ray up to what it meets, in the colour of what it meets."""
    place = np.array(world.embodiment.place())
    ends = place + world.layout.rays * world.rays[:, None]
    surfaces = getattr(world, "surfaces", np.zeros(len(ends)))
    start, *stops = camera([place, *ends])
    for stop, share, surface in zip(stops, world.rays.tolist(), surfaces.tolist(), strict=True):
        hit = share < 1.0
        colour = RAYS[surface if hit else None]
        alpha = RAY_ALPHA if hit else FREE_RAY_ALPHA
        draw.line([start, stop], fill=(*colour, alpha), width=OVERSAMPLING)
        if hit:
            draw.circle(stop, 2.5 * OVERSAMPLING, fill=(*colour, HIT_ALPHA))


def _layers(plan: BodyPlan) -> list[int]:
    """Per part: trunk, or limb on the near or the far side.

    Of two limbs that hang from one place the first is the near one.
    """
    layers = [TRUNK] * len(plan.facts["bodies"])
    places = plan.facts["spawn_exact"][plan.world]["joint_anchors"]
    taken = set()
    for joint, place in zip(plan.facts["joints"], places, strict=True):
        parent, child = joint["bodyA"], joint["bodyB"]
        if plan.facts["bodies"][child]["name"] in TRUNK_NAMES:
            continue
        layers[child] = layers[parent]
        if layers[parent] == TRUNK:
            hip = (parent, *map(tuple, place.values()))
            layers[child] = FAR if hip in taken else NEAR
            taken.add(hip)
    return layers


def _draw_body(draw: ImageDraw.ImageDraw, camera: Camera, body: Embodiment, dead: bool) -> None:
    """Far limbs, trunk, near limbs, then the grips. A limb that touches something lights up."""
    grips = body.plan.grips
    layers = _layers(body.plan)
    for number in sorted(range(len(body.parts)), key=layers.__getitem__):
        if number in grips:
            continue
        layer = layers[number]
        fill, edge = (DEAD[layer], DEAD_EDGE) if dead else (BODY[layer], EDGE[layer])
        if body.contacts.touching[number] and layer != TRUNK and not dead:
            fill = TOUCHING
        _outlined(draw, camera(_corners(body.parts[number])), fill, edge)
    for number, attached in zip(grips, body.attached, strict=True):
        (place,) = camera([body.parts[number].worldCenter])
        touching = TOUCHING if body.contacts.touching[number] else None
        fill = GRIP if attached else touching and (*touching, 130)
        width = OVERSAMPLING + 1
        draw.circle(place, GRIP_RADIUS * camera.zoom, fill=fill, outline=GRIP_EDGE, width=width)
    if dead:
        _draw_cross(draw, camera, body.head)


def _draw_cross(draw: ImageDraw.ImageDraw, camera: Camera, head: Box2D.b2Body) -> None:
    """The mark of a body that has drowned or suffocated."""
    x, y = head.worldCenter
    for slope in (1, -1):
        ends = [(x - 0.4, y - 0.4 * slope), (x + 0.4, y + 0.4 * slope)]
        draw.line(camera(ends), fill=DEAD_MARK, width=3 * OVERSAMPLING)


def _corners(part: Box2D.b2Body) -> list[Point]:
    return [tuple(part.transform * vertex) for vertex in part.fixtures[0].shape.vertices]


def _outlined(draw: ImageDraw.ImageDraw, corners: list[Point], fill: Colour, edge: Colour) -> None:
    draw.polygon(corners, fill=fill)
    draw.line([*corners, corners[0], corners[1]], fill=edge, width=OVERSAMPLING + 1, joint="curve")


def _draw_progress(draw: ImageDraw.ImageDraw, share: float) -> None:
    """A thin bar along the upper border: how much of the track is done."""
    height = 4 * OVERSAMPLING
    draw.rectangle([0, 0, WIDTH, height], fill=(255, 255, 255, 110))
    draw.rectangle([0, 0, min(max(share, 0.0), 1.0) * WIDTH, height], fill=BODY[TRUNK])

"""The bodies of a corridor: ground, ceiling, and creepers, which may hang still or swing."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import Box2D
import numpy as np

from environments.box2d.corridor import Corridor
from environments.box2d.engine import Scenery, body_angle, create_fixture, set_edge, set_tag

DENSITY = 5.0
GROUPS = 8  # bodies for the ceiling: edges of one body are 3.7 m apart
SAME_PLACE = 1e-4  # m; recorded corners are rounded
SWING = 0.4 * math.pi  # rad, how far a segment turns against the one above


# What can be told apart by its tag, the negative number -1 - index: a body of the scenery, whether
# it is a creeper, which nothing stands on, and the corners of its shape at first.
Hold = tuple[Box2D.b2Body, bool, Sequence[Sequence[float]]]


def build(
    scenery: Scenery, scene: Corridor, gripped: bool
) -> tuple[list[Hold], MovableCreepers | None]:
    """Build edge by edge of ground and ceiling, and each creeper after the edge where it hangs.

    Args:
        scenery: where to build.
        scene: what to build.
        gripped: somebody may hold on to ceiling and creepers.

    Returns:
        What the tags in the engine stand for, and the movable creepers if they are.
    """
    holds: list[Hold] = []
    movable = MovableCreepers(scenery.world) if scene.movable else None
    # A grip no longer touches the body that it holds. Only what is out of its reach may share one.
    apart = gripped or scene.movable
    above, hung = ([scenery.new_body() for _ in range(GROUPS if apart else 0)] for _ in range(2))
    common, edge_shape, of_edge = scenery.common, scenery.edge, scenery.of_edge
    x = scene.x.tolist()
    ground, ceiling = (
        list(zip(x, line.tolist(), strict=True)) for line in (scene.ground, scene.ceiling)
    )
    hanging = _by_edge(scene, x)
    for edge in range(len(x) - 1):
        # What ``scenery.add_edge`` does, in place: these 438 edges are most of a reset.
        set_edge(edge_shape, ground[edge], ground[edge + 1])
        create_fixture(common, of_edge)
        ends = ceiling[edge], ceiling[edge + 1]
        body = above[edge % GROUPS] if apart else common
        set_edge(edge_shape, *ends)
        fixture = create_fixture(body, of_edge)
        if gripped:
            holds.append((body, False, ends))
            set_tag(fixture, -len(holds))
        for number, corners in hanging.get(edge, ()):
            if movable is not None:
                holds.append((movable.add(corners, body, -1 - len(holds)), True, corners))
                continue
            creeper = hung[number % GROUPS] if gripped else common
            if gripped or not holds:  # where nobody grips, all creepers share one tag
                holds.append((creeper, True, corners))
            scenery.add_box(corners, creeper, -len(holds), sensor=True)
    return holds, movable


def _by_edge(scene: Corridor, x: list[float]) -> dict[int, list[tuple[int, list[Any]]]]:
    """Number and corners of the creepers that hang from each edge of the ceiling."""
    hanging: dict[int, list[tuple[int, list[Any]]]] = {}
    last = len(x) - 2
    for number, (left, right, bottom, top) in enumerate(scene.creepers.tolist()):
        edge = min(max(bisect_right(x, left + SAME_PLACE) - 1, 0), last)
        corners = [(left, bottom), (right, bottom), (right, top), (left, top)]
        hanging.setdefault(edge, []).append((number, corners))
    return hanging


def box_around(corners: Iterable[Sequence[float]]) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of some points."""
    xs, ys = zip(*corners, strict=True)
    return min(xs), max(xs), min(ys), max(ys)


class MovableCreepers:
    """All segments of one world. As in the reference they are bodies at the origin of the world.

    Segments never push anything: they are sensors. A segment hangs from the one added before it if
    it begins where that one ends, and from the ceiling otherwise.
    """

    def __init__(self, world: Box2D.b2World):
        self.world = world
        self.bodies: list[Box2D.b2Body] = []
        self._at_first: list[Sequence[Sequence[float]]] = []

    def add(
        self, corners: Sequence[Sequence[float]], ceiling: Box2D.b2Body, tag: int
    ) -> Box2D.b2Body:
        """Add a segment with ``corners`` (4, 2), counter-clockwise from the lower left one."""
        (left, _), (right, _), (_, top), _ = corners
        before = self._at_first[-1] if self._at_first else None
        linked = before is not None and math.dist(before[0], (left, top)) < SAME_PLACE
        shape = Box2D.b2PolygonShape(vertices=[tuple(corner) for corner in corners])
        fixture = Box2D.b2FixtureDef(shape=shape, density=DENSITY, isSensor=True, userData=tag)
        body = self.world.CreateDynamicBody(fixtures=fixture)
        self.world.CreateRevoluteJoint(
            bodyA=self.bodies[-1] if linked else ceiling,
            bodyB=body,
            anchor=(left + (right - left) / 2, top),
            enableLimit=True,
            lowerAngle=-SWING,
            upperAngle=SWING,
        )
        self.bodies.append(body)
        self._at_first.append(corners)
        return body

    def corners(self) -> np.ndarray:
        """Present corners of all segments, (k, 4, 2)."""
        return self._moved(range(len(self.bodies)))

    def corners_of(self, body: Box2D.b2Body) -> np.ndarray:
        """Present corners of one segment, (4, 2)."""
        return self._moved([self.bodies.index(body)])[0]

    def near(self, x: float, distance: float) -> np.ndarray:
        """Present corners of the segments that are within ``distance`` of ``x``, (k, 4, 2)."""
        corners = self.corners()
        left, right = corners[:, :, 0].min(axis=1), corners[:, :, 0].max(axis=1)
        return corners[(right >= x - distance) & (left <= x + distance)]

    def _moved(self, numbers: Sequence[int] | range) -> np.ndarray:
        at_first = np.array([self._at_first[number] for number in numbers]).reshape(-1, 4, 2)
        bodies = [self.bodies[number] for number in numbers]
        angles = np.array([body_angle(body.this) for body in bodies])
        places = np.array([tuple(body.position) for body in bodies]).reshape(-1, 1, 2)
        sin, cos = np.sin(angles)[:, None], np.cos(angles)[:, None]
        x, y = at_first[..., 0], at_first[..., 1]
        return np.stack([cos * x - sin * y, sin * x + cos * y], axis=-1) + places

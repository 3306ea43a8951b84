"""The physics engine of the Box2D worlds: constants, static scenery, contacts, fast handles.

Lengths are in metres (one metre is 30 px of the reference), angles in radians counter-clockwise.

The handles call the binding's C functions on the bare engine pointers. That is three times as fast
as the properties they belong to, and a step reads about twenty numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import Box2D
import numpy as np

FPS = 50
SCALE = 30.0  # px per metre
VIEWPORT_W, VIEWPORT_H = 600, 400  # px; also enter the scaling of observed velocities
TIME_STEP = 1.0 / FPS
VELOCITY_ITERATIONS, POSITION_ITERATIONS = 180, 60
GRAVITY = (0.0, -10.0)

TERRAIN_STEP = 14 / SCALE
TERRAIN_STEPS = 200
TERRAIN_LENGTH = TERRAIN_STEPS * TERRAIN_STEP
TERRAIN_HEIGHT = VIEWPORT_H / SCALE / 4
START_PAD_STEPS = 20
TERRAIN_FRICTION = 2.5
TERRAIN_CATEGORY = 0x0001
MAX_PUSH = 5.0  # N


def _c_function(accessor: Any) -> Any:
    """The C function behind a SWIG accessor; it takes the engine pointer as first argument."""
    return getattr(accessor, "__func__", accessor)


joint_angle = _c_function(Box2D.b2RevoluteJoint.angle.fget)
joint_speed = _c_function(Box2D.b2RevoluteJoint.speed.fget)
set_motor_speed = _c_function(Box2D.b2RevoluteJoint.motorSpeed.fset)
set_motor_torque = _c_function(Box2D.b2RevoluteJoint.maxMotorTorque.fset)
body_angle = _c_function(Box2D.b2Body.angle.fget)
body_spin = _c_function(Box2D.b2Body.angularVelocity.fget)
vector_x = _c_function(Box2D.b2Vec2.x.fget)
vector_y = _c_function(Box2D.b2Vec2.y.fget)
world_point = Box2D._Box2D.b2Body_GetWorldPoint
joint_anchor = Box2D._Box2D.b2Joint___GetAnchorB
motor_torque = Box2D._Box2D.b2RevoluteJoint_GetMotorTorque
apply_force = Box2D._Box2D.b2Body_ApplyForceToCenter
apply_torque = Box2D._Box2D.b2Body_ApplyTorque
create_joint = Box2D._Box2D.b2World___CreateJoint
_create_body = Box2D._Box2D.b2World___CreateBody
create_fixture = Box2D._Box2D.b2Body___CreateFixture
set_tag = Box2D._Box2D.b2Fixture___SetUserData
_set_vertex = Box2D._Box2D.b2PolygonShape_set_vertex
_set_vertex_count = Box2D._Box2D.b2PolygonShape_vertexCount_set
_finish_polygon = Box2D._Box2D.b2PolygonShape___set_vertices_internal
set_edge = Box2D._Box2D.b2EdgeShape___Set


def build_world() -> Box2D.b2World:
    """Return an empty world with the engine's defaults and the gravity of the reference."""
    return Box2D.b2World(gravity=GRAVITY, doSleep=True)


def create_body(
    world: Box2D.b2World, place: Box2D.b2BodyDef, fixture: Box2D.b2FixtureDef
) -> Box2D.b2Body:
    """A body with one fixture. The binding's own way reads keywords and takes thrice as long."""
    body = _create_body(world, place)
    create_fixture(body, fixture)
    return body


class Scenery:
    """Static edges and polygons, on one common body or on bodies of their own.

    One body serves as well as one per shape, bit for bit, and the engine visits every body in every
    step. Only what can be gripped needs a body of its own: parts joined to a body no longer collide
    with any of its fixtures. The definitions are kept because the binding leaks them.
    """

    _place = Box2D.b2BodyDef()
    edge, _box = Box2D.b2EdgeShape(), Box2D.b2PolygonShape(box=(1.0, 1.0))
    of_edge, _of_box, _of_sensor = (
        Box2D.b2FixtureDef(shape=shape, friction=TERRAIN_FRICTION, categoryBits=TERRAIN_CATEGORY)
        for shape in (edge, _box, _box)
    )
    _of_sensor.isSensor = True

    def __init__(self, world: Box2D.b2World):
        self.world = world
        self.common = self.new_body()

    def new_body(self) -> Box2D.b2Body:
        """A further static body."""
        return _create_body(self.world, self._place)

    def add_edge(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        body: Box2D.b2Body,
        tag: int | None = None,
    ) -> None:
        """Add a line segment without ghost vertices; ``tag`` is its fixture's user data."""
        set_edge(self.edge, start, end)
        if tag is None:
            create_fixture(body, self.of_edge)
        else:
            set_tag(create_fixture(body, self.of_edge), tag)

    def add_box(
        self,
        corners: Sequence[Sequence[float]],
        body: Box2D.b2Body,
        tag: int | None = None,
        *,
        sensor: bool = False,
    ) -> None:
        """Add a convex polygon of four corners; a sensor is felt and seen, but never pushes."""
        box = self._box
        for number, (x, y) in enumerate(corners):
            _set_vertex(box, number, x, y)
        _set_vertex_count(box, 4)  # the engine may have dropped a corner of the box before
        _finish_polygon(box)
        kind = self._of_sensor if sensor else self._of_box
        created = create_fixture(body, kind)
        if tag is not None:
            set_tag(created, tag)

    def add_line(self, vertices: np.ndarray) -> None:
        """Add one edge per pair of consecutive vertices (v, 2)."""
        for start, end in itertools.pairwise(map(tuple, vertices.tolist())):
            self.add_edge(start, end, self.common)

"""The physics engine of the Box2D worlds: constants, static scenery, contacts, fast handles.

Lengths are in metres (one metre is 30 px of the reference), angles in radians counter-clockwise.

The handles call the binding's C functions on the bare engine pointers. That is three times as fast
as the properties they belong to, and a step reads about twenty numbers.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
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


class Contacts(Box2D.b2ContactListener):
    """Remembers which checked parts touch something, and whether a critical part ever did.

    A part is known by the ``userData`` of its fixture, its number; scenery and unchecked parts have
    none. ``touching`` holds 1.0 or 0.0 per part. As in the reference one flag serves all contacts
    of a part: the end of any of them clears it, even if another one persists.
    """

    # The engine reports every touching contact twice per step to these two. Nobody listens, and a
    # C function that takes two arguments is the cheapest way of not listening.
    PreSolve = staticmethod(operator.is_)
    PostSolve = staticmethod(operator.is_)

    def __init__(self, critical: Sequence[bool]):
        super().__init__()
        self.critical = tuple(critical)
        self.touching = [0.0] * len(self.critical)
        self.fallen = False

    def BeginContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures begin to touch."""
        part = contact.fixtureB.userData
        if part is None:
            part = contact.fixtureA.userData
            if part is None:
                return
        self.touching[part] = 1.0
        if self.critical[part]:
            self.fallen = True

    def EndContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures cease to touch."""
        part = contact.fixtureB.userData
        if part is None:
            part = contact.fixtureA.userData
            if part is None:
                return
        self.touching[part] = 0.0


def build_world() -> Box2D.b2World:
    """Return an empty world with the engine's defaults and the gravity of the reference."""
    return Box2D.b2World(gravity=GRAVITY, doSleep=True)


def add_scenery(world: Box2D.b2World, polygons: np.ndarray, ground: np.ndarray) -> None:
    """Add static polygons, then one static edge per pair of consecutive ground vertices.

    Every polygon and every edge has a body of its own: the order in which the engine meets
    contacts, and with it the last bits of a trajectory, depends on that.

    Args:
        world: the world to fill.
        polygons: (k, n, 2) vertices of convex polygons, metres.
        ground: (v, 2) vertices of the ground from left to right, metres.
    """
    _add_shapes(world, Box2D.b2PolygonShape, polygons.tolist())
    _add_shapes(world, Box2D.b2EdgeShape, itertools.pairwise(ground.tolist()))


@functools.cache
def _definitions(shape_class: type) -> tuple[Any, Any, Any]:
    """Definitions to fill in anew for every body; kept because the binding leaks them."""
    shape = shape_class()
    fixture = Box2D.b2FixtureDef(
        shape=shape, friction=TERRAIN_FRICTION, categoryBits=TERRAIN_CATEGORY
    )
    return Box2D.b2BodyDef(), shape, fixture


def _add_shapes(
    world: Box2D.b2World, shape_class: type, outlines: Iterable[Sequence[Sequence[float]]]
) -> None:
    """One static body per outline."""
    place, shape, fixture = _definitions(shape_class)
    for outline in outlines:
        shape.vertices = [tuple(vertex) for vertex in outline]
        world.CreateBody(place).CreateFixture(fixture)

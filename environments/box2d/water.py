"""The water of Parkour: buoyancy, drag, lift, and the push of strokes, on plain floats.

The water fills everything below a level, so the part of a body that is under water is its polygon
cut at that level. Only the sum of a part's forces and torques goes to the engine. Source:
TeachMyAgent (Romac, Portelas, Hofmann, Oudeyer, 2021, https://arxiv.org/abs/2103.09815). Densities
are in kg/m², forces in N.

Differs from the reference by rounding only (double instead of single precision). Its push, an
empirical rule without a consistent dimension, reads the motor's torque as if a step took 1/60 s
although it takes 1/50 s; it is kept as it is.
"""

from __future__ import annotations

import math

import Box2D

from environments.box2d.body import Embodiment
from environments.box2d.engine import (
    apply_force,
    apply_torque,
    body_spin,
    joint_anchor,
    joint_angle,
    motor_torque,
    vector_x,
    vector_y,
    world_point,
)

DENSITY = 1.0
DRAG, LIFT = 0.25, 0.25
MAX_DRAG, MAX_LIFT = 2000.0, 500.0
PUSH = 0.05
TORQUE_RATE = 60.0  # 1/s; see the module's docstring
GRAVITY = 10.0
SKIN = 0.02  # m: two polygons touch in the engine when they are this close
TINY_AREA = 1.19e-7  # m²

Point = tuple[float, float]
Edge = tuple[float, float, float, float, float]  # middle, length, direction


class FloatingPart:
    """What is constant about a part in the water, and handles to what is not.

    ``corners`` are in the part's own frame, counter-clockwise; ``joint`` is the driven joint that
    ends here, or None.
    """

    def __init__(
        self,
        body: Box2D.b2Body,
        solid: tuple[list[Point], float, float],
        joint: Box2D.b2RevoluteJoint | None,
        level: float,
    ):
        self.body = body.this
        self._vectors = body.linearVelocity, body.worldCenter  # kept: the handles point there
        self.velocity, self.centre = (vector.this for vector in self._vectors)
        self.corners, self.radius, self.inertia = solid
        self.joint = None if joint is None else joint.this
        self.limits = (0.0, 0.0) if joint is None else (joint.lowerLimit, joint.upperLimit)
        self.wet = not self.far_above(level) and min(y for _, y in self.outline()) <= level + SKIN

    def far_above(self, level: float) -> bool:
        """Whether no corner can be near the water, whatever the angle."""
        return vector_y(self.centre) - self.radius > level + SKIN

    def outline(self) -> list[Point]:
        """The present corners, rounded to single precision as in the engine."""
        body = self.body
        return [(point.x, point.y) for point in (world_point(body, c) for c in self.corners)]


class Water:
    """Water up to ``level`` (height in m) around a body; ``max_push`` limits strokes, N."""

    def __init__(self, embodiment: Embodiment, level: float, max_push: float = 20.0):
        self.level, self.max_push = level, max_push
        facts = embodiment.plan.facts["joints"]
        driven = {
            fact["bodyB"]: joint
            for joint, fact in zip(embodiment.joints, facts, strict=True)
            if fact.get("motor_enabled")
        }
        self.parts = [
            FloatingPart(part, solid, driven.get(number), level)
            for number, (part, solid) in enumerate(
                zip(embodiment.parts, embodiment.plan.solids, strict=True)
            )
            if solid[0]  # grips are circles and never float
        ]

    def push(self) -> None:
        """Apply the forces of the present state; they act in the engine's next step.

        As in the engine, a part belongs to the water only if it touched it before the last step.
        """
        level = self.level
        for part in self.parts:
            if part.far_above(level):
                part.wet = False
                continue
            outline = part.outline()
            heights = [y for _, y in outline]
            lowest = min(heights)
            was_wet, part.wet = part.wet, lowest <= level + SKIN
            if was_wet and lowest < level:
                self._push_part(part, outline if max(heights) < level else below(outline, level))

    def _push_part(self, part: FloatingPart, overlap: list[Point]) -> None:
        centre = vector_x(part.centre), vector_y(part.centre)
        spin = body_spin(part.body)
        area, middle, edges = measure(overlap)
        flow = vector_x(part.velocity), vector_y(part.velocity), spin
        force_x, force_y, torque = drag_and_lift(edges, centre, flow)
        lift = DENSITY * area * GRAVITY  # buoyancy: straight up, at the centroid under water
        force_y += lift
        torque += (middle[0] - centre[0]) * lift
        if part.joint is not None and part.limits[0] < joint_angle(part.joint) < part.limits[1]:
            anchor = joint_anchor(part.joint)
            arm = centre[0] - anchor.x, centre[1] - anchor.y
            drive = motor_torque(part.joint, TORQUE_RATE)
            stroke = drive, drive + part.inertia * spin
            stroke_x, stroke_y = stroke_push(edges, arm, stroke, self.max_push)
            force_x, force_y = force_x + stroke_x, force_y + stroke_y
            torque -= arm[0] * stroke_y - arm[1] * stroke_x  # it acts at the joint
        apply_force(part.body, (force_x, force_y), True)
        apply_torque(part.body, torque, True)


def stroke_push(edges: list[Edge], arm: Point, stroke: tuple[float, float], most: float) -> Point:
    """The push of a limb's stroke on its joint, N; each edge's share is clipped per component.

    A torque counts to the third power, and a limb's ends are pushed by what rounding leaves of
    zero: only corners and arms in the engine's own precision give the reference's trajectories.

    Args:
        edges: of what is under water of the limb.
        arm: from the joint to the limb's centre of mass, m.
        stroke: the motor's torque; the same plus the limb's angular momentum.
        most: limit of each component per edge, N.
    """
    force_x, force_y = -stroke[0] * arm[1], stroke[0] * arm[0]
    strength = PUSH * DENSITY * stroke[1] ** 2
    sum_x = sum_y = 0.0
    for _, _, length, along_x, along_y in edges:
        pressed = along_y * force_x - along_x * force_y
        if pressed > 0.0:
            share = -strength * pressed * length
            sum_x += min(max(share * force_x, -most), most)
            sum_y += min(max(share * force_y, -most), most)
    return sum_x, sum_y


def drag_and_lift(
    edges: list[Edge], centre: Point, flow: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Sum of the forces of the flow along a polygon's edges, N, and their torque about ``centre``.

    ``flow`` is the velocity of the centre of mass, m/s, and the angular velocity, rad/s.
    """
    sum_x = sum_y = torque = 0.0
    centre_x, centre_y = centre
    speed_x, speed_y, spin = flow
    for at_x, at_y, length, along_x, along_y in edges:
        arm_x, arm_y = at_x - centre_x, at_y - centre_y
        u, v = speed_x - spin * arm_y, speed_y + spin * arm_x
        facing = along_y * u - along_x * v  # how fast the edge moves into the water
        square = u * u + v * v
        if facing < 0.0 or square == 0.0:
            continue
        speed = math.sqrt(square)
        u, v = u / speed, v / speed
        pressure = facing * speed * length * DENSITY
        drag = min(DRAG * pressure, MAX_DRAG)
        lift = min(LIFT * pressure * (along_x * u + along_y * v), MAX_LIFT)
        force_x, force_y = -drag * u - lift * v, -drag * v + lift * u
        sum_x += force_x
        sum_y += force_y
        torque += arm_x * force_y - arm_y * force_x
    return sum_x, sum_y, torque


def below(outline: list[Point], level: float) -> list[Point]:
    """The part of a polygon that lies below a level (Sutherland & Hodgman 1974, one border)."""
    inside: list[Point] = []
    before_x, before_y = outline[-1]
    for x, y in outline:
        if (y < level) != (before_y < level):
            share = (level - before_y) / (y - before_y)
            inside.append((before_x + share * (x - before_x), level))
        if y < level:
            inside.append((x, y))
        before_x, before_y = x, y
    return inside


def measure(outline: list[Point]) -> tuple[float, Point, list[Edge]]:
    """Area in m², centroid and edges of a counter-clockwise polygon."""
    base_x, base_y = x, y = outline[-1]  # area and centroid relative to it: places are large
    area = sum_x = sum_y = 0.0
    edges: list[Edge] = []
    for next_x, next_y in outline:
        a, b, c, d = x - base_x, y - base_y, next_x - base_x, next_y - base_y
        cross = a * d - c * b
        area += cross / 2
        sum_x += (a + c) * cross / 6
        sum_y += (b + d) * cross / 6
        along_x, along_y = next_x - x, next_y - y
        length = math.sqrt(along_x * along_x + along_y * along_y)
        if length > 0.0:
            along_x, along_y = along_x / length, along_y / length
            edges.append(((x + next_x) / 2, (y + next_y) / 2, length, along_x, along_y))
        x, y = next_x, next_y
    if area <= TINY_AREA:
        return 0.0, (base_x, base_y), edges
    return area, (base_x + sum_x / area, base_y + sum_y / area), edges

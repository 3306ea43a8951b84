"""Bodies of the Box2D worlds, built from the measured doubles in ``assets/embodiments.json``."""

from __future__ import annotations

import difflib
import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Box2D

from environments.box2d.engine import (
    FPS,
    SCALE,
    VIEWPORT_H,
    VIEWPORT_W,
    Contacts,
    body_angle,
    body_spin,
    joint_angle,
    joint_speed,
    set_motor_speed,
    set_motor_torque,
    vector_x,
    vector_y,
)

EMBODIMENTS = Path(__file__).parent / "assets" / "embodiments.json"
HEAD_ENTRIES = 4  # angle, angular velocity and the two velocities of the reference body


@functools.cache
def _embodiments() -> dict[str, dict[str, Any]]:
    return json.loads(EMBODIMENTS.read_text("utf-8"))["embodiments"]


@dataclass(frozen=True)
class BodyPlan:
    """What is known of a body before it is built.

    Attributes:
        name: its name in ``embodiments.json``.
        world: the world whose spawn points are used, "StumpTracks" or "Parkour".
        facts: its entry in ``embodiments.json``.
    """

    name: str
    world: str
    facts: dict[str, Any]

    @classmethod
    def load(cls, name: str, world: str, allowed: tuple[str, ...]) -> BodyPlan:
        """Read a body by name.

        Raises:
            ValueError: the name is not among ``allowed``; the message names the nearest one.
        """
        if name not in allowed:
            near = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.0)[0]
            raise ValueError(
                f"unknown body {name!r}; known are {', '.join(allowed)}; did you mean {near!r}?"
            )
        return cls(name, world, _embodiments()[name])

    @property
    def motors(self) -> list[dict[str, Any]]:
        """The driven joints in the order of the action vector."""
        return [joint for joint in self.facts["joints"] if joint["motor_enabled"]]

    @functools.cached_property
    def fixtures(self) -> list[Box2D.b2FixtureDef]:
        """One definition per part, kept because the binding leaks them."""
        fixtures = []
        for number, facts in enumerate(self.facts["bodies"]):
            outline = self.facts["shapes_exact"][number]
            # Limbs go through the engine's box constructor: it rounds otherwise than a vertex list.
            shape = Box2D.b2PolygonShape(
                **{key: tuple(map(_as_tuple, value)) for key, value in outline.items()}
            )
            fixture = Box2D.b2FixtureDef(
                shape=shape,
                density=facts["density"],
                friction=facts["friction"],
                restitution=facts["restitution"],
                categoryBits=facts["category"],
                maskBits=facts["mask"],
                userData=number if facts["check_contact"] else None,
            )
            fixtures.append(fixture)
        return fixtures

    @property
    def spawn_x(self) -> float:
        """Where the body is put, metres from the start of the track."""
        return self.facts["spawn_exact"][self.world]["init_x"]

    @property
    def action_size(self) -> int:
        """How many numbers an action has."""
        return self.facts["action_size"]

    @property
    def state_size(self) -> int:
        """How many numbers ``Walker.sense`` returns."""
        return HEAD_ENTRIES + self.facts["motor_state_size"]

    @property
    def torque_price(self) -> float:
        """Reward lost per step and motor at full effort."""
        return self.facts["torque_penalty"] * 80

    @property
    def penalises_angle(self) -> bool:
        """Whether leaning costs reward."""
        return not self.facts["no_head_angle_penalty"]


class Walker:
    """A body in a world. Parts and joints are created in the order of the reference.

    Attributes:
        plan: what it was built from.
        parts: its bodies in creation order.
        contacts: the contact listener; the world must keep hearing it.
    """

    def __init__(self, plan: BodyPlan, world: Box2D.b2World):
        facts = plan.facts
        spawn = facts["spawn_exact"][plan.world]
        self.plan = plan
        self.parts: list[Box2D.b2Body] = []
        self.joints: list[Box2D.b2RevoluteJoint] = []
        for kind in facts["creation_order"]:
            if kind == "body":
                self._add_part(world, spawn["body_position_angle"][len(self.parts)])
            else:
                self._add_joint(world, spawn["joint_anchors"][len(self.joints)])
        self.contacts = Contacts([part["critical_contact"] for part in facts["bodies"]])
        world.contactListener = self.contacts
        self._cache_handles()

    def _add_part(self, world: Box2D.b2World, place: list[float]) -> None:
        x, y, angle = place
        part = world.CreateDynamicBody(position=(x, y), angle=angle)
        part.CreateFixture(self.plan.fixtures[len(self.parts)])
        self.parts.append(part)

    def _add_joint(self, world: Box2D.b2World, anchors: dict[str, list[float]]) -> None:
        number = len(self.joints)
        facts = self.plan.facts["joints"][number]
        lower, upper = self.plan.facts["joint_limits_exact"][number]
        motor = {}
        if facts["motor_enabled"]:
            motor = {
                "enableMotor": True,
                "maxMotorTorque": facts["max_torque"],
                "motorSpeed": facts["initial_motor_speed"],
            }
        self.joints.append(
            world.CreateRevoluteJoint(
                bodyA=self.parts[facts["bodyA"]],
                bodyB=self.parts[facts["bodyB"]],
                enableLimit=True,
                lowerAngle=lower,
                upperAngle=upper,
                **{key: tuple(value) for key, value in anchors.items()},
                **motor,
            )
        )

    def _cache_handles(self) -> None:
        """Collect once what every step needs."""
        head = self.parts[self.plan.facts["head_body"]]
        self.head = head
        # The engine hands out both vectors by reference: they show the present values for ever.
        self._vectors = head.position, head.linearVelocity
        self._head = head.this
        self._position, self._velocity = (vector.this for vector in self._vectors)
        driven = [
            (joint.this, facts)
            for joint, facts in zip(self.joints, self.plan.facts["joints"], strict=True)
            if facts["motor_enabled"]
        ]
        self._motors = [
            (joint, float(facts["speed_control"]), float(facts["max_torque"]))
            for joint, facts in driven
        ]
        self._senses = [
            (joint, facts["angle_correction"], float(facts["speed_control"]), facts["contact_body"])
            for joint, facts in driven
        ]

    def drive(self, action: list[float]) -> list[float]:
        """Set the motors for the next engine step; return each entry's effort, 0 to 1."""
        efforts = []
        for value, (joint, speed, torque) in zip(action, self._motors, strict=True):
            if value > 0.0:
                set_motor_speed(joint, speed)
            elif value < 0.0:
                set_motor_speed(joint, -speed)
                value = -value
            else:
                set_motor_speed(joint, 0.0)
            if value > 1.0:
                value = 1.0
            set_motor_torque(joint, torque * value)
            efforts.append(value)
        return efforts

    def place(self) -> tuple[float, float]:
        """Where the reference body's origin is, metres."""
        return vector_x(self._position), vector_y(self._position)

    def sense(self) -> list[float]:
        """The observation without its lidar: reference body, then every motor."""
        velocity, head, touching = self._velocity, self._head, self.contacts.touching
        state = [
            body_angle(head),
            2.0 * body_spin(head) / FPS,
            0.3 * vector_x(velocity) * (VIEWPORT_W / SCALE) / FPS,
            0.3 * vector_y(velocity) * (VIEWPORT_H / SCALE) / FPS,
        ]
        for joint, correction, speed, part in self._senses:
            state.append(joint_angle(joint) + correction)
            state.append(joint_speed(joint) / speed)
            if part is not None:
                state.append(touching[part])
        return state


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

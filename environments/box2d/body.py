"""Bodies of the Box2D worlds, built from the measured doubles in ``assets/embodiments.json``."""

from __future__ import annotations

import functools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import Box2D

from environments.box2d.contacts import Contacts
from environments.box2d.engine import (
    FPS,
    SCALE,
    VIEWPORT_H,
    VIEWPORT_W,
    body_angle,
    body_spin,
    build_world,
    create_body,
    create_joint,
    joint_angle,
    joint_speed,
    set_motor_speed,
    set_motor_torque,
    vector_x,
    vector_y,
)
from environments.box2d.grown_bodies import grow
from environments.parameters import one_of

EMBODIMENTS = Path(__file__).parent / "assets" / "embodiments.json"
BODIES = (
    "amphibious_bipedal",
    "big_quadru",
    "classic_bipedal",
    "climbing_chest_profile_chimpanzee",
    "climbing_profile_chimpanzee",
    "fish",
    "millipede",
    "old_big_quadru",
    "old_classic_bipedal",
    "profile_chimpanzee",
    "small_bipedal",
    "spider",
    "wheel",
)
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
        critical: per part, whether the episode ends when it touches something.
        torque: greatest torque of every motor, N m; None means the body's own.
    """

    name: str
    world: str
    facts: dict[str, Any]
    critical: tuple[bool, ...]
    torque: float | None = None

    @classmethod
    def load(
        cls,
        name: str,
        world: str,
        *,
        quirks: bool = True,
        torque: float | None = None,
        size: float | None = None,
    ) -> BodyPlan:
        """Read a body by name.

        With ``quirks`` the critical parts are those of the reference: a millipede has none, and a
        walking chimpanzee has two even in Parkour, where no other walker has any.

        ``size`` is explained in ``grown_bodies``; None means the default.

        Raises:
            ValueError: the name is not among ``BODIES``, and the message names the nearest one; or
                the torque is not positive; or the size does not fit.
        """
        one_of("body", name, BODIES)
        if torque is not None and not 0 < torque < float("inf"):
            raise ValueError(f"motors_torque must be a positive number of N m, but is {torque}")
        facts = _embodiments()[name]
        if size is not None:
            facts = grow(name, facts, size)
        return cls(name, world, facts, _critical(name, world, facts, quirks), torque)

    @property
    def kind(self) -> str:
        """How the body lives: "walker", "climber", "swimmer" or "amphibian"."""
        return self.facts["type"].lower()

    @functools.cached_property
    def grips(self) -> list[int]:
        """The numbers of the grip sensors among the parts; their actions come last."""
        return [n for n, part in enumerate(self.facts["bodies"]) if part["sensor"]]

    @functools.cached_property
    def pushed(self) -> list[int]:
        """The parts on which the push at the start acts."""
        if self.kind == "swimmer":
            return []
        if self.name == "millipede":
            return [n for n, part in enumerate(self.facts["bodies"]) if part["name"] == "body"]
        return [self.facts["head_body"]]

    @property
    def breath(self) -> str | None:
        """Where it suffocates: "under water", "outside water" or None."""
        return {"swimmer": "outside water", "amphibian": None}.get(self.kind, "under water")

    @property
    def motors(self) -> list[dict[str, Any]]:
        """The driven joints in the order of the action vector."""
        return [joint for joint in self.facts["joints"] if joint.get("motor_enabled")]

    @functools.cached_property
    def fixtures(self) -> list[Box2D.b2FixtureDef]:
        """One definition per part, kept because the binding leaks them."""
        fixtures = []
        for number, facts in enumerate(self.facts["bodies"]):
            outline = self.facts["shapes_exact"][number]
            # Limbs go through the engine's box constructor: it rounds otherwise than a vertex list.
            if "circle" in outline:
                shape = Box2D.b2CircleShape(radius=outline["circle"])
            else:
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
                isSensor=facts["sensor"],
                userData=number if facts["check_contact"] else None,
            )
            fixtures.append(fixture)
        return fixtures

    @functools.cached_property
    def places(self) -> list[Box2D.b2BodyDef]:
        """One definition per part: where it starts."""
        return [
            Box2D.b2BodyDef(type=Box2D.b2_dynamicBody, position=(x, y), angle=angle)
            for x, y, angle in self.facts["spawn_exact"][self.world]["body_position_angle"]
        ]

    @functools.cached_property
    def _alone(self) -> tuple[Box2D.b2World, list[Box2D.b2Body]]:
        """The parts in a world that nobody steps."""
        world = build_world()
        pairs = zip(self.places, self.fixtures, strict=True)
        return world, [create_body(world, place, fixture) for place, fixture in pairs]

    @functools.cached_property
    def solids(self) -> list[tuple[list[tuple[float, float]], float, float]]:
        """Per part its corners in its own frame, m, their largest distance from the centre of mass,
        m, and its inertia about its origin, kg m². A circle has no corners.
        """
        solids = []
        for part in self._alone[1]:
            corners = [tuple(c) for c in getattr(part.fixtures[0].shape, "vertices", ())]
            x, y = part.localCenter
            radius = max((math.hypot(a - x, b - y) for a, b in corners), default=0.0)
            solids.append((corners, radius, part.inertia))
        return solids

    @functools.cached_property
    def joints(self) -> list[Box2D.b2JointDef]:
        """One definition per joint. Its two bodies are other ones in every world."""
        parts = self._alone[1]
        definitions = []
        for number, facts in enumerate(self.facts["joints"]):
            anchors = self.facts["spawn_exact"][self.world]["joint_anchors"][number]
            common = {key: tuple(value) for key, value in anchors.items()}
            common |= {side: parts[facts[side]] for side in ("bodyA", "bodyB")}
            if facts["type"] == "weld":
                definitions.append(Box2D.b2WeldJointDef(**common))
                continue
            lower, upper = self.facts["joint_limits_exact"][number]
            if facts["motor_enabled"]:
                common |= {
                    "enableMotor": True,
                    "maxMotorTorque": self.torque or facts["max_torque"],
                    "motorSpeed": facts["initial_motor_speed"],
                }
            definitions.append(
                Box2D.b2RevoluteJointDef(
                    enableLimit=True, lowerAngle=lower, upperAngle=upper, **common
                )
            )
        return definitions

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
        """How many numbers ``Embodiment.sense`` returns."""
        return HEAD_ENTRIES + self.facts["motor_state_size"] + 2 * len(self.grips)

    @property
    def torque_price(self) -> float:
        """Reward lost per step and motor at full effort."""
        return self.facts["torque_penalty"] * 80

    @property
    def penalises_angle(self) -> bool:
        """Whether leaning costs reward."""
        return not self.facts["no_head_angle_penalty"]


class Embodiment:
    """A body in a world. Parts and joints are created in the order of the reference.

    Attributes:
        plan: what it was built from.
        parts: its bodies in creation order.
        joints: its joints in creation order.
        contacts: the contact listener; the world must keep hearing it.
        attached: per grip sensor, 1.0 while it holds something, else 0.0.
    """

    def __init__(self, plan: BodyPlan, world: Box2D.b2World, contacts: Contacts):
        self.plan = plan
        self.parts: list[Box2D.b2Body] = []
        self.joints: list[Box2D.b2Joint] = []
        for kind in plan.facts["creation_order"]:
            if kind == "body":
                number = len(self.parts)
                self.parts.append(create_body(world, plan.places[number], plan.fixtures[number]))
            else:
                facts = plan.facts["joints"][len(self.joints)]
                definition = plan.joints[len(self.joints)]
                definition.bodyA = self.parts[facts["bodyA"]]
                definition.bodyB = self.parts[facts["bodyB"]]
                self.joints.append(create_joint(world, definition))
        self.contacts = contacts
        self.attached = [0.0] * len(plan.grips)
        world.contactListener = contacts
        self._cache_handles()

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
            if facts.get("motor_enabled")
        ]
        self._motors = [
            (joint, float(facts["speed_control"]), float(self.plan.torque or facts["max_torque"]))
            for joint, facts in driven
        ]
        self._senses = [
            (joint, facts["angle_correction"], float(facts["speed_control"]), facts["contact_body"])
            for joint, facts in driven
        ]

    def drive(self, action: list[float]) -> list[float]:
        """Set the motors for the next engine step; return the effort of every entry, 0 to 1.

        The entries of grip sensors come after those of the motors and move nothing here.
        """
        efforts = []
        for value, (joint, speed, torque) in zip(action, self._motors, strict=False):
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
        for value in action[len(self._motors) :]:
            efforts.append(min(abs(value), 1.0))
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
        for part, attached in zip(self.plan.grips, self.attached, strict=True):
            state.append(touching[part])
            state.append(attached)
        return state

    def push(self, force: float) -> None:
        """Push sideways with ``force`` N during the next engine step."""
        for part in self.plan.pushed:
            self.parts[part].ApplyForceToCenter((float(force), 0.0), True)


def _critical(name: str, world: str, facts: dict[str, Any], quirks: bool) -> tuple[bool, ...]:
    """Per part, whether its contact ends the episode."""
    critical = [part["critical_contact"] for part in facts["bodies"]]
    if world == "Parkour" and facts["type"] == "WALKER":
        if not (quirks and name == "profile_chimpanzee"):
            critical = [False] * len(critical)
    elif name == "millipede" and not quirks:
        critical = [part["name"] == "body" for part in facts["bodies"]]
    return tuple(critical)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value

"""Climbing in Parkour: what the parts touch, and how grips hold on to ceiling and creepers.

A grip is a sensor at the tip of a hand. It holds a body that it touches while its action is
positive, through a joint without limits, and lets go otherwise. Source: TeachMyAgent (Romac,
Portelas, Hofmann, Oudeyer, 2021, https://arxiv.org/abs/2103.09815).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import Box2D

from environments.box2d.body import Embodiment
from environments.box2d.contacts import Contacts
from environments.box2d.corridor_bodies import Hold
from environments.box2d.engine import create_joint

GRIP_REACH = 0.06  # m, half the side of the box with which a grip is compared


class ParkourContacts(Contacts):
    """Contact flags among creepers; what each grip touches, in the order of the first touch.

    With ``quirks`` the end of any contact clears the flag of a part, even the end of one with a
    creeper; without, creepers are not felt and the last contact clears it.
    """

    def __init__(
        self, critical: Sequence[bool], grips: Sequence[int], holds: Sequence[Hold], quirks: bool
    ):
        super().__init__(critical)
        self.holds, self.quirks = holds, quirks
        self.reached: dict[int, list[int]] = {part: [] for part in grips}
        self.count = [0] * len(self.critical)

    def BeginContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures begin to touch."""
        part, other = _sides(contact)
        if part is None:
            return
        if part in self.reached:
            if other is not None:
                self.reached[part].append(other)
                self.touching[part] = 1.0
            return
        if other is not None and self.holds[other][1]:
            return
        self.count[part] += 1
        self.touching[part] = 1.0
        # The ceiling has a tag only where there is somebody who may hang from it.
        if other is None and self.critical[part]:
            self.fallen = True

    def EndContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures cease to touch."""
        part, other = _sides(contact)
        if part is None:
            return
        if part in self.reached:
            if other in self.reached[part]:
                self.drop(part, other)
            return
        creeper = other is not None and self.holds[other][1]
        if not creeper:
            self.count[part] -= 1
        if self.quirks:
            self.touching[part] = 0.0
        elif self.count[part] == 0:
            self.touching[part] = 0.0

    def drop(self, part: int, hold: int) -> None:
        """Forget that the grip ``part`` touches ``hold``."""
        self.reached[part].remove(hold)
        if not self.reached[part]:
            self.touching[part] = 0.0


def _sides(contact: Any) -> tuple[int | None, int | None]:
    """The checked part in a contact and the index of the hold that it touches."""
    ours, theirs = contact.fixtureB.userData, contact.fixtureA.userData
    if ours is None or ours < 0:
        ours, theirs = theirs, ours
    if ours is None or ours < 0:
        return None, None  # creepers among themselves, or a part that nobody asks about
    return ours, None if theirs is None else -1 - theirs


class Grips:
    """The grips of a climber.

    Args:
        embodiment: the climber.
        contacts: what its grips touch.
        outline: the present box of a hold (left, right, bottom, top).
    """

    _grasp = Box2D.b2RevoluteJointDef()  # filled in anew; kept because the binding leaks it

    def __init__(
        self,
        embodiment: Embodiment,
        contacts: ParkourContacts,
        outline: Callable[[int], tuple[float, float, float, float]],
    ):
        self.embodiment, self.contacts, self.outline = embodiment, contacts, outline
        self.world = embodiment.head.world
        self.parts = embodiment.plan.grips
        self.joints: list[Box2D.b2RevoluteJoint | None] = [None] * len(self.parts)
        self.armed = [False] * len(self.parts)

    def release(self, actions: Sequence[float]) -> None:
        """Before the engine's step: arm every grip whose action is positive, open the others."""
        for number, action in enumerate(actions):
            self.armed[number] = action > 0.0
            joint = self.joints[number]
            if joint is not None and not self.armed[number]:
                self.world.DestroyJoint(joint)
                self.joints[number] = None
                self.embodiment.attached[number] = 0.0

    def hold(self) -> None:
        """After the engine's step: every armed and empty grip takes the first thing it touches."""
        for number, part in enumerate(self.parts):
            reached = self.contacts.reached[part]
            if not reached or not self.armed[number] or self.joints[number] is not None:
                continue
            sensor = self.embodiment.parts[part]
            centre = sensor.worldCenter
            x, y = centre.x, centre.y
            left, right, bottom, top = self.outline(reached[0])
            if (
                left <= x + GRIP_REACH
                and x - GRIP_REACH <= right
                and bottom <= y + GRIP_REACH
                and y - GRIP_REACH <= top
            ):
                self._grasp.Initialize(sensor, self.contacts.holds[reached[0]][0], (x, y))
                self.joints[number] = create_joint(self.world, self._grasp)
                self.embodiment.attached[number] = 1.0
            else:
                self.contacts.drop(part, reached[0])

"""Contact flags of the Box2D worlds: which parts touch something, and whether one has fallen.

A fixture says through its ``userData`` what it is: a checked part its number (0, 1, ...), scenery
that must be told apart a negative tag, everything else nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import Box2D


class Contacts(Box2D.b2ContactListener):
    """Remembers which checked parts touch something, and whether a critical part ever did.

    ``touching`` holds 1.0 or 0.0 per part. As in the reference one flag serves all contacts of a
    part: the end of any of them clears it, even if another one persists.
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


class CountedContacts(Contacts):
    """The same with a count per part: a flag falls when the last contact has ended."""

    def __init__(self, critical: Sequence[bool]):
        super().__init__(critical)
        self.count = [0] * len(self.critical)

    def BeginContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures begin to touch."""
        part = self._part(contact)
        if part is None:
            return
        self.count[part] += 1
        self.touching[part] = 1.0
        if self.critical[part]:
            self.fallen = True

    def EndContact(self, contact: Any) -> None:
        """Called by the engine when two fixtures cease to touch."""
        part = self._part(contact)
        if part is None:
            return
        self.count[part] -= 1
        self.touching[part] = float(self.count[part] > 0)

    @staticmethod
    def _part(contact: Any) -> int | None:
        part = contact.fixtureB.userData
        return contact.fixtureA.userData if part is None else part

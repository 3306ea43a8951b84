"""What a teacher's call must leave alone: the global random generators, and the process itself."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import torch

LOOK_EVERY = 128  # calls; a look costs a fifth of a millisecond


class Forks:
    """How often this process was forked, and which process it was before."""

    count = 0
    owner = os.getpid()

    @classmethod
    def note(cls) -> None:
        """Count a fork; called by the interpreter in the copy and in the original."""
        cls.count += 1

    @classmethod
    def adopt(cls) -> None:
        """This process is no copy: call it before its run begins."""
        cls.count, cls.owner = 0, os.getpid()


os.register_at_fork(after_in_parent=Forks.note, after_in_child=Forks.note)


class Watch:
    """Compares the process before and after a teacher's call; randomness at every 128th call.

    For such a call the global generators stand elsewhere than before and after it: whoever seeds
    them with the same number again and again is seen too.
    """

    __slots__ = ("calls", "forks", "moved", "original", "spent")

    def __init__(self) -> None:
        self.calls, self.forks, self.spent = 0, 0, 0.0
        self.original: dict[str, Any] | None = None
        self.moved: dict[str, Any] = {}

    def before(self, spent: float) -> None:
        """Note how things are; ``spent`` is what the teacher's questions have cost so far."""
        self.original, self.forks, self.spent = None, Forks.count, spent
        if self.calls % LOOK_EVERY == 0:
            self.original = _states()
            random.random()
            np.random.random()  # noqa: NPY002
            torch.rand(1)
            self.moved = _states()
        self.calls += 1

    def after(self, spent: float) -> str:
        """What the call did that it must not, as the end of a sentence; empty if nothing.

        A copy of the process that the call made ends here. Where the call asked the student to
        act, randomness is not judged: a foreign learner may draw from the global generators.
        """
        if Forks.count != self.forks:
            if os.getpid() != Forks.owner:
                os._exit(0)
            return "forked the process; a teacher computes within its call"
        if self.original is None:
            return ""
        now = _states()
        _restore(self.original)
        changed = [name for name in now if not _equal(now[name], self.moved[name])]
        if changed and spent == self.spent:
            return f"changed the global generator of {changed[0]}; draw from self.rng"
        return ""


def _states() -> dict[str, Any]:
    return {
        "random": random.getstate(),
        "numpy": np.random.get_state(),  # noqa: NPY002
        "torch": (torch.get_rng_state(),),
    }


def _restore(states: dict[str, Any]) -> None:
    random.setstate(states["random"])
    np.random.set_state(states["numpy"])  # noqa: NPY002
    torch.set_rng_state(states["torch"][0])


def _equal(one: tuple, other: tuple) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))

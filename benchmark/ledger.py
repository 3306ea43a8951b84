"""The bill of a run: what the student spent, what the teacher's questions cost, and CPU time."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

ROLES = ("environment", "student", "teacher", "evaluation")


@dataclass
class Ledger:
    """Counts everything that is spent from one budget.

    A presentation is one forward and one backward pass of one example; a backward pass costs twice
    a forward one, so that a lone forward pass costs 1/3 and a lone backward pass 2/3 of it. The
    unit of procedural worlds is the environment step.

    Attributes: ``student`` presentations or environment steps of the student; ``forward``,
    ``backward``, ``steps`` and ``questions`` what the probe did for the teacher; ``proposed``
    tasks so far; ``prepared`` whether the teacher has had its moment before the first;
    ``references`` reference students that were trained for it.
    """

    total: int
    student: int = 0
    forward: int = 0
    backward: int = 0
    steps: int = 0
    questions: int = 0
    proposed: int = 0
    prepared: bool = False
    references: int = 0
    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(ROLES, 0.0))
    wall: float = 0.0

    @property
    def teacher(self) -> float:
        """What the probe cost, in units of the budget."""
        return self.steps + (self.forward + 2 * self.backward) / 3

    @property
    def spent(self) -> float:
        """Student and teacher together, in units of the budget."""
        return self.student + self.teacher

    @property
    def progress(self) -> float:
        """The spent share of the budget, in [0, 1]."""
        return min(1.0, self.spent / self.total)

    def charge(self, role: str) -> _Charge:
        """Add the CPU seconds of the enclosed block, this process with its threads, to ``role``."""
        return _Charge(self.cpu, role)

    def state_dict(self) -> dict[str, Any]:
        """All counters as plain numbers."""
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from saved counters, so that work redone after a crash is charged once."""
        for item in fields(self):
            setattr(self, item.name, state[item.name])


class _Charge:
    """A context manager; a loop over cheap tasks opens hundreds of thousands of them."""

    __slots__ = ("cpu", "role", "start")

    def __init__(self, cpu: dict[str, float], role: str):
        self.cpu, self.role = cpu, role

    def __enter__(self) -> None:
        self.start = time.process_time()

    def __exit__(self, *exception: object) -> None:
        self.cpu[self.role] += time.process_time() - self.start

"""The base of adapters: hands Lyceum's calls on to an object of another interface.

See ``teachers.adapters`` for the interfaces, and for what differs from calling the object itself.
"""

from __future__ import annotations

import copy
import heapq
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from gymnasium import spaces

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.history import COLUMNS, SIGNALS, GlobalStates, History


class Episode(NamedTuple):
    """What a wrapped object is told of one outcome.

    ``env`` is the smallest number that no open task holds: the number of the environment.
    """

    task: Any
    score: float
    success: bool
    length: int
    env: int
    initial: np.ndarray | None
    trace: Mapping[str, Any] | None


class ForeignTeacher(Teacher):
    """A teacher that is an object of another interface, ``wrapped``.

    A user's subclass names the class to wrap in ``wraps`` and its arguments in ``options``; it may
    define ``build``. What it leaves out is filled in: docstring, ``reference`` and ``signals``, the
    last from the methods in ``hooks`` that the wrapped class overrides. Where that guesses wrong,
    state ``signals``.

    Args:
        task_space: a bounded ``Box`` of shape (D,) or ``Discrete(n)``, as far as ``spaces`` allows.
        seed: the wrapped object gets a seed drawn from it, in [1, 2**31).
        knowledge: expert knowledge, for adapters that hand it on.
        options: arguments of the wrapped class, over those of the class attribute.

    Raises:
        ValueError: nothing is wrapped, or the adapter does not fit the task space.
    """

    wraps: ClassVar[Callable[..., Any] | None] = None
    options: ClassVar[Mapping[str, Any]] = {}
    interface: ClassVar[str] = ""
    root: ClassVar[str] = ""  # name of the interface's base class, whose methods do nothing
    hooks: ClassVar[Mapping[str, str]] = {}  # method of the wrapped class: signal it needs

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if cls.wraps is None:
            return
        name = getattr(cls.wraps, "__qualname__", type(cls.wraps).__name__)
        if cls.__doc__ is None:
            cls.__doc__ = f"{name}, through the interface of {cls.interface}."
        if "wraps" in vars(cls):
            needed = {s: None for method, s in cls.hooks.items() if _overrides(cls, method)}
            filled = {
                "signals": tuple(needed),
                "reference": f"{cls.wraps.__module__}.{name}, written for {cls.interface}",
            }
            for fact, value in filled.items():
                if fact not in vars(cls):
                    setattr(cls, fact, value)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        options: Mapping[str, Any] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        space = task_space.space
        if self.wraps is None:
            raise ValueError(
                f"{type(self).__name__} wraps nothing; write `wraps = YourClass` into its body"
            )
        vector = isinstance(space, spaces.Box) and len(space.shape) == 1 and space.is_bounded()
        if not vector and ("discrete" not in self.spaces or isinstance(space, spaces.Box)):
            raise ValueError(
                f"{type(self).__name__} needs a bounded box of shape (D,), but the space is {space}"
            )
        self.arguments = {**type(self).options, **(options or {})}
        self.inner_seed = int(self.rng.integers(1, 2**31))  # the old kind takes 32 bits, and not 0
        self.history = History(int(np.prod(space.shape)))
        self._start()

    def _start(self) -> None:
        """Build the wrapped object; nothing has been asked of it or told to it yet."""
        self.asked, self.checksum = 0, 0  # tasks asked for so far, and a sum over them
        self.open: dict[int, tuple[int, Any, np.ndarray]] = {}  # environment, task, task handed out
        self.free: list[int] = []  # environments that hold no task, a heap
        self.replies = deque(self.history.answers)  # what a repeated call hears from the student
        self.globals = GlobalStates(self.inner_seed)
        with self.globals:
            self.wrapped = self.build(copy.deepcopy(self.arguments))

    def build(self, options: dict[str, Any]) -> Any:
        """Return a new object to wrap; ``options`` are the arguments of its class."""
        raise NotImplementedError(f"{type(self).__name__} must define build(options)")

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks of the wrapped object; ``progress`` is not known to it."""
        with self.globals:
            tasks = self._ask(count)
        self.history.add_request(count)
        return Proposal(tasks)

    def observe(self, outcomes: Outcomes) -> None:
        """Tell the wrapped object about every outcome, in the order of arrival."""
        columns = {name: np.asarray(getattr(outcomes, name), dtype=np.float64) for name in COLUMNS}
        columns["tasks"] = np.reshape(outcomes.tasks, (len(outcomes.proposal), -1)).astype(float)
        columns |= {name: list(getattr(outcomes, name)) for name in SIGNALS if name in self.signals}
        with self.globals:
            self._hear(columns)
        self.history.add_outcomes(columns)

    def state_dict(self) -> dict[str, Any]:
        """The seed of the wrapped object and all calls so far, as plain arrays."""
        state = {"inner_seed": self.inner_seed, "checksum": self.checksum}
        return {**super().state_dict(), **state, "history": self.history.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Build the wrapped object again and repeat all calls.

        Raises:
            ValueError: the repeated calls gave other tasks.
        """
        super().load_state_dict(state)
        self.inner_seed = state["inner_seed"]
        self.history.load_state_dict(state["history"])
        self._start()
        with self.globals:
            for call in self.history:
                if isinstance(call, int):
                    self._ask(call)
                else:
                    self._hear(call)
        self.replies.clear()
        if self.checksum != state["checksum"]:
            raise ValueError(
                f"{type(self).__name__} cannot be continued: the same calls with the same seed "
                "gave other tasks; does the wrapped code draw from an unseeded generator?"
            )

    def _ask(self, count: int) -> np.ndarray:
        """Sample tasks, remember them as open and return them in Lyceum's form."""
        sampled = self._sample(count)
        rows = np.array(sampled, dtype=np.float64).reshape(count, -1)
        self.checksum = zlib.crc32(rows.tobytes(), self.checksum)
        tasks = self._to_lyceum(rows)
        for task, handed in zip(sampled, tasks.reshape(count, -1).astype(float), strict=True):
            env = heapq.heappop(self.free) if self.free else len(self.open)
            self.open[self.asked] = env, task, handed
            self.asked += 1
        return tasks

    def _hear(self, columns: Mapping[str, Any]) -> None:
        """Tell the wrapped object about outcomes (n,)."""
        told, silent = self._from_lyceum(columns["tasks"]), [None] * len(columns["tasks"])
        # Copies: the object may keep or change what it is given, and the history must stay.
        initial, traces = (copy.deepcopy(columns.get(name, silent)) for name in SIGNALS)
        for row, number in enumerate(columns["proposal"].astype(int).tolist()):
            env, task = self._close(number, told[row], columns["tasks"][row])
            score, success, length = (columns[name][row] for name in COLUMNS[1:])
            facts = (float(score), bool(success), int(length), env, initial[row], traces[row])
            self._tell(Episode(task, *facts))

    def _close(self, number: int, told: Any, handed: np.ndarray) -> tuple[int, Any]:
        """Environment and task of an outcome: as sampled, or as told if nobody asked for it."""
        if number not in self.open or not np.array_equal(self.open[number][2], handed):
            return (self.free[0] if self.free else len(self.open)), told
        env, task, _ = self.open.pop(number)
        heapq.heappush(self.free, env)
        return env, task

    def _sample(self, count: int) -> list[Any]:
        """Tasks as the wrapped object gave them, each a copy."""
        raise NotImplementedError

    def _tell(self, episode: Episode) -> None:
        """Tell the wrapped object about one outcome."""
        raise NotImplementedError

    def _to_lyceum(self, rows: np.ndarray) -> np.ndarray:
        """Turn sampled tasks (n, width) into tasks of the task space."""
        raise NotImplementedError

    def _from_lyceum(self, rows: np.ndarray) -> Any:
        """Turn tasks of the task space, as rows (n, D), into n tasks of the wrapped object."""
        raise NotImplementedError


def _overrides(cls: type[ForeignTeacher], method: str) -> bool:
    """Whether the wrapped class has a method of its own, not that of its interface's base class."""
    for owner in getattr(cls.wraps, "__mro__", ()):
        if method in vars(owner):
            return owner.__name__ != cls.root
    return False


def into_box(rows: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Undo what rounding to 32 bits did to tasks (n, D); values outside for real stay outside."""
    slack = np.spacing(np.maximum(np.abs(low), np.abs(high)).astype(np.float32))
    inside = (rows >= low - slack) & (rows <= high + slack)
    return np.where(inside, np.clip(rows, low, high), rows)

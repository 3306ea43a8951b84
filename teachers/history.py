"""Exact continuation for code that cannot save itself: its calls are kept and made again.

An adapter's wrapped object has no state to save and often draws from the global random generators.
``GlobalStates`` gives it global states of its own, so that it repeats itself and disturbs nobody;
``History`` keeps the calls that were made, from which the object is brought back to where it was.
"""

from __future__ import annotations

import random
import sys
from array import array
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

import numpy as np

COLUMNS = ("proposal", "score", "success", "length")
SIGNALS = ("initial_observation", "trajectory")


class GlobalStates:
    """Global random states of ``random``, NumPy and torch (CPU) that belong to one object.

    Inside ``with`` the object's own states are in force, first made from ``seed``; outside, the
    program's states are as if nothing had been drawn. Blocks of one object do not nest. torch takes
    part once it is loaded: code that draws from it must import it before it is built.
    """

    def __init__(self, seed: int):
        self.seed = seed
        self.own: dict[str, Any] = {}
        self.outer: dict[str, Any] = {}

    def __enter__(self) -> None:
        self.outer = _read()
        for name in self.outer:
            if name in self.own:
                _write(name, self.own[name])
            else:
                _seed(name, self.seed)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # torch may have been loaded inside; a program's own import leaves it in a random state too.
        self.own = {name: state for name, state in _read().items() if name in self.outer}
        for name, state in self.outer.items():
            _write(name, state)


def _torch() -> Any:
    return sys.modules.get("torch")


def _read() -> dict[str, Any]:
    states = {"random": random.getstate(), "numpy": np.random.get_state(legacy=False)}  # noqa: NPY002
    if hasattr(_torch(), "default_generator"):
        states["torch"] = _torch().default_generator.get_state()
    return states


def _write(name: str, state: Any) -> None:
    if name == "random":
        random.setstate(state)
    elif name == "numpy":
        np.random.set_state(state)  # noqa: NPY002
    else:
        _torch().default_generator.set_state(state)


def _seed(name: str, seed: int) -> None:
    if name == "random":
        random.seed(seed)
    elif name == "numpy":
        np.random.seed(seed)  # noqa: NPY002
    else:  # not torch.manual_seed, which reaches the generators of every device
        _torch().default_generator.manual_seed(seed)


class History:
    """The calls an adapter has made, in order: requests for tasks and batches of outcomes.

    An outcome takes 8 * (4 + ``width``) bytes, and its signals if there are any. ``answers`` holds
    what the student said when it was asked, since it cannot be asked again.
    """

    def __init__(self, width: int):
        self.width = width
        self.calls = array("q")  # n tasks asked for, or -n outcomes heard
        self.rows = array("d")  # COLUMNS and the task of every outcome
        self.signals: dict[str, list[Any]] = {name: [] for name in SIGNALS}
        self.answers: list[np.ndarray] = []

    def add_request(self, count: int) -> None:
        """Write down that ``count`` tasks were asked for."""
        self.calls.append(count)

    def add_outcomes(self, columns: Mapping[str, Any]) -> None:
        """Write down outcomes: COLUMNS (n,), tasks (n, width) and signals (n,), where present."""
        block = np.column_stack([*(columns[name] for name in COLUMNS), columns["tasks"]])
        self.calls.append(-len(block))
        self.rows.frombytes(np.ascontiguousarray(block, dtype=np.float64).tobytes())
        for name, kept in self.signals.items():
            kept.extend(columns.get(name, ()))

    def __iter__(self) -> Iterator[int | dict[str, Any]]:
        """Yield every call: a number of tasks, or the columns of outcomes."""
        rows, start = self._rows(), 0
        for call in self.calls:
            if call > 0:
                yield call
                continue
            stop = start - call
            columns: dict[str, Any] = {
                name: rows[start:stop, column] for column, name in enumerate(COLUMNS)
            }
            columns["tasks"] = rows[start:stop, len(COLUMNS) :]
            yield columns | {name: kept[start:stop] for name, kept in self.signals.items() if kept}
            start = stop

    def state_dict(self) -> dict[str, Any]:
        """Copies of everything, as plain arrays."""
        traces = self.signals["trajectory"]
        steps = {
            name: np.concatenate([trace[name] for trace in traces])
            for name in ("observations", "actions", "rewards")
            if traces
        }
        return {
            "calls": np.array(self.calls),
            "rows": self._rows(),
            "initial_observation": np.array(self.signals["initial_observation"]),
            "steps": steps,
            "lengths": np.array([len(trace["rewards"]) for trace in traces], dtype=np.int64),
            "terminated": np.array([trace["terminated"] for trace in traces], dtype=bool),
            "answers": [answer.copy() for answer in self.answers],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the calls of another history."""
        self.calls = array("q", np.asarray(state["calls"], dtype=np.int64).tobytes())
        self.rows = array("d", np.asarray(state["rows"], dtype=np.float64).tobytes())
        self.signals["initial_observation"] = list(np.array(state["initial_observation"]))
        self.signals["trajectory"] = list(_split(state))
        self.answers = [np.array(answer) for answer in state["answers"]]

    def _rows(self) -> np.ndarray:
        return np.array(self.rows).reshape(-1, len(COLUMNS) + self.width)


def _split(state: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The trajectories whose steps are stored one after another."""
    ends = np.cumsum(state["lengths"])
    for row, (end, length) in enumerate(zip(ends, state["lengths"], strict=True)):
        steps = slice(end - length, end)
        # Each trajectory has one observation more than steps: the one it began with.
        seen = slice(end - length + row, end + row + 1)
        yield {
            "observations": np.array(state["steps"]["observations"][seen]),
            "actions": np.array(state["steps"]["actions"][steps]),
            "rewards": np.array(state["steps"]["rewards"][steps]),
            "terminated": bool(state["terminated"][row]),
        }

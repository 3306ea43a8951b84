"""A buffer of levels to replay: rank prioritisation, staleness and the insertion rule.

Jiang, Grefenstette & Rocktäschel, "Prioritized level replay", 2021,
https://arxiv.org/abs/2010.03934; the insertion rule is that of Jiang et al., "Replay-guided
adversarial environment design", 2021, https://arxiv.org/abs/2110.02439.

Departures from the papers: levels with equal scores share the weight of their ranks equally, where
the releases let the order of storage decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLUMNS = ("tasks", "seeds", "scores", "best", "stale")


class LevelBuffer:
    """Up to ``capacity`` levels, each a task with its terrain seed, and what is known of them.

    Args:
        dimensions: D, numbers per task.
        capacity: levels it can hold, >= 1.
        temperature: beta > 0; the weight of the level with the r-th highest score is
            ``(1 / r) ** (1 / beta)``.
        staleness: rho in [0, 1], the share of replays that goes by the time since the last use.
        smoothing: alpha in (0, 1], the weight of a new score against the stored one.

    Attributes: ``tasks`` (n, D), ``seeds`` (n,), ``scores`` (n,), ``best`` (n,) the highest return
    seen on each level, ``stale`` (n,) draws since its last use.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        dimensions: int,
        capacity: int,
        temperature: float,
        staleness: float,
        smoothing: float,
    ):
        refuse_unless("capacity", capacity, capacity >= 1, "be at least 1")
        refuse_unless("temperature", temperature, 0 < temperature < np.inf, "be above 0")
        refuse_unless("staleness", staleness, 0 <= staleness <= 1, "lie in [0, 1]")
        refuse_unless("smoothing", smoothing, 0 < smoothing <= 1, "lie in (0, 1]")
        self.capacity, self.temperature = capacity, temperature
        self.staleness, self.smoothing = staleness, smoothing
        self.tasks, self.seeds = np.empty((0, dimensions)), np.empty(0, dtype=np.int64)
        self.scores, self.best = np.empty(0), np.empty(0)
        self.stale = np.empty(0, dtype=np.int64)
        self._places: dict[tuple[int, bytes], int] = {}  # of every level
        self._ranked: np.ndarray | None = None  # what _by_rank says until a score changes

    def __len__(self) -> int:
        return len(self.seeds)

    @property
    def fill(self) -> float:
        """The filled share of the buffer, in [0, 1]."""
        return len(self) / self.capacity

    def probabilities(self) -> np.ndarray:
        """The chance (n,) of each level to be drawn next: (1 - rho) P_score + rho P_stale."""
        total = self.stale.sum()
        stale = self.stale / total if total else np.full(len(self), 1 / max(len(self), 1))
        return (1 - self.staleness) * self._by_rank() + self.staleness * stale

    def draw(self, rng: np.random.Generator) -> int:
        """Draw one level to replay and return its place; the others grow staler by one."""
        total = np.cumsum(self.probabilities())
        place = int(np.searchsorted(total, rng.random() * total[-1], side="right"))
        place = min(place, len(self) - 1)  # the product may round up to the very end
        self.stale += 1
        self.stale[place] = 0
        return place

    def find(self, task: np.ndarray, seed: int) -> int | None:
        """Return the place of a level, None if it is not stored."""
        return self._places.get(_level(task, seed))

    def best_of(self, task: np.ndarray, seed: int) -> float:
        """The highest return seen on a level, minus infinity if it is not stored."""
        place = self.find(task, seed)
        return -np.inf if place is None else float(self.best[place])

    def offer(self, task: np.ndarray, seed: int, score: float, best: float) -> bool:
        """Hand in the score and the best return of a level; return whether it is stored now.

        A stored level is updated. A new one is appended while there is room; later it replaces
        the level with the smallest chance to be drawn, if its score is at least as high.
        """
        place = self.find(task, seed)
        if place is not None:
            self._ranked = None
            old = self.scores[place]
            self.scores[place] = (1 - self.smoothing) * old + self.smoothing * score
            self.best[place] = max(best, self.best[place])
            return True
        if len(self) < self.capacity:
            self._ranked, self._places[_level(task, seed)] = None, len(self)
            row = {"tasks": task[None], "seeds": seed, "scores": score, "best": best, "stale": 0}
            for name in COLUMNS:
                column = getattr(self, name)
                more = np.asarray(row[name], dtype=column.dtype).reshape(1, *column.shape[1:])
                setattr(self, name, np.concatenate([column, more]))
            return True
        weakest = int(np.argmin(self.probabilities()))
        if score < self.scores[weakest]:
            return False
        del self._places[_level(self.tasks[weakest], self.seeds[weakest])]
        self._ranked, self._places[_level(task, seed)] = None, weakest
        self.tasks[weakest], self.seeds[weakest] = task, seed
        self.scores[weakest], self.best[weakest], self.stale[weakest] = score, best, 0
        return True

    def _by_rank(self) -> np.ndarray:
        """Rank prioritisation (n,); levels with equal scores get the mean of their weights."""
        if self._ranked is not None:
            return self._ranked
        if not len(self):
            return np.empty(0)
        weights = np.arange(1.0, len(self) + 1) ** (-1 / self.temperature)
        order = np.argsort(-self.scores, kind="stable")
        ranked = self.scores[order]
        first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # of equal scores
        sizes = np.diff(first, append=len(ranked))
        shared = np.empty(len(ranked))
        shared[order] = np.repeat(np.add.reduceat(weights, first) / sizes, sizes)
        self._ranked = shared / weights.sum()
        return self._ranked

    def state_dict(self) -> dict[str, Any]:
        """All columns, as copies."""
        return {name: getattr(self, name).copy() for name in COLUMNS}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        for name in COLUMNS:
            setattr(self, name, np.array(state[name]))
        levels = zip(self.tasks, self.seeds, strict=True)
        self._places = {_level(*level): place for place, level in enumerate(levels)}
        self._ranked = None


def _level(task: np.ndarray, seed: int) -> tuple[int, bytes]:
    """What tells a level from all others."""
    return int(seed), np.asarray(task, dtype=np.float64).tobytes()


def refuse_unless(name: str, value: Any, holds: bool, rule: str) -> None:
    """Raise ValueError about a hyperparameter unless its rule holds."""
    if not holds:
        raise ValueError(f"{name} must {rule}, but is {value!r}")

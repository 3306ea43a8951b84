"""TSCL: bandits over tiles of tasks that practise what the student's score changes fastest on.

Matiisen, Oliver, Cohen & Schulman, "Teacher-Student Curriculum Learning", 2017,
https://arxiv.org/abs/1707.00183. The four algorithms are its variants "online", "naive", "window"
and "sampling"; the defaults are those of the released script, which takes "sampling".

Departures from the paper:
- Arms are tiles of the task space. A tile's scores come from different tasks inside it.
- In "window" and "sampling" a tile without a slope yet counts as the fastest possible one: the
  range of scores so far, where the release has 1, which is the same for scores from 0 to 1. So it
  goes first in whatever units returns are.
- The first score of a tile is only the reference of the next; the release compares it with 0,
  which returns do not have as a natural beginning.
- |Q| is the default, because the paper wants forgotten tasks practised again; the release has it
  switched off.
- A Boltzmann temperature is in units of the range of scores so far.
- "naive" opens the next series of K tasks when all of this one are proposed, heard of or not. A
  series whose outcomes stay away is closed, once 1000 later ones are open, with what has arrived.
- Time in "window" counts outcomes as they arrive.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.tiles import Tiles

VARIANTS = ("online", "naive", "window", "sampling")
EXPLORATIONS = ("epsilon", "boltzmann")
MAX_OPEN = 1000  # unfinished series of "naive"


class TSCL(Teacher):
    """Tasks from the tile whose learning curve is steepest, upwards or downwards.

    Args:
        task_space: a bounded ``Box`` of shape (D,), or a pool; see ``teachers.tiles.Tiles``.
        seed: draws tiles and tasks.
        knowledge: not used.
        variant: how the value of a tile is found. "online": a running mean of score changes;
            "naive": a running mean of slopes over ``window`` tasks played in a row; "window": the
            slope over time of its last ``window`` scores; "sampling": one of its last ``window``
            score changes, drawn anew for every task. None means the default of the class.
        bins: tiles per dimension of a box; None means at most 10, and 1024 tiles in all.
        window: scores K per slope, >= 2 (paper 10).
        rate: step size of the running means, in (0, 1] (paper 0.1).
        absolute: compare absolute values, so that forgotten tasks are practised again.
        exploration: "epsilon", the best tile or a uniform one, or "boltzmann", a softmax of
            values. "sampling" explores by its draws and takes "epsilon" only.
        epsilon: chance of a uniform tile, in [0, 1] (released script 0.1, its class 0.01).
        temperature: of the softmax, > 0, in units of the range of scores (released script 0.0004).

    Attributes: ``tiles``; ``values`` (tiles,), the present slope or running mean, 0 for a tile
    without; ``heard`` (tiles,), how many scores each tile has given.

    Raises:
        ValueError: an argument is out of range, or the space cannot be cut into tiles.
    """

    reference = "Matiisen et al. 2017, https://arxiv.org/abs/1707.00183"
    memory = ("values", "heard", "last", "scores", "times", "clock", "extremes")
    memory += ("proposed", "playing", "series")
    preset: ClassVar[str] = "sampling"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        variant: str | None = None,
        bins: int | Sequence[int] | None = None,
        window: int = 10,
        rate: float = 0.1,
        absolute: bool = True,
        exploration: str = "epsilon",
        epsilon: float = 0.1,
        temperature: float = 0.0004,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.variant = self.preset if variant is None else variant
        self.window, self.rate, self.absolute = window, rate, absolute
        self.exploration, self.epsilon, self.temperature = exploration, epsilon, temperature
        _check(self)
        self.tiles = Tiles(task_space, bins)
        n = self.tiles.count
        self.values, self.last, self.heard = np.zeros(n), np.zeros(n), np.zeros(n, dtype=np.int64)
        self.scores = np.zeros((n, window))  # the last K scores or, for "sampling", score changes
        self.times = np.zeros((n, window))  # when they arrived
        self.clock = 0  # outcomes so far
        self.extremes = np.zeros(2)  # the lowest and the highest of all scores
        self.proposed, self.playing = 0, 0  # tasks so far, the tile of the series under way
        # Number of an open series: its (tile, place in the series, score) so far.
        self.series: dict[str, list[list[float]]] = {}

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, *task_shape); ``progress`` is ignored."""
        if self.variant == "naive":
            chosen = self._play(count)
        else:
            chosen = self._choose(count)
        self.proposed += count
        return Proposal(self.tiles.sample(chosen, self.rng))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        tiles = self.tiles.locate(outcomes.tasks)
        scores = np.asarray(outcomes.score, dtype=np.float64)
        if not len(tiles):
            return
        known = self.extremes if self.clock else scores
        self.extremes = np.array(
            [min(known.min(), scores.min()), max(known.max(), scores.max())], dtype=np.float64
        )
        learn = getattr(self, f"_learn_{self.variant}")
        rows = zip(tiles.tolist(), scores.tolist(), outcomes.proposal.tolist(), strict=True)
        for tile, score, number in rows:
            learn(tile, score, number)
            self.last[tile] = score
            self.heard[tile] += 1
            self.clock += 1
        if self.variant == "window":
            touched = np.unique(tiles)
            used = np.arange(self.window) < self.heard[touched, None]
            self.values[touched] = slopes(self.times[touched], self.scores[touched], used)

    def _learn_online(self, tile: int, score: float, number: int) -> None:
        if self.heard[tile]:
            self._approach(tile, score - self.last[tile])

    def _learn_naive(self, tile: int, score: float, number: int) -> None:
        name = str(number // self.window)
        self.series.setdefault(name, []).append([tile, number % self.window, score])
        if len(self.series[name]) == self.window:
            self._close(name)
        elif len(self.series) > MAX_OPEN:
            self._close(min(self.series, key=int))

    def _learn_window(self, tile: int, score: float, number: int) -> None:
        slot = self.heard[tile] % self.window
        self.scores[tile, slot], self.times[tile, slot] = score, self.clock

    def _learn_sampling(self, tile: int, score: float, number: int) -> None:
        if self.heard[tile]:
            self.scores[tile, (self.heard[tile] - 1) % self.window] = score - self.last[tile]

    def _close(self, name: str) -> None:
        """Learn the slope of a series of "naive" from the scores that have arrived."""
        rows = np.array(self.series.pop(name))
        if len(rows) > 1:
            used = np.ones((1, len(rows)), dtype=bool)
            self._approach(int(rows[0, 0]), slopes(rows[None, :, 1], rows[None, :, 2], used)[0])

    def _approach(self, tile: int, reward: float) -> None:
        self.values[tile] += self.rate * (reward - self.values[tile])

    def _choose(self, count: int) -> np.ndarray:
        """Tiles (count,) by the present values."""
        n = self.tiles.count
        values = self.values[None]
        if self.variant == "sampling":
            kept = np.clip(self.heard - 1, 0, self.window)
            slots = (self.rng.random((count, n)) * kept).astype(np.int64)
            values = self.scores[np.arange(n), slots]
        values = np.abs(values) if self.absolute else values
        unit = float(np.ptp(self.extremes)) or 1.0
        if self.variant in ("window", "sampling"):
            values = np.where(self.heard < 2, unit, values)
        if self.exploration == "boltzmann":
            chances = np.exp((values[0] - values.max()) / (unit * self.temperature))
            return self.rng.choice(n, size=count, p=chances / chances.sum())
        best = values == values.max(axis=1, keepdims=True)
        chosen = (best * self.rng.random((count, n))).argmax(axis=1)  # ties are broken at random
        explored = self.rng.random(count) < self.epsilon
        return np.where(explored, self.rng.integers(n, size=count), chosen)

    def _play(self, count: int) -> np.ndarray:
        """Tiles (count,) for "naive": the same one for K tasks in a row."""
        begun = -(-self.proposed // self.window)  # series, the one under way included
        number = (self.proposed + np.arange(count)) // self.window
        fresh = self._choose(-(-(self.proposed + count) // self.window) - begun)
        tiles = np.concatenate([[self.playing], fresh])
        self.playing = int(tiles[-1])
        return tiles[number - begun + 1]


class TSCLOnline(TSCL):
    """``TSCL`` whose values are running means of score changes."""

    preset = "online"


class TSCLNaive(TSCL):
    """``TSCL`` that plays a tile several times in a row and learns the slope of its scores."""

    preset = "naive"


class TSCLWindow(TSCL):
    """``TSCL`` whose values are slopes over time of the last scores of each tile."""

    preset = "window"


def slopes(times: np.ndarray, scores: np.ndarray, used: np.ndarray) -> np.ndarray:
    """Least-squares slopes (n,) of scores over distinct times, both (n, K), where ``used`` (n, K).

    A row with fewer than two used entries has slope 0.
    """
    number = np.maximum(used.sum(axis=1, keepdims=True), 1)
    offsets = np.where(used, times - times[:, :1], 0.0)
    offsets = np.where(used, offsets - offsets.sum(axis=1, keepdims=True) / number, 0.0)
    # Measured from the row's first score, so that equal scores give exactly 0.
    gains = np.where(used, scores - scores[:, :1], 0.0)
    squares = (offsets**2).sum(axis=1)
    return (offsets * gains).sum(axis=1) / np.where(squares > 0, squares, 1.0)


def _check(teacher: TSCL) -> None:
    rules = {
        f"variant must be one of {', '.join(VARIANTS)}": teacher.variant in VARIANTS,
        "window must be at least 2 scores": teacher.window >= 2,
        "rate must be a step size in (0, 1]": 0 < teacher.rate <= 1,
        f"exploration must be one of {', '.join(EXPLORATIONS)}": teacher.exploration
        in EXPLORATIONS,
        "exploration must be 'epsilon' for variant 'sampling'": teacher.variant != "sampling"
        or teacher.exploration == "epsilon",
        "epsilon must be a chance in [0, 1]": 0 <= teacher.epsilon <= 1,
        "temperature must be above 0": 0 < teacher.temperature < np.inf,
    }
    for rule, holds in rules.items():
        if not holds:
            name = rule.split()[0]
            raise ValueError(f"{rule}, but is {getattr(teacher, name)!r}")

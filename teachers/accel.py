"""ACCEL: robust level replay whose new levels are small edits of levels just replayed.

Parker-Holder, Jiang, Dennis, Samvelyan, Foerster, Grefenstette & Rocktäschel, "Evolving curricula
with regret-based environment design", 2022, https://arxiv.org/abs/2203.01302.

Departures from the paper:
- An edit adds a uniform number from [-step, step] to a random coordinate, so that any box can be
  edited; the release steps by fixed sizes of its walker's parameters, up, down or not at all. The
  coordinates of one child differ from each other.
- Parents are taken as their episodes end; the release edits after each batch of 16 replays.
- ``parents="easy_highest"`` is the paper's text; its release takes ``"easy_lowest"`` with four or
  more processes, and a later one ``"lowest_regret"``. The regret is the level's score.
- What ``teachers/plr.py`` lists, and its buffer is small. Published for walkers: ``capacity=1000,
  temperature=0.1, staleness=0.5``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.fixed import easiest_task
from teachers.level_buffer import refuse_unless
from teachers.plr import PLR, RobustPLR

PARENTS = ("batch", "easy_highest", "easy_lowest", "lowest_regret")
COPIES = 4  # children of a chosen parent; all of a group are as many as the group


class ACCEL(RobustPLR):
    """Starts with easy levels and lets those that are worth replaying grow harder, edit by edit.

    Children and new levels are scored by rollouts without learning. They are billed: at
    ``replay_rate`` p, (1 - p) / p + 1 rollouts for each episode of training, 1.11 at 0.9.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, terrain seeds, replays and edits.
        knowledge: its ``initial`` distribution, if told, gives the new levels.
        parents: which replayed levels are edited. "batch": each, once. The others: the best
            quarter of every ``group``, four times each, by the highest or lowest return minus
            score, or the lowest score.
        group: replays among which parents are chosen, >= 4.
        edits: coordinates that one child changes, >= 1; at most all that have a width.
        step: largest change of a coordinate, a share of its range in (0, 1], or D numbers >= 0 in
            task units; None means a share of 0.05.
        redraw_seed: give children a terrain seed of their own, as published.
        easy_share: half-width of the box of new levels around the default task, a share of each
            range in [0, 1]; used if no ``initial`` distribution is told.
        score, capacity, replay_rate, replay_decision, fill, temperature, staleness, smoothing,
            discount, gae_lambda, rollouts: see ``RobustPLR``.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Parker-Holder et al. 2022, https://arxiv.org/abs/2203.01302"
    memory = (*RobustPLR.memory, "replayed")
    default_step: ClassVar[float] = 0.05

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        parents: str = "batch",
        group: int = 16,
        edits: int = 3,
        step: float | Sequence[float] | None = None,
        redraw_seed: bool = True,
        easy_share: float = 0.1,
        score: str | None = None,
        capacity: int = 100,
        replay_rate: float = 0.9,
        replay_decision: str = "proportionate",
        fill: float = 0.5,
        temperature: float = 0.45,
        staleness: float = 0.15,
        smoothing: float = 1.0,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        rollouts: int = 8,
    ):
        super().__init__(
            task_space, seed=seed, knowledge=knowledge, score=score, capacity=capacity,
            replay_rate=replay_rate, replay_decision=replay_decision, fill=fill,
            temperature=temperature, staleness=staleness, smoothing=smoothing, discount=discount,
            gae_lambda=gae_lambda, rollouts=rollouts,
        )  # fmt: skip
        refuse_unless("parents", parents, parents in PARENTS, f"be one of {', '.join(PARENTS)}")
        refuse_unless("group", group, group >= COPIES, f"be at least {COPIES}")
        refuse_unless("edits", edits, edits >= 1, "be at least 1")
        refuse_unless("easy_share", easy_share, 0 <= easy_share <= 1, "lie in [0, 1]")
        self.parents, self.group, self.edits = parents, group, edits
        self.step = _steps(self.default_step if step is None else step, self.box)
        self.redraw_seed = redraw_seed
        reach = easy_share * (self.box.high - self.box.low)
        easiest = easiest_task(task_space, self.knowledge)
        self.easy_low = np.maximum(easiest - reach, self.box.low)
        self.easy_high = np.minimum(easiest + reach, self.box.high)
        # [task, seed, return - score, score] of replays that have not been edited yet.
        self.replayed: list[list[Any]] = []

    def observe(self, outcomes: Outcomes) -> None:
        """Score the levels whose episodes have ended and edit those that were replays."""
        rows, tasks, seeds = self._answered(outcomes)
        replays = [self.buffer.find(*level) is not None for level in zip(tasks, seeds, strict=True)]
        super().observe(outcomes)
        for row, task, seed, is_replay in zip(rows, tasks, seeds.tolist(), replays, strict=True):
            place = self.buffer.find(task, seed)
            if is_replay and place is not None:
                score = float(self.buffer.scores[place])
                self.replayed.append([task, seed, float(outcomes.score[row]) - score, score])
        size = 1 if self.parents == "batch" else self.group
        while len(self.replayed) >= size:
            group, self.replayed = self.replayed[:size], self.replayed[size:]
            for task, seed, *_ in self._chosen(group):
                self.candidates.append(self._child(task, seed))

    def _chosen(self, group: list[list[Any]]) -> list[list[Any]]:
        """The parents among replayed levels, once per child."""
        if self.parents == "batch":
            return group
        column, sign = {"easy_highest": (2, -1), "easy_lowest": (2, 1), "lowest_regret": (3, 1)}[
            self.parents
        ]
        best = sorted(group, key=lambda level: sign * level[column])[: len(group) // COPIES]
        return [level for level in best for _ in range(COPIES)]

    def _child(self, task: np.ndarray, seed: int) -> list[Any]:
        """A level beside its parent, inside the box; see ``_new_level``."""
        free = np.flatnonzero(self.box.high > self.box.low)
        chosen = self.rng.permutation(free)[: self.edits]
        child = np.array(task)
        child[chosen] += self.step[chosen] * self.rng.uniform(-1, 1, len(chosen))
        fresh = int(self.rng.integers(2**31))
        child = np.clip(child, self.box.low, self.box.high)
        return [child, fresh if self.redraw_seed else seed, -np.inf]

    def _new_level(self) -> list[Any]:
        """An easy level: [task (D,), terrain seed, best return of its parent, that it has not]."""
        if self.knowledge.initial is not None:
            task = self.rng.normal(*self.knowledge.initial)
        else:
            task = self.rng.uniform(self.easy_low, self.easy_high)
        seed = int(self.rng.integers(2**31))
        return [np.clip(task, self.box.low, self.box.high), seed, -np.inf]


class ACCELReturn(ACCEL):
    """The edits of ACCEL where a protocol allows no privilege: not robust, no critic, our variant.

    The student also learns from new levels and, once, from every child. Levels are scored by
    returns as in ``PLR``; for the first score of a child, which has no past, its parent's best
    return counts as its own. ``step`` is 0.1 if not given, because only children that are too hard
    at first get a score above 0.
    """

    signals, privileges = (), ()
    scores = PLR.scores
    robust = False
    default_step = 0.1

    def _child(self, task: np.ndarray, seed: int) -> list[Any]:
        """A level beside its parent with the parent's best return."""
        return [*super()._child(task, seed)[:2], self.buffer.best_of(task, seed)]


def _steps(step: float | Sequence[float], box: Any) -> np.ndarray:
    """The largest change (D,) of each coordinate, in task units."""
    if np.ndim(step) == 0:
        refuse_unless("step", step, 0 < step <= 1, "be a share of the ranges in (0, 1]")
        return step * (box.high - box.low)
    steps = np.array(step, dtype=np.float64)
    fits = steps.shape == box.shape and (np.isfinite(steps) & (steps >= 0)).all()
    refuse_unless("step", step, fits, f"be one share or {box.shape[0]} numbers >= 0")
    return steps

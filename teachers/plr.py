"""Prioritized level replay: train again on the levels where the student could do better.

Jiang, Grefenstette & Rocktäschel, "Prioritized level replay", 2021,
https://arxiv.org/abs/2010.03934 (PLR); Jiang, Dennis, Parker-Holder, Foerster, Grefenstette &
Rocktäschel, "Replay-guided adversarial environment design", 2021, https://arxiv.org/abs/2110.02439
(robust PLR). The defaults are those that Klink et al., "Curriculum reinforcement learning via
constrained optimal transport", 2022, https://proceedings.mlr.press/v162/klink22a.html, tuned for
boxes of tasks and thousands of episodes. Published for walkers, with 20,000 updates: ``capacity=
1000, replay_rate=0.5, temperature=0.1, staleness=0.5``; for mazes: ``capacity=4000,
replay_rate=0.8, temperature=0.3, staleness=0.3, score="max_mc"``.

Departures from the papers:
- A new level is a uniform task with a fresh terrain seed, and is replayed exactly; the adaptation
  to boxes stored tasks only.
- ``PLR`` scores by returns, because a plain run gives a teacher no critic: how far the latest
  episode fell short of the best one on that level. A level scores 0 until its second episode, and
  whenever its return rises.
- Whether to replay is decided for each proposed task; the releases decide for a whole batch.
- Robust PLR scores new levels, in which nobody learns, in batches of ``rollouts``. One call scores
  at most ``count + rollouts / 2``: 20 episodes with 16 worlds, about 4 seconds where all of them
  last 2000 steps of StumpTracks. What is left waits; when ``capacity`` levels wait, no new ones are
  drawn. Until the share ``fill`` is filled it replays what there is; the release waits.
- Episodes of one level that end together count as one, weighted by length. A level that was
  dropped while it was played may come back by the rule for new ones.
- Of the published scores and prioritisations only those of later work are here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box
from teachers.level_buffer import LevelBuffer, refuse_unless
from teachers.regret import SCORES, Judge

DECISIONS = ("proportionate", "fixed")
OPEN = 4096  # how many of the latest proposals may still be answered


class PLR(Teacher):
    """Replays levels by the rank of their scores and by the time since their last use.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, terrain seeds and replays.
        knowledge: not used.
        score: how a level is scored, see ``teachers/regret.py``; None means the first of
            ``scores``, those that the class offers.
        capacity: levels in the buffer, >= 1.
        replay_rate: chance of a replay, in (0, 1].
        replay_decision: "proportionate": the chance is at most the filled share of the buffer; or
            "fixed".
        fill: share of the buffer that must be filled before anything is replayed, in [0, 1].
        temperature: beta > 0; replays weigh a rank r by ``(1 / r) ** (1 / beta)``.
        staleness: rho in [0, 1], the share of replays by the time since the last use.
        smoothing: alpha in (0, 1], the weight of a new score against the stored one.
        discount, gae_lambda: of the scores by values, in [0, 1]; a teacher is not told the
            student's.
        rollouts: new levels that robust PLR scores in one go, >= 1.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Jiang et al. 2021, https://arxiv.org/abs/2010.03934"
    spaces = ("box",)
    memory = ("open_seeds", "open_best", "proposed", "candidates")
    scores: ClassVar[tuple[str, ...]] = ("return",)
    robust: ClassVar[bool] = False  # train on replayed levels only

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        score: str | None = None,
        capacity: int = 100,
        replay_rate: float = 0.85,
        replay_decision: str = "proportionate",
        fill: float = 0.5,
        temperature: float = 0.45,
        staleness: float = 0.15,
        smoothing: float = 1.0,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        rollouts: int = 8,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = bounded_box(task_space, "level replay")
        score = self.scores[0] if score is None else score
        refuse_unless("score", score, score in self.scores, f"be one of {', '.join(self.scores)}")
        known = replay_decision in DECISIONS
        refuse_unless("replay_decision", replay_decision, known, f"be {' or '.join(DECISIONS)}")
        refuse_unless("replay_rate", replay_rate, 0 < replay_rate <= 1, "lie in (0, 1]")
        refuse_unless("fill", fill, 0 <= fill <= 1, "lie in [0, 1]")
        refuse_unless("rollouts", rollouts, rollouts >= 1, "be at least 1")
        self.replay_rate, self.replay_decision, self.fill = replay_rate, replay_decision, fill
        self.rollouts = rollouts
        self.judge = Judge(score, discount, gae_lambda)
        self.buffer = LevelBuffer(len(self.box.low), capacity, temperature, staleness, smoothing)
        # Of the latest proposals, in rings: terrain seeds, and best returns of the parents.
        self.open_seeds, self.open_best = np.full(OPEN, -1), np.full(OPEN, -np.inf)
        self.proposed = 0
        self.candidates: list[list[Any]] = []  # levels that wait to be tried, see _new_level

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D) with their terrain seeds; ``progress`` is ignored."""
        if self.robust:
            self._score_candidates(count)
        tasks = np.empty((count, *self.box.shape))
        seeds = np.empty(count, dtype=np.int64)
        for row in range(count):
            tasks[row], seeds[row], best = self._next_level()
            ring = (self.proposed + row) % OPEN
            self.open_seeds[ring], self.open_best[ring] = seeds[row], best
        self.proposed += count
        return Proposal(tasks, seeds=seeds)

    def observe(self, outcomes: Outcomes) -> None:
        """Score the levels whose episodes have ended."""
        rows, tasks, seeds = self._answered(outcomes)
        names = ("score", "length", *self.signals)
        columns = {name: np.asarray(getattr(outcomes, name))[rows] for name in names}
        columns["inherited"] = self.open_best[np.asarray(outcomes.proposal)[rows] % OPEN]
        self.judge.hand_in(self.buffer, tasks, seeds, columns, self.probe)

    def _answered(self, outcomes: Outcomes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Rows (k,) of the outcomes whose level is known, their tasks (k, D) and terrain seeds."""
        number = np.asarray(outcomes.proposal)
        rows = np.flatnonzero((number >= self.proposed - OPEN) & (number < self.proposed))
        return rows, np.asarray(outcomes.tasks)[rows], self.open_seeds[number[rows] % OPEN]

    def _next_level(self) -> Sequence[Any]:
        """The level of the next episode that the student learns from, see ``_new_level``."""
        if self.robust or (not self.candidates and self._replays()):
            place = self.buffer.draw(self.rng)
            return self.buffer.tasks[place], self.buffer.seeds[place], -np.inf
        return self.candidates.pop(0) if self.candidates else self._new_level()

    def _replays(self) -> bool:
        """Decide whether the next level is a replay."""
        filled = self.buffer.fill
        if self.robust:  # those that wait are as good as stored
            filled += len(self.candidates) / self.buffer.capacity
        if not filled or filled < self.fill:
            return False
        rate = self.replay_rate
        if self.replay_decision == "proportionate":
            rate = min(filled, rate)
        return bool(self.rng.random() < rate)

    def _new_level(self) -> list[Any]:
        """A level nobody has tried: [task (D,), terrain seed, best return of its parent]."""
        task = self.rng.uniform(self.box.low, self.box.high)
        seed = int(self.rng.integers(2**31))
        return [np.clip(task, self.box.low, self.box.high), seed, -np.inf]

    def _score_candidates(self, count: int) -> None:
        """Draw new levels until ``count`` replays are decided; score them if they are enough."""
        for _ in range(count):
            while len(self.candidates) < self.buffer.capacity and not self._replays():
                self.candidates.append(self._new_level())
        enough = min(self.rollouts, self.buffer.capacity)
        if len(self.candidates) < enough and len(self.buffer):
            return
        most = max(self.rollouts, count + self.rollouts // 2)
        chosen, self.candidates = self.candidates[:most], self.candidates[most:]
        tasks, seeds, best = (np.array(column) for column in zip(*chosen, strict=True))
        columns = {**self.probe.rollout(tasks, seeds), "inherited": best}
        self.judge.hand_in(self.buffer, tasks, seeds, columns, self.probe)

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the buffer included."""
        return {**super().state_dict(), "buffer": self.buffer.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        self.buffer.load_state_dict(state["buffer"])


class PLRValue(PLR):
    """PLR with a published score: new levels and replays train the student, its critic judges.

    ``score`` is "positive_value_loss", "value_l1" (the first paper's), "max_mc" or "return".
    """

    signals = ("trajectory",)
    privileges = ("value_function",)
    scores = SCORES


class RobustPLR(PLRValue):
    """Robust PLR: new levels are scored by rollouts without learning; replays train the student.

    The rollouts are billed: at ``replay_rate`` p, (1 - p) / p of them for each episode of training,
    so that 0.85 costs 0.18 and the published 0.5 costs 1.
    """

    reference = "Jiang et al. 2021, https://arxiv.org/abs/2110.02439"
    privileges = ("probe", "value_function")
    robust = True

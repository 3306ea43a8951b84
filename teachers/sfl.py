"""Sampling for learnability: train where success is neither certain nor hopeless.

Rutherford, Beukman, Willi, Lacerda, Hawes & Foerster, "No regrets: investigating and improving
regret approximations for curriculum discovery", 2024, https://arxiv.org/abs/2408.15099.

Departures from the paper:
- Learnability is the mean of p (1 - p) under a Beta posterior of the chance p of success, because
  a plain estimate from one to four episodes takes few values; ``prior=0`` ranks by the paper's.
- ``SFL`` is by default the small version of ours ("lite") for budgets of thousands of episodes: 64
  levels, 4 episodes each, in up to 10 refreshes that may cost a fifth of all steps. The published
  sizes are ``levels=5000, keep=100, share=1`` for navigation among obstacles and ``levels=25000,
  keep=1000, share=1`` for mazes, with as many episodes as fit into 1000 or 2000 steps per level.
- A refresh is spread over many calls, so that no call is slow: 16 episodes, which take about 3
  seconds where all of them last 2000 steps of StumpTracks. Meanwhile the student trains on, with
  the levels found before. Refreshes begin at equal shares of the budget.
- Among equally learnable levels those with more successes win, as in Kinetix (Matthews et al.,
  2024, https://arxiv.org/abs/2410.23208).
- ``SFLOnline`` is a variant of ours without any rollout: the chance of success of a task is that of
  the training episodes nearest to it, and terrain seeds do not matter.
The methods need a yes-or-no success, by the protocol's rule. Where a student explores without noise
the episodes of one level are all alike, and ``SFL`` cannot tell levels apart.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box
from teachers.level_buffer import refuse_unless

CHUNK = 16  # episodes that one call of SFL may play
POOL = 32  # tasks among which SFLOnline chooses one
TIE = 0.001  # learnability per success rate, as in Kinetix


def learnability(successes: np.ndarray, episodes: np.ndarray | int, prior: float) -> np.ndarray:
    """Mean of p (1 - p) under Beta(prior + successes, prior + failures), elementwise.

    Without a prior and an episode, 0.
    """
    a = prior + np.asarray(successes, dtype=np.float64)
    b = prior + episodes - successes
    total = np.maximum(a + b, np.finfo(np.float64).tiny)
    return a / total * (b / (total + 1))


class SFL(Teacher):
    """Keeps the most learnable of many random levels, found by rollouts without learning.

    Every training episode takes one of them or, at times, a new random level. Rollouts are billed;
    until the first refresh has ended, levels are random.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks and terrain seeds, and chooses levels.
        knowledge: not used.
        levels: random levels that a refresh tries, >= 1.
        episodes: on each of them, >= 1.
        keep: most learnable levels that are kept, 1 to ``levels``.
        kept_share: chance of a kept level for a training episode, in [0, 1].
        refreshes: how many in a run, >= 1; the first begins at once.
        share: refreshes pause while their steps are more than this share of all steps, in (0, 1].
        prior: of the Beta posterior, for success and for failure, >= 0.

    Attributes: ``kept_tasks`` (k, D), ``kept_seeds`` (k,) and ``kept_learnability`` (k,).

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Rutherford et al. 2024, https://arxiv.org/abs/2408.15099"
    spaces = ("box",)
    privileges = ("probe",)
    memory = ("kept_tasks", "kept_seeds", "kept_learnability", "tried_tasks", "tried_seeds")
    memory += ("successes", "played", "begun", "probed", "trained")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        levels: int = 64,
        episodes: int = 4,
        keep: int = 8,
        kept_share: float = 0.5,
        refreshes: int = 10,
        share: float = 0.2,
        prior: float = 1.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = bounded_box(task_space, "SFL")
        refuse_unless("levels", levels, levels >= 1, "be at least 1")
        refuse_unless("episodes", episodes, episodes >= 1, "be at least 1")
        refuse_unless("keep", keep, 1 <= keep <= levels, f"lie in 1 to levels ({levels})")
        refuse_unless("kept_share", kept_share, 0 <= kept_share <= 1, "lie in [0, 1]")
        refuse_unless("refreshes", refreshes, refreshes >= 1, "be at least 1")
        refuse_unless("share", share, 0 < share <= 1, "lie in (0, 1]")
        refuse_unless("prior", prior, 0 <= prior < np.inf, "be at least 0")
        self.levels, self.episodes, self.keep, self.prior = levels, episodes, keep, prior
        self.kept_share, self.refreshes, self.share = kept_share, refreshes, share
        self.kept_tasks, self.kept_seeds = self._random(0)
        self.kept_learnability = np.empty(0)
        # The refresh at work: its levels, their successes and the episodes played, one level after
        # the other. It is over when all are played.
        self.tried_tasks, self.tried_seeds = self._random(0)
        self.successes, self.played, self.begun = np.empty(0), 0, 0
        self.probed, self.trained = 0, 0  # environment steps

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D) with terrain seeds, after some rollouts if due."""
        due = self.begun <= progress * self.refreshes and self.begun < self.refreshes
        if due and self.played == self._planned():
            self._begin()
        affordable = self.probed <= self.share * (self.probed + self.trained)
        if affordable and self.played < self._planned():
            self._try_some()
        tasks, seeds = self._random(count)
        if len(self.kept_seeds):
            rows = np.flatnonzero(self.rng.random(count) < self.kept_share)
            chosen = self.rng.integers(len(self.kept_seeds), size=len(rows))
            tasks[rows], seeds[rows] = self.kept_tasks[chosen], self.kept_seeds[chosen]
        return Proposal(tasks, seeds=seeds)

    def observe(self, outcomes: Outcomes) -> None:
        """Count the steps of training; how it went is not used."""
        self.trained += int(np.sum(outcomes.length))

    def _random(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """New random levels: tasks (count, D) and terrain seeds (count,)."""
        low, high = self.box.low, self.box.high
        tasks = np.clip(self.rng.uniform(low, high, (count, len(low))), low, high)
        return tasks, self.rng.integers(2**31, size=count)

    def _planned(self) -> int:
        """Episodes of the refresh at work."""
        return len(self.tried_seeds) * self.episodes

    def _begin(self) -> None:
        """Start a refresh with new random levels."""
        self.tried_tasks, self.tried_seeds = self._random(self.levels)
        self.successes, self.played, self.begun = np.zeros(self.levels), 0, self.begun + 1

    def _try_some(self) -> None:
        """Play the next episodes of the refresh; after the last one keep the best levels."""
        stop = min(self.played + CHUNK, self._planned())
        rows = np.arange(self.played, stop) // self.episodes
        answer = self.probe.rollout(self.tried_tasks[rows], self.tried_seeds[rows])
        np.add.at(self.successes, rows, answer["success"])
        self.played = stop
        self.probed += int(answer["length"].sum())
        if stop == self._planned():
            value = learnability(self.successes, self.episodes, self.prior)
            order = np.argsort(-value - TIE * self.successes / self.episodes, kind="stable")
            best = order[: self.keep]
            self.kept_tasks, self.kept_seeds = self.tried_tasks[best], self.tried_seeds[best]
            self.kept_learnability = value[best]


class SFLOnline(Teacher):
    """Proposes tasks in proportion to their learnability among past training episodes.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: not used.
        history: latest training episodes that count, >= 1.
        neighbours: nearest of them that tell the chance of success of a task, >= 1.
        random_share: chance of a uniform task, in [0, 1].
        prior: of the Beta posterior, for success and for failure, >= 0.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = SFL.reference
    spaces = ("box",)
    memory = ("tasks", "success")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        history: int = 500,
        neighbours: int = 10,
        random_share: float = 0.2,
        prior: float = 0.0,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = bounded_box(task_space, "online SFL")
        refuse_unless("history", history, history >= 1, "be at least 1")
        refuse_unless("neighbours", neighbours, neighbours >= 1, "be at least 1")
        refuse_unless("random_share", random_share, 0 <= random_share <= 1, "lie in [0, 1]")
        refuse_unless("prior", prior, 0 <= prior < np.inf, "be at least 0")
        self.history, self.neighbours = history, neighbours
        self.random_share, self.prior = random_share, prior
        self.unit = np.where(self.box.high > self.box.low, self.box.high - self.box.low, 1.0)
        self.tasks, self.success = np.empty((0, len(self.box.low))), np.empty(0)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        low, high = self.box.low, self.box.high
        pool = self.rng.uniform(low, high, (count, POOL, len(low)))
        pick = np.zeros(count, dtype=np.int64)
        guided = np.flatnonzero(self.rng.random(count) >= self.random_share)
        if len(self.success) and len(guided):
            value = self.learnability(pool[guided].reshape(-1, len(low))).reshape(-1, POOL)
            value += np.where(value.sum(axis=1, keepdims=True) > 0, 0.0, 1.0)
            total = np.cumsum(value, axis=1)
            mark = self.rng.random((len(guided), 1)) * total[:, -1:]
            pick[guided] = np.minimum((total <= mark).sum(axis=1), POOL - 1)
        return Proposal(np.clip(pool[np.arange(count), pick], low, high))

    def observe(self, outcomes: Outcomes) -> None:
        """Remember the latest episodes."""
        tasks = np.concatenate([self.tasks, outcomes.tasks])
        success = np.concatenate([self.success, np.asarray(outcomes.success, dtype=np.float64)])
        self.tasks, self.success = tasks[-self.history :], success[-self.history :]

    def learnability(self, tasks: np.ndarray) -> np.ndarray:
        """The learnability (n,) of tasks (n, D) after at least one outcome."""
        count = min(self.neighbours, len(self.success))
        tree = cKDTree(self.tasks / self.unit)
        _, nearest = tree.query(tasks / self.unit, k=np.arange(1, count + 1))
        return learnability(self.success[nearest].sum(axis=1), count, self.prior)

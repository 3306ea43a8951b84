"""Bidirectional learning progress: practise the tiles whose success rate rises or falls.

Kanitscheider et al., "Multi-task curriculum learning in a complex, visual, hard-exploration domain:
Minecraft", 2021, https://arxiv.org/abs/2106.14876; online averages of success instead of separate
evaluations, and the uniform share, as in Syllabus (Sullivan et al., 2024,
https://arxiv.org/abs/2411.11318).

Departures from the paper:
- Tasks are tiles of the task space; a tile's success rate is over different tasks inside it.
- Rates are means over the training episodes since the last update, as in Syllabus's online version.
  A tile without episodes since then keeps its averages; there it counts as failing, which looks
  like forgetting.
- The averages of a tile start from its own first rate.
- The rate of a random policy is estimated from the first ``baseline_episodes`` outcomes, which are
  uniform, by successes / (episodes + 1) per tile, so that one lucky episode is no rate of 1; it is
  0 in tiles without any. The paper runs a random policy beside the training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.tiles import Tiles

MAX_RANDOM_SUCCESS = 0.75  # a higher estimate would hide a task for ever


class LearningProgress(Teacher):
    """Tasks from tiles in which a fast and a slow average of the success rate differ.

    It sees successes only. Where a tile takes much practice before its first success, a mastered
    tile keeps most of the tasks, because no other one shows progress.

    Args:
        task_space: a bounded ``Box`` of shape (D,), or a pool; see ``teachers.tiles.Tiles``.
        seed: draws tiles and tasks.
        knowledge: not used.
        rate: step size of both averages, in (0, 1] (paper and release 0.1).
        stretch: theta, in (0, 1); below 0.5 it magnifies progress at low success rates (0.1).
        update_every: outcomes per update, >= 1.
        uniform_share: share of uniform tiles, in [0, 1] (release 0.25, paper 0).
        baseline_episodes: outcomes from which the random policy's success is estimated, >= 0.
        random_success: that success where it is known, in [0, 1]; None means to estimate it.
        bins: tiles per dimension of a box; None means at most 10, and 1024 tiles in all.

    Attributes: ``tiles``; ``fast``, ``slow`` and ``random`` (tiles,), success rates;
    ``progress`` (tiles,), |stretched fast - stretched slow|; ``chances`` (tiles,).

    Raises:
        ValueError: an argument is out of range, or the space cannot be cut into tiles.
    """

    reference = "Kanitscheider et al. 2021, https://arxiv.org/abs/2106.14876"
    memory = ("fast", "slow", "plain", "random", "known", "waiting", "episodes", "successes")
    memory += ("chances", "warming")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        rate: float = 0.1,
        stretch: float = 0.1,
        update_every: int = 50,
        uniform_share: float = 0.25,
        baseline_episodes: int = 200,
        random_success: float | None = None,
        bins: int | Sequence[int] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        _check(rate, stretch, update_every, uniform_share, baseline_episodes, random_success)
        self.rate, self.stretch, self.uniform_share = rate, stretch, uniform_share
        self.update_every, self.baseline_episodes = update_every, baseline_episodes
        self.tiles = Tiles(task_space, bins)
        n = self.tiles.count
        self.fast, self.slow = np.zeros(n), np.zeros(n)  # averages of the normalised rate
        self.plain = np.zeros(n)  # average of the rate itself
        self.random = np.full(n, min(random_success or 0.0, MAX_RANDOM_SUCCESS))
        self.known = np.zeros(n, dtype=bool)  # whether the averages have begun
        self.warming = random_success is None and baseline_episodes > 0
        self.waiting = 0  # outcomes since the last update
        self.episodes, self.successes = np.zeros(n), np.zeros(n)  # since the last update
        self.chances = np.full(n, 1 / n)

    @property
    def progress(self) -> np.ndarray:
        """Learning progress of every tile (tiles,), in [0, 1]."""
        return np.abs(stretched(self.fast, self.stretch) - stretched(self.slow, self.stretch))

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, *task_shape); ``progress`` is ignored."""
        chosen = self.rng.choice(self.tiles.count, size=count, p=self.chances)
        return Proposal(self.tiles.sample(chosen, self.rng))

    def observe(self, outcomes: Outcomes) -> None:
        """Count episodes and successes per tile, and update when enough have arrived."""
        tiles = self.tiles.locate(outcomes.tasks)
        success = np.asarray(outcomes.success, dtype=np.float64)
        start = 0
        while start < len(tiles):
            # Stop where an update is due: how outcomes are bundled must not matter.
            due = self.baseline_episodes if self.warming else self.update_every
            part = slice(start, start + due - self.waiting)
            self.episodes += np.bincount(tiles[part], minlength=self.tiles.count)
            self.successes += np.bincount(tiles[part], success[part], self.tiles.count)
            self.waiting += len(tiles[part])
            start = part.stop
            if self.waiting == due:
                self._update()

    def _update(self) -> None:
        """Take the rates since the last update into the averages and start counting anew."""
        seen = self.episodes > 0
        if self.warming:
            self.random = np.minimum(self.successes / (self.episodes + 1), MAX_RANDOM_SUCCESS)
            self.warming = False
        rate = self.successes / np.maximum(self.episodes, 1)
        above = np.maximum(rate - self.random, 0.0) / (1 - self.random)
        step = np.where(self.known, self.rate, 1.0) * seen
        self.plain += step * (rate - self.plain)
        self.fast += step * (above - self.fast)
        self.slow += step * (self.fast - self.slow)
        self.known |= seen
        self.waiting = 0
        self.episodes, self.successes = np.zeros_like(self.episodes), np.zeros_like(self.successes)
        self.chances = self._find_chances()

    def _find_chances(self) -> np.ndarray:
        """Chances (tiles,): a sigmoid of the z-scores of progress, and the uniform share."""
        n, progress = self.tiles.count, self.progress
        alive = (progress > 0) | (self.plain > 0)
        if not alive.any():
            return np.full(n, 1 / n)
        kept = progress[alive]
        deviation = kept.std()
        scores = (kept - kept.mean()) / (deviation if deviation > 0 else 1.0)
        weights = np.zeros(n)
        weights[alive] = 1 / (1 + np.exp(-scores))
        chances = (1 - self.uniform_share) * weights / weights.sum() + self.uniform_share / n
        return chances / chances.sum()


def stretched(rate: np.ndarray, theta: float) -> np.ndarray:
    """Return (1 - theta) p / (p + theta (1 - 2 p)) of rates p (n,): low ones are spread out."""
    return (1 - theta) * rate / (rate + theta * (1 - 2 * rate))


def _check(
    rate: float,
    stretch: float,
    update_every: int,
    uniform_share: float,
    baseline_episodes: int,
    random_success: float | None,
) -> None:
    if not 0 < rate <= 1:
        raise ValueError(f"rate must be a step size in (0, 1], but is {rate}")
    if not 0 < stretch < 1:
        raise ValueError(f"stretch must lie in (0, 1), but is {stretch}")
    if update_every < 1 or baseline_episodes < 0:
        raise ValueError(
            "update_every must be at least 1 and baseline_episodes at least 0, "
            f"but they are {update_every} and {baseline_episodes}"
        )
    if not 0 <= uniform_share <= 1:
        raise ValueError(f"uniform_share must be a share in [0, 1], but is {uniform_share}")
    if random_success is not None and not 0 <= random_success <= 1:
        raise ValueError(f"random_success must be a rate in [0, 1], but is {random_success}")

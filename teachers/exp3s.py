"""EXP3.S over tiles of tasks, rewarded by the change of return.

The bandit is that of Auer, Cesa-Bianchi, Freund & Schapire, "The nonstochastic multiarmed bandit
problem", 2002, https://doi.org/10.1137/S0097539701398375, as a teacher in Graves, Bellemare,
Menick, Munos & Kavukcuoglu, "Automated curriculum learning for neural networks", 2017,
https://arxiv.org/abs/1704.03003. Learning progress over tiles and the tuned values are those of
Klink et al., 2022, https://proceedings.mlr.press/v162/klink22a.html.

Departures from the paper:
- The reward is |return - previous return in the same tile| instead of a gain in loss, as in Klink
  et al.; the first return of a tile is rewarded with 0.
- Rewards are scaled by the least and the largest so far, as in Klink et al.; after one very large
  change, as when a student forgets, all others look alike. ``scaling="quantile"`` is the rule of
  Graves et al., over a reservoir of 1000 rewards; it has no unit while most rewards are equal.
- The gain is divided by the chance that the tile had when the task was proposed; the release of
  Klink et al. takes the softmax at the time of the update, without its uniform share. Chances are
  remembered for the latest 4096 proposals; later outcomes use the present chance.
- Weights are shared over all tiles by 1 / (t + 1), t counting outcomes from 1, as in that release.
- Weights are kept relative to the largest one, which changes no chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.tiles import Tiles

SCALINGS = ("range", "quantile")
RESERVOIR = 1000
QUANTILES = (0.2, 0.8)
REMEMBERED = 4096  # proposals whose outcomes may still come


class EXP3S(Teacher):
    """Tasks from tiles in which the return changes, by an adversarial bandit.

    Args:
        task_space: a bounded ``Box`` of shape (D,), or a pool; see ``teachers.tiles.Tiles``.
        seed: draws tiles, tasks and the reservoir.
        knowledge: not used.
        eta: step size of the weights, > 0 (tuned 0.05 in a maze of 8000 tiles, 0.025 for a point
            mass).
        epsilon: share of uniform tiles, in (0, 1] (tuned 0.2).
        scaling: "range" or "quantile", how rewards are brought to [-1, 1].
        bins: tiles per dimension of a box; None means at most 10, and 1024 tiles in all.

    Attributes: ``tiles``; ``weights`` (tiles,), the largest of which is 0; ``chances`` (tiles,).

    Raises:
        ValueError: an argument is out of range, or the space cannot be cut into tiles.
    """

    reference = "Graves et al. 2017, https://arxiv.org/abs/1704.03003"
    memory = ("weights", "last", "heard", "clock", "extremes", "reservoir")
    memory += ("proposed", "numbers", "given")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        eta: float = 0.025,
        epsilon: float = 0.2,
        scaling: str = "range",
        bins: int | Sequence[int] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if not 0 < eta < np.inf:
            raise ValueError(f"eta must be a step size above 0, but is {eta}")
        if not 0 < epsilon <= 1:
            raise ValueError(f"epsilon must be a share in (0, 1], but is {epsilon}")
        if scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}, but is {scaling!r}")
        self.eta, self.epsilon, self.scaling = eta, epsilon, scaling
        self.tiles = Tiles(task_space, bins)
        n = self.tiles.count
        self.weights, self.last, self.heard = np.zeros(n), np.zeros(n), np.zeros(n, dtype=bool)
        self.clock = 0  # outcomes so far
        self.extremes = np.zeros(2)  # the least and the largest reward
        self.reservoir = np.empty(0)  # a fair sample of all rewards
        self.proposed = 0
        # Of the latest proposals: their numbers, and the chances with which they were drawn.
        self.numbers, self.given = np.full(REMEMBERED, -1), np.zeros(REMEMBERED)

    @property
    def chances(self) -> np.ndarray:
        """The present chance of every tile (tiles,)."""
        share = np.exp(self.weights)
        return (1 - self.epsilon) * share / share.sum() + self.epsilon / self.tiles.count

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, *task_shape); ``progress`` is ignored."""
        chances = self.chances
        chosen = self.rng.choice(self.tiles.count, size=count, p=chances / chances.sum())
        numbers = self.proposed + np.arange(count)
        self.numbers[numbers % REMEMBERED] = numbers
        self.given[numbers % REMEMBERED] = chances[chosen]
        self.proposed += count
        return Proposal(self.tiles.sample(chosen, self.rng))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        tiles = self.tiles.locate(outcomes.tasks).tolist()
        scores = np.asarray(outcomes.score, dtype=np.float64).tolist()
        for tile, score, number in zip(tiles, scores, outcomes.proposal.tolist(), strict=True):
            reward = abs(score - float(self.last[tile])) if self.heard[tile] else 0.0
            self.last[tile], self.heard[tile] = score, True
            slot = number % REMEMBERED
            known = self.numbers[slot] == number
            chance = float(self.given[slot] if known else self.chances[tile])
            self._update(tile, reward, chance)

    def _update(self, tile: int, reward: float, chance: float) -> None:
        """One step of EXP3.S."""
        self.clock += 1
        self.weights[tile] += self.eta * self._scale(reward) / chance
        share = 1 / (self.clock + 1)
        self.weights -= self.weights.max()
        grown = np.exp(self.weights)
        self.weights = np.log((1 - share) * grown + share * grown.mean())
        self.weights -= self.weights.max()

    def _scale(self, reward: float) -> float:
        """Take a reward into the history and return it in [-1, 1], or 0 without a unit."""
        low, high = self.extremes if self.clock > 1 else (reward, reward)
        self.extremes = np.array([min(low, reward), max(high, reward)])
        low, high = self.extremes
        if self.scaling == "quantile":
            self._sample(reward)
            low, high = np.quantile(self.reservoir, QUANTILES)
        if not high > low:
            return 0.0
        return float(np.clip(2 * (reward - low) / (high - low) - 1, -1.0, 1.0))

    def _sample(self, reward: float) -> None:
        """Keep the reservoir a uniform sample of all rewards so far."""
        if len(self.reservoir) < RESERVOIR:
            self.reservoir = np.append(self.reservoir, reward)
            return
        slot = int(self.rng.integers(self.clock))
        if slot < RESERVOIR:
            self.reservoir[slot] = reward

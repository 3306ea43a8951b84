"""RIAC: split the tasks into ever smaller regions and prefer those whose returns are changing.

Baranes & Oudeyer, "R-IAC: Robust Intrinsically Motivated Exploration and Active Learning", 2009,
https://doi.org/10.1109/TAMD.2009.2037513. The defaults are those tuned in TeachMyAgent (Romac et
al., 2021, https://arxiv.org/abs/2103.09815).

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Progress is that of returns, not of a predictor's error. Regions keep a least width; a full one
  without a valid cut forgets its oldest outcomes.
- Balanced cuts score higher, as the release means to do but multiplies constants instead.
- Mutations are shares of each dimension's range; the release adds 0.1 in raw units.
- A region that has forgotten outcomes keeps its capacity; the release lifts it.
- In both presets, unlike the release: redraws of a cut are capped, so that equal tasks do not hang
  the run; all draws come from the seed; new regions start with their own progress, not with that of
  the last cut tried; a task on a cut is above it; dimensions of width zero are left out.
Kept, because it is the method: progress is a difference of noisy means, so that where nothing is
left to learn the noisiest regions attract, whether or not anything can be learned there.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box
from teachers.presets import choose

BEHAVIOURS = {  # corrected, parity
    "split_score": ("balanced", "difference"),
    "noise_unit": ("range", "raw"),
    "keep_capacity": (True, False),
}
LEAST, DISCARD = 1 / 20, 1 / 4  # shares of N: least in a child, forgotten where no cut is valid
MAX_REDRAWS, UNLIMITED, LARGEST = 50, 2**62, np.finfo(np.float64).max


class RIAC(Teacher):
    """Tasks from the regions of a binary tree, in proportion to their absolute learning progress.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks and cuts.
        knowledge: not used.
        preset: "corrected" or "parity"; decides every argument that is None.
        region_size: N, outcomes that a leaf may hold uncut, >= 2 (tuned 150).
        split_attempts: K, cuts tried per split, >= 1 (tuned 75).
        least_width: share of a dimension's range that a region must keep, in [0, 1] (tuned 0.1).
        uniform_share: chance of a uniform task (tuned 0.2).
        mutation_share: chance of a mutated task (tuned 0.1); both >= 0 with a sum up to 1.
        mutation_noise: standard deviation of mutations, >= 0 (tuned 0.1).
        split_score: "difference" of the progress on both sides; "balanced": times the populations.
        noise_unit: "range" or "raw": the unit of ``mutation_noise``.
        keep_capacity: N + 1 outcomes per region also once it has forgotten some.

    Attributes: ``lows``, ``highs`` (M, free dimensions) of the regions in the unit box, the whole
    box first; ``alp`` (M,) in return units; ``child`` (M,), the lower half (then the upper) or -1.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Baranes & Oudeyer 2009, https://doi.org/10.1109/TAMD.2009.2037513"
    spaces = ("box",)
    memory = ("lows", "highs", "alp", "child", "capacity", "points")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        region_size: int = 150,
        split_attempts: int = 75,
        least_width: float = 0.1,
        uniform_share: float = 0.2,
        mutation_share: float = 0.1,
        mutation_noise: float = 0.1,
        split_score: str | None = None,
        noise_unit: str | None = None,
        keep_capacity: bool | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = split_score, noise_unit, keep_capacity
        vars(self).update(choose("RIAC", preset, BEHAVIOURS, given))
        shares = uniform_share, mutation_share, least_width, mutation_noise
        _check((region_size, split_attempts), shares)
        self.region_size, self.split_attempts = region_size, split_attempts
        self.uniform_share, self.mutation_share, self.least_width, _ = shares
        box = bounded_box(task_space, "RIAC")
        self.low, self.high = box.low, box.high
        self.free = np.flatnonzero(self.high > self.low)
        self.unit, size = (self.high - self.low)[self.free], len(self.free)
        self.noise = mutation_noise / (self.unit if self.noise_unit == "raw" else 1.0)
        self.lows, self.highs = np.zeros((1, size)), np.ones((1, size))
        self.alp, self.child, self.capacity = np.zeros(1), np.full(1, -1), [region_size + 1]
        self.points = [np.empty((0, size + 1))]  # per region: (position, return), oldest first

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        alp = self.alp / self.alp.max() if self.alp.any() else np.ones(len(self.alp))
        regions = self.rng.choice(len(alp), size=count, p=alp / alp.sum())  # region ∝ ALP
        mode = self.rng.random(count)
        # 70 %: uniform in the region. 20 %: uniform in the whole box, which is region 0.
        within = np.where(mode < self.uniform_share, 0, regions)
        positions = self.rng.uniform(self.lows[within], self.highs[within])
        # 10 %: a mutation of the task with the lowest return in the region.
        for row in np.flatnonzero(mode >= 1 - self.mutation_share):
            region, points = regions[row], self.points[regions[row]]
            if len(points):
                mutation = self.rng.normal(points[points[:, -1].argmin(), :-1], self.noise)
                positions[row] = np.clip(mutation, self.lows[region], self.highs[region])
        tasks = np.tile(self.low, (count, 1))
        tasks[:, self.free] += positions * self.unit
        return Proposal(np.clip(tasks, self.low, self.high))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        positions = (np.asarray(outcomes.tasks) - self.low)[:, self.free] / self.unit
        changed: set[int] = set()
        for point in np.column_stack([np.clip(positions, 0, 1), outcomes.score]):
            path = self._path(point[:-1])
            for region in path:
                capacity = self.capacity[region]
                self.points[region] = np.concatenate([self.points[region], point[None]])[-capacity:]
            if len(self.points[path[-1]]) > self.region_size and len(self.free):
                self._split(path[-1])
            changed.update(path)
        for region in changed:
            self.alp[region] = self._progress(self.points[region])

    def _path(self, position: np.ndarray) -> list[int]:
        """The regions that contain a position (free dimensions,), from the whole box to a leaf."""
        path = [0]
        while (lower := self.child[path[-1]]) >= 0:
            path.append(int(lower + (position >= self.lows[lower + 1]).all()))
        return path

    def _progress(self, points: np.ndarray) -> float:
        """ALP: the gap between the mean returns of the older and the newer half of the latest N."""
        returns = points[-self.region_size :, -1]
        if len(points) <= 2:
            return 0.0
        # Shifted, so that equal returns give exactly 0; as quarters, so that none overflows.
        quarters = returns / 4 - returns[0] / 4
        middle = (len(quarters) + 1) // 2
        halves = quarters[:middle], quarters[middle:]
        means = [float((half / len(half)).sum()) for half in halves]
        return min(4 * abs(means[0] - means[1]), LARGEST)

    def _split(self, leaf: int) -> None:
        """Cut a full leaf in two where the progress of both sides differs most."""
        points, cuts = self.points[leaf], self._cuts(leaf)
        if not cuts:
            self.points[leaf] = points[int(self.region_size * DISCARD) :]
            self.capacity[leaf] = self.capacity[leaf] if self.keep_capacity else UNLIMITED
            return
        axis, cut, below = max(cuts, key=lambda each: self._score(points, each[2]))
        halves = points[below], points[~below]
        lows, highs = np.tile(self.lows[leaf], (2, 1)), np.tile(self.highs[leaf], (2, 1))
        highs[0, axis] = lows[1, axis] = cut
        self.child[leaf] = len(self.alp)
        self.lows, self.highs = np.vstack([self.lows, lows]), np.vstack([self.highs, highs])
        self.alp = np.append(self.alp, [self._progress(half) for half in halves])
        self.child, self.points = np.append(self.child, [-1, -1]), [*self.points, *halves]
        self.capacity += [self.region_size + 1] * 2

    def _score(self, points: np.ndarray, below: np.ndarray) -> float:
        """How good a cut is: (size₁ · size₂) · |ALP₁ − ALP₂|, sizes as shares, or the latter."""
        gap = abs(self._progress(points[below]) - self._progress(points[~below]))
        return gap * below.mean() * (~below).mean() if self.split_score == "balanced" else gap

    def _cuts(self, leaf: int) -> list[tuple[int, float, np.ndarray]]:
        """Those of K random cuts that keep the least width: axis, threshold, what is below (n,)."""
        low, high, positions = self.lows[leaf], self.highs[leaf], self.points[leaf][:, :-1]
        axis, cut = np.zeros(self.split_attempts, int), np.zeros(self.split_attempts)
        poor = np.ones(self.split_attempts, bool)
        for _ in range(1 + MAX_REDRAWS):
            axis[poor] = self.rng.integers(len(low), size=poor.sum())
            cut[poor] = self.rng.uniform(low[axis[poor]], high[axis[poor]])
            below = positions[:, axis] < cut
            # Redraw until both sides are populated.
            poor = np.minimum(below.sum(axis=0), (~below).sum(axis=0)) < LEAST * self.region_size
            if not poor.any():
                break
        wide = np.minimum(cut - low[axis], high[axis] - cut) >= self.least_width
        return [(axis[k], cut[k], below[:, k]) for k in np.flatnonzero(wide & ~poor)]


def _check(counts: tuple, shares: tuple) -> None:
    uniform, mutated, width, noise = shares
    total = uniform + mutated
    rules = {
        f"region_size >= 2, split_attempts >= 1, not {counts}": counts[0] > 1 and counts[1] > 0,
        f"chances uniform_share + mutation_share, not {shares[:2]}": 0 <= uniform <= total <= 1,
        f"least_width in [0, 1], mutation_noise >= 0, not {shares[2:]}": 0 <= width <= 1
        and 0 <= noise < np.inf,
    }
    for rule, holds in rules.items():
        if not holds:
            raise ValueError(f"RIAC needs {rule}")

"""ADR: widen the range of tasks where the student does well at its edge, narrow it where it fails.

OpenAI et al., "Solving Rubik's Cube with a Robot Hand", 2019, https://arxiv.org/abs/1910.07113
(automatic domain randomization). The defaults are those tuned in TeachMyAgent (Romac et al., 2021,
https://arxiv.org/abs/2103.09815).

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Without a told initial distribution the start is the easiest task, as the paper starts with the
  nominal world; the release draws it at random.
- The step is a share of each dimension's range; the release steps by 0.1 raw units everywhere.
- An outcome counts for the bound its task was drawn at, while that bound stands there. The release
  compares numbers, so that a task may also count by chance. In both, every outcome counts for all
  bounds while the range is a single task.
- A side at its limit is not tested, so it stays; in the release it gets half of the tests.
- The random stream runs on; the release restarts the stream of tasks whenever a bound moves.
- Without knowledge the success rate is judged; the release always judges raw returns.
- In both presets, dimensions of width zero are left out.
Kept, because it is the method: a start task that the student fails moves nothing and is proposed
for the whole run, the fate of most random starts where random tasks are too hard. Nor does the
range pass a band of impossible tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box, easiest_task
from teachers.presets import choose

BEHAVIOURS = {  # corrected, parity
    "start": ("easiest", "random"),
    "step_unit": ("range", "raw"),
    "hits": ("tagged", "equal"),
    "skip_dead_sides": (True, False),
    "restart_stream": (False, True),
}
TUNED, SHARES = (0.0, 180.0), (0.3, 0.66)  # raw, and as shares of their range (-150, 350)
OPEN = 10_000  # how many of the latest proposals may still be answered
NO_BOUND, EVERY_BOUND = -1, -2


class ADR(Teacher):
    """Uniform tasks from a box that grows and shrinks, often with one coordinate at a bound.

    The box starts as one task: the mean of ``knowledge.initial`` if told, else what ``start`` says.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: ``initial`` gives the start, ``return_range`` the default thresholds.
        preset: "corrected" or "parity"; decides every argument that is None.
        boundary_share: chance of a task at a bound, in [0, 1] (tuned 0.7).
        step: how far a bound moves, > 0 (tuned 0.1).
        queue_length: outcomes at a bound per decision, >= 1 (tuned 10).
        thresholds: (low, high) raw returns: a mean of the queue up to low narrows the range, from
            high on it widens it. None: 0 and 180 in parity; else 0.3 and 0.66 of the told
            ``return_range``, as those are in theirs, or of the share of successes if none is told.
        start: "easiest", the default task or else the corner of lower bounds, or "random", uniform.
        step_unit: "range" or "raw": the unit of ``step``.
        hits: "tagged" or "equal": how outcomes are matched with bounds.
        skip_dead_sides: test only sides that can still widen.
        restart_stream: begin the stream of tasks anew whenever a bound moves.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "OpenAI et al. 2019, https://arxiv.org/abs/1910.07113"
    spaces = ("box",)
    memory = ("bounds", "queues", "filled", "open", "proposed", "seed", "drawn")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        boundary_share: float = 0.7,
        step: float = 0.1,
        queue_length: int = 10,
        thresholds: Sequence[float] | None = None,
        start: str | None = None,
        step_unit: str | None = None,
        hits: str | None = None,
        skip_dead_sides: bool | None = None,
        restart_stream: bool | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        told = self.knowledge.return_range
        self.judges_success = thresholds is None and preset != "parity" and told is None
        if thresholds is None:
            low, high = (0.0, 1.0) if told is None else told
            placed = tuple(low + share * (high - low) for share in SHARES)
            thresholds = TUNED if preset == "parity" else placed
        self.thresholds = tuple(thresholds)
        behaviour = start, step_unit, hits, skip_dead_sides, restart_stream
        vars(self).update(choose("ADR", preset, BEHAVIOURS, behaviour))
        _check(boundary_share, step, queue_length, self.thresholds)
        self.boundary_share, self.step = boundary_share, step
        box = bounded_box(task_space, "ADR")
        self.low, self.high = box.low, box.high
        self.free = np.flatnonzero(self.high > self.low)
        raw, size = self.step_unit == "raw", len(self.free)
        self.origin = np.zeros(size) if raw else self.low[self.free]
        self.unit = np.ones(size) if raw else (self.high - self.low)[self.free]
        self.limits = (np.stack([self.low, self.high])[:, self.free] - self.origin) / self.unit
        first = self.rng.uniform(self.low, self.high)
        if self.start == "easiest" or self.knowledge.initial is not None:
            first = easiest_task(task_space, self.knowledge)
        first = (first[self.free] - self.origin) / self.unit
        self.bounds = np.stack([first, first])  # a and b, the low and the high side (2, size)
        self.queues, self.filled = np.zeros((2, size, queue_length)), np.zeros((2, size), int)
        self.open = np.full((OPEN, 2), -1)  # number of the proposal, bound it was drawn at
        self.proposed, self.seed, self.drawn = 0, seed, 0  # drawn since the last move

    @property
    def range(self) -> np.ndarray:
        """The lowest and the highest task in use (2, D)."""
        return self._tasks(self.bounds)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        size, numbers, stream = len(self.free), self.proposed + np.arange(count), self.rng
        if self.restart_stream:  # every number drawn takes one step of the bit generator
            stream = np.random.Generator(np.random.PCG64(self.seed).advance(self.drawn * size))
        positions = stream.uniform(*self.bounds, size=(count, size))  # c ~ U(Π [a_j, b_j])
        drawn_at = np.full(count, NO_BOUND)
        if size:
            # With probability p_b a coordinate is put at a_j or b_j, unless both are at the limit.
            side, dimension = self.rng.integers(2, size=count), self.rng.integers(size, size=count)
            can_widen = self.bounds != self.limits
            if self.skip_dead_sides:
                side = np.where(can_widen[side, dimension], side, 1 - side)
            at_bound = self.rng.random(count) < self.boundary_share
            rows = np.flatnonzero(at_bound & can_widen.any(axis=0)[dimension])
            positions[rows, dimension[rows]] = self.bounds[side, dimension][rows]
            drawn_at[rows] = (side * size + dimension)[rows]
        if (self.bounds[0] == self.bounds[1]).all():
            drawn_at[:] = EVERY_BOUND
        self.open[numbers % OPEN] = np.column_stack([numbers, drawn_at])
        self.proposed, self.drawn = self.proposed + count, self.drawn + count
        return Proposal(self._tasks(positions))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        values = outcomes.success if self.judges_success else outcomes.score
        for number, task, value in zip(outcomes.proposal, outcomes.tasks, values, strict=True):
            hit = self._hits(number, task)
            self.queues[hit, self.filled[hit]] = value
            self.filled[hit] += 1
            for side, dimension in np.argwhere(self.filled == self.queues.shape[-1]):
                self._decide(side, dimension)

    def _hits(self, number: int, task: np.ndarray) -> np.ndarray:
        """The bounds (2, size) whose queues an outcome belongs to."""
        if self.hits == "equal":
            return self.range[:, self.free] == task[self.free]
        known, drawn_at = self.open[number % OPEN]
        index = np.arange(self.bounds.size).reshape(self.bounds.shape)
        chosen = (known == number) & ((index == drawn_at) | (drawn_at == EVERY_BOUND))
        # A bound that has moved since then says nothing about where it stands now.
        gap = np.abs((task[self.free] - self.origin) / self.unit - self.bounds)
        return chosen & (gap < self.step / 1000)

    def _decide(self, side: int, dimension: int) -> None:
        """Empty the full queue of a bound; move the bound if the mean passes a threshold."""
        bound, (low, high) = self.bounds[side, dimension], self.thresholds
        with np.errstate(all="ignore"):  # returns near the limits of float64
            mean = self.queues[side, dimension].mean()
        self.filled[side, dimension] = 0
        if low < mean < high:
            return
        # Out: a_j ← max(a_j − Δ, l_j), b_j ← min(b_j + Δ, u_j). In: at most to the opposite bound.
        goal = self.limits[side, dimension] if mean >= high else self.bounds[1 - side, dimension]
        # The tolerance keeps rounding from adding a last move of width zero.
        arrives = abs(goal - bound) <= self.step * (1 + 1e-6)
        if goal != bound:
            moved = goal if arrives else bound + np.copysign(self.step, goal - bound)
            self.bounds[side, dimension], self.drawn = moved, 0

    def _tasks(self, positions: np.ndarray) -> np.ndarray:
        """Tasks (n, D) at positions (n, size)."""
        tasks = np.tile(self.low, (len(positions), 1))
        tasks[:, self.free] = positions * self.unit + self.origin
        return np.clip(tasks, self.low, self.high)


def _check(share: float, step: float, length: int, thresholds: tuple) -> None:
    rules = {
        f"boundary_share to lie in [0, 1], not {share}": 0 <= share <= 1,
        f"step > 0, queue_length >= 1, not {step}, {length}": 0 < step < np.inf and length >= 1,
        f"thresholds to be two numbers, low < high, not {thresholds}": len(thresholds) == 2
        and -np.inf < thresholds[0] < thresholds[1] < np.inf,
    }
    for rule, holds in rules.items():
        if not holds:
            raise ValueError(f"ADR needs {rule}")

"""GRADIENT: a few stages on the straight way from easy tasks to the target distribution.

Huang, Xu, Zhu, Shi, Fang & Zhao, "Curriculum reinforcement learning using optimal transport via
gradual domain adaptation", 2022, https://arxiv.org/abs/2210.10195. The defaults are those of its
maze: 5 stages in the paper, 100 support points, at most a tenth of the budget per stage.

Departures from the paper, and from its release:
- Both distributions are samples of equal size, matched in pairs with the least squared distances.
  Points at equal shares of the ways between the pairs are then exact Wasserstein barycentres; the
  release finds approximate ones by iterating.
- Distances are Euclidean in the unit box. The learned metric, an embedding trained on a model of
  the return with extra exploration, is not built.
- A stage is judged by ``update_every`` of its own training episodes, the release asks for 8 extra
  ones. Without a told threshold or return range, success is judged, not the return; the maze's
  threshold of 0.5 is for returns from -1 to 1.
- Untold, it starts at the easiest task, the default one or the corner of lower bounds, with a
  deviation of 0.1 of each range, and ends with the uniform distribution over the box.
- Dimensions of width zero are left out.
Kept, because it is the method: what is trained on are the support points themselves, so that 100
tasks are all there is in a stage; and a stage that is never mastered is left when its time is over.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import easiest_task
from teachers.particles import assign, drawn
from teachers.threshold import ReturnThreshold
from teachers.unit_box import SUB_REGION, UnitBox


class GRADIENT(Teacher):
    """Tasks from a set of points that moves from the start to the target in ``stages`` equal steps.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws the points of both distributions, and tasks.
        knowledge: ``initial`` and ``target`` are the two distributions, if told; ``return_range``
            gives the default threshold.
        threshold: mean return from which on the next stage begins (maze 0.5). None: 0.66 of the
            told ``return_range``; without one, half of the episodes must succeed.
        stages: K steps from the start to the target, >= 1.
        particles: points per distribution, >= 1.
        update_every: episodes of a stage per decision, >= 1.
        stage_share: largest share of the budget per stage before the last, > 0.

    Attributes: ``stage`` counts from 0, the start, to K, the target; ``particles`` (n, D) are the
    points of the present stage in task units.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Huang et al. 2022, https://arxiv.org/abs/2210.10195"
    spaces = ("box",)
    memory = ("start", "goals", "stage", "waiting", "proposed", "since", "progress", "began")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        threshold: float | None = None,
        stages: int = 5,
        particles: int = 100,
        update_every: int = 50,
        stage_share: float = 0.1,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        counts = {"stages": stages, "particles": particles, "update_every": update_every}
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"GRADIENT needs {name} >= 1, not {value}")
        if not stage_share > 0:
            raise ValueError(f"GRADIENT needs stage_share > 0, not {stage_share}")
        self.threshold = ReturnThreshold(threshold, self.knowledge, "GRADIENT")
        self.box, self.stages = UnitBox(task_space, "GRADIENT"), stages
        self.update_every, self.stage_share = update_every, stage_share
        size, target = self.box.size, self.knowledge.target
        easy = self.box.positions(easiest_task(task_space, self.knowledge)[None])[0]
        start = easy, np.full(size, SUB_REGION)
        if self.knowledge.initial is not None:
            start = self.box.gaussian(self.knowledge.initial)
        end = None if target is None else self.box.gaussian(target)
        self.start = drawn(start, particles, size, self.rng)
        goals = drawn(end, particles, size, self.rng)
        self.goals = goals[assign(self.start, goals)] if size else goals
        self.stage, self.waiting = 0, np.empty(0)  # performance of the present stage's episodes
        self.proposed, self.since = 0, 0  # tasks ever, and before the present stage
        self.progress, self.began = 0.0, 0.0  # the latest progress, and that when the stage began

    @property
    def positions(self) -> np.ndarray:
        """The points (n, size) of the present stage in the unit box."""
        # Stage i goes α_i = 1 / (K - i + 1) of the way that is left, an equal share of the whole.
        share = self.stage / self.stages
        return (1 - share) * self.start + share * self.goals

    @property
    def particles(self) -> np.ndarray:
        """The points (n, D) of the present stage in task units."""
        return self.box.tasks(self.positions)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D) of the present stage; its time may be over."""
        self.progress = progress
        if progress - self.began >= self.stage_share:
            self._advance()
        self.proposed += count
        chosen = self.rng.integers(len(self.start), size=count)
        return Proposal(self.box.tasks(self.positions[chosen]))

    def observe(self, outcomes: Outcomes) -> None:
        """Judge the present stage by its own episodes, in the order in which they arrive."""
        performance = self.threshold.performance(outcomes)
        for number, value in zip(outcomes.proposal, performance, strict=True):
            if number < self.since:  # of an earlier stage
                continue
            self.waiting = np.append(self.waiting, value)
            if len(self.waiting) == self.update_every:
                # Scaled, so that no sum overflows.
                enough = (self.waiting / self.update_every).sum() >= self.threshold.value
                self.waiting = self.waiting[:0]
                if enough:
                    self._advance()

    def _advance(self) -> None:
        """Begin the next stage, unless this is the last one."""
        if self.stage < self.stages:
            self.stage, self.began, self.since = self.stage + 1, self.progress, self.proposed
            self.waiting = self.waiting[:0]

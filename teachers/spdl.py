"""SPDL: a Gaussian over tasks that starts where the student does well and turns into the target.

Klink, D'Eramo, Peters & Pajarinen, "Self-Paced Deep Reinforcement Learning", 2020,
https://arxiv.org/abs/2004.11812. The defaults are those tuned in TeachMyAgent (Romac et al., 2021,
https://arxiv.org/abs/2103.09815), whose release has the version before the camera-ready one.

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Without a told initial distribution the start lies at the easiest task, as the paper's is chosen
  to be easy; the release draws it at random.
- Episode returns stand for the student's values and need no privilege; ``SPDLValue`` asks the value
  function, as the release does.
- A step must stay in the trust region and improve; the release asks for one of both.
- A density ratio is that of the unclipped draw; the release takes the clipped task.
- The mean value is subtracted, which changes no expectation; without it, equal negative returns
  push the distribution away from all that was tried.
- Updates are due in shares of the budget, those that the release's steps are of 20 million, and
  wait for 20 outcomes; the release counts steps and takes any number.
- In both presets: the natural gradient is exact, not found by 10 conjugate gradients; performance
  is the mean of the values in use, not of discounted returns; tasks drawn before the last update
  count as if drawn after it; the value function normalises observations as the student does; the
  factor of the covariance keeps a diagonal of 1e-6; dimensions of width zero are left out.
The authors' later version, a constrained optimisation, is not built.
Kept, because it is the method: the target attracts in proportion to returns, in their own unit and
from their own zero. While their mean is not above 0 nothing leads to the target, and while they are
all equal nothing moves: a start where the student never scores lasts for the whole run.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.gaussian import Gaussian, ascend, diagonal, kl
from teachers.presets import choose, require
from teachers.unit_box import UnitBox

BEHAVIOURS = {  # corrected, parity
    "start": ("easiest", "random"),
    "accept": ("both", "either"),
    "ratio_at": ("draw", "clipped"),
    "baseline": (True, False),
    "clock": ("budget", "steps"),
}
SCHEDULES = {"budget": (0.01, 0.0025), "steps": (200_000, 50_000)}  # first update, and between two
LEAST_OUTCOMES = {"corrected": 20, "parity": 1}
OPEN = 10_000  # how many of the latest proposals may still be answered
POOL, MAX_ALPHA = 1000, 1e5  # outcomes per update, and the release's bound


class SPDL(Teacher):
    """Tasks from one Gaussian, moved by natural-gradient steps on return and target.

    An update maximises the mean of [p_new(c) / p_old(c)] · return - alpha · KL(p_new || target)
    with KL(p_old || p_new) <= epsilon, alpha being zeta · mean return / KL(p_old || target).

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, and the start if it is not told.
        knowledge: ``initial`` is the start, else ``start`` says where, with deviation 0.1;
            ``target`` is the target, else the middle of the box with deviation 0.25; both in shares
            of each range.
        preset: "corrected" or "parity"; decides every argument that is None.
        zeta: weight of the target, >= 0 (tuned 0.25).
        epsilon: largest KL divergence of a step in nats, >= 1e-9 (tuned 0.1).
        target_from: number of the first update with the target, counted from 1, >= 0 (tuned 10).
        start: "easiest", the default task or else the corner of lower bounds, or "random".
        accept: "both": a step must hold epsilon and improve; "either": 1.5 epsilon or improve.
        ratio_at: "draw" or "clipped": where densities are compared.
        baseline: subtract the mean value.
        clock: "budget" or "steps": the unit of the next two.
        first_update: when updates begin, >= 0 (0.01 of the budget, or 200,000 steps).
        update_every: time between updates, >= 1e-9 (0.0025 of the budget, or 50,000 steps).
        least_outcomes: outcomes that an update waits for, >= 1 (20, or 1 in parity).

    Attributes: ``distribution`` and ``target``, in the unit box of the dimensions with a width;
    ``updates``, how many there were.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Klink et al. 2020, https://arxiv.org/abs/2004.11812"
    spaces = ("box",)
    memory = ("mean", "factor", "open", "draws", "facts", "proposed", "steps", "updates", "due")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        zeta: float = 0.25,
        epsilon: float = 0.1,
        target_from: int = 10,
        start: str | None = None,
        accept: str | None = None,
        ratio_at: str | None = None,
        baseline: bool | None = None,
        clock: str | None = None,
        first_update: float | None = None,
        update_every: float | None = None,
        least_outcomes: int | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = start, accept, ratio_at, baseline, clock
        vars(self).update(choose("SPDL", preset, BEHAVIOURS, given))
        first, every = SCHEDULES[self.clock]
        self.first_update = first if first_update is None else first_update
        self.update_every = every if update_every is None else update_every
        self.least = LEAST_OUTCOMES[preset] if least_outcomes is None else least_outcomes
        self.zeta, self.epsilon, self.target_from = zeta, epsilon, target_from
        require("SPDL", 0, np.inf, zeta=zeta, target_from=target_from)
        require("SPDL", 0, np.inf, first_update=self.first_update)
        require("SPDL", 1e-9, np.inf, epsilon=epsilon, update_every=self.update_every)
        require("SPDL", 1, np.inf, least_outcomes=self.least)
        self.box = UnitBox(task_space, type(self).__name__)
        first = diagonal(*self.box.start(self.knowledge, self.rng, self.start))
        self.mean, self.factor = first.mean, first.factor
        self.target = diagonal(*self.box.target(self.knowledge))
        self.open = np.full((OPEN, 1 + self.box.size), -1.0)  # number of the proposal, its draw
        self.draws, self.facts = np.empty((0, self.box.size)), np.empty(0)  # since the last update
        self.proposed, self.steps, self.updates, self.due = 0, 0, 0, 0

    @property
    def distribution(self) -> Gaussian:
        """The Gaussian that tasks are drawn from, before they are clipped to the box."""
        return Gaussian(self.mean, self.factor)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D), after an update if one is due."""
        time = progress if self.clock == "budget" else self.steps
        period = (time - self.first_update) / self.update_every + 1e-9  # rounding must not delay
        if period >= self.due and len(self.draws) >= self.least and self.box.size:
            self._update()
            self.due = int(period) + 1
        draws = self.mean + self.rng.standard_normal((count, self.box.size)) @ self.factor.T
        numbers = self.proposed + np.arange(count)
        self.open[numbers % OPEN] = np.column_stack([numbers, draws])
        self.proposed += count
        return Proposal(self.box.tasks(draws))

    def observe(self, outcomes: Outcomes) -> None:
        """Keep outcomes for the next update, of the latest 10,000 proposals in any order."""
        self.steps += int(np.sum(outcomes.length))
        rows = self.open[np.asarray(outcomes.proposal) % OPEN]
        known = rows[:, 0] == outcomes.proposal
        draws = rows[known, 1:]
        draws = np.clip(draws, 0, 1) if self.ratio_at == "clipped" else draws
        facts = np.asarray(self._facts(outcomes))[known]
        self.draws = np.concatenate([self.draws, draws])[-POOL:]
        self.facts = np.concatenate([self.facts, facts])[-POOL:] if len(self.facts) else facts

    def _facts(self, outcomes: Outcomes) -> np.ndarray:
        """What the value (n, ...) of each outcome will be told from."""
        return outcomes.score

    def _values(self, facts: np.ndarray) -> np.ndarray:
        """Values (n,) of outcomes."""
        return facts

    def _update(self) -> None:
        """Move the distribution; without a step that is accepted it stays."""
        values, draws = np.asarray(self._values(self.facts), dtype=np.float64), self.draws
        self.draws, self.facts, self.updates = draws[:0], np.empty(0), self.updates + 1
        old, unit = self.distribution, np.abs(values).max()
        if not 0 < unit < np.inf:
            return
        # α = min(ζ · max(0, P) / KL(p_old || q), 1e5). All is divided by the largest value, so that
        # no sum overflows; neither the direction nor which steps improve changes.
        values, performance = values / unit, (values / unit).mean()
        attraction = self.zeta * max(0.0, performance) / max(kl(old, self.target), 1e-10)
        alpha = min(attraction, MAX_ALPHA / unit) if self.updates >= self.target_from else 0.0
        values = values - performance if self.baseline else values
        new = ascend(old, self.target, draws, values, alpha, self.epsilon, self.accept)
        self.mean, self.factor = new.mean, new.factor


class SPDLValue(SPDL):
    """SPDL with the student's value of the initial observation instead of the episode return.

    Where the task is not part of the observation the value function does not know it: the first
    observation of StumpTracks shows little of the first stump and nothing of the spacing.
    Arguments, attributes and errors are those of ``SPDL``.
    """

    signals = ("initial_observation",)
    privileges = ("value_function",)

    def _facts(self, outcomes: Outcomes) -> np.ndarray:
        return outcomes.initial_observation

    def _values(self, facts: np.ndarray) -> np.ndarray:
        if self.probe is None:
            raise ValueError("SPDLValue needs its probe before the first update, but has none")
        return self.probe.value(facts)

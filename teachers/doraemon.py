"""DORAEMON: the widest product of Beta distributions in which the student still succeeds enough.

Tiboni, Klink, Peters, Tommasi, D'Eramo & Chalvatzaki, "Domain randomization via entropy
maximization", 2024, https://arxiv.org/abs/2311.01885.

Departures from the paper, and from its release:
- The start is the easiest task, the default one or the corner of lower bounds, not the middle of
  the box: a task space starts easy, the dynamics of a robot start as estimated.
- An iteration is ``update_every`` outcomes, not 100,000 steps. Each counts with the density that
  its task was drawn with, so that late ones from before the last update are not lost.
- Entropy is maximised by SLSQP over the logarithms of all a and b, with the gradients in closed
  form and up to three sizes of search region; the release has trust-constr over bounded logits.
- The logarithm of a density ratio is clipped to -20 and 20, so that no step of the solver
  overflows; a step within the trust region is far from both.
- No a and b is below 1, so that no distribution has two modes, nor 10 above the largest at the
  start; without ``train_until`` the release allows 0.8.
- The lower confidence bound of the success rate is not built. A told target is not used: it is the
  uniform distribution over the box.
- Dimensions of width zero are left out.
Kept, because it is the method: independent dimensions with one mode each cannot follow a frontier
that is oblique, nor pass by an impossible region; a share of 1 - alpha of the tasks may fail; in
more than about six dimensions density ratios say little.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.betas import Betas, Evidence, concentration_of, kl, peaked, widened
from teachers.fixed import easiest_task
from teachers.threshold import ReturnThreshold
from teachers.unit_box import UnitBox

OPEN = 10_000  # how many of the latest proposals may still be answered
HEADROOM = 10.0  # of a and b above the largest at the start
NARROWEST = 10_000.0  # concentration of a start that is told to be a point


class DORAEMON(Teacher):
    """Tasks from a product of Betas that widens while the student succeeds often enough.

    Every ``update_every`` outcomes the entropy is maximised under two constraints: a KL divergence
    from the present distribution of at most ``epsilon``, and a success rate of at least ``alpha``,
    estimated by weighing the outcomes with density ratios. If the present rate is too low, the
    rate is maximised first, and nothing else happens unless that makes it high enough.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: ``initial``, if told, gives mode and deviation of the start; ``return_range`` the
            default threshold.
        threshold: return from which on an episode is a success. None: 0.66 of the told
            ``return_range``; without one, its success flag.
        alpha: success rate to keep, in (0, 1] (0.5).
        epsilon: largest KL divergence of an update in nats, > 0 (tuned per task, 0.001 to 0.1).
        update_every: outcomes per update, >= 1.
        concentration: a + b - 2 of each dimension at the start, unless it is told, > 0 (100).
        train_until: no update before ``alpha`` was reached once.

    Attributes: ``distribution``, in the unit box of the dimensions with a width; ``updates``, how
    often it was changed.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Tiboni et al. 2024, https://arxiv.org/abs/2311.01885"
    spaces = ("box",)
    memory = ("parameters", "open", "waiting", "proposed", "updates", "reached")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        threshold: float | None = None,
        alpha: float = 0.5,
        epsilon: float = 0.1,
        update_every: int = 100,
        concentration: float = 100.0,
        train_until: bool = True,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        rules = {
            f"alpha in (0, 1], not {alpha}": 0 < alpha <= 1,
            f"epsilon > 0, not {epsilon}": 0 < epsilon < np.inf,
            f"update_every >= 1, not {update_every}": update_every >= 1,
            f"concentration > 0, not {concentration}": 0 < concentration < np.inf,
        }
        for rule, holds in rules.items():
            if not holds:
                raise ValueError(f"DORAEMON needs {rule}")
        self.threshold = ReturnThreshold(threshold, self.knowledge, "DORAEMON")
        self.box = UnitBox(task_space, "DORAEMON")
        self.alpha, self.epsilon, self.update_every = alpha, epsilon, update_every
        mode = self.box.positions(easiest_task(task_space, self.knowledge)[None])[0]
        concentrations = np.full(self.box.size, float(concentration))
        if self.knowledge.initial is not None:
            pairs = zip(mode, self.box.gaussian(self.knowledge.initial)[1], strict=True)
            found = [concentration_of(where, std, NARROWEST) for where, std in pairs]
            concentrations = np.array(found)
        start = peaked(mode, concentrations)
        self.parameters = np.stack([start.a, start.b])  # (2, size)
        self.highest = self.parameters.max(initial=1.0) + HEADROOM
        self.open = np.full((OPEN, 2), -1.0)  # number of the proposal, its log density
        self.waiting = np.empty((0, self.box.size + 2))  # (position, log density, success)
        self.proposed, self.updates, self.reached = 0, 0, not train_until

    @property
    def distribution(self) -> Betas:
        """The distribution that tasks are drawn from."""
        return Betas(*self.parameters)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        distribution = self.distribution
        draws, numbers = distribution.sample(count, self.rng), self.proposed + np.arange(count)
        self.open[numbers % OPEN] = np.column_stack([numbers, distribution.log_density(draws)])
        self.proposed += count
        return Proposal(self.box.tasks(draws))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes of the latest 10,000 proposals, in the order of arrival."""
        opened = self.open[np.asarray(outcomes.proposal) % OPEN]
        success = self.threshold.performance(outcomes) >= self.threshold.value
        rows = np.column_stack([self.box.positions(outcomes.tasks), opened[:, 1], success])
        rows = rows[opened[:, 0] == outcomes.proposal]
        while len(rows) and self.box.size:
            missing = self.update_every - len(self.waiting)
            self.waiting = np.concatenate([self.waiting, rows[:missing]])
            rows = rows[missing:]
            if len(self.waiting) == self.update_every:
                self._update()
                self.waiting = self.waiting[:0]

    def _update(self) -> None:
        """Widen the distribution, or make it easier where the student fails too often."""
        old = self.distribution
        evidence = Evidence(self.waiting[:, :-2], self.waiting[:, -2], self.waiting[:, -1])
        enough = evidence.rate(old) >= self.alpha
        self.reached = bool(self.reached or enough)
        if not self.reached:
            return
        trust = {"old": old, "epsilon": self.epsilon, "highest": self.highest}
        new = old if enough else widened(evidence.rate, evidence.rate_gradient, old, **trust)
        if evidence.rate(new) >= self.alpha:
            trust |= {"evidence": evidence, "least": self.alpha}
            new = widened(Betas.entropy, Betas.entropy_gradient, new, **trust)
        if kl(old, new) > 0:
            self.parameters, self.updates = np.stack([new.a, new.b]), self.updates + 1

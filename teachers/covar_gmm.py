"""Covar-GMM: sample tasks where returns rise with time, found by a Gaussian mixture.

Moulin-Frier, Nguyen & Oudeyer, "Self-organization of early vocal development in infants and
machines: the role of intrinsic motivation", 2014, https://doi.org/10.3389/fpsyg.2013.01006 (IGMM),
with random tasks and the choice of the number of Gaussians as in Portelas et al., 2019,
https://arxiv.org/abs/1910.07224. The defaults are those tuned in TeachMyAgent (Romac et al., 2021,
https://arxiv.org/abs/2103.09815).

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Progress is that of returns, not of a model of the own body.
- Tasks, time and the returns of a window are mapped to [0, 1] before the fit; the release fits raw
  values, so that the returns alone place the starts of the fits.
- Mixtures have fewer parameters than half the window's outcomes; the release fits up to 209 of them
  to 150 outcomes in two dimensions. Two Gaussians are always tried.
- Every fit draws a fresh start; the release restarts all fits from one seed.
- In both presets, the bootstrap lasts until ``fit_every`` outcomes have arrived, however many were
  proposed, and dimensions of width zero are left out.
Kept, because it is the method: clipping puts tasks on the faces of the box; a Gaussian's weight has
no part in its choice, so that where nothing rises small clusters get as many tasks as large ones;
time starts anew with every window, so that progress between windows is not seen; noise makes
covariances positive by chance, so that an unlearnable noisy region attracts.
"""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box
from teachers.mixture import CRITERIA, best_mixture, parameters
from teachers.presets import choose

BEHAVIOURS = {  # corrected, parity
    "units": ("normalised", "raw"),
    "cap_components": (True, False),
    "restart_fits": (False, True),
}
LARGEST = np.finfo(np.float64).max


class CovarGMM(Teacher):
    """Tasks from the Gaussians in which time and return have a positive covariance.

    Every ``fit_every`` outcomes, mixtures over (task, time, return) of the latest ``fit_every``
    outcomes are fitted, and the one with the lowest criterion is kept.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks and starts of the fits.
        knowledge: its ``initial`` distribution, if told, replaces uniform tasks before the first
            fit.
        preset: "corrected" or "parity"; decides every argument that is None.
        fit_every: n, outcomes per fit and in its window, >= 2 (tuned 150).
        random_share: chance of a uniform task, in [0, 1] (tuned 0.1).
        max_components: mixtures have 2 to ``max_components`` - 1 Gaussians, >= 3 (tuned 15).
        criterion: "aic" as in the release, "aicc" or "bic".
        absolute: whether falling returns attract as well.
        units: "normalised" or "raw", in which mixtures are fitted.
        cap_components: leave out mixtures of n / 2 parameters or more, but not those of two
            Gaussians.
        restart_fits: begin every fit from the same seed.

    Attributes: ``means`` (k, D) in task units, ``covariances`` (k,) of time and return in return
    units, time being 1 per window; k is 0 before the first fit.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Moulin-Frier et al. 2014, https://doi.org/10.3389/fpsyg.2013.01006"
    spaces = ("box",)
    memory = ("window", "means", "covariances", "factors", "seed")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        fit_every: int = 150,
        random_share: float = 0.1,
        max_components: int = 15,
        criterion: str = "aic",
        absolute: bool = False,
        units: str | None = None,
        cap_components: bool | None = None,
        restart_fits: bool | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = units, cap_components, restart_fits
        vars(self).update(choose("Covar-GMM", preset, BEHAVIOURS, given))
        _check((fit_every, max_components), random_share, criterion)
        self.fit_every, self.random_share = fit_every, random_share
        self.criterion, self.absolute, self.seed = criterion, absolute, seed
        box = bounded_box(task_space, "Covar-GMM")
        self.low, self.high = box.low, box.high
        self.free = np.flatnonzero(self.high > self.low)
        raw, size = self.units == "raw", len(self.free)
        self.origin = np.zeros(size) if raw else self.low[self.free]
        self.unit = np.ones(size) if raw else (self.high - self.low)[self.free]
        self.counts = [
            k
            for k in range(2, max_components)
            if k == 2 or not self.cap_components or parameters(k, size + 2) < fit_every / 2
        ]
        self.window = np.empty((0, size + 2))  # (position, time, return) since the last fit
        self.means, self.covariances = np.empty((0, len(self.low))), np.empty(0)
        self.factors = np.empty((0, size, size))  # of the task covariances, in task units

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        tasks = self.rng.uniform(self.low, self.high, size=(count, len(self.low)))
        if len(self.means):
            guided = np.flatnonzero(self.rng.random(count) >= self.random_share)
            tasks[guided] = self._sample(len(guided))
        elif self.knowledge.initial is not None:
            tasks = self.rng.normal(*self.knowledge.initial, size=tasks.shape)
        return Proposal(np.clip(tasks, self.low, self.high))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        if not len(self.free):
            return
        positions = (np.asarray(outcomes.tasks)[:, self.free] - self.origin) / self.unit
        for position, score in zip(positions, outcomes.score, strict=True):
            time = len(self.window) / self.fit_every  # τ_i = (i mod n) / n
            self.window = np.vstack([self.window, [*position, time, score]])
            if len(self.window) == self.fit_every:
                self._fit()
                self.window = self.window[:0]

    def _fit(self) -> None:
        """Fit the mixture to the window; too few distinct points leave the previous one."""
        points, scale = self.window.copy(), 1.0
        if self.units == "normalised":
            quarters = points[:, -1] / 4 - points[:, -1].min() / 4  # so that no return overflows
            largest = float(quarters.max()) or 1.0
            points[:, -1], scale = quarters / largest, min(4 * largest, LARGEST)
        rng = np.random.default_rng(self.seed) if self.restart_fits else self.rng
        mixture = best_mixture(points, self.counts, self.criterion, rng)
        if mixture is None:
            return
        # Cov_k[τ, G]: the last two coordinates are time and return.
        self.covariances = mixture.covariances[:, -2, -1] * scale
        self.means = np.tile(self.low, (len(mixture.weights), 1))
        self.means[:, self.free] = self.origin + mixture.means[:, :-2] * self.unit
        block = mixture.covariances[:, :-2, :-2]
        self.factors = np.linalg.cholesky(block) * self.unit[:, None]

    def _sample(self, count: int) -> np.ndarray:
        """Tasks (count, D) from components chosen in proportion to v_k."""
        # v_k = max(0, Cov_k[τ, G]), scaled so that their sum stays finite; all zero means uniform.
        value = np.abs(self.covariances) if self.absolute else np.maximum(self.covariances, 0)
        value = value / value.max() if value.any() else np.ones(len(value))
        chosen = self.rng.choice(len(value), size=count, p=value / value.sum())
        noise = self.rng.standard_normal((count, len(self.free)))
        tasks = self.means[chosen]
        tasks[:, self.free] += np.einsum("nij,nj->ni", self.factors[chosen], noise)
        return tasks


def _check(counts: tuple, share: float, criterion: str) -> None:
    rules = {
        f"fit_every >= 2, max_components >= 3, not {counts}": counts[0] > 1 and counts[1] > 2,
        f"random_share to lie in [0, 1], not {share}": 0 <= share <= 1,
        f"criterion to be one of {CRITERIA}, not {criterion!r}": criterion in CRITERIA,
    }
    for rule, holds in rules.items():
        if not holds:
            raise ValueError(f"Covar-GMM needs {rule}")

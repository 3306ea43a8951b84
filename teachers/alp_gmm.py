"""ALP-GMM: sample tasks where the absolute learning progress is high, found by a Gaussian mixture.

Portelas, Colas, Hofmann & Oudeyer, "Teacher algorithms for curriculum learning of Deep RL in
continuously parameterized environments", 2019, https://arxiv.org/abs/1910.07224. The defaults are
those tuned in TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815).

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Distances and mixtures live in the unit box, and learning progress is divided by its maximum in
  the window of each fit, so that units of tasks and returns do not matter; the release takes raw
  values. The paper's own run is parity with ``fit_every=250, random_share=0.2, max_components=11``
  and returns mapped to [0, 1] by the known return range.
- Every fit draws a fresh start; the release restarts all fits from one seed.
- In both presets, among equally near earlier tasks the latest counts, in the release any of them;
  the bootstrap lasts until ``fit_every`` outcomes have arrived, however many were proposed;
  dimensions of width zero are left out of distances and mixtures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box
from teachers.mixture import CRITERIA, best_mixture
from teachers.neighbours import EarlierReturns
from teachers.presets import choose

BEHAVIOURS = {"units": ("normalised", "raw"), "restart_fits": (False, True)}  # corrected, parity


class ALPGMM(Teacher):
    """Tasks from the Gaussians in which returns change most.

    The absolute learning progress of an outcome is the difference between its return and that of
    the nearest earlier task. Every ``fit_every`` outcomes, mixtures over (task, progress) of the
    latest ``fit_every`` outcomes are fitted, and the one with the lowest criterion is kept.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks and starts of the fits.
        knowledge: its ``initial`` distribution, if told, replaces uniform tasks before the first
            fit.
        preset: "corrected" or "parity"; decides ``units`` and ``restart_fits`` if None.
        fit_every: outcomes per fit and in its window, >= 2 (paper 250, tuned 150).
        random_share: chance of a uniform task, in [0, 1] (paper 0.2, tuned 0.05).
        max_components: mixtures have 2 to ``max_components`` - 1 Gaussians, >= 3 (paper 11).
        criterion: "aic" as in the paper, "aicc" or "bic".
        units: "normalised" or "raw", in which distances and mixtures are computed.
        restart_fits: begin every fit from the same seed.
        history: how many of the latest outcomes may be neighbours, >= 1; None means all, as in the
            paper.

    Attributes: ``means`` (k, D), ``covariances`` (k, D, D) in task units, ``weights`` (k,),
    ``component_alp`` (k,) in return units; k is 0 before the first fit.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Portelas et al. 2019, https://arxiv.org/abs/1910.07224"
    spaces = ("box",)
    memory = ("window", "waiting", "means", "covariances", "weights", "component_alp", "factors")
    memory += ("seed",)

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        fit_every: int = 150,
        random_share: float = 0.05,
        max_components: int = 10,
        criterion: str = "aic",
        units: str | None = None,
        restart_fits: bool | None = None,
        history: int | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        _check(fit_every, random_share, max_components, criterion, history)
        vars(self).update(choose("ALP-GMM", preset, BEHAVIOURS, (units, restart_fits)))
        self.fit_every, self.random_share, self.seed = fit_every, random_share, seed
        self.counts, self.criterion = range(2, max_components), criterion
        box = bounded_box(task_space, "ALP-GMM")
        self.low, self.high = box.low, box.high
        self.free = np.flatnonzero(self.high > self.low)
        raw, width = self.units == "raw", len(self.free)
        self.origin = np.zeros(width) if raw else self.low[self.free]
        self.unit = np.ones(width) if raw else (self.high - self.low)[self.free]
        self.earlier = EarlierReturns(width, history)
        self.window = np.empty((0, width + 1))  # (position, learning progress)
        self.waiting = 0  # outcomes since the last fit
        size = len(self.low)
        self.means, self.covariances = np.empty((0, size)), np.empty((0, size, size))
        self.weights, self.component_alp = np.empty(0), np.empty(0)
        self.factors = np.empty((0, width, width))  # of the covariances, free dimensions only

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        tasks = self.rng.uniform(self.low, self.high, size=(count, len(self.low)))
        if len(self.means):
            guided = np.flatnonzero(self.rng.random(count) >= self.random_share)
            tasks[guided] = self._sample(len(guided))
        elif self.knowledge.initial is not None:
            mean, std = self.knowledge.initial
            tasks = self.rng.normal(mean, std, size=tasks.shape)
        return Proposal(np.clip(tasks, self.low, self.high))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        if not len(self.free):
            return
        points = (np.asarray(outcomes.tasks)[:, self.free] - self.origin) / self.unit
        returns = np.asarray(outcomes.score, dtype=np.float64)
        start = 0
        while start < len(points):
            # Stop where a fit is due, so that results do not depend on how outcomes are bundled.
            stop = start + self.fit_every - self.waiting
            chunk = points[start:stop]
            rows = np.column_stack(
                [chunk, self.earlier.learning_progress(chunk, returns[start:stop])]
            )
            self.window = np.concatenate([self.window, rows])[-self.fit_every :]
            self.waiting += len(chunk)
            start = stop
            if self.waiting == self.fit_every:
                self._fit()
                self.waiting = 0

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the earlier outcomes included."""
        return {**super().state_dict(), "earlier": self.earlier.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        self.earlier.load_state_dict(state["earlier"])

    def _fit(self) -> None:
        """Fit the mixture to the window; too few distinct points leave the previous one."""
        largest = self.window[:, -1].max()
        scale = largest if self.units == "normalised" and largest > 0 else 1.0
        points = np.column_stack([self.window[:, :-1], self.window[:, -1] / scale])
        rng = np.random.default_rng(self.seed) if self.restart_fits else self.rng
        mixture = best_mixture(points, self.counts, self.criterion, rng)
        if mixture is None:
            return
        k, block = len(mixture.weights), mixture.covariances[:, :-1, :-1]
        self.weights, self.component_alp = mixture.weights, mixture.means[:, -1] * scale
        self.means = np.tile(self.low, (k, 1))
        self.means[:, self.free] = self.origin + mixture.means[:, :-1] * self.unit
        self.covariances = np.zeros((k, len(self.low), len(self.low)))
        rows, columns = np.meshgrid(self.free, self.free, indexing="ij")
        self.covariances[:, rows, columns] = block * np.outer(self.unit, self.unit)
        self.factors = np.linalg.cholesky(block) * self.unit[:, None]

    def _sample(self, count: int) -> np.ndarray:
        """Tasks (count, D) from components chosen in proportion to their mean ALP."""
        k, largest = len(self.means), self.component_alp.max()
        alp = self.component_alp / largest if largest > 0 else np.ones(k)
        chosen = self.rng.choice(k, size=count, p=alp / alp.sum())
        noise = self.rng.standard_normal((count, len(self.free)))
        tasks = self.means[chosen]
        tasks[:, self.free] += np.einsum("nij,nj->ni", self.factors[chosen], noise)
        return tasks


def _check(
    fit_every: int,
    random_share: float,
    max_components: int,
    criterion: str,
    history: int | None,
) -> None:
    if fit_every < 2 or max_components < 3:
        raise ValueError(
            "fit_every must be at least 2 and max_components at least 3, "
            f"but they are {fit_every} and {max_components}"
        )
    if not 0 <= random_share <= 1:
        raise ValueError(f"random_share must be a chance in [0, 1], but is {random_share}")
    if criterion not in CRITERIA:
        raise ValueError(f"criterion must be one of {CRITERIA}, but is {criterion!r}")
    if history is not None and history < 1:
        raise ValueError(f"history must be None or at least 1 outcome, but is {history}")

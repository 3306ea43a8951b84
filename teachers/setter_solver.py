"""Setter-Solver: a flow proposes tasks of a wished feasibility, which a judge learns to tell.

Racanière, Lampinen, Santoro, Reichert, Firoiu & Lillicrap, "Automated curricula through
setter-solver interactions", 2019, https://arxiv.org/abs/1909.12892. The defaults are those tuned in
TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815).

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Validity learns from tasks that succeeded, not from all goals that the student happened to reach,
  and at the feasibility that they were proposed with. There is no loss of desired goals.
- Adam steps of 0.006, one per 50 outcomes; at the release's 0.0003 the setter hardly moves. The
  setter's networks are half as wide, which keeps states small. On hypercube-v2 the area was 0.30,
  with steps of 0.0003 alone 0.06 and in parity 0.12 (5 seeds each; uniform 0.01). Four steps of
  0.001 per update learned faster still, at four times the cost.
- The setter starts wide; in the release it starts on a thin curve through the box.
- Noise on tasks that succeeded is symmetric; the release's pushes all parameters up.
- Feasibility and coverage are judged on fresh tasks; the release takes those just played.
- The judge has three hidden layers; the release drops one.
- In both presets, unlike the release: success is delivered whoever the student is; without one,
  validity is left out; episodes are matched by the number of their proposal; one dimension is
  enough; dimensions of width zero are left out. Weights are first drawn uniform (judge) and normal
  (setter) instead of from a truncated normal; all is in single precision.
Kept, because it is the method: every wished feasibility is equally likely, so that about half of
the tasks are meant to fail; outcomes are forgotten after one update; and where all tasks succeed,
validity and coverage cancel, so that in eight dimensions it stayed with few, easy tasks (in 7 of 8
runs with the checker's pupil).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.flow import Flow
from teachers.nets import Trained, mlp
from teachers.presets import choose, require
from teachers.unit_box import UnitBox

BEHAVIOURS = {  # corrected, parity
    "start": ("wide", "thin"),
    "noise_side": ("both", "up"),
    "judged_tasks": ("fresh", "played"),
    "judge_layers": (3, 2),
}
TUNED = {"corrected": (32, 6e-3), "parity": (64, 3e-4)}  # width of the setter, learning rate
JUDGE_HIDDEN = 64
FEASIBILITY = (1e-8, 1 - 1e-7)  # of tasks; in single precision 1 itself has no logit
MARGIN = 1e-4  # of points from the faces, where the flow is inverted
OPEN = 10_000  # how many of the latest proposals may still be answered
AHEAD = 50  # tasks drawn at once


class SetterSolver(Teacher):
    """Tasks S(z, f) from noise z and a wished feasibility f, uniform in (0, 1).

    After every ``update_every`` outcomes a judge J learns the logit of their success, and the
    setter S lowers the sum of three losses: feasibility, (J(S(z, f)) - logit f)²; validity, minus
    the log-density of tasks that succeeded; coverage, the log-density of its own tasks.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, weights and noise.
        knowledge: not used.
        preset: "corrected" or "parity"; decides every argument that is None.
        update_every: outcomes per update, >= 1 (tuned 50).
        noise: width of the noise on tasks that succeeded, a share of each range, >= 0 (tuned 0.1).
        hidden: width of the setter's networks, >= 1 (32, or 64 in parity).
        gradient_steps: steps of both networks per update, >= 1 (1).
        learning_rate: of these steps, >= 0 (0.006, or 0.0003 in parity).
        start: "wide" or "thin", the tasks of an untrained setter.
        noise_side: "both", in [-noise / 2, noise / 2], or "up", in [0, noise].
        judged_tasks: "fresh" or "played", of feasibility and coverage.
        judge_layers: 3 or 2 hidden layers of the judge.

    Attributes: ``updates``, how many there were.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Racanière et al. 2019, https://arxiv.org/abs/1909.12892"
    spaces = ("box",)
    memory = ("open", "ahead", "played", "proposed", "updates")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        update_every: int = 50,
        noise: float = 0.1,
        hidden: int | None = None,
        gradient_steps: int = 1,
        learning_rate: float | None = None,
        start: str | None = None,
        noise_side: str | None = None,
        judged_tasks: str | None = None,
        judge_layers: int | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = start, noise_side, judged_tasks, judge_layers
        vars(self).update(choose("Setter-Solver", preset, BEHAVIOURS, given))
        hidden = TUNED[preset][0] if hidden is None else hidden
        rate = TUNED[preset][1] if learning_rate is None else learning_rate
        self.update_every, self.noise, self.gradient_steps = update_every, noise, gradient_steps
        require("Setter-Solver", 1, np.inf, update_every=update_every, hidden=hidden)
        require("Setter-Solver", 1, np.inf, gradient_steps=gradient_steps)
        require("Setter-Solver", 0, np.inf, noise=noise, learning_rate=rate)
        self.box = UnitBox(task_space, "Setter-Solver")
        size = self.box.size
        self.open = np.full((OPEN, 2), -1.0)  # number of the proposal, its feasibility
        self.ahead = np.empty((0, 1 + size))  # feasibility and position of tasks not yet proposed
        self.played = np.empty((0, 2 + size))  # success, feasibility, position since the update
        self.proposed, self.updates = 0, 0
        flow = Flow(max(size, 1), hidden, self.rng, wide=self.start == "wide").float()
        judge = mlp((max(size, 1), *[JUDGE_HIDDEN] * self.judge_layers, 1), nn.ReLU, self.rng)
        self.setter = Trained(flow, torch.optim.Adam, lr=rate, fused=True)
        self.judge = Trained(judge, torch.optim.Adam, lr=rate, fused=True)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored."""
        if not self.box.size:
            return Proposal(self.box.tasks(np.empty((count, 0))))
        while len(self.ahead) < count:
            noise, feasibility = self._draw(max(AHEAD, count))
            with torch.no_grad():
                points, _ = self.setter.network(noise, feasibility)
            drawn = torch.cat([feasibility, points], dim=1).double().numpy()
            self.ahead = np.concatenate([self.ahead, drawn])
        chosen, self.ahead = self.ahead[:count], self.ahead[count:]
        numbers = self.proposed + np.arange(count)
        self.open[numbers % OPEN] = np.column_stack([numbers, chosen[:, 0]])
        self.proposed += count
        return Proposal(self.box.tasks(chosen[:, 1:]))

    def observe(self, outcomes: Outcomes) -> None:
        """Learn from outcomes in the order in which they arrive."""
        numbers = np.asarray(outcomes.proposal)
        known, feasibility = self.open[numbers % OPEN].T
        rows = np.column_stack([outcomes.success, feasibility, self.box.positions(outcomes.tasks)])
        for row in rows[known == numbers]:
            self.played = np.concatenate([self.played, row[None]])
            if len(self.played) == self.update_every:
                self._update()
                self.played, self.ahead = self.played[:0], self.ahead[:0]

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the networks included."""
        networks = {"setter": self.setter.state_dict(), "judge": self.judge.state_dict()}
        return {**super().state_dict(), **networks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        self.setter.load_state_dict(state["setter"])
        self.judge.load_state_dict(state["judge"])

    def _draw(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (count, size) and feasibilities (count, 1)."""
        noise = self.rng.standard_normal((count, self.box.size))
        wished = self.rng.uniform(*FEASIBILITY, (count, 1))
        return torch.from_numpy(noise).float(), torch.from_numpy(wished).float()

    def _update(self) -> None:
        """Train judge and setter on the tasks played."""
        rows = torch.from_numpy(self.played).float()
        success, feasibility, points = rows[:, 0], rows[:, 1:2], rows[:, 2:]
        down, won = 0.5 if self.noise_side == "both" else 0, success > 0.5
        for _ in range(self.gradient_steps):
            logits = self.judge.network(points).squeeze(-1)
            self.judge.descend(functional.binary_cross_entropy_with_logits(logits, success))
            noise, wished = self._draw(len(points))
            if self.judged_tasks == "played":
                inside, wished = points.clamp(MARGIN, 1 - MARGIN), feasibility
                noise = self.setter.network.inverse(inside, wished)[0].detach()
            own, own_density = self.setter.network(noise, wished)
            judged = self.judge.network(own).squeeze(-1)
            # ξ: noise on what succeeded, so that its density stays finite.
            shift = self.rng.random(points.shape, np.float32) - down
            near = (points + self.noise * torch.from_numpy(shift)).clamp(MARGIN, 1 - MARGIN)
            _, density = self.setter.network.inverse(near[won], feasibility[won])
            self.setter.descend(setter_loss(judged, wished.squeeze(-1), density, own_density))
        self.updates += 1


def setter_loss(
    judged: torch.Tensor, wished: torch.Tensor, density: torch.Tensor, own_density: torch.Tensor
) -> torch.Tensor:
    """Feasibility + validity + coverage: the means of (J - logit f)², -log p(g) and log p(S).

    Args:
        judged: logits J (n,) of the setter's tasks.
        wished: their feasibilities f (n,).
        density: log-densities (m,) of tasks that succeeded; none leaves the term out.
        own_density: log-densities (n,) of the setter's tasks.
    """
    validity = -density.sum() / max(len(density), 1)
    return (judged - torch.logit(wished)).square().mean() + validity + own_density.mean()

"""Value disagreement sampling: an ensemble of critics proposes the tasks on which it disagrees.

Zhang, Abbeel & Pinto, "Automatic curriculum learning through value disagreement", 2020,
https://arxiv.org/abs/2006.09641. The ensemble of five and the way in which tasks are drawn between
two updates are those of Klink et al., "On the benefit of optimal transport for curriculum
reinforcement learning", 2023, https://arxiv.org/abs/2309.14091.

Departures from the paper, and from both releases:
- The critics are V(s, x) of the student's policy, learned from its own episodes. The releases learn
  Q and ask the student for the next action; a teacher sees what the student did, so that V needs no
  action. The memory also holds episodes of its earlier policies.
- The task x is an input of the critics, as the goal is in the paper, even if the student does not
  see it: where all episodes begin alike, as on a flat start pad, V(s) is one number for all tasks.
- The initial observation of a task cannot be had without playing it. In its place stands that of
  the nearest task in a fair sample of 1000 episodes. A mean would not do: where observations show
  the task, critics have never met a mean one beside another task.
- Rewards of ``n_step`` steps are summed before the critics take over, 10 instead of 1, because few
  updates must carry values from the end of a long episode to its start.
- Fewer and smaller updates: 100 in a run, of 20 batches of 64 for networks of two layers of 64. The
  releases take 240 to 800 batches every 4000 to 10,000 steps, or 40 batches of 256 after a few
  episodes, for three layers of 128 or 256. Klink et al. had ``hidden=(128, 128, 128), n_step=1,
  update_every=4096, batches=500, batch=400``.
- Of a long episode 100 random transitions are remembered, the first one always among them, because
  a bounded memory would else hold a handful of tasks.
- Observations and values are normalised by the memory's means and deviations, anew at each update;
  inputs are clipped to 5 deviations as in the original.
- No target network and no clipped targets, as in the release of Klink et al. An episode cut by a
  time limit is bootstrapped with the value of its last observation.
- Tasks are uniform until the first update, and where the critics agree perfectly.
Kept, because it is the method: later no task is drawn uniformly, and noise attracts, for critics
that have seen different samples of a noisy return never agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.spatial import cKDTree

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.critics import Ensemble, disagreement, n_step_transitions
from teachers.level_buffer import refuse_unless
from teachers.nets import Trained
from teachers.unit_box import UnitBox

STARTS = 1000  # initial observations
PER_EPISODE = 100  # transitions
CLIP = 5.0  # deviations
TINY = 1e-6  # a smaller deviation, as a share of the mean, is none


class VDS(Teacher):
    """Proposes uniform candidates in proportion to the disagreement of critics about them.

    The critics are trained on the student's transitions whenever an update is due, at most once
    per call of ``propose``; then new candidates are drawn. Between two updates the same candidates
    are proposed, with replacement.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, weights and batches.
        knowledge: not used.
        critics: how many, >= 2.
        hidden: sizes of their hidden layers, each >= 1; none makes them linear.
        updates: in a run, >= 1, at equal shares of the budget.
        update_every: environment steps per update, >= 1; None leaves it to ``updates``.
        batches: steps of the optimiser per update, >= 1.
        batch: transitions per batch and critic, >= 1.
        learning_rate: of Adam, > 0.
        discount: gamma in [0, 1]; nobody tells a teacher that of the student.
        n_step: rewards per transition, >= 1.
        memory_size: transitions that are remembered, >= 1.
        candidates: M tasks among which proposals are drawn, >= 1.

    Attributes: ``positions`` (M, size) in the unit box of the dimensions with a width, and
    ``disagreements`` (M,) in the unit of returns; empty before the first update.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Zhang et al. 2020, https://arxiv.org/abs/2006.09641"
    spaces = ("box",)
    signals = ("trajectory",)
    memory = ("replay", "stored", "starts", "seen", "waiting", "updated")
    memory += ("centre", "spread", "level", "scale", "positions", "disagreements")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        critics: int = 5,
        hidden: Sequence[int] = (64, 64),
        updates: int = 100,
        update_every: int | None = None,
        batches: int = 20,
        batch: int = 64,
        learning_rate: float = 1.5e-3,
        discount: float = 0.99,
        n_step: int = 10,
        memory_size: int = 20_000,
        candidates: int = 1000,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.box = UnitBox(task_space, "VDS")
        counts = {"updates": updates, "batches": batches, "batch": batch, "n_step": n_step}
        counts |= {"memory_size": memory_size, "candidates": candidates}
        counts["update_every"] = 1 if update_every is None else update_every
        _check(critics, hidden, learning_rate, discount, counts)
        self.count, self.hidden, self.learning_rate = critics, tuple(hidden), learning_rate
        self.updates, self.update_every = updates, update_every
        self.batches, self.batch, self.candidates = batches, batch, candidates
        self.discount, self.n_step, self.memory_size = discount, n_step, memory_size
        self.critics: Trained | None = None  # until the size of an observation is known
        # An input of a critic is an observation followed by the position of the task. A row of the
        # replay is an input, the one that follows, and the three numbers of n_step_transitions.
        self.replay, self.stored = np.empty((0, 0), dtype=np.float32), 0
        self.starts, self.seen = np.empty((0, 0), dtype=np.float32), 0  # inputs; episodes
        self.waiting, self.updated = 0, 0  # steps since the latest update, and its number
        self.centre, self.spread = np.empty(0), np.empty(0)  # by which inputs are normalised
        self.level, self.scale = 0.0, 1.0  # and values
        self.positions, self.disagreements = np.empty((0, self.box.size)), np.empty(0)

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` decides when an update is due."""
        if self.waiting and self._due(progress):
            self._update()
        if not len(self.positions):
            return Proposal(self.box.tasks(self.rng.random((count, self.box.size))))
        total = np.cumsum(self.disagreements)
        if not 0 < total[-1] < np.inf:
            total = np.arange(1.0, len(total) + 1)
        chosen = np.searchsorted(total, self.rng.random(count) * total[-1], side="right")
        return Proposal(self.box.tasks(self.positions[np.minimum(chosen, len(total) - 1)]))

    def observe(self, outcomes: Outcomes) -> None:
        """Remember transitions and initial observations, in order of arrival."""
        if not self.box.size:
            return
        positions = self.box.positions(outcomes.tasks)
        for position, trace in zip(positions, outcomes.trajectory, strict=True):
            self._remember(position, trace)

    def values(self, inputs: np.ndarray) -> np.ndarray:
        """Values (critics, m) of inputs (m, k), observations followed by positions of tasks."""
        inputs = torch.from_numpy(inputs.astype(np.float32)).expand(self.count, -1, -1)
        with torch.no_grad():
            answers = self._answer(inputs).numpy().astype(np.float64)
        return self.level + self.scale * answers

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the critics included."""
        critics = None if self.critics is None else self.critics.state_dict()
        return {**super().state_dict(), "critics": critics}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.critics = None
        if state["critics"] is not None:
            self._build(state["starts"].shape[1])
            self.critics.load_state_dict(state["critics"])
        super().load_state_dict(state)

    def _build(self, size: int) -> None:
        """Make room for inputs of ``size`` numbers, and critics that take them."""
        network = Ensemble((size, *self.hidden, 1), self.count, self.rng)
        self.critics = Trained(network, torch.optim.Adam, lr=self.learning_rate, fused=True)
        self.replay = np.zeros((self.memory_size, 2 * size + 3), dtype=np.float32)
        self.starts = np.zeros((STARTS, size), dtype=np.float32)
        # Positions keep these; those of observations are found at each update.
        self.centre, self.spread = np.full((2, size), 0.5, dtype=np.float32)

    def _remember(self, position: np.ndarray, trace: Mapping[str, Any]) -> None:
        """Keep one episode: "observations" (T + 1, ...), "rewards" (T,) and "terminated"."""
        rewards = np.asarray(trace["rewards"], dtype=np.float64)
        length = len(rewards)
        observations = np.asarray(trace["observations"]).reshape(length + 1, -1)
        size = observations.shape[1] + len(position)
        if self.critics is None:
            self._build(size)
        inputs = np.empty((length + 1, size))
        inputs[:, : -len(position)], inputs[:, -len(position) :] = observations, position
        # The first STARTS episodes, then each of all so far with the same chance.
        place = self.seen if self.seen < STARTS else int(self.rng.random() * (self.seen + 1))
        if place < STARTS:
            self.starts[place] = inputs[0]
        rows = np.arange(length)
        if length > PER_EPISODE:
            others = 1 + self.rng.choice(length - 1, PER_EPISODE - 1, replace=False)
            rows = np.append(0, others)
        end, *numbers = n_step_transitions(rewards, trace["terminated"], self.discount, self.n_step)
        place = (self.stored + np.arange(len(rows))) % self.memory_size
        self.replay[place, :size] = inputs[rows]
        self.replay[place, size:-3] = inputs[end[rows]]
        self.replay[place, -3:] = np.array(numbers).T[rows]
        self.stored, self.seen = self.stored + len(rows), self.seen + 1
        self.waiting += length

    def _due(self, progress: float) -> bool:
        """Whether it is time for an update."""
        if self.update_every is not None:
            return self.waiting >= self.update_every
        before, self.updated = self.updated, int(progress * self.updates)
        return self.updated > before

    def _update(self) -> None:
        """Train the critics and draw new candidates."""
        known, size = self.replay[: self.stored], self.starts.shape[1] - self.box.size
        figures = known[:, [*range(size), -1]]  # observations, and returns
        mean, std = figures.mean(0, np.float64), figures.std(0, np.float64)
        std[std <= TINY * np.abs(mean)] = 1.0
        self.level, self.scale = float(mean[-1]), float(std[-1])
        self.centre[:size], self.spread[:size] = mean[:-1], std[:-1]
        rows, shape = torch.from_numpy(known), (self.batches, self.count, self.batch)
        for index in torch.from_numpy(self.rng.integers(len(known), size=shape)):
            self.critics.descend(self._loss(rows[index]))
        self.positions = self.rng.random((self.candidates, self.box.size))
        starts = self.starts[: self.seen]
        _, nearest = cKDTree(starts[:, size:]).query(self.positions)
        inputs = np.column_stack([starts[nearest, :size], self.positions])
        self.disagreements, self.waiting = disagreement(self.values(inputs)), 0

    def _loss(self, rows: torch.Tensor) -> torch.Tensor:
        """Mean squared TD error of each critic, summed; rows (critics, batch, 2 k + 3)."""
        size = self.starts.shape[1]
        inputs, following, numbers = rows.split((size, size, 3), dim=-1)
        reward, factor, _ = numbers.unbind(-1)
        target = reward
        if factor.any():  # not where all episodes have one step
            with torch.no_grad():
                target = reward + factor * (self.level + self.scale * self._answer(following))
        error = self._answer(inputs) - (target - self.level) / self.scale
        return error.square().mean(dim=1).sum()

    def _answer(self, inputs: torch.Tensor) -> torch.Tensor:
        """Normalised values (critics, m) of inputs (critics, m, k)."""
        centre, spread = torch.from_numpy(self.centre), torch.from_numpy(self.spread)
        return self.critics.network(((inputs - centre) / spread).clamp(-CLIP, CLIP))


def _check(
    critics: int, hidden: Sequence[int], learning_rate: float, discount: float, counts: dict
) -> None:
    refuse_unless("critics", critics, critics >= 2, "be at least 2")
    refuse_unless("hidden", hidden, all(width >= 1 for width in hidden), "hold sizes >= 1")
    refuse_unless("learning_rate", learning_rate, 0 < learning_rate < np.inf, "be above 0")
    refuse_unless("discount", discount, 0 <= discount <= 1, "lie in [0, 1]")
    for name, value in counts.items():
        refuse_unless(name, value, value >= 1, "be at least 1")

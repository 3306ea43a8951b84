"""GoalGAN: a generative adversarial network proposes tasks that succeed sometimes.

Florensa, Held, Geng & Abbeel, "Automatic goal generation for reinforcement learning agents", 2018,
https://arxiv.org/abs/1705.06366. The variant is that of TeachMyAgent (Romac et al., 2021,
https://arxiv.org/abs/2103.09815), and so are the tuned defaults.

Departures from the paper, and from TeachMyAgent's release, which ``preset="parity"`` brings back:
- Intermediate difficulty is a success rate of 0.25 to 0.75 over two episodes, not of 0.1 to 0.9;
  the generator is trained for an answer of 1, not 0.
- Without a told initial distribution the easy region lies at the easiest task, where the paper
  starts with what an untrained student reaches; the release draws it at random.
- The generator's range is the box, in the release twice the box, so that tasks pile up on faces.
- The networks are half as wide, and the generator's last layer is set to the easy region, so that
  150 iterations of pretraining and 100 per training do; the release has 500 and 250. On
  hypercube-v2 the area was 0.24 +-0.05 (10 seeds), with the release's sizes and iterations
  0.28 +-0.03 (5 seeds) at five times the cost; uniform has 0.01, and parity, which starts at
  random, 0.00 in all of 5 seeds.
- Distances between mastered tasks are shares of each range; the release measures in raw units.
- In both presets, unlike the release: success is delivered whoever the student is, and matched by
  the number of the proposal; all tasks are clipped; batches are drawn at random, not in turn; at
  most 10,000 mastered tasks are kept; dimensions of width zero are left out.
Kept, because it is the method: labels of 0 alone teach nothing, so that neither a start where the
student never succeeds nor a student that forgets is ever left again; and of the tasks of
intermediate difficulty the generator covers a part at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.lsgan import LSGAN
from teachers.presets import choose, require
from teachers.unit_box import UnitBox

BEHAVIOURS = {  # corrected, parity
    "start": ("easiest", "random"),
    "placed": (True, False),
    "generator_range": ("box", "double"),
    "distance_unit": ("range", "raw"),
}
REACH = {"box": 0.5, "double": 1.0}
TUNED = {"corrected": (128, 100, 150), "parity": (256, 250, 500)}  # hidden, iterations, pretraining
OPEN = STORED = 10_000  # latest proposals, and generated tasks, to be answered; mastered tasks
REPLAY = -1


class GoalGAN(Teacher):
    """Tasks from a generator that is trained on those of intermediate difficulty.

    Every generated task is proposed ``rollouts`` times in a row; its label is 1 if its success rate
    lies within the bounds. ``update_size`` labels are trained on, unless all are 0.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks, weights, noise and batches.
        knowledge: ``initial`` is where pretraining puts the tasks; untold, ``start`` says.
        preset: "corrected" or "parity"; decides every argument that is None.
        noise: standard deviation added to each task, in shares of each range, >= 0 (tuned 0.1).
        update_size: labels per training, >= 1 (tuned 100).
        replay_share: chance of a mastered task, in [0, 1] (tuned 0.1).
        rollouts: episodes per label, >= 1 (tuned 2).
        lowest_rate: smallest success rate labelled 1 (tuned 0.25).
        highest_rate: largest one; tasks above it are mastered (tuned 0.75); both in [0, 1].
        least_distance: between mastered tasks, a share of the box's diagonal, >= 0 (tuned 0.01).
        hidden: width of the generator's layers, >= 1 (128, or 256 in parity); the discriminator's
            are half as wide.
        iterations: steps of both networks per training, >= 0 (100, or 250 in parity).
        pretrain_iterations: such steps before the first task, >= 0 (150, or 500 in parity).
        start: "easiest", around the default task or else all lows, or "random", around a uniform
            one; both with a deviation of 0.1 of each range.
        placed: set the untrained generator's mean and deviation to those of the start.
        generator_range: "box" or "double".
        distance_unit: "range" or "raw".

    Attributes: ``mastered`` (m, size) tasks in the unit box; ``trainings`` and ``skipped``, how
    often labels were trained on and thrown away.

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Florensa et al. 2018, https://arxiv.org/abs/1705.06366"
    spaces = ("box",)
    memory = ("open", "goals", "current", "labelled", "mastered")
    memory += ("proposed", "generated", "repeats", "trainings", "skipped")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        preset: str = "corrected",
        noise: float = 0.1,
        update_size: int = 100,
        replay_share: float = 0.1,
        rollouts: int = 2,
        lowest_rate: float = 0.25,
        highest_rate: float = 0.75,
        least_distance: float = 0.01,
        hidden: int | None = None,
        iterations: int | None = None,
        pretrain_iterations: int | None = None,
        start: str | None = None,
        placed: bool | None = None,
        generator_range: str | None = None,
        distance_unit: str | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        given = start, placed, generator_range, distance_unit
        vars(self).update(choose("GoalGAN", preset, BEHAVIOURS, given))
        asked = zip((hidden, iterations, pretrain_iterations), TUNED[preset], strict=True)
        hidden, iterations, pretrain_iterations = (b if a is None else a for a, b in asked)
        require("GoalGAN", 0, np.inf, noise=noise, least_distance=least_distance)
        require("GoalGAN", 0, np.inf, iterations=iterations)
        require("GoalGAN", 0, np.inf, pretrain_iterations=pretrain_iterations)
        require("GoalGAN", 1, np.inf, hidden=hidden, update_size=update_size, rollouts=rollouts)
        require("GoalGAN", 0, 1, replay_share=replay_share, lowest_rate=lowest_rate)
        require("GoalGAN", lowest_rate, 1, highest_rate=highest_rate)
        self.update_size, self.replay_share, self.rollouts = update_size, replay_share, rollouts
        self.iterations, self.pretrain_iterations = iterations, pretrain_iterations
        self.noise, self.lowest_rate, self.highest_rate = noise, lowest_rate, highest_rate
        self.box = UnitBox(task_space, "GoalGAN")
        size = self.box.size
        self.metric = self.box.unit if self.distance_unit == "raw" else np.ones(size)
        self.least_distance = least_distance * np.linalg.norm(self.metric)
        self.gan = LSGAN(max(size, 1), self.rng, hidden, REACH[self.generator_range])
        self.open = np.full((OPEN, 2), -1)  # number of the proposal, number of its generated task
        self.goals = np.full((OPEN, 3 + size), -1.0)  # number, episodes, successes, position
        self.current, self.repeats = np.zeros(size), 0  # the latest generated task, and how often
        self.labelled, self.mastered = np.empty((0, size + 1)), np.empty((0, size))
        self.proposed, self.generated, self.trainings, self.skipped = 0, 0, 0, 0

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D); ``progress`` is ignored. The first call pretrains."""
        if not self.box.size:
            return Proposal(self.box.tasks(np.empty((count, 0))))
        if not self.proposed:
            mean, std = self.box.start(self.knowledge, self.rng, self.start)
            self.gan.pretrain(mean, std, self.pretrain_iterations, self.placed)
        first, chosen = self.generated, np.full(count, REPLAY)
        for row in range(count):
            if self.repeats:
                self.repeats -= 1
            elif len(self.mastered) and self.rng.random() < self.replay_share:
                continue
            else:
                self.generated, self.repeats = self.generated + 1, self.rollouts - 1
            chosen[row] = self.generated
        fresh = self._noisy(self.gan.sample(self.generated - first))
        goals = np.arange(first + 1, self.generated + 1)
        self.goals[goals % OPEN] = np.column_stack([goals, 0 * goals, 0 * goals, fresh])
        known = np.vstack([self.current, fresh])  # the positions of numbers from ``first`` on
        self.current = known[-1]
        positions, replayed = known[np.maximum(chosen - first, 0)], chosen == REPLAY
        if replayed.any():
            old = self.rng.integers(len(self.mastered), size=replayed.sum())
            positions[replayed] = self._noisy(self.mastered[old])
        numbers = self.proposed + np.arange(count)
        self.open[numbers % OPEN] = np.column_stack([numbers, chosen])
        self.proposed += count
        return Proposal(self.box.tasks(positions))

    def observe(self, outcomes: Outcomes) -> None:
        """Label generated tasks whose episodes have all come back, in any order."""
        for number, success in zip(outcomes.proposal, outcomes.success, strict=True):
            known, chosen = self.open[number % OPEN]
            goal = self.goals[chosen % OPEN]
            if known != number or chosen == REPLAY or goal[0] != chosen:
                continue
            goal[1:3] += 1, success
            if goal[1] == self.rollouts:
                self._label(goal[3:].copy(), goal[2] / self.rollouts)

    def state_dict(self) -> dict[str, Any]:
        """Everything that exact continuation needs, the networks included."""
        return {**super().state_dict(), "gan": self.gan.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        super().load_state_dict(state)
        self.gan.load_state_dict(state["gan"])

    def _label(self, position: np.ndarray, rate: float) -> None:
        """Label one task, keep it if it is mastered, and train when there are enough labels."""
        label = self.lowest_rate <= rate <= self.highest_rate  # y = 1: intermediate difficulty
        self.labelled = np.vstack([self.labelled, [*position, label]])
        gaps = np.linalg.norm((self.mastered - position) * self.metric, axis=1)
        if rate > self.highest_rate and (gaps > self.least_distance).all():
            self.mastered = np.vstack([self.mastered, position])[-STORED:]
        if len(self.labelled) < self.update_size:
            return
        points, labels = self.labelled[:, :-1], self.labelled[:, -1]
        self.labelled = self.labelled[:0]
        if labels.any():
            self.gan.train(points, labels, self.iterations)
            self.trainings += 1
        else:
            self.skipped += 1

    def _noisy(self, positions: np.ndarray) -> np.ndarray:
        return np.clip(positions + self.rng.normal(0, self.noise, positions.shape), 0, 1)

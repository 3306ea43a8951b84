"""Held-out evaluation: never charged to the budget, never seen by a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.protocol import Protocol
from environments.base import SupervisedTask
from environments.vector import StepResult, VectorWorlds
from students.base import Student, SupervisedStudent

# Hears every step of ``play``: episode numbers (k,), observations, actions and what came of them.
Watch = Callable[[np.ndarray, np.ndarray, np.ndarray, StepResult], None]


@dataclass(frozen=True)
class Evaluation:
    """Results per held-out task (J,) in two halves; a half without episodes holds zeros.

    ``score`` is the mean episode return or minus the mean loss, ``success`` the share of successes
    or of correct answers.
    """

    score_a: np.ndarray
    score_b: np.ndarray
    success_a: np.ndarray
    success_b: np.ndarray
    count_a: np.ndarray
    count_b: np.ndarray


class WorldEvaluator:
    """Plays every held-out task with the deterministic student, all episodes as one batch.

    Evaluation ``k`` of a run uses terrain seeds drawn from (stream, k): the same for every teacher
    with the same run seed.
    """

    def __init__(self, protocol: Protocol, worlds: VectorWorlds, stream: int):
        self.protocol, self.worlds, self.stream = protocol, worlds, stream
        tasks, episodes = protocol.held_out, protocol.evaluation.episodes_per_task
        self.labels = task_labels(tasks)
        self.task_index = np.repeat(np.arange(len(tasks)), episodes)
        self.half = np.tile(np.arange(episodes) % 2, len(tasks))

    def evaluate(self, student: Student, k: int) -> Evaluation:
        """Return per-task results of evaluation number ``k``."""
        episodes = len(self.task_index)
        seeds = np.random.default_rng([self.stream, k]).integers(2**31, size=episodes)
        returns, success, _ = play(
            student, self.worlds, self.protocol.held_out[self.task_index], seeds
        )
        limit = self.protocol.score.success_return
        if limit is not None:
            success = (returns > limit).astype(float)
        return halves(returns, success, self.task_index, self.half, len(self.labels))


def task_labels(tasks: np.ndarray) -> list[str]:
    """What records call the held-out tasks (J, dimensions) of a procedural world."""
    return [" ".join(f"{value:.6g}" for value in task) for task in tasks]


def play(
    student: Student,
    worlds: VectorWorlds,
    tasks: np.ndarray,
    seeds: np.ndarray,
    explore: bool = False,
    watch: Watch | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """Play one episode per task (n, dimensions) and terrain seed (n,); nothing is learned.

    Episodes run side by side, as many as there are worlds, until the last one has ended. They are
    deterministic without ``explore``. Returns the episode returns (n,), the worlds' success flags
    (n,) and the number of environment steps; ``watch`` hears every step.
    """
    returns, success, steps = np.zeros(len(tasks)), np.zeros(len(tasks)), 0
    for start in range(0, len(tasks), worlds.num_envs):
        batch = np.arange(start, min(start + worlds.num_envs, len(tasks)))
        active = np.arange(len(batch))
        observations = worlds.reset(active, tasks[batch], seeds[batch])
        while active.size:
            actions = student.act(observations, explore=explore)
            result = worlds.step(actions, active)
            if watch is not None:
                watch(batch[active], observations, actions, result)
            steps += len(active)
            returns[batch[active]] += result.rewards
            success[batch[active]] = result.success
            running = ~(result.terminated | result.truncated)
            active, observations = active[running], result.observations[running]
    return returns, success, steps


class TestSetEvaluator:
    """Measures the clean, class-balanced test set; the classes are the held-out tasks."""

    __test__ = False  # its name is not a pytest class

    def __init__(self, task: SupervisedTask):
        self.inputs, self.targets = task.test
        self.labels = [f"class {label}" for label in range(task.num_classes)]
        # Every other example of a class goes to half B, so that both halves hold all classes.
        self.half = np.zeros(len(self.targets), dtype=int)
        for label in range(task.num_classes):
            members = np.flatnonzero(self.targets == label)
            self.half[members[1::2]] = 1

    def evaluate(self, student: SupervisedStudent, k: int) -> Evaluation:
        """Return per-class accuracy and minus the loss."""
        logits = student.predict(self.inputs)["logits"].astype(np.float64)
        correct = (logits.argmax(axis=1) == self.targets).astype(float)
        loss = cross_entropy(logits, self.targets)
        return halves(-loss, correct, self.targets, self.half, len(self.labels))


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Per-example cross-entropy (n,) in nats of logits (n, classes)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]


def halves(
    score: np.ndarray, success: np.ndarray, task: np.ndarray, half: np.ndarray, tasks: int
) -> Evaluation:
    """Average episodes per task within each half; all inputs have shape (episodes,)."""
    columns = {}
    for name, member in (("a", half == 0), ("b", half == 1)):
        count = np.bincount(task[member], minlength=tasks)
        for what, values in (("score", score), ("success", success)):
            sums = np.bincount(task[member], weights=values[member], minlength=tasks)
            columns[f"{what}_{name}"] = sums / np.maximum(count, 1)
        columns[f"count_{name}"] = count
    return Evaluation(**columns)

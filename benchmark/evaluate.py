"""Held-out evaluation: never charged to the budget, never seen by a teacher."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmark.protocol import Protocol
from environments.base import SupervisedTask
from environments.vector import StepResult, VectorWorlds
from students.base import Student, SupervisedStudent

MASTERY = 0.9  # a task of several examples is a success when this share of answers is right
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
    """Measures the clean test set; its levels, or else its classes, are the held-out tasks."""

    __test__ = False  # its name is not a pytest class

    def __init__(self, task: SupervisedTask):
        self.inputs, self.targets = task.test
        self.metric = METRICS[task.metric]
        self.level, self.labels = task.test_level, list(task.level_names)
        if self.level is None:
            self.level = self.targets
            self.labels = [f"class {label}" for label in range(task.num_classes)]
        # Every other example of a level goes to half B, so that both halves hold all levels.
        self.half = np.zeros(len(self.targets), dtype=int)
        for level in range(len(self.labels)):
            members = np.flatnonzero(self.level == level)
            self.half[members[1::2]] = 1

    def evaluate(self, student: SupervisedStudent, k: int) -> Evaluation:
        """Return per-level success, by the task's metric, and minus the loss."""
        logits = student.predict(self.inputs)["logits"].astype(np.float64)
        correct = self.metric(logits, self.targets)
        loss = cross_entropy(logits, self.targets)
        return halves(-loss, correct, self.level, self.half, len(self.labels))


def accuracy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 where the largest of the logits (n, classes) is the target's, else 0."""
    return (logits.argmax(axis=1) == targets).astype(float)


def reciprocal_rank(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """1 / the rank (n,) of the target among the logits (n, classes); ties share their mean rank."""
    own = np.take_along_axis(logits, targets[:, None], axis=1)
    return 1 / ((logits > own).sum(axis=1) + ((logits == own).sum(axis=1) + 1) / 2)


METRICS = {"accuracy": accuracy, "reciprocal rank": reciprocal_rank}


def examples(
    task: SupervisedTask,
    tasks: np.ndarray,
    seeds: np.ndarray | None,
    owner: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (m, *input_shape) and targets (m,): example i is one of the task ``owner[i]``.

    A seed says which examples of its task are meant, as a terrain seed does in a world: the same
    task and seed give the same examples. Without seeds they are drawn from ``rng``.
    """
    if seeds is None:
        return task.sample(tasks[owner], rng)
    parts = [
        task.sample(np.repeat(tasks[[row]], count, axis=0), np.random.default_rng(int(seeds[row])))
        for row, count in enumerate(np.bincount(owner, minlength=len(tasks)))
    ]
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def per_task(values: np.ndarray, owner: np.ndarray) -> np.ndarray:
    """The mean over each task's examples: (n, ...) of values (m, ...) and owners (m,), ascending.

    Where every task has one example, the values themselves.
    """
    if len(owner) == 0 or owner[-1] + 1 == len(owner):
        return values
    starts = np.flatnonzero(np.diff(owner, prepend=-1))
    counts = np.diff(starts, append=len(owner)).reshape(-1, *[1] * (values.ndim - 1))
    return np.add.reduceat(values, starts, axis=0) / counts


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

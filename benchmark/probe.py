"""What a teacher may ask of the student, and the bill for it.

Every question is answered without training the student and is spent from the run's own budget: a
teacher that asks a lot trains less.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np

from benchmark.errors import TeacherError
from benchmark.evaluate import MASTERY, cross_entropy, examples, per_task, play
from benchmark.ledger import Ledger
from benchmark.reference import ReferenceSchool
from environments.base import SupervisedTask
from environments.vector import VectorWorlds
from students.base import Student, SupervisedStudent

# To whom a probe is handed over: who declares one of these privileges.
ASKING = frozenset({"probe", "value_function", "validation_labels", "reference_model"})


class SupervisedProbe:
    """Questions about training examples, answered with the current student.

    Args of all methods: ``tasks`` item numbers of shape (n,), or vectors of parameters (n,
    dimensions), of which the task's number of examples is drawn anew and averaged. The answers use
    the training labels, noise included. Each example costs one forward pass; ``alignment`` costs
    two forward passes per example and a forward and a backward pass per reference example.
    """

    def __init__(
        self,
        task: SupervisedTask,
        student: SupervisedStudent,
        ledger: Ledger,
        privileges: tuple[str, ...],
        stream: int,
        school: ReferenceSchool | None = None,
    ):
        self._task, self._student, self._ledger, self._stream = task, student, ledger, stream
        self._privileges, self._school = privileges, school

    def loss(self, tasks: np.ndarray) -> np.ndarray:
        """Cross-entropy (n,) of each task under the current student."""
        return -self.rollout(tasks)["score"]

    def correct(self, tasks: np.ndarray) -> np.ndarray:
        """Share of answers of the current student that equal the training label, float (n,)."""
        inputs, targets, owner = self._examples(tasks)
        correct = self._forward(inputs)["logits"].argmax(axis=1) == targets
        return per_task(correct.astype(float), owner)

    def embedding(self, tasks: np.ndarray) -> np.ndarray:
        """Last hidden layer (n, width) of the current student."""
        inputs, _, owner = self._examples(tasks)
        return per_task(self._forward(inputs)["embedding"], owner)

    def evaluate(self, tasks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Scores (n,) as in ``Outcomes``, minus the loss, without training."""
        return self.rollout(tasks, seeds)["score"]

    def rollout(
        self, tasks: np.ndarray, seeds: np.ndarray | None = None, explore: bool = True
    ) -> dict[str, np.ndarray]:
        """Try the tasks, with seeds (n,) if given; nothing is learned or explored.

        Returns "score", "success" and "length" (n,), which mean what they mean in ``Outcomes``.
        """
        inputs, targets, owner = self._examples(tasks, seeds)
        logits = self._forward(inputs)["logits"].astype(np.float64)
        correct = per_task((logits.argmax(axis=1) == targets).astype(float), owner)
        success = (correct >= MASTERY) * 1.0 if self._task.examples > 1 else correct
        score = per_task(-cross_entropy(logits, targets), owner)
        return {"score": score, "success": success, "length": np.bincount(owner)}

    def alignment(
        self, tasks: np.ndarray, reference: np.ndarray | str, step: np.ndarray | None = None
    ) -> np.ndarray:
        """Inner product (n,) of each example's gradient with the mean gradient of ``reference``.

        ``reference`` holds tasks, or is "validation" for teachers with the privilege
        ``validation_labels``. With ``step`` (n,) its gradient is taken where the student would be
        after a step of gradient descent with these coefficients: a forward and a backward pass per
        example more.
        """
        if isinstance(reference, str):
            pair = self._validation(f"probe.alignment(reference={reference!r})", reference)
        else:
            pair = self._examples(reference)[:2]
        inputs, targets, owner = self._examples(tasks)
        self._ledger.forward += 2 * len(inputs) + len(pair[0])
        self._ledger.backward += len(pair[0])
        if step is None:
            return per_task(self._student.alignment(inputs, targets, pair), owner)
        self._ledger.forward += len(inputs)
        self._ledger.backward += len(inputs)
        # A task of several examples shares its coefficient among them.
        each = (np.asarray(step, dtype=np.float64) / np.bincount(owner))[owner]
        return per_task(self._student.alignment(inputs, targets, pair, each), owner)

    def reference_loss(
        self, tasks: np.ndarray, learn_from: np.ndarray | str, share: float
    ) -> np.ndarray:
        """Loss (n,) of each task under a fresh student trained for this question.

        The reference has the run's own kind of student and batch size and a seed of its own. It
        learns from the tasks ``learn_from`` (m, ...), in reshuffled passes, or from "validation"
        with the privilege ``validation_labels``, and is then thrown away: who asks keeps the
        answer. It is trained on ``share`` of the budget's presentations, in (0, 1], which are
        spent; each example of ``tasks`` costs a forward pass more.

        Raises:
            TeacherError: the privilege ``reference_model`` is not declared, a share out of range or
                more than is left of the budget, or nothing to learn from.
        """
        if "reference_model" not in self._privileges or self._school is None:
            raise TeacherError("probe.reference_loss() needs the privilege 'reference_model'")
        pair = None
        if isinstance(learn_from, str):
            call = f"probe.reference_loss(learn_from={learn_from!r})"
            pair = self._validation(call, learn_from)
        reference = self._school.train(None if pair else np.asarray(learn_from), pair, share)
        inputs, targets, owner = self._examples(tasks)
        self._ledger.forward += len(inputs)
        logits = reference.predict(inputs)["logits"].astype(np.float64)
        return per_task(cross_entropy(logits, targets), owner)

    def _validation(self, call: str, word: str) -> tuple[np.ndarray, np.ndarray]:
        """The validation set, for those who may see it and ask for it by its name."""
        if word != "validation" or "validation_labels" not in self._privileges:
            raise TeacherError(
                f"{call} needs the privilege 'validation_labels' and the word 'validation'"
            )
        return self._task.validation

    def _examples(
        self, tasks: np.ndarray, seeds: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Examples of the tasks and whose they are; every question has a stream of its own."""
        rng = np.random.default_rng([self._stream, self._ledger.questions])
        self._ledger.questions += 1
        owner = np.repeat(np.arange(len(tasks)), self._task.examples)
        return *examples(self._task, np.asarray(tasks), seeds, owner, rng), owner

    def _forward(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        self._ledger.forward += len(inputs)
        return self._student.predict(inputs)


class WorldProbe:
    """Questions about procedural tasks, answered with the current student.

    ``evaluate`` and ``rollout`` play episodes and cost their environment steps; ``value`` asks the
    student's value function and costs no environment step. Worlds and random streams are the
    probe's own: asking disturbs neither training nor held-out evaluation, and an answer depends
    only on the student, the tasks, the seeds and how many questions came before.

    ``success_return`` replaces the worlds' own success flag where the protocol pins one.
    """

    def __init__(
        self,
        student: Student,
        worlds: VectorWorlds,
        ledger: Ledger,
        stream: int,
        success_return: float | None = None,
    ):
        self._student, self._worlds, self._ledger = student, worlds, ledger
        self._stream, self._success_return = stream, success_return

    def value(self, observations: np.ndarray) -> np.ndarray:
        """The student's value (n,) of observations (n, *observation_shape), in return units."""
        return self._student.value(np.asarray(observations))

    def evaluate(self, tasks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Episode returns (n,) of the deterministic student on ``tasks`` (n, dimensions)."""
        tasks, seeds, _ = self._begin(tasks, seeds)
        returns, _, steps = play(self._student, self._worlds, tasks, seeds)
        self._ledger.steps += steps
        return returns

    def rollout(
        self, tasks: np.ndarray, seeds: np.ndarray | None = None, explore: bool = True
    ) -> dict[str, np.ndarray]:
        """Play one episode per task (n, dimensions) and terrain seed (n,); nothing is learned.

        With ``explore`` the student acts as in training, with noise of the probe's own stream (see
        ``understudy``). Returns "score", "success" and "length" (n,), which mean what they mean in
        ``Outcomes``, and "trajectory" (n,), dicts as in the signal of that name.
        """
        tasks, seeds, rng = self._begin(tasks, seeds)
        actor = understudy(self._student, rng) if explore else self._student
        steps: list[tuple] = []
        returns, success, count = play(
            actor, self._worlds, tasks, seeds, explore, lambda *step: steps.append(step)
        )
        self._ledger.steps += count
        if self._success_return is not None:
            success = (returns > self._success_return).astype(float)
        trajectory = _trajectories(len(tasks), steps)
        length = np.array([len(trace["rewards"]) for trace in trajectory])
        return {"score": returns, "success": success, "length": length, "trajectory": trajectory}

    def _begin(
        self, tasks: np.ndarray, seeds: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.random.Generator]:
        """Count one question; return its tasks, its seeds and the generator of its stream."""
        tasks = np.asarray(tasks, dtype=np.float64)
        rng = np.random.default_rng([self._stream, self._ledger.questions])
        if seeds is None:
            seeds = rng.integers(2**31, size=len(tasks))
        self._ledger.questions += 1
        return tasks, np.asarray(seeds), rng


def understudy(student: Student, rng: np.random.Generator) -> Student:
    """An actor that explores like the student and leaves it untouched, bit for bit.

    It is a shallow copy with generators of its own, seeded from ``rng``: what acting assigns stays
    in the copy, and no noise is taken from the student. That is enough where a student keeps its
    generators in plain attributes and acting changes nothing else in place; a student built in
    another way defines ``__copy__``. Acting must take any number of observations.
    """
    twin = copy.copy(student)
    for name, value in vars(student).items():
        if isinstance(value, np.random.Generator):
            setattr(twin, name, np.random.default_rng(rng.integers(2**63)))
        elif hasattr(value, "manual_seed"):  # torch's, without importing torch for its sake
            seeded = type(value)(device=value.device).manual_seed(int(rng.integers(2**63)))
            setattr(twin, name, seeded)
    return twin


def _trajectories(count: int, steps: list[tuple]) -> np.ndarray:
    """Sort steps of episodes played side by side into one dict per episode (count,)."""
    index = np.concatenate([np.empty(0, np.int64), *(rows for rows, *_ in steps)])
    order = np.argsort(index, kind="stable")
    cuts = np.cumsum(np.bincount(index, minlength=count))[:-1]

    def per_episode(columns: Iterable[np.ndarray]) -> list[np.ndarray]:
        return np.split(np.concatenate(list(columns))[order], cuts)

    traces = np.empty(count, dtype=object)
    if not count:
        return traces
    parts = zip(
        per_episode(seen for _, seen, _, _ in steps),
        per_episode(result.observations for *_, result in steps),
        per_episode(actions for _, _, actions, _ in steps),
        per_episode(result.rewards for *_, result in steps),
        per_episode(result.terminated for *_, result in steps),
        strict=True,
    )
    for row, (before, after, actions, rewards, terminated) in enumerate(parts):
        traces[row] = {
            "observations": np.concatenate([before, after[-1:]]),
            "actions": actions,
            "rewards": rewards,
            "terminated": bool(terminated[-1]),
        }
    return traces

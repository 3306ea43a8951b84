"""What a teacher may ask of the student, and the bill for it.

Every question is answered without training the student and is spent from the run's own budget: a
teacher that asks a lot trains less.
"""

from __future__ import annotations

import numpy as np

from benchmark.errors import TeacherError
from benchmark.evaluate import cross_entropy, play
from benchmark.ledger import Ledger
from environments.base import SupervisedTask
from environments.vector import VectorWorlds
from students.base import Student, SupervisedStudent


class SupervisedProbe:
    """Questions about training examples, answered with the current student.

    Args of all methods: ``tasks`` item numbers of shape (n,). The answers use the training labels,
    noise included. Each example costs one forward pass; ``alignment`` costs two forward passes per
    example and a forward and a backward pass per reference example.
    """

    def __init__(
        self,
        task: SupervisedTask,
        student: SupervisedStudent,
        ledger: Ledger,
        privileges: tuple[str, ...],
        rng: np.random.Generator,
    ):
        self._task, self._student, self._ledger, self._rng = task, student, ledger, rng
        self._privileges = privileges

    def loss(self, tasks: np.ndarray) -> np.ndarray:
        """Cross-entropy (n,) of each example under the current student."""
        inputs, targets = self._task.sample(np.asarray(tasks), self._rng)
        return cross_entropy(self._forward(inputs)["logits"].astype(np.float64), targets)

    def correct(self, tasks: np.ndarray) -> np.ndarray:
        """Whether the current student answers with the training label, float (n,)."""
        inputs, targets = self._task.sample(np.asarray(tasks), self._rng)
        return (self._forward(inputs)["logits"].argmax(axis=1) == targets).astype(float)

    def embedding(self, tasks: np.ndarray) -> np.ndarray:
        """Last hidden layer (n, width) of the current student."""
        inputs, _ = self._task.sample(np.asarray(tasks), self._rng)
        return self._forward(inputs)["embedding"]

    def alignment(self, tasks: np.ndarray, reference: np.ndarray | str) -> np.ndarray:
        """Inner product (n,) of each example's gradient with the mean gradient of ``reference``.

        ``reference`` holds item numbers, or is "validation" for teachers with the privilege
        ``validation_labels``.
        """
        if isinstance(reference, str):
            if reference != "validation" or "validation_labels" not in self._privileges:
                raise TeacherError(
                    f"probe.alignment(reference={reference!r}) needs the privilege "
                    "'validation_labels' and the word 'validation'"
                )
            pair = self._task.validation
        else:
            pair = self._task.sample(np.asarray(reference), self._rng)
        inputs, targets = self._task.sample(np.asarray(tasks), self._rng)
        self._ledger.forward += 2 * len(inputs) + len(pair[0])
        self._ledger.backward += len(pair[0])
        return self._student.alignment(inputs, targets, pair)

    def _forward(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        self._ledger.forward += len(inputs)
        return self._student.predict(inputs)


class WorldProbe:
    """Questions about procedural tasks, answered with the current student.

    ``evaluate`` plays episodes and costs their environment steps; ``value`` asks the student's
    value function and costs no environment step.
    """

    def __init__(self, student: Student, worlds: VectorWorlds, ledger: Ledger, stream: int):
        self._student, self._worlds, self._ledger = student, worlds, ledger
        self._stream = stream

    def value(self, observations: np.ndarray) -> np.ndarray:
        """The student's value (n,) of observations (n, *observation_shape), in return units."""
        return self._student.value(np.asarray(observations))

    def evaluate(self, tasks: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
        """Episode returns (n,) of the deterministic student on ``tasks`` (n, dimensions)."""
        tasks = np.asarray(tasks, dtype=np.float64)
        if seeds is None:
            rng = np.random.default_rng([self._stream, self._ledger.questions])
            seeds = rng.integers(2**31, size=len(tasks))
        self._ledger.questions += 1
        returns, _, steps = play(self._student, self._worlds, tasks, np.asarray(seeds))
        self._ledger.steps += steps
        return returns

"""Reference students: trained for a teacher that asks for one, on the run's own bill.

A presentation of a reference is one forward and one backward pass and costs what a presentation of
the student costs. The reference of question q has the stream (probe, q): it depends on neither the
student nor what the teacher asked it before, only on how many questions came before.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmark.errors import TeacherError
from benchmark.evaluate import examples
from benchmark.ledger import Ledger
from environments.base import SupervisedTask
from students.base import SupervisedStudent

Pair = tuple[np.ndarray, np.ndarray]
OWN = 1  # keeps these streams apart from those of the probe's other questions


class ReferenceSchool:
    """Trains reference students as the loop trains the student: same kind, same batch size.

    Args:
        task: whose examples they learn from.
        new_student: builds an untrained student from a seed.
        ledger: the bill.
        batch_size: examples per batch.
        stream: the probe's stream.
    """

    def __init__(
        self,
        task: SupervisedTask,
        new_student: Callable[[int], SupervisedStudent],
        ledger: Ledger,
        batch_size: int,
        stream: int,
    ):
        self._task, self._new_student, self._ledger = task, new_student, ledger
        self._batch_size, self._stream = batch_size, stream

    def train(self, tasks: np.ndarray | None, pair: Pair | None, share: float) -> SupervisedStudent:
        """Return a fresh student trained on ``share`` of the budget's presentations, in (0, 1].

        It passes over ``tasks`` (m, ...), or over the inputs and targets ``pair``, again and again
        in a new order, without replacement.

        Raises:
            TeacherError: the share is out of range or more than is left, or there is no task.
        """
        count = len(pair[0]) if tasks is None else len(tasks)
        amount = self._affordable(share)
        if count == 0:
            raise TeacherError("a reference student needs tasks to learn from, but got none")
        rng = np.random.default_rng([self._stream, self._ledger.questions, OWN])
        self._ledger.questions += 1
        student = self._new_student(int(rng.integers(2**63)))
        # A task may stand for several examples; the last batch is cut to the amount.
        per_batch = max(1, self._batch_size // (1 if tasks is None else self._task.examples))
        queue = np.empty(0, dtype=np.int64)
        while amount > 0:
            while len(queue) < per_batch:
                queue = np.concatenate([queue, rng.permutation(count)])
            rows, queue = queue[:per_batch], queue[per_batch:]
            inputs, targets = self._batch(rows, tasks, pair, rng)
            inputs, targets = inputs[:amount], targets[:amount]
            student.train(inputs, targets)
            self._ledger.forward += len(inputs)
            self._ledger.backward += len(inputs)
            amount -= len(inputs)
        self._ledger.references += 1
        return student

    def _batch(
        self,
        rows: np.ndarray,
        tasks: np.ndarray | None,
        pair: Pair | None,
        rng: np.random.Generator,
    ) -> Pair:
        if tasks is None:
            return pair[0][rows], pair[1][rows]
        owner = np.repeat(np.arange(len(rows)), self._task.examples)
        return examples(self._task, tasks[rows], None, owner, rng)

    def _affordable(self, share: float) -> int:
        """How many presentations a share of the budget is, if that much is left."""
        if not 0 < share <= 1:
            raise TeacherError(
                f"the share of a reference student must be in (0, 1], but is {share}"
            )
        amount, left = int(share * self._ledger.total), self._ledger.total - self._ledger.spent
        if amount < 1 or amount > left:
            raise TeacherError(
                f"a reference student of {amount} presentations was asked for, but {left:.0f} of "
                f"{self._ledger.total} are left; it needs at least one and is paid from the run's "
                "own budget, so take a smaller share"
            )
        return amount

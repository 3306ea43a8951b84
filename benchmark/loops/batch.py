"""The loop for supervised tasks: propose examples, train on batches of them, observe.

A proposal names items of a data set or, where the task is a generator, vectors of its parameters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.evaluate import MASTERY, cross_entropy, examples, per_task
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.listener import Listener
from benchmark.objective import objective
from environments.base import SupervisedTask
from students.base import SupervisedStudent


class BatchLoop:
    """Trains a student on the examples a teacher proposes, until the budget is spent.

    A proposal covers ``batches_per_proposal`` batches of ``batch_size`` examples; it is shorter at
    the end of the budget. Loss weights of a proposal and of ``weigh`` multiply; the harness scales
    them to a mean of one per batch, so that weighting never becomes a change of learning rate.
    """

    def __init__(
        self,
        teacher: GuardedTeacher,
        student: SupervisedStudent,
        task: SupervisedTask,
        ledger: Ledger,
        listener: Listener,
        seed: int,
        batch_size: int,
        batches_per_proposal: int,
    ):
        self.teacher, self.student, self.task = teacher, student, task
        self.ledger, self.listener = ledger, listener
        self.batch_size, self.chunk = batch_size, batch_size * batches_per_proposal
        self.signals = teacher.teacher.signals
        self.rng = np.random.default_rng(seed)

    def run(self) -> None:
        """Train until the budget is spent; the listener evaluates and saves in between."""
        self.listener.on_progress(self)
        # A reference student may cost several grid points: due before the student learns anything.
        if self.teacher.prepare():
            self.listener.on_progress(self)
        while (remaining := int(self.ledger.total - self.ledger.spent)) >= 1:
            # The teacher chooses the next tasks; asking the probe may have cost some budget.
            began, size = self.ledger.spent, min(self.chunk, remaining)
            numbers, proposal = self.teacher.propose(-(-size // self.task.examples))

            # A task stands for one example or for several; the last one is cut to the budget.
            owner = np.repeat(np.arange(len(numbers)), self.task.examples)[:size]
            chosen = np.asarray(proposal.tasks)
            inputs, targets = examples(self.task, chosen, proposal.seeds, owner, self.rng)
            tasks = chosen[owner]
            every = None if proposal.weights is None else np.asarray(proposal.weights)[owner]

            # A teacher that changes the student does so now.
            if self.teacher.adjusts:
                self.teacher.adjust(self.student)

            # The student trains on the examples, batch by batch, in the order of the proposal.
            reports, asked = [], self.ledger.questions
            with self.ledger.charge("student"):
                for start in range(0, size, self.batch_size):
                    if self.ledger.questions > asked and self.broke(start):
                        size = start  # asking while it weighed, the teacher spent the rest
                        break
                    part = slice(start, start + self.batch_size)
                    weights = None if every is None else every[part]
                    weigh = self.weigher(tasks[part], weights, inputs[part])
                    more = self.objective(tasks[part])
                    report = self.student.train(inputs[part], targets[part], weigh, **more)
                    if "inputs" in self.signals:
                        report["inputs"] = inputs[part]
                    if "loss_after" in self.signals:
                        report["loss_after"] = self.loss_after(inputs[part], targets[part])
                    reports.append(report)
            self.ledger.student += size

            # The teacher hears how each task went, in the order of its proposal.
            owner = owner[:size]
            count = owner[-1] + 1
            self.report(began, numbers[:count], chosen[:count], owner, reports)

            # Held-out evaluation and checkpoints, when they are due.
            self.listener.on_progress(self)

    def broke(self, trained: int) -> bool:
        """Whether nothing is left once ``trained`` presentations of this proposal are paid."""
        return self.ledger.spent + trained >= self.ledger.total

    def objective(self, tasks: np.ndarray) -> dict[str, Any]:
        """What else the student is told of a batch: the teacher's own objective, if it has one."""
        return {"slope": objective(self.teacher, tasks)} if self.teacher.transforms else {}

    def weigher(
        self, tasks: np.ndarray, weights: np.ndarray | None, inputs: np.ndarray
    ) -> Callable | None:
        """Combine the proposal's weights and the teacher's ``weigh`` into one normalised rule."""
        if weights is None and not self.teacher.weighs:
            return None

        def weigh(batch: dict[str, np.ndarray]) -> np.ndarray:
            total = np.ones(len(tasks)) if weights is None else weights
            if self.teacher.weighs:
                told = {**batch, "tasks": tasks}
                if "inputs" in self.signals:
                    told["inputs"] = inputs.copy()  # the student has yet to train on its own
                total = total * self.teacher.weigh(told)
            mean = total.mean()
            return total / mean if mean > 0 else total

        return weigh

    def loss_after(self, inputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """The loss (n,) of the batch after the step; one more forward pass, billed."""
        self.ledger.forward += len(inputs)
        return cross_entropy(self.student.predict(inputs)["logits"].astype(np.float64), targets)

    def report(
        self,
        began: float,
        numbers: np.ndarray,
        tasks: np.ndarray,
        owner: np.ndarray,
        reports: list[dict[str, Any]],
    ) -> None:
        """Tell the teacher and the listener how the tasks (n, ...) went.

        What was measured per example is averaged over a task's examples (``owner``); a task of
        several succeeds when nine in ten answers are right.
        """
        joined = {
            name: per_task(np.concatenate([report[name] for report in reports]), owner)
            for name in ("loss", "correct", *self.signals)
        }
        several = self.task.examples > 1
        success = (joined["correct"] >= MASTERY) * 1.0 if several else joined["correct"]
        columns = {
            "proposal": numbers,
            "tasks": tasks,
            "score": -joined["loss"],
            "success": success,
            "length": np.bincount(owner),
        }
        self.listener.on_outcomes(began + np.arange(len(tasks)) * self.task.examples, columns)
        signals = {name: joined[name] for name in self.signals}
        self.teacher.observe(**columns, signals=signals)

    def state_dict(self) -> dict[str, Any]:
        """The stream of the examples' own randomness."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue that stream."""
        self.rng.bit_generator.state = state["rng"]

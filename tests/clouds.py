"""A small planted problem for teachers of pools: clouds of points of which it is known what is bad.

``Clouds`` is a supervised task; ``lesson`` trains the suite's classifier on it with a teacher,
through the loop, the guard, the bill and the probe that every run has.
"""

import numpy as np

from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.probe import ASKING, SupervisedProbe
from benchmark.reference import ReferenceSchool
from environments.base import SupervisedTask
from students.supervised import Classifier
from teachers.base import Outcomes, TaskSpace


class Clouds(SupervisedTask):
    """Four separable clouds in eight dimensions; ``noise`` of the labels are wrong.

    ``group`` (n,) is what ``groups`` says of items, ``prior`` is higher where the label is wrong.
    """

    input_shape = (8,)
    num_classes = 4

    def __init__(self, n=400, noise=0.4, seed=0, groups=None):
        rng = np.random.default_rng(seed)
        clean = np.arange(n) % 4
        self.inputs = self.cloud(clean, rng)
        self.wrong = rng.random(n) < noise
        self.label = np.where(self.wrong, (clean + rng.integers(1, 4, size=n)) % 4, clean)
        self.prior = self.wrong + rng.random(n)
        self.group = None if groups is None else np.asarray(groups)
        self.truth = {"mislabelled": self.wrong}
        held_out = np.arange(200) % 4
        self.validation = self.test = self.cloud(held_out, rng), held_out

    @staticmethod
    def cloud(classes, rng):
        return (4 * np.eye(8)[classes] + rng.normal(size=(len(classes), 8))).astype(np.float32)

    def sample(self, tasks, rng):
        return self.inputs[tasks], self.label[tasks]


def new_student(seed):
    return Classifier((8,), 4, seed=seed, hidden=(32,))


class Lesson:
    """What a run on clouds left behind.

    ``tasks`` (N,) and ``losses`` (N,) in the order of training, ``weights`` (N,) as the loop scaled
    them, ``ledger``, ``student``, ``accuracy`` on clean held-out points.
    """

    def __init__(self, cls, task, total=4000, seed=0, probe=None, **options):
        self.task, self.ledger = task, Ledger(total)
        space = TaskSpace(task.task_space, label=task.label, group=task.group, prior=task.prior)
        self.teacher = cls(space, seed=seed, **options)
        self.student = new_student(seed)
        if ASKING & set(self.teacher.privileges):
            school = ReferenceSchool(task, new_student, self.ledger, 32, 0)
            facts = task, self.student, self.ledger, self.teacher.privileges, 0, school
            self.teacher.probe = SupervisedProbe(*facts)
        guarded = GuardedTeacher(self.teacher, self.ledger, 30.0)
        self.heard, self.given = [], []
        loop = BatchLoop(guarded, self.student, task, self.ledger, self, 0, 32, 4)
        plain = loop.weigher

        def weigher(tasks, weights, inputs):
            rule = plain(tasks, weights, inputs)
            if rule is None:
                self.given.append(np.ones(len(tasks)))
                return None

            def kept(batch):
                self.given.append(rule(batch))
                return self.given[-1]

            return kept

        loop.weigher = weigher
        loop.run()
        self.tasks = np.concatenate([columns["tasks"] for columns in self.heard])
        self.losses = -np.concatenate([columns["score"] for columns in self.heard])
        self.weights = np.concatenate(self.given)
        answers = self.student.predict(task.test[0])["logits"].argmax(axis=1)
        self.accuracy = float((answers == task.test[1]).mean())

    def on_outcomes(self, spent, columns):
        self.heard.append(columns)

    def on_progress(self, loop):
        pass

    def wrong_share(self, last=1000):
        """Share of wrong labels among the last examples, counted by their weights."""
        wrong = self.task.wrong[self.tasks[-last:]]
        return float(np.average(wrong, weights=self.weights[-last:]))


def hear(teacher, tasks, losses, success=None, **signals):
    """Tell a teacher of the losses (n,) of items (n,)."""
    tasks, losses = np.asarray(tasks), np.asarray(losses, dtype=float)
    success = np.zeros(len(tasks)) if success is None else np.asarray(success, dtype=float)
    signals = {name: np.asarray(value, dtype=float) for name, value in signals.items()}
    signals = {"loss": losses} | signals if teacher.signals else {}
    numbers = np.arange(len(tasks))
    teacher.observe(Outcomes(numbers, tasks, -losses, success, np.ones(len(tasks), int), signals))

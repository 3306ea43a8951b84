"""The two hooks that change the objective and the student: what the loop does with them."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmark import record
from benchmark.errors import LyceumError, TeacherError
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.protocol import Protocol
from benchmark.run import RunRequest, execute
from benchmark.schema import TeacherIdentity
from benchmark.telling import fitting_teacher
from students.supervised import Classifier
from teachers.base import TaskSpace
from teachers.hooks import undeclared
from teachers.uniform import NoOp, Uniform
from tests.broken_students import Linear
from tests.clouds import Clouds

STUDENTS = {
    "mlp": {"hidden": (16,)},
    "cnn": {"hidden": (4,), "architecture": "cnn"},
    "gru": {"hidden": (8,), "architecture": "gru"},
    "transformer": {"hidden": (8,), "architecture": "transformer"},
}


class Everything(NoOp):
    """Goes through every hook and changes nothing by it."""

    reference = "written for the tests"
    changes = ("objective", "student")
    signals = ("inputs",)

    def transform_loss(self, logits, targets, tasks):
        return functional.cross_entropy(logits, targets, reduction="none")

    def adjust(self, progress):
        return {}

    def weigh(self, batch):
        assert batch["inputs"].shape == (len(batch["loss"]), 8)
        return super().weigh(batch)


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self):
        self.columns = []

    def on_outcomes(self, spent, columns):
        self.columns.append(columns)

    def on_progress(self, loop):
        pass


def loop_of(cls, student=None, total=211, **options):
    """A loop over clouds with batches of 24, so that 1 / n is no power of two."""
    task, ledger = Clouds(noise=0.2), Ledger(total)
    space = TaskSpace(task.task_space, label=task.label)
    teacher = cls(space, seed=3, **options)
    student = student or Classifier((8,), 4, seed=1, hidden=(16,))
    guard = GuardedTeacher(teacher, ledger, 30.0)
    return BatchLoop(guard, student, task, ledger, Heard(), 0, 24, 3)


def parameters(cls, architecture="mlp", **options):
    student = Classifier((8,), 4, seed=1, **STUDENTS[architecture])
    loop_of(cls, student, **options).run()
    return student.state_dict()["parameters"]


def changed(transform):
    """A class of uniform teachers with this loss."""

    class Mine(Uniform):
        reference = "none"
        changes = ("objective",)

        def transform_loss(self, logits, targets, tasks):
            return transform(logits, targets, tasks)

    return Mine


@pytest.mark.parametrize("architecture", STUDENTS)
def test_hooks_that_change_nothing_equal_uniform_bit_for_bit(architecture):
    plain = parameters(Uniform, architecture)
    assert np.array_equal(parameters(Everything, architecture), plain)
    assert not np.array_equal(parameters(changed(half_target), architecture), plain)


def half_target(logits, targets, tasks):
    soft = 0.5 * functional.one_hot(targets, 4) + 0.125
    return functional.cross_entropy(logits, soft, reduction="none")


def test_the_student_descends_the_other_loss_and_reports_its_own():
    loop = loop_of(changed(half_target), total=24)
    student, batch = loop.student, loop.teacher.teacher
    twin = Classifier((8,), 4, seed=1, hidden=(16,))
    loop.run()
    tasks = loop.listener.columns[0]["tasks"]
    inputs, targets = loop.task.sample(tasks, None)
    # By hand: the gradient of the mean of the other losses through the twin's own graph.
    logits, _ = twin._network(torch.from_numpy(inputs), twin._leaves)
    twin._step(half_target(logits, torch.from_numpy(targets), tasks).mean())
    assert np.array_equal(student.state_dict()["parameters"], twin.state_dict()["parameters"])
    plain = functional.cross_entropy(logits.detach(), torch.from_numpy(targets), reduction="none")
    np.testing.assert_allclose(-loop.listener.columns[0]["score"], plain.numpy(), rtol=1e-6)
    assert batch.changes == ("objective",)


def test_weights_multiply_the_changed_losses():
    class Both(changed(half_target)):
        def weigh(self, batch):
            return (np.arange(len(batch["loss"])) % 2).astype(float)

    weighed, twin = loop_of(Both, total=24), Classifier((8,), 4, seed=1, hidden=(16,))
    weighed.run()
    tasks = weighed.listener.columns[0]["tasks"]
    inputs, targets = weighed.task.sample(tasks[1::2], None)
    logits, _ = twin._network(torch.from_numpy(inputs), twin._leaves)
    twin._step(half_target(logits, torch.from_numpy(targets), tasks).mean())
    ours, theirs = (s.state_dict()["parameters"] for s in (weighed.student, twin))
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_a_student_without_torch_follows_too():
    class NumPy(Linear):
        def train(self, inputs, targets, weigh=None, slope=None):
            report, _ = self.measure(inputs, targets)
            gradient = slope(report["logits"].astype(np.float32), targets, None)
            self.matrix = self.matrix - inputs.T @ gradient
            return report

    base = changed(lambda z, y, _: functional.cross_entropy(z, y, reduction="none"))
    loop = loop_of(base, NumPy((8,), 4, seed=0), total=24)
    before = loop.student.matrix
    loop.run()
    inputs, targets = loop.task.sample(loop.listener.columns[0]["tasks"], None)
    scores = inputs @ before
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    expected = before - inputs.T @ (shares - np.eye(4)[targets]) / 24
    np.testing.assert_allclose(loop.student.matrix, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        (lambda z, y, t: z.detach().sum(dim=1), "without a graph"),
        (lambda z, y, t: z.sum(), r"shape \(\) with a graph"),
        (lambda z, y, t: z[:, 0] * np.nan, "nan"),
        (lambda z, y, t: [0.0] * len(y), "returned a list"),
        (lambda z, y, t: torch.zeros(len(y), requires_grad=True) + 1, "is not there"),
        (lambda z, y, t: (z[:, 0] - z[:, 0]).sqrt(), "not finite"),
        (lambda z, y, t: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_losses_that_cannot_be_descended(transform, words):
    with pytest.raises(TeacherError, match=words):
        loop_of(changed(transform)).run()


def test_logits_lead_nowhere_and_tasks_are_copies():
    def spy(logits, targets, tasks):
        assert logits.is_leaf and logits.grad_fn is None
        tasks[:] = 0
        targets_before = targets.clone()
        targets[:] = 0
        return functional.cross_entropy(logits, targets_before, reduction="none")

    assert np.array_equal(parameters(changed(spy)), parameters(Uniform))


def test_hooks_must_be_declared():
    class Silent(changed(half_target)):
        changes = ()

    class Boasting(Uniform):
        changes = ("student",)

    class Odd(Uniform):
        changes = ["loss"]

    assert "say so with changes" in undeclared(Silent)
    assert "there is no adjust()" in undeclared(Boasting)
    assert "must be a tuple" in undeclared(Odd)
    assert undeclared(Uniform) == undeclared(Everything) == ""


SCHEDULED = """
from teachers.uniform import Uniform

class Mine(Uniform):
    reference = "none"
    changes = ("student",)

    def adjust(self, progress):
        return {%s}
"""


def test_a_protocol_refuses_what_its_student_cannot_follow(tmp_path, monkeypatch):
    file = tmp_path / "mine.py"
    file.write_text(SCHEDULED % "'smoothing': 1.0", encoding="utf-8")
    with pytest.raises(LyceumError, match="only supervised tasks allow"):
        fitting_teacher(Protocol.load("hypercube-v2"), f"{file}:Mine", {})
    digits = Protocol.load("digits-standard-v1")
    assert fitting_teacher(digits, f"{file}:Mine", {}).changes == ("student",)
    monkeypatch.delattr(Classifier, "adjust")
    with pytest.raises(LyceumError, match="changes the student, but the student of digits"):
        fitting_teacher(digits, f"{file}:Mine", {})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("'smoothing': 1.0", "only of the architecture cnn"),  # the student of digits is an MLP
        ("'blurring': 1.0", "blurring"),
        ("'smoothing'", "adjust"),
    ],
)
def test_settings_that_a_student_does_not_have_end_the_run(tmp_path, settings, words):
    file = tmp_path / "mine.py"
    file.write_text(SCHEDULED % settings, encoding="utf-8")
    with pytest.raises(LyceumError, match=words):
        execute(RunRequest("digits-standard-v1", f"{file}:Mine", 0, runs=str(tmp_path), smoke=64))


def test_a_record_says_what_was_changed(tmp_path):
    folder = execute(
        RunRequest("digits-standard-v1", "data_parameters", 0, runs=str(tmp_path), smoke=64)
    )
    found, _ = record.read_run(folder)
    assert found.teacher.changes == ["objective"]
    assert found.teacher.flags == ["changes the objective"]
    plain = execute(RunRequest("digits-standard-v1", "uniform", 0, runs=str(tmp_path), smoke=64))
    identity = record.read_run(plain)[0].teacher
    # Who changes nothing is written as ever, so that entries made before stay the same bytes.
    assert "changes" not in identity.content() and identity.flags == []
    assert TeacherIdentity.model_validate(identity.content()) == identity

import numpy as np
import pytest
import torch
from gymnasium import spaces

from teachers.base import TaskSpace
from teachers.data_parameters import (
    ClassParameters,
    DataParameters,
    JointParameters,
    Temperatures,
)
from teachers.uniform import Uniform
from tests.clouds import Clouds, Lesson


def pool(n=6, classes=3):
    return TaskSpace(spaces.Discrete(n, start=10), label=np.arange(n) % classes)


def ask(teacher, logits, targets, tasks):
    leaf = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
    return leaf, teacher.transform_loss(leaf, torch.tensor(targets), np.array(tasks))


def test_temperatures_by_hand():
    four = Temperatures("item", 4, start=2.0, rate=0.5, decay=0.1)
    log = np.log(2.0)
    # The gradient by s is slope x sigma, plus decay x s for every use; equal places add up.
    four.descend(np.array([1, 3, 1]), np.array([0.25, -1.0, 0.5]))
    speed = np.array([0.0, 0.75 * 2 + 2 * 0.1 * log, 0.0, -2.0 + 0.1 * log])
    np.testing.assert_allclose(four.speed, speed)
    np.testing.assert_allclose(four.logs, log - 0.5 * speed)
    # Momentum 0.9, and only of what is in the batch.
    logs = four.logs.copy()
    four.descend(np.array([0]), np.array([0.0]))
    np.testing.assert_allclose(four.speed[1:], speed[1:])
    four.descend(np.array([1]), np.array([0.0]))
    assert four.speed[1] == pytest.approx(0.9 * speed[1] + 0.1 * logs[1])
    four.descend(np.array([2]), np.array([-1e9]))
    assert four.of(np.array([2])) == pytest.approx(20.0)


def test_losses_and_steps_by_hand():
    teacher = DataParameters(pool(), seed=0, rate=0.3, start=2.0)
    logits = np.array([[2.0, 0.0, -2.0], [0.0, 4.0, 0.0]])
    leaf, losses = ask(teacher, logits, [2, 1], [15, 11])
    z = logits / 2
    shares = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = -np.log(shares[[0, 1], [2, 1]])
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-6)
    (slope,) = torch.autograd.grad(losses.sum(), leaf)
    np.testing.assert_allclose(slope.numpy(), (shares - np.eye(3)[[2, 1]]) / 2, atol=1e-6)
    # d loss / d sigma = -sum (p - y) z / sigma^2; by s: times sigma; of the mean over the batch.
    by_log = -((shares - np.eye(3)[[2, 1]]) * logits).sum(axis=1) / 2**2 * 2 / 2
    assert by_log[0] < 0 < by_log[1]  # what is wrong grows hot, what is right grows cold
    logs = np.full(6, np.log(2.0))
    logs[[5, 1]] -= 0.3 * by_log
    np.testing.assert_allclose(teacher.temperatures[0].logs, logs, atol=1e-6)


def test_temperatures_of_class_and_item_add_up():
    teacher = JointParameters(pool(), seed=0, class_start=1.5, item_start=0.5, class_rate=1.0)
    _, losses = ask(teacher, [[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], [0, 0], [10, 13])
    expected = np.log(np.exp(0.5) + 2) - 0.5  # logits / (1.5 + 0.5)
    np.testing.assert_allclose(losses.detach().numpy(), 2 * [expected], rtol=1e-6)
    share = np.exp(0.5) / (np.exp(0.5) + 2)
    by_sigma = -(share - 1) / 2**2  # of one example; the batch's mean of two such is the same
    of_class, of_item = teacher.temperatures
    step = by_sigma * 1.5 + 2 * 1e-4 * np.log(1.5)
    assert of_class.logs[0] == pytest.approx(np.log(1.5) - step, abs=1e-6)
    step = 0.8 * (by_sigma / 2 * 0.5 + 1e-8 * np.log(0.5))
    np.testing.assert_allclose(of_item.logs[[0, 3]], np.log(0.5) - step, atol=1e-6)
    assert (of_item.logs[[1, 2, 4, 5]] == np.log(0.5)).all()


@pytest.mark.parametrize("cls", [DataParameters, ClassParameters])
def test_temperatures_that_stay_at_one_equal_uniform_bit_for_bit(cls):
    task = Clouds(noise=0.4)
    plain = Lesson(Uniform, task, total=600)
    assert np.array_equal(Lesson(cls, task, total=600, rate=0.0).losses, plain.losses)
    assert not np.array_equal(Lesson(cls, task, total=600).losses, plain.losses)


@pytest.mark.parametrize(("cls", "share"), [(DataParameters, 0.9), (JointParameters, 0.75)])
def test_wrong_labels_grow_hot(cls, share):
    task = Clouds(noise=0.3)
    logs = Lesson(cls, task, total=8000).teacher.temperatures[-1].logs
    pairs = logs[task.wrong][:, None] - logs[~task.wrong][None, :]
    assert (np.sign(pairs) / 2 + 0.5).mean() > share  # items at the lower bound are ties


def test_the_temperature_of_a_class_can_hide_its_wrong_labels():
    """It depends on the label, which the student does not see: cold, a hint of it is enough."""
    task = Clouds(noise=0.0)
    rng = np.random.default_rng(0)
    task.label[rng.permutation(np.flatnonzero(task.label != 3))[:100]] = 3
    lesson = Lesson(ClassParameters, task)
    logs = lesson.teacher.temperatures[0].logs
    assert logs.argmin() == 3 and lesson.accuracy < 0.6
    assert Lesson(Uniform, task).accuracy > 0.75


@pytest.mark.parametrize("cls", [ClassParameters, JointParameters])
def test_classes_need_labels(cls):
    with pytest.raises(ValueError, match="label is None"):
        cls(TaskSpace(spaces.Discrete(4)), seed=0)


@pytest.mark.parametrize("options", [{"rate": -1.0}, {"start": 30.0}, {"decay": np.inf}])
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DataParameters(pool(), seed=0, **options)

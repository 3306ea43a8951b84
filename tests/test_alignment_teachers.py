"""Teachers that ask the probe which examples help a reference set."""

import numpy as np
import pytest
from gymnasium import spaces
from scipy.special import softmax

from benchmark.errors import TeacherError
from benchmark.ledger import Ledger
from benchmark.probe import SupervisedProbe
from students.supervised import Classifier
from teachers.alignment import (
    DDS,
    LRE,
    DDSValidation,
    LREValidation,
    MultiDDS,
    judged,
    policy_step,
)
from teachers.base import TaskSpace
from teachers.mw_net import MWNet, MWNetValidation
from tests.clouds import Clouds, Lesson, hear

POOL = TaskSpace(spaces.Discrete(40, start=3), group=np.arange(40) // 10)


class Aligned:
    """A probe that gives a fixed answer per item and keeps its questions."""

    def __init__(self, answers):
        self.answers, self.asked = np.asarray(answers, dtype=float), []

    def alignment(self, tasks, reference):
        self.asked.append((np.array(tasks), reference))
        return self.answers[np.asarray(tasks) - 3]


def build(cls, answers, **options):
    teacher = cls(POOL, seed=0, **options)
    teacher.probe = Aligned(answers)
    return teacher


def noisy_groups():
    """Two groups of clouds; the labels of the second are pure noise."""
    task = Clouds(noise=0.0, groups=np.repeat([0, 1], 200))
    rng = np.random.default_rng(0)
    task.label = np.where(task.group == 1, rng.integers(4, size=400), task.label)
    return task


# LRE


def test_weights_are_the_positive_alignments():
    answers = np.linspace(-1, 1, 40)
    teacher = build(LRE, answers, reference_share=0.2, reference_size=5)
    proposal = teacher.propose(40, 0.0)
    assert proposal.weights == pytest.approx(np.maximum(answers[proposal.tasks - 3], 0))
    teacher.propose(40, 0.0)
    first, second = (set(reference.tolist()) for _, reference in teacher.probe.asked)
    assert len(first) == len(second) == 5 and first | second <= set((teacher.held + 3).tolist())
    assert len(teacher.held) == 8 and first != second
    taught = set(teacher.propose(200, 0.0).tasks.tolist())
    assert len(taught) == 32 and not taught & set((teacher.held + 3).tolist())


def test_weights_match_the_derivative_of_the_reference_loss():
    """For a linear classifier all gradients are known: (p - y) outer (x, 1)."""
    task, ledger = Clouds(n=60), Ledger(1000)
    student = Classifier((8,), 4, seed=0, hidden=())
    space = TaskSpace(task.task_space)
    teacher = LRE(space, seed=0, reference_share=0.4, reference_size=24)
    teacher.probe = SupervisedProbe(task, student, ledger, teacher.privileges, 0)
    proposal = teacher.propose(60, 0.0)

    def gradients(items):
        inputs = task.inputs[items].astype(float)
        wrong = softmax(student.predict(task.inputs[items])["logits"].astype(float), axis=1)
        wrong[np.arange(len(items)), task.label[items]] -= 1
        inputs = np.concatenate([inputs, np.ones((len(items), 1))], axis=1)
        return (wrong[:, :, None] * inputs[:, None, :]).reshape(len(items), -1)

    exact = gradients(proposal.tasks) @ gradients(teacher.held).mean(axis=0)
    assert proposal.weights == pytest.approx(np.maximum(exact, 0), rel=1e-3, abs=1e-5)
    assert (proposal.weights > 0).sum() > 10
    assert ledger.forward == 2 * 60 + 24 and ledger.backward == 24


@pytest.mark.parametrize("cls", [LRE, DDS, MWNet])
def test_only_the_validation_forms_ask_for_validation_labels(cls):
    form = {LRE: LREValidation, DDS: DDSValidation, MWNet: MWNetValidation}[cls]
    assert set(form.privileges) - set(cls.privileges) == {"validation_labels"}
    teacher = build(form, np.ones(40))
    tasks = teacher.propose(80, 0.0).tasks
    if form is not DDSValidation:
        assert sorted(tasks[:40]) == list(range(3, 43))
    hear(teacher, tasks, np.ones(80))
    assert [reference for _, reference in teacher.probe.asked] == ["validation"]
    task = Clouds()
    student = Classifier((8,), 4, seed=0)
    probe = SupervisedProbe(task, student, Ledger(100), cls.privileges, 0)
    with pytest.raises(TeacherError, match="validation_labels"):
        probe.alignment(np.arange(3), "validation")


def test_a_clean_reference_leaves_planted_wrong_labels_out():
    lesson = Lesson(LREValidation, Clouds(), total=8000)
    assert lesson.wrong_share(2000) < 0.05 * lesson.task.wrong.mean()
    assert lesson.accuracy > 0.98


def test_a_noisy_reference_does_not():
    """What the peer benchmark found too: wrong labels help to fit other wrong labels."""
    lesson = Lesson(LRE, Clouds(), total=8000)
    assert lesson.wrong_share(2000) > 0.7 * lesson.task.wrong.mean()
    assert not set(lesson.tasks) & set(lesson.teacher.held)


# DDS


def test_rewards_have_no_unit():
    values = np.array([1.0, 2.0, 3.0, 6.0])
    assert judged(values) == pytest.approx(judged(1e-3 * values + 4.0))
    assert judged(values).mean() == pytest.approx(0) and judged(values).std() == pytest.approx(1)
    assert judged(np.full(3, 7.0)).tolist() == [0, 0, 0]


def test_the_policy_gradient_is_that_of_the_log_chances():
    rng = np.random.default_rng(0)
    logits, drawn, rewards = rng.normal(size=5), np.array([0, 3, 3, 1]), rng.normal(size=4)

    def objective(values):
        return float(rewards @ np.log(softmax(values))[drawn])

    numeric = [
        (objective(logits + step) - objective(logits - step)) / 2e-5 for step in 1e-5 * np.eye(5)
    ]
    assert policy_step(logits, drawn, rewards) == pytest.approx(numeric, abs=1e-6)


def test_dds_draws_what_helps():
    teacher = build(DDS, np.where(np.arange(40) < 10, 1.0, 0.0), rate=0.1)
    for _ in range(30):
        tasks = teacher.propose(40, 0.0).tasks
        hear(teacher, tasks, np.ones(40))
    assert (teacher.propose(1000, 0.0).tasks < 13).mean() > 0.8 > 9 / len(teacher.free)
    assert teacher.propose(1000, 0.0).tasks.min() >= 3


def test_dds_never_draws_its_reference():
    teacher = build(DDS, np.random.default_rng(0).random(40), rate=5.0)
    for _ in range(10):
        tasks = teacher.propose(40, 0.0).tasks
        assert not set(tasks - 3) & set(teacher.held)
        hear(teacher, tasks, np.ones(40))


def test_a_clean_reference_turns_dds_from_planted_wrong_labels():
    lesson = Lesson(DDSValidation, Clouds(), total=12_000)
    assert lesson.wrong_share(2000) < 0.6 * lesson.task.wrong.mean()
    assert lesson.accuracy > 0.95


def test_multi_dds_by_hand_and_from_the_sizes():
    space = TaskSpace(spaces.Discrete(8, start=3), group=np.array([0] * 6 + [1] * 2))
    teacher = MultiDDS(space, seed=0, rate=0.5, reference_size=4)
    assert teacher.chances(0.0) == pytest.approx([0.75, 0.25])
    teacher.probe = Aligned([1, 1, 1, 1, 1, 1, 3, 3])
    hear(teacher, [3, 4, 9, 10], np.ones(4))
    # Rewards are -1, -1, 1, 1 and sum to 0: the gradient is (-2, 2), over the root of four draws.
    expected = np.log([0.75, 0.25]) + 0.5 * np.array([-2, 2]) / 2
    assert teacher.logits == pytest.approx(expected)
    question = teacher.probe.asked[0][1]
    assert len(question) == 4 and (question >= 9).sum() == 2


def test_multi_dds_leaves_the_group_of_noise():
    lesson = Lesson(MultiDDS, noisy_groups(), total=8000)
    assert (lesson.task.group[lesson.tasks[-1000:]] == 0).mean() > 0.6


# Meta-Weight-Net


def test_the_network_learns_to_prefer_losses_that_help():
    teacher = build(MWNet, np.where(np.arange(40) < 20, 1.0, -1.0), rate=0.01)
    losses = np.where(np.arange(40) < 20, 0.2, 3.0)
    before = teacher.weigh({"loss": np.array([0.2, 3.0], dtype=np.float32)})
    assert before[0] == pytest.approx(before[1], abs=0.3)
    for _ in range(60):
        hear(teacher, np.arange(40) + 3, losses)
    after = teacher.weigh({"loss": np.array([0.2, 3.0], dtype=np.float32)})
    assert after[0] > 5 * after[1]  # weights count relative to their sum


def test_one_step_raises_the_weighted_alignment():
    """The objective is sum of a V / sum of V, measured by hand before and after one report."""
    answers, losses = np.random.default_rng(0).normal(size=40), np.linspace(0, 4, 40)
    teacher = build(MWNet, answers, batch=40)

    def objective():
        weights = teacher.weigh({"loss": losses})
        return float(answers @ weights / weights.sum())

    before = objective()
    hear(teacher, np.arange(40) + 3, losses)
    assert objective() > before + 1e-4


def test_the_network_is_part_of_the_state():
    teacher = build(MWNet, np.linspace(-1, 1, 40), rate=0.1)
    hear(teacher, np.arange(40) + 3, np.linspace(0, 4, 40))
    other = MWNet(POOL, seed=9)
    other.load_state_dict(teacher.state_dict())
    batch = {"loss": np.linspace(0, 5, 7)}
    assert np.array_equal(other.weigh(batch), teacher.weigh(batch))
    assert np.array_equal(other.held, teacher.held)


def test_a_clean_reference_teaches_mw_net_to_weigh_wrong_labels_down():
    lesson = Lesson(MWNetValidation, Clouds(), total=12_000)
    assert lesson.wrong_share(2000) < 0.75 * lesson.task.wrong.mean()
    low, high = lesson.teacher.weigh({"loss": np.array([0.05, 4.0])})
    assert low > 2 * high


# Faults


@pytest.mark.parametrize("cls", [LRE, LREValidation])
def test_a_missing_probe_is_explained_at_the_proposal(cls):
    with pytest.raises(ValueError, match="probe"):
        cls(POOL, seed=0).propose(1, 0.0)


@pytest.mark.parametrize("cls", [DDS, MultiDDS, MWNet])
def test_a_missing_probe_is_explained_at_the_report(cls):
    teacher = cls(POOL, seed=0)
    with pytest.raises(ValueError, match="probe"):
        hear(teacher, teacher.propose(2, 0.0).tasks, [1.0, 1.0])


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (LRE, "reference_share", 0.0),
        (LRE, "reference_size", 0),
        (DDS, "rate", -1.0),
        (DDS, "reference_share", 1.5),
        (MultiDDS, "reference_size", 0),
        (MWNet, "hidden", 0),
        (MWNet, "rate", 0.0),
        (MWNet, "batch", 0),
    ],
)
def test_options_out_of_range(cls, option, value):
    with pytest.raises(ValueError, match=option):
        cls(POOL, seed=0, **{option: value})

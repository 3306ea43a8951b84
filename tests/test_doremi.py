"""DoReMi-style mixtures: weights by the excess over a reference, then their mean as a mixture."""

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import TaskSpace
from teachers.doremi import DoReMi
from tests.clouds import Clouds, Lesson, hear
from tests.test_reference import Told

POOL = TaskSpace(spaces.Discrete(12, start=3), group=np.repeat([0, 1, 2], [6, 4, 2]))


def told(answers=(1.0,) * 12, **options):
    teacher = DoReMi(POOL, seed=0, **options)
    teacher.probe = Told(answers)
    teacher.prepare()
    return teacher


def test_weights_by_hand():
    teacher = told(eta=0.5, smoothing=0.1)
    teacher.propose(4, 0.5)
    # Excess: group 0 (2 + 0) / 2 = 1, group 1 max(0.5 - 1, 0) = 0, group 2 does not occur.
    hear(teacher, [3, 4, 9], [3.0, 0.2, 0.5])
    grown = np.array([np.exp(0.5), 1, 1]) / (np.exp(0.5) + 2)
    first = 0.9 * grown + 0.1 / 3
    assert teacher.weights == pytest.approx(first)
    # Then group 1 has 1, group 0 keeps its 1, and group 2 still has none.
    hear(teacher, [9], [2.0])
    grown = first * np.exp(0.5 * np.array([1, 1, 0]))
    second = 0.9 * grown / grown.sum() + 0.1 / 3
    assert teacher.weights == pytest.approx(second)
    assert teacher.total == pytest.approx(first + second) and teacher.reports == 2


def test_groups_are_even_and_weighted_first_and_the_mean_is_the_mixture_later():
    teacher = told(proxy=0.5)
    proposal = teacher.propose(3000, 0.4)
    assert np.bincount(POOL.group[proposal.tasks - 3]) == pytest.approx([1000] * 3, rel=0.1)
    assert proposal.weights == pytest.approx(np.ones(3000))
    hear(teacher, [3, 9, 13], [4.0, 1.0, 1.0])
    weights = teacher.propose(60, 0.69).weights  # the reference had 0.4, half of the rest is 0.7
    assert set(np.round(weights, 9)) == set(np.round(3 * teacher.weights, 9))
    hear(teacher, [3, 9, 13], [4.0, 1.0, 1.0])
    later, mean = teacher.propose(6000, 0.71), teacher.total / 2
    assert later.weights is None and mean.sum() == pytest.approx(1)
    assert np.bincount(POOL.group[later.tasks - 3]) / 6000 == pytest.approx(mean, abs=0.02)
    before = teacher.weights.copy()
    hear(teacher, [3, 9, 13], [9.0, 1.0, 1.0])
    assert np.array_equal(teacher.weights, before) and teacher.reports == 2


def test_a_huge_excess_leaves_finite_weights():
    teacher = told(np.zeros(12), smoothing=1e-9)
    teacher.propose(2, 0.0)
    for _ in range(30):
        hear(teacher, [3, 9], [1e6, 0.0])
    assert np.isfinite(teacher.weights).all() and teacher.weights.sum() == pytest.approx(1)
    assert teacher.weights[0] > 0.99


def planted():
    """Group 0 is easy, group 1 pure noise, group 2 a rule of its own that takes long to learn."""
    task = Clouds(n=600, noise=0.0, groups=np.repeat([0, 1, 2], 200))
    rng = np.random.default_rng(0)
    task.label = np.where(task.group == 1, rng.integers(4, size=600), task.label)
    hard = task.group == 2
    task.inputs[hard] = 0.5 * np.roll(task.inputs[hard], 4, axis=1)
    return task


def test_the_group_that_can_be_learned_and_is_not_yet_gets_the_weight():
    lesson = Lesson(DoReMi, planted(), total=16_000, eta=0.3)
    mean = lesson.teacher.total / lesson.teacher.reports
    assert mean[2] > mean[0] and mean[2] > mean[1]
    late = np.bincount(lesson.task.group[lesson.tasks[-1500:]], minlength=3) / 1500
    assert late == pytest.approx(mean, abs=0.05)
    assert lesson.ledger.references == 2


def test_one_reference_of_everything_is_the_papers():
    teacher = told(folds=1)
    (tasks, learned, share) = teacher.probe.asked[0]
    assert tasks.tolist() == learned.tolist() == list(range(3, 15)) and share == 0.5
    assert len(told(folds=3).probe.asked) == 3


def test_without_a_reference_nothing_is_proposed():
    with pytest.raises(ValueError, match="prepare"):
        DoReMi(POOL, seed=0).propose(3, 0.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [("eta", -1.0), ("smoothing", 0.0), ("proxy", 0.0), ("folds", 0), ("share", 0.99)],
)
def test_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        DoReMi(POOL, seed=0, **{option: value})

"""Teachers that mix the groups of a pool."""

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import TaskSpace
from teachers.group_bandits import ODM, EXP3SGroups, TSCLGroups
from teachers.group_mixes import HandMadeMix, MixMixed, MixNaive, ScheduledMixture
from teachers.groups import Groups, per_arm
from tests.clouds import Clouds, Lesson, hear

# Groups 7, 2 and 5 hold 4, 8 and 12 items; their arms are 2, 0 and 1.
GROUP = np.repeat([7, 2, 5], [4, 8, 12])
POOL = TaskSpace(spaces.Discrete(24, start=3), label=np.arange(24) % 4, group=GROUP)
ALL = (ODM, EXP3SGroups, TSCLGroups, HandMadeMix, MixNaive, MixMixed, ScheduledMixture)


def shares(teacher, progress=0.0, count=3000):
    tasks = teacher.propose(count, progress).tasks
    return np.bincount(teacher.groups.locate(tasks), minlength=3) / count


# Groups


def test_arms_are_numbered_by_group():
    groups = Groups(POOL, "test")
    assert groups.values.tolist() == [2, 5, 7] and groups.sizes.tolist() == [8, 12, 4]
    assert groups.locate(np.array([3, 7, 26])).tolist() == [2, 0, 1]


def test_items_come_in_passes_within_their_group():
    groups, rng = Groups(POOL, "test"), np.random.default_rng(0)
    queues = groups.empty_queues()
    items = np.concatenate([groups.items(np.full(n, 2), queues, rng) for n in (3, 1, 4)])
    assert sorted(items[:4]) == sorted(items[4:]) == [3, 4, 5, 6]
    mixed = groups.items(np.array([0, 2, 1, 0]), queues, rng)
    assert groups.locate(mixed).tolist() == [0, 2, 1, 0]


def test_outcomes_per_arm_are_means():
    class Kept(ODM):
        def observe(self, outcomes):
            self.heard = per_arm(outcomes, self.groups.locate(outcomes.tasks))

    teacher = Kept(POOL, seed=0)
    hear(teacher, [3, 7, 4, 8], [1.0, 4.0, 3.0, 6.0], [1, 0, 0, 0])
    assert teacher.heard.tasks.tolist() == [0, 2]
    assert teacher.heard.score.tolist() == [-5.0, -2.0]
    assert teacher.heard.success.tolist() == [0.0, 0.5]
    assert teacher.heard.proposal.tolist() == [1, 0]


@pytest.mark.parametrize("cls", ALL)
def test_a_pool_without_groups_is_explained(cls):
    assert "groups" in cls.privileges
    with pytest.raises(ValueError, match="groups"):
        cls(TaskSpace(spaces.Discrete(5)), seed=0)


# ODM


def test_odm_by_hand():
    teacher = ODM(POOL, seed=0, update="smoothed")
    assert teacher.chances(0.0) == pytest.approx(np.full(3, 1 / 3))
    hear(teacher, [3, 4, 7], [1.0, 3.0, 6.0])
    # Chances were a third: rewards 0.1 · 2 / (1/3) for arm 2 and 0.1 · 6 / (1/3) for arm 0.
    assert teacher.rewards == pytest.approx([1.8, 0.0, 0.6])
    for _ in range(9):
        hear(teacher, np.empty(0, dtype=int), [])
    assert teacher.reports == 1
    teacher.reports = 10
    least, before = np.sqrt(np.log(3) / 30), np.sqrt(np.log(3) / 27)
    weights = np.exp(before * teacher.rewards)
    expected = (1 - 3 * least) * weights / weights.sum() + least
    assert teacher.chances(0.0) == pytest.approx(expected)
    chance = expected[1]
    hear(teacher, [16], [2.0])
    assert teacher.rewards[1] == pytest.approx(0.1 * 2.0 / chance)
    total = ODM(POOL, seed=0)
    hear(total, [16], [2.0])
    assert total.rewards == pytest.approx([0, 2.0 * 3 / 10, 0])


def test_odm_seeks_the_group_of_noise():
    """Group 1 is pure label noise: its loss stays, and the mixer goes there."""
    task = Clouds(noise=0.0, groups=np.repeat([0, 1], 200))
    rng = np.random.default_rng(0)
    task.label = np.where(task.group == 1, rng.integers(4, size=400), task.label)
    late = {
        update: (task.group[Lesson(ODM, task, total=12_000, update=update).tasks[-4000:]] == 1)
        for update in ("sum", "smoothed")
    }
    assert late["sum"].mean() > 0.57 > 0.54 > late["smoothed"].mean() > 0.49


# TSCL and EXP3.S


def test_tscl_hears_one_score_per_group_and_report():
    teacher = TSCLGroups(POOL, seed=0, variant="online")
    hear(teacher, [3, 4, 7], [1.0, 3.0, 6.0])
    hear(teacher, [5, 8, 9], [1.0, 3.0, 3.0])
    assert teacher.heard.tolist() == [2, 0, 2]
    assert teacher.values == pytest.approx([0.1 * 3.0, 0, 0.1 * 1.0])


def test_tscl_concentrates_on_the_only_learnable_group():
    teacher = TSCLGroups(POOL, seed=0, variant="window", window=5)
    for step in range(40):
        tasks = teacher.propose(30, 0.0).tasks
        arms = teacher.groups.locate(tasks)
        hear(teacher, tasks, np.where(arms == 1, 4.0 - step / 20, 1.0))
    assert shares(teacher)[1] > 0.85
    with pytest.raises(ValueError, match="naive"):
        TSCLGroups(POOL, seed=0, variant="naive")


def test_exp3s_concentrates_on_the_group_that_gains():
    teacher = EXP3SGroups(POOL, seed=0, eta=0.05)
    assert shares(teacher) == pytest.approx(np.full(3, 1 / 3), abs=0.04)
    rng = np.random.default_rng(0)
    for _ in range(150):
        tasks = teacher.propose(30, 0.0).tasks
        gain = (teacher.groups.locate(tasks) == 0) * 0.5 + rng.normal(0, 0.1, 30)
        hear(teacher, tasks, np.ones(30), loss_after=1 - gain)
    assert shares(teacher)[0] > 0.7


def test_one_update_of_exp3s_by_hand():
    teacher = EXP3SGroups(POOL, seed=0, eta=0.1, scaling="range")
    teacher.propose(3, 0.0)
    before = teacher.weights.copy()
    hear(teacher, [3, 4], [2.0, 2.0], loss_after=[2.0, 1.0])  # a first reward has no unit: 0
    assert np.allclose(teacher.weights, before)
    hear(teacher, [3, 4], [2.0, 2.0], loss_after=[1.0, 0.0])  # the largest of two: +1
    grown = np.array([0.0, 0.0, 0.1 * 3])
    weights = np.exp(grown - grown.max())
    expected = np.log(2 / 3 * weights + 1 / 3 * weights.mean())
    assert teacher.weights == pytest.approx(expected - expected.max())


@pytest.mark.parametrize(
    ("cls", "options", "asked"), [(EXP3SGroups, {}, 1), (TSCLGroups, {"variant": "window"}, 0)]
)
def test_bandits_begin_with_the_group_that_can_be_learned(cls, options, asked):
    """Through the loop; the second group is pure label noise, which nobody learns quickly."""
    task = Clouds(noise=0.0, groups=np.repeat([0, 1], 200))
    rng = np.random.default_rng(0)
    task.label = np.where(task.group == 1, rng.integers(4, size=400), task.label)
    lessons = [Lesson(cls, task, total=8000, seed=seed, **options) for seed in (0, 1, 2)]
    early = [(task.group[lesson.tasks[:2000]] == 0).mean() for lesson in lessons]
    assert np.mean(early) > 0.54
    assert all(lesson.accuracy > 0.9 for lesson in lessons)
    assert all(lesson.ledger.forward == asked * len(lesson.tasks) for lesson in lessons)


# Mixes made by hand


@pytest.mark.parametrize(
    ("form", "second", "third"),
    [
        ("naive", [0, 1, 0], [0, 0, 1]),
        ("mixed", [1 / 2, 1 / 2, 0], [1 / 3, 1 / 3, 1 / 3]),
        ("combined", [1 / 4, 3 / 4, 0], [1 / 6, 1 / 6, 4 / 6]),
    ],
)
def test_mixtures_of_the_stages(form, second, third):
    teacher = HandMadeMix(POOL, seed=0, form=form, window=4, threshold=0.75)
    assert teacher.chances(0.0).tolist() == [1, 0, 0]
    hear(teacher, [7, 8, 9, 3], np.ones(4), [1, 1, 1, 0])  # three of its own group: too few
    assert teacher.stage == 0
    hear(teacher, [7], [1.0], [0])
    assert teacher.stage == 1 and teacher.chances(0.0) == pytest.approx(second)
    hear(teacher, [16] * 3, np.ones(3), np.ones(3))  # answers of the stage before do not count
    assert teacher.stage == 1
    hear(teacher, [16] * 8, np.ones(8), [1, 1, 1, 1, 1, 0, 0, 1])  # the last four count: one half
    assert teacher.stage == 1
    hear(teacher, [16] * 4, np.ones(4), [1, 1, 1, 1])
    assert teacher.stage == 2 and teacher.chances(0.0) == pytest.approx(third)
    hear(teacher, [3] * 4, np.ones(4), np.ones(4))
    assert teacher.stage == 3 and teacher.chances(0.0) == pytest.approx(np.full(3, 1 / 3))


@pytest.mark.parametrize("cls", [HandMadeMix, MixNaive, MixMixed])
def test_stages_go_on_where_groups_are_learnable_and_stop_where_not(cls):
    task = Clouds(noise=0.0, groups=np.arange(400) // 100)
    assert Lesson(cls, task).teacher.stage == 4
    rng = np.random.default_rng(0)
    task.label = np.where(task.group == 1, rng.integers(4, size=400), task.label)
    assert Lesson(cls, task, window=256).teacher.stage == 1


# Schedules


def test_scheduled_mixtures_by_hand():
    teacher = ScheduledMixture(POOL, seed=0, begin=0.2, end=0.6)
    assert teacher.chances(0.1) == pytest.approx([1, 0, 0])
    assert teacher.chances(0.4) == pytest.approx([2 / 3, 1 / 4, 1 / 12])
    assert teacher.chances(0.9) == pytest.approx([1 / 3, 1 / 2, 1 / 6])
    late = ScheduledMixture(POOL, seed=0, before=[1, 1, 0], after=[0, 0, 5], begin=0.9, end=0.9)
    assert shares(late, 0.89) == pytest.approx([0.5, 0.5, 0], abs=0.04)
    assert shares(late, 0.9).tolist() == [0, 0, 1]


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (ODM, "update", "max"),
        (ODM, "smoothing", 1.0),
        (EXP3SGroups, "eta", 0.0),
        (TSCLGroups, "window", 1),
        (HandMadeMix, "form", "mix"),
        (HandMadeMix, "threshold", 1.5),
        (HandMadeMix, "window", 0),
        (ScheduledMixture, "before", [1.0, 2.0]),
        (ScheduledMixture, "after", [0.0, 0.0, 0.0]),
        (ScheduledMixture, "begin", 0.7),
    ],
)
def test_options_out_of_range(cls, option, value):
    with pytest.raises(ValueError, match=option):
        cls(POOL, seed=0, **{option: value})

"""Pacing functions and the subsets they pace."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from teachers.base import TaskSpace
from teachers.ordered import EasyFirst
from teachers.paced_subset import (
    BabyStep,
    Competence,
    FixedExponential,
    LocalToGlobal,
    PacedSubset,
)
from teachers.pacing import PACINGS, Pacing
from teachers.pool import drawn_without_replacement
from teachers.schedules import PACES, Pace, cycle, mix
from teachers.self_taught import SCORES, FirstLearned, Forgetting, SelfTaught
from tests.clouds import Clouds, Lesson, hear


def pool(n=50, classes=5, start=0):
    rng = np.random.default_rng(7)
    space = spaces.Discrete(n, start=start)
    return TaskSpace(space, label=rng.integers(classes, size=n), prior=rng.random(n))


def whole_pass(teacher, progress):
    """What one pass at ``progress`` holds; the teacher must be between two passes."""
    teacher.queue = np.empty(0, dtype=np.int64)
    return set(teacher.propose(1, progress).tasks) | set(teacher.queue + teacher.first)


# Schedules


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("competence", np.sqrt(0.5 * (1 - 0.04) + 0.04)),
        ("power", (0.2**3 + (1 - 0.2**3) / 2) ** (1 / 3)),
        ("geometric", np.sqrt(0.2)),
        ("baby_step", 0.2 + 0.8 * 2 / 4),  # of four stages two are over
    ],
)
def test_half_way_to_the_end(name, share):
    pace = Pace(name, 0.2, 0.5, power=3.0, stages=4)
    assert pace.share(0.25) == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("name", PACES)
def test_shares_grow_from_start_to_everything(name):
    pace = Pace(name, 0.1, 0.4)
    sizes = [pace.size(progress, 200) for progress in np.linspace(0, 1, 101)]
    assert sizes[0] == 20 and sizes[40:] == [200] * 61 and sizes == sorted(sizes)


@pytest.mark.parametrize("name", PACINGS)
def test_the_older_curves_are_the_same(name):
    ours, theirs = Pace(name, 0.04, 0.6, 0.9), Pacing(name, 0.04, 0.6, 0.9)
    grid = np.linspace(0, 1, 57)
    assert [ours.size(x, 988) for x in grid] == [theirs.size(x, 988) for x in grid]


def test_stages_of_baby_step_begin_on_time():
    pace = Pace("baby_step", 0.2, 0.5, stages=5)
    # 0.3 / 0.5 · 5 is 2.9999999999999996 in floating point.
    assert [pace.share(x) for x in (0.1, 0.3, 0.4)] == pytest.approx([0.36, 0.68, 0.84])


def test_cycles_of_the_paper():
    assert cycle(0.25, 1.0, 0.5).tolist() == [0.25, 0.5, 1.0, 0.5]
    assert cycle(0.5, 1.0, 0.5).tolist() == [0.5, 1.0]
    assert cycle(0.3, 0.3, 0.5).tolist() == [0.3]
    assert cycle(0.4, 1.0, 0.5) == pytest.approx([0.4, 0.8, 1.0, 0.8])


@pytest.mark.parametrize(
    "wrong", [{"start": 0.0}, {"start": 0.9, "end": 0.5}, {"factor": 1.0}, {"end": 1.5}]
)
def test_cycles_out_of_range(wrong):
    with pytest.raises(ValueError, match=r"start|end|factor"):
        cycle(**{"start": 0.25, "end": 1.0, "factor": 0.5, **wrong})


def test_mix_by_hand():
    assert [mix(x, 2.0, 4.0) for x in (-1, 0, 0.25, 1, 2)] == [2, 2, 2.5, 4, 4]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("pacing", "linaer"),
        ("order", "anti_curr"),
        ("start", 0.0),
        ("end", float("nan")),
        ("cap", 2.0),
        ("power", 0.0),
        ("stages", 0),
    ],
)
def test_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        PacedSubset(pool(), seed=0, **{option: value})


# Drawing without replacement


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_draws_are_distinct_and_prefer_what_has_a_chance(count, seed):
    chances = np.array([0.0] * 6 + [1e-300, 1.0, 5.0, 1e300, 2.0, 3.0])
    drawn = drawn_without_replacement(count, chances, np.random.default_rng(seed))
    assert len(set(drawn)) == count
    assert set(drawn[:6]) <= set(range(6, 12))


def test_first_draws_follow_the_chances():
    rng, chances = np.random.default_rng(0), np.array([1.0, 2.0, 7.0])
    firsts = [drawn_without_replacement(1, chances, rng)[0] for _ in range(4000)]
    assert np.bincount(firsts) / 4000 == pytest.approx([0.1, 0.2, 0.7], abs=0.03)


# Paced subsets


@pytest.mark.parametrize(("order", "sign"), [("easy", 1), ("anti", -1)])
def test_the_first_pass_is_the_easiest_or_hardest(order, sign):
    space = pool()
    teacher = PacedSubset(space, seed=0, order=order, start=0.2, balanced=False)
    assert whole_pass(teacher, 0.0) == set(np.argsort(sign * space.prior)[:10])
    assert whole_pass(teacher, 0.25) == set(np.argsort(sign * space.prior)[:30])
    assert whole_pass(teacher, 0.5) == set(range(50))


def test_the_general_teacher_holds_the_control_and_the_older_ones():
    space = pool()
    ours, theirs = PacedSubset(space, seed=3), EasyFirst(space, seed=3)
    for progress in np.linspace(0, 1, 20):
        assert np.array_equal(ours.propose(9, progress).tasks, theirs.propose(9, progress).tasks)
    random = PacedSubset(space, seed=3, order="random", start=0.2)
    first = whole_pass(random, 0.0)
    assert len(first) == 10 and first < whole_pass(random, 0.25)
    assert first != whole_pass(PacedSubset(space, seed=3, start=0.2), 0.0)


def test_competence_starts_with_one_percent_and_grows_like_a_root():
    space = pool(1000)
    teacher, easiest = Competence(space, seed=0), np.argsort(space.prior)
    assert whole_pass(teacher, 0.0) == set(easiest[:10])
    expected = int(np.ceil(1000 * np.sqrt(0.5 * (1 - 0.01**2) + 0.01**2)))
    assert whole_pass(teacher, 0.25) == set(easiest[:expected])


def test_baby_steps_are_equal_buckets():
    teacher = BabyStep(pool(), seed=0, stages=5, end=0.5)
    times = (0.0, 0.12, 0.13, 0.26, 0.38, 0.5)
    assert [len(whole_pass(teacher, time)) for time in times] == [10, 10, 20, 30, 40, 50]
    with pytest.raises(ValueError, match="stages"):
        BabyStep(pool(), seed=0, stages=1)


def test_fixed_exponential_stages():
    teacher = FixedExponential(pool(1000), seed=0)
    middles = [0.17 * (stage + 0.5) / 6 for stage in range(7)]
    sizes = [len(whole_pass(teacher, time)) for time in middles]
    assert sizes == [40, 76, 145, 275, 522, 991, 1000]


def test_local_to_global_adds_whole_classes():
    space = TaskSpace(spaces.Discrete(50, start=3), label=np.arange(50) % 5)
    teacher = LocalToGlobal(space, seed=0)
    seen = [
        {(item - 3) % 5 for item in whole_pass(teacher, time)} for time in (0.0, 0.09, 0.1, 0.2)
    ]
    assert [len(classes) for classes in seen] == [2, 2, 4, 5]
    assert seen[0] == seen[1] < seen[2]
    orders = {tuple(LocalToGlobal(space, seed=seed).classes) for seed in range(20)}
    assert len(orders) > 10
    assert teacher.propose(200, 1.0).tasks.min() == 3
    with pytest.raises(ValueError, match="label"):
        LocalToGlobal(TaskSpace(spaces.Discrete(5)), seed=0)


def test_a_missing_prior_is_explained():
    with pytest.raises(ValueError, match="prior"):
        PacedSubset(TaskSpace(spaces.Discrete(5)), seed=0)


# Orders from the student's own first passes


def test_scores_by_hand():
    # Item by item what four visits said: always right; learned at 3; forgotten twice; never right.
    visits = np.array([[1, 1, 1, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]])
    teachers = {name: SelfTaught(pool(4), seed=0, score=name) for name in SCORES}
    for teacher in teachers.values():
        for number, success in enumerate(visits.T):
            hear(teacher, np.arange(4), np.array([1, 4, 3, 2]) / (number + 1), success)
    scores = {name: teacher.difficulty().tolist() for name, teacher in teachers.items()}
    assert scores["loss"] == [0.25, 1.0, 0.75, 0.5]
    assert scores["first_learned"] == [1, 3, np.inf, np.inf]
    assert scores["forgetting"] == [0, 0, 2, np.inf]
    assert scores["accuracy"] == [-1.0, -0.5, -0.5, 0.0]


def test_a_repeated_item_counts_twice_in_one_batch():
    teacher = Forgetting(pool(3), seed=0)
    hear(teacher, [1, 1, 1, 1], [1, 2, 3, 4], [1, 0, 1, 0])
    assert teacher.forgotten.tolist() == [0, 2, 0] and teacher.visits.tolist() == [0, 4, 0]
    assert teacher.losses[1] == 4.0


def test_the_order_is_made_once_after_the_warm_up():
    teacher = SelfTaught(pool(), seed=0, start=0.2, warm_up=0.2, end=0.6, balanced=False)
    losses = np.random.default_rng(0).random(50)
    assert whole_pass(teacher, 0.19) == set(range(50))
    hear(teacher, np.arange(50), losses)
    assert whole_pass(teacher, 0.2) == set(np.argsort(losses)[:10])
    hear(teacher, np.arange(50), -losses)  # too late
    assert whole_pass(teacher, 0.4) == set(np.argsort(losses)[:30])
    assert whole_pass(teacher, 0.6) == set(range(50))
    anti = SelfTaught(pool(), seed=0, start=0.2, order="anti", balanced=False)
    hear(anti, np.arange(50), losses)
    assert whole_pass(anti, 0.2) == set(np.argsort(-losses)[:10])


@pytest.mark.parametrize(
    ("option", "value"),
    [("score", "los"), ("order", "random"), ("warm_up", 0.0), ("end", 0.2), ("pacing", "x")],
)
def test_self_taught_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        SelfTaught(pool(), seed=0, **{option: value})


@pytest.mark.parametrize("cls", [SelfTaught, FirstLearned, Forgetting])
def test_own_scores_find_wrong_labels(cls):
    """On separable clouds the last to be learned are mislabelled: the first share is clean."""
    lesson = Lesson(cls, Clouds(), warm_up=0.6, start=0.5, end=2.0, pacing="step")
    assert len(np.unique(lesson.tasks[-200:])) >= 150
    assert lesson.wrong_share(1000) < 0.1
    control = Lesson(cls, Clouds(), warm_up=0.6, start=0.5, end=2.0, pacing="step", order="anti")
    assert control.wrong_share(1000) > 0.6
    assert lesson.accuracy > control.accuracy + 0.2

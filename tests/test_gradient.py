"""GRADIENT: stages between two sets of points, and when the next one begins."""

import itertools
import warnings

import numpy as np
import pytest
from gymnasium import spaces
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.gradient import GRADIENT
from teachers.uniform import Uniform
from tests.frontier import Frontier, square
from tests.frontier import teach as practise


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


def around(*task, std=0.05):
    return np.array(task, float), np.full(len(task), std)


CORNERS = Knowledge(initial=around(0.2, 0.2), target=around(0.8, 0.8))


def tell(teacher, number, success, returns=None):
    """Report on the proposals with these numbers."""
    number = np.asarray(number)
    success = np.broadcast_to(np.asarray(success, float), len(number))
    returns = success if returns is None else np.asarray(returns, float)
    tasks = np.zeros((len(number), teacher.goals.shape[1]))
    teacher.observe(Outcomes(number, tasks, returns, success, np.ones(len(number), int)))


def wasserstein(one, other):
    """The exact 2-Wasserstein distance of two sets of equal size."""
    cost = cdist(one, other) ** 2
    return np.sqrt(cost[linear_sum_assignment(cost)].mean())


# The stages


def test_stages_by_hand():
    teacher = GRADIENT(square(), seed=0, particles=2, stages=4)
    teacher.start, teacher.goals = np.array([[0.0, 0.4], [0.2, 0.0]]), np.array([[1.0, 0.0]] * 2)
    for stage, wanted in ((1, [[0.25, 0.3], [0.4, 0.0]]), (4, [[1.0, 0.0]] * 2)):
        teacher.stage = stage
        np.testing.assert_allclose(teacher.positions, wanted)


def test_each_stage_goes_its_share_of_the_way_that_is_left():
    teacher = GRADIENT(square(), seed=0, stages=5)
    where = teacher.positions
    for stage in range(1, 6):
        where = where + (teacher.goals - where) / (5 - stage + 1)  # α_i = 1 / (K - i + 1)
        teacher.stage = stage
        np.testing.assert_allclose(teacher.positions, where)


def test_stages_are_equally_spaced_and_the_last_is_the_target():
    teacher = GRADIENT(square(), seed=0, stages=5, knowledge=CORNERS)
    stages = []
    for teacher.stage in range(6):
        stages.append(teacher.positions)
    whole = wasserstein(stages[0], stages[-1])
    np.testing.assert_allclose(
        [wasserstein(a, b) for a, b in itertools.pairwise(stages)], whole / 5
    )
    np.testing.assert_array_equal(stages[-1], teacher.goals)
    assert len(np.unique(stages[-1], axis=0)) == 100


def test_pairs_are_matched_with_the_least_squared_distances():
    teacher = GRADIENT(square(), seed=0, particles=60)
    cost = cdist(teacher.start, teacher.goals) ** 2
    assert np.trace(cost) == pytest.approx(cost[linear_sum_assignment(cost)].sum())
    assert np.trace(cost) < 0.95 * cost.mean() * 60  # which any matching has on average


def test_start_and_target_are_told_or_easy_and_uniform():
    told = GRADIENT(square(), seed=0, particles=500, knowledge=CORNERS)
    for points, mean in ((told.start, 0.2), (told.goals, 0.8)):
        assert points.mean(axis=0) == pytest.approx([mean] * 2, abs=0.01)
        assert points.std(axis=0) == pytest.approx([0.05] * 2, abs=0.01)
    space = box([0, -4], [10, 4])
    untold = GRADIENT(space, seed=0, particles=500)
    assert np.abs(untold.particles - [0, -4]).mean(axis=0) == pytest.approx([0.4, 0.32], rel=0.15)
    assert np.histogram(untold.goals[:, 0], 4, (0, 1))[0].min() > 90
    middle = GRADIENT(TaskSpace(space.space, default=np.array([5.0, 0.0])), seed=0, particles=500)
    assert middle.particles.mean(axis=0) == pytest.approx([5, 0], abs=0.2)


def test_tasks_are_the_points_of_the_stage():
    teacher = GRADIENT(square(), seed=0, particles=5, knowledge=CORNERS)
    for stage in (0, 2, 5):
        teacher.stage = stage
        tasks = teacher.propose(400, 0.0).tasks
        np.testing.assert_allclose(np.unique(tasks, axis=0), np.unique(teacher.particles, axis=0))
        assert np.unique(tasks, axis=0, return_counts=True)[1].min() > 50


# When the next stage begins


@pytest.mark.parametrize(
    ("success", "stage"),
    [
        ([1, 0] * 5, 1),  # half of them
        ([1] * 4 + [0] * 6, 0),
        ([1] * 9, 0),  # too few to tell
        ([1] * 4 + [0] * 6 + [1] * 9, 0),  # forgotten after a decision
        ([1] * 4 + [0] * 6 + [1] * 10, 1),
        ([1] * 30, 1),  # of the first stage, all of them
    ],
)
def test_a_stage_is_left_when_its_mean_reaches_the_threshold(success, stage):
    teacher = GRADIENT(square(), seed=0, update_every=10)
    teacher.propose(40, 0.0)
    tell(teacher, np.arange(len(success)), success)
    assert teacher.stage == stage


def test_the_mean_return_counts_where_a_threshold_is_told():
    told = Knowledge(return_range=(-150.0, 350.0))  # 180
    for options in ({"threshold": 180.0}, {"knowledge": told}):
        for returns, stage in (([0, 359.9], 0), ([0, 360.1], 1)):
            teacher = GRADIENT(square(), seed=0, update_every=2, **options)
            teacher.propose(2, 0.0)
            tell(teacher, [0, 1], 0, returns)
            assert teacher.stage == stage


def test_episodes_of_an_earlier_stage_do_not_count():
    teacher = GRADIENT(square(), seed=0, update_every=10)
    teacher.propose(25, 0.0)
    tell(teacher, np.arange(10), 1)
    tell(teacher, np.arange(10, 25), 1)
    assert teacher.stage == 1
    teacher.propose(20, 0.0)
    tell(teacher, np.arange(25, 45)[::-1], 1)
    assert teacher.stage == 2


def test_a_stage_that_is_not_mastered_ends_with_its_time():
    teacher, stages = GRADIENT(square(), seed=0, stages=3, stage_share=0.2), []
    for progress in (0.0, 0.19, 0.21, 0.3, 0.4, 0.42, 0.61, 0.63, 0.99, 1.0):
        teacher.propose(1, progress)
        stages.append(teacher.stage)
    assert stages == [0, 0, 1, 1, 1, 2, 2, 3, 3, 3]


def test_the_time_of_a_stage_begins_when_it_does():
    teacher = GRADIENT(square(), seed=0, update_every=1, stage_share=0.2)
    teacher.propose(1, 0.15)
    tell(teacher, [0], 1)
    assert teacher.stage == 1
    teacher.propose(1, 0.34)
    assert teacher.stage == 1
    teacher.propose(1, 0.36)
    assert teacher.stage == 2


def test_the_last_stage_stays():
    teacher = GRADIENT(square(), seed=0, update_every=1, stages=2)
    for number in range(5):
        teacher.propose(1, 0.0)
        tell(teacher, [number], 1)
    assert teacher.stage == 2


# What the student gets


def test_tasks_follow_the_skill_of_the_student():
    student, teacher = Frontier(), GRADIENT(square(), seed=0, stage_share=1.0)
    mean, skill = [], []
    for start in range(0, 3200, 80):
        proposals = practise(teacher, student, 80, start=start)
        mean.append(1.2 * np.concatenate([p.tasks for p in proposals]).mean())
        skill.append(student.skill)
    assert np.corrcoef(mean, skill)[0, 1] > 0.8 and mean[0] < 0.2 < 0.5 < mean[-1]
    control = Frontier()
    practise(Uniform(square(), seed=0), control, 3200)
    assert student.skill > 2 * control.skill


def test_it_waits_at_a_frontier_until_its_time_is_over():
    """The method itself does not avoid what cannot be learned."""
    shares = {}
    for stage_share in (1.0, 0.1):
        student = Frontier(ceiling=0.4)
        teacher = GRADIENT(square(), seed=0, stage_share=stage_share)
        proposals = practise(teacher, student, 3200)
        tasks = np.concatenate([proposal.tasks for proposal in proposals[150:]])
        shares[stage_share] = np.mean(1.2 * tasks.mean(axis=1) > 0.5)
    uniform = np.mean(1.2 * np.random.default_rng(0).random((5000, 2)).mean(axis=1) > 0.5)
    assert shares[1.0] < 0.85 * uniform < 0.95 * uniform < shares[0.1]


def test_dimensions_without_width_are_left_out():
    teacher = GRADIENT(box([2, 0], [2, 1]), seed=0)
    assert teacher.goals.shape == (100, 1) and (teacher.propose(9, 0.0).tasks[:, 0] == 2).all()
    assert (GRADIENT(box([2, 0], [2, 0]), seed=0).propose(9, 0.0).tasks == [2, 0]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e12, 1.7e308])
def test_extreme_returns(scale):
    teacher = GRADIENT(square(), seed=0, threshold=0.0)
    teacher.propose(200, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tell(teacher, np.arange(50), 0, np.full(50, -scale))
        assert teacher.stage == 0
        tell(teacher, np.arange(50, 100), 0, np.full(50, scale))
    assert teacher.stage == 1


def test_bundling_does_not_matter():
    success = np.random.default_rng(0).random(300) < 0.5
    whole, split = (GRADIENT(square(), seed=0, update_every=20) for _ in range(2))
    for teacher in (whole, split):
        teacher.propose(300, 0.0)
    tell(whole, np.arange(300), success)
    for start, stop in ((0, 1), (1, 1), (1, 170), (170, 300)):
        tell(split, np.arange(start, stop), success[start:stop])
    assert whole.stage == split.stage == 1 and len(whole.waiting) == len(split.waiting)


@pytest.mark.parametrize("episodes", [0, 500, 1600])
def test_saved_teachers_continue_exactly(episodes):
    students = Frontier(), Frontier()
    teachers = [GRADIENT(square(), seed=seed, update_every=30) for seed in (0, 5)]
    practise(teachers[0], students[0], episodes)
    practise(teachers[1], students[1], 700)
    students[1].__dict__.update(students[0].__dict__, rng=np.random.default_rng(7))
    students[0].rng = np.random.default_rng(7)
    teachers[1].load_state_dict(teachers[0].state_dict())
    pairs = zip(teachers, students, strict=True)
    ours, theirs = (practise(*pair, episodes + 900, start=episodes) for pair in pairs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.tasks, other.tasks)
    assert teachers[0].stage == teachers[1].stage > 0


def test_saved_teachers_know_when_their_stage_began():
    teacher, other = (GRADIENT(square(), seed=0, update_every=1, stage_share=0.2) for _ in range(2))
    teacher.propose(1, 0.15)
    tell(teacher, [0], 1)
    other.load_state_dict(teacher.state_dict())
    for progress, stage in ((0.34, 1), (0.36, 2)):
        other.propose(1, progress)
        assert other.stage == stage


@pytest.mark.parametrize(
    "options",
    [
        {"stages": 0},
        {"particles": 0},
        {"update_every": 0},
        {"stage_share": 0.0},
        {"stage_share": np.nan},
        {"threshold": np.nan},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GRADIENT(square(), seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        GRADIENT(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

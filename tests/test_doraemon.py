"""DORAEMON: how its distribution widens and steps back, and what the student gets."""

import itertools
import warnings

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.betas import kl
from teachers.doraemon import DORAEMON, OPEN
from teachers.uniform import Uniform
from tests.frontier import Frontier, square
from tests.frontier import teach as practise


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


def tell(teacher, numbers, tasks, success):
    n = len(numbers)
    success = np.broadcast_to(np.asarray(success, float), n)
    teacher.observe(Outcomes(np.asarray(numbers), tasks, success, success, np.ones(n, int)))


def teach(teacher, succeeds, updates):
    """Propose and tell; ``succeeds`` maps tasks (n, D) to facts (n,); the distributions after."""
    states = [teacher.distribution]
    for _ in range(updates):
        first, tasks = teacher.proposed, teacher.propose(teacher.update_every, 0.5).tasks
        tell(teacher, np.arange(first, teacher.proposed), tasks, succeeds(tasks))
        states.append(teacher.distribution)
    return states


def always(tasks):
    return np.ones(len(tasks))


def never(tasks):
    return np.zeros(len(tasks))


# The teacher


def test_it_starts_at_the_told_or_the_easiest_task():
    low, high = np.array([0.0, -4.0]), np.array([10.0, 4.0])
    space = box(low, high)
    default = TaskSpace(space.space, default=np.array([10.0, 0.0]))
    told = Knowledge(initial=(np.array([3.0, 0.0]), np.array([1.0, 0.4])))
    for options, mode, std in (
        ({"task_space": space}, [0, 0], [0.0096, 0.0096]),
        ({"task_space": default}, [1, 0.5], [0.0096, 0.0493]),
        ({"task_space": space, "concentration": 10.0}, [0, 0], [0.0767, 0.0767]),
        ({"task_space": space, "knowledge": told}, [0.3, 0.5], [0.1, 0.05]),
    ):
        teacher = DORAEMON(seed=0, **options)
        tasks = (teacher.propose(4000, 0.0).tasks - low) / (high - low)
        a, b = teacher.parameters
        np.testing.assert_allclose((a - 1) / (a + b - 2), mode, atol=1e-9)
        np.testing.assert_allclose(tasks.std(axis=0), std, rtol=0.06)


def test_entropy_rises_within_the_trust_region_until_tasks_are_uniform():
    for epsilon in (0.1, 0.02):
        teacher = DORAEMON(square(), seed=0, epsilon=epsilon)
        states = teach(teacher, always, 60)
        steps = [kl(p, q) for p, q in itertools.pairwise(states)]
        entropy = [state.entropy() for state in states]
        assert max(steps) <= epsilon and np.mean(steps[:10]) > 0.95 * epsilon
        assert (np.diff(entropy) >= 0).all() and entropy[15] > entropy[0] + 1
    entropy = teach(DORAEMON(square(), seed=0), always, 40)[-1].entropy()
    assert entropy == pytest.approx(0, abs=0.01)


def test_nothing_changes_before_the_rate_was_reached_once():
    teacher = DORAEMON(square(), seed=0)
    states = teach(teacher, lambda tasks: np.arange(len(tasks)) < 49, 5)
    assert teacher.updates == 0 and states[-1].entropy() == states[0].entropy()
    assert not teacher.reached
    teach(teacher, lambda tasks: np.arange(len(tasks)) < 50, 1)
    assert teacher.reached and teacher.updates == 1
    eager = DORAEMON(square(), seed=0, train_until=False)
    states = teach(eager, lambda tasks: tasks[:, 0] < np.quantile(tasks[:, 0], 0.3), 3)
    assert eager.updates == 3 and states[-1].b[0] > states[0].b[0]  # towards what succeeds
    assert teach(eager, never, 3)[-1].entropy() == states[-1].entropy()


def test_where_too_much_fails_it_steps_back():
    teacher = DORAEMON(square(), seed=0)
    wide = teach(teacher, always, 20)[-1]

    def easy(tasks):
        return tasks.sum(axis=1) < 0.3

    states = teach(teacher, easy, 20)
    steps = [kl(p, q) for p, q in itertools.pairwise(states)]
    assert max(steps) <= 0.1 and states[-1].entropy() < wide.entropy() - 0.5
    rates = [easy(state.sample(4000, np.random.default_rng(0))).mean() for state in states]
    assert rates[0] < 0.3 and rates[-1] == pytest.approx(0.5, abs=0.1)


def test_late_outcomes_count_with_the_density_of_their_draw():
    teacher = DORAEMON(square(), seed=0, update_every=50)
    old = teacher.propose(80, 0.0).tasks
    drawn = teacher.distribution
    tell(teacher, np.arange(50), old[:50], 1)
    assert teacher.updates == 1
    new = teacher.propose(10, 0.0).tasks
    tell(teacher, np.r_[50:80, 80:90][::-1], np.concatenate([old[50:], new])[::-1], 1)
    points, density = teacher.waiting[::-1, :2], teacher.waiting[::-1, 2]
    np.testing.assert_allclose(density[:30], drawn.log_density(points[:30]), rtol=1e-6)
    np.testing.assert_allclose(density[30:], teacher.distribution.log_density(points[30:]), 1e-6)


def test_outcomes_of_unknown_proposals_are_left_out():
    teacher = DORAEMON(square(), seed=0, update_every=50)
    tasks = teacher.propose(10, 0.0).tasks
    tell(teacher, np.arange(10, 30), np.zeros((20, 2)), 1)
    assert len(teacher.waiting) == 0
    for _ in range(OPEN // 1000):
        teacher.propose(1000, 0.0)
    tell(teacher, np.arange(10), tasks, 1)  # overwritten by the latest 10,000
    assert len(teacher.waiting) == 0
    tell(teacher, np.arange(10, 30), np.zeros((20, 2)), 1)
    assert len(teacher.waiting) == 20


# What the student gets


def test_tasks_follow_the_skill_of_the_student():
    student, teacher = Frontier(), DORAEMON(square(), seed=0)
    mean, skill = [], []
    for start in range(0, 4800, 96):
        proposals = practise(teacher, student, 96, start=start)
        mean.append(1.2 * np.concatenate([p.tasks for p in proposals]).mean())
        skill.append(student.skill)
    assert np.corrcoef(mean, skill)[0, 1] > 0.8 and mean[0] < 0.05 < 0.4 < mean[-1]
    control = Frontier()
    practise(Uniform(square(), seed=0), control, 4800)
    assert student.skill > 1.5 * control.skill


@pytest.mark.parametrize("alpha", [0.5, 0.9])
def test_at_most_the_allowed_share_lies_in_an_unlearnable_region(alpha):
    teacher = DORAEMON(square(), seed=0, alpha=alpha)
    states = teach(teacher, lambda tasks: tasks[:, 0] < 0.3, 60)
    beyond = [np.mean(state.sample(2000, np.random.default_rng(0))[:, 0] > 0.3) for state in states]
    assert np.mean(beyond[30:]) == pytest.approx(1 - alpha, abs=0.07)  # of 0.7 in the box
    assert states[-1].b[1] < 1.3  # the dimension that does not matter is used as a whole


def test_it_cannot_follow_an_oblique_band():
    """Independent dimensions with one mode each leave the band or shrink; CURROT follows it."""
    teacher = DORAEMON(square(), seed=0)
    teach(teacher, lambda tasks: np.abs(tasks[:, 0] - tasks[:, 1]) < 0.15, 60)
    x, y = teacher.propose(4000, 0.5).tasks.T
    assert abs(np.corrcoef(x, y)[0, 1]) < 0.1
    assert np.mean(np.abs(x - y) > 0.2) > 0.25
    assert min(x.std(), y.std()) < 0.2


# The contract


def test_dimensions_without_width_are_left_out():
    teacher = DORAEMON(box([2, 0], [2, 1]), seed=0)
    teach(teacher, always, 3)
    assert teacher.parameters.shape == (2, 1) and teacher.updates == 3
    assert (teacher.propose(9, 0.0).tasks[:, 0] == 2).all()
    point = DORAEMON(box([2, 0], [2, 0]), seed=0)
    teach(point, always, 3)
    assert (point.propose(9, 0.0).tasks == [2, 0]).all()


def test_the_solver_stays_silent():
    rng = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1, 6):
            teacher = DORAEMON(box([0] * size, [1] * size), seed=0, update_every=30)
            teach(teacher, always, 20)
            teach(teacher, lambda tasks: rng.random(len(tasks)) < 0.5, 20)
            teach(teacher, lambda tasks: tasks[:, 0] > 0.5, 20)
    assert np.isfinite(teacher.parameters).all()


def test_bundling_does_not_matter():
    success = np.random.default_rng(0).random(700) < 0.7
    whole, split = (DORAEMON(square(), seed=0) for _ in range(2))
    tasks = whole.propose(700, 0.0).tasks
    split.propose(700, 0.0)
    tell(whole, np.arange(700), tasks, success)
    for start, stop in ((0, 1), (1, 1), (1, 270), (270, 700)):
        tell(split, np.arange(start, stop), tasks[start:stop], success[start:stop])
    assert whole.updates == split.updates > 0
    np.testing.assert_array_equal(whole.parameters, split.parameters)


@pytest.mark.parametrize("updates", [0, 4, 25])
def test_saved_teachers_continue_exactly(updates):
    def easy(tasks):
        return tasks.sum(axis=1) < 0.7

    teacher, other = (DORAEMON(square(), seed=seed) for seed in (0, 5))
    teach(teacher, easy, updates)
    tell(teacher, [teacher.proposed], teacher.propose(1, 0.0).tasks, 1)
    teach(other, always, 7)
    other.load_state_dict(teacher.state_dict())
    assert other.reached == teacher.reached == (updates > 0)
    ours, theirs = teach(other, easy, 9), teach(teacher, easy, 9)
    for one, two in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal([one.a, one.b], [two.a, two.b])
    np.testing.assert_array_equal(other.propose(9, 0.0).tasks, teacher.propose(9, 0.0).tasks)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.0},
        {"alpha": 1.1},
        {"epsilon": 0.0},
        {"epsilon": np.nan},
        {"update_every": 0},
        {"concentration": 0.0},
        {"threshold": np.nan},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        DORAEMON(square(), seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        DORAEMON(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

"""CURROT: its particles, their regression, assignment and search, and what the student gets."""

import warnings

import numpy as np
import pytest
from gymnasium import spaces
from scipy.spatial.distance import cdist

from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.currot import CURROT, NOISE
from teachers.uniform import Uniform
from tests.frontier import Frontier, square
from tests.frontier import teach as practise


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


def around(*task, std=0.05):
    return np.array(task, float), np.full(len(task), std)


CORNERS = Knowledge(initial=around(0.1, 0.1), target=around(0.9, 0.9))


def outcomes(tasks, success, returns=None, first=0):
    n = len(tasks)
    success = np.broadcast_to(np.asarray(success, float), n)
    returns = 400 * success - 100 if returns is None else np.asarray(returns, float)
    return Outcomes(np.arange(first, first + n), tasks, returns, success, np.ones(n, int))


def teach(teacher, succeeds, updates, returns=None):
    """Let the teacher propose; ``succeeds`` and ``returns`` map tasks (n, D) to facts (n,)."""
    tasks = []
    for _ in range(updates):
        tasks.append(teacher.propose(teacher.update_every, 0.5).tasks)
        told = None if returns is None else returns(tasks[-1])
        teacher.observe(outcomes(tasks[-1], succeeds(tasks[-1]), told))
    return np.concatenate(tasks) if tasks else np.empty((0, 2))


def always(tasks):
    return np.ones(len(tasks))


def never(tasks):
    return np.zeros(len(tasks))


# The teacher


def test_it_starts_from_the_told_or_the_uniform_distribution():
    told = CURROT(square(), seed=0, particles=500, knowledge=CORNERS)
    untold = CURROT(square(), seed=0, particles=500)
    assert told.positions.mean(axis=0) == pytest.approx([0.1, 0.1], abs=0.01)
    assert np.histogram(untold.positions[:, 0], 4, (0, 1))[0].min() > 90
    tasks = told.propose(1000, 0.5).tasks
    assert cdist(tasks, told.particles).min(axis=1).max() <= NOISE * np.sqrt(2)
    assert len(np.unique(tasks, axis=0)) == 1000


def test_particles_of_a_mastered_student_go_straight_to_the_target():
    teacher, gaps = CURROT(square(), seed=0, knowledge=CORNERS, particles=100), []
    for _ in range(40):
        before = teacher.positions.copy()
        teach(teacher, always, 1)
        assert np.linalg.norm(teacher.positions - before, axis=1).max() <= 0.05 * np.sqrt(2) + 1e-9
        gaps.append(np.linalg.norm(teacher.positions.mean(axis=0) - 0.9))
    assert (np.diff(gaps[:15]) < -0.03).all()
    assert teacher.positions.mean(axis=0) == pytest.approx([0.9, 0.9], abs=0.02)
    assert teacher.positions.std(axis=0) == pytest.approx([0.05, 0.05], abs=0.02)


def test_particles_stop_at_the_frontier():
    teacher = CURROT(square(), seed=0, knowledge=CORNERS, particles=100)
    tasks = teach(teacher, lambda tasks: tasks.sum(axis=1) < 0.8, 60)
    where = teacher.positions.sum(axis=1)
    assert np.quantile(where, 0.5) == pytest.approx(0.8, abs=0.05) and where.max() < 0.9
    assert tasks.sum(axis=1).max() < 1.2


def test_without_any_success_they_do_not_go_to_the_target():
    teacher = CURROT(square(), seed=0, knowledge=CORNERS, particles=100)
    teach(teacher, never, 60)
    assert not teacher.successes.reached
    assert teacher.positions.mean() < 0.65  # they wander over the whole box in search
    guided = CURROT(square(), seed=0, knowledge=CORNERS, particles=100, threshold=180.0)
    teach(guided, never, 60, lambda tasks: -100 * tasks.sum(axis=1))
    assert guided.positions.mean() < 0.25  # returns hold them where they are least bad


def test_particles_stay_where_they_restarted_while_nothing_is_good_enough(monkeypatch):
    moves = []
    monkeypatch.setattr("teachers.currot.sliced_displacement", lambda *_: moves.append(1) or 1 / 0)
    teacher = CURROT(square(), seed=0, particles=100, threshold=180.0)
    teach(teacher, never, 3, lambda tasks: 100 * tasks[:, 0])
    assert not moves and teacher.updates == 3
    with pytest.raises(ZeroDivisionError):
        teach(teacher, always, 1)


@pytest.mark.parametrize("threshold", [None, 0.99])
def test_returns_lead_to_the_first_successes(threshold):
    def near(tasks):
        return 1 - np.abs(tasks - 0.97).mean(axis=1)

    reached = []
    for returns in (near, lambda tasks: np.zeros(len(tasks))):
        teacher = CURROT(square(), seed=0, knowledge=CORNERS, particles=100, threshold=threshold)
        teach(teacher, lambda tasks: near(tasks) > 0.99, 12, returns)
        reached.append(teacher.positions.mean())
    assert reached[0] > 0.8 and reached[1] < 0.65


def test_tasks_follow_the_skill_of_the_student():
    student, teacher = Frontier(), CURROT(square(), seed=0, particles=150)
    mean, skill = [], []
    for start in range(0, 2400, 48):
        proposals = practise(teacher, student, 48, start=start)
        mean.append(1.2 * np.concatenate([p.tasks for p in proposals]).mean())
        skill.append(student.skill)
    assert np.corrcoef(mean[10:], skill[10:])[0, 1] > 0.8
    assert mean[10] < 0.35 < mean[-1]
    control = Frontier()
    practise(Uniform(square(), seed=0), control, 2400)
    assert student.skill > 2 * control.skill


def test_an_unlearnable_region_gets_less_than_its_share():
    student, teacher = Frontier(ceiling=0.4), CURROT(square(), seed=0, particles=150)
    proposals = practise(teacher, student, 2400)
    tasks = np.concatenate([proposal.tasks for proposal in proposals[75:]])
    beyond = 1.2 * np.random.default_rng(0).random((5000, 2)).mean(axis=1) > 0.5
    assert np.mean(1.2 * tasks.mean(axis=1) > 0.5) < 0.1 * beyond.mean()


def test_particles_follow_an_oblique_band():
    teacher = CURROT(square(), seed=0, particles=200)
    teach(teacher, lambda tasks: np.abs(tasks[:, 0] - tasks[:, 1]) < 0.15, 40)
    x, y = teacher.positions.T
    assert np.corrcoef(x, y)[0, 1] > 0.6 and np.quantile(np.abs(x - y), 0.9) < 0.2
    assert x.std() > 0.2


def test_units_do_not_matter():
    spaces_ = square(), box([-50, 3], [950, 3.001])
    teachers = [CURROT(space, seed=0, particles=60) for space in spaces_]
    for teacher in teachers:
        teach(teacher, lambda tasks, t=teacher: t.box.positions(tasks).sum(axis=1) < 1, 10)
    np.testing.assert_allclose(*(teacher.positions for teacher in teachers), atol=1e-6)


def test_dimensions_without_width_are_left_out():
    teacher = CURROT(box([2, 0], [2, 1]), seed=0, particles=40)
    tasks = teach(teacher, lambda tasks: tasks[:, 1] < 0.5, 5)
    assert (tasks[:, 0] == 2).all() and teacher.positions.shape == (40, 1)
    point = CURROT(box([2, 0], [2, 0]), seed=0)
    assert (teach(point, always, 3) == [2, 0]).all()


@pytest.mark.parametrize("scale", [1e-300, 1e12, 1.7e308])
@pytest.mark.parametrize("threshold", [None, 0.0])
def test_extreme_returns(scale, threshold):
    teacher = CURROT(square(), seed=0, particles=40, threshold=threshold)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for level in (1, -1, 1):
            teach(teacher, never, 3, lambda x, level=level: level * scale * np.sign(x[:, 0] - 0.5))
            teach(teacher, always, 2, lambda x, level=level: np.full(len(x), level * scale))
    assert np.isfinite(teacher.propose(100, 0.5).tasks).all()


def test_bundling_and_order_of_outcomes():
    rng = np.random.default_rng(0)
    tasks, success = rng.random((330, 2)), rng.random(330) < 0.5
    whole, split = (CURROT(square(), seed=0, particles=60) for _ in range(2))
    whole.observe(outcomes(tasks, success))
    for start, stop in ((0, 1), (1, 1), (1, 170), (170, 330)):
        split.observe(outcomes(tasks[start:stop], success[start:stop], first=start))
    assert whole.updates == split.updates == 6
    np.testing.assert_array_equal(whole.positions, split.positions)
    arrived = rng.permutation(330)[:240]
    split.observe(Outcomes(arrived, tasks[arrived], *np.ones((3, 240))))
    assert split.updates == 11  # 30 waited, and 20 wait now


@pytest.mark.parametrize("updates", [0, 3, 12])
def test_saved_teachers_continue_exactly(updates):
    def easy(tasks):
        return tasks.sum(axis=1) < 0.9

    teacher, other = (CURROT(square(), seed=seed, particles=60) for seed in (0, 5))
    teach(teacher, easy, updates)
    teacher.observe(outcomes(np.full((7, 2), 0.1), 1))
    teach(other, easy, 4)
    other.load_state_dict(teacher.state_dict())
    np.testing.assert_array_equal(teach(other, easy, 12), teach(teacher, easy, 12))
    np.testing.assert_array_equal(other.positions, teacher.positions)


@pytest.mark.parametrize(
    "options",
    [
        {"particles": 0},
        {"update_every": 0},
        {"candidates": 0},
        {"trust_radius": 0.0},
        {"trust_radius": np.nan},
        {"threshold": np.inf},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CURROT(square(), seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        CURROT(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

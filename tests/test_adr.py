import numpy as np
import pytest
from gymnasium import spaces

from environments.hypercube import MASTERED, Hypercube
from students.base import Transitions
from students.synthetic import SyntheticStudent
from teachers.adr import ADR, OPEN
from teachers.base import Knowledge, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from tests.lessons import Class, outcomes

GOOD, BAD = 180.0, 0.0  # exactly the tuned thresholds
RAW = {"thresholds": (BAD, GOOD)}


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT = box([0, 0], [1, 1])
CUBE = TaskSpace(Hypercube().task_space)
PRESETS = pytest.mark.parametrize("preset", ["corrected", "parity"])


def start_at(*task):
    return Knowledge(initial=(np.array(task, float), np.full(len(task), 0.1)))


def widened(space=UNIT, start=(0.5, 0.5), rounds=400, **options):
    """A class whose teacher has been widened around the start."""
    room = Class(ADR(space, seed=0, knowledge=start_at(*start), **(RAW | options)))
    room.teach(GOOD, rounds)
    return room


# How bounds move


@PRESETS
def test_bounds_reach_their_limits_after_m_times_the_number_of_steps(preset):
    teacher = ADR(box([0], [1]), seed=0, knowledge=start_at(0.37), preset=preset, **RAW)
    room, hits, arrived = Class(teacher), np.zeros(2, int), [None, None]
    for _ in range(3000):
        numbers, tasks = room.propose()
        hits += (teacher.range[:, 0] == tasks[0]) & (teacher.range[:, 0] != [0, 1])
        teacher.observe(outcomes(numbers, tasks, GOOD))
        for side in (0, 1):
            if teacher.range[side, 0] == side and arrived[side] is None:
                arrived[side] = int(hits[side])
    # 10 hits per step: 0.37 takes 4 steps of 0.1, and 0.63 takes 7.
    assert arrived == [40, 70]


def test_rounding_adds_no_last_step():
    room = Class(ADR(box([0], [1]), seed=0, knowledge=start_at(0.5), **RAW))
    edges = [room.teacher.range.copy()]
    for _ in range(2000):
        room.teach(GOOD, 1)
        if not np.array_equal(edges[-1], room.teacher.range):
            edges.append(room.teacher.range.copy())
    edges = np.array(edges)[:, :, 0]
    steps = np.abs(np.diff(edges, axis=0))
    assert edges[-1].tolist() == [0, 1]
    assert steps[steps > 0] == pytest.approx(0.1) and (steps > 0).sum() == 10


def test_the_range_collapses_and_never_inverts():
    room = widened(box([0, 0], [1, 3]), (0.45, 1.2), rounds=120)
    assert (np.ptp(room.teacher.range, axis=0) > [0.2, 0.6]).all()
    assert (room.teacher.range != [[0, 0], [1, 3]]).all()
    for _ in range(1500):
        room.teach(BAD, 1)
        assert (room.teacher.range[0] <= room.teacher.range[1]).all()
    assert np.array_equal(room.teacher.range[0], room.teacher.range[1])
    assert np.unique(room.teach(BAD, 100), axis=0).shape == (1, 2)


@pytest.mark.parametrize(
    ("returns", "edge"),
    [
        ([180.0] * 10, [0.4, 0.6]),
        ([200.0] * 9 + [-1.0], [0.5, 0.5]),  # mean 179.9
        ([0.0] * 10, [0.5, 0.5]),  # nothing to narrow
        ([1000.0] * 9, [0.5, 0.5]),  # the queue is not full
        ([200.0] * 9 + [-1.0] + [1000.0] * 9, [0.5, 0.5]),  # emptied in between
        ([180.0] * 20, [0.4, 0.6]),  # the second ten were drawn where the bounds are no more
    ],
)
def test_the_mean_of_a_full_queue_decides(returns, edge):
    room = Class(ADR(box([0], [1]), seed=0, knowledge=start_at(0.5), **RAW))
    numbers, tasks = room.propose(len(returns))
    room.teacher.observe(outcomes(numbers, tasks, returns))
    assert room.teacher.range[:, 0] == pytest.approx(edge)


def test_steps_are_shares_of_the_range_or_raw():
    space, start = box([-10, 0], [10, 0.4]), start_at(0, 0.2)
    for options, edges in (
        ({}, [[-2, 0.16], [2, 0.24]]),
        ({"preset": "parity"}, [[-0.1, 0.1], [0.1, 0.3]]),
        ({"preset": "parity", "step_unit": "range"}, [[-2, 0.16], [2, 0.24]]),
        ({"step_unit": "raw", "step": 0.2}, [[-0.2, 0], [0.2, 0.4]]),
    ):
        room = Class(ADR(space, seed=0, knowledge=start, **RAW, **options))
        room.teach(GOOD, 10)
        assert room.teacher.range == pytest.approx(np.array(edges))


# What is proposed


def test_the_start_is_the_initial_mean_or_the_easiest_task_or_a_uniform_one():
    teacher = ADR(box([0, 0], [1, 6]), seed=0, knowledge=start_at(0.2, 9))
    assert np.array_equal(teacher.propose(50, 0).tasks, np.tile([0.2, 6.0], (50, 1)))
    assert np.array_equal(ADR(box([2], [4]), seed=0).propose(3, 0).tasks, [[2]] * 3)
    default = TaskSpace(box([2], [4]).space, names=("x",), default=np.array([3.5]))
    assert np.array_equal(ADR(default, seed=0).propose(3, 0).tasks, [[3.5]] * 3)
    room = {"task_space": box([2], [4]), "preset": "parity"}
    starts = [ADR(seed=seed, **room).propose(3, 0).tasks for seed in range(200)]
    assert np.ptp(starts, axis=1).max() == 0
    assert np.mean(starts) == pytest.approx(3, abs=0.15) and np.ptp(starts) > 1.8


def test_the_share_of_tasks_at_bounds():
    room = widened(rounds=50)
    (low, high), (_, tasks) = room.teacher.range, room.propose(8000)
    assert (0 < low).all() and (high < 1).all() and (low < high).all()
    at = np.stack([tasks == low, tasks == high])
    assert at.any(axis=(0, 2)).mean() == pytest.approx(0.7, abs=0.02)
    assert at.mean(axis=1) == pytest.approx(np.full((2, 2), 0.175), abs=0.02)
    assert at.sum(axis=(0, 2)).max() == 1  # one coordinate only
    inside = tasks[~at.any(axis=(0, 2))]
    assert np.allclose(inside.mean(axis=0), (low + high) / 2, atol=0.02)
    assert np.allclose(inside.std(axis=0), (high - low) / np.sqrt(12), atol=0.01)


def test_dead_sides_are_skipped():
    for options, dead, alive in (({}, 0, 0.7), ({"skip_dead_sides": False}, 0.35, 0.35)):
        room = widened(box([0], [1]), (0,), rounds=10, **options)
        assert room.teacher.range[:, 0] == pytest.approx([0, 0.1])
        _, tasks = room.propose(4000)
        assert np.mean(tasks == room.teacher.range[0]) == pytest.approx(dead, abs=0.03)
        assert np.mean(tasks == room.teacher.range[1]) == pytest.approx(alive, abs=0.03)


def test_a_full_range_is_uniform():
    room = widened(box([0], [1]), (0.5,), rounds=1000)
    assert room.teacher.range[:, 0].tolist() == [0, 1]
    tasks = room.propose(4000)[1]
    assert ((tasks > 0) & (tasks < 1)).all()
    assert np.histogram(tasks, bins=5, range=(0, 1))[0].min() > 700


# Which outcomes count


def test_only_outcomes_at_a_bound_move_it():
    room = widened(rounds=50)
    before = room.teacher.range
    numbers, tasks = room.propose(4000)
    rows = tasks[:, 0] == before[1, 0]
    inner = ~(tasks == before[:, None]).any(axis=(0, 2))
    room.teacher.observe(outcomes(numbers[inner], tasks[inner], GOOD))
    assert np.array_equal(room.teacher.range, before)
    late = np.random.default_rng(0).permutation(numbers[rows])  # late, partial and unordered
    room.teacher.observe(outcomes(late, tasks[late - numbers[0]], GOOD))
    moved = room.teacher.range - before
    # One move only: the other outcomes were drawn where the bound stood before.
    assert moved == pytest.approx(np.array([[0, 0], [0.1, 0]]))


def test_tags_and_not_numbers_decide():
    room = widened(rounds=50)
    before = room.teacher.range
    numbers, tasks = room.propose(3000)
    rows = np.flatnonzero(tasks[:, 0] == before[1, 0])[:10]
    interior = np.flatnonzero(~(tasks == before[:, None]).any(axis=(0, 2)))[:10]
    # Tasks that went through a smaller number format still count; equal ones elsewhere do not.
    room.teacher.observe(outcomes(numbers[interior], tasks[rows], GOOD))
    assert np.array_equal(room.teacher.range, before)
    room.teacher.observe(outcomes(numbers[rows], tasks[rows].astype(np.float32), GOOD))
    assert room.teacher.range[1, 0] == pytest.approx(before[1, 0] + 0.1)
    release = widened(rounds=50, hits="equal")
    before = release.teacher.range
    at_bound = np.tile([before[1, 0], 0.123], (10, 1))
    release.teacher.observe(outcomes(np.full(10, 10**6), at_bound, GOOD))
    assert release.teacher.range[1, 0] == pytest.approx(before[1, 0] + 0.1)


def test_proposals_that_never_come_back_are_forgotten():
    room = widened(rounds=50)
    numbers, tasks = room.propose(1000)
    first = room.teacher.range
    room.propose(OPEN)
    size = room.teacher.open.nbytes
    room.teacher.observe(outcomes(numbers, tasks, GOOD))
    assert np.array_equal(room.teacher.range, first)
    for _ in range(50):
        room.propose(777)
    assert room.teacher.open.nbytes == size
    room.teacher.observe(outcomes(*room.propose(1000), GOOD))  # the latest still count
    assert not np.array_equal(room.teacher.range, first)


# Thresholds


def judged(teacher, score, success):
    """Whether ten such outcomes widen or narrow the range, as +1, -1 or 0."""
    room = Class(teacher)
    teacher.bounds[...] = [[0.4], [0.6]]
    numbers, tasks = room.propose(200)
    rows = np.flatnonzero(tasks[:, 0] == teacher.range[1, 0])[:10]
    teacher.observe(outcomes(numbers[rows], tasks[rows], score, success))
    return int(np.sign(np.round(teacher.range[1, 0] - 0.6, 9)))


@pytest.mark.parametrize(
    ("options", "knowledge", "thresholds"),
    [
        ({}, Knowledge(return_range=(-150.0, 350.0)), (0.0, 180.0)),
        ({}, Knowledge(return_range=(0.0, 1.0)), (0.3, 0.66)),
        ({"preset": "parity"}, None, (0.0, 180.0)),
        ({"preset": "parity"}, Knowledge(return_range=(0.0, 1.0)), (0.0, 180.0)),
        ({"thresholds": [-5, 5]}, Knowledge(return_range=(0.0, 1.0)), (-5, 5)),
        ({"thresholds": (0.2, 0.4)}, None, (0.2, 0.4)),
    ],
)
def test_returns_are_judged(options, knowledge, thresholds):
    low, high = thresholds
    for value, expected in ((high, 1), (low, -1), ((low + high) / 2, 0)):
        teacher = ADR(box([0], [1]), seed=0, knowledge=knowledge, **options)
        assert teacher.thresholds == pytest.approx(thresholds)
        assert judged(teacher, value, np.full(10, value < high)) == expected


def test_without_any_knowledge_successes_are_judged():
    for count, expected in ((7, 1), (6, 0), (4, 0), (3, -1)):
        teacher = ADR(box([0], [1]), seed=0)
        assert judged(teacher, np.full(10, 1e6), np.arange(10) < count) == expected


# Students


def hypercube_run(teacher, episodes, count=4, rugged=None):
    """The synthetic student of the hypercube under a teacher; proposals and the share mastered."""
    world = Hypercube(rugged=rugged)
    student = SyntheticStudent(world.observation_space, world.action_space, num_envs=count, seed=0)
    room, proposed, ended = Class(teacher), [], np.ones(count, dtype=bool)
    for _ in range(episodes // count):
        numbers, tasks = room.propose(count)
        seen = np.stack([world.reset(options={"task": task})[0] for task in tasks])
        answers = student.act(seen)
        student.observe(Transitions(seen, answers, answers[:, 0], ended, ~ended, seen))
        score = answers[:, 0]
        teacher.observe(outcomes(numbers, tasks, score, score > MASTERED))
        proposed.append(tasks)
    return np.concatenate(proposed), student.mastered()


def test_the_difficulty_of_tasks_follows_the_student():
    easy = Knowledge(initial=(np.zeros(2), np.full(2, 0.1)), return_range=(0.0, 1.0))
    tasks, mastered = hypercube_run(ADR(CUBE, seed=0, knowledge=easy), 12_000)
    thirds = [part.mean() for part in np.array_split(tasks, 3)]
    assert thirds[0] + 0.1 < thirds[1] < thirds[2] - 0.05
    assert mastered > 0.4
    gaps = []
    for competence in (0.2, 0.4, 0.6):
        teacher = ADR(box([0], [1]), seed=0, knowledge=start_at(0.05))
        lesson = Lesson(teacher, Pupil(spaces.Box(0, 1, (1,), np.float64), rate=0.0))
        lesson.pupil.competence = competence
        lesson.run(rounds=60)
        gaps.append(teacher.range[1, 0] - competence)
    assert np.abs(gaps).max() <= 0.1  # the bound stands where the student begins to fail


def test_a_hard_start_is_proposed_for_ever():
    tasks, mastered = hypercube_run(ADR(CUBE, seed=0, start="random"), 3000)
    assert len(np.unique(tasks, axis=0)) == 1 and mastered == 0
    starts = [ADR(CUBE, seed=seed, start="random").range[0] for seed in range(100)]
    assert np.mean([(start < 0.1).all() for start in starts]) < 0.05  # the only open cube


def test_it_stays_stuck_where_the_difficulty_is_cut_up():
    rugged = [[2, 0, 3, 1], [1, 3, 0, 2]]
    tasks, mastered = hypercube_run(ADR(CUBE, seed=0), 6000, rugged=rugged)
    assert len(np.unique(tasks, axis=0)) == 1 and mastered == 0
    # Even from the one easy stretch it does not reach the next, which lies elsewhere.
    easy = Knowledge(initial=(np.array([0.3, 0.55]), np.full(2, 0.05)))
    tasks, mastered = hypercube_run(ADR(CUBE, seed=0, knowledge=easy), 6000, rugged=rugged)
    smooth = Knowledge(initial=(np.full(2, 0.05), np.full(2, 0.05)))
    assert mastered < hypercube_run(ADR(CUBE, seed=0, knowledge=smooth), 6000)[1] / 2


def test_the_range_does_not_pass_a_band_of_impossible_tasks():
    def returns(tasks):
        return np.where(np.abs(tasks[:, 0] - 0.5) < 0.15, -100.0, 250.0)

    room = Class(ADR(UNIT, seed=0, knowledge=start_at(0.1, 0.1), **RAW))
    tasks = room.teach(returns, 5000)
    assert tasks[:, 0].max() < 0.65  # though everything beyond is easy
    assert tasks[-1000:, 1].max() == pytest.approx(1, abs=0.01)

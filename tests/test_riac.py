import warnings

import numpy as np
import pytest
from gymnasium import spaces

from environments.hypercube import MASTERED, Hypercube
from students.base import Transitions
from students.synthetic import SyntheticStudent
from teachers.base import Outcomes, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from teachers.riac import RIAC

PRESETS = pytest.mark.parametrize("preset", ["corrected", "parity"])


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT, LINE = box([0, 0], [1, 1]), box([0], [1])


def outcomes(tasks, returns, first=0):
    n = len(tasks)
    number, returns = np.arange(first, first + n), np.asarray(returns, dtype=float)
    return Outcomes(number, np.asarray(tasks, float), returns, np.zeros(n), np.ones(n, dtype=int))


def teach(teacher, returns, rounds, count=1):
    """Let the teacher propose; ``returns`` maps tasks (n, D) and the round to returns (n,)."""
    proposed = []
    for number in range(rounds):
        tasks = teacher.propose(count, number / rounds).tasks
        teacher.observe(outcomes(tasks, returns(tasks, number), number * count))
        proposed.append(tasks)
    return np.concatenate(proposed)


def wave(tasks, number):
    return 100 * np.sin(3 * tasks.sum(axis=1) + number / 50)


def rows(returns):
    """Outcomes of one region as the teacher keeps them, all at the same position."""
    return np.column_stack([np.full(len(returns), 0.5), returns])


# Learning progress


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ([], 0),
        ([1.0, 9.0], 0),  # two are too few
        ([1.0, 3.0, 9.0], 7),  # older half (1, 3), newer half (9)
        ([0.0] * 75 + [40.0] * 75, 40),
        ([40.0] * 75 + [-10.0] * 75, 50),
        ([-1e6] + [0.0] * 75 + [40.0] * 75, 40),  # the window holds the latest 150
        ([0.1] * 149, 0),
    ],
)
def test_progress_is_the_gap_between_older_and_newer_returns(returns, expected):
    assert RIAC(LINE, seed=0)._progress(rows(returns)) == pytest.approx(expected, rel=1e-9, abs=0)


def test_a_step_change_is_the_progress_of_its_region():
    teacher = RIAC(LINE, seed=0, region_size=60)
    for level in (0.0, 25.0):
        tasks = np.linspace(0.01, 0.99, 30)[:, None]
        teacher.observe(outcomes(tasks, np.full(30, level)))
    assert teacher.alp == pytest.approx([25])


# The tree


@PRESETS
@pytest.mark.parametrize("size", [1, 2, 3])
def test_leaves_partition_the_box(preset, size):
    low, high = np.linspace(-5, 5, size), np.linspace(10, 20, size)
    teacher = RIAC(box(low, high), seed=0, preset=preset, region_size=40)
    tasks = teach(teacher, wave, 300, count=5)
    volume = np.prod(teacher.highs - teacher.lows, axis=1)
    leaf = teacher.child < 0
    assert leaf.sum() > 5 and volume[leaf].sum() == pytest.approx(1)
    for parent in np.flatnonzero(~leaf):
        child = teacher.child[parent]
        assert volume[child : child + 2].sum() == pytest.approx(volume[parent])
    assert (teacher.highs - teacher.lows).min() >= 0.1
    points = np.random.default_rng(0).random((500, size))
    inside = (points[:, None] >= teacher.lows) & (points[:, None] < teacher.highs)
    assert (inside.all(axis=2)[:, leaf].sum(axis=1) == 1).all()
    assert {teacher._path(point)[-1] for point in points} <= set(np.flatnonzero(leaf))
    assert len(tasks) == 1500


@PRESETS
def test_regions_hold_their_own_latest_outcomes(preset):
    teacher = RIAC(UNIT, seed=0, preset=preset, region_size=40)
    tasks = teach(teacher, lambda tasks, number: tasks[:, 0] + number, 900)
    for region, points in enumerate(teacher.points):
        positions = points[:, :-1]
        assert (positions >= teacher.lows[region]).all()
        assert (positions <= teacher.highs[region]).all()
        leaf = teacher.child[region] < 0
        assert len(points) <= 40 + (not leaf) or preset == "parity"
        inside = (tasks >= teacher.lows[region]).all(axis=1)
        upper = (tasks < teacher.highs[region]) | (teacher.highs[region] == 1)
        latest = tasks[inside & upper.all(axis=1)]
        assert np.allclose(latest[-len(points) :], positions)
        assert teacher.alp[region] == pytest.approx(teacher._progress(points))


def test_a_cut_parts_what_changes_from_what_does_not():
    for score in ("balanced", "difference"):
        teacher = RIAC(LINE, seed=0, split_score=score)
        tasks = np.random.default_rng(0).random((151, 1))
        returns = 100.0 * (tasks[:, 0] > 0.6) * (np.arange(151) > 75)
        teacher.observe(outcomes(tasks, returns))
        assert len(teacher.alp) == 3
        assert teacher.highs[1] == teacher.lows[2] == pytest.approx(0.6, abs=0.03)
        # Each child starts with the progress of its own outcomes.
        assert teacher.alp[1] < 10 and teacher.alp[2] == pytest.approx(100, abs=10)


def test_the_score_of_a_cut_by_hand():
    # Below: progress 6 of 4 outcomes; above: progress 2 of 12.
    points = rows([0.0, 0.0] + [1.0] * 6 + [6.0, 6.0] + [3.0] * 6)
    below = np.isin(np.arange(16), [0, 1, 8, 9])
    assert RIAC(LINE, seed=0)._score(points, below) == pytest.approx(4 * 12 / 16**2 * 4)
    assert RIAC(LINE, seed=0, preset="parity")._score(points, below) == pytest.approx(4)


def test_cuts_keep_enough_outcomes_and_width():
    teacher = RIAC(LINE, seed=0, split_attempts=400)
    positions = np.random.default_rng(0).permutation(np.linspace(0.6, 1, 151) ** 0.5)
    teacher.points[0] = np.column_stack([positions, np.zeros(151)])
    cuts = teacher._cuts(0)
    assert len(cuts) > 50
    for _, cut, below in cuts:
        assert 0.1 <= cut <= 0.9
        assert 8 <= below.sum() <= 143 and np.array_equal(below, positions < cut)
    assert min(cut for _, cut, _ in cuts) > 0.77  # no outcomes below
    assert RIAC(LINE, seed=0, least_width=0.6)._cuts(0) == []


@pytest.mark.parametrize(("keep", "expected"), [(True, 41), (False, 431)])
def test_a_region_without_a_valid_cut_forgets_its_oldest_quarter(keep, expected):
    teacher = RIAC(LINE, seed=0, region_size=40, keep_capacity=keep)
    teacher.observe(outcomes(np.full((41, 1), 0.3), np.arange(41)))
    assert len(teacher.alp) == 1
    assert teacher.points[0][:, -1].tolist() == list(range(10, 41))
    teacher.observe(outcomes(np.random.default_rng(0).random((400, 1)), np.zeros(400)))
    assert len(teacher.alp) > 3
    assert len(teacher.points[0]) == expected  # the release lets it grow
    assert max(len(points) for points in teacher.points[1:]) <= 41


@PRESETS
def test_equal_tasks_do_not_hang(preset):
    teacher = RIAC(UNIT, seed=0, preset=preset)
    teacher.observe(outcomes(np.full((3000, 2), 0.5), np.arange(3000.0)))
    assert len(teacher.alp) == 1 and 114 <= len(teacher.points[0]) <= 151
    teacher.observe(outcomes(np.tile([[0.0, 1.0]], (500, 1)), np.arange(500.0)))  # clipped tasks
    assert np.isfinite(teacher.propose(100, 0.5).tasks).all()


# What is proposed


def two_leaves(**options):
    """A teacher on [0, 10] with the regions [0, 10], [0, 2.5] and [2.5, 10]."""
    teacher = RIAC(box([0], [10]), seed=0, **options)
    teacher.lows, teacher.highs = np.array([[0], [0], [0.25]]), np.array([[1], [0.25], [1]])
    teacher.child, teacher.capacity = np.array([1, -1, -1]), [151] * 3
    teacher.alp = np.zeros(3)
    lower = np.array([[0.05, 4.0], [0.2, -3.0]])
    upper = np.array([[0.6, 9.0], [0.5, 1.0], [0.95, 2.0]])
    teacher.points = [np.concatenate([lower, upper]), lower, upper]
    return teacher


@pytest.mark.parametrize(
    ("alp", "below"),
    [
        ([0, 1, 3], 1 / 4),
        ([4, 0, 0], 0.25),  # the whole box is a region as well
        ([2, 2, 0], 1 / 2 + 1 / 8),
        ([0, 0, 0], 1 / 3 + 1 / 12),  # every region alike, whatever its size
        ([0, 1e-300, 3e-300], 1 / 4),
    ],
)
def test_regions_are_chosen_in_proportion_to_their_progress(alp, below):
    teacher = two_leaves(uniform_share=0.0, mutation_share=0.0)
    teacher.alp = np.array(alp, dtype=float)
    tasks = teacher.propose(6000, 0.5).tasks[:, 0]
    assert np.mean(tasks < 2.5) == pytest.approx(below, abs=0.02)
    assert np.mean(tasks < 1.25) == pytest.approx(below / 2, abs=0.02)  # uniform inside


def test_the_shares_of_uniform_and_mutated_tasks():
    teacher = two_leaves(mutation_noise=1e-9)
    teacher.alp = np.array([0.0, 0.0, 1.0])
    tasks = teacher.propose(10_000, 0.5).tasks[:, 0]
    assert np.mean(tasks < 2.5) == pytest.approx(0.2 / 4, abs=0.01)
    assert np.mean(np.abs(tasks - 5) < 1e-6) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize(("unit", "deviation"), [("range", 1.0), ("raw", 0.1)])
def test_mutations_of_the_worst_task_stay_in_its_region(unit, deviation):
    teacher = two_leaves(uniform_share=0.0, mutation_share=1.0, noise_unit=unit)
    teacher.alp = np.array([0.0, 0.0, 1.0])
    tasks = teacher.propose(4000, 0.5).tasks[:, 0]
    assert np.median(tasks) == pytest.approx(5, abs=0.05)
    assert tasks.std() == pytest.approx(deviation, rel=0.05)
    teacher.alp = np.array([0.0, 1.0, 0.0])  # the worst is at 2.0, the face at 2.5
    tasks = teacher.propose(4000, 0.5).tasks[:, 0]
    assert tasks.max() == pytest.approx(2.5 if unit == "range" else 2.37, abs=0.1)
    assert tasks.max() <= 2.5


def test_first_tasks_are_uniform():
    tasks = RIAC(box([0], [10]), seed=0).propose(4000, 0.0).tasks
    assert np.histogram(tasks, bins=5, range=(0, 10))[0].min() > 700


# Students


def halves(noise, rate, rng):
    """Half of the square is impossible, with noise; in the other, skill grows with practice."""
    skill = [0.0]

    def returns(tasks, number):
        difficulty = 2 * tasks[:, 0] - 1
        practised = (difficulty >= 0) & (np.abs(difficulty - skill[0]) < 0.3)
        skill[0] = min(1.0, skill[0] + rate * practised.sum())
        learned = 100 / (1 + np.exp((difficulty - skill[0]) / 0.1)) if rate else 100.0
        return np.where(difficulty < 0, noise * rng.standard_normal(len(tasks)), learned)

    return returns


@PRESETS
@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_an_impossible_half_gets_few_tasks_while_the_other_is_learned(preset, noise):
    returns = halves(noise, 0.002, np.random.default_rng(0))
    tasks = teach(RIAC(UNIT, seed=1, preset=preset), returns, 300, count=10)
    assert np.mean(tasks[1500:, 0] < 0.5) < 0.3


@PRESETS
def test_noise_attracts_where_nothing_is_left_to_learn(preset):
    returns = halves(30.0, 0.0, np.random.default_rng(0))
    tasks = teach(RIAC(UNIT, seed=1, preset=preset), returns, 300, count=10)
    assert np.mean(tasks[1500:, 0] < 0.5) > 0.6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_difficulty_of_tasks_follows_the_student(seed):
    lesson = Lesson(RIAC(LINE, seed=seed), Pupil(LINE.space, rate=0.0))
    near, middle = [], []
    for competence in np.linspace(0.1, 0.9, 200):
        lesson.pupil.competence = competence
        difficulty = lesson.pupil.difficulty(lesson.step(10).tasks)
        near.append(np.mean(np.abs(difficulty - competence) < 0.15))
        middle.append(np.median(difficulty))
    assert np.mean(near[50:]) > 0.4  # uniform: 0.3
    thirds = [np.mean(part) for part in np.array_split(middle[50:], 3)]
    assert thirds[0] + 0.05 < thirds[1] < thirds[2] - 0.05


def test_the_hypercube_is_learned():
    world, n = Hypercube(), 20
    spaces_, ended = (world.observation_space, world.action_space), np.ones(n, dtype=bool)
    student, control = (SyntheticStudent(*spaces_, num_envs=n, seed=0) for _ in range(2))
    rng, teacher = np.random.default_rng(0), RIAC(TaskSpace(world.task_space), seed=0)
    for number in range(400):
        tasks = teacher.propose(n, 0.5).tasks
        for taught, chosen in ((control, rng.random((n, 2))), (student, tasks)):
            answers = taught.act(chosen)
            score = answers[:, 0]
            taught.observe(Transitions(chosen, answers, score, ended, ~ended, chosen))
        numbers, ones = np.arange(n) + n * number, np.ones(n, dtype=int)
        teacher.observe(Outcomes(numbers, tasks, score, score > MASTERED, ones))
    assert student.mastered() > control.mastered() + 0.1


# State, spaces and options


def test_bundling_of_outcomes_does_not_matter():
    rng = np.random.default_rng(0)
    tasks, returns = rng.random((1000, 2)), rng.normal(size=1000)
    whole, split = RIAC(UNIT, seed=0), RIAC(UNIT, seed=0)
    whole.observe(outcomes(tasks, returns))
    for start, stop in ((0, 1), (1, 1), (1, 320), (320, 990), (990, 1000)):
        split.observe(outcomes(tasks[start:stop], returns[start:stop], start))
    assert len(whole.alp) > 5 and np.array_equal(whole.alp, split.alp)
    assert np.array_equal(whole.propose(50, 0.5).tasks, split.propose(50, 0.5).tasks)


@PRESETS
@pytest.mark.parametrize("rounds", [3, 700])
def test_saved_teachers_continue_exactly(preset, rounds):
    teacher = RIAC(UNIT, seed=0, preset=preset, region_size=50)
    teach(teacher, wave, rounds)
    copy = RIAC(UNIT, seed=5, preset=preset, region_size=50)
    teach(copy, wave, 160)
    copy.load_state_dict(teacher.state_dict())
    assert np.array_equal(teach(copy, wave, 700), teach(teacher, wave, 700))
    assert np.array_equal(copy.lows, teacher.lows) and len(copy.alp) > 3


def test_dimensions_of_width_zero_are_put_back():
    with_constant = RIAC(box([0, 7, 0], [1, 7, 1]), seed=0)
    tasks = teach(with_constant, wave, 800)
    assert (tasks[:, 1] == 7).all() and len(with_constant.alp) > 5
    assert tasks[:, 0].std() > 0.1 < tasks[:, 2].std()
    point = RIAC(box([3, 4], [3, 4]), seed=0)
    assert np.array_equal(teach(point, wave, 200), np.tile([3.0, 4.0], (200, 1)))


def test_units_of_tasks_and_returns_do_not_matter():
    small = teach(RIAC(UNIT, seed=0), wave, 600)
    unit, low = np.array([128.0, 2.0**-10]), np.array([-64.0, 0.0])
    scaled = RIAC(box(low, low + unit), seed=0)
    large = teach(scaled, lambda tasks, number: 4 * wave((tasks - low) / unit, number), 600)
    assert np.allclose((large - low) / unit, small, atol=1e-6)


@PRESETS
@pytest.mark.parametrize("scale", [1e-300, 1.7e308])
@pytest.mark.parametrize("width", [1.0, 1e-9])
def test_tasks_stay_inside_the_box_whatever_the_returns(preset, scale, width):
    low = np.linspace(-5, 5, 4)
    teacher = RIAC(box(low, low + width), seed=0, preset=preset, region_size=30)

    def returns(tasks, number):
        return scale * np.sign(wave((tasks - low) / width, number))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = teach(teacher, returns, 40, 16)
    assert np.isfinite(teacher.alp).all() and teacher.alp.any()
    assert tasks.shape == (640, 4) and tasks.dtype == np.float64
    assert (tasks >= low).all() and (tasks <= low + width).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"region_size": 1},
        {"split_attempts": 0},
        {"least_width": 1.5},
        {"uniform_share": -0.1},
        {"mutation_share": 0.9},
        {"mutation_noise": np.inf},
        {"split_score": "best"},
        {"noise_unit": "metres"},
        {"keep_capacity": "no"},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        RIAC(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        RIAC(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

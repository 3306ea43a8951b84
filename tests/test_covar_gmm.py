import warnings

import numpy as np
import pytest
from gymnasium import spaces

from environments.hypercube import MASTERED, Hypercube
from students.base import Transitions
from students.synthetic import SyntheticStudent
from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from teachers.covar_gmm import CovarGMM
from teachers.mixture import parameters

PRESETS = pytest.mark.parametrize("preset", ["corrected", "parity"])
TWO = {"max_components": 3}  # mixtures of two Gaussians only


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


def two_clusters(teacher, slopes, offsets=(0.0, 200.0), n=200):
    """One window with tasks near 0.2 and 0.8 in turn; returns grow by ``slopes`` per window."""
    rng, time = np.random.default_rng(0), np.arange(n) / n
    which = np.arange(n) % 2
    tasks = np.array([0.2, 0.8])[which] + 0.01 * rng.standard_normal(n)
    returns = np.array(offsets)[which] + np.array(slopes)[which] * time
    teacher.observe(outcomes(tasks[:, None], returns + 0.1 * rng.standard_normal(n)))
    return teacher.means[:, 0].argsort()


# What is recorded and fitted


def test_records_are_task_time_and_return():
    teacher = CovarGMM(box([10], [20]), seed=0, fit_every=4, **TWO)
    teacher.observe(outcomes([[10], [15], [20]], [7, 8, 9]))
    assert teacher.window.tolist() == [[0, 0, 7], [0.5, 0.25, 8], [1, 0.5, 9]]
    teacher.observe(outcomes([[12], [14]], [1, 2], first=3))
    assert len(teacher.means) == 2  # the fourth outcome brought a fit
    assert teacher.window == pytest.approx(np.array([[0.4, 0, 2]]))  # time starts anew
    release = CovarGMM(box([10], [20]), seed=0, preset="parity")
    release.observe(outcomes([[15]], [7]))
    assert release.window.tolist() == [[15, 0, 7]]


@pytest.mark.parametrize("units", ["normalised", "raw"])
def test_the_covariance_of_time_and_return_by_hand(units):
    teacher = CovarGMM(LINE, seed=0, fit_every=200, units=units, random_share=0.0, **TWO)
    order = two_clusters(teacher, slopes=(60, -30))
    # Returns are slope times time, and the variance of time is 1/12 in both clusters.
    assert teacher.covariances[order] == pytest.approx([5, -2.5], rel=0.02)
    assert teacher.means[order, 0] == pytest.approx([0.2, 0.8], abs=0.01)
    tasks = teacher.propose(500, 0.5).tasks
    assert np.abs(tasks - 0.2).max() < 0.1  # the negative covariance has no weight


def test_positive_covariances_share_the_tasks():
    teacher = CovarGMM(LINE, seed=0, fit_every=200, random_share=0.0, **TWO)
    two_clusters(teacher, slopes=(60, 20))
    tasks = teacher.propose(4000, 0.5).tasks
    assert np.mean(tasks < 0.5) == pytest.approx(0.75, abs=0.03)
    assert tasks[tasks < 0.5].std() == pytest.approx(0.01, rel=0.15)


def test_falling_returns_attract_if_the_value_is_absolute():
    teacher = CovarGMM(LINE, seed=0, fit_every=200, random_share=0.0, absolute=True, **TWO)
    two_clusters(teacher, slopes=(20, -60))
    assert np.mean(teacher.propose(4000, 0.5).tasks > 0.5) == pytest.approx(0.75, abs=0.03)


@PRESETS
def test_where_everything_falls_gaussians_are_alike_whatever_their_weight(preset):
    options = {"fit_every": 200, "random_share": 0.0, "preset": preset} | TWO
    teacher = CovarGMM(LINE, seed=0, **options)
    rng, time = np.random.default_rng(0), np.arange(200) / 200
    small = np.arange(200) % 10 == 0
    tasks = np.where(small, 0.8, 0.2) + 0.01 * rng.standard_normal(200)
    teacher.observe(outcomes(tasks[:, None], np.where(small, 500, 100) - 50 * time))
    assert (teacher.covariances < 0).all()
    share = np.mean(teacher.propose(4000, 0.5).tasks > 0.5)
    assert share == pytest.approx(0.5, abs=0.03)  # a tenth of the outcomes


def test_constant_returns_mean_no_preference():
    teacher = CovarGMM(UNIT, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = teach(teacher, lambda tasks, number: np.full(len(tasks), 0.1), 600)
    assert len(teacher.means) >= 2 and not teacher.covariances.any()
    assert tasks[-300:].std(axis=0).min() > 0.15  # still spread over the box


def test_progress_between_windows_is_not_seen():
    teacher = CovarGMM(UNIT, seed=0)
    teach(teacher, lambda tasks, number: np.full(len(tasks), number // 15 * 50.0), 45, count=10)
    assert len(teacher.means) and not teacher.covariances.any()


# How many Gaussians


def test_the_number_of_parameters_by_hand():
    assert parameters(1, 1) == 2
    assert parameters(2, 2) == 11
    assert parameters(14, 4) == 209 and parameters(14, 10) == 923


@pytest.mark.parametrize(
    ("size", "options", "largest"),
    [
        (2, {}, 5),  # 15 k - 1 parameters: 74 with five Gaussians, half of 150 is 75
        (2, {"fit_every": 148}, 4),
        (2, {"fit_every": 1000}, 14),
        (2, {"max_components": 4}, 3),
        (2, {"preset": "parity"}, 14),
        (2, {"cap_components": False}, 14),
        (2, {"preset": "parity", "cap_components": True}, 5),
        (1, {}, 7),
        (8, {}, 2),  # two are always tried
    ],
)
def test_mixtures_have_fewer_parameters_than_half_the_outcomes(size, options, largest):
    teacher = CovarGMM(box([0] * size + [3], [1] * size + [3]), seed=0, **options)
    assert list(teacher.counts) == list(range(2, largest + 1))


def test_fits_restart_from_one_seed_in_the_release():
    for preset, same in (("parity", True), ("corrected", False)):
        teacher, rng = CovarGMM(UNIT, seed=3, preset=preset), np.random.default_rng(0)
        tasks, returns = rng.random((150, 2)), rng.normal(size=150)
        means = []
        for _ in range(4):
            teacher.observe(outcomes(tasks, returns))
            means.append(teacher.means)
        assert all(np.array_equal(means[0], each) for each in means) == same


# What is proposed


@PRESETS
def test_first_tasks_are_uniform_then_mixtures_take_over(preset):
    teacher = CovarGMM(UNIT, seed=0, preset=preset)
    first = teach(teacher, wave, 149)
    assert len(teacher.means) == 0
    assert np.histogram(first[:, 0], bins=5, range=(0, 1))[0].min() > 15
    teach(teacher, wave, 1)
    k = len(teacher.means)
    assert 2 <= k <= 14 and teacher.means.shape == (k, 2) and teacher.covariances.shape == (k,)


def test_initial_distribution_replaces_the_uniform_start():
    initial = (np.array([0.0, 0.9]), np.array([0.1, 0.01]))
    teacher = CovarGMM(UNIT, seed=0, knowledge=Knowledge(initial=initial))
    tasks = teacher.propose(500, 0.0).tasks
    assert tasks[:, 1].mean() == pytest.approx(0.9, abs=0.01)
    assert (tasks[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.1)  # clipped to the box


def test_the_random_share_is_uniform():
    teacher = CovarGMM(LINE, seed=0)
    teacher.means, teacher.covariances = np.array([[0.25]]), np.array([1.0])
    teacher.factors = np.full((1, 1, 1), 1e-6)
    tasks = teacher.propose(5000, 0.5).tasks[:, 0]
    assert np.mean(np.abs(tasks - 0.25) > 1e-4) == pytest.approx(0.1, abs=0.015)


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
def test_an_impossible_half_gets_few_tasks_while_the_other_is_learned(preset):
    returns = halves(0.0, 0.001, np.random.default_rng(0))
    tasks = teach(CovarGMM(UNIT, seed=1, preset=preset), returns, 90, count=10)
    assert np.mean(tasks[150:, 0] < 0.5) < 0.25


@PRESETS
def test_noise_attracts_where_nothing_is_left_to_learn(preset):
    share = []
    for seed in range(8):
        returns = halves(30.0, 0.0, np.random.default_rng(seed))
        tasks = teach(CovarGMM(UNIT, seed=seed, preset=preset), returns, 90, count=10)
        share.append(np.mean(tasks[150:, 0] < 0.5))
    assert np.mean(share) > 0.6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_difficulty_of_tasks_follows_the_student(seed):
    lesson = Lesson(CovarGMM(LINE, seed=seed), Pupil(LINE.space, rate=0.0))
    near, middle = [], []
    for competence in np.linspace(0.1, 0.9, 400):
        lesson.pupil.competence = competence
        difficulty = lesson.pupil.difficulty(lesson.step(10).tasks)
        near.append(np.mean(np.abs(difficulty - competence) < 0.15))
        middle.append(np.median(difficulty))
    assert np.mean(near[30:]) > 0.5  # uniform: 0.3
    thirds = [np.mean(part) for part in np.array_split(middle[30:], 3)]
    assert thirds[0] + 0.05 < thirds[1] < thirds[2] - 0.05


def test_the_hypercube_is_learned():
    world, n = Hypercube(), 20
    spaces_, ended = (world.observation_space, world.action_space), np.ones(n, dtype=bool)
    student, control = (SyntheticStudent(*spaces_, num_envs=n, seed=0) for _ in range(2))
    rng, teacher = np.random.default_rng(0), CovarGMM(TaskSpace(world.task_space), seed=0)
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
    tasks, returns = rng.random((500, 2)), rng.normal(size=500)
    whole, split = CovarGMM(UNIT, seed=0), CovarGMM(UNIT, seed=0)
    whole.observe(outcomes(tasks, returns))
    for start, stop in ((0, 1), (1, 1), (1, 320), (320, 490), (490, 500)):
        split.observe(outcomes(tasks[start:stop], returns[start:stop], start))
    assert len(whole.means) and np.array_equal(whole.means, split.means)
    assert np.array_equal(whole.propose(50, 0.5).tasks, split.propose(50, 0.5).tasks)


@PRESETS
@pytest.mark.parametrize("rounds", [3, 100, 380])
def test_saved_teachers_continue_exactly(preset, rounds):
    teacher = CovarGMM(UNIT, seed=0, preset=preset)
    teach(teacher, wave, rounds)
    copy = CovarGMM(UNIT, seed=5, preset=preset)
    teach(copy, wave, 160)
    copy.load_state_dict(teacher.state_dict())
    assert np.array_equal(teach(copy, wave, 350), teach(teacher, wave, 350))
    assert np.array_equal(copy.means, teacher.means)


def test_units_of_tasks_and_returns_do_not_matter():
    unit, low = np.array([128.0, 2.0**-10]), np.array([-64.0, 0.0])
    plain, scaled = CovarGMM(UNIT, seed=0), CovarGMM(box(low, low + unit), seed=0)
    small = teach(plain, wave, 400)
    large = teach(scaled, lambda tasks, number: 4 * wave((tasks - low) / unit, number), 400)
    assert np.allclose((large - low) / unit, small, atol=1e-6)
    assert scaled.covariances == pytest.approx(4 * plain.covariances, rel=1e-4)


@PRESETS
def test_dimensions_of_width_zero_are_put_back(preset):
    with_constant = CovarGMM(box([0, 7, 0], [1, 7, 1]), seed=0, preset=preset)
    tasks = teach(with_constant, wave, 400)
    assert (tasks[:, 1] == 7).all() and (with_constant.means[:, 1] == 7).all()
    assert tasks[:, 0].std() > 0.1 < tasks[:, 2].std()
    point = CovarGMM(box([3, 4], [3, 4]), seed=0, preset=preset)
    assert np.array_equal(teach(point, wave, 200), np.tile([3.0, 4.0], (200, 1)))


@PRESETS
@pytest.mark.parametrize("scale", [1e-300, 1e12, 1.7e308])
@pytest.mark.parametrize("width", [1.0, 1e-9])
def test_tasks_stay_inside_the_box_whatever_the_returns(preset, scale, width):
    low = np.linspace(-5, 5, 3)
    teacher = CovarGMM(box(low, low + width), seed=0, preset=preset)

    def returns(tasks, number):
        return scale * np.sign(wave((tasks - low) / width, 3 * number))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = teach(teacher, returns, 25, count=16)
    assert np.isfinite(teacher.covariances).all()
    assert len(teacher.means) or preset == "parity"
    assert tasks.shape == (400, 3) and tasks.dtype == np.float64
    assert (tasks >= low).all() and (tasks <= low + width).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"fit_every": 1},
        {"random_share": 1.5},
        {"max_components": 2},
        {"criterion": "mdl"},
        {"units": "metres"},
        {"cap_components": "no"},
        {"restart_fits": 2},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        CovarGMM(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        CovarGMM(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

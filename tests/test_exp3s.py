import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import Outcomes, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from teachers.exp3s import EXP3S, REMEMBERED, RESERVOIR
from teachers.uniform import Uniform

LINE = TaskSpace(spaces.Box(0.0, 1.0, (1,), np.float64))
SQUARE = TaskSpace(spaces.Box(0.0, 1.0, (2,), np.float64))


def hear(teacher, tasks, scores, numbers=None):
    n = len(tasks)
    numbers = np.arange(n) if numbers is None else np.asarray(numbers)
    tasks = np.asarray(tasks, float)
    tasks = tasks if tasks.ndim == 2 else tasks[:, None]
    scores = np.asarray(scores, float)
    teacher.observe(Outcomes(numbers, tasks, scores, np.zeros(n), np.ones(n, int)))


# Equations


def test_weights_and_shares_by_hand():
    teacher = EXP3S(LINE, seed=0, bins=2, eta=0.1, epsilon=0.2)
    teacher.propose(4, 0.0)  # all at a chance of 0.5
    hear(teacher, [0.2, 0.8], [0.0, 0.0])  # first returns, and no unit yet
    assert teacher.weights.tolist() == [0, 0]
    # A change of 4 is the largest so far: 0.1 · 1 / 0.5, then a quarter is shared.
    hear(teacher, [0.3], [4.0], numbers=[2])
    assert teacher.weights == pytest.approx([0, np.log(1.0276753447 / 1.1937274131)])
    # A change of 1 between 0 and 4 is -0.5: 0.1 · -0.5 / 0.5, then a fifth is shared.
    hear(teacher, [0.9], [1.0], numbers=[3])
    assert teacher.weights == pytest.approx([0, -0.1994512], abs=1e-6)
    assert teacher.chances == pytest.approx([0.5397583, 0.4602417], abs=1e-6)


def test_chances_are_a_softmax_and_a_uniform_share():
    teacher = EXP3S(LINE, seed=0, bins=4, epsilon=0.2)
    teacher.weights = np.log([0.5, 0.25, 0.125, 0.125])
    assert teacher.chances == pytest.approx([0.45, 0.25, 0.15, 0.15])
    tasks = teacher.propose(20_000, 0.5).tasks[:, 0]
    found = np.histogram(tasks, bins=4, range=(0, 1))[0] / 20_000
    assert found == pytest.approx([0.45, 0.25, 0.15, 0.15], abs=0.015)


@pytest.mark.parametrize(
    ("number", "weight"),
    # Proposed at a chance of 0.5, or never: then 0.8 · 0.1192029 + 0.1 is the present one.
    [(0, -2 + 0.1 / 0.5), (REMEMBERED + 50, -2 + 0.1 / 0.1953623)],
)
def test_gains_are_divided_by_the_chance_at_the_time_of_the_proposal(number, weight):
    teacher = EXP3S(LINE, seed=0, bins=2, eta=0.1, epsilon=0.2)
    teacher.propose(5, 0.0)
    hear(teacher, [0.2, 0.8], [0.0, 0.0], numbers=[1, 2])
    teacher.clock = 10**9  # so late that next to nothing is shared
    teacher.weights = np.array([-2.0, 0.0])
    hear(teacher, [0.2], [1.0], numbers=[number])
    assert teacher.weights == pytest.approx([weight, 0], abs=1e-6)


def test_first_returns_count_as_no_progress():
    teacher = EXP3S(LINE, seed=0, bins=3)
    teacher.propose(5, 0.0)
    hear(teacher, [0.1, 0.1, 0.5, 0.9], [10.0, 30.0, 999.0, -999.0])
    assert teacher.weights.argmax() == 0
    assert teacher.extremes.tolist() == [0, 20]


def test_quantiles_leave_outliers_out_and_stand_still_with_the_rewards():
    teacher = EXP3S(LINE, seed=0, bins=1, scaling="quantile")
    scaled = []
    for reward in [*range(1, 101), 1e6]:
        teacher.clock += 1
        scaled.append(teacher._scale(float(reward)))
    # 20 % and 80 % of 1 to 100 and a million: 21 and 81.
    teacher.clock += 1
    assert scaled[-1] == 1
    assert teacher._scale(51.0) == pytest.approx(0, abs=0.05)
    assert teacher._scale(36.0) == pytest.approx(-0.5, abs=0.05)
    flat = EXP3S(LINE, seed=0, bins=2, scaling="quantile")
    flat.propose(200, 0.0)
    hear(flat, np.tile([0.2, 0.8], 100), np.append(np.zeros(199), 7.0))
    assert flat.weights.tolist() == [0, 0]  # one reward in 200 has no unit


def test_the_reservoir_is_a_fair_sample():
    teacher = EXP3S(LINE, seed=0, bins=1, scaling="quantile")
    for number in range(5 * RESERVOIR):
        teacher.clock += 1
        teacher._sample(float(number))
    assert teacher.reservoir.shape == (RESERVOIR,)
    counts = np.histogram(teacher.reservoir, bins=5, range=(0, 5 * RESERVOIR))[0]
    assert counts == pytest.approx([RESERVOIR / 5] * 5, abs=60)


# Behaviour


def difficulties(teacher, pupil, competences, count=8):
    """Mean difficulty of the proposals while the student's competence is set from outside."""
    lesson, found = Lesson(teacher, pupil), []
    for competence in competences:
        pupil.competence = competence
        found.append(pupil.difficulty(lesson.step(count).tasks).mean())
    return np.array(found)


@pytest.mark.parametrize("scaling", ["range", "quantile"])
def test_difficulty_follows_the_skill_of_a_student(scaling):
    skill = np.linspace(0.15, 0.85, 300)
    rises = []
    for seed in range(3):
        teacher = EXP3S(LINE, seed=seed, scaling=scaling)
        found = difficulties(teacher, Pupil(LINE.space, rate=0.0), skill)
        rises.append(found[250:].mean() - found[60:110].mean())
    assert min(rises) > 0.12
    control = difficulties(Uniform(LINE, seed=0), Pupil(LINE.space, rate=0.0), skill)
    assert abs(control[250:].mean() - control[60:110].mean()) < 0.08


@pytest.mark.parametrize("noisy", [False, True])
def test_what_cannot_be_learned_is_left_alone_unless_it_is_noisy(noisy):
    """A wall of failures is dropped; returns that jump at random attract the bandit."""
    pupil = Pupil(LINE.space, ceiling=0.5)
    teacher, hits = EXP3S(LINE, seed=0), []
    for number in range(300):
        tasks = teacher.propose(8, number / 300).tasks
        hard = pupil.difficulty(tasks) > 0.7
        hits.append(hard.mean())
        scores = pupil.practise(tasks)["score"]
        tossed = 300.0 * (pupil.rng.random(8) < 0.5)
        hear(teacher, tasks, np.where(hard & noisy, tossed, scores), 8 * number + np.arange(8))
    hits = np.mean(hits[100:])
    assert hits > 0.6 if noisy else hits < 0.2  # uniform: 0.3


def test_a_student_that_forgets_is_met_again_with_quantiles_only():
    """One drop from mastery is the largest change for ever: beside it, no later one counts."""
    shares = {"range": [], "quantile": []}
    for scaling, found in shares.items():
        for seed in range(4):
            teacher, pupil = EXP3S(LINE, seed=seed, scaling=scaling), Pupil(LINE.space, rate=0.0)
            difficulties(teacher, pupil, [2.0] * 100)
            pupil.competence = 0.5  # after mastery of everything
            proposals = Lesson(teacher, pupil).run(rounds=100, count=8)
            found += [np.mean(np.abs(proposal.tasks - 0.5) < 0.1) for proposal in proposals]
    assert np.mean(shares["range"]) < 0.3  # uniform: 0.2
    assert np.mean(shares["quantile"]) > 0.5


# State and bounds


@pytest.mark.parametrize("scaling", ["range", "quantile"])
def test_bundling_of_outcomes_does_not_matter(scaling):
    rng = np.random.default_rng(0)
    tasks, returns = rng.random((1500, 2)), rng.normal(size=1500)
    whole, split = (EXP3S(SQUARE, seed=0, bins=4, scaling=scaling) for _ in range(2))
    for teacher in (whole, split):
        teacher.propose(1500, 0.0)
    hear(whole, tasks, returns)
    for start, stop in ((0, 1), (1, 1), (1, 320), (320, 1490), (1490, 1500)):
        hear(split, tasks[start:stop], returns[start:stop], np.arange(start, stop))
    assert np.array_equal(whole.weights, split.weights)
    assert np.array_equal(whole.propose(50, 0.5).tasks, split.propose(50, 0.5).tasks)


@pytest.mark.parametrize("scaling", ["range", "quantile"])
@pytest.mark.parametrize("rounds", [1, 200])
def test_saved_teachers_continue_exactly(scaling, rounds):
    lesson = Lesson(EXP3S(SQUARE, seed=0, bins=3, scaling=scaling), Pupil(SQUARE.space))
    lesson.run(rounds, count=7)
    late = lesson.teacher.propose(7, 0.5).tasks  # heard of after the restart
    copy = EXP3S(SQUARE, seed=5, bins=3, scaling=scaling)
    Lesson(copy, Pupil(SQUARE.space)).run(9, count=4)
    copy.load_state_dict(lesson.teacher.state_dict())
    for number in range(40):
        first = 7 * (rounds + number)
        for teacher in (copy, lesson.teacher):
            hear(teacher, late, np.sin(9 * late.sum(axis=1) + number), first + np.arange(7))
        late = copy.propose(7, 0.5).tasks
        assert np.array_equal(late, lesson.teacher.propose(7, 0.5).tasks)


def test_weights_stay_finite_with_many_tiles_and_extreme_returns():
    teacher, rng = EXP3S(SQUARE, seed=0, bins=32, eta=0.05), np.random.default_rng(0)
    for number in range(200):
        tasks = teacher.propose(8, 0.5).tasks
        hear(teacher, tasks, rng.choice([1e12, -1e12, 1e-12], size=8), 8 * number + np.arange(8))
    assert np.isfinite(teacher.weights).all() and teacher.weights.max() == 0
    assert teacher.chances.sum() == pytest.approx(1) and teacher.chances.min() >= 0.2 / 1024


@pytest.mark.parametrize(
    "options", [{"eta": 0.0}, {"epsilon": 0.0}, {"epsilon": 1.5}, {"scaling": "rank"}, {"bins": 0}]
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        EXP3S(LINE, seed=0, **options)

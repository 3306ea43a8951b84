import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from teachers.base import Outcomes, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from teachers.tiles import Tiles
from teachers.tscl import TSCL, VARIANTS, TSCLNaive, TSCLOnline, TSCLWindow, slopes
from teachers.uniform import Uniform


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


LINE, SQUARE = box([0], [1]), box([0, 0], [1, 1])


def hear(teacher, tasks, scores, numbers=None):
    n = len(tasks)
    numbers = np.arange(n) if numbers is None else np.asarray(numbers)
    tasks = np.asarray(tasks, float)
    tasks = tasks if tasks.ndim == 2 else tasks[:, None]
    scores = np.asarray(scores, float)
    teacher.observe(Outcomes(numbers, tasks, scores, np.zeros(n), np.ones(n, int)))


def share(teacher, low, high, count=4000):
    """Share of proposals whose first coordinate lies between ``low`` and ``high``."""
    tasks = teacher.propose(count, 0.5).tasks[:, 0]
    return np.mean((tasks >= low) & (tasks < high))


# Tiles


def test_grids_number_their_tiles_with_the_last_dimension_first():
    tiles = Tiles(box([0, -1], [6, 1]), bins=[3, 2])
    assert tiles.kind == "grid" and tiles.count == 6 and tiles.bins.tolist() == [3, 2]
    corners = np.array([[0, -1], [0, 0.5], [2.5, -0.1], [3.9, 0.1], [4, -1], [6, 1]])
    assert tiles.locate(corners).tolist() == [0, 1, 2, 3, 4, 5]
    tasks = tiles.sample(np.full(3000, 3), np.random.default_rng(0))
    assert tasks.min(axis=0) == pytest.approx([2, 0], abs=0.01)
    assert tasks.max(axis=0) == pytest.approx([4, 1], abs=0.01)
    assert np.histogram(tasks[:, 0], bins=4, range=(2, 4))[0].min() > 650


@pytest.mark.parametrize(
    ("dimensions", "count"),
    [(1, 10), (2, 100), (3, 1000), (4, 625), (5, 1024), (6, 729), (8, 256), (10, 1024), (40, 1024)],
)
def test_by_default_there_are_at_most_1024_tiles(dimensions, count):
    tiles = Tiles(box([0] * dimensions, [1] * dimensions))
    assert tiles.count == count == np.prod(tiles.bins)
    every = np.arange(count)
    assert np.array_equal(tiles.locate(tiles.sample(every, np.random.default_rng(0))), every)


def test_dimensions_of_width_zero_are_not_cut():
    tiles = Tiles(box([0, 7, 0], [1, 7, 1]))
    assert tiles.bins.tolist() == [10, 1, 10]
    assert Tiles(box([0, 7, 0], [1, 7, 1]), bins=3).bins.tolist() == [3, 1, 3]
    tasks = tiles.sample(np.arange(100), np.random.default_rng(0))
    assert (tasks[:, 1] == 7).all() and tasks[:, 0].max() > 0.9
    assert Tiles(box([3], [3])).count == 1


def test_pools_are_cut_into_items_or_labels():
    items = Tiles(TaskSpace(spaces.Discrete(40, start=5)))
    assert items.kind == "items" and items.count == 40 and items.bins.size == 0
    tasks = items.sample(np.array([0, 39, 7]), np.random.default_rng(0))
    assert tasks.tolist() == [5, 44, 12] and tasks.dtype == np.int64
    assert items.locate(tasks).tolist() == [0, 39, 7]
    label = np.arange(3000) % 3 * 10
    labels = Tiles(TaskSpace(spaces.Discrete(3000, start=1), label=label))
    assert labels.kind == "labels" and labels.count == 3 and labels.labels.tolist() == [0, 10, 20]
    tasks = labels.sample(np.full(8000, 2), np.random.default_rng(0))
    assert set(label[tasks - 1]) == {20} and len(np.unique(tasks)) > 990
    assert labels.locate(np.array([1, 2, 3, 4])).tolist() == [0, 1, 2, 0]


@pytest.mark.parametrize(
    ("space", "bins", "message"),
    [
        (SQUARE, 0, "bins must be"),
        (SQUARE, [3, 3, 3], "bins must be"),
        (SQUARE, 2.5, "bins must be"),
        (SQUARE, 101, "10201 tiles"),
        (box([0] * 30, [1] * 30), 10, "tiles"),
        (TaskSpace(spaces.Discrete(40)), 3, "bins cut a box"),
        (TaskSpace(spaces.Discrete(2000)), None, "no labels"),
        (TaskSpace(spaces.Discrete(2000), label=np.arange(2000)), None, "2000 labels"),
        (TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), None, "bounded box"),
    ],
)
def test_spaces_that_cannot_be_cut(space, bins, message):
    with pytest.raises(ValueError, match=message):
        Tiles(space, bins)


@settings(max_examples=60, deadline=None)
@given(
    low=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5),
    width=st.sampled_from([0.0, 1e-9, 1e-3, 1.0, 1e9]),
    bins=st.integers(1, 6),
)
def test_tasks_of_tiles_stay_inside_the_box(low, width, bins):
    low = np.array(low)
    tiles = Tiles(box(low, low + width), bins)
    tasks = tiles.sample(np.arange(tiles.count), np.random.default_rng(0))
    assert (tasks >= low).all() and (tasks <= low + width).all()
    found = tiles.locate(tasks)
    assert (found >= 0).all() and (found < tiles.count).all()


# Equations


def test_slopes_are_those_of_a_least_squares_fit():
    rng = np.random.default_rng(0)
    times, scores = rng.random((20, 6)), 1e6 + rng.random((20, 6))
    used = np.arange(6) < np.arange(20)[:, None] % 5 + 2
    for row, slope in enumerate(slopes(times, scores, used)):
        fit = np.polyfit(times[row, used[row]], scores[row, used[row]] - 1e6, 1)
        assert slope == pytest.approx(fit[0], abs=1e-6)
    assert slopes(np.ones((1, 3)), np.ones((1, 3)), np.zeros((1, 3), bool)).tolist() == [0]


def test_online_is_a_running_mean_of_score_changes():
    teacher = TSCL(LINE, seed=0, variant="online", bins=2)
    hear(teacher, [0.1, 0.3], [1.0, 3.0])  # 0 + 0.1 · (2 - 0)
    assert teacher.values == pytest.approx([0.2, 0])
    hear(teacher, [0.9, 0.2], [5.0, 2.0])  # 0.2 + 0.1 · (-1 - 0.2); 5 is only a reference
    assert teacher.values == pytest.approx([0.08, 0])
    assert teacher.heard.tolist() == [3, 1]


def test_naive_is_a_running_mean_of_slopes_of_whole_series():
    teacher = TSCL(LINE, seed=0, variant="naive", bins=2, window=4)
    hear(teacher, [0.1] * 3, [2.0, 0.0, 5.0], numbers=[2, 0, 3])
    assert teacher.values.tolist() == [0, 0]
    hear(teacher, [0.9, 0.1], [7.0, 1.0], numbers=[4, 1])
    # Scores 0, 1, 2, 5 at -1.5, -0.5, 0.5, 1.5: (-0.5 + 1 + 7.5) / 5 = 1.6
    assert teacher.values == pytest.approx([0.16, 0])
    hear(teacher, [0.9] * 3, [4.0, 4.0, 4.0], numbers=[5, 6, 7])
    # Scores 7, 4, 4, 4: (-10.5 - 2 + 2 + 6) / 5 = -0.9
    assert teacher.values == pytest.approx([0.16, -0.09])
    hear(teacher, [0.1] * 4, [3.0] * 4, numbers=[8, 9, 10, 11])
    assert teacher.values == pytest.approx([0.144, -0.09])
    assert teacher.series == {}


def test_window_is_the_slope_over_time_of_the_last_scores():
    teacher = TSCL(LINE, seed=0, variant="window", bins=2, window=3)
    hear(teacher, [0.1, 0.9, 0.1], [0.0, 1.0, 4.0])
    assert teacher.values == pytest.approx([2, 0])
    hear(teacher, [0.1], [4.0])
    # Scores 0, 4, 4 at times 0, 2, 3, that is -5/3, 1/3, 4/3: (20/3) / (42/9) = 10/7
    assert teacher.values == pytest.approx([10 / 7, 0])
    hear(teacher, [0.1, 0.9], [1.0, 3.0])
    # Scores 4, 4, 1 at times 2, 3, 4: -3/2; scores 1, 3 at times 1, 5: 2/4
    assert teacher.values == pytest.approx([-1.5, 0.5])


def test_sampling_draws_one_of_the_last_score_changes():
    teacher = TSCL(LINE, seed=0, variant="sampling", bins=2, window=2, epsilon=0.0)
    hear(teacher, [0.1] * 4, [0.0, 9.0, 11.0, 8.0])  # changes 9, 2, -3; the first is forgotten
    hear(teacher, [0.9] * 3, [0.0, 2.5, 5.0])  # changes 2.5, 2.5
    assert share(teacher, 0.0, 0.5) == pytest.approx(0.5, abs=0.03)
    signed = TSCL(LINE, seed=0, bins=2, window=2, epsilon=0.0, absolute=False)
    signed.load_state_dict(teacher.state_dict())
    assert share(signed, 0.0, 0.5) == 0


@pytest.mark.parametrize("variant", ["window", "sampling"])
def test_tiles_never_heard_of_come_first(variant):
    for unit in (1.0, 300.0):
        teacher = TSCL(LINE, seed=0, variant=variant, bins=4, epsilon=0.0)
        hear(teacher, [0.1, 0.1, 0.1, 0.4, 0.4], np.array([0.0, 0.5, 1.0, 0.2, 0.3]) * unit)
        assert share(teacher, 0.5, 1.0) == 1
        assert share(teacher, 0.5, 0.75) == pytest.approx(0.5, abs=0.03)  # ties are random
        hear(teacher, [0.6, 0.6, 0.9, 0.9], np.array([0.5, 0.5, 0.1, 0.1]) * unit)
        assert share(teacher, 0.0, 0.25) == 1


def test_epsilon_is_a_uniform_share():
    teacher = TSCL(LINE, seed=0, variant="online", bins=4, epsilon=0.2)
    teacher.values = np.array([0.0, -3.0, 2.0, 0.0])
    assert share(teacher, 0.25, 0.5) == pytest.approx(0.85, abs=0.02)
    teacher.absolute = False
    assert share(teacher, 0.5, 0.75) == pytest.approx(0.85, abs=0.02)


def test_boltzmann_is_a_softmax_in_units_of_the_scores():
    teacher = TSCL(LINE, seed=0, variant="online", bins=2, exploration="boltzmann", temperature=0.1)
    assert share(teacher, 0.0, 0.5) == pytest.approx(0.5, abs=0.03)
    hear(teacher, [0.1, 0.1], [-50.0, 150.0])
    teacher.values = np.array([20.0, -40.0])  # 0.1 and 0.2 of the range: 1 and 2 temperatures
    assert share(teacher, 0.0, 0.5) == pytest.approx(1 / (1 + np.e), abs=0.03)


def test_naive_plays_a_tile_several_times_in_a_row():
    teacher = TSCL(LINE, seed=0, variant="naive", window=5, epsilon=1.0)
    counts = (3, 1, 1, 12, 5, 20, 8)
    tasks = np.concatenate([teacher.propose(count, 0.0).tasks for count in counts])
    series = teacher.tiles.locate(tasks).reshape(10, 5)
    assert (series == series[:, :1]).all()
    assert len(np.unique(series[:, 0])) > 4


def test_naive_closes_series_that_never_end():
    teacher = TSCL(LINE, seed=0, variant="naive", window=4, bins=1)
    hear(teacher, [0.5] * 2, [0.0, 3.0], numbers=[0, 2])  # a slope of 1.5
    hear(teacher, [0.5] * 999, np.zeros(999), numbers=4 * np.arange(1, 1000))
    assert teacher.values == pytest.approx([0]) and len(teacher.series) == 1000
    hear(teacher, [0.5], [0.0], numbers=[4000])
    assert teacher.values == pytest.approx([0.15]) and len(teacher.series) == 1000


# Behaviour


def difficulties(teacher, pupil, competences, count=8):
    """Mean difficulty of the proposals while the student's competence is set from outside."""
    lesson, found = Lesson(teacher, pupil), []
    for competence in competences:
        pupil.competence = competence
        found.append(pupil.difficulty(lesson.step(count).tasks).mean())
    return np.array(found)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("space", [LINE, SQUARE], ids=["1-D", "2-D"])
def test_difficulty_follows_the_skill_of_a_student(variant, space):
    skill = np.linspace(0.15, 0.85, 300)
    rises = []
    for seed in range(3):
        teacher = TSCL(space, seed=seed, variant=variant)
        found = difficulties(teacher, Pupil(space.space, rate=0.0), skill)
        rises.append(found[250:].mean() - found[60:110].mean())
    assert np.mean(rises) > 0.15
    control = difficulties(Uniform(space, seed=0), Pupil(space.space, rate=0.0), skill)
    assert abs(control[250:].mean() - control[60:110].mean()) < 0.08


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_cannot_be_learned_is_left_alone_unless_it_is_noisy(variant):
    """A wall of failures is dropped; returns that jump at random attract every variant."""
    for noisy in (False, True):
        pupil = Pupil(LINE.space, ceiling=0.5)
        teacher, hits = TSCL(LINE, seed=0, variant=variant), []
        for number in range(300):
            tasks = teacher.propose(8, number / 300).tasks
            hard = pupil.difficulty(tasks) > 0.7
            hits.append(hard.mean())
            scores = pupil.practise(tasks)["score"]
            tossed = 300.0 * (pupil.rng.random(8) < 0.5)
            scores = np.where(hard & noisy, tossed, scores)
            hear(teacher, tasks, scores, 8 * number + np.arange(8))
        hits = np.mean(hits[100:])
        assert hits > 0.6 if noisy else hits < 0.2  # uniform: 0.3


@pytest.mark.parametrize("variant", ["online", "window"])
def test_a_student_that_forgets_is_taught_again_within_one_window(variant):
    for absolute in (True, False):
        shares = []
        for seed in range(4):
            teacher = TSCL(LINE, seed=seed, variant=variant, absolute=absolute, epsilon=0.2)
            pupil = Pupil(LINE.space, rate=0.0)
            difficulties(teacher, pupil, [2.0] * 100)
            pupil.competence = 0.5  # after mastery of everything
            proposals = Lesson(teacher, pupil).run(rounds=12, count=8)
            shares.append(np.mean([proposal.tasks > 0.5 for proposal in proposals]))
        assert np.mean(shares) > 0.65 if absolute else np.mean(shares) < 0.35


@pytest.mark.parametrize(
    ("variant", "practised", "avoided"),
    # One of ten remembered changes is the drop; without it all ten tiles are tied.
    [("online", 1, 0), ("naive", 1, 0), ("window", 1, 0), ("sampling", 0.1 + 0.9 / 10, 0.9 / 10)],
)
def test_one_lost_score_is_noticed(variant, practised, avoided):
    for absolute, expected in ((True, practised), (False, avoided)):
        teacher = TSCL(LINE, seed=0, variant=variant, epsilon=0.0, absolute=absolute)
        hear(teacher, np.tile(np.arange(0.05, 1, 0.1), 11).repeat(10), np.full(1100, 5.0))
        lost = np.append(np.full(9, 5.0), 0.0) if variant == "naive" else [0.0]
        hear(teacher, np.full(len(lost), 0.75), lost, 1100 + np.arange(len(lost)))
        chosen = [share(teacher, 0.7, 0.8, count=10) for _ in range(400)]
        assert np.mean(chosen) == pytest.approx(expected, abs=0.025)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bundling_of_outcomes_does_not_matter(variant):
    rng = np.random.default_rng(0)
    tasks, returns = rng.random((600, 2)), rng.normal(size=600)
    whole, split = (TSCL(SQUARE, seed=0, variant=variant, bins=4) for _ in range(2))
    hear(whole, tasks, returns)
    for start, stop in ((0, 1), (1, 1), (1, 320), (320, 590), (590, 600)):
        hear(split, tasks[start:stop], returns[start:stop], np.arange(start, stop))
    assert np.array_equal(whole.values, split.values)
    assert np.array_equal(whole.propose(50, 0.5).tasks, split.propose(50, 0.5).tasks)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("rounds", [1, 40])
def test_saved_teachers_continue_exactly(variant, rounds):
    lesson = Lesson(TSCL(SQUARE, seed=0, variant=variant, bins=3), Pupil(SQUARE.space))
    lesson.run(rounds, count=7)
    copy = TSCL(SQUARE, seed=5, variant=variant, bins=3)
    Lesson(copy, Pupil(SQUARE.space)).run(9, count=4)
    copy.load_state_dict(lesson.teacher.state_dict())
    assert np.array_equal(copy.extremes, lesson.teacher.extremes)
    for number in range(40):
        ours, theirs = copy.propose(7, 0.5).tasks, lesson.teacher.propose(7, 0.5).tasks
        assert np.array_equal(ours, theirs)
        first = 7 * (rounds + number)
        for teacher in (copy, lesson.teacher):
            hear(teacher, ours, np.sin(9 * ours.sum(axis=1) + number), first + np.arange(7))


def test_presets_and_options():
    presets = {cls: cls(LINE, seed=0).variant for cls in (TSCL, TSCLOnline, TSCLNaive, TSCLWindow)}
    assert list(presets.values()) == ["sampling", "online", "naive", "window"]
    for name, value in {
        "variant": "best",
        "window": 1,
        "rate": 0.0,
        "exploration": "boltzmann",  # not for "sampling"
        "epsilon": 1.1,
        "temperature": 0.0,
    }.items():
        with pytest.raises(ValueError, match=name):
            TSCL(LINE, seed=0, **{name: value})
    with pytest.raises(ValueError, match="exploration must be one of"):
        TSCLOnline(LINE, seed=0, exploration="greedy")

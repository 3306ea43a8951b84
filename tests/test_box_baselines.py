import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.arguments import parse_settings
from teachers.anneal import LinearAnneal
from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.check_classroom import Lesson, Pupil
from teachers.expanding_box import ExpandingBox
from teachers.fixed import Easiest, TargetOnly
from teachers.stages import StageList, parse_condition
from teachers.uniform import Uniform

BASELINES = (Easiest, TargetOnly, LinearAnneal, ExpandingBox, StageList)


def box(low, high, default=None):
    space = spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64)
    default = None if default is None else np.array(default, float)
    return TaskSpace(space, names=tuple(f"x{i}" for i in range(len(low))), default=default)


UNIT = box([0, 0], [1, 1])
TOLD = Knowledge(
    initial=(np.array([2.0, 8.0]), np.array([0.5, 0.2])),
    target=(np.array([7.0, 3.0]), np.array([1.0, 0.4])),
)
WIDE = box([0, 0], [10, 10], default=[1, 9])


def hear(teacher, tasks, success, first, score=None, length=100):
    n = len(tasks)
    success = np.broadcast_to(np.asarray(success, float), n)
    score = success if score is None else np.broadcast_to(np.asarray(score, float), n)
    lengths = np.full(n, length)
    teacher.observe(Outcomes(np.arange(first, first + n), tasks, score, success, lengths))


def teach(teacher, rounds, success=1.0, count=1, first=0, **facts):
    """Propose and hear ``success`` (a number or one per task); return the tasks."""
    tasks = []
    for number in range(rounds):
        tasks.append(teacher.propose(count, number / rounds).tasks)
        hear(teacher, tasks[-1], success, first + number * count, **facts)
    return np.concatenate(tasks)


# Fixed distributions


def test_easiest_is_the_told_distribution_else_the_default_else_the_low_corner():
    tasks = Easiest(WIDE, seed=0, knowledge=TOLD).propose(4000, 0.7).tasks
    assert tasks.mean(axis=0) == pytest.approx([2, 8], abs=0.05)
    assert tasks.std(axis=0) == pytest.approx([0.5, 0.2], rel=0.1)
    assert np.array_equal(Easiest(WIDE, seed=0).propose(3, 0.5).tasks, [[1, 9]] * 3)
    assert np.array_equal(Easiest(UNIT, seed=0).propose(2, 1.0).tasks, [[0, 0]] * 2)
    by_hand = Easiest(WIDE, seed=0, knowledge=TOLD, easy=[4, 5])
    assert np.array_equal(by_hand.propose(2, 0.0).tasks, [[4, 5]] * 2)


def test_target_is_the_told_distribution_else_the_whole_box():
    tasks = TargetOnly(WIDE, seed=0, knowledge=TOLD).propose(4000, 0.1).tasks
    assert tasks.mean(axis=0) == pytest.approx([7, 3], abs=0.06)
    assert tasks.std(axis=0) == pytest.approx([1.0, 0.4], rel=0.1)
    tasks = TargetOnly(WIDE, seed=0).propose(8000, 0.1).tasks
    counts = np.histogram2d(*tasks.T, bins=4, range=[(0, 10)] * 2)[0]
    assert counts.min() > 420 and counts.max() < 580  # 500 each
    corner = TargetOnly(WIDE, seed=0, target=[10, 0]).propose(2, 0.0).tasks
    assert np.array_equal(corner, [[10, 0]] * 2)


def test_told_distributions_are_clipped_to_the_box():
    told = Knowledge(initial=(np.array([0.0, 10.0]), np.array([1.0, 1.0])))
    tasks = Easiest(WIDE, seed=0, knowledge=told).propose(1000, 0.0).tasks
    assert (tasks >= 0).all() and (tasks <= 10).all()
    assert (tasks[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.06)


# Linear anneal


def test_two_points_are_interpolated_linearly():
    teacher = LinearAnneal(WIDE, seed=0, easy=[1, 9], target=[9, 5], end=0.8)
    for progress, task in ((0.0, [1, 9]), (0.2, [3, 8]), (0.4, [5, 7]), (0.8, [9, 5])):
        assert teacher.propose(1, progress).tasks[0] == pytest.approx(task)
    assert teacher.propose(1, 1.0).tasks[0] == pytest.approx([9, 5])


def test_gaussians_are_interpolated_in_mean_and_deviation():
    teacher = LinearAnneal(WIDE, seed=0, knowledge=TOLD, end=1.0)
    tasks = teacher.propose(4000, 0.25).tasks
    assert tasks.mean(axis=0) == pytest.approx([3.25, 6.75], abs=0.05)
    assert tasks.std(axis=0) == pytest.approx([0.625, 0.25], rel=0.1)


def test_untold_annealing_is_a_box_that_grows_from_the_easiest_task():
    teacher = LinearAnneal(WIDE, seed=0, end=0.5)
    assert np.array_equal(teacher.propose(2, 0.0).tasks, [[1, 9]] * 2)
    tasks = teacher.propose(4000, 0.25).tasks  # half way: [0.5, 5.5] x [4.5, 9.5]
    assert tasks.min(axis=0) == pytest.approx([0.5, 4.5], abs=0.02)
    assert tasks.max(axis=0) == pytest.approx([5.5, 9.5], abs=0.02)
    assert np.histogram(tasks[:, 0], bins=5, range=(0.5, 5.5))[0].min() > 700
    tasks = teacher.propose(4000, 0.9).tasks
    assert np.histogram(tasks[:, 0], bins=5, range=(0, 10))[0].min() > 700


# Expanding box


def test_ten_successes_in_a_row_widen_the_box():
    teacher = ExpandingBox(WIDE, seed=0)
    assert teacher.low == pytest.approx([0.8, 7.2]) and teacher.high == pytest.approx([2.8, 9.2])
    tasks = teach(teacher, 9)
    assert (tasks >= [0.8, 7.2]).all() and (tasks <= [2.8, 9.2]).all()
    teach(teacher, 1, success=0.0, first=9)
    teach(teacher, 9, first=10)
    assert teacher.level == 1  # a failure began the count anew
    teach(teacher, 1, first=19)
    assert teacher.level == 2
    assert teacher.low == pytest.approx([0.6, 5.4]) and teacher.high == pytest.approx([4.6, 9.4])


def test_the_whole_box_is_reached_after_five_steps_from_anywhere():
    teacher = ExpandingBox(WIDE, seed=0)
    teach(teacher, 41)
    assert teacher.level == 5
    assert np.array_equal(teacher.low, [0, 0]) and np.array_equal(teacher.high, [10, 10])
    teach(teacher, 100, first=41)
    assert teacher.level == 5


def test_from_the_middle_both_growths_are_the_published_rule():
    for growth in ("full", "equal"):
        teacher = ExpandingBox(WIDE, seed=0, start="middle", growth=growth, required_successes=1)
        for level in range(1, 6):
            assert teacher.low == pytest.approx([5 - level] * 2)
            assert teacher.high == pytest.approx([5 + level] * 2)
            teach(teacher, 1, first=level - 1)
        assert teacher.level == 5


def test_equal_growth_from_a_corner_takes_twice_as_many_boxes():
    teacher = ExpandingBox(UNIT, seed=0, growth="equal", required_successes=1)
    assert teacher.high == pytest.approx([0.1, 0.1])
    teach(teacher, 50)
    assert teacher.level == 10 and np.array_equal(teacher.high, [1, 1])


def test_late_outcomes_of_an_earlier_box_do_not_count():
    teacher = ExpandingBox(UNIT, seed=0)
    tasks = teacher.propose(64, 0.0).tasks
    hear(teacher, tasks, 1.0, first=0)
    assert teacher.level == 2
    fresh = teacher.propose(64, 0.0).tasks
    hear(teacher, fresh[:9], 1.0, first=64)
    hear(teacher, tasks, 0.0, first=0)  # neither do failures
    hear(teacher, fresh[9:10], 1.0, first=73)
    assert teacher.level == 3


def test_success_may_be_a_return():
    teacher = ExpandingBox(UNIT, seed=0, success_return=230.0)
    teach(teacher, 10, success=1.0, score=230.0)
    assert teacher.level == 1
    teach(teacher, 10, success=0.0, score=231.0, first=10)
    assert teacher.level == 2


# Stage list


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("episodes>=100", True),
        ("episodes>100", False),
        ("return<=-1.5e1", True),
        ("success < .7 & episodes >= 100", True),
        ("success<0.7 & episodes>=101 | steps>=5000", True),
        ("steps>=5000 | success<0.7 & episodes>=101", True),
        ("steps>5000|success<0.7&episodes>=101", False),
        ("progress>=0 | tasks>=0", False),  # not among these facts
    ],
)
def test_conditions(text, holds):
    facts = {"episodes": 100, "steps": 5000, "return": -20.0, "success": 0.6}
    assert parse_condition(text)(facts) is holds


@pytest.mark.parametrize("text", ["", "luck>=1", "episodes", "steps=5", "steps>=x", "steps>=nan"])
def test_strange_conditions_are_refused(text):
    with pytest.raises(ValueError, match="condition compares"):
        parse_condition(text)


def test_default_stages_grow_with_success():
    teacher = StageList(WIDE, seed=0)
    tasks = teach(teacher, 50)  # three quarters would do, but not before 50 episodes
    assert (tasks >= [0.75, 6.75]).all() and (tasks <= [3.25, 9.25]).all()
    assert teacher.stage == 1
    teach(teacher, 100, success=0.0, first=50)
    assert teacher.stage == 1
    teach(teacher, 38, first=150)
    assert teacher.stage == 2  # 38 of the last 50
    teach(teacher, 50, first=188)
    tasks = teach(teacher, 500, first=238)
    assert teacher.stage == 3
    assert tasks.min(axis=0) == pytest.approx([0, 0], abs=0.2)
    assert tasks.max(axis=0) == pytest.approx([10, 10], abs=0.2)


def test_every_quantity_can_end_a_stage():
    conditions = [
        "steps>=300",
        "episodes>=4",
        "tasks>=5",
        "return>=7",
        "success<0.5",
        "progress>0.5",
    ]
    boxes = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    teacher = StageList(UNIT, seed=0, boxes=boxes, until=conditions, window=3)
    teach(teacher, 3, length=100)
    assert teacher.stage == 1
    teach(teacher, 3, first=3)
    assert teacher.stage == 1
    teach(teacher, 1, first=6)
    assert teacher.stage == 2
    teacher.propose(5, 0.0)
    assert teacher.stage == 2
    teacher.propose(1, 0.0)  # five were proposed before this one
    assert teacher.stage == 3
    teach(teacher, 1, score=6.0, first=13)
    teach(teacher, 2, score=7.4, first=14)
    assert teacher.stage == 3  # 20.8 / 3
    teach(teacher, 1, score=7.4, first=16)
    assert teacher.stage == 4
    teach(teacher, 1, success=0.0, first=17)
    assert teacher.stage == 5
    assert teacher.propose(1, 0.5).tasks.max() <= 0.6
    teacher.propose(1, 0.51)
    assert teacher.stage == 6


def test_late_outcomes_do_not_count_for_the_next_stage():
    teacher = StageList(UNIT, seed=0, until="episodes>=10")
    tasks = teacher.propose(64, 0.0).tasks
    hear(teacher, tasks, 1.0, first=0)
    assert teacher.stage == 1 and teacher.episodes == 0


def test_boxes_in_task_units_and_loops():
    boxes = [[[0, 5], [1, 6]], [[8, 8], [9, 8]]]
    teacher = StageList(WIDE, seed=0, boxes=boxes, until="episodes>=2", loop=True)
    tasks = teach(teacher, 6)
    inside = (tasks >= [8, 8]).all(axis=1) & (tasks <= [9, 8]).all(axis=1)
    assert inside.tolist() == [False, False, True, True, False, False]
    assert (tasks[~inside] >= [0, 5]).all() and (tasks[~inside] <= [1, 6]).all()


def test_stages_can_be_written_on_the_command_line():
    written = [
        "boxes=[0.1, [[0, 0], [5, 10]], 1.0]",
        "until=success>=0.8&episodes>=100",
        "window=20",
    ]
    teacher = StageList(WIDE, seed=0, **parse_settings(written))
    assert teacher.lows.tolist() == pytest.approx(np.array([[0.9, 8.1], [0, 0], [0, 0]]))
    assert teacher.highs.tolist() == pytest.approx(np.array([[1.9, 9.1], [5, 10], [10, 10]]))
    both = parse_settings(['until=["episodes>=3", "steps>=5 | return>1"]', "boxes=[0.1, 0.2, 1]"])
    assert len(StageList(WIDE, seed=0, **both).conditions) == 2
    expanding = parse_settings(["start=middle", "growth=equal"])
    assert np.array_equal(ExpandingBox(WIDE, seed=0, **expanding).start, [5, 5])


# All of them


@pytest.mark.parametrize("cls", [ExpandingBox, StageList])
def test_difficulty_follows_the_skill_of_a_student(cls):
    means = {}
    for teacher_class in (cls, Uniform):
        pupil = Pupil(UNIT.space, rate=0.0)
        lesson = Lesson(teacher_class(UNIT, seed=0), pupil)
        difficulty = []
        for competence in np.linspace(0.0, 1.2, 200):
            pupil.competence = competence
            difficulty.append(pupil.difficulty(lesson.step(8).tasks).mean())
        means[teacher_class] = np.mean(difficulty[:40]), np.mean(difficulty[-20:])
    assert means[cls][0] < 0.2 and means[cls][1] > 0.4
    assert means[Uniform] == pytest.approx((0.5, 0.5), abs=0.05)


@pytest.mark.parametrize("cls", BASELINES)
def test_saved_teachers_continue_exactly(cls):
    teacher, copy = cls(WIDE, seed=0), cls(WIDE, seed=5)
    teach(teacher, 13, count=3)
    teach(copy, 40, count=2)
    copy.load_state_dict(teacher.state_dict())
    ours, theirs = (teach(one, 40, count=5, first=39) for one in (copy, teacher))
    assert np.array_equal(ours, theirs) and len(ours) == 200


@pytest.mark.parametrize("cls", BASELINES)
@settings(max_examples=25, deadline=None)
@given(
    low=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=4),
    width=st.sampled_from([0.0, 1e-9, 1.0, 1e9]),
    share=st.floats(0, 1),
    progress=st.floats(0, 1),
)
def test_tasks_stay_inside_the_box(cls, low, width, share, progress):
    low = np.array(low)
    high = low + width
    task_space = box(low, high, default=np.clip(low + share * width, low, high))
    teacher = cls(task_space, seed=0)
    for number in range(3):
        tasks = teacher.propose(20, progress).tasks
        assert (tasks >= low).all() and (tasks <= high).all()
        hear(teacher, tasks, 1.0, first=20 * number)


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (Easiest, {"easy": [1]}, "easy must hold 2 numbers"),
        (Easiest, {"easy": [1, 11]}, "easy must hold"),
        (TargetOnly, {"target": ["far", 1]}, "target must hold"),
        (TargetOnly, {"target": [1, np.nan]}, "target must hold"),
        (LinearAnneal, {"end": 0.0}, "end"),
        (ExpandingBox, {"steps": 0}, "steps"),
        (ExpandingBox, {"required_successes": 0}, "required_successes"),
        (ExpandingBox, {"growth": "fast"}, "growth"),
        (ExpandingBox, {"start": "top"}, "start must hold"),
        (ExpandingBox, {"success_return": np.nan}, "success_return"),
        (StageList, {"window": 0}, "window"),
        (StageList, {"boxes": []}, "boxes must be a list"),
        (StageList, {"boxes": [1.5]}, "share of the way"),
        (StageList, {"boxes": [[[1, 1]]]}, r"pair \[low, high\]"),
        (StageList, {"boxes": [[[2, 2], [1, 3]]]}, "low must not lie above high"),
        (StageList, {"until": ["episodes>=1"]}, "one condition or 3"),
        (StageList, {"until": [1, 2, 3]}, "must be a text"),
    ],
)
def test_options_out_of_range(cls, options, message):
    with pytest.raises(ValueError, match=message):
        cls(WIDE, seed=0, **options)


@pytest.mark.parametrize("cls", BASELINES)
def test_other_spaces_are_refused(cls):
    for space in (spaces.Box(0, np.inf, (1,), np.float64), spaces.Box(0, 1, (2, 2), np.float64)):
        with pytest.raises(ValueError, match="bounded box"):
            cls(TaskSpace(space), seed=0)

"""ACCEL: easy starts, edits inside the box, the choice of parents, and the bill."""

import random
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from benchmark import record
from benchmark.run import execute
from teachers.accel import ACCEL, PARENTS, ACCELReturn
from teachers.base import Knowledge, TaskSpace
from teachers.uniform import Uniform
from tests.frontier import Frontier, square, teach, tell
from tests.test_run import execute_with_failures, record_bytes, request

FILE = Path(__file__).parent.parent / "teachers" / "accel.py"


def box(low, high, default=None):
    space = spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64)
    return TaskSpace(space, default=None if default is None else np.array(default, float))


def children(teacher, task, count=500, seed=4):
    made = [teacher._child(np.array(task, float), seed) for _ in range(count)]
    return np.array([child[0] for child in made]), np.array([child[1] for child in made])


# Edits


@pytest.mark.parametrize("edits", [1, 2, 4, 9])
def test_an_edit_changes_so_many_coordinates_by_at_most_a_step(edits):
    low, high = np.array([0.0, -50, 7, 0, 0]), np.array([1.0, 50, 7, 10, 1e-3])
    teacher = ACCEL(box(low, high), seed=0, edits=edits, step=0.1)
    middle = (low + high) / 2
    tasks, seeds = children(teacher, middle)
    moved = np.abs(tasks - middle) / np.where(high > low, high - low, 1)
    assert ((moved > 0).sum(axis=1) == min(edits, 4)).all()  # one coordinate has no width
    assert moved.max() <= 0.1 and moved[:, 2].max() == 0
    free = moved[:, [0, 1, 3, 4]]
    np.testing.assert_allclose((free > 0).mean(axis=0), min(edits, 4) / 4, atol=0.08)
    assert free[free > 0].mean() == pytest.approx(0.05, abs=0.005)  # uniform up to the step
    assert len(set(seeds)) == len(seeds) and 4 not in seeds


def test_steps_may_be_given_in_task_units():
    teacher = ACCEL(box([0, 0], [10, 1000]), seed=0, step=[2.0, 0.0])
    tasks, _ = children(teacher, [5, 500])
    assert 1.9 < np.abs(tasks[:, 0] - 5).max() <= 2.0
    assert (tasks[:, 1] == 500).all()


@pytest.mark.parametrize("corner", [[0, -3], [1, 4], [0, 4]])
@pytest.mark.parametrize("width", [1.0, 1e-9])
def test_children_stay_inside_the_box(corner, width):
    corner = np.array(corner) * width
    low, high = np.array([0, -3]) * width, np.array([1, 4]) * width
    tasks, _ = children(ACCEL(box(low, high), seed=0, step=1.0), corner)
    assert (tasks >= low).all() and (tasks <= high).all()
    assert (np.abs(tasks - corner).max(axis=0) > 0.5 * (high - low)).all()


def test_a_child_may_keep_the_terrain_of_its_parent():
    _, seeds = children(ACCEL(square(), seed=0, redraw_seed=False), [0.5, 0.5])
    assert (seeds == 4).all()


# Parents


def group_of(values, scores):
    return [
        [np.array([float(row)]), row, value - score, score]
        for row, (value, score) in enumerate(zip(values, scores, strict=True))
    ]


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ("batch", [0, 1, 2, 3, 4, 5, 6, 7]),
        ("easy_highest", [3, 3, 3, 3, 0, 0, 0, 0]),
        ("easy_lowest", [6, 6, 6, 6, 1, 1, 1, 1]),
        ("lowest_regret", [4, 4, 4, 4, 3, 3, 3, 3]),
    ],
)
def test_the_choice_of_parents_by_hand(parents, expected):
    returns = [90, 10, 50, 100, 40, 60, -20, 70]
    scores = [5, 10, 20, 2, 1, 30, 8, 25]  # return - score: 85, 0, 30, 98, 39, 30, -28, 45
    teacher = ACCEL(square(), seed=0, parents=parents, group=8)
    chosen = teacher._chosen(group_of(returns, scores))
    assert [level[1] for level in chosen] == expected


def easy_buffer(cls=ACCELReturn, count=20, **options):
    """A teacher whose next proposals are all replays of ``count`` levels."""
    teacher = cls(square(), seed=0, capacity=count, replay_rate=1.0, fill=1.0, **options)
    proposal = teacher.propose(count, 0.0)
    tell(teacher, proposal, np.full(count, 10.0))
    return teacher


def test_every_replay_has_one_child_that_is_trained_on_next():
    teacher = easy_buffer(step=0.05)
    assert not teacher.candidates  # new levels have none
    replays = teacher.propose(3, 0.0)
    assert np.isin(replays.seeds, teacher.buffer.seeds).all()
    tell(teacher, replays, [10.0, 10.0, 10.0], first=20)
    assert len(teacher.candidates) == 3
    mixed = teacher.propose(5, 0.0)
    assert np.isin(mixed.seeds, teacher.buffer.seeds).tolist() == [False] * 3 + [True] * 2
    assert (np.abs(mixed.tasks[:3] - replays.tasks) <= 0.05).all()


def test_groups_are_edited_when_they_are_full():
    teacher = easy_buffer(parents="easy_highest", group=8)
    for number in range(7):
        tell(teacher, teacher.propose(1, 0.0), [10.0], first=20 + number)
        assert not teacher.candidates
    tell(teacher, teacher.propose(1, 0.0), [10.0], first=27)
    assert len(teacher.candidates) == 8 and not teacher.replayed


def test_a_child_without_a_past_is_measured_by_its_parent():
    teacher = easy_buffer(count=1)
    tell(teacher, teacher.propose(1, 0.0), [10.0], first=1)
    child = teacher.propose(1, 0.0)
    tell(teacher, child, [3.0], first=2)
    assert teacher.buffer.seeds == child.seeds  # its score is not lower, so it took the place
    assert teacher.buffer.scores == 7.0 and teacher.buffer.best == 3.0
    again = teacher.propose(1, 0.0)
    tell(teacher, again, [1.0], first=3)
    assert teacher.buffer.scores == 2.0  # from now on by its own best return


# New levels


def test_new_levels_lie_around_the_default_task():
    teacher = ACCELReturn(box([0, 0], [10, 100], [1, 100]), seed=0, easy_share=0.2, fill=1.0)
    tasks = teacher.propose(400, 0.0).tasks
    assert (tasks.min(axis=0) >= [0, 80]).all() and (tasks.max(axis=0) <= [3, 100]).all()
    assert (np.ptp(tasks, axis=0) > [2.7, 18]).all()


def test_new_levels_follow_the_told_distribution():
    told = Knowledge(initial=(np.array([0.5, 0.0]), np.array([0.01, 0.01])))
    tasks = ACCELReturn(square(), seed=0, knowledge=told, fill=1.0).propose(400, 0.0).tasks
    assert tasks[:, 0].mean() == pytest.approx(0.5, abs=0.01)
    assert (tasks[:, 1] == 0).mean() == pytest.approx(0.5, abs=0.1)  # clipped to the box


# What it does to a student


@pytest.mark.parametrize("parents", PARENTS)
@pytest.mark.parametrize("cls", [ACCEL, ACCELReturn])
def test_levels_grow_harder_with_the_student(cls, parents):
    student, teacher = Frontier(), cls(square(), seed=0, parents=parents)
    proposals = teach(teacher, student, 3000)
    hardness = [student.difficulty(p.tasks, p.seeds).mean() for p in proposals]
    assert np.mean(hardness[:5]) < 0.2  # the easy corner
    assert np.mean(hardness[-20:]) > np.mean(hardness[:5]) + 0.2
    tasks = np.concatenate([p.tasks for p in proposals])
    assert (tasks >= 0).all() and (tasks <= 1).all()


@pytest.mark.parametrize("cls", [ACCEL, ACCELReturn])
def test_a_student_with_a_moving_frontier_learns_more_than_by_uniform_tasks(cls):
    skills = {}
    for teacher in (cls, Uniform):
        students = [Frontier(seed) for seed in range(3)]
        for seed, student in enumerate(students):
            teach(teacher(square(), seed=seed), student, 3000)
        skills[teacher] = [student.skill for student in students]
    assert min(skills[cls]) > 2 * max(skills[Uniform])


def test_children_are_scored_without_learning_and_billed():
    student, teacher = Frontier(), ACCEL(square(), seed=0, capacity=30)
    proposals = teach(teacher, student, 4000)
    trained = 16 * len(proposals)
    # One child per replay and one new level per nine.
    assert student.probed / 10 == pytest.approx(trained * (1 + 0.1 / 0.9), rel=0.1)
    assert ACCEL.privileges == ("probe", "value_function") and ACCELReturn.privileges == ()


@pytest.mark.parametrize("parents", ["batch", "easy_lowest"])
@pytest.mark.parametrize("cls", [ACCEL, ACCELReturn])
def test_saved_teachers_continue_exactly(cls, parents):
    students = [Frontier(), Frontier()]
    teachers = [cls(square(), seed=seed, parents=parents, capacity=20) for seed in (0, 5)]
    for teacher, student in zip(teachers, students, strict=True):
        teach(teacher, student, 250)
    students[1].__dict__.update(students[0].__dict__, rng=np.random.default_rng(7), probed=0)
    students[0].rng, students[0].probed = np.random.default_rng(7), 0
    teachers[1].load_state_dict(teachers[0].state_dict())
    ours, theirs = (
        teach(teacher, student, 600, start=teacher.proposed)
        for teacher, student in zip(teachers, students, strict=True)
    )
    assert len(ours) == len(theirs) > 5
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.tasks, other.tasks)
        np.testing.assert_array_equal(one.seeds, other.seeds)


@pytest.mark.parametrize("teacher", ["ACCEL", "ACCELReturn"])
def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(
    tmp_path, monkeypatch, teacher
):
    name, arguments = f"{FILE}:{teacher}", {"capacity": 8, "fill": 0.25, "rollouts": 2}
    straight = execute(request(tmp_path / "a", "tiny-stumps", name, arguments=arguments))
    wanted = request(
        tmp_path / "b", "tiny-stumps", name, arguments=arguments, checkpoint_seconds=0.0
    )
    assert execute_with_failures(wanted, monkeypatch, random.Random(3)) >= 1
    assert record_bytes(wanted.folder) == record_bytes(straight)
    spent = record.read_run(straight)[0].spent
    assert (spent.teacher[-1] > 0) == (teacher == "ACCEL")


@pytest.mark.parametrize(
    "options",
    [
        {"parents": "all"},
        {"group": 3},
        {"edits": 0},
        {"step": 0.0},
        {"step": [0.1, 0.1, 0.1]},
        {"step": [0.1, np.nan]},
        {"easy_share": -0.1},
        {"capacity": 0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ACCEL(square(), seed=0, **options)

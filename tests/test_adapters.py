"""Code written to TeachMyAgent's and Syllabus's interfaces teaches unchanged."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from benchmark.record import read_run
from benchmark.registry import load
from benchmark.run import RunRequest, execute
from teachers.adapters import SyllabusSpace, SyllabusTeacher, TeachMyAgentTeacher
from teachers.base import Knowledge
from teachers.check import check_teacher
from teachers.proposals import validate_proposal
from tests import foreign_code
from tests import foreign_lessons as lessons
from tests.foreign_code import EpisodeLog, StepCounter
from tests.foreign_lessons import SQUARE, Bandit, Counter, Failures, Log, build, lesson, outcomes

USERS = {
    "box": "class Mine(TeachMyAgentTeacher):\n    wraps = ProgressBandit\n",
    "discrete": "class Mine(SyllabusTeacher):\n"
    "    wraps = FailureReplay\n    spaces = ('discrete',)\n",
}


# The user's three lines


@pytest.mark.parametrize("kind", USERS)
def test_three_lines_make_a_teacher(kind, tmp_path):
    file = tmp_path / "mine.py"
    own = Path(foreign_code.__file__).read_text(encoding="utf-8")
    imports = "from teachers.adapters import SyllabusTeacher, TeachMyAgentTeacher\n\n\n"
    file.write_text(f"{own}\n\n{imports}{USERS[kind]}", encoding="utf-8")
    cls = load("teacher", f"{file}:Mine")
    records = check_teacher(cls)
    assert sum(record.status == "passed" for record in records) >= 29
    protocol, smoke = {"box": ("hypercube-v1", 400), "discrete": ("digits-standard-v1", 1280)}[kind]
    folder = execute(RunRequest(protocol, f"{file}:Mine", 0, runs=str(tmp_path), smoke=smoke))
    assert read_run(folder)[0].teacher.reference.startswith(
        f"{cls.__module__}.{cls.wraps.__name__}"
    )


def test_the_loop_hands_over_steps_and_initial_observations(tmp_path):
    request = RunRequest(
        "hypercube-v1", f"{lessons.__file__}:Counter", 0, runs=str(tmp_path), smoke=200
    )
    told = read_run(execute(request))[0].teacher
    assert told.signals == ["initial_observation", "trajectory"]


def test_what_a_user_leaves_out_is_filled_in_and_what_he_says_stays():
    class Stated(TeachMyAgentTeacher):
        """Mine."""

        wraps = StepCounter
        reference = "Me 2026"
        signals = ()

    class Child(Stated):
        options = {"log": []}

    assert Bandit.reference == "tests.foreign_code.ProgressBandit, written for TeachMyAgent"
    assert Bandit.__doc__ and Bandit.__doc__ != TeachMyAgentTeacher.__doc__
    assert (Stated.__doc__, Stated.reference, Stated.signals) == ("Mine.", "Me 2026", ())
    assert (Child.reference, Child.signals) == ("Me 2026", ()) and "Step" in Child.__doc__


def test_signals_are_those_the_wrapped_class_reads():
    class Heir(StepCounter):
        pass

    class OfHeir(TeachMyAgentTeacher):
        wraps = Heir

    assert Bandit.signals == () and Failures.signals == ()
    assert Counter.signals == OfHeir.signals == ("initial_observation", "trajectory")
    assert Log.signals == ("trajectory",)


@pytest.mark.parametrize(
    ("cls", "space", "message"),
    [
        (TeachMyAgentTeacher, SQUARE, "wraps nothing"),
        (Bandit, spaces.Discrete(3), "bounded box"),
        (Bandit, spaces.Box(0.0, np.inf, (2,), np.float64), "bounded box"),
        (Failures, spaces.Box(0.0, 1.0, (2, 2), np.float64), "bounded box"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(cls, space, message):
    with pytest.raises(ValueError, match=message):
        build(cls, space)


def test_options_reach_the_wrapped_class_which_may_change_its_own_copy():
    class Grid(Bandit):
        options = {"cells": 7, "random_share": 0.5}

    wrapped = build(Grid, options={"cells": 3}).wrapped
    assert (wrapped.cells, wrapped.random_share) == (3, 0.5)
    log = []
    teacher = build(Counter, options={"log": log})
    lesson(teacher, 1)
    assert teacher.wrapped.calls and log == []


# TeachMyAgent's interface


def test_the_old_constructor_gets_lists_bounds_and_a_seed_of_32_bits():
    mins, maxs, seed, *bounds = build(Counter, seed=2**62).wrapped.arguments
    assert (mins, maxs, bounds) == ([0.0, -2.0], [1.0, 2.0], [-1.0, 1.0])
    assert isinstance(seed, int) and 0 < seed < 2**31
    told = build(Counter, knowledge=Knowledge(return_range=(-150.0, 350.0)))
    assert told.wrapped.arguments[3:] == (-150.0, 350.0)


def test_gaussians_of_the_knowledge_become_arguments():
    knowledge = Knowledge(initial=(np.array([0.5, 1.0]), np.array([0.2, 0.0])))
    told = build(Counter, knowledge=knowledge).wrapped.initial_dist
    np.testing.assert_allclose(told["variance"], np.diag([0.04, 1e-6]))
    np.testing.assert_array_equal(told["mean"], [0.5, 1.0])
    own = build(Counter, knowledge=knowledge, options={"initial_dist": 3}).wrapped
    assert own.initial_dist == 3
    assert build(Bandit, knowledge=knowledge).wrapped.cells == 5  # takes no such argument


def test_an_episode_is_told_as_it_happened():
    teacher = build(Counter)
    tasks = teacher.propose(1, 0.0).tasks
    told = outcomes(teacher, [0], tasks, [3.0], [1.0], [2])
    told.trajectory[0]["terminated"] = False  # a time limit ends an episode as well
    teacher.observe(told)
    single = np.float32(tasks[0]).tolist()
    assert teacher.wrapped.calls == [
        ("initial", single, [0.0]),
        ("step", [0.0], [-0.0], 0.5, [1.0], False),
        ("step", [1.0], [-1.0], 1.0, [2.0], True),
        ("episode", single, 3.0, True),
    ]


def test_several_tasks_in_flight_are_told_in_order_of_arrival():
    teacher = build(Counter)
    tasks = teacher.propose(3, 0.0).tasks
    teacher.observe(outcomes(teacher, [2], tasks[[2]], [20.0]))
    teacher.observe(outcomes(teacher, [1, 0], tasks[[1, 0]], [10.0, 0.0]))
    ends = [call[1:3] for call in teacher.wrapped.calls if call[0] == "episode"]
    assert ends == [(np.float32(tasks[row]).tolist(), 10.0 * row) for row in (2, 1, 0)]


def test_returns_are_raw_unless_they_are_to_be_scaled():
    class Bounded(Counter):
        return_bounds = (-150.0, 350.0)

    for keywords, expected in (({}, [100.0, 999.0]), ({"scale_returns": True}, [0.5, 1.0])):
        teacher = build(Bounded, **keywords)
        teacher.observe(outcomes(teacher, [0, 1], teacher.propose(2, 0.0).tasks, [100.0, 999.0]))
        heard = [call[2] for call in teacher.wrapped.calls if call[0] == "episode"]
        assert heard == expected


def test_constant_dimensions_are_shown_or_hidden():
    box = spaces.Box(np.array([0.0, 5.0, -1.0]), np.array([1.0, 5.0, 1.0]), dtype=np.float64)
    assert build(Counter, box).wrapped.arguments[0] == [0.0, 5.0, -1.0]
    knowledge = Knowledge(initial=(np.array([0.5, 5.0, 0.0]), np.ones(3)))
    teacher = build(Counter, box, strip_constant=True, knowledge=knowledge)
    assert teacher.wrapped.arguments[:2] == ([0.0, -1.0], [1.0, 1.0])
    assert teacher.wrapped.initial_dist["mean"].tolist() == [0.5, 0.0]
    proposal = teacher.propose(4, 0.0)
    validate_proposal(proposal, box, 4)
    assert (proposal.tasks[:, 1] == 5.0).all()
    teacher.observe(outcomes(teacher, [1], proposal.tasks[[1]]))
    assert teacher.wrapped.calls[-1][1] == np.float32(proposal.tasks[1, [0, 2]]).tolist()


class Given(foreign_code.AbstractTeacher):
    """Gives and hears what a test says."""

    def __init__(self, mins, maxs, env_reward_lb, env_reward_ub, seed, task=None):
        self.task, self.heard = task, []

    def sample_task(self):
        return np.array(self.task, dtype=np.float32)

    def episodic_update(self, task, reward, is_success):
        self.heard.append(task)


class Gives(TeachMyAgentTeacher):
    wraps = Given


def test_rounding_to_32_bits_is_undone_and_the_sampled_task_comes_back():
    box = spaces.Box(0.0, 0.1, (1,), np.float64)
    assert float(np.float32(0.1)) > 0.1
    teacher = build(Gives, box, options={"task": [0.1]})
    proposal = teacher.propose(1, 0.0)
    assert proposal.tasks[0, 0] == 0.1
    teacher.observe(outcomes(teacher, [0], proposal.tasks))
    assert teacher.wrapped.heard[0].dtype == np.float32
    assert float(teacher.wrapped.heard[0][0]) > 0.1


@pytest.mark.parametrize(
    ("task", "message"), [([0.2], "allowed"), ([0.1, 0.1], "1 finite"), ([np.nan], "1 finite")]
)
def test_wrong_tasks_are_not_repaired(task, message):
    box = spaces.Box(0.0, 0.1, (1,), np.float64)
    with pytest.raises(ValueError, match=message):
        validate_proposal(build(Gives, box, options={"task": task}).propose(1, 0.0), box, 1)


# Syllabus's interface


def test_a_curriculum_hears_steps_then_the_episode_then_the_progress():
    teacher = build(Log, spaces.Discrete(9, start=5), options={"tasks": (3, 4)})
    tasks = teacher.propose(2, 0.0).tasks
    assert tasks.tolist() == [8, 9]
    told = outcomes(teacher, [1], tasks[[1]], [7.0], [1.0], [1])
    told.trajectory[0]["terminated"] = False
    teacher.observe(told)
    assert teacher.wrapped.calls == [
        ("step", 4, [0.0], 0.0, False, False, {"task": 4}, 0.0, 1),
        ("step", 4, [1.0], 0.5, False, True, {"task": 4}, 1.0, 1),
        ("episode", 7.0, 1, 4, 1.0, 1),
        ("progress", 4, 1.0, 1),
    ]


def test_steps_come_in_batches_that_begin_with_the_reset():
    sizes = []

    class Batches(EpisodeLog):
        def update_on_step_batch(self, step_results, env_id=None):
            sizes.append([len(column) for column in step_results])
            super().update_on_step_batch(step_results, env_id=env_id)

    class Batched(SyllabusTeacher):
        wraps = Batches

    teacher = build(Batched, spaces.Discrete(9))
    teacher.observe(outcomes(teacher, [0], teacher.propose(1, 0.0).tasks, lengths=[250]))
    assert sizes == [[100] * 7, [100] * 7, [51] * 7]
    steps = [call for call in teacher.wrapped.calls if call[0] == "step"]
    assert [call[4] for call in steps] == [False] * 250 + [True]
    assert not any(call[5] for call in steps)


def test_steps_are_told_only_to_who_requires_them():
    quiet = build(Log, spaces.Discrete(9), options={"steps": False})
    quiet.observe(outcomes(quiet, [0], quiet.propose(1, 0.0).tasks))
    assert [call[0] for call in quiet.wrapped.calls] == ["episode", "progress"]

    class Undeclared(Log):
        signals = ()
        report_progress = False

    with pytest.raises(ValueError, match="requires step updates"):
        build(Undeclared, spaces.Discrete(9))
    silent = build(Undeclared, spaces.Discrete(9), options={"steps": False})
    silent.observe(outcomes(silent, [0], silent.propose(1, 0.0).tasks))
    assert [call[0] for call in silent.wrapped.calls] == ["episode"]


def test_environment_numbers_are_those_of_the_worlds():
    """Four worlds, of which any may end and ask again at any time, in the order of their number."""
    teacher, rng = (
        build(Log, spaces.Discrete(9), options={"steps": False}),
        np.random.default_rng(3),
    )
    idle, holds, proposed = np.arange(4), {}, 0
    for _ in range(200):
        tasks = teacher.propose(len(idle), 0.0).tasks
        for world, task in zip(idle, tasks, strict=True):
            holds[world], proposed = (proposed, task), proposed + 1
        idle = np.sort(rng.choice(4, size=rng.integers(1, 5), replace=False))
        teacher.wrapped.calls.clear()
        numbers, done = zip(*(holds[world] for world in idle), strict=True)
        teacher.observe(outcomes(teacher, numbers, done))
        heard = [call[-1] for call in teacher.wrapped.calls if call[0] == "episode"]
        assert heard == idle.tolist()


def test_a_box_of_a_curriculum():
    tasks = (np.float32([0.5, 2.0]), np.float32([1.0, -2.0]))
    teacher = build(Log, SQUARE, options={"tasks": tasks, "steps": False})
    proposal = teacher.propose(3, 0.0)
    validate_proposal(proposal, SQUARE, 3)
    assert proposal.tasks.tolist() == [[0.5, 2.0], [1.0, -2.0], [0.5, 2.0]]
    teacher.observe(outcomes(teacher, [1], proposal.tasks[[1]]))
    assert teacher.wrapped.calls[-1][1].tolist() == [1.0, -2.0]


@pytest.mark.parametrize("given", [(), (0, 1, 2), (0.5, 1.0)])
def test_a_wrong_number_or_kind_of_tasks_is_refused(given):
    teacher = build(Log, spaces.Discrete(9))
    teacher.wrapped.sample = lambda k: list(given)
    with pytest.raises(ValueError, match=r"sample\(k=2\) must return 2 tasks"):
        teacher.propose(2, 0.0)


def test_the_task_space_is_of_syllabus_where_it_is_loaded(monkeypatch):
    space = build(Log, spaces.Discrete(9, start=2)).syllabus_space()
    assert isinstance(space, SyllabusSpace) and space.tasks == list(range(9))
    assert space.contains(0) and not space.contains(9)
    box = build(Log, SQUARE, options={"tasks": [np.zeros(2)]}).syllabus_space()
    assert (box.tasks, box.num_tasks) == (None, -1) and SQUARE.contains(box.sample())
    stand_in = types.ModuleType("syllabus.task_space")
    stand_in.DiscreteTaskSpace = lambda gym_space: ("theirs", gym_space.n)
    monkeypatch.setitem(sys.modules, "syllabus.task_space", stand_in)
    assert build(Log, spaces.Discrete(9)).wrapped.task_space == ("theirs", 9)

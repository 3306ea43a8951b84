"""Foreign code has global random states of its own and continues exactly where it was."""

import random

import numpy as np
import pytest
import torch
from gymnasium import spaces

from benchmark import checkpoint
from teachers.adapters import TeachMyAgentTeacher
from teachers.history import GlobalStates, History
from tests.foreign_code import ProgressBandit
from tests.foreign_lessons import SQUARE, Bandit, Counter, Failures, build, lesson, outcomes


class Valued(Counter):
    privileges = ("value_function",)


def states():
    key = np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002
    return random.getstate(), key, torch.get_rng_state().tolist()


def draws():
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


def test_global_states_are_own_and_leave_the_programs_alone():
    one, other, again = GlobalStates(1), GlobalStates(2), GlobalStates(1)
    before, inside = states(), []
    for own in (one, other, one, again, again):
        with own:
            inside.append(draws())
    assert states() == before
    assert len(set(inside[:3])) == 3 and [inside[0], inside[2]] == inside[3:]
    with pytest.raises(KeyError), one:
        torch.manual_seed(random.randrange(9))
        raise KeyError
    assert states() == before


@pytest.mark.parametrize("cls", [Bandit, Counter, Failures])
def test_a_saved_teacher_goes_on_exactly_where_it_was(cls, tmp_path):
    space = spaces.Discrete(30) if cls is Failures else SQUARE
    teacher = build(cls, space)
    lesson(teacher, 30)
    checkpoint.save(tmp_path, 0, teacher.state_dict())
    expected = lesson(teacher, 20, start=30)
    resumed = build(cls, space, seed=9)  # the seed is part of the state
    lesson(resumed, 3)  # and what happened before does not matter
    resumed.load_state_dict(checkpoint.load(tmp_path))
    np.testing.assert_array_equal(lesson(resumed, 20, start=30), expected)
    third = build(cls, space)
    third.load_state_dict(resumed.state_dict())
    assert third.checksum == teacher.checksum
    assert not np.array_equal(lesson(build(cls, space), 20, start=30), expected)


def test_outcomes_nobody_asked_for_are_told_and_kept():
    teacher = build(Counter)
    tasks = teacher.propose(2, 0.0).tasks
    teacher.observe(outcomes(teacher, [7, 0], [[0.25, 1.0], [0.5, 0.5]], lengths=[1, 3]))
    heard = [call[1] for call in teacher.wrapped.calls if call[0] == "episode"]
    assert heard == [[0.25, 1.0], [0.5, 0.5]]
    resumed = build(Counter)
    resumed.load_state_dict(teacher.state_dict())
    assert resumed.wrapped.calls == teacher.wrapped.calls
    resumed.observe(outcomes(resumed, [0], tasks[[0]]))  # task 0 is still open
    assert resumed.wrapped.calls[-1][1] == np.float32(tasks[0]).tolist()


class Probe:
    def __init__(self):
        self.asked = 0

    def value(self, observations):
        self.asked += 1
        return observations[:, 0] + 0.1 * self.asked  # the student changes with time


def test_the_student_is_asked_for_values_once():
    teacher, plain = build(Valued), build(Counter)
    teacher.probe = Probe()
    first = lesson(teacher, 10)
    assert teacher.probe.asked > 10 and not np.array_equal(first, lesson(plain, 10))
    resumed = build(Valued)
    resumed.probe = Probe()
    resumed.load_state_dict(teacher.state_dict())
    assert resumed.probe.asked == 0
    resumed.probe.asked = teacher.probe.asked
    np.testing.assert_array_equal(lesson(resumed, 5, start=10), lesson(teacher, 5, start=10))


def test_code_that_does_not_repeat_itself_cannot_be_continued():
    class Entropy(ProgressBandit):
        def sample_task(self):
            return np.random.default_rng().uniform(self.mins, self.maxs).astype(np.float32)

    class Unseeded(TeachMyAgentTeacher):
        wraps = Entropy

    teacher = build(Unseeded)
    lesson(teacher, 2)
    with pytest.raises(ValueError, match="unseeded generator"):
        build(Unseeded).load_state_dict(teacher.state_dict())


def test_a_history_is_as_small_as_it_says():
    history = History(width=3)
    facts = {name: np.zeros(10_000) for name in ("proposal", "score", "success", "length")}
    history.add_outcomes({**facts, "tasks": np.zeros((10_000, 3))})
    assert history.state_dict()["rows"].nbytes == 10_000 * 8 * (4 + 3)

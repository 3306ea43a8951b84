"""Rugged task spaces: the shuffling by hand, its way back, and what a teacher is told."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from benchmark.assemble import assemble
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from environments.rugged_tasks import Ruggedness
from tests.test_observed_tasks import protocol_file

SPACE = spaces.Box(np.array([0.0, -4.0, 1.0]), np.array([8.0, 4.0, 1.0]), dtype=np.float64)


def test_segments_change_places_and_keep_their_order():
    rugged = Ruggedness(SPACE, 4, seed=0)
    rugged.true = np.array([[2, 0, 3, 1], [1, 0, 3, 2], [0, 1, 2, 3]])
    # First dimension: segments of 2; 0.5 lies in segment 0, which is the true segment 2.
    told = np.array([[0.5, -4.0, 1.0], [3.9, 3.0, 1.0], [8.0, 1.0, 1.0]])
    expected = [[4.5, -2.0, 1.0], [1.9, 1.0, 1.0], [4.0, 3.0, 1.0]]
    np.testing.assert_allclose(rugged.tasks(told), expected)


@given(st.integers(0, 1000), st.integers(2, 6), st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_the_way_back_leads_back(seed, segments, share):
    rugged = Ruggedness(SPACE, segments, seed)
    point = SPACE.low + (SPACE.high - SPACE.low) * np.array([*share, 0.0])
    task = rugged.tasks(point[None])
    assert SPACE.contains(task[0])
    back = rugged.coordinates(task)[0]
    # An upper end of a segment is also the lower end of the next one.
    inside = np.abs(np.array(share) * segments - np.round(np.array(share) * segments)) > 1e-6
    np.testing.assert_allclose(back[:2][inside], point[:2][inside], atol=1e-7)


def test_the_bounds_of_the_space_lead_there_and_back():
    for seed in range(20):
        rugged = Ruggedness(SPACE, 4, seed)
        corners = np.array([SPACE.low, SPACE.high])
        np.testing.assert_allclose(rugged.tasks(rugged.coordinates(corners)), corners, atol=1e-7)


def test_every_dimension_is_shuffled_and_by_the_seed():
    tables = [Ruggedness(SPACE, 4, seed).true for seed in range(30)]
    assert all((table != np.arange(4)).any(axis=1).all() for table in tables)
    assert len({table.tobytes() for table in tables}) > 25
    np.testing.assert_array_equal(tables[3], Ruggedness(SPACE, 4, 3).true)


def test_a_run_trains_in_shuffled_tasks_and_is_tested_in_true_ones(tmp_path):
    told = 'privileges = ["probe", "value_function"]\nknowledge = "high"\nreturn_range = [0, 300]\n'
    told += "initial_mean = [0.5, 5.5]\ninitial_std = [0.3, 0.6]"
    lines = {"version = 1": "version = 1\nrugged = 4"}
    lines['privileges = ["probe", "value_function"]'] = told
    protocol = Protocol.load(protocol_file(tmp_path, **lines))
    assembly = assemble(protocol, "robust_plr", {}, 0, Recorder(tmp_path, {}, 1e9))
    training, tests, asked = assembly.worlds
    rugged, teacher = training.ruggedness, assembly.teacher
    assert assembly.evaluator.worlds is tests
    moves = np.argmax(rugged.true != np.arange(4), axis=1)  # a segment of each that does
    seeds, point = np.array([7]), (moves[None] + 0.3) / 4 * training.task_space.high
    true, played = rugged.tasks(point), []
    assert not np.allclose(true, point)
    for worlds in (training, asked):
        inner = worlds.worlds
        inner.reset = lambda index, tasks, seeds, inner=inner: (
            played.append(tasks),
            type(inner).reset(inner, index, tasks, seeds),
        )[1]
        worlds.reset([0], point, seeds)
        worlds.step(np.zeros((1, 4)), [0])
    np.testing.assert_array_equal(played, [true, true])
    with pytest.raises(ValueError, match="outside"):
        training.reset([0], np.array([[-1.0, 0.0]]), seeds)
    # Where the easy tasks are is told in the teacher's coordinates.
    np.testing.assert_allclose(rugged.tasks(teacher.knowledge.initial[0][None]), [[0.5, 5.5]])
    np.testing.assert_allclose(teacher.knowledge.initial[1], [0.3, 0.6])
    plain = protocol_file(tmp_path)
    world_default = assemble(
        Protocol.load(plain), "uniform", {}, 0, Recorder(tmp_path, {}, 1e9)
    ).teacher.task_space.default
    assembly.close()
    found = rugged.tasks(teacher.task_space.default[None])[0]
    np.testing.assert_allclose(found, world_default, atol=1e-6)


def test_one_segment_is_refused(tmp_path):
    path = protocol_file(tmp_path, **{"version = 1": "version = 1\nrugged = 1"})
    with pytest.raises(LyceumError, match=r"task\.rugged: .*at least 2 segments"):
        assemble(Protocol.load(path), "uniform", {}, 0, Recorder(tmp_path, {}, 1e9))

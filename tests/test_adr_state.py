"""ADR: what is saved, which spaces it takes and which options it refuses."""

import warnings

import numpy as np
import pytest
from gymnasium import spaces

from teachers.adr import ADR
from teachers.base import TaskSpace
from tests.lessons import Class, outcomes
from tests.test_adr import GOOD, PRESETS, RAW, UNIT, box, start_at, widened


def test_the_release_restarts_its_stream_at_every_move():
    def after_moves(room):
        # A range that is twice the same draws twice the same tasks, if nothing is put at a bound.
        first = room.propose(5)[1]
        room.teacher._decide(0, 0)  # an empty queue has mean 0: inwards
        room.teacher.bounds[0, 0] = 0.0
        return first, room.propose(5)[1]

    for restart in (False, True):
        options = {"restart_stream": restart, "boundary_share": 0.0, "thresholds": (0, 1)}
        room = Class(ADR(box([0], [1]), seed=3, **options))
        room.teacher.bounds[...] = [[0.0], [1.0]]
        first, second = after_moves(room)
        assert np.array_equal(first, second) == restart
        assert not np.isin(room.propose(5)[1], second).any()  # it runs on between moves


@PRESETS
@pytest.mark.parametrize("rounds", [3, 137])
def test_saved_teachers_continue_exactly(preset, rounds):
    def returns(tasks):
        return 300 * (tasks.sum(axis=1) < 1.2) - 50

    options = {"knowledge": start_at(0.3, 0.3), "preset": preset} | RAW
    one, other = Class(ADR(UNIT, seed=0, **options)), Class(ADR(UNIT, seed=5, **options))
    one.teach(returns, rounds, count=3)
    waiting = one.propose(40)  # still open when saved
    other.teacher.load_state_dict(one.teacher.state_dict())
    other.number = one.number
    for room in (one, other):
        room.teacher.observe(outcomes(*waiting, returns(waiting[1])))
    assert np.array_equal(one.teach(returns, 600), other.teach(returns, 600))
    assert np.array_equal(one.teacher.range, other.teacher.range)


@PRESETS
def test_dimensions_of_width_zero_are_put_back(preset):
    room = widened(box([0, 7, 0], [1, 7, 1]), (0.5, 7, 0.5), rounds=1500, preset=preset)
    assert room.teacher.range.tolist() == [[0, 7, 0], [1, 7, 1]]
    assert (room.propose(100)[1][:, 1] == 7).all()
    point = Class(ADR(box([3, 4], [3, 4]), seed=0, preset=preset))
    assert np.array_equal(point.teach(GOOD, 50), np.tile([3.0, 4.0], (50, 1)))


@PRESETS
@pytest.mark.parametrize("scale", [1e-9, 1.7e308])
def test_tasks_stay_inside_the_box_whatever_the_returns(preset, scale):
    low = np.linspace(-5, 5, 4)
    room = Class(ADR(box(low, low + 1e-9), seed=0, preset=preset, thresholds=(-1e9, 1e-9)))
    signs = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = room.teach(lambda tasks: scale * signs.choice([-1.0, 1.0, 1.0], len(tasks)), 60, 16)
    assert tasks.dtype == np.float64 and (tasks >= low).all() and (tasks <= low + 1e-9).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"boundary_share": 1.5},
        {"step": 0.0},
        {"queue_length": 0},
        {"thresholds": (3.0, 3.0)},
        {"thresholds": (1.0,)},
        {"start": "middle"},
        {"step_unit": "metres"},
        {"hits": "near"},
        {"skip_dead_sides": "yes"},
        {"restart_stream": 2},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ADR(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        ADR(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

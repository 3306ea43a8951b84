"""The pool that grows when learning stalls."""

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import TaskSpace
from teachers.plateau import PlateauPaced
from tests.clouds import Clouds, Lesson

POOL = TaskSpace(spaces.Discrete(22, start=3), label=np.arange(22) % 4)
LOSSES = np.random.default_rng(5).permutation(22) / 10


class Marks:
    """A probe with fixed losses for items in training and a list of losses for the kept part."""

    def __init__(self, held, levels):
        self.held, self.levels, self.asked = held + 3, list(levels), []

    def loss(self, tasks):
        self.asked.append(len(tasks))
        if set(tasks) == set(self.held):
            return np.full(len(tasks), self.levels.pop(0))
        return LOSSES[np.asarray(tasks) - 3]


def build(levels, **options):
    options = {"start": 0.2, "step": 0.1, "every": 20, "balanced": False, **options}
    teacher = PlateauPaced(POOL, seed=0, reference_share=0.09, **options)
    teacher.probe = Marks(teacher.held, levels)
    return teacher


def test_the_share_grows_at_tests_without_progress():
    teacher = build([2.0, 1.0, 1.0, 5.0, 4.0, 4.5])
    assert len(teacher.held) == 2 and len(teacher.free) == 20
    sizes = []
    for _ in range(7):
        teacher.queue = np.empty(0, dtype=np.int64)
        teacher.propose(20, 0.0)
        sizes.append(len(teacher.chosen))
    # 2, then 1 is progress, 1 again is not; a grown pool sets a mark of its own, 5; 4.5 is worse.
    assert sizes == [4, 4, 4, 6, 6, 6, 8]
    assert teacher.probe.asked == [20, 2, 2, 2, 20, 2, 2, 2, 20]
    easiest = teacher.free[np.argsort(LOSSES[teacher.free])[:8]]
    assert set(teacher.chosen) == set(easiest)


def test_a_test_waits_for_its_turn():
    teacher = build([2.0, 3.0], every=100)
    for _ in range(12):
        assert len(teacher.propose(20, 0.0).tasks) == 20
    assert teacher.probe.levels == [] and teacher.share == pytest.approx(0.3)


def test_progress_may_have_to_be_large():
    shares = {}
    for gain in (0.0, 0.2):
        teacher = build([1.0, 0.9, 0.85], gain=gain)
        for _ in range(4):
            teacher.queue = np.empty(0, dtype=np.int64)
            teacher.propose(20, 0.0)
        shares[gain] = round(teacher.share, 6)
    assert shares == {0.0: 0.2, 0.2: 0.3}


def test_the_kept_part_is_not_trained_on_and_the_end_is_everything_else():
    teacher = build([1.0] * 100, step=1.0)
    tasks = np.concatenate([teacher.propose(20, 0.0).tasks for _ in range(12)])
    assert not set(tasks - 3) & set(teacher.held)
    assert teacher.share == 1.0 and set(tasks[-20:] - 3) == set(teacher.free)
    left = len(teacher.probe.levels)
    teacher.propose(100, 0.0)
    assert len(teacher.probe.levels) == left  # nothing is left to be gained by asking


def test_noise_opens_the_pool_and_separable_data_do_not():
    """Without noise the loss of kept items falls for long, even from a handful of others."""
    noisy, clean = (
        Lesson(PlateauPaced, Clouds(noise=noise), every=100, step=0.2, total=8000)
        for noise in (0.2, 0.0)
    )
    assert noisy.teacher.share == 1.0 and noisy.accuracy > 0.9
    assert clean.teacher.share < 0.5
    assert noisy.ledger.forward >= 360 * 5  # the order is asked for anew at every growth


def test_a_missing_probe_is_explained():
    with pytest.raises(ValueError, match="probe"):
        PlateauPaced(POOL, seed=0).propose(1, 0.0)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("start", 0.0),
        ("step", 0.0),
        ("gain", 1.0),
        ("every", 0),
        ("reference_share", 1.0),
    ],
)
def test_options_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        PlateauPaced(POOL, seed=0, **{option: value})

"""Supervised tasks with a generator: kinds of task space, levels, items, rounded integers."""

import numpy as np
import pytest
from gymnasium import spaces

from environments.base import parameter_box
from environments.supervised.delayed_match import DelayedMatch
from environments.supervised.generator import grid, integer_parameter, whole
from environments.supervised.n_parity import NParity
from environments.supervised.sparse_parity import SparseParity


def sample(task, tasks, seed=0):
    return task.sample(np.asarray(tasks), np.random.default_rng(seed))


def test_the_three_kinds_of_task_space():
    box, levels = NParity(0), NParity(0, tasks="levels")
    items = NParity(0, tasks="items", items=600)
    assert isinstance(box.task_space, spaces.Box) and box.task_space.shape == (1,)
    assert box.label is box.prior is box.group is None
    assert levels.task_space == spaces.Discrete(12) and levels.label is None
    assert levels.group.tolist() == list(range(12))
    assert np.all(np.diff(levels.prior) > 0) and 0 <= levels.prior.min() <= levels.prior.max() <= 1
    assert items.task_space.n == len(items.label) == len(items.group) == len(items.prior) <= 600
    assert np.array_equal(items.prior, levels.prior[items.group])
    first, again = (sample(items, np.arange(50), seed) for seed in (0, 1))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1], items.label[:50])
    assert not np.array_equal(sample(box, [[9.0]] * 4)[0], sample(box, [[9.0]] * 4, 1)[0])


def test_items_equal_no_held_out_input():
    task = NParity(3, tasks="items", items=1200)
    held = {row.tobytes() for part in (task.test, task.validation) for row in part[0]}
    rows = [row.tobytes() for row in sample(task, np.arange(task.task_space.n))[0]]
    assert not held & set(rows)
    counts = np.bincount(task.group, minlength=12)
    assert (counts[6:] == 100).all() and counts[0] < 100  # few distinct streams have a span of 1


def test_test_sets_hold_every_level_and_ignore_the_seed():
    first, second = NParity(0, per_level=20), NParity(1, per_level=20, tasks="items")
    assert np.array_equal(np.bincount(first.test_level), np.full(12, 20))
    assert first.level_names[2] == "span 3"
    for part in ("test", "validation"):
        same = zip(getattr(first, part), getattr(second, part), strict=True)
        assert all(np.array_equal(a, b) for a, b in same)


def test_integers_share_the_box_evenly():
    parameter = integer_parameter("n", 2, 4, 3, "1", "a count")
    ends = whole(parameter, np.array([1.5, 2.49, 2.5, 3.0, 3.5, 4.4, 4.5]))
    assert ends.tolist() == [2, 2, 3, 3, 4, 4, 4]
    values = np.random.default_rng(0).uniform(*parameter_box([parameter]).low, 4.5, size=30_000)
    assert np.allclose(np.bincount(whole(parameter, values))[2:] / 10_000, 1, atol=0.03)


def test_grid_lists_all_combinations_with_the_last_parameter_fastest():
    assert grid([1, 2], [5, 6]).tolist() == [[1, 5], [1, 6], [2, 5], [2, 6]]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tasks": "boxes"}, "tasks must be one of"),
        ({"items": 3}, "items must be at least 12"),
        ({"per_level": 1}, "per_level"),
        ({"longest": 1}, "longest"),
        ({"heads": "many"}, "heads must be one of"),
    ],
)
def test_arguments_out_of_range(options, match):
    with pytest.raises(ValueError, match=match):
        NParity(0, **options)


@pytest.mark.parametrize("bad", [[[0.4]], [[12.6]], [[np.nan]], [[3.0, 1.0]], [3.0]])
def test_vectors_outside_the_box_are_refused(bad):
    with pytest.raises(ValueError, match="span"):
        sample(NParity(0), bad)


def test_sparse_parity_by_hand_and_its_density():
    task = SparseParity(0, bits=12, order=3)
    inputs, targets = sample(task, np.repeat([[0.1], [0.5]], 4000, axis=0))
    assert set(np.unique(inputs)) == {-1.0, 1.0}
    assert np.array_equal(targets == 1, inputs[:, :3].prod(axis=1) < 0)
    negative = (inputs < 0).mean(axis=1)
    assert negative[:4000].mean() == pytest.approx(0.1, abs=0.01)
    assert negative[4000:].mean() == pytest.approx(0.5, abs=0.01)
    # What sparse inputs give away: the first three signs are correlated with the class.
    single = [np.corrcoef(inputs[:4000, j] < 0, targets[:4000])[0, 1] for j in range(12)]
    assert min(single[:3]) > 0.3 > 0.1 > np.abs(single[3:]).max()


def test_sparse_parity_arguments():
    for options, match in (
        ({"order": 31}, "order"),
        ({"order": 0}, "order"),
        ({"held_out": (0.6,)}, "held_out"),
        ({"held_out": ()}, "held_out"),
    ):
        with pytest.raises(ValueError, match=match):
            SparseParity(0, **options)


def spans(count=300):
    return np.random.default_rng(5).integers(1, 13, size=(count, 1)).astype(float)


def test_n_parity_counts_the_bits_from_the_marker_on():
    inputs, targets = sample(NParity(0), spans())
    for row, target, span in zip(inputs, targets, spans()[:, 0].astype(int), strict=True):
        (start,) = np.flatnonzero(row[:, 1])
        assert start == len(row) - span
        assert target == (row[start:, 0] > 0).sum() % 2
        stream = np.flatnonzero(row[:, 0])
        assert span <= len(stream) <= span + 4 and np.array_equal(
            stream, np.arange(stream[0], len(row))
        )
    assert 0.4 < targets.mean() < 0.6


def test_delayed_match_compares_the_last_bit_with_the_marked_one():
    inputs, targets = sample(DelayedMatch(0), spans())
    for row, target, delay in zip(inputs, targets, spans()[:, 0].astype(int), strict=True):
        (start,) = np.flatnonzero(row[:, 1])
        assert start == len(row) - 1 - delay
        assert row[start, 0] != 0 and target == (row[start, 0] == row[-1, 0])
    assert 0.4 < targets.mean() < 0.6


def test_with_many_heads_the_second_channel_names_the_head():
    for cls in (NParity, DelayedMatch):
        single, multi = (sample(cls(0, heads=heads), spans()) for heads in ("single", "multi"))
        assert np.array_equal(single[0][:, :, 0], multi[0][:, :, 0])
        assert np.array_equal(single[1], multi[1])
        assert np.array_equal(multi[0][:, :, 1], np.repeat(spans() - 1, single[0].shape[1], axis=1))

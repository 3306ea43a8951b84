"""Regression, assignment, displacement and search of particles; successes and the threshold."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from teachers.base import Knowledge, Outcomes
from teachers.particles import (
    CHUNK,
    KernelRegression,
    approached,
    assign,
    half_balls,
    sliced_displacement,
)
from teachers.success_buffer import SuccessBuffer
from teachers.threshold import ReturnThreshold

# Kernel regression


def test_a_regression_by_hand():
    model = KernelRegression(np.array([[0.0], [1.0]]), np.array([0.0, 10.0]), 0.5)
    # At 0.25 the weights are exp(-1/8) and exp(-9/8).
    wanted = [10 / (1 + np.e), 5.0, 10 / (1 + np.exp(2))]
    np.testing.assert_allclose(model(np.array([[0.25], [0.5], [0.0]])), wanted)


def test_far_from_everything_the_nearest_decides():
    model = KernelRegression(np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([-3.0, 7.0]), 1e-3)
    where = np.array([[0.49, 0.3], [0.51, 0.3], [0.0, 0.0], [0.5, 1.0]])
    np.testing.assert_allclose(model(where), [-3, 7, -3, 2], atol=1e-9)


@pytest.mark.parametrize("length", [0.02, 0.3])
@pytest.mark.parametrize("size", [1, 3, 10])
def test_regressions_agree_with_plain_sums(length, size):
    rng = np.random.default_rng(0)
    points, values = rng.random((70, size)), rng.normal(size=70)
    where = rng.random((2 * CHUNK + 13, size))
    exponent = -((where[:, None] - points) ** 2).sum(axis=2) / (2 * length**2)
    weight = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    wanted = weight @ values / weight.sum(axis=1)
    np.testing.assert_allclose(KernelRegression(points, values, length)(where), wanted, atol=1e-9)


@pytest.mark.parametrize("length", [0.003, 0.02, 0.3])
@pytest.mark.parametrize("size", [1, 2, 10])
def test_groups_of_positions_get_the_same_predictions(length, size):
    rng = np.random.default_rng(0)
    points = rng.random((200, size))
    model = KernelRegression(points, rng.normal(size=200), length)
    groups = rng.permutation(points)[:20, None] + 0.05 * rng.standard_normal((20, 60, size))
    groups[-1] += 3  # far from everything
    wanted = model(groups.reshape(-1, size)).reshape(20, 60)
    np.testing.assert_allclose(model.near(groups), wanted, atol=3e-5)


def test_means_of_equal_values_have_their_sign():
    rng = np.random.default_rng(0)
    for value in (0.0, 1e-300, -1e-300):
        model = KernelRegression(rng.random((99, 2)), np.full(99, value), 0.1)
        assert (np.sign(model(rng.random((300, 2)))) == np.sign(value)).all()


# Assignment and displacement


@pytest.mark.parametrize(("n", "m"), [(5, 5), (4, 7), (7, 8)])
@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_an_assignment_is_the_best_of_all(n, m, scale):
    rng = np.random.default_rng(0)
    for _ in range(3 if n == 7 else 20):
        points, pool = rng.random((n, 2)), scale * rng.random((m, 2))
        cost, rows = cdist(points, pool) ** 2, assign(points, pool)
        best = min(cost[range(n), each].sum() for each in itertools.permutations(range(m), n))
        assert len(set(rows)) == n
        assert cost[range(n), rows].sum() == pytest.approx(best)


@pytest.mark.parametrize("scale", [1.0, 0.2, 0.0])
def test_large_assignments_cost_what_the_solver_alone_finds(scale):
    rng = np.random.default_rng(0)
    points, pool = rng.random((150, 3)), 0.3 + scale * rng.random((170, 3)) * [1, 1, 0.1]
    for each in (pool, pool[:150]):
        cost, rows = cdist(points, each) ** 2, assign(points, each)
        assert len(set(rows)) == 150
        wanted = cost[linear_sum_assignment(cost)].sum()
        assert cost[np.arange(150), rows].sum() == pytest.approx(wanted)


def test_displacements_on_a_line_join_points_in_their_order():
    source, target = np.array([[0.1], [0.5], [0.3]]), np.array([[0.9], [0.2], [0.4]])
    moved = sliced_displacement(source, target, np.random.default_rng(0))
    np.testing.assert_allclose(moved, [[0.1], [0.4], [0.1]])


@pytest.mark.parametrize("size", [2, 10])
def test_displacements_of_a_shift_are_the_shift(size):
    rng = np.random.default_rng(0)
    source, shift = rng.random((40, size)), rng.normal(size=size)
    moved = sliced_displacement(source, rng.permutation(source) + shift, rng)
    np.testing.assert_allclose(moved, np.tile(shift, (40, 1)))


def test_displacements_carry_one_distribution_to_another():
    rng = np.random.default_rng(0)
    source, target = 0.2 * rng.random((400, 2)), rng.random((400, 2))
    moved = source + sliced_displacement(source, target, rng)
    assert moved.mean(axis=0) == pytest.approx(target.mean(axis=0), abs=0.01)
    assert moved.std(axis=0) == pytest.approx(target.std(axis=0), abs=0.02)
    assert np.corrcoef(source[:, 0], moved[:, 0])[0, 1] > 0.95  # not any permutation of them


# The search


def test_candidates_fill_the_half_ball_towards_the_goal():
    rng, centre, way = np.random.default_rng(0), np.array([[0.5, 0.5]]), np.array([[0.3, 0.1]])
    found = half_balls(centre, way, 0.2, 4000, rng)[0] - 0.5
    length = np.linalg.norm(found, axis=1)
    assert (found @ way[0] >= 0).all() and length.max() <= 0.2
    assert np.mean(length < 0.1) == pytest.approx(0.25, abs=0.03)  # uniform in the plane
    across = found @ [-0.1, 0.3]
    assert np.mean(across > 0) == pytest.approx(0.5, abs=0.03)
    short = half_balls(centre, 0.1 * way, 0.2, 1000, rng)[0] - 0.5
    assert np.linalg.norm(short, axis=1).max() <= 0.1 * np.hypot(0.3, 0.1) + 1e-12
    corner = half_balls(np.array([[0.0, 1.0]]), way, 0.2, 100, rng)
    assert corner.min() >= 0 and corner.max() <= 1


def test_the_candidate_nearest_to_the_goal_that_promises_enough_is_taken():
    candidates = np.array([[[0.9], [0.5], [0.3], [0.7]]] * 3)
    goals, places = np.ones((3, 1)), np.array([[0.1], [0.1], [0.8]])
    falls = approached(places, candidates, goals, lambda where: 1 - where[:, 0], 0.4)
    np.testing.assert_allclose(falls, [[0.5]] * 3)  # 0.7 and 0.9 promise 0.3 and 0.1
    # Nothing reaches 2: the best predicted, which for the last is its own place.
    best = approached(places, candidates, goals, lambda where: -np.abs(where[:, 0] - 0.78), 2.0)
    np.testing.assert_allclose(best, [[0.7], [0.7], [0.8]])
    still = approached(places, candidates, goals, lambda where: np.zeros(len(where)), 2.0)
    np.testing.assert_array_equal(still, places)


def test_parts_of_the_candidates_give_what_all_at_once_give():
    rng = np.random.default_rng(0)
    places, candidates, goals = rng.random((50, 2)), rng.random((50, 100, 2)), rng.random((50, 2))
    model = KernelRegression(rng.random((30, 2)), rng.normal(size=30), 0.1)
    for least in (-1.0, 0.5, 1.5, 9.0):
        found = approached(places, candidates, goals, model, least)
        for place, options, goal, ours in zip(places, candidates, goals, found, strict=True):
            value = model(options)
            gap = np.where(value >= least, np.linalg.norm(options - goal, axis=1), np.inf)
            everything = np.vstack([options, place])
            best = everything[model(everything).argmax()]
            wanted = options[gap.argmin()] if np.isfinite(gap).any() else best
            np.testing.assert_array_equal(ours, wanted)


# The memory of successes


def line(*values):
    return np.array(values, float)[:, None]


def filled(capacity, threshold, returns, **options):
    memory = SuccessBuffer(1, capacity, threshold, False, 0.1, **options)
    returns = np.array(returns, float)
    memory.add(line(*np.linspace(0, 1, len(returns))), returns, returns, np.zeros((capacity, 1)))
    return memory


def test_what_reaches_the_median_replaces_the_worse_half():
    memory = filled(9, 10.0, [3, 0, 2, 1])
    assert memory.values.tolist() == [0, 1, 2, 3] and not memory.reached
    values = np.array([1.9, 2.0, 5.0])
    kept = memory.add(line(0.1, 0.2, 0.3), values, values, np.zeros((9, 1)))
    assert kept.tolist() == [False, True, True]
    assert memory.values.tolist() == [2, 2, 3, 5] and memory.lowest == 0
    values = np.array([4.0, 4.0, 4.0, 4.0])
    memory.add(line(*np.full(4, 0.5)), values, values, np.zeros((9, 1)))
    assert memory.values.tolist() == [4, 4, 4, 4, 5]  # three of the worse half made room


def test_the_best_stay_until_the_median_exceeds_the_threshold():
    memory = filled(3, 2.5, [0, 1, 2, 3, 4])
    assert memory.values.tolist() == [2, 3, 4] and memory.reached
    assert not filled(5, 2.5, [0, 1, 2, 3, 4]).reached


def test_afterwards_successes_enter_and_the_best_spread_stays():
    memory = filled(3, 0.5, [0, 1, 1])
    assert memory.reached and memory.points[:, 0].tolist() == [0, 0.5, 1]
    values = np.array([0.4, 1.0])
    kept = memory.add(line(0.2, 0.3), values, values, np.zeros((3, 1)))
    assert kept.tolist() == [False, True]
    assert sorted(memory.points[:, 0]) == [0.3, 0.5, 1.0]  # the failure made room
    values = np.ones(2)
    kept = memory.add(line(0.0, 0.9), values, values, line(0.05, 0.6, 0.9))
    assert kept.tolist() == [True, True]
    assert sorted(memory.points[:, 0]) == [0.0, 0.5, 0.9]


def test_noise_grows_with_the_gap_to_the_threshold():
    rng = np.random.default_rng(0)
    memory = SuccessBuffer(1, 4000, 10.0, False, 0.1)
    memory.points, memory.values, memory.returns = line(0.5), np.array([9.0]), np.array([9.0])
    memory.lowest = 0.0
    # (10 - 9) / (10 - 0) of a quarter, and 0.005 of the radius
    assert memory.draw(rng).std() == pytest.approx(0.1 * 0.25 + 0.0005, rel=0.05)
    memory.reached, memory.values = True, np.array([11.0])
    assert memory.draw(rng).std() == pytest.approx(0.0005, rel=0.05)


def test_before_the_threshold_better_ones_are_drawn_in_proportion():
    memory = filled(4000, 100.0, [0, 0, 0, 0, 10, 30])
    memory.lowest = -1e9  # next to no noise
    near = memory.draw(np.random.default_rng(0))[:, 0]
    assert np.mean(near > 0.9) == pytest.approx(0.75, abs=0.03)
    assert near.min() > 0.75


def test_flags_rank_successes_first_and_failures_by_their_return():
    memory = SuccessBuffer(1, 5, 0.5, True, 0.1)
    values, returns = np.array([0, 1, 0, 0]), np.array([50.0, 20.0, 10.0, 90.0])
    memory.add(line(0.1, 0.2, 0.3, 0.4), values, returns, np.zeros((5, 1)))
    assert memory.points[:, 0].tolist() == [0.3, 0.1, 0.4, 0.2] and not memory.reached
    # The median is worth 90, which only the success reaches.
    kept = memory.add(line(0.5, 0.6), np.array([0, 1]), np.array([89, 0]), np.zeros((5, 1)))
    assert kept.tolist() == [False, True]


# The threshold


def test_the_threshold_is_told_derived_or_that_of_success():
    told, two = Knowledge(return_range=(-150.0, 350.0)), np.arange(2)
    returns, success = np.array([5.0, 9.0]), np.array([0.0, 1.0])
    some = Outcomes(two, np.zeros((2, 1)), returns, success, np.ones(2, int))
    assert ReturnThreshold(180.0, Knowledge(), "X").performance(some).tolist() == [5, 9]
    derived = ReturnThreshold(None, told, "X")
    assert derived.value == pytest.approx(180) and derived.performance(some).tolist() == [5, 9]
    plain = ReturnThreshold(None, Knowledge(), "X")
    assert plain.value == 0.5 and plain.performance(some).tolist() == [0, 1]
    assert ReturnThreshold(0.7, told, "X").value == 0.7

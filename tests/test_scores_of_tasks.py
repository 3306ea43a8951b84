"""Scores of a run beyond the leaderboard's: tasks, costs, steadiness and the curriculum."""

import numpy as np
import pytest
from gymnasium import spaces

from benchmark import curriculum, metrics

SCORES = np.array([0.0, 0.1, 0.4, 0.7, 0.9, 0.8])


def test_costs_to_target_are_read_at_the_same_crossing():
    # Smoothed: 1/6, 0.4, 2/3, 0.8 at the grid points 1 to 4.
    steps, seconds = np.array([0, 11, 20, 33, 40, 52]), np.array([0.0, 5, 6, 9, 20, 21])
    assert metrics.first_reached(SCORES, 0.6) == 3
    assert metrics.cost_to_target(SCORES, steps, 0.6) == 33
    assert metrics.cost_to_target(SCORES, seconds, 0.6) == 9
    assert metrics.cost_to_target(SCORES, seconds, 0.81) == float("inf")
    assert metrics.time_to_target(SCORES, tuple(steps), 0.6) == 33


def test_the_score_at_equal_cost():
    seconds = np.array([1.0, 5, 6, 9, 20, 21])
    assert metrics.score_at_cost(SCORES, seconds, 9) == 0.7  # just paid for
    assert metrics.score_at_cost(SCORES, seconds, 8.9) == 0.4
    assert metrics.score_at_cost(SCORES, seconds, 0.5) == 0.0  # cannot pay for the first point
    assert metrics.score_at_cost(SCORES, seconds, 100) == 0.8


def test_mastered_share_worst_decile_and_cvar_by_hand():
    final = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.9, 1.0])
    tasks = np.stack([np.ones(10), final - 0.1, final + 0.1])  # a window of two: final
    assert metrics.mastered_share(tasks, 2) == 0.2
    assert metrics.mastered_share(tasks, 2, level=0.5) == 0.5
    assert metrics.worst_decile(tasks, 2) == 0.0
    assert metrics.worst_decile(tasks[:, 1:], 2) == pytest.approx(0.1)  # a tenth of 9: the first
    assert metrics.cvar(final) == 0.0
    assert metrics.cvar(final, 0.3) == pytest.approx(0.1)  # the mean of 0, 0.1 and 0.2
    assert metrics.cvar(final, 1.0) == pytest.approx(final.mean())
    assert metrics.tail(tasks, 2) == pytest.approx(metrics.cvar(final), abs=1e-12)


def test_the_cross_fitted_tail_by_hand():
    a = np.tile([0.1, 0.9, 0.5], (2, 1))
    b = np.tile([0.4, 0.2, 0.8], (2, 1))
    # Half A finds task 0, which is 0.4 in B; half B finds task 1, which is 0.9 in A.
    assert metrics.cross_fitted_tail(a, b, 2) == pytest.approx((0.4 + 0.9) / 2)
    assert metrics.cross_fitted_tail(a[:, :0], b[:, :0], 2) is None


def test_noise_pulls_the_tail_down_but_not_the_cross_fitted_one():
    rng = np.random.default_rng(0)
    a, b = (rng.binomial(1, 0.6, (5, 5, 200)).astype(float) for _ in range(2))
    plain = np.mean([metrics.tail((x + y) / 2, 5) for x, y in zip(a, b, strict=True)])
    crossed = np.mean([metrics.cross_fitted_tail(x, y, 5) for x, y in zip(a, b, strict=True)])
    assert plain < 0.4
    assert crossed == pytest.approx(0.6, abs=0.05)


def test_the_worst_stratum_and_the_transfer_gap():
    tasks = np.array([[9.0, 9, 9, 9], [0.8, 0.6, 0.2, 0.4]])
    assert metrics.worst_stratum(tasks, ["easy", "easy", "hard", "hard"], 1) == (
        "hard",
        pytest.approx(0.3),
    )
    inside = np.array([True, True, True, False])
    assert metrics.transfer_gap(tasks, inside, 1) == pytest.approx(1.6 / 3 - 0.4)
    assert metrics.transfer_gap(tasks, np.ones(4, dtype=bool), 1) is None
    assert metrics.transfer_gap(tasks, np.zeros(4, dtype=bool), 1) is None


def test_steadiness_by_hand():
    # Differences 0.1 0.3 0.3 0.2 -0.1; sorted -0.1 0.1 0.2 0.3 0.3: quartiles 0.1 and 0.3.
    assert metrics.dispersion(SCORES) == pytest.approx(0.2)
    assert metrics.dispersion(np.linspace(0, 1, 9)) == pytest.approx(0)
    assert metrics.largest_drop(SCORES) == 0
    # Smoothed: 0.6, 0.8, 0.4, 0.2, 0.6: from 0.8 to 0.2.
    falls = np.array([0.6, 0.3, 0.9, 1.2, -0.9, 0.3, 2.4])
    assert metrics.largest_drop(falls) == pytest.approx(0.6)


def test_an_even_curriculum_has_entropy_and_coverage_one():
    space = spaces.Box(np.zeros(2), np.array([1.0, 10.0]), dtype=np.float64)
    centres = np.stack(np.meshgrid(np.arange(10) + 0.5, np.arange(10) + 0.5), -1).reshape(-1, 2)
    even = curriculum.spread(centres * [0.1, 1.0], space)
    assert (even.entropy, even.coverage) == (pytest.approx(1), 1)
    assert (even.cells, even.proposals) == (100, 100)
    point = curriculum.spread(np.tile([1.0, 10.0], (7, 1)), space)  # the corner belongs to the box
    assert (point.entropy, point.coverage) == (0, 0.01)


def test_entropy_of_examples_by_hand():
    # Shares 1/2, 1/4, 1/4 of four examples: 1.5 ln 2 / (2 ln 2).
    found = curriculum.spread(np.array([2, 2, 0, 3]), spaces.Discrete(4))
    assert found.entropy == pytest.approx(0.75)
    assert found.coverage == 0.75
    assert curriculum.spread(np.array([5, 6]), spaces.Discrete(2, start=5)).entropy == 1


@pytest.mark.parametrize(("dimensions", "cells"), [(1, 100), (2, 100), (3, 64), (6, 64), (8, 256)])
def test_cells_of_boxes(dimensions, cells):
    space = spaces.Box(-np.ones(dimensions), np.ones(dimensions), dtype=np.float64)
    tasks = np.random.default_rng(0).uniform(-1, 1, (20000, dimensions))
    found = curriculum.spread(tasks, space)
    assert found.cells == cells
    assert found.entropy > 0.99 and found.coverage == 1


def test_a_constant_parameter_makes_no_cells():
    space = spaces.Box(np.array([0.0, 3.0]), np.array([1.0, 3.0]), dtype=np.float64)
    found = curriculum.spread(np.array([[0.005, 3.0], [0.995, 3.0]]), space)
    assert (found.cells, found.coverage) == (100, 0.02)
    fixed = spaces.Box(np.ones(1), np.ones(1), dtype=np.float64)
    assert curriculum.spread(np.ones((3, 1)), fixed).entropy == 1


def test_spread_over_time_follows_the_budget():
    space = spaces.Discrete(2)
    run = {"spent": np.array([0.0, 5, 9, 95, 100]), "tasks": np.array([0, 0, 0, 0, 1])}
    found = curriculum.spread_over_time(run, space, 100)
    assert found[0].entropy == 0 and found[9].entropy == pytest.approx(1)
    assert found[1:9] == [None] * 8


def test_what_has_no_cells_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        curriculum.spread(np.zeros((0, 1)), spaces.Box(0, 1, (1,)))
    with pytest.raises(ValueError, match="bounded Box"):
        curriculum.spread(np.zeros((1, 1)), spaces.Box(-np.inf, 1, (1,)))

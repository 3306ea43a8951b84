import dataclasses

import numpy as np
import pytest

from benchmark import metrics
from benchmark.schema import RunRecord, TotalCosts
from tests import factories

GRID = (0, 10, 20, 30, 40)


def test_area_is_the_trapezoid_over_the_budget():
    scores = np.array([0.0, 0.4, 0.4, 0.8, 0.8])
    assert metrics.area_under_curve(scores, GRID) == pytest.approx((2 + 4 + 6 + 8) / 40)
    assert metrics.area_under_curve(np.full(5, 0.3), GRID) == pytest.approx(0.3)


def test_area_respects_an_uneven_grid():
    assert metrics.area_under_curve(np.array([0.0, 1.0, 1.0]), (0, 10, 100)) == pytest.approx(0.95)


def test_final_score_is_the_mean_of_the_window_and_no_best_checkpoint():
    assert metrics.final_score(np.array([0.0, 0.9, 0.2, 0.4]), 2) == pytest.approx(0.3)


def test_time_to_target_uses_three_points():
    # Smoothed: 0.3 at 10, 0.3 at 20, 0.4 at 30; the raw curve already touches 0.9 at 10.
    scores = np.array([0.0, 0.9, 0.0, 0.0, 1.2])
    assert metrics.time_to_target(scores, GRID, 0.35) == 30
    assert metrics.time_to_target(scores, GRID, 0.3) == 10
    assert metrics.time_to_target(scores, GRID, 0.5) == np.inf


def test_time_to_target_rarely_hits_a_target_above_the_plateau():
    # True plateau 0.62, target 0.70, 100 episodes per point, 40 points.
    rng = np.random.default_rng(0)
    grid = tuple(range(41))
    truth = 0.62 * (1 - np.exp(-np.arange(41) / 6))
    curves = rng.binomial(100, truth, size=(400, 41)) / 100
    hits = [np.isfinite(metrics.time_to_target(c, grid, 0.70)) for c in curves]
    raw = (curves >= 0.70).any(axis=1)
    assert np.mean(hits) < 0.10
    assert np.mean(raw) > 0.50


def test_tail_is_the_worst_tenth_and_at_least_one_task():
    scores = np.tile(np.arange(20) / 20, (4, 1))
    assert metrics.tail(scores, 2) == pytest.approx((0 + 0.05) / 2)
    assert metrics.tail(scores[:, 5:8], 2) == pytest.approx(0.25)


def test_tail_looks_at_the_final_window_only():
    scores = np.array([[0.0, 1.0], [0.6, 0.4], [0.8, 0.6]])
    assert metrics.tail(scores, 2) == pytest.approx(0.5)


def test_forgetting_by_hand():
    # Half A is best at window 1, half B at window 0; window 1, one task.
    a = np.array([[0.2], [0.9], [0.5]])
    b = np.array([[0.8], [0.6], [0.4]])
    # Located in A: b[1] - b[2] = 0.2; located in B: a[0] - a[2] = -0.3.
    assert metrics.forgetting(a, b, 1) == pytest.approx((0.2 - 0.3) / 2)
    assert metrics.forgetting(np.zeros((3, 0)), np.zeros((3, 0)), 1) is None


def test_forgetting_is_unbiased_for_a_student_that_forgets_nothing():
    rng = np.random.default_rng(1)
    shape = (60, 41, 50)  # runs, grid points, tasks; one episode per half
    a, b = (rng.binomial(1, 0.6, shape).astype(float) for _ in range(2))
    crossed = np.mean([metrics.forgetting(x, y, 5) for x, y in zip(a, b, strict=True)])
    windows = np.lib.stride_tricks.sliding_window_view((a + b) / 2, 5, axis=1).mean(axis=-1)
    naive = (windows.max(axis=1) - windows[:, -1]).mean()
    assert abs(crossed) < 0.02
    assert naive > 0.15


def test_forgetting_finds_a_real_loss():
    rng = np.random.default_rng(2)
    truth = np.where(np.arange(41) < 25, 0.8, 0.5)[:, None] * np.ones(50)
    a, b = (rng.binomial(5, truth) / 5 for _ in range(2))
    assert metrics.forgetting(a, b, 5) == pytest.approx(0.3, abs=0.05)


def test_curve_pools_halves_and_tasks_by_their_counts():
    protocol = factories.supervised_protocol()
    content = factories.make_content(protocol)
    points = len(protocol.grid)
    content["evaluation"] |= {
        "tasks": ["one", "two"],
        "count_a": [3, 1],
        "count_b": [1, 0],
        "success_a": [[1.0, 0.5]] * points,
        "success_b": [[0.0, 0.0]] * points,
        "score_a": [[-1.0, -2.0]] * points,
        "score_b": [[-3.0, 0.0]] * points,
    }
    record = RunRecord.model_validate(factories.sign(content))
    assert metrics.curve(record, protocol) == pytest.approx(np.full(points, 3.5 / 5))
    tasks = metrics.task_curves(record, protocol)
    assert tasks[0] == pytest.approx([0.75, 0.5])
    assert metrics.half_curves(record, protocol)[0].shape == (points, 1)


def test_return_is_normalised_by_the_protocol():
    protocol = factories.procedural_protocol()
    score = dataclasses.replace(protocol.score, measure="return", low=-100.0, high=200.0)
    changed = dataclasses.replace(protocol, score=score)
    record = factories.make_record(protocol, seed=3)
    rows = np.array(record.evaluation.score_a)  # one episode per task: all in half A
    expected = (rows.mean(axis=1) + 100) / 300
    # ``replace`` drops the folder of the held-out tasks; the scores do not need them.
    assert metrics.curve(record, changed) == pytest.approx(expected)


def test_score_run_agrees_with_its_parts():
    protocol = factories.supervised_protocol()
    record = factories.make_record(protocol, final=0.9, speed=8)
    scores = metrics.score_run(record, protocol)
    curve = metrics.curve(record, protocol)
    assert scores.final == pytest.approx(curve[-3:].mean())
    assert 0.1 < scores.area < scores.final
    assert scores.time_to_target in protocol.grid
    assert scores.tail < scores.final
    assert abs(scores.forgetting) < 0.1


def test_one_episode_per_task_leaves_no_forgetting():
    protocol = factories.procedural_protocol()
    assert metrics.score_run(factories.make_record(protocol), protocol).forgetting is None


def test_overhead_is_the_teachers_share():
    bill = {"cpu_evaluation": 9.0, "wall": 1.0, "peak_rss_mb": 1.0, "attempts": 1}
    costs = TotalCosts(cpu_environment=1.0, cpu_student=2.0, cpu_teacher=1.0, **bill)
    assert metrics.overhead(costs) == 0.25
    assert metrics.cpu_seconds(costs) == 4.0
    idle = TotalCosts(cpu_environment=0.0, cpu_student=0.0, cpu_teacher=0.0, **bill)
    assert metrics.overhead(idle) is None

"""Aggregates, profiles and times to targets; rliable's own figures stand here as frozen values."""

import numpy as np
import pytest
from scipy import stats

from benchmark import profiles, statistics

# Eight runs on three tasks, and six of another teacher: what rliable 1.2.0 was fed with.
X = np.array(
    [
        [0.13, 0.92, 0.41],
        [0.27, 1.08, 0.44],
        [0.31, 0.77, 0.39],
        [0.08, 0.95, 0.52],
        [0.22, 1.21, 0.47],
        [0.19, 0.88, 0.33],
        [0.35, 0.64, 0.58],
        [0.26, 0.99, 0.36],
    ]
)
Y = np.array(
    [
        [0.21, 0.85, 0.41],
        [0.11, 0.97, 0.30],
        [0.18, 0.70, 0.28],
        [0.05, 0.81, 0.44],
        [0.24, 0.91, 0.35],
        [0.09, 0.66, 0.37],
    ]
)
RLIABLE = {
    "mean": 0.53125,
    "median": 0.4375,
    "iqm": 0.46416666666666667,
    "optimality_gap": 0.48083333333333333,
}
# Its 95 % percentile intervals, stratified, of 50 000 resamples.
RLIABLE_INTERVALS = {
    "mean": (0.48458, 0.57708),
    "median": (0.38625, 0.4925),
    "iqm": (0.42417, 0.51583),
    "optimality_gap": (0.44417, 0.52042),
}
ABOVE = [24, 21, 13, 8, 6, 2, 1]  # of 24 runs, above each threshold by its score distribution
INFINITE = float("inf")


def test_aggregates_equal_rliable():
    found = profiles.aggregates(list(X.T), resamples=50)
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(
        RLIABLE, abs=1e-12
    )
    chance = statistics.probability_of_improvement(list(X.T), list(Y.T), resamples=50)
    assert chance.value == pytest.approx(0.75, abs=1e-12)


def test_aggregates_by_hand():
    # Means 2, 5 and 0.
    samples = [np.array([1.0, 2.0, 3.0]), np.array([5.0]), np.array([-1.0, 1.0, 0.0])]
    assert profiles.mean_of_tasks(samples) == pytest.approx(7 / 3)
    assert profiles.median_of_tasks(samples) == 2
    # Sorted: -1 0 1 1 2 3 5; floor(7 / 4) = 1 falls off at each end.
    assert statistics.pooled_iqm(samples) == pytest.approx((0 + 1 + 1 + 2 + 3) / 5)
    # Capped at 1: 1 1 1, 1, -1 1 0.
    assert profiles.optimality_gap(samples) == pytest.approx(1 - 4 / 7)
    assert profiles.optimality_gap(samples, gamma=2.0) == pytest.approx(2 - (1 + 2 + 2 + 2) / 7)
    assert profiles.aggregates(samples)["iqm"] == statistics.Interval(7 / 5)  # a lone run


def test_the_median_of_a_single_task_is_that_of_its_runs():
    assert profiles.median_of_tasks([np.array([0.0, 1.0, 5.0])]) == 1.0


@pytest.mark.parametrize("name", profiles.AGGREGATES)
def test_plain_intervals_agree_with_scipy_and_rliable(name):
    statistic = profiles.AGGREGATES[name]
    samples = list(X.T)
    ours = statistics.bootstrap_interval(samples, statistic, seed=1, expanded=False)
    theirs = stats.bootstrap(
        samples,
        lambda *parts, axis: statistic(parts),
        n_resamples=10000,
        method="percentile",
        vectorized=True,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.005)
    assert (ours.low, ours.high) == pytest.approx(RLIABLE_INTERVALS[name], abs=0.005)
    wide = statistics.bootstrap_interval(samples, statistic, seed=1)
    assert wide.low <= ours.low <= ours.high <= wide.high
    assert wide == statistics.bootstrap_interval(samples, statistic, seed=1)


def test_a_profile_by_hand():
    found = profiles.performance_profile(
        [np.array([0.2, 0.4]), np.array([0.4, 0.9, 1.0])], [0.0, 0.4, 0.9, 1.0], resamples=200
    )
    assert found.share == pytest.approx([1, 0.4, 0.2, 0])  # strictly above
    assert (found.low <= found.share).all() and (found.share <= found.high).all()
    assert found.low[0] == found.high[0] == 1


def test_a_profile_equals_rliable_and_its_band_is_a_bootstrap():
    taus = np.array([0, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2])
    found = profiles.performance_profile(list(X.T), taus, seed=3)
    assert found.share == pytest.approx(np.array(ABOVE) / 24, abs=1e-12)
    drawn = np.concatenate(
        [np.concatenate(d, axis=1) for d in statistics.resampled(list(X.T), 10000, 4)]
    )
    level = statistics.tail_level(list(X.T))
    for place, tau in enumerate(taus):
        low, high = np.quantile((drawn > tau).mean(axis=1), [level, 1 - level])
        assert (found.low[place], found.high[place]) == pytest.approx((low, high), abs=1.5 / 24)


def test_a_lone_run_has_a_profile_without_a_band():
    found = profiles.performance_profile([np.array([0.5])], np.array([0.4, 0.6]))
    assert found.share.tolist() == [1, 0] and found.low is None and found.high is None


def test_times_to_target_stay_below_one_where_runs_never_arrive():
    times = [np.array([100.0, INFINITE, 300.0, INFINITE])]
    found = profiles.time_to_target_share(times, [0, 99, 100, 299, 300, 1e9], resamples=100)
    assert found.share == pytest.approx([0, 0, 0.25, 0.25, 0.5, 0.5])
    ecdf = stats.ecdf(stats.CensoredData.right_censored([100, 500, 300, 500], [0, 1, 0, 1]))
    assert found.share == pytest.approx(ecdf.cdf.evaluate([0, 99, 100, 299, 300, 400]))


def test_summaries_of_times_by_hand():
    times = np.array([100.0, INFINITE, 300.0, 200.0])
    assert profiles.hit_rate(times) == 0.75
    assert profiles.median_time(times) == 250
    assert profiles.expected_running_time(times, 1000) == pytest.approx((600 + 1000) / 3)
    twice = np.array([100.0, INFINITE, INFINITE])
    assert profiles.expected_running_time(twice, 1000) == 2100
    never = np.full(2, INFINITE)
    assert profiles.median_time(never) == profiles.expected_running_time(never, 1000) == INFINITE
    assert profiles.median_time(np.array([100.0, INFINITE])) == INFINITE


def test_ratios_to_a_fixed_reference_by_hand():
    mine, reference = [50.0, 400.0, INFINITE, 10.0], [100.0, 100.0, 100.0, INFINITE]
    # Ratios 0.5, 4, infinite and, where only the reference failed, 0.
    assert profiles.ratio_profile(mine, reference, [0.4, 0.5, 3.9, 4]).tolist() == [
        0.25, 0.5, 0.5, 0.75,
    ]  # fmt: skip
    assert profiles.ratio_score(mine, reference) == pytest.approx((3.5 + 0 + 0 + 3.75) / 4 / 3.75)
    factor, tasks = profiles.speed_up(mine, reference)
    assert factor == pytest.approx(np.sqrt(2 / 4)) and tasks == 2
    assert profiles.speed_up([INFINITE], [100.0]) == (None, 0)


def test_the_exact_score_is_the_area_below_the_profile():
    rng = np.random.default_rng(5)
    mine, reference = rng.uniform(50, 500, 7), rng.uniform(50, 500, 7)
    q = np.linspace(0.25, 4, 200001)
    area = np.trapezoid(profiles.ratio_profile(mine, reference, q), q) / 3.75
    assert profiles.ratio_score(mine, reference) == pytest.approx(area, abs=1e-4)
    assert profiles.ratio_score(reference, reference) == pytest.approx(3 / 3.75)

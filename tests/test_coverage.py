"""Do the intervals cover what they say? Simulations of minutes, run by `pytest --slow`.

Coverage is the share of simulated experiments whose nominal 95 % interval holds the truth.
"""

import numpy as np
import pytest
from scipy import stats

from benchmark import differences, profiles
from benchmark import statistics as st

pytestmark = pytest.mark.slow
REPEATS, RESAMPLES, TASKS = 600, 1000, 8
LEVELS = np.linspace(0.2, 0.8, TASKS)[:, None]
SPREADS = np.linspace(0.03, 0.12, TASKS)[:, None]


def normal(rng, seeds):
    """Tasks of different levels and spreads, (tasks, seeds)."""
    return LEVELS + SPREADS * rng.standard_normal((TASKS, seeds))


def mixed(rng, seeds):
    """The same, but on every third task 30 % of the runs fail."""
    scores = normal(rng, seeds)
    failed = rng.random((TASKS, seeds)) < 0.3
    failed[np.arange(TASKS) % 3 != 0] = False
    return np.where(failed, 0.1 + 0.02 * rng.standard_normal((TASKS, seeds)), scores)


def covered(draw, seeds, interval, truth, repeats=REPEATS):
    rng = np.random.default_rng(seeds)
    hits = 0
    for _ in range(repeats):
        found = interval(list(draw(rng, seeds)))
        hits += found.low <= truth <= found.high
    return hits / repeats


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize("draw", [normal, mixed])
def test_the_mean_over_tasks(draw, seeds):
    truth = draw(np.random.default_rng(0), 400_000).mean()
    assert 0.93 <= covered(draw, seeds, st.mean_interval, truth, 4000) <= 0.97


@pytest.mark.parametrize("seeds", [5, 10, 20])
@pytest.mark.parametrize(("draw", "least"), [(normal, 0.91), (mixed, 0.89)])
@pytest.mark.parametrize("statistic", [st.pooled_iqm, profiles.optimality_gap])
def test_pooled_aggregates(statistic, draw, least, seeds):
    # A pooled statistic of few runs is a little off that of all: the target is its expectation.
    rng = np.random.default_rng(0)
    truth = np.mean([statistic(list(draw(rng, seeds))) for _ in range(5000)])

    def interval(samples):
        return st.bootstrap_interval(samples, statistic, resamples=RESAMPLES)

    assert least <= covered(draw, seeds, interval, truth) <= 0.975


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_the_probability_of_improvement(seeds):
    shift = 0.05
    truth = stats.norm.cdf(shift / (np.sqrt(2) * SPREADS)).mean()
    rng = np.random.default_rng(seeds)
    hits = 0
    for _ in range(REPEATS):
        x, y = list(normal(rng, seeds) + shift), list(normal(rng, seeds))
        found = st.probability_of_improvement(x, y, resamples=RESAMPLES)
        hits += found.low <= truth <= found.high
    assert 0.90 <= hits / (REPEATS) <= 0.99


@pytest.mark.parametrize(("seeds", "least"), [(5, 0.83), (10, 0.91), (20, 0.92)])
def test_profiles_and_times(seeds, least):
    # A pointwise band at thresholds that a fifth to four fifths of the runs are above. With five
    # seeds it is too narrow: within most tasks all runs are on one side.
    at = np.array([0.3, 0.5, 0.7])
    truth = stats.norm.sf((at - LEVELS) / SPREADS).mean(axis=0)
    rng = np.random.default_rng(seeds)
    inside = np.zeros((2, len(at)))
    for _ in range(REPEATS):
        scores = list(normal(rng, seeds))
        above = profiles.performance_profile(scores, at, resamples=RESAMPLES)
        below = profiles.time_to_target_share(scores, at, resamples=RESAMPLES)
        inside[0] += (above.low <= truth) & (truth <= above.high)
        inside[1] += (below.low <= 1 - truth) & (1 - truth <= below.high)
    assert ((inside / REPEATS >= least) & (inside / REPEATS <= 0.98)).all()


@pytest.mark.parametrize("seeds", [5, 10])
def test_pairs_of_seeds(seeds):
    rng = np.random.default_rng(seeds)
    hits = 0
    for _ in range(4000):
        luck = rng.normal(0, 0.1, seeds)
        x, y = luck + rng.normal(0.03, 0.02, seeds), luck + rng.normal(0, 0.05, seeds)
        found = differences.paired_difference([x], [y])
        hits += found.low <= 0.03 <= found.high
    assert 0.94 <= hits / 4000 <= 0.96


def test_a_family_raises_false_alarms_at_its_level():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(1500):
        reference = [rng.standard_normal(10)]
        family = [st.welch([rng.standard_normal(10)], reference).p for _ in range(8)]
        alarms += min(st.holm(family)) < 0.05
    assert alarms / 1500 <= 0.06

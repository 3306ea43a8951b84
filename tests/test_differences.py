import itertools

import numpy as np
import pytest
from scipy import stats

from benchmark import differences as df
from benchmark import statistics as st


def test_paired_difference_by_hand():
    # Differences 1, 2, 3, 0: mean 1.5, sd 1.290994, t_{0.975, 3} = 3.182446.
    x, y = np.array([3.0, 5.0, 4.0, 1.0]), np.array([2.0, 3.0, 1.0, 1.0])
    found = df.paired_difference([x], [y])
    assert found.value == 1.5
    assert found.high - 1.5 == pytest.approx(3.182446 * 1.290994 / 2, abs=1e-5)
    assert (found.kind, found.runs, found.ahead, found.level) == ("paired", 4, 3, 1)
    assert found.correlation == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_paired_difference_agrees_with_scipy():
    rng = np.random.default_rng(0)
    luck = rng.normal(size=9)
    x, y = luck + rng.normal(0.2, 0.3, 9), luck + rng.normal(0, 0.3, 9)
    found, expected = df.paired_difference([x], [y], 0.9), stats.ttest_rel(x, y)
    interval = expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))
    assert found.p < st.welch([x], [y]).p  # the common luck cancels


def test_pairs_over_several_tasks_average_them():
    rng = np.random.default_rng(1)
    x, y = list(rng.normal(1, 1, (3, 6))), list(rng.normal(0, 1, (3, 6)))
    found = df.paired_difference(x, y)
    expected = st.mean_interval([a - b for a, b in zip(x, y, strict=True)])
    assert (found.value, found.low, found.high) == pytest.approx(
        (expected.value, expected.low, expected.high)
    )
    assert found.runs == 18 and found.correlation is None


def test_pairs_without_variance_and_lone_pairs():
    same = np.array([0.1, 0.2, 0.3])
    level = df.paired_difference([same], [same])
    assert (level.p, level.value, level.level) == (1.0, 0.0, 3)
    shifted = df.paired_difference([same + 0.25], [same])
    assert (shifted.kind, shifted.p) == ("deterministic", None)
    assert shifted.value == pytest.approx(0.25)
    assert df.paired_difference([same[:1]], [same[1:2]]).kind == "too few"
    with pytest.raises(ValueError, match=r"same seeds.*\[3\] and \[2\]"):
        df.paired_difference([same], [same[:2]])


def test_smallest_difference_is_found_with_the_power_it_names():
    rng = np.random.default_rng(2)
    x = stats.norm.ppf((np.arange(10) + 0.5) / 10)
    x /= x.std(ddof=1)
    smallest = df.smallest_difference([x], [x])
    found = [
        st.welch([rng.normal(smallest, 1, 10)], [rng.normal(0, 1, 10)]).p < 0.05
        for _ in range(1500)
    ]
    assert np.mean(found) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("runs", "effect", "power"),
    [(5, 1, 0.26), (5, 2, 0.77), (10, 0.8, 0.39), (10, 1.5, 0.89), (16, 1, 0.79), (50, 0.5, 0.70)],
)
def test_power_follows_simulated_ones(runs, effect, power):
    # Simulated power of Welch's test at 0.05 for effects in standard deviations.
    freedom = 2 * (runs - 1)
    critical = stats.t.isf(0.025, freedom)
    found = df.welch_power(effect / np.sqrt(2 / runs), freedom, critical)
    assert found == pytest.approx(power, abs=0.03)
    unit = np.tile([-1.0, 1.0], runs // 2 + 1)[:runs]
    unit = (unit - unit.mean()) / unit.std(ddof=1)
    assert df.smallest_difference([unit], [unit], power=found) == pytest.approx(effect, abs=1e-6)


def test_smallest_difference_nears_the_rule_of_thumb():
    unit = np.tile([-1.0, 1.0], 200)
    rule = 2.8 * unit.std(ddof=1) * np.sqrt(2 / 400)
    assert df.smallest_difference([unit], [unit]) == pytest.approx(rule, rel=0.01)


def test_smallest_difference_shrinks_with_runs_and_grows_with_comparisons():
    few, many = np.tile([0.0, 1.0], 3), np.tile([0.0, 1.0], 15)
    assert df.smallest_difference([few], [few]) > 2 * df.smallest_difference([many], [many])
    corrected = df.smallest_difference([few], [few], alpha=0.05 / 30)
    assert corrected > df.smallest_difference([few], [few])
    pair = np.array([0.0, 1.0])
    assert np.isfinite(df.smallest_difference([pair], [np.zeros(2)], alpha=0.05 / 30))
    # Four equal tasks: the mean over them has half the standard error.
    four = df.smallest_difference([many] * 4, [many] * 4)
    assert four == pytest.approx(df.smallest_difference([many], [many]) / 2, rel=0.02)


def test_smallest_difference_without_variance_or_runs():
    assert df.smallest_difference([np.ones(4)], [np.zeros(4)]) == 0.0
    assert df.smallest_difference([np.ones(1)], [np.zeros(4)]) is None
    with pytest.raises(ValueError, match="alpha < power"):
        df.smallest_difference([np.ones(4)], [np.zeros(4)], power=0.01)


def test_permutations_by_hand():
    # Of the 20 ways to deal 1, 2, 3, 7, 8, 9 into two threes only two are as extreme.
    x, y = np.array([1.0, 2.0, 3.0]), np.array([7.0, 8.0, 9.0])
    assert df.permutation_p(x, y) == pytest.approx(0.1)
    x, y = np.array([0.3, 0.1, 0.9, 0.4]), np.array([0.5, 0.2, 0.8])
    pool = np.concatenate([x, y])
    gaps = []
    for chosen in itertools.combinations(range(7), 4):
        rest = [i for i in range(7) if i not in chosen]
        gaps.append(abs(pool[list(chosen)].mean() - pool[rest].mean()))
    extreme = np.mean(np.array(gaps) >= abs(x.mean() - y.mean()) - 1e-12)
    assert df.permutation_p(x, y) == pytest.approx(extreme, abs=1e-9)
    assert df.permutation_p(np.arange(9.0), y) is None


def test_permutations_and_welch_agree_on_normal_runs():
    rng = np.random.default_rng(3)
    for _ in range(3):
        x, y = rng.normal(0.8, 1, 8), rng.normal(0, 1, 8)
        assert df.permutation_p(x, y) == pytest.approx(st.welch([x], [y]).p, abs=0.02)


def test_across_tasks_counts_and_tests_only_with_enough_of_them():
    x = [np.array([float(j), j + 2.0]) for j in range(6)]
    y = [np.array([0.5 * j, 0.5 * j + 1.0]) for j in range(6)]
    found = df.across_tasks(x, y)
    assert (found.wins, found.ties, found.losses) == (6, 0, 0)
    assert found.p == pytest.approx(2 / 64)  # the smallest that six tasks allow
    assert df.across_tasks(y[:5], x[:5]) == df.AcrossTasks(0, 0, 5, None)
    assert df.across_tasks(x, x) == df.AcrossTasks(0, 6, 0, None)

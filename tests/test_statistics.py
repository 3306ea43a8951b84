import numpy as np
import pytest
from scipy import stats

from benchmark import statistics as st


def test_t_interval_by_hand():
    # 1, 2, 3: mean 2, sd 1, t_{0.975, 2} = 4.302653, half width 4.302653 / sqrt(3).
    interval = st.mean_interval([np.array([1.0, 2.0, 3.0])])
    assert interval.value == 2
    assert interval.high - 2 == pytest.approx(2.484138, abs=1e-6)
    assert 2 - interval.low == pytest.approx(2.484138, abs=1e-6)


def test_satterthwaite_by_hand():
    # v = 1/3 and 4/2 = 2; V = (7/3)/4; nu = (7/3)^2 / ((1/3)^2/2 + 2^2/1) = 1.342466.
    samples = [np.array([1.0, 2.0, 3.0]), np.array([1.0, 1.0 + np.sqrt(8.0)])]
    interval = st.mean_interval(samples)
    nu = (7 / 3) ** 2 / ((1 / 9) / 2 + 4)
    assert interval.value == pytest.approx((2 + 1 + np.sqrt(2)) / 2)
    half = stats.t.ppf(0.975, nu) * np.sqrt(7 / 12)
    assert interval.high - interval.value == pytest.approx(half)


def test_one_run_has_no_interval_and_no_test():
    one = [np.array([0.4])]
    assert st.mean_interval(one) == st.Interval(0.4)
    assert st.iqm_interval(one) == st.Interval(0.4)
    difference = st.welch(one, [np.array([0.1, 0.2])])
    assert (difference.kind, difference.p, difference.low) == ("too few", None, None)
    assert difference.value == pytest.approx(0.25)
    assert st.probability_of_improvement(one, [np.array([0.1])]) == st.Interval(1.0)
    assert st.rank_ranges({"a": one, "b": one}) == {"a": (1, 2), "b": (1, 2)}


def test_equal_runs_have_an_interval_of_width_zero():
    # 0.1 three times has a mean that is not exactly 0.1; the variance must still be zero.
    interval = st.mean_interval([np.full(3, 0.1)])
    assert interval.low == interval.high == interval.value


def test_welch_agrees_with_scipy():
    rng = np.random.default_rng(0)
    x, y = rng.normal(0.3, 1, 8), rng.normal(0, 3, 5)
    found = st.welch([x], [y], 0.9)
    expected = stats.ttest_ind(x, y, equal_var=False)
    interval = expected.confidence_interval(0.9)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


def test_welch_over_several_tasks_averages_them():
    x = [np.array([1.0, 2.0, 3.0]), np.array([5.0, 7.0])]
    y = [np.array([0.0, 1.0, 2.0]), np.array([5.0, 7.0])]
    found = st.welch(x, y)
    v = np.array([1 / 3, 1, 1 / 3, 1])
    nu = v.sum() ** 2 / (v**2 / np.array([2, 1, 2, 1])).sum()
    assert found.value == pytest.approx(0.5)
    assert found.high - 0.5 == pytest.approx(stats.t.ppf(0.975, nu) * np.sqrt(v.sum()) / 2)


def test_identical_runs_give_p_one():
    same = [np.full(5, 0.1)]
    found = st.welch(same, [np.full(7, 0.1)])
    assert (found.p, found.value, found.low, found.high) == (1.0, 0.0, 0.0, 0.0)


def test_two_constants_differ_without_a_test():
    found = st.welch([np.full(5, 1.0)], [np.full(5, 0.75)])
    assert (found.kind, found.p, found.value) == ("deterministic", None, 0.25)
    assert st.significant(found.kind, found.p)


def test_one_constant_side_is_still_a_welch_test():
    found = st.welch([np.full(5, 1.0)], [np.array([0.0, 0.1, 0.2])])
    assert found.kind == "welch"
    assert 0 < found.p < 0.01


def test_holm_by_hand():
    assert st.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert st.holm([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert st.holm([]) == []


@pytest.mark.parametrize(("count", "kept"), [(3, 3), (5, 3), (7, 5), (10, 6), (4, 2)])
def test_iqm_keeps_what_the_floor_rule_says(count, kept):
    values = np.arange(count, dtype=float) ** 2
    cut = (count - kept) // 2
    assert st.iqm(values[::-1]) == pytest.approx(values[cut : count - cut].mean())
    assert st.iqm(values) == pytest.approx(stats.trim_mean(values, 0.25))


def test_tail_level_by_hand():
    # n = 5, nu = 4: t = 2.776445; Phi(-sqrt(5/4) * 2.776445) = Phi(-3.104160) = 0.000954.
    assert st.tail_level([np.zeros(5)]) == pytest.approx(0.000954, abs=1e-6)
    assert st.tail_level([np.zeros(10)] * 8) == pytest.approx(0.0179, abs=2e-4)


def test_iqm_interval_is_reproducible_ragged_and_wider_than_the_plain_one():
    rng = np.random.default_rng(3)
    samples = [rng.normal(size=5), rng.normal(size=7)]
    first = st.iqm_interval(samples, resamples=3000, seed=1)
    assert first == st.iqm_interval(samples, resamples=3000, seed=1)
    plain = st.iqm_interval(samples, resamples=3000, seed=1, expanded=False)
    assert first.low < plain.low < first.value < plain.high < first.high


def test_bootstrap_leaves_the_global_generator_alone():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    st.iqm_interval([np.arange(6.0)], resamples=50)
    st.probability_of_improvement([np.arange(6.0)], [np.arange(5.0)], resamples=50)
    assert (before == np.random.get_state()[1]).all()  # noqa: NPY002


def test_probability_of_improvement_by_hand():
    x, y = np.array([1.0, 2.0, 3.0]), np.array([2.0, 0.0])
    # Pairs: 1>2 no, 1>0; 2=2 half, 2>0; 3>2, 3>0.
    found = st.probability_of_improvement([x], [y], resamples=500)
    assert found.value == pytest.approx(4.5 / 6)
    assert found.value == pytest.approx(stats.mannwhitneyu(x, y).statistic / 6)
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_rank_ranges():
    rng = np.random.default_rng(4)
    low, high = rng.normal(0, 0.1, 10), rng.normal(3, 0.1, 10)
    found = st.rank_ranges({"a": [high], "b": [low], "c": [low + 0.01]})
    assert found == {"a": (1, 1), "b": (2, 3), "c": (2, 3)}
    assert st.rank_ranges({"a": [high]}) == {"a": (1, 1)}
    assert st.rank_ranges({}) == {}
    assert st.rank_ranges({"a": [np.ones(3)], "b": [np.zeros(3)]}) == {"a": (1, 1), "b": (2, 2)}


def test_standing():
    names = [st.standing(count) for count in (1, 4, 5, 9, 10)]
    assert names == ["provisional", "provisional", "listed", "listed", "ranked"]


@pytest.mark.parametrize("seeds", [5, 10, 20])
def test_satterthwaite_covers_what_it_says(seeds):
    rng = np.random.default_rng(5)
    scale = np.linspace(0.5, 2, 8)
    hits = 0
    for _ in range(1200):
        interval = st.mean_interval(list((rng.standard_normal((seeds, 8)) * scale).T))
        hits += interval.low <= 0 <= interval.high
    assert 0.93 <= hits / 1200 <= 0.97


def test_welch_raises_false_alarms_at_its_level():
    rng = np.random.default_rng(6)
    alarms = [
        st.welch([rng.standard_normal(5)], [rng.standard_normal(5)]).p < 0.05 for _ in range(2000)
    ]
    assert 0.03 <= np.mean(alarms) <= 0.06


def test_expanded_percentiles_cover_better_than_plain_ones():
    rng = np.random.default_rng(7)
    hits = {True: 0, False: 0}
    for number in range(400):
        samples = list(rng.standard_normal((8, 5)))
        for expanded in hits:
            interval = st.iqm_interval(samples, resamples=600, seed=number, expanded=expanded)
            hits[expanded] += interval.low <= 0 <= interval.high
    assert 0.90 <= hits[True] / 400 <= 0.975
    assert hits[True] - hits[False] >= 8

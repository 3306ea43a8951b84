import warnings

import numpy as np
import pytest
from gymnasium import spaces
from sklearn.mixture import GaussianMixture

from teachers import alp_gmm
from teachers.alp_gmm import ALPGMM
from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.mixture import best_mixture, fit_mixture, information
from teachers.neighbours import EarlierReturns


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT = box([0, 0], [1, 1])


def outcomes(tasks, returns, first=0):
    n = len(tasks)
    number, returns = np.arange(first, first + n), np.asarray(returns, dtype=float)
    return Outcomes(number, tasks, returns, np.zeros(n), np.ones(n, dtype=int))


def teach(teacher, returns, rounds, count=1):
    """Let the teacher propose; ``returns`` maps tasks (n, D) and the round to returns (n,)."""
    proposed = []
    for number in range(rounds):
        tasks = teacher.propose(count, number / rounds).tasks
        teacher.observe(outcomes(tasks, returns(tasks, number), number * count))
        proposed.append(tasks)
    return np.concatenate(proposed)


def wave(tasks, number):
    return 100 * np.sin(3 * tasks.sum(axis=1) + number / 50)


# Learning progress


def test_alp_is_the_difference_to_the_nearest_earlier_return():
    earlier = EarlierReturns(1)
    far = np.linspace(10, 15, 6)[:, None]
    assert np.array_equal(earlier.learning_progress(far, np.arange(6.0)), np.zeros(6))
    # 0.0 is nearest to 10; 0.2 is nearest to 0.0; 0.15 is nearest to 0.2.
    alp = earlier.learning_progress(np.array([[0.0], [0.2], [0.15]]), np.array([7.0, 3.0, 4.5]))
    assert alp.tolist() == [7.0, 4.0, 1.5]


def test_the_latest_of_equally_near_tasks_counts():
    earlier = EarlierReturns(1)
    same = np.zeros((1200, 1))
    alp = earlier.learning_progress(same, np.arange(1200.0) ** 2)
    assert np.array_equal(alp[6:], 2 * np.arange(6, 1200) - 1.0)


def test_history_bounds_the_neighbours():
    bounded = EarlierReturns(1, history=2)
    bounded.learning_progress(np.linspace(0, 7, 8)[:, None], np.zeros(8))
    positions, returns = np.array([[50.0], [60.0], [0.0]]), np.array([1.0, 2.0, 9.0])
    # 0 was seen before, but only 50 and 60 are remembered.
    assert bounded.learning_progress(positions, returns).tolist() == [1.0, 1.0, 8.0]


@pytest.mark.parametrize("history", [None, 3, 700])
def test_tree_and_buffer_agree_with_a_plain_search(history):
    rng = np.random.default_rng(0)
    positions = rng.integers(12, size=(1700, 2)) / 12  # many equal tasks
    returns = rng.normal(size=1700)
    expected = np.zeros(1700)
    for i in range(6, 1700):
        start = 0 if history is None else max(0, i - history)
        gaps = ((positions[start:i] - positions[i]) ** 2).sum(axis=1)
        tied = np.flatnonzero(gaps <= gaps.min() + 1e-12)
        # Only exact repetitions have a defined neighbour, the latest; other ties may differ.
        candidates = returns[start:i][tied[-1:] if gaps.min() == 0 else tied]
        expected[i] = np.abs(returns[i] - candidates)[0] if len(candidates) == 1 else np.nan
    earlier, found = EarlierReturns(2, history), []
    sizes = [1, 30, 499, 600, 570]
    for start, size in zip(np.cumsum([0, *sizes[:-1]]), sizes, strict=True):
        part = slice(start, start + size)
        found.append(earlier.learning_progress(positions[part], returns[part]))
    defined = np.isfinite(expected)
    assert defined.sum() > 500
    assert np.allclose(np.concatenate(found)[defined], expected[defined])


# Mixtures


def clouds(rng, n=150):
    centres = np.array([[0.1, 0.1, 0.0], [0.9, 0.2, 0.5], [0.5, 0.9, 1.0]])
    return centres[np.arange(n) % 3] + 0.03 * rng.normal(size=(n, 3))


def test_three_clouds_are_found_and_counted():
    points = clouds(np.random.default_rng(0))
    for criterion in ("bic", "aicc"):
        mixture = best_mixture(points, range(2, 10), criterion, np.random.default_rng(1))
        assert len(mixture.weights) == 3
        assert mixture.weights == pytest.approx([1 / 3] * 3, abs=1e-6)
        order = np.argsort(mixture.means[:, 0])
        assert np.allclose(mixture.means[order][:, 0], [0.1, 0.5, 0.9], atol=0.02)
        assert np.allclose(mixture.covariances, 0.0009 * np.eye(3), atol=0.0006)


def test_the_lowest_criterion_wins():
    points = clouds(np.random.default_rng(0))
    best = best_mixture(points, range(2, 6), "aic", np.random.default_rng(1))
    rng = np.random.default_rng(1)
    fits = [fit_mixture(points, count, rng) for count in range(2, 6)]
    values = [information("aic", m.log_likelihood, len(m.weights), 150, 3) for m in fits]
    assert np.array_equal(best.means, fits[int(np.argmin(values))].means)


def test_criteria_by_hand():
    # Two Gaussians in the plane: 2 · (2 + 3) + 1 = 11 free parameters.
    assert information("aic", -100.0, 2, 50, 2) == 222
    assert information("bic", -100.0, 2, 50, 2) == pytest.approx(200 + 11 * np.log(50))
    assert information("aicc", -100.0, 2, 50, 2) == pytest.approx(222 + 2 * 11 * 12 / 38)
    assert information("aicc", -100.0, 2, 12, 2) == np.inf


@pytest.mark.parametrize("count", [2, 5, 9])
def test_fits_are_those_of_scikit_learn(count):
    points = np.random.default_rng(0).random((150, 3)) ** 2
    for seed in range(5):
        ours = fit_mixture(points, count, np.random.default_rng(seed))
        start = int(np.random.default_rng(seed).integers(2**31))
        theirs = GaussianMixture(count, reg_covar=1e-6, random_state=start)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs.fit(points)
        assert np.allclose(ours.weights, theirs.weights_, rtol=0, atol=1e-9)
        assert np.allclose(ours.means, theirs.means_, rtol=0, atol=1e-9)
        assert np.allclose(ours.covariances, theirs.covariances_, rtol=0, atol=1e-9)
        assert ours.log_likelihood == pytest.approx(150 * theirs.score(points), abs=1e-7)


def test_log_likelihood_is_that_of_the_mixture():
    points = clouds(np.random.default_rng(0))
    mixture = fit_mixture(points, 3, np.random.default_rng(1))
    judge = GaussianMixture(3)
    judge.weights_, judge.means_ = mixture.weights, mixture.means
    judge.precisions_cholesky_ = np.linalg.cholesky(np.linalg.inv(mixture.covariances))
    assert mixture.log_likelihood == pytest.approx(150 * judge.score(points))


def test_too_few_distinct_points_give_no_mixture():
    assert best_mixture(np.ones((100, 2)), range(2, 10), "aic", np.random.default_rng(0)) is None


# The teacher


def test_first_tasks_are_uniform_then_mixtures_take_over():
    teacher = ALPGMM(UNIT, seed=0)
    first = teach(teacher, wave, 149)
    assert len(teacher.means) == 0
    assert np.histogram(first[:, 0], bins=5, range=(0, 1))[0].min() > 15
    teach(teacher, wave, 1)
    k = len(teacher.means)
    assert 2 <= k <= 9
    assert teacher.means.shape == (k, 2) and teacher.covariances.shape == (k, 2, 2)
    assert teacher.weights.sum() == pytest.approx(1) and (teacher.component_alp >= 0).all()


def test_components_are_chosen_in_proportion_to_their_alp():
    teacher = ALPGMM(box([0], [10]), seed=0, random_share=0.0)
    teacher.means = np.array([[2.0], [5.0], [8.0]])
    teacher.covariances = np.full((3, 1, 1), 0.01)
    teacher.factors = np.full((3, 1, 1), 0.1)
    teacher.component_alp = np.array([1.0, 0.0, 3.0])
    tasks = teacher.propose(4000, 0.5).tasks[:, 0]
    assert np.mean(np.abs(tasks - 2) < 1) == pytest.approx(0.25, abs=0.03)
    assert np.mean(np.abs(tasks - 8) < 1) == pytest.approx(0.75, abs=0.03)
    assert tasks[tasks > 5].std() == pytest.approx(0.1, abs=0.01)
    teacher.component_alp = np.zeros(3)
    tasks = teacher.propose(4000, 0.5).tasks[:, 0]
    assert np.mean(np.abs(tasks - 5) < 1) == pytest.approx(1 / 3, abs=0.03)


def test_the_random_share_is_uniform():
    teacher = ALPGMM(box([0], [1]), seed=0, random_share=0.2)
    teacher.means, teacher.component_alp = np.array([[0.25]]), np.array([1.0])
    teacher.factors = np.full((1, 1, 1), 1e-6)
    tasks = teacher.propose(5000, 0.5).tasks[:, 0]
    assert np.mean(np.abs(tasks - 0.25) > 1e-4) == pytest.approx(0.2, abs=0.02)


def test_constant_returns_mean_no_preference():
    teacher = ALPGMM(UNIT, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = teach(teacher, lambda tasks, number: np.full(len(tasks), 42.0), 1500)
    assert np.array_equal(teacher.component_alp, np.zeros(len(teacher.means)))
    assert len(teacher.means) >= 2
    assert tasks[-300:].std(axis=0).min() > 0.15  # still spread over the box


@pytest.mark.parametrize("units", ["normalised", "raw"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_moving_front_attracts_most_tasks(units, seed):
    teacher = ALPGMM(UNIT, seed=seed, units=units)
    share = []
    for fit in range(3):
        front = 0.3 + 0.05 * fit

        def returns(tasks, number, front=front):
            return 100 / (1 + np.exp((tasks[:, 0] - front - 0.05 * number / 150) / 0.02))

        tasks = teach(teacher, returns, 150)
        share.append(np.mean(np.abs(tasks[:, 0] - front) < 0.15))
    assert share[0] < 0.45  # uniform: about 0.3
    assert max(share[1:]) > 0.5


def test_units_of_tasks_and_returns_do_not_matter():
    plain = ALPGMM(UNIT, seed=0)
    scaled = ALPGMM(box([-50, 0], [50, 1e-3]), seed=0)
    small = teach(plain, wave, 400)
    unit, low = np.array([100.0, 1e-3]), np.array([-50.0, 0.0])
    large = teach(scaled, lambda tasks, number: 4 * wave((tasks - low) / unit, number), 400)
    assert np.allclose((large - low) / unit, small, atol=1e-6)
    assert scaled.component_alp == pytest.approx(4 * plain.component_alp)


def test_initial_distribution_replaces_the_uniform_start():
    initial = (np.array([0.0, 0.9]), np.array([0.1, 0.01]))
    teacher = ALPGMM(UNIT, seed=0, knowledge=Knowledge(initial=initial))
    tasks = teacher.propose(500, 0.0).tasks
    assert tasks[:, 1].mean() == pytest.approx(0.9, abs=0.01)
    assert (tasks[:, 0] == 0).mean() == pytest.approx(0.5, abs=0.1)  # clipped to the box


def test_dimensions_of_width_zero_are_put_back():
    with_constant = ALPGMM(box([0, 7, 0], [1, 7, 1]), seed=0)
    tasks = teach(with_constant, wave, 400)
    assert (tasks[:, 1] == 7).all()
    assert (with_constant.means[:, 1] == 7).all()
    assert not with_constant.covariances[:, 1].any() and with_constant.covariances[:, 0, 0].all()
    assert tasks[:, 0].std() > 0.1 < tasks[:, 2].std()
    point = ALPGMM(box([3, 4], [3, 4]), seed=0)
    assert np.array_equal(teach(point, wave, 200), np.tile([3.0, 4.0], (200, 1)))


@pytest.mark.parametrize("units", ["normalised", "raw"])
@pytest.mark.parametrize("size", [1, 2, 10])
@pytest.mark.parametrize("width", [1.0, 1e-9])
def test_tasks_stay_inside_the_box(units, size, width):
    low = np.linspace(-5, 5, size)
    teacher = ALPGMM(box(low, low + width), seed=0, units=units)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = teach(teacher, wave, 40, count=16)
    assert tasks.shape == (640, size) and tasks.dtype == np.float64
    assert (tasks >= low).all() and (tasks <= low + width).all()


@pytest.mark.parametrize("units", ["normalised", "raw"])
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e12, 1e300, 1.7e308])
def test_extreme_returns(units, scale):
    teacher = ALPGMM(UNIT, seed=0, units=units)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teach(teacher, lambda tasks, number: scale * np.sign(tasks[:, 0] - 0.5), 400)
    assert np.isfinite(teacher.propose(100, 0.5).tasks).all()
    assert np.isfinite(teacher.component_alp).all()


def test_ten_thousand_times_the_same_task():
    teacher = ALPGMM(UNIT, seed=0)
    returns = np.random.default_rng(0).normal(size=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        teacher.observe(outcomes(np.full((10_000, 2), 0.5), returns))
        teacher.observe(outcomes(np.full((10_000, 2), 0.5), np.zeros(10_000)))
    assert np.isfinite(teacher.propose(100, 0.5).tasks).all()


def test_bundling_of_outcomes_does_not_matter():
    rng = np.random.default_rng(0)
    tasks, returns = rng.random((1000, 2)), rng.normal(size=1000)
    whole, split = ALPGMM(UNIT, seed=0), ALPGMM(UNIT, seed=0)
    whole.observe(outcomes(tasks, returns))
    for start, stop in ((0, 1), (1, 1), (1, 320), (320, 990), (990, 1000)):
        split.observe(outcomes(tasks[start:stop], returns[start:stop], start))
    assert np.array_equal(whole.means, split.means)
    assert np.array_equal(whole.propose(50, 0.5).tasks, split.propose(50, 0.5).tasks)


def test_late_partial_and_unordered_outcomes():
    teacher, rng = ALPGMM(UNIT, seed=0), np.random.default_rng(0)
    tasks = teacher.propose(600, 0.0).tasks
    arrived = rng.permutation(600)[:450]
    teacher.observe(Outcomes(arrived, tasks[arrived], *np.ones((3, 450))))
    assert len(teacher.means) and teacher.waiting == 0


@pytest.mark.parametrize("rounds", [3, 100, 700])
@pytest.mark.parametrize("history", [None, 50])
def test_saved_teachers_continue_exactly(rounds, history):
    teacher = ALPGMM(UNIT, seed=0, history=history)
    teach(teacher, wave, rounds)
    copy = ALPGMM(UNIT, seed=5, history=history)
    teach(copy, wave, 160)
    copy.load_state_dict(teacher.state_dict())
    assert np.array_equal(teach(copy, wave, 700), teach(teacher, wave, 700))
    assert np.array_equal(copy.means, teacher.means)


def test_parity_takes_raw_units_and_restarts_its_fits():
    def starts(**options):
        teacher, states = ALPGMM(UNIT, seed=3, **options), []
        with pytest.MonkeyPatch.context() as patch:
            fit = alp_gmm.best_mixture
            patch.setattr(
                alp_gmm,
                "best_mixture",
                lambda *rest: states.append(rest[-1].bit_generator.state["state"]) or fit(*rest),
            )
            teach(teacher, wave, 600)
        return [state == states[0] for state in states]

    teacher = ALPGMM(UNIT, seed=3, preset="parity")
    assert teacher.units == "raw" and ALPGMM(UNIT, seed=3).units == "normalised"
    assert ALPGMM(UNIT, seed=3, preset="parity", units="normalised").units == "normalised"
    assert len(starts()) > 2 and not any(starts()[1:])
    assert all(starts(preset="parity")) and not any(starts(units="raw")[1:])


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "published"},
        {"restart_fits": 2},
        {"fit_every": 1},
        {"random_share": 1.5},
        {"max_components": 2},
        {"criterion": "mdl"},
        {"units": "metres"},
        {"history": 0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        ALPGMM(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        ALPGMM(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

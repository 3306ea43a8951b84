import numpy as np
import pytest
from scipy.stats import multivariate_normal

from teachers.gaussian import Gaussian, Step, ascend, diagonal, kl, natural_gradient, objective


def gaussians(seed, size=3):
    """Two random Gaussians, points of the first and values."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(2):
        factor = np.tril(0.5 * rng.normal(size=(size, size)), -1)
        made.append(Gaussian(rng.normal(size=size), factor + np.diag(rng.uniform(0.3, 2, size))))
    points = made[0].mean + rng.normal(size=(40, size)) @ made[0].factor.T
    return *made, points, rng.normal(size=40)


def test_kl_by_hand():
    narrow, wide = diagonal([0.0], [1.0]), diagonal([1.0], [2.0])
    # 1/2 (1/4 + 1/4 - 1) + ln 2, and 1/2 (4 + 1 - 1) - ln 2
    assert kl(narrow, wide) == pytest.approx(-0.25 + np.log(2))
    assert kl(wide, narrow) == pytest.approx(2 - np.log(2))
    assert kl(wide, wide) == pytest.approx(0, abs=1e-12)
    p, q, *_ = gaussians(0)
    s, t = p.factor @ p.factor.T, q.factor @ q.factor.T
    gap = q.mean - p.mean
    expected = np.trace(np.linalg.solve(t, s)) + gap @ np.linalg.solve(t, gap) - 3
    expected = (expected + np.log(np.linalg.det(t) / np.linalg.det(s))) / 2
    assert kl(p, q) == pytest.approx(expected)


def test_density_is_that_of_scipy():
    p, _, points, _ = gaussians(1)
    expected = multivariate_normal(p.mean, p.factor @ p.factor.T).logpdf(points)
    assert np.allclose(p.log_density(points), expected)


def test_the_gradient_is_that_of_the_objective():
    old, target, points, values = gaussians(2)
    step, length = natural_gradient(old, target, points, values, 0.7)
    rng = np.random.default_rng(0)
    for way in (step, Step(rng.normal(size=3), np.tril(rng.normal(size=(3, 3))))):
        h = 1e-5
        ends = [
            objective(old.moved(way, side), old, target, points, values, 0.7) for side in (h, -h)
        ]
        # The Fisher matrix is 1 for the mean, 2 for the diagonal and 1 below it.
        inner = step.mean @ way.mean + (step.factor * way.factor * (1 + np.eye(3))).sum()
        assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(inner, rel=1e-5)
    # KL(old || moved by h) = h² length / 2
    assert kl(old, old.moved(step, 1e-3)) == pytest.approx(length * 1e-6 / 2, rel=0.02)


def test_the_size_of_a_step_by_hand():
    old = diagonal([0.0], [1.0])
    points, values = np.array([[-1.0], [1.0]]), np.array([-1.0, 1.0])
    # The gradient is 1 for the mean and 0 for the deviation, so the mean moves by sqrt(2 · 0.1).
    for accept in ("both", "either"):
        new = ascend(old, old, points, values, 0.0, 0.1, accept)
        assert new.mean[0] == pytest.approx(np.sqrt(0.2), rel=0.051)
        assert new.factor[0, 0] == pytest.approx(1)
    assert new.mean[0] == pytest.approx(np.sqrt(0.2))  # "either" is not cut


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 2.0])
def test_the_trust_region_holds_and_steps_improve(epsilon):
    moves = 0
    for seed in range(60):
        old, target, points, values = gaussians(seed)
        alpha = (0.0, 0.3, 1e5)[seed % 3]
        new = ascend(old, target, points, values, alpha, epsilon, "both")
        if new is not old:
            moves += 1
            now, then = (objective(g, old, target, points, values, alpha) for g in (new, old))
            assert kl(old, new) <= epsilon and now > then
    assert moves > 50


def test_the_release_leaves_the_trust_region():
    far = 0
    for seed in range(60):
        old, target, points, values = gaussians(seed)
        far += kl(old, ascend(old, target, points, values, 0.3, 0.8, "either")) > 1.5 * 0.8
    assert far > 5

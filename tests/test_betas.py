"""Products of Beta distributions in closed form, and the two problems of the trust region."""

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import betainc

from teachers.betas import (
    Betas,
    Evidence,
    concentration_of,
    kl,
    kl_gradient,
    peaked,
    widened,
)


def betas(*pairs):
    return Betas(*np.array(pairs, float).T)


# Closed forms


PAIRS = [(1.0, 1.0), (1.0, 101.0), (2.5, 7.0), (60.0, 30.0)]


@pytest.mark.parametrize("pair", PAIRS)
def test_density_and_entropy_of_one_dimension(pair):
    ours, theirs = betas(pair), stats.beta(*pair)
    x = np.linspace(0.001, 0.999, 50)
    np.testing.assert_allclose(ours.log_density(x[:, None]), theirs.logpdf(x), atol=1e-9)
    integral = integrate.quad(lambda x: -theirs.pdf(x) * theirs.logpdf(x), 1e-12, 1 - 1e-12)[0]
    assert ours.entropy() == pytest.approx(integral, abs=1e-6)


@pytest.mark.parametrize("p", PAIRS)
@pytest.mark.parametrize("q", PAIRS)
def test_divergence_of_one_dimension(p, q):
    one, other = stats.beta(*p), stats.beta(*q)
    middle = one.mean()
    integral = integrate.quad(
        lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)),
        1e-12,
        1 - 1e-12,
        points=[middle / 2, middle, (1 + middle) / 2],
        limit=200,
    )[0]
    assert kl(betas(p), betas(q)) == pytest.approx(integral, abs=1e-5)


def test_dimensions_add_up():
    p, q, points = betas(*PAIRS), betas(*PAIRS[::-1]), np.random.default_rng(0).random((9, 4))
    each = zip(PAIRS, PAIRS[::-1], strict=True)
    assert kl(p, q) == pytest.approx(sum(kl(betas(a), betas(b)) for a, b in each))
    assert p.entropy() == pytest.approx(sum(betas(pair).entropy() for pair in PAIRS))
    parts = [betas(pair).log_density(points[:, [i]]) for i, pair in enumerate(PAIRS)]
    np.testing.assert_allclose(p.log_density(points), np.sum(parts, axis=0))


def test_known_values():
    assert betas((1, 1)).entropy() == pytest.approx(0)
    # Beta(2, 1) has the density 2x: entropy 1/2 - ln 2, and ln 2 - 1/2 from uniform.
    assert betas((2, 1)).entropy() == pytest.approx(0.5 - np.log(2))
    assert kl(betas((2, 1)), betas((1, 1))) == pytest.approx(np.log(2) - 0.5)
    assert kl(betas((1, 1)), betas((2, 1))) == pytest.approx(1 - np.log(2))


def slope(function, p, step=1e-5):
    """The gradient (2, d) by central differences."""
    found = np.empty((2, len(p.a)))
    for index in np.ndindex(found.shape):
        up, down = np.stack([p.a, p.b]), np.stack([p.a, p.b])
        up[index] += step
        down[index] -= step
        found[index] = (function(Betas(*up)) - function(Betas(*down))) / (2 * step)
    return found


def test_gradients_are_those_of_small_steps():
    rng = np.random.default_rng(0)
    p, q = betas((1.5, 30), (3, 2)), betas((2, 20), (2, 4))
    evidence = Evidence(q.sample(40, rng), rng.normal(size=40), rng.integers(2, size=40) * 1.0)
    for function, gradient in (
        (Betas.entropy, p.entropy_gradient()),
        (lambda b: kl(q, b), kl_gradient(q, p)),
        (evidence.rate, evidence.rate_gradient(p)),
    ):
        np.testing.assert_allclose(gradient, slope(function, p), rtol=1e-4, atol=1e-8)


def test_starts_have_the_mode_and_the_deviation_that_are_asked_for():
    start = peaked(np.array([0.0, 0.3, 1.0]), np.full(3, 100.0))
    np.testing.assert_allclose(start.a, [1, 31, 101])
    np.testing.assert_allclose(start.b, [101, 71, 1])
    for mode in (0.0, 0.2, 0.5):
        for std in (0.01, 0.1, 0.2):
            concentration = concentration_of(mode, std, 1e6)
            found = peaked(np.array([mode]), np.array([concentration]))
            assert stats.beta(found.a[0], found.b[0]).std() == pytest.approx(std)
    assert concentration_of(0.5, 0.9, 1e6) == 0  # at most uniform
    assert concentration_of(0.5, 0.0, 1e6) == 1e6


# Importance weights and the two problems


def test_a_rate_by_hand():
    old, new = betas((1, 1)), betas((2, 1))  # densities 1 and 2x
    points = np.array([[0.1], [0.5], [0.9], [0.7]])
    evidence = Evidence(points, old.log_density(points), np.array([1.0, 0.0, 1.0, 1.0]))
    assert evidence.rate(old) == pytest.approx(0.75)
    assert evidence.rate(new) == pytest.approx(2 * (0.1 + 0.9 + 0.7) / 4)


def test_rates_under_another_distribution_are_those_of_its_own_draws():
    rng, old, new = np.random.default_rng(0), betas((1, 6), (2, 3)), betas((1, 4), (2, 2))
    points = old.sample(200_000, rng)
    evidence = Evidence(points, old.log_density(points), (points.sum(axis=1) < 0.8) * 1.0)
    own = np.mean(new.sample(200_000, rng).sum(axis=1) < 0.8)
    assert evidence.rate(new) == pytest.approx(own, abs=0.01)


@pytest.mark.parametrize("least", [0.5, 0.8])
@pytest.mark.parametrize("old", [betas((1, 30)), betas((8, 20))])
def test_one_dimension_matches_a_grid_search(old, least):
    points = old.sample(300, np.random.default_rng(1))
    success = (points[:, 0] < np.quantile(points, 0.85)) * 1.0
    evidence = Evidence(points, old.log_density(points), success)
    trust = {"old": old, "epsilon": 0.05, "highest": 40.0}
    found = widened(
        Betas.entropy, Betas.entropy_gradient, old, **trust, evidence=evidence, least=least
    )
    axis = np.exp(np.linspace(0, np.log(40), 240))
    entropy = [
        q.entropy()
        for q in (betas((a, b)) for a in axis[axis < 16] for b in axis)
        if kl(old, q) <= 0.05 and evidence.rate(q) >= least
    ]
    assert kl(old, found) <= 0.05 and evidence.rate(found) >= least - 1e-4
    assert found.entropy() >= max(entropy) - 1e-3
    assert found.entropy() <= max(entropy) + 0.02  # the grid is coarse


@pytest.mark.parametrize("epsilon", [0.001, 0.1, 1.0])
@pytest.mark.parametrize("size", [1, 4, 10])
def test_all_of_the_trust_region_is_used_where_everything_succeeds(size, epsilon):
    old = peaked(np.zeros(size), np.full(size, 100.0))
    found = widened(
        Betas.entropy, Betas.entropy_gradient, old, old=old, epsilon=epsilon, highest=111.0
    )
    # No direction beats the others: every dimension gets its share of the divergence.
    share = betas((found.a[0], found.b[0]))
    assert 0.99 * epsilon < kl(old, found) <= epsilon
    assert kl(betas((1, 101)), share) == pytest.approx(epsilon / size, rel=0.1)
    assert found.a.min() >= 1 and found.entropy() > old.entropy()


@pytest.mark.parametrize("size", [5, 7, 9])
@pytest.mark.parametrize("epsilon", [0.5, 0.9])
def test_large_steps_in_many_dimensions(size, epsilon):
    old = peaked(np.zeros(size), np.full(size, 100.0))
    points = old.sample(100, np.random.default_rng(0))
    evidence = Evidence(points, old.log_density(points), (points.mean(axis=1) < 0.5) * 1.0)
    trust = {"old": old, "epsilon": epsilon, "highest": 111.0, "evidence": evidence, "least": 0.5}
    found = widened(Betas.entropy, Betas.entropy_gradient, old, **trust)
    assert 0.95 * epsilon < kl(old, found) <= epsilon and evidence.rate(found) > 0.4999


def test_the_easiest_distribution_near_by_is_found():
    old, rng = betas((3, 3), (1, 1)), np.random.default_rng(0)
    points = old.sample(500, rng)
    evidence = Evidence(points, old.log_density(points), (points[:, 0] < 0.4) * 1.0)
    trust = {"old": old, "epsilon": 0.2, "highest": 50.0}
    found = widened(evidence.rate, evidence.rate_gradient, old, **trust)
    assert evidence.rate(found) > evidence.rate(old) + 0.15 and kl(old, found) <= 0.2
    assert betainc(found.a[0], found.b[0], 0.4) > betainc(3, 3, 0.4) + 0.15
    none = Evidence(points, old.log_density(points), np.zeros(500))
    assert widened(none.rate, none.rate_gradient, old, **trust) is old

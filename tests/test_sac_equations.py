"""The equations of SAC against values computed by hand, by NumPy or by torch.distributions."""

import copy

import numpy as np
import pytest
import torch
from torch import distributions

from students.base import Transitions
from students.networks import Perceptrons, SquashedGaussian, squashed_log_prob, twin_q
from students.objectives import soft_value, temperature_loss
from students.sac import VALUE_SAMPLES
from tests.student_lessons import Reach, train
from tests.test_sac import FIRST, make


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def batch(rows=7, seed=0):
    """Observations, actions, rewards, terminated, next observations and two draws of noise."""
    generator = seeded(seed)
    seen, following = torch.randn((2, rows, 3), generator=generator)
    actions, noise, next_noise = torch.randn((3, rows, 2), generator=generator)
    rewards = torch.randn(rows, generator=generator)
    terminated = (torch.arange(rows) % 3 == 0).float()
    return seen, actions.tanh(), rewards, terminated, following, noise, next_noise


def policy_of(student, observations):
    """The policy as torch.distributions builds it: actions and log-densities for given noise."""
    mean, log_std = student.networks.policy.gaussian(observations)
    normal = distributions.Normal(mean, log_std.exp())
    squashed = distributions.TransformedDistribution(
        normal, [distributions.TanhTransform(cache_size=1)]
    )

    def sample(noise):
        actions = torch.tanh(mean + log_std.exp() * noise)
        return actions, squashed.log_prob(actions).sum(-1)

    return sample


# The policy --------------------------------------------------------------------------------------


def test_the_density_of_squashed_actions_integrates_to_one_and_follows_the_formula():
    mean, std = 0.4, 0.7
    edges = np.tanh(np.linspace(-6, 6, 200_001))
    actions = (edges[1:] + edges[:-1]) / 2
    raw = np.arctanh(actions)
    noise = (raw - mean) / std
    columns = [torch.from_numpy(x)[:, None] for x in (noise, raw, np.full_like(raw, np.log(std)))]
    density = np.exp(squashed_log_prob(*columns).numpy())
    assert np.sum(density * np.diff(edges)) == pytest.approx(1, abs=1e-6)
    gaussian = np.exp(-0.5 * noise**2) / (std * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(density, gaussian / (1 - actions**2), rtol=1e-6)


def test_the_density_of_samples_is_the_share_of_samples():
    noise = torch.randn((200_000, 1), generator=seeded(), dtype=torch.float64)
    raw = 0.3 + 0.8 * noise
    actions = torch.tanh(raw)[:, 0].numpy()
    log_std = torch.full_like(noise, np.log(0.8))
    density = torch.exp(squashed_log_prob(noise, raw, log_std)).numpy()
    inside = (actions > 0.2) & (actions < 0.25)
    assert inside.mean() / 0.05 == pytest.approx(density[inside].mean(), rel=0.03)


def test_the_density_adds_up_over_dimensions_and_stays_exact_at_the_edge():
    raw = torch.tensor([[15.0, -15.0], [0.5, 40.0]])
    found = squashed_log_prob(torch.ones(2, 2), raw, torch.full((2, 2), -1.0))
    wide = raw.double().numpy()
    # log(1 - tanh(x)^2) = log 4 - 2 |x| - 2 log(1 + e^(-2|x|))
    slope = np.log(4) - 2 * np.abs(wide) - 2 * np.log1p(np.exp(-2 * np.abs(wide)))
    expected = (-0.5 - 0.5 * np.log(2 * np.pi) + 1.0 - slope).sum(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert torch.tanh(raw[0, 0]) > 0.999999  # where 1 - tanh^2 has lost its digits


def test_samples_and_densities_against_torch():
    student = make()
    seen, *_, noise, _ = batch()
    found = student.networks.policy.sample(seen, noise)
    expected = policy_of(student, seen)(noise)
    for left, right in zip(found, expected, strict=True):
        torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-4)


def test_the_log_std_stays_in_its_range():
    policy = SquashedGaussian(3, 2, (8,), (-5.0, 2.0), seeded())
    wild = 1e4 * torch.randn((1000, 3), generator=seeded(1))
    log_std = policy.gaussian(wild)[1]
    assert log_std.min().item() == pytest.approx(-5) and log_std.max().item() == pytest.approx(2)
    assert policy.gaussian(torch.zeros(1, 3))[1].tolist() == [[-1.5, -1.5]]  # biases are zero


# The networks ------------------------------------------------------------------------------------


def test_networks_in_one_product_are_the_single_networks():
    stack, rows = Perceptrons(3, (5, 8, 6, 2), seeded()), torch.randn(9, 5, generator=seeded(1))
    found = stack(rows)
    assert found.shape == (3, 9, 2)
    for number in range(3):
        hidden = rows
        for layer, (weight, bias) in enumerate(stack.layers):
            hidden = hidden @ weight[number] + bias[number]
            hidden = hidden if layer == 2 else hidden.clamp(min=0)
        torch.testing.assert_close(found[number], hidden)
    assert not torch.allclose(found[0], found[1])


def test_weights_start_as_published():
    stack = Perceptrons(2, (30, 50, 1), seeded())
    for weight, bias in stack.layers:
        bound = (6 / (weight.shape[1] + weight.shape[2])) ** 0.5
        assert 0.9 * bound < weight.abs().max().item() <= bound
        assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.15)
        assert (bias == 0).all()


def test_frozen_networks_pass_gradients_and_take_none():
    critics = Perceptrons(2, (5, 8, 1), seeded())
    seen, actions, *_ = batch()
    actions.requires_grad_()
    twin_q(critics, seen, actions, frozen=True).sum().backward()
    frozen, actions.grad = actions.grad, None
    assert all(parameter.grad is None for parameter in critics.parameters())
    twin_q(critics, seen, actions).sum().backward()
    torch.testing.assert_close(frozen, actions.grad)
    assert frozen.abs().sum() > 0


# The losses --------------------------------------------------------------------------------------


def test_the_soft_value_by_hand():
    q, log_prob = torch.tensor([[1.0, 5.0], [2.0, 3.0]]), torch.tensor([-1.0, 2.0])
    np.testing.assert_allclose(soft_value(q, log_prob, 0.5), [1.0 + 0.5, 3.0 - 1.0])


def test_targets_by_hand(monkeypatch):
    for options in ({}, FIRST):
        student = make(discount=0.5, **options)
        if options:  # V of an observation is its first number
            monkeypatch.setattr(student, "target", lambda x: x[None, :, :1])
        else:  # Q1, Q2 are the first two numbers of the observation; the entropy bonus is worth 3
            student.networks.log_temperature.data.fill_(float(np.log(0.5)))
            monkeypatch.setattr(student, "target", lambda rows, frozen: rows.T[:2, :, None])
            sample = lambda x, noise: (noise, torch.full((len(x),), -6.0))  # noqa: E731
            monkeypatch.setattr(student.networks.policy, "sample", sample)
        following = torch.tensor([[4.0, 9.0, 0.0], [8.0, 6.0, 0.0], [7.0, 7.0, 0.0]])
        rewards, terminated = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.0, 1.0])
        found = student._targets(rewards, terminated, following, torch.zeros(3, 2))
        worth = [4.0, 8.0] if options else [4.0 + 3.0, 6.0 + 3.0]
        np.testing.assert_allclose(found, [1 + 0.5 * worth[0], 2 + 0.5 * worth[1], 3.0], rtol=1e-6)


@pytest.mark.parametrize("options", [{}, FIRST, {"form": "value"}, {"temperature": 0.2}])
def test_every_loss_reaches_its_own_parameters_only(options):
    """The gradient of the summed loss is, part by part, that of the papers' separate losses."""
    student = make(discount=0.9, **options)
    train(student, Reach(4), 30)  # so that target and network differ
    networks, columns = student.networks, batch()
    seen, actions, rewards, terminated, following, noise, next_noise = columns
    student.parameters.grad.zero_()
    student._loss(*columns).backward()
    found = {name: p.grad.clone() for name, p in networks.named_parameters()}

    alpha, frozen = networks.temperature(), copy.deepcopy(networks)
    q = lambda critics, x, a: critics(torch.cat([x, a], 1))[..., 0]  # noqa: E731
    chosen, log_prob = policy_of(student, seen)(noise)
    with torch.no_grad():
        if student.form == "value":
            worth = student.target(following)[0, :, 0]
        else:
            next_actions, next_log_prob = policy_of(student, following)(next_noise)
            worth = q(student.target, following, next_actions).amin(0) - alpha * next_log_prob
        targets = rewards + 0.9 * (1 - terminated) * worth
    losses = {"critics": sum(0.5 * ((c - targets) ** 2).mean() for c in
                             q(networks.critics, seen, actions))}  # fmt: skip
    scores = q(frozen.critics, seen, chosen)
    score = scores[0] if student.form == "value" else scores.amin(0)
    losses["policy"] = (alpha * log_prob - score).mean()
    if student.form == "value":
        worth = (scores.amin(0) - alpha * log_prob).detach()
        losses["state_value"] = 0.5 * ((networks.state_value(seen)[0, :, 0] - worth) ** 2).mean()
    if student.temperature == "auto":
        gap = (log_prob + student.target_entropy).detach().mean()
        losses["log_temperature"] = -(networks.log_temperature * gap).sum()
    for part, loss in losses.items():
        mine = {n: p for n, p in networks.named_parameters() if n.split(".")[0] == part}
        for name, expected in zip(
            mine, torch.autograd.grad(loss, list(mine.values())), strict=True
        ):
            torch.testing.assert_close(found.pop(name), expected, rtol=1e-3, atol=1e-5)
    assert all((rest == 0).all() for rest in found.values())  # a fixed temperature


def test_the_temperature_falls_while_the_entropy_is_above_its_target():
    log_temperature = torch.zeros(1, requires_grad=True)
    log_prob = torch.tensor([-1.0, -3.0])  # an entropy of 2
    for target, slope in ((-2.0, 4.0), (5.0, -3.0)):
        log_temperature.grad = None
        temperature_loss(log_temperature, log_prob, target).backward()
        assert log_temperature.grad.item() == slope
    for target, falls in ((-50.0, True), (50.0, False)):
        student = make(target_entropy=target)
        train(student, Reach(4), 20)
        assert (student.networks.temperature().item() < 1) == falls


def test_the_slow_copy_follows_by_polyak_averaging():
    for options, followed in (({}, "critics"), (FIRST, "state_value")):
        student = make(polyak=0.75, **options)
        flat = lambda module: torch.cat([p.detach().flatten() for p in module.parameters()])  # noqa: E731
        network = getattr(student.networks, followed)
        assert torch.equal(flat(network), student.target_parameters)
        for _ in range(2):
            before = student.target_parameters.clone()
            student._descend(*batch())
            expected = 0.75 * before + 0.25 * flat(network)
            torch.testing.assert_close(student.target_parameters, expected)
            assert not torch.equal(before, expected)


def test_one_step_is_one_of_adam():
    student = make(learning_rate=0.01)
    before, columns = student.parameters.clone(), batch()
    student._descend(*columns)
    gradient = student.parameters.grad
    # The first step of Adam is the learning rate times g / (|g| + 1e-8).
    expected = before - 0.01 * gradient / (gradient.abs() + 1e-8)
    torch.testing.assert_close(student.parameters, expected, rtol=1e-4, atol=1e-5)


# Rounds and values -------------------------------------------------------------------------------


def test_a_round_learns_from_remembered_transitions(monkeypatch):
    student, seen = make(num_envs=2, learning_starts=2, update_every=2, update_ratio=1.0), []
    monkeypatch.setattr(student, "_descend", lambda *columns: seen.append(columns))
    flags = np.array([[True, False], [False, True]])
    student.observe(
        Transitions(
            observations=np.array([[1.0, 0, 0], [2.0, 0, 0]]),
            actions=np.array([[0.1, 0], [0.2, 0]]),
            rewards=np.array([10.0, 20.0]),
            terminated=flags[0],
            truncated=flags[1],
            next_observations=np.array([[3.0, 0, 0], [4.0, 0, 0]]),
        )
    )
    assert len(seen) == 2
    noises = []
    for observations, actions, rewards, terminated, following, noise, next_noise in seen:
        first = observations[:, 0]
        assert set(first.tolist()) == {1.0, 2.0} and len(first) == student.batch
        torch.testing.assert_close(actions[:, 0], first / 10)
        torch.testing.assert_close(rewards, first * 10)
        assert torch.equal(terminated, (first == 1).float())
        assert torch.equal(following[:, 0], first + 2)
        noises += [noise, next_noise]
    assert len({tuple(noise.flatten().tolist()) for noise in noises}) == 4


def test_the_value_is_the_mean_over_sampled_actions():
    student = make(log_std_range=(-2.0, 0.0))
    train(student, Reach(4), 40)
    observations, *_ = batch(20)
    networks, draws = student.networks, torch.randn((4000, 1, 2), generator=seeded(3))
    with torch.no_grad():
        rows = observations.repeat(4000, 1)
        actions, log_prob = networks.policy.sample(rows, draws.expand(-1, 20, -1).reshape(-1, 2))
        q = networks.critics(torch.cat([rows, actions], 1))[..., 0]
        values = (q.amin(0) - networks.temperature() * log_prob).reshape(4000, 20)
    error = student.value(observations.numpy()) - values.mean(0).numpy()
    assert np.abs(error).max() < 4 * values.std(0).max().item() / VALUE_SAMPLES**0.5
    single = make(log_std_range=(-9.0, -8.0), temperature=1e-9)  # all but one action
    q = twin_q(single.networks.critics, observations, torch.from_numpy(
        single.act(observations.numpy(), explore=False)))  # fmt: skip
    np.testing.assert_allclose(
        single.value(observations.numpy()), q.amin(0).detach().numpy(), rtol=1e-2, atol=1e-3
    )


def test_the_sampled_actions_lie_evenly_around_the_mean(monkeypatch):
    student, drawn = make(), []
    monkeypatch.setattr(
        student.networks.policy,
        "sample",
        lambda x, noise: (drawn.append(noise[0]) or noise, torch.zeros(len(x))),
    )
    monkeypatch.setattr("students.sac.twin_q", lambda critics, x, actions: actions.T[[0, 0]])
    np.testing.assert_allclose(student.value(np.zeros((3, 3))), 0, atol=1e-6)
    assert len({tuple(noise.tolist()) for noise in drawn}) == VALUE_SAMPLES


def test_the_first_form_answers_with_its_value_network():
    student = make(**FIRST)
    train(student, Reach(4), 30)
    observations, *_ = batch()
    expected = student.networks.state_value(observations)[0, :, 0].detach().numpy()
    np.testing.assert_array_equal(student.value(observations.numpy()), expected)
    student.target_parameters.zero_()  # the slow copy is not asked
    np.testing.assert_array_equal(student.value(observations.numpy()), expected)

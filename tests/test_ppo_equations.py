"""The equations of PPO against values computed by hand or by NumPy."""

import copy

import numpy as np
import pytest
import torch

from students.base import Transitions
from students.moments import RunningMoments
from students.networks import flatten, mlp, orthogonal
from students.objectives import clipped_policy_loss, generalized_advantages, value_loss
from tests.student_lessons import Reach, train
from tests.test_ppo import make


def test_advantages_by_hand():
    # One world, discount 0.5, lambda 0.5. Step 1 is a time limit: its last observation is worth 8.
    # Step 3 is a fall: nothing follows it. Step 4 is where the rollout was cut: worth 2.
    rewards = np.array([[1.0], [2.0], [3.0], [4.0], [5.0]])
    values = np.array([[0.5], [1.0], [1.5], [2.0], [2.5]])
    next_values = np.array([[1.0], [8.0], [2.0], [99.0], [2.0]])
    terminated = np.array([[False], [False], [False], [True], [False]])
    ended = np.array([[False], [True], [False], [True], [False]])
    delta = [1 + 0.5 - 0.5, 2 + 4 - 1, 3 + 1 - 1.5, 4 + 0 - 2, 5 + 1 - 2.5]  # 1, 5, 2.5, 2, 3.5
    expected = [delta[0] + 0.25 * delta[1], delta[1], delta[2] + 0.25 * delta[3], *delta[3:]]
    found = generalized_advantages(rewards, values, next_values, terminated, ended, 0.5, 0.5)
    np.testing.assert_allclose(found[:, 0], expected)


def test_the_rollout_bootstraps_from_true_last_observations(monkeypatch):
    student = make(
        num_envs=2, rollout=8, discount=0.5, gae_lambda=0.0,
        normalize_rewards=False, normalize_observations=False,
    )  # fmt: skip
    # The value of an observation is its first number.
    monkeypatch.setattr(student.network, "value", lambda x: x[:, 0])
    zero = torch.zeros
    monkeypatch.setattr(student.network, "forward", lambda x: (zero(len(x), 2), x[:, 0]))
    targets = []
    monkeypatch.setattr(student, "_descend", lambda *columns: targets.append(columns))
    monkeypatch.setattr(torch, "randperm", lambda n, generator: torch.arange(n))
    student.minibatch, student.epochs = 8, 1
    first = [[1.0, 10.0], [2.0, 20.0], [3.0, 30.0], [4.0, 40.0]]
    after = [[2.0, 20.0], [7.0, 30.0], [4.0, 40.0], [5.0, 50.0]]  # 7: an episode's true end
    terminated = [[False, False], [False, False], [False, True], [False, False]]
    truncated = [[False, False], [True, False], [False, False], [False, True]]
    for step in range(4):
        student.observe(
            Transitions(
                np.outer(first[step], [1, 0, 0]), np.zeros((2, 2)), np.ones(2),
                np.array(terminated[step]), np.array(truncated[step]),
                np.outer(after[step], [1, 0, 0]),
            )
        )  # fmt: skip
    # With lambda 0 the target is 1 + 0.5 x the value of what followed, or 1 after a fall.
    expected = [[2.0, 11.0], [4.5, 16.0], [3.0, 1.0], [3.5, 26.0]]
    np.testing.assert_allclose(targets[0][4].numpy(), np.ravel(expected))


def test_the_policy_objective_by_hand():
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0, 2.0])
    # min(1.5, 1.2), min(0.5, 0.8), min(-1.5, -1.2), min(-0.5, -0.8), 2.2
    expected = -(1.2 + 0.5 - 1.5 - 0.8 + 2.2) / 5
    assert clipped_policy_loss(ratio, advantages, 0.2).item() == pytest.approx(expected)


def test_the_value_loss_by_hand():
    values, old, targets = (torch.tensor(x) for x in ([2.0, 0.1], [1.0, 0.0], [3.0, 1.0]))
    assert value_loss(values, old, targets, None).item() == pytest.approx(0.5 * (1 + 0.81) / 2)
    # Clipped moves: 1.2 and 0.1; the worse of both errors counts: 1.8^2 and 0.9^2.
    assert value_loss(values, old, targets, 0.2).item() == pytest.approx(0.5 * (3.24 + 0.81) / 2)


def test_log_densities_and_entropy_against_torch():
    network = make(initial_log_std=-0.3).network
    mean, actions = torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))
    normal = torch.distributions.Normal(mean, network.log_std.exp())
    difference = network.log_prob(mean, actions) - normal.log_prob(actions).sum(-1)
    torch.testing.assert_close(difference, torch.full((5,), np.log(2 * np.pi), dtype=torch.float32))
    torch.testing.assert_close(network.entropy(), normal.entropy()[0].sum())


def test_advantages_are_normalised_and_gradients_clipped_per_minibatch(monkeypatch):
    student = make(learning_rate=1e-3, max_gradient_norm=0.1)
    seen = []
    monkeypatch.setattr(
        "students.ppo.clipped_policy_loss",
        lambda ratio, advantages, clip: (
            seen.append(advantages) or 1e3 * (ratio * advantages).mean()
        ),
    )
    train(student, Reach(4), 8)
    assert len(seen) == 4
    for advantages in seen:
        assert advantages.mean().item() == pytest.approx(0, abs=1e-5)
        assert advantages.square().mean().item() == pytest.approx(1, abs=1e-3)
    assert student.parameters.grad.norm().item() == pytest.approx(0.1, rel=1e-3)


def test_running_moments_against_numpy():
    rng, moments, chunks = np.random.default_rng(0), RunningMoments(3), []
    np.testing.assert_array_equal(moments.variance, 1)
    for size in (1, 7, 100):
        chunks.append(rng.normal([0, 5, 1e4], [1, 2, 3], (size, 3)))
        moments.update(chunks[-1])
    everything = np.concatenate(chunks)
    np.testing.assert_allclose(moments.mean, everything.mean(axis=0))
    np.testing.assert_allclose(moments.variance, everything.var(axis=0))


def test_the_observation_normaliser_follows_training_only_after_a_rollout():
    student, world, seen = make(observation_clip=1.5), Reach(4, shift=3.0), []
    raw = np.array([[100.0, 3.0, -100.0]], np.float32)
    for _ in range(8):
        np.testing.assert_allclose(student._normalize(raw).numpy(), [[1.5, 1.5, -1.5]])
        seen.append(world.observations)
        train(student, world, 1)
    seen = np.concatenate(seen).astype(np.float64)
    expected = np.clip((raw - seen.mean(axis=0)) / seen.std(axis=0), -1.5, 1.5)
    np.testing.assert_allclose(student._normalize(raw).numpy(), expected, rtol=1e-4)
    student.act(raw, explore=False)
    np.testing.assert_allclose(student.observation_moments.mean, seen.mean(axis=0))


def test_rewards_are_divided_by_the_std_of_the_discounted_return():
    student = make(num_envs=2, discount=0.5, reward_clip=1.8)
    rewards = np.array([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]])
    ended = np.array([[False, True], [False, False], [True, False]])
    returns = np.array([[1.0, 4.0], [2.5, 5.0], [4.25, 8.5]])
    expected = np.minimum(rewards / returns.std(), 1.8)
    assert (expected == 1.8).any()
    np.testing.assert_allclose(student._scale_rewards(rewards, ended), expected)
    np.testing.assert_array_equal(student.running_return, [0.0, 8.5])
    np.testing.assert_allclose(
        student.value(np.ones((1, 3))),
        student.network.value(torch.ones(1, 3)).detach().numpy() * returns.std(),
        rtol=1e-6,
    )


def test_values_are_in_raw_units():
    # Every step earns 1000 and the discount is 0.5, so every observation is worth 2000.
    student = make(num_envs=8, rollout=256, minibatch=64, epochs=10, discount=0.5,
                   learning_rate=3e-3)  # fmt: skip
    rng = np.random.default_rng(0)
    draw = lambda: rng.normal(20, 3, (8, 3)).astype(np.float32)  # noqa: E731
    observations, no = draw(), np.zeros(8, bool)
    for step in range(32 * 30):
        ended = np.full(8, step % 5 == 4)
        after = draw()
        rewards = rng.normal(1000, 300, 8)
        student.observe(
            Transitions(observations, student.act(observations), rewards, no, ended, after)
        )
        observations = draw() if ended.any() else after
    values = student.value(rng.normal(20, 3, (100, 3)))
    assert np.abs(values.mean() - 2000) < 150


def test_annealing_reaches_zero():
    student = make(anneal_learning_rate=64)
    world, rates = Reach(4), []
    for _ in range(3):
        train(student, world, 8)
        rates.append(student.optimizer.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [student.learning_rate, student.learning_rate / 2, 0.0])


def test_orthogonal_matrices():
    generator = torch.Generator().manual_seed(0)
    for rows, columns in ((3, 5), (5, 3)):
        matrix = orthogonal(rows, columns, 2.0, generator)
        product = matrix @ matrix.T if rows < columns else matrix.T @ matrix
        torch.testing.assert_close(product, 4 * torch.eye(3), atol=1e-5, rtol=0)
        assert matrix.shape == (rows, columns)


def test_networks_start_as_published():
    network = make(hidden=(16, 16)).network
    layers = [layer for layer in network.policy if hasattr(layer, "weight")]
    gains = [torch.linalg.matrix_norm(layer.weight.detach(), 2).item() for layer in layers]
    np.testing.assert_allclose(gains, [2**0.5, 2**0.5, 0.01], rtol=1e-4)
    assert all((layer.bias == 0).all() for layer in layers)
    assert torch.linalg.matrix_norm(network.critic[-1].weight.detach(), 2).item() == (
        pytest.approx(1.0, rel=1e-4)
    )


def test_flat_parameters_are_the_networks_own():
    network = mlp((2, 3, 1), "tanh", torch.Generator().manual_seed(0), 1.0)
    output = network(torch.ones(1, 2)).item()
    flat = flatten(network)
    assert network(torch.ones(1, 2)).item() == output
    network(torch.ones(1, 2)).sum().backward()
    assert flat.grad[-1].item() == 1.0  # the last number is the bias of the head
    flat[-1] += 5.0
    assert network(torch.ones(1, 2)).item() == pytest.approx(output + 5)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("head_gain", [None, 1.0])
def test_a_network_is_its_layers_one_after_the_other(activation, head_gain):
    network = mlp((3, 5, 4), activation, torch.Generator().manual_seed(0), head_gain)
    flatten(network)
    rows = torch.randn((7, 3), generator=torch.Generator().manual_seed(1))
    expected = rows
    for layer in network:
        expected = layer(expected)
    assert len(network) == (4 if head_gain is None else 3)
    assert torch.equal(network(rows), expected)
    copied = copy.deepcopy(network)
    with torch.no_grad():
        copied[0].weight.add_(1.0)
    assert not torch.equal(copied(rows), expected) and torch.equal(network(rows), expected)

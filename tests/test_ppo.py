"""PPO from outside, then its equations against values computed by hand."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from students.base import Transitions
from students.moments import RunningMoments
from students.networks import flatten, mlp, orthogonal, resolve_device
from students.ppo import PPO, clipped_policy_loss, generalized_advantages, value_loss

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)
SMALL = {"hidden": (16,), "rollout": 32, "minibatch": 16, "epochs": 2}


def make(num_envs=4, seed=0, **options):
    return PPO(OBSERVATIONS, ACTIONS, num_envs=num_envs, seed=seed, **{**SMALL, **options})


class Reach:
    """Observe a target in [-0.8, 0.8], earn minus the squared distance of action[0] to it.

    Episodes last ``length`` steps and end by a time limit. ``shift`` moves all observations and
    ``scale`` multiplies all rewards: what the normalisers are for.
    """

    def __init__(self, num_envs, seed=0, length=10, shift=0.0, scale=1.0):
        self.rng, self.shape = np.random.default_rng(seed), (num_envs, 3)
        self.length, self.shift, self.scale, self.count = length, shift, scale, 0
        self.observations = self._draw()

    def _draw(self):
        return (self.rng.uniform(-0.8, 0.8, self.shape) + self.shift).astype(np.float32)

    def step(self, actions):
        target = self.observations[:, 0] - self.shift
        rewards = -self.scale * (actions[:, 0].astype(np.float64) - target) ** 2
        before, self.observations = self.observations, self._draw()
        self.count += 1
        truncated = np.full(self.shape[0], self.count % self.length == 0)
        after = self.observations
        if truncated.any():
            self.observations = self._draw()
        return Transitions(before, actions, rewards, ~truncated & False, truncated, after)


def train(student, world, steps):
    """Train for ``steps`` steps of every world; return all actions."""
    actions = []
    for _ in range(steps):
        actions.append(student.act(world.observations))
        student.observe(world.step(actions[-1]))
    return np.array(actions)


def numbers(state):
    """All leaves of a state, in order."""
    if isinstance(state, dict):
        return [leaf for key in sorted(state) for leaf in numbers(state[key])]
    return [np.asarray(state, dtype=object if state is None else None)]


def assert_same_state(one, other):
    one, other = numbers(one.state_dict()), numbers(other.state_dict())
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


# From outside ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"shared": True, "activation": "relu"}])
@pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (50.0, 1000.0)])
def test_it_learns_a_simple_task(options, shift, scale):
    student = PPO(
        OBSERVATIONS, ACTIONS, num_envs=8, seed=0, rollout=512, minibatch=128, epochs=8,
        learning_rate=3e-3, discount=0.5, **options,
    )  # fmt: skip
    world = Reach(8, shift=shift, scale=scale)
    train(student, world, 1500)
    fresh = Reach(500, seed=1, shift=shift)
    actions = student.act(fresh.observations, explore=False)
    error = np.mean((actions[:, 0] - (fresh.observations[:, 0] - shift)) ** 2)
    # Always 0 is off by 0.8^2 / 3 = 0.21, a random action by 0.55.
    assert error < 0.05


def test_actions_stay_inside_their_space_and_have_its_dtype():
    space = spaces.Box(np.array([0.0, -2.0]), np.array([0.1, -1.0]), dtype=np.float64)
    student = PPO(OBSERVATIONS, space, num_envs=4, seed=0, **SMALL)
    world = Reach(4)
    for _ in range(20):
        actions = student.act(world.observations)
        assert actions.dtype == np.float64 and actions.shape == (4, 2)
        assert all(space.contains(action) for action in actions)
        student.observe(world.step(actions))


def test_same_seed_same_result_and_another_seed_another():
    runs = [make(seed=seed) for seed in (0, 0, 1)]
    actions = [train(student, Reach(4), 40) for student in runs]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert_same_state(runs[0], runs[1])
    assert not np.array_equal(actions[0], actions[2])


def test_global_random_states_are_neither_read_nor_changed():
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    one = train(make(), Reach(4), 20)
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(8)
    np.testing.assert_array_equal(one, train(make(), Reach(4), 20))


def test_evaluation_draws_nothing_learns_nothing_and_takes_any_batch():
    student, twin = make(), make()
    world, other = Reach(4), Reach(4)
    train(student, world, 11)
    train(twin, other, 11)
    observations = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    whole = student.act(observations, explore=False)
    np.testing.assert_array_equal(whole, student.act(observations, explore=False))
    np.testing.assert_allclose(
        whole[:7], student.act(observations[:7], explore=False), rtol=1e-5, atol=1e-6
    )
    student.value(observations)
    assert_same_state(student, twin)
    np.testing.assert_array_equal(train(student, world, 20), train(twin, other, 20))


def test_evaluating_between_act_and_observe_leaves_the_sampled_action_alone():
    student, twin = make(), make()
    for learner in (student, twin):
        world = Reach(4)
        for _ in range(8):
            actions = learner.act(world.observations)
            if learner is student:
                learner.act(world.observations, explore=False)
            learner.observe(world.step(actions))
    assert_same_state(student, twin)


@pytest.mark.parametrize("options", [{}, {"anneal_learning_rate": 500, "shared": True}])
@pytest.mark.parametrize("steps", [0, 5, 8, 21])  # before, within, at the end of a rollout
def test_a_restored_student_goes_on_bit_for_bit(steps, options):
    whole, world = make(**options), Reach(4)
    train(whole, world, steps)
    restored = make(seed=99, **options)
    state = whole.state_dict()
    restored.load_state_dict(state)
    assert_same_state(whole, restored)
    other = Reach(4)
    for _ in range(steps):
        other.step(np.zeros((4, 2)))
    np.testing.assert_array_equal(train(whole, world, 30), train(restored, other, 30))
    assert_same_state(whole, restored)
    probe = np.ones((3, 3), np.float32)
    np.testing.assert_array_equal(whole.value(probe), restored.value(probe))
    # The state that was taken did not move along with the student.
    again = make(seed=98, **options)
    again.load_state_dict(state)
    assert again.steps == steps * 4


def test_a_state_holds_plain_things_only():
    student = make()
    train(student, Reach(4), 10)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return value is None or isinstance(value, (bool, int, float, str, np.ndarray))

    assert plain(student.state_dict())


def test_a_state_of_another_student_is_refused():
    student = make()
    train(student, Reach(4), 5)
    state = student.state_dict()
    for options in ({"num_envs": 5}, {"hidden": (8,)}, {"rollout": 12}):
        with pytest.raises(ValueError, match="its options were different"):
            make(**options).load_state_dict(state)


def test_updates_count_optimiser_steps():
    student, world = make(), Reach(4)
    train(student, world, 7)
    assert student.updates == 0
    train(student, world, 1)  # 8 steps x 4 worlds = one rollout of 32, 2 minibatches, 2 epochs
    assert student.updates == 4
    # A rollout that is no multiple of the worlds is rounded up, and never lost.
    student = make(num_envs=5)
    train(student, Reach(5), 7)
    assert student.updates == 4


def test_nan_is_refused_with_a_clear_word():
    student = make()
    bad = np.full((4, 3), np.nan, np.float32)
    with pytest.raises(ValueError, match="observations must be finite"):
        student.act(bad)
    student.parameters[:] = float("nan")
    with pytest.raises(ValueError, match="student has diverged"):
        student.act(np.zeros((4, 3), np.float32))
    student, world = make(), Reach(4, scale=np.inf)
    with pytest.raises(ValueError, match="reward that is not finite"):
        train(student, world, 8)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"epochs": 0}, "epochs > 0"),
        ({"learning_rate": -1.0}, "learning_rate > 0"),
        ({"discount": 1.1}, r"discount in \[0, 1\]"),
        ({"entropy_coefficient": -1}, "entropy_coefficient >= 0"),
        ({"activation": "swish"}, "activation must be one of tanh, relu"),
        ({"hidden": (16, 0)}, "widths"),
        ({"device": "gpu"}, "device must be one of"),
        ({"num_envs": 0}, "num_envs > 0"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)


def test_other_spaces_are_refused():
    with pytest.raises(ValueError, match="action space"):
        PPO(OBSERVATIONS, spaces.Discrete(3), num_envs=1, seed=0)
    with pytest.raises(ValueError, match="observation space"):
        PPO(spaces.Box(0, 1, (2, 2)), ACTIONS, num_envs=1, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_learns_on_a_gpu_and_its_state_moves_between_devices():
    student, world = make(device="cuda"), Reach(4)
    train(student, world, 21)
    moved = make(device="cpu")
    moved.load_state_dict(student.state_dict())
    probe = np.ones((3, 3), np.float32)
    np.testing.assert_allclose(moved.value(probe), student.value(probe), rtol=1e-4, atol=1e-5)
    back = make(device="auto")
    back.load_state_dict(moved.state_dict())
    other = Reach(4)
    for _ in range(21):
        other.step(np.zeros((4, 2)))
    np.testing.assert_array_equal(train(student, world, 20), train(back, other, 20))


def test_device_auto_is_the_cpu_without_a_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ValueError, match="no GPU"):
        resolve_device("cuda")


# Equations ---------------------------------------------------------------------------------------


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

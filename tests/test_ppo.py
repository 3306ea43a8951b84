"""PPO from outside: what it learns, repeats, refuses and remembers."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from students.networks import resolve_device
from students.ppo import PPO
from tests.student_lessons import (
    Reach,
    assert_same_state,
    global_randomness_is_left_alone,
    seeds_decide,
    train,
)

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)
SMALL = {"hidden": (16,), "rollout": 32, "minibatch": 16, "epochs": 2}


def make(num_envs=4, seed=0, **options):
    return PPO(OBSERVATIONS, ACTIONS, num_envs=num_envs, seed=seed, **{**SMALL, **options})


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
    seeds_decide(make)


def test_global_random_states_are_neither_read_nor_changed():
    global_randomness_is_left_alone(make, 20)


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


@pytest.mark.parametrize(
    "options", [{}, {"anneal_learning_rate": 500, "shared": True}, {"forget_every": 60}]
)
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


def test_it_forgets_everything_it_has_learned_and_nothing_else():
    student, world = make(forget_every=400), Reach(4)
    fresh = student.network.mean(torch.ones(1, 3)).detach()
    train(student, world, 99)
    assert student.updates > 0 and student.observation_moments.count > 1
    before = student.parameters.clone()
    train(student, world, 1)
    assert student.updates > 0 and student.steps == 400 and student.filled == 0
    for moments in (student.observation_moments, student.return_moments):
        assert np.all(moments.mean == 0) and np.all(moments.variance == 1)
    assert not student.optimizer.state and not torch.equal(student.parameters, before)
    assert not torch.equal(student.network.mean(torch.ones(1, 3)), fresh)  # another student
    train(student, world, 100)
    assert student.steps == 800 and not student.optimizer.state


def test_the_parity_preset_has_the_published_constants():
    student = PPO(OBSERVATIONS, ACTIONS, num_envs=1, seed=0, preset="parity")
    sizes = [tuple(each.shape) for each in student.network.parameters() if each.ndim == 2]
    assert sorted(sizes) == sorted([(400, 3), (300, 400), (2, 300), (1, 300)])
    assert (student.rollout_steps, student.epochs, student.minibatch) == (20_000, 5, 1000)
    assert student.learning_rate == 3e-4 and torch.all(student.network.log_std == 0)
    assert (student.clip, student.discount, student.gae_lambda) == (0.2, 0.99, 0.95)
    mine = PPO(OBSERVATIONS, ACTIONS, num_envs=1, seed=0, preset="parity", hidden=(8,), epochs=1)
    assert mine.epochs == 1 and mine.rollout_steps == 20_000


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
    with pytest.raises(ValueError, match="rewards that are not finite"):
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
        ({"forget_every": 0}, "forget_every >= 1 or None"),
        ({"preset": "quick"}, "preset to be one of"),
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

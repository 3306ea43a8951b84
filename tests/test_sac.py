"""SAC from outside: what it learns, repeats, refuses, forgets and remembers."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces

from students.base import Transitions
from students.sac import SAC, SETTINGS
from tests.student_lessons import (
    Reach,
    assert_same_state,
    global_randomness_is_left_alone,
    seeds_decide,
    train,
)

OBSERVATIONS = spaces.Box(-np.inf, np.inf, (3,), np.float32)
ACTIONS = spaces.Box(-1.0, 1.0, (2,), np.float32)
SMALL = {
    "hidden": (16,), "batch": 16, "capacity": 100, "random_steps": 24, "learning_starts": 24,
    "update_every": 8, "update_ratio": 0.25,
}  # fmt: skip
FIRST = {"form": "value", "temperature": 0.01}


def make(num_envs=4, seed=0, **options):
    return SAC(OBSERVATIONS, ACTIONS, num_envs=num_envs, seed=seed, **{**SMALL, **options})


def advanced(steps):
    """A world ``steps`` steps after its start."""
    world = Reach(4)
    for _ in range(steps):
        world.step(np.zeros((4, 2)))
    return world


# Learning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, FIRST, {"update_every": 0}])
def test_it_learns_a_simple_task(options):
    settings = {"hidden": (32, 32), "batch": 64, "capacity": 10_000, "random_steps": 400,
                "learning_rate": 3e-3, "discount": 0.5, "polyak": 0.95,
                "update_ratio": 0.5}  # fmt: skip
    student = make(8, **{**settings, **options})
    train(student, Reach(8), 300)
    fresh = Reach(500, seed=1)
    actions = student.act(fresh.observations, explore=False)
    error = np.mean((actions[:, 0] - fresh.observations[:, 0]) ** 2)
    # Always 0 is off by 0.8^2 / 3 = 0.21, a random action by 0.55.
    assert error < 0.01
    # The second action does not matter: it keeps its entropy.
    spread = student.act(np.repeat(fresh.observations[:1], 500, axis=0)).std(axis=0)
    assert spread[1] > 2 * spread[0]


@pytest.mark.parametrize("options", [{}, FIRST])
def test_a_time_limit_is_bootstrapped_and_a_termination_is_not(options):
    # Every step earns 1. Cut by a time limit it goes on and is worth 1 / (1 - 0.5) = 2; a step that
    # terminates is worth 1, whatever the network says about what follows.
    values = {}
    for end in ("truncated", "terminated"):
        student = make(8, hidden=(32,), batch=64, capacity=10_000, discount=0.5, polyak=0.9,
                       learning_rate=3e-3, update_ratio=1.0, **{**FIRST, **options})  # fmt: skip
        rng, no = np.random.default_rng(0), np.zeros(8, bool)
        for _ in range(60):
            observations, after = rng.normal(size=(2, 8, 3)).astype(np.float32)
            flags = {"terminated": no, "truncated": no, end: ~no}
            actions = student.act(observations)
            student.observe(
                Transitions(
                    observations=observations,
                    actions=actions,
                    rewards=np.ones(8),
                    next_observations=after,
                    **flags,
                )
            )
        values[end] = student.value(rng.normal(size=(200, 3))).mean()
    assert values["truncated"] == pytest.approx(2, abs=0.1)
    assert values["terminated"] == pytest.approx(1, abs=0.1)


# Acting ------------------------------------------------------------------------------------------


def test_actions_are_stretched_to_their_space_and_back():
    space = spaces.Box(np.array([0.0, -2.0]), np.array([0.1, -1.0]), dtype=np.float64)
    student = SAC(OBSERVATIONS, space, num_envs=4, seed=0, **SMALL)
    world, sent = Reach(4), []
    for _ in range(20):
        actions = student.act(world.observations)
        assert actions.dtype == np.float64 and actions.shape == (4, 2)
        assert all(space.contains(action) for action in actions)
        sent.append(actions)
        student.observe(world.step(actions))
    sent = np.concatenate(sent)
    kept = student.memory.latest(80)[:, 3:5]
    np.testing.assert_allclose(kept[:, 0], sent[:, 0] / 0.05 - 1, atol=1e-5)
    np.testing.assert_allclose(kept[:, 1], (sent[:, 1] + 1.5) / 0.5, atol=1e-5)
    assert kept.min() < -0.8 and kept.max() > 0.8


def test_it_starts_with_uniform_actions():
    student, world = make(random_steps=4000, learning_starts=100, update_every=10**6), Reach(4)
    with torch.no_grad():
        student.networks.policy.body.layers[-1][1][..., :2] = 9.0  # a policy that knows one action
    histogram = np.histogram(train(student, world, 1000), bins=10, range=(-1, 1))[0]
    assert np.abs(histogram - 800).max() < 150
    assert train(student, world, 20).min() > 0.9


def test_exploiting_is_the_tanh_of_the_mean():
    student, world = make(), Reach(4)
    train(student, world, 30)
    observations = torch.from_numpy(world.observations)
    mean, _ = student.networks.policy.gaussian(observations)
    expected = torch.tanh(mean).detach().numpy()
    np.testing.assert_array_equal(student.act(world.observations, explore=False), expected)


@pytest.mark.parametrize("options", [{}, FIRST])
def test_evaluation_draws_nothing_learns_nothing_and_takes_any_batch(options):
    student, twin = make(**options), make(**options)
    world, other = Reach(4), Reach(4)
    train(student, world, 21)
    train(twin, other, 21)
    observations = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    for ask in (lambda rows: student.act(rows, explore=False), student.value):
        whole = ask(observations)
        assert len(whole) == 50 and np.isfinite(whole).all()
        np.testing.assert_array_equal(whole, ask(observations))
        np.testing.assert_allclose(whole[7:9], ask(observations[7:9]), rtol=1e-4, atol=1e-5)
    assert student.value(observations).shape == (50,)
    assert_same_state(student, twin)
    np.testing.assert_array_equal(train(student, world, 20), train(twin, other, 20))


def test_same_seed_same_result_and_another_seed_another():
    seeds_decide(make)


def test_global_random_states_are_neither_read_nor_changed():
    global_randomness_is_left_alone(partial(make, forget_every=100), 40)


# Continuing and forgetting -----------------------------------------------------------------------

# While actions are random; before, within and at the end of a round; after the ring went round.
MOMENTS = [0, 3, 7, 12, 15, 41]


@pytest.mark.parametrize("steps", MOMENTS)
@pytest.mark.parametrize(
    "options",
    [{}, FIRST, {"update_every": 0, "update_ratio": 0.15}, {"forget_every": 60}],
    ids=["current", "value", "episodes", "forgetting"],
)
@pytest.mark.parametrize("files", [False, True], ids=["plain", "files"])
def test_a_restored_student_goes_on_bit_for_bit(steps, options, files, tmp_path):
    whole, world = make(**options), Reach(4)
    restored = make(seed=99, **options)
    if files:
        whole.keep_in(tmp_path)
        restored.keep_in(tmp_path)
    train(whole, world, steps)
    state = whole.state_dict()
    restored.load_state_dict(state)
    assert_same_state(whole, restored)
    np.testing.assert_array_equal(train(whole, world, 30), train(restored, advanced(steps), 30))
    if not files:  # else both would write into one folder
        assert_same_state(whole, restored)
    probe = np.ones((3, 3), np.float32)
    np.testing.assert_array_equal(whole.value(probe), restored.value(probe))
    # The state that was taken did not move along with the student.
    again = make(seed=98, **options)
    if files:
        again.keep_in(tmp_path)
    again.load_state_dict(state)
    assert again.steps == again.memory.added == steps * 4
    np.testing.assert_array_equal(
        train(again, advanced(steps), 30), train(twin(steps, options), advanced(steps), 30)
    )


def twin(steps, options):
    """A student that was trained for ``steps`` steps without ever being saved."""
    student = make(**options)
    train(student, Reach(4), steps)
    return student


def test_a_state_holds_plain_things_only():
    student = make()
    train(student, Reach(4), 20)

    def plain(value):
        if isinstance(value, dict):
            return all(isinstance(key, str) and plain(item) for key, item in value.items())
        return isinstance(value, (bool, int, float, str, np.ndarray))

    assert plain(student.state_dict())


def test_a_state_of_another_student_is_refused():
    student = make()
    train(student, Reach(4), 5)
    state = student.state_dict()
    for options in ({"num_envs": 5}, {"hidden": (8,)}, {"capacity": 101}, FIRST):
        with pytest.raises(ValueError, match="options were different"):
            make(**options).load_state_dict(state)


def test_forgetting_makes_a_new_student():
    student, world = make(), Reach(4)
    train(student, world, 31)
    old, updates = student.parameters.clone(), student.updates
    assert updates > 0 and student.optimizer.state
    student.forget()
    assert student.memory.size == 0 and not student.optimizer.state
    weights = old.numel() - student.networks.log_temperature.numel()
    changed = (student.parameters != old)[:weights].float().mean()
    assert changed > 0.8  # all weights; biases start at zero
    assert student.networks.temperature().item() == 1.0
    assert torch.equal(student.target_parameters, torch.cat([
        parameter.flatten() for parameter in student.networks.critics.parameters()
    ]))  # fmt: skip
    # No new phase of random actions; open episodes and the counts go on.
    assert student.steps == 124 and student.updates == updates
    assert student.lengths.tolist() == [1, 1, 1, 1]
    train(student, world, 5)
    assert student.updates == updates and student.memory.size == 20  # waits for 24 transitions
    train(student, world, 5)
    assert student.updates > updates


def test_it_forgets_on_schedule():
    student, twin_student, world, other = make(forget_every=50), make(), Reach(4), Reach(4)
    for step in range(1, 40):
        train(student, world, 1)
        train(twin_student, other, 1)
        if step in (13, 25, 38):  # 52, 100 and 152 environment steps
            assert student.memory.size == 0
            twin_student.forget()
        assert_same_state(student, twin_student)


# Options -----------------------------------------------------------------------------------------


def test_updates_follow_experience():
    student, world = make(), Reach(4)  # rounds every 8 steps, 1 update per 4 steps, from 24 on
    counts = []
    for _ in range(12):
        train(student, world, 1)
        counts.append(student.updates)
    assert counts == [0, 0, 0, 0, 0, 1, 1, 3, 3, 5, 5, 7]
    # Fractions are carried over: a round earns 1.5.
    student, world = make(learning_starts=1, update_ratio=0.1875), Reach(4)
    counts = []
    for _ in range(4):
        train(student, world, 2)
        counts.append(student.updates)
    assert counts == [1, 3, 4, 6]
    # At the end of each episode (10 steps) ceil(10 x 0.25) = 3 per world.
    student, world = make(update_every=0, learning_starts=1, num_envs=2), Reach(2)
    train(student, world, 9)
    assert student.updates == 0
    train(student, world, 1)
    assert student.updates == 6
    train(student, world, 20)
    assert student.updates == 18


def test_parity_is_the_published_student():
    student = SAC(OBSERVATIONS, ACTIONS, num_envs=1, seed=0, preset="parity")
    expected = {
        "form": "value", "hidden": (400, 300), "learning_rate": 1e-3, "discount": 0.99,
        "polyak": 0.995, "temperature": 0.005, "log_std_range": (-20.0, 2.0),
        "capacity": 2_000_000, "batch": 1000, "random_steps": 10_000, "update_every": 0,
        "update_ratio": 0.1, "learning_starts": 1, "noise_correlation": 0.0,
    }  # fmt: skip
    assert {name: getattr(student, name) for name in SETTINGS} == expected
    linear = lambda *sizes: sum((a + 1) * b for a, b in itertools.pairwise(sizes))  # noqa: E731
    policy, q, value = linear(3, 400, 300, 4), linear(5, 400, 300, 1), linear(3, 400, 300, 1)
    assert len(student.parameters) == policy + 2 * q + value + 1
    assert len(student.target_parameters) == value


def test_an_argument_wins_over_the_preset():
    student = SAC(
        OBSERVATIONS,
        ACTIONS,
        num_envs=1,
        seed=0,
        preset="parity",
        hidden=(8,),
        capacity=10,
        batch=3,
    )
    assert (student.hidden, student.capacity, student.batch) == ((8,), 10, 3)
    assert student.form == "value" and student.temperature == 0.005
    assert make().form == "current" and make().target_entropy == -2
    assert make(target_entropy=0.0).target_entropy == 0.0
    assert make(random_steps=0).random_steps == 0


def test_a_fixed_temperature_stays():
    for options, moves in (({"temperature": 0.3}, False), ({"temperature": "auto"}, True)):
        student = make(**options)
        before = student.networks.temperature().item()
        train(student, Reach(4), 30)
        assert (student.networks.temperature().item() != before) == moves


def test_nan_is_refused_with_a_clear_word():
    student = make()
    with pytest.raises(ValueError, match="observations must be finite"):
        student.act(np.full((4, 3), np.nan, np.float32))
    with pytest.raises(ValueError, match="rewards"):
        train(student, Reach(4, scale=np.inf), 1)
    student, world = make(random_steps=0), Reach(4)
    student.parameters[:] = float("nan")
    with pytest.raises(ValueError, match="student has diverged"):
        student.act(world.observations)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"preset": "quick"}, "preset"),
        ({"form": "v"}, "form"),
        ({"batch": 0}, "batch >= 1"),
        ({"num_envs": 0}, "num_envs >= 1"),
        ({"learning_rate": -1.0}, "learning_rate > 0"),
        ({"update_ratio": 0.0}, "update_ratio > 0"),
        ({"discount": 1.1}, r"discount in \[0, 1\]"),
        ({"temperature": 0}, "temperature > 0"),
        ({"log_std_range": (1, 0)}, "log_std_range"),
        ({"learning_starts": 101}, "learning_starts >= 1 and <= capacity"),
        ({"forget_every": 0}, "forget_every"),
        ({"hidden": (16, 0)}, "widths"),
        ({"device": "gpu"}, "device must be one of"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        make(**options)


@pytest.mark.parametrize(
    ("observations", "actions", "words"),
    [
        (OBSERVATIONS, spaces.Discrete(3), "action space"),
        (OBSERVATIONS, spaces.Box(-np.inf, np.inf, (2,)), "bounded action space"),
        (OBSERVATIONS, spaces.Box(1.0, 1.0, (2,)), "bounded action space"),
        (spaces.Box(0, 1, (2, 2)), ACTIONS, "observation space"),
    ],
)
def test_other_spaces_are_refused(observations, actions, words):
    with pytest.raises(ValueError, match=words):
        SAC(observations, actions, num_envs=1, seed=0)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_learns_on_a_gpu_and_its_state_moves_between_devices():
    student, world = make(device="cuda"), Reach(4)
    train(student, world, 31)
    moved = make(device="cpu")
    moved.load_state_dict(student.state_dict())
    probe = np.ones((3, 3), np.float32)
    np.testing.assert_allclose(moved.value(probe), student.value(probe), rtol=1e-4, atol=1e-5)
    back = make(device="auto")
    back.load_state_dict(moved.state_dict())
    np.testing.assert_allclose(
        train(student, world, 20), train(back, advanced(31), 20), rtol=1e-3, atol=1e-4
    )

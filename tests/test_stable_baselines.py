"""Students of stable-baselines3: what its own ``learn`` does, under the suite's loop."""

import copy
import dataclasses
import random
import sys

import numpy as np
import pytest
import torch
from gymnasium import spaces

from benchmark import checkpoint
from benchmark.run import execute
from students.base import Transitions
from students.check import check_student
from students.check_states import text
from students.stable_baselines import StableBaselines
from students.stable_drivers import Randomness, learned
from tests.student_lessons import Reach, train
from tests.test_ppo import ACTIONS, OBSERVATIONS
from tests.test_run import execute_with_failures, record_bytes, request

SMALL = {"net_arch": [16]}
ON = {"n_steps": 8, "batch_size": 16, "n_epochs": 2, "policy_kwargs": SMALL}
OFF = {"learning_starts": 40, "batch_size": 16, "buffer_size": 200, "policy_kwargs": SMALL}
EVERY = [
    ("PPO", ON),
    ("A2C", {"n_steps": 4, "policy_kwargs": SMALL}),
    ("SAC", {**OFF, "train_freq": 4}),
    ("TD3", {**OFF, "train_freq": 4, "action_noise": 0.1}),
    ("DDPG", {**OFF, "train_freq": 4, "action_noise": 0.2}),
]


@pytest.fixture(autouse=True)
def library(request):
    """Every test but one needs the library."""
    if "missing" not in request.node.name:
        pytest.importorskip("stable_baselines3")


def make(algorithm="PPO", settings=ON, num_envs=4, seed=0, **options):
    return StableBaselines(
        OBSERVATIONS, ACTIONS, num_envs=num_envs, seed=seed, algorithm=algorithm,
        settings=settings, **options,
    )  # fmt: skip


class Course(Reach):
    """The task of ``Reach``, where every third episode ends for good instead of by time."""

    def step(self, actions):
        result = super().step(actions)
        for_good = result.truncated & (self.count % (3 * self.length) == 0)
        return dataclasses.replace(
            result, terminated=for_good, truncated=result.truncated & ~for_good
        )


def library_worlds(world):
    """The same course as the library wants it: worlds that reset themselves."""
    from stable_baselines3.common.vec_env import VecEnv

    class Worlds(VecEnv):
        def __init__(self):
            super().__init__(world.shape[0], OBSERVATIONS, ACTIONS)

        def reset(self):
            return world.observations

        def step_async(self, actions):
            self.actions = actions

        def step_wait(self):
            result = world.step(self.actions)
            ended = result.terminated | result.truncated
            infos = [
                {"terminal_observation": last, "TimeLimit.truncated": bool(cut)}
                for last, cut in zip(result.next_observations, result.truncated, strict=True)
            ]
            return world.observations, result.rewards.astype(np.float32), ended, infos

        def get_attr(self, name, indices=None):
            return [None] * self.num_envs

        close = set_attr = env_method = env_is_wrapped = None

    return Worlds()


# Learning ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        *EVERY,
        ("PPO", {**ON, "learning_rate": "lin_3e-3", "clip_range": "lin_0.3", "clip_range_vf": 0.2}),
        ("SAC", {**OFF, "train_freq": 3, "gradient_steps": -1, "ent_coef": 0.1}),
        ("TD3", {**OFF, "learning_rate": "lin_1e-3", "n_steps": 3, "action_noise": 0.1}),
    ],
)
def test_it_ends_where_learn_ends_bit_for_bit(algorithm, settings):
    """The library learns the same course by itself, with the same random numbers."""
    import stable_baselines3

    if "n_steps" in settings and "n_steps" not in dir_of(algorithm):
        pytest.skip("this version of the library has no n-step returns")
    steps = 72  # a whole number of rollouts and rounds of training in every case
    student = make(algorithm, settings, seed=3, schedule_steps=4 * steps)
    train(student, Course(4, length=5), steps)
    given = copy.deepcopy(settings)  # the library writes into what it is given
    for name, value in settings.items():
        if isinstance(value, str):
            given[name] = lambda left, start=float(value[4:]): left * start
    if "action_noise" in settings:
        from stable_baselines3.common.noise import NormalActionNoise

        given["action_noise"] = NormalActionNoise(np.zeros(2), np.full(2, given["action_noise"]))
    with Randomness(3, torch.device("cpu")).lent():
        worlds = library_worlds(Course(4, length=5))
        theirs = getattr(stable_baselines3, algorithm)("MlpPolicy", worlds, device="cpu", **given)
        theirs.action_space.seed(3)
        theirs.learn(4 * steps)
    assert student.updates > 5
    assert text(learned(student.algorithm)) == text(learned(theirs))


def dir_of(algorithm):
    import inspect

    import stable_baselines3

    return inspect.signature(getattr(stable_baselines3, algorithm)).parameters


@pytest.mark.parametrize(
    ("algorithm", "settings", "steps"),
    [
        (
            "PPO",
            {"n_steps": 64, "batch_size": 128, "learning_rate": 3e-3, "gamma": 0.5},
            1500,
        ),
        (
            "SAC",
            {"learning_starts": 200, "train_freq": 2, "learning_rate": 3e-3, "gamma": 0.5,
             "batch_size": 64, "policy_kwargs": {"net_arch": [32]}},
            1000,
        ),
    ],
)  # fmt: skip
def test_it_learns_a_simple_task(algorithm, settings, steps):
    student = make(algorithm, settings, num_envs=8)
    train(student, Reach(8), steps)
    fresh = Reach(500, seed=1)
    actions = student.act(fresh.observations, explore=False)
    # Always 0 is off by 0.8^2 / 3 = 0.21, a random action by 0.55.
    assert np.mean((actions[:, 0] - fresh.observations[:, 0]) ** 2) < 0.05


@pytest.mark.parametrize(("algorithm", "settings"), EVERY[:4])
def test_it_keeps_the_contract(algorithm, settings):
    settings = {**settings, "learning_rate": 3e-3}
    records = check_student(StableBaselines, algorithm=algorithm, settings=settings)
    assert {record.status for record in records} == {"passed"}


def test_a_time_limit_is_bootstrapped_from_the_true_last_observation(monkeypatch):
    settings = {**ON, "n_steps": 4, "batch_size": 4, "gamma": 0.9, "gae_lambda": 0.8}
    student = make("PPO", settings, num_envs=1)
    seen = {}
    buffer = student.algorithm.rollout_buffer

    def record():
        seen.update(advantages=buffer.advantages[:, 0].copy(), returns=buffer.returns[:, 0].copy())

    monkeypatch.setattr(student.algorithm, "train", record)
    rng = np.random.default_rng(5)
    before, after = rng.normal(size=(2, 4, 1, 3)).astype(np.float32)
    after[0], after[2] = before[1], before[3]  # the second step is cut, the third ends for good
    rewards, cut, ended = [1.0, 2.0, 3.0, 4.0], [0, 1, 0, 0], [0, 0, 1, 0]
    for step in range(4):
        actions = student.act(before[step])
        flags = np.array([[ended[step]], [cut[step]]], dtype=bool)
        student.observe(
            Transitions(before[step], actions, np.array([rewards[step]]), *flags, after[step])
        )
    v, w = student.value(before[:, 0]), student.value(after[:, 0])
    last = 4.0 + 0.9 * w[3] - v[3]
    third = 3.0 - v[2]
    second = 2.0 + 0.9 * w[1] - v[1]
    first = 1.0 + 0.9 * v[1] - v[0] + 0.9 * 0.8 * second
    expected = np.array([first, second, third, last])
    np.testing.assert_allclose(seen["advantages"], expected, rtol=1e-5)
    np.testing.assert_allclose(seen["returns"], expected + v, rtol=1e-5)


def test_a_time_limit_is_no_end_in_the_replay_buffer():
    student, world = make("SAC", OFF), Course(4, length=5)
    results = []
    for _ in range(15):
        results.append(world.step(student.act(world.observations)))
        student.observe(results[-1])
    buffer = student.algorithm.replay_buffer
    with student.randomness.lent():
        samples = [buffer._get_samples(np.full(50, step)) for step in (3, 4, 9, 14)]
    assert [float(sample.dones.min()) for sample in samples] == [0, 0, 0, 1]
    assert [float(sample.dones.max()) for sample in samples] == [0, 0, 0, 1]
    for step, sample in zip((3, 4, 9, 14), samples, strict=True):
        rows = {tuple(row) for row in results[step].next_observations.tolist()}
        assert {tuple(row) for row in sample.next_observations.tolist()} == rows


# What it counts, values and sends ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("algorithm", "settings", "steps", "updates"),
    [
        ("PPO", ON, 17, 2 * 2 * 2),  # two rollouts of 32 samples, two epochs, batches of 16
        ("A2C", EVERY[1][1], 17, 4),
        ("SAC", {**OFF, "train_freq": 2}, 30, 10),  # the first after step 12: 40 is not above 40
        ("TD3", {**OFF, "train_freq": 2, "gradient_steps": -1}, 30, 80),
    ],
)
def test_updates_are_optimiser_steps(algorithm, settings, steps, updates):
    student = make(algorithm, settings)
    train(student, Reach(4), steps)
    assert student.updates == updates


def test_episodes_may_pace_one_world():
    student = make("TD3", {**OFF, "train_freq": [2, "episode"]}, num_envs=1)
    train(student, Reach(1, length=30), 59)
    assert student.updates == 0
    train(student, Reach(1, length=1), 1)
    assert student.updates == 1


@pytest.mark.parametrize("algorithm", ["SAC", "TD3"])
def test_the_value_is_the_lowest_critic_at_the_deterministic_action(algorithm):
    space = spaces.Box(np.float32([0.0, -2.0]), np.float32([4.0, -1.0]))
    student = StableBaselines(
        OBSERVATIONS, space, num_envs=4, seed=0, algorithm=algorithm, settings=OFF
    )
    observations = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    actions = student.act(observations, explore=False)
    scaled = torch.from_numpy((actions - [2.0, -1.5]) / [2.0, 0.5]).float()
    with torch.no_grad():
        q = student.algorithm.critic(torch.from_numpy(observations), scaled)
    expected = np.minimum(*(one.numpy()[:, 0] for one in q))
    np.testing.assert_allclose(student.value(observations), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("algorithm", "settings"), EVERY)
def test_actions_stay_inside_their_space_and_have_its_dtype(algorithm, settings):
    space = spaces.Box(np.array([0.0, -2.0]), np.array([0.1, -1.0]), dtype=np.float64)
    student = StableBaselines(
        OBSERVATIONS, space, num_envs=4, seed=0, algorithm=algorithm, settings=settings
    )
    for actions in train(student, Reach(4), 30):
        assert actions.dtype == np.float64 and actions.shape == (4, 2)
        assert all(space.contains(action) for action in actions)


@pytest.mark.parametrize(("algorithm", "settings"), [EVERY[0], EVERY[2]])
def test_actions_of_somebody_else_are_stored_as_such(algorithm, settings):
    student, world = make(algorithm, settings), Reach(4)
    student.act(world.observations)
    actions = np.full((4, 2), 0.25, np.float32)
    student.observe(world.step(actions))
    np.testing.assert_array_equal(student.driver.buffer.actions[0], actions)
    if algorithm == "PPO":
        tensor = torch.from_numpy(student.driver.buffer.observations[0])
        with torch.no_grad():
            _, density, _ = student.algorithm.policy.evaluate_actions(
                tensor, torch.from_numpy(actions)
            )
        np.testing.assert_array_equal(student.driver.buffer.log_probs[0], density.numpy())


def test_a_sampled_action_beyond_the_bounds_is_stored_as_it_was_drawn():
    student, world = make("PPO", {**ON, "policy_kwargs": {"log_std_init": 2.0}}), Reach(4)
    actions = student.act(world.observations)
    student.observe(world.step(actions))
    stored = student.driver.buffer.actions[0]
    assert np.abs(stored).max() > 1
    np.testing.assert_array_equal(np.clip(stored, -1, 1), actions)


def test_it_forgets_everything_it_has_learned_and_nothing_else():
    for algorithm, settings in EVERY:
        student, world = make(algorithm, settings, forget_every=200), Reach(4)
        train(student, world, 49)
        old, updates = learned(student.algorithm), student.updates
        assert updates > 0
        train(student, world, 1)
        assert student.updates >= updates and student.steps == 200
        assert student.driver.buffer.size() == 0
        assert text(old["policy"]) != text(learned(student.algorithm)["policy"])
        train(student, world, 12)
        assert student.updates > updates


# Saving and refusing -----------------------------------------------------------------------------


@pytest.mark.parametrize("teacher", ["uniform", "plr_value"])
def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(
    tmp_path, monkeypatch, teacher
):
    whole = execute(request(tmp_path / "whole", "tiny-sb3", teacher))
    broken = request(tmp_path / "broken", "tiny-sb3", teacher, checkpoint_seconds=0.0)
    sizes, save = [], checkpoint.save
    monkeypatch.setattr(
        checkpoint, "save", lambda *rest: save(*rest) or sizes.append(rest[2]["student"]["driver"])
    )
    assert execute_with_failures(broken, monkeypatch, random.Random(3)) > 5
    assert record_bytes(whole) == record_bytes(broken.folder)
    # A state only refers to the memory, and has nothing to refer to while that is empty.
    assert all("rows" not in one and bool(one["segments"]) == bool(one["size"]) for one in sizes)


@pytest.mark.parametrize(("algorithm", "settings"), EVERY)
@pytest.mark.parametrize("steps", [0, 5, 13])  # 13: an odd number of updates of TD3
def test_a_restored_student_goes_on_bit_for_bit(algorithm, settings, steps):
    whole, world = make(algorithm, settings), Course(4, length=5)
    train(whole, world, steps)
    restored = make(algorithm, settings, seed=99)
    restored.load_state_dict(whole.state_dict())
    other = copy.deepcopy(world)
    np.testing.assert_array_equal(train(whole, world, 30), train(restored, other, 30))
    assert text(whole.state_dict()) == text(restored.state_dict())


@pytest.mark.parametrize(("algorithm", "settings"), EVERY)
def test_a_state_of_another_student_is_refused(algorithm, settings):
    student = make(algorithm, settings)
    train(student, Reach(4), 14)
    state = student.state_dict()
    size = {"n_steps": 16} if "n_steps" in settings else {"buffer_size": 400}
    for other in (
        {"num_envs": 2},
        {"settings": {**settings, "policy_kwargs": {"net_arch": [8]}}},
        {"settings": {**settings, **size}},
        {"algorithm": "SAC" if algorithm == "TD3" else "TD3", "settings": OFF},
    ):
        with pytest.raises(ValueError, match="its options were different"):
            make(**{"algorithm": algorithm, "settings": settings, **other}).load_state_dict(state)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"algorithm": "TRPO"}, "one of .*'A2C'.*'PPO'.*but got 'TRPO'"),
        ({"algorithm": "HerReplayBuffer"}, "expects algorithm"),
        ({"algorithm": "DQN", "settings": {}}, "cannot build DQN: .*action spaces"),
        ({"policy": "Transformer"}, "cannot build PPO: .*Transformer"),
        ({"settings": {"n_step": 4}}, "'n_step' of PPO is unknown; known: .*n_steps"),
        ({"settings": {"seed": 4}}, "'seed' of PPO belongs to the suite"),
        ({"settings": {"use_sde": True}}, "'use_sde' of PPO .*cannot be resumed"),
        ({"settings": {"n_steps": 1, "batch_size": 1}}, "cannot build PPO: .*batch_size"),
        ({"settings": {"policy_kwargs": {"activation_fn": "Relu"}}}, "no attribute 'Relu'"),
        (
            {"algorithm": "TD3", "settings": {"train_freq": [1, "episode"]}},
            "needs one world, but there are 4",
        ),
        ({"algorithm": "TD3", "settings": {"action_noise": "ou"}}, "must be a standard deviation"),
        ({"num_envs": 0}, "num_envs >= 1"),
        ({"forget_every": 0}, "forget_every >= 1"),
        ({"schedule_steps": -1}, "schedule_steps >= 0"),
    ],
)
def test_what_cannot_be_driven_is_refused(options, reason):
    with pytest.raises(ValueError, match=reason):
        make(**options)


def test_numbers_that_are_not_finite_are_refused():
    student, world = make(), Reach(4)
    with pytest.raises(ValueError, match="observations hold NaN"):
        student.act(np.full((4, 3), np.nan, np.float32))
    result = world.step(student.act(world.observations))
    with pytest.raises(ValueError, match="rewards hold NaN"):
        student.observe(dataclasses.replace(result, rewards=np.full(4, np.inf)))
    with pytest.raises(ValueError, match="bounded action space"):
        StableBaselines(OBSERVATIONS, OBSERVATIONS, num_envs=4, seed=0)


def test_a_missing_library_is_named_with_its_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    with pytest.raises(ValueError, match=r"pip install 'lyceum\[sb3\]'"):
        make()

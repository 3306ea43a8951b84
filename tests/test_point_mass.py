"""PointMass from outside, against a plain model of the published world, and as a batch."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmark.protocol import Protocol
from environments import point_mass
from environments.check import check_environment
from environments.point_mass import PointMass
from environments.vector import make_worlds

ENTRY = "environments.point_mass:PointMass"
MASK = 2**64 - 1
VARIANTS = ({}, {"friction_varies": True}, {"gates": 2}, {"gates": 3, "friction": 2.0})
FIELDS = ("observations", "rewards", "terminated", "truncated", "success")


def mix(z):
    """SplitMix64's output function on plain integers."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def kicks(seed, step):
    """The noise of a step as the docstring says it, (10, 2) in m/s^2."""
    golden = 0x9E3779B97F4A7C15
    key = mix((seed * golden + 1) & MASK)
    hashes = [mix(((step * 5 + k) * golden + key) & MASK) for k in range(1, 6)]
    draws = [(z >> 16 * lane) & 0xFFFF for lane in range(4) for z in hashes]
    values = [NormalDist(0, 0.05).inv_cdf((draw + 0.5) / 65536) for draw in draws]
    return [values[k : k + 2] for k in range(0, 20, 2)]


def published(state, action, walls, friction, noise):
    """One step of the published world on plain numbers; walls are (y, gate, width)."""
    for kick in noise:
        x, vx, y, vy = state
        new = [
            min(max(x + 0.01 * vx, -4), 4), vx + 0.01 * (1.5 * action[0] - friction * vx + kick[0]),
            min(max(y + 0.01 * vy, -4), 4), vy + 0.01 * (1.5 * action[1] - friction * vy + kick[1]),
        ]  # fmt: skip
        for wall, gate, width in walls if vy < 0 else walls[::-1]:
            if y >= wall > new[2] or y <= wall < new[2]:
                share = (wall - y) / (new[2] - y)
                hit = share * new[0] + (1 - share) * x
                if abs(hit - gate) > width / 2:
                    return [hit, 0.0, wall, 0.0], True
        state = new
    return state, False


def straight(world, task, action, steps=100, seed=0):
    """Push with one action until the episode ends; returns the last step."""
    world.reset(seed=seed, options={"task": np.array(task, dtype=float)})
    for _ in range(steps):
        last = world.step(np.array(action, dtype=np.float32))
        if last[2] or last[3]:
            break
    return last


def place(batch, x, vx, y, vy):
    """Put the mass of every world somewhere."""
    batch.position[:], batch.velocity[:] = [[x], [y]], [[vx], [vy]]


# The contract ------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", VARIANTS)
def test_every_rule_for_worlds_holds(options):
    records = check_environment(PointMass, **options)
    assert {record.status for record in records} == {"passed"}


def test_the_task_is_the_published_one():
    names = [(p.name, p.low, p.high) for p in PointMass(friction_varies=True).task_parameters]
    assert names == [("gate_position", -4, 4), ("gate_width", 0.5, 8), ("friction", 0, 4)]
    names = [p.name for p in PointMass(2).task_parameters]
    assert names == ["gate_position_1", "gate_width_1", "gate_position_2", "gate_width_2"]
    assert PointMass().walls == (0.0,)
    assert PointMass(2).walls == (1.0, -1.0)
    bounded = PointMass(task_bounds={"gate_width": (0.25, 2)})
    assert (bounded.task_space.low[1], *bounded.default_task) == (0.25, 0.0, 2.0)


def test_what_is_refused():
    for options, words in (
        ({"gates": 0}, "gates"), ({"render_mode": "ansi"}, "'rgb_array' or 'human'"),
        ({"max_episode_steps": 0}, "max_episode_steps"), ({"friction": -1}, "friction"),
        ({"friction": math.nan}, "friction"), ({"task_bounds": {"width": (1, 2)}}, "gate_width"),
        ({"task_bounds": {"gate_width": (-1, 2)}}, "between 0 and inf"),
        ({"task_bounds": {"friction": (0, 101)}, "friction_varies": True}, "between 0 and 100"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            PointMass(**options)
    with pytest.raises(ValueError, match="num_envs"):
        PointMass.batch(0)
    world = PointMass()
    with pytest.raises(ResetNeeded):
        world.step(np.zeros(2))
    world.reset(seed=0)
    with pytest.raises(ValueError, match="NaN"):
        world.step(np.array([0, np.nan]))
    with pytest.raises(ValueError, match="shape"):
        world.step(np.zeros(3))


# The physics -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**63 - 1), gates=st.integers(1, 4), friction=st.sampled_from([0.0, 2.5]),
    strength=st.sampled_from([2.0, 10.0, 14.0]), wide=st.booleans(), draw=st.integers(0, 2**31),
)  # fmt: skip
def test_a_plain_model_of_the_published_world_agrees(seed, gates, friction, strength, wide, draw):
    rng = np.random.default_rng(draw)
    world = PointMass(gates, friction=friction)
    task = rng.uniform(world.task_space.low, world.task_space.high)
    task[1::2] = np.maximum(task[1::2], 7.0 if wide else 0.5)
    walls = list(zip(world.walls, task[::2], task[1::2], strict=True))
    world.reset(seed=seed, options={"task": task})
    state, total, over, step = [0.0, 0.0, 3.0, 0.0], 0.0, False, 0
    drift = rng.uniform(-1, 0.5, 2) * strength
    while not over:
        action = (drift + rng.normal(size=2)).astype(np.float32)
        pushed = np.clip(action, -10, 10).astype(float)
        state, crashed = published(state, pushed, walls, friction, kicks(seed, step))
        observation, reward, terminated, truncated, info = world.step(action)
        step += 1
        np.testing.assert_allclose(observation, [*state, *task], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(world.alone.position[:, 0], state[::2], rtol=0, atol=1e-11)
        np.testing.assert_allclose(world.alone.velocity[:, 0], state[1::2], rtol=1e-11, atol=1e-11)
        distance = math.hypot(state[0], state[2] + 3)
        total += math.exp(-0.6 * distance)
        assert reward == pytest.approx(math.exp(-0.6 * distance), rel=1e-9)
        assert info["episode_return"] == pytest.approx(total, rel=1e-9)
        assert info["success"] == (distance < 0.25)
        assert (terminated, truncated) == (crashed, step == 100)
        over = terminated or truncated


def test_a_step_by_hand():
    world = PointMass()
    world.reset(seed=1)
    x, vx, y, vy = world.step(np.array([1, -3], np.float32))[0][:4]
    # 10 kicks of 0.015 m/s; the velocities 0, 0.015, ..., 0.135 move it for 0.01 s each.
    np.testing.assert_allclose([x, vx], [0.00675, 0.15], atol=0.006)
    np.testing.assert_allclose([y, vy], [3 - 0.02025, -0.45], atol=0.006)


def test_a_wall_ends_the_episode_where_it_was_hit():
    observation, reward, terminated, truncated, info = straight(PointMass(), [2.5, 0.5], [0, -5])
    assert terminated and not truncated and not info["success"]
    assert observation[[1, 2, 3]].tolist() == [0, 0, 0]
    assert reward == pytest.approx(math.exp(-0.6 * 3), rel=1e-3)
    assert straight(PointMass(), [0.5, 1.1], [0, -5])[3]  # through the gate: to the time limit


@pytest.mark.parametrize(("y", "speed", "wall"), [(1.2, -35, 1), (-1.2, 35, -1), (0.0, 35, 1)])
def test_the_first_wall_on_the_way_stops_the_mass(y, speed, wall):
    world = PointMass(2)
    world.reset(seed=0, options={"task": np.array([4, 0.5, 4, 0.5])})
    place(world.alone, 0, 0, y, speed)
    observation, _, terminated, *_ = world.step(np.zeros(2, np.float32))
    assert terminated
    assert observation[2] == wall


def test_a_gate_is_as_wide_as_it_says_at_either_end():
    for x, passes in ((1.76, True), (1.74, False), (3.24, True), (3.26, False)):
        for height, speed in ((0.05, -1), (-0.05, 1)):
            world = PointMass()
            world.reset(seed=0, options={"task": np.array([2.5, 1.5])})
            place(world.alone, x, 0, height, speed)
            assert world.step(np.zeros(2, np.float32))[2] is not passes


def test_at_the_border_the_place_stops_and_the_velocity_does_not():
    world = PointMass()
    world.reset(seed=0)
    place(world.alone, 3.99, 2.0, 3.0, 0.0)
    observation = world.step(np.zeros(2, np.float32))[0]
    assert observation[0] == 4
    assert observation[1] == pytest.approx(2, abs=0.01)


def test_friction_slows_down():
    for options, task in (({"friction": 3.0}, [0, 8]), ({"friction_varies": True}, [0, 8, 3])):
        world = PointMass(**options)
        world.reset(seed=0, options={"task": np.array(task, float)})
        place(world.alone, -1, 2.0, 3, 0)
        observation = world.step(np.zeros(2, np.float32))[0]
        assert observation[1] == pytest.approx(2 * 0.97**10, abs=0.01)


def test_the_time_limit_truncates_and_none_is_no_limit():
    for limit in (1, 7):
        *_, truncated, _ = straight(PointMass(max_episode_steps=limit), [0, 8], [0, 0], limit)
        assert truncated
    assert not straight(PointMass(max_episode_steps=7), [0, 8], [0, 0], 6)[3]
    assert not straight(PointMass(max_episode_steps=None), [0, 8], [0, 0], 300)[3]


def test_success_is_being_at_the_goal():
    for distance, success in ((0.24, True), (0.26, False)):
        world = PointMass()
        world.reset(seed=0)
        place(world.alone, 0, 0, -3 + distance, 0)
        info = world.step(np.zeros(2, np.float32))[4]
        assert info["success"] is success


# Noise -------------------------------------------------------------------------------------------


def test_the_hash_is_splitmix64():
    outputs = point_mass._mix(np.arange(1, 4, dtype=np.uint64) * point_mass.INCREMENT)
    assert [f"{z:016x}" for z in outputs.tolist()] == [
        "e220a8397b1dcdaf", "6e789e6aa1b965f4", "06c45d188009454f",
    ]  # fmt: skip


def test_noise_is_white_and_normal():
    batch = PointMass.batch(2000)
    batch.reset(np.arange(2000), batch.tasks, np.arange(2000))
    noise = np.array([point_mass._noise(batch.keys, batch.steps + step) for step in range(20)])
    noise = noise.reshape(20 * 20, 2000) / (0.01 * 0.05)
    ends = [-3, -2, -1, 0, 1, 2, 3]
    shares = [np.mean(noise < end) for end in ends]
    np.testing.assert_allclose(shares, [NormalDist().cdf(end) for end in ends], atol=0.002)
    assert abs(noise.std() - 1) < 0.005
    for one, other in ((noise[1:], noise[:-1]), (noise[20:], noise[:-20]),
                       (noise[:, 1:], noise[:, :-1])):  # fmt: skip
        assert abs(np.mean(one * other)) < 0.006
    np.testing.assert_array_equal(point_mass._kicks(), -point_mass._kicks()[::-1])


def test_without_a_seed_episodes_differ_and_still_repeat():
    def episodes():
        world = PointMass()
        world.reset(seed=4)
        first = [world.step(np.zeros(2))[0].tobytes()]
        for _ in range(3):
            world.reset()
            first.append(world.step(np.zeros(2))[0].tobytes())
        return first

    assert len(set(episodes())) == 4
    assert episodes() == episodes()


# Many worlds -------------------------------------------------------------------------------------


def play(worlds, groups, tasks, seeds, actions):
    """Play every world by itself for 40 steps, in groups that change from step to step."""
    worlds.reset(np.arange(len(tasks)), tasks, seeds)
    heard, running = [[] for _ in tasks], np.ones(len(tasks), bool)
    for step in range(40):
        for group in groups(step):
            group = group[running[group]]
            result = worlds.step(actions[step, group], group)
            for row, world in enumerate(group):
                heard[world].append([getattr(result, name)[row].tobytes() for name in FIELDS])
            running[group] = ~(result.terminated | result.truncated)
    return heard


@pytest.mark.parametrize("options", VARIANTS)
def test_a_world_does_not_depend_on_its_neighbours(options):
    rng, n = np.random.default_rng(7), 37
    space = PointMass(**options).task_space
    tasks, seeds = (
        rng.uniform(space.low, space.high, (n, *space.shape)),
        rng.integers(2**62, size=n),
    )
    actions = rng.uniform(-10, 6, (40, n, 2)).astype(np.float32)
    everything = play(PointMass.batch(n, **options), lambda step: [np.arange(n)],
                      tasks, seeds, actions)  # fmt: skip
    alone = play(make_worlds(ENTRY, options, n), lambda step: [np.arange(n)], tasks, seeds, actions)
    assert everything == alone

    def parts(step):
        return np.array_split(rng.permutation(n), 1 + step % 9)

    assert play(PointMass.batch(n, **options), parts, tasks, seeds, actions) == everything
    ends = [len(world) for world in everything]
    assert min(ends) < 40 and len(set(ends)) > 5


def test_the_batch_keeps_the_contract_of_vector_worlds():
    with PointMass.batch(3) as worlds:
        tasks = np.array([[0, 8], [4.0, 0.5], [-4.0, 0.5]])
        first = worlds.reset([2, 0, 1], tasks, np.arange(3))
        assert first.dtype == np.float32
        np.testing.assert_array_equal(first, [[0, 0, 3, 0, *task] for task in tasks])
        np.testing.assert_array_equal(worlds.step(np.zeros((2, 2)), [1, 0]).observations[:, 4:],
                                      tasks[[2, 1]])  # fmt: skip
        bad = np.array([[0, 8], [0, np.nan]])
        with pytest.raises(ValueError, match="outside the task space"):
            worlds.reset([0, 1], bad, np.arange(2))
        with pytest.raises(ResetNeeded):
            worlds.step(np.zeros((1, 2)), [1])
        assert len(worlds.step(np.zeros((1, 2)), [2]).rewards) == 1
        assert len(worlds.step(np.zeros((0, 2)), []).rewards) == 0
        worlds.reset([0], tasks[:1], np.arange(1))
        for _ in range(100):
            ended = worlds.step(np.zeros((1, 2)), [0]).truncated
        assert ended.all()
        with pytest.raises(ResetNeeded):
            worlds.step(np.zeros((1, 2)), [0])
    with pytest.raises(RuntimeError, match="closed"):
        worlds.reset([0], tasks[:1], np.arange(1))
    with pytest.raises(RuntimeError, match="closed"):
        worlds.step(np.zeros((1, 2)), [2])


# Pictures and the protocol -----------------------------------------------------------------------


def test_the_picture_shows_wall_gate_and_crash():
    world = PointMass(render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        world.render()
    straight(world, [2.0, 1.0], [0, -5])
    picture = world.render()
    assert picture.shape == (400, 400, 3)
    dark = picture[200].sum(axis=1) < 250
    columns = (np.array([-3.0, 1.0, 2.0, 3.0]) + 4.2) / 8.4 * 400
    assert dark[columns.astype(int)].tolist() == [True, True, False, True]
    assert picture[200, 200].tolist() == [204, 48, 48]
    assert picture[0, 0].tolist() == picture[-1, -1].tolist() == [92, 98, 112]
    assert picture[int(7.2 / 8.4 * 400), 190].tolist() == [112, 176, 120]


def test_human_mode_shows_the_same_picture(monkeypatch):
    shown = []

    class Window:
        def __init__(self, title, shape, fps):
            shown.append((title, shape, fps))

        def show(self, picture):
            shown.append(picture)

        def close(self):
            shown.append("closed")

    monkeypatch.setattr("environments.window.Window", Window)
    human, picture = PointMass(render_mode="human"), PointMass(render_mode="rgb_array")
    for world in (human, picture):
        straight(world, [0, 8], [3, -2], 12)
    assert human.render() is None
    human.close()
    human.close()
    assert shown[0] == ("PointMass", (400, 400, 3), 10)
    frames = shown[1:-1]  # after the reset, after every step, and asked for
    assert len(frames) == 2 + human.alone.steps[0]
    np.testing.assert_array_equal(frames[-1], picture.render())
    assert shown[-1] == "closed"


def test_the_protocol_asks_for_the_targets_of_the_papers():
    protocol = Protocol.load("point_mass-gate-v1")
    world = PointMass(**protocol.task.options)
    tasks = protocol.held_out
    assert all(world.task_space.contains(task) for task in tasks)
    assert len(np.unique(tasks, axis=0)) == len(tasks)
    for target in ([2.5, 0.5], [3, 0.5], [-3, 0.5]):
        assert (tasks == target).all(axis=1).sum() == 1

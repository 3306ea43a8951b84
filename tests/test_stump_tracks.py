"""StumpTracks from outside, then its rules and its body against the published equations."""

from __future__ import annotations

import itertools

import Box2D
import numpy as np
import pytest
from gymnasium.error import ResetNeeded
from gymnasium.utils.env_checker import check_env

from environments.box2d import engine
from environments.box2d.body import BODIES
from environments.box2d.contacts import Contacts
from environments.box2d.stump_tracks import FINISH_LINE, StumpTracks
from environments.box2d.terrain import Terrain

STEP = engine.TERRAIN_STEP
BENCHMARK_BODIES = ("classic_bipedal", "old_classic_bipedal")
CORNERS = list(itertools.product((0.0, 3.0), (0.0, 6.0)))


def flat(length=100.0):
    return Terrain([(0.0, engine.TERRAIN_HEIGHT), (length, engine.TERRAIN_HEIGHT)], [])


def play(env, steps, seed=3):
    """Random actions until the end; every observation, reward and flag as bytes."""
    rng = np.random.default_rng(seed)
    trace = []
    for _ in range(steps):
        observation, reward, terminated, truncated, info = env.step(
            rng.uniform(-1, 1, env.action_space.shape)
        )
        trace.append((observation.tobytes(), reward, terminated, truncated, info))
        if terminated or truncated:
            break
    return trace


@pytest.mark.parametrize("body", BENCHMARK_BODIES)
@pytest.mark.filterwarnings("ignore:.*minimum value is -infinity", "ignore:.*maximum value is inf")
def test_gymnasium_accepts_the_world(body):
    check_env(StumpTracks(body), skip_render_check=True)
    env = StumpTracks(body)
    assert env.observation_space.shape == (24,) and env.action_space.shape == (4,)


@pytest.mark.parametrize("body", BODIES)
def test_every_body_observes_what_its_motors_announce(body):
    env = StumpTracks(body)
    observation, _ = env.reset(seed=0)
    assert env.observation_space.contains(observation)
    contacts = sum(motor["observe_contact"] for motor in env.plan.motors)
    grips = 2 * len(env.plan.grips)
    assert observation.shape == (4 + 2 * len(env.plan.motors) + contacts + grips + 10,)
    published = {24, 26, 32, 34, 42, 50, 54}  # spec of the bodies, from 24 (bipeds) to 54
    assert observation.size in published


def test_same_seed_and_task_repeat_the_episode_in_any_object():
    used, task = StumpTracks(), np.array([1.5, 2.0])
    for other in CORNERS:
        used.reset(seed=9, options={"task": other})
        play(used, 20)
    traces = []
    for env in (used, StumpTracks(), StumpTracks()):
        first, _ = env.reset(seed=0, options={"task": task})
        traces.append([first.tobytes(), *play(env, 150)])
    assert traces[0] == traces[1] == traces[2]
    first, _ = StumpTracks().reset(seed=1, options={"task": task})
    assert first.tobytes() != traces[0][0]


def test_unseeded_resets_continue_the_generator():
    one, other = StumpTracks(), StumpTracks()
    one.reset(seed=4)
    other.reset(seed=4)
    again = one.reset()[0]
    assert np.array_equal(again, other.reset()[0])
    assert not np.array_equal(again, one.reset(seed=4)[0])


@pytest.mark.parametrize("body", BENCHMARK_BODIES)
@pytest.mark.parametrize("task", CORNERS)
def test_corners_of_the_task_space_are_playable(body, task):
    env = StumpTracks(body)
    env.reset(seed=2, options={"task": task})
    height, spacing = task
    tops = env.scene.stumps[:, :, 1].max(axis=1) - env.scene.stumps[:, :, 1].min(axis=1)
    assert len(tops) == {0.0: 177, 6.0: 13}[spacing]
    assert np.all(tops >= 0.05 * STEP - 1e-12)
    assert abs(tops.mean() / STEP - max(height, 0.06)) < 0.1
    for record in play(env, 40):
        assert np.isfinite(np.frombuffer(record[0], np.float32)).all()


def test_an_ended_episode_must_be_reset():
    env = StumpTracks(max_episode_steps=3)
    with pytest.raises(ResetNeeded, match="reset"):
        env.step(np.zeros(4))
    env.reset(seed=0)
    flags = [env.step(np.zeros(4, np.float32))[2:4] for _ in range(3)]
    assert flags == [(False, False), (False, False), (False, True)]
    with pytest.raises(ResetNeeded, match="over"):
        env.step(np.zeros(4))
    env.reset()
    env.step(np.zeros(4))
    env.close()
    env.close()
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(4))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="did you mean 'classic_bipedal'"):
        StumpTracks("clasic_bipedal")
    with pytest.raises(ValueError, match="render_mode"):
        StumpTracks(render_mode="ansi")
    with pytest.raises(ValueError, match="max_episode_steps"):
        StumpTracks(max_episode_steps=0)
    with pytest.raises(ValueError, match="stump_hight"):
        StumpTracks(task_bounds={"stump_hight": (0, 9)})
    with pytest.raises(ValueError, match="low <= high"):
        StumpTracks(task_bounds={"stump_height": (3, 0)})


def test_bad_actions_move_nothing():
    worlds = [StumpTracks(), StumpTracks()]
    for world in worlds:
        world.reset(seed=0)
    before = [world.embodiment.place() for world in worlds]
    for bad in (np.zeros((2, 3)), np.zeros((1, 4)), [[0.0] * 4, [0.0, np.nan, 0.0, 0.0]]):
        with pytest.raises(ValueError, match="action"):
            StumpTracks.step_many(worlds, bad)
    worlds[1].close()
    with pytest.raises(ResetNeeded):
        StumpTracks.step_many(worlds, np.zeros((2, 4)))
    assert worlds[0].embodiment.place() == before[0] and worlds[0].steps == 0


def test_task_bounds_replace_the_ranges():
    env = StumpTracks(task_bounds={"stump_height": (1, 9)})
    assert env.task_space.low.tolist() == [1.0, 0.0]
    assert env.task_space.high.tolist() == [9.0, 6.0]
    assert env.default_task.tolist() == [1.0, 6.0]  # the nearest task to (0, 6)
    env.reset(seed=0, options={"task": [9.0, 3.0]})
    with pytest.raises(ValueError, match="outside"):
        env.reset(options={"task": [0.0, 3.0]})


def test_step_many_gives_every_world_what_it_would_get_alone():
    rng = np.random.default_rng(5)
    tasks = rng.uniform([0, 0], [3, 6], size=(7, 2))
    together, alone = [[StumpTracks() for _ in tasks] for _ in range(2)]
    for worlds in (together, alone):
        for seed, (world, task) in enumerate(zip(worlds, tasks, strict=True)):
            world.reset(seed=seed, options={"task": task})
    steps = 0
    for _ in range(120):
        group = rng.permutation(len(tasks))[: rng.integers(1, len(tasks) + 1)]
        actions = rng.uniform(-1.2, 1.2, size=(len(group), 4)).astype(np.float32)
        results = StumpTracks.step_many([together[world] for world in group], actions)
        for world, action, result in zip(group, actions, results, strict=True):
            expected = alone[world].step(action)
            assert result[0].tobytes() == expected[0].tobytes() and result[1:] == expected[1:]
            ours, theirs = together[world].observation64, alone[world].observation64
            assert ours.tobytes() == theirs.tobytes()
            steps += 1
            if result[2] or result[3]:
                for worlds in (together, alone):
                    worlds[world].reset(seed=steps, options={"task": tasks[world]})
    assert StumpTracks.step_many([], np.zeros((0, 4))) == []


def test_reward_adds_progress_lean_and_torque():
    env = StumpTracks()
    env.reset_scene(flat(), push=2.0)
    x, angle = env.embodiment.head.position.x, env.embodiment.head.angle
    action = np.array([0.5, -0.25, 2.0, 0.0])
    _, reward, *_ = env.step(action)
    moved = 130 / 30 * (env.embodiment.head.position.x - x)
    lean = 5 * (abs(env.embodiment.head.angle) - abs(angle))
    assert reward == pytest.approx(moved - lean - 0.00035 * 80 * 1.75, abs=1e-12)


def test_the_push_acts_once_and_sideways():
    speeds = []
    for push in (-5.0, 0.0, 5.0):
        env = StumpTracks("classic_bipedal")
        env.reset_scene(flat(), push)
        speeds.append(env.embodiment.head.linearVelocity.x)
    assert speeds[0] < speeds[1] < speeds[2]


def test_motors_turn_as_the_sign_and_pull_as_the_size_of_the_action():
    env = StumpTracks("classic_bipedal")
    env.reset_scene(flat())
    env.step(np.array([1.0, -0.5, 0.0, -3.0]))
    joints = env.embodiment.joints
    assert [joint.motorSpeed for joint in joints] == [4.0, -6.0, 0.0, -6.0]
    torques = [joint.GetMaxMotorTorque() for joint in joints]
    assert torques == [80.0, 40.0, 0.0, 80.0]


def test_a_fall_costs_100_and_ends_the_episode():
    env = StumpTracks()
    env.reset_scene(flat())
    for _ in range(400):
        _, reward, terminated, truncated, info = env.step(np.array([1.0, 1.0, 1.0, 1.0]))
        if terminated:
            break
    assert reward == -100.0 and not truncated and info["success"] is False
    with pytest.raises(ResetNeeded):
        env.step(np.zeros(4))


@pytest.mark.parametrize(("x", "reward"), [(-1.0, -100.0), (FINISH_LINE + 1.0, None)])
def test_the_ends_of_the_track_end_the_episode(x, reward):
    env = StumpTracks()
    env.reset_scene(flat())
    for part in env.embodiment.parts:
        place = part.position
        part.position = place.x + x - 4.0, place.y + 2.0
    _, got, terminated, truncated, info = env.step(np.zeros(4))
    assert terminated and not truncated
    assert info["episode_return"] == got
    if reward is None:
        assert got > 300 and info["success"] is True
    else:
        assert got == reward and info["success"] is False


def test_contact_flags_show_the_feet_and_fall_with_any_ended_contact():
    env = StumpTracks("classic_bipedal")
    env.reset_scene(flat())
    for _ in range(60):
        observation, *_ = env.step(np.zeros(4))
    assert observation[8] == 1.0 and observation[13] == 1.0
    contacts = Contacts([False, True])
    part, other = (Box2D.b2FixtureDef(userData=number) for number in (0, None))

    class Pair:
        fixtureA, fixtureB = part, other

    contacts.BeginContact(Pair)
    contacts.BeginContact(Pair)
    assert contacts.touching == [1.0, 0.0]
    contacts.EndContact(Pair)
    assert contacts.touching == [0.0, 0.0] and not contacts.fallen


def test_handles_show_the_present_state_of_the_engine():
    env = StumpTracks()
    env.reset(seed=0)
    for _ in range(5):
        env.step(np.array([1.0, -1.0, -1.0, 1.0]))
        walker, head = env.embodiment, env.embodiment.head
        assert walker.place() == tuple(head.position)
        speed = head.linearVelocity
        expected = [head.angle, head.angularVelocity / 25, 0.12 * speed.x, 0.08 * speed.y]
        assert env.observation64[:4] == pytest.approx(expected, rel=1e-12)
        knee = walker.joints[1]
        assert env.observation64[6:8].tolist() == [knee.angle + 1.0, knee.speed / 6.0]


@pytest.mark.parametrize("body", BODIES)
def test_rendered_frames_show_the_scene(body):
    env = StumpTracks(body, render_mode="rgb_array")
    with pytest.raises(ResetNeeded):
        env.render()
    env.reset(seed=1, options={"task": [1.0, 3.0]})
    frame = env.render()
    assert frame.shape == (400, 600, 3) and frame.dtype == np.uint8
    colours = len(np.unique(frame.reshape(-1, 3), axis=0))
    assert colours > 100
    before = env.observation64.copy()
    assert np.array_equal(frame, env.render()) and np.array_equal(before, env.observation64)
    while not env.over and env.steps < 5:  # a climber begins with its shins on the ground
        env.step(env.action_space.high)
    assert (frame != env.render()).any()


def test_rendering_needs_a_render_mode():
    env = StumpTracks()
    env.reset(seed=0)
    with pytest.warns(UserWarning, match="render_mode"):
        assert env.render() is None

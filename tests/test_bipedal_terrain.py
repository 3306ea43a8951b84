"""BipedalTerrain: first against Gymnasium's BipedalWalker-v3, then its tasks from outside."""

from __future__ import annotations

import itertools
import math

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.box2d.bipedal_walker import BipedalWalkerHeuristics
from gymnasium.error import ResetNeeded
from hypothesis import given, settings
from hypothesis import strategies as st

from environments.box2d import engine, lidar
from environments.box2d import ued_terrain as ued
from environments.box2d.bipedal_terrain import (
    FINISH_LINE,
    TEST_TASKS,
    WALKERS,
    BipedalTerrain,
    held_out_tasks,
)
from environments.box2d.body import BODIES, BodyPlan
from environments.check import check_environment

STEP, START = engine.TERRAIN_STEP, engine.TERRAIN_HEIGHT
PAD_END = engine.START_PAD_STEPS * STEP
EVERYTHING = (2.0, 1.0, 4.0, 0.5, 2.0, 0.5, 1.5, 5.0)
FLAT = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
# All that random actions meet in sixty steps is the first obstacle, which knows no roughness.
HIDDEN = {"check_task_is_honoured": "rough ground begins behind the first obstacle"}


class Pair:
    """A new world of Gymnasium and one of ours, with one seed and the same actions."""

    def __init__(self, hardcore, seed):
        made = gymnasium.make("BipedalWalker-v3", hardcore=hardcore, disable_env_checker=True)
        self.theirs, self.ours = made.unwrapped, BipedalTerrain(hardcore=hardcore)
        self.observation, _ = self.theirs.reset(seed=seed)
        self.agree(self.ours.reset(seed=seed)[0])
        self.sum, self.fallen = 0.0, False

    def agree(self, observation):
        """The observation of ours is theirs: exact but for the lidar."""
        assert observation.dtype == self.observation.dtype == np.float32
        assert observation[:14].tolist() == self.observation[:14].tolist()
        assert np.abs(observation[14:] - self.observation[14:]).max() < 3e-6

    def step(self, action):
        """Step both; whether the episode is over."""
        self.observation, reward, terminated, truncated, _ = self.theirs.step(action)
        observation, *rest, info = self.ours.step(action)
        self.agree(observation)
        assert rest == [reward, terminated, truncated]
        self.sum += reward
        assert info == {"success": self.sum > 230, "episode_return": self.sum}
        self.fallen = reward == -100
        return terminated

    def move(self, x, y):
        """Put both walkers elsewhere."""
        for parts in (self.ours.embodiment.parts, [self.theirs.hull, *self.theirs.legs]):
            dx, dy = x - parts[0].position.x, y - parts[0].position.y
            for part in parts:
                part.position = part.position.x + dx, part.position.y + dy


@pytest.mark.parametrize("gait", [False, True])
@pytest.mark.parametrize("hardcore", [False, True])
def test_episodes_are_those_of_gymnasium(hardcore, gait):
    steps, falls, touches, farthest = 0, 0, set(), 0.0
    for seed in range(8):
        pair, rng = Pair(hardcore, seed), np.random.default_rng(seed)
        heuristics = BipedalWalkerHeuristics()
        for _ in range(400):
            action = rng.uniform(-1.2, 1.2, 4)
            if gait:
                action = heuristics.step_heuristic(pair.observation) + 0.05 * action
            over = pair.step(action)
            steps += 1
            touches.add(tuple(pair.observation[[8, 13]].tolist()))
            farthest = max(farthest, pair.ours.embodiment.place()[0])
            if over:
                break
        falls += pair.fallen
    assert steps > 1200 and falls >= 3
    assert touches == set(itertools.product((0.0, 1.0), repeat=2))
    assert farthest > (12.0 if gait else 6.0)


def top(scene, x):
    """The height of the uppermost thing within 1 m."""
    boxes = [b for b in scene.polygons if b[:, 0].min() - 1 < x < b[:, 0].max() + 1]
    return max([float(np.interp(x, *scene.ground.T)), *(float(b[:, 1].max()) for b in boxes)])


def test_every_obstacle_of_hardcore_feels_and_looks_as_in_gymnasium():
    rng, falls, met = np.random.default_rng(4), 0, 0
    for number, x in enumerate(np.linspace(10.0, 88.0, 40)):
        pair = Pair(True, 100 + number % 5)
        pair.move(x, top(pair.ours.scene, x) + 2.0)
        for _ in range(60):
            over = pair.step(rng.uniform(-1, 1, 4))
            met += bool(pair.observation[[8, 13]].any())
            if over:
                break
        falls += pair.fallen
    assert falls >= 10 and met > 400


@pytest.mark.parametrize(("x", "fallen"), [(FINISH_LINE + 0.1, False), (-0.5, True)])
def test_the_ends_of_the_track_are_those_of_gymnasium(x, fallen):
    pair = Pair(False, 0)
    pair.move(x, START + 4.0)
    assert pair.step(np.full(4, 0.5)) and pair.fallen == fallen
    assert pair.ours.over and pair.theirs.hull.position.x == pair.ours.embodiment.place()[0]
    with pytest.raises(ResetNeeded, match="reset"):
        pair.ours.step(np.zeros(4))


def test_every_walker_obeys_the_contract():
    walkers = [name for name in BODIES if BodyPlan.load(name, "StumpTracks").kind == "walker"]
    assert list(WALKERS) == walkers
    for name in walkers:
        records = check_environment(BipedalTerrain, body=name)
        assert all(record.status == "passed" for record in records)
        assert any(BipedalTerrain(body=name).plan.critical)
    records = check_environment(BipedalTerrain, hardcore=True, expected_failures=HIDDEN)
    assert {record.name: record.reason for record in records if record.reason} == HIDDEN


def test_defaults_are_bipedal_walker():
    world = BipedalTerrain()
    assert world.default_task.tolist() == [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert world.task_space.low.tolist() == ued.LOW.tolist()
    assert world.task_space.high.tolist() == ued.HIGH.tolist()
    assert world.max_episode_steps == 2000
    theirs = gymnasium.make("BipedalWalker-v3")
    assert world.observation_space.shape == theirs.observation_space.shape
    assert world.action_space == theirs.action_space
    assert world.metadata["render_fps"] == theirs.metadata["render_fps"]


@pytest.mark.parametrize("name", TEST_TASKS)
def test_published_tracks_can_be_played(name):
    published = TEST_TASKS[name]
    hardcore = published.task is None
    world = BipedalTerrain(hardcore=hardcore, max_episode_steps=published.max_episode_steps)
    world.reset(seed=3, options=None if hardcore else {"task": held_out_tasks()[name]})
    expected = published.generate(gymnasium.utils.seeding.np_random(3)[0])
    assert np.array_equal(world.scene.ground, expected.ground)
    assert np.array_equal(world.scene.polygons, expected.polygons)
    for _ in range(30):
        observation, _, terminated, *_ = world.step(world.action_space.high)
        assert np.isfinite(observation).all()
        if terminated:
            break


def test_held_out_tasks_are_those_that_the_encoding_can_say():
    everything, space = held_out_tasks(), BipedalTerrain().task_space
    assert list(everything) == [name for name in TEST_TASKS if "Hardcore" not in name]
    assert all(space.contains(np.array(task)) for task in everything.values())
    some = held_out_tasks(["Med-Stairs", "BipedalWalker-v3"])
    assert some == {
        "Med-Stairs": (0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 2.0, 5.0),
        "BipedalWalker-v3": (1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0),
    }
    with pytest.raises(ValueError, match="did you mean 'Med-PitGap'"):
        held_out_tasks(["Med-PitGaps"])
    with pytest.raises(ValueError, match="hardcore=True"):
        held_out_tasks(["BipedalWalkerHardcore-v3"])


def test_the_engine_holds_the_boxes_first_and_then_the_ground():
    world = BipedalTerrain()
    world.reset(seed=1, options={"task": EVERYTHING})
    (common,) = (body for body in world._world.bodies if body not in world.embodiment.parts)
    shapes = [np.array(fixture.shape.vertices) for fixture in common.fixtures]
    expected = [*world.scene.polygons, *world.scene.edges]
    assert 5 < len(world.scene.polygons) and len(shapes) == len(expected)
    for shape, corners in zip(shapes, expected, strict=True):
        assert np.array_equal(shape, corners.astype(np.float32))
    assert {fixture.friction for fixture in common.fixtures} == {2.5}


def test_the_lidar_sees_the_face_of_the_first_stump():
    world = BipedalTerrain()
    first, _ = world.reset(seed=0, options={"task": (0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 1.0)})
    x, y = world.embodiment.place()
    assert first[23] == pytest.approx((PAD_END - x) / (lidar.RANGE * math.sin(1.35)), abs=1e-6)
    floor = [(y - START) / (lidar.RANGE * math.cos(0.15 * ray)) for ray in range(10)]
    assert first[14:22] == pytest.approx(np.minimum(floor, 1.0)[:8], abs=1e-6)
    assert world.reset(seed=0, options={"task": FLAT})[0][23] == 1.0


def test_obstacles_stand_in_the_way():
    reached = {}
    for name, task in (("flat", FLAT), ("stump", (0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 1.0))):
        world = BipedalTerrain()
        world.reset(seed=0, options={"task": task})
        head = world.embodiment.head
        for _ in range(200):
            head.ApplyForceToCenter((400.0, 0.0), True)
            *_, terminated, _, _ = world.step(np.zeros(4))
            if terminated:
                break
        reached[name] = world.embodiment.place()[0]
    assert reached["stump"] < PAD_END < PAD_END + 2.0 < reached["flat"]


def test_hardcore_takes_the_roughness_as_its_task():
    world = BipedalTerrain(hardcore=True)
    assert [parameter.name for parameter in world.task_parameters] == ["roughness"]
    assert world.default_task.tolist() == [1.0]
    scenes = {}
    for roughness in (0.0, 1.0, 10.0):
        world.reset(seed=2, options={"task": [roughness]})
        scenes[roughness] = world.scene
        left = world.scene.polygons[:, :, 0]
        assert np.array_equal(left, scenes[0.0].polygons[:, :, 0])
        assert np.isfinite(world.step(np.ones(4))[0]).all()
    levels = (scenes[0.0].ground[:, 1] - START) / STEP * 4  # a ramp rises by a quarter per vertex
    np.testing.assert_allclose(levels, levels.round(), atol=1e-9)
    bends = [np.abs(scene.ground - scenes[0.0].ground).max() for scene in scenes.values()]
    assert bends[0] == 0.0 and 0.0 < 1.5 * bends[1] < bends[2]


def test_a_ninth_parameter_chooses_the_obstacles_of_hardcore():
    world = BipedalTerrain(task_bounds={"hardcore": (0, 1)})
    assert [one.name for one in world.task_parameters][7:] == ["stair_steps", "hardcore"]
    encoded, whole = BipedalTerrain(), BipedalTerrain(hardcore=True)
    for choice in (0.0, 0.49, 0.5, 1.0):
        twin, task = (whole, EVERYTHING[:1]) if choice >= 0.5 else (encoded, EVERYTHING)
        ours, _ = world.reset(seed=4, options={"task": [*EVERYTHING, choice]})
        theirs, _ = twin.reset(seed=4, options={"task": task})
        assert np.array_equal(world.scene.ground, twin.scene.ground)
        assert np.array_equal(world.scene.polygons, twin.scene.polygons)
        assert np.array_equal(ours, theirs)
    world.reset(seed=4)
    encoded.reset(seed=4)
    assert np.array_equal(world.scene.ground, encoded.scene.ground)
    with pytest.raises(ValueError, match="hardcore"):
        BipedalTerrain(hardcore=True, task_bounds={"hardcore": (0, 1)})


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="did you mean 'spider'"):
        BipedalTerrain(body="spidre")
    with pytest.raises(ValueError, match="body must be one of"):
        BipedalTerrain(body="fish")
    with pytest.raises(ValueError, match="max_episode_steps"):
        BipedalTerrain(max_episode_steps=0)
    with pytest.raises(ValueError, match="stump_hight"):
        BipedalTerrain(task_bounds={"stump_hight": (0, 1)})
    with pytest.raises(ValueError, match=r"stair_steps must lie within \[1, 9\].*\(0, 9\)"):
        BipedalTerrain(task_bounds={"stair_steps": (0, 9)})
    with pytest.raises(ValueError, match=r"roughness must lie within \[0, 10\]"):
        BipedalTerrain(task_bounds={"roughness": (0, 10.5)})
    with pytest.raises(ValueError, match="pit_gap_low"):
        BipedalTerrain(hardcore=True, task_bounds={"pit_gap_low": (0, 1)})


def test_task_bounds_narrow_the_ranges():
    world = BipedalTerrain(task_bounds={"roughness": (2, 3), "stair_steps": (1, 5)})
    assert world.task_space.low.tolist() == [2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]
    assert world.task_space.high.tolist() == [3.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 5.0]
    assert world.default_task[0] == 2.0
    with pytest.raises(ValueError, match="outside the task space"):
        world.reset(options={"task": FLAT})


def corner_or_between(low, high):
    return st.sampled_from([low, high]) | st.floats(low, high)


TASKS = st.tuples(*(corner_or_between(*ends) for ends in zip(ued.LOW, ued.HIGH, strict=True)))
USED = BipedalTerrain()


def record(world, task, seed, actions):
    """The first observation and every result of an episode, as bytes and numbers."""
    trace = [(world.reset(seed=seed, options={"task": task})[0].tobytes(),)]
    for action in actions:
        observation, *rest = world.step(action)
        assert np.isfinite(observation).all() and np.isfinite(rest[0])
        trace.append((observation.tobytes(), *rest))
        if rest[1]:
            break
    return trace


@settings(max_examples=60, deadline=None)
@given(task=TASKS, seed=st.integers(0, 2**31 - 1), length=st.integers(1, 40))
def test_every_task_is_finite_and_repeats_whatever_was_played_before(task, seed, length):
    actions = np.random.default_rng(seed).uniform(-1, 1, (length, 4))
    new = record(BipedalTerrain(), task, seed, actions)
    assert record(USED, task, seed, actions) == new


def test_step_many_gives_every_world_what_it_would_get_alone():
    rng = np.random.default_rng(5)
    tasks = [None, None, *rng.uniform(ued.LOW, ued.HIGH, (5, 8))]
    together, alone = (
        [BipedalTerrain(hardcore=number == 0) for number in range(len(tasks))] for _ in range(2)
    )

    def reset(number, seed):
        options = None if tasks[number] is None else {"task": tasks[number]}
        for worlds in (together, alone):
            worlds[number].reset(seed=seed, options=options)

    for number in range(len(tasks)):
        reset(number, number)
    ends = 0
    for _ in range(150):
        group = rng.permutation(len(tasks))[: rng.integers(1, len(tasks) + 1)]
        actions = rng.uniform(-1.2, 1.2, (len(group), 4)).astype(np.float32)
        results = BipedalTerrain.step_many([together[number] for number in group], actions)
        for number, action, result in zip(group, actions, results, strict=True):
            expected = alone[number].step(action)
            assert result[0].tobytes() == expected[0].tobytes() and result[1:] == expected[1:]
            if result[2] or result[3]:
                ends += 1
                reset(number, 1000 + ends)
    assert ends > 2


def test_pictures_show_the_obstacles():
    world = BipedalTerrain(render_mode="rgb_array")
    frames = []
    for task in (FLAT, (0.0, 0.0, 0.0, 5.0, 5.0, 0.0, 0.0, 1.0), (0.0, 9.0, 9.0, *FLAT[3:])):
        world.reset(seed=1, options={"task": task})
        frames.append(world.render())
        assert frames[-1].shape == (400, 600, 3) and frames[-1].dtype == np.uint8
    changed = [(frame != frames[0]).any(axis=2).mean() for frame in frames[1:]]
    assert min(changed) > 0.01

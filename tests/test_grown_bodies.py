"""Millipedes, spiders and wheels of other sizes."""

from __future__ import annotations

import json

import numpy as np
import pytest

from environments.box2d.body import EMBODIMENTS, BodyPlan
from environments.box2d.engine import SCALE
from environments.box2d.grown_bodies import SIZES, grow
from environments.box2d.parkour import Parkour
from environments.box2d.stump_tracks import StumpTracks
from environments.check import check_environment

FACTS = json.loads(EMBODIMENTS.read_text("utf-8"))["embodiments"]
DEFAULTS = {"millipede": 4, "spider": 2, "wheel": 1.0}
READ = ("shapes_exact", "joint_limits_exact", "spawn_exact", "creation_order", "action_size")
READ += ("motor_state_size", "torque_penalty", "head_body")


@pytest.mark.parametrize("name", DEFAULTS)
def test_the_default_size_changes_nothing(name):
    grown = grow(name, FACTS[name], DEFAULTS[name])
    for field in READ:
        assert grown[field] == FACTS[name][field], field
    for ours, theirs in zip(grown["joints"], FACTS[name]["joints"], strict=True):
        assert {**ours, "motor_index": None} == {**theirs, "motor_index": None}
    episodes = []
    for size in (None, DEFAULTS[name]):
        env = StumpTracks(name, body_size=size)
        env.reset(seed=3, options={"task": [0.5, 2.0]})
        rng = np.random.default_rng(0)
        trace = []
        while not env.over and env.steps < 60:
            trace.append(env.step(rng.uniform(-1, 1, env.action_space.shape))[0].tobytes())
        episodes.append(trace)
    assert episodes[0] == episodes[1]


@pytest.mark.parametrize("count", [1, 2, 3, 6, 10])
def test_a_millipede_is_a_chain_of_segments(count):
    env = StumpTracks("millipede", body_size=count)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (4 + 10 * count + 10,) and env.action_space.shape == (4 * count,)
    assert env.plan.torque_price == pytest.approx(0.00035 * 80 / count)
    places = env.plan.facts["spawn_exact"]["StumpTracks"]["body_position_angle"]
    trunks = np.array(places)[::5, 0]
    expected = 140 + 20 * np.arange(count) - 10 * count  # px; the spawn point is at 140
    np.testing.assert_allclose(trunks * SCALE, expected)
    assert (
        env.embodiment.head.position.x
        > max(part.position.x for part in env.embodiment.parts[:-5:5])
        if count > 1
        else True
    )
    assert len(env.plan.pushed) == count
    assert len(env.embodiment.joints) == 4 * count + count - 1


@pytest.mark.parametrize("pairs", [1, 3])
def test_a_spider_has_pairs_of_legs_at_one_place(pairs):
    env = StumpTracks("spider", body_size=pairs)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (4 + 14 * pairs + 10,) and env.action_space.shape == (6 * pairs,)
    assert env.plan.torque_price == pytest.approx(0.00035 * 80 / pairs)
    places = np.array(env.plan.facts["spawn_exact"]["StumpTracks"]["body_position_angle"])
    for pair in range(pairs):
        np.testing.assert_array_equal(places[1:7], places[1 + 6 * pair : 7 + 6 * pair])
    joints = env.plan.facts["joints"]
    assert [joint["bodyA"] for joint in joints[::3]] == [0] * (2 * pairs)
    assert sorted(joint["bodyB"] for joint in joints) == list(range(1, 6 * pairs + 1))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_wheel_grows_with_its_trunk(scale):
    facts = grow("wheel", FACTS["wheel"], scale)
    half = 10 * scale / SCALE
    np.testing.assert_allclose(np.abs(facts["shapes_exact"][0]["vertices"]), half)
    spawn = facts["spawn_exact"]["Parkour"]
    x, y, _ = spawn["body_position_angle"][0]
    assert y == pytest.approx(100 / SCALE + (10 * scale + 20) / SCALE)
    for leg, (right, up) in enumerate(((0, -1), (0, 1), (-1, 0), (1, 0))):
        for number, away in ((1 + 2 * leg, 5), (2 + 2 * leg, 15)):
            place = spawn["body_position_angle"][number][:2]
            distance = (10 * scale + away) / SCALE
            np.testing.assert_allclose(place, [x + distance * right, y + distance * up])
        for number, away in ((2 * leg, 0), (2 * leg + 1, 10)):
            place = spawn["joint_anchors"][number]["anchor"]
            distance = (10 * scale + away) / SCALE
            np.testing.assert_allclose(place, [x + distance * right, y + distance * up])


@pytest.mark.parametrize(
    ("world", "name", "size"),
    [(StumpTracks, "millipede", 7), (Parkour, "spider", 3), (StumpTracks, "wheel", 2.0)],
)
def test_grown_bodies_obey_the_contract_of_worlds(world, name, size):
    records = check_environment(world, body=name, body_size=size)
    assert all(record.status == "passed" for record in records)


def test_sizes_that_do_not_fit_are_refused():
    for name, size in (
        ("millipede", 0),
        ("millipede", 2.5),
        ("millipede", 11),
        ("spider", -1),
        ("wheel", 0.0),
        ("wheel", float("nan")),
    ):
        with pytest.raises(ValueError, match=f"body_size of {name} is its {SIZES[name][0]}"):
            BodyPlan.load(name, "StumpTracks", size=size)
    with pytest.raises(ValueError, match="the size of fish cannot be chosen"):
        Parkour("fish", body_size=2)

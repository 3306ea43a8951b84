"""Millipedes, spiders and wheels of other sizes: from outside, then part by part in px."""

from __future__ import annotations

import json

import numpy as np
import pytest

from environments.box2d.body import BODIES, EMBODIMENTS, BodyPlan
from environments.box2d.engine import SCALE
from environments.box2d.parkour import Parkour
from environments.box2d.stump_tracks import StumpTracks
from environments.check import check_environment

MEASURED = json.loads(EMBODIMENTS.read_text("utf-8"))["embodiments"]
USUAL = {"millipede": 4, "spider": 2, "wheel": 1.0}
ANOTHER = {"millipede": 3, "spider": 3, "wheel": 2.0}
WORLDS = (StumpTracks, Parkour)
PLAIN = {
    "type",
    "torque_penalty",
    "no_head_angle_penalty",
    "head_body",
    "action_size",
    "motor_state_size",
    "creation_order",
    "shapes_exact",
    "joint_limits_exact",
    "spawn_exact",
}
OF_PART = {
    "name",
    "density",
    "friction",
    "restitution",
    "category",
    "mask",
    "sensor",
    "check_contact",
    "critical_contact",
}
OF_JOINT = {
    "type",
    "bodyA",
    "bodyB",
    "motor_enabled",
    "initial_motor_speed",
    "max_torque",
    "speed_control",
    "observe_contact",
    "angle_correction",
    "contact_body",
}


def facts_of(name, size):
    return BodyPlan.load(name, "StumpTracks", size=size).facts


def play(env, steps=80, seed=3):
    """A seeded episode with random actions: every observation and reward."""
    first, _ = env.reset(seed=seed)
    rng = np.random.default_rng(seed)
    trace = [first.tobytes()]
    while not env.over and env.steps < steps:
        observation, reward, *ends, _ = env.step(rng.uniform(-1, 1, env.action_space.shape))
        trace.append((observation.tobytes(), env.observation64.tobytes(), reward, *ends))
    return trace


def outline(facts, world="StumpTracks"):
    """Places of parts (n, 3) and anchors of joints (m, 2), px from the spawn point; rad."""
    spawn = facts["spawn_exact"][world]
    origin = np.array([spawn["init_x"], spawn["init_y"]])
    parts = np.array(spawn["body_position_angle"])
    parts[:, :2] = (parts[:, :2] - origin) * SCALE
    anchors = np.array([one["anchor"] for one in spawn["joint_anchors"]])
    return parts, (anchors - origin) * SCALE


@pytest.mark.parametrize("name", USUAL)
def test_the_usual_size_has_the_measured_doubles(name):
    """As text: it tells 0.0 from -0.0, and equal text means equal doubles."""
    ours, theirs = facts_of(name, USUAL[name]), MEASURED[name]
    for field in sorted(PLAIN):
        assert json.dumps(ours[field]) == json.dumps(theirs[field]), field
    for field, kept in (("bodies", OF_PART), ("joints", OF_JOINT)):
        for number, (mine, its) in enumerate(zip(ours[field], theirs[field], strict=True)):
            expected = {key: its[key] for key in sorted(kept & set(its))}
            assert {key: mine[key] for key in expected} == expected, (field, number)
    types = {type(value) for value in np.ravel(ours["joint_limits_exact"]).tolist()}
    assert types == {float}


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("name", USUAL)
def test_the_usual_size_plays_the_same_episode_named_or_not(world, name):
    plain = play(world(name))
    assert len(plain) > 10 and plain == play(world(name, body_size=USUAL[name]))
    assert plain != play(world(name, body_size=ANOTHER[name]))


@pytest.mark.parametrize(
    ("name", "size", "motors", "felt"),
    [
        ("millipede", 1, 4, 2),
        ("millipede", 3, 12, 6),
        ("millipede", 8, 32, 16),
        ("millipede", 10, 40, 20),
        ("spider", 1, 6, 2),
        ("spider", 3, 18, 6),
        ("wheel", 0.5, 8, 4),
        ("wheel", 3, 8, 4),
    ],
)
def test_observations_and_actions_have_the_announced_size(name, size, motors, felt):
    for world, others in ((StumpTracks, 4 + 10), (Parkour, 6 + 20)):
        env = world(name, body_size=size)
        observation, _ = env.reset(seed=0)
        assert observation.shape == env.observation_space.shape == (others + 2 * motors + felt,)
        assert env.action_space.shape == (motors,)
        assert len(env.plan.motors) == motors


@pytest.mark.parametrize(
    ("world", "body", "size"),
    [
        (StumpTracks, "millipede", 3),
        (Parkour, "millipede", 1),
        (StumpTracks, "spider", 3),
        (StumpTracks, "wheel", 0.5),
    ],
)
def test_other_sizes_obey_the_contract_of_worlds(world, body, size):
    records = check_environment(world, body=body, body_size=size)
    assert {record.status for record in records} == {"passed"}


def test_a_millipede_is_a_chain_centred_half_a_segment_behind():
    facts = facts_of("millipede", 3)
    parts, anchors = outline(facts)
    expected = [
        (x, y, 0.0) for x in (-30, -10, 10) for y in (0, -8, -18, -8, -18)
    ]  # per segment: body, upper and lower leg, upper and lower leg
    np.testing.assert_allclose(parts, expected, atol=1e-9)
    first = [(-30, -3), (-30, -13)] * 2
    second = [*[(-10, -3), (-10, -13)] * 2, (-20, 0)]
    third = [*[(10, -3), (10, -13)] * 2, (0, 0)]
    np.testing.assert_allclose(anchors, first + second + third, atol=1e-9)
    necks = [joint for joint in facts["joints"] if not joint["motor_enabled"]]
    assert [(joint["bodyA"], joint["bodyB"]) for joint in necks] == [(0, 5), (5, 10)]
    assert facts["head_body"] == 10
    assert facts["creation_order"] == (
        ["body", *["body", "joint"] * 4] + ["body", *["body", "joint"] * 4, "joint"] * 2
    )
    touched = [motor["contact_body"] for motor in facts["joints"] if motor.get("contact_body")]
    assert touched == [2, 4, 7, 9, 12, 14]


@pytest.mark.parametrize("segments", [1, 2, 10])
def test_push_and_falls_of_a_millipede_concern_every_segment(segments):
    kept = BodyPlan.load("millipede", "StumpTracks", size=segments)
    mended = BodyPlan.load("millipede", "StumpTracks", size=segments, quirks=False)
    assert kept.pushed == list(range(0, 5 * segments, 5))
    assert not any(kept.critical) and np.flatnonzero(mended.critical).tolist() == kept.pushed
    env = StumpTracks("millipede", body_size=segments)
    env.reset(seed=0)
    places = [part.position.x for part in env.embodiment.parts]
    assert env.embodiment.head.position.x == max(places[::5])


def test_all_pairs_of_a_spider_start_at_the_place_of_the_first():
    one, four = facts_of("spider", 1), facts_of("spider", 4)
    (parts, anchors), (more_parts, more_anchors) = outline(one), outline(four)
    assert np.array_equal(more_parts, np.concatenate([parts[:1], *[parts[1:]] * 4]))
    assert np.array_equal(more_anchors, np.concatenate([anchors] * 4))
    turns = np.array([0.25, 0.7, 0.9]) * np.pi
    steps = 20 * np.stack([-np.sin(turns), np.cos(turns)], axis=1)
    ends = np.array([-10.0, -4.0]) + np.cumsum(steps, axis=0)
    np.testing.assert_allclose(parts[1:4, :2], ends - steps / 2, atol=1e-9)
    np.testing.assert_allclose(anchors[1:3], ends[:2], atol=1e-9)
    np.testing.assert_allclose(parts[4:, :2], parts[1:4, :2] * [-1, 1], atol=1e-9)
    joints = four["joints"]
    assert [joint["bodyB"] for joint in joints] == list(range(1, 25))
    assert [joint["bodyA"] for joint in joints[:6]] == [0, 1, 2, 0, 4, 5]
    assert [joint["bodyA"] for joint in joints[18:]] == [0, 19, 20, 0, 22, 23]


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_wheel_carries_the_same_legs_at_the_sides_of_another_trunk(scale):
    facts, usual = facts_of("wheel", scale), facts_of("wheel", 1)
    ways = np.array([(0, -1), (0, 1), (-1, 0), (1, 0)])
    parts, anchors = outline(facts)
    centres = [away * way for way in ways for away in (10 * scale + 5, 10 * scale + 15)]
    np.testing.assert_allclose(parts[:, :2], [(0, 0), *centres], atol=1e-9)
    joints = [away * way for way in ways for away in (10 * scale, 10 * scale + 10)]
    np.testing.assert_allclose(anchors, joints, atol=1e-9)
    assert facts["shapes_exact"][1:] == usual["shapes_exact"][1:]
    env = Parkour("wheel", body_size=scale)
    height = (env.plan.facts["spawn_exact"]["Parkour"]["init_y"] - 400 / SCALE / 4) * SCALE
    assert height == pytest.approx(10 * scale + 20)  # the lowest leg just reaches the ground
    env.reset(seed=0)
    assert env.embodiment.head.mass == pytest.approx(5 * (20 * scale / 30) ** 2, rel=1e-6)
    assert env.embodiment.parts[1].mass == pytest.approx(4 * 10 / 900, rel=1e-6)


def test_effort_costs_the_less_the_more_legs_share_it():
    prices = {
        (name, size): BodyPlan.load(name, "Parkour", size=size).torque_price
        for name, size in (
            ("millipede", 1),
            ("millipede", 7),
            ("spider", 1),
            ("spider", 3),
            ("wheel", 0.5),
            ("wheel", 2),
        )
    }
    shares = [1, 7, 1, 3, 2, 2]
    assert list(prices.values()) == pytest.approx([0.028 / share for share in shares])
    strong = StumpTracks("spider", body_size=3, motors_torque=123.0)
    strong.reset(seed=0)
    strong.step(np.ones(18))
    assert [joint.GetMaxMotorTorque() for joint in strong.embodiment.joints] == [123.0] * 18


@pytest.mark.parametrize("world", WORLDS)
def test_bad_sizes_are_refused_and_say_what_is_expected(world):
    endless, nothing = float("inf"), float("nan")
    for name, sizes in (
        ("millipede", (0, -1, 2.5, 11, endless, nothing, "4", True, [4])),
        ("spider", (0, -1, 1.5, 7, endless, nothing, "2", True)),
        ("wheel", (0.0, -1.0, 0.24, 3.1, endless, nothing, "1", True)),
    ):
        for size in sizes:
            with pytest.raises(ValueError, match=rf"body_size of .*{name} .* from .* to "):
                world(name, body_size=size)
    for name in sorted(set(BODIES) - set(USUAL)):
        with pytest.raises(ValueError, match=f"body_size is for millipede, spider.*{name}"):
            world(name, body_size=1)
    with pytest.raises(ValueError, match="did you mean 'spider'"):
        world("spyder", body_size=1)


def test_whole_numbers_of_any_kind_are_counts():
    for count in (3.0, np.int64(3), np.float32(3.0)):
        assert facts_of("millipede", count) == facts_of("millipede", 3)

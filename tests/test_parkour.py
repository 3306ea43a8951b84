"""Parkour from outside, then its rules against the published ones."""

from __future__ import annotations

import numpy as np
import pytest

from environments.box2d.body import BODIES, BodyPlan
from environments.box2d.corridor import TRACK_X, Corridor, Creepers, generate
from environments.box2d.engine import TERRAIN_HEIGHT, TERRAIN_STEP
from environments.box2d.parkour import FINISH_LINE, LAYOUT_OF, Parkour
from tests.conftest import GOLDEN

PUBLISHED_SIZES = {
    "old_classic_bipedal": 36,
    "classic_bipedal": 36,
    "small_bipedal": 36,
    "spider": 54,
    "big_quadru": 46,
    "old_big_quadru": 46,
    "millipede": 66,
    "wheel": 46,
    "profile_chimpanzee": 62,
    "climbing_profile_chimpanzee": 54,
    "climbing_chest_profile_chimpanzee": 44,
    "fish": 38,
    "amphibious_bipedal": 36,
}
CLIMBER = "climbing_profile_chimpanzee"


def hall(water=-90.0, creepers=(), ceiling=20.0, movable=False):
    """A straight corridor."""
    ground = np.full(len(TRACK_X), TERRAIN_HEIGHT)
    return Corridor(TRACK_X, ground, ground + ceiling, creepers, water, movable)


def play(env, actions):
    """Steps until the end; everything that came back."""
    trace = []
    for action in actions:
        trace.append(env.step(action))
        if trace[-1][2] or trace[-1][3]:
            break
    return trace


@pytest.mark.parametrize("body", BODIES)
def test_every_body_observes_as_many_numbers_as_published(body):
    env = Parkour(body)
    observation, _ = env.reset(seed=0)
    assert observation.shape == (PUBLISHED_SIZES[body],)
    assert env.observation_space.contains(observation)
    kind = {"fish": "swimmer", "amphibious_bipedal": "amphibian"}.get(body)
    kind = kind or ("climber" if body.startswith("climbing") else "walker")
    assert (
        env.plan.kind == kind
        and env.layout.spread
        == {
            "walker": 1.5,
            "climber": 2.3,
            "swimmer": np.pi,
            "amphibian": np.pi,
        }[kind]
    )


def test_task_parameters_stand_in_the_published_order():
    names = [one.name for one in Parkour().task_parameters]
    assert names == [
        "input_vector_0",
        "input_vector_1",
        "input_vector_2",
        "water_level",
        "creepers_height",
        "creepers_spacing",
    ]
    bounds = {"creepers_width": (0, 1), "terrain_cppn_scale": (10, 20)}
    env = Parkour(task_bounds=bounds)
    assert [one.name for one in env.task_parameters] == [
        *names[:4],
        "creepers_width",
        *names[4:],
        "terrain_cppn_scale",
    ]
    assert env.task_space.low.tolist() == [-0.35, 0.6, -0.1, 0, 0, 0, 0, 10]
    env.reset(seed=0, options={"task": [-0.2, 0.9, 0.1, 0.2, 0.5, 2, 3, 20]})
    assert env.scene.creepers[0, 1] - env.scene.creepers[0, 0] == 0.5
    assert env.scene.ceiling[0] == TERRAIN_HEIGHT + 10.0  # 200 / scale above the pad
    none = Parkour(creepers="none")
    assert [one.name for one in none.task_parameters] == names[:4]
    none.reset(seed=0)
    assert len(none.scene.creepers) == 0
    assert Parkour(area="whole").task_space.high.tolist()[:3] == [1.0, 1.0, 1.0]


def test_bad_arguments_are_named():
    for options, word in (
        ({"body": "fsh"}, "did you mean 'fish'"),
        ({"area": "hard"}, "area must be one of"),
        ({"creepers": "some"}, "creepers must be one of"),
        ({"lidar_layout": "front"}, "lidar_layout must be one of"),
        ({"terrain_cppn_scale": 1.0}, "terrain_cppn_scale above 1"),
        ({"breath_steps": -1}, "breath_steps"),
        ({"motors_torque": 0}, "motors_torque"),
        ({"task_bounds": {"water": (0, 1)}}, "water_level"),
        ({"creepers": "none", "task_bounds": {"creepers_height": (0, 1)}}, "creepers_height"),
    ):
        with pytest.raises(ValueError, match=word):
            Parkour(**options)


def test_corridors_that_cannot_be_are_refused():
    flat = np.zeros(3)
    for arguments, word in (
        (([0, 1, 2], flat, flat[:2], [], 0.0), "same number of vertices"),
        (([0, 2, 1], flat, flat, [], 0.0), "rise"),
        (([0, 1, 2], flat, flat * np.nan, [], 0.0), "finite"),
        (([0, 1, 2], flat, flat, [[1, 2, 3]], 0.0), "four numbers"),
        (([0, 1, 2], flat, flat, [[1, 0, 0, 1]], 0.0), "right and top"),
    ):
        with pytest.raises(ValueError, match=word):
            Corridor(*arguments)


class Recorded:
    """Plays back the creepers of a recorded reset instead of drawing them."""

    def __init__(self, lengths):
        self.lengths = lengths

    def normal(self, mean, std, size):
        assert std == 0.1 and size == len(self.lengths)
        return self.lengths


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("pk_*.npz")), ids=lambda path: path.stem)
def test_corridors_follow_the_network_of_the_reference(path):
    with np.load(path) as file:
        record = dict(file)
    task = dict(zip(record["task_names"].tolist(), record["task_vector"], strict=True))
    vector = np.array([task[f"input_vector[{number}]"] for number in range(3)])
    scene = generate(
        Recorded(record["draw_value"][record["draw_purpose"] == "creeper_height"]),
        vector,
        water_level=task["water_level"],
        creepers=Creepers(*(task[f"creepers_{size}"] for size in ("width", "height", "spacing"))),
        scale=task["terrain_cppn_scale"],
        movable="creeper_body_poses" in record,
    )
    assert np.array_equal(scene.x, record["terrain_x"])
    # The network's output differs by up to 0.003 from one evaluated elsewhere.
    tolerance = 0.006 / task["terrain_cppn_scale"]
    np.testing.assert_allclose(scene.ground, record["ground_y"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(scene.ceiling, record["ceiling_y"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(scene.water, record["water_y"], rtol=0, atol=tolerance)
    np.testing.assert_allclose(scene.creepers, record["creeper_rects"], rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    ("spacing", "count", "pitch"), [(0.0, 110, 2), (0.4, 110, 2), (1.0, 55, 4), (5.0, 19, 12)]
)
def test_creepers_of_the_reference_stand_a_step_too_far_apart(spacing, count, pitch):
    rng = np.random.default_rng(0)
    vector, sizes = np.array([-0.15, 0.9, 0.1]), Creepers(0.0, 0.0, spacing)
    scene = generate(rng, vector, water_level=0.0, creepers=sizes, scale=10.0)
    assert len(scene.creepers) == count
    left, right, bottom, top = scene.creepers.T
    np.testing.assert_allclose(np.diff(left), pitch * TERRAIN_STEP)
    np.testing.assert_allclose(right - left, 0.2)  # never thinner, even where the task says 0
    assert (top - bottom >= 0.2 - 1e-12).all()


def test_mended_creepers_stand_as_asked_or_not_at_all():
    rng = np.random.default_rng(0)
    vector = np.array([-0.15, 0.9, 0.1])
    for width, length in ((0.0, 2.0), (0.3, 0.0)):
        sizes = Creepers(width, length, 1.0)
        scene = generate(rng, vector, water_level=0, creepers=sizes, scale=10, quirks=False)
        assert len(scene.creepers) == 0
    sizes = Creepers(0.3, 2.0, 1.25)
    scene = generate(rng, vector, water_level=0, creepers=sizes, scale=10, quirks=False)
    left, right, bottom, top = scene.creepers.T
    np.testing.assert_allclose(np.diff(left), 1.25)
    np.testing.assert_allclose(right - left, 0.3)
    assert 1.9 < np.mean(top - bottom) < 2.1


def test_the_corridor_may_close_unless_it_needs_clearance():
    rng, vector = np.random.default_rng(0), np.array([1.0, -1.0, -1.0])
    free = generate(rng, vector, water_level=0, creepers=None, scale=10)
    assert (free.ceiling - free.ground).min() == 0.0
    clear = generate(rng, vector, water_level=0, creepers=None, scale=10, clearance=30.0)
    assert (clear.ceiling - clear.ground).min() == pytest.approx(3.0)


def test_level_one_is_the_highest_ceiling_and_level_zero_a_puddle():
    rng, vector = np.random.default_rng(0), np.array([-0.15, 0.9, 0.1])
    full, empty = (
        generate(rng, vector, water_level=level, creepers=None, scale=10) for level in (1.0, 0.0)
    )
    assert full.water == pytest.approx(full.ceiling.max(), rel=1e-12)
    assert empty.water == pytest.approx(-100 + 0.01 * (full.ceiling.max() + 100))


def test_a_walker_drowns_after_its_breath_and_idles_until_the_limit():
    env = Parkour(breath_steps=20, max_episode_steps=40)
    env.reset_scene(hall(water=15.0))
    actions = np.ones((60, 4))
    trace = play(env, actions)
    dead = [observation[5] for observation, *_ in trace]
    # More than 20 steps under water: the test is made at the start of the 22nd.
    assert dead == [0.0] * 21 + [1.0] * 19
    assert all(observation[4] == 1.0 for observation, *_ in trace)
    assert trace[-1][3] and not trace[-1][2]
    # A dead body pays for no torque.
    x = env.embodiment.head.position.x
    assert [joint.GetMaxMotorTorque() for joint in env.embodiment.joints] == [0.0] * 4
    assert np.isfinite(x)


def test_mended_death_ends_the_episode():
    env = Parkour(breath_steps=20, quirks=False)
    env.reset_scene(hall(water=15.0))
    trace = play(env, np.zeros((60, 4)))
    assert len(trace) == 22 and trace[-1][2] and trace[-1][1] != -100.0


def test_fish_suffocate_outside_and_amphibians_never_do():
    fish = Parkour("fish", breath_steps=15, max_episode_steps=30)
    fish.reset_scene(hall())
    assert play(fish, np.zeros((30, 4)))[-1][0][5] == 1.0
    fish.reset_scene(hall(water=15.0))
    assert play(fish, np.zeros((30, 4)))[-1][0][5] == 0.0
    for water in (-90.0, 15.0):
        amphibian = Parkour("amphibious_bipedal", breath_steps=5, max_episode_steps=30)
        amphibian.reset_scene(hall(water=water))
        assert play(amphibian, np.zeros((30, 4)))[-1][0][5] == 0.0


def test_breath_comes_back_above_water():
    env = Parkour("classic_bipedal", breath_steps=30)
    env.reset_scene(hall(water=15.0))
    play(env, np.zeros((20, 4)))
    assert env._under == 20
    for part in env.embodiment.parts:
        part.position = part.position.x, part.position.y + 15
    env.step(np.zeros(4))
    assert (env._under, env._outside, env.dead) == (0, 1, False)


def test_climbers_start_hanging_and_fall_when_they_let_go():
    env = Parkour(CLIMBER)
    observation, _ = env.reset_scene(hall(ceiling=20.0))
    motors, sensed = len(env.plan.motors), 6 + env.plan.facts["motor_state_size"]
    assert env.embodiment.attached == [1.0, 1.0]
    assert observation[sensed + 1] == observation[sensed + 3] == 1.0
    hold = np.zeros(motors + 2)
    hold[-2:] = 1.0
    heights = []
    for _ in range(30):
        env.step(hold)
        heights.append(env._y)
    assert max(heights) - min(heights) < 1.0 and not env.over
    drop = [env.step(np.zeros(motors + 2)) for _ in range(40)]
    assert env.embodiment.attached == [0.0, 0.0]
    assert env._y < min(heights) - 2.0
    assert drop[0][0][sensed + 1] == 0.0
    rest = play(env, np.zeros((200, motors + 2)))
    assert rest[-1][2] and rest[-1][1] == -100.0  # it falls on its head, trunk or lower legs


def test_a_grip_holds_on_to_a_creeper():
    creepers = [[4.0, 5.4, TERRAIN_HEIGHT + 15.0, TERRAIN_HEIGHT + 20.0]]
    env = Parkour(CLIMBER)
    env.reset_scene(hall(creepers=creepers))
    motors = len(env.plan.motors)
    env.step(np.zeros(motors + 2))  # let go
    for _ in range(20):  # fall two metres
        env.step(np.zeros(motors + 2))
    hold = np.concatenate([np.zeros(motors), [1.0, 1.0]])
    before = env._y
    for _ in range(40):
        env.step(hold)
    assert 1.0 in env.embodiment.attached and env._y > before - 4.0
    held = [joint.bodyB for joint in env._grips.joints if joint is not None]
    creeper_bodies = [body for body, creeper, _ in env._holds if creeper]
    assert held[0] in creeper_bodies


def test_movable_creepers_swing_with_who_hangs_on_them():
    creepers = [[4.2, 5.2, TERRAIN_HEIGHT + 19 - n, TERRAIN_HEIGHT + 20 - n] for n in range(4)]
    env = Parkour(CLIMBER, creepers="movable")
    env.reset_scene(hall(creepers=creepers, movable=True))
    still = env.creeper_corners()
    motors = len(env.plan.motors)
    for _ in range(20):
        env.step(np.zeros(motors + 2))
    hold = np.concatenate([np.ones(motors), [1.0, 1.0]])
    for _ in range(40):
        env.step(hold)
    moved = np.abs(env.creeper_corners() - still).max()
    assert 1.0 in env.embodiment.attached and moved > 0.05


def test_rays_see_water_from_above_and_creepers_from_outside():
    creepers = [[x, x + 0.5, TERRAIN_HEIGHT, TERRAIN_HEIGHT + 20] for x in (7.0, 8.0)]
    env = Parkour("classic_bipedal")
    observation, _ = env.reset_scene(hall(water=TERRAIN_HEIGHT + 0.5, creepers=creepers))
    assert set(observation[-10:]) == {-1.0, 1.0}  # down: water; forward: the first creeper
    below, _ = env.reset_scene(hall(water=TERRAIN_HEIGHT + 10.0))
    assert below[-10:].tolist() == [0.0] * 10  # the surface is invisible from below
    assert below[-20] == pytest.approx((env._y - TERRAIN_HEIGHT) / (160 / 30), abs=1e-5)


@pytest.mark.parametrize("quirks", [True, False])
def test_only_mended_rays_forget_what_they_met(quirks):
    creepers = [[7.0, 7.5, TERRAIN_HEIGHT, TERRAIN_HEIGHT + 20]]
    env = Parkour("classic_bipedal", quirks=quirks)
    observation, _ = env.reset_scene(hall(creepers=creepers))
    assert observation[-1] == 1.0
    for part in env.embodiment.parts:
        part.position = part.position.x + 20.0, part.position.y + 12.0
    observation, *_ = env.step(np.zeros(4))
    assert observation[-20:-10].tolist() == [1.0] * 10
    assert observation[-1] == (1.0 if quirks else 0.0)


def test_the_finish_line_and_the_way_back():
    for x, reward in ((FINISH_LINE + 1.0, None), (-0.5, -100.0)):
        env = Parkour("classic_bipedal")
        env.reset_scene(hall())
        for part in env.embodiment.parts:
            part.position = part.position.x + x - env._x, part.position.y
        _, got, terminated, truncated, info = env.step(np.zeros(4))
        assert terminated and not truncated
        if reward is None:
            assert got > 400 and info["success"] is True
        else:
            assert got == reward and info["success"] is False


def test_walkers_never_fall_but_the_walking_chimpanzee_does_until_mended():
    for name in BODIES:
        if LAYOUT_OF[BodyPlan.load(name, "Parkour").kind] != "down":
            continue
        critical = {
            quirks: any(BodyPlan.load(name, "Parkour", quirks=quirks).critical)
            for quirks in (True, False)
        }
        assert critical == {True: name == "profile_chimpanzee", False: False}
    for quirks in (True, False):
        plan = BodyPlan.load("millipede", "StumpTracks", quirks=quirks)
        assert any(plan.critical) is not quirks
    assert any(BodyPlan.load(CLIMBER, "Parkour").critical)
    assert not any(BodyPlan.load("fish", "Parkour").critical)


def test_torque_can_be_set():
    strong = Parkour("fish", motors_torque=123.0)
    strong.reset(seed=0)
    strong.step(np.ones(4))
    assert {joint.GetMaxMotorTorque() for joint in strong.embodiment.joints} == {123.0}


def test_the_push_spares_the_fish_and_meets_every_segment_of_a_millipede():
    for name, count in (("fish", 0), ("millipede", 4), ("classic_bipedal", 1), (CLIMBER, 1)):
        assert len(BodyPlan.load(name, "Parkour").pushed) == count
    tracks = [Parkour(name) for name in ("fish", "fish")]
    for env, push in zip(tracks, (0.0, 5.0), strict=True):
        env.reset_scene(hall(water=15.0), push)
    assert tracks[0].observation64.tobytes() == tracks[1].observation64.tobytes()


def test_lidar_made_ready_by_stretches_reads_like_a_whole_one():
    env, whole = Parkour("fish"), Parkour("fish")
    whole.stretch = float("inf")
    task = [-0.2, 0.7, 0.2, 0.8, 2.0, 1.0]
    for world in (env, whole):
        world.reset(seed=3, options={"task": task})
    rng = np.random.default_rng(0)
    for _ in range(60):
        shift = rng.uniform(-6.0, 8.0)
        for world in (env, whole):
            for part in world.embodiment.parts:
                part.position = part.position.x + shift, part.position.y
        action = rng.uniform(-1, 1, 4)
        ours, theirs = env.step(action)[0], whole.step(action)[0]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)
        if env.over:
            break

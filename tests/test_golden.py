"""Recorded episodes of the reference, replayed: the same terrain, push and actions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from environments.box2d import corridor
from environments.box2d.body import BODIES
from environments.box2d.lidar import NUM_RAYS
from environments.box2d.parkour import Parkour
from environments.box2d.stump_tracks import StumpTracks
from environments.box2d.terrain import Terrain

TOLERANCE = 1e-5  # lidar, reward; the physics itself is compared bit for bit
# In water the forces are computed in another precision: rows up to here, largest deviation.
IN_WATER = ((0, 1e-7), (1, 1e-6), (10, 1e-4), (50, 1e-3))
# Constructor arguments of the reference and ours.
ARGUMENTS = {
    "lidars_type": lambda value: {"lidar_layout": value},
    "nb_steps_under_water": lambda value: {"breath_steps": value},
    "nb_steps_outside_water": lambda value: {"breath_steps": value},
    "movable_creepers": lambda value: {"creepers": "movable" if value else "fixed"},
}


def load(path):
    """The arrays of a recording and its description; skips what this project does not have."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    if meta["environment"] not in ("StumpTracks", "Parkour"):
        pytest.skip(f"the world {meta['environment']} is not part of this project")
    if meta["embodiment"] not in BODIES:
        pytest.skip(f"the body {meta['embodiment']} is not part of this project")
    unknown = set(meta["constructor"]) - set(ARGUMENTS)
    if unknown:
        pytest.skip(f"recorded with other constructor arguments: {sorted(unknown)}")
    if "stump_vertices" in arrays and arrays["stump_vertices"].shape[1:] != (4, 2):
        pytest.skip("obstacles that are not boxes are not part of this project")
    return arrays, meta


def begin(arrays, meta, **options):
    """A world at the start of the recorded episode."""
    keywords = {"max_episode_steps": None}
    for name, value in meta["constructor"].items():
        keywords |= ARGUMENTS[name](value)
    if meta["environment"] == "StumpTracks":
        env = StumpTracks(meta["embodiment"], **keywords)
        ground = np.stack([arrays["terrain_x"], arrays["terrain_y"]], axis=1)
        scene = Terrain(ground, arrays["stump_vertices"])
    else:
        env = Parkour(meta["embodiment"], **keywords)
        scene = corridor.Corridor(
            arrays["terrain_x"],
            arrays["ground_y"],
            arrays["ceiling_y"],
            creepers(arrays),
            float(arrays["water_y"]),
            env.creepers == "movable",
        )
    env.reset_scene(scene, float(arrays["hull_push"]), **options)
    return env


def creepers(arrays):
    """The creepers from their recorded draws: their recorded corners are rounded to float32."""
    task = dict(zip(arrays["task_names"].tolist(), arrays["task_vector"].tolist(), strict=True))
    sizes = (task.get(f"creepers_{name}") for name in ("width", "height", "spacing"))
    sizes = corridor.Creepers(*(0.0 if size is None else size for size in sizes))
    lengths = arrays["draw_value"][arrays["draw_purpose"] == "creeper_height"]
    spots = corridor._as_the_reference(arrays["ceiling_y"], sizes)[: len(lengths)]
    x, top, least = np.reshape(spots, (-1, 3)).T
    recorded = arrays["creeper_rects"]
    exact = corridor._hung(
        x,
        np.maximum(least, sizes.width),
        top,
        np.maximum(least, lengths),
        movable=len(recorded) > len(lengths),
    )
    np.testing.assert_allclose(exact, recorded, rtol=0, atol=1e-5)
    return exact


def poses(env):
    """Position and angle of all parts; the recordings have grip sensors last."""
    grips = env.plan.grips
    order = [part for part in range(len(env.embodiment.parts)) if part not in grips] + grips
    parts = [env.embodiment.parts[part] for part in order]
    return [(*part.position, part.angle) for part in parts]


def head(env):
    body = env.embodiment.head
    return (*body.position, body.angle, *body.linearVelocity, body.angularVelocity)


def replay(arrays, meta):
    """Play all recorded actions, also past the end of the episode, as the reference did."""
    env = begin(arrays, meta, run_on=True)
    ours = {"obs": [env.observation64], "poses": [poses(env)], "head": [head(env)]}
    ours |= {"reward": [], "terminated": [], "success": []}
    for action in arrays["actions"]:
        observation, reward, terminated, _, info = env.step(action)
        assert np.array_equal(observation, env.observation64.astype(np.float32))
        for name, value in (
            ("obs", env.observation64),
            ("poses", poses(env)),
            ("head", head(env)),
            ("reward", reward),
            ("terminated", terminated),
            ("success", info["success"]),
        ):
            ours[name].append(value)
    return {name: np.array(values) for name, values in ours.items()}


def expect(arrays, meta):
    """What a new world must give, and for how many rows the poses count.

    Two dense scenes depend on what the reference's world held before; they carry the arrays of a
    brand-new world besides. Poses were recorded in the reused world only.
    """
    names = ("obs", "reward", "terminated", "head")
    theirs = {name: arrays.get(f"fresh_{name}", arrays[name]) for name in names}
    theirs |= {name: arrays[name] for name in ("success", "poses")}
    if meta["new_world_identical"]:
        return theirs, len(arrays["obs"]), len(arrays["obs"])
    rows = meta["new_world_first_diff_step"]
    return theirs, len(arrays["obs"]) if "fresh_obs" in arrays else rows, rows


def largest(ours, theirs):
    assert ours.shape == theirs.shape
    return float(np.max(np.abs(ours - theirs), initial=0.0))


def gets_wet(arrays):
    """Whether a part of the body comes near the water; a part is at most 1 m long."""
    return "water_y" in arrays and bool((arrays["poses"][:, :, 1] - 1 < arrays["water_y"]).any())


def split(observations, meta):
    """State, lidar, and in Parkour the surfaces that the rays meet."""
    surfaces = NUM_RAYS if meta["environment"] == "Parkour" else 0
    size = observations.shape[1]
    return np.split(observations, [size - NUM_RAYS - surfaces, size - surfaces], axis=1)


def test_replayed_episode_equals_the_recording(recording, record_property):
    arrays, meta = load(recording)
    ours, (theirs, rows, pose_rows) = replay(arrays, meta), expect(arrays, meta)
    wet = gets_wet(arrays)
    compared = min(rows, IN_WATER[-1][0] + 1) if wet else rows
    steps = compared - 1
    state, rays, surfaces = split(ours["obs"][:compared], meta)
    their_state, their_rays, their_surfaces = split(theirs["obs"][:compared], meta)
    pose_rows = min(pose_rows, compared)
    deviation = {
        "steps": steps,
        "poses": max(
            largest(ours["poses"][:pose_rows], theirs["poses"][:pose_rows]),
            largest(ours["head"][:compared], theirs["head"][:compared]),
        ),
        "state": largest(state, their_state),
        "lidar": largest(rays, their_rays),
        "reward": largest(ours["reward"][:steps], theirs["reward"][:steps]),
        "note": "in water" if wet else "",
    }
    if pose_rows < compared:
        deviation["note"] = f"poses of all parts up to step {pose_rows - 1}"
    record_property(f"golden:{recording.stem}", deviation)
    if wet:
        for last, tolerance in IN_WATER:
            assert largest(state[: last + 1], their_state[: last + 1]) <= tolerance
            assert largest(rays[: last + 1], their_rays[: last + 1]) <= max(tolerance, TOLERANCE)
    else:
        assert deviation["poses"] == 0.0
        assert deviation["state"] <= TOLERANCE
        assert deviation["lidar"] <= TOLERANCE
        assert deviation["reward"] <= TOLERANCE
    assert np.array_equal(surfaces, their_surfaces)
    # The ends agree over the whole length, also in water.
    assert np.array_equal(ours["terminated"][: rows - 1], theirs["terminated"][: rows - 1])
    assert np.array_equal(ours["success"][: rows - 1], theirs["success"][: rows - 1])


def test_replayed_episode_ends_where_the_recording_terminates(recording):
    arrays, meta = load(recording)
    terminated = expect(arrays, meta)[0]["terminated"]
    env = begin(arrays, meta)
    for action, over in zip(arrays["actions"], terminated, strict=True):
        assert env.step(action)[2] == over
        if over:
            with pytest.raises(ResetNeeded):
                env.step(action)
            break
    assert env.steps == meta["first_terminated_step"] + 1 or not terminated.any()


def test_breath_is_counted_as_recorded(recording):
    arrays, meta = load(recording)
    if "water_counters" not in arrays:
        pytest.skip("there is no water in this world")
    env = begin(arrays, meta, run_on=True)
    # In water the trajectories part; the counters depend on them only where the head is far from
    # the surface, which the first 50 steps of every recording are.
    steps = 50 if gets_wet(arrays) else len(arrays["actions"])
    for action, expected in zip(arrays["actions"][:steps], arrays["water_counters"], strict=False):
        env.step(action)
        assert (env._under, env._outside) == tuple(expected)


def test_creepers_swing_as_recorded(recording):
    arrays, meta = load(recording)
    if "creeper_body_poses" not in arrays:
        pytest.skip("there are no movable creepers in this recording")
    env = begin(arrays, meta, run_on=True)
    for row, expected in enumerate(arrays["creeper_body_poses"]):
        if row:
            env.step(arrays["actions"][row - 1])
        ours = [(*body.position, body.angle) for body in env._movable.bodies]
        assert np.array_equal(ours, expected), f"row {row}"

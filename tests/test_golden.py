"""Recorded episodes of the reference, replayed: the same terrain, push and actions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gymnasium.error import ResetNeeded

from environments.box2d.body import BODIES
from environments.box2d.lidar import NUM_RAYS
from environments.box2d.stump_tracks import StumpTracks
from environments.box2d.terrain import Terrain

TOLERANCE = 1e-5  # lidar, reward; the physics itself is compared bit for bit


def load(path):
    """The arrays of a recording and its description; skips what this project does not have."""
    with np.load(path, allow_pickle=False) as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"]))
    if meta["environment"] != "StumpTracks":
        pytest.skip(f"the world {meta['environment']} is not part of this project")
    if meta["embodiment"] not in BODIES:
        pytest.skip(f"the body {meta['embodiment']} is not part of this project")
    if meta["constructor"]:
        pytest.skip(f"recorded with other constructor arguments: {meta['constructor']}")
    if arrays["stump_vertices"].shape[1:] != (4, 2):
        pytest.skip("obstacles that are not boxes are not part of this project")
    return arrays, meta


def begin(arrays, meta, **options):
    env = StumpTracks(meta["embodiment"], max_episode_steps=10**9)
    ground = np.stack([arrays["terrain_x"], arrays["terrain_y"]], axis=1)
    terrain = Terrain(ground, arrays["stump_vertices"])
    env.reset_scene(terrain, float(arrays["hull_push"]), **options)
    return env


def poses(env):
    return [(*part.position, part.angle) for part in env.embodiment.parts]


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


def test_replayed_episode_equals_the_recording(recording, record_property):
    arrays, meta = load(recording)
    ours, (theirs, rows, pose_rows) = replay(arrays, meta), expect(arrays, meta)
    steps = rows - 1
    deviation = {
        "steps": steps,
        "poses": max(
            largest(ours["poses"][:pose_rows], theirs["poses"][:pose_rows]),
            largest(ours["head"][:rows], theirs["head"][:rows]),
        ),
        "state": largest(ours["obs"][:rows, :-NUM_RAYS], theirs["obs"][:rows, :-NUM_RAYS]),
        "lidar": largest(ours["obs"][:rows, -NUM_RAYS:], theirs["obs"][:rows, -NUM_RAYS:]),
        "reward": largest(ours["reward"][:steps], theirs["reward"][:steps]),
        "note": "" if pose_rows == rows else f"poses of all parts up to step {pose_rows - 1}",
    }
    record_property(f"golden:{recording.stem}", deviation)
    assert deviation["poses"] == 0.0
    assert deviation["state"] <= TOLERANCE
    assert deviation["lidar"] <= TOLERANCE
    assert deviation["reward"] <= TOLERANCE
    assert np.array_equal(ours["terminated"][:steps], theirs["terminated"][:steps])
    assert np.array_equal(ours["success"][:steps], theirs["success"][:steps])


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

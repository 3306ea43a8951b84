"""Properties of every procedural world and body over random tasks, corners included."""

from __future__ import annotations

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import load_env_creator
from hypothesis import given, settings
from hypothesis import strategies as st

import environments
from environments import WORLDS
from environments.box2d.bipedal_terrain import WALKERS
from environments.box2d.body import BODIES

CASES = [
    *(("stump_tracks", {"body": body}) for body in BODIES),
    *(("parkour", {"body": body}) for body in BODIES),
    *(("bipedal_terrain", {"body": body}) for body in WALKERS),
    ("stump_tracks", {"quirks": False, "obstacles": ("stumps", "sequence"),
                      "task_bounds": {"stump_width": (0, 3), "stump_rotation": (0, 1.571),
                                      "roughness": (0, 5)}}),
    ("parkour", {"quirks": False, "body": "climbing_profile_chimpanzee", "area": "whole",
                 "creepers": "movable", "task_bounds": {"creepers_width": (0, 2),
                                                        "terrain_cppn_scale": (2, 50)}}),
    ("parkour", {"body": "fish", "area": "whole", "creepers": "none"}),
]  # fmt: skip
OTHERS = [(name, {}) for name in WORLDS if name not in {case[0] for case in CASES}]


def label(case):
    return "-".join(
        [case[0], *(str(value) for value in case[1].values() if isinstance(value, str))]
    )


@functools.cache
def used_world(number):
    """A world that every example of a case plays on: it has a past."""
    name, keywords = (CASES + OTHERS)[number]
    return load_env_creator(WORLDS[name])(**keywords)


def episode(env, task, seed, steps=25):
    """Bytes of all observations, rewards and flags of the first steps."""
    rng = np.random.default_rng(seed)
    low, high = env.action_space.low, env.action_space.high
    observation, _ = env.reset(seed=seed, options={"task": task})
    trace = [(observation.tobytes(), 0.0, False, False)]
    assert np.isfinite(observation).all()
    for _ in range(steps):
        action = rng.uniform(low, high).astype(env.action_space.dtype)
        observation, reward, terminated, truncated, info = env.step(action)
        assert np.isfinite(observation).all() and np.isfinite(reward)
        assert env.observation_space.contains(observation)
        trace.append((observation.tobytes(), reward, terminated, truncated))
        if terminated or truncated:
            assert isinstance(info["success"], bool | np.bool_)
            break
    return trace


@pytest.mark.parametrize("number", range(len(CASES + OTHERS)), ids=map(label, CASES + OTHERS))
@settings(max_examples=6, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_task_plays_repeats_and_leaves_no_trace(number, data):
    name, keywords = (CASES + OTHERS)[number]
    used = used_world(number)
    space = used.task_space
    shares = data.draw(
        st.lists(
            st.one_of(st.sampled_from([0.0, 1.0]), st.floats(0.0, 1.0)),
            min_size=len(space.low),
            max_size=len(space.low),
        )
    )
    task = np.clip(space.low + np.array(shares) * (space.high - space.low), space.low, space.high)
    seed = data.draw(st.integers(0, 2**31 - 1))
    fresh = load_env_creator(WORLDS[name])(**keywords)
    assert episode(used, task, seed) == episode(fresh, task, seed)


@pytest.mark.parametrize("name", environments.GYMNASIUM)
@pytest.mark.filterwarnings("ignore:.*out of date.*")
def test_gymnasium_makes_every_id(name):
    env = gymnasium.make(f"lyceum/{name}", render_mode="rgb_array")
    low = env.unwrapped.task_space.low
    first, _ = env.reset(seed=3, options={"task": low})
    assert first.shape == env.observation_space.shape
    picture = env.render()
    assert picture.dtype == np.uint8 and picture.ndim == 3
    env.close()


@pytest.mark.filterwarnings("ignore:.*out of date.*")
def test_gymnasium_cuts_episodes_where_it_is_told_to():
    for limit in (7, 2500):
        env = gymnasium.make("lyceum/Parkour-v0", max_episode_steps=limit)
        env.reset(seed=0)
        steps, truncated = 0, False
        while not truncated:
            *_, terminated, truncated, _ = env.step(np.zeros(4, np.float32))
            assert not terminated
            steps += 1
        assert steps == limit


@pytest.mark.filterwarnings("ignore:.*out of date.*")
def test_version_one_mends_the_quirks():
    for world in ("StumpTracks", "Parkour"):
        flags = [
            gymnasium.make(f"lyceum/{world}-v{version}").unwrapped.quirks for version in (0, 1)
        ]
        assert flags == [True, False]

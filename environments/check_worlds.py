"""Rules for procedural worlds. One rule is one function that is given a factory."""

from __future__ import annotations

import copy
import itertools
import random
import sys
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.utils.env_checker import check_env

from environments.base import ProceduralEnv

Make = Callable[..., ProceduralEnv]
Episode = list[tuple[np.ndarray, float, bool, bool]]
MAX_STEPS = 10_000  # an episode must have ended by then


def play(
    env: ProceduralEnv, task: np.ndarray | None, seed: int | None = 5, steps: int = 60
) -> Episode:
    """Reset with a task and a seed, then act by a fixed random stream, at most ``steps`` times."""
    actions = copy.deepcopy(env.action_space)
    actions.seed(17)
    options = None if task is None else {"task": task}
    observation, _ = env.reset(seed=seed, options=options)
    episode: Episode = [(np.array(observation), 0.0, False, False)]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(actions.sample())
        episode.append((np.array(observation), float(reward), bool(terminated), bool(truncated)))
        if terminated or truncated:
            break
    return episode


def same(ours: Episode, theirs: Episode) -> bool:
    """Whether two episodes are equal bit for bit."""
    return len(ours) == len(theirs) and all(
        a[0].tobytes() == b[0].tobytes() and a[1:] == b[1:]
        for a, b in zip(ours, theirs, strict=True)
    )


def require_repeats(make: Make) -> None:
    """Skip a rule that compares episodes when equal ones already differ."""
    high = make().task_space.high
    if not same(play(make(), high), play(make(), high)):
        raise unittest.SkipTest("two episodes of one seed and task differ")


def corners(space: spaces.Box) -> list[np.ndarray]:
    """All corners of a box of up to 4 dimensions; of a larger one lowest, highest, 14 others."""
    ends = np.stack([space.low, space.high])
    count = space.shape[0]
    if count <= 4:
        picks = [np.array(pick) for pick in itertools.product((0, 1), repeat=count)]
    else:
        picks = [np.zeros(count, int), np.ones(count, int)]
        picks += list(np.random.default_rng(0).integers(2, size=(14, count)))
    return [ends[pick, np.arange(count)] for pick in picks]


def check_gymnasium(make: Make) -> None:
    """Gymnasium's own checker passes; rendering has a rule of its own."""
    check_env(make().unwrapped, skip_render_check=True)


def check_task_parameters(make: Make) -> None:
    """Names are unique, every range holds its default, every parameter has a meaning."""
    env = make()
    parameters, space = env.task_parameters, env.task_space
    assert parameters, "`task_parameters` is empty"
    names = [parameter.name for parameter in parameters]
    assert len(set(names)) == len(names), f"names of task parameters repeat: {names}"
    for one in parameters:
        assert np.isfinite([one.low, one.high]).all() and one.low < one.high, (
            f"{one.name}: range [{one.low}, {one.high}] is empty or not finite"
        )
        assert one.low <= one.default <= one.high, (
            f"{one.name}: default {one.default} lies outside [{one.low}, {one.high}]"
        )
        assert one.meaning, f"{one.name}: the meaning is missing"
    assert isinstance(space, spaces.Box) and space.dtype == np.float64, (
        f"`task_space` must be a float64 Box; got {space}"
    )
    assert space.shape == (len(parameters),), "`task_space` and `task_parameters` differ in length"


def check_datasheet(make: Make) -> None:
    """The class docstring has Gymnasium's headings."""
    text = type(make()).__doc__ or ""
    headings = ("Description", "Action Space", "Observation Space", "Rewards", "Starting State")
    missing = [heading for heading in (*headings, "Episode End") if heading not in text]
    assert not missing, f"the class docstring lacks the headings {', '.join(missing)}"


def check_task_is_honoured(make: Make) -> None:
    """The easiest and the hardest corner give different episodes under one seed."""
    env = make()
    space = env.task_space
    low, high = play(env, space.low), play(env, space.high)
    assert not same(low, high), "the lowest and the highest task gave the same episode"


def check_default_task(make: Make) -> None:
    """A reset without options is a reset with the default task."""
    require_repeats(make)
    env = make()
    assert same(play(make(), None), play(env, env.default_task)), (
        "reset() and reset(options={'task': default_task}) differ"
    )


def check_bad_tasks_raise(make: Make) -> None:
    """A task outside the space, of another shape or not finite raises ValueError; none is bent."""
    env = make()
    low, high, middle = env.task_space.low, env.task_space.high, env.default_task
    bad = [np.append(middle, 0.0), middle[:-1], "easy"]
    for index in range(len(middle)):
        for value in (
            np.nextafter(low[index], -np.inf),
            np.nextafter(high[index], np.inf),
            np.nan,
            np.inf,
        ):
            bad.append(middle.copy())
            bad[-1][index] = value
    for task in bad:
        try:
            env.reset(seed=1, options={"task": task})
        except ValueError:
            continue
        raise AssertionError(
            f"task {np.asarray(task).tolist()} must raise ValueError; it was accepted"
        )


def check_unknown_options_raise(make: Make) -> None:
    """An unknown or misspelt reset option raises ValueError."""
    env = make()
    for options in ({"tasks": env.default_task}, {"task": env.default_task, "level": 1}):
        try:
            env.reset(seed=1, options=options)
        except ValueError:
            continue
        raise AssertionError(f"reset options {sorted(options)} must raise ValueError")


def check_corners_build(make: Make) -> None:
    """Every corner of the task space builds a world with finite observations and rewards."""
    env = make()
    for task in corners(env.task_space):
        for observation, reward, *_ in play(env, task, steps=20):
            where = f"at task {task.tolist()}"
            assert np.isfinite(observation).all(), f"an observation is not finite {where}"
            assert np.isfinite(reward), f"a reward is not finite {where}"
            assert env.observation_space.contains(observation), (
                f"an observation lies outside the observation space {where}"
            )


def check_episode_repeats(make: Make) -> None:
    """Same seed and task repeat the episode bit for bit, in another object."""
    env = make()
    for task in (env.default_task, env.task_space.low, env.task_space.high):
        assert same(play(make(), task), play(make(), task)), (
            f"seed 5 and task {task.tolist()} gave two different episodes"
        )


def check_seed_zero_is_a_seed(make: Make) -> None:
    """Seed 0 repeats like any other seed."""
    task = make().task_space.high
    require_repeats(make)
    assert same(play(make(), task, seed=0), play(make(), task, seed=0)), (
        "two episodes with seed 0 differ; test `seed is None`, not `not seed`"
    )


def check_no_state_carried_over(make: Make) -> None:
    """Earlier episodes leave no trace in a seeded one."""
    fresh, used = make(), make()
    high = fresh.task_space.high
    require_repeats(make)
    for task in (used.task_space.low, used.task_space.high, used.default_task):
        play(used, task, seed=3)
    play(used, high, seed=4, steps=2)  # left in the middle of an episode
    assert same(play(fresh, high), play(used, high)), (
        "an episode depends on the ones before it; reset() must set everything anew"
    )


def check_observations_vary(make: Make) -> None:
    """Observations are not all the same over a few tasks."""
    env, seen = make(), set()
    for task in (env.task_space.low, env.task_space.high):
        seen |= {observation.tobytes() for observation, *_ in play(env, task)}
    assert len(seen) > 1, "every observation was the same"


def check_observations_are_fresh(make: Make) -> None:
    """A returned observation is not touched by later steps and shares no memory with them."""
    env = make()
    actions = copy.deepcopy(env.action_space)
    actions.seed(17)
    given = [env.reset(seed=5)[0]]
    kept = [given[0].copy()]
    for _ in range(10):
        observation, _, terminated, truncated, _ = env.step(actions.sample())
        assert not any(np.shares_memory(observation, earlier) for earlier in given), (
            "two observations share memory; return a copy"
        )
        given.append(observation)
        kept.append(observation.copy())
        if terminated or truncated:
            env.reset(seed=6)
    assert all(np.array_equal(a, b) for a, b in zip(given, kept, strict=True)), (
        "a later step changed an observation; return a copy"
    )


def check_success_at_end(make: Make) -> None:
    """Every episode ends, and the last info says ``success`` as a bool."""
    env = make()
    actions = copy.deepcopy(env.action_space)
    actions.seed(17)
    for task in (env.task_space.low, env.task_space.high):
        env.reset(seed=5, options={"task": task})
        for _ in range(MAX_STEPS):
            _, _, terminated, truncated, info = env.step(actions.sample())
            if terminated or truncated:
                break
        else:
            raise AssertionError(f"an episode had not ended after {MAX_STEPS} steps")
        assert isinstance(info.get("success"), bool | np.bool_), (
            f"info['success'] must be a bool at the end; got {info.get('success')!r}"
        )


def check_step_many_equals_single_steps(make: Make) -> None:
    """step_many() over several worlds gives bit for bit what each step() would."""
    require_repeats(make)
    together, alone = [make() for _ in range(3)], [make() for _ in range(3)]
    space = together[0].task_space
    tasks = (space.low, together[0].default_task, space.high)
    actions = copy.deepcopy(together[0].action_space)
    actions.seed(17)
    for index, task in enumerate(tasks):
        for worlds in (together, alone):
            worlds[index].reset(seed=index + 1, options={"task": task})
    for _ in range(30):
        batch = np.stack([actions.sample() for _ in tasks])
        results = type(together[0]).step_many(together, batch)
        for index, (got, world) in enumerate(zip(results, alone, strict=True)):
            expected = world.step(batch[index])
            assert np.array_equal(got[0], expected[0]) and got[1:4] == expected[1:4], (
                "step_many() and step() differ"
            )
            if got[2] or got[3]:
                for worlds in (together, alone):
                    worlds[index].reset(seed=9, options={"task": tasks[index]})


def check_rendering(make: Make) -> None:
    """``render_mode="rgb_array"`` gives images (height, width, 3) uint8."""
    env = make(render_mode="rgb_array")
    env.reset(seed=5)
    image = env.render()
    assert isinstance(image, np.ndarray) and image.dtype == np.uint8, "render() gave no uint8 image"
    assert image.ndim == 3 and image.shape[2] == 3, f"render() gave shape {image.shape}"
    env.close()


def check_global_randomness_is_untouched(make: Make) -> None:
    """The global generators of random, NumPy and torch are not used."""
    before = global_states()
    play(make(), make().task_space.high)
    play(make(), None, seed=None)
    assert global_states() == before, "a global generator was used; draw from self.np_random"


def global_states() -> list[str]:
    """Return the global states of random, NumPy and, if it is loaded, torch, as text."""
    kind, key, *rest = np.random.get_state()  # noqa: NPY002
    states = [repr(random.getstate()), f"{kind}{key.tobytes()!r}{rest}"]
    if "torch" in sys.modules:
        states.append(repr(sys.modules["torch"].get_rng_state().tolist()))
    return states


WORLD_RULES: tuple[Callable[[Make], Any], ...] = (
    check_gymnasium,
    check_task_parameters,
    check_datasheet,
    check_task_is_honoured,
    check_default_task,
    check_bad_tasks_raise,
    check_unknown_options_raise,
    check_corners_build,
    check_episode_repeats,
    check_seed_zero_is_a_seed,
    check_no_state_carried_over,
    check_observations_vary,
    check_observations_are_fresh,
    check_success_at_end,
    check_step_many_equals_single_steps,
    check_rendering,
    check_global_randomness_is_untouched,
)

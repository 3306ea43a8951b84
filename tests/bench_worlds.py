"""What a step and a reset of the procedural worlds cost; part of ``make bench``."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from benchmark.provenance import provenance
from benchmark.registry import TABLES
from environments.vector import VectorWorlds, make_worlds

WORLDS = 16
SHARED_WORLDS = 64  # enough that waiting for the other process costs little
BATCHED_WORLDS = 4096
BIPEDAL = "BipedalWalker-v3"
# Name of the figure, world, its options, and which of its task parameters are pinned.
CONTENDERS: tuple[tuple[str, str, dict[str, Any], dict[str, float]], ...] = (
    ("StumpTracks, classic_bipedal", "stump_tracks", {"body": "classic_bipedal"}, {}),
    ("StumpTracks, old_classic_bipedal", "stump_tracks", {"body": "old_classic_bipedal"}, {}),
    ("StumpTracks, spider", "stump_tracks", {"body": "spider"}, {}),
    ("BipedalTerrain", "bipedal_terrain", {}, {}),
    ("Parkour, old_classic_bipedal, dry", "parkour", {}, {"water_level": 0.0}),
    ("Parkour, drowned walker", "parkour", {"breath_steps": 0}, {"water_level": 1.0}),
    ("Parkour, fish in water", "parkour", {"body": "fish"}, {"water_level": 1.0}),
    (
        "Parkour, climber",
        "parkour",
        {"body": "climbing_profile_chimpanzee"},
        {"water_level": 0.0},
    ),
)


def cpu_seconds(action: Callable[[], Any]) -> float:
    """CPU seconds of one call, this process with its threads."""
    start = time.process_time()
    action()
    return time.process_time() - start


class BipedalSteps:
    """Random actions in gymnasium's BipedalWalker-v3; resets are made but not timed."""

    def __init__(self) -> None:
        self.env = gymnasium.make(BIPEDAL).unwrapped
        self.rng = np.random.default_rng(0)
        self.env.reset(seed=0)

    def microseconds(self, steps: int) -> float:
        """CPU microseconds per step."""
        spent = 0.0
        actions = self.rng.uniform(-1, 1, size=(steps, 4)).astype(np.float32)
        for action in actions:
            start = time.process_time()
            *_, terminated, truncated, _ = self.env.step(action)
            spent += time.process_time() - start
            if terminated or truncated:
                self.env.reset()
        return spent / steps * 1e6

    def reset_milliseconds(self, resets: int) -> float:
        """CPU milliseconds per reset."""
        return cpu_seconds(lambda: [self.env.reset() for _ in range(resets)]) / resets * 1e3


class WorldSteps:
    """Random actions in several worlds; resets to random tasks are made but not timed."""

    def __init__(
        self,
        world: str,
        options: dict[str, Any],
        pinned: dict[str, float],
        num_envs: int = WORLDS,
        workers: int = 1,
        clock: Callable[[], float] = time.process_time,
    ):
        self.worlds: VectorWorlds = make_worlds(TABLES["world"][world], options, num_envs, workers)
        self.clock, self.rng = clock, np.random.default_rng(0)
        names = [one.name for one in task_parameters(world, options)]
        space = self.worlds.task_space
        self.low, self.high = space.low.copy(), space.high.copy()
        for name, value in pinned.items():
            self.low[names.index(name)] = self.high[names.index(name)] = value
        self.reset(np.arange(num_envs))

    def reset(self, index: np.ndarray) -> None:
        """Give each world of ``index`` a random task."""
        tasks = self.rng.uniform(self.low, self.high, size=(len(index), len(self.low)))
        self.worlds.reset(index, tasks, self.rng.integers(2**31, size=len(index)))

    def microseconds(self, steps: int) -> float:
        """Microseconds per environment step on the clock."""
        spent, n = 0.0, self.worlds.num_envs
        space = self.worlds.action_space
        for _ in range(steps // n):
            actions = self.rng.uniform(space.low, space.high, (n, *space.shape))
            actions = actions.astype(np.float32)
            start = self.clock()
            result = self.worlds.step(actions)
            spent += self.clock() - start
            ended = np.flatnonzero(result.terminated | result.truncated)
            if ended.size:
                self.reset(ended)
        return spent / (steps // n * n) * 1e6

    def reset_milliseconds(self, resets: int) -> float:
        """CPU milliseconds per reset to a random task."""
        one = np.array([0])
        return cpu_seconds(lambda: [self.reset(one) for _ in range(resets)]) / resets * 1e3


def task_parameters(world: str, options: dict[str, Any]) -> tuple[Any, ...]:
    """The task parameters of a world."""
    from benchmark.registry import load

    return load("world", world)(**options).task_parameters


def stepping(rounds: int, steps: int) -> list[dict[str, Any]]:
    """Every world against gymnasium's BipedalWalker-v3, in interleaved rounds."""
    contenders: dict[str, Any] = {BIPEDAL: BipedalSteps()}
    contenders |= {name: WorldSteps(*arguments) for name, *arguments in CONTENDERS}
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(rounds):
        for name, contender in contenders.items():
            best[name] = min(best[name], contender.microseconds(steps))
    base = best.pop(BIPEDAL)
    rows = [figure(f"{BIPEDAL}: CPU time per step", base, "CPU microseconds")]
    versus = f"gymnasium {BIPEDAL} in the same run"
    for name, value in best.items():
        rows.append(figure(f"{name}: CPU time per step", value / base, "ratio", versus))
    return rows


def resetting(rounds: int, resets: int) -> list[dict[str, Any]]:
    """Resets to random tasks, and what BipedalWalker-v3 needs for one of its own."""
    contenders: dict[str, Any] = {BIPEDAL: BipedalSteps()}
    contenders |= {
        name: WorldSteps(*arguments, num_envs=1)
        for name, *arguments in CONTENDERS
        if name not in ("Parkour, drowned walker", "StumpTracks, spider")
    }
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(rounds):
        for name, contender in contenders.items():
            best[name] = min(best[name], contender.reset_milliseconds(resets))
    return [figure(f"{name}: reset", value, "CPU milliseconds") for name, value in best.items()]


def batching(rounds: int, steps: int) -> list[dict[str, Any]]:
    """Point masses in one array, resets to random tasks included."""
    contender, best = WorldSteps("point_mass", {}, {}, BATCHED_WORLDS), np.inf
    for _ in range(rounds):
        best = min(best, cpu_seconds(lambda: contender.microseconds(steps)) / steps * 1e6)
    name = f"point mass, {BATCHED_WORLDS} worlds, actions drawn and resets included: a step"
    return [figure(name, best, "CPU microseconds")]


def sharing(rounds: int, steps: int) -> list[dict[str, Any]]:
    """One process against two, by the clock on the wall: needs two idle cores."""
    world = ("stump_tracks", {"body": "classic_bipedal"}, {}, SHARED_WORLDS)
    contenders = {
        workers: WorldSteps(*world, workers=workers, clock=time.perf_counter) for workers in (1, 2)
    }
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(rounds):
        for workers, contender in contenders.items():
            best[workers] = min(best[workers], contender.microseconds(steps))
    for contender in contenders.values():
        contender.worlds.close()
    name = f"StumpTracks, {SHARED_WORLDS} worlds: steps per second of two processes"
    return [figure(name, best[1] / best[2], "ratio", "one process in the same run")]


def figure(name: str, value: float, unit: str, compared_with: str | None = None) -> dict[str, Any]:
    """One figure of the report."""
    return {
        "name": name,
        "value": float(f"{value:.4g}"),
        "unit": unit,
        "compared_with": compared_with,
        "machine": f"{provenance()['processor']}, {os.cpu_count()} cores, {platform.system()}",
    }

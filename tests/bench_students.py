"""Our PPO and SAC against those of stable-baselines3 in the same worlds; part of ``make bench``.

Both learn in worlds of the protocol stump_tracks-laptop-v1, sixteen at once, with networks of
64-64, in one process with one torch thread. Acting, storing and learning count as the student's
time. What the worlds need is measured once for all, so that a whole step differs by the student.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmark.protocol import Protocol
from benchmark.registry import TABLES, load
from environments.vector import make_worlds
from students.base import Student, Transitions
from tests.bench_worlds import figure

WORLDS = 16
NETWORK = (64, 64)
UPDATE_EVERY, UPDATES = 64, 8  # environment steps between rounds of SAC, its updates in a round
BATCH = 256
# The defaults of stable-baselines3's PPO in our words; it normalises nothing but advantages.
LIKE_THEIRS = {
    "epochs": 10, "minibatch": 64, "learning_rate": 3e-4, "value_clip": False,
    "value_coefficient": 1.0, "initial_log_std": 0.0, "normalize_observations": False,
    "normalize_rewards": False,
}  # fmt: skip


class Learner:
    """A student in worlds of its own, with random tasks."""

    def __init__(self, name: str, options: dict[str, Any]):
        task = Protocol.load("stump_tracks-laptop-v1").task
        self.worlds = make_worlds(TABLES["world"][task.name], task.options, WORLDS)
        spaces = self.worlds.observation_space, self.worlds.action_space
        self.student: Student = load("student", name)(*spaces, num_envs=WORLDS, seed=0, **options)
        self.rng = np.random.default_rng(0)
        self.observations = np.empty((WORLDS, *spaces[0].shape), np.float32)
        self.reset(np.arange(WORLDS))

    def reset(self, index: np.ndarray) -> None:
        """Give each world of ``index`` a random task."""
        space = self.worlds.task_space
        tasks = self.rng.uniform(space.low, space.high, (len(index), *space.shape))
        seeds = self.rng.integers(2**31, size=len(index))
        self.observations[index] = self.worlds.reset(index, tasks, seeds)

    def microseconds(self, steps: int) -> tuple[float, float]:
        """CPU microseconds per environment step: the student's and the worlds', resets included."""
        student, clock = self.student, time.process_time
        learning, start = 0.0, clock()
        for _ in range(steps // WORLDS):
            before = clock()
            actions = student.act(self.observations)
            acted = clock()
            result = self.worlds.step(actions)
            transitions = Transitions(
                self.observations, actions, result.rewards,
                result.terminated, result.truncated, result.observations,
            )  # fmt: skip
            before_learning = clock()
            student.observe(transitions)
            learning += acted - before + clock() - before_learning
            self.observations = result.observations.copy()
            ended = np.flatnonzero(result.terminated | result.truncated)
            if ended.size:
                self.reset(ended)
        scale = 1e6 / (steps // WORLDS * WORLDS)
        return learning * scale, (clock() - start - learning) * scale


def compare(
    makers: dict[str, Callable[[], Learner]], rounds: int, steps: int, warm_up: int
) -> tuple[dict[str, float], float]:
    """The least microseconds per step of each student, and of the worlds, in ``rounds`` rounds."""
    learners = {name: make() for name, make in makers.items()}
    for learner in learners.values():
        if warm_up:
            learner.microseconds(warm_up)
    best, worlds = dict.fromkeys(learners, np.inf), np.inf
    for _ in range(rounds):
        for name, learner in learners.items():
            student, environment = learner.microseconds(steps)
            best[name], worlds = min(best[name], student), min(worlds, environment)
    return best, worlds


def policy_optimisation(rounds: int, rollout: int) -> list[dict[str, Any]]:
    """PPO with the fast preset and with the library's defaults, against the library's.

    ``rollout`` are the steps of one world between two updates; 2048 in the library's defaults.
    """
    rollout_steps = rollout * WORLDS
    theirs = {"n_steps": rollout, "policy_kwargs": {"net_arch": list(NETWORK)}}
    makers = {
        "theirs": lambda: Learner("sb3", {"algorithm": "PPO", "settings": theirs}),
        "PPO, preset fast": lambda: Learner("ppo", {"hidden": NETWORK}),
        "PPO with their defaults": lambda: Learner(
            "ppo", {"hidden": NETWORK, "rollout": rollout_steps, **LIKE_THEIRS}
        ),
    }
    best, worlds = compare(makers, rounds, rollout_steps, 0)
    base = best.pop("theirs")
    rows = [
        figure("StumpTracks: a step of the worlds, resets included", worlds, "CPU microseconds"),
        figure(f"{library()} PPO, defaults: student per step", base, "CPU microseconds"),
    ]
    versus = f"{library()} PPO, defaults, per unit of ours"
    for name, value in best.items():
        rows.append(figure(f"{name}: student per step", value, "CPU microseconds"))
        rows.append(figure(f"{name}: student", base / value, "ratio", versus))
        whole = (base + worlds) / (value + worlds)
        rows.append(figure(f"{name}: student and worlds", whole, "ratio", versus))
    return rows


def soft_actor_critic(rounds: int, steps: int) -> list[dict[str, Any]]:
    """SAC against the library's, with equal batches and one update per eight steps."""
    ratio = UPDATES / UPDATE_EVERY
    ours = {
        "hidden": NETWORK, "batch": BATCH, "update_every": UPDATE_EVERY, "update_ratio": ratio,
        "random_steps": 512, "learning_starts": 512, "learning_rate": 3e-4, "discount": 0.99,
        "polyak": 0.995, "log_std_range": (-20.0, 2.0),
    }  # fmt: skip
    theirs = {
        "batch_size": BATCH, "train_freq": UPDATE_EVERY // WORLDS, "gradient_steps": UPDATES,
        "learning_starts": 512, "policy_kwargs": {"net_arch": list(NETWORK)},
    }  # fmt: skip
    makers = {
        "theirs": lambda: Learner("sb3", {"algorithm": "SAC", "settings": theirs}),
        "ours": lambda: Learner("sac", ours),
    }
    best, _ = compare(makers, rounds, steps, 1024)
    theirs_ms, ours_ms = (best[name] / ratio / 1e3 for name in ("theirs", "ours"))
    versus = f"{library()} SAC, same networks, batches and update ratio, per unit of ours"
    what = "SAC, batch 256: student per update, acting included"
    return [
        figure(f"{library()} {what}", theirs_ms, "CPU milliseconds"),
        figure(what, ours_ms, "CPU milliseconds"),
        figure(what, theirs_ms / ours_ms, "ratio", versus),
    ]


def library() -> str:
    """Name and version of the library."""
    return f"stable-baselines3 {importlib.metadata.version('stable-baselines3')}"


def comparing(quick: bool) -> list[dict[str, Any]]:
    """All rows; none, with a word why, where the library is missing."""
    if importlib.util.find_spec("stable_baselines3") is None:
        print("Left out: students against stable-baselines3 (pip install 'lyceum[sb3]')")
        return []
    rollout, steps = (256, 1024) if quick else (2048, 2048)
    rows = policy_optimisation(rounds=2, rollout=rollout)
    return rows + soft_actor_critic(rounds=2 if quick else 4, steps=steps)


def main() -> None:
    """Print these rows only."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short rounds, for a look only")
    torch.set_num_threads(1)
    for row in comparing(parser.parse_args().quick):
        print(f"{row['value']:>12,.6g} {row['unit']:<16} {row['name']}")


if __name__ == "__main__":
    main()

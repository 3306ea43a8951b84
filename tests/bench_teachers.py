"""What teachers cost: CPU time per proposed task, over a run of 10,000 episodes of 2000 steps.

``python -m tests.bench_teachers`` prints a table and writes ``benchmark/teacher_costs.json``, which
``lyceum list teachers`` and the catalogue in the docs show. A teacher's own time is measured, not
that of the student whom it asks. Pools are measured over 20 passes of 1000 examples.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from benchmark.provenance import provenance
from benchmark.registry import load
from benchmark.strict_json import write_json_atomically
from environments.box2d.stump_tracks import StumpTracks
from teachers import TEACHERS
from teachers.base import TaskSpace, Teacher
from teachers.check_classroom import Lesson, Pupil
from tests.bench_worlds import cpu_seconds

COSTS = Path(__file__).parents[1] / "benchmark" / "teacher_costs.json"
EPISODES, STEPS, TOGETHER = 10_000, 2000, 16
EXAMPLES, PASSES, BATCH = 1000, 20, 32
HOOKS = ("prepare", "weigh", "transform_loss", "adjust")


class Stopwatch:
    """Adds up the CPU time spent inside the calls it wraps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def wrap(self, call: Any) -> Any:
        """Return ``call``, timed."""

        def timed(*args: Any, **keywords: Any) -> Any:
            start = time.process_time()
            try:
                return call(*args, **keywords)
            finally:
                self.seconds += time.process_time() - start

        return timed


class TimedProbe:
    """A probe whose answers are not on the teacher's bill."""

    def __init__(self, probe: Any):
        self.watch, self.probe = Stopwatch(), probe

    def __getattr__(self, name: str) -> Any:
        return self.watch.wrap(getattr(self.probe, name))


def long_episodes(rng: np.random.Generator) -> Any:
    """Bend facts so that every episode has 2000 steps and observations of 24 numbers."""
    traces = [
        {
            "observations": rng.standard_normal((STEPS + 1, 24)).astype(np.float32),
            "actions": rng.uniform(-1, 1, (STEPS, 4)).astype(np.float32),
            "rewards": rng.normal(0.1, 1.0, STEPS),
            "terminated": False,
        }
        for _ in range(TOGETHER)
    ]

    def bend(facts: dict[str, np.ndarray]) -> None:
        facts["length"] = np.full(len(facts["score"]), STEPS)
        facts["initial_observation"] = np.stack([each["observations"][0] for each in traces])
        facts["trajectory"] = np.array(traces, dtype=object)

    return bend


def cost(cls: type[Teacher]) -> float:
    """CPU microseconds per proposed task, updates included."""
    space = spaces.Box(0.0, 1.0, (2,), np.float64)
    task_space = TaskSpace(space, ("x", "y"), ("1", "1"), ("test", "test"), np.zeros(2))
    rounds, count, bend = EPISODES // TOGETHER, TOGETHER, long_episodes(np.random.default_rng(0))
    if "box" not in cls.spaces:
        space, items = spaces.Discrete(EXAMPLES), np.arange(EXAMPLES)
        task_space = TaskSpace(space, label=items % 10, group=items % 4, prior=items / EXAMPLES)
        rounds, count, bend = EXAMPLES * PASSES // BATCH, BATCH, None
    teacher = cls(task_space, seed=0)
    lesson, watch = Lesson(teacher, Pupil(space, rate=1e-4)), Stopwatch()
    lesson.horizon = rounds * count
    if lesson.teacher.probe is not None:
        teacher.probe = TimedProbe(teacher.probe)
    for name in ("propose", "observe", *HOOKS):
        if hasattr(teacher, name):
            setattr(teacher, name, watch.wrap(getattr(teacher, name)))
    for _ in range(rounds):
        lesson.step(count, bend)
    asked = teacher.probe.watch.seconds if teacher.probe is not None else 0.0
    return (watch.seconds - asked) / (rounds * count) * 1e6


def episode(rounds: int) -> float:
    """CPU microseconds of 2000 steps of StumpTracks, the cheapest world with a body."""
    world = StumpTracks()
    rng = np.random.default_rng(0)

    def play() -> None:
        world.reset(seed=0)
        for _ in range(STEPS):
            _, _, terminated, truncated, _ = world.step(rng.uniform(-1, 1, 4))
            if terminated or truncated:
                world.reset(seed=0)

    return min(cpu_seconds(play) for _ in range(rounds)) * 1e6


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=COSTS)
    parser.add_argument("names", nargs="*", help="only these teachers; nothing is written then")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    reference, costs = episode(rounds=4), {}
    for name in arguments.names or TEACHERS:
        costs[name] = round(cost(load("teacher", name)), 2)
        share = costs[name] / reference
        print(f"{costs[name]:>9,.1f} µs per task, {share:>7.3%} of an episode  {name}", flush=True)
    if not arguments.names:
        machine = {key: provenance()[key] for key in ("processor", "python", "torch", "numpy")}
        content = {"microseconds_per_task": costs, "episode_microseconds": round(reference)}
        write_json_atomically(arguments.out, content | {"machine": machine})
        print(f"Written: {arguments.out}")


if __name__ == "__main__":
    main()

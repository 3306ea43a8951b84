"""Made-up but realistic runs: rising learning curves with sampling noise, costs and curricula."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import leaderboard, record
from benchmark.protocol import Protocol
from benchmark.schema import RunRecord, Submission


@functools.cache
def supervised_protocol() -> Protocol:
    return Protocol.load("digits-noise-v1")


@functools.cache
def procedural_protocol() -> Protocol:
    return Protocol.load("hypercube-v1")


def task_labels(protocol: Protocol) -> list[str]:
    if protocol.held_out is None:
        return [f"class {label}" for label in range(10)]
    return [" ".join(f"{value:.6g}" for value in task) for task in protocol.held_out]


def half_counts(protocol: Protocol) -> tuple[int, int]:
    if protocol.held_out is None:
        return 27, 26
    episodes = protocol.evaluation.episodes_per_task
    return (episodes + 1) // 2, episodes // 2


def make_evaluation(
    protocol: Protocol, level: np.ndarray, start: float, seed: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Both halves of every evaluation, scattered around ``level`` (K+1,)."""
    tasks, (count_a, count_b) = task_labels(protocol), half_counts(protocol)
    chance = np.clip(level[:, None] + 0.05 * rng.standard_normal(len(tasks)), 0.0, 1.0)
    # The untrained student depends on the seed only, whoever will teach it.
    untrained = np.random.default_rng(seed)
    halves: dict[str, Any] = {}
    for half, count in (("a", count_a), ("b", count_b)):
        success = rng.binomial(count, chance) / max(count, 1)
        success[0] = untrained.binomial(count, start, len(tasks)) / max(count, 1)
        halves[f"success_{half}"] = success.tolist()
        score = 300 * success - 100 if protocol.held_out is not None else success - 1.5
        halves[f"score_{half}"] = (score * (count > 0)).tolist()
        halves[f"count_{half}"] = [count] * len(tasks)
    return {"tasks": tasks, **halves}


def make_content(
    protocol: Protocol,
    teacher: str = "uniform",
    seed: int = 0,
    *,
    start: float = 0.1,
    final: float = 0.8,
    speed: float = 5.0,
    spread: float = 0.02,
    source: str = "",
    arguments: dict[str, Any] | None = None,
    privileges: tuple[str, ...] = (),
) -> dict[str, Any]:
    """The content of a valid record: success rises from ``start`` to about ``final``."""
    rng = np.random.default_rng([zlib.crc32(f"{teacher}{source}".encode()), seed])
    progress = np.array(protocol.grid) / protocol.budget.total
    level = start + (final + spread * rng.standard_normal() - start) * (
        1 - np.exp(-speed * progress)
    )
    grid = list(protocol.grid)
    content = {
        "schema": "run/1",
        "protocol": {"name": protocol.name, "fingerprint": protocol.fingerprint},
        "teacher": {
            "name": teacher,
            "source_sha256": f"{zlib.crc32(f'{teacher}{source}'.encode()):064x}",
            "arguments": arguments or {},
            "signals": [],
            "privileges": list(privileges),
            "reference": "Somebody (2020), A way to teach, https://example.org/paper",
        },
        "seed": seed,
        "status": "finished",
        "grid": grid,
        "evaluation": make_evaluation(protocol, level, start, seed, rng),
        "spent": {
            "student": grid,
            "teacher": [0.0] * len(grid),
            "updates": [point // protocol.budget.parallel for point in grid],
            "forward": [0] * len(grid),
            "backward": [0] * len(grid),
        },
        "curriculum_sha256": "c" * 64,
        "provenance": {"python": "3.11", "processor": "A fast one (TM) @ 3.00GHz"},
    }
    return content | {"result_sha256": record.result_sha256(content)}


def sign(content: dict[str, Any]) -> dict[str, Any]:
    """The same content with a result hash that matches it."""
    return content | {"result_sha256": record.result_sha256(content)}


def make_record(
    protocol: Protocol, teacher: str = "uniform", seed: int = 0, **options
) -> RunRecord:
    return RunRecord.model_validate(make_content(protocol, teacher, seed, **options))


def make_costs(protocol: Protocol, share: float = 0.1) -> dict[str, Any]:
    progress = np.arange(len(protocol.grid)) / protocol.evaluation.count
    return {
        "schema": "costs/1",
        "cpu_environment": (2.0 * progress).tolist(),
        "cpu_student": (3.0 * progress).tolist(),
        "cpu_teacher": (5.0 * share / (1 - share) * progress).tolist(),
        "cpu_evaluation": (1.0 * progress).tolist(),
        "wall": (7.0 * progress).tolist(),
        "peak_rss_mb": 300.0,
        "workers": 1,
        "attempts": [
            {
                "start": "2026-11-24T01:00:00+00:00",
                "end": "2026-11-24T01:01:00+00:00",
                "reason": "1",
            }
        ],
    }


def write_runs(
    protocol: Protocol, teacher: str, seeds: range | list[int], runs: Path, **options
) -> list[Path]:
    """Run folders as the suite leaves them, curricula excepted."""
    folders = []
    for seed in seeds:
        folder = runs / protocol.name / teacher / f"seed-{seed:04d}"
        folder.mkdir(parents=True)
        content = make_content(protocol, teacher, seed, **options)
        record.write_run(folder, content, make_costs(protocol))
        folders.append(folder)
    return folders


def make_submission(
    protocol: Protocol, teacher: str, seeds: range | list[int], runs: Path, **options
) -> Submission:
    return leaderboard.make_submission(write_runs(protocol, teacher, seeds, runs, **options))


def make_pool_curriculum(
    seed: int, *, easy_first: bool, count: int = 6000
) -> dict[str, np.ndarray]:
    """A curriculum over 500 items, 40 % of them mislabelled; the prior knows roughly which."""
    rng = np.random.default_rng(seed)
    items = 500
    wrong = np.random.default_rng(7).random(items) < 0.4
    prior = np.clip(0.3 * rng.random(items) + 0.6 * wrong, 0, 1)
    order = np.argsort(prior, kind="stable")
    spent = np.linspace(0, 30720, count, endpoint=False)
    reach = 0.3 + 0.7 * spent / 30720 if easy_first else np.ones(count)
    tasks = order[(rng.random(count) * reach * items).astype(int)]
    score = -2.3 * np.exp(-3 * spent / 30720) - 0.8 * wrong[tasks]
    return {
        "proposal": np.arange(count),
        "spent": spent,
        "tasks": tasks,
        "score": score.astype(np.float32),
        "success": rng.random(count) < np.exp(score),
        "length": np.ones(count, dtype=np.int32),
        "names": np.array([], dtype=str),
        "item_label": rng.integers(10, size=items),
        "item_prior": prior,
        "item_mislabelled": wrong,
    }


def make_box_curriculum(
    seed: int, *, moving: bool, budget: float, count: int = 4000, dimensions: int = 2
) -> dict[str, np.ndarray]:
    """Uniform proposals, or ones that follow a frontier of competence."""
    rng = np.random.default_rng(seed)
    spent = np.linspace(0, budget, count, endpoint=False)
    frontier = 0.1 + 0.7 * spent / budget
    tasks = rng.random((count, dimensions))
    if moving:
        chosen = rng.random(count) > 0.2
        near = rng.normal(frontier[:, None], 0.08, tasks.shape).clip(0, 1)
        tasks = np.where(chosen[:, None], near, tasks)
    success = tasks.max(axis=1) < frontier + 0.1 * rng.standard_normal(count)
    return {
        "proposal": np.arange(count),
        "spent": spent,
        "tasks": tasks,
        "score": np.where(success, 250.0, -50.0).astype(np.float32),
        "success": success,
        "length": np.full(count, 300, dtype=np.int32),
        "names": np.array([f"parameter {i}" for i in range(dimensions)]),
    }

"""Speed, as ratios within one run: ``make bench`` prints the figures and writes out/bench.json.

All figures are CPU time of this process, the smallest of several interleaved rounds: other work on
the machine slows a round down and never speeds one up.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from benchmark.assemble import assemble
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from benchmark.strict_json import write_json_atomically
from environments.supervised.digits import Digits
from tests.bench_students import comparing
from tests.bench_worlds import batching, cpu_seconds, figure, resetting, sharing, stepping


def training(budget: int) -> list[dict[str, Any]]:
    """Where the CPU time of a procedural run goes, per environment step, evaluation apart."""
    protocol = Protocol.load("stump_tracks-quick-v1").smoke(budget, 1)
    with tempfile.TemporaryDirectory() as folder:
        recorder = Recorder(Path(folder), {}, 1e9)
        assembly = assemble(protocol, "alp_gmm", {}, 0, recorder)
        recorder.attach(assembly)
        total = cpu_seconds(assembly.loop.run)
        assembly.close()
    cpu = dict(assembly.ledger.cpu)
    total -= cpu.pop("evaluation")
    steps = assembly.ledger.student
    name = "training step of stump_tracks-quick-v1 with alp_gmm"
    rows = [figure(f"{name}: all", total / steps * 1e6, "CPU microseconds")]
    rows += [
        figure(f"{name}: {role}", seconds / steps * 1e6, "CPU microseconds")
        for role, seconds in cpu.items()
    ]
    rest = total - sum(cpu.values())
    return [*rows, figure(f"{name}: loop", rest / steps * 1e6, "CPU microseconds")]


def bare_torch(task: Digits, presentations: int, options: dict[str, Any]) -> Callable[[], None]:
    """The same network, optimiser, batches and data as the protocol, in plain torch."""
    widths = [64, *options["hidden"], 10]
    layers: list[torch.nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    network = torch.nn.Sequential(*layers[:-1])
    optimizer = torch.optim.Adam(network.parameters(), lr=options["learning_rate"], fused=True)
    inputs, targets = (torch.from_numpy(x) for x in task.sample(np.arange(988), None))
    rng = np.random.default_rng(0)

    def train() -> None:
        order = np.empty(0, dtype=np.int64)
        for _ in range(presentations // 32):
            if len(order) < 32:
                order = np.concatenate([order, rng.permutation(988)])
            batch, order = torch.from_numpy(order[:32]), order[32:]
            loss = functional.cross_entropy(network(inputs[batch]), targets[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return train


def supervised(rounds: int, presentations: int) -> list[dict[str, Any]]:
    """The suite's whole supervised loop against a bare torch loop on the same data."""
    protocol = Protocol.load("digits-noise-v1").smoke(presentations, 1)
    best = {"bare": np.inf}
    for _ in range(rounds):
        task = Digits(seed=0, **protocol.task.options)
        bare = bare_torch(task, presentations, protocol.student.options)
        best["bare"] = min(best["bare"], cpu_seconds(bare))
        for teacher in ("uniform", "easy_first"):
            with tempfile.TemporaryDirectory() as folder:
                recorder = Recorder(Path(folder), {}, 1e9)
                assembly = assemble(protocol, teacher, {}, 0, recorder)
                recorder.attach(assembly)
                seconds = cpu_seconds(assembly.loop.run) - assembly.ledger.cpu["evaluation"]
            best[teacher] = min(best.get(teacher, np.inf), seconds)
    rows = [
        figure("bare torch loop on digits", best["bare"] / presentations * 1e6, "CPU microseconds")
    ]
    for teacher in ("uniform", "easy_first"):
        name = f"supervised loop with {teacher}: CPU time per presentation"
        ratio = best[teacher] / best["bare"]
        rows.append(figure(name, ratio, "ratio", "a bare torch loop on the same data"))
    return rows


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/bench.json"))
    parser.add_argument("--quick", action="store_true", help="short rounds, for a look only")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scale = 1 if arguments.quick else 4
    rows = stepping(rounds=2 * scale, steps=2000) + resetting(rounds=2 * scale, resets=40)
    rows += batching(rounds=2 * scale, steps=409600)
    rows += sharing(rounds=2 * scale, steps=6400)
    rows += training(budget=8192 * scale)
    rows += supervised(rounds=2 * scale, presentations=15360)
    rows += comparing(arguments.quick)
    for row in rows:
        versus = f"  (against {row['compared_with']})" if row["compared_with"] else ""
        print(f"{row['value']:>12,.6g} {row['unit']:<16} {row['name']}{versus}")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_json_atomically(arguments.out, rows)
    print(f"Written: {arguments.out}")


if __name__ == "__main__":
    main()

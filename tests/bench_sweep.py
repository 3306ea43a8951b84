"""What a sweep costs beyond its runs: ``python -m tests.bench_sweep``, on an idle machine.

Prints the overhead of two processes side by side, the memory of a worker, the seconds until the
first run begins, and how long ten thousand planned runs take to be listed and recognised.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from benchmark.plan import make_plan, make_requests
from benchmark.record import read_run, result_sha256
from benchmark.run import RunRequest
from benchmark.sweep import sweep


def overhead(folder: Path, runs: int) -> None:
    """Two side by side: the time in which a place was taken against the runs' own clocks.

    Told apart from that: how long one place stood empty at the end because no run was left.
    """
    wanted = [RunRequest("hypercube-v2", "currot", seed, runs=str(folder)) for seed in range(runs)]
    began, first, ends = time.monotonic(), [], []

    def watch(request, event):
        now = time.monotonic() - began
        first.append(now)
        if event.get("status") == "finished":
            ends.append(now)

    sweep(wanted, 2, watch)
    costs = [read_run(request.folder)[1] for request in wanted]
    own = sum(cost.wall[-1] for cost in costs)
    taken = sum(sorted(ends)[-2:]) - 2 * first[0]
    empty = sorted(ends)[-1] - sorted(ends)[-2]
    print(f"first sign of a run after {first[0]:.1f} s (libraries are loaded once per sweep)")
    print(f"{runs} runs of {own / runs:.1f} s: {100 * (taken / own - 1):+.1f} % beyond the runs")
    print(f"{100 * empty / own:.1f} % more in which the last run had nobody beside it")
    print(f"memory of a worker: {max(cost.peak_rss_mb for cost in costs):.0f} MB resident at most")


def many(folder: Path, runs: int) -> None:
    """List ``runs`` planned runs, then the same with half of them finished."""
    names = [f"hypercube-{name}" for name in ("v2", "rugged-v1", "trivial-v1", "forgetting-v1")]
    teachers = [("adr", f"boundary_share={0.3 + i / 1000}") for i in range(runs // 80)]
    began = time.monotonic()
    requests = []
    for teacher, setting in teachers:
        requests += make_requests(names, [teacher], "20", [setting], runs=str(folder))
    made = time.monotonic()
    plan = make_plan(requests)
    planned = time.monotonic() - made
    print(f"{len(requests):,} runs: {made - began:.1f} s to make, {planned:.1f} s to plan")
    content = json.loads(_any_record().read_text("utf-8"))
    for request in plan.pending[::2]:
        teacher = {
            **content["teacher"], "name": request.label, "arguments": request.arguments,
            "source_sha256": request.identity["teacher_source"],
        }  # fmt: skip
        fresh = {**content, "seed": request.seed, "teacher": teacher}
        fresh["protocol"] = {
            "name": request.loaded.name, "fingerprint": request.loaded.fingerprint,
        }  # fmt: skip
        fresh["result_sha256"] = result_sha256(fresh)
        request.folder.mkdir(parents=True)
        (request.folder / "record.json").write_text(json.dumps(fresh), encoding="utf-8")
    began = time.monotonic()
    again = make_plan(requests)
    clock = time.monotonic() - began
    print(f"half of them finished: {clock:.1f} s to plan, {again.finished:,} recognised")
    waiting = again.pending_folders
    finished = [request for request in requests if request.folder not in waiting]
    began = time.monotonic()
    results = sweep(finished, 2)
    assert all(result.status == "kept" for result in results)
    print(f"{len(finished):,} records checked in {time.monotonic() - began:.1f} s")


def _any_record() -> Path:
    folder = Path(tempfile.mkdtemp())
    (result,) = sweep([RunRequest("hypercube-v2", "uniform", 0, runs=str(folder))], 1)
    return result.request.folder / "record.json"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=24, help="of the overhead's sweep")
    parser.add_argument("--planned", type=int, default=10_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        overhead(Path(folder), arguments.runs)
    with tempfile.TemporaryDirectory() as folder:
        many(Path(folder), arguments.planned)


if __name__ == "__main__":
    main()

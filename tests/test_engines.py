"""Sweeps on other engines than this process: the same plan, the same records."""

import concurrent.futures
import json
import os
import random
import signal
import threading
import time

import psutil
import pytest

from benchmark.children import Limits
from benchmark.engines import printed_commands, ray_executor, slurm_executor, sweep_on, work
from benchmark.errors import LyceumError
from benchmark.run import RunRequest, as_json
from benchmark.sweep import sweep
from tests.test_run import request


def results_of(requests):
    found = {}
    for wanted in requests:
        record = json.loads((wanted.folder / "record.json").read_text("utf-8"))
        found[wanted.loaded.name, wanted.label, wanted.seed] = record["result_sha256"]
    return found


def short_runs(folder, seeds, hypercube=3000, digits=4096):
    return [
        RunRequest(name, "uniform", seed, runs=str(folder), smoke=smoke, checkpoint_seconds=0.2)
        for name, smoke in (("hypercube-v2", hypercube), ("digits-noise-v1", digits))
        for seed in range(seeds)
    ]


def long_runs(folder):
    """24 runs of some seconds each, so that there is something to kill."""
    return short_runs(folder, 12, hypercube=60_000, digits=61_440)


def test_anything_with_submit_will_do(tmp_path):
    here, there = short_runs(tmp_path / "here", 1), short_runs(tmp_path / "there", 1)
    assert [result.status for result in sweep(here, 2)] == ["finished"] * 2
    events = []
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = sweep_on(pool, there, lambda request, event: events.append(event))
        assert [result.status for result in results] == ["finished"] * 2
        assert results_of(here) == results_of(there)
        again = sweep_on(pool, there)
    assert [result.status for result in again] == ["kept"] * 2
    assert sum(event.get("status") == "finished" for event in events) == 2


class Loses:
    """Loses the first jobs with their workers, then calls the function here."""

    def __init__(self, times):
        self.times = times

    def submit(self, function, /, *arguments):
        future = concurrent.futures.Future()
        self.times -= 1
        if self.times >= 0:
            future.set_exception(RuntimeError("the node went away"))
        else:
            future.set_result((0, ""))
        return future


@pytest.mark.parametrize(("times", "status"), [(2, "finished"), (3, "crashed")])
def test_what_an_engine_loses_is_submitted_again(tmp_path, times, status):
    (result,) = sweep_on(Loses(times), short_runs(tmp_path, 1)[:1], retries=2)
    assert result.status == status
    if status == "crashed":
        assert "the node went away" in result.message


def test_a_failed_teacher_is_a_failed_run_everywhere(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text(
        "from teachers.base import Teacher\n\n\nclass Bad(Teacher):\n    reference = 'none'\n"
        "    def propose(self, count, progress):\n        raise RuntimeError('no idea')\n",
        encoding="utf-8",
    )
    wanted = request(tmp_path, "tiny-hypercube", f"{file}:Bad")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        (result,) = sweep_on(pool, [wanted])
    assert result.status == "failed" and "no idea" in result.message


def test_printed_commands_can_be_pasted_into_a_shell(tmp_path):
    import subprocess

    from benchmark.provenance import ROOT

    (wanted, other) = short_runs(tmp_path, 1)
    lines = printed_commands([wanted, other])
    assert len(lines) == 2
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(lines[0], shell=True, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert (wanted.folder / "record.json").exists()


def test_missing_engines_say_what_to_install(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(LyceumError, match=r"lyceum\[ray\]"):
        ray_executor()
    with pytest.raises(LyceumError, match=r"lyceum\[slurm\]"):
        slurm_executor(tmp_path, Limits(), 2)


def test_without_slurm_there_is_one_sentence(tmp_path):
    pytest.importorskip("submitit")
    with pytest.raises(LyceumError, match="no Slurm to submit to"):
        slurm_executor(tmp_path, Limits(), 2, ["slurm_partition=gpu", "nonsense=1"])


@pytest.mark.slow
def test_jobs_of_submitit_give_the_same_records(tmp_path):
    pytest.importorskip("submitit")
    here, there = short_runs(tmp_path / "here", 2), short_runs(tmp_path / "there", 2)
    sweep(here, 2)
    executor = slurm_executor(tmp_path / "jobs", Limits(), 2, cluster="local")
    results = sweep_on(executor, there)
    assert [result.status for result in results] == ["finished"] * 4
    assert results_of(here) == results_of(there)


@pytest.fixture(scope="module")
def cluster():
    """Two raylets of one CPU each on this machine."""
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    found = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    found.add_node(num_cpus=1)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.mark.slow
def test_a_cluster_of_two_nodes_gives_the_same_records(tmp_path, cluster):
    here, there = short_runs(tmp_path / "here", 12), short_runs(tmp_path / "there", 12)
    sweep(here, 2)
    results = sweep_on(ray_executor(cluster.address), there)
    assert [result.status for result in results] == ["finished"] * 24
    assert results_of(here) == results_of(there)


@pytest.mark.slow
def test_killing_workers_of_the_cluster_changes_no_record(tmp_path, cluster):
    here, there = long_runs(tmp_path / "here"), long_runs(tmp_path / "there")
    sweep(here, 2)
    executor, kills, over = ray_executor(cluster.address), [], threading.Event()

    def killer():
        dice, seen = random.Random(0), 0
        while not over.wait(dice.uniform(0.2, 2.0)):
            workers = [p for p in psutil.process_iter(["cmdline"]) if _works(p)]
            events = sum(len(w.read_text().splitlines()) for w in tmp_path.rglob("log.jsonl"))
            # Whoever is killed before it has done anything proves nothing.
            if workers and events > seen and len(kills) < 40:
                seen = events
                victim = dice.choice(workers)
                os.kill(victim.pid, signal.SIGKILL)
                kills.append(victim.pid)

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        results = sweep_on(executor, there, retries=40)
    finally:
        over.set()
        thread.join()
    assert len(kills) >= 20
    assert [result.status for result in results] == ["finished"] * 24
    assert results_of(here) == results_of(there)


def _works(process):
    """Whether a process is a worker of the cluster with a run under way, or such a run's."""
    line = " ".join(process.info["cmdline"] or [])
    return line.startswith("ray::work")


@pytest.mark.slow
def test_killing_local_processes_changes_no_record(tmp_path):
    here, there = long_runs(tmp_path / "here"), long_runs(tmp_path / "there")
    sweep(here, 2)
    over, kills = threading.Event(), []

    def killer():
        dice = random.Random(1)
        while not over.wait(dice.uniform(0.3, 1.2)):
            leases = [w.folder / "lease.json" for w in there if (w.folder / "lease.json").exists()]
            if leases and len(kills) < 40:
                try:
                    os.kill(json.loads(dice.choice(leases).read_text())["pid"], signal.SIGKILL)
                    kills.append(time.time())
                except (OSError, ValueError):
                    continue

    thread = threading.Thread(target=killer)
    thread.start()
    try:
        results = sweep(there, 2, retries=40)
    finally:
        over.set()
        thread.join()
    assert len(kills) >= 20
    assert [result.status for result in results] == ["finished"] * 24
    assert results_of(here) == results_of(there)


def test_work_reports_the_codes_of_a_run(tmp_path):
    (wanted, _) = short_runs(tmp_path, 1)
    assert work(as_json(wanted), {"minutes": 5.0}) == (0, "")
    code, message = work(as_json(request(tmp_path, teacher="nobody")), {})
    assert code == 2 and "nobody" in message

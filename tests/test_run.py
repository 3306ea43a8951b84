"""A run is repeatable: killed and resumed, side by side, with any number of workers."""

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from benchmark import checkpoint, record
from benchmark.children import Limits
from benchmark.errors import LyceumError, TeacherError
from benchmark.lease import Lease, host_hash
from benchmark.provenance import ROOT
from benchmark.recorder import Recorder
from benchmark.run import RunRequest, as_json, execute
from benchmark.sweep import sweep

PROTOCOLS = Path(__file__).parent / "data" / "protocols"


def request(tmp_path, name="tiny-digits", teacher="uniform", seed=0, **options):
    path = str(PROTOCOLS / f"{name}.toml")
    return RunRequest(path, teacher, seed, runs=str(tmp_path), **options)


def record_bytes(folder):
    return (folder / "record.json").read_bytes()


class Killed(BaseException):
    """Stands for a power failure: nothing may catch it."""


def execute_with_failures(wanted, monkeypatch, rng):
    """Execute a run that dies at random moments until it gets through; return the deaths."""
    original, deaths = Recorder.on_progress, 0
    while True:
        left = rng.randrange(1, 25)

        def on_progress(self, loop):
            nonlocal left
            original(self, loop)
            left -= 1
            if left == 0:
                raise Killed

        monkeypatch.setattr(Recorder, "on_progress", on_progress)
        try:
            execute(wanted)
        except Killed:
            deaths += 1
            assert not (wanted.folder / "record.json").exists()
        else:
            monkeypatch.setattr(Recorder, "on_progress", original)
            return deaths


@pytest.mark.parametrize(
    ("protocol", "teacher"),
    [
        ("tiny-digits", "uniform"),
        ("tiny-digits", "self_paced"),
        ("tiny-digits", "easy_first_capped"),
        ("tiny-hypercube", "alp_gmm"),
        ("tiny-stumps", "alp_gmm"),
    ],
)
def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(
    tmp_path, monkeypatch, protocol, teacher
):
    straight = execute(request(tmp_path / "a", protocol, teacher))
    broken = request(tmp_path / "b", protocol, teacher, checkpoint_seconds=0.0)
    deaths = execute_with_failures(broken, monkeypatch, random.Random(3))
    assert deaths >= 1
    assert record_bytes(broken.folder) == record_bytes(straight)
    for name in ("curriculum.npz",):
        assert (broken.folder / name).read_bytes() == (straight / name).read_bytes()
    assert not (broken.folder / "checkpoint").exists()


def test_a_process_killed_for_real_continues(tmp_path):
    straight = execute(request(tmp_path / "a", teacher="self_paced"))
    wanted = request(tmp_path / "b", teacher="self_paced", checkpoint_seconds=0.0)
    command = [sys.executable, "-m", "benchmark.run", as_json(wanted)]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    while not list(wanted.folder.glob("checkpoint/*.npz")) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    assert record_bytes(wanted.folder) == record_bytes(straight)


def test_a_torn_curve_and_a_damaged_checkpoint_lose_only_time(tmp_path, monkeypatch):
    straight = execute(request(tmp_path / "a"))
    wanted = request(tmp_path / "b", checkpoint_seconds=0.0)
    original = Recorder.on_progress
    calls = iter(range(100))

    def on_progress(self, loop):
        original(self, loop)
        if next(calls) == 20:
            raise Killed

    monkeypatch.setattr(Recorder, "on_progress", on_progress)
    with pytest.raises(Killed):
        execute(wanted)
    monkeypatch.setattr(Recorder, "on_progress", original)
    with open(wanted.folder / "curve.jsonl", "a", encoding="utf-8") as file:
        file.write('{"k": 3, "spe')
    newest = sorted(wanted.folder.glob("checkpoint/*.npz"))[-1]
    content = bytearray(newest.read_bytes())
    content[len(content) // 2] ^= 1
    newest.write_bytes(content)
    execute(wanted)
    assert record_bytes(wanted.folder) == record_bytes(straight)
    rows = (wanted.folder / "curve.jsonl").read_text("utf-8").splitlines()
    assert [json.loads(row)["k"] for row in rows] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("workers", [2, 4])
def test_worlds_in_worker_processes_change_nothing(tmp_path, workers):
    one = execute(request(tmp_path / "1", "tiny-stumps", "alp_gmm"))
    many = execute(request(tmp_path / "n", "tiny-stumps", "alp_gmm", workers=workers))
    assert record_bytes(one) == record_bytes(many)


def test_runs_side_by_side_change_nothing(tmp_path):
    records = []
    for workers in (1, 2, 4):
        asked = [request(tmp_path / str(workers), seed=seed) for seed in range(2)]
        results = sweep(asked, workers)
        assert [result.status for result in results] == ["finished"] * len(asked)
        records.append([record_bytes(wanted.folder) for wanted in asked])
    assert records[0] == records[1] == records[2]


@pytest.mark.parametrize("protocol", ["tiny-digits", "tiny-hypercube", "tiny-stumps"])
def test_no_op_equals_uniform_bit_for_bit(tmp_path, protocol):
    hashes = set()
    for teacher in ("uniform", "no_op"):
        found, _ = record.read_run(execute(request(tmp_path, protocol, teacher)))
        hashes.add(found.result_sha256)
    assert len(hashes) == 1


def test_teachers_with_the_same_seed_start_with_the_same_student(tmp_path):
    first = {}
    for teacher in ("uniform", "easy_first", "random_pace"):
        found, _ = record.read_run(execute(request(tmp_path, teacher=teacher)))
        first[teacher] = (found.evaluation.score_a[0], found.evaluation.score_b[0])
    assert first["uniform"] == first["easy_first"] == first["random_pace"]


def test_seeds_differ(tmp_path):
    hashes = {
        record.read_run(execute(request(tmp_path, seed=seed)))[0].result_sha256 for seed in (0, 1)
    }
    assert len(hashes) == 2


def test_the_probe_is_billed_from_the_same_budget(tmp_path):
    plain, _ = record.read_run(execute(request(tmp_path, teacher="uniform")))
    asking, _ = record.read_run(execute(request(tmp_path, teacher="self_paced")))
    assert plain.spent.teacher[-1] == 0
    assert plain.spent.student[-1] == 4096
    forward = asking.spent.forward[-1]
    assert forward > 0
    assert forward % 988 == 0  # whole passes over the pool
    assert asking.spent.teacher[-1] == pytest.approx(forward / 3)
    assert asking.spent.student[-1] + asking.spent.teacher[-1] <= 4096
    assert asking.spent.student[-1] + asking.spent.teacher[-1] > 4095


def test_the_curriculum_is_saved(tmp_path):
    folder = execute(request(tmp_path, teacher="easy_first_capped"))
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        columns = dict(stored)
    assert columns["proposal"].tolist() == list(range(4096))
    assert columns["tasks"].shape == (4096,)
    assert columns["spent"][0] == 0
    assert columns["spent"][-1] == 4095
    # The first tenth of the budget is spent on the easiest fifth of the pool.
    prior = columns["item_prior"]
    early = columns["tasks"][:400]
    assert prior[early].mean() < np.quantile(prior, 0.3)
    assert len(set(columns["tasks"].tolist())) <= np.ceil(0.6 * len(prior))


def test_a_finished_run_is_kept_and_never_written_again(tmp_path):
    wanted = request(tmp_path)
    folder = execute(wanted)
    before = (folder / "record.json").stat().st_mtime_ns
    assert sweep([wanted], 1)[0].status == "kept"
    assert (folder / "record.json").stat().st_mtime_ns == before


def test_a_checkpoint_of_another_teacher_version_is_refused(tmp_path, monkeypatch):
    wanted = request(tmp_path, checkpoint_seconds=0.0)
    original = Recorder.on_progress
    calls = iter(range(100))

    def on_progress(self, loop):
        original(self, loop)
        if next(calls) == 10:
            raise Killed

    monkeypatch.setattr(Recorder, "on_progress", on_progress)
    with pytest.raises(Killed):
        execute(wanted)
    monkeypatch.setattr(Recorder, "on_progress", original)
    state = checkpoint.load(wanted.folder / "checkpoint")
    state["identity"]["teacher_source"] = "0" * 64
    checkpoint.save(wanted.folder / "checkpoint", 999, state)
    with pytest.raises(LyceumError, match="another teacher source"):
        execute(wanted)


def test_a_full_disk_is_a_sentence_and_loses_nothing_finished(tmp_path, monkeypatch):
    finished = execute(request(tmp_path, seed=0))
    before = record_bytes(finished)
    real = os.fsync
    calls = iter(range(1000))

    def fsync(descriptor):
        if next(calls) >= 3:
            raise OSError(28, "No space left on device")
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    wanted = request(tmp_path, seed=1)
    with pytest.raises(LyceumError, match="the disk is full"):
        execute(wanted)
    assert not (wanted.folder / "record.json").exists()
    assert not list(wanted.folder.glob(".*.tmp"))
    monkeypatch.setattr(os, "fsync", real)
    execute(wanted)  # space again: the same command gets through
    assert record_bytes(finished) == before


BAD_TEACHERS = {
    "raises": ("raise KeyError('lost')", "propose() failed: KeyError"),
    "nan": ("return Proposal(np.full((count, 2), np.nan))", "nan"),
    "shape": ("return Proposal(np.zeros((count + 1, 2)))", "shape"),
    "outside": ("return Proposal(np.full((count, 2), 1.5))", "1.5"),
    "type": ("return np.zeros((count, 2))", "Proposal"),
    "hangs": ("time.sleep(60)", "took longer than 3 s"),
    "swallows": ("exec('try:\\n while True: pass\\nexcept Exception: pass')", "longer than 3 s"),
}


@pytest.mark.parametrize("fault", BAD_TEACHERS)
def test_a_faulty_teacher_is_one_sentence_and_a_failure_file(tmp_path, fault):
    body, expected = BAD_TEACHERS[fault]
    file = tmp_path / "bad.py"
    file.write_text(
        "import time\nimport numpy as np\nfrom teachers.base import Proposal, Teacher\n\n"
        "class Bad(Teacher):\n    reference = 'none'\n"
        f"    def propose(self, count, progress):\n        {body}\n",
        encoding="utf-8",
    )
    wanted = request(tmp_path, "tiny-hypercube", f"{file}:Bad")
    with pytest.raises(TeacherError) as caught:
        execute(wanted)
    message = str(caught.value)
    assert expected in message
    assert "\n" not in message
    assert record.read_failure(wanted.folder).message in message
    assert not (wanted.folder / "record.json").exists()


def test_a_student_that_diverges_is_one_sentence_and_a_failure_file(tmp_path):
    text = (PROTOCOLS / "tiny-stumps.toml").read_text("utf-8")
    text = text.replace("rollout = 32", "rollout = 32, learning_rate = 1e30")
    (tmp_path / "diverging.toml").write_text(text, encoding="utf-8")
    tasks = "tiny-stumps-tasks.json"
    (tmp_path / tasks).write_text((PROTOCOLS / tasks).read_text("utf-8"), encoding="utf-8")
    wanted = RunRequest(str(tmp_path / "diverging.toml"), "uniform", 0, runs=str(tmp_path))
    with pytest.raises(LyceumError, match="diverged"):
        execute(wanted)
    assert record.read_failure(wanted.folder).kind == "training"


def test_a_living_lease_is_respected_and_a_dead_one_is_not(tmp_path):
    wanted = request(tmp_path)
    wanted.folder.mkdir(parents=True)
    lease = {"host": host_hash(), "pid": 1, "attempt": 4}
    (wanted.folder / "lease.json").write_text(json.dumps(lease), encoding="utf-8")
    with pytest.raises(LyceumError, match="process 1"):
        execute(wanted)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lease["pid"] = dead.pid
    (wanted.folder / "lease.json").write_text(json.dumps(lease), encoding="utf-8")
    with Lease(wanted.folder) as taken:
        assert taken.attempt == 5


def test_a_crashing_process_is_tried_again_and_then_reported(tmp_path):
    file = tmp_path / "crash.py"
    file.write_text(
        "import os\nfrom teachers.base import Teacher\n\n"
        "class Crash(Teacher):\n    reference = 'none'\n"
        "    def propose(self, count, progress):\n        os._exit(7)\n",
        encoding="utf-8",
    )
    wanted = [request(tmp_path, "tiny-hypercube", f"{file}:Crash"), request(tmp_path)]
    results = sweep(wanted, 2)
    assert [result.status for result in results] == ["crashed", "finished"]
    lease = json.loads((wanted[0].folder / "lease.json").read_text("utf-8"))
    assert lease["attempt"] == 3


def test_a_process_that_no_signal_reaches_is_stopped_from_outside(tmp_path):
    file = tmp_path / "deaf.py"
    file.write_text(
        "import signal\nimport time\nfrom teachers.base import Teacher\n\n"
        "class Deaf(Teacher):\n    reference = 'none'\n"
        "    def propose(self, count, progress):\n"
        "        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])\n"
        "        time.sleep(120)\n",
        encoding="utf-8",
    )
    wanted = [request(tmp_path, "tiny-hypercube", f"{file}:Deaf")]
    (result,) = sweep(wanted, 1, limits=Limits(silence_minutes=0.1))
    assert result.status == "failed"
    assert "no sign of life" in result.message


def test_a_smoke_run_is_marked(tmp_path):
    wanted = dataclasses.replace(request(tmp_path), smoke=512)
    found, _ = record.read_run(execute(wanted))
    assert found.status == "smoke"
    assert found.protocol.name.endswith("-smoke")


def test_a_run_that_ends_within_its_first_episode_has_an_empty_curriculum(tmp_path):
    wanted = RunRequest("stump_tracks-quick-v1", "uniform", 0, runs=str(tmp_path), smoke=16)
    folder = execute(wanted)
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        shapes = {name: stored[name].shape for name in ("tasks", "score", "spent")}
    assert shapes == {"tasks": (0, 2), "score": (0,), "spent": (0,)}


def test_labels_tell_arguments_apart_and_fit_into_records(tmp_path):
    def label(**arguments):
        label = request(tmp_path, teacher="alp_gmm", arguments=arguments).label
        record.require_teacher(label, arguments)
        return label

    assert label() == "alp_gmm" and label(random_share=0.25) == "alp_gmm[random_share=0.25]"
    assert label(units="raw", fit_every=50) == "alp_gmm[fit_every=50,units=raw]"
    odd = [label(criterion=text) for text in ("a<b", "a>b", "a-b", "é" * 90, "e" * 90, "e" * 91)]
    assert len(set(odd)) == len(odd) and max(map(len, odd)) <= 80
    assert odd[2] == "alp_gmm[criterion=a-b]" and odd[0].startswith("alp_gmm[criterion=a-b-")
    assert label(criterion=[0.1, 0.2]) != label(criterion=[0.1, 0.3])

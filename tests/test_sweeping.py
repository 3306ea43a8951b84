"""`lyceum sweep`: the plan, hostile teachers, limits, logs and listeners."""

import dataclasses
import json
import sys
import textwrap

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmark import chronicle, plan
from benchmark.children import Limits
from benchmark.chronicle import Chronicle, last_progress, require_listeners
from benchmark.cli import app
from benchmark.conduct import Watch
from benchmark.errors import LyceumError
from benchmark.plan import Guess, Plan, make_plan, make_requests
from benchmark.run import RunRequest, execute
from benchmark.sweep import sweep
from benchmark.sweeping import Where, carry_out
from tests.test_run import request

HOSTILE = """
    import os
    import random
    import subprocess
    import sys
    import time

    import numpy as np
    import torch
    from teachers.base import Proposal, Teacher


    class Hostile(Teacher):
        reference = "none"
        spaces = ("box",)
        hoard = []

        def propose(self, count, progress):
            {body}
            low, high = self.task_space.space.low, self.task_space.space.high
            return Proposal(self.rng.uniform(low, high, (count, len(low))))
"""
FAULTS = {
    "raises": ("raise RuntimeError('no idea')", "failed: RuntimeError: no idea"),
    "floods": ("sys.stdout.write('x' * 10_000_000)", "MB written to the terminal"),
    "leaks": ("self.hoard.append(np.ones(30_000_000)); time.sleep(0.1)", "GB of memory"),
    "forks": ("os.fork()", "forked the process"),
    "lingers": ("time.sleep(2.5)", "longer than 0.15 minutes"),
    "breeds": (
        "[subprocess.Popen(['sleep', '60']) for _ in range(40)]; time.sleep(1)",
        "processes started",
    ),
    "seeds numpy": ("np.random.seed(3)", "changed the global generator of numpy"),
    "seeds random": ("random.seed(3)", "changed the global generator of random"),
    "seeds torch": ("torch.manual_seed(3)", "changed the global generator of torch"),
}


def test_hostile_teachers_end_their_own_runs_and_never_the_sweep(tmp_path):
    wanted = []
    for number, (body, _) in enumerate(FAULTS.values()):
        file = tmp_path / f"hostile_{number}.py"
        file.write_text(textwrap.dedent(HOSTILE).format(body=body), encoding="utf-8")
        wanted.append(request(tmp_path / str(number), "tiny-hypercube", f"{file}:Hostile"))
    wanted.append(request(tmp_path / "good", "tiny-hypercube"))
    results = sweep(wanted, 3, limits=Limits(minutes=0.15, memory_gb=1.0))
    for result, (_, expected) in zip(results, FAULTS.values(), strict=False):
        assert result.status == "failed"
        assert expected in result.message
        failure = json.loads((result.request.folder / "failure.json").read_text("utf-8"))
        assert expected in failure["message"]
    assert results[-1].status == "finished"
    flooded = wanted[list(FAULTS).index("floods")].folder / "output.log"
    assert 0 < flooded.stat().st_size < 32_000_000


def test_a_look_at_randomness_leaves_it_as_it_was():
    import random

    import numpy as np
    import torch

    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before, watch = state(), Watch()
    watch.before(0.0)
    assert watch.after(0.0) == ""
    assert state() == before


def test_the_plan_knows_what_is_finished_and_puts_long_runs_first(tmp_path):
    options = {"runs": str(tmp_path)}
    made = make_requests(["hypercube-v2", "digits-noise-v1"], ["uniform"], "3", **options)
    assert [(r.protocol, r.seed) for r in made[:2]] == [("hypercube-v2", 0), ("hypercube-v2", 1)]
    done = dataclasses.replace(made[4])
    done.folder.mkdir(parents=True)
    execute(done)
    made[0].folder.mkdir(parents=True)  # a folder alone means nothing
    found = make_plan(made)
    assert found.finished == 1 and len(found.pending) == 5
    assert found.guess(made[4]).source == plan.HERE
    assert found.guess(made[0]).source == plan.PUBLISHED
    seconds = [found.guess(r).seconds for r in found.pending]
    assert seconds == sorted(seconds, reverse=True)


def test_hours_are_an_even_share_but_never_less_than_the_longest():
    runs = [RunRequest("digits-noise-v1", "uniform", seed) for seed in range(4)]
    long = RunRequest("hypercube-v2", "uniform", 0)
    guesses = {
        (runs[0].protocol, "uniform"): Guess(900.0, 2e6, "here"),
        (long.protocol, "uniform"): Guess(7200.0, None, "here"),
    }
    found = Plan([*runs, long], [*runs, long], guesses)
    assert found.hours(1) == pytest.approx(3.0)
    assert found.hours(2) == pytest.approx(2.0)
    assert found.size() == pytest.approx(10e6)
    nothing = Plan(runs, runs, {(runs[0].protocol, "uniform"): Guess(None, None, "unknown")})
    assert nothing.hours(2) is None and nothing.size() is None


def test_the_command_plans_runs_and_resumes(tmp_path):
    words = ["sweep", "hypercube-v2", "-t", "uniform", "--seeds", "2", "--runs", str(tmp_path)]
    planned = CliRunner().invoke(app, [*words, "--plan"])
    assert planned.exit_code == 0 and "2 runs to do, 0 finished" in planned.output
    assert not list(tmp_path.iterdir())
    printed = CliRunner().invoke(app, [*words, "--engine", "print"])
    assert printed.output.count("-m benchmark.run") == 2
    console = Console(file=open("/dev/null", "w"), record=True, width=160)
    made = make_requests(["hypercube-v2"], ["uniform"], "2", runs=str(tmp_path))
    assert carry_out(console, make_plan(made), Where()) == 0
    assert "Runs: 2 finished." in console.export_text()
    assert carry_out(console, make_plan(made), Where()) == 0
    assert "Runs: 2 kept." in console.export_text()
    again = CliRunner().invoke(app, [*words, "--plan"])
    assert "0 runs to do, 2 finished" in again.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "rai"], "did you mean 'ray'"),
        (["--listen", "tensorbord"], "did you mean 'tensorboard'"),
        (["--seeds", "99"], "20"),
        (["-t", "unifrom"], "did you mean 'uniform'"),
        (["--set", "cap=2"], "cap"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_runs(tmp_path, words, message):
    base = ["sweep", "hypercube-v2", "-t", "uniform", "--runs", str(tmp_path)]
    result = CliRunner().invoke(app, [*base, *words])
    assert isinstance(result.exception, LyceumError) and message in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_damaged_record_is_not_taken_for_a_finished_run(tmp_path):
    wanted = request(tmp_path)
    path = execute(wanted) / "record.json"
    whole = path.read_bytes()
    (kept,) = sweep([wanted], 1)
    assert kept.status == "kept"
    place = whole.index(b"0.", whole.index(b'"score_a"')) + 2
    flipped = bytes(whole[:place]) + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    for damaged, message in (
        (whole[: len(whole) // 2], r"record\.json"),
        (flipped, "result_sha256"),
        (whole.replace(b'"seed": 0', b'"seed": 7'), "another seed"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(LyceumError, match=message):
            sweep([wanted], 1)


def test_the_log_tells_what_happened(tmp_path):
    wanted = request(tmp_path, checkpoint_seconds=0.0)
    folder = execute(wanted)
    events = [json.loads(line) for line in (folder / "log.jsonl").read_text("utf-8").splitlines()]
    kinds = [event["event"] for event in events]
    assert kinds[0] == "attempt" and kinds[-1] == "finished"
    assert kinds.count("evaluation") == len(wanted.loaded.grid) and "checkpoint" in kinds
    assert all(event["time"] for event in events)
    last = last_progress(folder)
    assert last["spent"] == last["total"] and 0 <= last["score"] <= 1
    assert last_progress(tmp_path / "nothing") is None


class Breaks:
    """A listener that fails at the second event."""

    def __init__(self, folder, label):
        self.heard = 0

    def hear(self, event):
        self.heard += 1
        if self.heard == 2:
            raise OSError("the server is gone")

    def close(self):
        raise OSError("the server is gone")


class NeverOpens:
    """A listener that cannot even begin."""

    def __init__(self, folder, label):
        raise ConnectionError("no network")


def test_listeners_that_fail_never_stop_a_run(tmp_path, monkeypatch):
    more = {"breaks": (Breaks, "json"), "closed": (NeverOpens, "json")}
    monkeypatch.setattr(chronicle, "LISTENERS", chronicle.LISTENERS | more)
    plain = execute(request(tmp_path / "plain"))
    heard = execute(request(tmp_path / "heard", listeners=("breaks", "closed")))
    assert (plain / "record.json").read_bytes() == (heard / "record.json").read_bytes()
    log = (heard / "log.jsonl").read_text("utf-8")
    assert log.count("listener left out") == 2
    assert "no network" in log and "the server is gone" in log


def test_a_log_that_cannot_be_written_costs_nothing_else(tmp_path):
    log = Chronicle(tmp_path / "nowhere")
    log.note("evaluation", spent=1)
    log.close()


def test_missing_listeners_say_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(LyceumError, match=r"lyceum\[wandb\]"):
        require_listeners(["wandb"])


def test_tensorboard_hears_every_evaluation(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    wanted = request(tmp_path, listeners=("tensorboard",))
    folder = execute(wanted)
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("score")] == list(wanted.loaded.grid)

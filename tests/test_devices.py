"""Where students learn: the choice, what a record says about it, and how a process is set up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmark import record
from benchmark.devices import QUIET, device_name, place
from benchmark.errors import LyceumError
from benchmark.provenance import ROOT
from benchmark.run import RunRequest, execute
from benchmark.sweep import standing
from tests.test_cli import CUBE, TINY, lyceum

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
STUMPS = str(Path(__file__).parent / "data" / "protocols" / "tiny-stumps.toml")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_a_device_is_chosen_by_name(no_gpu, monkeypatch):
    assert [place("cpu"), place("auto")] == ["cpu", "cpu"]
    with pytest.raises(LyceumError, match="--device: device 'cuda' was asked for, but torch sees"):
        place("cuda")
    with pytest.raises(LyceumError, match="must be one of cpu, cuda, auto, but is 'gpu'"):
        place("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert [place("cpu"), place("cuda"), place("auto")] == ["cpu", "cuda", "cuda"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_the_command_line_says_that_there_is_no_gpu(tmp_path):
    code, _, err = lyceum("run", TINY, "-t", "uniform", "--device", "cuda", cwd=tmp_path)
    assert code == 2 and "torch sees no GPU" in err and "Traceback" not in err
    assert not (tmp_path / "runs").exists()


def test_a_record_says_where_its_student_learned(tmp_path, no_gpu):
    request = RunRequest(TINY, "uniform", 0, runs=str(tmp_path), device="auto")
    found, _ = record.read_run(execute(request))
    assert found.provenance["device"] == "cpu"

    class OnGpu:
        device = torch.device("cuda")

    torch.cuda.get_device_name, kept = lambda device: "NVIDIA H200", torch.cuda.get_device_name
    try:
        assert device_name(OnGpu()) == "cuda: NVIDIA H200"
    finally:
        torch.cuda.get_device_name = kept
    assert device_name(object()) == "cpu"  # a student without a network


def test_a_finished_run_is_not_taken_for_one_of_another_device(tmp_path, monkeypatch):
    request = RunRequest(TINY, "uniform", 0, runs=str(tmp_path))
    execute(request)
    assert standing(request, False, False).status == "kept"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    other = RunRequest(TINY, "uniform", 0, runs=str(tmp_path), device="cuda")
    with pytest.raises(LyceumError, match="a finished run with another device"):
        standing(other, False, False)


def test_processes_of_a_run_wait_passively_with_one_thread(tmp_path):
    # What the environment holds when torch is loaded is all that counts: its import tells it.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys, os, json, builtins\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        f"            print('SEEN', json.dumps({{k: os.environ.get(k) for k in {list(QUIET)}}}))\n"
        "sys.meta_path.insert(0, Finder())\n"
    )
    bare = {key: value for key, value in os.environ.items() if key not in QUIET}
    bare["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{ROOT}"
    asked = json.dumps({"protocol": CUBE, "teacher": "uniform", "seed": 0, "runs": str(tmp_path)})
    command = [sys.executable, "-m", "benchmark.run", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=bare)
    seen = next(line for line in done.stdout.splitlines() if line.startswith("SEEN"))
    assert json.loads(seen.removeprefix("SEEN ")) == QUIET


@needs_gpu
@pytest.mark.parametrize("protocol", [TINY, STUMPS])
def test_a_run_on_a_gpu_is_repeatable(tmp_path, protocol):
    records = []
    for name in "ab":
        request = RunRequest(protocol, "uniform", 0, runs=str(tmp_path / name), device="cuda")
        records.append(record.read_run(execute(request))[0])
    assert records[0].provenance["device"].startswith("cuda: ")
    first_scores, second_scores = (found.evaluation.score_a for found in records)
    assert first_scores[0] == pytest.approx(second_scores[0], rel=1e-5)

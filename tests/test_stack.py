"""Seeds trained as one stack: records as of separate runs up to rounding, checkpoints per seed."""

import dataclasses
import io
import json

import numpy as np
import pytest
from rich.console import Console

from benchmark import record
from benchmark.commands import run_and_rank
from benchmark.errors import LyceumError
from benchmark.recorder import Recorder
from benchmark.run import execute
from benchmark.stack import execute_stack, sweep_stacks
from students.ppo import PPO
from tests.test_run import PROTOCOLS, Killed, request

STUMPS = "tiny-stumps"
STEPS = 128  # four rollouts; later on physics makes much of the last digit
CLOSE = 1e-3


def stacked(folder, seeds, teacher="uniform", **options):
    options |= {"stacked": True, "smoke": STEPS}
    return [request(folder, STUMPS, teacher, seed, **options) for seed in seeds]


def quiet(*_):
    pass


def read(wanted):
    return record.read_run(wanted.folder)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two seeds as a stack and each alone."""
    folder = tmp_path_factory.mktemp("stack")
    together = stacked(folder / "together", (0, 1))
    assert execute_stack(together, quiet) == {}
    alone = [request(folder / "alone", STUMPS, "uniform", seed, smoke=STEPS) for seed in (0, 1)]
    for each in alone:
        execute(each)
    return together, alone


def test_records_are_those_of_separate_runs_up_to_rounding(trained):
    for one, two in zip(*map(lambda each: map(read, each), trained), strict=True):
        assert (one.seed, one.grid, one.spent.student) == (two.seed, two.grid, two.spent.student)
        assert one.spent.updates == two.spent.updates
        assert one.evaluation.score_a[0] == two.evaluation.score_a[0]  # nothing learned yet
        np.testing.assert_allclose(
            one.evaluation.score_a, two.evaluation.score_a, rtol=0, atol=CLOSE
        )
        assert (one.provenance["device"], two.provenance["device"]) == ("cpu stacked", "cpu")


def test_costs_are_each_runs_own(trained):
    for each in trained[0]:
        _, costs = record.read_run(each.folder)
        assert 0 < costs.cpu_student[-1] < costs.wall[-1] and costs.cpu_environment[-1] > 0


def test_a_stack_that_dies_goes_on_from_the_checkpoints_of_its_seeds(
    trained, tmp_path, monkeypatch
):
    wanted = stacked(tmp_path, (0, 1), checkpoint_seconds=0.0)
    original, calls = Recorder.on_progress, iter(range(10_000))

    def on_progress(self, loop):
        original(self, loop)
        if next(calls) in (11, 26):
            raise Killed

    monkeypatch.setattr(Recorder, "on_progress", on_progress)
    for _ in range(2):
        with pytest.raises(Killed):
            execute_stack(wanted, quiet)
    assert execute_stack(wanted, quiet) == {}
    for one, two in zip(wanted, trained[0], strict=True):
        scores = read(one).evaluation.score_a, read(two).evaluation.score_a
        np.testing.assert_allclose(*scores, rtol=0, atol=CLOSE)
        assert read(one).spent == read(two).spent


@pytest.mark.parametrize("culprit", ["teacher", "student"])
def test_a_run_that_fails_leaves_the_others_alone(culprit, trained, tmp_path, monkeypatch):
    wanted = stacked(tmp_path, (0, 1))
    if culprit == "teacher":
        file = tmp_path / "broken.py"
        file.write_text(
            "from teachers.uniform import Uniform\n\n\n"
            "class Broken(Uniform):\n"
            "    def propose(self, count, progress):\n"
            "        raise ValueError('no more')\n"
        )
        wanted[1] = dataclasses.replace(wanted[1], teacher=f"{file}:Broken")
    else:
        original, calls = PPO.begin_update, iter(range(100))

        def begin_update(self):
            if next(calls) == 3:
                raise ValueError("no more")
            return original(self)

        monkeypatch.setattr(PPO, "begin_update", begin_update)
    messages = execute_stack(wanted, quiet)
    assert [*messages] == [1] and "seed 1: " in messages[1] and "no more" in messages[1]
    failure = record.read_failure(wanted[1].folder)
    assert failure.kind == {"teacher": "teacher", "student": "training"}[culprit]
    scores = read(wanted[0]).evaluation.score_a, read(trained[0][0]).evaluation.score_a
    np.testing.assert_allclose(*scores, rtol=0, atol=CLOSE)


def test_a_student_that_learns_alone_is_refused(tmp_path):
    wanted = [request(tmp_path, "tiny-sac")]
    with pytest.raises(LyceumError, match=r"can learn in a stack \(ppo\); tiny-sac has sac"):
        sweep_stacks(wanted, 2, 1, quiet)


def test_a_stack_and_a_run_alone_do_not_continue_each_other(trained):
    together, _ = trained
    alone = dataclasses.replace(together[0], stacked=False)
    assert alone.identity != together[0].identity and alone.identity["device"] == "cpu"
    events = []
    results = sweep_stacks(together, 2, 1, lambda each, event: events.append((each.seed, event)))
    assert [result.status for result in results] == ["kept", "kept"] and len(events) == 2


def test_a_stack_in_a_process_of_its_own(tmp_path):
    for name in (f"{STUMPS}.toml", f"{STUMPS}-tasks.json"):
        text = (PROTOCOLS / name).read_text("utf-8").replace("total = 2048", "total = 128")
        (tmp_path / name).write_text(text, "utf-8")
    said = io.StringIO()
    code = run_and_rank(
        Console(file=said, width=200), protocol=str(tmp_path / f"{STUMPS}.toml"),
        teachers=["uniform"], seeds="2", settings=[], workers=1, local=True, retry_failed=False,
        fresh=False, options={"runs": str(tmp_path)}, stack=2,
    )  # fmt: skip
    assert code == 0 and "2 finished" in said.getvalue()
    for seed in range(2):
        path = tmp_path / f"{STUMPS}/uniform/seed-{seed:04d}/record.json"
        assert json.loads(path.read_text("utf-8"))["provenance"]["device"] == "cpu stacked"

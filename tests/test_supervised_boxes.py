"""Supervised tasks with a box of parameters under teachers of boxes: from assembly to record."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import record
from benchmark.assemble import fitting_teacher, space_kind
from benchmark.errors import LyceumError
from benchmark.evaluate import TestSetEvaluator, examples
from benchmark.ledger import Ledger
from benchmark.probe import SupervisedProbe
from benchmark.protocol import Protocol
from benchmark.registry import load
from benchmark.run import RunRequest, execute
from environments.supervised.sparse_parity import SparseParity
from students.supervised import Classifier
from teachers import TEACHERS

TINY = str(Path(__file__).parent / "data" / "protocols" / "tiny-parity.toml")


def run(tmp_path, teacher, path=TINY, **options):
    return execute(RunRequest(path, teacher, 0, runs=str(tmp_path / "runs"), **options))


def protocol_with(tmp_path, **options):
    """The tiny protocol with other task options, in a file of its own."""
    text = Path(TINY).read_text("utf-8")
    items = ", ".join(f"{name} = {json.dumps(value)}" for name, value in options.items())
    path = tmp_path / "other.toml"
    path.write_text(text.replace("per_level = 60", f"per_level = 60, {items}"), encoding="utf-8")
    return str(path)


BOXES = sorted(
    name
    for name in TEACHERS
    if "box" in load("teacher", name).spaces
    and not load("teacher", name).signals
    and set(load("teacher", name).privileges) <= {"probe"}
)


@pytest.mark.parametrize("teacher", BOXES)
def test_every_teacher_of_boxes_runs_unchanged(teacher, tmp_path):
    folder = run(tmp_path, teacher)
    found, _ = record.read_run(folder, Protocol.load(TINY))
    assert found.evaluation.tasks == ["density 0.2", "density 0.5"]
    assert found.evaluation.count_a == found.evaluation.count_b == [30, 30]
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        assert stored["tasks"].ndim == 2 and stored["tasks"].shape[1] == 1
        assert stored["tasks"].min() >= 0.02 and stored["tasks"].max() <= 0.5
        assert stored["names"].tolist() == ["density"]


def test_the_student_learns_and_uniform_equals_no_op(tmp_path):
    plain, no_op = (record.read_run(run(tmp_path, name))[0] for name in ("uniform", "no_op"))
    assert plain.result_sha256 == no_op.result_sha256
    final = np.mean([plain.evaluation.success_a[-1], plain.evaluation.success_b[-1]])
    assert final > 0.9


def test_a_killed_run_continues_exactly(tmp_path):
    whole, _ = record.read_run(run(tmp_path, "alp_gmm"))
    file = tmp_path / "dies.py"
    body = "\n".join(
        [
            "from teachers.alp_gmm import ALPGMM",
            "class Mine(ALPGMM):",
            "    calls = 0",
            "    def propose(self, count, progress):",
            "        Mine.calls += 1",
            "        if Mine.calls == 20: raise KeyboardInterrupt",
            "        return super().propose(count, progress)",
        ]
    )
    file.write_text(body, encoding="utf-8")
    options = {"checkpoint_seconds": 0.0}
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, f"{file}:Mine", **options)
    found, _ = record.read_run(run(tmp_path, f"{file}:Mine", **options))
    assert found.result_sha256 == whole.result_sha256


@pytest.mark.parametrize(
    ("options", "teacher", "message"),
    [
        ({}, "self_paced", "teaches discrete task spaces only, but tiny-parity has a box one"),
        ({"tasks": "items"}, "alp_gmm", "teaches box task spaces only, but tiny-parity has a"),
        ({"tasks": "levels"}, "adr", "has a discrete one"),
        ({}, "vds", "reads the signal 'trajectory', which a supervised task does not give"),
        ({}, "robust_plr", "'trajectory'"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused_in_one_sentence(
    options, teacher, message, tmp_path
):
    protocol = Protocol.load(protocol_with(tmp_path, **options) if options else TINY)
    with pytest.raises(LyceumError, match=message):
        fitting_teacher(protocol, teacher, {})


def test_levels_and_items_take_teachers_of_items(tmp_path):
    path = protocol_with(tmp_path, tasks="items", items=200)
    assert space_kind(Protocol.load(path)) == "discrete"
    folder = run(tmp_path, "easy_first", path)
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        assert len(stored["item_label"]) == len(stored["item_group"]) == len(stored["item_prior"])
        assert stored["tasks"].ndim == 1 and stored["tasks"].max() < len(stored["item_label"])
    (tmp_path / "levels").mkdir()
    folder = run(tmp_path / "levels", "tscl", protocol_with(tmp_path / "levels", tasks="levels"))
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        assert set(stored["tasks"]) == {0, 1} and "item_label" not in stored


def test_a_wrong_option_names_the_protocol(tmp_path):
    with pytest.raises(LyceumError, match=r"tiny-parity: task sparse_parity .* order must lie"):
        text = Path(TINY).read_text("utf-8").replace("order = 2", "order = 9")
        (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
        run(tmp_path, "uniform", str(tmp_path / "wrong.toml"))


def test_a_seed_says_which_example_of_a_task_is_meant():
    task, tasks = SparseParity(0), np.full((6, 1), 0.3)
    seeds = np.array([7, 8, 7, 9, 10, 7])
    inputs, targets = examples(task, tasks, seeds, np.random.default_rng(0))
    again = examples(task, tasks[:1], seeds[:1], np.random.default_rng(5))
    assert np.array_equal(inputs[0], inputs[2]) and np.array_equal(inputs[0], again[0][0])
    assert targets[0] == targets[5] and len({row.tobytes() for row in inputs}) == 4
    free = examples(task, tasks, None, np.random.default_rng(0))[0]
    assert np.array_equal(free, task.sample(tasks, np.random.default_rng(0))[0])


def test_accuracy_per_level_in_two_halves():
    task = SparseParity(0, bits=6, order=2, held_out=(0.1, 0.5), per_level=40)

    class Knows:
        """Right on all sparse inputs, wrong on all dense ones."""

        def predict(self, inputs):
            wrong = task.test_level == 1
            return {"logits": 3.0 * np.eye(2)[task.test[1] ^ wrong]}

    found = TestSetEvaluator(task).evaluate(Knows(), 0)
    assert found.success_a.tolist() == found.success_b.tolist() == [1.0, 0.0]
    assert found.count_a.tolist() == found.count_b.tolist() == [20, 20]
    loss = np.log(1 + np.exp(-3.0))
    np.testing.assert_allclose(found.score_a, [-loss, -loss - 3.0])


def test_questions_about_vectors_are_billed_and_repeat_after_a_checkpoint():
    task, ledger = SparseParity(0, bits=6, order=2), Ledger(1000)
    probe = SupervisedProbe(task, Classifier((6,), 2, seed=0), ledger, ("probe",), 3)
    tasks = np.full((5, 1), 0.4)
    probe.loss(tasks)
    saved = ledger.state_dict()
    scores = probe.evaluate(tasks)
    answer = probe.rollout(tasks, np.full(5, 11))
    assert scores.shape == (5,) and (scores < 0).all() and len(set(answer["score"])) == 1
    assert set(answer["success"]) <= {0.0, 1.0} and (answer["length"] == 1).all()
    assert ledger.forward == 15 and ledger.teacher == 5
    other = Ledger(1000)
    other.load_state_dict(saved)
    again = SupervisedProbe(task, Classifier((6,), 2, seed=0), other, ("probe",), 3)
    assert np.array_equal(again.evaluate(tasks), scores)
    assert not np.array_equal(again.evaluate(tasks), scores)


def test_the_kind_of_space_is_known_before_anything_is_built():
    protocol = Protocol.load(TINY)
    assert space_kind(protocol) == "box"
    digits = replace(protocol.task, name="digits", options={})
    assert space_kind(replace(protocol, task=digits)) == "discrete"

"""Supervised tasks with a box of parameters under teachers of boxes: from assembly to record."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmark import record
from benchmark.errors import LyceumError
from benchmark.evaluate import TestSetEvaluator, examples, per_task
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.probe import SupervisedProbe
from benchmark.protocol import Protocol
from benchmark.registry import load
from benchmark.run import RunRequest, execute
from benchmark.telling import fitting_teacher, space_kind
from environments.supervised.sparse_parity import SparseParity
from students.supervised import Classifier
from teachers import TEACHERS
from teachers.base import Proposal, TaskSpace, Teacher

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


def test_a_seed_says_which_examples_of_a_task_are_meant():
    task, tasks = SparseParity(0), np.full((6, 1), 0.3)
    seeds, owner = np.array([7, 8, 7, 9, 10, 7]), np.repeat(np.arange(6), 3)[:17]
    inputs, targets = examples(task, tasks, seeds, owner, np.random.default_rng(0))
    assert len(inputs) == len(targets) == 17 and len({row.tobytes() for row in inputs}) == 12
    rows = [inputs[owner == k] for k in range(6)]
    assert np.array_equal(rows[0], rows[2]) and np.array_equal(rows[0][:2], rows[5])
    again = examples(task, tasks[:1], seeds[:1], owner[:3], np.random.default_rng(5))
    assert np.array_equal(again[0], rows[0]) and np.array_equal(again[1], targets[:3])
    free = examples(task, tasks, None, owner, np.random.default_rng(0))[0]
    assert np.array_equal(free, task.sample(tasks[owner], np.random.default_rng(0))[0])


def test_means_per_task():
    owner = np.array([0, 0, 1, 1, 2])
    assert per_task(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), owner).tolist() == [2.0, 6.0, 9.0]
    assert per_task(np.arange(10.0).reshape(5, 2), owner).tolist() == [[1, 2], [5, 6], [8, 9]]
    values = np.arange(4.0)
    assert per_task(values, np.arange(4)) is values


class Watcher(Teacher):
    """Proposes a fixed list of densities and remembers what it hears."""

    spaces = ("box",)
    signals = ("loss",)

    def __init__(self, space):
        super().__init__(space, seed=0)
        self.heard = []

    def propose(self, count, progress):
        return Proposal(np.linspace(0.1, 0.5, count)[:, None], weights=np.arange(1.0, count + 1))

    def observe(self, outcomes):
        self.heard.append(outcomes)


class Oracle:
    """Knows the class of sparse inputs and errs on all others; keeps what it was trained on."""

    def __init__(self, task):
        self.task, self.seen, self.weights = task, [], []

    def train(self, inputs, targets, weigh=None):
        facts = {"loss": np.arange(len(targets), dtype=float), "logits": np.eye(2)[targets]}
        self.seen.append(inputs)
        self.weights.append(weigh(facts))
        return {**facts, "correct": (np.arange(len(targets)) % 20 > 0).astype(float)}


def test_a_task_of_several_examples_is_heard_of_once():
    task = SparseParity(0, examples=20)
    teacher, student, ledger = Watcher(TaskSpace(task.task_space)), Oracle(task), Ledger(90)
    heard = []
    listener = type("L", (), {"on_progress": lambda *_: None})()
    listener.on_outcomes = lambda spent, columns: heard.append((spent, columns))
    guard = GuardedTeacher(teacher, ledger, 5.0)
    BatchLoop(guard, student, task, ledger, listener, 0, 40, 1).run()
    first, _, third = teacher.heard
    assert [len(outcomes.tasks) for outcomes in teacher.heard] == [2, 2, 1]
    assert first.tasks.tolist() == [[0.1], [0.5]] and first.proposal.tolist() == [0, 1]
    # Losses 0..19 and 20..39; 19 of 20 answers are right, which is a success.
    assert first.loss.tolist() == [9.5, 29.5] and first.score.tolist() == [-9.5, -29.5]
    assert first.success.tolist() == [1.0, 1.0] and first.length.tolist() == [20, 20]
    # The last task is cut to what is left: one wrong answer of ten still is nine in ten.
    assert third.length.tolist() == [10] and third.success.tolist() == [1.0]
    assert ledger.spent == 90 and heard[1][0].tolist() == [40, 60]
    # Every example counts with the weight of its task, scaled to a mean of one.
    assert np.allclose(student.weights[0], np.repeat([2 / 3, 4 / 3], 20))
    sparse, dense = (student.seen[0][rows] < 0 for rows in (slice(0, 20), slice(20, 40)))
    assert sparse.mean() < 0.2 < 0.4 < dense.mean()


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
    task, ledger = SparseParity(0, bits=6, order=2, examples=4), Ledger(1000)
    probe = SupervisedProbe(task, Classifier((6,), 2, seed=0), ledger, ("probe",), 3)
    tasks = np.full((5, 1), 0.4)
    probe.loss(tasks)
    saved = ledger.state_dict()
    scores = probe.evaluate(tasks)
    answer = probe.rollout(tasks, np.full(5, 11))
    assert scores.shape == (5,) and (scores < 0).all() and len(set(answer["score"])) == 1
    assert set(answer["success"]) <= {0.0, 1.0} and (answer["length"] == 4).all()
    assert ledger.forward == 60 and ledger.teacher == 20
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

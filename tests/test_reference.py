"""Reference students: trained within a run, on its bill, once, and exactly again after a crash."""

import random

import numpy as np
import pytest
from gymnasium import spaces

from benchmark import record
from benchmark.errors import TeacherError
from benchmark.ledger import Ledger
from benchmark.probe import SupervisedProbe
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from benchmark.reference import ReferenceSchool
from benchmark.run import RunRequest, execute
from teachers.base import TaskSpace
from teachers.reference import Reference
from teachers.reference_order import (
    EasyFirstCrossValidated,
    EasyFirstReference,
    TransferTeacher,
)
from teachers.rho_loss import RHOLoss, RHOLossValidation
from tests.clouds import Clouds, Lesson, new_student
from tests.test_run import execute_with_failures, record_bytes

POOL = TaskSpace(spaces.Discrete(12, start=3), label=np.arange(12) % 2)
ALL = ("probe", "reference_model", "validation_labels")


class Told:
    """A probe whose references say what it was given; it keeps its questions."""

    def __init__(self, answers, losses=None):
        self.answers, self.asked = np.asarray(answers, dtype=float), []
        self.now, self.questions = losses, []

    def reference_loss(self, tasks, learn_from, share):
        self.asked.append((np.array(tasks), learn_from, share))
        return self.answers[np.asarray(tasks) - 3]

    def loss(self, tasks):
        self.questions.append(np.array(tasks))
        return np.asarray(self.now, dtype=float)[np.asarray(tasks) - 3]


def told(cls, answers, losses=None, **options):
    teacher = cls(POOL, seed=0, **options)
    teacher.probe = Told(answers, losses)
    teacher.prepare()
    return teacher


def asking(total=2000, privileges=ALL, task=None):
    task, ledger = task or Clouds(n=60), Ledger(total)
    student = new_student(0)
    school = ReferenceSchool(task, new_student, ledger, 32, 5)
    return SupervisedProbe(task, student, ledger, privileges, 5, school), ledger, student


# The service


def test_a_reference_is_billed_as_a_student_is_and_its_question_by_its_passes():
    probe, ledger, student = asking()
    before = student.state_dict()["parameters"]
    losses = probe.reference_loss(np.arange(20), np.arange(60), 0.25)
    assert losses.shape == (20,) and (losses > 0).all()
    assert (ledger.forward, ledger.backward) == (500 + 20, 500)
    assert ledger.teacher == pytest.approx(500 + 20 / 3) and ledger.references == 1
    assert np.array_equal(student.state_dict()["parameters"], before) and student.updates == 0


def test_a_reference_learns_what_it_is_given_and_nothing_else():
    probe, _, _ = asking(total=40_000, task=Clouds(n=200, noise=0.0))
    known, other = np.arange(0, 200, 4), np.arange(1, 200, 4)  # one class, and another
    losses = probe.reference_loss(np.concatenate([known, other]), known, 0.1)
    assert losses[:50].mean() < 0.05 and losses[50:].min() > 3
    validation = probe.reference_loss(np.arange(200), "validation", 0.1)
    assert validation.mean() < 0.2


def test_a_reference_is_the_loops_own_training_on_passes_without_replacement():
    """By hand: the same seed, the same batches, the student's own train()."""
    task = Clouds(n=40)
    probe, _, _ = asking(total=1000, task=task)
    found = probe.reference_loss(np.arange(40), np.arange(40), 0.1)
    rng = np.random.default_rng([5, 0, 1])
    student = new_student(int(rng.integers(2**63)))
    queue = np.concatenate([rng.permutation(40), rng.permutation(40), rng.permutation(40)])
    for start, stop in ((0, 32), (32, 64), (64, 96), (96, 100)):
        rows = queue[start:stop]
        student.train(task.inputs[rows], task.label[rows])
    logits = student.predict(task.inputs)["logits"].astype(float)
    wanted = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(40), task.label]
    assert found == pytest.approx(wanted, rel=1e-6)


def test_two_references_differ_and_neither_depends_on_the_student():
    first, second = ([], [])
    for trained, found in ((False, first), (True, second)):
        probe, _, student = asking()
        if trained:
            student.train(*Clouds(n=60).sample(np.arange(60), None))
        found += [probe.reference_loss(np.arange(9), np.arange(60), 0.1) for _ in range(2)]
    assert np.array_equal(first, second) and not np.array_equal(first[0], first[1])


@pytest.mark.parametrize(
    ("privileges", "learn_from", "share", "message"),
    [
        (("probe",), np.arange(9), 0.1, "'reference_model'"),
        (("reference_model",), "validation", 0.1, "'validation_labels'"),
        (ALL, "test", 0.1, "the word 'validation'"),
        (ALL, np.arange(9), 0.0, r"in \(0, 1\], but is 0.0"),
        (ALL, np.arange(9), float("nan"), "but is nan"),
        (ALL, np.arange(9), 1e-6, "needs at least one"),
        (ALL, np.arange(0), 0.1, "needs tasks to learn from"),
    ],
)
def test_what_cannot_be_trained_is_refused(privileges, learn_from, share, message):
    probe, ledger, _ = asking(privileges=privileges)
    with pytest.raises(TeacherError, match=message):
        probe.reference_loss(np.arange(9), learn_from, share)
    assert ledger.spent == 0 and ledger.references == 0


def test_more_than_is_left_is_refused():
    probe, ledger, _ = asking()
    ledger.student = 1500
    with pytest.raises(TeacherError, match="500 of 2000 are left"):
        probe.reference_loss(np.arange(9), np.arange(9), 0.3)


# Where the scores come from


def test_each_fold_is_asked_about_by_a_reference_of_the_others():
    teacher = told(EasyFirstCrossValidated, np.arange(12), folds=3, share=0.6)
    assert teacher.scores.tolist() == list(range(12)) and len(teacher.probe.asked) == 3
    for tasks, learned, share in teacher.probe.asked:
        assert sorted([*tasks, *learned]) == list(range(3, 15)) and len(tasks) == 4
        assert share == pytest.approx(0.2)
    everything = sorted(np.concatenate([tasks for tasks, _, _ in teacher.probe.asked]))
    assert everything == list(range(3, 15))


def test_the_pool_and_the_validation_set_have_one_reference():
    (tasks, learned, share) = told(EasyFirstReference, np.arange(12)).probe.asked[0]
    assert tasks.tolist() == learned.tolist() == list(range(3, 15)) and share == 0.5
    (_, learned, share) = told(TransferTeacher, np.arange(12), share=0.3).probe.asked[0]
    assert (learned, share) == ("validation", 0.3)
    halves = told(RHOLoss, np.arange(12)).probe.asked
    assert [len(tasks) for tasks, _, _ in halves] == [6, 6] and halves[0][2] == 0.25
    assert told(RHOLossValidation, np.arange(12)).probe.asked[0][1] == "validation"


def test_a_pool_of_one_item_has_no_rest():
    teacher = EasyFirstCrossValidated(TaskSpace(spaces.Discrete(1, start=3)), seed=0)
    teacher.probe = Told([7.0])
    teacher.prepare()
    assert teacher.scores.tolist() == [7.0] and teacher.propose(5, 0.5).tasks.tolist() == [3] * 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("shelf", 0.5), "pool, folds, validation"),
        (("pool", 0.0), "share"),
        (("pool", 0.95), "share"),
        (("folds", 0.5, 1), "folds"),
    ],
)
def test_impossible_references(options, message):
    with pytest.raises(ValueError, match=message):
        Reference(*options)


# Ordered by a reference


def test_the_order_is_that_of_the_losses_and_time_runs_over_what_is_left():
    answers = np.array([5, 3, 8, 1, 9, 2, 7, 4, 0, 6, 11, 10])
    teacher = told(EasyFirstReference, answers, start=0.25, end=0.5, balanced=False)
    assert teacher.ranked.tolist() == np.argsort(answers).tolist()
    first = teacher.propose(3, 0.5).tasks - 3  # spent by the reference: the beginning
    assert sorted(answers[first]) == [0, 1, 2]
    # A quarter of the rest is half of the way from 3 to 12 items: 7.5.
    half = teacher.propose(8, 0.625).tasks - 3
    assert sorted(answers[half]) == list(range(8))
    assert len(set(teacher.propose(12, 0.75).tasks)) == 12


def test_the_controls_of_the_order():
    answers = np.arange(12)
    anti = told(EasyFirstReference, answers, order="anti", balanced=False)
    assert anti.ranked.tolist() == list(range(11, -1, -1))
    shuffled = told(EasyFirstReference, answers, order="random", balanced=False)
    assert sorted(shuffled.ranked) == list(range(12)) and shuffled.ranked.tolist() != list(answers)
    balanced = told(EasyFirstReference, np.r_[answers[:6], answers[6:]])
    assert set(POOL.label[balanced.ranked[:2]]) == {0, 1}


@pytest.mark.parametrize(
    "cls",
    [EasyFirstReference, EasyFirstCrossValidated, TransferTeacher, RHOLoss, RHOLossValidation],
)
def test_without_a_reference_nothing_is_proposed(cls):
    teacher = cls(POOL, seed=0)
    with pytest.raises(ValueError, match="probe"):
        teacher.prepare()
    teacher.probe = Told(np.arange(12))
    with pytest.raises(ValueError, match="prepare"):
        teacher.propose(3, 0.0)


@pytest.mark.parametrize("cls", [EasyFirstReference, EasyFirstCrossValidated, TransferTeacher])
def test_another_student_finds_most_planted_wrong_labels(cls):
    lesson = Lesson(cls, Clouds(), total=10_000)
    wrong, scores = lesson.task.wrong, lesson.teacher.scores
    easiest = np.argsort(scores, kind="stable")[: int((~wrong).sum())]
    assert 1 - wrong[easiest].mean() > 0.9
    assert wrong[lesson.tasks[:300]].mean() < 0.05 < wrong[lesson.tasks[-300:]].mean()
    assert lesson.ledger.spent == pytest.approx(10_000, abs=1)
    assert lesson.ledger.student < 5000


def test_a_reference_with_time_to_memorise_says_nothing_any_more():
    """Why the in-sample order may fail as a detector of wrong labels, and held-out ones do not."""
    task = Clouds(n=80)

    def gap(share, learn_from):
        probe, _, _ = asking(total=60_000, task=task)
        losses = probe.reference_loss(np.arange(80), learn_from, share)
        return losses[task.wrong].mean() - losses[~task.wrong].mean()

    early, late = gap(0.02, np.arange(80)), gap(0.9, np.arange(80))
    assert late < 0.1 * early and gap(0.02, "validation") > early


# RHO-LOSS


def test_the_candidates_with_the_largest_reducible_loss_are_kept():
    losses, irreducible = np.arange(12) % 7, np.arange(12) % 5
    teacher = told(RHOLossValidation, irreducible, losses, keep=0.25, batch=3)
    proposal = teacher.propose(3, 0.5)
    reducible = losses - irreducible
    assert sorted(reducible[proposal.tasks - 3]) == sorted(reducible)[-3:]
    # One pass holds all candidates, so each item was asked about once.
    assert sorted(teacher.probe.questions[0]) == list(range(3, 15))


def test_every_batch_of_a_proposal_chooses_among_candidates_of_its_own():
    teacher = told(RHOLossValidation, np.zeros(12), np.arange(12), keep=0.5, batch=3)
    tasks = teacher.propose(6, 0.5).tasks
    assert len(set(tasks)) == 6  # one pass: candidates of the two batches do not overlap
    assert teacher.propose(0, 0.5).tasks.shape == (0,)
    whole = told(RHOLossValidation, np.zeros(12), np.arange(12), keep=1.0, batch=3)
    assert sorted(whole.propose(12, 0.5).tasks) == list(range(3, 15))


def test_a_clean_reference_picks_what_can_be_learned():
    lesson = Lesson(RHOLossValidation, Clouds(), total=6000)
    assert lesson.task.wrong[lesson.tasks].mean() < 0.1 and lesson.accuracy > 0.97


def test_references_of_noisy_halves_pick_it_at_first():
    lesson = Lesson(RHOLoss, Clouds(), total=6000)
    assert lesson.task.wrong[lesson.tasks[:300]].mean() < 0.05


@pytest.mark.parametrize(("option", "value"), [("keep", 0.0), ("keep", 1.5), ("batch", 0)])
def test_options_of_rho_loss_out_of_range(option, value):
    with pytest.raises(ValueError, match=option):
        RHOLoss(POOL, seed=0, **{option: value})


# Whole runs


@pytest.fixture(scope="module")
def run_of_a_reference(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    request = RunRequest("digits-noise-reference-v1", "rho_loss", 0, runs=str(folder), smoke=6000)
    return request, execute(request)


def test_the_record_counts_references_and_no_grid_point_is_skipped(run_of_a_reference):
    found, costs = record.read_run(run_of_a_reference[1])
    assert found.spent.references == [0, 2, 2]
    # The references spend half of the budget: at its middle the student knows nothing yet.
    assert found.spent.student[:2] == [0, 0] and found.spent.student[2] > 0
    assert found.evaluation.success_a[1] == found.evaluation.success_a[0]
    protocol = Protocol.load("digits-noise-reference-v1").smoke(6000)
    record.check_against(found, protocol, "here")
    assert costs.cpu_teacher[1] > 0


def test_a_run_killed_at_random_moments_ends_with_the_same_record(
    run_of_a_reference, tmp_path, monkeypatch
):
    request, straight = run_of_a_reference
    broken = RunRequest(
        request.protocol, request.teacher, 0, runs=str(tmp_path), smoke=6000, checkpoint_seconds=0.0
    )
    assert execute_with_failures(broken, monkeypatch, random.Random(1)) >= 1
    assert record_bytes(broken.folder) == record_bytes(straight)


def test_runs_without_references_say_nothing_of_them(tmp_path):
    folder = execute(
        RunRequest("digits-noise-reference-v1", "uniform", 0, runs=str(tmp_path), smoke=600)
    )
    assert "references" not in (folder / "record.json").read_text("utf-8")


def test_prepare_is_called_until_it_ends_and_never_again(tmp_path, monkeypatch):
    file, calls = tmp_path / "counted.py", tmp_path / "calls"
    file.write_text(
        "from pathlib import Path\n"
        "from teachers.uniform import Uniform\n"
        "class Mine(Uniform):\n"
        "    def prepare(self):\n"
        "        calls = Path(__file__).with_name('calls')\n"
        "        before = calls.read_text() if calls.exists() else ''\n"
        "        calls.write_text(before + 'x')\n"
        "        if not before: raise KeyboardInterrupt\n",
        encoding="utf-8",
    )
    options = {"runs": str(tmp_path), "smoke": 2000, "checkpoint_seconds": 0.0}
    request = RunRequest("digits-standard-v1", f"{file}:Mine", 0, **options)
    with pytest.raises(KeyboardInterrupt):
        execute(request)

    class AtTheEnd(BaseException):
        pass

    real = Recorder.finish
    monkeypatch.setattr(Recorder, "finish", lambda self: (_ for _ in ()).throw(AtTheEnd))
    with pytest.raises(AtTheEnd):
        execute(request)
    monkeypatch.setattr(Recorder, "finish", real)
    execute(request)  # goes on from a checkpoint behind prepare()
    assert calls.read_text() == "xx"

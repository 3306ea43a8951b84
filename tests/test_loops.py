"""What the loops hand to a teacher and to a student, seen from a teacher's file."""

from pathlib import Path

import numpy as np
import pytest

from benchmark import record
from benchmark.errors import LyceumError, TeacherError
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.protocol import Protocol
from benchmark.run import RunRequest, execute
from environments.supervised.digits import Digits
from students.supervised import Classifier
from teachers.base import Outcomes, Proposal, TaskSpace, Teacher

PROTOCOLS = Path(__file__).parent / "data" / "protocols"
HEAD = "import numpy as np\nfrom teachers.base import Proposal, Teacher\n\n"


def run_file(tmp_path, protocol, body, facts="", arguments=None):
    """Run a teacher with the class facts and methods given as text; return the run's folder."""
    lines = ["class Mine(Teacher):", "    reference = 'none'"]
    lines += [f"    {line}" for line in (facts + "\n" + body).splitlines()]
    file = tmp_path / "mine.py"
    file.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    path = str(PROTOCOLS / f"{protocol}.toml")
    return execute(
        RunRequest(path, f"{file}:Mine", 0, arguments=arguments or {}, runs=str(tmp_path))
    )


class Silent:
    """A listener that only keeps what it hears."""

    def __init__(self):
        self.heard = []

    def on_outcomes(self, spent, columns):
        self.heard.append((spent, columns))

    def on_progress(self, loop):
        pass


class Scripted(Teacher):
    """Proposes the first items with given weights; remembers every outcome."""

    reference = "none"
    spaces = ("discrete",)
    signals = ("loss", "logits", "embedding", "loss_after")

    def __init__(self, task_space, *, seed, knowledge=None, weights=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.weights, self.outcomes = weights, []

    def propose(self, count, progress):
        weights = None if self.weights is None else np.resize(self.weights, count)
        return Proposal(np.arange(count), weights)

    def observe(self, outcomes):
        self.outcomes.append(outcomes)


def digits_loop(teacher_class=Scripted, total=64, **options):
    task = Digits(seed=0)
    teacher = teacher_class(TaskSpace(task.task_space, label=task.label), seed=0, **options)
    student = Classifier((64,), 10, seed=0, hidden=(8,))
    ledger, listener = Ledger(total), Silent()
    guard = GuardedTeacher(teacher, ledger, 5.0)
    loop = BatchLoop(guard, student, task, ledger, listener, 0, 16, 2)
    return loop, teacher, student, ledger, listener


def test_declared_signals_arrive_in_the_order_of_the_proposal():
    loop, teacher, _, ledger, listener = digits_loop()
    loop.run()
    first, second = teacher.outcomes
    assert first.loss.shape == first.loss_after.shape == (32,)
    assert first.logits.shape == (32, 10)
    assert first.embedding.shape == (32, 8)
    np.testing.assert_array_equal(first.score, -first.loss)
    predicted = first.logits.argmax(axis=1) == loop.task.label[first.tasks]
    np.testing.assert_array_equal(first.success, predicted)
    assert first.proposal.tolist() == list(range(32))
    # The extra forward pass per example for loss_after is billed: 64 - 32 - 32/3 are left.
    assert second.proposal.tolist() == list(range(32, 32 + 21))
    assert ledger.forward == ledger.student == 53
    assert listener.heard[1][0][0] == pytest.approx(32 + 32 / 3)


def test_the_last_proposal_is_cut_to_what_is_left():
    class Plain(Scripted):
        signals = ()

    loop, teacher, _, ledger, _ = digits_loop(Plain, total=75)
    loop.run()
    assert [len(outcomes.tasks) for outcomes in teacher.outcomes] == [32, 32, 11]
    assert ledger.spent == 75


def test_weights_are_scaled_to_a_mean_of_one_per_batch():
    states = {}
    for name, weights in {"none": None, "ones": [1.0], "sevens": [7.0]}.items():
        loop, _, student, _, _ = digits_loop(weights=weights)
        loop.run()
        states[name] = student.state_dict()["parameters"]
    np.testing.assert_array_equal(states["none"], states["ones"])
    np.testing.assert_array_equal(states["none"], states["sevens"])


def test_weights_zero_take_an_example_out():
    parameters = []
    for label in (3, 4):
        loop, _, student, _, _ = digits_loop(weights=[0.0] + 15 * [1.0])
        loop.task.label[[0, 16]] = label  # the first item of each batch has weight zero
        loop.run()
        parameters.append(student.state_dict()["parameters"])
    np.testing.assert_array_equal(*parameters)


def test_an_undeclared_signal_raises():
    columns = {name: np.zeros(2) for name in ("proposal", "tasks", "score", "success", "length")}
    outcomes = Outcomes(**columns, signals={"loss": np.zeros(2)})
    assert outcomes.loss.shape == (2,)
    with pytest.raises(AttributeError, match="'logits' was not declared"):
        _ = outcomes.logits


def test_outcomes_refuse_nan():
    columns = {name: np.zeros(2) for name in ("proposal", "tasks", "score", "success", "length")}
    with pytest.raises(ValueError, match="finite"):
        Outcomes(**{**columns, "score": np.array([0.0, np.nan])})


def test_reading_an_undeclared_signal_in_a_run_is_a_teachers_fault(tmp_path):
    body = (
        "def propose(self, count, progress):\n"
        "    return Proposal(self.rng.integers(self.task_space.space.n, size=count))\n"
        "def observe(self, outcomes):\n"
        "    outcomes.loss"
    )
    with pytest.raises(TeacherError, match="'loss' was not declared"):
        run_file(tmp_path, "tiny-digits", body, "spaces = ('discrete',)")


REPLAY = """
def propose(self, count, progress):
    tasks = np.tile([0.5, 3.0], (count, 1))
    return Proposal(tasks, seeds=np.full(count, 7))
def observe(self, outcomes):
    first = outcomes.initial_observation
    assert (first == first[0]).all(), "the same level begins in the same way"
    if not hasattr(self, "seen"):
        self.seen = first[0]
    assert (first[0] == self.seen).all()
    for trace, length, score in zip(outcomes.trajectory, outcomes.length, outcomes.score):
        assert trace["observations"].shape == (length + 1, 24)
        assert trace["actions"].shape == (length, 4)
        assert abs(trace["rewards"].sum() - score) < 1e-9
"""


def test_a_level_is_replayed_exactly_and_traces_fit(tmp_path):
    facts = "spaces = ('box',)\nsignals = ('initial_observation', 'trajectory')"
    folder = run_file(tmp_path, "tiny-stumps", REPLAY, facts)
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        assert len(stored["proposal"]) > 8
        assert sorted(stored["proposal"]) == sorted(set(stored["proposal"]))


ASKING = """
def propose(self, count, progress):
    if progress == 0:
        returns = self.probe.evaluate(np.full((3, 2), 0.25))
        assert returns.shape == (3,)
        assert self.probe.value(np.full((5, 2), 0.25)).shape == (5,)
    return Proposal(self.rng.random((count, 2)))
"""


def test_asking_for_evaluations_costs_environment_steps(tmp_path):
    facts = "spaces = ('box',)\nprivileges = ('probe', 'value_function')"
    found, _ = record.read_run(run_file(tmp_path, "tiny-hypercube", ASKING, facts))
    assert found.spent.teacher[-1] == 3  # three episodes of one step
    assert 597 <= found.spent.student[-1] <= 600


ALIGNING = """
def propose(self, count, progress):
    items = np.arange(20)
    if progress == 0:
        assert self.probe.alignment(items, np.arange(10)).shape == (20,)
        assert self.probe.alignment(items, "validation").shape == (20,)
        assert self.probe.embedding(items).shape == (20, 16)
        assert set(self.probe.correct(items)) <= {0.0, 1.0}
    return Proposal(self.rng.integers(self.task_space.space.n, size=count))
"""


def test_alignment_is_billed_by_its_passes(tmp_path):
    facts = "spaces = ('discrete',)\nprivileges = ('probe', 'validation_labels')"
    found, _ = record.read_run(run_file(tmp_path, "tiny-digits", ALIGNING, facts))
    # Two forward passes per example, one forward and one backward pass per reference example.
    assert found.spent.forward[-1] == (40 + 10) + (40 + 270) + 20 + 20
    assert found.spent.backward[-1] == 10 + 270


def test_the_validation_set_needs_its_privilege(tmp_path):
    facts = "spaces = ('discrete',)\nprivileges = ('probe',)"
    with pytest.raises(TeacherError, match="validation_labels"):
        run_file(tmp_path, "tiny-digits", ALIGNING, facts)


def test_a_privilege_the_protocol_does_not_allow_is_refused(tmp_path):
    with pytest.raises(LyceumError, match="does not allow"):
        run_file(tmp_path, "tiny-hypercube", ASKING, "privileges = ('noise_rate',)")


def test_a_signal_the_task_does_not_give_is_refused(tmp_path):
    body = "def propose(self, count, progress):\n    pass"
    with pytest.raises(LyceumError, match="'trajectory'"):
        run_file(tmp_path, "tiny-digits", body, "signals = ('trajectory',)")
    with pytest.raises(LyceumError, match="'logits'"):
        run_file(tmp_path, "tiny-hypercube", body, "signals = ('logits',)")


def test_knowledge_follows_the_protocols_level():
    from dataclasses import replace

    from benchmark.telling import knowledge

    protocol = Protocol.load(str(PROTOCOLS / "tiny-hypercube.toml"))
    told = {"return_range": [0.0, 1.0], "initial_mean": [0.1, 0.1], "initial_std": [0.2, 0.2]}
    for level, expected in (("none", (None, None)), ("low", (1, None)), ("high", (1, 1))):
        information = replace(protocol.information, knowledge=level, **told)
        found = knowledge(replace(protocol, information=information))
        assert (found.return_range is None) == (expected[0] is None)
        assert (found.initial is None) == (expected[1] is None)
        assert found.target is None


def test_prior_and_groups_are_handed_to_those_that_declare_them(tmp_path):
    body = (
        "def propose(self, count, progress):\n"
        "    assert self.task_space.prior is None and self.task_space.label is not None\n"
        "    return Proposal(self.rng.integers(self.task_space.space.n, size=count))"
    )
    run_file(tmp_path, "tiny-digits", body, "spaces = ('discrete',)")


def test_no_published_protocol_has_changed():
    """A frozen protocol never changes: a new version gets a new name and a line of its own there.

    The file is benchmark/protocols/fingerprints.json.
    """
    from benchmark.protocol import released

    protocols = [Protocol.load(name) for name in Protocol.names()]
    frozen = {one.name: one.fingerprint for one in protocols if one.status == "frozen"}
    assert released() == frozen


@pytest.mark.parametrize(
    ("old", "new"), [("total = 30720", "total = 40960"), ("noise_rate = 0.4", "noise_rate = 0.3")]
)
def test_an_edited_published_protocol_is_refused_by_name_and_as_a_file(
    tmp_path, monkeypatch, old, new
):
    from benchmark import protocol

    text = (protocol.FOLDER / "digits-noise-v1.toml").read_text("utf-8")
    assert old in text
    path = tmp_path / "digits-noise-v1.toml"
    path.write_text(text, "utf-8")
    assert Protocol.load(str(path)) == Protocol.load("digits-noise-v1")  # an exact copy is no harm
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(LyceumError, match="digits-noise-v1 was published with another content"):
        Protocol.load(str(path))
    renamed = text.replace(old, new).replace('name = "digits-noise-v1"', 'name = "my-noise"', 1)
    (tmp_path / "hypercube-v1.toml").write_text(renamed, "utf-8")
    assert Protocol.load(str(tmp_path / "hypercube-v1.toml")).name == "my-noise"
    monkeypatch.setattr(protocol, "FOLDER", tmp_path)
    with pytest.raises(LyceumError, match="digits-noise-v1 was published with another content"):
        Protocol.load("digits-noise-v1")
    with pytest.raises(LyceumError, match=r"hypercube-v1\.toml calls itself my-noise"):
        Protocol.load("hypercube-v1")


def test_edited_held_out_tasks_are_noticed(tmp_path):
    from benchmark import protocol

    for name in ("hypercube-v1.toml", "hypercube-2d-centres.json"):
        text = (protocol.FOLDER / name).read_text("utf-8")
        (tmp_path / name).write_text(text.replace("[0.05,", "[0.06,", 1), "utf-8")
    with pytest.raises(LyceumError, match="hypercube-v1 was published with another content"):
        Protocol.load(str(tmp_path / "hypercube-v1.toml"))


def test_a_short_copy_of_ones_own_protocol_finds_its_held_out_tasks():
    protocol = Protocol.load(str(PROTOCOLS / "tiny-hypercube.toml"))
    assert protocol.smoke(100).held_out.tolist() == protocol.held_out.tolist()

"""Rollouts for a teacher: played by the present student, billed, and without any trace in it."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark import record
from benchmark.assemble import assemble
from benchmark.evaluate import play
from benchmark.ledger import Ledger
from benchmark.probe import WorldProbe, understudy
from benchmark.protocol import Protocol
from benchmark.registry import TABLES, load
from benchmark.run import RunRequest, execute
from environments.vector import make_worlds
from students.base import Student, Transitions
from students.check_states import text

PROTOCOLS = Path(__file__).parent / "data" / "protocols"
STUMPS = {"body": "old_classic_bipedal", "max_episode_steps": 100}
ACTING = [name for name in TABLES["student"] if issubclass(load("student", name), Student)]


class Setting:
    """A student that has trained for a few steps, probe worlds of its own, and a ledger."""

    def __init__(self, name="ppo", world="stump_tracks", options=STUMPS, success_return=None):
        entry = TABLES["world"][world]
        self.worlds = make_worlds(entry, options, 4, 1)
        self.spare = make_worlds(entry, options, 3, 1)
        self.student = load("student", name)(
            self.worlds.observation_space, self.worlds.action_space, num_envs=4, seed=0
        )
        self.ledger = Ledger(10_000)
        self.probe = WorldProbe(self.student, self.spare, self.ledger, 5, success_return)
        self.tasks = np.tile(self.worlds.task_space.low, (4, 1))
        self.train(3)

    def train(self, steps):
        """Train on the easiest task; every step begins a new episode, so that any world serves."""
        actions = []
        for step in range(steps):
            seen = self.worlds.reset(np.arange(4), self.tasks, np.full(4, step))
            actions.append(self.student.act(seen))
            result = self.worlds.step(actions[-1])
            self.student.observe(
                Transitions(
                    seen, actions[-1], result.rewards, result.terminated, result.truncated,
                    result.observations,
                )
            )  # fmt: skip
        return np.array(actions)


@pytest.fixture
def setting():
    return Setting()


def some_tasks(setting, count):
    space = setting.worlds.task_space
    return np.random.default_rng(1).uniform(space.low, space.high, (count, *space.shape))


def world_of(student):
    return ("hypercube", {}) if student == "synthetic" else ("stump_tracks", STUMPS)


@pytest.mark.parametrize("explore", [True, False])
@pytest.mark.parametrize("name", ACTING)
def test_rollouts_leave_the_student_as_it_was_bit_for_bit(name, explore):
    asked, unasked = Setting(name, *world_of(name)), Setting(name, *world_of(name))
    before = text(asked.student.state_dict())
    answer = asked.probe.rollout(some_tasks(asked, 5), explore=explore)
    assert answer["length"].min() >= 1
    assert text(asked.student.state_dict()) == before
    # And what it does next is what it would have done, noise included.
    np.testing.assert_array_equal(asked.train(4), unasked.train(4))
    assert text(asked.student.state_dict()) == text(unasked.student.state_dict())


def test_a_question_between_acting_and_observing_changes_nothing():
    asked, unasked = Setting(), Setting()
    for each in (asked, unasked):
        seen = each.worlds.reset(np.arange(4), each.tasks, np.zeros(4))
        actions = each.student.act(seen)
        if each is asked:
            each.probe.rollout(some_tasks(each, 2))
        flags = np.zeros(4, dtype=bool)
        each.student.observe(Transitions(seen, actions, np.ones(4), flags, flags, seen))
    assert text(asked.student.state_dict()) == text(unasked.student.state_dict())


def test_exploring_differs_from_exploiting_and_from_the_students_own_noise(setting):
    tasks, seeds = some_tasks(setting, 1), np.array([3])
    own = copy.deepcopy(setting.student.state_dict())
    explored = setting.probe.rollout(tasks, seeds)["trajectory"][0]["actions"]
    exploited = setting.probe.rollout(tasks, seeds, explore=False)["trajectory"][0]["actions"]
    assert not np.array_equal(explored[0], exploited[0])
    setting.student.load_state_dict(own)
    first = setting.spare.reset([0], tasks, seeds)
    np.testing.assert_array_equal(setting.student.act(first, explore=False)[0], exploited[0])
    assert not np.array_equal(setting.student.act(first)[0], explored[0])


def test_an_understudy_draws_from_generators_of_its_own():
    student = Setting().student
    generator = student.generator.get_state().clone()
    twins = [understudy(student, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    seen = np.zeros((2, 24), np.float32)
    actions = [twin.act(seen) for twin in twins]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert not np.array_equal(actions[0], actions[2])
    assert (student.generator.get_state() == generator).all()
    assert twins[0].network is student.network  # no copy of the weights


def test_answers_depend_on_the_number_of_the_question_only(setting):
    tasks = some_tasks(setting, 3)
    answers = [setting.probe.rollout(tasks)["score"] for _ in range(2)]
    assert not np.array_equal(*answers)  # other seeds, other noise
    assert setting.ledger.questions == 2
    fresh = Ledger(10_000)
    again = WorldProbe(setting.student, setting.spare, fresh, 5)
    fresh.questions = 1  # as a ledger from a checkpoint would say
    np.testing.assert_array_equal(again.rollout(tasks)["score"], answers[1])


def test_the_same_level_begins_alike_and_replays_exactly_without_noise(setting):
    tasks, seeds = np.tile(some_tasks(setting, 1), (3, 1)), np.array([7, 7, 8])
    explored = setting.probe.rollout(tasks, seeds)["trajectory"]
    first = [trace["observations"][0] for trace in explored]
    np.testing.assert_array_equal(first[0], first[1])
    exploited = setting.probe.rollout(tasks, seeds, explore=False)
    np.testing.assert_array_equal(*(exploited["trajectory"][row]["rewards"] for row in (0, 1)))
    again = setting.probe.rollout(tasks[::-1], seeds[::-1], explore=False)
    np.testing.assert_array_equal(again["score"], exploited["score"][::-1])
    plain, _, _ = play(setting.student, setting.spare, tasks, seeds)
    np.testing.assert_array_equal(exploited["score"], plain)


def test_trajectories_fit_the_sums_and_the_bill(setting):
    tasks = some_tasks(setting, 7)  # more than the three worlds
    answer = setting.probe.rollout(tasks, np.arange(7))
    assert {name: values.shape for name, values in answer.items()} == dict.fromkeys(
        ("score", "success", "length", "trajectory"), (7,)
    )
    assert setting.ledger.steps == answer["length"].sum() == setting.ledger.teacher
    for row, trace in enumerate(answer["trajectory"]):
        length = answer["length"][row]
        assert trace["observations"].shape == (length + 1, 24)
        assert trace["actions"].shape == (length, 4) and trace["rewards"].shape == (length,)
        assert trace["rewards"].sum() == pytest.approx(answer["score"][row])
        # Acting again as it did leads through the same observations.
        seen = [setting.worlds.reset([0], tasks[row][None], np.array([row]))[0]]
        for action in trace["actions"]:
            result = setting.worlds.step(action[None], [0])
            seen.append(result.observations[0])
        np.testing.assert_array_equal(seen, trace["observations"])
        assert trace["terminated"] is bool(result.terminated[0])
    ends = {trace["terminated"] for trace in answer["trajectory"]}
    assert ends == {True, False}  # some fell, some were cut by the time limit


def test_success_follows_the_protocols_rule():
    tasks = np.full((3, 2), 0.5)
    by_flag = Setting().probe.rollout(tasks, np.arange(3))
    limit = float(np.median(by_flag["score"]))
    by_return = Setting(success_return=limit).probe.rollout(tasks, np.arange(3))
    np.testing.assert_array_equal(by_return["score"], by_flag["score"])
    np.testing.assert_array_equal(by_return["success"], by_flag["score"] > limit)
    assert not by_flag["success"].any() and by_return["success"].any()


def test_no_task_is_no_episode(setting):
    answer = setting.probe.rollout(np.empty((0, 2)))
    assert setting.ledger.steps == 0
    assert all(values.shape == (0,) for values in answer.values())


def test_a_task_outside_the_space_is_refused(setting):
    with pytest.raises(ValueError, match="outside"):
        setting.probe.rollout(np.full((1, 2), -3.0))


ASKING = """
import numpy as np
from teachers.base import Proposal, Teacher

class Mine(Teacher):
    reference = "none"
    spaces = ("box",)
    signals = ("trajectory",)
    privileges = ("probe",)

    def __init__(self, task_space, *, seed, knowledge=None, ask=0):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.ask = ask

    def propose(self, count, progress):
        tasks = self.rng.random((count, 2))
        if self.ask:
            self.probe.rollout(np.tile(tasks[:1], (self.ask, 1)))
        return Proposal(tasks)

    def observe(self, outcomes):
        for trace, length in zip(outcomes.trajectory, outcomes.length):
            assert isinstance(trace["terminated"], bool)
            assert trace["terminated"] == (length < 150), "a time limit terminates nothing"
"""


def run(tmp_path, protocol, ask):
    file = tmp_path / "mine.py"
    file.write_text(ASKING, encoding="utf-8")
    path = str(PROTOCOLS / f"{protocol}.toml")
    arguments = {"ask": ask}
    folder = execute(RunRequest(path, f"{file}:Mine", 0, arguments=arguments, runs=str(tmp_path)))
    with np.load(folder / "curriculum.npz", allow_pickle=False) as stored:
        return record.read_run(folder)[0].spent, dict(stored)


def test_asking_shortens_the_training_and_changes_nothing_before(tmp_path):
    unasked, all_of_it = run(tmp_path, "tiny-stumps", 0)
    asked, part = run(tmp_path, "tiny-stumps", 1)
    assert unasked.teacher[-1] == 0 < asked.teacher[-1]
    assert asked.student[-1] < unasked.student[-1] == 2048
    assert 2048 <= asked.student[-1] + asked.teacher[-1] < 2048 + 8 + 150
    ended = len(part["score"])
    assert 8 <= ended < len(all_of_it["score"])
    for name in ("proposal", "tasks", "score", "length"):
        np.testing.assert_array_equal(part[name], all_of_it[name][:ended])


def test_every_rollout_of_a_one_step_world_costs_one_step(tmp_path):
    spent, curriculum = run(tmp_path, "tiny-hypercube", 2)
    proposals = spent.student[-1] // 4  # four worlds that end together
    assert spent.teacher[-1] == 2 * proposals
    assert len(curriculum["score"]) == spent.student[-1] == 400


@pytest.mark.parametrize(("limit", "share"), [(-1000.0, 1.0), (1000.0, 0.0)])
def test_a_run_hands_the_protocols_success_rule_to_the_probe(tmp_path, limit, share):
    file = tmp_path / "mine.py"
    file.write_text(ASKING, encoding="utf-8")
    content = (PROTOCOLS / "tiny-stumps.toml").read_text(encoding="utf-8")
    content = content.replace("success_return = 230.0", f"success_return = {limit}")
    (tmp_path / "other.toml").write_text(content, encoding="utf-8")
    shutil.copy(PROTOCOLS / "tiny-stumps-tasks.json", tmp_path)
    protocol = Protocol.load(str(tmp_path / "other.toml"))
    assembly = assemble(protocol, f"{file}:Mine", {}, 0, None)
    answer = assembly.teacher.probe.rollout(np.full((2, 2), 0.5))
    assembly.close()
    assert answer["success"].mean() == share

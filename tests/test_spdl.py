import warnings

import numpy as np
import pytest
from gymnasium import spaces

from environments.hypercube import MASTERED, Hypercube
from students.base import Transitions
from students.synthetic import SyntheticStudent
from teachers.base import Knowledge, Outcomes, TaskSpace
from teachers.gaussian import kl
from teachers.spdl import OPEN, SPDL, SPDLValue


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT = box([0, 0], [1, 1])
EASY = Knowledge(initial=(np.array([0.1, 0.1]), np.array([0.05, 0.05])))
QUICK = {"first_update": 0.0, "update_every": 1e-6, "least_outcomes": 50}  # after 50 outcomes


def outcomes(numbers, tasks, score, length=1, **signals):
    n = len(tasks)
    score = np.broadcast_to(np.asarray(score, dtype=float), n)
    lengths = np.full(n, length)
    return Outcomes(np.asarray(numbers), tasks, score, np.zeros(n), lengths, signals)


class Class:
    """A teacher, and the numbers of its proposals; ``returns`` maps tasks (n, D) to returns."""

    def __init__(self, teacher):
        self.teacher, self.number = teacher, 0

    def propose(self, count=1, progress=0.5):
        tasks = self.teacher.propose(count, progress).tasks
        self.number += count
        return np.arange(self.number - count, self.number), tasks

    def teach(self, returns, rounds, count=50, length=1):
        """Propose and report; ``progress`` grows by 1e-5 a round, so that updates are due."""
        proposed = []
        for _ in range(rounds):
            numbers, tasks = self.propose(count, 1e-5 * (1 + self.number // count))
            value = returns(tasks) if callable(returns) else returns
            self.teacher.observe(outcomes(numbers, tasks, value, length))
            proposed.append(tasks)
        return np.concatenate(proposed)


# The method


def test_the_first_updates_follow_returns_only():
    room = Class(SPDL(UNIT, seed=0, knowledge=EASY, **QUICK))
    distance = []
    for _ in range(10):
        distance.append(kl(room.teacher.distribution, room.teacher.target))
        room.teach(lambda tasks: 1 - tasks.mean(axis=1), 1)
    assert room.teacher.updates == 9 and distance[-1] > distance[0]  # away from the target


def test_without_weight_the_target_need_not_come_nearer():
    room = Class(SPDL(UNIT, seed=0, knowledge=EASY, zeta=0.0, **QUICK))
    before = kl(room.teacher.distribution, room.teacher.target)
    room.teach(lambda tasks: np.exp(-tasks.sum(axis=1)), 100)
    assert kl(room.teacher.distribution, room.teacher.target) > before


@pytest.mark.parametrize("cls", [SPDL, SPDLValue])
def test_a_large_weight_leads_to_the_target_and_never_back(cls):
    target = np.array([0.7, 0.6]), np.array([0.2, 0.1])
    knowledge = Knowledge(initial=EASY.initial, target=target)
    teacher = cls(UNIT, seed=0, knowledge=knowledge, zeta=1e6, target_from=0, **QUICK)
    teacher.probe, number = Probe(lambda seen: 1 + seen[:, 0]), 0
    last = teacher.distribution
    for each in range(120):
        tasks = teacher.propose(50, 1e-5 * each).tasks
        teacher.observe(
            outcomes(number + np.arange(50), tasks, 1 + tasks[:, 0], initial_observation=tasks)
        )
        number, now = number + 50, teacher.distribution
        assert kl(now, teacher.target) <= kl(last, teacher.target) and kl(last, now) <= 0.1
        last = now
    assert kl(last, teacher.target) < 1e-3
    assert last.mean == pytest.approx(target[0], abs=0.01)
    assert np.diag(last.factor) == pytest.approx(target[1], abs=0.01)


@pytest.mark.parametrize(
    ("number", "scores", "alpha"),
    [
        (10, [0.0, 2.0, 4.0], 0.5 * 2 / 2),
        (9, [0.0, 2.0, 4.0], 0.0),  # the target attracts from the tenth update on
        (10, [-4.0, 1.0, 2.0], 0.0),  # not while returns are negative
        (10, [0.0, 2e9, 4e9], 1e5),
    ],
)
def test_the_weight_of_the_target_by_hand(monkeypatch, number, scores, alpha):
    seen = []
    monkeypatch.setattr("teachers.spdl.ascend", lambda *args: seen.append(args) or args[0])
    for preset in ("corrected", "parity"):
        times = {"clock": "budget", "first_update": 0, "least_outcomes": 3}
        teacher = SPDL(box([0], [1]), seed=0, preset=preset, zeta=0.5, **times)
        teacher.updates = number - 1
        # KL(N(1, 0.25²) || N(0.5, 0.25²)) = 1/2 (0.5 / 0.25)² = 2
        teacher.mean, teacher.factor = np.array([1.0]), np.array([[0.25]])
        tasks = teacher.propose(3, 0.0).tasks
        teacher.observe(outcomes(range(3), tasks, scores))
        teacher.propose(1, 0.0)
        _, _, draws, values, weight, epsilon, accept = seen[-1]
        unit = max(np.abs(scores))  # all is divided by the largest value
        mean = np.mean(scores) if preset == "corrected" else 0
        assert values * unit == pytest.approx(np.array(scores) - mean)
        assert weight * unit == pytest.approx(alpha)
        assert accept == {"corrected": "both", "parity": "either"}[preset] and epsilon == 0.1
        clipped = np.array_equal(draws, tasks)
        assert clipped == (preset == "parity")  # about half of the draws lie outside


def test_equal_returns_move_nothing():
    for score, baseline in ((5.0, True), (-100.0, True), (0.0, False), (5.0, False), (-9.0, False)):
        room = Class(SPDL(UNIT, seed=0, knowledge=EASY, zeta=0.0, baseline=baseline, **QUICK))
        room.teach(score, 20)
        same = np.array_equal(room.teacher.mean, EASY.initial[0])
        assert same == (baseline or score == 0)


class Probe:
    def __init__(self, answer):
        self.answer, self.asked = answer, []

    def value(self, observations):
        self.asked.append(observations)
        return self.answer(observations)


def test_values_are_asked_of_the_initial_observations():
    teacher = SPDLValue(UNIT, seed=0, knowledge=EASY, zeta=0.0, **QUICK)
    teacher.probe = Probe(lambda seen: seen[:, 0, 1])
    tasks = teacher.propose(60, 0.0).tasks
    seen = np.zeros((60, 2, 3))  # observations need not be vectors
    seen[:, 0, 1] = tasks[:, 1]
    # The returns say the opposite, and count for nothing.
    teacher.observe(outcomes(range(60), tasks, -tasks[:, 1], initial_observation=seen))
    assert teacher.probe.asked == []
    teacher.propose(1, 0.1)
    assert len(teacher.probe.asked) == 1 and np.array_equal(teacher.probe.asked[0], seen)
    assert teacher.mean[1] > 0.1 + 0.01
    blind = SPDLValue(UNIT, seed=0, **QUICK)
    blind.observe(outcomes(range(60), blind.propose(60, 0).tasks, 1.0, initial_observation=seen))
    with pytest.raises(ValueError, match="probe"):
        blind.propose(1, 0.5)


# When updates are due


def test_a_run_has_about_400_updates_whatever_its_budget():
    for budget, count in ((20_000, 10), (40_000, 100)):
        teacher, when = SPDL(UNIT, seed=0), []
        for number in range(0, budget, count):
            before = teacher.updates
            tasks = teacher.propose(count, number / budget).tasks
            when += [number / budget] * (teacher.updates - before)
            teacher.observe(outcomes(range(number, number + count), tasks, 1.0))
        assert teacher.updates == pytest.approx(396, abs=2)
        assert when[0] == pytest.approx(0.01, abs=0.0026)
        assert np.diff(when).mean() == pytest.approx(0.0025, rel=0.01)


def test_the_release_counts_steps():
    room = Class(SPDL(UNIT, seed=0, preset="parity"))
    updates = []
    for _ in range(2000):  # 20 million steps in episodes of 2000
        room.teach(1.0, 1, count=5, length=2000)
        updates.append(room.teacher.updates)
    assert updates[19] == 0 and updates[20] == 1  # due at 200,000 steps, seen by the next proposal
    assert updates[-1] == pytest.approx(397, abs=1)


def test_an_update_waits_for_outcomes():
    for least in (5, 20):
        room = Class(SPDL(UNIT, seed=0, least_outcomes=least))
        for _ in range(least):
            room.propose(1, 0.5)
            assert room.teacher.updates == 0
            room.teacher.observe(outcomes([room.number - 1], np.zeros((1, 2)), 1.0))
        room.propose(1, 0.5)
        room.propose(1, 0.5)
        assert room.teacher.updates == 1 and len(room.teacher.draws) == 0


# Outcomes


def test_outcomes_are_matched_by_their_number():
    room = Class(SPDL(UNIT, seed=0))
    tasks = np.concatenate([room.propose(100, 0.0)[1] for _ in range(5)])
    draws = room.teacher.open[:500, 1:]
    assert np.array_equal(np.clip(draws, 0, 1), tasks)
    late = np.random.default_rng(0).permutation(500)[:300]
    for part in (late[:1], late[1:200], late[200:]):
        room.teacher.observe(outcomes(part, np.zeros((len(part), 2)), part))
    assert np.array_equal(room.teacher.draws, draws[late])
    assert np.array_equal(room.teacher.facts, late)
    room.teacher.observe(outcomes([10**6, OPEN], np.zeros((2, 2)), 1.0))  # never proposed
    assert len(room.teacher.draws) == 300
    for _ in range(4):
        room.propose(OPEN // 3, 0.0)
    room.teacher.observe(outcomes(range(400), np.zeros((400, 2)), 1.0))  # too late
    assert len(room.teacher.draws) == 300
    room.teacher.observe(outcomes(room.number - 1 - np.arange(3000), np.zeros((3000, 2)), 1.0))
    assert len(room.teacher.draws) == 1000


# Distributions


def test_told_and_untold_distributions():
    space = box([0, -10], [2, 10])
    pair = (np.array([0.5, 5.0]), np.array([0.2, 1.0]))
    teacher = SPDL(space, seed=0, knowledge=Knowledge(initial=pair, target=pair))
    tasks = teacher.propose(5000, 0).tasks
    assert tasks.mean(axis=0) == pytest.approx(pair[0], abs=0.1)
    assert tasks.std(axis=0) == pytest.approx(pair[1], rel=0.05)
    assert teacher.target.mean == pytest.approx([0.25, 0.75])
    assert np.diag(teacher.target.factor) == pytest.approx([0.1, 0.05])
    assert np.array_equal(SPDL(space, seed=0).mean, [0, 0])
    untold = [SPDL(space, seed=seed, start="random") for seed in range(300)]
    assert SPDL(space, seed=7, preset="parity").mean == pytest.approx(untold[7].mean)
    means = np.array([each.mean for each in untold])
    assert means.min() >= 0 and means.max() <= 1
    assert means.std(axis=0) == pytest.approx([12**-0.5] * 2, abs=0.03)  # uniform
    assert np.allclose(untold[0].factor, 0.1 * np.eye(2))
    assert np.allclose(untold[0].target.mean, 0.5)
    assert np.allclose(untold[0].target.factor, 0.25 * np.eye(2))


def hypercube_run(teacher, episodes, count=10):
    """The synthetic student of the hypercube under a teacher; proposals and the share mastered."""
    world = Hypercube()
    spaces_ = world.observation_space, world.action_space
    student, number = SyntheticStudent(*spaces_, num_envs=count, seed=0), 0
    teacher.probe, ended, proposed = student, np.ones(count, dtype=bool), []
    while number < episodes:
        tasks = teacher.propose(count, number / episodes).tasks
        answers = student.act(tasks)
        student.observe(Transitions(tasks, answers, answers[:, 0], ended, ~ended, tasks))
        signals = {"initial_observation": tasks} if teacher.signals else {}
        score, numbers = answers[:, 0], number + np.arange(count)
        length = np.ones(count, dtype=int)
        teacher.observe(Outcomes(numbers, tasks, score, score > MASTERED, length, signals))
        proposed.append(tasks)
        number += count
    return np.concatenate(proposed), student.mastered()


@pytest.mark.parametrize("cls", [SPDL, SPDLValue])
def test_the_difficulty_of_tasks_follows_the_student(cls):
    space = TaskSpace(Hypercube().task_space)
    easy = Knowledge(initial=(np.zeros(2), np.full(2, 0.1)))
    tasks, mastered = hypercube_run(cls(space, seed=0, knowledge=easy), 20_000)
    quarters = [part.mean() for part in np.array_split(tasks, 4)]
    assert (np.diff(quarters) > 0.01).all()
    assert mastered > 0.08  # uniform tasks: 0.04


def test_a_start_without_returns_lasts_for_ever():
    teacher = SPDL(TaskSpace(Hypercube().task_space), seed=0, start="random")
    start = teacher.mean.copy()
    _, mastered = hypercube_run(teacher, 4000)
    assert mastered == 0 and teacher.updates > 100 and np.array_equal(teacher.mean, start)


# State, spaces and options


@pytest.mark.parametrize("preset", ["corrected", "parity"])
@pytest.mark.parametrize("cls", [SPDL, SPDLValue])
def test_saved_teachers_continue_exactly(cls, preset):
    def part(teacher, start, stop):
        for number in range(start, stop, 3):
            tasks = teacher.propose(3, number / 3000).tasks
            told = outcomes(range(number, number + 3), tasks, tasks[:, 0], 2000)
            signals = {"initial_observation": tasks.astype(np.float32)} if cls.signals else {}
            teacher.observe(Outcomes(**{**vars(told), "signals": signals}))
            yield tasks

    one, other = (cls(UNIT, seed=seed, preset=preset) for seed in (0, 5))
    for teacher in (one, other):
        teacher.probe = Probe(lambda seen: seen[:, 1] - seen[:, 0])
    list(part(one, 0, 1000))
    list(part(other, 0, 600))
    assert one.updates > 20 and len(one.draws)  # in the middle of a period
    other.load_state_dict(one.state_dict())
    ours, theirs = (np.concatenate(list(part(each, 1002, 3000))) for each in (one, other))
    assert np.array_equal(ours, theirs) and one.updates == other.updates > 60


@pytest.mark.parametrize("preset", ["corrected", "parity"])
def test_dimensions_of_width_zero_are_put_back(preset):
    options = {"preset": preset, "clock": "budget"} | QUICK
    room = Class(SPDL(box([0, 7, 0], [1, 7, 1]), seed=0, **options))
    tasks = room.teach(lambda tasks: tasks.sum(axis=1), 30)
    assert (tasks[:, 1] == 7).all() and room.teacher.updates > 20
    assert tasks[:, 0].std() > 0.01 < tasks[:, 2].std()
    point = Class(SPDL(box([3, 4], [3, 4]), seed=0, **options))
    assert np.array_equal(point.teach(1.0, 3), np.tile([3.0, 4.0], (150, 1)))


@pytest.mark.parametrize("preset", ["corrected", "parity"])
@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e12, 1.7e308])
def test_tasks_stay_inside_the_box_whatever_the_returns(preset, scale):
    low = np.linspace(-5, 5, 4)
    options = {"preset": preset, "clock": "budget", "target_from": 3} | QUICK
    room = Class(SPDL(box(low, low + 1e-6), seed=0, **options))
    signs = np.random.default_rng(0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = room.teach(lambda tasks: scale * signs.choice([-1.0, 1.0, 1.0], len(tasks)), 60)
    assert tasks.dtype == np.float64 and (tasks >= low).all() and (tasks <= low + 1e-6).all()
    assert room.teacher.updates > 50 and np.isfinite(room.teacher.mean).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"zeta": -1.0},
        {"epsilon": 0.0},
        {"target_from": -1},
        {"accept": "none"},
        {"ratio_at": "corner"},
        {"baseline": "yes"},
        {"clock": "sun"},
        {"first_update": np.inf},
        {"update_every": 0.0},
        {"least_outcomes": 0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SPDL(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        SPDL(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

"""Prioritized level replay: scores, buffer, decisions, and what it does to a student."""

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
from gymnasium import spaces

from benchmark import record
from benchmark.run import execute
from students.objectives import generalized_advantages
from teachers.base import TaskSpace
from teachers.level_buffer import LevelBuffer
from teachers.plr import OPEN, PLR, PLRValue, RobustPLR
from teachers.regret import SCORES, Judge, advantages, max_mc, positive_value_loss, value_l1
from teachers.uniform import Uniform
from tests.frontier import Frontier, square, teach, tell
from tests.test_run import execute_with_failures, record_bytes, request

FILE = Path(__file__).parent.parent / "teachers" / "plr.py"


def buffer(capacity=5, temperature=0.5, staleness=0.25, smoothing=1.0, scores=()):
    made = LevelBuffer(1, capacity, temperature, staleness, smoothing)
    for seed, score in enumerate(scores):
        made.offer(np.array([seed / 10]), seed, score, 0.0)
    return made


# Scores


def test_advantages_by_hand():
    # delta = (1 + 0.5 * 4 - 2, 0 + 0.5 * 6 - 4, 3 + 0 - 6) = (1, -1, -3), weight 0.5 * 0.5
    found = advantages(np.array([1.0, 0.0, 3.0]), np.array([2.0, 4.0, 6.0, 0.0]), 0.5, 0.5)
    np.testing.assert_allclose(found, [1 - 0.25 - 0.1875, -1 - 0.75, -3])
    assert positive_value_loss(found) == pytest.approx(0.5625 / 3)
    assert value_l1(found) == pytest.approx((0.5625 + 1.75 + 3) / 3)
    assert max_mc(7.0, np.array([2.0, 4.0, 6.0])) == pytest.approx(3.0)


@pytest.mark.parametrize("terminated", [True, False])
def test_advantages_are_those_of_the_student(terminated):
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=40), rng.normal(size=41)
    ends = np.zeros((40, 1), dtype=bool)
    ends[-1] = True
    theirs = generalized_advantages(
        rewards[:, None], values[:-1, None], values[1:, None], ends & terminated, ends, 0.99, 0.9
    )
    if terminated:
        values[-1] = 0.0
    np.testing.assert_allclose(advantages(rewards, values, 0.99, 0.9), theirs[:, 0])


class Critic:
    """Values are the observations themselves; counts the questions."""

    def __init__(self):
        self.asked = 0

    def value(self, observations):
        self.asked += 1
        return observations[:, 0]


def trace(observations, rewards, terminated=True):
    seen = np.array(observations, dtype=np.float64)[:, None]
    return {"observations": seen, "rewards": np.array(rewards, float), "terminated": terminated}


@pytest.mark.parametrize(
    ("name", "terminated", "expected"),
    [
        # delta = (1 + 0.5 * 4 - 2, 3 + 0 - 4), or 3 + 0.5 * 8 - 4 after a time limit
        ("positive_value_loss", True, (0.75 + 0) / 2),
        ("positive_value_loss", False, (1.75 + 3) / 2),
        ("value_l1", True, (0.75 + 1) / 2),
        ("max_mc", True, (1 + 0.5 * 3) - 3),  # the discounted return against the mean value
        ("max_mc", False, (1 + 0.5 * 3) - 3),
        ("return", True, 0.0),
    ],
)
def test_episodes_are_judged_by_their_values(name, terminated, expected):
    judge, critic, levels = Judge(name, 0.5, 0.5), Critic(), buffer()
    traces = np.empty(2, dtype=object)
    traces[:] = [trace([2, 4, 8], [1, 3], terminated), trace([5, 5], [5], True)]
    columns = {"score": np.array([4.0, 5.0]), "length": np.array([2, 1]), "trajectory": traces}
    columns["inherited"] = np.full(2, -np.inf)
    judge.hand_in(levels, np.array([[0.1], [0.2]]), np.array([1, 2]), columns, critic)
    assert levels.scores[0] == pytest.approx(expected)
    assert critic.asked == (0 if name == "return" else 1)  # once for all episodes
    assert traces[0]["observations"][-1, 0] == 8  # the signal itself is not changed


def test_the_published_max_mc_is_the_undiscounted_one():
    traces = np.empty(1, dtype=object)
    traces[0] = trace([2, 4, 8], [1, 3])
    columns = {"score": np.array([4.0]), "length": np.array([2]), "trajectory": traces}
    columns["inherited"] = np.array([-np.inf])
    levels = buffer()
    arguments = (np.array([[0.1]]), np.array([1]), columns, Critic())
    Judge("max_mc", 1.0, 0.95).hand_in(levels, *arguments)
    assert levels.scores[0] == pytest.approx(4 - 3) and levels.best[0] == 4


def test_several_episodes_of_a_level_are_one_weighted_by_length():
    levels = buffer()
    columns = {"score": np.array([10.0, 4.0, 1.0]), "length": np.array([1, 3, 4])}
    columns["inherited"] = np.full(3, -np.inf)
    tasks = np.array([[0.1], [0.1], [0.1]])
    Judge("return", 0.99, 0.95).hand_in(levels, tasks, np.array([1, 1, 2]), columns, None)
    assert levels.seeds.tolist() == [1, 2]  # the same task with another seed is another level
    # Gaps to the best return 10: 0 in one step, 6 in three.
    assert levels.scores.tolist() == pytest.approx([(1 * 0 + 3 * 6) / 4, 0])


# The buffer


def test_replay_probabilities_by_hand():
    levels = buffer(scores=[3.0, 9.0, 1.0, 7.0, 5.0])  # ranks 4, 1, 5, 2, 3
    rank = np.array([1 / 16, 1, 1 / 25, 1 / 4, 1 / 9])  # (1 / r) ** 2
    by_rank = rank / rank.sum()
    np.testing.assert_allclose(levels.probabilities(), 0.75 * by_rank + 0.25 / 5)
    levels.stale[:] = [0, 2, 1, 0, 5]
    by_age = np.array([0, 2, 1, 0, 5]) / 8
    np.testing.assert_allclose(levels.probabilities(), 0.75 * by_rank + 0.25 * by_age)


def test_equal_scores_share_the_weight_of_their_ranks():
    levels = buffer(scores=[2.0, 8.0, 2.0], staleness=0.0)
    rank = np.array([(1 / 4 + 1 / 9) / 2, 1, (1 / 4 + 1 / 9) / 2])
    np.testing.assert_allclose(levels.probabilities(), rank / rank.sum())


def test_staleness_counts_single_draws():
    levels, rng = buffer(scores=[1.0, 2.0, 3.0]), np.random.default_rng(0)
    expected = np.zeros(3, dtype=int)
    for _ in range(50):
        place = levels.draw(rng)
        expected += 1
        expected[place] = 0
        assert levels.stale.tolist() == expected.tolist()


def test_draws_follow_the_probabilities():
    levels, rng = buffer(scores=[3.0, 9.0, 1.0, 7.0, 5.0], staleness=0.0), np.random.default_rng(0)
    counts = np.bincount([levels.draw(rng) for _ in range(20_000)], minlength=5)
    np.testing.assert_allclose(counts / 20_000, levels.probabilities(), atol=0.01)


def test_pure_staleness_goes_round():
    levels, rng = buffer(scores=[1.0, 2.0, 3.0], staleness=1.0), np.random.default_rng(0)
    levels.draw(rng)
    drawn = [levels.draw(rng) for _ in range(3000)]
    assert all(a != b for a, b in itertools.pairwise(drawn))
    np.testing.assert_allclose(np.bincount(drawn) / 3000, 1 / 3, atol=0.03)


def test_a_new_level_replaces_the_one_least_likely_to_be_drawn():
    levels = buffer(capacity=3, scores=[1.0, 2.0, 3.0], staleness=0.9)
    levels.stale[:] = [50, 0, 1]  # the lowest score is likely, because it is stale
    assert int(np.argmin(levels.probabilities())) == 1
    assert not levels.offer(np.array([0.9]), 9, 1.9, 0.0)
    assert levels.seeds.tolist() == [0, 1, 2]
    assert levels.offer(np.array([0.9]), 9, 2.0, 4.0)  # as high is high enough
    assert levels.seeds.tolist() == [0, 9, 2] and levels.stale.tolist() == [50, 0, 1]
    assert levels.tasks[1] == 0.9 and levels.best[1] == 4.0


def test_a_known_level_is_updated_whatever_its_score():
    levels = buffer(capacity=2, scores=[5.0, 6.0], smoothing=0.25)
    assert levels.offer(np.array([0.0]), 0, 1.0, -3.0)
    assert levels.scores[0] == pytest.approx(0.75 * 5 + 0.25 * 1)
    assert levels.best[0] == 0.0 and len(levels) == 2
    assert levels.best_of(np.array([0.0]), 1) == -np.inf  # the same task with another seed


# The teacher


def fill(teacher, count, returns=None):
    proposal = teacher.propose(count, 0.0)
    tell(teacher, proposal, np.arange(count) if returns is None else returns)
    return proposal


def test_nothing_is_replayed_before_the_buffer_is_filled():
    teacher = PLR(square(), seed=0, capacity=40, fill=0.5, replay_rate=1.0)
    first = fill(teacher, 19)
    more = teacher.propose(5, 0.0)
    assert len(set(first.seeds) | set(more.seeds)) == 24
    tell(teacher, more, np.zeros(1), first=19, rows=[0])
    assert len(teacher.buffer) == 20
    later = teacher.propose(100, 0.0)
    known = np.isin(later.seeds, teacher.buffer.seeds)
    assert 0.3 < known.mean() < 0.7  # proportionate: half full, half replayed


@pytest.mark.parametrize(("decision", "share"), [("fixed", 0.8), ("proportionate", 0.5)])
def test_the_replay_decision(decision, share):
    teacher = PLR(square(), seed=0, capacity=20, replay_rate=0.8, replay_decision=decision)
    fill(teacher, 10)
    proposal = teacher.propose(3000, 0.5)
    known = np.isin(proposal.seeds, teacher.buffer.seeds)
    assert known.mean() == pytest.approx(share, abs=0.03)
    for task, seed in zip(proposal.tasks[known], proposal.seeds[known], strict=True):
        assert teacher.buffer.find(task, seed) is not None  # task and seed belong together


def test_a_level_scores_how_far_it_fell_short_of_its_best():
    teacher = PLR(square(), seed=0, capacity=1, fill=1.0, replay_rate=1.0)
    proposal = fill(teacher, 1, [7.0])
    assert teacher.buffer.scores.tolist() == [0.0]
    for number, (value, gap) in enumerate([(2.0, 5.0), (9.0, 0.0), (8.0, 1.0)], start=1):
        again = teacher.propose(1, 0.0)
        assert again.seeds == proposal.seeds and (again.tasks == proposal.tasks).all()
        tell(teacher, again, [value], first=number)
        assert teacher.buffer.scores.tolist() == [gap]


def test_outcomes_late_unordered_unknown_and_missing():
    teacher = PLR(square(), seed=0)
    proposal = teacher.propose(6, 0.0)
    tell(teacher, proposal, [1.0, 2.0], rows=[4, 1])
    tell(teacher, proposal, [3.0], rows=[0])
    tell(teacher, proposal, [9.0], rows=[5], first=100)  # nobody proposed number 105
    assert teacher.buffer.seeds.tolist() == proposal.seeds[[4, 1, 0]].tolist()
    teacher.propose(OPEN, 0.0)
    tell(teacher, proposal, [3.0], rows=[2])  # forgotten by now
    assert len(teacher.buffer) == 3


def test_robust_plr_trains_on_scored_levels_only_and_pays_for_it():
    student, teacher = Frontier(), RobustPLR(square(), seed=0, replay_rate=0.5, capacity=30)
    teacher.probe = student
    proposed = np.concatenate([p.seeds for p in teach(teacher, student, 3000)])
    # Five hundred new levels or more were scored, and training saw the chosen ones only.
    assert student.probed / 10 == pytest.approx(len(proposed), rel=0.15)
    assert len(set(proposed)) < 0.5 * student.probed / 10
    counts = np.unique(proposed, return_counts=True)[1]
    assert counts.max() > 10
    assert student.probed / 10 + len(proposed) < 3000 + 16 + 24


@pytest.mark.parametrize(("count", "most"), [(1, 8), (16, 20)])
def test_one_call_plays_a_bounded_number_of_episodes(count, most):
    student, teacher = Frontier(), RobustPLR(square(), seed=0)
    teacher.probe = student
    for _ in range(200):
        before = student.probed
        teacher.propose(count, 0.0)
        played = (student.probed - before) / 10
        assert played == 0 or 8 <= played <= most


def test_a_buffer_smaller_than_a_batch_of_rollouts_still_changes():
    student, teacher = Frontier(), RobustPLR(square(), seed=0, capacity=3, rollouts=8)
    teacher.probe = student
    for _ in range(100):
        teacher.propose(1, 0.0)
    assert student.probed / 10 > 10


@pytest.mark.parametrize("robust_rate", [0.5, 0.85])
def test_rollouts_per_training_episode(robust_rate):
    student = Frontier()
    teacher = RobustPLR(square(), seed=0, replay_rate=robust_rate, capacity=20)
    teacher.probe = student
    for _ in range(3000):
        teacher.propose(1, 0.0)
    assert student.probed / 10 / 3000 == pytest.approx((1 - robust_rate) / robust_rate, rel=0.1)


@pytest.mark.parametrize("cls", [PLR, PLRValue, RobustPLR])
def test_a_student_with_a_moving_frontier_learns_more_than_by_uniform_tasks(cls):
    skills = {}
    for teacher in (cls, Uniform):
        students = [Frontier(seed) for seed in range(3)]
        for seed, student in enumerate(students):
            teach(teacher(square(), seed=seed), student, 3000)
        skills[teacher] = [student.skill for student in students]
    assert np.mean(skills[cls]) > 2 * np.max(skills[Uniform])


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("cls", [PLRValue, RobustPLR])
def test_saved_teachers_continue_exactly(cls, score):
    students = [Frontier(), Frontier()]
    teachers = [cls(square(), seed=seed, score=score, capacity=20) for seed in (0, 5)]
    for teacher, student in zip(teachers, students, strict=True):
        teach(teacher, student, 200)
    students[1].__dict__.update(students[0].__dict__, rng=np.random.default_rng(7), probed=0)
    students[0].rng, students[0].probed = np.random.default_rng(7), 0
    teachers[1].load_state_dict(teachers[0].state_dict())
    ours, theirs = (
        teach(teacher, student, 300, start=teacher.proposed)
        for teacher, student in zip(teachers, students, strict=True)
    )
    assert len(ours) == len(theirs) > 5
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.tasks, other.tasks)
        np.testing.assert_array_equal(one.seeds, other.seeds)


@pytest.mark.parametrize("teacher", ["PLR", "PLRValue", "RobustPLR"])
def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(
    tmp_path, monkeypatch, teacher
):
    name, arguments = f"{FILE}:{teacher}", {"capacity": 8, "fill": 0.25, "rollouts": 2}
    straight = execute(request(tmp_path / "a", "tiny-stumps", name, arguments=arguments))
    wanted = request(
        tmp_path / "b", "tiny-stumps", name, arguments=arguments, checkpoint_seconds=0.0
    )
    assert execute_with_failures(wanted, monkeypatch, random.Random(3)) >= 1
    assert record_bytes(wanted.folder) == record_bytes(straight)
    spent = record.read_run(straight)[0].spent
    assert (spent.teacher[-1] > 0) == (teacher == "RobustPLR")
    assert 2048 <= spent.teacher[-1] + spent.student[-1] < 2048 + 8 + 10 * 150


@pytest.mark.parametrize(
    "options",
    [
        {"score": "max_mc"},
        {"capacity": 0},
        {"replay_rate": 0.0},
        {"replay_decision": "always"},
        {"fill": 1.5},
        {"temperature": 0.0},
        {"staleness": -0.1},
        {"smoothing": 0.0},
        {"discount": 1.1},
        {"gae_lambda": -1.0},
        {"rollouts": 0},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PLR(square(), seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        PLR(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

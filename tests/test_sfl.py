"""Sampling for learnability: its equation, its refreshes and their bill, and the online variant."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmark import record
from benchmark.run import execute
from teachers.sfl import SFL, SFLOnline, learnability
from teachers.uniform import Uniform
from tests.frontier import Frontier, square, teach, tell
from tests.test_run import execute_with_failures, record_bytes, request

FILE = Path(__file__).parent.parent / "teachers" / "sfl.py"


# The equation


def test_learnability_by_hand():
    # Beta(1 + s, 1 + n - s): a b / ((a + b) (a + b + 1))
    assert learnability(0, 0, 1.0) == pytest.approx(1 / 6)  # the uniform prior itself
    assert learnability(1, 2, 1.0) == pytest.approx(2 * 2 / (4 * 5))
    assert learnability(np.array([0, 1, 2, 3, 4]), 4, 1.0) == pytest.approx(
        np.array([5, 8, 9, 8, 5]) / 42
    )
    assert learnability(0, 0, 0.0) == 0.0


def test_learnability_is_the_mean_over_the_posterior():
    chance = np.random.default_rng(0).beta(0.5 + 3, 0.5 + 1, size=400_000)
    assert learnability(3, 4, 0.5) == pytest.approx(np.mean(chance * (1 - chance)), abs=2e-4)


def test_without_a_prior_it_ranks_like_the_paper_and_tends_to_it():
    successes = np.arange(11)
    plain = successes / 10 * (1 - successes / 10)
    np.testing.assert_allclose(learnability(successes, 10, 0.0), plain * 10 / 11)
    assert learnability(300, 1000, 1.0) == pytest.approx(0.21, abs=1e-3)


# Refreshes


class Pattern:
    """A probe under which the successes of a level are a function of its task."""

    def __init__(self, chance, length=10):
        self.chance, self.length, self.calls = chance, length, []
        self.count = {}

    def rollout(self, tasks, seeds=None, explore=True):
        assert explore
        self.calls.append((np.array(tasks), np.array(seeds)))
        success = []
        for task, seed in zip(tasks, seeds, strict=True):
            # Episode k succeeds where the share of successes so far lags behind the chance.
            done, won = self.count.get(int(seed), (0, 0))
            win = won < self.chance(task) * (done + 1) - 1e-9
            self.count[int(seed)] = (done + 1, won + win)
            success.append(float(win))
        return {"success": np.array(success), "length": np.full(len(tasks), self.length)}


def refreshed(chance, **options):
    teacher = SFL(square(), seed=0, share=1.0, **options)
    teacher.probe = Pattern(chance)
    while not len(teacher.kept_seeds):
        teacher.propose(4, 0.0)
    return teacher


def test_the_most_learnable_levels_are_kept():
    teacher = refreshed(lambda task: task[0], levels=60, episodes=8, keep=10, prior=0.0)
    tried = np.concatenate([tasks for tasks, _ in teacher.probe.calls])
    assert len(tried) == 60 * 8 and len(np.unique(tried, axis=0)) == 60
    wins = np.array([teacher.probe.count[int(seed)][1] for seed in teacher.kept_seeds])
    np.testing.assert_allclose(teacher.kept_learnability, wins / 8 * (1 - wins / 8) * 8 / 9)
    every = sorted((w / 8 * (1 - w / 8) for _, w in teacher.probe.count.values()), reverse=True)
    np.testing.assert_allclose(sorted(wins / 8 * (1 - wins / 8), reverse=True), every[:10])
    assert np.abs(teacher.kept_tasks[:, 0] - 0.5).max() < 0.25


def test_equally_learnable_levels_with_more_successes_win():
    teacher = refreshed(lambda task: float(task[1] > 0.5), levels=40, keep=10)
    assert (teacher.kept_tasks[:, 1] > 0.5).all()


def test_kept_levels_are_replayed_with_their_terrain():
    teacher = refreshed(lambda task: task[0], levels=20, keep=5, kept_share=0.7)
    proposal = teacher.propose(4000, 0.01)
    known = np.isin(proposal.seeds, teacher.kept_seeds)
    assert known.mean() == pytest.approx(0.7, abs=0.03)
    level = {seed: task.tolist() for task, seed in zip(*kept(teacher), strict=True)}
    for task, seed in zip(proposal.tasks[known], proposal.seeds[known], strict=True):
        assert task.tolist() == level[seed]
    shares = np.unique(proposal.seeds[known], return_counts=True)[1] / known.sum()
    np.testing.assert_allclose(shares, 0.2, atol=0.04)


def kept(teacher):
    return teacher.kept_tasks, teacher.kept_seeds.tolist()


def test_refreshes_come_at_shares_of_the_budget():
    teacher = SFL(square(), seed=0, levels=4, keep=2, episodes=2, refreshes=4, share=1.0)
    teacher.probe = Pattern(lambda task: task[0])
    played = []
    for step in range(101):
        teacher.propose(1, step / 100)
        played.append(len(teacher.probe.calls))
    begins = (np.flatnonzero(np.diff(played)) + 1).tolist()
    assert played[0] == 1 and begins == [25, 50, 75] and played[-1] == 4


def test_a_call_plays_sixteen_episodes_at_most():
    teacher = SFL(square(), seed=0, levels=30, keep=5, episodes=3, share=1.0)
    teacher.probe = Pattern(lambda task: task[0])
    for _ in range(10):
        teacher.propose(200, 0.0)
    assert [len(tasks) for tasks, _ in teacher.probe.calls] == [16] * 5 + [10]


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_rollouts_cost_at_most_their_share(share):
    student = Frontier()
    teacher = SFL(square(), seed=0, share=share, refreshes=1000)
    proposals = teach(teacher, student, 2000)
    spent = student.probed / (student.probed + 10 * 16 * len(proposals))
    assert share - 0.02 < spent <= share + 0.01
    assert teacher.probed == student.probed and teacher.trained == 160 * len(proposals)


def test_the_student_keeps_its_skill_while_it_is_asked():
    student, teacher = Frontier(), SFL(square(), seed=0, share=1.0)
    teacher.probe = student
    for _ in range(20):
        teacher.propose(4, 0.0)
    assert student.probed == 64 * 4 * 10 and student.skill == 0.05


def test_training_levels_are_more_learnable_than_uniform_ones():
    values = {}
    for cls in (SFL, Uniform):
        student = Frontier(rate=0.0)
        student.skill = 0.5
        proposals, chances = teach(cls(square(), seed=0), student, 4000)[60:], []
        for proposal in proposals:
            seeds = np.zeros(16) if proposal.seeds is None else proposal.seeds
            chances.append(student.chance(student.difficulty(proposal.tasks, seeds)))
        values[cls] = np.mean(np.multiply(chances, np.subtract(1, chances)))
    assert values[SFL] > 1.5 * values[Uniform]


# Online


def test_the_chance_of_success_is_that_of_the_nearest_episodes():
    teacher = SFLOnline(square(), seed=0, neighbours=3, prior=0.0)
    teacher.tasks = np.array([[0.1, 0.1], [0.1, 0.12], [0.12, 0.1], [0.8, 0.9], [0.9, 0.9]])
    teacher.success = np.array([1.0, 0.0, 0.0, 1.0, 1.0])
    # One success of three, 1/3 · 2/3 · 3/4, and two beside (0.9, 0.9).
    where = np.array([[0.1, 0.1], [0.95, 0.9]])
    np.testing.assert_allclose(teacher.learnability(where), [1 / 6, 1 / 6])
    teacher.neighbours = 2
    np.testing.assert_allclose(teacher.learnability(where), [1 / 2 * 1 / 2 * 2 / 3, 0])
    teacher.neighbours = 9  # more than there are: three successes of five
    np.testing.assert_allclose(teacher.learnability(where), [3 / 5 * 2 / 5 * 5 / 6] * 2)


def test_tasks_are_drawn_in_proportion_to_learnability():
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 20), np.linspace(0, 1, 20)), -1).reshape(-1, 2)
    teacher = SFLOnline(square(), seed=0, neighbours=1, prior=0.5, random_share=0.0)
    # One neighbour and this prior give the same value everywhere: no preference.
    teacher.tasks, teacher.success = grid, (grid[:, 0] > 0.5).astype(float)
    assert np.histogram(teacher.propose(4000, 0.5).tasks[:, 0], 4, (0, 1))[0].min() > 850
    # Two success rates at every point: 1/2 on the left, 1 on the right.
    teacher.tasks = np.repeat(grid, 2, axis=0)
    left = np.repeat(grid[:, 0] < 0.5, 2)
    teacher.success = np.where(left, np.tile([0.0, 1.0], len(grid)), 1.0)
    teacher.neighbours, teacher.prior = 2, 1.0
    # (2 · 2) / (4 · 5) against (3 · 1) / (4 · 5): 4 to 3.
    tasks = teacher.propose(6000, 0.5).tasks[:, 0]
    tasks = tasks[np.abs(tasks - 0.5) > 0.06]
    assert (tasks < 0.5).mean() == pytest.approx(4 / 7, abs=0.03)
    teacher.prior, teacher.random_share = 0.0, 0.3  # nothing to learn on the right
    tasks = teacher.propose(6000, 0.5).tasks[:, 0]
    assert (tasks > 0.56).mean() == pytest.approx(0.3 * 0.44, abs=0.02)


def test_without_success_or_failure_tasks_are_uniform():
    for value in (0.0, 1.0):
        teacher = SFLOnline(square(), seed=0, history=50)
        for first in range(0, 200, 50):
            tell_success(teacher, teacher.propose(50, 0.0), np.full(50, value), first)
        assert len(teacher.success) == 50  # the history is bounded
        assert np.histogram(teacher.propose(4000, 0.5).tasks[:, 1], 4, (0, 1))[0].min() > 850


def tell_success(teacher, proposal, success, first):
    tell(teacher, proposal, success, first)
    teacher.success[-len(success) :] = success


def test_only_success_counts_and_not_the_return():
    teacher = SFLOnline(square(), seed=0)
    tell(teacher, teacher.propose(5, 0.0), np.arange(5.0))
    assert teacher.success.tolist() == [0.0] * 5


@pytest.mark.parametrize("cls", [SFLOnline])
def test_a_student_with_a_moving_frontier_learns_more_than_by_uniform_tasks(cls):
    skills = {}
    for teacher in (cls, Uniform):
        students = [Frontier(seed) for seed in range(3)]
        for seed, student in enumerate(students):
            teach(teacher(square(), seed=seed), student, 3000)
        skills[teacher] = [student.skill for student in students]
    assert min(skills[cls]) > 3 * max(skills[Uniform])


@pytest.mark.parametrize("cls", [SFL, SFLOnline])
def test_an_unlearnable_region_gets_less_than_its_share(cls):
    student = Frontier(ceiling=0.4)
    student.skill = 0.3
    proposals = teach(cls(square(), seed=0), student, 3000)
    tasks = np.concatenate([p.tasks for p in proposals[len(proposals) // 2 :]])
    rng = np.random.default_rng(0)
    beyond = np.mean(student.difficulty(rng.random((5000, 2)), np.zeros(5000)) > 0.5)
    assert np.mean(student.difficulty(tasks, np.zeros(len(tasks))) > 0.5) < 0.8 * beyond


# State


@pytest.mark.parametrize("cls", [SFL, SFLOnline])
@pytest.mark.parametrize("episodes", [40, 700])
def test_saved_teachers_continue_exactly(cls, episodes):
    students = [Frontier(), Frontier()]
    teachers = [cls(square(), seed=seed) for seed in (0, 5)]
    for teacher, student in zip(teachers, students, strict=True):
        teach(teacher, student, episodes)
    students[1].__dict__.update(students[0].__dict__, rng=np.random.default_rng(7), probed=0)
    students[0].rng, students[0].probed = np.random.default_rng(7), 0
    teachers[1].load_state_dict(teachers[0].state_dict())
    pairs = zip(teachers, students, strict=True)
    ours, theirs = (teach(teacher, student, 900) for teacher, student in pairs)
    assert len(ours) == len(theirs) > 5
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.tasks, other.tasks)
        assert (one.seeds is None) == (cls is SFLOnline)
        if one.seeds is not None:
            np.testing.assert_array_equal(one.seeds, other.seeds)


@pytest.mark.parametrize("teacher", ["SFL", "SFLOnline"])
def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(
    tmp_path, monkeypatch, teacher
):
    arguments = {"SFL": {"levels": 6, "keep": 2, "episodes": 1, "share": 0.6}, "SFLOnline": {}}
    name, arguments = f"{FILE}:{teacher}", arguments[teacher]
    straight = execute(request(tmp_path / "a", "tiny-stumps", name, arguments=arguments))
    wanted = request(
        tmp_path / "b", "tiny-stumps", name, arguments=arguments, checkpoint_seconds=0.0
    )
    assert execute_with_failures(wanted, monkeypatch, random.Random(3)) >= 1
    assert record_bytes(wanted.folder) == record_bytes(straight)
    spent = record.read_run(straight)[0].spent
    assert (spent.teacher[-1] > 0) == (teacher == "SFL")


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SFL, {"levels": 0}),
        (SFL, {"episodes": 0}),
        (SFL, {"keep": 65}),
        (SFL, {"kept_share": 1.1}),
        (SFL, {"refreshes": 0}),
        (SFL, {"share": 0.0}),
        (SFL, {"prior": -1.0}),
        (SFLOnline, {"history": 0}),
        (SFLOnline, {"neighbours": 0}),
        (SFLOnline, {"random_share": -0.1}),
        (SFLOnline, {"prior": np.nan}),
    ],
)
def test_options_out_of_range(cls, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        cls(square(), seed=0, **options)

"""Value disagreement sampling: its targets, its memory, its candidates, and whom it helps."""

import copy
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from benchmark.run import execute
from teachers.base import Outcomes, TaskSpace
from teachers.critics import disagreement, n_step_transitions
from teachers.uniform import Uniform
from teachers.vds import PER_EPISODE, STARTS, VDS
from tests.frontier import Frontier, square, teach
from tests.test_run import execute_with_failures, record_bytes, request

FILE = Path(__file__).parent.parent / "teachers" / "vds.py"
LINE = TaskSpace(spaces.Box(0.0, 1.0, (1,), np.float64))


def trace(observations, rewards, terminated=True):
    seen = np.asarray(observations, dtype=np.float64)
    return {"observations": seen, "rewards": np.asarray(rewards, float), "terminated": terminated}


def tell(teacher, tasks, traces, first=0):
    column = np.empty(len(traces), dtype=object)
    column[:] = traces
    number, score = first + np.arange(len(traces)), np.zeros(len(traces))
    length = np.array([len(each["rewards"]) for each in traces])
    tasks = np.asarray(tasks, dtype=np.float64).reshape(len(traces), -1)
    teacher.observe(Outcomes(number, tasks, score, score, length, {"trajectory": column}))


def taught(answer, observation=None, episodes=600, batch=10, seed=0, space=None, **options):
    """A teacher after one-step episodes whose reward is ``answer(task, rng)``.

    The student sees ``observation(task)``, by default the same thing everywhere.
    """
    options = {"updates": 30, "batches": 40, **options}
    teacher, rng = VDS(space or square(), seed=seed, **options), np.random.default_rng(7)
    teacher.late = []  # proposals of the second half
    for first in range(0, episodes, batch):
        tasks = teacher.propose(batch, first / episodes).tasks
        teacher.late += list(tasks) if first >= episodes / 2 else []
        shown = [np.zeros(1) if observation is None else observation(task) for task in tasks]
        rewards = [answer(task, rng) for task in tasks]
        pairs = zip(shown, rewards, strict=True)
        tell(teacher, tasks, [trace([seen, seen], [reward]) for seen, reward in pairs], first)
    teacher.propose(1, 1.0)
    return teacher


# Equations


@pytest.mark.parametrize(
    ("n", "terminated", "end", "partial", "factor"),
    [
        (1, True, [1, 2, 3], [1, 2, 4], [0.5, 0.5, 0]),
        (1, False, [1, 2, 3], [1, 2, 4], [0.5, 0.5, 0.5]),
        # 1 + 2 / 2, 2 + 4 / 2, 4; the factor is that of the steps taken
        (2, True, [2, 3, 3], [2, 4, 4], [0.25, 0, 0]),
        (2, False, [2, 3, 3], [2, 4, 4], [0.25, 0.25, 0.5]),
        (9, True, [3, 3, 3], [3, 4, 4], [0, 0, 0]),
        (9, False, [3, 3, 3], [3, 4, 4], [0.125, 0.25, 0.5]),
    ],
)
def test_transitions_by_hand(n, terminated, end, partial, factor):
    found = n_step_transitions(np.array([1.0, 2.0, 4.0]), terminated, 0.5, n)
    for got, wanted in zip(found, (end, partial, factor, [3, 4, 4]), strict=True):
        np.testing.assert_allclose(got, wanted)


def test_disagreement_by_hand():
    values = np.array([[1.0, 2.0, 0.0], [3.0, 2.0, 0.0], [5.0, 2.0, 3.0]])
    # Deviations -2, 0, 2; none; -1, -1, 2; the mean of squares is taken over all three critics.
    np.testing.assert_allclose(disagreement(values), [np.sqrt(8 / 3), 0, np.sqrt(2)])


def linear_pair(level, scale):
    """Two linear critics s + 2 x + 0.5 and -s, whose answers stand for level + scale * answer."""
    teacher = VDS(LINE, seed=0, critics=2, hidden=())
    tell(teacher, [[0.5]], [trace([[0.0], [0.0]], [0.0])])
    with torch.no_grad():
        weight, bias = teacher.critics.parameters
        weight.copy_(torch.tensor([[[1.0], [2.0]], [[-1.0], [0.0]]]))
        bias.copy_(torch.tensor([[[0.5]], [[0.0]]]))
    teacher.centre[:], teacher.spread[:] = 0.0, 1.0
    teacher.level, teacher.scale = level, scale
    return teacher


def test_values_and_their_disagreement_by_hand():
    inputs = np.array([[1.0, 0.5], [2.0, 0.0]])
    plain = [[2.5, 2.5], [-1.0, -2.0]]
    np.testing.assert_allclose(linear_pair(0.0, 1.0).values(inputs), plain)
    values = linear_pair(1.0, 2.0).values(inputs)
    np.testing.assert_allclose(values, [[6, 6], [-1, -3]])
    np.testing.assert_allclose(disagreement(values), [3.5, 4.5])  # twice that of the answers
    # Inputs are clipped to five deviations: 1.75 + 2 * (-5) + 0.5 at s = 40, x = -9
    far = linear_pair(0.0, 1.0)
    far.centre[:], far.spread[:] = [5.0, 1.0], [20.0, 0.5]
    np.testing.assert_allclose(far.values(np.array([[40.0, -9.0]])), [[-7.75], [-1.75]])


@pytest.mark.parametrize(
    ("level", "scale", "errors"),
    [
        # V = 2.5 and -1; next 3.5 and -2; targets 1 + 3.5 / 2 and 1 - 2 / 2
        (0.0, 1.0, (2.5 - 2.75, -1.0 - 0.0)),
        # V = 6 and -1; next 8 and -3; targets 1 + 8 / 2 and 1 - 3 / 2
        (1.0, 2.0, ((6.0 - 5.0) / 2, (-1.0 + 0.5) / 2)),
    ],
)
def test_loss_and_gradient_by_hand(level, scale, errors):
    teacher = linear_pair(level, scale)
    # s = 1, x = 0.5; then s = 2, x = 0.5; reward 1, factor 0.5; the last number is not read
    rows = torch.tensor([[[1.0, 0.5, 2.0, 0.5, 1.0, 0.5, np.nan]]] * 2)
    loss = teacher._loss(rows)
    assert loss.item() == pytest.approx(sum(error**2 for error in errors))
    weight, bias = teacher.critics.parameters
    loss.backward(inputs=[weight, bias])
    for critic, error in enumerate(errors):  # nothing flows through the target
        np.testing.assert_allclose(weight.grad[critic, :, 0], [2 * error, error], rtol=1e-6)
        np.testing.assert_allclose(bias.grad[critic, 0, 0], 2 * error, rtol=1e-6)


@pytest.mark.parametrize("n_step", [1, 2])
@pytest.mark.parametrize(
    ("terminated", "last", "first_value", "second_value"),
    # Two rewards of 3, halved per step; or 3 for ever, as the last observation is the second.
    [(True, [0.0, 0.0], 4.5, 3.0), (False, [0.0, 1.0], 6.0, 6.0)],
)
def test_linear_critics_find_the_values_of_a_chain(
    n_step, terminated, last, first_value, second_value
):
    teacher = VDS(
        LINE, seed=0, hidden=(), discount=0.5, n_step=n_step, batches=1500, learning_rate=0.02
    )
    first, second = [1.0, 0.0], [0.0, 1.0]
    tell(teacher, [[0.5]], [trace([first, second, last], [3.0, 3.0], terminated)])
    teacher.propose(1, 0.5)
    values = teacher.values(np.array([[*first, 0.5], [*second, 0.5]]))
    np.testing.assert_allclose(values, [[first_value, second_value]] * 5, rtol=0.02)
    assert disagreement(values).max() < 0.01  # where all is known, all agree


# Memory


def test_of_a_long_episode_a_hundred_transitions_are_kept():
    teacher = VDS(LINE, seed=0, memory_size=500, n_step=3, discount=0.9)
    steps = 4 * PER_EPISODE
    rewards = np.arange(steps, dtype=np.float64)
    tell(teacher, [[0.25]], [trace(np.arange(steps + 1.0)[:, None], rewards, False)])
    kept = teacher.replay[: teacher.stored]
    assert len(kept) == PER_EPISODE and len(np.unique(kept[:, 0])) == PER_EPISODE
    assert kept[0, 0] == 0 and kept[:, 0].max() > 0.9 * steps
    assert (kept[:, [1, 3]] == 0.25).all()
    np.testing.assert_allclose(kept[:, 2], np.minimum(kept[:, 0] + 3, steps))
    early = kept[kept[:, 0] < steps - 3]
    np.testing.assert_allclose(
        early[:, 4], early[:, 0] + 0.9 * (early[:, 0] + 1) + 0.81 * (early[:, 0] + 2), rtol=1e-4
    )
    for first in range(1, 8):
        tell(teacher, [[0.5]], [trace(np.zeros((PER_EPISODE + 1, 1)), np.full(PER_EPISODE, first))])
    assert (teacher.replay[:, 4] > 0).all() and len(teacher.replay) == 500
    assert (teacher.replay[:, 1] == 0.5).all()  # the oldest is forgotten


def test_initial_observations_are_a_fair_sample_of_all_episodes():
    teacher, count = VDS(LINE, seed=0, memory_size=10), 4 * STARTS
    for number in range(count):
        tell(teacher, [[0.5]], [trace([[number], [-1.0]], [0.0])])
    quarters = np.histogram(teacher.starts[:, 0], 4, (0, count))[0] / STARTS
    np.testing.assert_allclose(quarters, 0.25, atol=0.05)


def test_it_does_not_matter_how_outcomes_are_bundled():
    teachers = [VDS(square(), seed=0) for _ in range(2)]
    rng = np.random.default_rng(0)
    tasks = rng.random((STARTS + 200, 2))
    lengths = rng.integers(1, 5, len(tasks))
    lengths[::100] = 3 * PER_EPISODE
    traces = [trace(rng.random((n + 1, 3)), rng.random(n), bool(n % 2)) for n in lengths]
    tell(teachers[0], tasks, traces)
    for row in range(len(tasks)):
        tell(teachers[1], tasks[row : row + 1], traces[row : row + 1], row)
    proposals = [teacher.propose(50, 0.5).tasks for teacher in teachers]
    np.testing.assert_array_equal(*proposals)


# Candidates


def test_proposals_follow_the_disagreement():
    teacher = VDS(square(), seed=0)
    teacher.positions = np.array([[0.1, 0.1], [0.2, 0.2], [0.3, 0.3], [0.4, 0.4]])
    teacher.disagreements = np.array([0.0, 1.0, 0.0, 3.0])
    first = teacher.propose(8000, 0.0).tasks[:, 0]
    shares = [np.mean(np.isclose(first, each)) for each in teacher.positions[:, 0]]
    assert shares[0] == shares[2] == 0 and shares[1] == pytest.approx(0.25, abs=0.02)
    for agreed in (np.zeros(4), np.array([0.0, np.inf, 0.0, 1.0]), np.full(4, np.nan)):
        teacher.disagreements = agreed
        first = teacher.propose(4000, 0.0).tasks[:, 0]
        shares = [np.mean(np.isclose(first, each)) for each in teacher.positions[:, 0]]
        np.testing.assert_allclose(shares, 0.25, atol=0.03)


def test_the_first_tasks_are_uniform():
    tasks = VDS(square(), seed=0).propose(4000, 0.7).tasks  # nothing has been heard
    assert np.histogram(tasks[:, 1], 4, (0, 1))[0].min() > 850
    assert len(np.unique(tasks, axis=0)) == 4000


def test_a_candidate_is_judged_from_the_nearest_beginning(monkeypatch):
    asked = []
    values = VDS.values
    monkeypatch.setattr(VDS, "values", lambda *a: asked.append(a[1].copy()) or values(*a))
    taught(lambda task, rng: task[0], observation=lambda task: 10 * task, episodes=400, updates=4)
    assert len(asked) == 4 and asked[-1].shape == (1000, 4)
    gap = np.linalg.norm(asked[-1][:, :2] / 10 - asked[-1][:, 2:], axis=1)
    assert 0 < gap.mean() < 0.05


def test_updates_come_at_shares_of_the_budget_or_after_steps(monkeypatch):
    def seen(**options):
        moments = []
        monkeypatch.setattr(VDS, "_update", lambda self: moments.append(step) or forget(self))
        teacher = VDS(LINE, seed=0, **options)
        for step in range(101):
            teacher.propose(1, step / 100)
            if step >= 10:
                tell(teacher, [[0.5]], [trace(np.zeros((11, 1)), np.zeros(10))])
        return moments

    def forget(teacher):
        teacher.waiting = 0

    assert seen(updates=4) == [25, 50, 75, 100]
    assert seen(updates=20)[:3] == [11, 15, 20]  # due from 5 on, but there was nothing to learn
    assert seen(update_every=300) == [40, 70, 100]


def test_a_box_without_width_has_one_task():
    box = spaces.Box(np.array([2.0, 3.0]), np.array([2.0, 3.0]), dtype=np.float64)
    teacher = VDS(TaskSpace(box), seed=0)
    tell(teacher, [[2.0, 3.0]], [trace([[0.0], [0.0]], [1.0])])
    np.testing.assert_array_equal(teacher.propose(3, 0.9).tasks, [[2.0, 3.0]] * 3)


# Behaviour


def test_critics_tell_tasks_apart_that_begin_alike():
    teacher = taught(lambda task, rng: 300 * task[0] - 100, batches=100)
    tasks = np.random.default_rng(1).random((200, 2))
    values = teacher.values(np.column_stack([np.zeros(200), tasks])).mean(axis=0)
    assert np.corrcoef(values, tasks[:, 0])[0, 1] > 0.99
    assert np.abs(values - 300 * tasks[:, 0] + 100).mean() < 20


def test_units_of_returns_do_not_matter():
    teachers = [
        taught(lambda task, rng, unit=unit: unit * np.sin(7 * task[0]), episodes=200)
        for unit in (1.0, 1024.0)
    ]
    np.testing.assert_array_equal(*(teacher.positions for teacher in teachers))
    one, other = (teacher.disagreements for teacher in teachers)
    np.testing.assert_allclose(other, 1024 * one, rtol=0.02)


@pytest.mark.parametrize("size", [1e30, 1e-30, 0.0])
def test_returns_of_any_size_are_borne(size):
    teacher = taught(lambda task, rng: size * rng.choice([-1.0, 1.0]), episodes=100)
    assert np.isfinite(teacher.disagreements).all()
    assert len(np.unique(teacher.propose(50, 1.0).tasks, axis=0)) > 20


def mean_difficulty(cls, skill, **options):
    student = Frontier(rate=0.0)
    student.skill = skill
    proposals = teach(cls(square(), seed=0, **options), student, 2000)
    return 1.2 * np.mean([each.tasks for each in proposals[len(proposals) // 2 :]])


def test_difficulty_follows_the_skill_of_the_student():
    levels = [mean_difficulty(VDS, skill, updates=100) for skill in (0.2, 0.5, 0.8)]
    assert np.diff(levels).min() > 0.03
    assert abs(mean_difficulty(Uniform, 0.2) - mean_difficulty(Uniform, 0.8)) < 0.01


def test_a_student_with_a_moving_frontier_learns_more_than_by_uniform_tasks():
    students = {VDS: Frontier(), Uniform: Frontier()}
    for cls, student in students.items():
        teach(cls(square(), seed=0), student, 3000)
    assert students[VDS].skill > 1.7 * students[Uniform].skill


def test_a_region_where_nothing_happens_gets_less_than_its_share():
    student = Frontier(ceiling=0.4)
    student.skill = 0.3
    proposals = teach(VDS(square(), seed=0, updates=60), student, 3000)
    tasks = np.concatenate([p.tasks for p in proposals[len(proposals) // 2 :]])
    rng = np.random.default_rng(0)
    beyond = np.mean(student.difficulty(rng.random((5000, 2)), np.zeros(5000)) > 0.5)
    assert np.mean(student.difficulty(tasks, np.zeros(len(tasks))) > 0.5) < 0.8 * beyond


def test_noise_attracts():
    """The known failure of the method: nothing can be learned where coins are tossed."""

    def share(answer):
        teacher = taught(answer, episodes=1000, updates=100, batches=20)
        return np.mean(np.array(teacher.late)[:, 0] > 0.7)

    assert share(lambda task, rng: rng.integers(2) if task[0] > 0.7 else task[0]) > 0.36
    assert share(lambda task, rng: min(task[0], 0.7)) < 0.33


# State


@pytest.mark.parametrize("episodes", [0, 40, 700])
def test_saved_teachers_continue_exactly(episodes):
    students = [Frontier(), Frontier()]
    teachers = [VDS(square(), seed=seed, updates=30) for seed in (0, 5)]
    teach(teachers[0], students[0], episodes)
    teach(teachers[1], students[1], 100)  # what it knew is replaced
    state = teachers[0].state_dict()
    students[1] = copy.deepcopy(students[0])
    teachers[1].load_state_dict(state)
    pairs = zip(teachers, students, strict=True)
    ours, theirs = (teach(teacher, student, 300) for teacher, student in pairs)
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.tasks, other.tasks)
    assert len({each.tasks.tobytes() for each in ours}) == len(ours) > 5


def test_a_run_that_dies_at_random_moments_ends_with_the_same_record(tmp_path, monkeypatch):
    name, arguments = f"{FILE}:VDS", {"updates": 40, "batches": 3, "memory_size": 400}
    straight = execute(request(tmp_path / "a", "tiny-stumps", name, arguments=arguments))
    wanted = request(
        tmp_path / "b", "tiny-stumps", name, arguments=arguments, checkpoint_seconds=0.0
    )
    assert execute_with_failures(wanted, monkeypatch, random.Random(3)) >= 1
    assert record_bytes(wanted.folder) == record_bytes(straight)


def test_global_randomness_is_neither_read_nor_changed():
    runs = []
    for seed in (1, 2):
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        runs.append(taught(lambda task, rng: task[0], episodes=100).propose(20, 1.0).tasks)
        after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()  # noqa: NPY002
        assert before[:2] == after[:2] and torch.equal(before[2], after[2])
    np.testing.assert_array_equal(*runs)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("critics", 1),
        ("hidden", (64, 0)),
        ("updates", 0),
        ("update_every", 0),
        ("batches", 0),
        ("batch", 0),
        ("learning_rate", 0.0),
        ("discount", 1.1),
        ("n_step", 0),
        ("memory_size", 0),
        ("candidates", 0),
    ],
)
def test_options_out_of_range(name, value):
    with pytest.raises(ValueError, match=name):
        VDS(square(), seed=0, **{name: value})

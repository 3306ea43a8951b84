import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given, settings
from hypothesis import strategies as st

from students.supervised import Classifier
from teachers.base import Outcomes, TaskSpace
from teachers.ordered import EasyFirst, EasyFirstCapped, HardFirst, RandomPace
from teachers.pacing import PACINGS, Pacing, draw, ranking
from teachers.self_paced import SelfPaced, SelfPacedCapped
from teachers.uniform import NoOp, Uniform

POOL_TEACHERS = (
    *(Uniform, NoOp, EasyFirst, HardFirst, RandomPace, EasyFirstCapped),
    *(SelfPaced, SelfPacedCapped),
)


class FixedProbe:
    """Answers with given losses and counts the questions."""

    def __init__(self, losses):
        self.losses, self.asked = losses, []

    def loss(self, tasks):
        self.asked.append(np.array(tasks))
        return self.losses[tasks]


def pool(n=50, classes=5, start=0):
    rng = np.random.default_rng(7)
    space = spaces.Discrete(n, start=start)
    return TaskSpace(space, label=rng.integers(classes, size=n), prior=rng.random(n))


def build(cls, task_space=None, seed=0, **options):
    task_space = task_space or pool()
    teacher = cls(task_space, seed=seed, **options)
    teacher.probe = FixedProbe(np.random.default_rng(1).random(task_space.space.n))
    return teacher


# Pacing


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("linear", 0.6),
        ("quad", 0.4),
        ("root", 0.2 + 0.8 * 0.70710678),
        ("exp", 0.2 + 0.8 * 0.00669285),  # (e^5 - 1) / (e^10 - 1)
        ("log", 0.2 + 0.8 * 0.93069436),  # 1 + 0.1 ln(0.5 + e^-10)
        ("step", 0.2),
        ("fixed", 0.38),  # 0.2 · 1.9^1: of three stages, 1.5 are over
    ],
)
def test_half_way_to_the_end(name, share):
    assert Pacing(name, start=0.2, end=0.5, cap=1.0).share(0.25) == pytest.approx(share, abs=1e-7)


@pytest.mark.parametrize("name", PACINGS)
def test_pools_grow_from_start_to_everything(name):
    pacing = Pacing(name, start=0.1, end=0.4, cap=1.0)
    sizes = [pacing.size(progress, 200) for progress in np.linspace(0, 1, 101)]
    assert sizes[0] == 20
    assert sizes[40:] == [200] * 61
    assert sizes == sorted(sizes) and sizes[39] <= 200


def test_fixed_exponential_of_the_paper():
    # 0.04 · 1.9^stage: 0.04, 0.076, 0.1444, 0.27436, 0.521284, 0.9904396, then everything.
    pacing = Pacing("fixed", start=0.04, end=0.6, cap=1.0)
    shares = [pacing.share(0.1 * stage + 0.05) for stage in range(7)]
    assert shares == pytest.approx([0.04, 0.076, 0.1444, 0.27436, 0.521284, 0.9904396, 1.0])


def test_sizes_are_rounded_up_and_clipped():
    assert Pacing("linear", 0.001, 0.5, 1.0).size(0.0, 50) == 1
    assert Pacing("linear", 0.05, 0.5, 1.0).size(0.0, 50) == 3
    assert Pacing("linear", 0.2, 0.5, 0.6).size(1.0, 5) == 3
    assert Pacing("linear", 0.2, 0.5, 0.6).size(1.0, 988) == 593
    assert Pacing("linear", 0.9, 0.5, 0.6).size(0.0, 10) == 6
    assert Pacing("linear", 0.2, 2.0, 1.0).share(1.0) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("option", "value"),
    [("pacing", "linaer"), ("start", 0.0), ("start", 1.1), ("end", 0.0), ("cap", 0.0), ("cap", 2)],
)
def test_options_out_of_range(option, value):
    for cls in (EasyFirst, RandomPace, SelfPaced, SelfPacedCapped):
        with pytest.raises(ValueError, match=option):
            build(cls, **{option: value})


# Order and passes


def test_balanced_order_by_hand():
    difficulty = np.array([0.1, 0.2, 0.3, 0.15, 0.9, 0.05])
    label = np.array([0, 0, 0, 1, 1, 2])
    rng = np.random.default_rng(0)
    assert ranking(difficulty, label, rng).tolist() == [5, 0, 3, 1, 4, 2]
    assert ranking(difficulty, None, rng).tolist() == [5, 0, 3, 1, 2, 4]


def test_ties_are_broken_at_random():
    orders = {tuple(ranking(np.zeros(6), None, np.random.default_rng(s))) for s in range(20)}
    assert len(orders) > 10


@given(counts=st.lists(st.integers(0, 40), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_draws_do_not_depend_on_how_many_are_asked_for(counts):
    def stream(counts):
        queue, rng, drawn = np.empty(0, dtype=np.int64), np.random.default_rng(3), []
        for count in counts:
            items, queue = draw(queue, count, lambda: np.arange(9), rng)
            assert items.shape == (count,)
            drawn += items.tolist()
        return drawn

    assert stream(counts) == stream([sum(counts)])


def test_a_grown_pool_waits_for_the_end_of_the_pass():
    rng, queue = np.random.default_rng(0), np.empty(0, dtype=np.int64)
    first, queue = draw(queue, 3, lambda: np.arange(5), rng)
    rest, queue = draw(queue, 2, lambda: np.arange(100), rng)
    assert sorted([*first, *rest]) == [0, 1, 2, 3, 4]
    whole, queue = draw(queue, 100, lambda: np.arange(100), rng)
    assert sorted(whole) == list(range(100))


# Uniform and no-op


def test_uniform_items_come_in_passes_without_replacement():
    teacher = build(Uniform, pool(13))
    items = np.concatenate([teacher.propose(count, 0.0).tasks for count in (5, 1, 20, 13)])
    for start in (0, 13, 26):
        assert sorted(items[start : start + 13]) == list(range(13))
    assert items[:13].tolist() != items[13:26].tolist()


def test_uniform_vectors_fill_the_box():
    box = spaces.Box(np.array([-1.0, 5.0]), np.array([1.0, 5.0 + 1e-9]), dtype=np.float64)
    tasks = Uniform(TaskSpace(box), seed=0).propose(4000, 0.0).tasks
    assert tasks.shape == (4000, 2) and tasks.dtype == np.float64
    assert (tasks >= box.low).all() and (tasks <= box.high).all()
    counts, _ = np.histogram(tasks[:, 0], bins=10, range=(-1, 1))
    assert (np.abs(counts - 400) < 5 * np.sqrt(400)).all()
    split = Uniform(TaskSpace(box), seed=0)
    parts = [split.propose(count, 0.0).tasks for count in (1, 1499, 2500)]
    assert np.array_equal(np.concatenate(parts), tasks)


def test_uniform_refuses_an_endless_box():
    with pytest.raises(ValueError, match="finite bounds"):
        Uniform(TaskSpace(spaces.Box(-np.inf, np.inf, (1,), np.float64)), seed=0)


@pytest.mark.parametrize("space", [spaces.Discrete(7), spaces.Box(0.0, 1.0, (2,), np.float64)])
def test_no_op_proposes_what_uniform_proposes(space):
    uniform, no_op = (cls(TaskSpace(space), seed=4) for cls in (Uniform, NoOp))
    for count in (3, 10, 1):
        expected, proposal = uniform.propose(count, 0.1), no_op.propose(count, 0.1)
        assert np.array_equal(expected.tasks, proposal.tasks)
        assert expected.weights is None and np.array_equal(proposal.weights, np.ones(count))
        number = np.arange(count)
        zeros = np.zeros(count)
        no_op.observe(Outcomes(number, proposal.tasks, zeros, zeros, number))
        assert np.array_equal(no_op.weigh({"loss": zeros}), np.ones(count))


# Fixed orders


@pytest.mark.parametrize(("cls", "sign"), [(EasyFirst, 1), (HardFirst, -1)])
def test_the_first_pool_is_the_easiest_or_hardest(cls, sign):
    space = pool()
    teacher = build(cls, space, balanced=False, start=0.2)
    expected = np.argsort(sign * space.prior)[:10]
    assert set(teacher.propose(10, 0.0).tasks) == set(expected)
    assert set(teacher.propose(50, 1.0).tasks) == set(range(50))


def test_balanced_pools_hold_every_class_equally():
    label = np.repeat([0, 1], 20)
    prior = np.concatenate([np.linspace(0, 0.1, 20), np.linspace(0.9, 1, 20)])
    space = TaskSpace(spaces.Discrete(40), label=label, prior=prior)
    items = build(EasyFirst, space, start=0.25).propose(10, 0.0).tasks
    assert sorted(items) == [0, 1, 2, 3, 4, 20, 21, 22, 23, 24]
    items = build(EasyFirst, space, start=0.25, balanced=False).propose(10, 0.0).tasks
    assert sorted(items) == list(range(10))


def test_random_pace_has_the_pools_of_easy_first_in_size_only():
    space = pool()
    easy, random = build(EasyFirst, space, start=0.2), build(RandomPace, space, start=0.2)
    for progress in (0.0, 0.1, 0.3, 0.6):
        assert len(easy.pool(progress)) == len(random.pool(progress))
    assert set(easy.pool(0.0)) != set(random.pool(0.0))
    assert set(random.pool(0.0)) <= set(random.pool(0.2))
    assert not RandomPace.privileges


def test_the_cap_keeps_the_hardest_items_out_for_ever():
    space = pool()
    teacher = build(EasyFirstCapped, space, balanced=False)
    items = teacher.propose(500, 1.0).tasks
    assert set(items) == set(np.argsort(space.prior)[:30])
    assert "noise_rate" in EasyFirstCapped.privileges and "prior" in EasyFirstCapped.privileges


@pytest.mark.parametrize("cls", [EasyFirst, HardFirst, EasyFirstCapped])
def test_a_missing_prior_is_explained(cls):
    with pytest.raises(ValueError, match="prior"):
        cls(TaskSpace(spaces.Discrete(5)), seed=0)


# Self-paced


def test_self_paced_keeps_the_smallest_losses_and_asks_once_per_pass():
    teacher = build(SelfPaced, start=0.2, warm_up=0)
    losses = teacher.probe.losses
    first = teacher.propose(10, 0.0).tasks
    assert set(first) == set(np.argsort(losses)[:10])
    teacher.probe.losses = -losses  # the student changes its mind
    assert len(teacher.probe.asked) == 1
    second = teacher.propose(25, 0.0).tasks  # two passes and a half
    assert set(second) == set(np.argsort(-losses)[:10])
    assert len(teacher.probe.asked) == 4
    assert all(np.array_equal(tasks, np.arange(50)) for tasks in teacher.probe.asked)


def test_self_paced_asks_nothing_once_everything_is_in_use():
    teacher = build(SelfPaced)
    assert sorted(teacher.propose(50, 0.5).tasks) == list(range(50))
    assert not teacher.probe.asked
    capped = build(SelfPacedCapped, warm_up=0)
    assert len(set(capped.propose(300, 1.0).tasks)) == 30
    assert len(capped.probe.asked) == 10
    assert set(SelfPacedCapped.privileges) == {"probe", "noise_rate"}


def test_self_paced_without_a_probe_is_explained():
    with pytest.raises(ValueError, match="probe"):
        SelfPaced(pool(), seed=0, warm_up=0).propose(1, 0.0)


def test_self_paced_warms_up_on_everything():
    teacher = build(SelfPaced, warm_up=2)
    tasks = teacher.propose(100, 0.0).tasks
    assert sorted(tasks[:50]) == sorted(tasks[50:]) == list(range(50))
    assert not teacher.probe.asked
    assert len(set(teacher.propose(20, 0.0).tasks)) == 20
    assert len(teacher.probe.asked) == 1
    with pytest.raises(ValueError, match="warm_up"):
        build(SelfPaced, warm_up=-1)


class StudentProbe:
    """The loss of a real student on noisy training labels."""

    def __init__(self, student, inputs, labels):
        self.student, self.inputs, self.labels = student, inputs, labels

    def loss(self, tasks):
        logits = self.student.predict(self.inputs[tasks])["logits"].astype(float)
        logits -= logits.max(axis=1, keepdims=True)
        chosen = logits[np.arange(len(tasks)), self.labels[tasks]]
        return np.log(np.exp(logits).sum(axis=1)) - chosen


@pytest.mark.parametrize("seed", [0, 1])
def test_capped_self_paced_finds_the_clean_items(seed):
    """Four separable clouds, 40 % of the labels wrong: nobody says which."""
    rng = np.random.default_rng(seed)
    clean = np.arange(400) % 4
    inputs = (4 * np.eye(8)[clean] + rng.normal(size=(400, 8))).astype(np.float32)
    wrong = rng.random(400) < 0.4
    labels = np.where(wrong, (clean + rng.integers(1, 4, size=400)) % 4, clean)
    student = Classifier((8,), 4, seed=seed, hidden=(32,))
    teacher = SelfPacedCapped(TaskSpace(spaces.Discrete(400), label=labels), seed=seed)
    teacher.probe = StudentProbe(student, inputs, labels)
    for step in range(150):
        tasks = teacher.propose(32, step / 150).tasks
        student.train(inputs[tasks], labels[tasks])
    chosen = teacher.pool(1.0)
    assert len(chosen) == 240
    assert (~wrong[chosen]).mean() > 0.9


# All of them


@pytest.mark.parametrize("cls", POOL_TEACHERS)
def test_saved_teachers_continue_exactly(cls):
    teacher = build(cls)
    for step in range(7):
        teacher.propose(11, step / 30)
    copy = build(cls, seed=99)
    copy.propose(3, 0.0)
    copy.load_state_dict(teacher.state_dict())
    for step in range(7, 30):
        expected = teacher.propose(11, step / 30).tasks
        assert np.array_equal(copy.propose(11, step / 30).tasks, expected)


@pytest.mark.parametrize("cls", POOL_TEACHERS)
def test_pools_that_do_not_start_at_zero(cls):
    space = pool(20, start=5)
    teacher = cls(space, seed=0)
    teacher.probe = FixedProbe(np.arange(30.0))
    tasks = np.concatenate([teacher.propose(40, progress).tasks for progress in (0.0, 0.3, 1.0)])
    assert tasks.min() >= 5 and tasks.max() <= 24


@pytest.mark.parametrize("cls", POOL_TEACHERS)
def test_seeds_decide(cls):
    streams = [build(cls, seed=seed).propose(60, 0.2).tasks.tolist() for seed in (0, 0, 1)]
    assert streams[0] == streams[1] != streams[2]


@pytest.mark.parametrize("cls", POOL_TEACHERS)
def test_a_pool_of_one_item(cls):
    space = TaskSpace(spaces.Discrete(1), label=np.zeros(1, int), prior=np.zeros(1))
    assert build(cls, space).propose(3, 0.0).tasks.tolist() == [0, 0, 0]

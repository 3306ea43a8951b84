import warnings

import numpy as np
import pytest
from gymnasium import spaces

from teachers.base import Knowledge, TaskSpace
from teachers.check_classroom import Pupil
from teachers.goal_gan import OPEN, GoalGAN
from tests import lessons


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT = box([0, 0], [1, 1])
EASY = Knowledge(initial=(np.array([0.3, 0.7]), np.array([0.1, 0.05])))
FAST = {"iterations": 5, "pretrain_iterations": 5}


def outcomes(numbers, tasks, success):
    return lessons.outcomes(numbers, tasks, success=success)


class Class(lessons.Class):
    """Answers are successes."""

    judged, count = "success", 20


def weights(teacher):
    networks = teacher.state_dict()["gan"].values()
    return np.concatenate([network["weights"] for network in networks])


# What is proposed


def test_pretraining_puts_tasks_at_the_start():
    space, mean = box([0, -10], [1, 10]), np.array([0.3, 4.0])
    knowledge = Knowledge(initial=(mean, np.array([0.1, 1.0])))
    teacher = GoalGAN(space, seed=0, knowledge=knowledge, noise=0.0)
    tasks = teacher.propose(600, 0).tasks
    assert (np.abs(tasks.mean(axis=0) - mean) < [0.15, 2]).all()
    assert (tasks.std(axis=0) < [0.2, 4.0]).all()
    # The release's generator has to be trained there: where it starts tells nothing of the region.
    unplaced = {"preset": "parity", "knowledge": EASY, "noise": 0.0}
    raw = GoalGAN(UNIT, seed=0, **unplaced, pretrain_iterations=0).propose(600, 0).tasks
    trained = GoalGAN(UNIT, seed=0, **unplaced).propose(600, 0).tasks
    assert np.abs(raw - [0.3, 0.7]).mean() > 0.12 > np.abs(trained - [0.3, 0.7]).mean()


def test_an_untold_start_is_the_easiest_task_or_random():
    options = {"pretrain_iterations": 0, "noise": 0.0}
    default = TaskSpace(UNIT.space, names=("x", "y"), default=np.array([0.3, 0.6]))
    tasks = [GoalGAN(default, seed=seed, **options).propose(400, 0).tasks for seed in range(10)]
    assert np.mean(tasks, axis=1) == pytest.approx(np.tile([0.3, 0.6], (10, 1)), abs=0.05)
    assert np.std(tasks, axis=1).mean(axis=0) == pytest.approx([0.1, 0.1], rel=0.3)
    corner = GoalGAN(UNIT, seed=0, **options).propose(400, 0).tasks
    assert corner.mean(axis=0) == pytest.approx([0.06, 0.06], abs=0.03)
    options |= {"start": "random"}
    tasks = [GoalGAN(default, seed=seed, **options).propose(99, 0).tasks for seed in range(40)]
    assert np.mean(tasks, axis=(0, 1)) == pytest.approx([0.5, 0.5], abs=0.15)
    assert np.ptp(np.mean(tasks, axis=1), axis=0).min() > 0.7


def test_every_generated_task_is_played_in_a_row():
    for rollouts in (1, 2, 3):
        room = Class(GoalGAN(UNIT, seed=0, knowledge=EASY, rollouts=rollouts, **FAST))
        tasks = np.concatenate([room.propose(count)[1] for count in (1, 4, 6, 1)])  # 12
        groups = tasks.reshape(-1, rollouts, 2)
        assert (groups == groups[:, :1]).all()
        assert len(np.unique(groups[:, 0], axis=0)) == 12 // rollouts


def test_noise_is_a_share_of_each_range(monkeypatch):
    teacher = GoalGAN(box([0, -50], [1, 50]), seed=0, noise=0.05, **FAST)
    monkeypatch.setattr(teacher.gan, "sample", lambda count: np.full((count, 2), 0.5))
    tasks = np.concatenate([teacher.propose(50, 0).tasks for _ in range(80)])[::2]
    assert tasks.mean(axis=0) == pytest.approx([0.5, 0], abs=0.5)
    assert tasks.std(axis=0) == pytest.approx([0.05, 5.0], rel=0.1)


def test_mastered_tasks_come_back_with_their_share():
    options = {"replay_share": 0.3, "noise": 0.001} | FAST
    room = Class(GoalGAN(UNIT, seed=0, knowledge=EASY, **options))
    room.teacher.propose(2, 0)
    room.number = 2
    room.teacher.mastered = np.array([[0.01, 0.99]])
    tasks = np.concatenate([room.propose(50)[1] for _ in range(60)])
    old = np.abs(tasks - [0.01, 0.99]).max(axis=1) < 0.01
    # Three of ten draws are old tasks, the other seven are played twice.
    assert old.mean() == pytest.approx(0.3 / (0.3 + 0.7 * 2), abs=0.03)
    labelled = len(room.teacher.labelled)
    numbers = np.arange(2, 3002)[old]
    room.teacher.observe(outcomes(numbers, tasks[old], 1))
    assert len(room.teacher.labelled) == labelled == 0  # replays are not labelled


@pytest.mark.parametrize(
    ("options", "places"),
    [({}, [0.1, 0.25, 0.75, 0.9]), ({"preset": "parity"}, [0, 0, 1, 1])],
)
def test_the_range_of_the_generator(monkeypatch, options, places):
    teacher = GoalGAN(box([0], [1]), seed=0, noise=0.0, rollouts=1, **options, **FAST)
    teacher.propose(1, 0)
    network, forward = teacher.gan.discriminator, teacher.gan.discriminator.forward
    tanh, judged = np.array([[-0.8], [-0.5], [0.5], [0.8]]), []
    monkeypatch.setattr(teacher.gan.generator, "forward", lambda z: [z, np.arctanh(tanh)])
    assert teacher.propose(4, 0).tasks[:, 0] == pytest.approx(places)
    monkeypatch.undo()
    monkeypatch.setattr(network, "forward", lambda x: judged.append(x) or forward(x))
    teacher.gan.train(np.array([[0.0]]), np.ones(1), 1)
    assert judged[0][0, 0] == (-0.5 if options else -1)


def test_noise_is_added_before_tasks_are_clipped(monkeypatch):
    """In the release tasks from beyond the box stay on its faces."""
    teacher = GoalGAN(box([0], [1]), seed=0, rollouts=1, preset="parity", **FAST)
    monkeypatch.setattr(teacher.gan, "sample", lambda count: np.full((count, 1), 1.4))
    assert (teacher.propose(200, 0).tasks > 0.999).mean() > 0.99


def test_networks_have_the_published_sizes():
    gan = GoalGAN(box([0] * 3, [1] * 3), seed=0, preset="parity").gan
    shapes = [[each.shape for each in net.layers] for net in (gan.generator, gan.discriminator)]
    # Weights, and a row of biases.
    assert shapes == [[(4, 256), (257, 256), (257, 3)], [(4, 128), (129, 128), (129, 1)]]
    first = gan.generator.layers[0]
    assert np.abs(first[:-1]).max() == pytest.approx(np.sqrt(6 / 259), rel=0.01)  # Glorot, uniform
    assert (first[-1] == 0).all()


# Labels


def test_labels_by_hand():
    teacher = GoalGAN(UNIT, seed=0, rollouts=4, update_size=1000, **FAST)
    tasks = teacher.propose(20, 0).tasks
    rates = np.repeat([0, 1, 2, 3, 4], 4) > np.tile(np.arange(4), 5)  # 0, 1, 2, 3 and 4 of 4
    order = np.random.default_rng(0).permutation(20)
    for part in np.array_split(order, 6):  # late, unordered and in parts
        teacher.observe(outcomes(part, tasks[part], rates[part]))
    found = {tuple(row[:2]): row[2] for row in teacher.labelled}
    assert [found[tuple(task)] for task in tasks[::4]] == [0, 1, 1, 1, 0]
    assert np.array_equal(teacher.mastered, tasks[16:17])


def test_only_complete_and_known_tasks_are_labelled():
    room = Class(GoalGAN(UNIT, seed=0, update_size=10**6, **FAST))
    numbers, tasks = room.propose(200)
    room.teacher.observe(outcomes(numbers[::2], tasks[::2], 1))
    room.teacher.observe(outcomes([10**6], tasks[:1], 1))  # never proposed
    assert len(room.teacher.labelled) == 0
    room.teacher.observe(outcomes(numbers[1:100:2], tasks[1:100:2], 1))
    assert len(room.teacher.labelled) == 50
    for _ in range(4):
        room.propose(OPEN // 3)
    room.teacher.observe(outcomes(numbers[101::2], tasks[101::2], 1))  # too late
    assert len(room.teacher.labelled) == 50


def test_mastered_tasks_keep_their_distance():
    space = box([0, 0], [1, 10])
    near, far = np.array([0.5, 0.5]), np.array([0.5, 0.515])
    for unit, rate, kept in (("range", 1, 2), ("raw", 1, 2), ("range", 0.75, 0)):
        teacher = GoalGAN(space, seed=0, distance_unit=unit, **FAST)
        for position in (near, near + 0.001, far):
            teacher._label(position, rate)
        assert len(teacher.mastered) == kept
    teacher = GoalGAN(space, seed=0, **FAST)
    aside = np.array([0.52, 0.5])  # 0.02 apart: beyond 0.01 diagonals of the unit box
    for position in (near, aside):
        teacher._label(position, 1)
    assert len(teacher.mastered) == 2
    teacher = GoalGAN(space, seed=0, preset="parity", **FAST)
    for position in (near, aside):  # raw, 0.02 apart and 0.1 = 0.01 diagonals asked for
        teacher._label(position, 1)
    assert len(teacher.mastered) == 1


def test_labels_of_zero_train_nothing():
    room = Class(GoalGAN(UNIT, seed=0, **FAST))
    room.propose(2)
    before = weights(room.teacher)
    room.teach(0, 50)
    assert np.array_equal(weights(room.teacher), before)
    assert (room.teacher.trainings, room.teacher.skipped) == (0, 5)
    assert len(room.teacher.labelled) == 0
    room.teach(1, 50)  # too easy is no better
    assert np.array_equal(weights(room.teacher), before) and len(room.teacher.mastered) > 5


# Students


def test_it_learns_an_annulus_of_intermediate_difficulty():
    rng = np.random.default_rng(0)

    def success(tasks):
        radius = np.linalg.norm(tasks - 0.5, axis=1)
        return np.where(radius < 0.25, 1, (radius < 0.4) & (rng.random(len(tasks)) < 0.5))

    def share():
        radius = np.linalg.norm(room.teacher.gan.sample(1000) - 0.5, axis=1)
        return np.mean((radius > 0.25) & (radius < 0.4))

    knowledge = Knowledge(initial=(np.array([0.5, 0.5]), np.array([0.3, 0.3])))
    room = Class(GoalGAN(UNIT, seed=0, knowledge=knowledge))
    room.propose(2)
    assert share() < 0.6  # uniform: 0.31
    shares = []
    for _ in range(12):
        room.teach(success, 10)
        shares.append(share())
    assert room.teacher.trainings >= 10 and np.mean(shares[4:]) > 0.75


def test_the_difficulty_of_tasks_follows_the_student():
    space = spaces.Box(0, 1, (1,), np.float64)
    pupil, means = Pupil(space, rate=0.0), []
    knowledge = Knowledge(initial=(np.array([0.2]), np.array([0.1])))
    room = Class(GoalGAN(TaskSpace(space), seed=0, knowledge=knowledge))
    for pupil.competence in (0.2, 0.35, 0.5, 0.65, 0.8):
        room.teach(lambda tasks: pupil.facts(tasks)["success"], 20)
        means.append(room.teacher.gan.sample(500).mean())
    assert (np.diff(means) > 0.02).all()
    assert np.abs(np.array(means) - (0.2, 0.35, 0.5, 0.65, 0.8)).max() < 0.15


def test_a_student_that_forgets_is_lost():
    space = spaces.Box(0, 1, (1,), np.float64)
    pupil = Pupil(space, rate=0.0)
    knowledge = Knowledge(initial=(np.array([0.5]), np.array([0.1])))
    room = Class(GoalGAN(TaskSpace(space), seed=0, knowledge=knowledge, replay_share=0.0))
    pupil.competence = 0.8
    room.teach(lambda tasks: pupil.facts(tasks)["success"], 60)
    assert room.teacher.trainings >= 3 and room.teacher.gan.sample(500).mean() > 0.65
    pupil.competence = 0.05
    room.teach(lambda tasks: pupil.facts(tasks)["success"], 20)  # what was still to be labelled
    learned, trainings = weights(room.teacher), room.teacher.trainings
    tasks = room.teach(lambda tasks: pupil.facts(tasks)["success"], 100)
    assert np.array_equal(weights(room.teacher), learned)
    assert room.teacher.trainings == trainings
    assert pupil.chance(tasks).max() < 0.01  # though tasks below 0.1 would succeed


# State, spaces and options


@pytest.mark.parametrize("preset", ["corrected", "parity"])
@pytest.mark.parametrize("rounds", [0, 1, 13, 40])
def test_saved_teachers_continue_exactly(preset, rounds):
    def success(tasks):
        return np.sin(1000 * tasks.sum(axis=1) + np.arange(len(tasks))) > 0

    one, other = (Class(GoalGAN(UNIT, seed=seed, preset=preset, **FAST)) for seed in (0, 5))
    if rounds:
        one.teach(success, rounds, count=7)
    other.teach(success, 30)
    waiting = one.propose(15)  # still open when saved
    other.teacher.load_state_dict(one.teacher.state_dict())
    other.number = one.number
    for room in (one, other):
        room.teacher.observe(outcomes(*waiting, success(waiting[1])))
    assert np.array_equal(one.teach(success, 80, 7), other.teach(success, 80, 7))
    assert np.array_equal(weights(one.teacher), weights(other.teacher))
    assert one.teacher.trainings >= 2


def test_dimensions_of_width_zero_are_put_back():
    room = Class(GoalGAN(box([0, 7, 0], [1, 7, 1]), seed=0, **FAST))
    tasks = room.teach(lambda tasks: tasks[:, 0] > 0.5, 30)
    assert (tasks[:, 1] == 7).all() and tasks[:, 0].std() > 0.05 < tasks[:, 2].std()
    point = Class(GoalGAN(box([3, 4], [3, 4]), seed=0, **FAST))
    assert np.array_equal(point.teach(1, 3), np.tile([3.0, 4.0], (60, 1)))


@pytest.mark.parametrize("preset", ["corrected", "parity"])
def test_tasks_stay_inside_the_box(preset):
    low = np.linspace(-5, 5, 4)
    room = Class(GoalGAN(box(low, low + 1e-6), seed=0, preset=preset, noise=2.0, **FAST))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = room.teach(lambda tasks: tasks[:, 0] > low[0] + 5e-7, 30)
    assert tasks.dtype == np.float64 and (tasks >= low).all() and (tasks <= low + 1e-6).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"noise": -0.1},
        {"update_size": 0},
        {"replay_share": 1.5},
        {"rollouts": 0},
        {"lowest_rate": -0.1},
        {"highest_rate": 0.2},
        {"least_distance": np.nan},
        {"iterations": -1},
        {"pretrain_iterations": -1},
        {"hidden": 0},
        {"start": "hardest"},
        {"generator_range": "half"},
        {"distance_unit": "metres"},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        GoalGAN(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        GoalGAN(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

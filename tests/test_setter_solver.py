import warnings

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch.nn import functional

from teachers.base import TaskSpace
from teachers.check_classroom import Pupil
from teachers.flow import Flow, psi
from teachers.setter_solver import OPEN, SetterSolver, setter_loss
from tests import lessons


def box(low, high):
    return TaskSpace(spaces.Box(np.array(low, float), np.array(high, float), dtype=np.float64))


UNIT = box([0, 0], [1, 1])
SMALL = {"hidden": 8}


def outcomes(numbers, tasks, success):
    return lessons.outcomes(numbers, tasks, success=success)


class Class(lessons.Class):
    """Answers are successes."""

    judged, count = "success", 50


def weights(teacher):
    state = teacher.state_dict()
    parts = [each for name in ("setter", "judge") for each in state[name]["weights"]]
    return np.concatenate([each.ravel() for each in parts])


# The flow


def flow(size, seed=0, bend=0.4, **options):
    """A flow whose last layers are drawn, so that it is no plain logistic function."""
    rng = np.random.default_rng(seed)
    made = Flow(size, 16, rng, **options)
    with torch.no_grad():
        for coupling in made.couplings:
            drawn = torch.from_numpy(rng.normal(size=coupling.pair.weights[-1].shape))
            coupling.pair.weights[-1].add_(bend * drawn)
    return made


def draw(size, n=300, seed=1):
    rng = np.random.default_rng(seed)
    noise, condition = rng.standard_normal((n, size)), rng.uniform(1e-8, 1, (n, 1))
    return torch.from_numpy(noise), torch.from_numpy(condition)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
@pytest.mark.parametrize("wide", [True, False])
def test_the_inverse_is_exact(size, wide):
    made, (noise, condition) = flow(size, wide=wide), draw(size)
    with torch.no_grad():
        points, density = made(noise, condition)
        back, same = made.inverse(points, condition)
    assert points.dtype == torch.float64 and ((points > 0) & (points < 1)).all()
    assert torch.allclose(back, noise, atol=1e-6, rtol=0)
    assert torch.allclose(same, density, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("condition", [0.1, 0.9])
def test_the_density_integrates_to_one(condition):
    made, side = flow(2), (np.arange(120) + 0.5) / 120
    grid = torch.from_numpy(np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2))
    with torch.no_grad():
        density = made.inverse(grid, torch.full((len(grid), 1), condition).double())[1].exp()
    assert float(density.mean()) == pytest.approx(1, abs=2e-3)
    assert density.max() > 2 > 0.5 > density.min()  # and it is not flat


def test_the_density_is_that_of_the_change_of_variables():
    made, (noise, condition) = flow(3), draw(3, n=1)
    slope = torch.autograd.functional.jacobian(lambda z: made(z[None], condition)[0][0], noise[0])
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(noise).sum()
    expected = normal - torch.linalg.slogdet(slope)[1]
    assert float(made(noise, condition)[1].detach()) == pytest.approx(float(expected))


def test_the_condition_matters():
    made, (noise, condition) = flow(2), draw(2)
    there, here = made(noise, condition)[0], made(noise, 1 - condition)[0]
    assert (there - here).abs().max() > 0.05


def test_wide_and_thin_starts():
    noise, condition = draw(2, n=2000)
    wide, thin = (Flow(2, 64, np.random.default_rng(0), each) for each in (True, False))
    assert torch.allclose(wide(noise, condition)[0], torch.sigmoid(noise))
    assert thin(noise, condition)[0].std(dim=0).max() < 0.06
    # One dimension is moved twice per block, without any other to look at.
    assert len(Flow(1, 8, np.random.default_rng(0)).couplings) == 6
    assert len(wide.couplings) == 9


def test_psi_by_hand():
    x = torch.tensor([0.0, 1.0, -1.0, -30.0 + 1e-9, -30.0 - 1e-9, -1000.0], dtype=torch.float64)
    expected = [1 / np.pi, 0.75 + 1 / np.pi, 1 / np.pi - 0.25]
    assert psi(x)[:3].numpy() == pytest.approx(expected)
    far = [1 / (3 * np.pi * v**2) for v in (30, 30, 1000)]
    assert psi(x)[3:].numpy() == pytest.approx(far, rel=0.01)
    line = torch.linspace(-200, 200, 4001, dtype=torch.float64, requires_grad=True)
    values = psi(line)
    assert (values > 0).all() and (values.diff() > -1e-7).all()
    assert values[-1].item() == pytest.approx(200, rel=1e-3)
    values.sum().backward()
    assert torch.isfinite(line.grad).all()


# Losses


def test_the_loss_by_hand():
    judged, wished = torch.tensor([1.0, 0.0]), torch.tensor([0.5, 0.75])
    own, won = torch.tensor([0.5, 1.5]), torch.tensor([2.0, -1.0, 5.0])
    # Feasibility (1² + ln(3)²) / 2, validity -(2 - 1 + 5) / 3, coverage (0.5 + 1.5) / 2
    feasibility = (1 + np.log(3) ** 2) / 2
    assert float(setter_loss(judged, wished, won, own)) == pytest.approx(feasibility - 2 + 1)
    assert float(setter_loss(judged, wished, won[:0], own)) == pytest.approx(feasibility + 1)


@pytest.mark.parametrize(
    ("options", "span", "played"),
    [({"noise": 0.2}, (-0.1, 0.1), False), ({"noise": 0.2, "preset": "parity"}, (0, 0.2), True)],
)
def test_what_the_losses_are_told(monkeypatch, options, span, played):
    teacher, calls = SetterSolver(UNIT, seed=0, update_every=40, **SMALL, **options), []
    network, inverse = teacher.setter.network, teacher.setter.network.inverse
    tasks = teacher.propose(40, 0).tasks
    wished, won = teacher.open[:40, 1], np.arange(40) % 3 == 0
    monkeypatch.setattr(
        network, "inverse", lambda *args: calls.append(args) or inverse(*args), raising=False
    )
    network.register_forward_pre_hook(lambda _, args: calls.append(args))
    teacher.observe(outcomes(range(40), tasks, won))
    *_, (noise, own), (near, theirs) = calls
    assert len(calls) == 2 + played and teacher.updates == 1
    # Validity: noisy successes at the feasibility they were proposed with.
    shift = near.numpy() - tasks[won]
    assert span[0] - 1e-6 < shift.min() < shift.max() < span[1] + 1e-6
    assert np.ptp(shift) > 0.12
    assert np.allclose(theirs.numpy()[:, 0], wished[won])
    # Feasibility and coverage: the tasks just played, or fresh ones.
    assert np.allclose(own.numpy()[:, 0], wished) == played
    before = SetterSolver(UNIT, seed=0, update_every=40, **SMALL, **options).setter.network
    with torch.no_grad():
        points = before(noise, own)[0].numpy()
    assert np.allclose(points, tasks, atol=1e-4) == played and len(points) == 40


def test_the_judge_learns_what_succeeds():
    room = Class(SetterSolver(UNIT, seed=0, **SMALL))
    room.teach(lambda tasks: tasks[:, 0] < 0.5, 40)
    points = torch.tensor([[0.3, 0.2], [0.3, 0.8], [0.7, 0.2], [0.7, 0.8]])
    logits = room.teacher.judge.network(points).detach().numpy()[:, 0]
    assert logits[:2].min() > 0.3 and logits[2:].max() < -0.3


def test_steps_are_those_of_adam_on_the_cross_entropy():
    teacher = SetterSolver(UNIT, seed=0, update_every=10, gradient_steps=2, **SMALL)
    layers = [len(each) for each in teacher.judge.parameters[::2]]
    parity = SetterSolver(UNIT, seed=0, preset="parity", **SMALL)
    assert layers == [64, 64, 64, 1]
    assert [len(each) for each in parity.judge.parameters[::2]] == [64, 64, 1]
    tasks, success = teacher.propose(10, 0).tasks, np.arange(10) % 2
    points, labels = torch.from_numpy(tasks).float(), torch.from_numpy(success).float()
    twin = SetterSolver(UNIT, seed=0, update_every=10, **SMALL).judge
    moments = [[torch.zeros_like(each)] * 2 for each in twin.parameters]
    for step in (1, 2):
        logits = twin.network(points)[:, 0]
        loss = functional.softplus(logits) - labels * logits  # the cross-entropy
        gradients = torch.autograd.grad(loss.mean(), twin.parameters)
        for row, (each, gradient) in enumerate(zip(twin.parameters, gradients, strict=True)):
            first = 0.9 * moments[row][0] + 0.1 * gradient
            second = 0.999 * moments[row][1] + 0.001 * gradient**2
            moments[row] = [first, second]
            scale = (second / (1 - 0.999**step)).sqrt() + 1e-8
            with torch.no_grad():
                each -= 6e-3 * first / (1 - 0.9**step) / scale
    teacher.observe(outcomes(range(10), tasks, success))
    for mine, theirs in zip(teacher.judge.parameters, twin.parameters, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


# Students


def test_wished_feasibility_becomes_real():
    pupil = Pupil(UNIT.space, rate=0.0)
    pupil.competence = 0.4
    room = Class(SetterSolver(UNIT, seed=0))
    room.teach(lambda tasks: pupil.facts(tasks)["success"], 40)
    numbers, tasks = room.propose(1000)
    wished, chance = room.teacher.open[numbers % OPEN, 1], pupil.chance(tasks)
    assert chance[wished > 0.8].mean() > chance[wished < 0.2].mean() + 0.3


def test_the_difficulty_of_tasks_follows_the_student():
    pupil, means = Pupil(UNIT.space, rate=0.0), []
    room = Class(SetterSolver(UNIT, seed=0))
    for pupil.competence in (0.3, 0.65):
        tasks = room.teach(lambda tasks: pupil.facts(tasks)["success"], 50)
        means.append(tasks[-500:].mean())
    assert np.abs(np.array(means) - (0.3, 0.65)).max() < 0.15


def test_the_release_hardly_moves():
    moved = []
    for preset in ("corrected", "parity"):
        room = Class(SetterSolver(UNIT, seed=0, preset=preset))
        before = weights(room.teacher)
        room.teach(lambda tasks: tasks.sum(axis=1) < 1, 10)
        moved.append(np.abs(weights(room.teacher) - before).mean())
    assert moved[0] > 2 * moved[1] > 0


@pytest.mark.parametrize("preset", ["corrected", "parity"])
@pytest.mark.parametrize("success", [0, 1])
def test_one_kind_of_outcome_is_borne(preset, success):
    room = Class(SetterSolver(UNIT, seed=0, preset=preset, **SMALL))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = room.teach(success, 12)
    assert room.teacher.updates == 12 and np.isfinite(weights(room.teacher)).all()
    assert np.isfinite(tasks).all() and len(np.unique(tasks, axis=0)) > 570


def test_ten_thousand_times_the_same_task():
    teacher = SetterSolver(UNIT, seed=0, update_every=400, **SMALL)
    for _ in range(20):
        teacher.propose(500, 0.5)
        numbers = teacher.proposed - 500 + np.arange(500)
        teacher.observe(outcomes(numbers, np.full((500, 2), 0.5), np.arange(500) % 2))
    tasks = teacher.propose(100, 0.5).tasks
    assert teacher.updates == 25 and np.isfinite(tasks).all()


# Outcomes


def test_outcomes_are_matched_by_their_number():
    room = Class(SetterSolver(UNIT, seed=0, update_every=10**6, **SMALL))
    tasks = np.concatenate([room.propose(count)[1] for count in (1, 70, 29)])
    wished = room.teacher.open[:100, 1]
    late = np.random.default_rng(0).permutation(100)[:60]
    for part in (late[:1], late[1:40], late[40:]):
        room.teacher.observe(outcomes(part, tasks[part], part % 2))
    assert np.array_equal(room.teacher.played[:, 0], late % 2)
    assert np.array_equal(room.teacher.played[:, 1], wished[late])
    assert np.allclose(room.teacher.played[:, 2:], tasks[late])
    room.teacher.observe(outcomes([10**6], tasks[:1], 1))  # never proposed
    for _ in range(4):
        room.propose(OPEN // 3)
    room.teacher.observe(outcomes(range(100), tasks, 1))  # too late
    assert len(room.teacher.played) == 60


def test_feasibilities_are_uniform_and_tasks_are_those_of_the_setter():
    teacher = SetterSolver(box([-3, 10], [3, 11]), seed=0, **SMALL)
    tasks = np.concatenate([teacher.propose(count, 0).tasks for count in (7, 93, 1900)])
    wished = teacher.open[:2000, 1]
    assert np.histogram(wished, bins=5, range=(0, 1))[0].min() > 330
    points = (tasks - [-3, 10]) / [6, 1]
    # The wide start is a logistic function of noise.
    noise = np.log(points / (1 - points))
    assert noise.mean(axis=0) == pytest.approx([0, 0], abs=0.07)
    assert noise.std(axis=0) == pytest.approx([1, 1], abs=0.05)


# State, spaces and options


@pytest.mark.parametrize("preset", ["corrected", "parity"])
@pytest.mark.parametrize("rounds", [0, 1, 13, 40])
def test_saved_teachers_continue_exactly(preset, rounds):
    def success(tasks):
        return np.sin(1000 * tasks.sum(axis=1)) > 0

    options = {"preset": preset, "update_every": 20} | SMALL
    one, other = (Class(SetterSolver(UNIT, seed=seed, **options)) for seed in (0, 5))
    if rounds:
        one.teach(success, rounds, count=7)
    other.teach(success, 1)
    waiting = one.propose(15)  # still open when saved
    other.teacher.load_state_dict(one.teacher.state_dict())
    other.number = one.number
    for room in (one, other):
        room.teacher.observe(outcomes(*waiting, success(waiting[1])))
    assert np.array_equal(one.teach(success, 15, 7), other.teach(success, 15, 7))
    assert np.array_equal(weights(one.teacher), weights(other.teacher))
    assert one.teacher.updates > 5


@pytest.mark.parametrize("preset", ["corrected", "parity"])
def test_dimensions_of_width_zero_are_put_back(preset):
    room = Class(SetterSolver(box([0, 7, 0], [1, 7, 1]), seed=0, preset=preset, **SMALL))
    tasks = room.teach(lambda tasks: tasks[:, 0] > 0.5, 10)
    assert (tasks[:, 1] == 7).all() and room.teacher.updates == 10
    assert tasks[:, 0].std() > 0.001 < tasks[:, 2].std()
    point = SetterSolver(box([3, 4], [3, 4]), seed=0, preset=preset)
    assert np.array_equal(Class(point).teach(1, 3), np.tile([3.0, 4.0], (150, 1)))
    point.load_state_dict(point.state_dict())


@pytest.mark.parametrize("size", [1, 2, 5])
@pytest.mark.parametrize("preset", ["corrected", "parity"])
def test_tasks_stay_inside_the_box(preset, size):
    low = np.linspace(-5, 5, size)
    room = Class(SetterSolver(box(low, low + 1e-6), seed=0, preset=preset, noise=3.0, **SMALL))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tasks = room.teach(lambda tasks: tasks[:, 0] > low[0] + 5e-7, 8)
    assert tasks.dtype == np.float64 and (tasks >= low).all() and (tasks <= low + 1e-6).all()


@pytest.mark.parametrize(
    "options",
    [
        {"preset": "fixed"},
        {"update_every": 0},
        {"noise": -0.1},
        {"hidden": 0},
        {"gradient_steps": 0},
        {"learning_rate": np.nan},
        {"start": "narrow"},
        {"noise_side": "down"},
        {"judged_tasks": "all"},
        {"judge_layers": 4},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SetterSolver(UNIT, seed=0, **options)


def test_unbounded_boxes_are_refused():
    with pytest.raises(ValueError, match="bounded box"):
        SetterSolver(TaskSpace(spaces.Box(0, np.inf, (1,), np.float64)), seed=0)

"""Weights of examples from their losses."""

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from teachers.base import TaskSpace
from teachers.loss_weights import (
    SPCL,
    AnnealedEasiness,
    Focal,
    MentorNetPD,
    SuperLoss,
    quantile,
    superloss_weights,
)
from teachers.soft_self_paced import FORMS, SoftSelfPaced, soft_weights
from tests.clouds import Clouds, Lesson, hear

POOL = TaskSpace(spaces.Discrete(8, start=2), label=np.arange(8) % 4, prior=np.arange(8) * 1.0)


def weigh(teacher, losses, progress=0.5, tasks=None):
    teacher.propose(1, progress)
    tasks = np.full(len(losses), 2) if tasks is None else np.asarray(tasks)
    return teacher.weigh({"tasks": tasks, "loss": np.asarray(losses, dtype=np.float32)})


# Soft self-paced forms


@pytest.mark.parametrize(
    ("form", "threshold", "expected"),
    [
        ("linear", 2.0, [1, 0.75, 0, 0]),
        ("polynomial", 2.0, [1, np.sqrt(0.75), 0, 0]),
        ("logistic", 2.0, [1, (1 + np.exp(-2)) / (1 + np.exp(-1.5)), 0.56766764, 0.1353353]),
        ("log", 0.75, [1, np.log(0.75) / np.log(0.25), 0, 0]),
    ],
)
def test_soft_weights_by_hand(form, threshold, expected):
    losses = np.array([0, 0.5, 2, 4.0])
    got = soft_weights(form, losses, threshold, 3.0)
    assert got == pytest.approx(expected, abs=3e-3 if form == "logistic" else 1e-9)


@pytest.mark.parametrize("form", FORMS)
@given(losses=st.lists(st.floats(0, 1e12), min_size=2, max_size=8), level=st.floats(1e-9, 1e9))
def test_soft_weights_fall_from_one_to_zero(form, losses, level):
    weights = soft_weights(form, np.sort(losses), level, 3.0)
    assert (weights >= 0).all() and (weights <= 1 + 1e-9).all()
    assert (np.diff(weights) <= 1e-12).all()


def test_the_linear_weight_minimises_its_objective():
    """min over w of w l + L (w^2 / 2 - w)."""
    for loss in (0.1, 0.8, 1.9, 3.0):
        grid = np.linspace(0, 1, 10001)
        best = grid[np.argmin(grid * loss + 2.0 * (grid**2 / 2 - grid))]
        assert soft_weights("linear", np.array([loss]), 2.0, 3.0)[0] == pytest.approx(
            best, abs=1e-4
        )


def test_the_threshold_is_the_loss_of_the_paced_share():
    teacher = SoftSelfPaced(POOL, seed=0, start=0.25, end=1.0, warm_up=1)
    assert weigh(teacher, [1.0, 9.0], 0.0).tolist() == [1, 1]  # nothing is known yet
    hear(teacher, np.arange(2, 10), np.arange(1, 9))
    teacher.propose(16, 0.0)
    assert teacher.threshold() == 2.0
    assert weigh(teacher, [0.5, 1.5, 3.0], 0.0) == pytest.approx([0.75, 0.25, 0])
    teacher.propose(1, 2 / 3)  # 0.25 + 0.75 · 2/3 = three quarters of eight
    assert teacher.threshold() == 6.0
    teacher.propose(1, 1.0)
    assert teacher.threshold() == 8.0


def test_unseen_items_do_not_count_for_the_threshold():
    teacher = SoftSelfPaced(POOL, seed=0, start=0.5, end=1.0, warm_up=1)
    hear(teacher, [2, 3, 4, 5], [4, 1, 3, 2])
    teacher.propose(1, 0.0)
    assert teacher.threshold() == 2.0


# SuperLoss


@given(st.floats(-3, 20), st.floats(0.1, 5))
def test_superloss_is_the_minimiser(loss, strength):
    weight = superloss_weights(np.array([loss]), 0.5, strength)[0]
    # In u = ln s: (l - tau) e^u + lambda u^2; below the threshold the branch ends at u = 1.
    beta = (loss - 0.5) / strength
    found = minimize_scalar(
        lambda u: max(beta, -2 / np.e) * np.exp(u) + u**2, bounds=(-20, 1), method="bounded"
    )
    assert np.log(weight) == pytest.approx(found.x, abs=2e-3)


def test_superloss_by_hand():
    weights = superloss_weights(np.array([1.0, 1 + 2 * np.e, -9.0, 1e12]), 1.0, 1.0)
    # W(0) = 0, W(e) = 1, W(-1/e) = -1.
    assert weights[:3] == pytest.approx([1, np.exp(-1), np.e], abs=1e-6)
    assert 0 <= weights[3] < 1e-9


def test_superloss_follows_the_mean_or_knows_the_classes():
    teacher = SuperLoss(POOL, seed=0)
    assert weigh(teacher, [2.0, 4.0]) == pytest.approx(
        superloss_weights(np.array([2.0, 4.0]), 3.0, 1.0)
    )
    weigh(teacher, [1.0, 1.0])
    assert teacher.level == pytest.approx(0.9 * 3.0 + 0.1 * 1.0)
    zero = SuperLoss(POOL, seed=0)
    weigh(zero, [0.0, 0.0])
    weigh(zero, [1.0, 1.0])
    assert zero.level == pytest.approx(0.1)  # a mean of 0 is a mean, not a missing one
    fixed = SuperLoss(POOL, seed=0, threshold="classes", strength=0.25)
    assert weigh(fixed, [np.log(4.0)]) == pytest.approx([1.0], abs=1e-6)
    with pytest.raises(ValueError, match="labels"):
        SuperLoss(TaskSpace(spaces.Discrete(3)), seed=0, threshold="classes")


# MentorNet


def test_closed_forms_by_hand():
    losses, excess = np.array([0.0, 1.0, 2.5]), np.array([-1.0, 0.0, 1.5])
    expected = {
        "self_paced": [1, 1, 0],
        "hard_mining": [0, 1, 1],
        "focal": [0, (1 - np.exp(-1)) ** 2, (1 - np.exp(-2.5)) ** 2],
        "spcl": [1, 1, 0],
    }
    for form, weights in expected.items():
        got = MentorNetPD(POOL, seed=0, form=form).closed_form(losses, excess)
        assert got == pytest.approx(weights)
    assert SPCL(POOL, seed=0, gamma=3.0).closed_form(losses, excess)[2] == pytest.approx(0.5)


def test_the_predefined_mixture_changes_with_the_budget():
    teacher = MentorNetPD(POOL, seed=0, early_dropout=0.0, late_dropout=0.0, momentum=0.0)
    losses = [0.0, 1.0, 2.0, 3.0, 3.25]  # the 75 % percentile is 3
    assert weigh(teacher, losses, 0.18).tolist() == [1, 1, 1, 1, 1]
    assert weigh(teacher, losses, 0.5).tolist() == [1, 1, 1, 1, 0]
    assert weigh(teacher, losses, 0.95).tolist() == [1, 1, 1, 1, 0.75]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=9), st.floats(0, 1))
def test_quantiles_are_those_of_numpy(values, share):
    values = np.array(values)
    assert quantile(values, share) == pytest.approx(np.quantile(values, share), rel=1e-9, abs=1e-6)


def test_the_percentile_moves_by_its_momentum():
    teacher = MentorNetPD(POOL, seed=0)
    weigh(teacher, [1, 2, 3, 4, 5])
    weigh(teacher, [0, 0, 0, 0, 0])
    assert teacher.level == 2.0


def test_dropout_of_the_mixture():
    teacher = MentorNetPD(POOL, seed=0)
    early = weigh(teacher, np.zeros(4000), 0.1)
    late = weigh(teacher, np.zeros(4000), 0.5)
    assert early.mean() == pytest.approx(0.5, abs=0.03)
    assert late.mean() == pytest.approx(0.95, abs=0.02)
    assert (weigh(Focal(POOL, seed=0), np.ones(100), 0.1) > 0).all()


# A prior that fades


def test_annealed_easiness_by_hand():
    teacher = AnnealedEasiness(POOL, seed=0, end=0.5)
    tasks = [2, 9, 5]  # easiness 1, 0, 4/7
    assert weigh(teacher, np.zeros(3), 0.0, tasks) == pytest.approx([1, 0, 4 / 7])
    assert weigh(teacher, np.zeros(3), 0.25, tasks) == pytest.approx([1, 0.5, 0.5 + 2 / 7])
    assert weigh(teacher, np.zeros(3), 0.8, tasks) == pytest.approx([1, 1, 1])
    anti = AnnealedEasiness(POOL, seed=0, end=0.5, order="anti")
    assert weigh(anti, np.zeros(3), 0.0, tasks) == pytest.approx([0, 1, 3 / 7])


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (SoftSelfPaced, "form", "soft"),
        (SoftSelfPaced, "order", 1.0),
        (SoftSelfPaced, "warm_up", 0),
        (SuperLoss, "strength", 0.0),
        (SuperLoss, "threshold", "median"),
        (SuperLoss, "momentum", 1.0),
        (MentorNetPD, "form", "dd"),
        (MentorNetPD, "gamma", 0.0),
        (MentorNetPD, "early_dropout", 1.0),
        (AnnealedEasiness, "end", 0.0),
        (AnnealedEasiness, "order", "hard"),
    ],
)
def test_options_out_of_range(cls, option, value):
    with pytest.raises(ValueError, match=option):
        cls(POOL, seed=0, **{option: value})


# Behaviour on planted noise, through the loop


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (SuperLoss, {}),
        (MentorNetPD, {}),
        (SPCL, {}),
        *((SoftSelfPaced, {"form": form, "cap": 0.6}) for form in FORMS),
    ],
)
def test_easy_first_weights_turn_to_clean_labels(cls, options):
    lesson, hard = Lesson(cls, Clouds(), **options), Lesson(Focal, Clouds())
    plain = lesson.task.wrong.mean()
    assert lesson.wrong_share() < 0.75 * plain < 1.15 * plain < hard.wrong_share()
    counts = np.bincount(lesson.tasks, minlength=400)
    assert counts.max() - counts.min() <= 1  # uniform passes whatever the weights


def test_weights_are_scaled_to_a_mean_of_one():
    lesson = Lesson(SuperLoss, Clouds(), total=640)
    assert lesson.weights.reshape(-1, 32).mean(axis=1) == pytest.approx(np.ones(20))

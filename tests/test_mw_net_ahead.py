"""Meta-Weight-Net with the look-ahead of its paper: against autograd through the virtual step."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from benchmark.ledger import Ledger
from benchmark.probe import SupervisedProbe
from students.supervised import Classifier
from teachers.base import TaskSpace
from teachers.mw_net import MWNetAhead, MWNetAheadValidation
from tests.clouds import Clouds, Lesson

POOL = TaskSpace(spaces.Discrete(40, start=3))


def losses_at(vector, student, inputs, targets):
    """Losses (n,) of a classifier with the parameters ``vector``, with their graph."""
    views = student._views(vector)
    logits, _ = student._network(torch.from_numpy(inputs).double(), views)
    return torch.nn.functional.cross_entropy(logits, torch.from_numpy(targets), reduction="none")


def setting(hidden=(6,)):
    task = Clouds(n=60)
    student = Classifier((8,), 4, seed=0, hidden=hidden)
    for start in range(0, 60, 20):
        student.train(task.inputs[start : start + 20], task.label[start : start + 20])
    return task, student


def test_products_behind_a_step_match_autograd():
    task, student = setting()
    batch, held = (task.inputs[:12], task.label[:12]), (task.inputs[30:], task.label[30:])
    step = np.random.default_rng(0).random(12) * 0.2
    base = student.parameters.detach().double().requires_grad_()
    each = [
        torch.autograd.grad(losses_at(base, student, batch[0][[i]], batch[1][[i]]).sum(), base)[0]
        for i in range(12)
    ]
    ahead = base - sum(float(s) * g for s, g in zip(step, each, strict=True))
    ahead = ahead.detach().requires_grad_()
    (mean,) = torch.autograd.grad(losses_at(ahead, student, *held).mean(), ahead)
    exact = [float(g @ mean) for g in each]
    before = student.state_dict()["parameters"]
    found = student.alignment(*batch, held, step)
    assert found == pytest.approx(exact, rel=2e-3, abs=2e-3 * np.abs(exact).max())
    assert np.abs(found - student.alignment(*batch, held)).max() > 0.05 * np.abs(exact).max()
    assert student.alignment(*batch, held, np.zeros(12)) == pytest.approx(
        student.alignment(*batch, held), rel=1e-9
    )
    assert np.array_equal(student.state_dict()["parameters"], before)


def test_the_networks_gradient_is_that_of_the_reference_loss_behind_the_virtual_step():
    """Through the whole chain, weights, step and reference loss, by second-order autograd."""
    task, student = setting()
    ledger, space = Ledger(10_000), TaskSpace(task.task_space)
    teacher = MWNetAhead(space, seed=0, step=0.3, hidden=5, reference_share=0.4, reference_size=24)
    teacher.probe = SupervisedProbe(task, student, ledger, teacher.privileges, 0)
    items = teacher.free[:16]
    batch, held = (task.inputs[items], task.label[items]), teacher.held

    base = student.parameters.detach().double().requires_grad_()
    losses = losses_at(base, student, *batch)
    each = torch.stack([torch.autograd.grad(v, base, retain_graph=True)[0] for v in losses])
    values = teacher.value(losses.detach().numpy()).double()
    ahead = base.detach() - 0.3 * (values / values.sum()) @ each.detach()
    outcome = losses_at(ahead, student, task.inputs[held], task.label[held]).mean()
    wanted = torch.autograd.grad(outcome, teacher.net.parameters)
    wanted = torch.cat([g.flatten() for g in wanted]).double()

    given = []

    def descend(loss):
        gradient = torch.autograd.grad(loss, teacher.net.parameters)
        given.append(torch.cat([g.flatten() for g in gradient]).double())

    teacher.net.descend = descend
    teacher.weigh({"tasks": items, "loss": losses.detach().numpy()})
    assert 0.3 * given[0].numpy() == pytest.approx(
        wanted.numpy(), rel=5e-3, abs=5e-3 * float(wanted.abs().max())
    )
    # Two forward passes for the products, one more and a backward one for the virtual step.
    assert ledger.forward == 3 * 16 + len(held) and ledger.backward == 16 + len(held)


def test_the_weights_of_the_real_step_are_those_after_the_networks_own():
    class Fixed:
        def alignment(self, tasks, reference, step=None):
            self.step = step
            return np.where(np.asarray(tasks) < 23, 1.0, -1.0)

    teacher = MWNetAhead(POOL, seed=0, rate=0.5, step=0.2)
    teacher.probe = Fixed()
    losses = np.where(np.arange(40) < 20, 0.2, 3.0)
    before = teacher.value(losses).detach().numpy()
    weights = teacher.weigh({"tasks": np.arange(40) + 3, "loss": losses})
    assert teacher.probe.step == pytest.approx(0.2 * before / before.sum())
    assert np.array_equal(weights, teacher.value(losses).detach().numpy().astype(float))
    assert weights[0] / weights[-1] > before[0] / before[-1]


def test_a_clean_reference_teaches_it_to_weigh_wrong_labels_down():
    lesson = Lesson(MWNetAheadValidation, Clouds(), total=60_000)
    assert lesson.wrong_share(1000) < 0.1 * lesson.task.wrong.mean()
    # It pays for its questions within a proposal: at most a batch and its question too many.
    assert 60_000 <= lesson.ledger.spent < 60_000 + 32 + 32 * 5 / 3 + 200
    assert len(lesson.tasks) == lesson.ledger.student


def test_a_reference_of_the_pool_is_never_trained_on():
    lesson = Lesson(MWNetAhead, Clouds(), total=4000)
    assert not set(lesson.tasks) & set(lesson.teacher.held)


def test_a_missing_probe_is_explained():
    batch = {"tasks": np.arange(5) + 3, "loss": np.ones(5)}
    with pytest.raises(ValueError, match="probe"):
        MWNetAhead(POOL, seed=0).weigh(batch)


@pytest.mark.parametrize("value", [0.0, 1e4, float("nan")])
def test_a_step_out_of_range(value):
    with pytest.raises(ValueError, match="step"):
        MWNetAheadValidation(POOL, seed=0, step=value)

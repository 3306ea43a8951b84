"""What learning on a GPU adds to a student, on the CPU: it must change no number."""

import numpy as np
import pytest
import torch

from students import ppo, sac
from students.capture import WARM_UP, Accelerated, Captured, adam, again, set_rate
from tests import test_ppo, test_sac
from tests.student_lessons import Reach, assert_same_state, train

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
# Of one rollout in two unequal parts, so that two shapes are recorded; of SAC in both forms.
STUDENTS = {
    "ppo": (test_ppo.make, {"num_envs": 3, "rollout": 33, "epochs": 4}),
    "ppo annealed": (test_ppo.make, {"num_envs": 3, "anneal_learning_rate": 500}),
    "ppo that forgets": (test_ppo.make, {"num_envs": 3, "forget_every": 100}),
    "sac": (test_sac.make, {"num_envs": 3}),
    "sac with values": (test_sac.make, {"num_envs": 3, "form": "value", "temperature": 0.1}),
}


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Students take the path of a GPU; recordings are replaced by the steps themselves."""
    recorded = []

    def record(step):
        recorded.append(step)
        return again(step)

    def accelerated(*parts):
        return Accelerated(*parts, record=record)

    for module in (ppo, sac):
        monkeypatch.setattr(module, "accelerated", accelerated)
    return recorded


def test_a_function_is_recorded_once_per_shape_and_replayed_with_new_numbers():
    total, recorded, replayed = torch.zeros(1), [], []

    def record(step):
        recorded.append(step)

        def replay():
            replayed.append(None)
            step()

        return replay

    captured = Captured(lambda row: total.add_(row.sum()), record)
    for number in range(WARM_UP + 4):
        captured(torch.full((2,), float(number)))
    assert len(recorded) == 1 and len(replayed) == 4
    assert total.item() == 2 * sum(range(WARM_UP + 4))
    for _ in range(WARM_UP + 1):
        captured(torch.ones(3))
    assert len(recorded) == 2
    captured.forget()
    captured(torch.ones(3))
    assert len(recorded) == 2 and len(replayed) == 5  # it warms up again


@pytest.mark.parametrize("name", STUDENTS)
def test_the_path_of_a_gpu_gives_the_same_numbers(name, request):
    make, options = STUDENTS[name]
    plain = make(**options)
    recorded = request.getfixturevalue("as_on_a_gpu")
    other = make(**options)
    worlds = Reach(3), Reach(3)
    np.testing.assert_array_equal(train(plain, worlds[0], 60), train(other, worlds[1], 60))
    assert recorded and plain.updates == other.updates > 2 * WARM_UP
    assert_same_state(plain, other)
    # Restored, it goes on with recordings of its own.
    restored = make(seed=9, **options)
    train(restored, Reach(3, seed=4), 60)
    restored.load_state_dict(other.state_dict())
    np.testing.assert_array_equal(train(plain, worlds[0], 60), train(restored, worlds[1], 60))
    assert_same_state(plain, restored)


@pytest.mark.parametrize("name", STUDENTS)
def test_what_acts_is_a_copy_that_follows(name, as_on_a_gpu):
    make, options = STUDENTS[name]
    student, probe = make(**options), np.ones((2, 3), np.float32)
    before = student.act(probe, explore=False)
    with torch.no_grad():
        student.parameters += 0.5
    np.testing.assert_array_equal(student.act(probe, explore=False), before)
    student.accelerated.follow()
    assert not np.array_equal(student.act(probe, explore=False), before)


def test_a_student_on_the_cpu_has_nothing_beside_its_network():
    student = test_ppo.make()
    assert student.accelerated is None and student.actor is student.network
    student = test_sac.make()
    assert student.accelerated is None and student.actor is student.networks.policy


def test_the_learning_rate_is_changed_where_it_is_kept():
    flat = torch.zeros(3)
    optimizer = adam(flat, 0.5)
    set_rate(optimizer, 0.25)
    assert optimizer.param_groups[0]["lr"] == 0.25
    rate = optimizer.param_groups[0]["lr"] = torch.tensor(0.5)
    set_rate(optimizer, 0.125)
    assert optimizer.param_groups[0]["lr"] is rate and rate.item() == 0.125


@needs_gpu
@pytest.mark.parametrize("name", STUDENTS)
def test_on_a_gpu_it_learns_nearly_the_same_and_repeats_itself(name):
    make, options = STUDENTS[name]
    students = [make(device=device, **options) for device in ("cpu", "cuda", "cuda")]
    for student in students:
        train(student, Reach(3), 24)
    states = [student.state_dict()["parameters"] for student in students]
    np.testing.assert_allclose(states[1], states[0], rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(states[2], states[1], rtol=1e-5, atol=1e-6)
    assert students[1].accelerated.descend.recorded or students[1].updates <= 2 * WARM_UP

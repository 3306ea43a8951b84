"""Students that learn in a stack: what each learns alone, up to rounding; states are their own."""

import numpy as np
import pytest
import torch

from students.capture import again
from students.stacked import Stack
from tests.student_lessons import Reach, train
from tests.test_ppo import make

# One rollout, measured; how far rounding carries grows with every further one.
TOLERANCE = 1e-6
VARIANTS = {
    "plain": {},
    "shared": {"shared": True, "activation": "relu"},
    "two parts, entropy, no value clip": {
        "num_envs": 3, "rollout": 33, "entropy_coefficient": 0.01, "value_clip": False,
    },
    "annealed": {"anneal_learning_rate": 500},
}  # fmt: skip


def group(seeds, **options):
    students = [make(seed=seed, **options) for seed in seeds]
    for student in students:
        student.stacked = True
    return students, [
        Reach(student.num_envs, seed=seed) for seed, student in zip(seeds, students, strict=True)
    ]


def train_together(stack, students, worlds, rollouts):
    for _ in range(rollouts):
        for student, world in zip(students, worlds, strict=True):
            train(student, world, student.length - student.filled)
        assert all(student.filled == student.length for student in students)
        assert stack.learn(students) == {}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_stack_learns_what_its_students_learn_alone(name):
    options, seeds = VARIANTS[name], (0, 1, 5)
    students, worlds = group(seeds, **options)
    train_together(Stack(), students, worlds, 1)
    for seed, student in zip(seeds, students, strict=True):
        alone = make(seed=seed, **options)
        train(alone, Reach(alone.num_envs, seed=seed), alone.length)
        assert (student.updates, student.steps, student.filled) == (alone.updates, alone.steps, 0)
        assert torch.equal(student.generator.get_state(), alone.generator.get_state())
        np.testing.assert_allclose(student.parameters, alone.parameters, rtol=0, atol=TOLERANCE)
        one, two = (each.state_dict()["adam"] for each in (student, alone))
        for key in two:
            np.testing.assert_allclose(one[key], two[key], rtol=1e-4, atol=TOLERANCE)
        np.testing.assert_array_equal(student.shift, alone.shift)


def test_several_rollouts_stay_close():
    students, worlds = group((3, 4))
    train_together(Stack(), students, worlds, 5)
    for seed, student in zip((3, 4), students, strict=True):
        alone = make(seed=seed)
        train(alone, Reach(4, seed=seed), 5 * alone.length)
        np.testing.assert_allclose(student.parameters, alone.parameters, rtol=0, atol=1e-4)


def test_a_student_does_not_depend_on_who_else_is_in_the_stack():
    results = []
    for seeds in ((0, 1), (0, 7), (2, 0, 5)):
        students, worlds = group(seeds)
        train_together(Stack(), students, worlds, 2)
        results.append(students[seeds.index(0)].parameters.numpy())
    for other in results[1:]:
        np.testing.assert_allclose(results[0], other, rtol=0, atol=TOLERANCE)


def test_a_stacked_student_is_saved_and_restored_alone():
    stack, (students, worlds) = Stack(), group((0, 1))
    train_together(stack, students, worlds, 2)
    train(students[0], worlds[0], 3)
    states = [student.state_dict() for student in students]
    restored, _ = group((8, 9))
    for student, state in zip(restored, states, strict=True):
        student.load_state_dict(state)
    # One of them goes on with other company than before, and from another point.
    newcomers, others = group((4,))
    train(newcomers[0], others[0], newcomers[0].length)
    twin = Reach(4, seed=0)
    for _ in range(2 * students[0].length + 3):
        twin.step(np.zeros((4, 2)))
    train_together(stack, students, worlds, 1)
    train(restored[0], twin, restored[0].length - restored[0].filled)
    assert Stack().learn([restored[0], newcomers[0]]) == {}
    np.testing.assert_allclose(
        restored[0].parameters, students[0].parameters, rtol=0, atol=TOLERANCE
    )
    alone = make(seed=4)
    train(alone, Reach(4, seed=4), alone.length)
    np.testing.assert_allclose(newcomers[0].parameters, alone.parameters, rtol=0, atol=TOLERANCE)


def test_it_forgets_in_a_stack_as_alone():
    options = {"forget_every": 32 * 2}
    students, worlds = group((0, 1), **options)
    train_together(Stack(), students, worlds, 2)
    alone = make(seed=0, **options)
    train(alone, Reach(4, seed=0), 2 * alone.length)
    assert not students[0].optimizer.state and not alone.optimizer.state
    np.testing.assert_array_equal(students[0].parameters, alone.parameters)


def test_what_cannot_be_learned_from_is_told_per_student():
    students, worlds = group((0, 1))
    worlds[1].scale = np.inf
    for student, world in zip(students, worlds, strict=True):
        train(student, world, student.length)
    errors = Stack().learn(students)
    assert [*errors] == [1] and "rewards that are not finite" in str(errors[1])
    assert students[0].updates > 0 and students[1].updates == 0
    with pytest.raises(ValueError, match="same options"):
        Stack().learn([make(), make(hidden=(8,))])


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason="needs a GPU"))])  # fmt: skip
def test_recorded_steps_give_the_same_numbers(device, monkeypatch):
    students, worlds = group((0, 1), device=device)
    stack = Stack()
    if device == "cpu":  # take the path of a GPU, with the steps in place of recordings
        stack = Stack(record=again, always=True)
    train_together(stack, students, worlds, 3)
    plain, others = group((0, 1))
    train_together(Stack(), plain, others, 3)
    tolerance = 0 if device == "cpu" else 1e-3
    for one, two in zip(students, plain, strict=True):
        np.testing.assert_allclose(one.parameters.cpu(), two.parameters, rtol=0, atol=tolerance)

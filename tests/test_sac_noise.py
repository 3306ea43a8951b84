"""The exploration of SAC: noise that is correlated in time."""

import numpy as np
import pytest

from benchmark.probe import understudy
from tests.student_lessons import Reach, train
from tests.test_sac import make


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_the_noise_of_a_world_is_standard_normal_and_as_correlated_as_asked(correlation):
    student = make(2, random_steps=0, noise_correlation=correlation)
    draws = np.array([student._explore((2, 2)).numpy() for _ in range(20_000)])
    np.testing.assert_allclose(draws.mean(axis=0), 0, atol=0.12)
    np.testing.assert_allclose(draws.std(axis=0), 1, atol=0.06)
    rows = draws.reshape(len(draws), 4)
    pairs = np.corrcoef(rows[:-1], rows[1:], rowvar=False)
    np.testing.assert_allclose(pairs[:4, 4:], correlation * np.eye(4), atol=0.05)


def test_others_who_explore_with_the_student_leave_its_noise_alone():
    student, twin = make(noise_correlation=0.9), make(noise_correlation=0.9)
    for each in (student, twin):
        train(each, Reach(4), 10)
    understudy(student, np.random.default_rng(0)).act(np.zeros((4, 3), np.float32))
    shown = np.zeros((4, 3), np.float32)
    np.testing.assert_array_equal(student.act(shown), twin.act(shown))

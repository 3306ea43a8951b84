"""A small world for students, and what PPO and SAC alike must show of their randomness in it.

``make`` builds a student of four worlds.
"""

import numpy as np
import torch

from students.base import Transitions


class Reach:
    """Observe a target in [-0.8, 0.8], earn minus the squared distance of action[0] to it.

    Episodes last ``length`` steps and end by a time limit. ``shift`` moves all observations and
    ``scale`` multiplies all rewards: what the normalisers are for.
    """

    def __init__(self, num_envs, seed=0, length=10, shift=0.0, scale=1.0):
        self.rng, self.shape = np.random.default_rng(seed), (num_envs, 3)
        self.length, self.shift, self.scale, self.count = length, shift, scale, 0
        self.observations = self._draw()

    def _draw(self):
        return (self.rng.uniform(-0.8, 0.8, self.shape) + self.shift).astype(np.float32)

    def step(self, actions):
        target = self.observations[:, 0] - self.shift
        rewards = -self.scale * (actions[:, 0].astype(np.float64) - target) ** 2
        before, self.observations = self.observations, self._draw()
        self.count += 1
        truncated = np.full(self.shape[0], self.count % self.length == 0)
        after = self.observations
        if truncated.any():
            self.observations = self._draw()
        return Transitions(before, actions, rewards, ~truncated & False, truncated, after)


def train(student, world, steps):
    """Train for ``steps`` steps of every world; return all actions."""
    actions = []
    for _ in range(steps):
        actions.append(student.act(world.observations))
        student.observe(world.step(actions[-1]))
    return np.array(actions)


def numbers(state):
    """All leaves of a state, in order."""
    if isinstance(state, dict):
        return [leaf for key in sorted(state) for leaf in numbers(state[key])]
    return [np.asarray(state, dtype=object if state is None else None)]


def assert_same_state(one, other):
    one, other = numbers(one.state_dict()), numbers(other.state_dict())
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def seeds_decide(make):
    """The same seed gives the same student, another seed another one."""
    runs = [make(seed=seed) for seed in (0, 0, 1)]
    actions = [train(student, Reach(4), 40) for student in runs]
    np.testing.assert_array_equal(actions[0], actions[1])
    assert_same_state(runs[0], runs[1])
    assert not np.array_equal(actions[0], actions[2])


def global_randomness_is_left_alone(make, steps):
    """Training and asking for values neither reads nor changes the global generators."""
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    student = make()
    one = train(student, Reach(4), steps)
    student.value(np.zeros((2, 3), np.float32))
    assert torch.equal(before[0], torch.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    torch.manual_seed(8)
    np.testing.assert_array_equal(one, train(make(), Reach(4), steps))

"""A closed-form student for teachers that replay levels, and the loop that they share in tests."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from teachers.base import Outcomes, TaskSpace

STEPS = 10  # of every episode
DISCOUNT = 0.99


def square(default=(0.0, 0.0)):
    """The unit square of tasks, described for a teacher."""
    box = spaces.Box(np.zeros(2), np.ones(2), dtype=np.float64)
    return TaskSpace(box, default=None if default is None else np.array(default))


class Frontier:
    """Succeeds with chance sigma((skill - difficulty) / 0.05); skill grows by what is learnable.

    The difficulty of a level is 1.2 times the mean of its task plus what its terrain seed adds. The
    only reward, 1 or 0, comes at the end. It serves as the probe, too, and counts its steps.
    """

    def __init__(self, seed=0, ceiling=np.inf, rate=0.0006):
        self.skill, self.ceiling, self.rate = 0.05, ceiling, rate
        self.rng = np.random.default_rng(seed)
        self.probed = 0

    def difficulty(self, tasks, seeds):
        extra = np.array([np.random.default_rng(int(seed)).normal() for seed in seeds])
        return 1.2 * np.asarray(tasks).mean(axis=1) + 0.03 * extra

    def chance(self, difficulty):
        return 1 / (1 + np.exp((difficulty - self.skill) / 0.05)) * (difficulty < self.ceiling)

    def episodes(self, tasks, seeds):
        difficulty = self.difficulty(tasks, seeds)
        success = (self.rng.random(len(difficulty)) < self.chance(difficulty)).astype(float)
        trajectory = np.empty(len(difficulty), dtype=object)
        for row, value in enumerate(difficulty):
            clock = np.arange(STEPS + 1) / STEPS
            trajectory[row] = {
                "observations": np.stack([np.full(STEPS + 1, value), clock], axis=1),
                "actions": np.zeros((STEPS, 1)),
                "rewards": np.append(np.zeros(STEPS - 1), success[row]),
                "terminated": True,
            }
        length = np.full(len(difficulty), STEPS)
        columns = {"success": success, "length": length, "trajectory": trajectory}
        return {"score": 400 * success - 100, **columns}

    def practise(self, tasks, seeds):
        answer = self.episodes(tasks, seeds)
        chance = self.chance(self.difficulty(tasks, seeds))
        self.skill += self.rate * float(np.sum(4 * chance * (1 - chance)))
        return answer

    def rollout(self, tasks, seeds=None, explore=True):
        self.probed += STEPS * len(tasks)
        return self.episodes(tasks, np.zeros(len(tasks)) if seeds is None else seeds)

    def value(self, observations):
        left = STEPS * (1 - observations[:, 1])
        return self.chance(observations[:, 0]) * DISCOUNT**left


def teach(teacher, student, episodes, parallel=16, start=0):
    """Spend so many episodes on training and rollouts; return the proposals."""
    if set(teacher.privileges) & {"probe", "value_function"}:
        teacher.probe = student
    proposals, numbers = [], start
    while student.probed + STEPS * (numbers - start) < STEPS * episodes:
        proposal = teacher.propose(parallel, (numbers - start) / episodes)
        seeds = proposal.seeds
        if seeds is None:
            seeds = student.rng.integers(2**31, size=parallel)
        facts = student.practise(proposal.tasks, seeds)
        columns = {name: facts[name] for name in ("score", "success", "length")}
        signals = {name: facts[name] for name in teacher.signals}
        number = np.arange(numbers, numbers + parallel)
        teacher.observe(Outcomes(number, proposal.tasks, **columns, signals=signals))
        proposals.append(proposal)
        numbers += parallel
    return proposals


def tell(teacher, proposal, returns, first=0, signals=None, rows=None, length=None):
    """Report ``returns`` for the proposed tasks (or for ``rows`` of them)."""
    rows = np.arange(len(returns)) if rows is None else np.asarray(rows)
    length = np.full(len(rows), 5) if length is None else np.asarray(length)
    returns = np.asarray(returns, dtype=np.float64)
    outcomes = Outcomes(
        first + rows, proposal.tasks[rows], returns, np.zeros(len(rows)), length, signals or {}
    )
    teacher.observe(outcomes)

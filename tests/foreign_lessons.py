"""Teachers made of foreign code, and made-up lessons for them."""

import numpy as np
from gymnasium import spaces

from teachers.adapters import SyllabusTeacher, TeachMyAgentTeacher
from teachers.base import Outcomes, TaskSpace
from tests.foreign_code import EpisodeLog, FailureReplay, ProgressBandit, StepCounter

SQUARE = spaces.Box(np.array([0.0, -2.0]), np.array([1.0, 2.0]), dtype=np.float64)


class Bandit(TeachMyAgentTeacher):
    wraps = ProgressBandit


class Counter(TeachMyAgentTeacher):
    wraps = StepCounter


class Failures(SyllabusTeacher):
    wraps = FailureReplay


class Log(SyllabusTeacher):
    wraps = EpisodeLog


def build(cls, space=SQUARE, seed=1, **keywords):
    return cls(TaskSpace(space), seed=seed, **keywords)


def trajectory(steps, terminated=True, start=0.0):
    seen = start + np.arange(steps + 1.0)[:, None]
    actions, rewards = -np.arange(float(steps))[:, None], 0.5 * np.arange(1.0, steps + 1)
    return {"observations": seen, "actions": actions, "rewards": rewards, "terminated": terminated}


def outcomes(teacher, numbers, tasks, scores=None, success=None, lengths=None):
    """Made-up outcomes with the signals that the teacher declares."""
    n = len(numbers)
    lengths = np.full(n, 2) if lengths is None else np.array(lengths)
    traces = np.empty(n, dtype=object)
    traces[:] = [trajectory(steps, start=10.0 * row) for row, steps in enumerate(lengths)]
    every = {"trajectory": traces, "initial_observation": 10.0 * np.arange(n)[:, None]}
    return Outcomes(
        proposal=np.array(numbers),
        tasks=np.array(tasks),
        score=np.arange(1.0, n + 1) if scores is None else np.array(scores, dtype=float),
        success=np.zeros(n) if success is None else np.array(success, dtype=float),
        length=lengths,
        signals={name: every[name] for name in teacher.signals},
    )


def lesson(teacher, rounds, start=0, count=5):
    """Tasks of ``rounds`` rounds; a fifth of the outcomes stays out, the rest comes mixed."""
    proposed, rng = [], np.random.default_rng(start)
    for turn in range(start, start + rounds):
        tasks = teacher.propose(count, 0.0).tasks
        proposed.append(tasks.copy())
        rows = rng.permutation(count)[: count - 1]
        numbers, scores = turn * count + rows, np.sin(turn + rows)
        told = outcomes(teacher, numbers, tasks[rows], scores, scores > 0, 1 + rows % 3)
        teacher.observe(told)
    return np.array(proposed)

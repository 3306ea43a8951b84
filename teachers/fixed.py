"""Fixed distributions: only the easiest task, only the target. The bounds of every curriculum.

The lower and upper sanity checks of the field; both, and linear interpolation between them, are
among the baselines of Syllabus (Sullivan et al., 2024, https://arxiv.org/abs/2411.11318).

Departures from the paper: a distribution comes from the protocol's knowledge where it is told.
Untold, the easiest task is the default one of the task space, else the corner of lower bounds, and
the target is the uniform distribution over the box: held-out tasks are spread over it, and nobody
tells a teacher more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces
from scipy.special import ndtr

from teachers.base import Knowledge, Proposal, TaskSpace, Teacher


@dataclass(frozen=True)
class Tasks:
    """A distribution of tasks in a box: a Gaussian, a point (std 0), or uniform (no mean)."""

    box: spaces.Box
    mean: np.ndarray | None
    std: np.ndarray | float = 0.0

    @property
    def is_point(self) -> bool:
        """Whether all its tasks are the same."""
        return self.mean is not None and not np.any(self.std)

    def at(self, normal: np.ndarray) -> np.ndarray:
        """Turn standard normal draws (n, D) into tasks (n, D), clipped to the box."""
        low, high = self.box.low, self.box.high
        if self.mean is None:
            return np.clip(low + (high - low) * ndtr(normal), low, high)
        return np.clip(self.mean + self.std * normal, low, high)


def bounded_box(task_space: TaskSpace, who: str) -> spaces.Box:
    """Return the space if it is a bounded ``Box`` of shape (D,).

    Raises:
        ValueError: it is not; the message names ``who`` needs one.
    """
    box = task_space.space
    if not isinstance(box, spaces.Box) or len(box.shape) != 1 or not box.is_bounded():
        raise ValueError(f"{who} needs a bounded box of shape (D,), but the space is {box}")
    return box


def task_vector(task_space: TaskSpace, name: str, values: Sequence[float]) -> np.ndarray:
    """Return ``values`` as a task (D,), float64.

    Raises:
        ValueError: they are no task of the box; the message names the argument ``name``.
    """
    box = task_space.space
    try:
        task = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        task = np.empty(0)
    inside = task.shape == box.shape and ((task >= box.low) & (task <= box.high)).all()
    if not inside:
        names = f" ({', '.join(task_space.names)})" if task_space.names else ""
        raise ValueError(
            f"{name} must hold {box.shape[0]} numbers{names} between {box.low.tolist()} and "
            f"{box.high.tolist()}, but is {values!r}"
        )
    return task


def easiest_task(task_space: TaskSpace, knowledge: Knowledge) -> np.ndarray:
    """Return the mean of the told initial distribution, else the default task, else all lows."""
    box = task_space.space
    task = box.low if task_space.default is None else task_space.default
    if knowledge.initial is not None:
        task = knowledge.initial[0]
    return np.clip(np.array(task, dtype=np.float64), box.low, box.high)


def easy_tasks(task_space: TaskSpace, knowledge: Knowledge, task: Sequence[float] | None) -> Tasks:
    """Return the easy distribution: ``task``, else the told one, else the easiest task."""
    if task is not None:
        return Tasks(task_space.space, task_vector(task_space, "easy", task))
    if knowledge.initial is not None:
        return Tasks(task_space.space, *knowledge.initial)
    return Tasks(task_space.space, easiest_task(task_space, knowledge))


def target_tasks(
    task_space: TaskSpace, knowledge: Knowledge, task: Sequence[float] | None
) -> Tasks:
    """Return the target distribution: ``task``, else the told one, else uniform over the box."""
    if task is not None:
        return Tasks(task_space.space, task_vector(task_space, "target", task))
    if knowledge.target is not None:
        return Tasks(task_space.space, *knowledge.target)
    return Tasks(task_space.space, None)


class _Fixed(Teacher):
    """Independent tasks of one distribution, whatever the student does."""

    spaces = ("box",)
    tasks: Tasks

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` tasks (count, D) of the distribution; ``progress`` is ignored."""
        size = (count, *self.task_space.space.shape)
        # A point needs no draws, so that every seed is the same run.
        normal = np.zeros(size) if self.tasks.is_point else self.rng.standard_normal(size)
        return Proposal(self.tasks.at(normal))


class Easiest(_Fixed):
    """Only the easiest tasks: the told initial distribution, else one easy task for ever.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: its ``initial`` distribution, if told, is sampled and clipped to the box.
        easy: the task to repeat instead, D numbers; None means told or the default task.

    Raises:
        ValueError: ``easy`` is no task of the box, or the box is unbounded or no vector.
    """

    reference = "Sullivan et al. 2024, https://arxiv.org/abs/2411.11318"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        easy: Sequence[float] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        bounded_box(task_space, "easiest")
        self.tasks = easy_tasks(task_space, self.knowledge, easy)


class TargetOnly(_Fixed):
    """Only the target tasks: the told target distribution, else uniform over the box.

    Where no target is told, this is uniform sampling with another stream of draws.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: its ``target`` distribution, if told, is sampled and clipped to the box.
        target: the task to repeat instead, D numbers, for example the hardest corner.

    Raises:
        ValueError: ``target`` is no task of the box, or the box is unbounded or no vector.
    """

    reference = "Sullivan et al. 2024, https://arxiv.org/abs/2411.11318"

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        target: Sequence[float] | None = None,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        bounded_box(task_space, "target")
        self.tasks = target_tasks(task_space, self.knowledge, target)

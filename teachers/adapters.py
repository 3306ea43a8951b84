"""Adapters: code written to the interface of another project teaches here unchanged.

Interfaces: ``AbstractTeacher`` of TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815,
commit 4a81acb) and ``Curriculum`` of Syllabus (Sullivan et al., 2024, https://arxiv.org/abs/2411.11318,
version 0.7). Neither project is imported: what has the methods fits.

Departures from these projects, where one task is in flight and code runs once:
- Several tasks may be in flight. Outcomes are told in the order of their arrival, each with the
  very task that was sampled, and everything about an episode is told when it has ended.
- The wrapped object has no state to save. Every call is kept, and a run is continued by building
  the object again and repeating the calls: it must repeat itself for a seed, and continuing takes
  as long as the object has worked so far.
- It sees global random states of its own (``teachers.history.GlobalStates``), made from the seed.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from gymnasium import spaces

from teachers.base import Knowledge, TaskSpace
from teachers.foreign import Episode, ForeignTeacher, into_box


class TeachMyAgentTeacher(ForeignTeacher):
    """Wraps a subclass of TeachMyAgent's ``AbstractTeacher``, or what has the same methods.

    ``wraps`` is built with (mins, maxs, seed=, env_reward_lb=, env_reward_ub=, **options). It then
    gives tasks by ``sample_task()`` and hears, per ended episode: ``record_initial_state(task,
    state)`` and ``step_update(state, action, reward, next_state, done)`` for every step, each only
    if the class overrides it, then ``episodic_update(task, reward, is_success)``. Tasks are float32
    of shape (D,), the reward is the undiscounted return. ``non_exploratory_task_sampling`` and
    ``dump`` are not called. A class that declares the privilege "value_function" gets
    ``value_estimator``, which answers (n,) for observations (n, ...).

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: the wrapped teacher gets a seed drawn from it.
        knowledge: ``return_range``, if told, replaces the class attribute ``return_bounds``. The
            Gaussians become the arguments ``initial_dist`` and ``target_dist`` where the wrapped
            class has them: dicts with "mean" (D,) and "variance" (D, D), at least 1e-6.
        options: arguments of the wrapped class.
        strip_constant: hide dimensions of width zero, which the original shows.
        scale_returns: map returns to [0, 1] by their bounds, clipped, as the original can do;
            otherwise returns are as the environment gave them and bounds are mere arguments.

    Raises:
        ValueError: nothing is wrapped, the box is unbounded or no vector, or a sampled task does
            not have D finite numbers.
    """

    spaces = ("box",)
    interface = "TeachMyAgent"
    root = "AbstractTeacher"
    hooks: ClassVar[Mapping[str, str]] = {
        "record_initial_state": "initial_observation",
        "step_update": "trajectory",
    }
    return_bounds: ClassVar[tuple[float, float]] = (-1.0, 1.0)  # unless the knowledge tells them

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        options: Mapping[str, Any] | None = None,
        strip_constant: bool = False,
        scale_returns: bool = False,
    ):
        self.strip_constant, self.scale_returns = strip_constant, scale_returns
        super().__init__(task_space, seed=seed, knowledge=knowledge, options=options)

    @property
    def shown(self) -> np.ndarray:
        """Which dimensions (D,) the wrapped teacher sees."""
        box = self.task_space.space
        return (box.high > box.low) | (not self.strip_constant)

    @property
    def bounds(self) -> tuple[float, float]:
        """Lower and upper bound of returns, as the wrapped teacher is told."""
        return self.knowledge.return_range or self.return_bounds

    def build(self, options: dict[str, Any]) -> Any:
        """Return a new teacher, built as the original's controller does."""
        box, wraps = self.task_space.space, type(self).wraps
        told = {"initial_dist": self.knowledge.initial, "target_dist": self.knowledge.target}
        for name, gaussian in told.items():
            if gaussian is not None and name in inspect.signature(wraps).parameters:
                mean, std = (np.asarray(value)[self.shown] for value in gaussian)
                variance = np.diag(np.maximum(std**2, 1e-6))
                options.setdefault(name, {"mean": mean, "variance": variance})
        mins, maxs = box.low[self.shown].tolist(), box.high[self.shown].tolist()
        bounds = {"env_reward_lb": self.bounds[0], "env_reward_ub": self.bounds[1]}
        teacher = wraps(mins, maxs, seed=self.inner_seed, **bounds, **options)
        if "value_function" in self.privileges:
            teacher.value_estimator = self._value
        return teacher

    def _value(self, states: np.ndarray) -> np.ndarray:
        """Ask the student for the values (n,) of observations; a repeated call hears the same."""
        if self.replies:
            return self.replies.popleft().copy()
        self.history.answers.append(np.array(self.probe.value(np.asarray(states))))
        return self.history.answers[-1].copy()

    def _sample(self, count: int) -> list[np.ndarray]:
        tasks = [np.array(self.wrapped.sample_task(), dtype=np.float32) for _ in range(count)]
        for task in tasks:
            if task.shape != (self.shown.sum(),) or not np.isfinite(task).all():
                raise ValueError(
                    f"sample_task() must return {self.shown.sum()} finite numbers, but gave {task}"
                )
        return tasks

    def _tell(self, episode: Episode) -> None:
        task, reward, teacher = episode.task, episode.score, self.wrapped
        if episode.initial is not None:
            teacher.record_initial_state(task, episode.initial)
        if episode.trace is not None:
            seen, rewards = episode.trace["observations"], episode.trace["rewards"]
            for step, action in enumerate(episode.trace["actions"]):
                done = step == len(rewards) - 1
                teacher.step_update(seen[step], action, rewards[step], seen[step + 1], done)
        if self.scale_returns:
            reward = float(np.interp(reward, self.bounds, (0, 1)))
        teacher.episodic_update(task, reward, episode.success)

    def _to_lyceum(self, rows: np.ndarray) -> np.ndarray:
        box = self.task_space.space
        tasks = np.tile(box.low, (len(rows), 1))
        tasks[:, self.shown] = into_box(rows, box.low[self.shown], box.high[self.shown])
        return tasks

    def _from_lyceum(self, rows: np.ndarray) -> np.ndarray:
        return rows[:, self.shown].astype(np.float32)


class SyllabusTeacher(ForeignTeacher):
    """Wraps a Syllabus ``Curriculum``, or what has the same methods.

    ``wraps`` is built with (task_space=, **options) and gives tasks by ``sample(k)``. Per ended
    episode it hears, in the order of Syllabus's environment wrapper: ``update_on_step_batch`` (or
    ``update_on_step``) if the class overrides one of them and ``requires_step_updates`` is true, in
    batches of ``step_batch`` rows that begin with the reset; ``update_on_episode(episode_return,
    length, task, progress, env_id=)``; ``update_task_progress(task, progress, env_id=)``, at every
    end and not only at a success, unless ``report_progress`` is False. ``progress`` is the success,
    0.0 or 1.0, and ``env_id`` the number of the environment. Absent methods are not called.

    Tasks are encoded as in Syllabus: integers from 0 of a ``Discrete`` space, vectors of a ``Box``.
    The task space is of Syllabus's own class where the wrapped code has loaded
    ``syllabus.task_space``, and a ``SyllabusSpace`` otherwise.

    Args:
        task_space: a bounded ``Box`` of shape (D,) or ``Discrete(n)``.
        seed: global random states and the task space's own generator are made from it.
        knowledge: ignored.
        options: arguments of the wrapped class.

    Raises:
        ValueError: nothing is wrapped, the box is unbounded or no vector, the curriculum needs
            steps that were not declared, or gives no tasks or more than were asked for.
    """

    interface = "Syllabus"
    root = "Curriculum"
    hooks: ClassVar[Mapping[str, str]] = {
        "update_on_step": "trajectory",
        "update_on_step_batch": "trajectory",
    }
    report_progress: ClassVar[bool] = True
    step_batch: ClassVar[int] = 100

    def build(self, options: dict[str, Any]) -> Any:
        """Return a new curriculum."""
        curriculum = type(self).wraps(task_space=self.syllabus_space(), **options)
        if getattr(curriculum, "requires_step_updates", False) and "trajectory" not in self.signals:
            raise ValueError(
                f"{type(self).__name__}: the curriculum requires step updates; "
                'write `signals = ("trajectory",)` into the class'
            )
        return curriculum

    def syllabus_space(self) -> Any:
        """The task space as a curriculum expects it."""
        space = copy.deepcopy(self.task_space.space)
        if isinstance(space, spaces.Discrete):
            space = spaces.Discrete(space.n)
        space.seed(self.inner_seed)
        loaded = sys.modules.get("syllabus.task_space")
        kind = "DiscreteTaskSpace" if isinstance(space, spaces.Discrete) else "BoxTaskSpace"
        return getattr(loaded, kind, SyllabusSpace)(space)

    def _sample(self, count: int) -> list[Any]:
        tasks: list[Any] = []
        while len(tasks) < count:
            # Some curricula give a single task whatever k is, for as long as they warm up.
            wanted = count - len(tasks)
            given = self.wrapped.sample(k=wanted)
            rows = np.array(given).reshape(-1, *self.task_space.space.shape)
            if not 0 < len(rows) <= wanted or not (self._vectors or rows.dtype.kind in "iu"):
                raise ValueError(
                    f"sample(k={wanted}) must return {wanted} tasks, integers where the task "
                    f"space is Discrete, but gave {given}"
                )
            tasks += list(rows) if self._vectors else rows.tolist()
        return tasks

    def _tell(self, episode: Episode) -> None:
        curriculum, progress, env = self.wrapped, float(episode.success), {"env_id": episode.env}
        if episode.trace is not None and getattr(curriculum, "requires_step_updates", True):
            self._tell_steps(episode)
        if hasattr(curriculum, "update_on_episode"):
            facts = (episode.score, episode.length, episode.task, progress)
            curriculum.update_on_episode(*facts, **env)
        if hasattr(curriculum, "update_task_progress") and self.report_progress:
            curriculum.update_task_progress(episode.task, progress, **env)

    def _tell_steps(self, episode: Episode) -> None:
        """Tell every step in batches of rows; the first row of an episode is its reset."""
        trace, count = episode.trace, episode.length + 1
        ended, progress = np.zeros(count, dtype=bool), np.zeros(count, dtype=np.float32)
        ended[-1], progress[-1] = True, episode.success
        columns = (
            [episode.task] * count,
            list(trace["observations"]),
            np.concatenate([[0.0], trace["rewards"]]).astype(np.float32),
            ended & trace["terminated"],
            ended & (not trace["terminated"]),
            [{"task": episode.task} for _ in range(count)],
            progress,
        )
        for start in range(0, count, self.step_batch):
            batch = [column[start : start + self.step_batch] for column in columns]
            if hasattr(self.wrapped, "update_on_step_batch"):
                self.wrapped.update_on_step_batch(batch, env_id=episode.env)
            else:
                for row in zip(*batch, strict=True):
                    self.wrapped.update_on_step(*row, env_id=episode.env)

    def _to_lyceum(self, rows: np.ndarray) -> np.ndarray:
        space = self.task_space.space
        if self._vectors:
            return into_box(rows, space.low, space.high)
        return rows[:, 0].astype(np.int64) + space.start

    def _from_lyceum(self, rows: np.ndarray) -> Any:
        if self._vectors:
            return rows
        return (rows[:, 0].astype(int) - self.task_space.space.start).tolist()

    @property
    def _vectors(self) -> bool:
        return isinstance(self.task_space.space, spaces.Box)


class SyllabusSpace:
    """Stands in for Syllabus's task spaces where that package is not loaded.

    Tasks and their encodings are the same. A ``Box`` has no list of tasks and counts -1 of them.
    """

    def __init__(self, gym_space: spaces.Space):
        self.gym_space = gym_space
        discrete = isinstance(gym_space, spaces.Discrete)
        self.tasks = list(range(gym_space.n)) if discrete else None
        self.num_tasks = gym_space.n if discrete else -1

    def encode(self, task: Any) -> Any:
        """Return the encoding of a task."""
        return task

    def decode(self, encoding: Any) -> Any:
        """Return the task of an encoding."""
        return encoding

    def contains(self, encoding: Any) -> bool:
        """Whether there is such a task."""
        return bool(self.gym_space.contains(encoding))

    def sample(self) -> Any:
        """Return a uniform task, drawn from the space's own generator."""
        return self.gym_space.sample()

    def seed(self, seed: int) -> None:
        """Seed the space's own generator."""
        self.gym_space.seed(seed)

    def task_name(self, task: Any) -> str:
        """Return a task as text."""
        return repr(task)

"""Steps many procedural worlds at once, in this process or in a few workers.

Nothing resets by itself: an ended world waits until its next task is known, so every terrain is
built once and the last observation of an episode is the true one. Both ways of stepping give the
same numbers, bit for bit.
"""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.envs.registration import load_env_creator

from environments.base import ProceduralEnv

JOIN_SECONDS = 5.0


@dataclass(frozen=True)
class StepResult:
    """One step of k worlds; row j belongs to ``index[j]``.

    ``observations`` (k, *observation_shape) in the space's dtype, ``rewards`` (k,) float64,
    ``terminated``, ``truncated`` and ``success`` (k,) bool; ``success`` means something only where
    an episode ended.
    """

    observations: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    success: np.ndarray


class VectorWorlds(ABC):
    """``num_envs`` worlds of one class behind batched ``reset`` and ``step``.

    After an error in ``reset`` or ``step`` the worlds named in that call must be reset before they
    are stepped again.
    """

    num_envs: int
    observation_space: spaces.Box
    action_space: spaces.Box
    task_space: spaces.Box

    def reset(
        self, index: Sequence[int] | np.ndarray, tasks: np.ndarray, seeds: np.ndarray
    ) -> np.ndarray:
        """Begin an episode in each world of ``index`` (k,), with its own task and terrain seed.

        Args:
            index: world numbers (k,), each at most once.
            tasks: task vectors (k, dimensions).
            seeds: terrain seeds (k,), integers >= 0.

        Returns:
            First observations (k, *observation_shape).

        Raises:
            ValueError: a task outside the space (the world's own error), or arrays whose shapes do
                not fit ``index``.
            RuntimeError: the worlds are closed, or a worker has died.
        """
        index = self._check_index(index)
        tasks = np.asarray(tasks, dtype=np.float64)
        seeds = np.asarray(seeds, dtype=np.int64)
        expected = (len(index), *self.task_space.shape)
        if tasks.shape != expected or seeds.shape != index.shape:
            raise ValueError(
                f"reset of {len(index)} worlds expects tasks of shape {expected} and seeds of "
                f"shape {index.shape}, but got {tasks.shape} and {seeds.shape}"
            )
        return self._reset(index, tasks, seeds)

    def step(
        self, actions: np.ndarray, index: Sequence[int] | np.ndarray | None = None
    ) -> StepResult:
        """Step the worlds of ``index`` (all when None) with ``actions`` (k, *action_shape).

        Raises:
            ValueError: the actions do not fit ``index``.
            RuntimeError: the worlds are closed, or a worker has died.
        """
        index = np.arange(self.num_envs) if index is None else self._check_index(index)
        actions = np.asarray(actions, dtype=self.action_space.dtype)
        expected = (len(index), *self.action_space.shape)
        if actions.shape != expected:
            raise ValueError(
                f"step of {len(index)} worlds expects actions of shape {expected}, "
                f"but got {actions.shape}"
            )
        return self._step(index, actions)

    @abstractmethod
    def close(self) -> None:
        """Free what the worlds hold; closing twice is fine."""

    def __enter__(self) -> VectorWorlds:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @abstractmethod
    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult: ...

    def _describe(self, world: ProceduralEnv, num_envs: int) -> None:
        self.num_envs = num_envs
        self.observation_space = world.observation_space
        self.action_space = world.action_space
        self.task_space = world.task_space

    def _check_index(self, index: Sequence[int] | np.ndarray) -> np.ndarray:
        index = np.asarray(index, dtype=np.intp)
        numbers = index.tolist()
        fits = index.ndim == 1 and len(set(numbers)) == len(numbers)
        if not fits or (numbers and not 0 <= min(numbers) <= max(numbers) < self.num_envs):
            raise ValueError(
                f"index must hold different world numbers from 0 to {self.num_envs - 1}, "
                f"but is {numbers}"
            )
        return index


class LocalWorlds(VectorWorlds):
    """Worlds in this process; their class may share array work between them (``step_many``)."""

    def __init__(self, entry_point: str, kwargs: Mapping[str, Any], num_envs: int):
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1, but is {num_envs}")
        create = load_env_creator(entry_point)
        self.worlds = [create(**kwargs) for _ in range(num_envs)]
        self.closed = False
        self._describe(self.worlds[0], num_envs)

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self._check_open()
        observations = self._empty(len(index))
        for row, (world, task, seed) in enumerate(zip(index, tasks, seeds.tolist(), strict=True)):
            observations[row], _ = self.worlds[world].reset(seed=seed, options={"task": task})
        return observations

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self._check_open()
        count = len(index)
        observations, rewards = self._empty(count), np.empty(count)
        flags = np.empty((3, count), dtype=bool)
        worlds = [self.worlds[world] for world in index.tolist()]
        results = type(worlds[0]).step_many(worlds, actions) if worlds else []
        for row, (observation, reward, terminated, truncated, info) in enumerate(results):
            observations[row] = observation
            rewards[row] = reward
            flags[:, row] = terminated, truncated, info.get("success", False)
        return StepResult(observations, rewards, *flags)

    def close(self) -> None:
        """Close every world."""
        if not self.closed:
            self.closed = True
            for world in self.worlds:
                world.close()

    def _empty(self, count: int) -> np.ndarray:
        return np.empty((count, *self.observation_space.shape), self.observation_space.dtype)

    def _check_open(self) -> None:
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")


class ProcessWorlds(VectorWorlds):
    """Worlds in ``workers`` processes, several per process; arrays travel in shared memory.

    A pipe to each worker carries only the command and the world numbers. Workers are spawned, so a
    script that builds worlds needs the usual ``if __name__ == "__main__":`` guard.

    Raises:
        RuntimeError: a worker died, while starting or later; all others are stopped first.
    """

    def __init__(
        self, entry_point: str, kwargs: Mapping[str, Any], num_envs: int, workers: int = 2
    ):
        if not 1 <= workers <= num_envs:
            raise ValueError(f"workers must be between 1 and {num_envs}, but is {workers}")
        world = load_env_creator(entry_point)(**kwargs)
        self._describe(world, num_envs)
        world.close()
        context = multiprocessing.get_context("spawn")
        shared = self._allocate(context)
        self.shared = {name: _view(*entry) for name, entry in shared.items()}
        self.owner = np.repeat(
            np.arange(workers), [len(part) for part in np.array_split(np.arange(num_envs), workers)]
        )
        self.pipes: list[Connection] = []
        self.processes: list[multiprocessing.process.BaseProcess] = []
        self.closed = False
        try:
            for worker in range(workers):
                mine = np.flatnonzero(self.owner == worker)
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_work,
                    args=(theirs, entry_point, dict(kwargs), int(mine[0]), len(mine), shared),
                    daemon=True,  # an interpreter that exits without close() takes them along
                )
                self.pipes.append(ours)
                process.start()
                self.processes.append(process)
                theirs.close()  # ours reports the end of the worker only if no copy stays here
            self._collect(range(workers))
        except BaseException:
            self.close()
            raise

    def _allocate(self, context: Any) -> dict[str, tuple[Any, np.dtype, tuple[int, ...]]]:
        """One shared buffer per array. They have no name on the file system, so none can leak."""
        observation, action = self.observation_space, self.action_space
        layout = {
            "observations": (observation.dtype, observation.shape),
            "actions": (action.dtype, action.shape),
            "tasks": (np.dtype(np.float64), self.task_space.shape),
            "seeds": (np.dtype(np.int64), ()),
            "rewards": (np.dtype(np.float64), ()),
            "terminated": (np.dtype(bool), ()),
            "truncated": (np.dtype(bool), ()),
            "success": (np.dtype(bool), ()),
        }
        shared = {}
        for name, (dtype, shape) in layout.items():
            shape = (self.num_envs, *shape)
            size = max(1, int(np.prod(shape)) * dtype.itemsize)
            shared[name] = (context.RawArray("b", size), dtype, shape)
        return shared

    def _reset(self, index: np.ndarray, tasks: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        self.shared["tasks"][index] = tasks
        self.shared["seeds"][index] = seeds
        self._order("reset", index)
        return self.shared["observations"][index]

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self.shared["actions"][index] = actions
        self._order("step", index)
        names = ("observations", "rewards", "terminated", "truncated", "success")
        return StepResult(*(self.shared[name][index] for name in names))

    def _order(self, command: str, index: np.ndarray) -> None:
        """Send a command to the owners of ``index`` and wait for all of them."""
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")
        owners = self.owner[index]
        busy = np.unique(owners).tolist()
        try:
            for worker in busy:
                try:
                    self.pipes[worker].send((command, index[owners == worker]))
                except OSError:
                    raise self._death(worker) from None
            failures = self._collect(busy)
        except BaseException:
            # An interrupted exchange leaves answers in the pipes: nothing can be trusted after it.
            self.close()
            raise
        if failures:
            # What a single process would have met first is what the caller hears about.
            row = {world: row for row, world in enumerate(index.tolist())}
            raise _rebuild(min(failures, key=lambda failure: row[failure[0]]))

    def _collect(self, workers: Sequence[int] | range) -> list[tuple[int, str, str]]:
        """Wait for one answer per worker and return the failures among them."""
        answers = []
        for worker in workers:
            try:
                answers.append(self.pipes[worker].recv())
            except (EOFError, OSError):
                raise self._death(worker) from None
        return [answer for answer in answers if answer is not None]

    def _death(self, worker: int) -> RuntimeError:
        process = self.processes[worker]
        process.join(JOIN_SECONDS)
        mine = np.flatnonzero(self.owner == worker)
        return RuntimeError(
            f"worker {worker}, which steps worlds {mine[0]} to {mine[-1]}, died (exit code "
            f"{process.exitcode}): it was killed, ran out of memory, or the starting script has "
            'no `if __name__ == "__main__":` guard'
        )

    def close(self) -> None:
        """Stop the workers; those that do not leave within seconds are killed."""
        if self.closed:
            return
        self.closed = True
        for pipe in self.pipes:
            pipe.close()  # a worker leaves when its pipe ends
        for process in self.processes:
            process.join(JOIN_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


def make_worlds(
    entry_point: str, kwargs: Mapping[str, Any], num_envs: int, workers: int = 1
) -> VectorWorlds:
    """Build ``num_envs`` worlds of "module:Class"; in-process for one worker or one world.

    Results do not depend on ``workers``; more workers than worlds are not started.
    """
    if workers <= 1 or num_envs == 1:
        return LocalWorlds(entry_point, kwargs, num_envs)
    return ProcessWorlds(entry_point, kwargs, num_envs, min(workers, num_envs))


def _view(buffer: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(buffer, dtype, int(np.prod(shape))).reshape(shape)


def _work(
    pipe: Connection, entry_point: str, kwargs: dict[str, Any], first: int, count: int, shared: Any
) -> None:
    """A worker: steps worlds ``first`` to ``first + count - 1`` until its pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    arrays = {name: _view(*entry) for name, entry in shared.items()}
    worlds = LocalWorlds(entry_point, kwargs, count)
    commands: dict[str, Callable[..., tuple[int, str, str] | None]] = {
        "reset": _work_reset,
        "step": _work_step,
    }
    try:
        pipe.send(None)
        while True:
            command, index = pipe.recv()
            pipe.send(commands[command](worlds, arrays, index, first))
    except (EOFError, OSError):
        worlds.close()


def _work_reset(
    worlds: LocalWorlds, arrays: dict[str, np.ndarray], index: np.ndarray, first: int
) -> tuple[int, str, str] | None:
    for world in index:
        one = np.array([world])
        try:
            arrays["observations"][one] = worlds.reset(
                one - first, arrays["tasks"][one], arrays["seeds"][one]
            )
        except Exception as error:
            return _failure(int(world), error)
    return None


def _work_step(
    worlds: LocalWorlds, arrays: dict[str, np.ndarray], index: np.ndarray, first: int
) -> tuple[int, str, str] | None:
    try:
        result = worlds.step(arrays["actions"][index], index - first)
    except Exception as error:
        return _failure(int(index[0]), error)
    for name, values in vars(result).items():
        arrays[name][index] = values
    return None


def _failure(world: int, error: Exception) -> tuple[int, str, str]:
    """What crosses the pipe is text: an exception of a stranger's class may not unpickle."""
    for kind in (ValueError, TypeError):
        if isinstance(error, kind):
            return world, kind.__name__, str(error)
    return world, type(error).__name__, "".join(traceback.format_exception(error))


def _rebuild(failure: tuple[int, str, str]) -> Exception:
    world, kind, text = failure
    if kind in ("ValueError", "TypeError"):
        return {"ValueError": ValueError, "TypeError": TypeError}[kind](text)
    return RuntimeError(f"world {world} raised {kind} in its worker:\n{text}")

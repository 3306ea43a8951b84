"""Worlds stepped by several processes: this one takes a share, workers take the others.

A step of a few worlds takes less than a millisecond, and waking a sleeping process takes a good
part of that. Hence this process steps worlds itself while its workers do, arrays lie in shared
memory, pipes carry only the command and the world numbers, and who waits looks at its pipe for a
moment before it goes to sleep. On a busy machine every look lets another process go first.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import select
import signal
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from environments.vector import LocalWorlds, StepResult, VectorWorlds

JOIN_SECONDS = 5.0
# How long a process looks before it sleeps: a worker for the next command, which comes after the
# student has acted; this process for an answer, which comes about when its own share is done.
WORKER_PATIENCE, PARENT_PATIENCE = 0.0005, 0.002
RESET, STEP = b"r", b"s"
DONE = b""

Failure = tuple[int, str, str]  # world, kind and text of an exception


class ProcessWorlds(VectorWorlds):
    """Worlds in ``workers`` processes, this one included, several per process.

    Workers are spawned, so a script that builds worlds needs the usual
    ``if __name__ == "__main__":`` guard.

    Raises:
        RuntimeError: a worker died, while starting or later; all others are stopped first.
    """

    def __init__(
        self, entry_point: str, kwargs: Mapping[str, Any], num_envs: int, workers: int = 2
    ):
        if not 2 <= workers <= num_envs:
            raise ValueError(f"workers must be between 2 and {num_envs}, but is {workers}")
        shares = [len(share) for share in np.array_split(np.arange(num_envs), workers)]
        self.owner = np.repeat(np.arange(workers), shares)
        self.pipes: list[Pipe] = []
        self.processes: list[multiprocessing.process.BaseProcess] = []
        self.closed = False
        self.own = LocalWorlds(entry_point, kwargs, shares[0])
        self._describe(self.own.worlds[0], num_envs)
        context = multiprocessing.get_context("spawn")
        shared = self._allocate(context)
        self.shared = {name: _view(*entry) for name, entry in shared.items()}
        try:
            for worker in range(1, workers):
                first = int(np.flatnonzero(self.owner == worker)[0])
                ours, theirs = context.Pipe()
                process = context.Process(
                    target=_work,
                    args=(theirs, entry_point, dict(kwargs), first, shares[worker], shared),
                    daemon=True,  # an interpreter that exits without close() takes them along
                )
                self.pipes.append(Pipe(ours, PARENT_PATIENCE))
                process.start()
                self.processes.append(process)
                theirs.close()  # ours reports the end of the worker only if no copy stays here
            self._collect(range(1, workers))
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
        self._order(RESET, index)
        return self.shared["observations"][index]

    def _step(self, index: np.ndarray, actions: np.ndarray) -> StepResult:
        self.shared["actions"][index] = actions
        self._order(STEP, index)
        names = ("observations", "rewards", "terminated", "truncated", "success")
        return StepResult(*(self.shared[name][index] for name in names))

    def _order(self, command: bytes, index: np.ndarray) -> None:
        """Have ``index`` done by its owners, this process among them, and wait for all of them."""
        if self.closed:
            raise RuntimeError("these worlds are closed; build new ones with make_worlds")
        owners = self.owner[index]
        busy = [worker for worker in np.unique(owners).tolist() if worker]
        try:
            for worker in busy:
                share = index[owners == worker].astype(np.int64)
                try:
                    self.pipes[worker - 1].send(command + share.tobytes())
                except OSError:
                    raise self._death(worker) from None
            mine = index[owners == 0]
            failure = _do(command, self.own, self.shared, mine, 0) if len(mine) else None
            failures = self._collect(busy) + ([] if failure is None else [failure])
        except BaseException:
            # An interrupted exchange leaves answers in the pipes: nothing can be trusted after it.
            self.close()
            raise
        if failures:
            # What a single process would have met first is what the caller hears about.
            row = {world: row for row, world in enumerate(index.tolist())}
            raise _rebuild(min(failures, key=lambda failure: row[failure[0]]))

    def _collect(self, workers: Sequence[int] | range) -> list[Failure]:
        """Wait for one answer per worker and return the failures among them."""
        answers = []
        for worker in workers:
            try:
                answers.append(self.pipes[worker - 1].receive())
            except (EOFError, OSError):
                raise self._death(worker) from None
        return [pickle.loads(answer) for answer in answers if answer != DONE]

    def _death(self, worker: int) -> RuntimeError:
        process = self.processes[worker - 1]
        process.join(JOIN_SECONDS)
        theirs = np.flatnonzero(self.owner == worker)
        return RuntimeError(
            f"worker {worker}, which steps worlds {theirs[0]} to {theirs[-1]}, died (exit code "
            f"{process.exitcode}): it was killed, ran out of memory, or the starting script has "
            'no `if __name__ == "__main__":` guard'
        )

    def close(self) -> None:
        """Stop the workers; those that do not leave within seconds are killed."""
        if self.closed:
            return
        self.closed = True
        self.own.close()
        for pipe in self.pipes:
            pipe.close()  # a worker leaves when its pipe ends
        for process in self.processes:
            process.join(JOIN_SECONDS)
            if process.is_alive():
                process.kill()
                process.join()
            process.close()


class Pipe:
    """One end of a pipe that carries bytes.

    ``receive`` looks for ``patience`` seconds, then sleeps.
    """

    def __init__(self, connection: Connection, patience: float):
        self.connection, self.patience = connection, patience
        self._poll = select.poll()
        self._poll.register(connection.fileno(), select.POLLIN)
        self.send = connection.send_bytes
        self.close = connection.close

    def receive(self) -> bytes:
        """The next message.

        Raises:
            EOFError: the other end is closed.
        """
        ready, deadline = self._poll.poll, time.perf_counter() + self.patience
        while not ready(0) and time.perf_counter() < deadline:
            os.sched_yield()
        return self.connection.recv_bytes()


def _view(buffer: Any, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    return np.frombuffer(buffer, dtype, int(np.prod(shape))).reshape(shape)


def _work(
    connection: Connection,
    entry_point: str,
    kwargs: dict[str, Any],
    first: int,
    count: int,
    shared: Any,
) -> None:
    """A worker: steps worlds ``first`` to ``first + count - 1`` until its pipe ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's business
    arrays = {name: _view(*entry) for name, entry in shared.items()}
    worlds = LocalWorlds(entry_point, kwargs, count)
    pipe = Pipe(connection, WORKER_PATIENCE)
    try:
        pipe.send(DONE)
        while True:
            message = pipe.receive()
            index = np.frombuffer(message, np.int64, offset=1)
            failure = _do(message[:1], worlds, arrays, index, first)
            pipe.send(DONE if failure is None else pickle.dumps(failure))
    except (EOFError, OSError):
        worlds.close()


def _do(
    command: bytes,
    worlds: LocalWorlds,
    arrays: dict[str, np.ndarray],
    index: np.ndarray,
    first: int,
) -> Failure | None:
    """Carry out a command for the worlds of ``index``; their local numbers begin at ``first``."""
    if command == STEP:
        try:
            result = worlds.step(arrays["actions"][index], index - first)
        except Exception as error:
            return _failure(int(index[0]), error)
        for name, values in vars(result).items():
            arrays[name][index] = values
        return None
    for world in index:
        one = np.array([world])
        try:
            arrays["observations"][one] = worlds.reset(
                one - first, arrays["tasks"][one], arrays["seeds"][one]
            )
        except Exception as error:
            return _failure(int(world), error)
    return None


def _failure(world: int, error: Exception) -> Failure:
    """What crosses the pipe is text: an exception of a stranger's class may not unpickle."""
    for kind in (ValueError, TypeError):
        if isinstance(error, kind):
            return world, kind.__name__, str(error)
    return world, type(error).__name__, "".join(traceback.format_exception(error))


def _rebuild(failure: Failure) -> Exception:
    world, kind, text = failure
    if kind in ("ValueError", "TypeError"):
        return {"ValueError": ValueError, "TypeError": TypeError}[kind](text)
    return RuntimeError(f"world {world} raised {kind} in its process:\n{text}")

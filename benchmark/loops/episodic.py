"""The loop for procedural worlds: propose, reset with the task, act and step, observe."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.listener import Listener
from environments.vector import VectorWorlds
from students.base import Student, Transitions


class EpisodicLoop:
    """Trains a student on the tasks a teacher proposes, until the budget is spent.

    ``success_return`` replaces the worlds' own success flag where the protocol pins one. The loop
    owns the stream of terrain seeds for proposals that carry none.
    """

    def __init__(
        self,
        teacher: GuardedTeacher,
        student: Student,
        worlds: VectorWorlds,
        ledger: Ledger,
        listener: Listener,
        seed: int,
        success_return: float | None = None,
    ):
        self.teacher, self.student, self.worlds = teacher, student, worlds
        self.ledger, self.listener = ledger, listener
        self.success_return = success_return
        self.signals = teacher.teacher.signals
        self.rng = np.random.default_rng(seed)
        n = worlds.num_envs
        self.episodes: list[Episode] = [Episode() for _ in range(n)]
        self.idle = np.arange(n)  # worlds that wait for a task
        self.observations = np.zeros((n, *worlds.observation_space.shape))

    def run(self) -> None:
        """Train until the budget is spent; the listener evaluates and saves in between."""
        for _ in self.rounds():
            raise RuntimeError("this student waits for a stack; see benchmark/stack.py")

    def rounds(self) -> Iterator[EpisodicLoop]:
        """``run``, with a stop wherever the student waits to learn together with others."""
        everything = np.arange(self.worlds.num_envs)
        self.listener.on_progress(self)
        if self.teacher.prepare():
            self.listener.on_progress(self)
        while self.ledger.spent < self.ledger.total:
            # Every world whose episode has ended is reset with a task of its own.
            if self.idle.size:
                self.begin_episodes(self.idle)

            # The student acts in all worlds and learns from what came of it.
            with self.ledger.charge("student"):
                actions = self.student.act(self.observations)
            with self.ledger.charge("environment"):
                result = self.worlds.step(actions, everything)
            transitions = Transitions(
                self.observations, actions, result.rewards,
                result.terminated, result.truncated, result.observations,
            )  # fmt: skip
            with self.ledger.charge("student"):
                waits = self.student.observe(transitions)
            if waits:
                yield self
            self.ledger.student += self.worlds.num_envs
            self.remember(actions, result)

            # The teacher hears about the episodes that ended with this step.
            self.observations = result.observations
            self.idle = np.flatnonzero(result.terminated | result.truncated)
            if self.idle.size:
                self.report(self.idle)

            # Held-out evaluation and checkpoints, when they are due.
            self.listener.on_progress(self)

    def begin_episodes(self, index: np.ndarray) -> None:
        """Ask the teacher for one task per world in ``index`` and reset these worlds."""
        numbers, proposal = self.teacher.propose(len(index))
        tasks = np.asarray(proposal.tasks, dtype=np.float64)
        drawn = self.rng.integers(2**31, size=len(index))  # drawn always: streams stay aligned
        seeds = drawn if proposal.seeds is None else np.asarray(proposal.seeds)
        with self.ledger.charge("environment"):
            observations = self.worlds.reset(index, tasks, seeds)
        self.observations = self.observations.astype(observations.dtype, copy=True)
        self.observations[index] = observations
        began = self.ledger.spent
        columns = (index.tolist(), numbers.tolist(), tasks, seeds.tolist(), observations)
        for world, number, task, seed, initial in zip(*columns, strict=True):
            self.episodes[world] = Episode(number, task, seed, initial, began)

    def remember(self, actions: np.ndarray, result: Any) -> None:
        """Add one step to every open episode; the actions allow an exact replay."""
        rewards = result.rewards.tolist()
        success = result.success.tolist()
        terminated = result.terminated.tolist()
        keep = "trajectory" in self.signals
        for world, episode in enumerate(self.episodes):
            episode.actions.append(actions[world])
            episode.score += rewards[world]
            episode.success = success[world]
            episode.terminated = terminated[world]
            if keep:
                episode.rewards.append(rewards[world])
                episode.observations.append(result.observations[world])

    def report(self, index: np.ndarray) -> None:
        """Tell the teacher and the listener how the ended episodes went."""
        ended = [self.episodes[world] for world in index]
        score = np.array([episode.score for episode in ended])
        success = np.array([float(episode.success) for episode in ended])
        if self.success_return is not None:
            success = (score > self.success_return).astype(float)
        columns = {
            "proposal": np.array([episode.number for episode in ended]),
            "tasks": np.array([episode.task for episode in ended]),
            "score": score,
            "success": success,
            "length": np.array([len(episode.actions) for episode in ended]),
        }
        began = np.array([episode.began for episode in ended])
        self.listener.on_outcomes(began, columns)
        signals = {name: _signal(name, ended) for name in self.signals}
        self.teacher.observe(**columns, signals=signals)

    def state_dict(self) -> dict[str, Any]:
        """Where every world stands: its task, terrain seed and the actions since its reset."""
        return {
            "rng": self.rng.bit_generator.state,
            "idle": self.idle,
            "observations": self.observations,
            "episodes": [episode.state_dict() for episode in self.episodes],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Replay the open episodes, so that every world stands exactly where it stood.

        Raises:
            RuntimeError: the replay ends elsewhere; the world breaks "same seed and task, same
                episode", or was changed since the checkpoint.
        """
        self.rng.bit_generator.state = state["rng"]
        self.idle = state["idle"]
        self.observations = state["observations"]
        self.episodes = [Episode.restore(item) for item in state["episodes"]]
        open_worlds = np.setdiff1d(np.arange(self.worlds.num_envs), self.idle)
        opened = [self.episodes[world] for world in open_worlds]
        if not opened or opened[0].number < 0:
            return
        observations = self.worlds.reset(
            open_worlds,
            np.array([episode.task for episode in opened]),
            np.array([episode.seed for episode in opened]),
        )
        for step in range(max(len(episode.actions) for episode in opened)):
            rows = [row for row, episode in enumerate(opened) if len(episode.actions) > step]
            actions = np.array([opened[row].actions[step] for row in rows])
            observations[rows] = self.worlds.step(actions, open_worlds[rows]).observations
        if not np.array_equal(observations, self.observations[open_worlds]):
            raise RuntimeError("the open episodes could not be replayed exactly")


class Episode:
    """One open episode of one world: what was proposed and what happened since."""

    def __init__(
        self,
        number: int = -1,
        task: np.ndarray | None = None,
        seed: int = 0,
        initial: np.ndarray | None = None,
        began: float = 0.0,
    ):
        self.number, self.task, self.seed, self.began = number, task, seed, began
        self.initial = initial
        self.score, self.success, self.terminated = 0.0, False, False
        self.actions: list[np.ndarray] = []
        self.rewards: list[float] = []
        self.observations: list[np.ndarray] = []

    def state_dict(self) -> dict[str, Any]:
        """All fields; steps are stacked into arrays."""
        state = dict(vars(self))
        for name in ("actions", "observations", "rewards"):
            state[name] = np.array(state[name])
        return state

    @staticmethod
    def restore(state: dict[str, Any]) -> Episode:
        """Build an episode from ``state_dict``."""
        episode = Episode()
        for name, value in state.items():
            setattr(episode, name, value)
        episode.actions = list(state["actions"])
        episode.observations = list(state["observations"])
        episode.rewards = state["rewards"].tolist()
        return episode


def _signal(name: str, episodes: list[Episode]) -> np.ndarray:
    """A declared signal of ended episodes, one entry per episode."""
    if name == "initial_observation":
        return np.array([episode.initial for episode in episodes])
    traces = np.empty(len(episodes), dtype=object)  # "trajectory", the only other one
    for row, episode in enumerate(episodes):
        traces[row] = {
            "observations": np.array([episode.initial, *episode.observations]),
            "actions": np.array(episode.actions),
            "rewards": np.array(episode.rewards),
            "terminated": episode.terminated,  # False where a time limit cut it
        }
    return traces

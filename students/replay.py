"""The memory of an off-policy student: the latest transitions, sampled uniformly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from students.base import Transitions
from students.journal import RowJournal


class ReplayMemory:
    """A ring of transitions in one float32 array, so that a batch is one gather of whole rows.

    A row holds observation, action, reward, 1 if the episode terminated, and next observation.
    The row added as number n (from 0) lies at n modulo ``capacity``.

    Args:
        capacity: the most transitions kept, >= 1; older ones are overwritten.
        inputs, outputs: widths of an observation and of an action.
    """

    def __init__(self, capacity: int, inputs: int, outputs: int):
        self.capacity, self.widths = capacity, (inputs, outputs, 1, 1, inputs)
        # Untouched pages of zeros cost nothing: memory grows as the ring fills.
        self.rows = np.zeros((capacity, sum(self.widths)), np.float32)
        self.added, self.size = 0, 0
        self.journal: RowJournal | None = None

    def add(self, transitions: Transitions, actions: np.ndarray) -> None:
        """Store one step of n worlds; ``actions`` (n, outputs) replace the transitions' own.

        Raises:
            ValueError: something is not finite.
        """
        columns = (
            transitions.observations,
            actions,
            np.reshape(transitions.rewards, (-1, 1)),
            np.reshape(transitions.terminated, (-1, 1)),
            transitions.next_observations,
        )
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite
            rows = np.concatenate(columns, axis=1, dtype=np.float32)
        if not np.isfinite(rows).all():
            names = ("observations", "actions", "rewards", "terminated", "next observations")
            bad = [n for n, c in zip(names, columns, strict=True) if not np.isfinite(c).all()]
            raise ValueError(
                f"transitions must be finite float32 numbers, but {', '.join(bad) or 'some'} are "
                "not: check the world"
            )
        self._append(rows)

    def _append(self, rows: np.ndarray) -> None:
        rows = rows[-self.capacity :]
        start = self.added % self.capacity
        first = min(len(rows), self.capacity - start)
        self.rows[start : start + first] = rows[:first]
        self.rows[: len(rows) - first] = rows[first:]
        self.added += len(rows)
        self.size = min(self.size + len(rows), self.capacity)

    def sample(
        self, count: int, batch: int, generator: torch.Generator
    ) -> tuple[torch.Tensor, ...]:
        """Draw ``count`` batches with replacement.

        Returns observations (count, batch, inputs), actions (count, batch, outputs), rewards and
        terminated (count, batch), and next observations (count, batch, inputs), float32.
        """
        drawn = torch.randint(self.size, (count * batch,), generator=generator)
        index = (drawn + (self.added - self.size)) % self.capacity
        rows = torch.from_numpy(self.rows).index_select(0, index).view(count, batch, -1)
        seen, actions, rewards, terminated, following = rows.split(self.widths, dim=-1)
        return seen, actions, rewards.squeeze(-1), terminated.squeeze(-1), following

    def clear(self) -> None:
        """Forget everything."""
        self.size = 0

    def latest(self, count: int) -> np.ndarray:
        """A copy of the ``count`` latest rows (count, width), oldest first."""
        return self.rows[np.arange(self.added - count, self.added) % self.capacity]

    def keep_in(self, folder: Path) -> None:
        """From now on keep the rows in files of ``folder``; a state then only refers to them.

        The files are written by ``state_dict``, which thus costs only the rows added since the
        last one. They serve the states of the last three calls: two checkpoints are kept, and both
        count until the third has reached the disk.
        """
        self.journal = RowJournal(folder, self.rows.shape[1])

    def state_dict(self) -> dict[str, Any]:
        """The rows, oldest first, or, after ``keep_in``, the names of the files that hold them."""
        state = {"capacity": self.capacity, "added": self.added}
        if self.journal is None:
            return {**state, "rows": self.latest(self.size)}
        new = min(self.added - self.journal.end, self.size)
        segments = self.journal.append(self.added - new, self.latest(new), self.added - self.size)
        return {**state, "size": self.size, "segments": segments}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold exactly what was held when ``state_dict`` was called.

        Raises:
            ValueError: the state is of a memory with another capacity or width, or lies in files
                of an unknown folder.
            DamagedRows: its files are damaged; the memory is as it was.
        """
        if "rows" in state:
            rows = np.asarray(state["rows"])
            if self.journal is not None:
                self.journal.read((), 0)  # its files hold other rows
        elif self.journal is None:
            raise ValueError(
                "the saved memory lies in files beside the checkpoint; call keep_in(folder) first"
            )
        else:
            rows = self.journal.read(state["segments"], state["added"] - state["size"])
        if int(state["capacity"]) != self.capacity or rows.shape[1:] != self.rows.shape[1:]:
            raise ValueError(
                f"the saved memory ({state['capacity']} rows of {rows.shape[1]} numbers) is not "
                f"like this one ({self.rows.shape[0]}, {self.rows.shape[1]}): the student's "
                "options were different"
            )
        self.added, self.size = int(state["added"]) - len(rows), 0
        self._append(rows)

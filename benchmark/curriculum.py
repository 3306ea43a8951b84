"""What a teacher proposed, as numbers: entropy and coverage of the task space.

A box is cut into equal cells, about a hundred in all; of a set of examples every example is a cell.
The proposals are those of a run's ``curriculum.npz``, one per ended task.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gymnasium import spaces

CELLS = 100  # of a box, about: ten by ten in two dimensions
WINDOWS = 10  # stretches of the budget over which entropy is followed


@dataclass(frozen=True)
class Spread:
    """Where proposals fell, as shares of what is possible.

    ``entropy`` is -sum p ln p over cells divided by ln(cells): 1 for an even curriculum, 0 for a
    single cell. ``coverage`` is the share of cells proposed at least once.
    """

    entropy: float
    coverage: float
    cells: int
    proposals: int


def spread(tasks: np.ndarray, space: spaces.Space) -> Spread:
    """Entropy and coverage of proposed tasks (N,) or (N, dimensions) in their task space.

    The entropy of few proposals is too low, and so is that of N even proposals in more than N
    cells; the number of both is told.

    Raises:
        ValueError: no tasks, or a space that is neither a bounded box nor discrete.
    """
    if len(tasks) == 0:
        raise ValueError("entropy and coverage need at least one proposed task, but got none")
    place, cells = cells_of(tasks, space)
    counts = np.bincount(place, minlength=cells)
    shares = counts[counts > 0] / len(place)
    entropy = -(shares * np.log(shares)).sum() / np.log(cells) if cells > 1 else 1.0
    return Spread(float(entropy) + 0.0, float(np.mean(counts > 0)), cells, len(place))


def spread_over_time(
    curriculum: Mapping[str, np.ndarray], space: spaces.Space, total: float
) -> list[Spread | None]:
    """``spread`` within each tenth of the budget; None where nothing ended."""
    window = np.minimum(curriculum["spent"] * WINDOWS / total, WINDOWS - 1).astype(int)
    parts = [curriculum["tasks"][window == number] for number in range(WINDOWS)]
    return [spread(tasks, space) if len(tasks) else None for tasks in parts]


def cells_of(tasks: np.ndarray, space: spaces.Space) -> tuple[np.ndarray, int]:
    """The cell (N,) of each task, and how many cells there are.

    A box of d parameters that vary has b^d cells, b = max(2, floor(100^(1/d))); its upper bound
    belongs to the last cell.

    Raises:
        ValueError: the space is neither a bounded box nor discrete.
    """
    if isinstance(space, spaces.Discrete):
        return np.asarray(tasks, dtype=int) - int(space.start), int(space.n)
    if not isinstance(space, spaces.Box) or not space.is_bounded():
        raise ValueError(f"needs a bounded Box or a Discrete task space, but got {space}")
    low, high = space.low.ravel(), space.high.ravel()
    varies = high > low
    width = int(varies.sum())
    if width == 0:
        return np.zeros(len(tasks), dtype=int), 1
    per = max(2, int(CELLS ** (1 / width) + 1e-9))
    flat = np.asarray(tasks, dtype=float).reshape(len(tasks), -1)[:, varies]
    share = (flat - low[varies]) / (high[varies] - low[varies])
    bins = np.clip((share * per).astype(int), 0, per - 1)
    return bins @ per ** np.arange(width), per**width

"""How large a share of a pool is used when, and how its items are ordered and drawn.

The six growing curves are those of Wu, Dyer & Neyshabur, "When Do Curricula Work?", 2021,
https://arxiv.org/abs/2012.03107, written over the spent share of the budget; "fixed" is the fixed
exponential pacing of Hacohen & Weinshall, "On The Power of Curriculum Learning in Training Deep
Networks", 2019, https://arxiv.org/abs/1904.03626.

Departures from the paper: the smallest pool is one item instead of 256, because pools may be small;
"step" jumps from start to everything, as the text says and the printed formula does not.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

FIXED_GROWTH = 1.9  # factor per stage of "fixed", as in the paper's runs

# x = progress / end in [0, 1); how much of the way from start to everything is done.
CURVES: dict[str, Callable[[float], float]] = {
    "linear": lambda x: x,
    "quad": lambda x: x**2,
    "root": lambda x: x**0.5,
    "exp": lambda x: np.expm1(10 * x) / np.expm1(10),
    "log": lambda x: 1 + 0.1 * np.log(x + np.exp(-10)),
    "step": lambda x: 0.0,
}
PACINGS = (*CURVES, "fixed")


class Pacing:
    """Pool size over progress: ``start`` of the pool at the beginning, all of it from ``end`` on.

    "fixed" multiplies the share by 1.9 at equal intervals, so that the first stage that holds
    everything begins at ``end``.

    Args:
        name: one of ``PACINGS``.
        start: share of the pool at progress 0, in (0, 1].
        end: progress from which on everything is used, > 0; above 1 that is never reached.
        cap: largest share ever used, in (0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, name: str, start: float, end: float, cap: float):
        if name not in PACINGS:
            raise ValueError(f"pacing must be one of {', '.join(PACINGS)}, but is {name!r}")
        if not 0 < start <= 1:
            raise ValueError(f"start must be a share of the pool in (0, 1], but is {start}")
        if not end > 0:
            raise ValueError(f"end must be a share of the budget above 0, but is {end}")
        if not 0 < cap <= 1:
            raise ValueError(f"cap must be a share of the pool in (0, 1], but is {cap}")
        self.name, self.start, self.end, self.cap = name, start, end, cap

    def share(self, progress: float) -> float:
        """The share of the pool in [0, 1] at ``progress`` in [0, 1], before the cap."""
        x = progress / self.end
        if x >= 1:
            return 1.0
        if self.name == "fixed":
            stages = np.ceil(np.log(1 / self.start) / np.log(FIXED_GROWTH))
            return float(min(1.0, self.start * FIXED_GROWTH ** np.floor(x * stages)))
        return float(self.start + (1 - self.start) * CURVES[self.name](x))

    def size(self, progress: float, items: int) -> int:
        """How many of ``items`` are used: the share rounded up, in [1, cap · items]."""
        share = min(self.share(progress), self.cap)
        return max(1, int(np.ceil(share * items - 1e-9)))  # 0.6 · 5 is 3, not 3.0000000000000004


def ranking(
    difficulty: np.ndarray, label: np.ndarray | None, rng: np.random.Generator
) -> np.ndarray:
    """Items (n,) from easy to hard; ties are broken at random.

    With labels (n,) the order is balanced: items are sorted within their class, and ranks are
    interleaved, first every class's easiest item, then every second one and so on, so that easy
    first does not become one class first. Within a rank the easier item goes first.
    """
    order = np.lexsort((rng.random(len(difficulty)), difficulty))
    if label is None:
        return order
    rank = np.empty(len(order), dtype=np.int64)
    for value in np.unique(label):
        members = order[label[order] == value]
        rank[members] = np.arange(len(members))
    return order[np.argsort(rank[order], kind="stable")]


def draw(
    queue: np.ndarray,
    count: int,
    read_pool: Callable[[], np.ndarray],
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw ``count`` items in reshuffled passes over a pool; return them and the new queue.

    ``queue`` is what is left of the current pass. Only when it is empty is the pool read again, so
    that a pool that grows meanwhile is passed once first (the papers' dynamic epoch). The queue is
    all there is to save, beside the generator.
    """
    parts, missing = [], count
    while missing > 0:
        if len(queue) == 0:
            queue = rng.permutation(read_pool())
        parts.append(queue[:missing])
        queue = queue[missing:]
        missing -= len(parts[-1])
    return np.concatenate([*parts, np.empty(0, dtype=np.int64)]), queue

"""The successes that CURROT restarts particles from: the best at first, then the best spread.

Klink et al., 2024, https://arxiv.org/abs/2309.14091; where success flags are judged instead of
returns, returns still lead to the first success.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from teachers.particles import assign

LEAST_NOISE = 0.005  # standard deviation around a success, in trust radii
WIDEST_NOISE = 0.25  # around the lowest return ever, in shares of each range
REDRAWS = 10  # of noise that leads out of the box, before it is clipped


class SuccessBuffer:
    """Up to ``capacity`` positions and how they went, which it never gives up for fewer.

    Until the median exceeds the threshold, what reaches the median replaces the worse half.
    From then on what reaches the threshold enters, at first in place of what does not; of too
    many, those stay whose assignment to a sample of the target has the least squared distances.

    Args:
        size: numbers per position, all in [0, 1].
        capacity: positions it can hold, >= 1.
        threshold: the performance that counts as a success.
        flags: whether performances are success flags. Then all successes are as good as the highest
            return that is stored, and failures as good as theirs.
        radius: the trust radius of the particles.

    Attributes: ``points`` (n, size), ``values`` (n,), their performances from the lowest to the
    highest, and ``returns`` (n,); ``reached``, whether the median has exceeded the threshold;
    ``lowest``, the lowest return ever.
    """

    memory = ("points", "values", "returns", "reached", "lowest")

    def __init__(self, size: int, capacity: int, threshold: float, flags: bool, radius: float):
        self.capacity, self.threshold, self.flags, self.radius = capacity, threshold, flags, radius
        self.points, self.values, self.returns = np.empty((0, size)), np.empty(0), np.empty(0)
        self.reached, self.lowest = False, np.inf

    def add(
        self, points: np.ndarray, values: np.ndarray, returns: np.ndarray, targets: np.ndarray
    ) -> np.ndarray:
        """Consider positions (n, size) with performances (n,) and returns (n,).

        ``targets`` (capacity, size) is a sample of the target distribution. The answer (n,) tells
        which positions were kept.
        """
        self.lowest, old = min(self.lowest, float(returns.min())), len(self.values)
        points = np.concatenate([self.points, points])
        values, returns = np.append(self.values, values), np.append(self.returns, returns)
        if self.reached:
            good = values[old:] >= self.threshold
            replaceable = int((self.values < self.threshold).sum())
        else:
            quality = self._quality(values, returns)
            good = quality[old:] >= (quality[old // 2] if old else -np.inf)
            replaceable = old // 2 + 1 if old else 0
        rows = np.append(np.arange(min(good.sum(), replaceable), old), old + np.flatnonzero(good))
        rows = rows[np.lexsort((self._quality(values, returns)[rows], values[rows]))]
        if len(rows) > self.capacity and self.reached:
            rows = rows[np.sort(assign(targets, points[rows]))]
        rows = rows[-self.capacity :]
        self.points, self.values, self.returns = points[rows], values[rows], returns[rows]
        self.reached = bool(self.reached or self.values[len(rows) // 2] > self.threshold)
        return np.isin(np.arange(old, len(values)), rows)

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """Return ``capacity`` positions (capacity, size) with search noise.

        All that is stored and repetitions, once the threshold was reached; before, only the better
        half, in proportion to what its performances exceed the median by.
        """
        n, quality = len(self.values), self._quality(self.values, self.returns)
        unit = max(np.abs(quality).max(), abs(self.threshold), abs(self.lowest)) or 1.0
        quality, lowest = quality / unit, self.lowest / unit  # so that no gap overflows
        # Which return a success has is unknown if flags are judged: then it counts as far above the
        # best as that is above the lowest.
        goal = 2 * quality.max() - lowest if self.flags else self.threshold / unit
        if self.reached:
            rows = np.append(np.arange(n), rng.integers(n, size=self.capacity - n))
        else:
            better = np.arange(n // 2, n)
            excess = np.maximum(quality[better] - quality[max(n // 2 - 1, 0)], 0)
            excess = excess if excess.any() else np.ones(len(better))
            rows = rng.choice(better, size=self.capacity, p=excess / excess.sum())
        # Where all returns are equal, what fails is the worst.
        gap = np.maximum(goal - quality, 0) / (goal - lowest) if goal > lowest else np.ones(n)
        share = np.where(self.values >= self.threshold, 0.0, gap)[rows]
        std = LEAST_NOISE * self.radius + WIDEST_NOISE * share[:, None]
        centres = self.points[rows]
        found = centres + std * rng.standard_normal(centres.shape)
        for _ in range(REDRAWS):
            outside = np.flatnonzero(((found < 0) | (found > 1)).any(axis=1))
            noise = rng.standard_normal((len(outside), centres.shape[1]))
            found[outside] = centres[outside] + std[outside] * noise
        return np.clip(found, 0, 1)

    def _quality(self, values: np.ndarray, returns: np.ndarray) -> np.ndarray:
        """What positions (n,) are ranked by."""
        if not self.flags:
            return values
        return np.where(values >= self.threshold, returns.max(), returns)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers and arrays."""
        return copy.deepcopy({name: getattr(self, name) for name in self.memory})

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        for name in self.memory:
            setattr(self, name, copy.deepcopy(state[name]))

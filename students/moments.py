"""Running mean and variance, for students that normalise what they see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class RunningMoments:
    """Exact mean and variance of all rows seen so far, in float64 (Chan, Golub, LeVeque, 1983)."""

    def __init__(self, width: int):
        self.count = 0
        self.mean, self.deviation = np.zeros(width), np.zeros(width)

    @property
    def variance(self) -> np.ndarray:
        """Population variance (width,); 1 before the first row."""
        return self.deviation / self.count if self.count else np.ones_like(self.mean)

    def update(self, rows: np.ndarray) -> None:
        """Merge rows (n, width)."""
        rows = np.asarray(rows, dtype=np.float64)
        count, mean = len(rows), rows.mean(axis=0)
        delta, total = mean - self.mean, self.count + count
        self.deviation = (
            self.deviation
            + np.square(rows - mean).sum(axis=0)
            + np.square(delta) * self.count * count / total
        )
        self.mean = self.mean + delta * count / total
        self.count = total

    def state_dict(self) -> dict[str, Any]:
        """Count, mean and summed squared deviation."""
        return {"count": self.count, "mean": self.mean.copy(), "deviation": self.deviation.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.count = int(state["count"])
        self.mean, self.deviation = np.array(state["mean"]), np.array(state["deviation"])

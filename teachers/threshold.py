"""From which return on an episode is good enough, for the methods that need to know."""

from __future__ import annotations

import numpy as np

from teachers.base import Knowledge, Outcomes

SHARE = 0.66  # of the return range
HALF = 0.5  # between failure, 0, and success, 1


class ReturnThreshold:
    """A threshold, and what is held against it: returns, or success flags where nothing is told.

    Args:
        threshold: in raw return units. None: 0.66 of the told ``return_range``, as the 180 that
            TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815) tuned are of its
            range from -150 to 350; without a told range 0.5, and success flags are judged.
        knowledge: ``return_range``, if told.
        who: the class that needs it, for the message.

    Raises:
        ValueError: the threshold is no finite number.
    """

    def __init__(self, threshold: float | None, knowledge: Knowledge, who: str):
        told = knowledge.return_range
        self.judges_success = threshold is None and told is None
        if threshold is None:
            threshold = HALF if told is None else told[0] + SHARE * (told[1] - told[0])
        if not np.isfinite(threshold):
            raise ValueError(f"{who} needs threshold to be a return or None, not {threshold}")
        self.value = float(threshold)

    def performance(self, outcomes: Outcomes) -> np.ndarray:
        """What is judged (n,), float64: the returns, or the success flags as 0 and 1."""
        judged = outcomes.success if self.judges_success else outcomes.score
        return np.array(judged, dtype=np.float64)

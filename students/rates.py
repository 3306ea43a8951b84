"""Learning rates over a run: they belong to the student, so to the protocol, never to a teacher.

Warm-up-stable-decay without a warm-up is that of MiniCPM (Hu et al., 2024,
https://arxiv.org/abs/2404.06395) with a straight decay to zero, as in the last phase of OLMo 2
(2025, https://arxiv.org/abs/2501.00656); cosine: Loshchilov & Hutter, 2017,
https://arxiv.org/abs/1608.03983, one cycle.
"""

from __future__ import annotations

import math

SCHEDULES = ("constant", "wsd", "linear", "cosine")


class Rates:
    """The learning rate of each update.

    Args:
        rate: the first learning rate, > 0.
        schedule: "constant"; "linear" or "cosine" fall to 0 over the whole run; "wsd" stays and
            falls linearly to 0 over the last ``decay_share`` of it.
        updates: how many updates the schedule takes, > 0 unless it is constant. Later ones, if
            there are any, have the rate 0; fewer end above it.
        decay_share: of "wsd", in (0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, rate: float, schedule: str, updates: int, decay_share: float):
        if schedule not in SCHEDULES or not 0 < decay_share <= 1:
            raise ValueError(
                f"schedule must be one of {', '.join(SCHEDULES)} and decay_share lie in (0, 1], "
                f"but they are {schedule!r} and {decay_share}"
            )
        if schedule != "constant" and updates < 1:
            raise ValueError(
                f"schedule {schedule!r} needs schedule_updates, the number of updates of a run, "
                f"but it is {updates}"
            )
        self.rate, self.schedule, self.updates = rate, schedule, updates
        self.decay_share = decay_share

    def __call__(self, update: int) -> float:
        """The rate of update number ``update``, counted from 0."""
        if self.schedule == "constant":
            return self.rate
        left = max(0.0, 1 - update / self.updates)
        if self.schedule == "cosine":
            return self.rate * (1 - math.cos(math.pi * left)) / 2
        return self.rate * (
            left if self.schedule == "linear" else min(1.0, left / self.decay_share)
        )

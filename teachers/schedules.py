"""Schedules over the spent share of the budget that several teachers share.

``Pace`` adds to the curves of ``teachers.pacing`` those of later work: "competence" of Platanios et
al., "Competence-based Curriculum Learning for Neural Machine Translation", 2019,
https://arxiv.org/abs/1903.09848; "power" and "geometric" as in CurBench (Zhou et al., 2024,
https://proceedings.mlr.press/v235/zhou24o.html); "baby_step" of Spitkovsky, Alshawi & Jurafsky,
"From Baby Steps to Leapfrog", 2010, https://aclanthology.org/N10-1116. ``cycle`` is the sequence of
sizes of Kesgin & Amasyali, "Cyclical Curriculum Learning", 2023, https://arxiv.org/abs/2202.05531.

Departures from the paper: time is the spent share of the budget instead of steps or epochs.
"power" takes the root 1/p of its sum; CurBench's code takes the square root whatever p is.
"""

from __future__ import annotations

import numpy as np

from teachers.pacing import PACINGS, Pacing
from teachers.presets import require

PACES = (*PACINGS, "competence", "power", "geometric", "baby_step")


class Pace(Pacing):
    """Pool size over progress: ``start`` of the pool at the beginning, all of it from ``end`` on.

    With x = progress / end in [0, 1) and s = ``start`` the share of the pool is, beside the
    curves of ``teachers.pacing.Pacing``:

    - "power": (s^p + (1 - s^p) x)^(1/p), p being ``power``; "competence" is the same with p = 2;
    - "geometric": s^(1 - x), growth by the same factor in the same time;
    - "baby_step": s + (1 - s) floor(x k) / k, k being ``stages``.

    Args:
        name: one of ``PACES``.
        start: share of the pool at progress 0, in (0, 1].
        end: progress from which on everything is used, > 0; above 1 that is never reached.
        cap: largest share ever used, in (0, 1].
        power: of "power", in (0, 100].
        stages: of "baby_step", >= 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        name: str,
        start: float,
        end: float,
        cap: float = 1.0,
        power: float = 2.0,
        stages: int = 5,
    ):
        if name not in PACES:
            raise ValueError(f"pacing must be one of {', '.join(PACES)}, but is {name!r}")
        super().__init__(name if name in PACINGS else "linear", start, end, cap)
        require("pacing", 1e-3, 100, power=power)
        require("pacing", 1, 10**6, stages=stages)
        self.name, self.power, self.stages = name, power, stages

    def share(self, progress: float) -> float:
        """The share of the pool in [0, 1] at ``progress`` in [0, 1], before the cap."""
        if self.name in PACINGS:
            return super().share(progress)
        x, start = progress / self.end, self.start
        if x >= 1:
            return 1.0
        if self.name == "geometric":
            return float(start ** (1 - x))
        if self.name == "baby_step":
            # A boundary of two stages belongs to the later one, whatever rounding does to x.
            return float(start + (1 - start) * np.floor(x * self.stages + 1e-9) / self.stages)
        power = 2.0 if self.name == "competence" else self.power
        base = start**power
        return float((base + (1 - base) * x) ** (1 / power))


def cycle(start: float, end: float, factor: float) -> np.ndarray:
    """One period of shares that grow by 1 / ``factor`` from ``start`` to ``end`` and shrink again.

    From 0.25 to 1 with factor 0.5 it is 0.25, 0.5, 1, 0.5; then it begins anew.

    Raises:
        ValueError: not 0 < start <= end <= 1, or a factor outside [0.01, 0.99].
    """
    require("cycle", 0.01, 0.99, factor=factor)
    require("cycle", 1e-4, 1, start=start, end=end)
    if start > end:
        raise ValueError(f"start must not be above end, but they are {start} and {end}")
    steps = int(np.ceil(np.log(end / start) / -np.log(factor) - 1e-9))
    up = np.minimum(start * (1 / factor) ** np.arange(steps + 1), end)
    return np.concatenate([up, up[-2:0:-1]])


def mix(x: float, before: float, after: float) -> float:
    """The number on the way from ``before`` (x <= 0) to ``after`` (x >= 1)."""
    x = min(max(x, 0.0), 1.0)
    return (1 - x) * before + x * after

"""Estimates of regret from one episode: how much better could the student have done on a level?

The scores of Jiang et al., "Prioritized level replay", 2021, https://arxiv.org/abs/2010.03934, and
"Replay-guided adversarial environment design", 2021, https://arxiv.org/abs/2110.02439.

Values V are those of the student's own critic, asked through the probe at the moment of scoring. In
this suite they are discounted returns in raw reward units, whatever the student normalises inside;
so advantages are in raw reward units, too, and the scores of one student can be compared over its
whole training. Only their ranks are used.

Departures from the papers:
- An episode cut by a time limit is bootstrapped with the value of its last observation.
- ``max_mc`` compares values with the discounted return of the whole episode, which has the unit of
  the values; the releases take the undiscounted one, which ``discount=1`` brings back.
- ``return_gap`` needs no critic and is ours: see there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.signal import lfilter

from teachers.level_buffer import LevelBuffer

VALUE_SCORES = ("positive_value_loss", "value_l1", "max_mc")
SCORES = (*VALUE_SCORES, "return")


def advantages(
    rewards: np.ndarray, values: np.ndarray, discount: float, gae_lambda: float
) -> np.ndarray:
    """Generalised advantages (T,) of one episode with rewards (T,) and values (T + 1,).

    Equation 16 of Schulman et al., 2016, https://arxiv.org/abs/1506.02438. The last value belongs
    to what followed the last step: 0 where the episode terminated.
    """
    delta = rewards + discount * values[1:] - values[:-1]
    # The sum over later steps is a filter of first order that runs backwards.
    return lfilter([1.0], [1.0, -discount * gae_lambda], delta[::-1])[::-1]


def positive_value_loss(advantage: np.ndarray) -> float:
    """Mean of the positive parts of advantages (T,): the student did better than it expected."""
    return float(np.maximum(advantage, 0).mean())


def value_l1(advantage: np.ndarray) -> float:
    """Mean size of advantages (T,): the critic was surprised."""
    return float(np.abs(advantage).mean())


def max_mc(best: float, values: np.ndarray) -> float:
    """Mean gap between the best return seen on a level and the values (T,) along an episode."""
    return float(best - values.mean())


def return_gap(best: float, value: float) -> float:
    """Gap between the best return known for a level and the return of an episode, >= 0."""
    return max(best - value, 0.0)


def discounted_return(rewards: np.ndarray, discount: float) -> float:
    """Sum of rewards (T,), the t-th of them times ``discount ** t``."""
    return float(rewards @ discount ** np.arange(len(rewards)))


class Judge:
    """Applies one of ``SCORES`` to episodes and hands their levels to a buffer.

    Raises:
        ValueError: ``discount`` or ``gae_lambda`` lies outside [0, 1].
    """

    def __init__(self, name: str, discount: float, gae_lambda: float):
        if not (0 <= discount <= 1 and 0 <= gae_lambda <= 1):
            raise ValueError(
                f"discount and gae_lambda must lie in [0, 1], but are {discount} and {gae_lambda}"
            )
        self.name, self.discount, self.gae_lambda = name, discount, gae_lambda

    def hand_in(
        self,
        buffer: LevelBuffer,
        tasks: np.ndarray,
        seeds: np.ndarray,
        columns: Mapping[str, np.ndarray],
        probe: Any,
    ) -> None:
        """Score n episodes of the levels (``tasks`` (n, D), ``seeds`` (n,)), in order of arrival.

        Episodes of the same level count as one, weighted by length. ``columns`` holds "score" and
        "length" (n,), "inherited" (n,), a return that counts as seen for the first score of a
        level, and, for a score by values, "trajectory" (n,); see ``read``.
        """
        returns, judged = self.read(columns, probe)
        levels: dict[tuple[bytes, int], list[int]] = {}
        for row, seed in enumerate(seeds.tolist()):
            levels.setdefault((tasks[row].tobytes(), seed), []).append(row)
        for (_, seed), rows in levels.items():
            task = tasks[rows[0]]
            past, best = buffer.best_of(task, seed), float(returns[rows].max())
            known = max(best, past if np.isfinite(past) else columns["inherited"][rows].max())
            scores = [self.score(known, returns[row], judged[row]) for row in rows]
            # An average of one would be rounded twice for nothing.
            mean = scores[0]
            if len(rows) > 1:
                mean = float(np.average(scores, weights=columns["length"][rows]))
            buffer.offer(task, seed, mean, best)

    def read(
        self, columns: Mapping[str, np.ndarray], probe: Any
    ) -> tuple[np.ndarray, Sequence[Any]]:
        """Return what ``score`` needs: returns (n,) in its unit, and n things to judge.

        A trajectory is a dict with "observations" (T + 1, ...), "rewards" (T,) and "terminated";
        the probe's ``value`` is asked once, about all observations.
        """
        returns = np.asarray(columns["score"], dtype=np.float64)
        if self.name == "return" or not len(returns):
            return returns, [None] * len(returns)
        traces = columns["trajectory"]
        cuts = np.cumsum([len(trace["observations"]) for trace in traces])[:-1]
        answers = probe.value(np.concatenate([trace["observations"] for trace in traces]))
        values = np.split(np.array(answers, dtype=np.float64), cuts)
        rewards = [np.asarray(trace["rewards"], dtype=np.float64) for trace in traces]
        if self.name == "max_mc":
            returns = np.array([discounted_return(each, self.discount) for each in rewards])
            return returns, [each[:-1] for each in values]
        for trace, each in zip(traces, values, strict=True):
            if trace["terminated"]:
                each[-1] = 0.0
        pairs = zip(rewards, values, strict=True)
        return returns, [advantages(*pair, self.discount, self.gae_lambda) for pair in pairs]

    def score(self, best: float, value: float, judged: Any) -> float:
        """Score one episode of return ``value``; ``best`` is the best one known of its level."""
        if self.name == "return":
            return return_gap(best, value)
        if self.name == "max_mc":
            return max_mc(best, judged)
        return value_l1(judged) if self.name == "value_l1" else positive_value_loss(judged)

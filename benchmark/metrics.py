"""From held-out evaluations to scores: pure functions of a run's record and its protocol.

Notation: J held-out tasks, grid points k = 0..K at spent budgets t_k, z a normalised result. A
best checkpoint is never scored: the maximum over evaluations grows with their number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmark.evaluate import Evaluation
from benchmark.protocol import Protocol
from benchmark.schema import EvaluationRows, RunRecord, TotalCosts

TAIL_SHARE = 0.1


@dataclass(frozen=True)
class RunScores:
    """Everything that one run contributes to a leaderboard, in normalised units.

    ``time_to_target`` is in units of the budget, infinite if the target was never reached, None if
    the protocol names no target; ``forgetting`` is None if no task has episodes in both halves.
    """

    area: float
    final: float
    tail: float
    time_to_target: float | None
    forgetting: float | None


def score_run(record: RunRecord, protocol: Protocol) -> RunScores:
    """Compute all scores of one run."""
    scores, window = curve(record, protocol), protocol.score.final_window
    target = protocol.score.target
    half_a, half_b = half_curves(record, protocol)
    return RunScores(
        area=area_under_curve(scores, protocol.grid),
        final=final_score(scores, window),
        tail=tail(task_curves(record, protocol), window),
        time_to_target=None if target is None else time_to_target(scores, protocol.grid, target),
        forgetting=forgetting(half_a, half_b, window),
    )


def half_curves(record: RunRecord, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    """Normalised results of both halves, (K+1, J') each, of the tasks with episodes in both."""
    rows = record.evaluation
    both = (np.array(rows.count_a) > 0) & (np.array(rows.count_b) > 0)
    a, b = _halves(record, protocol)
    return protocol.normalise(a[:, both]), protocol.normalise(b[:, both])


def task_curves(record: RunRecord, protocol: Protocol) -> np.ndarray:
    """Normalised result per grid point and task, (K+1, J); halves are pooled by their counts."""
    a, b = _halves(record, protocol)
    count_a, count_b = _counts(record)
    return protocol.normalise((a * count_a + b * count_b) / (count_a + count_b))


def curve(record: RunRecord, protocol: Protocol) -> np.ndarray:
    """The learning curve s_k, (K+1,): the mean over all held-out episodes or examples."""
    return pooled_score(record.evaluation, protocol)


def pooled_score(rows: EvaluationRows | Evaluation, protocol: Protocol) -> np.ndarray:
    """Normalised mean over all episodes or examples of one evaluation (J,) or of many (K+1, J)."""
    a, b = _measured(rows, protocol)
    count_a, count_b = np.asarray(rows.count_a), np.asarray(rows.count_b)
    total = (count_a + count_b).sum()
    return protocol.normalise((a * count_a + b * count_b).sum(axis=-1) / total)


def _halves(record: RunRecord, protocol: Protocol) -> tuple[np.ndarray, np.ndarray]:
    return _measured(record.evaluation, protocol)


def _measured(
    rows: EvaluationRows | Evaluation, protocol: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """Both halves of what the protocol scores: returns or shares of success."""
    if protocol.score.measure == "return":
        return np.asarray(rows.score_a), np.asarray(rows.score_b)
    return np.asarray(rows.success_a), np.asarray(rows.success_b)


def _counts(record: RunRecord) -> tuple[np.ndarray, np.ndarray]:
    return np.array(record.evaluation.count_a), np.array(record.evaluation.count_b)


def area_under_curve(scores: np.ndarray, grid: tuple[int, ...] | np.ndarray) -> float:
    """The area under the evaluation curve (K+1,) by the trapezoid rule, divided by the budget.

    It rewards speed and level, needs no target and is not smoothed: the primary score.
    """
    return float(np.trapezoid(scores, grid) / grid[-1])


def final_score(scores: np.ndarray, window: int) -> float:
    """The mean of the last ``window`` evaluations of a curve (K+1,)."""
    return float(np.mean(scores[-window:]))


def time_to_target(scores: np.ndarray, grid: tuple[int, ...] | np.ndarray, target: float) -> float:
    """The budget spent when the smoothed curve first reaches ``target``; infinity if never.

    u_k = (s_{k-1} + s_k + s_{k+1}) / 3 for 1 <= k <= K-1: a first crossing of the raw curve is
    mostly luck when the plateau lies just below the target.
    """
    smoothed = (scores[:-2] + scores[1:-1] + scores[2:]) / 3
    # A mean of three numbers that equal the target may fall short of it by rounding.
    hits = np.flatnonzero(smoothed >= target - 1e-12)
    return float(grid[hits[0] + 1]) if hits.size else float("inf")


def tail(task_scores: np.ndarray, window: int) -> float:
    """The mean of the worst tenth of the tasks, at least one, in the final window.

    ``task_scores`` has shape (K+1, J). Noise pulls it down, so only equal designs compare.
    """
    final = np.sort(task_scores[-window:].mean(axis=0))
    return float(final[: max(1, int(TAIL_SHARE * len(final)))].mean())


def forgetting(half_a: np.ndarray, half_b: np.ndarray, window: int) -> float | None:
    """How far tasks fell from their best, cross-fitted; None without tasks.

    Windows of ``window`` evaluations slide over two independent halves (K+1, J). One half says
    where each task was best, the other how much was lost since; both ways are averaged. The usual
    "best minus last" finds forgetting where there is none, because the best is partly luck.
    """
    if half_a.shape[1] == 0:
        return None
    means_a, means_b = _windows(half_a, window), _windows(half_b, window)
    drops = []
    for locate, measure in ((means_a, means_b), (means_b, means_a)):
        best = locate.argmax(axis=0)
        drops.append(measure[best, np.arange(measure.shape[1])] - measure[-1])
    return float(np.mean(drops))


def _windows(values: np.ndarray, window: int) -> np.ndarray:
    window = min(window, len(values))
    return np.lib.stride_tricks.sliding_window_view(values, window, axis=0).mean(axis=-1)


def overhead(costs: TotalCosts) -> float | None:
    """The teacher's share of the CPU time spent on training; None if nothing was measured."""
    total = costs.cpu_teacher + costs.cpu_student + costs.cpu_environment
    return costs.cpu_teacher / total if total > 0 else None


def cpu_seconds(costs: TotalCosts) -> float:
    """CPU time of training: environment, student and teacher; evaluation is not charged."""
    return costs.cpu_teacher + costs.cpu_student + costs.cpu_environment

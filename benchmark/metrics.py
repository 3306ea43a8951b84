"""From held-out evaluations to scores: pure functions of a run's record and its protocol.

Notation: J held-out tasks, grid points k = 0..K at spent budgets t_k, z a normalised result. A
best checkpoint is never scored: the maximum over evaluations grows with their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.evaluate import MASTERY, Evaluation
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
    place = first_reached(scores, target)
    return float("inf") if place is None else float(grid[place])


def first_reached(scores: np.ndarray, target: float) -> int | None:
    """The first grid point, 1 to K-1, at which the smoothed curve (K+1,) is at ``target``."""
    smoothed = (scores[:-2] + scores[1:-1] + scores[2:]) / 3
    # A mean of three numbers that equal the target may fall short of it by rounding.
    hits = np.flatnonzero(smoothed >= target - 1e-12)
    return int(hits[0]) + 1 if hits.size else None


def cost_to_target(scores: np.ndarray, costs: np.ndarray, target: float) -> float:
    """A cumulative cost (K+1,) where the target is first reached; infinity if never.

    Costs may be training steps or presentations, all that was spent (the teacher's questions
    included), updates, or CPU seconds: the crossing is the one of ``time_to_target``.
    """
    place = first_reached(scores, target)
    return float("inf") if place is None else float(costs[place])


def score_at_cost(scores: np.ndarray, costs: np.ndarray, limit: float) -> float:
    """The score at the last grid point whose cumulative cost (K+1,) is at most ``limit``.

    With CPU seconds and the reference teacher's median total it compares at equal compute. Before
    the first grid point is paid for, the untrained score counts.
    """
    return float(scores[max(0, np.searchsorted(costs, limit, side="right") - 1)])


def tail(task_scores: np.ndarray, window: int) -> float:
    """The mean of the worst tenth of the tasks, at least one, in the final window.

    ``task_scores`` has shape (K+1, J). Noise pulls it down, so only equal designs compare.
    """
    return cvar(task_scores[-window:].mean(axis=0))


def cvar(scores: np.ndarray, share: float = TAIL_SHARE) -> float:
    """The mean of the worst ``share`` of task scores (J,), at least one: conditional value at risk.

    max(1, floor(share J)) tasks count.
    """
    return float(np.sort(scores)[: _worst(len(scores), share)].mean())


def _worst(tasks: int, share: float) -> int:
    return max(1, int(share * tasks + 1e-9))


def cross_fitted_tail(
    half_a: np.ndarray, half_b: np.ndarray, window: int, share: float = TAIL_SHARE
) -> float | None:
    """``tail`` without the pull of noise: one half finds the worst tasks, the other measures them.

    Halves have shape (K+1, J); both ways are averaged. None without tasks. Tasks that merely look
    worst are not all bad in the other half, so it can only be compared with itself.
    """
    tasks = half_a.shape[1]
    if tasks == 0:
        return None
    a, b = half_a[-window:].mean(axis=0), half_b[-window:].mean(axis=0)
    worst = _worst(tasks, share)
    found = [m[np.argsort(s, kind="stable")[:worst]].mean() for s, m in ((a, b), (b, a))]
    return float(np.mean(found))


def worst_decile(task_scores: np.ndarray, window: int) -> float:
    """The score below which a tenth of the tasks lies in the final window (K+1, J).

    The smallest task score that at least a tenth of the tasks does not exceed.
    """
    final = task_scores[-window:].mean(axis=0)
    return float(np.quantile(final, TAIL_SHARE, method="inverted_cdf"))


def mastered_share(task_scores: np.ndarray, window: int, level: float = MASTERY) -> float:
    """The share of held-out tasks (K+1, J) that are at ``level`` or above in the final window."""
    final = task_scores[-window:].mean(axis=0)
    return float(np.mean(final >= level - 1e-12))


def worst_stratum(
    task_scores: np.ndarray, strata: Sequence[str] | np.ndarray, window: int
) -> tuple[str, float]:
    """The stratum of tasks, one label for each of J, with the lowest mean, and that mean.

    Strata are fixed before the runs (bins of difficulty, say); (K+1, J), the final window counts.
    """
    final, labels = task_scores[-window:].mean(axis=0), np.asarray(strata)
    means = {str(label): float(final[labels == label].mean()) for label in np.unique(labels)}
    worst = min(means, key=means.__getitem__)
    return worst, means[worst]


def transfer_gap(task_scores: np.ndarray, inside: np.ndarray, window: int) -> float | None:
    """The final score on tasks inside the space a teacher may propose minus that outside.

    ``task_scores`` is (K+1, J) and ``inside`` bool (J,); None unless there are tasks of both kinds.
    """
    if inside.all() or not inside.any():
        return None
    final = task_scores[-window:].mean(axis=0)
    return float(final[inside].mean() - final[~inside].mean())


def dispersion(scores: np.ndarray) -> float:
    """How much a curve (K+1,) jumps: the interquartile range of s_{k+1} - s_k. Lower is steadier.

    Dispersion across time of Chan et al. (2020, https://arxiv.org/abs/1912.05663), detrended by
    differences.
    """
    low, high = np.quantile(np.diff(scores), [0.25, 0.75])
    return float(high - low)


def largest_drop(scores: np.ndarray) -> float:
    """The deepest fall below an earlier peak of the smoothed curve: max_k (max_{l<=k} u_l - u_k).

    u_k is the mean of three neighbours, as in ``time_to_target``. Evaluation noise alone makes it
    positive, so only equal designs compare; ``forgetting`` has no such bias.
    """
    smoothed = (scores[:-2] + scores[1:-1] + scores[2:]) / 3
    return float(np.max(np.maximum.accumulate(smoothed) - smoothed))


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

"""Stage list: sub-boxes of tasks one after the other, each until a condition holds.

The sequential curriculum of Syllabus (Sullivan et al., 2024, https://arxiv.org/abs/2411.11318),
whose notation for conditions is kept.

Departures from the paper: a stage is a uniform box of tasks, no curriculum of its own; conditions
may also name the success rate and the spent share of the budget; a mean over no episodes fulfils
nothing, where the release counts it as 0; outcomes of tasks that were proposed before the present
stage began do not count for it.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from teachers.base import Knowledge, Outcomes, Proposal, TaskSpace, Teacher
from teachers.fixed import bounded_box, easiest_task, task_vector

QUANTITIES = ("steps", "episodes", "tasks", "return", "success", "progress")
COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
Facts = Mapping[str, float]


def parse_condition(text: str) -> Callable[[Facts], bool]:
    """Turn "success>=0.75 & episodes>=50 | steps>=1e6" into a function of the stage's facts.

    "&" binds closer than "|". A quantity that is missing from the facts fulfils nothing.

    Raises:
        ValueError: another form, or an unknown quantity.
    """
    if not isinstance(text, str):
        raise ValueError(f"a condition must be a text like 'episodes>=100', but is {text!r}")
    return _any([_all([_clause(part) for part in group.split("&")]) for group in text.split("|")])


def _any(parts: list[Callable[[Facts], bool]]) -> Callable[[Facts], bool]:
    return lambda facts: any(part(facts) for part in parts)


def _all(parts: list[Callable[[Facts], bool]]) -> Callable[[Facts], bool]:
    return lambda facts: all(part(facts) for part in parts)


def _clause(text: str) -> Callable[[Facts], bool]:
    symbol = next((symbol for symbol in COMPARISONS if symbol in text), ">=")
    name, _, number = (part.strip() for part in text.partition(symbol))
    try:
        value = float(number)
    except ValueError:
        value = np.nan
    if name not in QUANTITIES or np.isnan(value):
        raise ValueError(
            f"a condition compares one of {', '.join(QUANTITIES)} by >=, <=, > or < with a "
            f"number, like 'success>=0.75', joined by & and |, but got {text.strip()!r}"
        )
    compare = COMPARISONS[symbol]
    return lambda facts: name in facts and compare(facts[name], value)


class StageList(Teacher):
    """Uniform tasks of one sub-box after the other; the last one stays.

    On the command line: ``--set 'boxes=[0.2, 0.6, 1.0]' --set 'until=success>=0.8&episodes>=100'``.

    Args:
        task_space: a bounded ``Box`` of shape (D,).
        seed: draws tasks.
        knowledge: the mean of its ``initial`` distribution, if told, is the easiest task.
        boxes: the stages in order. A number in [0, 1] is the box that covers this share of the way
            from the easiest task to every bound; a pair [low, high] of D numbers each is a box in
            task units.
        until: when a stage ends, one text for all or one for each but the last. It compares
            ``steps`` (environment steps), ``episodes`` and ``tasks`` (proposals) of the stage,
            the mean ``return`` and ``success`` of its last ``window`` episodes, and ``progress``,
            the spent share of the whole budget, as in "success>=0.75 & episodes>=50".
        window: episodes in the means, >= 1.
        loop: begin again after the last stage, which then needs a condition too.

    Attributes: ``stage`` counts from 0; ``lows`` and ``highs`` (stages, D).

    Raises:
        ValueError: an argument is out of range, or the box is unbounded or no vector.
    """

    reference = "Sullivan et al. 2024, https://arxiv.org/abs/2411.11318"
    spaces = ("box",)
    memory = ("stage", "tasks", "steps", "episodes", "recent", "progress", "proposed", "since")

    def __init__(
        self,
        task_space: TaskSpace,
        *,
        seed: int,
        knowledge: Knowledge | None = None,
        boxes: Sequence[float | Sequence[Sequence[float]]] = (0.25, 0.5, 0.75, 1.0),
        until: str | Sequence[str] = "success>=0.75 & episodes>=50",
        window: int = 50,
        loop: bool = False,
    ):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        bounded_box(task_space, "a stage list")
        if window < 1:
            raise ValueError(f"window must be at least 1 episode, but is {window}")
        bounds = [self._bounds(box) for box in _listed("boxes", boxes)]
        self.lows, self.highs = (np.array(side) for side in zip(*bounds, strict=True))
        ends = len(bounds) if loop else len(bounds) - 1
        texts = [until] * ends if isinstance(until, str) else list(until)
        if len(texts) != ends:
            raise ValueError(
                f"until must be one condition or {ends} of them, one for each of {len(bounds)} "
                f"stages{'' if loop else ' but the last'}, but holds {len(texts)}"
            )
        self.conditions = [parse_condition(text) for text in texts]
        self.window = window
        self.stage, self.progress = 0, 0.0
        self.proposed = 0  # tasks ever
        self._begin()

    def propose(self, count: int, progress: float) -> Proposal:
        """Return ``count`` uniform tasks (count, D) of the stage that ``progress`` allows."""
        self.progress = progress
        self._move_on()
        self.tasks, self.proposed = self.tasks + count, self.proposed + count
        low, high = self.lows[self.stage], self.highs[self.stage]
        tasks = self.rng.uniform(low, high, size=(count, len(low)))
        return Proposal(np.clip(tasks, low, high))

    def observe(self, outcomes: Outcomes) -> None:
        """Count the episodes of the present stage in the order of arrival."""
        columns = (outcomes.proposal, outcomes.score, outcomes.success, outcomes.length)
        rows = zip(*(np.asarray(column).tolist() for column in columns), strict=True)
        for number, score, success, length in rows:
            if number < self.since:
                continue
            self.episodes, self.steps = self.episodes + 1, self.steps + length
            self.recent = [*self.recent, [score, float(success)]][-self.window :]
            self._move_on()

    def _begin(self) -> None:
        """Start counting for a stage."""
        self.tasks, self.steps, self.episodes = 0, 0, 0
        self.recent: list[list[float]] = []  # (return, success)
        self.since = self.proposed

    def _move_on(self) -> None:
        """Enter the next stage if the present one has done its part."""
        if self.stage >= len(self.conditions):
            return
        facts = {name: getattr(self, name) for name in ("steps", "episodes", "tasks", "progress")}
        if self.recent:
            scores, successes = zip(*self.recent, strict=True)
            facts["return"] = sum(scores) / len(scores)
            facts["success"] = sum(successes) / len(successes)
        if self.conditions[self.stage](facts):
            self.stage = (self.stage + 1) % len(self.lows)
            self._begin()

    def _bounds(self, box: float | Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
        """Low and high (D,) of a stage."""
        space = self.task_space.space
        if isinstance(box, int | float):
            if not 0 <= box <= 1:
                raise ValueError(f"boxes: a share of the way must lie in [0, 1], but is {box}")
            easiest = easiest_task(self.task_space, self.knowledge)
            return easiest + box * (space.low - easiest), easiest + box * (space.high - easiest)
        if len(_listed("boxes", box)) != 2:
            raise ValueError(f"boxes: a stage is a number or a pair [low, high], but is {box!r}")
        low, high = (task_vector(self.task_space, "boxes", side) for side in box)
        if (low > high).any():
            raise ValueError(f"boxes: low must not lie above high, but the stage is {box!r}")
        return low, high


def _listed(name: str, values: object) -> Sequence:
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f"{name} must be a list that is not empty, but is {values!r}")
    return values

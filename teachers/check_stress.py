"""Rules on hard feedback and on cost, and the reports on behaviour."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable

import numpy as np
from gymnasium import spaces

from teachers.check_classroom import SPACES, Feedback, Lesson, Pupil, Room, trajectories
from teachers.check_rules import MAIN, Rule, only, valid

MAX_SECONDS_PER_TASK = 0.05  # CPU time of one proposal with its outcome; 5 ms is a lot already
MAX_MEMORY = 4_000_000  # bytes of a teacher after 10,000 outcomes
clock = time.process_time

# Hard feedback


def _bear(room: Room, feedback: Feedback) -> None:
    """Run with bent facts; the proposals must stay valid."""
    room.require_valid()
    lesson = room.lesson()
    for _ in range(12):
        valid(room, lesson.step(25, feedback))


def _fill(facts: dict[str, np.ndarray], score: object, success: object = None) -> None:
    facts["score"] = np.full(len(facts["score"]), score, dtype=np.float64)
    if success is not None:
        facts["success"] = np.full(len(facts["success"]), success, dtype=np.float64)


@only(*MAIN)
def check_bears_equal_scores(room: Room) -> None:
    """All scores are equal."""
    _bear(room, lambda facts: _fill(facts, 3.0))


@only(*MAIN)
def check_bears_only_success(room: Room) -> None:
    """Every task succeeds, with a loss of zero."""

    def feedback(facts: dict[str, np.ndarray]) -> None:
        facts["success"] = np.ones_like(facts["success"])
        facts["loss"] = np.zeros_like(facts["loss"])

    _bear(room, feedback)


@only(*MAIN)
def check_bears_only_failure(room: Room) -> None:
    """Every task fails."""

    def feedback(facts: dict[str, np.ndarray]) -> None:
        facts["success"] = np.zeros_like(facts["success"])
        facts["score"] = -np.abs(facts["score"])

    _bear(room, feedback)


@only(*MAIN)
def check_bears_extreme_scores(room: Room) -> None:
    """Scores are very large, very negative, tiny, and all of these mixed."""
    for values in ([1e12], [-1e12], [1e-12], [1e12, -1e12, 1e-12, 0.0]):

        def feedback(facts: dict[str, np.ndarray], values: list[float] = values) -> None:
            n = len(facts["score"])
            facts["score"] = np.resize(np.array(values), n) * np.linspace(1.0, 2.0, n)
            facts["loss"] = np.abs(facts["score"])

        _bear(room, feedback)


@only("box-2")
def check_bears_one_step_episodes(room: Room) -> None:
    """Every episode lasts one step."""

    def feedback(facts: dict[str, np.ndarray]) -> None:
        facts["length"] = np.ones_like(facts["length"])
        facts["trajectory"] = trajectories(
            facts["initial_observation"], facts["score"], facts["length"]
        )

    _bear(room, feedback)


@only(*MAIN)
def check_bears_one_task_ten_thousand_times(room: Room) -> None:
    """Ten thousand outcomes report on the same task."""
    room.require_valid()
    lesson = room.lesson()
    first = lesson.propose(1)[0].tasks
    # A task that succeeds half of the time, so that only the sameness of the tasks is hard.
    lesson.pupil.competence, lesson.pupil.rate = float(lesson.pupil.difficulty(first)[0]), 0.0
    tasks = np.repeat(first, 500, axis=0)
    for _ in range(20):
        numbers = lesson.proposed + np.arange(500)
        lesson.proposed += 500
        lesson.teacher.observe(lesson.answer(tasks, numbers))
        valid(room, lesson.propose(5)[0])


# Cost


def check_cost_per_task(room: Room) -> str:
    """CPU time of proposing and observing stays under a generous limit."""
    lesson, spent = room.lesson(), 0.0
    for _ in range(24):
        start = clock()
        proposal, numbers = lesson.propose(25)
        spent += clock() - start
        outcomes = lesson.answer(proposal.tasks, numbers)
        start = clock()
        lesson.teacher.observe(outcomes)
        spent += clock() - start
    mean = spent / (24 * 25)
    assert mean < MAX_SECONDS_PER_TASK, (
        f"one task costs {1000 * mean:.1f} ms of the teacher's time; "
        f"allowed {1000 * MAX_SECONDS_PER_TASK:.0f} ms"
    )
    return f"{1000 * mean:.2f} ms per task"


check_cost_per_task.spaces = MAIN


def check_memory_stays_small(room: Room) -> str:
    """After 10,000 outcomes the teacher still is small."""
    lesson = room.lesson()
    lesson.run(rounds=40, count=250)
    size = _size(lesson)
    assert size < MAX_MEMORY, (
        f"the teacher holds {size / 1e6:.1f} MB after 10,000 outcomes; allowed "
        f"{MAX_MEMORY / 1e6:.0f} MB; keep a window or a summary"
    )
    return f"{size / 1e6:.2f} MB after 10,000 outcomes"


check_memory_stays_small.spaces = MAIN


def _size(lesson: Lesson) -> int:
    """Bytes of the teacher's attributes, or of its state where they cannot be pickled."""
    held = {name: value for name, value in vars(lesson.teacher).items() if name != "probe"}
    try:
        return len(pickle.dumps(held))
    except (TypeError, AttributeError, pickle.PicklingError):
        return len(pickle.dumps(lesson.teacher.state_dict()))


# Behaviour: reported, not required


def _shares(lesson: Lesson, inside: Callable[[np.ndarray], np.ndarray], rounds: int) -> float:
    """Share of the proposed tasks whose difficulty lies ``inside``, over the last half."""
    hits = []
    for _ in range(rounds):
        proposal, numbers = lesson.propose(25)
        hits.append(inside(lesson.pupil.difficulty(proposal.tasks)).mean())
        lesson.teacher.observe(lesson.answer(proposal.tasks, numbers))
    return float(np.mean(hits[rounds // 2 :]))


def _uniform(room: Room, inside: Callable[[np.ndarray], np.ndarray]) -> float:
    space = SPACES[room.name]
    if isinstance(space, spaces.Discrete):
        tasks = np.arange(space.n)
    else:
        tasks = np.random.default_rng(0).uniform(space.low, space.high, (2000, *space.shape))
    return float(inside(Pupil(space).difficulty(tasks)).mean())


def report_prefers_learnable(room: Room) -> str:
    """Share of proposals below a ceiling above which nothing can be learned."""

    def learnable(difficulty: np.ndarray) -> np.ndarray:
        return difficulty < 0.6

    share = _shares(room.lesson(ceiling=0.5), learnable, rounds=60)
    return f"{share:.0%} of the tasks were learnable; uniform {_uniform(room, learnable):.0%}"


def report_follows_frontier(room: Room) -> str:
    """Share of proposals close to a competence that moves steadily."""
    lesson = room.lesson(rate=0.0)
    lesson.pupil.competence, hits, level = 0.0, [], []
    for _ in range(160):
        lesson.pupil.competence += 1 / 160
        proposal, numbers = lesson.propose(25)
        gap = lesson.pupil.difficulty(proposal.tasks) - lesson.pupil.competence
        hits.append((np.abs(gap) < 0.15).mean())
        competence = lesson.pupil.competence
        level.append(_uniform(room, lambda d, c=competence: np.abs(d - c) < 0.15))
        lesson.teacher.observe(lesson.answer(proposal.tasks, numbers))
    late, uniform = np.mean(hits[80:]), np.mean(level[80:])
    return f"{late:.0%} of the tasks were near the moving frontier; uniform {uniform:.0%}"


def report_compared_with_uniform(room: Room) -> str:
    """Final competence of a pupil, beside one that was taught uniformly."""
    space = SPACES[room.name]
    lesson, control = room.lesson(rate=0.001), Pupil(space, rate=0.001)
    lesson.run(rounds=60)
    space_rng = np.random.default_rng(0)
    for _ in range(60):
        if isinstance(space, spaces.Discrete):
            tasks = space_rng.integers(space.n, size=25)
        else:
            tasks = space_rng.uniform(space.low, space.high, (25, *space.shape))
        control.practise(tasks)
    ours, theirs = lesson.pupil.competence, control.competence
    return f"a pupil reached competence {ours:.2f}; with uniform tasks {theirs:.2f}"


STRESS_RULES: tuple[Rule, ...] = (
    check_bears_equal_scores,
    check_bears_only_success,
    check_bears_only_failure,
    check_bears_extreme_scores,
    check_bears_one_step_episodes,
    check_bears_one_task_ten_thousand_times,
    check_cost_per_task,
    check_memory_stays_small,
)
REPORTS: tuple[Rule, ...] = (
    report_prefers_learnable,
    report_follows_frontier,
    report_compared_with_uniform,
)
for _report in REPORTS:
    _report.spaces = ("box-1", "discrete-40")

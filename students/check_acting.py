"""Rules for students of procedural worlds. One rule is one function that is given a factory."""

from __future__ import annotations

import copy
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np
from gymnasium import spaces

from students.base import Student, Transitions
from students.check_states import global_states, require_plain, stored, text

Make = Callable[..., Student]
OBSERVATIONS = spaces.Box(0.0, 1.0, (2,), np.float32)
ACTIONS = spaces.Box(-1.0, 1.0, (1,), np.float32)
WORLDS = 8
STEPS = 40
LESSON = 20_000  # environment steps in which a trivial world must have taught something


class Arena:
    """Eight worlds of ten steps in which a higher action simply pays more."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)
        self.time = np.arange(WORLDS)
        self.observations = self.look()

    def look(self) -> np.ndarray:
        """Draw observations (8, 2) from one corner of the space."""
        return (0.1 * self.rng.random((WORLDS, 2))).astype(np.float32)

    def step(self, student: Student) -> np.ndarray:
        """Let a student act and learn once in all worlds; return copies of its actions."""
        actions = np.array(student.act(self.observations.copy()))
        self.time += 1
        following = self.look()
        student.observe(
            Transitions(
                observations=self.observations.copy(),
                actions=actions.copy(),
                rewards=actions.reshape(WORLDS, -1)[:, 0].astype(np.float64),
                terminated=self.time % 20 == 0,
                truncated=self.time % 20 == 10,
                next_observations=following.copy(),
            )
        )
        self.observations = following
        return actions


def build(make: Make, seed: int = 1) -> Student:
    """Build a student for the arena."""
    return make(OBSERVATIONS, ACTIONS, num_envs=WORLDS, seed=seed)


def run(student: Student, steps: int = STEPS, arena: Arena | None = None) -> np.ndarray:
    """Train and return all actions (steps, 8, ...)."""
    arena = arena or Arena()
    return np.array([arena.step(student) for _ in range(steps)])


def crossing(make: Make) -> int:
    """Steps after which the student has learned at least twice, at most ``LESSON`` / 8."""
    student, arena, before, changes = build(make), Arena(), 0, 0
    for step in range(LESSON // WORLDS):
        arena.step(student)
        changes += student.updates != before
        before = student.updates
        if changes == 2:
            return step + 10
    return STEPS


def require_reproducible(make: Make) -> None:
    """Skip a rule that compares runs when plain runs already differ."""
    if not np.array_equal(run(build(make)), run(build(make))):
        raise unittest.SkipTest("two runs with one seed differ, so nothing can be compared")


def points(count: int) -> np.ndarray:
    """Observations (count, 2) for evaluation."""
    return np.random.default_rng(8).random((count, 2)).astype(np.float32)


def check_action_shapes(make: Make) -> None:
    """Actions are (n, *action_shape), finite, inside the action space; n is free in evaluation."""
    student = build(make)
    for count, explore in ((WORLDS, True), (1, False), (WORLDS, False), (37, False)):
        actions = np.asarray(student.act(points(count), explore=explore))
        assert actions.shape == (count, 1), (
            f"act() returned shape {actions.shape} for {count} observations; expected ({count}, 1)"
        )
        assert np.isfinite(actions).all(), "act() returned an action that is not finite"
        assert (np.abs(actions) <= 1).all(), "act() returned an action outside the action space"


def check_rows_are_independent(make: Make) -> None:
    """In evaluation the action for an observation does not depend on the others in the batch."""
    student = build(make)
    run(student)
    many = student.act(points(5), explore=False)
    single = np.concatenate([student.act(row[None], explore=False) for row in points(5)])
    assert np.allclose(many, single, atol=1e-5), "actions depend on the other rows of the batch"


def check_evaluation_draws_nothing(make: Make) -> None:
    """act(explore=False) repeats itself, leaves the state alone and does not disturb training."""
    student = build(make)
    run(student)
    before = text(student.state_dict())
    first = np.array(student.act(points(9), explore=False))
    again = np.array(student.act(points(9), explore=False))
    assert np.array_equal(first, again), "act(explore=False) gave two different answers"
    assert text(student.state_dict()) == before, "act(explore=False) changed the student"


def check_value_shape(make: Make) -> None:
    """value() returns finite numbers (n,) and changes nothing, where there is one."""
    student = build(make)
    run(student)
    before = text(student.state_dict())
    try:
        values = np.asarray(student.value(points(9)))
    except NotImplementedError as error:
        raise unittest.SkipTest(str(error)) from error
    assert values.shape == (9,), f"value() returned shape {values.shape}; expected (9,)"
    assert np.isfinite(values).all(), "value() returned a number that is not finite"
    assert text(student.state_dict()) == before, "value() changed the student"


def check_inputs_are_not_modified(make: Make) -> None:
    """act() and observe() leave the arrays they are given as they were."""
    student, observations = build(make), points(WORLDS)
    actions = student.act(observations)
    assert np.array_equal(observations, points(WORLDS)), "act() changed the observations"
    flags = np.zeros(WORLDS, dtype=bool)
    batch = {
        "observations": observations,
        "actions": np.array(actions),
        "rewards": np.ones(WORLDS),
        "terminated": flags,
        "truncated": flags.copy(),
        "next_observations": points(WORLDS)[::-1].copy(),
    }
    before = copy.deepcopy(batch)
    student.observe(Transitions(**batch))
    for name, values in batch.items():
        assert np.array_equal(values, before[name]), f"observe() changed {name}"


def check_same_seed_same_run(make: Make) -> None:
    """Two students with one seed act and learn alike, bit for bit."""
    steps = crossing(make)
    ours, theirs = build(make), build(make)
    assert np.array_equal(run(ours, steps), run(theirs, steps)), "two runs with seed 1 differ"
    assert text(ours.state_dict()) == text(theirs.state_dict()), "two runs with seed 1 differ"


def check_seed_zero_is_a_seed(make: Make) -> None:
    """Seed 0 repeats like any other seed."""
    require_reproducible(make)
    assert np.array_equal(run(build(make, 0)), run(build(make, 0))), (
        "two runs with seed 0 differ; test `seed is None`, not `not seed`"
    )


def check_different_seeds_differ(make: Make) -> None:
    """Another seed gives other actions, unless the student draws nothing."""
    require_reproducible(make)
    student = build(make)
    once, again = (np.array(student.act(points(WORLDS))) for _ in range(2))
    if np.array_equal(once, again):
        raise unittest.SkipTest("the student draws nothing")
    assert not np.array_equal(run(build(make, 1)), run(build(make, 2))), (
        "seeds 1 and 2 gave the same actions; the seed is ignored"
    )


def check_global_randomness_is_untouched(make: Make) -> None:
    """The global generators of random, NumPy and torch are not used."""
    steps = crossing(make)
    before = global_states()
    student = build(make)
    run(student, steps)
    student.act(points(3), explore=False)
    assert global_states() == before, "a global generator was used; draw from your own"


def check_state_continues_exactly(make: Make) -> None:
    """A student saved and loaded in mid-run goes on as if nothing had happened."""
    require_reproducible(make)
    steps = crossing(make)
    student, arena = build(make), Arena()
    run(student, steps // 2 + 3, arena)
    saved, later = student.state_dict(), copy.deepcopy(arena)
    kept = text(saved)
    expected = run(student, steps, arena)
    assert text(saved) == kept, "a saved state changed while the run went on; save copies"
    resumed = build(make)
    resumed.load_state_dict(stored(saved))
    assert np.array_equal(run(resumed, steps, copy.deepcopy(later)), expected), (
        "after loading a saved state the actions differ"
    )
    direct = build(make)
    direct.load_state_dict(saved)
    run(direct, steps, later)
    assert text(saved) == kept, "a loaded state changed later; load copies"


def check_state_is_plain(make: Make) -> None:
    """The state holds numbers, strings, None, booleans, arrays, lists and dicts only."""
    student = build(make)
    require_plain(student.state_dict())
    run(student)
    require_plain(student.state_dict())


def check_learns_a_trivial_world(make: Make) -> str:
    """Where a higher action simply pays more, evaluation actions rise and ``updates`` counts."""
    student, arena = build(make), Arena()
    before = float(np.mean(student.act(0.1 * points(50), explore=False)))
    run(student, LESSON // WORLDS, arena)
    after = float(np.mean(student.act(0.1 * points(50), explore=False)))
    assert student.updates > 0, f"`updates` is still 0 after {LESSON} environment steps"
    assert after > min(before + 0.2, 0.95), (
        f"after {LESSON} environment steps the mean action went from {before:.2f} to {after:.2f} "
        "where the reward is the action itself"
    )
    return f"mean action from {before:.2f} to {after:.2f}"


ACTING_RULES: tuple[Callable[[Make], Any], ...] = (
    check_action_shapes,
    check_rows_are_independent,
    check_evaluation_draws_nothing,
    check_value_shape,
    check_inputs_are_not_modified,
    check_same_seed_same_run,
    check_seed_zero_is_a_seed,
    check_different_seeds_differ,
    check_global_randomness_is_untouched,
    check_state_continues_exactly,
    check_state_is_plain,
    check_learns_a_trivial_world,
)

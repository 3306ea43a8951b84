"""Rules for students of data sets. One rule is one function that is given a factory."""

from __future__ import annotations

import copy
import unittest
from collections.abc import Callable
from typing import Any

import numpy as np

from students.base import SupervisedStudent, Weigh
from students.check_states import global_states, require_plain, stored, text

Make = Callable[..., SupervisedStudent]
SHAPE, CLASSES, BATCH = (6,), 3, 16


def batch(number: int, size: int = BATCH) -> tuple[np.ndarray, np.ndarray]:
    """Three well separated clouds of points: inputs (n, 6) float32, targets (n,) int64."""
    rng = np.random.default_rng([5, number])
    targets = rng.integers(CLASSES, size=size)
    centres = np.repeat(2.0 * np.eye(CLASSES), 2, axis=1)
    inputs = centres[targets] + 0.3 * rng.normal(size=(size, *SHAPE))
    return inputs.astype(np.float32), targets


def build(make: Make, seed: int = 1) -> SupervisedStudent:
    """Build a student for three classes."""
    return make(SHAPE, CLASSES, seed=seed)


def run(
    student: SupervisedStudent, steps: int = 8, weigh: Weigh | None = None, start: int = 0
) -> np.ndarray:
    """Train on a few batches and return the logits of a fixed batch."""
    for number in range(start, start + steps):
        student.train(*batch(number), weigh)
    return np.array(student.predict(batch(99)[0])["logits"])


def require_reproducible(make: Make) -> None:
    """Skip a rule that compares runs when plain runs already differ."""
    if not np.array_equal(run(build(make)), run(build(make))):
        raise unittest.SkipTest("two runs with one seed differ, so nothing can be compared")


def check_shapes(make: Make) -> None:
    """train() and predict() return finite arrays with the batch first, for any batch size."""
    student = build(make)
    for size in (BATCH, 1, 5):
        inputs, targets = batch(0, size)
        for name, got in (
            ("train", student.train(inputs, targets)),
            ("predict", student.predict(inputs)),
        ):
            shapes = {"logits": (size, CLASSES), "loss": (size,), "correct": (size,)}
            for key in ("logits", "loss", "correct") if name == "train" else ("logits",):
                assert np.shape(got[key]) == shapes[key], (
                    f"{name}()['{key}'] has shape {np.shape(got[key])}; expected {shapes[key]}"
                )
                assert np.isfinite(got[key]).all(), f"{name}()['{key}'] is not finite"
            embedding = np.shape(got["embedding"])
            assert len(embedding) == 2 and embedding[0] == size, (
                f"{name}()['embedding'] has shape {embedding}; expected ({size}, width)"
            )


def check_alignment_shape(make: Make) -> None:
    """alignment() returns finite numbers (n,) and changes nothing."""
    student = build(make)
    run(student)
    before = text(student.state_dict())
    got = np.asarray(student.alignment(*batch(1, 5), batch(2)))
    assert got.shape == (5,), f"alignment() returned shape {got.shape}; expected (5,)"
    assert np.isfinite(got).all(), "alignment() returned a number that is not finite"
    assert text(student.state_dict()) == before, "alignment() changed the student"


def check_prediction_learns_nothing(make: Make) -> None:
    """predict() repeats itself and leaves the state alone."""
    student = build(make)
    run(student)
    before = text(student.state_dict())
    first, again = (np.array(student.predict(batch(3)[0])["logits"]) for _ in range(2))
    assert np.array_equal(first, again), "predict() gave two different answers"
    assert text(student.state_dict()) == before, "predict() changed the student"


def check_report_is_from_before_the_step(make: Make) -> None:
    """What train() reports was measured before its step, and loss and correct fit the logits."""
    student = build(make)
    run(student)
    inputs, targets = batch(4)
    before = np.array(student.predict(inputs)["logits"], dtype=np.float64)
    report = student.train(inputs, targets)
    assert np.allclose(report["logits"], before, atol=1e-4), (
        "train() reported logits from after its step"
    )
    shifted = before - before.max(axis=1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    assert np.allclose(report["loss"], loss, atol=1e-3), "the loss is not the cross-entropy"
    assert np.array_equal(
        np.asarray(report["correct"], dtype=bool), before.argmax(axis=1) == targets
    ), "`correct` does not fit the logits"


def check_weights_of_one_change_nothing(make: Make) -> None:
    """Weights of one equal no weights, bit for bit."""
    require_reproducible(make)
    plain = run(build(make))
    ones = run(build(make), weigh=lambda facts: np.ones(len(facts["loss"])))
    assert np.array_equal(plain, ones), "weights of one and no weights gave different students"


def check_zero_weight_has_no_influence(make: Make) -> None:
    """An example of weight zero may be anything."""
    require_reproducible(make)
    inputs, targets = batch(5)
    other, wrong = inputs.copy(), targets.copy()
    other[3], wrong[3] = -7.0, (targets[3] + 1) % CLASSES
    weights = np.ones(BATCH)
    weights[3] = 0.0
    ours, theirs = build(make), build(make)
    for _ in range(3):
        ours.train(inputs.copy(), targets, lambda facts: weights)
        theirs.train(other.copy(), wrong, lambda facts: weights)
    ours, theirs = (np.array(s.predict(batch(99)[0])["logits"]) for s in (ours, theirs))
    assert np.allclose(ours, theirs, atol=1e-5), "an example of weight zero changed the student"


def check_zero_weights_skip_the_step(make: Make) -> None:
    """A batch of weight zero changes nothing and is not counted."""
    student = build(make)
    run(student)
    before = text(student.state_dict())
    student.train(*batch(6), lambda facts: np.zeros(len(facts["loss"])))
    assert text(student.state_dict()) == before, "a batch of weight zero changed the student"


def check_weigh_is_given_copies(make: Make) -> None:
    """Weigh is told loss and logits as arrays, and editing them has no effect."""
    require_reproducible(make)
    plain = run(build(make))

    def weigh(facts: Any) -> np.ndarray:
        for name in ("loss", "logits"):
            assert isinstance(facts[name], np.ndarray), f"weigh got {name} that is no array"
            if facts[name].flags.writeable:
                facts[name][...] = 0
        return np.ones(len(facts["loss"]))

    assert np.array_equal(run(build(make), weigh=weigh), plain), (
        "editing what weigh was given changed the student"
    )


def check_inputs_are_not_modified(make: Make) -> None:
    """train() leaves inputs, targets and weights as they were."""
    student, (inputs, targets) = build(make), batch(7)
    weights = np.linspace(0.0, 2.0, BATCH)
    given = inputs, targets, weights
    before = copy.deepcopy(given)
    student.train(inputs, targets, lambda facts: weights)
    student.predict(inputs)
    for name, values, kept in zip(("inputs", "targets", "weights"), given, before, strict=True):
        assert np.array_equal(values, kept), f"train() changed the {name}"


def check_same_seed_same_run(make: Make) -> None:
    """Two students with one seed learn alike, bit for bit."""
    assert np.array_equal(run(build(make)), run(build(make))), "two runs with seed 1 differ"


def check_seed_zero_is_a_seed(make: Make) -> None:
    """Seed 0 repeats like any other seed."""
    require_reproducible(make)
    assert np.array_equal(run(build(make, 0)), run(build(make, 0))), (
        "two runs with seed 0 differ; test `seed is None`, not `not seed`"
    )


def check_different_seeds_differ(make: Make) -> None:
    """Another seed gives another student."""
    require_reproducible(make)
    assert not np.array_equal(run(build(make, 1)), run(build(make, 2))), (
        "seeds 1 and 2 gave the same student; the seed is ignored"
    )


def check_global_randomness_is_untouched(make: Make) -> None:
    """The global generators of random, NumPy and torch are not used."""
    before = global_states()
    run(build(make))
    assert global_states() == before, "a global generator was used; draw from your own"


def check_state_continues_exactly(make: Make) -> None:
    """A student saved and loaded in mid-run goes on as if nothing had happened."""
    require_reproducible(make)
    student = build(make)
    run(student)
    saved = student.state_dict()
    kept = text(saved)
    expected = run(student, start=8)
    assert text(saved) == kept, "a saved state changed while the run went on; save copies"
    resumed, direct = build(make), build(make)
    resumed.load_state_dict(stored(saved))
    assert np.array_equal(run(resumed, start=8), expected), "after loading, training differs"
    direct.load_state_dict(saved)
    run(direct, start=8)
    assert text(saved) == kept, "a loaded state changed later; load copies"


def check_state_is_plain(make: Make) -> None:
    """The state holds numbers, strings, None, booleans, arrays, lists and dicts only."""
    student = build(make)
    require_plain(student.state_dict())
    run(student)
    require_plain(student.state_dict())


def check_learns_a_trivial_set(make: Make) -> str:
    """Three well separated clouds are told apart after 300 steps, and ``updates`` counts them."""
    student = build(make)
    run(student, steps=300)
    inputs, targets = batch(1234, 200)
    accuracy = float((student.predict(inputs)["logits"].argmax(axis=1) == targets).mean())
    assert student.updates == 300, f"`updates` is {student.updates} after 300 optimiser steps"
    assert accuracy > 0.9, f"accuracy {accuracy:.2f} on three well separated clouds"
    return f"accuracy {accuracy:.2f}"


SUPERVISED_RULES: tuple[Callable[[Make], Any], ...] = (
    check_shapes,
    check_alignment_shape,
    check_prediction_learns_nothing,
    check_report_is_from_before_the_step,
    check_weights_of_one_change_nothing,
    check_zero_weight_has_no_influence,
    check_zero_weights_skip_the_step,
    check_weigh_is_given_copies,
    check_inputs_are_not_modified,
    check_same_seed_same_run,
    check_seed_zero_is_a_seed,
    check_different_seeds_differ,
    check_global_randomness_is_untouched,
    check_state_continues_exactly,
    check_state_is_plain,
    check_learns_a_trivial_set,
)

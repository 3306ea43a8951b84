"""The sum of several numbers modulo q; few terms teach the rule that many need."""

from __future__ import annotations

import numpy as np

from environments.supervised.generator import Generator, grid, integer_parameter, whole


class ModularSum(Generator):
    """Add up a row of numbers modulo q, of which the task says how many are not zero.

    Source: Saxena et al., 2025, https://arxiv.org/abs/2410.03569: rows with many zeros make long
    sums learnable. The task is the number of terms, an integer: that many places of a row of
    ``places`` hold a number of 1..q-1, all equally likely, the others 0. Inputs (places, 2) hold
    the cosine and sine of 2π x / q of every number x; the class is the sum modulo q.

    Departures from the paper: q and the row are small, so that a run takes a minute; the sum is a
    class instead of an angle; the teacher chooses the number of terms of every example.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        modulus: q, >= 2.
        places: of a row, >= 2; the terms go from 1 to ``places``.
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test examples per number of terms, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        modulus: int = 5,
        places: int = 12,
        examples: int = 16,
        items: int = 4096,
        per_level: int = 100,
    ):
        if modulus < 2 or places < 2:
            raise ValueError(
                f"modulus and places must be at least 2, but are {modulus} and {places}"
            )
        meaning = "how many numbers of the row are not zero"
        self.task_parameters = (integer_parameter("terms", 1, places, places, "1", meaning),)
        self.input_shape, self.num_classes = (places, 2), modulus
        self.levels = grid(np.arange(1, places + 1))
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows (n, places, 2) with terms (n, 1) and their sums (n,)."""
        terms = whole(self.task_parameters[0], parameters[:, 0])
        shape = (len(terms), self.input_shape[0])
        # The places of the smallest of as many random numbers as there are terms.
        rank = rng.random(shape).argsort(axis=1).argsort(axis=1)
        row = rng.integers(1, self.num_classes, size=shape) * (rank < terms[:, None])
        angle = 2 * np.pi * row / self.num_classes
        inputs = np.stack([np.cos(angle), np.sin(angle)], axis=-1).astype(np.float32)
        return inputs, row.sum(axis=1) % self.num_classes

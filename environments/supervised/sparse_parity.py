"""Parity of a few bits among many, where sparse inputs give the hidden bits away."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from environments.base import TaskParameter
from environments.supervised.generator import Generator


class SparseParity(Generator):
    """Multiply the first k of d signs; the task says how many signs are negative.

    Inputs x are d signs ±1; each one is -1 with chance ``density``, the one task parameter. The
    class is 1 if the product of the first ``order`` signs is -1, else 0. Under density 0.5 no group
    of fewer than k signs says anything about the class, and a network finds the k signs late or
    never. In sparse inputs every one of the k signs is correlated with the class, so that a network
    learns from them which signs matter: sparse first is provably faster (Abbe, Cornacchia & Lotfi,
    2023, https://arxiv.org/abs/2306.16921; Cornacchia & Mossel, 2023,
    https://arxiv.org/abs/2301.13833). What counts is the dense end: ``held_out`` is density 0.5.

    Departures from the paper: two classes with cross-entropy instead of a real output; the teacher
    chooses the density of every example instead of a share of sparse ones.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``. As levels and items the densities are
            those of ``held_out``.
        bits: d, at least ``order``.
        order: k, at least 1.
        held_out: densities of the test set, within the box [0.02, 0.5].
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test examples per held-out density, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    num_classes = 2
    task_parameters = (
        TaskParameter("density", 0.02, 0.5, 0.5, "1", "chance that a sign is negative"),
    )

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        bits: int = 30,
        order: int = 6,
        held_out: Sequence[float] = (0.5,),
        examples: int = 16,
        items: int = 4096,
        per_level: int = 1000,
    ):
        if not 1 <= order <= bits:
            raise ValueError(f"order must lie in 1..{bits}, the number of bits, but is {order}")
        if not all(0.02 <= density <= 0.5 for density in held_out) or not held_out:
            raise ValueError(f"held_out must be densities in [0.02, 0.5], but is {list(held_out)}")
        self.input_shape, self.order = (bits,), order
        self.levels = np.array([[density] for density in held_out], dtype=np.float64)
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw signs (n, d) of the densities (n, 1) and their parities (n,)."""
        negative = rng.random((len(parameters), *self.input_shape)) < parameters
        targets = negative[:, : self.order].sum(axis=1) % 2
        return np.where(negative, -1, 1).astype(np.float32), targets.astype(np.int64)

"""Parity of the last N bits of a stream, for students with a memory."""

from __future__ import annotations

import numpy as np

from environments.parameters import one_of
from environments.supervised.generator import Generator, grid, integer_parameter, whole

HEADS = ("single", "multi")
EXTRA = 4  # up to so many steps come before the last N bits


class NParity(Generator):
    """Say at the end of a stream of random bits whether the number of ones in its last N is odd.

    Source: Khajehabdollahi et al., 2024, https://arxiv.org/abs/2309.12927: N beyond about 10 is not
    learned from scratch, and is learned when N grows.

    The task is N, an integer. Inputs (steps, 2) with ``steps = longest + 5``: channel 0 holds the
    bits as ±1 and 0 before the stream begins; a stream has N to N + 4 bits and ends with the last
    step. The class is the parity of the last N bits. Channel 1 tells N, which a mixture of several
    N needs. With ``heads = "single"`` it is 1 at the first of the last N bits and 0 elsewhere. With
    "multi" it is N - 1 at every step, the number of the output pair that answers, for a student
    with ``heads = longest``, which does not show it to the network (students/supervised.py).

    Departures from the paper: streams are N to N + 4 bits long instead of random up to 4 N, so that
    a run takes a minute; one head learns with a marker instead of forgetting smaller N.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        longest: the largest N, >= 2; the smallest is 1.
        heads: "single" or "multi".
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test examples per N, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    num_classes = 2
    parameter = ("span", "bits", "N, how many of the last bits count")

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        longest: int = 12,
        heads: str = "single",
        examples: int = 16,
        items: int = 4096,
        per_level: int = 100,
    ):
        if longest < 2:
            raise ValueError(f"longest must be at least 2, but is {longest}")
        one_of("heads", heads, HEADS)
        name, unit, meaning = self.parameter
        self.task_parameters = (integer_parameter(name, 1, longest, longest, unit, meaning),)
        self.heads = heads
        self.input_shape = (longest + 1 + EXTRA, 2)
        self.levels = grid(np.arange(1, longest + 1))
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw streams (n, steps, 2) for spans (n, 1) and their classes (n,)."""
        span = whole(self.task_parameters[0], parameters[:, 0])
        steps = self.input_shape[0]
        # How many bits lie at or after each step, 1 at the last one.
        left = steps - np.arange(steps)
        bits = rng.integers(2, size=(len(span), steps))
        length = self.needed(span) + rng.integers(EXTRA + 1, size=len(span))
        inputs = np.zeros((len(span), *self.input_shape), dtype=np.float32)
        inputs[:, :, 0] = np.where(left <= length[:, None], 2 * bits - 1, 0)
        marked = left == self.needed(span)[:, None]
        inputs[:, :, 1] = marked if self.heads == "single" else span[:, None] - 1
        return inputs, self.answer(bits, span, left).astype(np.int64)

    def needed(self, span: np.ndarray) -> np.ndarray:
        """How many of the last bits (n,) the answer depends on or reaches back to."""
        return span

    def answer(self, bits: np.ndarray, span: np.ndarray, left: np.ndarray) -> np.ndarray:
        """The classes (n,) of bits (n, steps), of which ``left`` (steps,) are still to come."""
        return (bits * (left <= span[:, None])).sum(axis=1) % 2

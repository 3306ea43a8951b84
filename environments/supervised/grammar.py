"""Brackets of two kinds, right or with one mistake: a grammar task of length and depth."""

from __future__ import annotations

import numpy as np

from environments.supervised.generator import Generator, integer_parameter, whole

KINDS = 2


class Grammar(Generator):
    """Say whether every closing bracket is of the kind of the bracket that it closes.

    The words are those of the Dyck language of two kinds of brackets. The task has two integers:
    the number of pairs, so that a word is twice as long, and the depth that nesting may reach
    (never more than there are pairs). A word is drawn evenly from the bracketings of that length
    and depth, its kinds at random. With chance 1/2 one closing bracket, all equally likely, takes
    the other kind: then the class is 0, else 1. Opening and closing brackets always balance, so
    that only remembering the kinds through all levels tells.

    Inputs (2 x most pairs, 4): one of "([)]" per step as one of four channels; a word ends with the
    last step, and all channels are 0 before it.

    Source: short words first helps, sometimes decides, in learning formal languages (Toborek et
    al., 2025, ICNLSP). Departures: one language instead of ten regular ones; a closed form of
    difficulty, length and depth, instead of a measure of the automaton.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        most_pairs: the largest number of pairs, >= 2.
        deepest: the largest depth, >= 1.
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test words per level, >= 2. Levels are the depths 1..deepest with 2, 4, 6, ...
            pairs, as far as a depth can be reached.

    Raises:
        ValueError: an argument is out of range.
    """

    num_classes = 2

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        most_pairs: int = 8,
        deepest: int = 4,
        examples: int = 16,
        items: int = 4096,
        per_level: int = 100,
    ):
        if most_pairs < 2 or not 1 <= deepest <= most_pairs:
            raise ValueError(
                f"most_pairs must be at least 2 and deepest in 1..most_pairs, but they are "
                f"{most_pairs} and {deepest}"
            )
        self.task_parameters = (
            integer_parameter("pairs", 1, most_pairs, most_pairs, "pairs", "half of the length"),
            integer_parameter("depth", 1, deepest, deepest, "1", "how deep nesting may go"),
        )
        self.input_shape = (2 * most_pairs, 2 * KINDS)
        self._ways = ways(2 * most_pairs, deepest)
        pairs = [*range(2, most_pairs + 1, 2)]
        levels = [(p, d) for p in pairs for d in range(1, deepest + 1) if d <= p]
        self.levels = np.array(levels, dtype=np.float64)
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw words (n, steps, 4) of pairs and depth (n, 2) and whether they are right (n,)."""
        pairs, depth = map(whole, self.task_parameters, parameters.T)
        steps, rows = self.input_shape[0], np.arange(len(pairs))
        opens = self._bracketing(pairs, np.minimum(depth, pairs), rng)
        kind = rng.integers(KINDS, size=(len(pairs), steps))
        stack = np.zeros((len(pairs), depth.max(initial=0) + 1), dtype=np.int64)
        height = np.zeros(len(pairs), dtype=np.int64)
        written = np.arange(steps) >= (steps - 2 * pairs)[:, None]
        for step in range(steps):
            up, down = opens[:, step], written[:, step] & ~opens[:, step]
            stack[rows[up], height[up]] = kind[up, step]
            height += up.astype(np.int64) - down
            kind[down, step] = stack[rows[down], height[down]]
        right = rng.integers(2, size=len(pairs))
        # The mistake: one of the closing brackets, the one with the largest random number.
        lot = np.where(written & ~opens, rng.random(opens.shape), -1).argmax(axis=1)
        kind[rows, lot] ^= 1 - right
        inputs = np.zeros((len(pairs), *self.input_shape), dtype=np.float32)
        row, step = np.nonzero(written)
        inputs[row, step, kind[row, step] + KINDS * ~opens[row, step]] = 1
        return inputs, right

    def _bracketing(
        self, pairs: np.ndarray, depth: np.ndarray, rng: np.random.Generator
    ) -> np.ndarray:
        """Which steps (n, steps) open a bracket; all bracketings are equally likely."""
        steps = self.input_shape[0]
        opens = np.zeros((len(pairs), steps), dtype=bool)
        height = np.zeros(len(pairs), dtype=np.int64)
        for step in range(steps):
            left, active = steps - step, steps - step <= 2 * pairs
            up = self._ways[depth, left - 1, height + 1]
            down = np.where(height > 0, self._ways[depth, left - 1, height - 1], 0.0)
            chance = np.divide(up, up + down, out=np.zeros(len(pairs)), where=active)
            opens[:, step] = active & (rng.random(len(pairs)) < chance)
            height += np.where(opens[:, step], 1, -1) * active
        return opens


def ways(longest: int, deepest: int) -> np.ndarray:
    """In how many ways brackets can be closed: [depth allowed, steps left, height now].

    Shape (deepest + 1, longest + 1, deepest + 2); 0 where the height is not allowed.
    """
    table = np.zeros((deepest + 1, longest + 1, deepest + 2))
    for depth in range(1, deepest + 1):
        table[depth, 0, 0] = 1
        for left in range(1, longest + 1):
            before = table[depth, left - 1]
            for height in range(depth + 1):
                lower = before[height - 1] if height else 0.0
                table[depth, left, height] = lower + before[height + 1]  # 0 above the depth
    return table

"""Addition of decimal numbers, digit by digit; long numbers need carries over many places."""

from __future__ import annotations

import numpy as np

from environments.supervised.generator import Generator, grid, integer_parameter, whole

CHANNELS = 21  # ten for the digit of each number, one for the question
BLANK = 10


class DecimalAddition(Generator):
    """Read two numbers from their last digits to their first and name one digit of the sum.

    Source: Matiisen et al., 2017, https://arxiv.org/abs/1707.00183, after Zaremba & Sutskever,
    2014, https://arxiv.org/abs/1410.4615: addition of 1 to 9 digits, the number of digits being the
    task. Inputs (longest + 1, 21): at step t the digits of both numbers at place t from the right,
    each as one of ten channels, none where a number has ended; channel 20 is 1 at the place that is
    asked for, any of the digits + 1 places of the sum, all equally likely. The class is the sum's
    digit there. A number of several digits does not begin with 0.

    Departures from the paper: an example asks for one digit instead of all of them, so that it is a
    class; the numbers are read side by side and backwards, which makes the carry local.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        longest: the largest number of digits, >= 2.
        per_operand: the task is the number of digits of each number, two integers, instead of one
            for both.
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test examples per level, >= 2. Levels are 1..longest, and with ``per_operand``
            every second pair of lengths.

    Raises:
        ValueError: an argument is out of range.
    """

    num_classes = 10

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        longest: int = 9,
        per_operand: bool = False,
        examples: int = 16,
        items: int = 4096,
        per_level: int = 100,
    ):
        if longest < 2:
            raise ValueError(f"longest must be at least 2, but is {longest}")
        names = ("first_digits", "second_digits") if per_operand else ("digits",)
        meaning = "of the numbers to add"
        self.task_parameters = tuple(
            integer_parameter(name, 1, longest, longest, "digits", meaning) for name in names
        )
        self.input_shape = (longest + 1, CHANNELS)
        lengths = np.arange(1, longest + 1, 2 if per_operand else 1)
        self.levels = grid(*[lengths] * len(names))
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw sums (n, steps, 21) of the lengths (n, 1 or 2) and the asked digits (n,)."""
        columns = zip(self.task_parameters, parameters.T, strict=True)
        lengths = np.stack([whole(one, values) for one, values in columns])
        first, second = (self._number(length, rng) for length in lengths[[0, -1]])
        digit = np.empty(first.shape, dtype=np.int64)
        carry = np.zeros(len(digit), dtype=np.int64)
        for place in range(digit.shape[1]):
            total = first[:, place] % BLANK + second[:, place] % BLANK + carry
            digit[:, place], carry = total % 10, total // 10
        asked = rng.integers(lengths.max(axis=0) + 1)
        rows = np.arange(len(digit))
        inputs = np.zeros((len(digit), *self.input_shape), dtype=np.float32)
        shown = np.eye(11, 10, dtype=np.float32)  # a blank is ten zeros
        inputs[:, :, :10], inputs[:, :, 10:20] = shown[first], shown[second]
        inputs[rows, asked, 20] = 1
        return inputs, digit[rows, asked]

    def _number(self, length: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Digits (n, steps) from the last to the first, BLANK beyond the length (n,)."""
        steps = np.arange(self.input_shape[0])
        digits = rng.integers(10, size=(len(length), len(steps)))
        leading = (steps == length[:, None] - 1) & (length[:, None] > 1)
        digits = np.where(leading, rng.integers(1, 10, size=digits.shape), digits)
        return np.where(steps < length[:, None], digits, BLANK)

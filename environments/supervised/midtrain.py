"""A plentiful noisy source and a scarce clean one that lies elsewhere: when does which help?"""

from __future__ import annotations

import numpy as np

from environments.base import SupervisedTask
from environments.supervised.data import share, symmetric_noise

SOURCES = ("general", "special")
GENERAL, SPECIAL = range(len(SOURCES))
DIMENSIONS, HIDDEN, CLASSES = 16, 24, 6
HELD_OUT = 500  # test and as many validation items per source
HELD_OUT_SEED = 20261201  # of the rule, validation and test set


class Midtrain(SupervisedTask):
    """Learn from a large noisy source, then (or before, or meanwhile) from a small clean one.

    A point has 16 numbers, its class is the largest of the six of V tanh(W x), where W (24, 16) and
    V (6, 24) are fixed standard normal matrices, W divided by 4. Both sources have this one rule.
    The general source has standard normal points and a share ``noise_rate`` of wrong labels, the
    special one points around another place, ``shift`` away from the origin in a fixed direction,
    and right labels: what it needs is rare in the general source.

    Known exactly: the rule, so that the best accuracy is 1 on both held-out sources; every wrong
    label (``truth["mislabelled"]``) and their rate. ``group`` is the source: 0 general, 1 special.
    There is no ``prior``: no order of difficulty is known. The held-out tasks are the two sources,
    500 test items each with right labels, the same for all seeds.

    Stands for: the annealing phase of OLMo 2 (2025, https://arxiv.org/abs/2501.00656), a curated
    mixture at the end of training while the learning rate falls to zero, and for staged sources in
    general. Lost in the small: sources differ in place only, not in kind; one network trained from
    scratch; exposure of the scarce source is a few passes, as there.

    Args:
        seed: draws the training set.
        general: items of the general source, >= 1.
        special: items of the special source, >= 1.
        noise_rate: share of wrong labels in the general source, in [0, 1].
        shift: distance of the special source's centre from the origin, >= 0.

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (DIMENSIONS,)
    num_classes = CLASSES
    level_names = SOURCES

    def __init__(
        self,
        seed: int,
        general: int = 20000,
        special: int = 1000,
        noise_rate: float = 0.3,
        shift: float = 4.0,
    ):
        share("noise_rate", noise_rate)
        if general < 1 or special < 1 or not 0 <= shift < np.inf:
            raise ValueError(
                f"general and special must be at least 1 and shift finite and at least 0, but they "
                f"are {general}, {special} and {shift}"
            )
        held_out = np.random.default_rng(HELD_OUT_SEED)
        self._inner = held_out.normal(size=(HIDDEN, DIMENSIONS)) / np.sqrt(DIMENSIONS)
        self._outer = held_out.normal(size=(CLASSES, HIDDEN))
        direction = held_out.normal(size=DIMENSIONS)
        self._centre = shift * direction / np.linalg.norm(direction)
        self.test_level = np.repeat([GENERAL, SPECIAL], HELD_OUT)
        self.validation, self.test = (self._draw(self.test_level, held_out) for _ in range(2))

        rng = np.random.default_rng(seed)
        self.group = np.repeat([GENERAL, SPECIAL], [general, special])
        self._inputs, right = self._draw(self.group, rng)
        wrong = symmetric_noise(right, noise_rate, CLASSES, rng)
        self.label = np.where(self.group == GENERAL, wrong, right)
        self.truth = {"mislabelled": self.label != right}

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 16) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

    def rule(self, inputs: np.ndarray) -> np.ndarray:
        """The right classes (n,) of points (n, 16)."""
        hidden = np.tanh(inputs.astype(np.float64) @ self._inner.T)
        return (hidden @ self._outer.T).argmax(axis=1)

    def _draw(self, source: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 16) float32 of sources (n,) and their right classes (n,)."""
        points = rng.normal(size=(len(source), DIMENSIONS))
        points[source == SPECIAL] += self._centre
        inputs = points.astype(np.float32)
        return inputs, self.rule(inputs)

"""Six labelling tasks of one latent code: one that needs three bits of it, others need fewer."""

from __future__ import annotations

import numpy as np

from environments.base import SupervisedTask
from environments.supervised.generator import grid

NEEDS = ((0, 1, 2), (3, 4), (0,), (1,), (3,), (5,))  # whose parity a task asks for
SIZES = (6000, 1500, 300, 300, 300, 300)  # training items per task
CODE, DIMENSIONS = 6, 24  # bits of the code, numbers of a point
GAIN = 1.5  # how far a point is from a linear function of its code
HELD_OUT = 200  # test and as many validation items per task
HELD_OUT_SEED = 20261203  # of the mixing, validation and test set


class Decathlon6(SupervisedTask):
    """Answer six kinds of questions about one latent code; the hardest kind has most of the data.

    A code has six bits, each -1 or 1 with equal chances. A point is tanh(M code) + ``noise`` e,
    where M (24, 6) is normal with deviation 1.5 / sqrt(6) and e standard normal. Asked for are the
    parity of bits 0, 1 and 2 (task 0), the parity of bits 3 and 4 (task 1) and the bits 0, 1, 3 and
    5 themselves (tasks 2 to 5), each with classes 0 and 1. Tasks have 6000, 1500, 300, 300, 300 and
    300 items. The last number of an input is the number of its task: a student has one head per
    task (``heads = 6``).

    Known exactly: the code behind every item, all labels being right, and with ``posterior`` the
    best possible answer to any point. How many bits a task needs is the hand-made order: the best
    accuracy of a parity is lower than that of its bits. ``prior`` is (bits - 1) / 2, ``group`` the
    task. The held-out tasks are the six, 200 test items each, the same for all seeds; a score is
    their mean.

    Stands for: the natural language decathlon (McCann et al., 2018,
    https://arxiv.org/abs/1806.08730), whose training begins with the hardest task and goes on with
    all. Lost in the small: six tasks instead of ten, classes instead of sequences; that tasks share
    a code is built in.

    Args:
        seed: draws the training set.
        noise: deviation of what is added to a point, > 0.

    Raises:
        ValueError: ``noise`` is not positive and finite.
    """

    input_shape = (DIMENSIONS + 1,)
    num_classes = 2
    level_names = tuple("parity of bits " + " ".join(map(str, bits)) for bits in NEEDS)

    def __init__(self, seed: int, noise: float = 0.5):
        if not 0 < noise < np.inf:
            raise ValueError(f"noise must be positive and finite, but is {noise}")
        self.noise = noise
        self.codes = grid(*[[-1.0, 1.0]] * CODE)  # (64, 6)
        held_out = np.random.default_rng(HELD_OUT_SEED)
        self._mixing = GAIN * held_out.normal(size=(DIMENSIONS, CODE)) / np.sqrt(CODE)
        self.answers = np.stack([self.codes[:, list(bits)].prod(axis=1) < 0 for bits in NEEDS])
        self.test_level = np.repeat(np.arange(len(NEEDS)), HELD_OUT)
        (*self.validation, _), (*self.test, _) = (
            self._draw(self.test_level, held_out) for _ in range(2)
        )
        self.group = np.repeat(np.arange(len(NEEDS)), SIZES)
        self.prior = (np.array([len(bits) for bits in NEEDS]) - 1)[self.group] / 2
        self._inputs, self.label, code = self._draw(self.group, np.random.default_rng(seed))
        self.truth = {"code": code}

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 25) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

    def posterior(self, inputs: np.ndarray) -> np.ndarray:
        """The chance (n,) of class 1 of inputs (n, 25), by Bayes' rule over all 64 codes."""
        centres = np.tanh(self.codes @ self._mixing.T)
        gaps = ((inputs[:, None, :-1] - centres) ** 2).sum(axis=2)
        chance = np.exp((gaps.min(axis=1, keepdims=True) - gaps) / (2 * self.noise**2))
        chance /= chance.sum(axis=1, keepdims=True)
        return (chance * self.answers[inputs[:, -1].astype(int)]).sum(axis=1)

    def _draw(
        self, task: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Inputs (n, 25) float32 of tasks (n,), their right classes and which codes they are."""
        code = rng.integers(len(self.codes), size=len(task))
        points = np.tanh(self.codes[code] @ self._mixing.T)
        points += self.noise * rng.normal(size=points.shape)
        inputs = np.column_stack([points, task]).astype(np.float32)
        return inputs, self.answers[task, code].astype(np.int64), code

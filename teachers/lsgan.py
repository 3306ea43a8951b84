"""A least-squares generative adversarial network over the unit box, with good and bad examples.

Mao, Li, Xie, Lau, Wang & Smolley, "Least squares generative adversarial networks", 2017,
https://arxiv.org/abs/1611.04076, with labels as in Florensa et al., 2018,
https://arxiv.org/abs/1705.06366, where bad examples count like generated ones.

The gradients are written out in NumPy, because networks this small spend most of their time in a
library's bookkeeping: a step of both takes 0.8 ms here and 2.0 ms in torch, on one core and with
the published sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BATCH, LEARNING_RATE, DECAY = 64, 1e-3, 0.9
LEAST_SQUARE = 1e-10  # about what TensorFlow adds; numbers that go on shrinking would get slow
LEAK = 0.1  # slope of the discriminator's units below zero
PRETRAINING = 1000  # points of the start, and points to measure with
EDGE = 0.98  # of the generator's range; tanh never reaches its ends


class Network:
    """Linear layers with leaky rectifiers between them, trained by RMSProp in single precision.

    Weights are uniform as in Glorot & Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html),
    biases zero. RMSProp (Tieleman & Hinton 2012) starts from a mean square of 1, as TensorFlow's
    does, so that the first steps are small.

    Args:
        sizes: inputs, hidden..., outputs.
        leak: slope of the rectifiers below zero.
        rng: draws the weights.
    """

    def __init__(self, sizes: Sequence[int], leak: float, rng: np.random.Generator):
        self.leak, self.shapes = np.float32(leak), list(itertools.pairwise(sizes))
        # All weights lie in one array, so that a step of the optimiser is a handful of calls.
        self.weights = np.zeros(sum((1 + i) * o for i, o in self.shapes), dtype=np.float32)
        self.gradient, self.squares = np.zeros_like(self.weights), np.ones_like(self.weights)
        self.layers, self.slopes = self._views(self.weights), self._views(self.gradient)
        for layer, (inputs, outputs) in zip(self.layers, self.shapes, strict=True):
            limit = np.sqrt(6 / (inputs + outputs))
            layer[:-1] = rng.uniform(-limit, limit, (inputs, outputs))

    def _views(self, flat: np.ndarray) -> list[np.ndarray]:
        """Per layer its weights and, in the last row, its biases (inputs + 1, outputs)."""
        ends = np.cumsum([(1 + i) * o for i, o in self.shapes])[:-1]
        parts = zip(np.split(flat, ends), self.shapes, strict=True)
        return [part.reshape(1 + i, o) for part, (i, o) in parts]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copied network looks at its own array: copying alone would cut the layers off."""
        vars(self).update(state)
        self.layers, self.slopes = self._views(self.weights), self._views(self.gradient)

    def forward(self, x: np.ndarray) -> list[np.ndarray]:
        """The inputs x (n, inputs), the values of every hidden layer, and the outputs."""
        values = [x]
        for layer in self.layers:
            if len(values) > 1:
                values[-1] = np.maximum(values[-1], self.leak * values[-1])
            values.append(values[-1] @ layer[:-1] + layer[-1])
        return values

    def backward(self, values: list[np.ndarray], slope: np.ndarray, own: bool = True) -> np.ndarray:
        """Carry the slope of a loss (n, outputs) from the outputs of ``forward`` to its inputs.

        On the way the slopes of the weights are written down, unless ``own`` is False.
        """
        for row in reversed(range(len(self.layers))):
            if own:
                np.matmul(values[row].T, slope, out=self.slopes[row][:-1])
                slope.sum(axis=0, out=self.slopes[row][-1])
            if row:
                slope = slope @ self.layers[row][:-1].T
                slope *= np.maximum(values[row] > 0, self.leak)
        return slope @ self.layers[0][:-1].T

    def descend(self) -> None:
        """Take one step of RMSProp against the slopes written down last."""
        change = np.square(self.gradient)
        change *= 1 - DECAY
        self.squares *= DECAY
        self.squares += change
        np.maximum(self.squares, LEAST_SQUARE, out=self.squares)
        np.sqrt(self.squares, out=change)
        np.divide(self.gradient, change, out=change)
        change *= LEARNING_RATE
        self.weights -= change

    def state_dict(self) -> dict[str, Any]:
        """Weights and mean squares, each in one array."""
        return {"weights": self.weights.copy(), "squares": self.squares.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.weights[:], self.squares[:] = state["weights"], state["squares"]


class LSGAN:
    """Generates points of the unit box like those labelled 1 and unlike those labelled 0.

    Args:
        size: number of dimensions, of the noise as well.
        rng: draws the weights, and later noise and batches.
        hidden: width of the generator's two hidden layers; the discriminator's are half as wide.
        reach: half the width of the generator's range around the middle of the box; 0.5 is the box.
    """

    def __init__(self, size: int, rng: np.random.Generator, hidden: int, reach: float = 0.5):
        self.size, self.rng, self.reach = size, rng, reach
        self.generator = Network((size, hidden, hidden, size), 0.0, rng)
        half = (hidden + 1) // 2
        self.discriminator = Network((size, half, half, 1), LEAK, rng)

    def sample(self, count: int) -> np.ndarray:
        """Return ``count`` generated points (count, size), float64, anywhere in the range."""
        values = self.generator.forward(self._noise(count))
        return 0.5 + self.reach * np.tanh(values[-1].astype(np.float64))

    def place(self, mean: np.ndarray, std: np.ndarray) -> None:
        """Set the generator's last layer so that its points have about this mean and deviation.

        Both have shape (size,). What lies beyond the generator's range moves to its ends.
        """
        ends = (np.stack([mean - std, mean + std]) - 0.5) / self.reach
        low, high = np.arctanh(np.clip(ends, -EDGE, EDGE))
        before = self.generator.forward(self._noise(PRETRAINING))[-1]
        scale = (high - low) / 2 / before.std(axis=0)
        self.generator.layers[-1][:-1] *= scale
        self.generator.layers[-1][-1] = (low + high) / 2 - before.mean(axis=0) * scale

    def pretrain(self, mean: np.ndarray, std: np.ndarray, iterations: int, placed: bool) -> None:
        """Fit to a Gaussian that is clipped to the box, after placing the generator if asked to."""
        if placed:
            self.place(mean, std)
        points = np.clip(self.rng.normal(mean, std, (PRETRAINING, self.size)), 0, 1)
        self.train(points, np.ones(PRETRAINING), iterations)

    def train(self, points: np.ndarray, labels: np.ndarray, iterations: int) -> None:
        """Fit to points (n, size) with labels (n,) of 0 or 1: one step of each per iteration."""
        points = ((points - 0.5) / self.reach).astype(np.float32)
        wanted = (2 * np.asarray(labels) - 1).astype(np.float32)[:, None]  # 2y - 1
        bad = np.full((BATCH, 1), -1, dtype=np.float32)
        batches = self.rng.integers(len(points), size=(iterations, BATCH))
        for batch, noise in zip(batches, self._noise(iterations, BATCH), strict=True):
            inside = self.generator.forward(noise)
            generated = np.tanh(inside[-1])
            # The discriminator's loss: the mean of (D - (2y - 1))², generated points having y = 0.
            values = self.discriminator.forward(np.concatenate([points[batch], generated]))
            gaps = values[-1] - np.concatenate([wanted[batch], bad])
            self.discriminator.backward(values, gaps / BATCH)
            self.discriminator.descend()
            # The generator's loss: the mean of (D(G) - 1)².
            values = self.discriminator.forward(generated)
            slope = self.discriminator.backward(values, (values[-1] - 1) * (2 / BATCH), own=False)
            self.generator.backward(inside, slope * (1 - np.square(generated)))
            self.generator.descend()

    def state_dict(self) -> dict[str, Any]:
        """Both networks as arrays; the generator of noise is the owner's."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])

    def _noise(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal((*shape, self.size), dtype=np.float32)

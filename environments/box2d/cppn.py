"""The network that draws Parkour's ground and ceiling: a CPPN with fixed, untrained weights.

Feed-forward without biases, 4 -> 64 tanh -> 64 softplus -> 64 tanh -> 64 softplus -> 2. Source:
TeachMyAgent (Romac, Portelas, Hofmann, Oudeyer, 2021, https://arxiv.org/abs/2103.09815); the idea
is Stanley's, "Compositional pattern producing networks", 2007,
https://doi.org/10.1007/s10710-007-9028-8. The reference evaluates it in single precision; ours
differs from it by up to 0.0025 of the raw output, 0.25 mm after the usual division by 10.
"""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np

WEIGHTS = Path(__file__).parent / "assets" / "cppn_same_ground_ceiling.npz"
LENGTH = 200  # points along the track


@functools.cache
def _weights() -> tuple[np.ndarray, ...]:
    names = (*(f"layer{number}_weight" for number in range(1, 5)), "output_weight")
    with np.load(WEIGHTS, allow_pickle=False) as file:
        return tuple(file[name] for name in names)


def evaluate(vector: np.ndarray) -> np.ndarray:
    """The raw heights of ground and ceiling along the track.

    Args:
        vector: (3,) the input that all points share, each in [-1, 1].

    Returns:
        (200, 2) float32: ground and ceiling, roughly between -320 and 350.
    """
    first, second, third, fourth, output = _weights()
    inputs = np.empty((LENGTH, 4), np.float32)
    inputs[:, 0] = np.arange(LENGTH, dtype=np.float32) / np.float32(LENGTH - 1)
    inputs[:, 1:] = vector
    hidden = _layer(_layer(inputs, first, second), third, fourth)
    return hidden @ output


def _layer(inputs: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """A tanh and a softplus layer, in place: memory costs more than arithmetic here."""
    hidden = inputs @ first
    z = np.tanh(hidden, out=hidden) @ second
    # log(1 + exp(z)), in a form that cannot overflow.
    rest = np.abs(z, out=hidden)
    np.log1p(np.exp(np.negative(rest, out=rest), out=rest), out=rest)
    return np.add(np.maximum(z, 0, out=z), rest, out=z)

"""Critics for teachers: an ensemble of value networks, what it learns from, where it disagrees.

Bootstrapped ensembles: Osband et al., 2016, https://arxiv.org/abs/1602.04621; returns of n steps:
Sutton & Barto, "Reinforcement learning: an introduction", 2018, section 7.1.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from scipy.signal import lfilter
from torch import nn


def n_step_transitions(
    rewards: np.ndarray, terminated: bool, discount: float, n: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Cut one episode with rewards (T,) into T transitions of ``n`` steps, or fewer at its end.

    Returns:
        The number of the observation that follows each (T,), up to T; the discounted rewards
        until there (T,); the factor of its value (T,), 0 after a termination; the discounted
        rewards until the end of the episode (T,).
    """
    count = len(rewards)
    # The sum over later steps is a filter of first order that runs backwards.
    returns = lfilter([1.0], [1.0, -discount], rewards[::-1])[::-1]
    end = np.minimum(np.arange(count) + n, count)
    factor = discount ** (end - np.arange(count))
    partial = returns - factor * np.append(returns, 0.0)[end]
    return end, partial, np.where((end == count) & terminated, 0.0, factor), returns


def disagreement(values: np.ndarray) -> np.ndarray:
    """Standard deviation (m,) over the critics, from values (critics, m)."""
    return values.std(axis=0)


class Ensemble(nn.Module):
    """``count`` tanh networks with layers of ``sizes``, in stacked matrices.

    Weights and biases are uniform as in torch's own layers, but drawn with NumPy.
    """

    def __init__(self, sizes: Sequence[int], count: int, rng: np.random.Generator):
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for inputs, outputs in itertools.pairwise(sizes):
            drawn = rng.uniform(-1, 1, (count, inputs + 1, outputs)) / np.sqrt(inputs)
            drawn = torch.from_numpy(drawn.astype(np.float32))
            # Adam's fused kernel takes gaps between the rows for numbers of theirs.
            self.weights.append(nn.Parameter(drawn[:, 1:].contiguous()))
            self.biases.append(nn.Parameter(drawn[:, :1].contiguous()))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Answers (count, m) to inputs (count, m, sizes[0]), a batch of its own for each."""
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs = torch.baddbmm(bias, torch.tanh(inputs) if layer else inputs, weight)
        return inputs.squeeze(-1)

"""A conditional coupling flow: an invertible map from noise to points of the unit cube.

Dinh, Sohl-Dickstein & Bengio, "Density estimation using Real NVP", 2017,
https://arxiv.org/abs/1605.08803, as conditioned on a feasibility in Racanière et al., 2019,
https://arxiv.org/abs/1909.12892.

Departures from the paper: with one dimension, where nothing else is left to condition on, a
coupling sees the feasibility alone.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BLOCKS, HIGHWAYS = 3, 3
LEAST_SCALE = 0.01
SOFT_CLIP, FAR = 1e6, -30.0  # bound of the argument of psi, and where its asymptote takes over
UNIT_SCALE = 0.9131652918245176  # 0.01 + psi(x) is 1 there


def psi(x: torch.Tensor) -> torch.Tensor:
    """A positive, increasing function: x at infinity, 1 / (3 pi x²) at minus infinity."""
    bound = SOFT_CLIP / (np.pi / 2)
    x = bound * torch.atan(x / bound)
    far = x.clamp(max=FAR)
    plain = x * (torch.atan(x) / np.pi + 0.5) + 1 / np.pi
    # Far below zero the plain form loses all digits.
    return torch.where(x < FAR, 1 / (3 * np.pi * far.square()), plain)


class HighwayPair(nn.Module):
    """Two networks of one shape, side by side: the scale and the translation of a coupling.

    Each is linear, tanh, three highway layers (Zilly et al. 2017, https://arxiv.org/abs/1607.03474)
    and linear. Weights have shape (2, inputs, outputs), so that one product serves both.
    """

    def __init__(
        self, inputs: int, outputs: int, hidden: int, rng: np.random.Generator, wide: bool
    ):
        super().__init__()
        shapes = [(inputs, hidden), *[(hidden, 2 * hidden)] * HIGHWAYS, (hidden, outputs)]
        weights = [rng.standard_normal((2, *shape)) / np.sqrt(shape[0]) for shape in shapes]
        biases = [np.zeros((2, 1, shape[1])) for shape in shapes]
        if wide:
            weights[-1][:] = 0
            biases[-1][0] = UNIT_SCALE
        self.weights = nn.ParameterList(torch.from_numpy(each) for each in weights)
        self.biases = nn.ParameterList(torch.from_numpy(each) for each in biases)
        self.layers = list(zip(self.biases, self.weights, strict=True))  # quicker to walk

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Answers (2, n, outputs) to inputs (n, inputs)."""
        first, *highways, last = self.layers
        y = torch.tanh(torch.baddbmm(first[0], x.expand(2, *x.shape), first[1]))
        for bias, weight in highways:
            change, gate = torch.baddbmm(bias, y, weight).chunk(2, dim=-1)
            y = torch.lerp(y, torch.tanh(change), torch.sigmoid(gate))
        return torch.baddbmm(last[0], y, last[1])


class Coupling(nn.Module):
    """Scales and shifts the dimensions ``moved``, by how much ``given`` and the condition tell."""

    def __init__(
        self, given: list[int], moved: list[int], hidden: int, rng: np.random.Generator, wide: bool
    ):
        super().__init__()
        self.given, self.moved = torch.tensor(given, dtype=torch.long), torch.tensor(moved)
        self.pair = HighwayPair(len(given) + 1, len(moved), hidden, rng, wide)

    def forward(
        self, x: torch.Tensor, condition: torch.Tensor, inverse: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The moved x (n, size), and the log-determinant (n,) of the way from noise to points."""
        s, shift = self.pair(torch.cat([x[:, self.given], condition], dim=1))
        scale, part = LEAST_SCALE + psi(s), x[:, self.moved]
        part = (part - shift) / scale if inverse else part * scale + shift
        return x.index_copy(1, self.moved, part), scale.log().sum(dim=1)


class Flow(nn.Module):
    """Points of (0, 1)^size from standard normal noise, given a condition.

    Three blocks of three couplings each: the left half of the dimensions moves the right one, the
    right one the left, the odd ones the even ones; then a logistic function.

    Args:
        size: number of dimensions, >= 1.
        hidden: width of the networks.
        rng: draws the weights.
        wide: start as the logistic function alone, whose points fill the cube. Otherwise every
            coupling shrinks to about a third, and the points start on a thin curve.
    """

    def __init__(self, size: int, hidden: int, rng: np.random.Generator, wide: bool = True):
        super().__init__()
        every, half = list(range(size)), size // 2
        left, right = every[:half], every[half:]
        turns = [(left, right), (right, left), (every[1::2], every[::2])] * BLOCKS
        self.size = size
        self.couplings = nn.ModuleList(
            Coupling(given, moved, hidden, rng, wide) for given, moved in turns if moved
        )

    def forward(
        self, noise: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Points (n, size) and their log-densities (n,) from noise (n, size), condition (n, 1)."""
        x, log_density = noise, self._log_normal(noise)
        for coupling in self.couplings:
            x, stretch = coupling(x, condition)
            log_density = log_density - stretch
        return torch.sigmoid(x), log_density - _log_slope(x)

    def inverse(
        self, points: torch.Tensor, condition: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Noise (n, size) and log-densities (n,) of points (n, size) inside (0, 1)."""
        x = torch.logit(points)
        log_density = -_log_slope(x)
        for coupling in reversed(self.couplings):
            x, stretch = coupling(x, condition, inverse=True)
            log_density = log_density - stretch
        return x, log_density + self._log_normal(x)

    def _log_normal(self, noise: torch.Tensor) -> torch.Tensor:
        return -0.5 * noise.square().sum(dim=1) - self.size / 2 * np.log(2 * np.pi)


def _log_slope(x: torch.Tensor) -> torch.Tensor:
    """The log-determinant (n,) of the logistic function at x (n, size)."""
    return (functional.logsigmoid(x) + functional.logsigmoid(-x)).sum(dim=1)

"""Small fully connected networks, built without touching torch's global randomness."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

ACTIVATIONS = {"tanh": (nn.Tanh, torch.tanh), "relu": (nn.ReLU, torch.relu)}
DEVICES = ("cpu", "cuda", "auto")


def resolve_device(device: str) -> torch.device:
    """Turn "cpu", "cuda" or "auto" (CUDA where there is one) into a device.

    Raises:
        ValueError: an unknown name, or "cuda" on a machine without it.
    """
    if device not in DEVICES:
        raise ValueError(f"device must be one of {', '.join(DEVICES)}, but is {device!r}")
    available = torch.cuda.is_available()
    if device == "cuda" and not available:
        raise ValueError("device 'cuda' was asked for, but torch sees no GPU; use 'auto' or 'cpu'")
    return torch.device("cuda" if available and device != "cpu" else "cpu")


def orthogonal(rows: int, columns: int, gain: float, generator: torch.Generator) -> torch.Tensor:
    """A random matrix (rows, columns) whose shorter side is orthonormal, times ``gain``.

    Source: Saxe, McClelland, Ganguli, 2014, https://arxiv.org/abs/1312.6120.
    """
    normal = torch.randn(max(rows, columns), min(rows, columns), generator=generator)
    q, r = torch.linalg.qr(normal)
    q = q * torch.sign(torch.diagonal(r))  # without it, the matrix is not uniformly distributed
    return gain * (q if rows >= columns else q.T)


def mlp(
    sizes: Sequence[int], activation: str, generator: torch.Generator, head_gain: float | None
) -> Chain:
    """Linear layers of ``sizes`` (inputs, hidden..., outputs) with zero biases.

    Hidden layers are orthogonal with gain sqrt(2) and followed by the activation. The last layer
    is linear with gain ``head_gain``; with None it is a hidden layer like the others.
    """
    if activation not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise ValueError(f"activation must be one of {known}, but is {activation!r}")
    if min(sizes) < 1:
        raise ValueError(f"layer widths must be at least 1, but are {list(sizes)}")
    layers: list[nn.Module] = []
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        is_head = head_gain is not None and number == len(sizes) - 2
        # skip_init: a plain nn.Linear would draw from the global generator.
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
        with torch.no_grad():
            gain = head_gain if is_head else 2**0.5
            layer.weight.copy_(orthogonal(outputs, inputs, gain, generator))
            layer.bias.zero_()
        layers += [layer] if is_head else [layer, ACTIVATIONS[activation][0]()]
    return Chain(layers, ACTIVATIONS[activation][1])


class Chain(nn.Sequential):
    """Linear layers with one activation between them, evaluated without calling a module for each.

    For small networks a module call costs as much as what it computes.
    """

    def __init__(self, layers: Sequence[nn.Module], activation: Callable[..., torch.Tensor]):
        super().__init__(*layers)
        self.activation, self.ends_linear = activation, isinstance(layers[-1], nn.Linear)
        self.linear = [(one.weight, one.bias) for one in layers if isinstance(one, nn.Linear)]

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """Outputs (n, outputs) for rows (n, inputs)."""
        last = len(self.linear) - 1
        for number, (weight, bias) in enumerate(self.linear):
            rows = nn.functional.linear(rows, weight, bias)
            if number < last or not self.ends_linear:
                rows = self.activation(rows)
        return rows


class ActorCritic(nn.Module):
    """A Gaussian policy with a state-independent log-std, and a value network.

    With ``shared`` both heads stand on one body; otherwise each has a body of its own.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        activation: str,
        shared: bool,
        initial_log_std: float,
        generator: torch.Generator,
    ):
        super().__init__()
        if shared:
            self.body = mlp((inputs, *hidden), activation, generator, None)
            self.policy = mlp((hidden[-1], outputs), activation, generator, 0.01)
            self.critic = mlp((hidden[-1], 1), activation, generator, 1.0)
        else:
            self.body = nn.Identity()
            self.policy = mlp((inputs, *hidden, outputs), activation, generator, 0.01)
            self.critic = mlp((inputs, *hidden, 1), activation, generator, 1.0)
        self.log_std = nn.Parameter(torch.full((outputs,), float(initial_log_std)))

    def mean(self, observations: torch.Tensor) -> torch.Tensor:
        """Mean actions (n, outputs)."""
        return self.policy(self.body(observations))

    def value(self, observations: torch.Tensor) -> torch.Tensor:
        """Values (n,)."""
        return self.critic(self.body(observations)).squeeze(-1)

    def forward(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean actions (n, outputs) and values (n,)."""
        features = self.body(observations)
        return self.policy(features), self.critic(features).squeeze(-1)

    def log_prob(self, mean: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        """Log-density (n,) of actions (n, outputs), up to a constant that cancels in ratios."""
        scaled = (actions - mean) * torch.exp(-self.log_std)
        return -0.5 * scaled.square().sum(-1) - self.log_std.sum()

    def entropy(self) -> torch.Tensor:
        """Entropy of the policy in nats."""
        return self.log_std.sum() + 0.5 * self.log_std.numel() * float(np.log(2 * np.pi * np.e))


def flatten(module: nn.Module) -> torch.Tensor:
    """Gather all parameters and gradients of a module in one vector, and return it.

    The parameters become views of it, so that clipping, the optimiser and a checkpoint deal with
    one long vector and not with a dozen short ones.
    """
    parameters = list(module.parameters())
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    flat.grad = torch.zeros_like(flat)
    start = 0
    for parameter in parameters:
        end = start + parameter.numel()
        parameter.data = flat[start:end].view_as(parameter)
        parameter.grad = flat.grad[start:end].view_as(parameter)
        start = end
    return flat


class Perceptrons(nn.Module):
    """``count`` ReLU networks of one shape, evaluated together in one batched product per layer.

    Weights are uniform as in Glorot & Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html,
    and biases start at zero.
    """

    def __init__(self, count: int, sizes: Sequence[int], generator: torch.Generator):
        super().__init__()
        if min(sizes) < 1:
            raise ValueError(f"layer widths must be at least 1, but are {list(sizes)}")
        self.layers: list[tuple[nn.Parameter, nn.Parameter]] = []
        for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
            bound = (6 / (inputs + outputs)) ** 0.5
            uniform = torch.rand((count, inputs, outputs), generator=generator)
            weight = nn.Parameter(bound * (2 * uniform - 1))
            bias = nn.Parameter(torch.zeros(count, 1, outputs))
            self.register_parameter(f"weight_{number}", weight)
            self.register_parameter(f"bias_{number}", bias)
            self.layers.append((weight, bias))

    def forward(self, rows: torch.Tensor, frozen: bool = False) -> torch.Tensor:
        """Outputs (count, n, outputs) of all networks for rows (n, inputs).

        With ``frozen`` gradients pass through to the rows and the parameters get none.
        """
        layers = [(w.detach(), b.detach()) for w, b in self.layers] if frozen else self.layers
        hidden = rows.expand(len(layers[0][0]), *rows.shape)
        for weight, bias in layers[:-1]:
            hidden = torch.baddbmm(bias, hidden, weight).relu_()
        weight, bias = layers[-1]
        return torch.baddbmm(bias, hidden, weight)


class SquashedGaussian(nn.Module):
    """A policy whose actions in (-1, 1) are the tanh of a diagonal Gaussian.

    The network gives mean and log-std; a tanh keeps the log-std within ``log_std_range``.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        log_std_range: Sequence[float],
        generator: torch.Generator,
    ):
        super().__init__()
        self.body = Perceptrons(1, (inputs, *hidden, 2 * outputs), generator)
        low, high = log_std_range
        self.log_std_middle, self.log_std_reach = (low + high) / 2, (high - low) / 2

    def gaussian(self, observations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and log-std (n, outputs) before squashing."""
        mean, raw = self.body(observations)[0].chunk(2, dim=-1)
        return mean, self.log_std_middle + self.log_std_reach * torch.tanh(raw)

    def sample(
        self, observations: torch.Tensor, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Actions (n, outputs) for standard normal noise (n, outputs), and log-densities (n,)."""
        mean, log_std = self.gaussian(observations)
        raw = torch.addcmul(mean, noise, log_std.exp())
        return torch.tanh(raw), squashed_log_prob(noise, raw, log_std)


def squashed_log_prob(
    noise: torch.Tensor, raw: torch.Tensor, log_std: torch.Tensor
) -> torch.Tensor:
    """Log-density (n,) of the action tanh(raw), where raw = mean + std x noise, all (n, outputs).

    The Gaussian's density, minus the log of tanh's slope: log(1 - tanh(x)^2) is written as
    2 x + 2 log 2 - 2 log(1 + e^(2x)), which stays exact where tanh rounds to one.
    """
    gaussian = -0.5 * (noise.square() + float(np.log(2 * np.pi))) - log_std
    slope = 2 * (raw + float(np.log(2))) - 4 * nn.functional.softplus(raw, beta=2)
    return (gaussian - slope).sum(-1)


class SoftNetworks(nn.Module):
    """What soft actor-critic learns: policy, two Q networks, temperature, perhaps a value network.

    All networks have hidden layers of the same widths.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        hidden: Sequence[int],
        log_std_range: Sequence[float],
        with_value: bool,
        temperature: float,
        generator: torch.Generator,
    ):
        super().__init__()
        self.policy = SquashedGaussian(inputs, outputs, hidden, log_std_range, generator)
        self.critics = Perceptrons(2, (inputs + outputs, *hidden, 1), generator)
        self.state_value = Perceptrons(1, (inputs, *hidden, 1), generator) if with_value else None
        self.log_temperature = nn.Parameter(torch.tensor([float(temperature)]).log())

    def temperature(self) -> torch.Tensor:
        """The weight of the entropy (1,), as a constant."""
        return self.log_temperature.detach().exp()


def twin_q(
    critics: Perceptrons, observations: torch.Tensor, actions: torch.Tensor, frozen: bool = False
) -> torch.Tensor:
    """Q values (2, n) of actions (n, outputs) at observations (n, inputs)."""
    return critics(torch.cat([observations, actions], dim=-1), frozen).squeeze(-1)

"""Small networks for teachers: drawn with NumPy, saved as plain arrays."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn


def mlp(
    sizes: Sequence[int], activation: Callable[[], nn.Module], rng: np.random.Generator
) -> nn.Sequential:
    """Linear layers of ``sizes`` (inputs, hidden..., outputs), an activation between any two.

    Weights are uniform as in Glorot & Bengio 2010 (https://proceedings.mlr.press/v9/glorot10a.html),
    biases zero. torch's own initialisation would draw from its global generator.
    """
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layer = nn.utils.skip_init(nn.Linear, inputs, outputs)
        limit = np.sqrt(6 / (inputs + outputs))
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(rng.uniform(-limit, limit, (outputs, inputs))))
            layer.bias.zero_()
        layers += [layer, activation()]
    return nn.Sequential(*layers[:-1])


class Trained:
    """A network with the optimiser of its parameters, both saved as plain arrays."""

    def __init__(self, network: nn.Module, optimiser: type[torch.optim.Optimizer], **options: Any):
        self.network, self.parameters = network, list(network.parameters())
        self.optimiser = optimiser(self.parameters, **options)

    def descend(self, loss: torch.Tensor) -> None:
        """Take one step against the gradient of ``loss``; none if it is not finite."""
        if torch.isfinite(loss):
            self.optimiser.zero_grad()
            loss.backward(inputs=self.parameters)
            self.optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        """Weights, and what the optimiser remembers of each, as lists of arrays."""
        memory = [self.optimiser.state.get(each, {}) for each in self.parameters]
        return {
            "weights": [each.detach().numpy().copy() for each in self.parameters],
            "optimiser": [{k: v.numpy().copy() for k, v in each.items()} for each in memory],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken."""
        self.optimiser.state.clear()
        stored = zip(self.parameters, state["weights"], state["optimiser"], strict=True)
        for each, weights, memory in stored:
            with torch.no_grad():
                each.copy_(torch.from_numpy(np.array(weights)))
            if memory:
                self.optimiser.state[each] = {
                    name: torch.from_numpy(np.array(value)) for name, value in memory.items()
                }

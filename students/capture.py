"""What learning on a GPU needs: optimiser steps as CUDA graphs, and a policy that acts on the CPU.

An optimiser step of a small network is a hundred kernels of a few microseconds, each of which the
CPU takes longer to launch than the GPU to run; a graph launches all of them at once. Acting takes
one small product per step of the worlds: the CPU is done with it before a GPU has received the
observations. So worlds and acting stay on the CPU, the weights follow after every round of
updates, and nothing is transferred per step.

On the CPU a student does without all this; the tests run it there with ``record=again``.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import nn

from students.networks import flatten

WARM_UP = 3  # steps before a recording, on which libraries and optimiser set themselves up
Step = Callable[[], None]
Record = Callable[[Step], Step]


def record_graph(step: Step) -> Step:
    """Record ``step`` as a CUDA graph, without running it; return what replays it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def again(step: Step) -> Step:
    """What stands for a recording where there is no GPU: the step itself."""
    return step


class Captured:
    """A function of tensors that is recorded once per shape of its arguments, and then replayed.

    The function must change its own tensors in place, return nothing and read nothing back from
    the GPU. The first calls with each shape run as they are: they count, too.

    Args:
        function: what to capture.
        record: turns a step without arguments into its replay.
    """

    def __init__(self, function: Callable[..., None], record: Record):
        self.function, self.record = function, record
        self.forget()

    def forget(self) -> None:
        """Drop all recordings: tensors that the function uses have been replaced."""
        self.calls: Counter[tuple[torch.Size, ...]] = Counter()
        self.recorded: dict[tuple[torch.Size, ...], tuple[list[torch.Tensor], Step]] = {}

    def __call__(self, *columns: torch.Tensor) -> None:
        """Call the function, or replay what it did with arguments of these shapes."""
        shapes = tuple(column.shape for column in columns)
        self.calls[shapes] += 1
        if self.calls[shapes] <= WARM_UP:
            return _aside(lambda: self.function(*columns), columns[0].device)
        if shapes not in self.recorded:
            inputs = [torch.empty_like(column) for column in columns]
            self.recorded[shapes] = inputs, self.record(lambda: self.function(*inputs))
        inputs, replay = self.recorded[shapes]
        for held, column in zip(inputs, columns, strict=True):
            held.copy_(column)
        replay()


def _aside(step: Step, device: torch.device) -> None:
    """Run a step on a stream of its own, as the warm-up of a graph must."""
    if device.type != "cuda":
        return step()
    current, stream = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    stream.wait_stream(current)
    with torch.cuda.stream(stream):
        step()
    current.wait_stream(stream)


class Accelerated:
    """A student's update on a GPU, and the copy of its network that acts on the CPU.

    Args:
        network: what learns; ``parameters`` is its flat vector.
        descend: one optimiser step on a batch.
        record: see ``Captured``.
    """

    def __init__(
        self,
        network: nn.Module,
        parameters: torch.Tensor,
        descend: Callable[..., None],
        record: Record = record_graph,
    ):
        self.actor = copy.deepcopy(network).cpu().requires_grad_(False)
        self.own, self.parameters = flatten(self.actor), parameters
        self.descend = Captured(descend, record)

    def renew(self) -> None:
        """Begin anew: weights and the tensors of the optimiser have been replaced."""
        self.descend.forget()
        self.follow()

    def follow(self) -> None:
        """Let the network that acts have the weights of the one that learns."""
        self.own.copy_(self.parameters)


def accelerated(
    network: nn.Module, parameters: torch.Tensor, descend: Callable[..., None]
) -> Accelerated | None:
    """What a student on a GPU has beside its network; None on the CPU, which needs nothing."""
    if parameters.device.type != "cuda":
        return None
    return Accelerated(network, parameters, descend)


def adam(
    parameters: torch.Tensor, learning_rate: float, **options: float | bool
) -> torch.optim.Adam:
    """Adam on one flat vector; on a GPU with all its numbers there, so that it can be captured."""
    if parameters.device.type == "cuda":
        rate = torch.tensor(learning_rate, device=parameters.device)
        return torch.optim.Adam([parameters], rate, capturable=True, **options)
    return torch.optim.Adam([parameters], learning_rate, **options)


def set_rate(optimizer: torch.optim.Adam, learning_rate: float) -> None:
    """Change the learning rate where the optimiser keeps it."""
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(learning_rate)
    else:
        group["lr"] = learning_rate

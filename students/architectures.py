"""What a classifier may be made of: convolutions, recurrent layers, a transformer, choosers.

Each body turns inputs (n, *input_shape) into an embedding (n, width); one linear layer turns that
into logits. Choosers take a query and one candidate per class, and give each candidate a logit.
Shapes without an axis that a body needs get one: a convolution folds a vector of s x s
numbers into a square image, and takes any other vector for an image of one row; a sequence of plain
numbers has one channel.

Sources: Elman, 1990, https://doi.org/10.1207/s15516709cog1402_1 (rnn); Cho et al., 2014,
https://arxiv.org/abs/1406.1078 (gru); Hochreiter & Schmidhuber, 1997,
https://doi.org/10.1162/neco.1997.9.8.1735 (lstm); Vaswani et al., 2017,
https://arxiv.org/abs/1706.03762 with the normalisation before each part of Xiong et al., 2020,
https://arxiv.org/abs/2002.04745 (transformer).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.func import functional_call

RECURRENT = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
CHOOSERS = ("scorer", "dual")
ARCHITECTURES = ("mlp", "cnn", *RECURRENT, "transformer", *CHOOSERS)
SCALE = 10.0  # what a dual encoder's cosines are multiplied by, to begin with


class Convolutions(nn.Module):
    """3 x 3 convolutions with ReLU, each but the last followed by a 2 x 2 maximum.

    The embedding is every channel's mean and maximum over the places that are left, so that its
    width, twice the last number of channels, does not depend on the size of the image.
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int]):
        super().__init__()
        self.image = image_shape(input_shape)
        pairs = itertools.pairwise((self.image[0], *hidden))
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=1) for inputs, outputs in pairs
        )
        self.width = 2 * hidden[-1]
        self.smoothing = 0.0  # deviation of a blur after each convolution, in pixels

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, width) of inputs (n, *input_shape)."""
        planes = inputs.reshape(len(inputs), *self.image)
        for number, layer in enumerate(self.layers):
            if number:
                # A side of one pixel stays as it is.
                planes = nn.functional.max_pool2d(planes, 2, ceil_mode=True)
            planes = blurred(layer(planes), self.smoothing).relu()
        return torch.cat([planes.mean(dim=(2, 3)), planes.amax(dim=(2, 3))], dim=1)


def blurred(planes: torch.Tensor, deviation: float) -> torch.Tensor:
    """Planes (n, channels, h, w) after a Gaussian filter of 3 x 3 pixels; 0 leaves them alone.

    Source: Sinha et al., 2020, https://arxiv.org/abs/2003.01367. Beyond the edges are zeros.
    """
    if deviation == 0:
        return planes
    side = math.exp(-0.5 / max(deviation, 1e-3) ** 2)
    line = torch.tensor([side, 1.0, side], dtype=planes.dtype, device=planes.device)
    kernel = torch.outer(line, line) / line.sum() ** 2
    channels = planes.shape[1]
    kernel = kernel.expand(channels, 1, 3, 3)
    return nn.functional.conv2d(planes, kernel, padding=1, groups=channels)


class Recurrent(nn.Module):
    """Recurrent layers over a sequence (steps, channels); the embedding is the last state."""

    def __init__(self, kind: str, input_shape: Sequence[int], hidden: Sequence[int]):
        super().__init__()
        self.sequence = sequence_shape(input_shape)
        pairs = itertools.pairwise((self.sequence[1], *hidden))
        self.layers = nn.ModuleList(
            RECURRENT[kind](inputs, outputs, batch_first=True) for inputs, outputs in pairs
        )
        self.width = hidden[-1]

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, width) of inputs (n, *input_shape)."""
        states = inputs.reshape(len(inputs), *self.sequence)
        for layer in self.layers:
            states, _ = layer(states)
        return states[:, -1]


class Attention(nn.Module):
    """A transformer encoder over a sequence (steps, channels), without dropout.

    Learned places are added to the projected steps; the embedding is the mean over all steps after
    a last normalisation.
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int], attention_heads: int):
        super().__init__()
        self.sequence = sequence_shape(input_shape)
        steps, channels = self.sequence
        self.width = hidden[-1]
        self.project = nn.Linear(channels, self.width)
        self.places = nn.Parameter(torch.empty(steps, self.width))
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, attention_heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
            )
            for width in hidden
        )
        self.norm = nn.LayerNorm(self.width)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, width) of inputs (n, *input_shape)."""
        states = self.project(inputs.reshape(len(inputs), *self.sequence)) + self.places
        for block in self.blocks:
            states = block(states)
        return self.norm(states).mean(dim=1)


class Network(nn.Module):
    """A body and the linear layer that makes logits of its embedding.

    With ``heads`` > 1 there are as many linear layers; the last input channel holds the number of
    the one that answers, the same at every step, and is not shown to the body.
    """

    def __init__(self, body: nn.Module, num_classes: int, heads: int):
        super().__init__()
        self.body, self.heads, self.num_classes = body, heads, num_classes
        self.output = nn.Linear(body.width, num_classes * heads)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, classes) and embeddings (n, width)."""
        if self.heads == 1:
            embedding = self.body(inputs)
            return self.output(embedding), embedding
        embedding = self.body(inputs[:, :, :-1])
        return of_head(self.output(embedding), inputs[:, 0, -1], self.heads), embedding


def of_head(every: torch.Tensor, head: torch.Tensor, heads: int) -> torch.Tensor:
    """The logits (n, classes) of the heads (n,) that answer, from those of all, one after another.

    Raises:
        ValueError: a head is not one of ``heads``.
    """
    head = head.long()
    if len(head) and not (head.min() >= 0 and head.max() < heads):
        raise ValueError(
            f"the last channel must hold a head in 0..{heads - 1}, but holds "
            f"{int(head.min())} to {int(head.max())}"
        )
    rows = torch.arange(len(head), device=head.device)
    return every.view(len(head), heads, -1)[rows, head]


class Layers(nn.Sequential):
    """Linear layers with ReLU after each but, unless ``last``, the last one."""

    def __init__(self, inputs: int, hidden: Sequence[int], last: bool):
        parts: list[nn.Module] = []
        for width, units in itertools.pairwise((inputs, *hidden)):
            parts += [nn.Linear(width, units), nn.ReLU()]
        super().__init__(*(parts if last else parts[:-1]))


class Scorer(nn.Module):
    """Gives every candidate a score from query q, candidate a and their product q a, together.

    Row 0 of an input is the query, the others are the candidates, whose scores are the logits. The
    embedding is the mean of the candidates' last hidden layers.
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int]):
        super().__init__()
        self.layers = Layers(3 * input_shape[1], hidden, last=True)
        self.score = nn.Linear(hidden[-1], 1)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, candidates) and embeddings (n, width) of inputs (n, 1 + candidates, d)."""
        query, others = inputs[:, :1].expand_as(inputs[:, 1:]), inputs[:, 1:]
        states = self.layers(torch.cat([query, others, query * others], dim=2))
        return self.score(states)[:, :, 0], states.mean(dim=1)


class DualEncoder(nn.Module):
    """Encodes the query and every candidate apart; logits are their scaled cosines.

    With cross-entropy the loss is InfoNCE over the candidates of an input (van den Oord et al.,
    2018, https://arxiv.org/abs/1807.03748), with a learned scale as in CLIP (Radford et al., 2021,
    https://arxiv.org/abs/2103.00020). The embedding is the query's, of length 1.
    """

    def __init__(self, input_shape: Sequence[int], hidden: Sequence[int]):
        super().__init__()
        self.query, self.other = (Layers(input_shape[1], hidden, last=False) for _ in range(2))
        self.log_scale = nn.Parameter(torch.zeros(()))

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, candidates) and embeddings (n, width) of inputs (n, 1 + candidates, d)."""
        query = nn.functional.normalize(self.query(inputs[:, 0]), dim=1)
        others = nn.functional.normalize(self.other(inputs[:, 1:]), dim=2)
        cosines = torch.einsum("nd,nkd->nk", query, others)
        return SCALE * self.log_scale.exp() * cosines, query


class Stateless:
    """A network as a function of its inputs and parameters, which its caller keeps.

    ``shapes`` lists the parameters' shapes in order.
    """

    def __init__(self, network: nn.Module):
        self.network = network
        self.names = [name for name, _ in network.named_parameters()]
        self.shapes = [tuple(values.shape) for values in network.parameters()]

    def __call__(
        self, inputs: torch.Tensor, parameters: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (n, classes) and embeddings (n, width) of inputs (n, *input_shape)."""
        values: Mapping[str, torch.Tensor] = dict(zip(self.names, parameters, strict=True))
        return functional_call(self.network, values, (inputs,))

    def initial(self, generator: torch.Generator) -> torch.Tensor:
        """All parameters one after the other, drawn from ``generator``.

        Weights are uniform in ±1/√inputs (a recurrent layer: ±1/√units), as torch's own layers are;
        biases start at 0, but an LSTM's forget gate at 1 (Jozefowicz et al., 2015,
        https://proceedings.mlr.press/v37/jozefowicz15.html). Normalisations start as the identity
        and places as normal numbers of deviation 0.02.
        """
        norms = [
            f"{name}." for name, part in self.network.named_modules() if type(part) is nn.LayerNorm
        ]
        lstms = [f"{name}." for name, part in self.network.named_modules() if type(part) is nn.LSTM]
        parts = []
        for name, shape in zip(self.names, self.shapes, strict=True):
            values = torch.zeros(shape)
            if name.endswith("places"):
                values = 0.02 * torch.randn(shape, generator=generator)
            elif name.startswith(tuple(norms)) and norms:
                values += float(name.endswith("weight"))
            elif len(shape) > 1:
                units = shape[0] if "weight_hh" not in name and "weight_ih" not in name else 0
                inputs = math.prod(shape[1:]) if units else self._units(name)
                values = (2 * torch.rand(shape, generator=generator) - 1) * inputs**-0.5
            elif "bias_ih" in name and name.startswith(tuple(lstms)) and lstms:
                values[len(values) // 4 : len(values) // 2] = (
                    1  # gates: input, forget, cell, output
                )
            parts.append(values.reshape(-1))
        return torch.cat(parts)

    def _units(self, name: str) -> int:
        """How many units the recurrent layer of a weight has."""
        return self.network.get_submodule(name.rpartition(".")[0]).hidden_size


def build(
    architecture: str,
    input_shape: Sequence[int],
    num_classes: int,
    hidden: Sequence[int],
    heads: int,
    attention_heads: int,
) -> Stateless:
    """Build any architecture but the MLP, without touching torch's global generator.

    Raises:
        ValueError: an option does not fit the architecture or the shape.
    """
    if not hidden:
        raise ValueError(f"architecture {architecture!r} needs at least one width in hidden")
    if heads > 1:
        if architecture == "cnn" or len(input_shape) != 2 or input_shape[1] < 2:
            raise ValueError(
                f"heads = {heads} needs a recurrent or transformer architecture and inputs (steps, "
                f"channels + 1), but it is {architecture!r} with {tuple(input_shape)}"
            )
        input_shape = (input_shape[0], input_shape[1] - 1)
    bodies: dict[str, Callable[[], nn.Module]] = {
        "cnn": lambda: Convolutions(input_shape, hidden),
        "transformer": lambda: Attention(input_shape, hidden, attention_heads),
    }
    if architecture == "transformer" and (
        len(set(hidden)) > 1 or attention_heads < 1 or hidden[0] % attention_heads
    ):
        raise ValueError(
            f"a transformer needs equal widths that attention_heads divides, but hidden is "
            f"{list(hidden)} and attention_heads {attention_heads}"
        )
    if architecture in CHOOSERS:
        chooser = Scorer if architecture == "scorer" else DualEncoder
        if heads > 1 or len(input_shape) != 2 or input_shape[0] != num_classes + 1:
            raise ValueError(
                f"a {architecture} needs one head and inputs ({num_classes + 1}, numbers), a query "
                f"and one row per class, but heads is {heads} and inputs are {tuple(input_shape)}"
            )
        with torch.device("meta"):
            return Stateless(chooser(input_shape, hidden))
    with torch.device("meta"):  # shapes only: torch's own initial values draw globally
        body = bodies.get(architecture, lambda: Recurrent(architecture, input_shape, hidden))()
        return Stateless(Network(body, num_classes, heads))


def image_shape(input_shape: Sequence[int]) -> tuple[int, int, int]:
    """Channels, height and width of what a convolution takes inputs for.

    Raises:
        ValueError: more than three axes.
    """
    shape = tuple(input_shape)
    if len(shape) == 1:
        side = math.isqrt(shape[0])
        return (1, side, side) if side * side == shape[0] else (1, 1, shape[0])
    if len(shape) > 3:
        raise ValueError(f"a convolution needs (channels, height, width), but got {shape}")
    return (1, *shape) if len(shape) == 2 else shape  # type: ignore[return-value]


def sequence_shape(input_shape: Sequence[int]) -> tuple[int, int]:
    """Steps and channels of what a recurrent layer or a transformer takes inputs for."""
    return int(input_shape[0]), math.prod(input_shape[1:])

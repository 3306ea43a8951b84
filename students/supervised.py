"""A classifier for supervised tasks, of several architectures, trained with Adam.

Adam: Kingma & Ba, 2015, https://arxiv.org/abs/1412.6980. Architectures beside the multilayer
perceptron: students/architectures.py.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from students.architectures import ARCHITECTURES, build, of_head
from students.base import Slope, SupervisedStudent, Weigh
from students.rates import Rates

# Finite-difference step along the unit gradient; in float64 the error is far below 0.1 %.
PROBE_STEP = 1e-3


class Classifier(SupervisedStudent):
    """A network with cross-entropy and Adam: by default a multilayer perceptron with ReLU layers.

    All parameters lie one after the other in a single vector: weights and biases of each layer are
    views into it. One optimiser call then updates everything, and saving or displacing the student
    means touching one array. Nothing is random after the initial parameters: no dropout, no batch
    statistics.

    Args:
        input_shape: shape of one input; how an architecture reads it: students/architectures.py.
        num_classes: how many classes, at least 2.
        seed: draws the initial parameters, uniform in ±1/√inputs of each layer.
        device: "cpu", "cuda" or "auto" (cuda if there is one).
        hidden: one number per layer: units of a perceptron or recurrent layer, channels of a
            convolution, width of a transformer block (all equal). Empty makes a linear classifier
            of an MLP and is refused otherwise.
        learning_rate: Adam's step size, > 0.
        betas: Adam's decay rates of the two moments, each in [0, 1).
        epsilon: Adam's term against division by zero, > 0.
        architecture: "mlp", "cnn", "rnn", "gru", "lstm", "transformer", or for inputs of a query
            and one candidate per class "scorer" and "dual".
        heads: output layers of any architecture but "cnn"; with more than one, the last input
            channel (of an MLP: the last number of an input) holds the number of the one that
            answers and is hidden from the rest.
        attention_heads: of each transformer block; divides its width.
        clip: the largest norm of a gradient, > 0; a longer one is shortened. 0 never does.
        schedule: how the learning rate goes on: "constant", "wsd", "linear" or "cosine", see
            students/rates.py.
        schedule_updates: the updates of a run, which all schedules but the constant one need.
        decay_share: the share of them over which "wsd" falls, in (0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        num_classes: int,
        *,
        seed: int,
        device: str = "cpu",
        hidden: Sequence[int] = (128, 128),
        learning_rate: float = 2e-3,
        betas: Sequence[float] = (0.9, 0.999),
        epsilon: float = 1e-8,
        architecture: str = "mlp",
        heads: int = 1,
        attention_heads: int = 4,
        clip: float = 0.0,
        schedule: str = "constant",
        schedule_updates: int = 0,
        decay_share: float = 0.1,
    ):
        _check(num_classes, hidden, learning_rate, betas, epsilon)
        if architecture not in ARCHITECTURES or heads < 1 or not clip >= 0:
            raise ValueError(
                f"architecture must be one of {', '.join(ARCHITECTURES)}, heads at least 1 and "
                f"clip at least 0, but they are {architecture!r}, {heads} and {clip}"
            )
        self.input_shape = tuple(int(size) for size in input_shape)
        self.num_classes = int(num_classes)
        self.device = _device(device)
        self.updates = 0
        self.architecture, self.clip = architecture, clip
        self.rates = Rates(learning_rate, schedule, schedule_updates, decay_share)
        if architecture == "mlp":
            self._network: Any = Perceptron(self.input_shape, num_classes, hidden, heads)
        else:
            shape = self.input_shape
            self._network = build(architecture, shape, num_classes, hidden, heads, attention_heads)
        self._shapes = self._network.shapes
        generator = torch.Generator().manual_seed(seed)
        self.parameters = self._network.initial(generator).to(self.device)
        self._leaves = [leaf.requires_grad_() for leaf in self._views(self.parameters)]
        # The leaves' gradients are views into one vector too, the optimiser sees only vectors.
        self.parameters.grad = torch.zeros_like(self.parameters)
        for leaf, gradient in zip(self._leaves, self._views(self.parameters.grad), strict=True):
            leaf.grad = gradient
        self.optimizer = torch.optim.Adam(
            [self.parameters], lr=learning_rate, betas=tuple(betas), eps=epsilon, fused=True
        )

    def train(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        weigh: Weigh | None = None,
        slope: Slope | None = None,
    ) -> dict[str, np.ndarray]:
        """Take one optimiser step; see ``SupervisedStudent.train``.

        Raises:
            ValueError: inputs or targets do not fit the student, or weights that are not finite,
                not >= 0 or not of shape (n,).
        """
        logits, embedding = self._network(self._tensor(inputs), self._leaves)
        losses = self._losses(logits, targets)
        report = {
            "loss": _array(losses),
            "logits": _array(logits),
            "embedding": _array(embedding),
        }
        report["correct"] = (report["logits"].argmax(axis=1) == targets).astype(np.float64)
        weights = None
        if weigh is not None:
            # The teacher gets copies: what it does to them must not reach the graph.
            weights = weigh({name: report[name].copy() for name in ("loss", "logits")})
            weights = _checked_weights(weights, len(targets))
            if not weights.any():
                return report
        if slope is not None:
            gradient = slope(report["logits"].copy(), np.array(targets), weights)
            self._step(logits, torch.from_numpy(gradient).to(self.device))
        elif weights is None:
            self._step(losses.mean())
        else:
            self._step((losses * torch.from_numpy(weights).to(self.device)).mean())
        return report

    def adjust(self, settings: Mapping[str, float]) -> None:
        """Blur what each convolution gives from now on, with the deviation "smoothing" >= 0.

        A filter of 3 x 3 pixels; 0 is none. It stays for prediction too.

        Raises:
            ValueError: another setting, another architecture, or a deviation below 0.
        """
        for name, value in settings.items():
            if name != "smoothing" or self.architecture != "cnn" or not 0 <= value < np.inf:
                raise ValueError(
                    f"a classifier can only set 'smoothing' >= 0, and only of the architecture "
                    f"cnn, but {name!r} is to be {value} with {self.architecture}"
                )
            self._network.network.body.smoothing = float(value)

    @torch.no_grad()
    def predict(self, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """Return "logits" (n, classes) and "embedding" (n, width) without learning anything."""
        logits, embedding = self._network(self._tensor(inputs), self._leaves)
        return {"logits": _array(logits), "embedding": _array(embedding)}

    def alignment(
        self,
        inputs: np.ndarray,
        targets: np.ndarray,
        reference: tuple[np.ndarray, np.ndarray],
        step: np.ndarray | None = None,
    ) -> np.ndarray:
        """Inner products (n,) of each example's gradient with the mean one of ``reference``.

        With g the reference gradient and ĝ its direction, a central difference along ĝ gives all
        products in two forward passes: (ℓ_i(θ + δĝ) − ℓ_i(θ − δĝ)) · ‖g‖ / 2δ. Computed in float64
        on copies; the student does not change. With ``step`` (n,), g is the reference gradient at
        θ − Σ step_i ∇ℓ_i(θ).
        """
        base = there = self.parameters.detach().double()
        if step is not None:
            weights = torch.from_numpy(np.array(step, dtype=np.float64)).to(self.device)
            there = base - self._gradient(base, inputs, targets, weights)
        gradient = self._gradient(there, *reference)
        length = gradient.norm()
        if not length > 0:
            return np.zeros(len(targets))
        inputs = self._tensor(inputs).double()
        with torch.no_grad():
            ahead, behind = (
                self._losses(self._network(inputs, self._views(base + step * gradient))[0], targets)
                for step in (PROBE_STEP / length, -PROBE_STEP / length)
            )
            return _array((ahead - behind) * length / (2 * PROBE_STEP))

    def _gradient(
        self,
        at: torch.Tensor,
        inputs: np.ndarray,
        targets: np.ndarray,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """The gradient of the mean loss, or of a weighted sum, at the parameters ``at``."""
        point = at.clone().requires_grad_()
        logits, _ = self._network(self._tensor(inputs).double(), self._views(point))
        losses = self._losses(logits, targets)
        total = losses.mean() if weights is None else (losses * weights).sum()
        (gradient,) = torch.autograd.grad(total, point)
        return gradient

    def state_dict(self) -> dict[str, Any]:
        """Parameters and Adam's moments, each (number of parameters,), and the update count."""
        slots = self.optimizer.state.get(self.parameters, {})
        convolves = self.architecture == "cnn"
        return {
            "updates": self.updates,
            **({"smoothing": self._network.network.body.smoothing} if convolves else {}),
            "parameters": _array(self.parameters).copy(),
            "optimizer": {name: _array(value).copy() for name, value in slots.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            ValueError: the state belongs to a network of another size.
        """
        values = np.asarray(state["parameters"], dtype=np.float32)
        if values.shape != tuple(self.parameters.shape):
            raise ValueError(
                f"the state holds {values.size} parameters, but this student has "
                f"{self.parameters.numel()}; was it saved with other layer widths?"
            )
        self.updates = int(state["updates"])
        if self.architecture == "cnn":
            self.adjust({"smoothing": float(state.get("smoothing", 0.0))})
        self.parameters.copy_(torch.from_numpy(values))
        slots = {
            name: torch.tensor(value, dtype=torch.float32, device=self.device)
            for name, value in state["optimizer"].items()
        }
        self.optimizer.state.clear()
        if slots:
            self.optimizer.state[self.parameters] = slots

    def _step(self, objective: torch.Tensor, gradient: torch.Tensor | None = None) -> None:
        """Descend a number, or what has this ``gradient`` by the tensor ``objective``."""
        self.parameters.grad.zero_()  # autograd adds to it through the leaves' views
        objective.backward(gradient)
        if self.clip and (length := float(self.parameters.grad.norm())) > self.clip:
            self.parameters.grad.mul_(self.clip / length)
        self.optimizer.param_groups[0]["lr"] = self.rates(self.updates)
        self.optimizer.step()
        self.updates += 1

    def _losses(self, logits: torch.Tensor, targets: np.ndarray) -> torch.Tensor:
        targets = torch.from_numpy(_writable(targets, np.int64)).to(self.device)
        try:
            return functional.cross_entropy(logits, targets, reduction="none")
        except (IndexError, ValueError, RuntimeError) as error:
            raise ValueError(
                f"targets must be {len(logits)} class numbers in 0..{self.num_classes - 1}, "
                f"but do not fit: {error}"
            ) from error

    def _tensor(self, inputs: np.ndarray) -> torch.Tensor:
        """Inputs (n, *input_shape) as a float32 tensor of that shape."""
        inputs = _writable(inputs, np.float32)
        if inputs.shape[1:] != self.input_shape:
            raise ValueError(
                f"inputs must have shape (n, {', '.join(map(str, self.input_shape))}), "
                f"but have {inputs.shape}; the first axis is the batch"
            )
        return torch.from_numpy(inputs).to(self.device)

    def _views(self, vector: torch.Tensor) -> list[torch.Tensor]:
        """The parameters of each layer, as views into a vector of all parameters."""
        sizes = [int(np.prod(shape)) for shape in self._shapes]
        return [
            part.view(shape) for part, shape in zip(vector.split(sizes), self._shapes, strict=True)
        ]


class Perceptron:
    """Linear layers with ReLU between them, as a function of inputs and parameters.

    ``shapes`` lists weight (outputs, inputs) and bias (outputs,) of each layer in order. With
    ``heads`` > 1 the last number of an input chooses among as many output layers.
    """

    def __init__(
        self, input_shape: Sequence[int], num_classes: int, hidden: Sequence[int], heads: int
    ):
        size = int(np.prod(input_shape, dtype=np.int64)) - (heads > 1)
        if size < 1:
            raise ValueError(f"heads = {heads} needs inputs of at least two numbers")
        self.heads, self.num_classes = heads, num_classes
        widths = [size, *hidden, num_classes * heads]
        self.shapes = [
            shape
            for inputs, outputs in itertools.pairwise(widths)
            for shape in ((outputs, inputs), (outputs,))
        ]

    def __call__(
        self, inputs: torch.Tensor, layers: Sequence[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits (n, classes) and the last hidden layer (n, width)."""
        flat = inputs.flatten(1)
        embedding = flat if self.heads == 1 else flat[:, :-1]
        for index in range(0, len(layers) - 2, 2):
            embedding = functional.linear(embedding, layers[index], layers[index + 1]).relu()
        logits = functional.linear(embedding, layers[-2], layers[-1])
        if self.heads > 1:
            logits = of_head(logits, flat[:, -1], self.heads)
        return logits, embedding

    def initial(self, generator: torch.Generator) -> torch.Tensor:
        """All parameters one after the other, uniform in ±1/√inputs of each layer."""
        parts = []
        for weight, bias in zip(self.shapes[0::2], self.shapes[1::2], strict=True):
            bound = weight[1] ** -0.5
            for shape in (weight, bias):
                uniform = torch.rand(int(np.prod(shape)), generator=generator)
                parts.append((2 * uniform - 1) * bound)
        return torch.cat(parts)


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()


def _writable(values: np.ndarray, dtype: type) -> np.ndarray:
    """A contiguous array that torch may share; torch warns about read-only ones."""
    values = np.ascontiguousarray(values, dtype=dtype)
    return values if values.flags.writeable else values.copy()


def _checked_weights(weights: np.ndarray, count: int) -> np.ndarray:
    weights = np.asarray(weights, dtype=np.float32)
    # NaN fails the comparison with 0, infinity the one below it.
    if weights.shape != (count,) or not (weights.min() >= 0 and weights.max() < np.inf):
        raise ValueError(
            f"weights must be {count} finite numbers >= 0, but have shape {weights.shape} "
            f"and begin with {weights.ravel()[:3]}"
        )
    return weights


def _device(name: str) -> torch.device:
    if name not in ("cpu", "cuda", "auto"):
        raise ValueError(f"device must be 'cpu', 'cuda' or 'auto', but is {name!r}")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def _check(
    num_classes: int,
    hidden: Sequence[int],
    learning_rate: float,
    betas: Sequence[float],
    epsilon: float,
) -> None:
    if num_classes < 2:
        raise ValueError(f"num_classes must be at least 2, but is {num_classes}")
    if any(width < 1 for width in hidden):
        raise ValueError(f"hidden layer widths must be at least 1, but are {list(hidden)}")
    if not (learning_rate > 0 and epsilon > 0):
        raise ValueError(
            f"learning_rate and epsilon must be > 0, but are {learning_rate} and {epsilon}"
        )
    if len(betas) != 2 or not all(0 <= beta < 1 for beta in betas):
        raise ValueError(f"betas must be two numbers in [0, 1), but are {list(betas)}")

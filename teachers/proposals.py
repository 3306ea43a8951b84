"""What a valid proposal is. Shared by the training loops and by ``check_teacher``."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from teachers.base import Proposal, TaskSpace


def validate_proposal(proposal: Proposal, space: TaskSpace | spaces.Space, count: int) -> None:
    """Raise unless ``proposal`` holds ``count`` tasks of ``space``; nothing is repaired.

    Tasks have shape (count, *space.shape) and dtype float64 for a ``Box``, shape (count,) and an
    integer dtype for ``Discrete``. Weights are None or (count,), finite and >= 0. Seeds are None or
    (count,) integers >= 0.

    Args:
        proposal: what ``propose`` returned.
        space: the task space; a ``TaskSpace`` gives its dimension names to the message.
        count: how many tasks were asked for.

    Raises:
        ValueError: one sentence with the offending value, the rule and a fix.
    """
    names: tuple[str, ...] = ()
    if isinstance(space, TaskSpace):
        space, names = space.space, space.names
    _check_types(proposal)
    tasks = proposal.tasks
    if isinstance(space, spaces.Discrete):
        _check_items(tasks, space, count)
    else:
        _check_vectors(tasks, space, count, names)
    if proposal.weights is not None:
        _check_weights(proposal.weights, count)
    if proposal.seeds is not None:
        _check_seeds(proposal.seeds, count)


def _check_types(proposal: Any) -> None:
    if not isinstance(proposal, Proposal):
        raise ValueError(
            f"propose() returned a {type(proposal).__name__}; expected a Proposal; "
            "return Proposal(tasks)"
        )
    for name in ("tasks", "weights", "seeds"):
        values = getattr(proposal, name)
        if not isinstance(values, np.ndarray) and not (values is None and name != "tasks"):
            raise ValueError(
                f"propose() returned {name} as a {type(values).__name__}; expected a NumPy array; "
                "wrap it in np.asarray"
            )


def _check_shape(name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise ValueError(
            f"propose() returned {name} of shape {shape}; expected {expected}; "
            "the first axis is the `count` that was asked for"
        )


def _check_items(tasks: np.ndarray, space: spaces.Discrete, count: int) -> None:
    if tasks.shape != (count,):
        _check_shape("tasks", tasks.shape, (count,))
    if tasks.dtype.kind not in "iu":
        raise ValueError(
            f"propose() returned tasks of dtype {tasks.dtype}; expected integers, because the task "
            "space is Discrete; convert with tasks.astype(np.int64)"
        )
    first, last = space.start, space.start + space.n - 1
    if count and (tasks.min() < first or tasks.max() > last):
        wrong = tasks[(tasks < first) | (tasks > last)][0]
        raise ValueError(
            f"propose() returned item {wrong}; allowed {first} to {last}; "
            "check the bounds of the draw"
        )


def _check_vectors(
    tasks: np.ndarray, space: spaces.Box, count: int, names: tuple[str, ...]
) -> None:
    if tasks.shape != (count, *space.shape):
        _check_shape("tasks", tasks.shape, (count, *space.shape))
    if tasks.dtype != np.float64:
        raise ValueError(
            f"propose() returned tasks of dtype {tasks.dtype}; expected float64, because rounding "
            "can leave the task space; convert with tasks.astype(np.float64)"
        )
    inside = (tasks >= space.low) & (tasks <= space.high)  # false for NaN
    if not inside.all():
        _, *index = np.argwhere(~inside)[0]
        value = tasks[tuple(np.argwhere(~inside)[0])]
        dimension = int(index[0]) if len(index) == 1 else tuple(map(int, index))
        name = f" ({names[dimension]})" if len(index) == 1 and dimension < len(names) else ""
        low, high = space.low[tuple(index)], space.high[tuple(index)]
        fix = "clip or rescale" if np.isfinite(value) else "look for a division by zero"
        raise ValueError(
            f"propose() returned {value:.10g} for dimension {dimension}{name}; "
            f"allowed [{low:.10g}, {high:.10g}]; {fix}"
        )


def _check_weights(weights: np.ndarray, count: int) -> None:
    if weights.shape != (count,):
        _check_shape("weights", weights.shape, (count,))
    if weights.dtype.kind not in "fiu":
        raise ValueError(
            f"propose() returned weights of dtype {weights.dtype}; expected numbers; "
            "convert with weights.astype(np.float64)"
        )
    # NaN fails the comparison with 0, infinity the one below it.
    if count and not (weights.min() >= 0 and weights.max() < np.inf):
        wrong = weights[~((weights >= 0) & (weights < np.inf))][0]
        raise ValueError(
            f"propose() returned weight {wrong:.10g}; allowed finite values >= 0; "
            "clip or rescale the weights"
        )


def _check_seeds(seeds: np.ndarray, count: int) -> None:
    if seeds.shape != (count,):
        _check_shape("seeds", seeds.shape, (count,))
    if seeds.dtype.kind not in "iu":
        raise ValueError(
            f"propose() returned seeds of dtype {seeds.dtype}; expected integers; "
            "draw them with rng.integers(2**31)"
        )
    if count and seeds.min() < 0:
        raise ValueError(
            f"propose() returned seed {seeds.min()}; allowed integers >= 0; "
            "draw them with rng.integers(2**31)"
        )

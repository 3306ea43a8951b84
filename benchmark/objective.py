"""The objective of a teacher that changes the loss, as what every supervised student can follow.

The teacher gives losses as a function of logits, in torch; the student gets the gradient of their
weighted mean by its logits, as an array. So the teacher never holds a student's parameters, and a
student need not be made of torch.
"""

from __future__ import annotations

import numpy as np
import torch

from benchmark.errors import TeacherError
from benchmark.guard import GuardedTeacher
from students.base import Slope


def objective(teacher: GuardedTeacher, tasks: np.ndarray) -> Slope:
    """The gradient that a student descends on a batch of ``tasks`` (n, ...) instead of its own.

    Returns a function of logits (n, classes) float32, targets (n,) int64 and weights (n,) or None,
    that returns the gradient (n, classes) float32 of the mean of weight x loss by the logits, bit
    for bit what automatic differentiation of the student would meet there.

    Raises (the function returned):
        TeacherError: the losses are not finite, do not depend on the logits, or their gradient is
            not finite.
    """

    def slope(logits: np.ndarray, targets: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
        leaf = torch.from_numpy(np.ascontiguousarray(logits)).requires_grad_()
        losses = teacher.transform_loss(leaf, torch.from_numpy(targets), tasks.copy())
        if weights is not None:
            losses = losses * torch.from_numpy(weights)
        (gradient,) = torch.autograd.grad(losses.mean(), leaf, allow_unused=True)
        if gradient is None or not torch.isfinite(gradient).all():
            raise TeacherError(
                f"{teacher.name}.transform_loss() must be differentiable by the logits, but its "
                f"gradient is {'not there' if gradient is None else 'not finite'}"
            )
        return gradient.numpy()

    return slope

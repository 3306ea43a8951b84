"""The equations of PPO and SAC: advantages, values and losses.

Schulman et al., 2016, https://arxiv.org/abs/1506.02438 (generalised advantages) and 2017,
https://arxiv.org/abs/1707.06347 (PPO); Haarnoja et al., 2018, https://arxiv.org/abs/1812.05905.
"""

from __future__ import annotations

import numpy as np
import torch


def generalized_advantages(
    rewards: np.ndarray,
    values: np.ndarray,
    next_values: np.ndarray,
    terminated: np.ndarray,
    ended: np.ndarray,
    discount: float,
    gae_lambda: float,
) -> np.ndarray:
    """Advantages (steps, worlds) by equation 16 of the GAE paper, cut where an episode ended.

    ``next_values`` are the values of what truly followed each step. A terminated step is followed
    by nothing (value 0); a truncated one keeps the value of its last observation.
    """
    delta = rewards + discount * np.where(terminated, 0.0, next_values) - values
    carry = discount * gae_lambda * ~ended
    advantages, running = np.empty_like(delta), np.zeros(delta.shape[1])
    for step in range(len(delta) - 1, -1, -1):
        running = delta[step] + carry[step] * running
        advantages[step] = running
    return advantages


def clipped_policy_loss(ratio: torch.Tensor, advantages: torch.Tensor, clip: float) -> torch.Tensor:
    """Minus the clipped surrogate objective (equation 7 of the PPO paper), averaged over (n,)."""
    clipped = ratio.clamp(1 - clip, 1 + clip)
    return -torch.minimum(ratio * advantages, clipped * advantages).mean()


def value_loss(
    values: torch.Tensor, old_values: torch.Tensor, targets: torch.Tensor, clip: float | None
) -> torch.Tensor:
    """Half the mean squared error (n,); with ``clip`` the worse of it and a clipped move's."""
    error = (values - targets).square()
    if clip is not None:
        moved = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (moved - targets).square())
    return 0.5 * error.mean()


def soft_value(
    q: torch.Tensor, log_prob: torch.Tensor, temperature: torch.Tensor | float
) -> torch.Tensor:
    """Soft value (n,) from both Q values (2, n) and the log-density (n,) of sampled actions."""
    return torch.minimum(q[0], q[1]) - temperature * log_prob


def temperature_loss(
    log_temperature: torch.Tensor, log_prob: torch.Tensor, target_entropy: float
) -> torch.Tensor:
    """Falls as the temperature does while the entropy, -log_prob, is above its target (scalar)."""
    return -(log_temperature * (log_prob.detach().mean() + target_entropy)).sum()

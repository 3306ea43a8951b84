"""What PPO's presets pin and which hyperparameters it takes."""

from __future__ import annotations

from typing import Any

from students.base import Student

PRESETS = {
    "fast": {
        "hidden": (64, 64), "shared": False, "rollout": 2048, "epochs": 8, "minibatch": 512,
        "learning_rate": 1e-3, "initial_log_std": -0.5,
    },
    "parity": {
        "hidden": (400, 300), "shared": True, "rollout": 20_000, "epochs": 5, "minibatch": 1000,
        "learning_rate": 3e-4, "initial_log_std": 0.0,
    },
}  # fmt: skip


def chosen(preset: str, *given: Any) -> list[Any]:
    """What was given, in the order of the presets; where that is None, the preset's value."""
    if preset not in PRESETS:
        raise ValueError(f"PPO expects preset to be one of {[*PRESETS]}, but got {preset!r}")
    usual = PRESETS[preset].values()
    return [old if new is None else new for old, new in zip(usual, given, strict=True)]


def check_ranges(student: Student) -> None:
    """Refuse hyperparameters that make no sense."""
    rules = (
        ("num_envs rollout_steps epochs minibatch learning_rate clip", "> 0", lambda x: x > 0),
        ("max_gradient_norm observation_clip reward_clip", "> 0", lambda x: x > 0),
        ("discount gae_lambda", "in [0, 1]", lambda x: 0 <= x <= 1),
        ("forget_every", ">= 1 or None", lambda x: x is None or x >= 1),
        ("anneal_learning_rate value_coefficient entropy_coefficient", ">= 0", lambda x: x >= 0),
    )
    for names, rule, holds in rules:
        for name in names.split():
            if not holds(getattr(student, name)):
                raise ValueError(f"PPO expects {name} {rule}, but got {getattr(student, name)}")

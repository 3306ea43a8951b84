"""Proximal policy optimisation for vectorised procedural worlds.

References: J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, "Proximal Policy
Optimization Algorithms", 2017, https://arxiv.org/abs/1707.06347; J. Schulman, P. Moritz, S. Levine,
M. Jordan, P. Abbeel, "High-dimensional continuous control using generalized advantage estimation",
2016, https://arxiv.org/abs/1506.02438.

Departures from the paper, all common practice: the value loss is clipped like the policy,
advantages are normalised per minibatch, observations and rewards are divided by running statistics,
weights start orthogonal, gradients are clipped.

Departures from the student of TeachMyAgent (Romac et al., 2021, https://arxiv.org/abs/2103.09815):
time limits are bootstrapped from the true last observation and no advantage crosses the end of an
episode; the evaluation policy is deterministic; ``value`` normalises raw observations and answers
in raw units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from students.base import Student, Transitions
from students.capture import accelerated, adam, set_rate
from students.moments import RunningMoments
from students.networks import ActorCritic, flatten, resolve_device
from students.objectives import clipped_policy_loss, generalized_advantages, value_loss
from students.ppo_settings import check_ranges, chosen
from students.rules import check_spaces, crosses

EPSILON = 1e-8


class PPO(Student):
    """PPO with a diagonal Gaussian policy: collects a rollout from all worlds, then learns from it.

    Preset "fast" was chosen on StumpTracks with 16 worlds and half a million steps; "parity" has
    the networks and constants of TeachMyAgent, which trains in one world.

    Args:
        observation_space: a ``Box`` of shape (inputs,).
        action_space: a ``Box`` of shape (outputs,); sampled actions are stored as they are and
            clipped to it when sent.
        num_envs: number of worlds, >= 1.
        seed: of initial weights, exploration and minibatches.
        device: where it learns, "cpu", "cuda" or "auto"; it acts on the CPU.
        preset: "fast" or "parity"; decides every argument that is None.
        hidden: widths of the hidden layers.
        activation: "tanh" or "relu".
        shared: one body for policy and value, or one each.
        rollout: environment steps between two updates, over all worlds; rounded up to a multiple
            of ``num_envs``.
        epochs: passes over a rollout, >= 1.
        minibatch: samples per optimiser step, >= 1; a rollout is cut into nearly equal parts.
        learning_rate: of Adam (epsilon 1e-5), > 0.
        anneal_learning_rate: environment steps over which the learning rate falls linearly to
            zero; 0 keeps it constant.
        clip: ratio range of the objective, > 0, in units of the ratio.
        value_clip: clip the value loss, too (range ``clip``, in normalised units).
        value_coefficient, entropy_coefficient: weights in the loss, >= 0.
        discount, gae_lambda: in [0, 1].
        max_gradient_norm: > 0.
        normalize_observations: subtract the running mean and divide by the running std of the
            training observations. The statistics move after each update only.
        normalize_rewards: divide by the running std of each world's discounted return.
        observation_clip, reward_clip: bounds after normalisation, > 0.
        initial_log_std: of the policy.
        forget_every: environment steps, over all worlds, after which ``forget`` is called, again
            and again, >= 1; None: never.

    Raises:
        ValueError: a space or an argument that does not fit; NaN observations or actions.
    """

    steps = 0  # environment steps over all worlds
    stacked = False  # whether students/stacked.py does the learning

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        *,
        num_envs: int,
        seed: int,
        device: str = "cpu",
        preset: str = "fast",
        hidden: Sequence[int] | None = None,
        activation: str = "tanh",
        shared: bool | None = None,
        rollout: int | None = None,
        epochs: int | None = None,
        minibatch: int | None = None,
        learning_rate: float | None = None,
        anneal_learning_rate: int = 0,
        clip: float = 0.2,
        value_clip: bool = True,
        value_coefficient: float = 0.5,
        entropy_coefficient: float = 0.0,
        discount: float = 0.99,
        gae_lambda: float = 0.95,
        max_gradient_norm: float = 0.5,
        normalize_observations: bool = True,
        normalize_rewards: bool = True,
        observation_clip: float = 10.0,
        reward_clip: float = 10.0,
        initial_log_std: float | None = None,
        forget_every: int | None = None,
    ):
        check_spaces("PPO", observation_space, action_space, bounded=False)
        hidden, shared, rollout, epochs, minibatch, learning_rate, initial_log_std = chosen(
            preset, hidden, shared, rollout, epochs, minibatch, learning_rate, initial_log_std
        )
        self.num_envs, self.epochs, self.minibatch = num_envs, epochs, minibatch
        self.rollout_steps, self.learning_rate = rollout, learning_rate
        self.anneal_learning_rate, self.forget_every = anneal_learning_rate, forget_every
        self.clip, self.value_clip, self.max_gradient_norm = clip, value_clip, max_gradient_norm
        self.value_coefficient, self.entropy_coefficient = value_coefficient, entropy_coefficient
        self.discount, self.gae_lambda = discount, gae_lambda
        self.normalize_observations = normalize_observations
        self.normalize_rewards = normalize_rewards
        self.observation_clip, self.reward_clip = observation_clip, reward_clip
        check_ranges(self)
        self.action_space, self.device = action_space, resolve_device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.size = (*observation_space.shape, *action_space.shape)
        self.shape = tuple(hidden), activation, shared, initial_log_std
        self._start()

    def _start(self) -> None:
        """Everything that changes while the student learns; ``state_dict`` is about these."""
        inputs, outputs = self.size
        self.network = ActorCritic(*self.size, *self.shape, self.generator).to(self.device)
        self.parameters = flatten(self.network)
        self.optimizer = adam(self.parameters, self.learning_rate, eps=1e-5)
        self.accelerated = accelerated(self.network, self.parameters, self._descend)
        self.actor = self.accelerated.actor if self.accelerated else self.network
        self.observation_moments, self.return_moments = RunningMoments(inputs), RunningMoments(1)
        self.running_return = np.zeros(self.num_envs)  # discounted return so far, per world
        self._freeze_normalizer()
        self.pending: np.ndarray | None = None  # sampled actions whose outcome is not known yet
        self.filled = 0  # steps per world in the current rollout
        self.length = -(-self.rollout_steps // self.num_envs)  # steps per world that fill it
        self.parts = max(1, round(self.length * self.num_envs / self.minibatch))  # minibatches
        shape = (self.length, self.num_envs)
        self.rollout = {
            "observations": np.zeros((*shape, inputs), np.float32),
            "actions": np.zeros((*shape, outputs), np.float32),
            "rewards": np.zeros(shape),
            "terminated": np.zeros(shape, bool),
            "truncated": np.zeros(shape, bool),
            "next_observations": np.zeros((*shape, inputs), np.float32),
        }

    def act(self, observations: np.ndarray, explore: bool = True) -> np.ndarray:
        """Return actions (n, outputs) inside the action space: samples, or means to exploit."""
        with torch.inference_mode():
            action = self.actor.mean(self._normalize(observations))
            if explore:
                noise = torch.randn(action.shape, generator=self.generator)
                action = torch.addcmul(action, noise, self.actor.log_std.exp())
            raw = action.numpy()
        if not np.isfinite(raw).all():
            raise ValueError("PPO chose actions that are not finite; the student has diverged")
        if explore:
            self.pending = raw
        return self._inside(raw)

    def observe(self, transitions: Transitions) -> bool:
        """Store one step of all worlds; learn when the rollout is full, or wait for the stack."""
        sampled = self.pending
        if sampled is None or not np.array_equal(self._inside(sampled), transitions.actions):
            sampled = transitions.actions  # they came from somebody else
        for name, store in self.rollout.items():
            store[self.filled] = sampled if name == "actions" else getattr(transitions, name)
        self.pending, self.filled = None, self.filled + 1
        self.steps += self.num_envs
        if self.filled == self.length:
            if self.stacked:
                return True  # until its stack has learned, and then concludes
            self._learn()
        self.conclude()
        return False

    def conclude(self) -> None:
        """Begin a new rollout if the last one is full and learned from; forget when it is time."""
        self.filled %= self.length
        if crosses(self.forget_every, self.steps - self.num_envs, self.steps):
            self.forget()

    def forget(self) -> None:
        """Become a new student: weights, optimiser, normalisers and the rollout so far are lost.

        The forgetting student of TeachMyAgent keeps its normalisers; it still knows the world.
        """
        self._start()

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the expected discounted return (n,) in raw units, of raw observations."""
        with torch.inference_mode():
            values = self.actor.value(self._normalize(observations)).numpy()
        return values.astype(np.float64) * self._reward_scale()

    def _inside(self, actions: np.ndarray) -> np.ndarray:
        """Clip actions to their space; in its own dtype, whose bounds float32 may not hold."""
        space = self.action_space
        return np.clip(actions.astype(space.dtype, copy=False), space.low, space.high)

    def _learn(self) -> None:
        """Learn from the full rollout."""
        batch = self.begin_update()
        descend = self.accelerated.descend if self.accelerated else self._descend
        for _ in range(self.epochs):
            shuffled = [column.tensor_split(self.parts) for column in self.shuffled(batch)]
            for columns in zip(*shuffled, strict=True):
                descend(*columns)
        self.end_update()

    def begin_update(self) -> list[torch.Tensor]:
        """What there is to learn from, as columns; sets the learning rate."""
        for name in ("rewards", "actions"):
            if not np.isfinite(self.rollout[name]).all():
                raise ValueError(f"PPO cannot learn from {name} that are not finite")
        if self.anneal_learning_rate:
            past = (self.steps - self.length * self.num_envs) / self.anneal_learning_rate
            set_rate(self.optimizer, self.learning_rate * max(0.0, 1 - past))
        return self._prepare(self._seen())

    def shuffled(self, batch: list[torch.Tensor]) -> list[torch.Tensor]:
        """The columns in a new random order, the same for all."""
        order = torch.randperm(len(batch[0]), generator=self.generator).to(self.device)
        return [column.index_select(0, order) for column in batch]

    def end_update(self) -> None:
        """Count the optimiser steps, act with the new weights, let the normaliser follow."""
        self.updates += self.epochs * self.parts
        if self.accelerated:
            self.accelerated.follow()
        if self.normalize_observations:
            self.observation_moments.update(self._seen())
            self._freeze_normalizer()

    def _seen(self) -> np.ndarray:
        return self.rollout["observations"].reshape(self.length * self.num_envs, -1)

    def _prepare(self, seen: np.ndarray) -> list[torch.Tensor]:
        """Observations, actions, old log-densities, advantages, targets and old values, flat."""
        rollout, shape = self.rollout, self.rollout["rewards"].shape
        ended = rollout["terminated"] | rollout["truncated"]
        rewards = self._scale_rewards(rollout["rewards"], ended)
        with torch.no_grad():
            observations = self._normalize(seen).to(self.device)
            actions = torch.from_numpy(rollout["actions"].reshape(len(seen), -1)).to(self.device)
            mean, old_values = self.network(observations)
            old_log_prob = self.network.log_prob(mean, actions)
            values = old_values.cpu().numpy().reshape(shape).astype(np.float64)
            # What follows a step is the next row of the rollout, except where it was cut.
            next_values = np.concatenate([values[1:], values[-1:]])
            cut = rollout["truncated"].copy()
            cut[-1] = True
            last = self._normalize(rollout["next_observations"][cut]).to(self.device)
            next_values[cut] = self.network.value(last).cpu().numpy()
        advantages = generalized_advantages(
            rewards, values, next_values, rollout["terminated"], ended,
            self.discount, self.gae_lambda,
        )  # fmt: skip
        advantages, targets = (
            torch.from_numpy(column.reshape(-1).astype(np.float32)).to(self.device)
            for column in (advantages, advantages + values)
        )
        return [observations, actions, old_log_prob, advantages, targets, old_values]

    def _descend(
        self,
        observations: torch.Tensor,
        actions: torch.Tensor,
        old_log_prob: torch.Tensor,
        advantages: torch.Tensor,
        targets: torch.Tensor,
        old_values: torch.Tensor,
    ) -> None:
        """Take one optimiser step on one minibatch."""
        advantages = advantages - advantages.mean()
        advantages /= advantages.square().mean().sqrt() + EPSILON
        old = actions, old_log_prob, advantages, targets, old_values
        loss = self.loss(self.network, observations, *old)
        gradient = self.parameters.grad
        gradient.zero_()
        loss.backward()
        norm = torch.linalg.vector_norm(gradient) + EPSILON
        gradient *= torch.clamp(self.max_gradient_norm / norm, max=1.0)
        self.optimizer.step()

    def loss(
        self,
        network: Any,
        observations: torch.Tensor,
        actions: torch.Tensor,
        old_log_prob: torch.Tensor,
        advantages: torch.Tensor,
        targets: torch.Tensor,
        old_values: torch.Tensor,
    ) -> torch.Tensor:
        """The mean loss of a minibatch, for ``network`` or a stack of such."""
        mean, values = network(observations)
        ratio = torch.exp(network.log_prob(mean, actions) - old_log_prob)
        loss = clipped_policy_loss(ratio, advantages, self.clip)
        value_clip = self.clip if self.value_clip else None
        loss = loss + self.value_coefficient * value_loss(values, old_values, targets, value_clip)
        if self.entropy_coefficient:
            loss = loss - self.entropy_coefficient * network.entropy()
        return loss

    def _normalize(self, observations: np.ndarray) -> torch.Tensor:
        """Raw observations (n, inputs) as the network sees them."""
        observations = np.asarray(observations, dtype=np.float32)
        if not np.isfinite(observations).all():
            raise ValueError(
                "observations must be finite, but hold NaN or infinity: check the world"
            )
        if self.normalize_observations:
            observations = (observations - self.shift) * self.scale
            observations = observations.clip(-self.observation_clip, self.observation_clip)
        return torch.from_numpy(observations)

    def _freeze_normalizer(self) -> None:
        moments = self.observation_moments
        self.shift = moments.mean.astype(np.float32)
        self.scale = (1 / np.sqrt(moments.variance + EPSILON)).astype(np.float32)

    def _scale_rewards(self, rewards: np.ndarray, ended: np.ndarray) -> np.ndarray:
        """Follow each world's discounted return, then divide rewards (steps, worlds) by its std."""
        if not self.normalize_rewards:
            return rewards
        returns = np.empty_like(rewards)
        for step, reward in enumerate(rewards):
            self.running_return = self.running_return * self.discount + reward
            returns[step] = self.running_return
            self.running_return = np.where(ended[step], 0.0, self.running_return)
        self.return_moments.update(returns.reshape(-1, 1))
        return np.clip(rewards / self._reward_scale(), -self.reward_clip, self.reward_clip)

    def _reward_scale(self) -> float:
        if not self.normalize_rewards:
            return 1.0
        return float(np.sqrt(self.return_moments.variance[0] + EPSILON))

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, normalisers, generator and the rollout so far, as NumPy arrays."""
        adam = self.optimizer.state.get(self.parameters, {})
        return {
            "updates": self.updates,
            "steps": self.steps,
            "generator": self.generator.get_state().numpy().copy(),
            "parameters": self.parameters.cpu().numpy().copy(),
            "adam": {name: tensor.cpu().numpy().copy() for name, tensor in adam.items()},
            "observation_moments": self.observation_moments.state_dict(),
            "return_moments": self.return_moments.state_dict(),
            "running_return": self.running_return.copy(),
            "pending": None if self.pending is None else self.pending.copy(),
            "rollout": {name: store[: self.filled].copy() for name, store in self.rollout.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            ValueError: the state belongs to a student with another network, rollout or number of
                worlds.
        """
        parameters = torch.from_numpy(np.array(state["parameters"]))
        filled, worlds = state["rollout"]["rewards"].shape
        same = parameters.shape == self.parameters.shape and worlds == self.num_envs
        if not same or filled >= self.length:
            raise ValueError(
                f"the saved student ({len(parameters)} parameters, {worlds} worlds, rollout above "
                f"{filled}) is not like this one ({len(self.parameters)}, {self.num_envs}, "
                f"{self.length}): its options were different"
            )
        self.updates, self.steps = int(state["updates"]), int(state["steps"])
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self.parameters.copy_(parameters)
        self.optimizer.state[self.parameters] = {
            name: torch.from_numpy(np.array(array)).to(self.device)
            for name, array in state["adam"].items()
        }
        if self.accelerated:
            self.accelerated.renew()
        for name in ("observation_moments", "return_moments"):
            getattr(self, name).load_state_dict(state[name])
        self._freeze_normalizer()
        self.running_return = np.array(state["running_return"])
        self.pending = None if state["pending"] is None else np.array(state["pending"])
        self.filled = filled
        for name, store in self.rollout.items():
            store[:filled] = state["rollout"][name]

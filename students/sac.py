"""Soft actor-critic for vectorised procedural worlds, in its current and in its first form.

References: T. Haarnoja, A. Zhou, K. Hartikainen, G. Tucker, S. Ha, J. Tan, V. Kumar, H. Zhu,
A. Gupta, P. Abbeel, S. Levine, "Soft Actor-Critic Algorithms and Applications", 2018,
https://arxiv.org/abs/1812.05905 (``form="current"``); T. Haarnoja, A. Zhou, P. Abbeel, S. Levine,
"Soft Actor-Critic: Off-Policy Maximum Entropy Deep Reinforcement Learning with a Stochastic Actor",
2018, https://arxiv.org/abs/1801.01290 (``form="value"``).

Departures from the papers:
- Policy, critics and temperature take their optimiser step together, from the same weights.
- The log-std of the policy is kept in its range by a tanh, not by clipping.
- The first paper scales rewards; here, as in TeachMyAgent, the entropy is weighted by a
  temperature, which is one over that scale.
- In the first form the policy maximises the first Q network only, as in TeachMyAgent (Romac et al.,
  2021, https://arxiv.org/abs/2103.09815).

``preset="parity"`` is the student of TeachMyAgent. What differs from it: the density of squashed
actions is exact (there a 1e-6 inside the logarithm bounds it); all random numbers are seeded; with
several worlds the environment steps of all of them count.

``preset="fast"`` takes discount, slow copy and random start from the settings tuned for
BipedalWalker-v3 in RL Baselines3 Zoo, with networks and batches that cost a fraction. There the
noise of a policy depends on the state and stays for 64 steps; here it is correlated in time, which
does the same (O. Eberhard, J. Hollenstein, C. Pinneri, G. Martius, "Pink Noise Is All You Need",
2023, https://openreview.net/forum?id=hQ9V5QN27eS): independent noise averages out before a limb
has moved.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from students.base import Student, Transitions
from students.capture import accelerated, adam
from students.networks import SoftNetworks, flatten, resolve_device, twin_q
from students.objectives import soft_value, temperature_loss
from students.replay import ReplayMemory
from students.rules import check_spaces, crosses

FORMS = ("current", "value")
PRESETS = ("fast", "parity")
SETTINGS: dict[str, tuple[Any, Any]] = {  # fast, parity
    "form": ("current", "value"),
    "hidden": ((128, 128), (400, 300)),
    "learning_rate": (1e-3, 1e-3),
    "discount": (0.98, 0.99),
    "polyak": (0.98, 0.995),
    "temperature": ("auto", 0.005),
    "log_std_range": ((-5.0, 2.0), (-20.0, 2.0)),
    "capacity": (1_000_000, 2_000_000),
    "batch": (128, 1000),
    "random_steps": (10_000, 10_000),
    "learning_starts": (1_000, 1),
    "update_every": (64, 0),
    "update_ratio": (0.5, 0.1),
    "noise_correlation": (0.9, 0.0),
}
GATHER = 65_536  # at most about this many transitions are drawn from memory at once
VALUE_SAMPLES = 8  # actions per observation that ``value`` averages over


class SAC(Student):
    """SAC with a tanh-Gaussian policy, two Q networks and a memory of the latest transitions.

    Args:
        observation_space: a ``Box`` of shape (inputs,); observations are used as they are.
        action_space: a bounded ``Box`` of shape (outputs,).
        num_envs: number of worlds, >= 1.
        seed: of initial weights, exploration and sampling.
        device: where it learns, "cpu", "cuda" or "auto"; memory and acting stay on the CPU.
        preset: "fast" or "parity"; decides every argument that is None.
        form: "current": the Q networks' targets come from a slow copy of themselves; "value": from
            a slow copy of a separate value network.
        hidden: widths of the hidden layers of all networks.
        learning_rate: of Adam, > 0.
        discount: in [0, 1].
        polyak: how much of itself the slow copy keeps at each optimiser step, in [0, 1].
        temperature: weight of the entropy, a number >= 0, or "auto": adapted from 1 on until the
            entropy is ``target_entropy``.
        target_entropy: in nats, of actions scaled to (-1, 1); None: minus ``outputs``.
        log_std_range: lowest and highest log-std of the Gaussian.
        capacity: transitions in memory, >= 1.
        batch: transitions per optimiser step, >= 1.
        random_steps: environment steps, over all worlds, with uniform actions.
        learning_starts: transitions in memory before the first optimiser step, >= 1.
        update_every: environment steps, over all worlds, between two rounds of optimiser steps;
            0: a round at the end of each episode.
        update_ratio: optimiser steps per environment step, > 0; a round of an episode rounds up.
        noise_correlation: of the noise in a world's action with that in its last one, in [0, 1);
            the noise of a single step stays standard normal.
        forget_every: environment steps, over all worlds, after which ``forget`` is called, again
            and again, >= 1; None: never.

    Raises:
        ValueError: a space or an argument that does not fit; numbers that are not finite.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        *,
        num_envs: int,
        seed: int,
        device: str = "cpu",
        preset: str = "fast",
        form: str | None = None,
        hidden: Sequence[int] | None = None,
        learning_rate: float | None = None,
        discount: float | None = None,
        polyak: float | None = None,
        temperature: float | str | None = None,
        target_entropy: float | None = None,
        log_std_range: Sequence[float] | None = None,
        capacity: int | None = None,
        batch: int | None = None,
        random_steps: int | None = None,
        learning_starts: int | None = None,
        update_every: int | None = None,
        update_ratio: float | None = None,
        noise_correlation: float | None = None,
        forget_every: int | None = None,
    ):
        given = {name: value for name, value in locals().items() if name in SETTINGS}
        check_spaces("SAC", observation_space, action_space)
        if preset not in PRESETS:
            raise ValueError(f"SAC expects preset to be one of {PRESETS}, but got {preset!r}")
        chosen = PRESETS.index(preset)
        for name, value in given.items():
            setattr(self, name, SETTINGS[name][chosen] if value is None else value)
        self.inputs, self.outputs = observation_space.shape[0], action_space.shape[0]
        self.target_entropy = -self.outputs if target_entropy is None else target_entropy
        self.preset, self.num_envs, self.forget_every = preset, num_envs, forget_every
        _check_ranges(self)
        self.action_space = action_space
        self.middle = (action_space.high.astype(np.float64) + action_space.low) / 2
        self.reach = (action_space.high.astype(np.float64) - action_space.low) / 2
        self.device = resolve_device(device)
        self.generator = torch.Generator().manual_seed(seed)
        self.memory = ReplayMemory(self.capacity, self.inputs, self.outputs)
        self.updates, self.steps = 0, 0  # optimiser steps; environment steps over all worlds
        self.owed = 0.0  # optimiser steps that experience has earned and that are still to come
        self.lengths = np.zeros(num_envs, np.int64)  # steps of the open episodes
        self._start()

    def _start(self) -> None:
        """New networks, a new optimiser, a new slow copy."""
        sizes = self.inputs, self.outputs, self.hidden, self.log_std_range
        start = 1.0 if self.temperature == "auto" else self.temperature
        with_value = self.form == "value"
        self.networks = SoftNetworks(*sizes, with_value, start, self.generator).to(self.device)
        self.parameters = flatten(self.networks)
        self.optimizer = adam(self.parameters, self.learning_rate, fused=True)
        followed = self.networks.state_value if with_value else self.networks.critics
        self.target = copy.deepcopy(followed).requires_grad_(False)
        self.target_parameters = flatten(self.target)
        self.followed = [parameter.detach() for parameter in followed.parameters()]
        self.followers = list(self.target.parameters())
        self.accelerated = accelerated(self.networks, self.parameters, self._descend)
        self.actor = (self.accelerated.actor if self.accelerated else self.networks).policy
        self.noise: torch.Tensor | None = None  # (num_envs, outputs) of the latest exploration

    def forget(self) -> None:
        """Become a new student: weights, optimiser and slow copy start anew, memory is emptied.

        As with TeachMyAgent's forgetting student there is no new phase of random actions, and open
        episodes go on. So do the counts of steps and updates.
        """
        self._start()
        self.memory.clear()
        self.owed = 0.0

    def act(self, observations: np.ndarray, explore: bool = True) -> np.ndarray:
        """Return actions (n, outputs): samples, or the tanh of the mean to exploit."""
        observations = self._tensor(observations)
        shape = (len(observations), self.outputs)
        if explore and self.steps < self.random_steps:
            return self._scaled(2 * torch.rand(shape, generator=self.generator) - 1)
        with torch.inference_mode():
            raw, log_std = self.actor.gaussian(observations)
            if explore:
                raw = torch.addcmul(raw, self._explore(shape), log_std.exp())
            return self._scaled(torch.tanh(raw))

    def _explore(self, shape: tuple[int, int]) -> torch.Tensor:
        """Standard normal noise, first-order autoregressive in time for each of the worlds."""
        fresh, kept = torch.randn(shape, generator=self.generator), self.noise_correlation
        if kept and self.noise is not None and self.noise.shape == fresh.shape:
            fresh = kept * self.noise + math.sqrt(1 - kept**2) * fresh
        self.noise = fresh
        return fresh

    def observe(self, transitions: Transitions) -> None:
        """Remember one step of all worlds; learn and forget when it is time."""
        actions = (np.asarray(transitions.actions) - self.middle) / self.reach
        self.memory.add(transitions, actions)
        before, self.steps = self.steps, self.steps + self.num_envs
        self.lengths += 1
        ended = transitions.terminated | transitions.truncated
        if self.update_every:
            due = crosses(self.update_every, before, self.steps)
            earned = self.num_envs * self.update_ratio
        else:
            due = ended.any()
            earned = float(np.ceil(self.lengths[ended] * self.update_ratio).sum())
        self.lengths[ended] = 0
        if self.memory.size >= self.learning_starts:
            self.owed += earned
            if due:
                count, self.owed = int(self.owed), self.owed % 1
                self._learn(count)
        if crosses(self.forget_every, before, self.steps):
            self.forget()

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the soft value (n,): the expected discounted return and entropy bonus to come.

        In the first form it is what the value network says; in the current one the mean of
        min Q - temperature x log-density over actions of the policy, drawn with the same noise at
        every call, so that the answer depends on the observation and the student alone.
        """
        observations = self._tensor(observations).to(self.device)
        policy = self.networks.policy
        with torch.inference_mode():
            if self.form == "value":
                values = self.networks.state_value(observations)[0, :, 0]
                return values.cpu().numpy().astype(np.float64)
            fixed = torch.Generator().manual_seed(0)
            noise = torch.randn((VALUE_SAMPLES // 2, self.outputs), generator=fixed)
            shape = (len(observations), self.outputs)
            values = []
            for draw in torch.cat([noise, -noise]).to(self.device):
                actions, log_prob = policy.sample(observations, draw.expand(shape))
                q = twin_q(self.networks.critics, observations, actions)
                values.append(soft_value(q, log_prob, self.networks.temperature()))
            return torch.stack(values).mean(dim=0).cpu().numpy().astype(np.float64)

    def _tensor(self, observations: np.ndarray) -> torch.Tensor:
        observations = np.asarray(observations, dtype=np.float32)
        if not np.isfinite(observations).all():
            raise ValueError(
                "observations must be finite, but hold NaN or infinity: check the world"
            )
        return torch.from_numpy(observations)

    def _scaled(self, actions: torch.Tensor) -> np.ndarray:
        """Stretch actions (n, outputs) from (-1, 1) to their space, in its own dtype."""
        space, actions = self.action_space, actions.numpy()
        if not np.isfinite(actions).all():
            raise ValueError("SAC chose actions that are not finite; the student has diverged")
        stretched = (self.middle + self.reach * actions).astype(space.dtype)
        return np.clip(stretched, space.low, space.high)

    def _learn(self, count: int) -> None:
        """Take ``count`` optimiser steps, on batches that are drawn many at a time."""
        descend = self.accelerated.descend if self.accelerated else self._descend
        while count > 0:
            size = min(count, max(1, GATHER // self.batch))
            columns = self.memory.sample(size, self.batch, self.generator)
            shape = (2, size, self.batch, self.outputs)
            noise = torch.randn(shape, generator=self.generator)
            columns = [column.to(self.device) for column in (*columns, *noise)]
            for step in range(size):
                descend(*(column[step] for column in columns))
            self.updates += size
            count -= size
        if self.accelerated:
            self.accelerated.follow()

    def _descend(self, *batch: torch.Tensor) -> None:
        """Take one optimiser step on one batch, then let the slow copy follow."""
        self.parameters.grad.zero_()
        self._loss(*batch).backward()
        self.optimizer.step()
        # Polyak averaging: copy <- polyak x copy + (1 - polyak) x network.
        torch._foreach_lerp_(self.followers, self.followed, 1 - self.polyak)

    def _loss(
        self,
        observations: torch.Tensor,
        actions: torch.Tensor,
        rewards: torch.Tensor,
        terminated: torch.Tensor,
        next_observations: torch.Tensor,
        noise: torch.Tensor,
        next_noise: torch.Tensor,
    ) -> torch.Tensor:
        """The sum of all losses; each reaches only the parameters it is about."""
        networks, temperature = self.networks, self.networks.temperature()
        targets = self._targets(rewards, terminated, next_observations, next_noise)
        error = twin_q(networks.critics, observations, actions) - targets
        loss = 0.5 * error.square().mean(dim=-1).sum()
        chosen, log_prob = networks.policy.sample(observations, noise)
        q = twin_q(networks.critics, observations, chosen, frozen=True)
        if self.form == "value":
            loss = loss + (temperature * log_prob - q[0]).mean()
            worth = soft_value(q.detach(), log_prob.detach(), temperature)
            values = networks.state_value(observations)[0, :, 0]
            loss = loss + 0.5 * (values - worth).square().mean()
        else:
            loss = loss - soft_value(q, log_prob, temperature).mean()
        if self.temperature == "auto":
            loss = loss + temperature_loss(networks.log_temperature, log_prob, self.target_entropy)
        return loss

    @torch.no_grad()
    def _targets(
        self,
        rewards: torch.Tensor,
        terminated: torch.Tensor,
        next_observations: torch.Tensor,
        next_noise: torch.Tensor,
    ) -> torch.Tensor:
        """What the Q networks should say (n,): nothing follows a terminated step, only that one."""
        if self.form == "value":
            following = self.target(next_observations)[0, :, 0]
        else:
            actions, log_prob = self.networks.policy.sample(next_observations, next_noise)
            q = twin_q(self.target, next_observations, actions)
            following = soft_value(q, log_prob, self.networks.temperature())
        return rewards + self.discount * (1 - terminated) * following

    def keep_in(self, folder: Path) -> None:
        """Keep the memory in files of ``folder``; see ``ReplayMemory.keep_in``."""
        self.memory.keep_in(folder)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimiser, slow copy, generator and memory, as NumPy arrays."""
        adam = self.optimizer.state.get(self.parameters, {})
        return {
            "updates": self.updates,
            "steps": self.steps,
            "owed": self.owed,
            "lengths": self.lengths.copy(),
            "noise": None if self.noise is None else self.noise.numpy().copy(),
            "generator": self.generator.get_state().numpy().copy(),
            "parameters": self.parameters.cpu().numpy().copy(),
            "target": self.target_parameters.cpu().numpy().copy(),
            "adam": {name: tensor.cpu().numpy().copy() for name, tensor in adam.items()},
            "memory": self.memory.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            ValueError: the state belongs to a student with other networks, another memory or
                another number of worlds, or its memory's files are damaged.
        """
        found = len(state["parameters"]), len(state["target"]), len(state["lengths"])
        own = len(self.parameters), len(self.target_parameters), self.num_envs
        if found != own:
            raise ValueError(
                "the saved student ({} parameters, {} in the slow copy, {} worlds) is not like "
                "this one ({}, {}, {}): its options were different".format(*found, *own)
            )
        self.memory.load_state_dict(state["memory"])
        self.updates, self.steps = int(state["updates"]), int(state["steps"])
        self.owed, self.lengths = float(state["owed"]), np.array(state["lengths"])
        noise = state["noise"]
        self.noise = None if noise is None else torch.from_numpy(np.array(noise))
        self.generator.set_state(torch.from_numpy(np.array(state["generator"])))
        self.parameters.copy_(torch.from_numpy(np.array(state["parameters"])))
        self.target_parameters.copy_(torch.from_numpy(np.array(state["target"])))
        self.optimizer.state[self.parameters] = {
            name: torch.from_numpy(np.array(array)).to(self.device)
            for name, array in state["adam"].items()
        }
        if self.accelerated:
            self.accelerated.renew()


def _check_ranges(student: SAC) -> None:
    """Refuse hyperparameters that make no sense."""
    rules = (
        ("form", f"one of {FORMS}", lambda x: x in FORMS),
        ("num_envs capacity batch", ">= 1", lambda x: x >= 1),
        ("learning_rate update_ratio", "> 0", lambda x: 0 < x < math.inf),
        ("discount polyak", "in [0, 1]", lambda x: 0 <= x <= 1),
        ("noise_correlation", "in [0, 1)", lambda x: 0 <= x < 1),
        ("temperature", "> 0 or 'auto'", lambda x: x == "auto" or 0 < x < math.inf),
        ("log_std_range", "low < high", lambda x: -math.inf < x[0] < x[1] < math.inf),
        ("random_steps update_every", ">= 0", lambda x: x >= 0),
        ("learning_starts", ">= 1 and <= capacity", lambda x: 1 <= x <= student.capacity),
        ("forget_every", ">= 1 or None", lambda x: x is None or x >= 1),
    )
    for names, rule, holds in rules:
        for name in names.split():
            if not holds(getattr(student, name)):
                raise ValueError(f"SAC expects {name} {rule}, but got {getattr(student, name)!r}")

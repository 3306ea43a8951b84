"""What drives the pieces of an algorithm of stable-baselines3 in place of its ``learn``.

The library draws from the global generators of NumPy and torch. ``Randomness`` holds what these
would be if the student were alone, and puts it in their place while the library draws.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from students.base import Transitions
from students.journal import RowJournal

COLUMNS = ("observations", "next_observations", "actions", "rewards", "dones", "timeouts")
ROLLOUT = ("observations", "actions", "rewards", "episode_starts", "values", "log_probs")


class Randomness:
    """Generator states of one student; inside ``with lent()`` the global ones are the student's.

    Args:
        seed: an integer >= 0.
        device: where the networks are; on a GPU its generator is looked after, too.
    """

    def __init__(self, seed: int, device: torch.device):
        self.device = device
        source = np.random.RandomState(np.random.MT19937(np.random.SeedSequence(seed)))
        self.held = {
            "numpy": source.get_state(legacy=False),
            "torch": torch.Generator().manual_seed(seed).get_state(),
        }
        if device.type == "cuda":
            self.held["cuda"] = torch.Generator(device).manual_seed(seed).get_state()

    @contextlib.contextmanager
    def lent(self, numpy: bool = True) -> Iterator[None]:
        """Let the global generators be the student's; without ``numpy`` that of torch only.

        NumPy's takes 40 microseconds to read and as many to write, more than a small network.
        """
        self._exchange(numpy)
        try:
            yield
        finally:
            self._exchange(numpy)

    def _exchange(self, numpy: bool) -> None:
        """Swap the states held with the global ones."""
        if numpy:
            current = np.random.get_state(legacy=False)  # noqa: NPY002
            np.random.set_state(self.held["numpy"])  # noqa: NPY002
            self.held["numpy"] = current
        current = torch.get_rng_state()
        torch.set_rng_state(self.held["torch"])
        self.held["torch"] = current
        if "cuda" in self.held:
            current = torch.cuda.get_rng_state(self.device)
            torch.cuda.set_rng_state(self.held["cuda"], self.device)
            self.held["cuda"] = current

    def state_dict(self) -> dict[str, Any]:
        """The states as plain numbers and arrays."""
        return to_plain(self.held)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken; a GPU's generator only where there is one."""
        for name in self.held:
            if name == "numpy":
                self.held[name] = dict(state[name], state=dict(state[name]["state"]))
            elif name in state:
                self.held[name] = torch.from_numpy(np.array(state[name]))


class OnPolicy:
    """Fills the rollout buffer of an algorithm like PPO and trains when it is full."""

    def __init__(self, algorithm: Any, randomness: Randomness):
        self.randomness = randomness
        self.algorithm, self.buffer = algorithm, algorithm.rollout_buffer
        self.starts = np.ones(algorithm.n_envs, dtype=bool)  # worlds that begin an episode
        self.pending: dict[str, np.ndarray] | None = None

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Sample actions (n, outputs), not yet clipped; remember what the buffer wants of them."""
        policy = self.algorithm.policy
        policy.set_training_mode(False)
        with torch.no_grad(), self.randomness.lent(numpy=False):
            sampled = policy(self._tensor(observations))
        names = ("actions", "values", "log_probs")
        self.pending = {k: v.cpu().numpy() for k, v in zip(names, sampled, strict=True)}
        self.pending["values"] = self.pending["values"].reshape(-1)
        return self.pending["actions"]

    def observe(self, transitions: Transitions, known: bool) -> None:
        """Add one step of all worlds; ``known``: the actions are those of the last ``act``."""
        algorithm, buffer = self.algorithm, self.buffer
        chosen = self.pending if known and self.pending else self._foreign(transitions)
        rewards = np.array(transitions.rewards, dtype=np.float32)
        following = self.algorithm.policy.predict_values
        # What a time limit cut off is added to the last reward; nothing follows a terminal state.
        cut = np.flatnonzero(transitions.truncated & ~transitions.terminated)
        with torch.no_grad():
            for world in cut:  # one at a time, like the library: its numbers are these
                last = self._tensor(transitions.next_observations[world : world + 1])
                rewards[world] += algorithm.gamma * following(last)[0].cpu().numpy()[0]
        buffer.add(
            transitions.observations, chosen["actions"], rewards, self.starts,
            torch.from_numpy(chosen["values"]), torch.from_numpy(chosen["log_probs"]),
        )  # fmt: skip
        self.starts, self.pending = transitions.terminated | transitions.truncated, None
        if buffer.full:
            with torch.no_grad():
                last_values = following(self._tensor(transitions.next_observations))
            buffer.compute_returns_and_advantage(last_values=last_values, dones=self.starts)
            with self.randomness.lent():
                algorithm.train()
            buffer.reset()

    def value(self, observations: np.ndarray) -> torch.Tensor:
        """The value network's answers (n, 1)."""
        return self.algorithm.policy.predict_values(self._tensor(observations))

    def _foreign(self, transitions: Transitions) -> dict[str, np.ndarray]:
        """Values and log-densities of actions that somebody else chose."""
        actions = np.asarray(transitions.actions)
        with torch.no_grad():
            values, log_probs, _ = self.algorithm.policy.evaluate_actions(
                self._tensor(transitions.observations), self._tensor(actions).float()
            )
        return {
            "actions": actions,
            "values": values.cpu().numpy().reshape(-1),
            "log_probs": log_probs.cpu().numpy(),
        }

    def _tensor(self, array: np.ndarray) -> torch.Tensor:
        return torch.as_tensor(array, device=self.algorithm.device)

    def state_dict(self) -> dict[str, Any]:
        """The rollout so far and the sampled actions whose outcome is not known yet."""
        return {
            "starts": self.starts.copy(),
            "pending": to_plain(self.pending),
            "rollout": {
                name: getattr(self.buffer, name)[: self.buffer.pos].copy() for name in ROLLOUT
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken."""
        self.starts = np.array(state["starts"])
        self.pending = _copied(state["pending"])
        self.buffer.reset()
        for name, rows in state["rollout"].items():
            getattr(self.buffer, name)[: len(rows)] = rows
        self.buffer.pos = len(state["rollout"]["rewards"])


class OffPolicy:
    """Fills the replay buffer of an algorithm like SAC and trains by its ``train_freq``."""

    def __init__(self, algorithm: Any, randomness: Randomness):
        self.randomness = randomness
        self.algorithm, self.buffer = algorithm, algorithm.replay_buffer
        # Numbers that one step of all worlds has in each column.
        self.widths = [(name, getattr(self.buffer, name)[0].size) for name in COLUMNS]
        self.pending: dict[str, np.ndarray] | None = None
        self.collected = {"step": 0, "episode": 0}  # since the last training
        self.added = 0  # steps of all worlds that the buffer has seen
        self.journal: RowJournal | None = None

    def act(self, observations: np.ndarray) -> np.ndarray:
        """Return actions (n, outputs): uniform during the warm-up, then the policy's with noise."""
        algorithm = self.algorithm
        algorithm._last_obs = observations
        with self.randomness.lent(numpy=algorithm.action_noise is not None):
            actions, scaled = algorithm._sample_action(
                algorithm.learning_starts, algorithm.action_noise, len(observations)
            )
        self.pending = {"actions": np.asarray(actions), "scaled": np.asarray(scaled)}
        return self.pending["actions"]

    def observe(self, transitions: Transitions, known: bool) -> None:
        """Add one step of all worlds; ``known``: the actions are those of the last ``act``."""
        algorithm = self.algorithm
        if known and self.pending:
            scaled = self.pending["scaled"]
        else:
            scaled = algorithm.policy.scale_action(np.asarray(transitions.actions))
        ended = transitions.terminated | transitions.truncated
        cut = (transitions.truncated & ~transitions.terminated).tolist()
        self.buffer.add(
            transitions.observations, transitions.next_observations, scaled,
            transitions.rewards, ended, [{"TimeLimit.truncated": flag} for flag in cut],
        )  # fmt: skip
        self.pending, self.added = None, self.added + 1
        self.collected["step"] += 1
        self.collected["episode"] += int(ended.sum())
        frequency, unit = algorithm.train_freq
        if self.collected[unit.value] < frequency:
            return
        steps = algorithm.gradient_steps
        steps = self.collected["step"] * algorithm.n_envs if steps < 0 else steps
        if algorithm.num_timesteps > algorithm.learning_starts and steps:
            with self.randomness.lent():
                algorithm.train(gradient_steps=steps, batch_size=algorithm.batch_size)
        self.collected = {"step": 0, "episode": 0}

    def value(self, observations: np.ndarray) -> torch.Tensor:
        """The lowest answer (n, 1) of the critics for the deterministic action."""
        algorithm = self.algorithm
        tensor = torch.as_tensor(observations, device=algorithm.device)
        actions = algorithm.policy._predict(tensor, deterministic=True)
        return torch.cat(algorithm.critic(tensor, actions), dim=1).min(dim=1, keepdim=True)[0]

    def keep_in(self, folder: Path) -> None:
        """Keep the replay buffer in files of ``folder``, if they can hold its numbers exactly."""
        if all(getattr(self.buffer, name).dtype == np.float32 for name in COLUMNS):
            self.journal = RowJournal(folder, sum(width for _, width in self.widths))

    def state_dict(self) -> dict[str, Any]:
        """Counters, sampled actions and the buffer: its rows, or the files that hold them."""
        size = self.buffer.size()
        state = {
            "pending": to_plain(self.pending),
            "collected": dict(self.collected),
            "added": self.added,
            "size": size,
        }
        if self.journal is None:
            return {**state, "rows": self._latest(size)}
        new = min(self.added - self.journal.end, size)
        rows = self._latest(new)
        flat = np.concatenate(
            [rows[name].reshape(new, width) for name, width in self.widths], axis=1
        )
        return {**state, "segments": self.journal.append(self.added - new, flat, self.added - size)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises:
            ValueError: the rows lie in files of an unknown folder.
            DamagedRows: these files are damaged; nothing has changed then.
        """
        rows = self._stored(state)
        self.added, buffer = int(state["added"]), self.buffer
        index = np.arange(self.added - int(state["size"]), self.added) % buffer.buffer_size
        for name, values in rows.items():
            getattr(buffer, name)[index] = values
        buffer.pos = self.added % buffer.buffer_size
        buffer.full = int(state["size"]) == buffer.buffer_size
        self.pending = _copied(state["pending"])
        self.collected = {name: int(count) for name, count in state["collected"].items()}

    def _latest(self, count: int) -> dict[str, np.ndarray]:
        """Copies of the latest ``count`` rows, oldest first, by column."""
        index = np.arange(self.added - count, self.added) % self.buffer.buffer_size
        return {name: getattr(self.buffer, name)[index] for name in COLUMNS}

    def _stored(self, state: Mapping[str, Any]) -> Mapping[str, np.ndarray]:
        if "rows" in state:
            if self.journal is not None:
                self.journal.read((), 0)  # its files hold other rows
            return state["rows"]
        if self.journal is None:
            raise ValueError(
                "the saved memory lies in files beside the checkpoint; call keep_in(folder) first"
            )
        flat = self.journal.read(state["segments"], int(state["added"]) - int(state["size"]))
        ends = np.cumsum([width for _, width in self.widths])[:-1]
        return {
            name: part.reshape(len(flat), *getattr(self.buffer, name).shape[1:])
            for name, part in zip(COLUMNS, np.split(flat, ends, axis=1), strict=True)
        }


def modules(algorithm: Any) -> Iterator[tuple[str, Any]]:
    """The networks, optimisers and variables that an algorithm names as its own, by name."""
    dicts, variables = algorithm._get_torch_save_params()
    for name in (*dicts, *variables):
        found = algorithm
        for part in name.split("."):
            found = getattr(found, part)
        yield name, found


def learned(algorithm: Any) -> dict[str, Any]:
    """All that training changes in networks and optimisers, as plain arrays."""
    state: dict[str, Any] = {}
    for name, module in modules(algorithm):
        if isinstance(module, torch.Tensor):
            state[name] = to_plain(module)
        else:
            content = module.state_dict()
            # An optimiser's groups say how it was built; only its moments are learned.
            state[name] = to_plain(
                content.get("state", {}) if "param_groups" in content else content
            )
    return state


def relearn(algorithm: Any, state: Mapping[str, Any]) -> None:
    """Put back what ``learned`` returned."""
    for name, module in modules(algorithm):
        if isinstance(module, torch.Tensor):
            with torch.no_grad():
                module.copy_(torch.from_numpy(np.array(state[name])))
        elif isinstance(module, torch.optim.Optimizer):
            moments = {
                int(number): {key: _tensor(value) for key, value in entry.items()}
                for number, entry in state[name].items()
            }
            groups = module.state_dict()["param_groups"]
            module.load_state_dict({"state": moments, "param_groups": groups})
        else:
            module.load_state_dict({key: _tensor(value) for key, value in state[name].items()})


def to_plain(value: Any) -> Any:
    """A copy in which tensors are arrays and the keys of dicts are strings."""
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().numpy().copy()
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value.copy() if isinstance(value, np.ndarray) else value


def _tensor(value: Any) -> Any:
    return torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value


def _copied(pending: Mapping[str, np.ndarray] | None) -> dict[str, np.ndarray] | None:
    return None if pending is None else {name: np.array(part) for name, part in pending.items()}

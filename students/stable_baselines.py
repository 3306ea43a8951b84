"""The algorithms of stable-baselines3 as students: PPO, A2C, SAC, TD3, DDPG.

Reference: A. Raffin, A. Hill, A. Gleave, A. Kanervisto, M. Ernestus, N. Dormann,
"Stable-Baselines3: Reliable Reinforcement Learning Implementations", 2021,
https://jmlr.org/papers/v22/20-1364.html. The library is an extra: ``pip install 'lyceum[sb3]'``.

The suite's loop drives the library's own pieces (policy, buffers, noise, ``train``), so with the
same random numbers the parameters are those that its ``learn`` reaches, bit for bit; time limits
are bootstrapped as there. What differs from ``learn``:
- The budget is not known to a student: schedules follow ``schedule_steps``.
- There are no callbacks, no logs and no ``VecNormalize``: observations and rewards are raw, which
  the settings tuned for PPO elsewhere often do not expect.
- State-dependent exploration (gSDE) is refused: its noise is in no state that could be saved.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from students.base import Student, Transitions
from students.networks import resolve_device
from students.rules import check_spaces, crosses
from students.stable_drivers import OffPolicy, OnPolicy, Randomness, learned, relearn

OURS = {
    "env", "policy", "seed", "device", "verbose", "tensorboard_log", "stats_window_size",
    "_init_setup_model", "use_sde", "sde_sample_freq", "use_sde_at_warmup",
    "rollout_buffer_class", "rollout_buffer_kwargs", "replay_buffer_class",
    "replay_buffer_kwargs", "optimize_memory_usage",
}  # fmt: skip


class StableBaselines(Student):
    """An algorithm of stable-baselines3 under the suite's loop.

    Args:
        observation_space: a ``Box`` of shape (inputs,).
        action_space: a bounded ``Box`` of shape (outputs,).
        num_envs: number of worlds, >= 1.
        seed: of initial weights, exploration and sampling.
        device: "cpu", "cuda" or "auto".
        algorithm: the name of a class of stable-baselines3 that learns continuous actions.
        policy: the library's name of a policy.
        settings: the algorithm's own keywords. As a protocol holds plain values only, a schedule
            may be written "lin_3e-4" (falls linearly to zero), ``action_noise`` is the standard
            deviation of Gaussian noise in actions scaled to (-1, 1), ``activation_fn`` in
            ``policy_kwargs`` the name of a class of torch.nn, and ``train_freq`` a number or a
            list such as [1, "episode"].
        schedule_steps: environment steps, over all worlds, after which a schedule has fallen to
            its end; 0: it stays at its start.
        forget_every: environment steps, over all worlds, after which ``forget`` is called, again
            and again, >= 1; None: never.

    Raises:
        ValueError: the library is missing, or it or this class refuses a space or an argument;
            numbers that are not finite.
    """

    def __init__(
        self,
        observation_space: spaces.Box,
        action_space: spaces.Box,
        *,
        num_envs: int,
        seed: int,
        device: str = "cpu",
        algorithm: str = "PPO",
        policy: str = "MlpPolicy",
        settings: Mapping[str, Any] | None = None,
        schedule_steps: int = 0,
        forget_every: int | None = None,
    ):
        _check(observation_space, action_space, num_envs, schedule_steps, forget_every)
        self.name, self.num_envs = algorithm, num_envs
        self.schedule_steps, self.forget_every = schedule_steps, forget_every
        self.observation_space = observation_space
        self.action_space = copy.deepcopy(action_space)
        self.action_space.seed(seed)  # random actions of the warm-up are drawn from it
        self.device = resolve_device(device)
        self.randomness = Randomness(seed, self.device)
        self.recipe = _resolve(algorithm), policy, copy.deepcopy(dict(settings or {}))
        self.updates, self.steps = 0, 0  # optimiser steps; environment steps over all worlds
        self._start()

    def _start(self) -> None:
        """Build the algorithm, with new networks, optimisers and buffers."""
        with self.randomness.lent():
            self.algorithm = _build(
                *self.recipe, self.observation_space, self.action_space, self.num_envs, self.device
            )
        on_policy = hasattr(self.algorithm, "rollout_buffer")
        self.driver = (OnPolicy if on_policy else OffPolicy)(self.algorithm, self.randomness)
        counted = self.algorithm.policy if on_policy else self.algorithm.critic
        counted.optimizer.register_step_post_hook(self._count)

    def __copy__(self) -> StableBaselines:
        """An actor with generators and pending actions of its own, for the probe."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        twin.randomness, twin.driver = copy.deepcopy(self.randomness), copy.copy(self.driver)
        twin.driver.randomness = twin.randomness
        return twin

    def _count(self, *_: Any) -> None:
        self.updates += 1

    def forget(self) -> None:
        """Become a new student: weights, optimisers and buffers are lost, the counts go on.

        Open episodes go on, too, and there is no new phase of random actions.
        """
        journal = getattr(self.driver, "journal", None)
        starts = getattr(self.driver, "starts", None)
        self._start()
        if journal is not None:
            self.driver.keep_in(journal.folder)
        if starts is not None:
            self.driver.starts = starts

    def act(self, observations: np.ndarray, explore: bool = True) -> np.ndarray:
        """Return actions (n, outputs) inside the action space: samples, or the policy's mode."""
        observations = _finite(observations, "observations")
        if explore:
            self._follow_schedule()
            actions = self.driver.act(observations)
        else:
            actions, _ = self.algorithm.predict(observations, deterministic=True)
        return self._inside(_finite(actions, "its own actions (the student has diverged)"))

    def observe(self, transitions: Transitions) -> None:
        """Store one step of all worlds; learn and forget when it is time."""
        for name in ("observations", "actions", "rewards", "next_observations"):
            _finite(getattr(transitions, name), name)
        before, self.steps = self.steps, self.steps + self.num_envs
        self._follow_schedule()
        pending = self.driver.pending
        known = pending is not None and np.array_equal(
            self._inside(pending["actions"]), transitions.actions
        )
        self.driver.observe(transitions, known)
        if crosses(self.forget_every, before, self.steps):
            self.forget()

    def value(self, observations: np.ndarray) -> np.ndarray:
        """Return the value (n,) of raw observations, in raw units.

        The value network's answer; where there are only critics, the lowest of them for the
        deterministic action.
        """
        observations = _finite(observations, "observations")
        self.algorithm.policy.set_training_mode(False)
        with torch.no_grad():
            return self.driver.value(observations).cpu().numpy()[:, 0].astype(np.float64)

    def _follow_schedule(self) -> None:
        """Tell the algorithm how far it is."""
        self.algorithm.num_timesteps = self.steps
        if self.schedule_steps:
            left = max(0.0, 1.0 - self.steps / self.schedule_steps)
            self.algorithm._current_progress_remaining = left

    def _inside(self, actions: np.ndarray) -> np.ndarray:
        """Clip actions to their space, in its own dtype."""
        space = self.action_space
        return np.clip(actions.astype(space.dtype, copy=False), space.low, space.high)

    def keep_in(self, folder: Path) -> None:
        """Keep a replay buffer in files of ``folder``, so that states only refer to it."""
        if isinstance(self.driver, OffPolicy):
            self.driver.keep_in(folder)

    def state_dict(self) -> dict[str, Any]:
        """Networks, optimisers, buffers, counts and generators, as NumPy arrays."""
        return {
            **self._describe(),
            "updates": self.updates,
            "steps": self.steps,
            "rounds": self.algorithm._n_updates,  # the library's own count; TD3 goes by it
            "driver": self.driver.state_dict(),
            "randomness": self.randomness.state_dict(),
            "warm_up": self.action_space.np_random.bit_generator.state,
        }

    def _describe(self) -> dict[str, Any]:
        """What a state must have in common with the student that loads it, and what it learned."""
        return {
            "algorithm": self.name,
            "num_envs": self.num_envs,
            "capacity": self.driver.buffer.buffer_size,
            "learned": learned(self.algorithm),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue exactly where ``state_dict`` was taken.

        Raises:
            ValueError: the state belongs to another algorithm, other networks, another buffer or
                another number of worlds, or its memory's files are damaged.
        """
        found, own = _likeness(state), _likeness(self._describe())
        if found != own:
            raise ValueError(
                f"the saved student ({', '.join(map(str, found[:3]))} steps in its buffer) is not "
                f"like this one ({', '.join(map(str, own[:3]))}), or its networks have other "
                "shapes: its options were different"
            )
        self.driver.load_state_dict(state["driver"])
        relearn(self.algorithm, state["learned"])
        self.updates, self.steps = int(state["updates"]), int(state["steps"])
        self.algorithm._n_updates = int(state["rounds"])
        self.randomness.load_state_dict(state["randomness"])
        self.action_space.np_random.bit_generator.state = state["warm_up"]


def _likeness(state: Mapping[str, Any]) -> tuple[Any, ...]:
    """Algorithm, number of worlds, capacity of the buffer, and the shapes of all weights."""
    shapes = {name: weights.shape for name, weights in state["learned"]["policy"].items()}
    return state["algorithm"], int(state["num_envs"]), int(state["capacity"]), shapes


def _resolve(name: str) -> type:
    """The library's class of that name.

    Raises:
        ValueError: the library is missing, or has no such algorithm.
    """
    try:
        import stable_baselines3
        from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
        from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
    except ImportError as error:
        raise ValueError(
            f"the student needs stable-baselines3 ({error}): pip install 'lyceum[sb3]'"
        ) from error
    families = (OnPolicyAlgorithm, OffPolicyAlgorithm)
    exported = {key: getattr(stable_baselines3, key) for key in stable_baselines3.__all__}
    known = [k for k, v in exported.items() if isinstance(v, type) and issubclass(v, families)]
    if name not in known:
        raise ValueError(f"sb3 expects algorithm to be one of {known}, but got {name!r}")
    return exported[name]


def _build(
    cls: type,
    policy: str,
    settings: Mapping[str, Any],
    observation_space: spaces.Box,
    action_space: spaces.Box,
    num_envs: int,
    device: torch.device,
) -> Any:
    """Build an algorithm of the library that has no world of its own."""
    from stable_baselines3.common.logger import Logger

    known = set(inspect.signature(cls).parameters) - OURS
    for name in settings:
        if name not in known:
            why = "belongs to the suite or cannot be resumed" if name in OURS else "is unknown"
            raise ValueError(
                f"sb3: setting {name!r} of {cls.__name__} {why}; known: {', '.join(sorted(known))}"
            )
    try:
        keywords = _translate(settings, (num_envs, *action_space.shape))
        worlds = _absent_worlds(num_envs, observation_space, action_space)
        algorithm = cls(policy, worlds, device=device, **keywords)
        if "train_freq" in known and num_envs > 1 and algorithm.train_freq.unit.value != "step":
            raise ValueError(f"train_freq in episodes needs one world, but there are {num_envs}")
    except (AssertionError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"stable-baselines3 cannot build {cls.__name__}: {error}") from error
    algorithm.set_logger(Logger(None, []))
    return algorithm


def _translate(settings: Mapping[str, Any], action_shape: tuple[int, ...]) -> dict[str, Any]:
    """Settings in plain values as the keywords that the library expects."""
    from stable_baselines3.common.noise import NormalActionNoise

    given = {name: _schedule(value) for name, value in settings.items()}
    if isinstance(given.get("train_freq"), list):
        given["train_freq"] = tuple(given["train_freq"])
    if given.get("action_noise") is not None:
        deviation = given["action_noise"]
        if isinstance(deviation, bool) or not isinstance(deviation, int | float):
            raise ValueError(f"action_noise must be a standard deviation, but is {deviation!r}")
        given["action_noise"] = NormalActionNoise(
            np.zeros(action_shape), np.full(action_shape, float(deviation))
        )
    inner = copy.deepcopy(dict(given.get("policy_kwargs") or {}))  # the library adds to it
    if isinstance(inner.get("activation_fn"), str):
        inner["activation_fn"] = getattr(torch.nn, inner["activation_fn"])
    if inner:
        given["policy_kwargs"] = inner
    return given


def _schedule(value: Any) -> Any:
    """Turn "lin_x" into a schedule from x to zero; leave everything else."""
    if not (isinstance(value, str) and value.startswith("lin_")):
        return value
    start = float(value.removeprefix("lin_"))
    return lambda left: start * left


def _absent_worlds(num_envs: int, observation_space: spaces.Box, action_space: spaces.Box) -> Any:
    """What the library wants to see of worlds: their number and spaces. They cannot be stepped."""
    from stable_baselines3.common.vec_env import VecEnv

    def absent(*_: Any, **__: Any) -> Any:
        raise RuntimeError("the suite steps the worlds, not stable-baselines3")

    methods = dict.fromkeys(VecEnv.__abstractmethods__, absent)
    methods["get_attr"] = lambda self, name, indices=None: [None] * num_envs
    return type("AbsentWorlds", (VecEnv,), methods)(num_envs, observation_space, action_space)


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(array)
    if not np.isfinite(array).all():
        raise ValueError(f"sb3 expects finite numbers, but {name} hold NaN or infinity")
    return array


def _check(
    observation_space: spaces.Space,
    action_space: spaces.Space,
    num_envs: int,
    schedule_steps: int,
    forget_every: int | None,
) -> None:
    """Refuse spaces and arguments that make no sense."""
    check_spaces("sb3", observation_space, action_space)
    rules = (
        ("num_envs", num_envs, ">= 1", num_envs >= 1),
        ("schedule_steps", schedule_steps, ">= 0", schedule_steps >= 0),
        ("forget_every", forget_every, ">= 1 or None", forget_every is None or forget_every >= 1),
    )
    for name, value, rule, holds in rules:
        if not holds:
            raise ValueError(f"sb3 expects {name} {rule}, but got {value!r}")

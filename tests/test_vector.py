"""Stepping many worlds: explicit resets, equal numbers in and out of process, clear failures."""

import os
import signal

import numpy as np
import pytest
from gymnasium import spaces

from environments.base import ProceduralEnv, TaskParameter
from environments.processes import ProcessWorlds
from environments.vector import LocalWorlds, VectorWorlds, make_worlds


class Drift(ProceduralEnv):
    """A noisy walk of ``length`` steps: the task is the drift; ``fault`` breaks it on purpose."""

    task_parameters = (TaskParameter("drift", -1.0, 1.0, 0.0, "m", "mean of a step"),)
    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def __init__(self, length=5, fault=None):
        self.length, self.fault = length, fault

    def reset(self, *, seed=None, options=None):
        self.task = self.begin(seed, options)
        self.count, self.place = 0, 0.0
        return self._observation(), {}

    def step(self, action):
        if self.fault == "raise" and self.task[0] > 0.5:
            raise KeyError("the floor is gone")
        if self.fault == "die" and self.task[0] > 0.5:
            os.kill(os.getpid(), signal.SIGKILL)
        self.count += 1
        self.place += self.task[0] + float(action.sum()) + self.np_random.normal()
        terminated = self.place > 2.0
        truncated = not terminated and self.count >= self.length
        return self._observation(), self.place, terminated, truncated, {"success": terminated}

    def _observation(self):
        return np.array([self.place, self.count, self.np_random.normal()], dtype=np.float32)


ENTRY = "tests.test_vector:Drift"


@pytest.fixture(autouse=True)
def importable(monkeypatch, request):
    """Workers find this file as ``tests.test_vector``, wherever pytest was started."""
    monkeypatch.syspath_prepend(str(request.config.rootpath))


def play(worlds, steps=12, seed=0):
    """Play with resets of only the ended worlds; return everything that came back."""
    rng = np.random.default_rng(seed)
    n, heard = worlds.num_envs, []
    idle = np.arange(n)
    for _ in range(steps):
        if idle.size:
            tasks = rng.uniform(-1, 1, (len(idle), 1))
            heard.append(worlds.reset(idle, tasks, rng.integers(2**31, size=len(idle))))
        result = worlds.step(rng.uniform(-1, 1, (n, 2)))
        heard += list(vars(result).values())
        idle = np.flatnonzero(result.terminated | result.truncated)
    return heard


def test_results_do_not_depend_on_the_number_of_processes():
    with make_worlds(ENTRY, {}, 5, workers=1) as worlds:
        assert isinstance(worlds, LocalWorlds)
        expected = play(worlds)
    for workers in (2, 3):
        with make_worlds(ENTRY, {}, 5, workers=workers) as worlds:
            assert isinstance(worlds, ProcessWorlds)
            heard = play(worlds)
        assert len(heard) == len(expected)
        for one, other in zip(heard, expected, strict=True):
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_world_is_a_single_world_stepped_alone(workers):
    tasks, seeds = np.array([[0.3], [-0.2], [0.9]]), np.array([5, 0, 7])
    actions = np.random.default_rng(1).uniform(-1, 1, (2, 3, 2)).astype(np.float32)
    with make_worlds(ENTRY, {"length": 9}, 3, workers) as worlds:
        first = worlds.reset([2, 0, 1], tasks, seeds)
        one = worlds.step(actions[0], [2, 0, 1])
        # Row j belongs to index[j], and a part of the worlds can go on alone.
        two = worlds.step(actions[1][:2], [1, 2])
    for row in range(3):
        world = Drift(length=9)
        observation, _ = world.reset(seed=int(seeds[row]), options={"task": tasks[row]})
        np.testing.assert_array_equal(first[row], observation)
        observation, reward, terminated, truncated, info = world.step(actions[0][row])
        np.testing.assert_array_equal(one.observations[row], observation)
        assert one.rewards[row] == reward
        assert (one.terminated[row], one.truncated[row]) == (terminated, truncated)
        assert one.success[row] == info["success"]
        order = {2: 0, 0: 1}  # row of the first step -> row of the second
        if row in order:
            observation, reward, *_ = world.step(actions[1][order[row]])
            np.testing.assert_array_equal(two.observations[order[row]], observation)
            assert two.rewards[order[row]] == reward


@pytest.mark.parametrize("workers", [1, 2])
def test_dtypes_and_shapes(workers):
    with make_worlds(ENTRY, {}, 3, workers) as worlds:
        observations = worlds.reset(np.array([1]), np.array([[0.0]]), np.array([0]))
        assert observations.shape == (1, 3) and observations.dtype == np.float32
        result = worlds.step(np.zeros((1, 2)), np.array([1]))
        assert result.rewards.dtype == np.float64 and result.rewards.shape == (1,)
        assert {x.dtype for x in (result.terminated, result.truncated, result.success)} == {
            np.dtype(bool)
        }
        nothing = worlds.step(np.zeros((0, 2)), np.array([], dtype=int))
        assert nothing.observations.shape == (0, 3) and nothing.rewards.shape == (0,)


@pytest.mark.parametrize("workers", [1, 2])
def test_the_truncated_observation_is_the_last_one_and_nothing_resets_by_itself(workers):
    with make_worlds(ENTRY, {"length": 2}, 2, workers) as worlds:
        worlds.reset([0, 1], np.full((2, 1), -1.0), np.array([3, 4]))
        actions = np.full((2, 2), -1.0)
        worlds.step(actions)
        result = worlds.step(actions)
    assert result.truncated.all() and not result.terminated.any()
    np.testing.assert_array_equal(result.observations[:, 1], 2)


def test_results_are_copies():
    with make_worlds(ENTRY, {}, 2, workers=2) as worlds:
        first = worlds.reset([0, 1], np.zeros((2, 1)), np.array([1, 2]))
        kept = first.copy()
        worlds.step(np.ones((2, 2)))
        np.testing.assert_array_equal(first, kept)


def test_a_bad_task_is_the_same_error_everywhere_and_the_worlds_live_on():
    # Two bad tasks in two workers: the first of the batch is reported, as in one process.
    tasks = np.array([[0.0], [5.0], [0.0], [7.0]])
    messages, after = [], []
    for workers in (1, 2):
        with make_worlds(ENTRY, {}, 4, workers) as worlds:
            with pytest.raises(ValueError, match="outside the task space") as caught:
                worlds.reset([3, 2, 1, 0], tasks, np.arange(4))
            messages.append(str(caught.value))
            after.append(worlds.reset([3, 2, 1, 0], tasks * 0, np.arange(4)))
    assert messages[0] == messages[1]
    assert "5.0" in messages[0]
    np.testing.assert_array_equal(*after)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("index", "tasks", "seeds"),
    [
        ([0, 0], np.zeros((2, 1)), np.zeros(2)),
        ([0, 3], np.zeros((2, 1)), np.zeros(2)),
        ([-1], np.zeros((1, 1)), np.zeros(1)),
        ([0, 1], np.zeros((2, 2)), np.zeros(2)),
        ([0, 1], np.zeros((2, 1)), np.zeros(1)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(workers, index, tasks, seeds):
    worlds = shared_worlds(workers)
    with pytest.raises(ValueError, match=r"index must hold|expects tasks"):
        worlds.reset(index, tasks, seeds)
    with pytest.raises(ValueError, match="expects actions of shape"):
        worlds.step(np.zeros((3, 1)))


OPEN = {}


def shared_worlds(workers):
    """Worlds that refuse everything can be shared by all such tests."""
    if workers not in OPEN:
        OPEN[workers] = make_worlds(ENTRY, {}, 3, workers)
    return OPEN[workers]


@pytest.fixture(scope="module", autouse=True)
def close_shared_worlds():
    yield
    for worlds in OPEN.values():
        worlds.close()


def test_a_failing_world_is_named():
    with make_worlds(ENTRY, {"fault": "raise"}, 4, workers=2) as worlds:
        worlds.reset(np.arange(4), np.array([[0.0], [0.0], [0.0], [0.9]]), np.arange(4))
        with pytest.raises(RuntimeError, match=r"raised KeyError[\s\S]*the floor is gone"):
            worlds.step(np.zeros((4, 2)))
        worlds.reset(np.arange(4), np.zeros((4, 1)), np.arange(4))
        assert np.isfinite(worlds.step(np.zeros((4, 2))).rewards).all()


def test_a_worker_that_dies_is_an_error_and_takes_the_others_along():
    worlds = make_worlds(ENTRY, {"fault": "die"}, 4, workers=2)
    pids = [process.pid for process in worlds.processes]
    worlds.reset(np.arange(4), np.array([[0.0], [0.0], [0.0], [0.9]]), np.arange(4))
    with pytest.raises(RuntimeError, match=r"worker 1, which steps worlds 2 to 3, died"):
        worlds.step(np.zeros((4, 2)))
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        worlds.step(np.zeros((4, 2)))


def test_a_worker_killed_between_two_calls():
    with make_worlds(ENTRY, {}, 2, workers=2) as worlds:
        worlds.reset([0, 1], np.zeros((2, 1)), np.arange(2))
        os.kill(worlds.processes[0].pid, signal.SIGKILL)
        with pytest.raises(RuntimeError, match="worker 1"):
            worlds.step(np.zeros((2, 2)))


@pytest.mark.parametrize("workers", [1, 2])
def test_close_frees_everything_and_can_be_repeated(workers):
    worlds = make_worlds(ENTRY, {}, 2, workers)
    pids = [process.pid for process in getattr(worlds, "processes", [])]
    worlds.close()
    worlds.close()
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        worlds.reset([0], np.zeros((1, 1)), np.zeros(1))


def test_bad_arguments_raise_in_the_caller():
    with pytest.raises(TypeError, match="colour"):
        make_worlds(ENTRY, {"colour": "red"}, 2, workers=2)
    with pytest.raises(ValueError, match="num_envs"):
        make_worlds(ENTRY, {}, 0)


class Batch(VectorWorlds):
    """Stands for worlds that live in one array."""

    def __init__(self, num_envs, length):
        self._describe(Drift(length), num_envs)

    def _reset(self, index, tasks, seeds):
        return np.zeros((len(index), 3), np.float32)

    def _step(self, index, actions):
        raise NotImplementedError("not asked for")

    def close(self):
        pass


class Batched(Drift):
    @classmethod
    def batch(cls, num_envs, length=5):
        return Batch(num_envs, length)


def test_worlds_in_one_array_never_get_processes():
    with make_worlds("tests.test_vector:Batched", {"length": 7}, 6, workers=4) as worlds:
        assert isinstance(worlds, Batch) and worlds.num_envs == 6
        assert worlds.reset([5], np.zeros((1, 1)), np.zeros(1)).shape == (1, 3)


def test_this_process_takes_a_share_and_a_part_of_it_can_go_on_alone():
    with make_worlds(ENTRY, {}, 5, workers=2) as worlds:
        assert len(worlds.processes) == 1 and worlds.own.num_envs == 3
        worlds.reset(np.arange(5), np.zeros((5, 1)), np.arange(5))
        for index in ([0, 2], [4], [3, 1]):
            observations = worlds.step(np.zeros((len(index), 2)), index).observations
            np.testing.assert_array_equal(observations[:, 1], 1)


def test_one_world_needs_no_process():
    with make_worlds(ENTRY, {}, 1, workers=4) as worlds:
        assert isinstance(worlds, LocalWorlds)


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True

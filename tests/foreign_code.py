"""Research code as it is found elsewhere: it knows nothing of Lyceum and draws globally."""

import numpy as np


class AbstractTeacher:
    """The base class of TeachMyAgent's interface: methods that do nothing."""

    def __init__(self, mins, maxs, env_reward_lb, env_reward_ub, seed=None):
        self.seed = seed or np.random.randint(42, 424242)  # noqa: NPY002
        np.random.seed(self.seed)  # noqa: NPY002
        self.mins, self.maxs = np.array(mins), np.array(maxs)
        self.env_reward_lb, self.env_reward_ub = env_reward_lb, env_reward_ub
        self.value_estimator = lambda states: None

    def record_initial_state(self, task, state):
        pass

    def step_update(self, state, action, reward, next_state, done):
        pass

    def episodic_update(self, task, reward, is_success):
        pass


class ProgressBandit(AbstractTeacher):
    """Draws from cells of a grid in proportion to how much their return changed last time."""

    def __init__(self, mins, maxs, seed, env_reward_lb, env_reward_ub, cells=5, random_share=0.2):
        super().__init__(mins, maxs, env_reward_lb, env_reward_ub, seed)
        self.cells, self.random_share = cells, random_share
        self.latest, self.progress = {}, {}

    def sample_task(self):
        if not self.progress or np.random.uniform() < self.random_share:  # noqa: NPY002
            return np.random.uniform(self.mins, self.maxs).astype(np.float32)  # noqa: NPY002
        cells = sorted(self.progress)
        weights = np.array([self.progress[cell] for cell in cells]) + 1e-9
        chosen = cells[np.random.choice(len(cells), p=weights / weights.sum())]  # noqa: NPY002
        place = (np.array(chosen) + np.random.uniform(size=len(chosen))) / self.cells  # noqa: NPY002
        return (self.mins + place * (self.maxs - self.mins)).astype(np.float32)

    def episodic_update(self, task, reward, is_success):
        assert task.dtype == np.float32
        place = (task - self.mins) / (self.maxs - self.mins) * self.cells
        cell = tuple(np.clip(place.astype(int), 0, self.cells - 1))
        if cell in self.latest:
            self.progress[cell] = abs(reward - self.latest[cell])
        self.latest[cell] = reward


class StepCounter(AbstractTeacher):
    """Writes down every call, and moves its tasks by what it heard of every step."""

    def __init__(self, mins, maxs, seed, env_reward_lb, env_reward_ub, initial_dist=None, log=None):
        super().__init__(mins, maxs, env_reward_lb, env_reward_ub, seed)
        self.arguments = (mins, maxs, seed, env_reward_lb, env_reward_ub)
        self.initial_dist, self.calls, self.total = initial_dist, [] if log is None else log, 0.0

    def sample_task(self):
        place = (np.random.uniform(size=len(self.mins)) + self.total) % 1.0  # noqa: NPY002
        return (self.mins + place * (self.maxs - self.mins)).astype(np.float32)

    def record_initial_state(self, task, state):
        self.calls.append(("initial", task.tolist(), state.tolist()))
        self.total += float(state.sum())

    def step_update(self, state, action, reward, next_state, done):
        step = (state.tolist(), action.tolist(), float(reward), next_state.tolist(), done)
        self.calls.append(("step", *step))
        values = self.value_estimator(np.array([state, next_state]))
        self.total += reward + (0.0 if values is None else float(values.sum()))
        action *= 0.0  # it was given a copy

    def episodic_update(self, task, reward, is_success):
        self.calls.append(("episode", task.tolist(), reward, is_success))
        self.total += reward


class Curriculum:
    """The base class of Syllabus's interface."""

    def __init__(self, task_space, random_start_tasks=0):
        self.task_space, self.random_start_tasks = task_space, random_start_tasks
        self.completed_tasks = 0

    @property
    def requires_step_updates(self):
        return False

    def update_task_progress(self, task, progress, env_id=None):
        self.completed_tasks += 1

    def update_on_step(self, task, obs, rew, term, trunc, info, progress, env_id=None):
        raise NotImplementedError

    def update_on_step_batch(self, step_results, env_id=None):
        for row in zip(*step_results, strict=True):
            self.update_on_step(*row, env_id=env_id)

    def update_on_episode(self, episode_return, length, task, progress, env_id=None):
        pass


class FailureReplay(Curriculum):
    """Draws what failed last time ten times as often."""

    def __init__(self, task_space, random_start_tasks=20):
        super().__init__(task_space, random_start_tasks)
        self.weights = np.ones(task_space.num_tasks)

    def sample(self, k=1):
        if self.completed_tasks < self.random_start_tasks:
            return self.task_space.encode(self.task_space.sample())
        chance = self.weights / self.weights.sum()
        return np.random.choice(len(chance), size=k, p=chance)  # noqa: NPY002

    def update_task_progress(self, task, progress, env_id=None):
        super().update_task_progress(task, progress, env_id=env_id)
        self.weights[task] = 1.0 if progress else 10.0


class EpisodeLog(Curriculum):
    """Writes down every call; its tasks are a list that is given over and over."""

    def __init__(self, task_space, tasks=(0,), steps=True):
        super().__init__(task_space)
        self.given, self.steps, self.calls, self.count = tasks, steps, [], 0

    @property
    def requires_step_updates(self):
        return self.steps

    def sample(self, k=1):
        self.count += k
        return [self.given[(self.count - k + row) % len(self.given)] for row in range(k)]

    def update_task_progress(self, task, progress, env_id=None):
        self.calls.append(("progress", task, progress, env_id))

    def update_on_step(self, task, obs, rew, term, trunc, info, progress, env_id=None):
        row = (task, obs.tolist(), float(rew), bool(term), bool(trunc), info, float(progress))
        self.calls.append(("step", *row, env_id))

    def update_on_episode(self, episode_return, length, task, progress, env_id=None):
        self.calls.append(("episode", episode_return, length, task, progress, env_id))

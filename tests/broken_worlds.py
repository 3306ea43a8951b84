"""Worlds and supervised tasks that are wrong on purpose, each in one way."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from environments.base import ProceduralEnv, SupervisedTask, TaskParameter, parameter_box


class Walk(ProceduralEnv):
    """Walk on a line in a wind.

    ## Description
    A point walks; the task sets the wind and the width of the start.
    ## Action Space
    One push.
    ## Observation Space
    Position and time.
    ## Rewards
    Minus the distance from the origin.
    ## Starting State
    Drawn around the origin.
    ## Episode End
    After 25 steps.
    """

    task_parameters = (
        TaskParameter("wind", -1.0, 1.0, 0.0, "m/s", "push at every step"),
        TaskParameter("width", 0.5, 3.0, 1.0, "m", "spread of the start"),
    )
    metadata = {"render_modes": ["rgb_array"], "render_fps": 1}
    observation_space = spaces.Box(-1000.0, 1000.0, (2,), np.float64)
    action_space = spaces.Box(-1.0, 1.0, (1,), np.float32)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def see(self):
        return np.array([self.position, float(self.time)])

    def reset(self, *, seed=None, options=None):
        self.task = self.begin(seed, options)
        self.position = float(self.np_random.normal(0.0, self.task[1]))
        self.time = 0
        return self.see(), {}

    def step(self, action):
        self.time += 1
        self.position += float(action[0]) + self.task[0] + 0.1 * self.np_random.normal()
        over = self.time >= 25
        info = {"success": abs(self.position) < 1.0} if over else {}
        return self.see(), -abs(self.position), over, False, info

    def render(self):
        return np.zeros((8, 8, 3), np.uint8)


class Table(SupervisedTask):
    """Points with three classes, jittered when sampled if asked for."""

    input_shape = (4,)
    num_classes = 3

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        held = np.random.default_rng(99)
        self.label = rng.integers(3, size=30)
        self.inputs = rng.normal(size=(30, 4)).astype(np.float32)
        self.prior = rng.random(30)
        self.truth = {"odd": self.label % 2 == 1}
        self.validation = held.normal(size=(10, 4)).astype(np.float32), held.integers(3, size=10)
        self.test = held.normal(size=(12, 4)).astype(np.float32), held.integers(3, size=12)

    def sample(self, tasks, rng):
        return self.inputs[tasks], self.label[tasks]


class Fresh(Table):
    """Clouds whose spread is the task; every point is drawn anew."""

    task_parameters = (TaskParameter("spread", 0.5, 3.0, 1.0, "1", "of the cloud"),)
    label = prior = None

    def __init__(self, seed):
        super().__init__(seed)
        self.label = self.prior = None
        self.truth = {}

    task_space = property(lambda self: parameter_box(self.task_parameters))
    default_task = np.array([1.0])

    @classmethod
    def space_kind(cls, **options):
        return "box"

    def sample(self, tasks, rng):
        if np.shape(tasks)[1:] != (1,) or not ((tasks >= 0.5) & (tasks <= 3.0)).all():
            raise ValueError("outside the box")
        targets = rng.integers(3, size=len(tasks))
        noise = rng.normal(size=(len(tasks), 4))
        return (targets[:, None] + tasks * noise).astype(np.float32), targets


WORLD_TWINS: dict[type, set[str]] = {}
TASK_TWINS: dict[type, set[str]] = {}


def fails(*rules):
    """Declare which rules, and no others, a class must fail."""

    def mark(cls):
        twins = WORLD_TWINS if issubclass(cls, Walk) else TASK_TWINS
        twins[cls] = set(rules)
        cls.__doc__ = cls.__doc__ or cls.__mro__[1].__doc__
        return cls

    return mark


@fails("check_gymnasium")
class InfoIsNone(Walk):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed, options=options)[0], None


@fails("check_task_parameters")
class NamesRepeat(Walk):
    task_parameters = (
        TaskParameter("wind", -1.0, 1.0, 0.0, "m/s", "push at every step"),
        TaskParameter("wind", 0.5, 3.0, 1.0, "m", "spread of the start"),
    )


@fails("check_datasheet")
class NoDatasheet(Walk):
    """Walk."""


@fails("check_task_is_honoured")
class IgnoresTask(Walk):
    def begin(self, seed, options):
        super().begin(seed, options)
        return self.default_task


@fails("check_default_task")
class OtherDefault(Walk):
    def begin(self, seed, options):
        task = super().begin(seed, options)
        return task if options else task + 0.1


@fails("check_bad_tasks_raise")
class Clips(Walk):
    def begin(self, seed, options):
        task = (options or {}).get("task")
        if np.shape(task) == (2,) and np.isfinite(task).all():
            space = self.task_space
            options = {**options, "task": np.clip(task, space.low, space.high)}
        return super().begin(seed, options)


@fails("check_unknown_options_raise")
class IgnoresUnknownOptions(Walk):
    def begin(self, seed, options):
        return super().begin(seed, {k: v for k, v in (options or {}).items() if k == "task"})


@fails("check_corners_build")
class BreaksInCorner(Walk):
    def see(self):
        corner = self.task[0] == 1.0 and self.task[1] == 0.5 and self.time > 3
        return super().see() * (np.nan if corner else 1.0)


@fails("check_episode_repeats")
class SwallowsSeed(Walk):
    """As ``Walk``: Description, Action Space, Observation Space, Rewards, Starting State,
    Episode End; gusts come from entropy."""

    def step(self, action):
        if self.time == 5:
            self.position += float(np.random.default_rng().normal())
        return super().step(action)


@fails("check_seed_zero_is_a_seed")
class SeedZeroIsNone(Walk):
    def begin(self, seed, options):
        return super().begin(seed or None, options)


@fails("check_no_state_carried_over")
class KeepsMomentum(Walk):
    momentum = 0.0

    def step(self, action):
        if self.time >= 5:
            self.momentum = 0.9 * self.momentum + 0.1 * float(action[0])
            self.position += self.momentum
        return super().step(action)


@fails("check_observations_vary")
class Blind(Walk):
    def see(self):
        return np.zeros(2)


@fails("check_observations_are_fresh", "check_gymnasium")
class SharesObservation(Walk):
    def see(self):
        if not hasattr(self, "buffer"):
            self.buffer = np.zeros(2)
        self.buffer[:] = super().see()
        return self.buffer


@fails("check_success_at_end")
class NoSuccess(Walk):
    def step(self, action):
        return *super().step(action)[:4], {}


@fails("check_success_at_end")
class NeverEnds(Walk):
    def step(self, action):
        observation, reward, _, _, info = super().step(action)
        self.position *= 0.9
        self.time %= 25
        return observation, reward, False, False, info


@fails("check_step_many_equals_single_steps")
class SharesRandomness(Walk):
    @classmethod
    def step_many(cls, worlds, actions):
        for world in worlds:
            world._np_random = worlds[0].np_random
        return super().step_many(worlds, actions)


@fails("check_rendering")
class RendersNothing(Walk):
    def render(self):
        return None


@fails("check_global_randomness_is_untouched")
class DrawsGlobally(Walk):
    def step(self, action):
        np.random.random()  # noqa: NPY002
        return super().step(action)


@fails("check_sample_shapes")
class Float64Inputs(Table):
    def sample(self, tasks, rng):
        return self.inputs[tasks].astype(np.float64), self.label[tasks]


@fails("check_sample_shapes")
class ColumnTargets(Table):
    def __init__(self, seed):
        super().__init__(seed)
        self.test = self.test[0], self.test[1][:, None]


@fails("check_columns")
class ShortPrior(Table):
    def __init__(self, seed):
        super().__init__(seed)
        self.prior = self.prior[:-1]


@fails("check_datasheet")
class NoDocstring(Table):
    pass


NoDocstring.__doc__ = None


@fails("check_levels")
class NamelessLevel(Table):
    level_names = ("first", "second")

    def __init__(self, seed):
        super().__init__(seed)
        self.test_level = np.arange(12) % 3


@fails("check_space_kind")
class WrongKind(Table):
    @classmethod
    def space_kind(cls, **options):
        return "box"


@fails("check_bad_tasks_raise")
class ClipsParameters(Fresh):
    def sample(self, tasks, rng):
        return super().sample(np.clip(tasks[:, :1], 0.5, 3.0), rng)


@fails("check_columns")
class LabelsInABox(Fresh):
    def __init__(self, seed):
        super().__init__(seed)
        self.group = np.zeros(30)


@fails("check_sample_follows_tasks", "check_sample_is_fresh")
class IgnoresGenerator(Fresh):
    def sample(self, tasks, rng):
        self.calls = getattr(self, "calls", 0) + 1
        return super().sample(tasks, np.random.default_rng(self.calls))


@fails("check_sample_follows_tasks")
class SortsTasks(Table):
    def sample(self, tasks, rng):
        return super().sample(np.sort(tasks), rng)


@fails("check_sample_follows_tasks")
class OtherInputs(Table):
    def sample(self, tasks, rng):
        return self.inputs[np.sort(tasks)], self.label[tasks]


@fails("check_sample_is_fresh")
class ReturnsViews(Table):
    def sample(self, tasks, rng):
        if np.array_equal(tasks, np.arange(len(self.label))):
            return self.inputs, self.label
        return super().sample(tasks, rng)


@fails("check_held_out_is_disjoint")
class Leaks(Table):
    def __init__(self, seed):
        super().__init__(seed)
        self.inputs[3] = self.test[0][5]


@fails("check_same_seed_same_data")
class EntropyLabels(Table):
    def __init__(self, seed):
        super().__init__(seed)
        self.inputs = np.random.default_rng().normal(size=(30, 4)).astype(np.float32)


@fails("check_same_seed_same_data")
class TaskSeedZeroIsNone(Table):
    def __init__(self, seed):
        super().__init__(seed or None)


@fails("check_held_out_ignores_the_seed")
class SeededTestSet(Table):
    def __init__(self, seed):
        super().__init__(seed)
        self.test = self.test[0] + np.float32(seed), self.test[1]


@fails("check_global_randomness_is_untouched")
class TaskDrawsGlobally(Table):
    def sample(self, tasks, rng):
        np.random.random()  # noqa: NPY002
        return super().sample(tasks, rng)

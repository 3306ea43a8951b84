"""Teachers that are wrong on purpose in hard times, in cost, randomness, state or fairness."""

from __future__ import annotations

import numpy as np

from tests.broken_teachers import Sound, fails

TICKS = [0.0]  # what the clock of the cost rule reads while its twin is tried


class Remembers(Sound):
    """Sound; keeps the last 50 facts for the twins that stumble over them."""

    spaces = ("box",)
    memory = ("shift", "recent")

    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.recent: list = []

    def observe(self, outcomes):
        super().observe(outcomes)
        self.recent = [*self.recent, *self.facts(outcomes).tolist()][-50:]
        if len(self.recent) == 50:
            self.shift = float(self.shift + self.stumble(np.array(self.recent))) % 1.0


@fails("check_bears_equal_scores")
class DividesBySpread(Remembers):
    def facts(self, outcomes):
        return outcomes.score

    def stumble(self, recent):
        return 0.01 * ((recent - recent.mean()) / recent.std())[0]


@fails("check_bears_only_success")
class DividesByFailures(Remembers):
    def facts(self, outcomes):
        return outcomes.success

    def stumble(self, recent):
        return 0.01 / (50 - recent.sum())


@fails("check_bears_only_failure")
class DividesBySuccesses(Remembers):
    def facts(self, outcomes):
        return outcomes.success

    def stumble(self, recent):
        return 0.01 / recent.sum()


@fails("check_bears_extreme_scores")
class OverflowsOnScores(Remembers):
    def facts(self, outcomes):
        return outcomes.score

    def stumble(self, recent):
        return np.exp(np.abs(recent).max() / 1000.0) * 1e-6


@fails("check_bears_one_step_episodes")
class DividesByLength(Remembers):
    def facts(self, outcomes):
        return outcomes.length

    def stumble(self, recent):
        return 0.01 / (recent.max() - 1)


@fails("check_bears_one_task_ten_thousand_times")
class DividesByWidth(Remembers):
    def facts(self, outcomes):
        return outcomes.tasks[:, 0]

    def stumble(self, recent):
        return 0.01 * (recent[0] - recent.min()) / np.ptp(recent)


@fails("check_cost_per_task")
class Slow(Sound):
    def propose(self, count, progress):
        TICKS[0] += 0.06 * count
        return super().propose(count, progress)


@fails("check_memory_stays_small")
class Hoards(Sound):
    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.attic = []

    def observe(self, outcomes):
        super().observe(outcomes)
        self.attic += [np.arange(100.0) for _ in outcomes.score]


@fails("check_same_seed_same_proposals")
class IgnoresSeedForEntropy(Sound):
    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.rng = np.random.default_rng()


@fails("check_seed_zero_is_a_seed")
class SeedZeroIsNone(Sound):
    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed or None, knowledge=knowledge)


@fails("check_different_seeds_differ")
class IgnoresSeed(Sound):
    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=3, knowledge=knowledge)


@fails("check_global_randomness_is_untouched")
class DrawsGlobally(Sound):
    def observe(self, outcomes):
        super().observe(outcomes)
        np.random.random()  # noqa: NPY002


@fails("check_global_randomness_is_untouched", "check_same_seed_same_proposals")
class DrawsGloballyAndUsesIt(Sound):
    def draw(self, count):
        return np.random.random(count)  # noqa: NPY002


@fails("check_same_in_another_process")
class HashesNames(Sound):
    def draw(self, count):
        return (super().draw(count) + hash("a name") / 2**64) % 1.0


@fails("check_instances_are_independent")
class KeepsStateInClass(Sound):
    latest = None

    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        KeepsStateInClass.latest = self

    def propose(self, count, progress):
        if KeepsStateInClass.latest is not self:
            self.rng.random()
        KeepsStateInClass.latest = self
        return super().propose(count, progress)


@fails("check_state_continues_exactly")
class ForgetsShift(Sound):
    memory = ()


@fails("check_state_continues_exactly")
class SavesLiveState(Remembers):
    """Saves its list itself and appends to it in place."""

    def observe(self, outcomes):
        Sound.observe(self, outcomes)
        self.recent += [float(outcomes.score[0])]
        del self.recent[:-50]

    def state_dict(self):
        return {**super().state_dict(), "recent": self.recent}


@fails("check_state_is_plain")
class SavesSet(Sound):
    memory = ("shift", "seen")
    seen = frozenset({1})


@fails("check_state_is_plain")
class SavesTuple(Sound):
    memory = ("shift", "pair")
    pair = (1, 2)


@fails("check_undeclared_signals_are_unread")
class PeeksAtLoss(Sound):
    def observe(self, outcomes):
        super().observe(outcomes)
        self.peek = getattr(outcomes, "loss", None)


@fails("check_undeclared_signals_are_unread")
class PeeksIntoSignals(Sound):
    def observe(self, outcomes):
        super().observe(outcomes)
        self.peek = outcomes.signals.get("embedding")

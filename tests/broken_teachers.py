"""Teachers that are wrong on purpose, each in one way, and the sound one they come from."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from teachers.base import Proposal, Teacher

TICKS = [0.0]  # what the clock of the cost rule reads while its twin is tried


class Sound(Teacher):
    """Draws tasks uniformly, turned by a shift that depends on the successes so far."""

    reference = "written for the tests"
    memory = ("shift",)

    def __init__(self, task_space, *, seed, knowledge=None, pace: float = 0.1):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if not 0.0 <= pace <= 1.0:
            raise ValueError(f"pace must be in [0, 1]; got {pace}")
        self.pace = pace
        self.shift = 0.0

    def draw(self, count):
        return (self.rng.random(count) + self.shift) % 1.0

    def place(self, unit):
        """Tasks for positions (count,) in [0, 1): along the diagonal of a box, or items."""
        space = self.task_space.space
        if isinstance(space, spaces.Discrete):
            return (unit * space.n).astype(np.int64)
        return np.clip(space.low + unit[:, None] * (space.high - space.low), space.low, space.high)

    def propose(self, count, progress):
        return Proposal(self.place(self.draw(count)))

    def observe(self, outcomes):
        self.shift = float(self.shift + self.pace * outcomes.success.mean()) % 1.0


TWINS: dict[type[Teacher], set[str]] = {}
KEYWORDS: dict[type[Teacher], dict] = {}


def fails(*rules):
    """Declare which rules, and no others, a class must fail."""

    def mark(cls):
        TWINS[cls] = set(rules)
        cls.__doc__ = cls.__doc__ or "Wrong on purpose."
        return cls

    return mark


@fails("check_works_with_space_and_seed_only")
class NeedsMore(Sound):
    def __init__(self, task_space, *, seed, knowledge=None, pace=None):
        if pace is None:
            raise ValueError("pace is missing")
        super().__init__(task_space, seed=seed, knowledge=knowledge, pace=pace)


KEYWORDS[NeedsMore] = {"pace": 0.2}


@fails("check_signature")
class PositionalHyperparameter(Sound):
    def __init__(self, task_space, pace=0.1, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge, pace=pace)


@fails("check_signature", "check_unknown_keywords_raise")
class SwallowsKeywords(Sound):
    def __init__(self, task_space, *, seed, knowledge=None, **unused):
        super().__init__(task_space, seed=seed, knowledge=knowledge)


@fails("check_hyperparameters_are_validated")
class AcceptsNaN(Sound):
    def __init__(self, task_space, *, seed, knowledge=None, pace=0.1):
        if pace < 0.0 or pace > 1.0:
            raise ValueError("pace must be in [0, 1]")
        Teacher.__init__(self, task_space, seed=seed, knowledge=knowledge)
        self.pace, self.shift = pace, 0.0


@fails("check_hyperparameters_are_validated")
class AcceptsNegativeCount(Sound):
    def __init__(self, task_space, *, seed, knowledge=None, window=10):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if window != window:
            raise ValueError("window must be a number")


@fails("check_class_facts")
class NoReference(Sound):
    reference = ""


@fails("check_class_facts")
class UnknownPrivilege(Sound):
    privileges = ("prio",)


@fails("check_arguments_are_not_modified")
class EditsTaskSpace(Sound):
    def propose(self, count, progress):
        for column in (self.task_space.default, self.task_space.label):
            if column is not None:
                column[:] = 0
        return super().propose(count, progress)


@fails("check_proposals_lie_in_the_space")
class LeavesSpace(Sound):
    def place(self, unit):
        space = self.task_space.space
        if isinstance(space, spaces.Discrete):
            return super().place(unit) + 1
        return super().place(unit) + (space.high - space.low) / 2


@fails("check_proposals_lie_in_the_space")
class WrongShape(Sound):
    def place(self, unit):
        return super().place(unit)[..., None]


@fails("check_proposals_lie_in_the_space")
class FloatItems(Sound):
    spaces = ("discrete",)

    def place(self, unit):
        return super().place(unit).astype(np.float64)


@fails("check_proposals_lie_in_the_space")
class Float32Vectors(Sound):
    spaces = ("box",)

    def place(self, unit):
        return super().place(unit).astype(np.float32)


@fails("check_proposals_lie_in_the_space")
class NegativeWeights(Sound):
    """Weighs some task below zero."""

    memory = ("shift", "calls")
    calls = 0

    def propose(self, count, progress):
        self.calls += 1
        weights = np.ones(count)
        weights[0] = -1.0 if self.calls == 20 else 1.0
        return Proposal(super().propose(count, progress).tasks, weights)

    def observe(self, outcomes):
        super().observe(outcomes)
        self.calls = min(self.calls, 19)


@fails("check_count_is_honoured")
class IgnoresCountAtFirst(Sound):
    memory = ("shift", "started")
    started = False

    def propose(self, count, progress):
        return super().propose(count if self.started else 1, progress)

    def observe(self, outcomes):
        super().observe(outcomes)
        self.started = True


@fails("check_many_proposals_without_outcomes")
class WaitsForOutcomes(Sound):
    memory = ("shift", "waiting")
    waiting = 0

    def propose(self, count, progress):
        self.waiting += 1
        if self.waiting > 100:
            raise RuntimeError("no outcome came")
        return super().propose(count, progress)

    def observe(self, outcomes):
        super().observe(outcomes)
        self.waiting = 0


@fails("check_proposals_are_fresh")
class SharesBuffer(Sound):
    def propose(self, count, progress):
        tasks = super().propose(count, progress).tasks
        if getattr(self, "buffer", tasks[:0]).shape != tasks.shape:
            self.buffer = tasks
        self.buffer[...] = tasks
        return Proposal(self.buffer)


@fails("check_proposals_are_fresh")
class KeepsProposal(Sound):
    memory = ("shift", "last")
    last = None

    def propose(self, count, progress):
        tasks = super().propose(count, progress).tasks
        if self.last is not None:
            tasks[0] = self.last[0]
        self.last = tasks
        return Proposal(tasks)


@fails("check_draws_do_not_repeat")
class SeedsAgain(Sound):
    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        self.seed = seed

    def observe(self, outcomes):
        super().observe(outcomes)
        self.rng = np.random.default_rng(self.seed)


@fails("check_outcomes_in_any_order")
class WantsOrder(Sound):
    def observe(self, outcomes):
        if (np.diff(outcomes.proposal) < 0).any():
            raise RuntimeError("outcomes out of order")
        super().observe(outcomes)


@fails("check_observe_returns_nothing")
class ReturnsSomething(Sound):
    def observe(self, outcomes):
        super().observe(outcomes)
        return self


@fails("check_outcomes_are_not_modified")
class CentresScoresInPlace(Sound):
    def observe(self, outcomes):
        super().observe(outcomes)
        score = outcomes.score
        score -= score.mean()


@fails("check_weigh_is_valid")
class NegativeWeigh(Sound):
    def weigh(self, batch):
        return -batch["loss"]


@fails("check_weigh_is_valid")
class WeighEditsBatch(Sound):
    def weigh(self, batch):
        batch["loss"] *= 2.0
        return np.ones(len(batch["loss"]))


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

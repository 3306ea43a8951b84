"""Teachers that are wrong on purpose in what they are, propose or do with outcomes; two sound."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from teachers.base import PRIVILEGES, SIGNALS, Proposal, Teacher
from teachers.hooks import CHANGES


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


class ReadsEverything(Sound):
    """Declares and uses whatever a teacher may be given."""

    signals = SIGNALS
    privileges = PRIVILEGES
    changes = CHANGES

    def __init__(self, task_space, *, seed, knowledge=None):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if isinstance(task_space.space, spaces.Discrete):
            n = task_space.space.n
            assert all(len(c) == n for c in (task_space.prior, task_space.group, task_space.label))
        else:
            low, high = self.knowledge.return_range
            assert low < high and len(self.knowledge.target[0]) == task_space.space.shape[0]

    def propose(self, count, progress):
        proposal = super().propose(count, progress)
        tasks = proposal.tasks
        asked = [self.probe.loss(tasks), self.probe.correct(tasks), self.probe.evaluate(tasks)]
        asked += [self.probe.embedding(tasks)[:, 0], self.probe.alignment(tasks, tasks)]
        weights = 1.0 + np.abs(np.sum(asked, axis=0))
        return Proposal(tasks, weights, self.rng.integers(2**31, size=count))

    def observe(self, outcomes):
        n = len(outcomes.score)
        assert all(len(getattr(outcomes, name)) == n for name in SIGNALS)
        values = self.probe.value(outcomes.initial_observation)
        longest = max(len(trace["rewards"]) for trace in outcomes.trajectory)
        assert longest == outcomes.length.max()
        self.shift = float(self.shift + 1e-3 * values.mean()) % 1.0

    def weigh(self, batch):
        assert batch["inputs"].ndim == 2
        return 1.0 / (1.0 + batch["loss"] + np.abs(batch["logits"]).sum(axis=1))

    def transform_loss(self, logits, targets, tasks):
        return (logits - targets[:, None]).square().sum(dim=1) + len(tasks)

    def adjust(self, progress):
        return {"smoothing": 1.0 - progress}


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


@fails("check_transform_loss_is_valid")
class LosesTheGraph(Sound):
    changes = ("objective",)

    def transform_loss(self, logits, targets, tasks):
        return logits.detach().sum(dim=1)


@fails("check_transform_loss_is_valid")
class OneLossForAll(Sound):
    changes = ("objective",)

    def transform_loss(self, logits, targets, tasks):
        return logits.sum()


@fails("check_transform_loss_is_valid")
class EndlessSlope(Sound):
    changes = ("objective",)

    def transform_loss(self, logits, targets, tasks):
        return (logits[:, 0] - logits[:, 0]).sqrt()


@fails("check_adjust_is_valid")
class AdjustsToNothing(Sound):
    changes = ("student",)

    def adjust(self, progress):
        return {"smoothing": np.nan if progress > 0.4 else 1.0}


@fails("check_class_facts")
class HidesAHook(Sound):
    def transform_loss(self, logits, targets, tasks):
        return logits.sum(dim=1)


@fails("check_class_facts")
class BoastsOfAHook(Sound):
    changes = ("student",)


@fails("check_weigh_is_valid")
class WeighEditsBatch(Sound):
    def weigh(self, batch):
        batch["loss"] *= 2.0
        return np.ones(len(batch["loss"]))

"""Students that are wrong on purpose, each in one way."""

from __future__ import annotations

import copy

import numpy as np

from students.base import Student, SupervisedStudent


class Climber(Student):
    """Pushes its mean action towards the actions that paid more than usual."""

    def __init__(self, observation_space, action_space, *, num_envs, seed, device="cpu"):
        self.rng = np.random.default_rng(seed)
        self.mean, self.held, self.updates = 0.0, [], 0

    def noise(self, count):
        return 0.3 * self.rng.normal(size=(count, 1))

    def act(self, observations, explore=True):
        actions = np.full((len(observations), 1), self.mean)
        return np.clip(actions + self.noise(len(observations)) if explore else actions, -1, 1)

    def observe(self, transitions):
        self.held = [*self.held, (transitions.actions[:, 0] * transitions.rewards).mean()]
        self.held.append(float(transitions.rewards.mean() - self.mean))
        if len(self.held) >= 20:
            self.mean = float(min(1.0, self.mean + 0.05 + 0.01 * np.mean(self.held)))
            self.held, self.updates = [], self.updates + 1

    def value(self, observations):
        return np.full(len(observations), self.mean)

    def state_dict(self):
        state = {"rng": self.rng.bit_generator.state, "mean": self.mean, "held": self.held}
        return copy.deepcopy({**state, "updates": self.updates})

    def load_state_dict(self, state):
        state = copy.deepcopy(dict(state))
        self.rng.bit_generator.state = state["rng"]
        self.mean, self.held, self.updates = state["mean"], state["held"], state["updates"]


class Linear(SupervisedStudent):
    """Softmax regression by plain gradient descent."""

    def __init__(self, input_shape, num_classes, *, seed, device="cpu"):
        rng = np.random.default_rng(seed)
        self.matrix = 0.01 * rng.normal(size=(int(np.prod(input_shape)), num_classes))
        self.updates = 0

    def probabilities(self, inputs):
        logits = inputs.astype(np.float64) @ self.matrix
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        return logits, shares / shares.sum(axis=1, keepdims=True)

    def predict(self, inputs):
        return {"logits": self.probabilities(inputs)[0], "embedding": inputs.copy()}

    def train(self, inputs, targets, weigh=None):
        report, slope = self.measure(inputs, targets)
        self.descend(inputs, slope, self.ask(weigh, report))
        return report

    def measure(self, inputs, targets):
        logits, shares = self.probabilities(inputs)
        own = shares[np.arange(len(targets)), targets]
        correct = logits.argmax(axis=1) == targets
        report = {"loss": -np.log(own), "correct": correct, **self.predict(inputs)}
        return report, shares - np.eye(shares.shape[1])[targets]

    def ask(self, weigh, report):
        facts = {"loss": report["loss"].copy(), "logits": report["logits"].copy()}
        return np.ones(len(report["loss"])) if weigh is None else weigh(facts)

    def descend(self, inputs, slope, weights):
        if weights.any():
            self.matrix = self.matrix - 0.5 * inputs.T @ (slope * weights[:, None]) / len(inputs)
            self.updates += 1

    def alignment(self, inputs, targets, reference):
        return np.ones(len(inputs))

    def state_dict(self):
        return {"matrix": self.matrix.copy(), "updates": self.updates}

    def load_state_dict(self, state):
        self.matrix, self.updates = state["matrix"].copy(), state["updates"]


ACTING_TWINS: dict[type, set[str]] = {}
SUPERVISED_TWINS: dict[type, set[str]] = {}


def fails(*rules):
    """Declare which rules, and no others, a class must fail."""

    def mark(cls):
        twins = ACTING_TWINS if issubclass(cls, Student) else SUPERVISED_TWINS
        twins[cls] = set(rules)
        return cls

    return mark


@fails("check_action_shapes")
class LeavesActionSpace(Climber):
    def act(self, observations, explore=True):
        far = 2.0 if len(observations) == 37 else 0.0
        return super().act(observations, explore) + far


@fails("check_rows_are_independent")
class NormalisesOverBatch(Climber):
    def act(self, observations, explore=True):
        actions = super().act(observations, explore)
        spread = 0.0 if explore else observations.mean() / 10 * (np.abs(self.mean) < 0.7)
        return np.clip(actions + spread, -1, 1)


@fails("check_evaluation_draws_nothing")
class DrawsInEvaluation(Climber):
    def act(self, observations, explore=True):
        if not explore:
            self.rng.random()
        return super().act(observations, explore)


@fails("check_evaluation_draws_nothing", "check_rows_are_independent")
class ExploresInEvaluation(Climber):
    def act(self, observations, explore=True):
        return super().act(observations, True)


@fails("check_value_shape")
class ValueColumn(Climber):
    def value(self, observations):
        return super().value(observations)[:, None]


@fails("check_inputs_are_not_modified")
class ScalesRewardsInPlace(Climber):
    def observe(self, transitions):
        super().observe(transitions)
        rewards = transitions.rewards
        rewards /= 10.0


@fails("check_same_seed_same_run")
class Entropy(Climber):
    def __init__(self, *spaces, num_envs, seed, device="cpu"):
        super().__init__(*spaces, num_envs=num_envs, seed=None)


@fails("check_seed_zero_is_a_seed")
class SeedZeroIsNone(Climber):
    def __init__(self, *spaces, num_envs, seed, device="cpu"):
        super().__init__(*spaces, num_envs=num_envs, seed=seed or None)


@fails("check_different_seeds_differ")
class IgnoresSeed(Climber):
    def __init__(self, *spaces, num_envs, seed, device="cpu"):
        super().__init__(*spaces, num_envs=num_envs, seed=3)


@fails("check_global_randomness_is_untouched")
class DrawsGlobally(Climber):
    def observe(self, transitions):
        super().observe(transitions)
        np.random.random()  # noqa: NPY002


@fails("check_state_continues_exactly")
class ForgetsRollout(Climber):
    def state_dict(self):
        return {**super().state_dict(), "held": []}


@fails("check_state_continues_exactly")
class SavesLiveList(Climber):
    def observe(self, transitions):
        super().observe(transitions)
        self.live = getattr(self, "live", [])
        self.live.append(1)

    def state_dict(self):
        return {**super().state_dict(), "live": getattr(self, "live", [])}


@fails("check_state_is_plain")
class SavesSet(Climber):
    def state_dict(self):
        return {**super().state_dict(), "kinds": {1}}


@fails("check_learns_a_trivial_world")
class NeverLearns(Climber):
    def observe(self, transitions):
        self.updates += 1


@fails("check_learns_a_trivial_world")
class CountsNothing(Climber):
    def observe(self, transitions):
        super().observe(transitions)
        self.updates = 0


@fails("check_shapes")
class FlatEmbedding(Linear):
    def predict(self, inputs):
        got = super().predict(inputs)
        return {**got, "embedding": got["embedding"].ravel()}


@fails("check_alignment_shape")
class AlignmentColumn(Linear):
    def alignment(self, inputs, targets, reference):
        return np.ones((len(inputs), 1))


@fails("check_prediction_learns_nothing")
class CountsPredictions(Linear):
    predictions = 0

    def predict(self, inputs):
        self.predictions += 1
        return super().predict(inputs)

    def train(self, inputs, targets, weigh=None):
        before = self.predictions
        report = super().train(inputs, targets, weigh)
        self.predictions = before
        return report

    def state_dict(self):
        return {**super().state_dict(), "predictions": self.predictions}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        self.predictions = state["predictions"]


@fails("check_report_is_from_before_the_step")
class ReportsAfterStep(Linear):
    def train(self, inputs, targets, weigh=None):
        super().train(inputs, targets, weigh)
        return self.measure(inputs, targets)[0]


@fails("check_weights_of_one_change_nothing", "check_weigh_is_given_copies")
class DoublesWeights(Linear):
    def ask(self, weigh, report):
        return super().ask(weigh, report) * (1.0 if weigh is None else 2.0)


@fails("check_zero_weight_has_no_influence")
class IgnoresWeights(Linear):
    def descend(self, inputs, slope, weights):
        super().descend(inputs, slope, np.full(len(weights), float(weights.any())))


@fails("check_zero_weights_skip_the_step")
class CountsEmptySteps(Linear):
    def descend(self, inputs, slope, weights):
        super().descend(inputs, slope, weights)
        self.updates += not weights.any()


@fails("check_weigh_is_given_copies")
class HandsOverItsLoss(Linear):
    def train(self, inputs, targets, weigh=None):
        report, slope = self.measure(inputs, targets)
        weights = np.ones(len(inputs)) if weigh is None else weigh(report)
        self.descend(inputs, slope * (report["loss"] > 0)[:, None], weights)
        return report


@fails("check_inputs_are_not_modified")
class CentresInputs(Linear):
    def train(self, inputs, targets, weigh=None):
        report = super().train(inputs, targets, weigh)
        inputs -= inputs.mean(axis=0)
        return report


@fails("check_same_seed_same_run")
class LinearEntropy(Linear):
    def __init__(self, *sizes, seed, device="cpu"):
        super().__init__(*sizes, seed=None)


@fails("check_seed_zero_is_a_seed")
class LinearSeedZeroIsNone(Linear):
    def __init__(self, *sizes, seed, device="cpu"):
        super().__init__(*sizes, seed=seed or None)


@fails("check_different_seeds_differ")
class LinearIgnoresSeed(Linear):
    def __init__(self, *sizes, seed, device="cpu"):
        super().__init__(*sizes, seed=3)


@fails("check_global_randomness_is_untouched")
class LinearDrawsGlobally(Linear):
    def descend(self, inputs, slope, weights):
        super().descend(inputs, slope, weights)
        np.random.random()  # noqa: NPY002


@fails("check_state_continues_exactly")
class ForgetsMomentum(Linear):
    momentum = 0.0

    def descend(self, inputs, slope, weights):
        before = self.matrix
        super().descend(inputs, slope, weights)
        if self.matrix is not before:
            step = self.matrix - before + 0.5 * self.momentum
            self.matrix, self.momentum = before + step, step


@fails("check_state_continues_exactly")
class SavesLiveMatrix(Linear):
    def descend(self, inputs, slope, weights):
        matrix = self.matrix
        super().descend(inputs, slope, weights)
        matrix[...] = self.matrix
        self.matrix = matrix

    def state_dict(self):
        return {"matrix": self.matrix, "updates": self.updates}


@fails("check_state_is_plain")
class SavesTuple(Linear):
    def state_dict(self):
        return {**super().state_dict(), "shape": self.matrix.shape}


@fails("check_learns_a_trivial_set")
class LearnsNothing(Linear):
    def descend(self, inputs, slope, weights):
        super().descend(inputs, 1e-9 * slope, weights)


@fails("check_learns_a_trivial_set")
class NeverCounts(Linear):
    def descend(self, inputs, slope, weights):
        super().descend(inputs, slope, weights)
        self.updates = 0

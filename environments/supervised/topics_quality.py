"""Topics whose items are rated: a rating that tells quality, but also favours some topics."""

from __future__ import annotations

import numpy as np

from environments.base import SupervisedTask
from environments.supervised.data import symmetric_noise

TOPICS, DIMENSIONS = 12, 12
WORST = 0.45  # chance of a wrong label at quality 0
OWN = 1.0  # how much a topic's rule differs from the common one
HELD_OUT = 100  # test and as many validation items per topic
HELD_OUT_SEED = 20261202  # of the rules, the topics' biases, validation and test set


class TopicsQuality(SupervisedTask):
    """Choose what to train on by a rating that is worth something, and not everything.

    A point has 12 standard normal numbers; beside them the input names its topic, one of twelve, as
    twelve numbers 0 or 1. The class of a point x of topic k is the sign of (s + o_k) x, where s is
    common to all topics and o_k the topic's own; both are standard normal. An item has a quality,
    uniform in [0, 1]; its label is wrong with chance 0.45 (1 - quality). Its rating is quality +
    ``topic_bias`` b_k + ``rating_noise`` e, where the b_k are twelve evenly spaced numbers of mean
    0 and deviation 1 and e is standard normal: who takes only the best rated items misses topics.
    Topics are equally frequent; the test and validation sets hold 100 items of each with right
    labels, the same for all seeds.

    Known exactly: the rules, so that the best accuracy is 1 for every topic; ``truth["quality"]``,
    ``truth["wrong_chance"]`` and ``truth["mislabelled"]`` of each item. ``group`` is the topic.
    ``prior`` is minus the rating, brought to mean 0 and deviation 1 over the items: as everywhere
    the lowest values are those that a hand-made order begins with.

    Stands for: QuRating (Wettig et al., 2024, https://arxiv.org/abs/2402.09739), selection with
    chances proportional to exp(rating / temperature). With ``topic_bias = 0`` it is the control in
    which the best rated items should be best. Lost in the small: four criteria are one, ratings are
    given and not learned from pairs, and quality is label noise.

    Args:
        seed: draws the training set.
        items: how many, >= 12.
        topic_bias: how much a rating depends on the topic, in units of quality, >= 0.
        rating_noise: deviation of a rating, in units of quality, >= 0.

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (DIMENSIONS + TOPICS,)
    num_classes = 2

    def __init__(
        self, seed: int, items: int = 20000, topic_bias: float = 0.5, rating_noise: float = 0.2
    ):
        if items < TOPICS or not (0 <= topic_bias < np.inf and 0 <= rating_noise < np.inf):
            raise ValueError(
                f"items must be at least {TOPICS}, topic_bias and rating_noise finite and at least "
                f"0, but they are {items}, {topic_bias} and {rating_noise}"
            )
        held_out = np.random.default_rng(HELD_OUT_SEED)
        common = held_out.normal(size=DIMENSIONS)
        self._rules = common + OWN * held_out.normal(size=(TOPICS, DIMENSIONS))
        bias = held_out.permutation(np.arange(TOPICS) - (TOPICS - 1) / 2)
        self.bias = bias / bias.std()
        self.test_level = np.repeat(np.arange(TOPICS), HELD_OUT)
        self.level_names = tuple(f"topic {k}" for k in range(TOPICS))
        self.validation, self.test = (self._draw(self.test_level, held_out) for _ in range(2))

        rng = np.random.default_rng(seed)
        self.group = np.arange(items) % TOPICS
        self._inputs, right = self._draw(self.group, rng)
        quality = rng.random(items)
        chance = WORST * (1 - quality)
        self.label = symmetric_noise(right, chance, self.num_classes, rng)
        self.truth = {"quality": quality, "wrong_chance": chance}
        self.truth["mislabelled"] = self.label != right
        noise = rating_noise * rng.normal(size=items)
        rating = quality + topic_bias * self.bias[self.group] + noise
        self.prior = -(rating - rating.mean()) / rating.std()

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 24) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

    def rule(self, inputs: np.ndarray) -> np.ndarray:
        """The right classes (n,) of inputs (n, 24)."""
        points, topic = inputs[:, :DIMENSIONS], inputs[:, DIMENSIONS:].argmax(axis=1)
        return ((points * self._rules[topic]).sum(axis=1) > 0).astype(np.int64)

    def _draw(self, topic: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, 24) float32 of topics (n,) and their right classes (n,)."""
        points = rng.normal(size=(len(topic), DIMENSIONS))
        inputs = np.hstack([points, np.eye(TOPICS)[topic]]).astype(np.float32)
        return inputs, self.rule(inputs)

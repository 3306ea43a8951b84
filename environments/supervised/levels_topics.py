"""Topics times levels: a question of a higher level composes more rules, and shows its steps."""

from __future__ import annotations

import numpy as np
from gymnasium import spaces

from environments.base import SupervisedTask
from environments.parameters import one_of
from environments.supervised.data import share, symmetric_noise

TOPICS, LEVELS = 8, 4
BLUR = 0.3  # deviation of what is added to a mark
PER_CELL = 25  # test and as many validation items per topic and level
HELD_OUT_SEED = 20261204  # of the rules, validation and test set
ANSWERS, GROUPS = ("worked", "last"), ("topics", "levels")


class LevelsTopics(SupervisedTask):
    """Answer questions of eight topics and four levels, where level l composes l + 1 rules.

    A question of level l has l + 1 marks; a mark is -1 or 1 plus a normal number of deviation 0.3,
    and its bit c_j says whether it is positive. The answer is a_l, where a_0 = c_0 xor f_0 and
    a_j = a_(j-1) xor c_j xor f_j: every topic has its own four bits f, no two topics the same. The
    input holds the four marks (0 where the level has none), the topic as eight numbers 0 or 1 and,
    last, which answer is asked for: a student has one head per level (``heads = 4``).

    With ``answers = "worked"`` an item of level l shows one of its steps 0..l, drawn anew each time
    it is presented, all equally likely, so that higher levels rehearse lower ones; with "last" it
    shows a_l only. Items are spread evenly over topics and levels.

    Known exactly: every answer, so that the best accuracy is 1 everywhere; the order of difficulty:
    whoever lacks any one of the l + 1 marks can do no better than chance, 1/2. ``prior`` is l / 3.
    ``group`` is the topic, or with ``groups = "levels"`` the level. ``noise_rates`` puts wrong
    final answers into the levels; ``truth["mislabelled"]`` says where. The held-out tasks are the
    levels: 25 questions of each topic, asking for the last answer, without noise.

    Stands for: CORGI (Lee et al., 2024, https://arxiv.org/abs/2310.09518), interleaving topics or
    going through them one by one; with ``groups = "levels"`` and falling noise for the rising
    stages of SAIL-VL (Dong et al., 2025, https://arxiv.org/abs/2501.05952). Lost in the small: no
    pre-trained student, so what a strict order does not rehearse is forgotten; a paper's item shows
    all of its steps at once.

    Args:
        seed: draws the training set.
        items: how many, >= 32, one per topic and level.
        answers: "worked" or "last".
        groups: "topics" or "levels".
        noise_rates: share of wrong final answers per level, four numbers in [0, 1].

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (LEVELS + TOPICS + 1,)
    num_classes = 2
    level_names = tuple(f"level {level}" for level in range(LEVELS))

    def __init__(
        self,
        seed: int,
        items: int = 9600,
        answers: str = "worked",
        groups: str = "topics",
        noise_rates: tuple[float, ...] = (0.0,) * LEVELS,
    ):
        one_of("answers", answers, ANSWERS)
        one_of("groups", groups, GROUPS)
        if items < TOPICS * LEVELS or len(noise_rates) != LEVELS:
            raise ValueError(
                f"items must be at least {TOPICS * LEVELS} and noise_rates {LEVELS} numbers, but "
                f"they are {items} and {list(noise_rates)}"
            )
        for rate in noise_rates:
            share("noise_rates", rate)
        held_out = np.random.default_rng(HELD_OUT_SEED)
        code = held_out.choice(2**LEVELS, size=TOPICS, replace=False)
        self.flips = code[:, None] >> np.arange(LEVELS) & 1  # (8, 4)
        cell = np.tile(np.arange(TOPICS * LEVELS), PER_CELL)
        self.test_level = cell % LEVELS
        self.validation, self.test = (self._held_out(cell, held_out) for _ in range(2))

        rng = np.random.default_rng(seed)
        cell = np.arange(items) % (TOPICS * LEVELS)
        topic, self.level = cell // LEVELS, cell % LEVELS
        self._inputs, self._steps = self._draw(topic, self.level, rng)
        rows = np.arange(items)
        right = self._steps[rows, self.level]
        told = symmetric_noise(right, np.array(noise_rates)[self.level], 2, rng)
        self._steps[rows, self.level] = told
        self.truth = {"mislabelled": told != right}
        self.worked = answers == "worked"
        self.label = None if self.worked else told
        self.group = topic if groups == "topics" else self.level
        self.prior = self.level / (LEVELS - 1)

    @property
    def task_space(self) -> spaces.Discrete:
        """One task per item."""
        return spaces.Discrete(len(self.level))

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 13) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        level = self.level[tasks]
        asked = rng.integers(level + 1) if self.worked else level
        inputs = self._inputs[tasks]
        inputs[:, -1] = asked
        return inputs, self._steps[tasks, asked]

    def _held_out(
        self, cell: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Questions of topic and level ``cell`` (n,) that ask for the last answer."""
        topic, level = cell // LEVELS, cell % LEVELS
        inputs, steps = self._draw(topic, level, rng)
        inputs[:, -1] = level
        return inputs, steps[np.arange(len(cell)), level]

    def _draw(
        self, topic: np.ndarray, level: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, 13) float32 that ask for step 0 yet, and the answers (n, 4) of all steps."""
        marks = rng.choice([-1.0, 1.0], size=(len(topic), LEVELS))
        marks += BLUR * rng.normal(size=marks.shape)
        marks[np.arange(LEVELS) > level[:, None]] = 0
        steps = ((marks > 0) ^ self.flips[topic]).cumsum(axis=1) % 2
        inputs = np.hstack([marks, np.eye(TOPICS)[topic], np.zeros((len(topic), 1))])
        return inputs.astype(np.float32), steps

"""Queries with twenty candidate answers: easy ones share words, hard ones meaning only."""

from __future__ import annotations

from math import erf

import numpy as np

from environments.base import SupervisedTask
from environments.parameters import one_of
from environments.supervised.data import share

CANDIDATES = 20
WORDS, MEANING = 12, 12  # numbers of the lexical and the semantic part of a vector
LEXICAL = 0.6  # share of queries whose right answer is lexically close
DECOYS = 0.35  # share of the wrong candidates of a hard query that are lexically close
CLOSE = 0.8  # how much of a close candidate's lexical part is the query's
BLUR = 0.5  # deviation of the semantic part of a right answer around what it should be
RANKER_NOISE = 0.15  # deviation of the first-stage score, in units of a full overlap
HELD_OUT = 300  # test and as many validation queries per kind
HELD_OUT_SEED = 20261205  # of the bilinear map, validation and test set
KINDS = ("lexical", "semantic")
HEURISTICS = ("rank", "score", "kde")


class Rerank(SupervisedTask):
    """Find the right answer among twenty; a first-stage ranker's score says how hard that is.

    A query and a candidate are vectors of 12 lexical and 12 semantic numbers, standard normal to
    begin with. The right answer's semantic part is B q + 0.5 noise, brought to deviation 1, where q
    is the query's semantic part and B (12, 12) a fixed orthogonal matrix that a student has to
    learn. For 60 % of the queries (kind "lexical") the right answer's lexical part is also close to
    the query's: 0.8 times it plus 0.6 times fresh noise. For the others (kind "semantic") it is
    not, and 35 % of their wrong candidates are close. An input holds the query in row 0 and the
    candidates, in random order, in rows 1 to 20 (21, 24); its class is which one is right. The
    first-stage score of a candidate is the mean product of lexical parts plus 0.15 noise.

    Known exactly: the right answer, ``truth["mislabelled"]`` (a share ``noise_rate`` of queries
    names another candidate) and the kind: ``group``. By B alone ``oracle`` ranks nearly perfectly,
    by the lexical part semantic queries are found less often than by chance. ``prior`` is the
    difficulty 1 - D of the query by the first-stage score: D = (h+ - h- + 1) / 2, where h+ is the
    heuristic of the candidate that is labelled right and h- the largest of the others. h is 1 /
    rank, the score scaled to [0, 1] within the query, or the share of a Gaussian kernel estimate of
    the query's scores that lies below the score. It sees labels with their noise, never the truth.

    The metric is the reciprocal rank of the right answer: success is the MRR. The held-out tasks
    are the two kinds, 300 queries each with right labels, the same for all seeds.

    Stands for: curricula for answer re-ranking (MacAvaney et al., 2020,
    https://arxiv.org/abs/2004.14269). Lost in the small: text and its rankers are vectors; the
    student compares all twenty at once instead of pairs.

    Args:
        seed: draws the training set.
        items: training queries, >= 1.
        noise_rate: share of queries with a wrong label, in [0, 1].
        heuristic: of ``prior``: "rank", "score" or "kde".

    Raises:
        ValueError: an argument is out of range.
    """

    metric = "reciprocal rank"
    input_shape = (CANDIDATES + 1, WORDS + MEANING)
    num_classes = CANDIDATES
    level_names = KINDS

    def __init__(
        self, seed: int, items: int = 2000, noise_rate: float = 0.1, heuristic: str = "rank"
    ):
        share("noise_rate", noise_rate)
        one_of("heuristic", heuristic, HEURISTICS)
        if items < 1:
            raise ValueError(f"items must be at least 1, but are {items}")
        held_out = np.random.default_rng(HELD_OUT_SEED)
        self._map, _ = np.linalg.qr(held_out.normal(size=(MEANING, MEANING)))
        self.test_level = np.repeat([0, 1], HELD_OUT)
        self.validation, self.test = (self._draw(self.test_level, held_out) for _ in range(2))

        rng = np.random.default_rng(seed)
        self.group = (rng.random(items) >= LEXICAL).astype(np.int64)
        self._inputs, right = self._draw(self.group, rng)
        wrong = rng.random(items) < noise_rate
        shift = rng.integers(1, CANDIDATES, size=items)
        self.label = np.where(wrong, (right + shift) % CANDIDATES, right)
        self.truth = {"mislabelled": wrong}
        self.scores = self.overlap(self._inputs) + RANKER_NOISE * rng.normal(
            size=(items, CANDIDATES)
        )
        self.prior = 1 - easiness(heuristics(self.scores, heuristic), self.label)

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 21, 24) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

    def overlap(self, inputs: np.ndarray) -> np.ndarray:
        """Mean product (n, 20) of the lexical parts of each candidate and the query."""
        return (inputs[:, 1:, :WORDS] * inputs[:, :1, :WORDS]).mean(axis=2)

    def oracle(self, inputs: np.ndarray) -> np.ndarray:
        """How well (n, 20) each candidate's meaning fits the query's, by the true map."""
        wanted = inputs[:, 0, WORDS:] @ self._map.T
        return np.einsum("nkd,nd->nk", inputs[:, 1:, WORDS:], wanted)

    def _draw(self, kind: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (n, 21, 24) float32 of queries of kinds (n,) and the right answers (n,)."""
        count, rows = len(kind), np.arange(len(kind))
        inputs = rng.normal(size=(count, CANDIDATES + 1, WORDS + MEANING))
        right = rng.integers(CANDIDATES, size=count)
        close = (rng.random((count, CANDIDATES)) < DECOYS) & (kind == 1)[:, None]
        close[rows, right] = kind == 0
        fresh = inputs[:, 1:, :WORDS]
        near = CLOSE * inputs[:, :1, :WORDS] + np.sqrt(1 - CLOSE**2) * fresh
        inputs[:, 1:, :WORDS] = np.where(close[:, :, None], near, fresh)
        meaning = inputs[:, 0, WORDS:] @ self._map.T + BLUR * rng.normal(size=(count, MEANING))
        inputs[rows, right + 1, WORDS:] = meaning / np.sqrt(1 + BLUR**2)
        return inputs.astype(np.float32), right


def heuristics(scores: np.ndarray, kind: str) -> np.ndarray:
    """How well, h (n, k) in [0, 1], a query's candidates did by the first-stage scores (n, k)."""
    if kind == "rank":
        return 1 / (1 + (scores[:, None, :] > scores[:, :, None]).sum(axis=2))
    low, high = scores.min(axis=1, keepdims=True), scores.max(axis=1, keepdims=True)
    if kind == "score":
        return (scores - low) / np.where(high > low, high - low, 1)
    # Scott's rule for the width of the kernels.
    width = scores.std(axis=1, ddof=1) * scores.shape[1] ** -0.2
    gaps = (scores[:, :, None] - scores[:, None, :]) / np.maximum(width, 1e-12)[:, None, None]
    below = np.vectorize(erf)(gaps / np.sqrt(2))  # environments do without scipy
    return (1 + below).mean(axis=2) / 2


def easiness(h: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Easiness D (n,) = (h of the labelled candidate - the largest other h + 1) / 2."""
    rows, others = np.arange(len(label)), h.copy()
    own = h[rows, label]
    others[rows, label] = -np.inf
    return (own - others.max(axis=1) + 1) / 2

"""Two views of one thing: find the other view among sixteen, of which some are much alike."""

from __future__ import annotations

import numpy as np

from environments.supervised.generator import HELD_OUT_SEED, Generator, integer_parameter, whole

CANDIDATES = 16
CLUSTERS, LATENT, VIEW = 40, 8, 24
FINE = 0.5  # deviation of an identity around its cluster's centre, whose own deviation is 1
LEVELS = (0, 5, 10, 15)  # near ones among the wrong candidates of the held-out tasks


class Match(Generator):
    """Match two views of an identity; the task is how many of the wrong candidates are near it.

    An identity is a vector of 8 numbers: the centre of one of 40 clusters (standard normal, fixed)
    plus 0.5 times standard normal numbers. A view of it is M identity + ``noise`` e (24,), with e
    standard normal and M (24, 8) one of two fixed matrices with orthonormal columns, one for each
    kind of view. An input (17, 24) has a first view in row 0 and second views in rows 1 to 16: one
    of the same identity and fifteen of others. The task is ``near``, 0 to 15: so many of the others
    are of the same cluster, the rest of evenly drawn other clusters. The class is which candidate
    is right; all places are equally likely. Identities are drawn anew, so a test asks for matching
    of identities never seen.

    Known exactly: every answer; the two matrices, with which ``oracle`` compares two views as
    identities; the order of difficulty: near candidates are the harder ones to tell apart, so the
    oracle's accuracy falls with ``near``. The held-out tasks are 0, 5, 10 and 15 near ones.

    Stands for: bags that grow in similarity, as in BagCurri (Gaur et al., "No Detail Left Behind",
    2024), and contrastive learning with a dual encoder. Lost in the small: captions, generation and
    its reward are gone, what is left is which negatives a contrastive student sees; the bag is
    drawn from the true clusters instead of measured neighbours; retrieval is among 15 instead of 99
    distractors.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        noise: deviation of a view, >= 0.
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test examples per level, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (CANDIDATES + 1, VIEW)
    num_classes = CANDIDATES

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        noise: float = 0.25,
        examples: int = 16,
        items: int = 4096,
        per_level: int = 200,
    ):
        if not 0 <= noise < np.inf:
            raise ValueError(f"noise must be finite and at least 0, but is {noise}")
        most = CANDIDATES - 1
        self.task_parameters = (
            integer_parameter(
                "near", 0, most, most, "candidates", "wrong ones of the same cluster"
            ),
        )
        self.noise, self.levels = noise, np.array(LEVELS, dtype=np.float64)[:, None]
        fixed = np.random.default_rng([HELD_OUT_SEED, 2])  # 0 and 1 draw the held-out sets
        self._centres = fixed.normal(size=(CLUSTERS, LATENT))
        self._first, self._second = (
            np.linalg.qr(fixed.normal(size=(VIEW, LATENT)))[0] for _ in range(2)
        )
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw views (n, 17, 24) with so many near candidates (n, 1) and the right ones (n,)."""
        near = whole(self.task_parameters[0], parameters[:, 0])
        cluster = rng.integers(CLUSTERS, size=len(near))
        away = rng.integers(1, CLUSTERS, size=(len(near), CANDIDATES))
        away[:, : CANDIDATES - 1][np.arange(CANDIDATES - 1) < near[:, None]] = 0
        away[:, -1] = 0  # the right one, until places are drawn
        kinds = (cluster[:, None] + away) % CLUSTERS
        identity = self._centres[kinds] + FINE * rng.normal(size=(*kinds.shape, LATENT))
        query = identity[:, -1].copy()
        place = rng.permuted(np.tile(np.arange(CANDIDATES), (len(near), 1)), axis=1)
        right = place.argmax(axis=1)  # where the last one went
        others = np.take_along_axis(identity, place[:, :, None], axis=1)
        views = np.concatenate([(query @ self._first.T)[:, None], others @ self._second.T], axis=1)
        views += self.noise * rng.normal(size=views.shape)
        return views.astype(np.float32), right

    def oracle(self, inputs: np.ndarray) -> np.ndarray:
        """Minus the squared distance (n, 16) of each candidate's identity and the query's."""
        query, others = inputs[:, :1] @ self._first, inputs[:, 1:] @ self._second
        return -((query - others) ** 2).sum(axis=2)

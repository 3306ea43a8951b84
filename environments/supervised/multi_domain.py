"""A mixture of domains, two of which are traps: one of pure noise and one of copies."""

from __future__ import annotations

import numpy as np

from environments.base import SupervisedTask

SIZES = (600, 400, 300, 200, 600, 600)  # training items per domain
NOISE, COPIES = 4, 5  # the traps among the domains
DISTINCT = 30  # different items in the domain of copies
OWN = 1.0  # how much a domain's rule differs from the common one
HELD_OUT = 100  # test and as many validation items per domain
HELD_OUT_SEED = 20261126  # of the rules, validation and test set


class MultiDomain(SupervisedTask):
    """Answer in several domains that share half of their rule; one task per training item.

    A point x has 12 standard normal numbers; beside them the input names its domain, one of six, as
    six numbers 0 or 1. The class of a point in domain k is the largest of the four numbers
    (S + O_k) x, where S (4, 12) is common to all domains and O_k (4, 12) the domain's own; both are
    standard normal. Domains 0 to 3 have 600, 400, 300 and 200 items. Domain 4 has 600 whose labels
    are drawn at random and say nothing. Domain 5 has 600 that repeat 30 different ones.

    ``group`` is the domain. The held-out tasks are the domains but the noise (4), 100 test items
    each with right labels, the same for all seeds: who samples domains by their loss runs into the
    noise, who samples them by their size into noise and copies. ``truth`` holds ``mislabelled``,
    ``duplicate`` and ``useful`` (no copy and not of domain 4), bool (n,).

    Args:
        seed: draws the training set.
    """

    input_shape = (12 + len(SIZES),)
    num_classes = 4

    def __init__(self, seed: int):
        held_out = np.random.default_rng(HELD_OUT_SEED)
        common = held_out.normal(size=(self.num_classes, 12))
        own = OWN * held_out.normal(size=(len(SIZES), self.num_classes, 12))
        self._rules = common + own
        tested = np.delete(np.arange(len(SIZES)), NOISE)
        domain = np.repeat(tested, HELD_OUT)
        self.validation, self.test = self._draw(domain, held_out), self._draw(domain, held_out)
        self.test_level = np.repeat(np.arange(len(tested)), HELD_OUT)
        self.level_names = tuple(f"domain {k}" for k in tested)

        rng = np.random.default_rng(seed)
        self.group = np.repeat(np.arange(len(SIZES)), SIZES)
        inputs, right = self._draw(self.group, rng)
        copied = np.flatnonzero(self.group == COPIES)
        source = copied[np.arange(len(copied)) % DISTINCT]
        inputs[copied], right[copied] = inputs[source], right[source]
        random = rng.integers(self.num_classes, size=len(right))
        self.label = np.where(self.group == NOISE, random, right)
        self._inputs = inputs
        duplicate = np.zeros(len(right), dtype=bool)
        duplicate[copied[DISTINCT:]] = True
        wrong = self.label != right
        useful = ~duplicate & (self.group != NOISE)
        self.truth = {"mislabelled": wrong, "duplicate": duplicate, "useful": useful}

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 18) float32 and targets (n,) int64 of the items ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

    def _draw(self, domain: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Points (n, 18) of domains (n,) and their right classes (n,)."""
        points = rng.normal(size=(len(domain), 12))
        target = np.einsum("ncd,nd->nc", self._rules[domain], points).argmax(axis=1)
        return np.hstack([points, np.eye(len(SIZES))[domain]]).astype(np.float32), target

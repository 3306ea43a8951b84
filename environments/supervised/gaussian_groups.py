"""Groups of Gaussian points of which it is known exactly what each is good for."""

from __future__ import annotations

import numpy as np

from environments.base import SupervisedTask
from environments.supervised.data import share, symmetric_noise

GROUPS = ("easy", "hard", "noisy", "wrong", "copied", "outlying")
EASY, HARD, NOISY, WRONG, COPIED, OUTLYING = range(len(GROUPS))
SPREAD = {"easy": 0.5, "hard": 1.2}  # standard deviation around a class centre, in units below
CENTRE = 1.0  # standard deviation of the class centres, per dimension
FAR = 6.0  # standard deviation of outliers, per dimension
HELD_OUT_SEED = 20261125  # of centres, validation and test set


class GaussianGroups(SupervisedTask):
    """Tell Gaussian clouds apart while some groups of examples teach nothing, or the wrong thing.

    Every class is one cloud in ``dimensions`` dimensions; its centre is a standard normal vector.
    The training set has six groups of equal size (``group`` = 0..5), each with all classes:

    - easy: near the centres (deviation 0.5), labels right
    - hard: where clouds overlap (deviation 1.2), labels right
    - noisy: easy points, a share ``noise_rate`` of the labels replaced by another class
    - wrong: easy points, every label drawn at random, whatever the point
    - copied: easy points, each of only ``distinct`` ones repeated, labels right
    - outlying: far away (deviation 6 around the origin), labels random

    The test and validation sets hold as many easy as hard points, with right labels, and are the
    same for all seeds. So what a teacher selects can be judged exactly: ``truth`` holds
    ``mislabelled``, bool (n,), where the label is not the cloud's (always for outliers, which have
    none), ``duplicate``, bool (n,), for copies of an earlier item, ``hard``, bool (n,), and
    ``useful``, bool (n,): neither mislabelled nor a duplicate. ``prior`` is the distance to the
    label's own centre relative to the nearest other one, d_own / (d_own + d_other) in [0, 1].

    Args:
        seed: draws the training set.
        classes: how many clouds, >= 2.
        dimensions: of a point, >= 1.
        per_group: items of each group, >= ``distinct``.
        noise_rate: of the noisy group, in [0, 1].
        distinct: different points in the copied group, >= 1.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(
        self,
        seed: int,
        classes: int = 8,
        dimensions: int = 8,
        per_group: int = 200,
        noise_rate: float = 0.5,
        distinct: int = 20,
    ):
        share("noise_rate", noise_rate)
        if classes < 2 or dimensions < 1 or not 1 <= distinct <= per_group:
            raise ValueError(
                f"classes must be at least 2, dimensions at least 1 and distinct in 1..per_group, "
                f"but they are {classes}, {dimensions} and {distinct} of {per_group}"
            )
        self.input_shape, self.num_classes = (dimensions,), classes
        held_out = np.random.default_rng(HELD_OUT_SEED)
        self._centres = CENTRE * held_out.normal(size=(classes, dimensions))
        # Both sets have both halves of the truth: 20 easy and 20 hard points of every class.
        cloud = np.tile(np.arange(classes), 40)
        spread = np.repeat([SPREAD["easy"], SPREAD["hard"]], 20 * classes)
        self.validation, self.test = (
            (self._points(cloud, spread, held_out), cloud.copy()) for _ in range(2)
        )
        self._draw(np.random.default_rng(seed), per_group, noise_rate, distinct)

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, dimensions) float32 and targets (n,) int64 of the items ``tasks``."""
        return self._inputs[tasks], self.label[tasks]

    def _points(
        self, cloud: np.ndarray, spread: np.ndarray | float, rng: np.random.Generator
    ) -> np.ndarray:
        """Points (n, dimensions) float32 of clouds (n,)."""
        noise = rng.normal(size=(len(cloud), *self.input_shape))
        return (self._centres[cloud] + np.reshape(spread, (-1, 1)) * noise).astype(np.float32)

    def _draw(
        self, rng: np.random.Generator, per_group: int, noise_rate: float, distinct: int
    ) -> None:
        """Draw the training set, group by group."""
        self.group = np.repeat(np.arange(len(GROUPS)), per_group)
        cloud = rng.permuted(np.tile(np.arange(per_group) % self.num_classes, (6, 1)), axis=1)
        spread = np.where(self.group == HARD, SPREAD["hard"], SPREAD["easy"])
        inputs, label = self._points(cloud.ravel(), spread, rng), cloud.ravel()
        cloud = label.copy()

        noisy, wrong = self.group == NOISY, self.group == WRONG
        label[noisy] = symmetric_noise(cloud[noisy], noise_rate, self.num_classes, rng)
        label[wrong] = rng.integers(self.num_classes, size=per_group)
        copied = np.flatnonzero(self.group == COPIED)
        source = copied[np.arange(per_group) % distinct]
        inputs[copied], label[copied], cloud[copied] = inputs[source], label[source], cloud[source]
        outlying = self.group == OUTLYING
        far = FAR * rng.normal(size=(per_group, *self.input_shape))
        inputs[outlying] = far.astype(np.float32)
        label[outlying] = rng.integers(self.num_classes, size=per_group)

        duplicate = np.zeros(len(label), dtype=bool)
        duplicate[copied[distinct:]] = True
        mislabelled = (label != cloud) | outlying
        self._inputs, self.label = inputs, label
        self.truth = {"mislabelled": mislabelled, "duplicate": duplicate}
        self.truth |= {"hard": self.group == HARD, "useful": ~(mislabelled | duplicate)}
        distance = np.linalg.norm(inputs[:, None] - self._centres, axis=2)
        rows = np.arange(len(label))
        own = distance[rows, label]
        distance[rows, label] = np.inf
        self.prior = own / (own + distance.min(axis=1))

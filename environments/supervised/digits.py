"""Handwritten digits: a small real data set; label noise, a long tail and copies if asked for.

Data: "Optical recognition of handwritten digits" (Alpaydin & Kaynak, 1998,
https://doi.org/10.24432/C50P49), the 1797 images of 8 x 8 pixels that come with scikit-learn.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from environments.base import SupervisedTask
from environments.parameters import one_of
from environments.supervised.data import (
    NOISE,
    long_tail,
    neighbour_disagreement,
    repeats,
    share,
    standardised,
    stratified_split,
)

SHARES = (0.55, 0.15)  # training and validation; the rest is the test set


class Digits(SupervisedTask):
    """Tell ten handwritten digits apart; one task per training image.

    988 training, 270 validation and 539 test images, stratified by class. Pixels are standardised
    with the mean and standard deviation of all 988 training images. The split depends on
    ``split_seed`` only, so that everybody is tested on the same images; label noise, long tail
    and copies touch the training images only and depend on ``seed``.

    ``prior`` says how much an image's label disagrees with those of its nearest neighbours (see
    ``neighbour_disagreement``); it is computed from what a student is trained on, wrong labels
    included, copies left out. ``truth`` holds ``mislabelled``, bool (n,), ``clean_label``, int64
    (n,), and with ``copies`` also ``duplicate``, bool (n,): the item is a copy of an earlier one,
    its label included.

    Args:
        seed: draws the wrong labels, the images that the long tail keeps and the copies.
        noise_rate: chance in [0, 1] that a training label is replaced by another class.
        tail_ratio: images of class 0 per image of class 9, >= 1; class c keeps a share of
            ``tail_ratio ** (-c / 9)``. 1 keeps every image.
        split_seed: draws the split.
        noise: "symmetric" (all other classes are equally likely) or "next_class" (class c becomes
            c + 1, the last one the first: wrong labels agree with one another).
        copies: an image stands 1 to ``copies`` times in the training set, all numbers being equally
            likely; 1 repeats none.

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (64,)
    num_classes = 10

    def __init__(
        self,
        seed: int,
        noise_rate: float = 0.0,
        tail_ratio: float = 1.0,
        split_seed: int = 0,
        noise: str = "symmetric",
        copies: int = 1,
    ):
        share("noise_rate", noise_rate)
        one_of("noise", noise, NOISE)
        if not 1 <= tail_ratio < np.inf:
            raise ValueError(f"tail_ratio must be finite and at least 1, but is {tail_ratio}")
        if not 1 <= copies <= 100:
            raise ValueError(f"copies must lie in 1..100, but is {copies}")
        rng = np.random.default_rng(seed)
        images, classes = load_digits(return_X_y=True)
        classes = classes.astype(np.int64)
        train, validation, test = stratified_split(classes, SHARES, split_seed)
        inputs = standardised(images, train)
        if tail_ratio > 1:
            train = train[long_tail(classes[train], tail_ratio, self.num_classes, rng)]

        clean = classes[train]
        self.label = NOISE[noise](clean, noise_rate, self.num_classes, rng)
        self.truth = {"mislabelled": self.label != clean, "clean_label": clean}
        self.validation = inputs[validation], classes[validation]
        self.test = inputs[test], classes[test]
        self._inputs = inputs[train]
        self.prior = neighbour_disagreement(self._inputs, self.label)
        if copies > 1:
            self._repeat(repeats(len(clean), copies, rng))

    def _repeat(self, rows: np.ndarray) -> None:
        """Keep the items at the sorted positions ``rows``, of which equal ones are copies."""
        self._inputs, self.label, self.prior = (
            self._inputs[rows],
            self.label[rows],
            self.prior[rows],
        )
        self.truth = {name: values[rows] for name, values in self.truth.items()}
        self.truth["duplicate"] = np.concatenate([[False], rows[1:] == rows[:-1]])

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 64) float32 and targets (n,) int64 in the order of ``tasks`` (n,).

        Tasks may repeat. Nothing is drawn from ``rng``: the images are fixed.
        """
        return self._inputs[tasks], self.label[tasks]

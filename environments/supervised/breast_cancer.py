"""Breast cancer diagnosis: a small real table, with label noise if asked for.

Data: "Breast cancer Wisconsin (diagnostic)" (Street, Wolberg & Mangasarian, 1993,
https://doi.org/10.24432/C5DW2B), 569 cases of 30 measurements that come with scikit-learn.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_breast_cancer

from environments.base import SupervisedTask
from environments.parameters import one_of
from environments.supervised.data import (
    NOISE,
    neighbour_disagreement,
    share,
    standardised,
    stratified_split,
)

SHARES = (0.55, 0.15)  # training and validation; the rest is the test set


class BreastCancer(SupervisedTask):
    """Tell malignant (0) from benign (1) tumours; one task per training case.

    313 training, 85 validation and 171 test cases, stratified by class: 212 of all 569 are
    malignant. Measurements are standardised with the mean and standard deviation of the training
    cases. Split, ``prior`` and ``truth`` (``mislabelled``, ``clean_label``) are as in ``Digits``.

    Args:
        seed: draws the wrong labels.
        noise_rate: chance in [0, 1] that a training label is replaced by the other class.
        noise: "symmetric" or "next_class"; with two classes both are the same.
        split_seed: draws the split.

    Raises:
        ValueError: an argument is out of range.
    """

    input_shape = (30,)
    num_classes = 2

    def __init__(
        self, seed: int, noise_rate: float = 0.0, noise: str = "symmetric", split_seed: int = 0
    ):
        share("noise_rate", noise_rate)
        one_of("noise", noise, NOISE)
        rng = np.random.default_rng(seed)
        measurements, classes = load_breast_cancer(return_X_y=True)
        classes = classes.astype(np.int64)
        train, validation, test = stratified_split(classes, SHARES, split_seed)
        inputs, clean = standardised(measurements, train), classes[train]
        self.label = NOISE[noise](clean, noise_rate, self.num_classes, rng)
        self.truth = {"mislabelled": self.label != clean, "clean_label": clean}
        self.validation = inputs[validation], classes[validation]
        self.test = inputs[test], classes[test]
        self._inputs = inputs[train]
        self.prior = neighbour_disagreement(self._inputs, self.label)

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 30) float32 and targets (n,) int64 in the order of ``tasks`` (n,)."""
        return self._inputs[tasks], self.label[tasks]

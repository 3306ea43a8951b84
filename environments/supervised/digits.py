"""Handwritten digits: a small real data set, with label noise or a long tail if asked for.

Data: "Optical recognition of handwritten digits" (Alpaydin & Kaynak, 1998,
https://doi.org/10.24432/C50P49), the 1797 images of 8 x 8 pixels that come with scikit-learn.
"""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from environments.base import SupervisedTask

SHARES = (0.55, 0.15)  # training and validation; the rest is the test set
NEIGHBOURS = 20


class Digits(SupervisedTask):
    """Tell ten handwritten digits apart; one task per training image.

    988 training, 270 validation and 539 test images, stratified by class. Pixels are standardised
    with the mean and standard deviation of all 988 training images. The split depends on
    ``split_seed`` only, so that everybody is tested on the same images; label noise and long tail
    touch the training images only and depend on ``seed``. ``prior`` says how much an image's label
    disagrees with those of its nearest neighbours (see ``neighbour_disagreement``); it is computed
    from what a student is trained on, wrong labels included. ``truth`` holds ``mislabelled``,
    bool (n,), and ``clean_label``, int64 (n,).

    Args:
        seed: draws the wrong labels and the images that the long tail keeps.
        noise_rate: chance in [0, 1] that a training label is replaced by another class, all other
            classes being equally likely.
        tail_ratio: images of class 0 per image of class 9, >= 1; class c keeps a share of
            ``tail_ratio ** (-c / 9)``. 1 keeps every image.
        split_seed: draws the split.

    Raises:
        ValueError: ``noise_rate`` or ``tail_ratio`` is out of range.
    """

    input_shape = (64,)
    num_classes = 10

    def __init__(
        self, seed: int, noise_rate: float = 0.0, tail_ratio: float = 1.0, split_seed: int = 0
    ):
        if not 0 <= noise_rate <= 1:
            raise ValueError(f"noise_rate must be a share in [0, 1], but is {noise_rate}")
        if not 1 <= tail_ratio < np.inf:
            raise ValueError(f"tail_ratio must be finite and at least 1, but is {tail_ratio}")
        rng = np.random.default_rng(seed)
        images, classes = load_digits(return_X_y=True)
        classes = classes.astype(np.int64)
        train, validation, test = stratified_split(classes, SHARES, split_seed)
        mean, std = images[train].mean(axis=0), images[train].std(axis=0)
        # A pixel that never changes in training says nothing: it keeps its unit.
        inputs = ((images - mean) / np.where(std > 0, std, 1)).astype(np.float32)
        if tail_ratio > 1:
            train = train[long_tail(classes[train], tail_ratio, self.num_classes, rng)]

        clean = classes[train]
        self.label = symmetric_noise(clean, noise_rate, self.num_classes, rng)
        self.truth = {"mislabelled": self.label != clean, "clean_label": clean}
        self.validation = inputs[validation], classes[validation]
        self.test = inputs[test], classes[test]
        self._inputs = inputs[train]
        self.prior = neighbour_disagreement(self._inputs, self.label)

    def sample(self, tasks: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return inputs (n, 64) float32 and targets (n,) int64 in the order of ``tasks`` (n,).

        Tasks may repeat. Nothing is drawn from ``rng``: the images are fixed.
        """
        return self._inputs[tasks], self.label[tasks]


def stratified_split(
    classes: np.ndarray, shares: tuple[float, float], seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Split items (n,) into training, validation and test so that every part has the same mix.

    Items get their relative position in their own shuffled class, in [0, 1]; cutting the list
    sorted by that position gives exact sizes and per class at most one item too many or too few.
    """
    rng = np.random.default_rng(seed)
    position = np.empty(len(classes))
    for label in np.unique(classes):
        members = rng.permutation(np.flatnonzero(classes == label))
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    order = np.argsort(position, kind="stable")
    sizes = [round(share * len(classes)) for share in shares]
    train, validation, test = np.split(order, np.cumsum(sizes))
    return np.sort(train), np.sort(validation), np.sort(test)


def long_tail(
    classes: np.ndarray, ratio: float, num_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the sorted positions kept: class c keeps n_0 · ratio^(-c / (num_classes - 1)) items.

    ``n_0`` is the size of the smallest class, so that the profile is exact for every class. Each
    class keeps at least one item.
    """
    largest = np.bincount(classes, minlength=num_classes).min()
    kept = []
    for label in range(num_classes):
        count = max(1, round(largest * ratio ** (-label / (num_classes - 1))))
        kept.append(rng.permutation(np.flatnonzero(classes == label))[:count])
    return np.sort(np.concatenate(kept))


def symmetric_noise(
    classes: np.ndarray, rate: float, num_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Replace each label (n,) with chance ``rate`` by another class, all equally likely."""
    wrong = rng.random(len(classes)) < rate
    shift = rng.integers(1, num_classes, size=len(classes))
    return np.where(wrong, (classes + shift) % num_classes, classes)


def neighbour_disagreement(
    inputs: np.ndarray, labels: np.ndarray, neighbours: int = NEIGHBOURS
) -> np.ndarray:
    """Difficulty (n,) in [0, 1]: how far the labels of the nearest other items disagree.

    With d_j the Euclidean distances from item i to its k nearest other items,
    ``prior_i = Σ_j w_j [label_j ≠ label_i] / Σ_j w_j`` with ``w_j = 1 / d_j²``. The distances make
    the values nearly unique, so that they rank where a count would tie.
    """
    inputs = inputs.astype(np.float64)
    lengths = (inputs**2).sum(axis=1)
    squared = lengths[:, None] + lengths[None, :] - 2 * inputs @ inputs.T
    np.fill_diagonal(squared, np.inf)
    count = min(neighbours, len(labels) - 1)
    nearest = np.argpartition(squared, count - 1, axis=1)[:, :count]
    # Identical images have distance 0 (or a rounding error below it); the floor keeps them finite.
    weights = 1 / np.maximum(np.take_along_axis(squared, nearest, axis=1), 1e-6)
    return (weights * (labels[nearest] != labels[:, None])).sum(axis=1) / weights.sum(axis=1)

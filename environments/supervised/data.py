"""What data sets share: splits, wrong labels, long tails, copies and a hand-made difficulty."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 20


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
    classes: np.ndarray, rate: float | np.ndarray, num_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Replace each label (n,) with chance ``rate``, one number or (n,), by any other class."""
    wrong = rng.random(len(classes)) < rate
    shift = rng.integers(1, num_classes, size=len(classes))
    return np.where(wrong, (classes + shift) % num_classes, classes)


def next_class_noise(
    classes: np.ndarray, rate: float, num_classes: int, rng: np.random.Generator
) -> np.ndarray:
    """Replace each label (n,) with chance ``rate`` by the next class, the last one by the first."""
    wrong = rng.random(len(classes)) < rate
    return np.where(wrong, (classes + 1) % num_classes, classes)


NOISE = {"symmetric": symmetric_noise, "next_class": next_class_noise}


def repeats(count: int, most: int, rng: np.random.Generator) -> np.ndarray:
    """Positions of ``count`` items, each repeated 1 to ``most`` times, all equally likely; sorted.

    The first of equal positions is the original, the others are its copies.
    """
    return np.repeat(np.arange(count), rng.integers(1, most + 1, size=count))


def share(name: str, value: float) -> None:
    """Refuse a number that is no share.

    Raises:
        ValueError: ``value`` lies outside [0, 1].
    """
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be a share in [0, 1], but is {value}")


def standardised(inputs: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Inputs (n, features) float32 in units of the mean and deviation of the rows ``train``."""
    mean, std = inputs[train].mean(axis=0), inputs[train].std(axis=0)
    # A feature that never changes in training says nothing: it keeps its unit.
    return ((inputs - mean) / np.where(std > 0, std, 1)).astype(np.float32)


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

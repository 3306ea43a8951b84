import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from environments.supervised.data import (
    long_tail,
    neighbour_disagreement,
    next_class_noise,
    repeats,
    stratified_split,
    symmetric_noise,
)
from environments.supervised.digits import Digits


def rank_quality(prior, positive):
    """The chance that a positive item ranks above a negative one (area under the ROC curve)."""
    statistic = mannwhitneyu(prior[positive], prior[~positive]).statistic
    return statistic / (positive.sum() * (~positive).sum())


@pytest.fixture(scope="module")
def noisy():
    return Digits(0, noise_rate=0.4)


def test_sizes_types_and_standardisation():
    task = Digits(0)
    inputs, targets = task.sample(np.arange(task.task_space.n), np.random.default_rng(0))
    assert (len(targets), len(task.validation[1]), len(task.test[1])) == (988, 270, 539)
    for images, classes in ((inputs, targets), task.validation, task.test):
        assert images.shape == (len(classes), 64) and images.dtype == np.float32
        assert classes.dtype == np.int64
    assert np.allclose(inputs.mean(axis=0), 0, atol=1e-5)
    assert np.isin(inputs.std(axis=0).round(4), (0.0, 1.0)).all()


def test_parts_share_no_image():
    task = Digits(0)
    parts = [task.sample(np.arange(988), None)[0], task.validation[0], task.test[0]]
    rows = [{row.tobytes() for row in part} for part in parts]
    assert not (rows[0] & rows[1] or rows[0] & rows[2] or rows[1] & rows[2])


def test_parts_are_stratified():
    task = Digits(0)
    for classes in (task.label, task.validation[1], task.test[1]):
        counts = np.bincount(classes, minlength=10)
        assert counts.max() - counts.min() <= 5  # the classes themselves have 174 to 183 images


def test_split_takes_exact_shares_of_each_class():
    classes = np.repeat([0, 1], [20, 40])
    train, validation, test = stratified_split(classes, (0.5, 0.25), seed=3)
    assert [np.bincount(classes[part]).tolist() for part in (train, validation, test)] == [
        [10, 20],
        [5, 10],
        [5, 10],
    ]
    assert sorted(np.concatenate([train, validation, test])) == list(range(60))


def test_the_split_depends_on_its_own_seed_only():
    first, second, other = Digits(0, 0.4), Digits(1, 0.4, 50.0), Digits(0, 0.4, split_seed=1)
    for part in ("validation", "test"):
        same = zip(getattr(first, part), getattr(second, part), strict=True)
        assert all(np.array_equal(a, b) for a, b in same)
    assert not np.array_equal(first.test[0], other.test[0])
    assert not np.array_equal(first.label, Digits(1, 0.4).label)
    assert np.array_equal(first.label, Digits(0, 0.4).label)


def test_noise_replaces_labels_by_other_classes(noisy):
    clean, wrong = noisy.truth["clean_label"], noisy.truth["mislabelled"]
    assert np.array_equal(clean, Digits(0).label)
    assert np.array_equal(wrong, noisy.label != clean)
    assert 0.35 < wrong.mean() < 0.45
    assert (Digits(0, noise_rate=1.0).label != clean).all()
    assert np.array_equal(noisy.test[1], Digits(0).test[1])


def test_noise_is_symmetric():
    classes = np.zeros(90_000, dtype=np.int64)
    noisy = symmetric_noise(classes, 1.0, 10, np.random.default_rng(0))
    assert np.allclose(np.bincount(noisy, minlength=10) / 10_000, [0] + 9 * [1], atol=0.05)


def test_class_dependent_noise_takes_the_next_class():
    classes = np.tile(np.arange(10), 1000)
    noisy = next_class_noise(classes, 0.3, 10, np.random.default_rng(0))
    assert set((noisy - classes) % 10) == {0, 1}
    assert 0.28 < (noisy != classes).mean() < 0.32
    task = Digits(0, noise_rate=0.4, noise="next_class")
    clean, wrong = task.truth["clean_label"], task.truth["mislabelled"]
    assert np.array_equal(task.label[wrong], (clean[wrong] + 1) % 10) and 0.3 < wrong.mean() < 0.5
    # The same items are wrong as under symmetric noise: only what they become differs.
    assert np.array_equal(wrong, Digits(0, noise_rate=0.4).truth["mislabelled"])


def test_copies_repeat_items_with_their_labels():
    rows = repeats(5000, 4, np.random.default_rng(0))
    times = np.bincount(rows)
    assert np.array_equal(rows, np.sort(rows)) and set(times) == {1, 2, 3, 4}
    assert np.allclose(np.bincount(times)[1:] / 5000, 0.25, atol=0.03)
    plain, task = Digits(0, noise_rate=0.4), Digits(0, noise_rate=0.4, copies=10)
    first = np.flatnonzero(~task.truth["duplicate"])
    assert len(first) == 988 and 4500 < len(task.label) < 6500
    for name in ("label", "prior"):
        assert np.array_equal(getattr(task, name)[first], getattr(plain, name))
    everything = task.sample(np.arange(len(task.label)), None)
    copies = np.flatnonzero(task.truth["duplicate"])
    for values in (*everything, task.prior, task.truth["clean_label"]):
        assert np.array_equal(values[copies], values[copies - 1])
    assert np.array_equal(everything[0][first], plain.sample(np.arange(988), None)[0])


def test_long_tail_counts():
    counts = np.bincount(Digits(0, tail_ratio=50.0).label, minlength=10)
    assert np.array_equal(counts, np.round(counts[0] * 50.0 ** (-np.arange(10) / 9)))
    assert counts[0] / counts[9] == pytest.approx(50, rel=0.1)
    kept = long_tail(np.repeat(np.arange(3), 100), 100.0, 3, np.random.default_rng(0))
    assert np.bincount(kept // 100).tolist() == [100, 10, 1]


def test_noise_and_tail_together():
    task = Digits(0, noise_rate=0.4, tail_ratio=50.0)
    counts = np.bincount(task.truth["clean_label"], minlength=10)
    assert counts[0] > 30 * counts[9]
    assert 0.3 < task.truth["mislabelled"].mean() < 0.5


def test_neighbour_disagreement_by_hand():
    # On a line at 0, 1, 3: item 0 sees the other label at distance 1 and its own at distance 3.
    inputs, labels = np.array([[0.0], [1.0], [3.0]]), np.array([0, 1, 0])
    prior = neighbour_disagreement(inputs, labels, neighbours=2)
    assert prior == pytest.approx([1 / (1 + 1 / 9), 1.0, (1 / 4) / (1 / 4 + 1 / 9)])


def test_identical_images_keep_the_prior_finite():
    prior = neighbour_disagreement(np.zeros((4, 3)), np.array([0, 0, 0, 1]), neighbours=3)
    assert prior == pytest.approx([1 / 3, 1 / 3, 1 / 3, 1.0])


@pytest.mark.parametrize("seed", [0, 1])
def test_prior_ranks_wrong_labels_last(seed):
    task = Digits(seed, noise_rate=0.4)
    assert rank_quality(task.prior, task.truth["mislabelled"]) > 0.98
    assert len(np.unique(task.prior)) > 0.8 * len(task.prior)


def test_items_come_in_the_given_order_and_may_repeat(noisy):
    tasks = np.array([5, 900, 5, 0])
    inputs, targets = noisy.sample(tasks, np.random.default_rng(0))
    assert np.array_equal(inputs[0], inputs[2])
    assert np.array_equal(targets, noisy.label[tasks])
    inputs[:] = 0  # a batch is the caller's own
    assert noisy.sample(tasks, np.random.default_rng(0))[0].any()


@pytest.mark.parametrize(
    "options",
    [
        {"noise_rate": 1.5},
        {"noise_rate": -0.1},
        {"tail_ratio": 0.5},
        {"noise": "next"},
        {"copies": 0},
    ],
)
def test_numbers_out_of_range(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        Digits(0, **options)

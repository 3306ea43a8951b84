"""What the supervised tasks say of themselves, checked against their examples."""

import itertools

import numpy as np
import pytest

from environments.supervised import gaussian_groups as groups
from environments.supervised.breast_cancer import BreastCancer
from environments.supervised.decimal_addition import DecimalAddition
from environments.supervised.gaussian_groups import GaussianGroups
from environments.supervised.grammar import Grammar, ways
from environments.supervised.modular_sum import ModularSum
from environments.supervised.multi_domain import COPIES, NOISE, SIZES, MultiDomain
from environments.supervised.shapes import Shapes, inside_shape


def sample(task, tasks, seed=0):
    return task.sample(np.asarray(tasks, dtype=float), np.random.default_rng(seed))


def everything(task):
    return task.sample(np.arange(task.task_space.n), np.random.default_rng(0))


# Breast cancer


def test_breast_cancer_is_split_evenly_and_only_training_labels_are_wrong():
    task, noisy = BreastCancer(0), BreastCancer(0, noise_rate=0.3)
    sizes = [len(part) for part in (task.label, task.validation[1], task.test[1])]
    assert sizes == [313, 85, 171]
    for classes in (task.label, task.validation[1], task.test[1]):
        assert classes.mean() == pytest.approx(357 / 569, abs=0.02)
    assert not task.truth["mislabelled"].any()
    assert noisy.truth["mislabelled"].mean() == pytest.approx(0.3, abs=0.07)
    assert np.array_equal(noisy.label, task.label ^ noisy.truth["mislabelled"])
    assert np.array_equal(noisy.test[1], task.test[1])
    inputs, _ = everything(task)
    assert np.allclose(inputs.mean(axis=0), 0, atol=1e-5)
    assert np.allclose(inputs.std(axis=0), 1, atol=1e-4)
    with pytest.raises(ValueError, match="noise_rate"):
        BreastCancer(0, noise_rate=2)


# Gaussian groups


def nearest(task, inputs):
    return np.linalg.norm(inputs[:, None] - task._centres, axis=2).argmin(axis=1)


def test_each_gaussian_group_is_what_its_name_says():
    task = GaussianGroups(0)
    inputs, label = everything(task)
    guess = nearest(task, inputs) == label
    share = {name: guess[task.group == k].mean() for k, name in enumerate(groups.GROUPS)}
    assert np.bincount(task.group).tolist() == [200] * 6
    assert share["easy"] > 0.97 and share["copied"] > 0.9 and 0.6 < share["hard"] < 0.95
    assert share["noisy"] == pytest.approx(0.5, abs=0.12)
    assert share["wrong"] == pytest.approx(1 / 8, abs=0.08)
    copied = inputs[task.group == groups.COPIED]
    assert len(np.unique(copied, axis=0)) == 20
    lengths = np.linalg.norm(inputs, axis=1)
    assert lengths[task.group == groups.OUTLYING].mean() > 2 * lengths[task.group < 2].mean()
    assert (nearest(task, task.test[0]) == task.test[1]).mean() > 0.8


def test_the_truth_of_gaussian_groups_is_exact():
    task = GaussianGroups(1)
    truth, by_group = task.truth, task.group
    assert not truth["mislabelled"][np.isin(by_group, (groups.EASY, groups.HARD))].any()
    assert truth["mislabelled"][by_group == groups.OUTLYING].all()
    assert truth["duplicate"].sum() == 180 and (by_group[truth["duplicate"]] == groups.COPIED).all()
    assert np.array_equal(truth["useful"], ~(truth["mislabelled"] | truth["duplicate"]))
    assert np.array_equal(truth["hard"], by_group == groups.HARD)
    # The prior knows a wrong label by its distance from the label's own centre.
    wrong = truth["mislabelled"] & (by_group == groups.NOISY)
    right = ~truth["mislabelled"] & (by_group == groups.NOISY)
    assert task.prior[wrong].min() > 0.4 > 0.35 > task.prior[right].mean()
    with pytest.raises(ValueError, match=r"distinct in 1\.\.per_group"):
        GaussianGroups(0, distinct=201)


# Domains


def test_domains_have_their_sizes_noise_and_copies():
    task = MultiDomain(0)
    inputs, label = everything(task)
    assert np.bincount(task.group).tolist() == list(SIZES)
    assert np.array_equal(inputs[:, 12:].argmax(axis=1), task.group)
    assert len(np.unique(inputs[task.group == COPIES], axis=0)) == 30
    scores = np.einsum("ncd,nd->nc", task._rules[task.group], inputs[:, :12].astype(float))
    right = scores.argmax(axis=1) == label
    assert right[task.group != NOISE].mean() > 0.999  # inputs are rounded to float32
    assert right[task.group == NOISE].mean() == pytest.approx(0.25, abs=0.06)
    assert task.truth["useful"].sum() == 1500 + 30
    assert task.level_names == tuple(f"domain {k}" for k in (0, 1, 2, 3, 5))
    assert np.array_equal(task.test[0][:, 12:].argmax(axis=1), np.repeat([0, 1, 2, 3, 5], 100))
    # Half of a rule is common: the rule of another domain is right more often than by chance.
    other = np.einsum("cd,nd->nc", task._rules[1], inputs[task.group == 0][:, :12])
    assert 0.4 < (other.argmax(axis=1) == label[task.group == 0]).mean() < 0.8


# Modular sum


def test_modular_sums_by_hand():
    task = ModularSum(0, modulus=7, places=5)
    terms = np.random.default_rng(1).integers(1, 6, size=(400, 1))
    inputs, targets = sample(task, terms)
    numbers = np.rint(np.arctan2(inputs[..., 1], inputs[..., 0]) * 7 / (2 * np.pi)) % 7
    assert np.array_equal(numbers.sum(axis=1) % 7, targets)
    assert np.array_equal((numbers > 0).sum(axis=1), terms[:, 0])
    used = (numbers > 0)[terms[:, 0] < 5].mean(axis=0)  # terms stand anywhere in the row
    assert np.allclose(used, used.mean(), atol=0.12)
    with pytest.raises(ValueError, match="modulus"):
        ModularSum(0, modulus=1)


# Decimal addition


def numbers_of(row):
    """The two numbers that a picture of a sum shows."""
    values = []
    for channels in (row[:, :10], row[:, 10:20]):
        places = np.flatnonzero(channels.any(axis=1))
        assert np.array_equal(places, np.arange(len(places)))  # no gap, from the last digit on
        values.append("".join(str(digit) for digit in channels[places].argmax(axis=1)[::-1]))
    return values


@pytest.mark.parametrize("per_operand", [False, True])
def test_the_class_is_a_digit_of_the_sum(per_operand):
    task = DecimalAddition(0, per_operand=per_operand)
    lengths = np.random.default_rng(2).integers(1, 10, size=(400, 1 + per_operand))
    inputs, targets = sample(task, lengths)
    asked = inputs[:, :, 20].argmax(axis=1)
    assert (inputs[:, :, 20].sum(axis=1) == 1).all()
    for row, target, place, length in zip(inputs, targets, asked, lengths, strict=True):
        first, second = numbers_of(row)
        assert [len(first), len(second)] == [length[0], length[-1]]
        assert all(number == "0" or number[0] != "0" for number in (first, second))
        assert place <= max(length)
        assert target == (int(first) + int(second)) // 10**place % 10
    assert set(asked[lengths.max(axis=1) == 9]) == set(range(10))


def test_levels_of_additions():
    assert DecimalAddition(0).levels[:, 0].tolist() == list(range(1, 10))
    pairs = DecimalAddition(0, per_operand=True)
    assert pairs.task_space.shape == (2,) and len(pairs.levels) == 25
    assert pairs.level_names[1] == "first_digits 1 second_digits 3"


# Shapes


def test_all_shapes_have_one_area_and_their_form():
    ticks = (np.arange(400) + 0.5) / 100 - 2
    x, y = np.meshgrid(ticks, ticks)
    shapes = inside_shape(np.arange(3), np.repeat(x[None], 3, 0), np.repeat(y[None], 3, 0))
    assert np.allclose(shapes.mean(axis=(1, 2)) * 16, np.pi, rtol=0.01)
    widths = shapes.any(axis=1).mean(axis=1) * 4
    assert np.allclose(widths, [np.sqrt(np.pi), 2, 2.693], atol=0.03)


def test_parameters_of_shapes_do_what_they_say():
    task = Shapes(0)
    plain = np.repeat([[0.0, 0.0, 0.0]], 300, axis=0)
    inputs, shape = sample(task, plain)
    assert set(shape) == {0, 1, 2} and inputs.shape == (300, 16, 16)
    assert np.median(inputs[:, 6:10, 6:10]) > 0.8 and abs(np.median(inputs[:, 0])) < 0.05
    faint, _ = sample(task, plain + np.array([0, 0, 0.6]))
    assert np.median(faint[:, 6:10, 6:10]) == pytest.approx(0.4, abs=0.05)
    # With the same draws, a square that is not turned has the same middle columns and rows.
    rows, columns = inputs[shape == 0].sum(axis=1), inputs[shape == 0].sum(axis=2)
    assert np.allclose(rows.std(axis=1).mean(), columns.std(axis=1).mean(), rtol=0.05)
    stretched, same = sample(task, plain + np.array([1, 0, 0]))
    assert np.array_equal(same, shape)
    wide, high = (stretched[shape == 0].sum(axis=axis).std(axis=1).mean() for axis in (1, 2))
    assert high > 1.15 * wide


# Grammar


def word(row):
    """The brackets of one input; blanks only before them."""
    used = row.any(axis=1)
    assert np.array_equal(used, np.sort(used))
    return "".join("([)]"[k] for k in row[used].argmax(axis=1))


def judge(text):
    """Whether kinds match, and how deep nesting goes."""
    stack, deepest, good = [], 0, True
    for bracket in text:
        if bracket in "([":
            stack.append(bracket)
            deepest = max(deepest, len(stack))
        else:
            good &= {")": "(", "]": "["}[bracket] == stack.pop()
    assert not stack
    return good, deepest


def test_words_are_balanced_of_their_length_and_depth():
    task = Grammar(0)
    rng = np.random.default_rng(3)
    tasks = np.stack([rng.integers(1, 9, size=500), rng.integers(1, 5, size=500)], axis=1)
    inputs, targets = sample(task, tasks)
    seen = {}
    for row, target, (pairs, depth) in zip(inputs, targets, tasks, strict=True):
        text = word(row)
        good, deepest = judge(text)
        assert len(text) == 2 * pairs and deepest <= min(depth, pairs) and good == target
        seen[int(depth)] = max(seen.get(int(depth), 0), deepest)
    assert seen == {1: 1, 2: 2, 3: 3, 4: 4}
    assert 0.4 < targets.mean() < 0.6


def test_bracketings_are_counted_and_drawn_evenly():
    table = ways(8, 4)
    assert table[4, [2, 4, 6, 8], 0].tolist() == [1, 2, 5, 14]  # Catalan numbers
    assert table[2, 6, 0] == 4 and table[1, 8, 0] == 1
    words = [
        "".join(each)
        for each in itertools.product("()", repeat=6)
        if all(each[: k + 1].count("(") >= each[: k + 1].count(")") for k in range(6))
        and each.count("(") == 3
    ]
    inputs, _ = sample(Grammar(0), np.repeat([[3, 3]], 5000, axis=0))
    plain = [word(row).replace("[", "(").replace("]", ")") for row in inputs]
    assert sorted(set(plain)) == sorted(words) and len(words) == 5
    assert np.allclose([plain.count(each) / 1000 for each in words], 1, atol=0.15)


def test_levels_of_the_grammar_can_be_reached():
    task = Grammar(0)
    assert (task.levels[:, 1] <= task.levels[:, 0]).all() and len(task.levels) == 14
    with pytest.raises(ValueError, match="deepest"):
        Grammar(0, most_pairs=3, deepest=4)

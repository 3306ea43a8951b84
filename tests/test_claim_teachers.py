"""Teachers that came with the claims: selection by rating, strata in turn, controls of cycles."""

import numpy as np
import pytest
from gymnasium import spaces

from environments.supervised.n_parity import NParity
from teachers.base import TaskSpace
from teachers.cyclical import CCL
from teachers.cyclical_controls import CCLAnti, CCLRandom
from teachers.group_mixes import MixMixed
from teachers.rated import QualityTemperature, standardised
from teachers.strata import BlockTopics, InterleaveLevels
from tests.clouds import hear

RNG = np.random.default_rng(3)
# Four levels of 10, 20, 30 and 40 items in mixed order; two topics.
LEVEL = RNG.permutation(np.repeat([0.0, 0.25, 0.5, 1.0], [10, 20, 30, 40]))
TOPIC = RNG.integers(2, size=100)
POOL = TaskSpace(spaces.Discrete(100, start=5), label=TOPIC, group=TOPIC, prior=LEVEL)


def rated(items, **options):
    prior = np.linspace(1, -1, items)  # the last item is the best rated
    return QualityTemperature(TaskSpace(spaces.Discrete(items), prior=prior), **options)


# QuRating


def test_ratings_have_mean_0_and_deviation_1():
    assert standardised(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert standardised(np.full(3, 7.0)).tolist() == [0.0, 0.0, 0.0]


def test_chances_are_exponential_in_the_rating_over_the_temperature():
    """Of two items with ratings 1 and -1 the better is drawn with chance 1 / (1 + e^(-2 / T))."""
    for temperature in (1.0, 2.0):
        kept = [
            rated(2, seed=seed, temperature=temperature, share=0.5).selection[0]
            for seed in range(4000)
        ]
        expected = 1 / (1 + np.exp(-2 / temperature))
        assert np.mean(kept) == pytest.approx(expected, abs=3 * np.sqrt(0.25 / 4000))


def test_the_selection_is_drawn_without_replacement_and_kept_for_good():
    teacher = rated(200, seed=1, share=0.1)
    first = teacher.propose(20, 0.0).tasks
    assert sorted(first) == sorted(teacher.selection) and len(set(first)) == 20
    assert sorted(teacher.propose(20, 0.9).tasks) == sorted(first)


def test_temperature_0_keeps_the_best_rated_or_the_worst():
    assert sorted(rated(50, seed=0, temperature=0, share=0.1).selection) == list(range(45, 50))
    worst = rated(50, seed=0, temperature=0, share=0.1, prefer="worst")
    assert sorted(worst.selection) == list(range(5))
    # Two of three equal best ones: each of them sometimes stays out.
    pool = TaskSpace(spaces.Discrete(6), prior=np.array([0, 0, 0, 1, 1, 1.0]))
    kept = [
        QualityTemperature(pool, seed=s, temperature=0, share=1 / 3).selection for s in range(9)
    ]
    assert {item for selection in kept for item in selection} == {0, 1, 2}


def test_a_hot_selection_is_even():
    counts = np.zeros(20)
    for seed in range(2000):
        counts[rated(20, seed=seed, temperature=1e6, share=0.2).selection] += 1
    assert np.abs(counts / 2000 - 0.2).max() < 0.04


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"temperature": 0.001}, "temp"),
        ({"temperature": -1.0}, "temp"),
        ({"share": 0.0}, "share"),
        ({"prefer": "good"}, "best, worst"),
    ],
)
def test_impossible_selections_are_explained(options, told):
    with pytest.raises(ValueError, match=told):
        rated(10, seed=0, **options)


# Strata in turn


def at(teacher, progress):
    """Levels and topics of what is proposed at ``progress``."""
    items = teacher.propose(30, progress).tasks - 5
    return set(LEVEL[items]), set(TOPIC[items])


def test_levels_come_in_turn_each_for_its_share_of_the_items():
    teacher = InterleaveLevels(POOL, seed=0)
    for progress, level in ((0, 0.0), (0.099, 0.0), (0.1, 0.25), (0.299, 0.25), (0.3, 0.5)):
        assert at(teacher, progress) == ({level}, {0, 1})
    assert at(teacher, 0.6) == at(teacher, 1.0) == ({1.0}, {0, 1})


def test_falling_levels_and_several_sweeps():
    teacher = InterleaveLevels(POOL, seed=0, order="falling", sweeps=2)
    seen = [at(teacher, progress)[0].pop() for progress in (0.0, 0.199, 0.2, 0.48, 0.5, 0.99)]
    assert seen == [1.0, 1.0, 0.5, 0.0, 1.0, 0.0]


def test_random_levels_are_each_trained_on_once():
    orders = set()
    for seed in range(12):
        teacher = InterleaveLevels(POOL, seed=seed, order="random")
        orders.add(tuple(LEVEL[items[0]] for items in teacher.strata))
        assert sorted(len(items) for items in teacher.strata) == [10, 20, 30, 40]
    assert len(orders) > 4 and all(sorted(order) == [0, 0.25, 0.5, 1] for order in orders)


def test_blocks_are_topics_with_rising_levels_within():
    teacher = BlockTopics(POOL, seed=0)
    topics = [set(TOPIC[items]) for items in teacher.strata]
    levels = [LEVEL[items[0]] for items in teacher.strata]
    assert all(len(topic) == 1 for topic in topics)
    assert levels == [0, 0.25, 0.5, 1] * 2 and topics[:4] == [topics[0]] * 4 != topics[4:]


def test_a_stratum_is_passed_without_replacement():
    teacher = InterleaveLevels(POOL, seed=0)
    teacher.propose(3, 0.0)
    items = teacher.propose(20, 0.1).tasks - 5  # the rest of the first pass is dropped
    assert sorted(items) == sorted(np.flatnonzero(LEVEL == 0.25))


def test_pools_without_levels_or_topics_are_explained():
    bare = TaskSpace(spaces.Discrete(9), prior=np.arange(9.0))
    with pytest.raises(ValueError, match="group"):
        BlockTopics(bare, seed=0)
    with pytest.raises(ValueError, match="prior"):
        InterleaveLevels(TaskSpace(spaces.Discrete(9)), seed=0)
    with pytest.raises(ValueError, match="rising, falling, random"):
        InterleaveLevels(bare, seed=0, order="up")


# Controls of cycles


def trained(cls):
    teacher = cls(TaskSpace(spaces.Discrete(4)), seed=0)
    hear(teacher, [0, 1, 2], [0.5, 1.0, 2.0], [1, 0, 0])
    teacher.frozen = teacher.losses.copy()
    return teacher


def test_the_controls_turn_the_chances_around_or_level_them():
    assert trained(CCL).chances().tolist() == [1.0, 0.5, 0.25, 0.25]
    assert trained(CCLAnti).chances().tolist() == [0.25, 0.5, 1.0, 1.0]
    assert trained(CCLRandom).chances().tolist() == [1.0] * 4


def test_the_controls_keep_the_sizes_of_the_cycle():
    for cls in (CCL, CCLAnti, CCLRandom):
        teacher = trained(cls)
        sizes = [len(teacher.next_pass(0.6)) for _ in range(6)]
        assert sizes == [1, 2, 4, 2, 1, 2]


# Levels of a generator as groups, for the mastery gate of S01


def test_the_next_n_comes_when_the_newest_is_mastered():
    task = NParity(0, tasks="levels", longest=3, heads="multi", examples=1)
    pool = TaskSpace(task.task_space, prior=task.prior, group=task.group)
    teacher = MixMixed(pool, seed=0, threshold=0.98, window=50)
    assert set(teacher.propose(40, 0.0).tasks) == {0}
    hear(teacher, [0] * 50, [0.0] * 50, [1] * 48 + [0] * 2)  # 96 %
    assert set(teacher.propose(40, 0.0).tasks) == {0}
    hear(teacher, [0] * 50, [0.0] * 50, [1] * 49 + [0])  # 98 %
    assert set(teacher.propose(40, 0.0).tasks) == {0, 1}

"""The tasks that stand for papers: what each claims to know, checked against its examples."""

import numpy as np
import pytest

from environments.supervised.midtrain import CLASSES, GENERAL, SPECIAL, Midtrain
from environments.supervised.topics_quality import TOPICS, TopicsQuality


def everything(task):
    return task.sample(np.arange(task.task_space.n), np.random.default_rng(0))


# Midtrain


def test_midtrain_has_one_rule_and_noise_in_one_source_only():
    task = Midtrain(3)
    inputs, label = everything(task)
    right, general = task.rule(inputs), task.group == GENERAL
    assert np.bincount(task.group).tolist() == [20000, 1000]
    assert np.array_equal(task.truth["mislabelled"], label != right)
    # A rate of 0.3 over 20000 labels has a deviation of 0.0032.
    assert (label != right)[general].mean() == pytest.approx(0.3, abs=0.013)
    assert np.array_equal(label[~general], right[~general])
    wrong = (label - right)[general & (label != right)] % CLASSES
    assert np.bincount(wrong)[1:] / len(wrong) == pytest.approx(np.full(5, 0.2), abs=0.03)
    for inputs, label in (task.test, task.validation):  # the best accuracy is 1
        assert np.array_equal(task.rule(inputs), label)
    assert np.bincount(task.test_level).tolist() == [500, 500]


def test_the_special_source_lies_where_it_says():
    task = Midtrain(0, shift=4.0)
    inputs, _ = everything(task)
    centre = inputs[task.group == SPECIAL].mean(axis=0)
    assert np.linalg.norm(centre) == pytest.approx(4.0, abs=0.2)
    assert np.linalg.norm(inputs[task.group == GENERAL].mean(axis=0)) < 0.1
    near = Midtrain(0, shift=0.0)
    assert np.linalg.norm(everything(near)[0][near.group == SPECIAL].mean(axis=0)) < 0.3
    for options, match in (({"noise_rate": 1.1}, "noise_rate"), ({"shift": -1.0}, "shift")):
        with pytest.raises(ValueError, match=match):
            Midtrain(0, **options)


# Topics


def test_label_noise_falls_with_quality_as_stated():
    task = TopicsQuality(1)
    inputs, label = everything(task)
    wrong, quality = label != task.rule(inputs), task.truth["quality"]
    assert np.array_equal(wrong, task.truth["mislabelled"])
    assert np.array_equal(task.truth["wrong_chance"], 0.45 * (1 - quality))
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (quality >= low) & (quality < low + 0.25)
        assert wrong[part].mean() == pytest.approx(0.45 * (0.875 - low), abs=0.025)
    for inputs, label in (task.test, task.validation):
        assert np.array_equal(task.rule(inputs), label)
    assert np.bincount(task.test_level).tolist() == [100] * TOPICS


def test_the_rating_tells_quality_and_favours_topics():
    task, fair = TopicsQuality(2), TopicsQuality(2, topic_bias=0.0)
    rating = -task.prior
    assert rating.mean() == pytest.approx(0) and rating.std() == pytest.approx(1)
    by_topic = np.array([rating[task.group == k].mean() for k in range(TOPICS)])
    assert np.array_equal(np.argsort(by_topic), np.argsort(task.bias))
    # var(quality) = 1/12, of the bias 1/4 and of the noise 1/25: each one's share of a rating.
    total = 1 / 12 + 0.25 + 0.04
    expected = np.sqrt(1 / 12 / total)
    assert np.corrcoef(rating, task.truth["quality"])[0, 1] == pytest.approx(expected, abs=0.02)
    fair_corr = np.corrcoef(-fair.prior, fair.truth["quality"])[0, 1]
    assert fair_corr == pytest.approx(np.sqrt(1 / 12 / (1 / 12 + 0.04)), abs=0.02)
    best = np.argsort(rating)[-2000:]  # a tenth of the items: half of the topics are missing
    assert np.count_nonzero(np.bincount(task.group[best], minlength=TOPICS) > 40) <= 6
    with pytest.raises(ValueError, match="topic_bias"):
        TopicsQuality(0, topic_bias=-1.0)

"""The tasks that stand for papers: what each claims to know, checked against its examples."""

import numpy as np
import pytest
from scipy.stats import norm

from benchmark.evaluate import TestSetEvaluator, reciprocal_rank
from environments.supervised.decathlon6 import NEEDS, SIZES, Decathlon6
from environments.supervised.levels_topics import LEVELS, LevelsTopics
from environments.supervised.match import Match
from environments.supervised.midtrain import CLASSES, GENERAL, SPECIAL, Midtrain
from environments.supervised.rerank import Rerank, easiness, heuristics
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


# Decathlon


def test_the_six_tasks_ask_for_parities_of_a_code():
    task = Decathlon6(4)
    inputs, label = everything(task)
    assert np.bincount(task.group).tolist() == list(SIZES)
    assert np.array_equal(inputs[:, -1], task.group)
    codes = task.codes[task.truth["code"]]
    for number, bits in enumerate(NEEDS):
        mine = task.group == number
        by_hand = (codes[mine][:, list(bits)] < 0).sum(axis=1) % 2
        assert np.array_equal(label[mine], by_hand)
        assert (task.prior[mine] == (len(bits) - 1) / 2).all()
        # No single bit tells a parity anything: over all codes they are exactly independent.
        if len(bits) > 1:
            assert np.array_equal(task.codes.T @ (2 * task.answers[number] - 1), np.zeros(6))


def test_the_best_answer_to_a_point_is_calibrated_and_known():
    task = Decathlon6(0, noise=1.0)
    inputs, label = everything(task)
    chance = task.posterior(inputs)
    for low in (0.0, 0.25, 0.5, 0.75):
        part = (chance >= low) & (chance <= low + 0.25)
        assert label[part].mean() == pytest.approx(chance[part].mean(), abs=0.05)
    best = np.maximum(chance, 1 - chance)
    by_task = np.array([best[task.group == k].mean() for k in range(6)])
    assert by_task[0] < by_task[2:4].min() and by_task[1] < by_task[4]  # a parity and its bits
    found = ((chance > 0.5) == label).mean()
    assert found == pytest.approx(best.mean(), abs=0.01)
    with pytest.raises(ValueError, match="noise"):
        Decathlon6(0, noise=0.0)


# Levels and topics


def answers_by_hand(task, inputs):
    """The answer asked for, from the marks, the topic and the head that an input shows."""
    found = []
    for row in inputs:
        topic, asked = row[LEVELS:-1].argmax(), int(row[-1])
        answer = 0
        for step in range(asked + 1):
            answer ^= int(row[step] > 0) ^ int(task.flips[topic, step])
        found.append(answer)
    return np.array(found)


def test_an_item_shows_one_of_its_steps():
    task, last = LevelsTopics(5), LevelsTopics(5, answers="last", groups="levels")
    inputs, targets = everything(task)
    assert np.array_equal(targets, answers_by_hand(task, inputs)) and task.label is None
    asked, level = inputs[:, -1], task.level
    assert (asked <= level).all() and task.prior.tolist() == (level / 3).tolist()
    for head in range(LEVELS):  # of the highest level every step is shown equally often
        assert (asked[level == 3] == head).mean() == pytest.approx(0.25, abs=0.04)
    assert np.array_equal((inputs[:, :LEVELS] != 0).sum(axis=1), level + 1)
    whole, final = everything(last)
    assert np.array_equal(final, answers_by_hand(last, whole)) and np.array_equal(final, last.label)
    assert np.array_equal(whole[:, -1], last.group) and np.array_equal(last.group, level)
    assert len(np.unique(task.flips, axis=0)) == len(task.flips) == 8
    assert np.array_equal(task.test[1], answers_by_hand(task, task.test[0]))
    assert np.bincount(task.group).tolist() == [1200] * 8


def test_all_marks_of_a_level_are_needed():
    task = LevelsTopics(6, answers="last")
    inputs, targets = everything(task)
    for level in range(LEVELS):
        mine = (task.level == level) & (task.group == 2)
        bits, answer = inputs[mine, : level + 1] > 0, targets[mine]
        for left_out in range(level + 1):
            others = np.delete(bits, left_out, axis=1) @ 2 ** np.arange(level)
            for pattern in range(2**level):
                share = answer[others == pattern].mean()
                assert share == pytest.approx(0.5, abs=0.3)


def test_noise_of_levels_touches_final_answers_only():
    task = LevelsTopics(7, noise_rates=(0.4, 0.2, 0.1, 0.0), groups="levels")
    inputs, targets = everything(task)
    wrong = targets != answers_by_hand(task, inputs)
    final = inputs[:, -1] == task.level
    assert not wrong[~final].any() and np.array_equal(wrong, task.truth["mislabelled"] & final)
    rates = [task.truth["mislabelled"][task.group == level].mean() for level in range(4)]
    assert rates == pytest.approx([0.4, 0.2, 0.1, 0.0], abs=0.04)
    for options, match in (
        ({"answers": "all"}, "answers must be one of"),
        ({"noise_rates": (0.1,)}, "noise_rates 4 numbers"),
        ({"noise_rates": (0.1, 0, 0, 2.0)}, "noise_rates"),
        ({"items": 31}, "at least 32"),
    ):
        with pytest.raises(ValueError, match=match):
            LevelsTopics(0, **options)


# Re-ranking


def test_heuristics_and_easiness_by_hand():
    scores = np.array([[1.0, 3.0, 2.0, 3.0]])
    assert heuristics(scores, "rank").tolist() == [[0.25, 1.0, 1 / 3, 1.0]]
    assert heuristics(scores, "score").tolist() == [[0.0, 1.0, 0.5, 1.0]]
    kde = heuristics(scores, "kde")[0]
    width = np.std(scores, ddof=1) * 4**-0.2
    by_hand = norm.cdf((scores[0][:, None] - scores[0]) / width).mean(axis=1)
    assert np.allclose(kde, by_hand)
    h = np.array([[0.25, 1.0, 0.5], [0.25, 1.0, 0.5]])
    assert easiness(h, np.array([1, 0])).tolist() == [0.75, 0.125]


def test_lexical_queries_are_easy_for_the_ranker_and_semantic_ones_are_traps():
    task = Rerank(8)
    wrong = task.truth["mislabelled"]
    assert task.group.mean() == pytest.approx(0.4, abs=0.04)
    assert wrong.mean() == pytest.approx(0.1, abs=0.025)
    easy, trap = task.prior[(task.group == 0) & ~wrong], task.prior[(task.group == 1) & ~wrong]
    assert easy.mean() < 0.5 < 0.9 < trap.mean() and 0 <= task.prior.min() <= task.prior.max() <= 1
    assert np.corrcoef(task.prior, wrong)[0, 1] > 0.1  # a wrong label looks hard
    inputs, targets = task.test
    chance = (1 / np.arange(1, 21)).mean()
    by_words = reciprocal_rank(task.overlap(inputs), targets)
    by_map = reciprocal_rank(task.oracle(inputs), targets)
    assert by_words[:300].mean() > 0.8 and by_words[300:].mean() < chance
    assert by_map[:300].mean() > 0.9 and by_map[300:].mean() > 0.9
    close = task.overlap(inputs) > 0.4
    close[np.arange(600), targets] = False
    assert close[300:].sum() / (300 * 19) == pytest.approx(0.35, abs=0.06)
    for options, match in (({"heuristic": "bm25"}, "heuristic"), ({"items": 0}, "items")):
        with pytest.raises(ValueError, match=match):
            Rerank(0, **options)


def test_success_in_reranking_is_the_mean_reciprocal_rank():
    logits = np.array([[3.0, 2.0, 1.0, 0.0]] * 4)
    assert reciprocal_rank(logits, np.arange(4)).tolist() == [1, 1 / 2, 1 / 3, 1 / 4]
    assert reciprocal_rank(np.zeros((1, 3)), np.array([2])).tolist() == [0.5]  # ties: rank 2

    class Words:
        def predict(self, inputs):
            return {"logits": task.overlap(inputs)}

    task = Rerank(0, items=50)
    found = TestSetEvaluator(task).evaluate(Words(), 0)
    expected = reciprocal_rank(task.overlap(task.test[0]), task.test[1])[:300].mean()
    assert (found.success_a[0] + found.success_b[0]) / 2 == pytest.approx(expected, abs=1e-6)


# Matching


def test_matching_by_the_true_matrices_gets_harder_with_near_candidates():
    task = Match(0)
    near = np.repeat([[0.0], [5.0], [10.0], [15.0]], 1000, axis=0)
    inputs, targets = task.sample(near, np.random.default_rng(0))
    found = (task.oracle(inputs).argmax(axis=1) == targets).reshape(4, 1000).mean(axis=1)
    assert found[0] > 0.98 and (np.diff(found) < -0.01).all() and found[3] > 0.7
    assert np.bincount(targets, minlength=16) / 4000 == pytest.approx(np.full(16, 1 / 16), abs=0.02)
    clear = Match(0, noise=0.0)
    inputs, targets = clear.sample(near, np.random.default_rng(1))
    assert np.array_equal(clear.oracle(inputs).argmax(axis=1), targets)
    assert np.allclose(clear.oracle(inputs).max(axis=1), 0, atol=1e-4)  # one identity, two views


def test_as_many_candidates_are_near_as_the_task_says():
    task = Match(0, noise=0.0)
    near = np.arange(16.0)[:, None].repeat(50, axis=0)
    inputs, targets = task.sample(near, np.random.default_rng(2))
    identity = inputs[:, 1:] @ task._second  # (n, 16, 8)
    gaps = np.linalg.norm(identity[:, :, None] - task._centres, axis=3)
    cluster = gaps.argmin(axis=2)
    own = cluster[np.arange(len(targets)), targets]
    found = (cluster == own[:, None]).sum(axis=1) - 1
    # Some identities lie nearer to another centre than to their own.
    assert np.corrcoef(found, near[:, 0])[0, 1] > 0.9 and np.abs(found - near[:, 0]).mean() < 1.5
    with pytest.raises(ValueError, match="noise"):
        Match(0, noise=-1.0)

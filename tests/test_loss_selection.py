"""Teachers that choose by last known losses: self-paced, ranks, InfoBatch, DIHCL, cycles, MCL."""

import itertools

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st

from teachers.base import TaskSpace
from teachers.cyclical import CCL, CCLCurrent, CCLExponential, CCLFatigue
from teachers.hard_selection import DIHCL, DIHCLExp, DIHCLGreedy, InfoBatch, LossRank
from teachers.mcl import MCL, hard_and_different
from teachers.stale_self_paced import SPLD, AdaptiveCurriculum, StaleSelfPaced
from tests.clouds import Clouds, Lesson, hear

POOL = TaskSpace(spaces.Discrete(20, start=3), label=np.arange(20) % 4)
LOSSES = np.random.default_rng(5).permutation(20) / 10


def whole_pass(teacher, progress):
    """What one new pass holds, numbered from 0, and the weights of its first item."""
    teacher.queue = np.empty(0, dtype=np.int64)
    first = teacher.propose(1, progress).tasks - teacher.first
    return sorted({*first.tolist(), *teacher.queue.tolist()})


def taught(cls, losses=LOSSES, passes=1, **options):
    """A teacher that has passed the pool and heard its losses."""
    teacher = cls(POOL, seed=0, **options)
    for _ in range(passes):
        teacher.propose(20, 0.0)
        hear(teacher, np.arange(20) + 3, losses)
    return teacher


# Self-paced by stale losses


def test_the_smallest_known_losses_are_chosen():
    teacher = taught(StaleSelfPaced, start=0.2, warm_up=1)
    assert whole_pass(teacher, 0.0) == sorted(np.argsort(LOSSES)[:4])
    assert whole_pass(teacher, 0.25) == sorted(np.argsort(LOSSES)[:12])
    assert whole_pass(teacher, 0.5) == list(range(20))
    hear(teacher, [3 + np.argsort(LOSSES)[0]], [9.0])
    assert whole_pass(teacher, 0.0) == sorted(np.argsort(LOSSES)[1:5])
    assert whole_pass(taught(StaleSelfPaced, start=0.2), 0.0) == list(range(20))  # still warming up


def test_diversity_takes_the_best_of_every_class():
    losses = (np.arange(20) % 4) * 1.0 + np.arange(20) / 100  # class 0 is the easiest
    plain = taught(SPLD, losses, start=0.2, warm_up=1, diversity=0.0)
    assert whole_pass(plain, 0.0) == [0, 4, 8, 12]
    spread = taught(SPLD, losses, start=0.2, warm_up=1, diversity=10.0)
    assert whole_pass(spread, 0.0) == [0, 1, 2, 3]
    bonus = losses - spread.difficulty()
    assert bonus[[0, 4, 8]] == pytest.approx([10, 10 / (1 + np.sqrt(2)), 10 / (3**0.5 + 2**0.5)])


def test_adaptive_scores_and_stages():
    teacher = taught(AdaptiveCurriculum)
    hear(teacher, [3, 3 + 7], [10.0, 20.0])
    expected = [0.3 * LOSSES[0] + 7.0, 0.3 * LOSSES[7] + 14.0]
    assert teacher.difficulty()[[0, 7]] == pytest.approx(expected)
    teacher.passes = 5
    sizes = [len(whole_pass(teacher, x)) for x in (0.0, 0.074, 0.075, 0.15, 0.225, 1.0)]
    assert sizes == [2, 2, 5, 13, 20, 20]


@pytest.mark.parametrize("cls", [StaleSelfPaced, SPLD])
def test_a_cap_keeps_planted_wrong_labels_out(cls):
    lesson = Lesson(cls, Clouds(), cap=0.6)
    assert lesson.wrong_share() < 0.1 < Lesson(cls, Clouds()).wrong_share()
    assert lesson.accuracy > 0.95


def test_adaptive_begins_with_clean_labels():
    lesson = Lesson(AdaptiveCurriculum, Clouds(), start=0.3, growth=1.0, warm_up=4)
    assert lesson.wrong_share() < 0.15


# Loss ranks


def test_chances_of_ranks_by_hand():
    teacher = LossRank(TaskSpace(spaces.Discrete(4)), seed=0, pressure=16.0)
    weights = np.array([1, 1 / 2, 1 / 4, 1 / 8])  # 16^(-k / 4)
    assert teacher.chances(0.0) == pytest.approx(weights / weights.sum())
    weights = np.array([1, 2**-0.5, 1 / 2, 2**-1.5])  # half of the budget: 4^(-k / 4)
    assert teacher.chances(0.5) == pytest.approx(weights / weights.sum())
    assert teacher.chances(1.0) == pytest.approx(np.full(4, 0.25))


def test_after_a_uniform_pass_hard_items_are_drawn_more_often():
    teacher = LossRank(POOL, seed=0)
    parts = [teacher.propose(n, 0.0).tasks for n in (7, 13)]
    assert sorted(np.concatenate(parts)) == list(range(3, 23))
    hear(teacher, np.arange(20) + 3, LOSSES)
    counts = np.bincount(teacher.propose(20_000, 0.0).tasks - 3, minlength=20) / 20_000
    assert counts[np.argsort(-LOSSES)] == pytest.approx(teacher.chances(0.0), abs=0.02)


# InfoBatch


@given(st.lists(st.floats(0, 10), min_size=20, max_size=20), st.floats(0, 0.9))
def test_a_pass_keeps_the_hard_and_weighs_up_the_easy(losses, ratio):
    teacher, losses = taught(InfoBatch, losses, ratio=ratio), np.array(losses)
    teacher.queue = np.empty(0, dtype=np.int64)
    items = teacher.next_pass(0.0)
    hard = np.flatnonzero(losses >= losses.mean())
    easy = np.setdiff1d(np.arange(20), hard)
    assert set(hard) <= set(items) and (teacher.scale[hard] == 1).all()
    assert teacher.scale[easy] == pytest.approx(np.full(len(easy), 1 / (1 - ratio)))
    kept = len(items) - len(hard)
    assert abs(kept - (1 - ratio) * len(easy)) < 1


@pytest.mark.parametrize("ratio", [0.35, 0.5])
def test_passes_are_unbiased(ratio):
    """The expected weight of every item is one, so a pass stands for the whole pool."""
    teacher, total = taught(InfoBatch, ratio=ratio), np.zeros(20)
    for _ in range(4000):
        items = teacher.next_pass(0.0)
        total[items] += teacher.scale[items]
    assert total / 4000 == pytest.approx(np.ones(20), abs=0.08)
    assert total.sum() / 4000 == pytest.approx(20, abs=0.1)


def test_proposals_carry_the_weights_of_their_own_pass():
    teacher = taught(InfoBatch)
    proposal = teacher.propose(200, 0.0)
    easy = (LOSSES < LOSSES.mean())[proposal.tasks - 3]
    assert np.array_equal(proposal.weights, np.where(easy, 2.0, 1.0))
    late = teacher.propose(200, 0.9)
    # What was left of the last pruned pass comes first; then every pass is whole.
    assert (late.weights[-180:] == 1).all()
    assert np.bincount(late.tasks - 3, minlength=20).min() >= 9


def test_the_first_pass_is_whole():
    proposal = InfoBatch(POOL, seed=0).propose(20, 0.0)
    assert sorted(proposal.tasks) == list(range(3, 23)) and (proposal.weights == 1).all()


def test_infobatch_trains_as_well_with_more_passes():
    lesson = Lesson(InfoBatch, Clouds(noise=0.0), total=3000)
    assert lesson.accuracy > 0.95
    counts = np.bincount(lesson.tasks, minlength=400)
    assert counts.max() > 3000 / 400 + 2  # hard items were seen in the passes that were saved


# DIHCL


def test_running_hardness_by_hand():
    teachers = {name: DIHCL(POOL, seed=0, hardness=name, rate=0.8) for name in ("loss", "change")}
    teachers["flip"] = DIHCL(POOL, seed=0, hardness="flip", rate=0.8)
    for teacher in teachers.values():
        hear(teacher, [3, 4], [2.0, 1.0], [0, 1])
        hear(teacher, [3, 4], [0.5, 3.0], [1, 1])
    expected = {
        "loss": [0.8 * 0.5 + 0.2 * 2, 0.8 * 3 + 0.2 * 1],
        "change": [0.8 * 1.5 + 0.2 * 2, 0.8 * 2 + 0.2 * 1],
        "flip": [0.8, 0],
    }
    for name, values in expected.items():
        assert teachers[name].hard[:2] == pytest.approx(values)


def test_sets_shrink_to_the_smallest():
    teacher = DIHCLGreedy(POOL, seed=0, warm_up=2, shrink=0.5, smallest=0.2)
    sizes = []
    for _ in range(6):
        sizes.append(len(whole_pass(teacher, 0.0)))
        hear(teacher, np.arange(20) + 3, LOSSES)
    assert sizes == [20, 20, 10, 5, 4, 4]
    assert whole_pass(teacher, 0.0) == sorted(np.argsort(-LOSSES)[:4])


def test_random_chances_are_proportional_to_hardness():
    losses = np.where(np.arange(20) < 10, 3.0, 1.0)
    teacher = taught(DIHCL, losses, warm_up=1, shrink=0.01, smallest=0.05)
    drawn = [whole_pass(teacher, 0.0)[0] for _ in range(2000)]
    assert np.mean(np.array(drawn) < 10) == pytest.approx(0.75, abs=0.04)


def test_the_exponential_form_corrects_for_the_chance():
    teacher = taught(DIHCLExp, warm_up=1, shrink=0.5)
    assert teacher.included.tolist() == [1.0] * 20 and teacher.hard == pytest.approx(LOSSES)
    assert len(whole_pass(teacher, 0.0)) == 10
    weights = np.exp(np.sqrt(2 * np.log(20) / 20) * LOSSES)
    assert teacher.included == pytest.approx(np.minimum(10 * weights / weights.sum(), 1))
    before = teacher.hard[4]
    hear(teacher, [3 + 4], [1.0])
    assert teacher.hard[4] == pytest.approx(0.95 / teacher.included[4] + 0.05 * before)


@pytest.mark.parametrize("cls", [DIHCL, DIHCLGreedy, DIHCLExp, LossRank])
def test_noise_attracts_hard_selection(cls):
    lesson = Lesson(cls, Clouds(noise=0.2))
    assert lesson.wrong_share(2000) > 1.15 * lesson.task.wrong.mean()


# Cycles


def test_sizes_go_through_the_cycle():
    teacher = taught(CCL)
    sizes = [len(whole_pass(teacher, x)) for x in (0.49, 0.5, 0.6, 0.6, 0.6, 0.7, 0.7)]
    assert sizes == [20, 5, 10, 20, 10, 5, 10]


def test_chances_by_hand():
    losses = LOSSES + 0.1
    teacher = taught(CCL, losses)
    teacher.next_pass(0.6)
    assert teacher.chances() == pytest.approx(0.1 / losses)
    hear(teacher, [3], [50.0])
    assert teacher.chances() == pytest.approx(0.1 / losses)  # frozen
    exponential = taught(CCLExponential, losses)
    exponential.next_pass(0.6)
    chances = exponential.chances()
    assert chances / chances.max() == pytest.approx(np.exp(-(losses - 0.1) / losses.mean()))


def test_current_scores_follow_the_student():
    teacher = taught(CCLCurrent, LOSSES + 0.1)
    teacher.next_pass(0.6)
    hear(teacher, np.arange(20) + 3, np.arange(1, 21))
    assert teacher.chances() == pytest.approx(1 / np.arange(1, 21))


def test_tired_items_rest():
    teacher = taught(CCLFatigue, np.ones(20), fatigue=0.0, start=0.5, end=0.5)
    first, second, third = (whole_pass(teacher, 0.6) for _ in range(3))
    assert not set(first) & set(second) and first == third
    half = taught(CCLFatigue, np.ones(20), start=0.5, end=0.5)
    used = half.next_pass(0.6)
    assert sorted(half.chances()) == [0.5] * 10 + [1.0] * 10 and (half.chances()[used] == 0.5).all()


def test_zero_losses_and_unseen_items_have_a_chance():
    teacher = CCL(POOL, seed=0, warm_up=0.0)
    assert len(whole_pass(teacher, 0.0)) == 5
    assert teacher.chances().tolist() == [1.0] * 20
    half_seen = CCLCurrent(POOL, seed=0, warm_up=0.0)
    hear(half_seen, [3, 4], [0.0, 2.0])
    assert half_seen.chances() == pytest.approx([1.0] + [1e-6 / 2] * 19)


@pytest.mark.parametrize("cls", [CCL, CCLCurrent, CCLExponential, CCLFatigue])
def test_small_passes_of_a_cycle_avoid_wrong_labels(cls):
    lesson = Lesson(cls, Clouds(), end=0.25)
    assert lesson.wrong_share(1500) < 0.75 * lesson.task.wrong.mean()


# MCL


def facility_value(losses, unit, weight, items):
    alike = np.maximum(unit[list(items)] @ unit.T, 0)
    return losses[list(items)].sum() + weight * alike.max(axis=0).sum()


def test_the_greedy_set_is_near_the_best():
    rng = np.random.default_rng(0)
    losses, features = rng.random(10), rng.normal(size=(10, 3))
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for weight in (0.0, 1.0, 5.0):
        best = max(
            facility_value(losses, unit, weight, items)
            for items in itertools.combinations(range(10), 3)
        )
        got = hard_and_different(losses, features, 3, weight, np.random.default_rng(1))
        assert len(set(got)) == 3
        assert facility_value(losses, unit, weight, got) > 0.9 * best
    hardest = hard_and_different(losses, features, 1, 0.0, np.random.default_rng(1))
    assert hardest[0] == losses.argmax()


def test_diversity_spreads_the_set():
    features = np.repeat(np.eye(4), 5, axis=0)  # four bundles of five equal items
    losses = np.repeat([1.0, 0.5, 0.2, 0.1], 5)
    rng = np.random.default_rng(0)
    spread = hard_and_different(losses, features, 4, 1.0, rng)
    assert set(spread // 5) == {0, 1, 2, 3}
    alone = hard_and_different(losses, np.ones((20, 2)), 20, 1.0, rng)
    assert sorted(alone) == list(range(20))


class Answers:
    """A probe that counts its questions."""

    def __init__(self):
        self.asked = 0

    def loss(self, tasks):
        self.asked += len(tasks)
        return LOSSES[tasks - 3]

    def embedding(self, tasks):
        self.asked += len(tasks)
        return np.ones((len(tasks), 2))


def test_stages_of_minimax():
    teacher = MCL(POOL, seed=0, stages=4, start=0.1, end=0.7, diversity=0.0, warm_up=1)
    with pytest.raises(ValueError, match="probe"):
        [whole_pass(teacher, 0.0) for _ in range(2)]
    teacher = MCL(POOL, seed=0, stages=4, start=0.1, end=0.7, diversity=0.0, warm_up=1)
    teacher.probe = Answers()
    sizes = [len(whole_pass(teacher, x)) for x in (0.0, 0.0, 0.1, 0.3, 0.6, 0.8, 1.0)]
    assert sizes == [20, 2, 2, 6, 10, 14, 14]
    assert teacher.probe.asked == 4 * 40
    assert LOSSES[teacher.chosen].mean() > LOSSES.mean()


def test_diversity_fades_from_stage_to_stage():
    class Bundles(Answers):
        def embedding(self, tasks):
            return np.eye(4)[(tasks - 3) // 5]

    options = {"stages": 3, "start": 0.2, "end": 0.2, "diversity": 1e3, "decay": 0.0}
    teacher = MCL(POOL, seed=0, warm_up=0, **options)
    teacher.probe = Bundles()
    assert {item // 5 for item in whole_pass(teacher, 0.0)} == {0, 1, 2, 3}
    spread = LOSSES[teacher.chosen].mean()
    whole_pass(teacher, 0.5)
    assert LOSSES[teacher.chosen].mean() > max(spread, 1.4)  # the hardest 4 of 0 ... 1.9: 1.75


def test_minimax_pays_for_its_questions():
    lesson = Lesson(MCL, Clouds(noise=0.0), stages=4)
    assert lesson.ledger.forward == 4 * 2 * 400
    assert lesson.ledger.student + lesson.ledger.forward / 3 == pytest.approx(4000, abs=1)
    assert lesson.accuracy > 0.95


# Options


@pytest.mark.parametrize(
    ("cls", "option", "value"),
    [
        (StaleSelfPaced, "warm_up", 0),
        (SPLD, "diversity", -1.0),
        (AdaptiveCurriculum, "rate", 0.0),
        (AdaptiveCurriculum, "growth", 0.5),
        (LossRank, "pressure", 0.5),
        (InfoBatch, "ratio", 1.0),
        (InfoBatch, "until", 1.5),
        (DIHCL, "rule", "beta"),
        (DIHCL, "hardness", "accuracy"),
        (DIHCL, "shrink", 0.0),
        (CCL, "form", "linear"),
        (CCL, "scores", "probe"),
        (CCL, "fatigue", 2.0),
        (CCL, "warm_up", 1.0),
        (MCL, "stages", 0),
        (MCL, "end", 0.05),
    ],
)
def test_options_out_of_range(cls, option, value):
    with pytest.raises(ValueError, match=option):
        cls(POOL, seed=0, **{option: value})

"""The hypercube's harder versions: shuffled, mostly unfeasible, mostly trivial, forgetting."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces

from benchmark.assemble import assemble
from benchmark.loops.listener import Listener
from benchmark.protocol import Protocol
from environments.check import check_environment
from environments.hypercube import Hypercube, HypercubeBatch
from environments.vector import make_worlds
from students.base import Transitions
from students.synthetic import SyntheticStudent

ENTRY = "environments.hypercube:Hypercube"
RUGGED = [[2, 0, 3, 1], [1, 3, 0, 2]]
VARIANTS = ({"rugged": RUGGED}, {"high": 3.0}, {"low": -2.0}, {"low": -1.0, "rugged": RUGGED})


def student(low=0.0, high=1.0, dimensions=2, **options):
    space = spaces.Box(low, high, (dimensions,), np.float64)
    action = spaces.Box(0.0, 1.0, (1,), np.float64)
    return SyntheticStudent(space, action, num_envs=1, seed=0, **options)


def practise(learner, task, times=1):
    tasks, ended = np.array([task], dtype=np.float64), np.array([True])
    for _ in range(times):
        actions = learner.act(tasks)
        learner.observe(Transitions(tasks, actions, actions[:, 0], ended, ~ended, tasks))
    return float(actions[0, 0])


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_variants_obey_the_contract(options):
    records = check_environment(Hypercube, **options)
    assert all(record.status == "passed" for record in records)


def test_rugged_stretches_change_places_and_keep_their_direction():
    world = Hypercube(rugged=RUGGED)
    # 0.3 lies in stretch 1 at a fifth of its width; stretch 1 of the first side moves to 0.
    seen, _ = world.reset(seed=0, options={"task": np.array([0.3, 0.3])})
    np.testing.assert_allclose(seen, [0.05, 0.8])
    rng = np.random.default_rng(0)
    tasks = rng.random((4000, 2))
    seen = world.shown(tasks)
    assert ((seen >= 0) & (seen <= 1)).all()
    counts = np.histogramdd(seen, bins=4, range=[(0, 1)] * 2)[0]
    assert counts.min() > 180  # a bijection: uniform tasks are seen uniformly
    np.testing.assert_array_equal(world.shown(np.array([[1.0, 1.0]])), [[0.5, 0.75]])
    wide = Hypercube(low=-1.0, rugged=RUGGED)
    np.testing.assert_allclose(wide.shown(np.array([[-1.0, -1.0]])), [[0.0, -0.5]])


def test_the_batch_shows_and_scores_like_single_worlds():
    rng = np.random.default_rng(1)
    for options in VARIANTS:
        world = Hypercube(**options)
        with make_worlds(ENTRY, options, 5) as worlds:
            assert isinstance(worlds, HypercubeBatch)
            tasks = rng.uniform(world.task_space.low, world.task_space.high, (3, 2))
            seen = worlds.reset([4, 0, 2], tasks, np.zeros(3))
            answers = rng.random((3, 1))
            result = worlds.step(answers, [4, 0, 2])
            for row in range(3):
                first, _ = world.reset(seed=0, options={"task": tasks[row]})
                np.testing.assert_array_equal(seen[row], first)
                observation, reward, *ends, info = world.step(answers[row])
                np.testing.assert_array_equal(result.observations[row], observation)
                assert result.rewards[row] == reward and ends == [True, False]
                assert result.success[row] == info["success"]
            with pytest.raises(RuntimeError, match="reset"):
                worlds.step(answers, [4, 0, 2])
            with pytest.raises(ValueError, match="outside the task space"):
                worlds.reset([0], np.array([[9.0, 0.0]]), np.zeros(1))
            worlds.reset([1], world.task_space.low[None], np.zeros(1))
            with pytest.raises(ValueError, match="competence between 0 and 1"):
                worlds.step(np.array([[1.5]]), [1])
        with pytest.raises(RuntimeError, match="closed"):
            worlds.reset([0], tasks[:1], np.zeros(1))


def test_what_the_variants_refuse():
    for options, word in (
        ({"low": 0.5}, "low <= 0"),
        ({"high": 0.5}, "high >= 1"),
        ({"rugged": [[0, 1]]}, "2 permutations"),
        ({"rugged": [[0, 1], [1, 1]]}, "2 permutations"),
        ({"rugged": [[0, 1], [0, 1, 2]]}, "2 permutations"),
    ):
        with pytest.raises(ValueError, match=word):
            Hypercube(**options)
    for options, word in (
        ({"domain": [1.0, 0.0]}, "domain"),
        ({"domain": [1.0]}, "domain"),
        ({"forget_every": 0}, "forget_every"),
    ):
        with pytest.raises(ValueError, match=word):
            student(**options)


def test_beyond_the_domain_nothing_is_learned_and_below_it_all_is_one():
    learner = student(-2.0, 3.0, domain=[0.0, 1.0], cubes=10, max_competence=4, unlock=0.75)
    assert practise(learner, [1.5, 0.0], times=20) == 0.0
    assert learner.competence.sum() == 0
    assert practise(learner, [-1.7, -0.2], times=4) == 1.0  # counts as the cube at the origin
    assert learner.value(np.array([[0.05, 0.05]]))[0] == 1.0
    # All unlocked and mastered: what lies beyond stays out of reach.
    learner.competence[:-1] = 4
    learner.unlocked[:-1] = True
    assert practise(learner, [1.01, 1.01], times=5) == 0.0
    assert learner.mastered() == 1.0


def test_a_forgetting_student_begins_anew():
    learner = student(cubes=2, max_competence=4, unlock=0.5, forget_every=10)
    practise(learner, [0.1, 0.1], times=9)
    assert learner.competence.max() == 4
    practise(learner, [0.1, 0.1])
    assert learner.competence.max() == 0 and learner.unlocked.sum() == 1
    practise(learner, [0.1, 0.1], times=4)
    copy = student(cubes=2, max_competence=4, unlock=0.5, forget_every=10)
    copy.load_state_dict(learner.state_dict())
    for one in (learner, copy):
        practise(one, [0.1, 0.1], times=6)
        assert one.competence.max() == 0  # the twentieth episode


@pytest.mark.parametrize(
    "name",
    [
        "hypercube-v2",
        "hypercube-rugged-v1",
        "hypercube-unfeasible-v1",
        "hypercube-trivial-v1",
        "hypercube-forgetting-v1",
    ],
)
def test_published_variants_can_be_run(name):
    class Silent(Listener):
        def on_progress(self, loop):
            pass

        def on_outcomes(self, began, columns):
            pass

    protocol = Protocol.load(name).smoke(400, 1)
    assembly = assemble(protocol, "uniform", {}, 0, Silent())
    assembly.loop.run()
    assert assembly.ledger.student == 400
    evaluation = assembly.evaluator.evaluate(assembly.student, 1)
    assert len(evaluation.success_a) == len(protocol.held_out) == 10

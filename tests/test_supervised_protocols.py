"""The protocols of supervised tasks: each can be built, and a teacher of its kind can be run."""

import numpy as np
import pytest

from benchmark.assemble import assemble, check_options
from benchmark.protocol import Protocol
from benchmark.telling import space_kind

NAMES = [name for name in Protocol.names() if Protocol.load(name).task.kind == "supervised"]


class Silent:
    def on_outcomes(self, spent, columns):
        pass

    def on_progress(self, loop):
        pass


@pytest.mark.parametrize("name", NAMES)
def test_a_protocol_trains_and_evaluates(name):
    protocol = Protocol.load(name).smoke(2 * Protocol.load(name).budget.parallel)
    check_options(protocol)
    parts = assemble(protocol, "uniform", {}, 0, Silent())
    before = parts.student.state_dict()["parameters"]
    parts.loop.run()
    assert parts.student.updates == 2 and parts.ledger.spent == protocol.budget.total
    assert not np.array_equal(parts.student.state_dict()["parameters"], before)
    found = parts.evaluator.evaluate(parts.student, 0)
    assert len(set(parts.evaluator.labels)) == len(parts.evaluator.labels) == len(found.count_a)
    assert (found.count_a > 0).all() and (found.count_b > 0).all()
    kinds = {"Box": "box", "Discrete": "discrete"}
    assert kinds[type(parts.teacher.task_space.space).__name__] == space_kind(protocol)


@pytest.mark.parametrize("name", NAMES)
def test_scores_start_at_chance(name):
    """Where a protocol names a lower end, it is the accuracy of guessing among the classes."""
    protocol = Protocol.load(name)
    classes = assemble(protocol, "uniform", {}, 0, Silent()).student.num_classes
    assert protocol.score.low in (0.0, pytest.approx(1 / classes))
    assert 0 < protocol.score.target < protocol.score.high == 1.0

"""Protocols that test a student in another world than the one it trains in."""

import numpy as np
import pytest

from benchmark.assemble import assemble, check_options
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from tests.test_observed_tasks import protocol_file

TALL = "[evaluation.options]\ntask_bounds = { stump_height = [0.0, 8.0] }\n\n[score]"


def assembled(path, teacher="uniform"):
    return assemble(Protocol.load(path), teacher, {}, 0, Recorder(path, {}, 1e9))


def test_only_the_held_out_tasks_are_played_there(tmp_path):
    plain = Protocol.load(protocol_file(tmp_path))
    elsewhere = protocol_file(tmp_path, **{"[score]": TALL})
    assert Protocol.load(elsewhere).fingerprint != plain.fingerprint
    assembly = assembled(elsewhere, "robust_plr")
    training, tests, asked = assembly.worlds
    # ``high`` of the height: the tests go beyond what a teacher may propose or ask about.
    assert training.task_space.high[0] == asked.task_space.high[0] == 3.0
    assert tests.task_space.high[0] == 8.0
    assert assembly.evaluator.worlds is tests
    with pytest.raises(ValueError, match="outside"):
        assembly.teacher.probe.evaluate(np.array([[5.0, 3.0]]))
    assembly.close()


def test_without_options_the_probe_plays_where_tests_are_played(tmp_path):
    assembly = assembled(protocol_file(tmp_path), "robust_plr")
    assert len(assembly.worlds) == 2
    assembly.close()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('body = "spider"', "change what the student sees or does"),
        ("task_bounds = { stump_height = [0.0, 0.5] }", "outside the task space"),
        ("task_bounds = { stump_hight = [0.0, 0.5] }", "stump_hight"),
    ],
)
def test_a_world_that_does_not_fit_is_refused(tmp_path, lines, message):
    path = protocol_file(tmp_path, **{"[score]": f"[evaluation.options]\n{lines}\n\n[score]"})
    with pytest.raises(LyceumError, match=message):
        assembled(path)


def test_a_student_that_observes_its_task_is_tested_in_its_task_space(tmp_path):
    changes = {"[score]": TALL, 'name = "ppo"': 'name = "ppo"\nobserves_task = true'}
    with pytest.raises(LyceumError, match="observes the task"):
        assembled(protocol_file(tmp_path, **changes))


def test_unknown_options_and_supervised_tasks_are_refused(tmp_path):
    path = protocol_file(tmp_path, **{"[score]": "[evaluation.options]\ncolour = 1\n\n[score]"})
    with pytest.raises(LyceumError, match="colour"):
        check_options(Protocol.load(path))
    text = open("benchmark/protocols/digits-standard-v1.toml", encoding="utf-8").read()
    text = text.replace('name = "digits-standard-v1"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(
        text.replace("[score]", "[evaluation.options]\nseed = 1\n\n[score]"), "utf-8"
    )
    with pytest.raises(LyceumError, match="are for procedural worlds"):
        check_options(Protocol.load(str(tmp_path / "mine.toml")))

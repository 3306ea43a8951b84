"""Worlds that show their task: what is added, and that nothing else changes."""

import numpy as np
import pytest

from benchmark.assemble import assemble, check_options
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from environments.observed_tasks import ObservedTasks
from environments.vector import make_worlds

ENTRY = "environments.box2d.stump_tracks:StumpTracks"
BOUNDS = {"stump_height": [1.0, 3.0], "obstacle_spacing": [2.0, 2.0]}


def protocol_file(folder, **changes):
    """The tiny protocol of the tests with other lines, as a file."""
    source = "tests/data/protocols/tiny-stumps.toml"
    text = open(source, encoding="utf-8").read()
    for before, after in changes.items():
        assert before in text
        text = text.replace(before, after)
    tasks = "tiny-stumps-tasks.json"
    (folder / tasks).write_bytes(open(f"tests/data/protocols/{tasks}", "rb").read())
    (folder / "mine.toml").write_text(text, "utf-8")
    return str(folder / "mine.toml")


def test_the_scaled_task_follows_what_the_world_shows():
    with (
        make_worlds(ENTRY, {"task_bounds": BOUNDS}, 3) as plain,
        ObservedTasks(make_worlds(ENTRY, {"task_bounds": BOUNDS}, 3)) as shown,
    ):
        tasks, seeds = np.array([[1.0, 2.0], [2.5, 2.0], [3.0, 2.0]]), np.arange(3)
        scaled = [[-1, 0], [0.5, 0], [1, 0]]  # a dimension without width shows 0
        before, after = plain.reset(range(3), tasks, seeds), shown.reset(range(3), tasks, seeds)
        assert shown.observation_space.shape == (before.shape[1] + 2,)
        np.testing.assert_array_equal(after, np.hstack([before, scaled]).astype(after.dtype))
        one, two = plain.step(np.zeros((2, 4)), [2, 0]), shown.step(np.zeros((2, 4)), [2, 0])
        np.testing.assert_array_equal(two.observations[:, :-2], one.observations)
        np.testing.assert_array_equal(two.observations[:, -2:], [scaled[2], scaled[0]])
        np.testing.assert_array_equal(two.rewards, one.rewards)
        assert shown.observation_space.contains(two.observations[0])


def test_a_protocol_decides_and_its_fingerprint_tells(tmp_path):
    plain = Protocol.load(protocol_file(tmp_path))
    observing = Protocol.load(
        protocol_file(tmp_path, **{'name = "ppo"': 'name = "ppo"\nobserves_task = true'})
    )
    assert plain.fingerprint != observing.fingerprint
    sizes = []
    for protocol in (plain, observing):
        recorder = Recorder(tmp_path, {}, 1e9)
        assembly = assemble(protocol, "uniform", {}, 0, recorder)
        sizes.append((assembly.student.size[0], assembly.worlds[1].observation_space.shape[0]))
        recorder.attach(assembly)
        assembly.loop.run()  # trains and evaluates with what it sees
        recorder.finish()
        assembly.close()
    assert sizes[1] == (sizes[0][0] + 2, sizes[0][1] + 2)


def test_a_supervised_protocol_has_nothing_to_observe(tmp_path):
    text = open("benchmark/protocols/digits-standard-v1.toml", encoding="utf-8").read()
    text = text.replace("[student]", "[student]\nobserves_task = true")
    text = text.replace('name = "digits-standard-v1"', 'name = "mine"')
    (tmp_path / "mine.toml").write_text(text, "utf-8")
    with pytest.raises(LyceumError, match=r"observes_task and task\.rugged are for procedural"):
        check_options(Protocol.load(str(tmp_path / "mine.toml")))

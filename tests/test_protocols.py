"""Published protocols from outside: Parkour, the walker of ACCEL, and the smoke budget of any."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmark import protocol as protocols
from benchmark import record, submissions
from benchmark.assemble import assemble, check_options
from benchmark.errors import LyceumError
from benchmark.families import families
from benchmark.protocol import Protocol
from benchmark.recorder import Recorder
from benchmark.run import RunRequest, execute
from environments.box2d.bipedal_terrain import BipedalTerrain, held_out_tasks
from environments.box2d.parkour import Parkour
from tests.test_cli import CUBE, TINY, lyceum

PARKOUR = {"walker": "walking", "fish": "swimming", "climber": "climbing"}
BODIES = {"walker": "old_classic_bipedal", "climber": "climbing_profile_chimpanzee", "fish": "fish"}


@pytest.mark.parametrize("body", PARKOUR)
def test_parkour_trains_as_published_and_tests_on_the_published_tasks(body):
    protocol = Protocol.load(f"parkour-{body}-low-paper-v1")
    assert protocol.task.options["body"] == BODIES[body]
    trained = Parkour(**protocol.task.options)
    low, high = [-0.35, 0.6, -0.1, 0, 0, 0], [0.05, 1, 0.3, 1, 4, 5]
    assert (trained.task_space.low.tolist(), trained.task_space.high.tolist()) == (low, high)
    assert trained.settings == {"creepers_width": 0.25, "terrain_cppn_scale": 10.0}
    tested = Parkour(**{**protocol.task.options, **protocol.evaluation.options})
    stored = json.loads((protocols.FOLDER / f"parkour-{PARKOUR[body]}-100.json").read_text("utf-8"))
    assert [parameter.name for parameter in tested.task_parameters] == stored["columns"]
    assert "TeachMyAgent" in stored["origin"] and "MIT" in stored["origin"]
    tasks = protocol.held_out
    assert tasks.shape == (100, 8) and all(tested.task_space.contains(task) for task in tasks)
    assert (protocol.budget.total, protocol.evaluation.count) == (20_000_000, 40)
    assert protocol.information.return_range == [-150.0, 360.0]


def test_the_published_test_sets_are_what_is_known_of_them():
    sets = {body: Protocol.load(f"parkour-{body}-none-laptop-v1").held_out for body in PARKOUR}
    walking, swimming, climbing = sets["walker"], sets["fish"], sets["climber"]
    assert set(walking[:, 7]) == {20.0} and not walking[:, 4:7].any()
    assert dict(zip(*np.nonzero(walking[:, 3:4]), strict=True)) == {28: 0, 88: 0}
    assert (walking[28, 3], walking[88, 3]) == (0.75, 0.65)
    assert (swimming[:58, 7] == 20).all() and (swimming[58:, 7] == 10).all()
    assert (swimming[:, 3] == 1).all() and (climbing[:, 7] == 10).all()
    assert (climbing[:60, 3] < 0.2).all() and (climbing[60:, 4] == 0.25).all()
    low, high = np.array([-0.35, 0.6, -0.1]), np.array([0.05, 1.0, 0.3])
    for tasks, inside in ((walking, 59), (swimming, 58), (climbing, 60)):
        vectors = tasks[:, :3]
        assert ((vectors >= low) & (vectors <= high)).all(axis=1).sum() == inside


def test_the_walker_of_accel_is_tested_on_the_six_named_tracks():
    protocol = Protocol.load("bipedal_terrain-tracks-none-paper-v1")
    assert protocol.budget.total == 20_000 * 16 * 2048
    named = held_out_tasks(
        ["BipedalWalker-v3", "Med-Stairs", "Med-PitGap", "Med-StumpHeight", "Med-Roughness"]
    )
    encoded = [task[:8].tolist() for task in protocol.held_out if task[8] == 0]
    assert encoded == [list(task) for task in named.values()]
    (hardcore,) = [task for task in protocol.held_out if task[8] == 1]
    world = BipedalTerrain(**{**protocol.task.options, **protocol.evaluation.options})
    world.reset(seed=5, options={"task": hardcore})
    gymnasium = BipedalTerrain(hardcore=True)
    gymnasium.reset(seed=5)
    assert world.scene.polygons.tolist() == gymnasium.scene.polygons.tolist()
    assert world.scene.ground.tolist() == gymnasium.scene.ground.tolist()
    # A teacher cannot propose it: the world of training has eight parameters.
    assert BipedalTerrain(**protocol.task.options).task_space.shape == (8,)


def test_levels_of_robustness_have_two_independent_episodes():
    protocol = Protocol.load("bipedal_terrain-levels-none-laptop-v1")
    assert len(protocol.held_out) == 500 and protocol.evaluation.episodes_per_task == 2
    world = BipedalTerrain()
    assert all(world.task_space.contains(task) for task in protocol.held_out)
    middle = (world.task_space.low + world.task_space.high) / 2
    width = world.task_space.high - world.task_space.low
    assert (np.abs(protocol.held_out.mean(axis=0) - middle) < 0.05 * width).all()


@pytest.mark.parametrize("family", families().values(), ids=lambda family: family.name)
def test_the_released_members_of_a_family_are_frozen_and_the_others_drafts(family):
    for name in family.members:
        frozen = Protocol.load(name).status == "frozen"
        assert frozen == (name in protocols.released())


def test_any_protocol_has_a_smoke_budget():
    for name in Protocol.names():
        whole, short = Protocol.load(name), Protocol.load(f"{name}-smoke")
        assert (short.name, short.status) == (f"{name}-smoke", "smoke")
        assert (short.task, short.student, short.information) == (
            whole.task,
            whole.student,
            whole.information,
        )
        assert short.fingerprint != whole.fingerprint and len(short.statistics.seeds) == 1
        assert short.budget.total <= min(whole.budget.total, 80_000)
        if whole.held_out is not None:
            assert len(short.held_out) <= 10
            assert {tuple(task) for task in short.held_out} <= {tuple(t) for t in whole.held_out}
            assert short.held_out[-1].tolist() == whole.held_out[-1].tolist()
        check_options(short)
    assert f"{name}-smoke" not in Protocol.names()
    with pytest.raises(LyceumError, match="unknown protocol 'nothing-smoke'"):
        Protocol.load("nothing-smoke")


def test_a_smoke_run_lets_every_world_end_an_episode_and_ppo_learn():
    walker = Protocol.load("parkour-walker-none-laptop-v1-smoke")
    assert walker.budget.total == 16 * 2000 > 2 * walker.student.options["rollout"]
    terrain = Protocol.load("bipedal_terrain-tracks-none-paper-v1-smoke")
    assert terrain.budget.total == 2 * 32_768
    assert terrain.evaluation.episodes_per_task == 2
    assert Protocol.load("digits-noise-v1-smoke").budget.total == 4000


def test_smoke_runs_by_name_make_no_entry(tmp_path):
    folder = execute(RunRequest("hypercube-v1-smoke", "uniform", 0, runs=str(tmp_path)))
    assert record.read_run(folder)[0].status == "smoke"
    with pytest.raises(LyceumError, match="smoke runs are never compared"):
        submissions.make_submission([folder])


def test_ones_own_protocol_may_call_itself_a_smoke_budget(tmp_path):
    shutil.copytree(Path(CUBE).parent, tmp_path / "protocols")
    own = tmp_path / "protocols" / Path(CUBE).name
    text = own.read_text("utf-8")
    status = next(line for line in text.splitlines() if line.startswith("status"))
    own.write_text(text.replace(status, 'status = "smoke"'), "utf-8")
    folder = execute(RunRequest(str(own), "uniform", 0, runs=str(tmp_path)))
    assert record.read_run(folder)[0].status == "smoke"


def test_the_command_runs_any_protocol_for_a_moment(tmp_path):
    code, out, err = lyceum("run", TINY, "-t", "uniform", "--smoke", cwd=tmp_path)
    assert code == 0, err
    assert "Runs: 1 finished." in out and "never ranked" in out and "rank " not in out
    (path,) = (tmp_path / "runs").rglob("record.json")
    assert "tiny-digits-smoke" in path.as_posix()
    code, out, _ = lyceum("run", TINY, "-t", "uniform", "--smoke", cwd=tmp_path)
    assert code == 0 and "1 kept" in out
    (tmp_path / "mine.py").write_text("")
    code, _, err = lyceum("submit", "mine.py", "--protocol", "hypercube-v1-smoke", cwd=tmp_path)
    assert code == 2 and "never ranked" in err


def test_a_probe_of_parkour_plays_in_the_world_of_training(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmark.assemble.EVALUATION_WORLDS", 2)
    protocol = Protocol.load("parkour-fish-none-laptop-v1")
    assembly = assemble(protocol, "robust_plr", {}, 0, Recorder(tmp_path, {}, 1e9))
    training, tested, asked = assembly.worlds
    assert training.task_space == asked.task_space != tested.task_space
    assembly.close()

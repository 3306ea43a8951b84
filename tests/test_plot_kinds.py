"""The figures of ``lyceum plot --kind``: files, numbers beside them, and who is refused."""

import csv

import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from benchmark import leaderboard, plots
from benchmark.cli import app
from benchmark.commands import BOARDS
from benchmark.draw import FROM_RUNS, KINDS, Sources, _curriculum, draw
from benchmark.errors import LyceumError
from benchmark.plot_styles import apart
from benchmark.plots import motion
from benchmark.plots.radar import chosen
from benchmark.protocol import Protocol
from benchmark.record import read_run, read_submission
from benchmark.run import RunRequest, execute

NAMES = ("hypercube-rugged-v1", "hypercube-trivial-v1", "hypercube-forgetting-v1")
FEW = ("uniform", "tscl", "adr", "plr")


def rows_of(path):
    with open(path.with_suffix(".csv"), newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def entries_of(name, teachers=FEW):
    protocol = Protocol.load(name)
    found = [
        read_submission(BOARDS / name / f"{teacher}.json.gz", protocol) for teacher in teachers
    ]
    return protocol, leaderboard.checked_entries(protocol, found)


@pytest.fixture(scope="module")
def several():
    pairs = [entries_of(name) for name in NAMES]
    return [protocol for protocol, _ in pairs], [entries for _, entries in pairs]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for teacher in ("uniform", "tscl"):
        for seed in (0, 1):
            execute(RunRequest("hypercube-v2", teacher, seed, runs=str(folder), smoke=2000))
    return folder


def test_intervals_are_those_of_the_runs(several, tmp_path):
    protocols, entries = [several[0][0]], [several[1][0]]
    paths = plots.plot_intervals(protocols, entries, tmp_path)
    assert [path.name for path in paths][:1] == ["hypercube-rugged-v1-intervals.png"]
    rows = {(row["what"], row["teacher"]): row for row in rows_of(paths[0])}
    areas = entries[0]["tscl"].column("area")[0]
    assert float(rows["mean", "tscl"]["value"]) == pytest.approx(areas.mean())
    assert float(rows["median", "tscl"]["value"]) == pytest.approx(np.median(areas))
    assert float(rows["iqm", "tscl"]["value"]) == pytest.approx(np.sort(areas)[5:15].mean())
    assert float(rows["optimality_gap", "tscl"]["value"]) == pytest.approx(1 - areas.mean())
    assert float(rows["mean", "tscl"]["low"]) < areas.mean() < float(rows["mean", "tscl"]["high"])


def test_a_profile_falls_from_one_to_zero(several, tmp_path):
    rows = rows_of(plots.plot_profiles(*several, tmp_path, "final")[0])
    shares = [float(row["value"]) for row in rows if row["teacher"] == "plr"]
    assert shares[0] == 1 and shares[-1] == 0 and shares == sorted(shares, reverse=True)
    pooled = np.concatenate([found["plr"].column("final")[0] for found in several[1]])
    middle = rows[[row["teacher"] for row in rows].index("plr") + 100]
    assert float(middle["value"]) == np.mean(pooled > float(middle["x"]))
    assert middle["runs"] == "60"


def test_the_matrix_of_pairs_is_antisymmetric(several, tmp_path):
    path = plots.plot_improvement([several[0][0]], [several[1][0]], tmp_path)[0]
    cells = {(row["teacher"], row["x"]): row for row in rows_of(path)}
    assert len(cells) == 12
    ours, theirs = (several[1][0][name].column("area")[0] for name in ("tscl", "uniform"))
    wins = np.mean(ours[:, None] > theirs) + 0.5 * np.mean(ours[:, None] == theirs)
    assert float(cells["tscl", "uniform"]["value"]) == pytest.approx(wins)
    for (a, b), row in cells.items():
        assert float(row["value"]) == pytest.approx(1 - float(cells[b, a]["value"]))
        assert float(row["low"]) == pytest.approx(1 - float(cells[b, a]["high"]))


def test_runs_that_never_arrive_keep_the_curve_low(several, tmp_path):
    protocols, entries = [several[0][1]], [several[1][1]]
    rows = rows_of(plots.plot_targets(protocols, entries, tmp_path)[0])
    for name in FEW:
        last = [row for row in rows if row["teacher"] == name][-1]
        times = entries[0][name].column("time_to_target")[0]
        assert float(last["value"]) == np.mean(np.isfinite(times))
        assert float(last["x"]) == pytest.approx(1.0)


def test_tasks_stand_from_easy_to_hard_and_teachers_from_good_to_bad(several, tmp_path):
    rows = rows_of(plots.plot_task_map(several[0][1], several[1][1], tmp_path)[0])
    names = list(dict.fromkeys(row["teacher"] for row in rows))
    table = np.array([float(row["value"]) for row in rows]).reshape(len(names), -1)
    assert (np.diff(table.mean(axis=0)) <= 1e-12).all()
    assert (np.diff(table.mean(axis=1)) <= 1e-12).all()
    finals = {name: entry.column("final")[0].mean() for name, entry in several[1][1].items()}
    assert table.mean(axis=1) == pytest.approx([finals[name] for name in names])


def test_costs_are_means_over_runs(several, tmp_path):
    rows = rows_of(plots.plot_costs(several[0][0], several[1][0], tmp_path)[0])
    (found,) = (r for r in rows if r["what"] == "teacher" and r["teacher"] == "plr")
    every = [run.costs.cpu_teacher for run in several[1][0]["plr"].submission.runs]
    assert float(found["value"]) == pytest.approx(np.mean(every))


def test_a_radar_has_an_axis_per_protocol(several, tmp_path):
    paths = plots.plot_radar(*several, tmp_path, teachers=["tscl", "adr"])
    assert paths[0].name == "hypercube-rugged-v1-and-2-more-radar.png"
    rows = rows_of(paths[0])
    assert [row["what"] for row in rows] == [*NAMES, *NAMES]
    assert float(rows[1]["value"]) == pytest.approx(several[1][1]["tscl"].column("area")[0].mean())
    again = plots.plot_radar(*several, tmp_path / "again", teachers=["tscl", "adr"])
    assert all(a.read_bytes() == b.read_bytes() for a, b in zip(paths, again, strict=True))


def test_a_radar_shows_few(several):
    protocols, names = several[0], ["a", "b", "uniform", "c", "d", "e"]
    assert chosen(protocols, names, []) == ["uniform", "a", "b", "c", "d"]
    with pytest.raises(ValueError, match="at most 5"):
        chosen(protocols, names, ["a", "b", "c", "d", "e", "uniform"])
    with pytest.raises(ValueError, match="nobody has not enough runs"):
        chosen(protocols, names, ["nobody"])
    colours = [
        look[0] for look in apart(["tscl_window", "tscl_online", "tscl"], "uniform").values()
    ]
    assert len(set(colours)) == 3


def test_every_kind_is_drawn_from_runs_of_ones_own(runs, tmp_path, monkeypatch):
    monkeypatch.setattr(motion, "FRAMES", 6)
    # Smoke runs stand under a shortened protocol, so the figures are asked for in code.
    folders = {path.parent.name for path in runs.glob("*/*/seed-*")}
    assert folders == {"uniform", "tscl"}
    name = next(runs.iterdir()).name
    request = RunRequest("hypercube-v2", "uniform", 0, smoke=2000)
    protocol = request.loaded
    assert protocol.name == name
    curricula, records = {}, {}

    for teacher in ("uniform", "tscl"):
        paths = sorted((runs / name / teacher).glob("seed-*"))
        curricula[teacher] = [_curriculum(path) for path in paths]
        records[teacher] = [read_run(path)[0] for path in paths]
    (film,) = plots.animate_curriculum(protocol, curricula, records, tmp_path)
    with Image.open(film) as picture:
        assert picture.n_frames == 6 and picture.width > 300
    rows = rows_of(plots.plot_snapshots(protocol, curricula, records, tmp_path)[0])
    assert {row["teacher"] for row in rows} == {"uniform", "tscl"}
    assert {row["value"] for row in rows} <= {"0.0", "1.0"}
    rows = rows_of(plots.plot_ridges(protocol, curricula, tmp_path)[0])
    ridge = [float(r["value"]) for r in rows if (r["what"], r["teacher"]) == ("x0", "uniform")][:40]
    assert np.mean(ridge) == pytest.approx(1.0)


def test_all_means_all_that_these_sources_allow(tmp_path):
    console = Console(file=open("/dev/null", "w"), record=True, width=200)
    sources = Sources(["digits-noise-v1"], tmp_path / "none", only=("uniform", "anti"))
    draw(console, sources, tmp_path, ["all"])
    kinds = {path.stem.removeprefix("digits-noise-v1-") for path in tmp_path.glob("*.png")}
    assert kinds == set(KINDS) - set(FROM_RUNS) - {"radar"}
    assert "Not drawn" not in console.export_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["digits-noise-v1", "--kind", "radr"], "did you mean 'radar'"),
        (["digits-noise-v1", "--kind", "radar"], "at least 3 protocols"),
        (["digits-noise-v1", "--score", "areas"], "did you mean 'area'"),
        (["digits-noise-v1", "--kind", "animation"], "only your own runs know what was proposed"),
        (["digits-noise-v1", "--kind", "curves", "-t", "unifrom"], "did you mean 'uniform'"),
        (["bipedal_walker-ppo-v1", "--kind", "improvement"], "at least two teachers"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, message):
    result = CliRunner().invoke(app, ["plot", *arguments, "--runs", str(tmp_path)])
    assert isinstance(result.exception, LyceumError)
    assert message in str(result.exception)

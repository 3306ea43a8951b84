import csv
import struct

import numpy as np
import pytest

from benchmark import plot_data, plots
from benchmark.metrics import curve, final_score
from benchmark.plot_styles import FAINT, styles_of, teacher_style
from tests import factories


def read_csv(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def png_size(path):
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:24])


@pytest.fixture(scope="module")
def protocol():
    return factories.supervised_protocol()


@pytest.fixture(scope="module")
def runs(protocol):
    return {
        name: [factories.make_record(protocol, name, seed, final=level) for seed in range(count)]
        for name, level, count in (("capped", 0.8, 4), ("uniform", 0.6, 4), ("few", 0.5, 2))
    }


@pytest.fixture(scope="module")
def written(protocol, runs, tmp_path_factory):
    return plots.plot_learning_curves(protocol, runs, tmp_path_factory.mktemp("figures"))


def test_three_files_are_written(written):
    assert [path.suffix for path in written] == [".png", ".svg", ".csv"]
    assert all(path.stem == "digits-noise-v1-curves" for path in written)
    width, height = png_size(written[0])
    assert width > 1500
    assert height > 600


def test_the_figure_says_what_it_shows(written):
    svg = written[1].read_text("utf-8")
    for text in (
        "example presentations", "test accuracy", "uniform (n = 4)", "few (n = 2)",
        "pointwise 95 % t intervals", "one dot per seed",
    ):  # fmt: skip
        assert text in svg.replace("\n", " ")


def test_numbers_beside_the_figure_equal_the_curve(protocol, runs, written):
    rows = read_csv(written[2])
    curves = np.array([curve(record, protocol) for record in runs["capped"]])
    lines = [row for row in rows if row["what"] == "curve" and row["teacher"] == "capped"]
    assert [float(row["value"]) for row in lines] == pytest.approx(curves.mean(axis=0))
    assert [float(row["x"]) for row in lines] == list(protocol.grid)
    half = 3.182446 * curves.std(axis=0, ddof=1) / 2  # t_{0.975, 3}
    assert [float(row["high"]) - float(row["value"]) for row in lines] == pytest.approx(
        half, abs=1e-6
    )
    finals = [row for row in rows if row["what"] == "final" and row["teacher"] == "few"]
    expected = [final_score(curve(record, protocol), 3) for record in runs["few"]]
    assert [float(row["value"]) for row in finals] == pytest.approx(expected)
    assert [row["y"] for row in finals] == ["0", "1"]


def test_two_seeds_get_no_band(written):
    few = [r for r in read_csv(written[2]) if r["teacher"] == "few" and r["what"] == "curve"]
    assert {(row["low"], row["high"]) for row in few} == {("", "")}


def test_drawing_twice_gives_the_same_bytes(protocol, runs, written, tmp_path):
    again = plots.plot_learning_curves(protocol, dict(reversed(runs.items())), tmp_path)
    for one, two in zip(written, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
    assert b"<dc:date>" not in written[1].read_bytes()


def test_updates_can_be_the_x_axis(protocol, runs, tmp_path):
    paths = plots.plot_learning_curves(protocol, runs, tmp_path, x="updates")
    assert paths[0].name == "digits-noise-v1-curves-updates.png"
    rows = [row for row in read_csv(paths[2]) if row["what"] == "curve"]
    assert float(rows[-1]["x"]) == runs["uniform"][0].spent.updates[-1]
    with pytest.raises(ValueError, match="x = 'wall'"):
        plots.plot_learning_curves(protocol, runs, tmp_path, x="wall")


def test_seconds_can_be_the_x_axis(protocol, runs, tmp_path):
    grid = np.linspace(0, 1, len(runs["uniform"][0].grid))
    seconds = {name: [grid * (1 + seed) for seed in range(len(runs[name]))] for name in runs}
    paths = plots.plot_learning_curves(protocol, runs, tmp_path, "seconds", seconds)
    assert paths[0].name == "digits-noise-v1-curves-seconds.png"
    rows = [row for row in read_csv(paths[2]) if row["what"] == "curve"]
    assert {float(row["x"]) for row in rows if row["teacher"] == "few"} == set(grid * 1.5)
    with pytest.raises(ValueError, match="seconds with 'seconds' only"):
        plots.plot_learning_curves(protocol, runs, tmp_path, x="seconds")
    with pytest.raises(ValueError, match="seconds with 'seconds' only"):
        plots.plot_learning_curves(protocol, runs, tmp_path, seconds=seconds)


def test_in_a_crowd_the_best_and_the_reference_have_colours_of_their_own():
    levels = {f"teacher_{number}": number / 20 for number in range(20)} | {"uniform": 0.01}
    scores = {name: np.full((3, 5), level) for name, level in levels.items()}
    styles = styles_of(scores, "uniform")
    bright = [name for name, (color, _) in styles.items() if color != FAINT]
    assert set(bright) == {"uniform", *(f"teacher_{number}" for number in range(12, 20))}
    assert len({styles[name] for name in bright}) == 9
    few = dict(list(scores.items())[:12])
    assert styles_of(few, "uniform") == {name: teacher_style(name) for name in few}


@pytest.mark.parametrize("teachers", [1, 9])
def test_one_teacher_and_nine(protocol, tmp_path, teachers):
    names = ["uniform", *(f"teacher_number_{i}" for i in range(teachers - 1))]
    runs = {name: [factories.make_record(protocol, name, 0)] for name in names}
    paths = plots.plot_learning_curves(protocol, runs, tmp_path)
    assert {row["teacher"] for row in read_csv(paths[2])} == set(names)


def test_nothing_to_draw_is_an_error(protocol, tmp_path):
    with pytest.raises(ValueError, match="expected runs"):
        plots.plot_learning_curves(protocol, {"uniform": []}, tmp_path)
    with pytest.raises(ValueError, match="at least one curriculum"):
        plots.plot_curriculum(protocol, {}, tmp_path)


def test_a_teacher_keeps_its_colour_everywhere():
    assert teacher_style("alp_gmm") == teacher_style("alp_gmm")
    known = ["uniform", "alp_gmm", "easy_first", "easy_first_capped", "self_paced"]
    known += ["self_paced_capped", "anti", "random_pace", "no_op"]
    assert len({teacher_style(name)[0] for name in known}) == 9
    assert teacher_style("Mine") == teacher_style("Mine")


def test_curriculum_of_a_pool(protocol, tmp_path):
    curricula = {
        "uniform": [factories.make_pool_curriculum(s, easy_first=False) for s in range(3)],
        "easy_first": [factories.make_pool_curriculum(s, easy_first=True) for s in range(3)],
    }
    paths = plots.plot_curriculum(protocol, curricula, tmp_path / "a")
    again = plots.plot_curriculum(protocol, curricula, tmp_path / "b")
    for one, two in zip(paths, again, strict=True):
        assert one.read_bytes() == two.read_bytes()
    rows = read_csv(paths[2])
    assert {row["what"] for row in rows} == {"difficulty decile", "success", "wrong labels"}
    hard = [r for r in rows if r["what"] == "difficulty decile" and r["y"] == "10.0"]
    early = {r["teacher"]: float(r["value"]) for r in hard if float(r["x"]) < 800}
    assert early["easy_first"] == 0.0
    assert early["uniform"] == pytest.approx(1.0, abs=0.3)
    wrong = [r for r in rows if r["what"] == "wrong labels" and r["teacher"] == "easy_first"]
    assert float(wrong[0]["value"]) < 0.05 < float(wrong[-1]["value"])


def test_curriculum_of_a_world(tmp_path):
    protocol = factories.procedural_protocol()
    curricula = {
        name: [factories.make_box_curriculum(s, moving=moving, budget=20000) for s in range(2)]
        for name, moving in (("uniform", False), ("alp_gmm", True))
    }
    paths = plots.plot_curriculum(protocol, curricula, tmp_path)
    svg = paths[1].read_text("utf-8")
    for text in ("parameter 0", "parameter 1", "environment steps", "alp_gmm (n = 2)"):
        assert text in svg
    rows = [r for r in read_csv(paths[2]) if r["what"] == "parameter 0"]
    late = [r for r in rows if r["teacher"] == "alp_gmm" and float(r["x"]) > 19000]
    best = max(late, key=lambda row: float(row["value"]))
    assert 0.6 < float(best["y"]) < 0.95


def test_a_data_set_without_known_difficulties_still_shows_success(protocol, tmp_path):
    run = factories.make_pool_curriculum(0, easy_first=False)
    plain = {name: value for name, value in run.items() if not name.startswith("item_")}
    paths = plots.plot_curriculum(protocol, {"uniform": [plain]}, tmp_path)
    assert {row["what"] for row in read_csv(paths[2])} == {"success"}


def test_density_is_one_where_proposals_are_even():
    run = {
        "spent": np.repeat(np.arange(40) + 0.5, 20),
        "tasks": np.tile(np.arange(20) + 0.5, 40)[:, None],
        "success": np.tile(np.arange(20) < 10, 40),
        "names": np.array(["height"]),
    }
    maps, shares = plot_data.measures({"uniform": [run]})
    found = plot_data.density([run], maps[0], 40)
    assert found.relative == pytest.approx(np.ones((40, 20)))
    assert found.success[20, 0] > 0.99
    assert found.success[20, -1] < 0.01
    part = plot_data.share([run, run, run], shares[0], 40, 0.95)
    assert part.mean == pytest.approx(np.full(40, 0.5))
    assert part.low == pytest.approx(np.full(40, 0.5))


def test_deciles_hold_a_tenth_of_the_items_each():
    run = factories.make_pool_curriculum(0, easy_first=False)
    run = run | {"tasks": np.arange(500), "spent": np.zeros(500), "success": np.ones(500)}
    maps, _ = plot_data.measures({"uniform": [run]})
    assert np.bincount(maps[0].read(run)).tolist() == [0, *[50] * 10]
    hardest = run["item_prior"][maps[0].read(run) == 10]
    assert hardest.min() >= np.quantile(run["item_prior"], 0.89)


def test_times_without_proposals_stay_empty():
    run = factories.make_box_curriculum(0, moving=False, budget=1000, count=50)
    run = run | {"spent": run["spent"] / 2}
    maps, shares = plot_data.measures({"uniform": [run]})
    assert np.isnan(plot_data.density([run], maps[0], 1000).relative[-1]).all()
    assert np.isnan(plot_data.share([run], shares[0], 1000, 0.95).mean[-1])


def test_the_global_state_of_matplotlib_is_left_alone(protocol, runs, tmp_path):
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.plot_learning_curves(protocol, runs, tmp_path)
    assert dict(matplotlib.rcParams) == before


def test_tasks_whose_episodes_could_not_end_are_left_out():
    columns = {
        "spent": np.array([0.0, 500.0, 900.0, 990.0]),
        "proposal": np.arange(4),
        "tasks": np.zeros((4, 1)),
        "score": np.zeros(4),
        "success": np.ones(4),
        "length": np.array([20, 5, 3, 1]),
        "names": np.array(["x"]),
    }
    # The longest episode, 20 steps beside 4 others, takes 100 units of the 1000.
    kept = plot_data.settled(columns, 1000, 5)
    assert kept["spent"].tolist() == [0.0, 500.0, 900.0]
    assert kept["tasks"].shape == (3, 1)
    single = {**columns, "length": np.ones(4, dtype=int)}
    assert plot_data.settled(single, 1000, 5) is single

"""`lyceum compare` as a user sees it: names, tables, words, legible at 100 columns."""

import dataclasses
import re

import numpy as np
import pytest
from rich.console import Console

from benchmark import across, compare, details, leaderboard, metrics, profiles, statistics
from benchmark.differences import smallest_difference
from benchmark.errors import LyceumError
from benchmark.recorder import curriculum_bytes
from tests import factories
from tests.test_cli import lyceum


def printed(function, *arguments, width=100):
    console = Console(width=width, record=True, file=open("/dev/null", "w"))
    function(console, *arguments)
    return console.export_text()


@pytest.mark.parametrize(
    ("names", "protocols", "teachers", "expected"),
    [
        (["p"], [], [], (["p"], [])),
        (["p", "a"], [], ["b", "a"], (["p"], ["a", "b"])),
        (["a", "b"], ["p"], [], (["p"], ["a", "b"])),
        (["uniform"], ["p", "q", "p"], ["f.py:Mine"], (["p", "q"], ["uniform", "Mine"])),
        ([], ["p"], [], (["p"], [])),
    ],
)
def test_names(names, protocols, teachers, expected):
    assert compare.read_names(names, protocols, teachers) == expected


def test_names_that_say_no_protocol_are_refused():
    with pytest.raises(LyceumError, match="name a protocol"):
        compare.read_names([], [], ["uniform"])
    with pytest.raises(LyceumError, match="uniform is a teacher; name the protocol first"):
        compare.read_names(["uniform", "anti"], [], [])


@pytest.mark.parametrize("teachers", [[], ["easy_first", "self_paced", "no_op"]])
def test_published_entries_are_compared(tmp_path, teachers):
    text = printed(compare.compare, ["digits-noise-v1"], teachers, tmp_path, False, False)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    flat = " ".join(text.split())
    assert "What can be concluded" in flat and "What to keep in mind" in flat
    assert "Privileges differ" in flat
    if teachers:
        table = text[: text.index("Means over")]
        assert "uniform" in table and "anti" not in table
        assert "no_op and uniform have the same end and area on each of their 20 seeds:" in flat
        assert "Holm) for 6 pairs" in flat
        for word in ("median", "optimality gap", "mastered", "forgetting", "To the target of 0.7"):
            assert word in text
        # The table's p-value is the one of the words.
        assert re.search(r"easy_first +20 .* 0\.088 +prior", text)
        assert "corrected p = 0.088" in flat
    else:
        assert re.search(
            r"At the end of training \d+ of \d+ teachers are above uniform: from "
            r"self_paced_capped \+28\.5 points",
            flat,
        )
        assert "optimality gap" not in text
    assert list(tmp_path.iterdir()) == []  # without runs nothing is written


def test_few_teachers_have_a_paragraph_each_without_being_named(tmp_path, monkeypatch):
    text = printed(compare.compare, ["stump_tracks-quick-v1"], [], tmp_path, False, False)
    flat = " ".join(text.split())
    assert "alp_gmm and uniform cannot be told apart, neither at the end of training" in flat
    assert "1 to 2" in flat and "Seed by seed" in flat
    gather = compare.gather

    def young(*arguments):
        """The same board while it had two teachers, one of them with a single seed."""
        alp_gmm, uniform = gather(*arguments)
        return [alp_gmm.model_copy(update={"runs": alp_gmm.runs[:1]}), uniform]

    monkeypatch.setattr(compare, "gather", young)
    text = printed(compare.compare, ["stump_tracks-quick-v1"], [], tmp_path, False, False)
    assert "alp_gmm and uniform: nothing can be concluded yet" in " ".join(text.split())


def test_unknown_and_unfinished_teachers_are_told(tmp_path):
    for name, message in (
        ("unifrm", "did you mean 'uniform'"),
        ("balanced_classes", "unknown entry of digits-noise-v1"),
        ("alp_gmm", "alp_gmm has no finished run under digits-noise-v1; try: lyceum run"),
    ):
        with pytest.raises(LyceumError, match=re.escape(message)):
            printed(compare.compare, ["digits-noise-v1"], [name], tmp_path, False, False)


def test_the_command_line_takes_both_forms(tmp_path):
    first = lyceum("compare", "digits-noise-v1", "-t", "anti", cwd=tmp_path)
    second = lyceum("compare", "anti", "--protocol", "digits-noise-v1", cwd=tmp_path)
    assert first == second and first[0] == 0
    assert "anti averages" in first[1]
    code, _, err = lyceum("compare", cwd=tmp_path)
    assert code == 2 and "name a protocol" in err


def test_many_provisional_teachers_conclude_nothing(tmp_path):
    protocol = factories.procedural_protocol()
    for name in ("uniform", "a", "b", "c", "d"):
        factories.write_runs(protocol, name, range(2), tmp_path)
    text = printed(compare.compare, [protocol.name], [], tmp_path, True, False)
    assert "Nothing yet: no pair has enough runs on both sides." in text
    assert "Provisional, without intervals and tests" in text


@pytest.fixture
def own(tmp_path):
    """Folders of two teachers' runs, with costs and curricula; names of strangers are no markup."""
    protocol = factories.procedural_protocol()
    for name, final in (("uniform", 0.5), ("Mine[red]", 0.7)):
        folders = factories.write_runs(protocol, name, range(5), tmp_path, final=final, start=0.0)
        for number, folder in enumerate(folders):
            rng = np.random.default_rng(number)
            tasks = rng.random((400, 2)) * (1 if name == "uniform" else 0.5)
            spent = np.linspace(0, protocol.budget.total, 400)
            (folder / "curriculum.npz").write_bytes(
                curriculum_bytes({"spent": spent, "tasks": tasks})
            )
    return protocol, tmp_path


def test_own_runs_tell_seconds_and_curricula(own):
    protocol, runs = own
    text = printed(compare.compare, [protocol.name], ["Mine[red]"], runs, True, False)
    assert "Mine[red]" in text and "What was proposed" in text and "≈" not in text
    assert "equal CPU" in text
    assert "Fewer than 10 seeds" in text
    rows = {line.split()[0]: line for line in text[text.index("entropy") :].splitlines() if line}
    uniform, mine = (float(re.findall(r"\d\.\d{3}", rows[n])[0]) for n in ("uniform", "Mine[red]"))
    assert uniform > 0.9 > mine
    printed(compare.compare, [protocol.name], [], runs, True, True)
    assert (runs / protocol.name / "leaderboard.json").exists()


def test_details_are_the_metrics_of_each_run(own):
    protocol, runs = own
    folders = sorted((runs / protocol.name / "Mine[red]").iterdir())
    entry = leaderboard.checked_entries(protocol, [leaderboard.make_submission(folders)])[
        "Mine[red]"
    ]
    common = details.setting(protocol, entry)
    assert common.equal_seconds == pytest.approx(5 / 0.9)  # 2 + 3 and a tenth for the teacher
    assert common.inside.all()
    found = details.details(common, entry, details.own_runs(entry, folders))
    record = entry.submission.runs[2].record
    curve, window = metrics.curve(record, protocol), protocol.score.final_window
    tasks = metrics.task_curves(record, protocol)
    expected = {
        "mastered": metrics.mastered_share(tasks, window),
        "decile": metrics.worst_decile(tasks, window),
        "dispersion": metrics.dispersion(curve),
        "drop": metrics.largest_drop(curve),
        "spent": metrics.time_to_target(curve, protocol.grid, protocol.score.target),
        "run_seconds": 5 / 0.9,
        "overhead": 0.1,
        "equal_compute": curve[-1],
    }
    assert {key: found.values[key][2] for key in expected} == pytest.approx(expected)
    share = found.values["spent"][2] / protocol.budget.total
    assert found.values["seconds"][2] == pytest.approx(share * 5 / 0.9)
    assert found.known("forgetting") is None  # one episode per task has no second half
    assert found.known("transfer_gap") is None
    bare = details.details(common, entry, {})
    assert bare.assumed and not found.assumed and bare.known("entropy") is None
    assert bare.values["seconds"] == pytest.approx(found.values["seconds"])
    # Runs of another result do not belong to the entry.
    others = sorted((runs / protocol.name / "uniform").iterdir())
    assert details.own_runs(entry, others) == {}


def test_the_transfer_gap_needs_tasks_outside_the_teachers_space(own, monkeypatch):
    protocol, runs = own
    entry = leaderboard.checked_entries(
        protocol, [leaderboard.make_submission((runs / protocol.name / "uniform").iterdir())]
    )["uniform"]
    space = details.task_space(protocol)
    half = type(space)(space.low, space.high / 2, dtype=space.dtype)
    monkeypatch.setattr(details, "task_space", lambda protocol: half)
    common = details.setting(protocol, None)
    assert common.inside.mean() == 0.25 and common.equal_seconds is None
    record = entry.submission.runs[0].record
    window = protocol.score.final_window
    final = metrics.task_curves(record, protocol)[-window:].mean(axis=0)
    expected = final[common.inside].mean() - final[~common.inside].mean()
    found = details.details(common, entry, {})
    assert found.values["transfer_gap"][0] == pytest.approx(expected)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The same teachers under two protocols, as entries."""
    made = []
    for base, shift in (
        (factories.supervised_protocol(), 0.0),
        (factories.procedural_protocol(), 0.1),
    ):
        fewer = dataclasses.replace(base.statistics, resamples=400)
        protocol = dataclasses.replace(base, statistics=fewer)
        object.__setattr__(protocol, "_folder", getattr(base, "_folder", None))
        levels = {"uniform": 0.5 + shift, "better": 0.7 + shift, "near": 0.505 + shift}
        runs = tmp_path_factory.mktemp("runs")
        entries = leaderboard.checked_entries(
            protocol,
            [
                factories.make_submission(protocol, name, range(10), runs, final=level)
                for name, level in levels.items()
            ],
        )
        made.append((protocol, entries))
    return [protocol for protocol, _ in made], [entries for _, entries in made]


def test_several_protocols_are_averaged(two):
    protocols, entries = two
    rows = {row.name: row for row in across.overall(protocols, entries, list(entries[0]))}
    assert next(iter(rows)) == "better"
    samples = {n: [found[n].column("area")[0] for found in entries] for n in rows}
    versus = {n: statistics.welch(samples[n], samples["uniform"]) for n in ("better", "near")}
    corrected = statistics.holm([difference.p for difference in versus.values()])
    for (name, difference), p in zip(versus.items(), corrected, strict=True):
        assert rows[name].difference == difference and rows[name].p == pytest.approx(p)
        assert rows[name].mean == statistics.mean_interval(samples[name])
        least = smallest_difference(samples[name], samples["uniform"], alpha=0.05 / 2)
        assert rows[name].smallest == pytest.approx(least)
    assert (rows["better"].tasks.wins, rows["better"].tasks.losses) == (2, 0)
    times = {
        n: [profiles.median_time(found[n].column("time_to_target")[0]) for found in entries]
        for n in ("better", "uniform")
    }
    factor, timed = profiles.speed_up(times["better"], times["uniform"])
    assert (rows["better"].speed, rows["better"].timed) == (factor, timed)
    assert rows["uniform"].difference is None and rows["uniform"].scores == 20


def test_several_protocols_in_words(two):
    protocols, entries = two
    rows = across.overall(protocols, entries, list(entries[0]))
    better, near = across.overall_sentences(rows, protocols)
    found = rows[0].difference
    assert better.startswith(f"better averages {100 * found.value:.1f} points above uniform (95 %")
    assert f"Lowest on {rows[0].lowest[0]}" in better and "times as fast" in better
    assert near.startswith("near and uniform cannot be told apart over these 2 protocols")
    assert "That is not equality" in near
    assert len(list(across.overall_cautions(rows))) == 1
    few = [dataclasses.replace(rows[0], scores=10)]
    assert next(across.overall_cautions(few)).startswith("The interquartile mean is of 10 runs")


def test_two_boards_are_compared_at_once(tmp_path):
    names = ["digits-noise-v1", "digits-standard-v1"]
    text = printed(compare.compare, names, ["anti"], tmp_path, False, False)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    flat = " ".join(text.split())
    assert "Over 2 protocols: digits-noise-v1 and digits-standard-v1" in flat
    assert "The protocols were chosen, not drawn" in flat


def test_no_teacher_in_common_is_told(tmp_path):
    names = ["digits-noise-v1", "stump_tracks-laptop-v1"]
    with pytest.raises(LyceumError, match="anti"):
        printed(compare.compare, names, ["anti"], tmp_path, False, False)

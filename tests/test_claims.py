"""Claims of papers: strict files, verdicts that follow from records, commands, the docs' page."""

import io
import json
import tomllib

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from benchmark import claim_table, leaderboard
from benchmark.claim import FOLDER, STANDARD, Claim, load_claims, read_claim
from benchmark.claim_verdicts import contrast, judge, score, verdict_on
from benchmark.errors import LyceumError
from benchmark.provenance import ROOT
from teachers import TEACHERS
from tests import factories
from tests.test_cli import lyceum

CLAIMS = load_claims()
TESTED = [claim for claim in CLAIMS if claim.test is not None]


def content(**changes):
    """A small claim on digits with label noise; ``changes`` replace parts of its test."""
    test = {
        "protocol": "digits-noise-v1",
        "measure": "final",
        "preset": {"name": "mine", "teacher": "self_paced", "about": "easy first"},
        "controls": [
            {"kind": "uniform", "name": "even", "teacher": "uniform", "about": "none"},
            {"kind": "reverse", "name": "hard", "teacher": "anti", "about": "hard first"},
            {
                "kind": "other",
                "name": "capped",
                "teacher": "easy_first_capped",
                "arguments": {"cap": 0.7},
                "about": "never the hardest",
            },
        ],
        "without": dict.fromkeys(STANDARD[2:], "it does not apply"),
    }
    head = {"id": "S98", "title": "T", "reference": "R", "claim": "C"}
    return {**head, "test": {**test, **changes}}


def claim_of(**changes):
    return Claim.model_validate(content(**changes))


# Files


def test_every_paper_of_the_founding_list_has_a_row():
    ids = [claim.id for claim in CLAIMS]
    assert ids == sorted(ids)
    assert [name for name in ids if len(name) == 3] == [f"S{n:02}" for n in range(1, 36)]


@pytest.mark.parametrize("claim", TESTED, ids=lambda claim: claim.id)
def test_a_tested_row_can_be_run_with_at_least_ten_paired_seeds(claim, tmp_path):
    arms = claim.requests(tmp_path)
    assert list(arms) == [arm.name for arm in claim.test.arms]
    seeds = [[request.seed for request in requests] for requests in arms.values()]
    assert len(seeds[0]) >= 10 and all(each == seeds[0] for each in seeds)
    folders = {request.folder for requests in arms.values() for request in requests}
    assert len(folders) == len(arms) * len(seeds[0])


def test_arms_without_arguments_share_the_runs_of_the_boards():
    arms = claim_of().requests("runs")
    assert arms["mine"][0].label == "self_paced" and arms["even"][3].seed == 3
    assert arms["capped"][0].label == "easy_first_capped[S98-capped]"


def test_rows_that_wait_name_what_is_missing_and_notice_when_it_is_there():
    head = {"id": "S99", "title": "T", "reference": "R", "claim": "C"}
    waits = {"tasks": ["digits"], "teachers": ["not_there"], "plan": "P"}
    claim = Claim.model_validate({**head, "waits": waits})
    assert judge(claim).verdict == "not built yet: not_there"
    claim = Claim.model_validate({**head, "waits": {"tasks": ["digits"], "plan": "P"}})
    assert judge(claim).verdict == "not built yet: its parts exist, its row not"
    claim = Claim.model_validate({**head, "untestable": "nothing moves."})
    assert judge(claim).verdict == "not testable in the small, because nothing moves."


BROKEN = {
    "a control without a reason": (
        lambda c: c["test"]["without"].pop("matched compute"),
        "neither holds for matched compute",
    ),
    "a control and a reason": (
        lambda c: c["test"]["without"].update({"reverse": "none"}),
        "both hold for reverse",
    ),
    "no uniform": (lambda c: c["test"]["controls"].pop(0), "kind 'uniform'"),
    "a name twice": (lambda c: c["test"]["controls"][1].update(name="even"), "different names"),
    "few seeds": (lambda c: c["test"].update(seeds=9), "greater than or equal to 10"),
    "a verdict by hand": (lambda c: c.update(verdict="reproduced"), "verdict: extra inputs"),
    "two fates": (lambda c: c.update(untestable="no"), "test and untestable"),
    "no fate": (lambda c: c.pop("test"), "but has none"),
    "some tasks of the area": (
        lambda c: c["test"].update(measure="area", held_out=[1]),
        "only the measure 'final'",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_row_is_explained_in_one_sentence(what, tmp_path):
    spoil, told = BROKEN[what]
    row = content()
    spoil(row)
    path = tmp_path / "S98.toml"
    path.write_text(as_toml(row), encoding="utf-8")
    with pytest.raises(LyceumError) as caught:
        read_claim(path)
    assert told.casefold() in str(caught.value).casefold() and "S98.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def as_toml(value, top=True):
    """Tables and lists inline: enough for the rows here."""
    if isinstance(value, dict):
        pairs = [f"{json.dumps(k)} = {as_toml(v, False)}" for k, v in value.items()]
        return "\n".join(pairs) if top else "{" + ", ".join(pairs) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(item, False) for item in value) + "]"
    return json.dumps(value)


def test_as_toml_says_what_it_is_given():
    assert tomllib.loads(as_toml(content())) == content()


def test_other_mistakes_in_files_are_explained(tmp_path):
    path = tmp_path / "S97.toml"
    path.write_text(as_toml(content()), encoding="utf-8")
    with pytest.raises(LyceumError, match=r"call it S98.toml"):
        read_claim(path)
    path.write_text("id = ", encoding="utf-8")
    with pytest.raises(LyceumError, match="not valid TOML"):
        read_claim(path)
    with pytest.raises(LyceumError, match="unknown claim 'S9'"):
        load_claims(["S9"])
    assert [claim.id for claim in load_claims(["s11", "S22B"])] == ["S11", "S22b"]


def test_arms_that_do_not_fit_are_refused_before_anything_runs():
    for preset, told in (
        ({"name": "mine", "teacher": "selfpaced", "about": "-"}, "did you mean 'self_paced'"),
        ({"name": "mine", "teacher": "alp_gmm", "about": "-"}, "box task spaces only"),
        ({"name": "m", "teacher": "anti", "arguments": {"stop": 1}, "about": "-"}, "stop"),
    ):
        with pytest.raises(LyceumError, match=told):
            claim_of(preset=preset).requests("runs")
    with pytest.raises(LyceumError, match="asks for 40 seeds, but digits-noise-v1 has 20"):
        claim_of(seeds=40).requests("runs")
    (waiting,) = load_claims(["S18"])
    with pytest.raises(LyceumError, match=r"S18 .* is not tested: not built yet"):
        waiting.requests("runs")


# Verdicts


def contrasts(**columns):
    """Contrasts of scores (10,) of the arms "mine", "even", "hard" and "capped"."""
    claim = claim_of()
    return contrast(claim.protocol, claim.test, columns)


NOISE = 0.01 * np.array([1, -1, 2, -2, 0.5, -0.5, 1.5, -1.5, 0.2, -0.2])
LUCK = np.linspace(0, 0.3, 10)  # of the seed: common to all arms


def arms(mine, even, hard, capped):
    levels = {"mine": mine, "even": even, "hard": hard, "capped": capped}
    return {
        name: level + LUCK + np.roll(NOISE, place)
        for place, (name, level) in enumerate(levels.items())
    }


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ((0.5, 0.4, 0.3, 0.4), "reproduced"),
        ((0.5, 0.4, 0.3, 0.5), "reproduced against uniform only"),
        ((0.5, 0.4, 0.3, 0.6), "reproduced against uniform only"),
        ((0.5, 0.5, 0.3, 0.4), "null"),
        ((0.5, 0.5, 0.6, 0.4), "reversed"),
        ((0.5, 0.6, 0.3, 0.4), "reversed"),
    ],
)
def test_verdicts_follow_from_paired_scores(levels, verdict):
    assert verdict_on(contrasts(**arms(*levels))) == verdict


def test_what_seeds_have_in_common_cancels():
    """The levels differ by a tenth of what seeds differ by, and the difference is established."""
    found = contrasts(**arms(0.53, 0.5, 0.5, 0.5))
    assert np.ptp(LUCK) == 10 * 0.03 and verdict_on(found) == "reproduced"


def test_a_contrast_is_the_mean_of_pairs_with_a_corrected_p_value():
    scores = arms(0.5, 0.4, 0.3, 0.499)
    found = contrasts(**scores)
    assert [one.control.name for one in found] == ["even", "hard", "capped"]
    for one in found:
        gaps = scores["mine"] - scores[one.control.name]
        assert one.effect.value == pytest.approx(gaps.mean(), abs=1e-12)
        assert one.effect.low < gaps.mean() < one.effect.high
        assert one.mean == pytest.approx(scores[one.control.name].mean())
    assert [one.sign for one in found] == [1, 1, 0]
    # Three tests: by Holm the smallest p-value counts three times.
    p = sorted(stats.ttest_rel(scores["mine"], scores[n]).pvalue for n in ("even", "hard"))
    assert sorted(one.p for one in found)[0] == pytest.approx(3 * p[0], rel=1e-6)


def test_the_strongest_control_is_the_one_with_the_highest_mean():
    claim = claim_of()
    scores = arms(0.5, 0.4, 0.45, 0.3)
    best = max(contrast(claim.protocol, claim.test, scores), key=lambda one: one.mean)
    assert best.control.name == "hard"


# Records


@pytest.fixture
def boards(tmp_path):
    """A board with the arms of ``claim_of`` but one run of the preset."""
    protocol = claim_of().protocol
    folder = tmp_path / "boards" / protocol.name
    levels = {"self_paced": 0.9, "uniform": 0.6, "anti": 0.5}
    for name, final in levels.items():
        seeds = range(9 if name == "self_paced" else 12)
        entry = factories.make_submission(protocol, name, seeds, tmp_path, final=final)
        leaderboard.add_submission(folder, entry)
    label = "easy_first_capped[S98-capped]"
    entry = factories.make_submission(
        protocol, label, range(10), tmp_path, final=0.7, arguments={"cap": 0.7}
    )
    leaderboard.add_submission(folder, entry)
    return folder.parent


def test_missing_runs_are_counted_and_then_the_verdict_is_computed(boards, tmp_path):
    claim = claim_of()
    finding = judge(claim, boards=boards)
    assert (finding.verdict, finding.missing) == ("not run yet", {"mine": 1})
    assert finding.strongest is None
    entry = factories.make_submission(
        claim.protocol, "self_paced", [9], tmp_path / "more", final=0.9
    )
    leaderboard.add_submission(boards / claim.protocol.name, entry)
    finding = judge(claim, boards=boards)
    assert finding.verdict == "reproduced" and not finding.missing
    assert finding.strongest.control.name == "capped"
    assert finding.preset == pytest.approx(0.9, abs=0.05)


def test_records_with_other_arguments_are_refused(boards):
    controls = content()["test"]["controls"]
    controls[2]["arguments"] = {"cap": 0.6}
    with pytest.raises(LyceumError, match=r"'cap': 0.7\}, but the row says \{'cap': 0.6\}"):
        judge(claim_of(controls=controls), boards=boards)


def test_some_held_out_tasks_can_count_alone(tmp_path):
    claim = claim_of(held_out=[2, 5])
    protocol = claim.protocol
    (run,) = factories.make_submission(protocol, "uniform", [0], tmp_path).runs
    rows, window = run.record.evaluation, protocol.score.final_window
    a, b = (np.array(half)[-window:, [2, 5]] for half in (rows.success_a, rows.success_b))
    count_a, count_b = rows.count_a[2], rows.count_b[2]
    expected = ((count_a * a + count_b * b) / (count_a + count_b)).mean()
    assert score(run.record, protocol, claim.test) == pytest.approx(expected)
    with pytest.raises(LyceumError, match="has 10 held-out tasks"):
        score(run.record, protocol, claim_of(held_out=[10]).test)


# Commands and docs


def test_the_page_in_the_docs_is_what_the_suite_says(capsys):
    claim_table.print_page()
    assert (ROOT / "docs" / "claims.md").read_text("utf-8") == capsys.readouterr().out


def screen():
    return Console(file=io.StringIO(), record=True, width=200)


def test_the_table_has_a_line_for_every_row(tmp_path):
    console = screen()
    claim_table.print_claims(console, tmp_path)
    text = console.export_text()
    assert "35 papers" in text
    for claim in CLAIMS:
        assert text.count(f"{claim.id} ") == 1


def test_show_tells_arms_controls_and_reasons(tmp_path):
    console = screen()
    claim_table.print_claim(console, "s11", tmp_path)
    text = console.export_text()
    for part in ("McCann", "hardest_first (preset)", "begin = 0.3", "no control 'random order'"):
        assert part in text


def test_mistakes_are_told_in_one_sentence_before_anything_runs(tmp_path):
    options = {"workers": 1, "runs": tmp_path, "retry_failed": False, "fresh": False}
    for names, every, told in (
        ([], False, "name the claims to run"),
        (["S11"], True, "name the claims to run"),
        (["S21"], False, "proposes a benchmark"),
        (["S99"], False, "unknown claim"),
    ):
        with pytest.raises(LyceumError, match=told):
            claim_table.run_claims(screen(), names, every, **options)
    code, _, errors = lyceum("claims", "run", "S11", "--all", cwd=tmp_path)
    assert code == 2 and "name the claims" in errors and "Traceback" not in errors


def test_a_row_is_run_continued_and_judged(tmp_path, monkeypatch):
    """With a tiny protocol: all arms once, then nothing more to do."""
    tiny = str(ROOT / "tests/data/protocols/tiny-digits.toml")
    row = content(protocol=tiny)
    folder = tmp_path / "claims"
    folder.mkdir()
    (folder / "S98.toml").write_text(as_toml(row), encoding="utf-8")
    loaded = read_claim(folder / "S98.toml")
    # Ten seeds would take long: the same row with two, which no file may say.
    test = loaded.test.model_copy(update={"seeds": 2})
    loaded = loaded.model_copy(update={"test": test})
    monkeypatch.setattr(claim_table, "load_claims", lambda names: [loaded])
    console = screen()
    options = {"workers": 2, "runs": tmp_path / "runs", "retry_failed": False, "fresh": False}
    assert claim_table.run_claims(console, ["S98"], False, **options) == 0
    text = console.export_text()
    assert "8 finished" in text and "S98 T: " in text and "against" in text
    assert claim_table.run_claims(console, ["S98"], False, **options) == 0
    assert "finished" not in console.export_text()


def test_every_teacher_of_a_row_is_registered_and_every_file_read():
    assert len(list(FOLDER.iterdir())) == len(CLAIMS)
    for claim in TESTED:
        assert {arm.teacher for arm in claim.test.arms} <= set(TEACHERS)

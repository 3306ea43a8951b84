"""The static site of the leaderboards: complete, true to the boards, harmless, reproducible."""

import csv
import html
import json
import os
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from benchmark import leaderboard, record, submissions
from benchmark.claim import load_claims
from benchmark.claim_verdicts import judge
from benchmark.commands import BOARDS
from benchmark.errors import LyceumError
from benchmark.metrics import curve
from benchmark.provenance import ROOT
from benchmark.report import POLICY, write_report
from benchmark.report_plots import Dot, dots_figure
from benchmark.report_teachers import departures
from tests import factories
from tests.report_boards import EVIL, LINKS, SCRIPT, hostile_boards

PUBLISHED = ("digits-standard-v1", "stump_tracks-laptop-v1", "stump_tracks-quick-v1")


class Page(HTMLParser):
    """What a browser would see in a page: elements with attributes, table cells, all text."""

    def __init__(self, path):
        super().__init__(convert_charrefs=True)
        self.path, self.elements, self.rows, self.text = path, [], [], ""
        self.scripts, self.inside = {}, None
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag, attributes):
        facts = dict(attributes)
        self.elements.append((tag, facts))
        if tag == "tr":
            self.rows.append((facts, []))
        elif tag in ("td", "th"):
            self.rows[-1][1].append(facts)
        self.inside = facts.get("id") if tag == "script" else None

    def handle_endtag(self, tag):
        self.inside = None if tag == "script" else self.inside

    def handle_data(self, text):
        if self.inside:
            self.scripts[self.inside] = json.loads(text)
        else:
            self.text += text

    def attributes(self, name):
        return [facts[name] for _, facts in self.elements if name in facts]


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """The site of three published boards."""
    folder = tmp_path_factory.mktemp("real")
    for name in PUBLISHED:
        shutil.copytree(BOARDS / name, folder / "boards" / name)
    write_report(folder / "site", folder / "boards")
    return folder / "site"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Boards with whatever text a schema lets through, and their site."""
    folder = tmp_path_factory.mktemp("hostile")
    write_report(folder / "site", hostile_boards(folder))
    return folder


def pages(site):
    return [Page(path) for path in sorted(site.rglob("*.html"))]


def board_of(name):
    return json.loads((BOARDS / name / "leaderboard.json").read_text("utf-8"))


def test_every_board_and_every_teacher_has_its_page(real):
    teachers = {row["teacher"]["name"] for name in PUBLISHED for row in board_of(name)["rows"]}
    assert len(teachers) >= 9
    assert {path.stem for path in (real / "teachers").glob("*.html")} == teachers
    assert {path.stem for path in (real / "protocols").glob("*.html")} == set(PUBLISHED)
    index = Page(real / "index.html")
    for name in (*PUBLISHED, *teachers):
        assert name in index.text.replace("\u200b", "")


def test_the_index_shows_every_row_of_claims_judged_by_its_own_boards(real):
    text = Page(real / "index.html").text.replace("\u200b", "")
    for claim in load_claims():
        assert f"\n{claim.id}\n" in text and claim.title in text
        assert judge(claim, boards=real.parent / "boards").verdict in text


@pytest.mark.parametrize("where", ["real", "hostile"])
def test_links_resolve_and_lead_out_only_by_http(where, request):
    site = request.getfixturevalue(where)
    site = site / "site" if where == "hostile" else site
    for page in pages(site):
        targets = [*page.attributes("href"), *page.attributes("src")]
        assert len(targets) > 4
        for target in targets:
            file, _, fragment = target.partition("#")
            if target.startswith(("https://", "http://")) or target == "data:,":
                continue
            found = page.path.parent / unquote(file) if file else page.path
            assert found.is_file(), f"{page.path.name} links to {target}"
            assert not fragment or fragment in Page(found).attributes("id")


@pytest.mark.parametrize("name", PUBLISHED)
def test_numbers_in_the_table_are_those_of_the_board(real, name):
    page = Page(real / "protocols" / f"{name}.html")
    rows = {facts["data-teacher"]: cells for facts, cells in page.rows if "data-teacher" in facts}
    board = board_of(name)
    assert list(rows) == [row["teacher"]["name"] for row in board["rows"]]
    for row in board["rows"]:
        cells = rows[row["teacher"]["name"]]
        versus, target = row["versus_reference"], row["time_to_target"]
        estimates = {5: row["area"], 6: row["final"], 12: row["iqm"], 14: row["tail"]}
        estimates |= {15: row["forgetting"]}
        single = {4: len(row["seeds"]), 16: row["overhead"], 17: row["cpu_seconds"]}
        single[13] = target and target["restricted_mean"]["value"]
        measures = {7: "area", 9: "final", 11: "probability_of_improvement"}
        for column, measure in measures.items():
            estimates[column] = versus and versus[measure]
        for column, measure in {8: "area", 10: "final"}.items():
            single[column] = versus and versus[measure]["p_holm"]
        for column, value in single.items():
            assert cells[column]["data-value"] == ("" if value is None else repr(value))
        for column, estimate in estimates.items():
            for attribute, key in (("value", "value"), ("low", "low"), ("high", "high")):
                number = (estimate or {}).get(key)
                shown = cells[column].get(f"data-{attribute}") or None
                assert shown == (None if number is None else repr(number)), (column, key)
        low_high = cells[1]["data-value"]
        rank = row["rank"]
        assert low_high == ("" if rank is None else f"{rank['low']}.{rank['high']:04d}")
    for sentence in (*board["verdict"], *board["notes"]):
        assert sentence in page.text
    for row in board["rows"]:
        assert row["submission_sha256"] in page.text
        assert row["teacher"]["source_sha256"] in page.text
    assert board["protocol"]["fingerprint"] in page.text


def test_curves_are_the_means_of_the_entries(real):
    name = "stump_tracks-quick-v1"
    figure = Page(real / "protocols" / f"{name}.html").scripts["curves"]
    protocol = factories.Protocol.load(name)
    lines = {trace["name"]: trace for trace in figure["data"] if trace["mode"] == "lines"}
    for entry in submissions.load_submissions(BOARDS / name):
        scores = np.array([curve(run.record, protocol) for run in entry.runs])
        line = lines[f"{entry.teacher.name} (n = {len(scores)})"]
        assert line["x"] == list(protocol.grid)
        assert line["y"] == pytest.approx(scores.mean(axis=0), rel=1e-5)
        half = 2.2621572 * scores.std(axis=0, ddof=1) / np.sqrt(10)  # t_{0.975, 9}
        low, high = scores.mean(axis=0) - half, scores.mean(axis=0) + half
        assert line["text"][-1] == f"{scores.mean(axis=0)[-1]:.3f} [{low[-1]:.3f}, {high[-1]:.3f}]"
        with open(real / "data" / f"{name}-curves.csv", newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["teacher"] == entry.teacher.name]
        assert [float(row["low"]) for row in rows] == pytest.approx(low, rel=1e-5, abs=1e-6)


def test_hostile_text_is_shown_and_never_obeyed(hostile):
    for page in pages(hostile / "site"):
        raw = page.path.read_text("utf-8")
        assert SCRIPT not in raw
        assert "<img" not in raw
        for tag, facts in page.elements:
            assert not [name for name in facts if name.startswith("on")], facts
            assert tag != "script" or "src" in facts or facts["type"] == "application/json"
            assert facts.get("href", "").split(":")[0] not in ("javascript", "vbscript")
        assert page.attributes("content")[0] == POLICY
    page = Page(hostile / "site/protocols/digits-noise-v1.html")
    choices = [facts.get("value") for tag, facts in page.elements if tag == "option"]
    assert choices[:4] == ["", "-", "prior", "probe"]
    row = next(facts for facts, _ in page.rows if facts.get("data-teacher") == "x=[1,2].py")
    assert row["data-privileges"] == "prior probe"
    assert page.text.count(EVIL) == 3  # verdict, note, provenance
    assert json.dumps([EVIL, 1, None]) in page.text
    assert "{{ 7*7 }}" in page.text
    assert LINKS in page.text
    teacher = Page(hostile / "site/teachers/x=[1,2].py.html")
    assert LINKS in teacher.text
    assert [href for href in teacher.attributes("href") if "example" in href] == [
        "https://example.org/a?b="
    ]
    for name in ("default-src 'none'", "script-src 'self'"):
        assert name in POLICY
    assert "unsafe" not in POLICY.partition("style-src")[0]


def test_names_in_figures_cannot_be_markup():
    board = record.validate(leaderboard.Board, board_of(PUBLISHED[0]), "board")
    figure = dots_figure([Dot('<a href="x">&b', board.rows[0].area)], "area")
    assert figure["data"][0]["y"] == [html.escape('<a href="x">&b')]


def test_teachers_that_differ_only_in_case_have_a_page_each(hostile):
    files = [path.name.casefold() for path in (hostile / "site/teachers").glob("*.html")]
    assert len(files) == len(set(files)) == 4
    pages_of = {page.path.stem: page.text for page in pages(hostile / "site/teachers")}
    (other,) = (name for name in pages_of if name.startswith("Uniform"))
    assert "not part of this suite" in pages_of[other]


def test_a_teachers_page_says_what_its_docstring_says(real):
    text = " ".join(Page(real / "teachers/alp_gmm.html").text.split())
    assert "Portelas et al. 2019" in text
    assert "reproduces the paper's order on the hypercube" in text
    assert "Every fit draws a fresh start; the release restarts all fits from one seed." in text
    assert "fit_every150" in text.replace(" ", "")
    rows = Page(real / "teachers/uniform.html").rows
    assert [facts["data-protocol"] for facts, _ in rows if "data-protocol" in facts] == list(
        PUBLISHED
    )


def test_departures_end_with_their_paragraph():
    text = "Title.\n\nDepartures from the paper:\n- One ``a``\n  goes on.\n- Two.\n\nNot this."
    assert departures(text) == [("Departures from the paper:", ["One ``a`` goes on.", "Two."])]
    assert departures("Title.\n\nDepartures from the paper: none.") == [
        ("Departures from the paper: none.", [])
    ]
    assert departures("Title.") == []


def test_the_command_writes_the_same_bytes_in_another_process(hostile, tmp_path):
    command = [sys.executable, "-m", "benchmark.cli", "report", "--out", str(tmp_path / "site")]
    command += ["--folder", str(hostile / "boards")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "index.html" in done.stdout
    first, second = ({p.relative_to(s): p.read_bytes() for p in s.rglob("*") if p.is_file()}
                     for s in (hostile / "site", tmp_path / "site"))  # fmt: skip
    assert first == second


def test_runs_of_your_own_stand_beside_the_published(hostile, tmp_path):
    protocol = factories.supervised_protocol()
    factories.write_runs(protocol, "Mine", range(6), tmp_path / "runs", final=0.9)
    factories.write_runs(protocol, "uniform", range(2), tmp_path / "runs", final=0.7)
    write_report(tmp_path / "site", hostile / "boards", tmp_path / "runs")
    page = Page(tmp_path / "site/protocols/digits-noise-v1.html")
    assert [facts["data-teacher"] for facts, _ in page.rows if "data-teacher" in facts] == [
        "Mine", "alp_gmm", "x=[1,2].py", "uniform",
    ]  # fmt: skip
    assert page.text.count("your runs") == 2  # the badge of Mine, and the word on the board
    assert "computed with your runs" in page.text
    assert (tmp_path / "site/teachers/Mine.html").is_file()
    with pytest.raises(LyceumError, match="no finished run of a published protocol"):
        write_report(tmp_path / "other", hostile / "boards", tmp_path / "nothing")


def test_a_board_that_does_not_follow_from_its_entries_is_refused(hostile, tmp_path):
    boards = tmp_path / "boards"
    shutil.copytree(hostile / "boards", boards)
    path = boards / "digits-noise-v1/leaderboard.json"
    board = json.loads(path.read_text("utf-8"))
    board["rows"][0]["area"]["value"] += 0.001
    path.write_text(json.dumps(board), encoding="utf-8")
    with pytest.raises(LyceumError, match="does not follow from the entries beside it"):
        write_report(tmp_path / "site", boards)
    shutil.copy(hostile / "boards/digits-noise-v1/leaderboard.json", path)
    (boards / "digits-noise-v1/alp_gmm.json").unlink()
    with pytest.raises(LyceumError, match=r"entries beside it \(alp_gmm\)"):
        write_report(tmp_path / "site", boards)
    assert not (tmp_path / "site").exists()


def test_only_a_folder_of_its_own_is_cleared(hostile, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(LyceumError, match="holds something else than a report"):
        write_report(tmp_path, hostile / "boards")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    site = tmp_path / "site"
    write_report(site, hostile / "boards")
    (site / "teachers/gone.html").write_text("old", encoding="utf-8")
    write_report(site, hostile / "boards")
    assert not (site / "teachers/gone.html").exists()
    with pytest.raises(LyceumError, match="holds no leaderboard"):
        write_report(tmp_path / "b", tmp_path / "site")


def test_a_board_of_no_published_protocol_is_refused(hostile, tmp_path):
    shutil.copytree(hostile / "boards/digits-noise-v1", tmp_path / "boards/strange-v1")
    with pytest.raises(LyceumError, match="no published protocol is called strange-v1"):
        write_report(tmp_path / "site", tmp_path / "boards")
    shutil.move(tmp_path / "boards/strange-v1", tmp_path / "boards/digits-longtail-v1")
    with pytest.raises(LyceumError, match="belongs to another version"):
        write_report(tmp_path / "site", tmp_path / "boards")


def test_a_provisional_teacher_shows_no_interval(hostile):
    page = Page(hostile / "site/protocols/hypercube-v1.html")
    cells = next(cells for facts, cells in page.rows if facts.get("data-teacher") == "Uniform")
    assert "The reference teacher uniform has no entry" in page.text
    assert "data-low" not in cells[5]
    assert cells[1]["data-value"] == ""

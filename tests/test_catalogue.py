"""What can be chosen from is told: in the terminal, and in the docs' catalogue."""

import io
import json
import subprocess
import sys

import pytest
from rich.console import Console

from benchmark import catalogue
from benchmark.errors import LyceumError
from benchmark.protocol import Protocol
from benchmark.provenance import ROOT
from benchmark.registry import TABLES
from benchmark.show import print_thing
from teachers import TEACHERS
from teachers.status import STATUS

COSTS = json.loads(catalogue.COSTS.read_text("utf-8"))
DEAR = {"goal_gan", "setter_solver", "vds"}  # networks of their own: stated as measured


def shown(name):
    console = Console(record=True, width=300, file=io.StringIO())
    print_thing(console, name)
    return console.export_text()


def test_every_teacher_has_a_status_and_a_cost():
    assert set(STATUS) == set(COSTS["microseconds_per_task"]) == set(TEACHERS)
    assert all(text.strip() and "\n" not in text and "|" not in text for text in STATUS.values())


@pytest.mark.parametrize("name", sorted(set(TEACHERS) - DEAR))
def test_a_teacher_costs_little(name):
    cost = COSTS["microseconds_per_task"][name]
    assert 0 < cost < 1000 and cost < 0.02 * COSTS["episode_microseconds"]


def test_the_catalogue_in_the_docs_is_what_the_suite_says(capsys):
    catalogue.print_page()
    assert (ROOT / "docs" / "catalogue.md").read_text("utf-8") == capsys.readouterr().out


def test_the_list_tells_what_a_teacher_reads_and_how_far_it_can_be_trusted():
    command = [sys.executable, "-m", "benchmark.cli", "list", "teachers"]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    for text in ("robust_plr", "trajectory", "value_function", "µs per", "Portelas"):
        assert text in out
    rows = {row[0]: row for row in catalogue.teacher_rows()}
    assert rows["robust_plr"][2:4] == ("trajectory", "probe, value_function")
    assert rows["uniform"][2:4] == ("scores only", "none")


@pytest.mark.parametrize("kind", TABLES)
def test_show_explains_whatever_is_registered(kind):
    for name in TABLES[kind]:
        assert shown(name).startswith(f"{name}: {kind} ")


def test_show_tells_departures_status_and_hyperparameters():
    text = shown("alp_gmm")
    assert "Departures" in text and STATUS["alp_gmm"] in text and "reference: Portelas" in text
    for option, default in {"fit_every": 150, "preset": "corrected"}.items():
        assert f"  {option} = {default}\n" in text
    assert "hyperparameters: none" in shown("uniform")


@pytest.mark.parametrize("name", Protocol.names())
def test_show_tells_all_that_a_protocol_pins(name):
    protocol, text = Protocol.load(name), shown(name)
    assert protocol.fingerprint in text and f"total = {protocol.budget.total}" in text
    for option, value in protocol.student.options.items():
        assert f"options.{option} = {value}\n" in text


def test_show_of_an_unknown_name_says_what_is_near(tmp_path):
    with pytest.raises(LyceumError, match="did you mean 'alp_gmm'"):
        shown("alp_gm")
    command = [sys.executable, "-m", "benchmark.cli", "show", "nothing"]
    found = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert found.returncode == 2 and "Traceback" not in found.stderr

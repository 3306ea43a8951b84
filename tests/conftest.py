"""Options and reports of the test suite."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy and torch are loaded: runs are small

from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "data" / "golden"


def pytest_addoption(parser):
    parser.addoption(
        "--golden",
        metavar="DIR",
        default=str(GOLDEN),
        help="folder of recorded reference episodes (*.npz) that tests/test_golden.py replays",
    )
    parser.addoption(
        "--slow", action="store_true", help="also run simulations that take minutes (marked slow)"
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes minutes; left out unless --slow is given")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="takes minutes; give --slow"))


def golden_files(config):
    folder = Path(config.getoption("golden"))
    files = sorted(folder.glob("*.npz"))
    if not files:
        raise pytest.UsageError(f"--golden expects a folder with recordings (*.npz): {folder}")
    return files


def pytest_generate_tests(metafunc):
    if "recording" in metafunc.fixturenames:
        files = golden_files(metafunc.config)
        metafunc.parametrize("recording", files, ids=[file.stem for file in files])


def pytest_terminal_summary(terminalreporter):
    """Print the largest deviation of every replayed recording."""
    # Properties of a test travel with its report, also from the processes of pytest-xdist.
    lines = {
        name: value
        for outcome in ("passed", "failed")
        for report in terminalreporter.stats.get(outcome, [])
        for name, value in report.user_properties
        if name.startswith("golden:")
    }
    if lines:
        columns = ("poses", "state", "lidar", "reward")
        terminalreporter.section("largest deviation from the golden recordings")
        width = max(len(name) for name in lines) - len("golden:")
        terminalreporter.write_line(
            f"{'recording':{width}}  {'steps':>6}" + "".join(f"{c:>10}" for c in columns)
        )
        for name, value in sorted(lines.items()):
            numbers = "".join(f"{value[column]:>10.1e}" for column in columns)
            note = f"  {value['note']}" if value["note"] else ""
            terminalreporter.write_line(
                f"{name.removeprefix('golden:'):{width}}  {value['steps']:>6}{numbers}{note}"
            )

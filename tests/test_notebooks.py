"""Every notebook runs from top to bottom, and keeps no outputs."""

import json
from pathlib import Path

import pytest

from benchmark.provenance import ROOT

NOTEBOOKS = sorted(Path(ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    names: dict = {}
    for number, cell in enumerate(cells):
        if cell["cell_type"] != "code":
            continue
        assert cell["outputs"] == [], f"cell {number} keeps outputs; clear them before a commit"
        exec(compile("".join(cell["source"]), f"{path.name}, cell {number}", "exec"), names)
    assert all(figure.stat().st_size > 0 for figure in names["figures"])

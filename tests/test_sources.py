"""Which files a teacher is made of, and what that means for imports, checks and records."""

import subprocess
import sys

import pytest

from benchmark.errors import LyceumError
from benchmark.registry import load, source_sha256
from teachers.check import check_teacher
from teachers.check_conduct import check_imports_are_allowed, check_no_files_clock_or_network
from teachers.check_conduct import check_same_in_another_process as check_other_process
from teachers.sources import source_files

TEACHER = """
import numpy as np
from lesson_helper import WIDTH
from teachers.base import Proposal, Teacher
from teachers.uniform import Uniform


class Mine(Uniform):
    \"\"\"Uniform, with a neighbour.\"\"\"

    width = WIDTH

    def propose(self, count, progress):
        import lesson_late

        return super().propose(count, lesson_late.same(progress))
"""
FILES = {
    "mine.py": TEACHER,
    "lesson_helper.py": "import lesson_pack.deep\n\nWIDTH = lesson_pack.deep.WIDTH\n",
    "lesson_late.py": "def same(value):\n    return value\n",
    "lesson_pack/__init__.py": "",
    "lesson_pack/deep.py": "from . import other\n\nWIDTH = other.WIDTH\n",
    "lesson_pack/other.py": "WIDTH = 3\n",
    "unrelated.py": "import os\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("lesson_")]:
        del sys.modules[name]


def test_a_file_finds_its_neighbours_now_and_later(folder):
    cls = load("teacher", f"{folder}/mine.py:Mine")
    assert cls.width == 3
    rules = [check_other_process, check_imports_are_allowed, check_no_files_clock_or_network]
    records = check_teacher(cls, rules=rules)
    assert [record.status for record in records] == ["passed"] * 3


def test_the_source_hash_covers_what_is_imported_and_nothing_else(folder):
    cls = load("teacher", f"{folder}/mine.py:Mine")
    names = {str(path.relative_to(folder)) for path in source_files(folder / "mine.py")}
    assert names == set(FILES) - {"unrelated.py"}
    before = source_sha256(cls)
    (folder / "unrelated.py").write_text("import sys\n")
    assert source_sha256(cls) == before
    for name in ("lesson_pack/other.py", "lesson_late.py"):
        (folder / name).write_text(FILES[name] + "# changed\n")
        assert source_sha256(cls) != before
        (folder / name).write_text(FILES[name])
    assert source_sha256(cls) == before


@pytest.mark.parametrize(
    ("file", "text", "rule", "reason"),
    [
        ("lesson_late.py", "import socket\n", check_imports_are_allowed, "lesson_late.py, line 1"),
        (
            "lesson_pack/other.py",
            "WIDTH = 3\n\n\ndef f():\n    open('x')\n",
            check_no_files_clock_or_network,
            "other.py, line 5, calls open",
        ),
    ],
)
def test_rules_hold_for_neighbours(folder, file, text, rule, reason):
    (folder / file).write_text(text)
    with pytest.raises(AssertionError, match=reason):
        check_teacher(load("teacher", f"{folder}/mine.py:Mine"), rules=[rule])


def test_a_neighbour_that_another_module_stands_for_is_refused(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "mine.py").write_text(TEACHER.replace("Mine", "Other"))
    (elsewhere / "lesson_helper.py").write_text("WIDTH = 4\n")
    assert load("teacher", f"{folder}/mine.py:Mine").width == 3
    with pytest.raises(LyceumError, match=r"lesson_helper, which is .* not the file beside it"):
        load("teacher", f"{elsewhere}/mine.py:Other")


def test_a_neighbour_with_a_mistake_is_told(folder):
    (folder / "lesson_helper.py").write_text("WIDTH = unknown\n")
    command = [sys.executable, "-m", "benchmark.cli", "check", f"{folder}/mine.py:Mine"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert "name 'unknown' is not defined" in found.stderr

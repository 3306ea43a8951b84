"""The README shows what works: its teacher passes the checks and runs, its links lead somewhere."""

import re
import tomllib

from benchmark.provenance import ROOT
from benchmark.registry import load
from benchmark.run import RunRequest, execute
from teachers.check import check_teacher

README = (ROOT / "README.md").read_text("utf-8")
FAMILIES = sorted((ROOT / "benchmark/protocols/families").glob("*.toml"))
TINY = str(ROOT / "tests/data/protocols/tiny-digits.toml")


def test_the_teacher_on_the_first_screen_works(tmp_path):
    (code,) = re.findall(r"```python\n# my_file.py\n(.*?)```", README, re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 15
    file = tmp_path / "my_file.py"
    file.write_text(code, encoding="utf-8")
    records = check_teacher(load("teacher", f"{file}:Mine"))
    assert not [record for record in records if record.status == "failed"]
    folder = execute(RunRequest(TINY, f"{file}:Mine", 0, runs=str(tmp_path)))
    assert (folder / "record.json").is_file()


def test_links_and_pictures_exist():
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *sorted((ROOT / "docs").glob("*.md")),
    ):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_teacher_and_protocol_is_in_the_readme():
    from benchmark import families
    from benchmark.protocol import Protocol
    from teachers import TEACHERS

    generated = {path: tomllib.loads(path.read_text("utf-8"))["name"] for path in FAMILIES}
    for name in (*TEACHERS, *(set(Protocol.names()) - set(families.members()))):
        assert f"`{name}`" in README
    assert generated
    for pattern in generated.values():  # with its fields in braces
        assert f"`{pattern}`" in README

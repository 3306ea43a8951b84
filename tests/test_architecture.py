"""The house rules that a machine can keep: who imports whom, budgets, packaging, no local paths."""

import ast
import configparser
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from gymnasium.envs.registration import load_env_creator

import benchmark
from environments import TASKS, WORLDS
from students import STUDENTS
from teachers import TEACHERS

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("benchmark", "environments", "students", "teachers")
# What each folder may import besides the standard library and itself.
ALLOWED = {
    "environments": {"gymnasium", "numpy", "Box2D", "sklearn", "PIL", "pygame"},
    "teachers": {"numpy", "scipy", "sklearn", "torch", "gymnasium"},
    "students": {"numpy", "torch", "gymnasium"},
    "benchmark": {
        "environments",
        "teachers",
        "students",
        "numpy",
        "scipy",
        "sklearn",
        "torch",
        "gymnasium",
        "Box2D",
        "pydantic",
        "rich",
        "typer",
        "psutil",
        "ray",
        "submitit",
        "imageio",
        "PIL",
        "stable_baselines3",
        "jinja2",
        "markupsafe",
    },
}
EXCLUSIVE = {
    **{
        path.relative_to(ROOT): {"matplotlib", "seaborn"}
        for path in (ROOT / "benchmark" / "plots").glob("*.py")
    },
    Path("benchmark/chronicle.py"): {"wandb"},
    Path("benchmark/report_plots.py"): {"plotly"},
    Path("students/stable_baselines.py"): {"stable_baselines3"},
}
MAX_FILE, MAX_FUNCTION, MAX_CONTRACT = 400, 50, 120
TEXT = {".py", ".toml", ".cfg", ".md", ".json", ".txt", ".yml", ".yaml", ".ipynb", ".csv", ""}
SOURCES = sorted(
    path.relative_to(ROOT) for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
)


TESTS = sorted(path.relative_to(ROOT) for path in (ROOT / "tests").rglob("*.py"))


def names(path):
    return str(path)


def tree(path):
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imports(path):
    """Full dotted names that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are written out in full, not relative"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def function_length(node):
    """Lines of a function without its docstring."""
    lines = node.end_lineno - node.lineno + 1
    first = node.body[0]
    if ast.get_docstring(node) is not None:
        lines -= first.end_lineno - first.lineno + 1
    return lines


def forbidden(path, imported):
    """The imports of a file that its folder may not have."""
    folder = path.parts[0]
    allowed = ALLOWED[folder] | {folder} | set(sys.stdlib_module_names)
    allowed |= EXCLUSIVE.get(path, set())
    wrong = {name for name in imported if name.split(".")[0] not in allowed}
    if folder in ("teachers", "students"):
        wrong |= {name for name in imported if is_gymnasium_beyond_spaces(name)}
    if folder == "environments":
        wrong |= {
            name for name in imported if re.match(r"sklearn(\.|$)(?!datasets|utils)", name + ".")
        }
    return wrong


def is_gymnasium_beyond_spaces(name):
    return name.split(".")[0] == "gymnasium" and not name.startswith("gymnasium.spaces")


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_imports_follow_the_plan(path):
    assert forbidden(path, imports(path)) == set()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("teachers/x.py", "environments.base"),
        ("teachers/x.py", "gymnasium"),
        ("teachers/x.py", "gymnasium.Env"),
        ("students/x.py", "teachers.base.Teacher"),
        ("students/x.py", "scipy.stats"),
        ("students/x.py", "stable_baselines3.PPO"),
        ("environments/x.py", "benchmark"),
        ("environments/x.py", "torch"),
        ("environments/x.py", "sklearn.mixture.GaussianMixture"),
        ("benchmark/metrics.py", "matplotlib.pyplot"),
        ("benchmark/plots/curves.py", "plotly.graph_objects"),
        ("benchmark/report.py", "plotly.graph_objects"),
        ("benchmark/report_plots.py", "matplotlib.pyplot"),
        ("benchmark/metrics.py", "tests.broken_worlds"),
        ("benchmark/metrics.py", "pandas"),
    ],
)
def test_forbidden_imports_are_noticed(path, name):
    assert forbidden(Path(path), {name, "numpy"}) == {name}


@pytest.mark.parametrize("path", SOURCES, ids=names)
def test_files_and_functions_keep_their_budgets(path):
    lines = (ROOT / path).read_text(encoding="utf-8").count("\n")
    allowed = MAX_CONTRACT if path.name == "base.py" else MAX_FILE
    assert lines <= allowed, f"{path} has {lines} lines; split it by meaning"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = function_length(node)
            assert length <= MAX_FUNCTION, f"{path}: {node.name} has {length} lines"


@pytest.mark.parametrize("path", TESTS, ids=names)
def test_tests_keep_the_file_budget(path):
    assert (ROOT / path).read_text(encoding="utf-8").count("\n") <= MAX_FILE


def test_function_length_leaves_out_the_docstring():
    source = 'def f():\n    """One\n    two."""\n    a = 1\n    return a\n'
    assert function_length(ast.parse(source).body[0]) == 3


@pytest.mark.parametrize(
    "entry", [entry for table in (TEACHERS, WORLDS, TASKS, STUDENTS) for entry in table.values()]
)
def test_registered_names_resolve(entry):
    module, name = entry.split(":")
    assert load_env_creator(entry) is getattr(importlib.import_module(module), name)
    assert load_env_creator(entry).__module__ == module, "register a class where it is written"


@pytest.mark.parametrize("table", [TEACHERS, WORLDS, TASKS, STUDENTS])
def test_registries_are_sorted_and_name_a_class_once(table):
    assert list(table) == sorted(table)
    assert len(set(table.values())) == len(table)


def test_benchmark_is_this_repository():
    assert Path(benchmark.__file__).resolve().parent == ROOT / "benchmark"


def test_setup_lists_every_package():
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg")
    listed = set(config["options"]["packages"].split())
    present = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("__init__.py")
    }
    assert listed == present
    assert {".".join(path.parent.parts) for path in SOURCES} <= listed, "an __init__.py is missing"


def test_leaderboards_hold_no_code():
    assert list((ROOT / "leaderboards").rglob("*.py")) == []


def tracked():
    """Text files under version control, or those that would be."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return [path for path in paths if path.is_file() and path.suffix in TEXT]


def test_no_local_paths_in_tracked_files():
    # A home or scratch folder of somebody's machine; written so that this file does not match.
    pattern = re.compile(r"(?<![\w.}])/(?:home|Users|root|work|tmp|mnt)/\w")
    found = []
    for path in tracked():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if pattern.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert found == []


@pytest.mark.parametrize("module", ["teachers.check", "environments.check"])
def test_checkers_do_not_load_torch(module):
    """A check stays quick: torch is loaded only by classes that need it."""
    code = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0

"""The files that a class is made of: its own, and those of its neighbours that it imports."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

SUITE = ("benchmark", "environments", "students", "teachers")


def source_files(path: Path) -> list[Path]:
    """Return ``path`` and the files beside it that it imports, directly or through another one.

    Of an imported package all files count. The standard library and the suite are no neighbours.
    """
    found, waiting = [path], [path]
    while waiting:
        for name in sorted(imports(waiting.pop())):
            for file in neighbour(path.parent, name):
                if file not in found:
                    found.append(file)
                    waiting.append(file)
    return found


def neighbour(folder: Path, name: str) -> list[Path]:
    """Return the files in ``folder`` of the module or package that ``name`` begins with, if any."""
    first = name.split(".")[0]
    if not first or first in SUITE or first in sys.stdlib_module_names:
        return []
    if (folder / first / "__init__.py").is_file():
        return sorted((folder / first).rglob("*.py"))
    return [file for file in [folder / f"{first}.py"] if file.is_file()]


def imports(path: Path) -> set[str]:
    """Return the full names that a file imports anywhere; what is relative is left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {name for node in ast.walk(tree) for name in imported(node)}


def imported(node: ast.AST) -> Iterator[str]:
    """Yield the full names that one statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    if isinstance(node, ast.ImportFrom) and not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def import_file(path: Path, name: str) -> ModuleType:
    """Import a file as module ``name``; it finds its neighbours, also later.

    Raises:
        ImportError: it would get another module in place of its neighbour. Anything else: what the
            file raises.
    """
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))  # at the end, so that no library is replaced
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
        for first in {each.split(".")[0] for each in imports(path)}:
            meant, got = neighbour(path.parent, first), sys.modules.get(first)
            file = getattr(got, "__file__", None)
            if meant and file and Path(file).resolve() not in meant:
                raise ImportError(
                    f"it imports {first}, which is {file} and not the file beside it; "
                    "give yours another name"
                )
    except BaseException:
        del sys.modules[name]
        raise
    return module

"""Print the digest of a teacher's proposals, from a process of its own.

``python -m teachers.check_process module file class space keywords``
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
from pathlib import Path

from teachers.check_classroom import Room
from teachers.check_conduct import digest
from teachers.sources import import_file


def load(module: str, file: str, name: str) -> type:
    """Import a class by the name of its module if that is the same file, else from the file."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        spec = None
    if spec is not None and spec.origin and Path(spec.origin).resolve() == Path(file):
        found = importlib.import_module(module)
    else:
        found = import_file(Path(file), "checked_teacher")
    for part in name.split("."):
        found = getattr(found, part)
    return found


if __name__ == "__main__":
    module, file, name, space, keywords = sys.argv[1:]
    room = Room(load(module, file, name), space, json.loads(keywords))
    print(digest(room.reference))

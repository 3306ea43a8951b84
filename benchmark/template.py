"""The starting point that ``lyceum new`` writes: a small teacher that already runs."""

from __future__ import annotations

import keyword
from pathlib import Path

from benchmark.errors import LyceumError

TEXT = '''"""{name}: propose what the student got wrong last time more often."""

import numpy as np

from teachers.base import Proposal, Teacher


class {name}(Teacher):
    """Samples examples in proportion to how surprising they were when last seen."""

    reference = "{name}, unpublished"
    spaces = ("discrete",)  # examples of a data set; "box" for parameters of a procedural world
    memory = ("difficulty",)  # what a checkpoint must save besides the random generator

    def __init__(self, task_space, *, seed, knowledge=None, floor=0.2):
        super().__init__(task_space, seed=seed, knowledge=knowledge)
        if not 0 < floor <= 1:
            raise ValueError(f"floor must be a share in (0, 1], but is {{floor}}")
        self.floor = floor
        self.difficulty = np.ones(task_space.space.n)

    def propose(self, count, progress):
        chance = self.difficulty / self.difficulty.sum()
        return Proposal(self.rng.choice(len(chance), size=count, p=chance))

    def observe(self, outcomes):
        self.difficulty[outcomes.tasks] = self.floor + (1 - outcomes.success)
'''


def write_template(path: Path) -> str:
    """Write a runnable teacher to ``path`` and return its class name, made from the file name.

    Raises:
        LyceumError: the path does not end in .py, the file exists, or its name makes no class name.
    """
    if path.suffix != ".py":
        raise LyceumError(f"expected a file name ending in .py, but got {path}")
    name = "".join(part.capitalize() for part in path.stem.replace("-", "_").split("_"))
    if not name.isidentifier() or keyword.iskeyword(name):
        raise LyceumError(f"{path.name} makes no class name; use letters, digits and underscores")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(TEXT.format(name=name))
    except FileExistsError as error:
        raise LyceumError(f"{path} exists already; choose another name") from error
    except OSError as error:
        raise LyceumError(f"{path} cannot be written: {error.strerror}") from error
    return name

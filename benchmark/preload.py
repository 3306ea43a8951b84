"""What the processes of a sweep have in common, imported once by the server they are forked from.

The command line, which every child imports again, costs a quarter of a second, torch._dynamo, which
torch imports with the first optimiser, more than one. The objects of all these modules are then
left out of garbage collections: a child would walk through a million of them several times.
"""

from __future__ import annotations

import gc
import importlib

MODULES = (
    "typer",
    "rich.console",
    "scipy.optimize",
    "scipy.signal",
    "sklearn.datasets",
    "sklearn.mixture",
    "torch._dynamo",
    "benchmark.run",
    "students.supervised",
    "students.synthetic",
)

for name in MODULES:
    importlib.import_module(name)
gc.collect()
gc.freeze()

"""Where a run computes: the CPU or a GPU, what a record calls it, and how a process is set up."""

from __future__ import annotations

import os
from typing import Any

from benchmark.errors import LyceumError

# Libraries read these once, when they are loaded.
QUIET = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # A thread that waits must not spin: on a busy machine that costs ten times the work itself.
    "OMP_WAIT_POLICY": "PASSIVE",
}


def one_quiet_thread() -> None:
    """Set one thread per process and passive waiting for the libraries that are yet to be loaded.

    Several runs share a machine better than one run shares its cores.
    """
    os.environ.update(QUIET)


def place(device: str) -> str:
    """Turn "cpu", "cuda" or "auto" (CUDA where there is one) into "cpu" or "cuda".

    Raises:
        LyceumError: an unknown name, or "cuda" on a machine without it.
    """
    if device == "cpu":
        return device  # without loading torch
    from students.networks import resolve_device

    try:
        return resolve_device(device).type
    except ValueError as error:
        raise LyceumError(f"--device: {error}") from error


def device_name(student: Any) -> str:
    """What a record says about where a student learned: "cpu", or "cuda" and the GPU's name.

    A student that learned in a stack is not the same to the last digit: "cpu stacked".
    """
    stacked = " stacked" * getattr(student, "stacked", False)
    if getattr(getattr(student, "device", None), "type", "cpu") != "cuda":
        return f"cpu{stacked}"
    import torch

    return f"cuda{stacked}: {torch.cuda.get_device_name(student.device)}"

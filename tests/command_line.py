"""The command line as tests call it: in this process, where the libraries are loaded already."""

import contextlib
import io
import os
import subprocess
import sys

import pytest

from benchmark import cli
from benchmark.provenance import ROOT


def lyceum(*arguments, cwd):
    """Run a command in a folder; return (exit code, standard output, standard error)."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["lyceum", *map(str, arguments)])
        patch.setenv("COLUMNS", "120")
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ending,
        ):
            cli.main()
    return int(ending.value.code or 0), out.getvalue(), err.getvalue()


def lyceum_process(*arguments, cwd, before=""):
    """The same in a process of its own, as a user does; ``before`` is said to the shell first."""
    command = [sys.executable, "-m", "benchmark.cli", *map(str, arguments)]
    if before:
        command = ["bash", "-c", f'{before}; exec "$@"', "bash", *command]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "120"}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr

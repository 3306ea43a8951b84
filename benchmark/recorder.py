"""Listens to a loop: evaluates when due, keeps the curve on disk, saves checkpoints, reports."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmark import checkpoint
from benchmark.assemble import Assembly
from benchmark.evaluate import Evaluation
from benchmark.metrics import pooled_score
from benchmark.strict_json import write_bytes_atomically
from students.base import Student
from students.journal import DamagedRows

REPORT_SECONDS = 0.5
SYNC_SECONDS = 0.5


class Recorder:
    """Turns what a loop tells into ``curve.jsonl``, checkpoints, progress lines and a curriculum.

    ``identity`` says which run this is; a checkpoint of any other is refused. ``say`` hears a
    progress event twice a second: the budget spent, the total and the latest score. ``note`` takes
    evaluations, checkpoints and where an attempt continued for the log.
    """

    def __init__(
        self,
        folder: Path,
        identity: dict[str, Any],
        checkpoint_seconds: float,
        say: Callable[[dict[str, Any]], None] | None = None,
        note: Callable[..., None] = lambda event, **facts: None,
    ):
        self.folder, self.identity = folder, identity
        self.checkpoint_seconds, self.say, self.note = checkpoint_seconds, say, note
        self.assembly: Assembly | None = None
        self.rows: list[dict[str, Any]] = []
        self.curriculum: list[dict[str, np.ndarray]] = []
        self.saved, self.synced, self.reported = time.monotonic(), time.monotonic(), 0.0
        self.started, self.wall = time.monotonic(), 0.0
        self.generation = 0
        self.last_score: float | None = None

    def attach(self, assembly: Assembly) -> None:
        """Bind the run and continue from its newest checkpoint, if there is one."""
        self.assembly, folder = assembly, self.folder / "checkpoint"
        if isinstance(assembly.student, Student):
            assembly.student.keep_in(folder)
        for state in checkpoint.states(folder):
            with contextlib.suppress(DamagedRows):  # then the older state may do
                self._restore(state)
                self.note("continued", spent=assembly.ledger.spent, generation=self.generation)
                break
        self._rewrite_curve()

    def on_outcomes(self, spent: np.ndarray, columns: dict[str, np.ndarray]) -> None:
        """Keep what was proposed and how it went."""
        self.curriculum.append({"spent": np.asarray(spent, dtype=np.float64), **columns})

    def on_progress(self, loop: Any) -> None:
        """Evaluate and save when it is due; called between two steps of the loop."""
        grid, ledger = self.assembly.protocol.grid, self.assembly.ledger
        while len(self.rows) < len(grid) and ledger.spent >= grid[len(self.rows)]:
            self._evaluate()
        now = time.monotonic()
        if now - self.saved >= self.checkpoint_seconds:
            self._save()
        if now - self.reported >= REPORT_SECONDS:
            self._say()

    def finish(self) -> None:
        """Evaluate what is left: the budget may end a fraction before the last grid point."""
        while len(self.rows) < len(self.assembly.protocol.grid):
            self._evaluate()
        self._say()

    def columns(self) -> dict[str, np.ndarray]:
        """The whole curriculum as arrays, one entry per ended task, in the order they ended."""
        names = ("spent", "proposal", "tasks", "score", "success", "length")
        space = self.assembly.teacher.task_space
        empty = dict.fromkeys(names, np.empty(0)) | {"tasks": np.empty((0, *space.space.shape))}
        parts = self.curriculum or [empty]  # a short run may end within its first episode
        joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
        joined["score"] = joined["score"].astype(np.float32)
        joined["success"] = joined["success"].astype(bool)
        joined["length"] = joined["length"].astype(np.int32)
        joined["names"] = np.array(space.names, dtype=str)
        return joined | self.assembly.item_columns

    def _evaluate(self) -> None:
        """Measure the student and append a row to the curve, synced to disk twice a second."""
        assembly, ledger = self.assembly, self.assembly.ledger
        with ledger.charge("evaluation"):
            evaluation = assembly.evaluator.evaluate(assembly.student, len(self.rows))
        spent = {
            "student": ledger.student,
            "teacher": ledger.teacher,
            "updates": assembly.student.updates,
            "forward": ledger.forward,
            "backward": ledger.backward,
        }
        if "reference_model" in assembly.teacher.privileges:
            spent["references"] = ledger.references
        row = {
            "k": len(self.rows),
            "spent": spent,
            "evaluation": {k: v.tolist() for k, v in vars(evaluation).items()},
            "cpu": dict(ledger.cpu),
            "wall": self._wall(),
            "peak_rss_mb": peak_rss_mb(),
        }
        self.rows.append(row)
        with open(self.folder / "curve.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
            file.flush()
            # A run of half a second would else wait for the disk a third of its time.
            if time.monotonic() - self.synced >= SYNC_SECONDS:
                os.fsync(file.fileno())
                self.synced = time.monotonic()
        self.last_score = float(pooled_score(evaluation, assembly.protocol))
        self.note(
            "evaluation", spent=ledger.spent, total=ledger.total, score=self.last_score,
            wall=row["wall"], **{f"cpu_{role}": value for role, value in ledger.cpu.items()},
        )  # fmt: skip
        self._say()

    def _wall(self) -> float:
        return self.wall + time.monotonic() - self.started

    def _say(self) -> None:
        """Tell whoever watches how far the run is."""
        if self.say is None:
            return
        self.reported = time.monotonic()
        ledger = self.assembly.ledger
        self.say({"spent": ledger.spent, "total": ledger.total, "score": self.last_score})

    def _save(self) -> None:
        assembly = self.assembly
        self.generation += 1
        assembly.ledger.wall = self._wall()
        merged = {
            name: np.concatenate([part[name] for part in self.curriculum])
            for name in (self.curriculum[0] if self.curriculum else ())
        }
        self.curriculum = [merged] if merged else []
        state = {
            "identity": self.identity,
            "generation": self.generation,
            "rows": self.rows,
            "curriculum": self.curriculum,
            "ledger": assembly.ledger.state_dict(),
            "student": assembly.student.state_dict(),
            "teacher": assembly.teacher.state_dict(),
            "loop": assembly.loop.state_dict(),
        }
        checkpoint.save(self.folder / "checkpoint", self.generation, state)
        self.saved = time.monotonic()
        self.note("checkpoint", spent=assembly.ledger.spent, generation=self.generation)

    def _restore(self, state: dict[str, Any]) -> None:
        checkpoint.require_same(self.identity, state["identity"], self.folder)
        assembly = self.assembly
        assembly.student.load_state_dict(state["student"])  # first: it may refuse
        assembly.ledger.load_state_dict(state["ledger"])
        assembly.teacher.load_state_dict(state["teacher"])
        assembly.loop.load_state_dict(state["loop"])
        self.rows, self.curriculum = state["rows"], state["curriculum"]
        self.generation, self.wall = state["generation"], assembly.ledger.wall
        if self.rows:
            last = {k: np.array(v) for k, v in self.rows[-1]["evaluation"].items()}
            self.last_score = float(pooled_score(Evaluation(**last), assembly.protocol))

    def _rewrite_curve(self) -> None:
        """Drop rows that are newer than the checkpoint, a torn last line among them."""
        if not self.rows and not (self.folder / "curve.jsonl").exists():
            return  # a new run: two waits for the disk less
        text = "".join(json.dumps(row) + "\n" for row in self.rows)
        write_bytes_atomically(self.folder / "curve.jsonl", text.encode())


def curriculum_bytes(columns: dict[str, np.ndarray]) -> bytes:
    """The curriculum as a compressed npz archive without pickle.

    NumPy's own ``savez_compressed`` has no levels; random tasks hardly get smaller, and its level
    took a tenth of the time of a run of half a second.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in columns.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
    return buffer.getvalue()


def peak_rss_mb() -> float:
    """The largest memory this process and its waited-for children ever held, in MB."""
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return max(kilobytes, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024

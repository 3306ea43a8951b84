"""Calls a teacher on the harness's terms: in time, within its contract, on its own bill."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from benchmark.conduct import Watch
from benchmark.errors import TeacherError
from benchmark.ledger import Ledger
from students.base import SupervisedStudent
from teachers.base import Outcomes, Proposal, Teacher
from teachers.proposals import validate_proposal


class GuardedTeacher:
    """A teacher behind a time limit, validation and a CPU meter.

    Every fault of the teacher becomes one ``TeacherError`` sentence that names the method; the
    loop itself stays free of guards.
    """

    def __init__(self, teacher: Teacher, ledger: Ledger, seconds: float):
        self.teacher = teacher
        self.ledger = ledger
        self.seconds = seconds
        self.name = type(teacher).__name__
        self.weighs = callable(getattr(teacher, "weigh", None))
        self.transforms = "objective" in teacher.changes
        self.adjusts = "student" in teacher.changes
        self.watch = Watch()

    def prepare(self) -> bool:
        """Let a teacher that has a ``prepare`` do it, once in a run; return whether it did."""
        action = getattr(self.teacher, "prepare", None)
        if self.ledger.prepared or not callable(action):
            return False
        self._call("prepare", action)
        self.ledger.prepared = True
        return True

    def propose(self, count: int) -> tuple[np.ndarray, Proposal]:
        """Return the numbers (count,) of the proposed tasks and the validated proposal."""
        progress = self.ledger.progress

        def ask() -> Proposal:
            proposal = self.teacher.propose(count, progress)
            validate_proposal(proposal, self.teacher.task_space, count)
            return proposal

        proposal = self._call("propose", ask)
        numbers = np.arange(self.ledger.proposed, self.ledger.proposed + count)
        self.ledger.proposed += count
        return numbers, proposal

    def observe(self, **columns: Any) -> None:
        """Hand finished tasks to the teacher."""
        try:
            outcomes = Outcomes(**columns)
        except ValueError as error:
            raise TeacherError(f"the student of this run failed: {error}") from error
        self._call("observe", lambda: self.teacher.observe(outcomes))

    def weigh(self, batch: Mapping[str, np.ndarray]) -> np.ndarray:
        """Ask the teacher for loss weights; the result has shape (n,), finite and not negative."""
        count = len(batch["loss"])
        weights = self._call("weigh", lambda: np.asarray(self.teacher.weigh(batch), np.float64))
        if weights.shape != (count,) or not np.isfinite(weights).all() or (weights < 0).any():
            raise TeacherError(
                f"{self.name}.weigh() must return {count} finite weights >= 0, "
                f"but returned shape {weights.shape} with values like {weights.ravel()[:3]}"
            )
        return weights

    def transform_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, tasks: np.ndarray
    ) -> torch.Tensor:
        """Ask for the losses in place of cross-entropy; shape (n,), finite, with a graph."""
        action = partial(self.teacher.transform_loss, logits, targets, tasks)
        losses = self._call("transform_loss", action)
        if (
            not isinstance(losses, torch.Tensor)
            or losses.shape != targets.shape
            or not (losses.requires_grad and torch.isfinite(losses).all())
        ):
            raise TeacherError(
                f"{self.name}.transform_loss() must return a tensor of {len(targets)} finite "
                f"losses that depends on the logits, but returned {_in_words(losses)}"
            )
        return losses

    def adjust(self, student: SupervisedStudent) -> None:
        """Let the teacher set what it wants of the student."""
        progress = self.ledger.progress
        settings = self._call("adjust", lambda: dict(self.teacher.adjust(progress)))
        try:
            if not callable(getattr(student, "adjust", None)):
                raise ValueError(f"{type(student).__name__} has no settings")
            student.adjust(settings)
        except (TypeError, ValueError) as error:
            raise TeacherError(
                f"{self.name} changes the student, but this one cannot follow: {error}"
            ) from error

    def _call(self, method: str, action: Callable[[], Any]) -> Any:
        """Run ``action`` under the time limit and bill it; turn any exception into a sentence."""
        self.watch.before(self.ledger.teacher)
        try:
            with self.ledger.charge("teacher"), time_limit(self.seconds):
                result = action()
            fault = self.watch.after(self.ledger.teacher)
            if fault:
                raise TeacherError(f"{self.name}.{method}() {fault}")
            return result
        except TeacherError:
            raise
        except OutOfTime as error:
            raise TeacherError(
                f"{self.name}.{method}() took longer than {self.seconds:g} s; "
                "the limit per call is pinned by the protocol"
            ) from error
        except Exception as error:
            raise TeacherError(
                f"{self.name}.{method}() failed: {type(error).__name__}: {error}"
            ) from error


def _in_words(value: object) -> str:
    if not isinstance(value, torch.Tensor):
        return f"a {type(value).__name__}"
    first = value.detach().ravel()[:3].tolist()
    graph = "with" if value.requires_grad else "without"
    return f"shape {tuple(value.shape)} {graph} a graph, beginning with {first}"


class OutOfTime(BaseException):
    """Raised inside a call that exceeded its limit; no ``except Exception`` can swallow it."""


class time_limit:
    """Interrupt the enclosed block after ``seconds`` (main thread of a POSIX process only).

    Limits do not nest: an inner one ends the outer one. A class, because cheap teachers are called
    tens of thousands of times and a generator costs more than most of them.
    """

    __slots__ = ("active", "seconds")
    handler_of: int | None = None  # the process whose handler is ours; asking for it costs more

    def __init__(self, seconds: float):
        self.seconds = seconds

    def __enter__(self) -> None:
        self.active = threading.get_ident() == threading.main_thread().ident
        if self.active:
            if time_limit.handler_of != os.getpid():
                signal.signal(signal.SIGALRM, _interrupt)
                time_limit.handler_of = os.getpid()
            signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *exception: object) -> None:
        if self.active:
            signal.setitimer(signal.ITIMER_REAL, 0)


def _interrupt(signum: int, frame: Any) -> None:
    raise OutOfTime

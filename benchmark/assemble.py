"""Builds one run from a protocol, a teacher and a seed: every part gets its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.errors import LyceumError, unknown
from benchmark.evaluate import TestSetEvaluator, WorldEvaluator
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.loops.episodic import EpisodicLoop
from benchmark.loops.listener import Listener
from benchmark.probe import ASKING, SupervisedProbe, WorldProbe
from benchmark.protocol import Protocol
from benchmark.reference import ReferenceSchool
from benchmark.registry import TABLES, load, public_hyperparameters
from benchmark.telling import box_space, build_teacher, supervised_space
from environments.base import ProceduralEnv, SupervisedTask
from environments.observed_tasks import ObservedTasks, with_task
from environments.rugged_tasks import Ruggedness, RuggedTasks
from environments.vector import VectorWorlds, make_worlds
from students.base import Student, SupervisedStudent
from teachers.base import Teacher

# The order is part of every protocol: appending a role leaves the others' streams untouched.
ROLES = ("student", "teacher", "task", "loop", "evaluation", "probe")
EVALUATION_WORLDS = 128


@dataclass
class Assembly:
    """The parts of one run, ready to train."""

    protocol: Protocol
    teacher: Teacher
    student: Any
    loop: EpisodicLoop | BatchLoop
    evaluator: WorldEvaluator | TestSetEvaluator
    ledger: Ledger
    item_columns: dict[str, np.ndarray]
    worlds: list[VectorWorlds]

    def close(self) -> None:
        """Stop worker processes and free shared memory."""
        for worlds in self.worlds:
            worlds.close()


def streams(protocol: Protocol, seed: int) -> dict[str, int]:
    """One integer seed per role, spawned from (protocol, run seed) in a fixed order.

    The same run seed under two teachers gives the same student, task and evaluation episodes.
    """
    root = np.random.SeedSequence([int(protocol.fingerprint[:16], 16), seed])
    children = root.spawn(len(ROLES))
    return {
        role: int(child.generate_state(1, np.uint64)[0] >> 1)
        for role, child in zip(ROLES, children, strict=True)
    }


def assemble(
    protocol: Protocol,
    teacher_name: str,
    arguments: dict[str, Any],
    seed: int,
    listener: Listener,
    workers: int = 1,
    device: str = "cpu",
) -> Assembly:
    """Build world or task, student, teacher, probe, evaluator and loop of one run.

    ``workers`` processes step the procedural worlds; results do not depend on their number.
    ``device`` is where the student learns.

    Raises:
        LyceumError: an unknown name or option, a privilege the protocol does not allow, or a
            teacher that does not fit the task space.
    """
    if protocol.task.kind == "supervised":
        return _supervised(protocol, teacher_name, arguments, seed, listener, device)
    return _procedural(protocol, teacher_name, arguments, seed, listener, workers, device)


def _supervised(
    protocol: Protocol,
    teacher_name: str,
    arguments: dict[str, Any],
    seed: int,
    listener: Listener,
    device: str,
) -> Assembly:
    stream = streams(protocol, seed)
    options = protocol.task.options
    task: SupervisedTask = _build(
        protocol, "task", protocol.task.name, options, seed=stream["task"]
    )
    space = supervised_space(task)
    teacher = build_teacher(protocol, teacher_name, arguments, space, stream["teacher"])

    def new_student(seed: int) -> SupervisedStudent:
        facts = (protocol.student.name, protocol.student.options, task.input_shape)
        return _build(protocol, "student", *facts, task.num_classes, seed=seed, device=device)

    student, budget = new_student(stream["student"]), protocol.budget
    ledger = Ledger(budget.total)
    if _asks_probe(teacher):
        school = ReferenceSchool(task, new_student, ledger, budget.parallel, stream["probe"])
        facts = (task, student, ledger, teacher.privileges, stream["probe"])
        teacher.probe = SupervisedProbe(*facts, school)
    loop = BatchLoop(
        GuardedTeacher(teacher, ledger, budget.teacher_call_seconds),
        student,
        task,
        ledger,
        listener,
        stream["loop"],
        budget.parallel,
        budget.batches_per_proposal,
    )
    columns = {"label": task.label, "prior": task.prior, "group": task.group, **task.truth}
    columns = {f"item_{name}": value for name, value in columns.items() if value is not None}
    evaluator = TestSetEvaluator(task)
    return Assembly(protocol, teacher, student, loop, evaluator, ledger, columns, [])


def _procedural(
    protocol: Protocol,
    teacher_name: str,
    arguments: dict[str, Any],
    seed: int,
    listener: Listener,
    workers: int,
    device: str,
) -> Assembly:
    stream = streams(protocol, seed)
    world: ProceduralEnv = _build(protocol, "world", protocol.task.name, protocol.task.options)
    rugged = _ruggedness(protocol, world, stream["task"])
    held_out_options = {**protocol.task.options, **protocol.evaluation.options}
    check_held_out(protocol, world, _build(protocol, "world", protocol.task.name, held_out_options))
    teacher = build_teacher(
        protocol, teacher_name, arguments, box_space(world), stream["teacher"], rugged
    )
    budget = protocol.budget
    seen = world.observation_space
    if protocol.student.observes_task:
        seen = with_task(seen, world.task_space)
    student = _build(
        protocol,
        "student",
        protocol.student.name,
        protocol.student.options,
        seen,
        world.action_space,
        num_envs=budget.parallel,
        seed=stream["student"],
        device=device,
    )
    worlds, tested, asked = _every_world(protocol, held_out_options, rugged, workers)
    ledger = Ledger(budget.total)
    if _asks_probe(teacher):
        teacher.probe = WorldProbe(
            student, asked, ledger, stream["probe"], protocol.score.success_return
        )
    loop = EpisodicLoop(
        GuardedTeacher(teacher, ledger, budget.teacher_call_seconds),
        student,
        worlds,
        ledger,
        listener,
        stream["loop"],
        protocol.score.success_return,
    )
    evaluator = WorldEvaluator(protocol, tested, stream["evaluation"])
    every = [worlds, tested, *([] if asked is tested else [asked])]
    return Assembly(protocol, teacher, student, loop, evaluator, ledger, {}, every)


def _ruggedness(protocol: Protocol, world: ProceduralEnv, seed: int) -> Ruggedness | None:
    """How the task space is shuffled for a teacher, or None if it is not."""
    try:
        segments = protocol.task.rugged
        return Ruggedness(world.task_space, segments, seed) if segments else None
    except ValueError as error:
        raise LyceumError(f"protocol {protocol.name}: task.rugged: {error}") from error


def _every_world(
    protocol: Protocol,
    held_out_options: dict[str, Any],
    rugged: Ruggedness | None,
    workers: int,
) -> tuple[VectorWorlds, VectorWorlds, VectorWorlds]:
    """Worlds to train in, worlds of the held-out tasks, and those that the probe plays in.

    The latter two are the same, unless the world of the held-out tasks is not to be told.
    """
    name, observes = protocol.task.name, protocol.student.observes_task

    def build(options: dict[str, Any], num_envs: int, shuffled: bool) -> VectorWorlds:
        worlds = make_worlds(TABLES["world"][name], options, num_envs, workers)
        worlds = ObservedTasks(worlds) if observes else worlds
        return RuggedTasks(worlds, rugged) if shuffled else worlds

    many = len(protocol.held_out) * protocol.evaluation.episodes_per_task
    many, shuffled = min(many, EVALUATION_WORLDS), rugged is not None
    training = build(protocol.task.options, protocol.budget.parallel, shuffled)
    tested = build(held_out_options, many, False)
    asked = tested
    if protocol.evaluation.options or shuffled:
        asked = build(protocol.task.options, many, shuffled)
    return training, tested, asked


def check_options(protocol: Protocol) -> None:
    """Refuse names and options of a protocol's world, task or student that do not exist."""
    supervised = protocol.task.kind == "supervised"
    kind, contract = ("task", SupervisedStudent) if supervised else ("world", Student)
    if not issubclass(load("student", protocol.student.name), contract):
        raise LyceumError(
            f"protocol {protocol.name}: student {protocol.student.name} does not learn from a "
            f"{protocol.task.kind} task; it is no {contract.__name__}"
        )
    if supervised and (protocol.student.observes_task or protocol.task.rugged):
        raise LyceumError(
            f"protocol {protocol.name}: student.observes_task and task.rugged are for procedural "
            "worlds; a supervised student has no observations"
        )
    if supervised and protocol.evaluation.options:
        raise LyceumError(
            f"protocol {protocol.name}: evaluation.options are for procedural worlds; the test set "
            "of a supervised task is its own"
        )
    named = [(kind, protocol.task.name, {**protocol.task.options, **protocol.evaluation.options})]
    named.append(("student", protocol.student.name, protocol.student.options))
    for what, name, options in named:
        known = public_hyperparameters(load(what, name))
        for option in options:
            if option not in known:
                raise unknown(f"option of {what} {name}", option, known)


def _build(
    protocol: Protocol, kind: str, name: str, options: dict[str, Any], *facts: Any, **more: Any
) -> Any:
    """Construct a world, task or student; what it refuses is a fault of the protocol."""
    try:
        return load(kind, name)(*facts, **more, **options)
    except (TypeError, ValueError) as error:
        raise LyceumError(
            f"protocol {protocol.name}: {kind} {name} cannot be built: {error}"
        ) from error


def check_held_out(protocol: Protocol, world: ProceduralEnv, held_out: ProceduralEnv) -> None:
    """Refuse a protocol whose held-out tasks or their world do not fit.

    Args:
        protocol: what pins them.
        world: where the student trains.
        held_out: where it is tested.
    """
    if protocol.student.observes_task and held_out.task_space != world.task_space:
        raise LyceumError(
            f"protocol {protocol.name}: a student that observes the task must be tested in the "
            "task space in which it trains; evaluation.options change it"
        )
    spaces_of = [(each.observation_space, each.action_space) for each in (world, held_out)]
    if spaces_of[0] != spaces_of[1]:
        raise LyceumError(
            f"protocol {protocol.name}: evaluation.options change what the student sees or does"
        )
    tasks, world, space = protocol.held_out, held_out, held_out.task_space
    if tasks is None or tasks.ndim != 2 or tasks.shape[1] != space.shape[0]:
        raise LyceumError(
            f"protocol {protocol.name}: held-out tasks must have {space.shape[0]} columns "
            f"({', '.join(p.name for p in world.task_parameters)})"
        )
    outside = [row for row, task in enumerate(tasks) if not space.contains(task)]
    if outside:
        raise LyceumError(
            f"protocol {protocol.name}: held-out task {outside[0]} = {tasks[outside[0]].tolist()} "
            f"is outside the task space {space.low.tolist()} to {space.high.tolist()}"
        )


def _asks_probe(teacher: Teacher) -> bool:
    return bool(ASKING & set(teacher.privileges))

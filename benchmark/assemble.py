"""Builds one run from a protocol, a teacher and a seed: every part gets its own stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from benchmark.errors import LyceumError, unknown
from benchmark.evaluate import TestSetEvaluator, WorldEvaluator
from benchmark.guard import GuardedTeacher
from benchmark.ledger import Ledger
from benchmark.loops.batch import BatchLoop
from benchmark.loops.episodic import EpisodicLoop
from benchmark.loops.listener import Listener
from benchmark.probe import SupervisedProbe, WorldProbe
from benchmark.protocol import Protocol
from benchmark.registry import TABLES, describe, load, public_hyperparameters
from environments.base import ProceduralEnv, SupervisedTask
from environments.vector import VectorWorlds, make_worlds
from students.base import Student, SupervisedStudent
from teachers.base import PRIVILEGES, SIGNALS, Knowledge, TaskSpace, Teacher

# The order is part of every protocol: appending a role leaves the others' streams untouched.
ROLES = ("student", "teacher", "task", "loop", "evaluation", "probe")
EVALUATION_WORLDS = 128
SIGNALS_OF = {
    "supervised": ("loss", "loss_after", "logits", "embedding"),
    "procedural": ("initial_observation", "trajectory"),
}


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
) -> Assembly:
    """Build world or task, student, teacher, probe, evaluator and loop of one run.

    ``workers`` processes step the procedural worlds; results do not depend on their number.

    Raises:
        LyceumError: an unknown name or option, a privilege the protocol does not allow, or a
            teacher that does not fit the task space.
    """
    if protocol.task.kind == "supervised":
        return _supervised(protocol, teacher_name, arguments, seed, listener)
    return _procedural(protocol, teacher_name, arguments, seed, listener, workers)


def _supervised(
    protocol: Protocol, teacher_name: str, arguments: dict[str, Any], seed: int, listener: Listener
) -> Assembly:
    stream = streams(protocol, seed)
    options = protocol.task.options
    task: SupervisedTask = _build(
        protocol, "task", protocol.task.name, options, seed=stream["task"]
    )
    space = supervised_space(task)
    teacher = build_teacher(protocol, teacher_name, arguments, space, stream["teacher"])
    student = _build(
        protocol,
        "student",
        protocol.student.name,
        protocol.student.options,
        task.input_shape,
        task.num_classes,
        seed=stream["student"],
    )
    ledger = Ledger(protocol.budget.total)
    if _asks_probe(teacher):
        teacher.probe = SupervisedProbe(task, student, ledger, teacher.privileges, stream["probe"])
    budget = protocol.budget
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
) -> Assembly:
    stream = streams(protocol, seed)
    world: ProceduralEnv = _build(protocol, "world", protocol.task.name, protocol.task.options)
    space = box_space(world)
    check_held_out(protocol, world)
    teacher = build_teacher(protocol, teacher_name, arguments, space, stream["teacher"])
    budget = protocol.budget
    student = _build(
        protocol,
        "student",
        protocol.student.name,
        protocol.student.options,
        world.observation_space,
        world.action_space,
        num_envs=budget.parallel,
        seed=stream["student"],
    )
    entry, options = TABLES["world"][protocol.task.name], protocol.task.options
    worlds = make_worlds(entry, options, budget.parallel, workers)
    episodes = len(protocol.held_out) * protocol.evaluation.episodes_per_task
    held_out_worlds = make_worlds(entry, options, min(episodes, EVALUATION_WORLDS), workers)
    ledger = Ledger(budget.total)
    if _asks_probe(teacher):
        teacher.probe = WorldProbe(
            student, held_out_worlds, ledger, stream["probe"], protocol.score.success_return
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
    evaluator = WorldEvaluator(protocol, held_out_worlds, stream["evaluation"])
    every = [worlds, held_out_worlds]
    return Assembly(protocol, teacher, student, loop, evaluator, ledger, {}, every)


def check_options(protocol: Protocol) -> None:
    """Refuse names and options of a protocol's world, task or student that do not exist."""
    supervised = protocol.task.kind == "supervised"
    kind, contract = ("task", SupervisedStudent) if supervised else ("world", Student)
    if not issubclass(load("student", protocol.student.name), contract):
        raise LyceumError(
            f"protocol {protocol.name}: student {protocol.student.name} does not learn from a "
            f"{protocol.task.kind} task; it is no {contract.__name__}"
        )
    for what, block in ((kind, protocol.task), ("student", protocol.student)):
        known = public_hyperparameters(load(what, block.name))
        for option in block.options:
            if option not in known:
                raise unknown(f"option of {what} {block.name}", option, known)


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


def supervised_space(task: SupervisedTask) -> TaskSpace:
    """What a teacher may know about the items, levels or parameters of a supervised task."""
    if isinstance(task.task_space, spaces.Box):
        return box_space(task)
    return TaskSpace(task.task_space, label=task.label, group=task.group, prior=task.prior)


def space_kind(protocol: Protocol) -> str:
    """The kind of task space under a protocol, "box" or "discrete", without building anything."""
    if protocol.task.kind == "procedural":
        return "box"
    return load("task", protocol.task.name).space_kind(**protocol.task.options)


def box_space(world: ProceduralEnv | SupervisedTask) -> TaskSpace:
    """What a teacher may know about the task parameters of a world or a generator of examples."""
    parameters = world.task_parameters
    return TaskSpace(
        world.task_space,
        names=tuple(parameter.name for parameter in parameters),
        units=tuple(parameter.unit for parameter in parameters),
        meanings=tuple(parameter.meaning for parameter in parameters),
        default=world.default_task,
    )


def check_held_out(protocol: Protocol, world: ProceduralEnv) -> None:
    """Refuse a protocol whose held-out tasks do not fit its world."""
    tasks, space = protocol.held_out, world.task_space
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


def fitting_teacher(protocol: Protocol, name: str, arguments: dict[str, Any]) -> type[Teacher]:
    """Find a teacher's class and refuse what can be refused before anything is trained."""
    cls = load("teacher", name)
    label = describe(name)
    if not issubclass(cls, Teacher):
        raise LyceumError(f"{label} is no teacher: its class must inherit teachers.base.Teacher")
    kind = space_kind(protocol)
    if kind not in cls.spaces:
        raise LyceumError(
            f"teacher {label} teaches {' and '.join(cls.spaces)} task spaces only, "
            f"but {protocol.name} has a {kind} one"
        )
    for declared, known in ((cls.signals, SIGNALS), (cls.privileges, PRIVILEGES)):
        for entry in declared:
            if entry not in known:
                raise unknown("declaration", entry, known)
    given = SIGNALS_OF[protocol.task.kind]
    absent = [signal for signal in cls.signals if signal not in given]
    if absent:
        raise LyceumError(
            f"teacher {label} reads the signal '{absent[0]}', which a {protocol.task.kind} task "
            f"does not give (it gives: {', '.join(given)})"
        )
    extra = sorted(set(cls.privileges) - set(protocol.information.privileges))
    if extra:
        raise LyceumError(
            f"teacher {label} needs the privilege '{extra[0]}', which {protocol.name} "
            f"does not allow (allowed: {', '.join(protocol.information.privileges) or 'none'})"
        )
    known = public_hyperparameters(cls)
    for argument in arguments:
        if argument not in known:
            raise unknown(f"option of {label}", argument, known)
    return cls


def build_teacher(
    protocol: Protocol, name: str, arguments: dict[str, Any], space: TaskSpace, seed: int
) -> Teacher:
    """Construct a teacher with exactly the knowledge that it declares and the protocol allows."""
    cls = fitting_teacher(protocol, name, arguments)
    told = {
        "group": space.group if "groups" in cls.privileges else None,
        "prior": space.prior if "prior" in cls.privileges else None,
    }
    shown = TaskSpace(**{**vars(space), **told})
    try:
        return cls(shown, seed=seed, knowledge=knowledge(protocol), **arguments)
    except Exception as error:
        raise LyceumError(
            f"teacher {describe(name)} cannot be built: {type(error).__name__}: {error}"
        ) from error


def knowledge(protocol: Protocol) -> Knowledge:
    """Expert knowledge at the protocol's level: nothing, the return range, or everything."""
    information = protocol.information
    if information.knowledge == "none":
        return Knowledge()
    pair = tuple(information.return_range) if information.return_range else None
    if information.knowledge == "low":
        return Knowledge(return_range=pair)
    return Knowledge(
        return_range=pair,
        initial=_gaussian(information.initial_mean, information.initial_std),
        target=_gaussian(information.target_mean, information.target_std),
    )


def _gaussian(
    mean: list[float] | None, std: list[float] | None
) -> tuple[np.ndarray, np.ndarray] | None:
    return None if mean is None or std is None else (np.array(mean), np.array(std))


def _asks_probe(teacher: Teacher) -> bool:
    return bool({"probe", "value_function", "validation_labels"} & set(teacher.privileges))

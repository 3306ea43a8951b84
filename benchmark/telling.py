"""What a teacher is told: its task space, its knowledge, and nothing that it may not have."""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from benchmark.errors import LyceumError, unknown
from benchmark.protocol import Protocol
from benchmark.registry import describe, load, public_hyperparameters
from environments.base import ProceduralEnv, SupervisedTask
from environments.rugged_tasks import Ruggedness
from teachers.base import PRIVILEGES, SIGNALS, Knowledge, TaskSpace, Teacher
from teachers.hooks import undeclared

SIGNALS_OF = {
    "supervised": ("loss", "loss_after", "logits", "embedding", "inputs"),
    "procedural": ("initial_observation", "trajectory"),
}


def build_teacher(
    protocol: Protocol,
    name: str,
    arguments: dict[str, Any],
    space: TaskSpace,
    seed: int,
    rugged: Ruggedness | None = None,
) -> Teacher:
    """Construct a teacher with exactly the knowledge that it declares and the protocol allows.

    In a ``rugged`` space the default task and the means of what it is told lie where the teacher
    finds them; deviations stay, as in the published challenge.
    """
    cls, expert = fitting_teacher(protocol, name, arguments), knowledge(protocol)
    if rugged is not None:
        space = replace(space, default=rugged.coordinates(space.default[None])[0])
        pairs = {"initial": expert.initial, "target": expert.target}
        moved = {k: (rugged.coordinates(v[0][None])[0], v[1]) for k, v in pairs.items() if v}
        expert = replace(expert, **moved)
    told = {
        "group": space.group if "groups" in cls.privileges else None,
        "prior": space.prior if "prior" in cls.privileges else None,
    }
    shown = TaskSpace(**{**vars(space), **told})
    try:
        return cls(shown, seed=seed, knowledge=expert, **arguments)
    except Exception as error:
        raise LyceumError(
            f"teacher {describe(name)} cannot be built: {type(error).__name__}: {error}"
        ) from error


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
    _check_hooks(protocol, cls, label)
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


def _check_hooks(protocol: Protocol, cls: type[Teacher], label: str) -> None:
    """Refuse hooks that are not declared, or that this protocol's student cannot follow."""
    fault = undeclared(cls)
    if fault:
        raise LyceumError(f"teacher {label}: {fault}")
    if not cls.changes:
        return
    if protocol.task.kind != "supervised":
        raise LyceumError(
            f"teacher {label} changes the {cls.changes[0]}, which only supervised tasks allow; "
            f"{protocol.name} is a {protocol.task.kind} one"
        )
    student = load("student", protocol.student.name)
    follows = {
        "objective": "slope" in inspect.signature(student.train).parameters,
        "student": hasattr(student, "adjust"),
    }
    lacking = [word for word in cls.changes if not follows[word]]
    if lacking:
        raise LyceumError(
            f"teacher {label} changes the {lacking[0]}, but the student of {protocol.name}, "
            f"{protocol.student.name}, does not take that"
        )


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

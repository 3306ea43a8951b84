"""Bodies of other sizes: longer millipedes, spiders with more legs, larger wheels.

The measured doubles in ``assets/embodiments.json`` are of the default sizes: 4 segments, 2 pairs of
legs, scale 1. Other sizes repeat or move the measured parts by the rules of the reference
(TeachMyAgent, Romac et al., 2021, https://arxiv.org/abs/2103.09815); at the default size nothing
moves, and the facts stay equal bit for bit. The second pair of legs of a spider, and every further
one, starts at the same place as the first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

from environments.box2d.engine import SCALE

Facts = dict[str, Any]
SEGMENT_PX, SEGMENTS, SEGMENT_PARTS = 20, 4, 5
PAIR_PARTS = 6
TRUNK_PX = 10  # half a side of a wheel's trunk at scale 1
DIRECTIONS = ((0, -1), (0, 1), (-1, 0), (1, 0))  # of a wheel's legs in creation order
TORQUE_PENALTY = 0.00035
# Per body: what its size counts, the smallest and the largest.
SIZES = {
    "millipede": ("segments", 1, 10),
    "spider": ("pairs of legs", 1, 6),
    "wheel": ("scale of the trunk", 0.25, 3.0),
}


def grow(name: str, facts: Facts, size: float) -> Facts:
    """The facts of a body of another size.

    Args:
        name: "millipede", "spider" or "wheel".
        facts: its entry in ``embodiments.json``, of the default size.
        size: number of segments (1 to 10), pairs of legs (1 to 6), or scale of the trunk (0.25 to
            3).

    Raises:
        ValueError: another body, or a size that is out of range or no whole number of parts.
    """
    if name not in SIZES:
        raise ValueError(
            f"body_size is for {', '.join(SIZES)}; the size of {name} cannot be chosen"
        )
    what, least, most = SIZES[name]
    counts = name != "wheel"
    number = isinstance(size, Real) and not isinstance(size, bool)
    if not number or not least <= size <= most or (counts and size != int(size)):
        kind = "a whole number" if counts else "a number"
        raise ValueError(
            f"body_size of {name} is its {what}, {kind} from {least} to {most}, but is {size!r}"
        )
    growers: dict[str, Callable[[Facts, Any], Facts]] = {
        "millipede": _millipede,
        "spider": _spider,
        "wheel": _wheel,
    }
    return growers[name](facts, int(size) if counts else float(size))


def _millipede(facts: Facts, count: int) -> Facts:
    """The chain is centred half a segment to the left of the spawn point, whatever its length."""
    grown = _without_parts(facts)
    for segment in range(count):
        # The first segment has no neck; those beyond the fourth are copies of it.
        template = min(segment, SEGMENTS - 1)
        parts = range(SEGMENT_PARTS * template, SEGMENT_PARTS * (template + 1))
        joints = range(max(5 * template - 1, 0), 5 * template + 4)
        shift = SEGMENT_PX * (segment - template) - SEGMENT_PX / 2 * (count - SEGMENTS)
        _copy_parts(
            grown,
            facts,
            parts,
            joints,
            part_shift=SEGMENT_PARTS * (segment - template),
            move=(shift / SCALE, 0.0),
        )
        grown["creation_order"] += ["body", *["body", "joint"] * 4, *["joint"] * (template > 0)]
    grown["head_body"] = SEGMENT_PARTS * (count - 1)
    return _counted(grown, TORQUE_PENALTY / count)


def _spider(facts: Facts, pairs: int) -> Facts:
    grown = _without_parts(facts)
    _copy_parts(grown, facts, range(1), range(0), part_shift=0, move=(0.0, 0.0))
    grown["creation_order"] += ["body"]
    for pair in range(pairs):
        _copy_parts(
            grown,
            facts,
            range(1, 1 + PAIR_PARTS),
            range(PAIR_PARTS),
            part_shift=PAIR_PARTS * pair,
            move=(0.0, 0.0),
        )
        grown["creation_order"] += ["body", "joint"] * PAIR_PARTS
    return _counted(grown, TORQUE_PENALTY / pairs)


def _wheel(facts: Facts, scale: float) -> Facts:
    """A larger trunk carries the same legs farther out, and stands higher by as much."""
    grown = copy.deepcopy(facts)
    out = TRUNK_PX * (scale - 1.0) / SCALE
    grown["shapes_exact"][0]["vertices"] = [
        [x * scale, y * scale] for x, y in facts["shapes_exact"][0]["vertices"]
    ]
    for spawn in grown["spawn_exact"].values():
        spawn["init_y"] += out
        places, anchors = spawn["body_position_angle"], spawn["joint_anchors"]
        places[0][1] += out
        for leg, (right, up) in enumerate(DIRECTIONS):
            points = [*places[1 + 2 * leg : 3 + 2 * leg]]
            points += [anchor["anchor"] for anchor in anchors[2 * leg : 2 * leg + 2]]
            for point in points:
                point[0] += out * right
                point[1] += out * up + out
    return grown


def _without_parts(facts: Facts) -> Facts:
    """A copy of the facts that waits for its parts and joints."""
    grown = {name: value for name, value in facts.items() if not isinstance(value, list | dict)}
    for name in ("bodies", "joints", "shapes_exact", "joint_limits_exact", "creation_order"):
        grown[name] = []
    grown["spawn_exact"] = {
        world: {**spawn, "body_position_angle": [], "joint_anchors": []}
        for world, spawn in facts["spawn_exact"].items()
    }
    return grown


def _copy_parts(
    grown: Facts,
    facts: Facts,
    parts: Sequence[int],
    joints: Sequence[int],
    part_shift: int,
    move: tuple[float, float],
) -> None:
    """Add copies of parts and joints, moved in metres; numbers of parts shift by ``part_shift``.

    A joint's first body keeps its number where it is not among ``parts``: a trunk. The neck of a
    millipede's segment joins the segment before it, which shifts as well.
    """
    trunk = None if facts["bodies"][parts[0]]["name"] == "body" else 0
    for part in parts:
        grown["bodies"].append(copy.deepcopy(facts["bodies"][part]))
        grown["shapes_exact"].append(copy.deepcopy(facts["shapes_exact"][part]))
    for number in joints:
        joint = copy.deepcopy(facts["joints"][number])
        for side in ("bodyA", "bodyB", "contact_body"):
            if joint.get(side) not in (None, trunk):
                joint[side] += part_shift
        grown["joints"].append(joint)
        grown["joint_limits_exact"].append(list(facts["joint_limits_exact"][number]))
    for world, spawn in facts["spawn_exact"].items():
        ours = grown["spawn_exact"][world]
        for part in parts:
            x, y, angle = spawn["body_position_angle"][part]
            ours["body_position_angle"].append([x + move[0], y + move[1], angle])
        for number in joints:
            x, y = spawn["joint_anchors"][number]["anchor"]
            ours["joint_anchors"].append({"anchor": [x + move[0], y + move[1]]})


def _counted(grown: Facts, torque_penalty: float) -> Facts:
    """Fill in what follows from the joints."""
    driven = [joint for joint in grown["joints"] if joint["motor_enabled"]]
    observed = sum(joint["observe_contact"] for joint in driven)
    grown["action_size"], grown["motor_state_size"] = len(driven), 2 * len(driven) + observed
    grown["torque_penalty"] = torque_penalty
    return grown

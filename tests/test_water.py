"""The forces of the water against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest

from environments.box2d import water
from environments.box2d.corridor import TRACK_X, Corridor
from environments.box2d.engine import TERRAIN_HEIGHT
from environments.box2d.parkour import Parkour

SQUARE = [(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0)]  # counter-clockwise


def test_area_centroid_and_edges_of_a_polygon():
    area, centroid, edges = water.measure(SQUARE)
    assert area == 4.0 and centroid == (1.0, 1.0)
    assert edges[0] == (0.0, 1.0, 2.0, 0.0, -1.0)  # from the last corner to the first
    assert [edge[2] for edge in edges] == [2.0] * 4
    triangle = [(4.0, 1.0), (7.0, 1.0), (4.0, 4.0)]
    area, centroid, _ = water.measure(triangle)
    assert area == pytest.approx(4.5) and centroid == pytest.approx((5.0, 2.0))
    assert water.measure([(0.0, 0.0), (1e-4, 0.0), (0.0, 1e-4)])[0] == 0.0


def test_polygons_are_cut_at_the_level():
    assert water.below(SQUARE, 3.0) == SQUARE
    assert water.below(SQUARE, -1.0) == []
    assert water.measure(water.below(SQUARE, 0.5))[0] == pytest.approx(1.0)
    corner = [(0.0, 0.0), (1.0, 1.0), (0.0, 2.0), (-1.0, 1.0)]
    area, centroid, _ = water.measure(water.below(corner, 0.5))
    assert area == pytest.approx(0.25) and centroid == pytest.approx((0.0, 1 / 3))
    assert water.measure(water.below(corner, 1.5))[0] == pytest.approx(1.75)


def test_drag_and_lift_by_hand():
    # A plate that faces the flow: drag 0.25 · L · V², no lift.
    plate = [(0.0, 0.0, 2.0, 0.0, 1.0)]  # along y; its normal points to +x
    assert water.drag_and_lift(plate, (0.0, 0.0), (3.0, 0.0, 0.0)) == (-4.5, 0.0, 0.0)
    # Flow from behind does nothing.
    assert water.drag_and_lift(plate, (0.0, 0.0), (-3.0, 0.0, 0.0)) == (0.0, 0.0, 0.0)
    # At 45 degrees: k = cos 45, e·d = sin 45; |drag| = 0.25·k·L·V², |lift| = that times e·d.
    u = 3.0
    force = water.drag_and_lift(plate, (0.0, 0.0), (u, u, 0.0))
    square, k = 2 * u * u, math.sqrt(0.5)
    drag = 0.25 * k * 2.0 * square
    lift = drag * k
    expected = (-drag * k - lift * k, -drag * k + lift * k)
    assert force[:2] == pytest.approx(expected)
    # A turning plate beside the centre of mass: speed = spin times arm, torque = arm times force.
    beside = [(0.0, 2.0, 1.0, 0.0, 1.0)]
    x, y, torque = water.drag_and_lift(beside, (0.0, 0.0), (0.0, 0.0, -1.5))
    assert (x, y) == pytest.approx((-0.25 * 9.0, 0.0)) and torque == pytest.approx(2 * 0.25 * 9.0)
    # Limits.
    assert water.drag_and_lift(plate, (0.0, 0.0), (1e3, 0.0, 0.0))[0] == -2000.0


def test_strokes_push_by_hand():
    edge = [(0.0, 0.0, 2.0, 0.0, 1.0)]  # normal +x
    # F = (-τ l_y, τ l_x) = (0.5, 0); p = 0.5; M = 0.05 · p · L · (τ + J)² = 0.05 · 0.5 · 2 · 1.44
    push = water.stroke_push(edge, (0.0, -0.5), (1.0, 1.2), 20.0)
    assert push == pytest.approx((-0.05 * 0.5 * 2 * 1.44 * 0.5, 0.0))
    assert water.stroke_push(edge, (0.0, 0.5), (1.0, 1.2), 20.0) == (0.0, 0.0)  # pulls away
    assert water.stroke_push(edge * 2, (0.0, -0.5), (80.0, 80.0), 20.0)[0] == -40.0  # per edge


def fish_in(level):
    env = Parkour("fish")
    ground = np.full(len(TRACK_X), TERRAIN_HEIGHT - 20)
    env.reset_scene(Corridor(TRACK_X, ground, ground + 60, [], level))
    return env


def test_the_fish_is_just_lighter_than_water():
    """Its density is 0.99, that of the water 1."""
    env = fish_in(40.0)
    for part in env.embodiment.parts:
        part.linearVelocity, part.angularVelocity = (0.0, 0.0), 0.0
    mass = sum(part.mass for part in env.embodiment.parts)
    before = sum(part.mass * part.linearVelocity.y for part in env.embodiment.parts)
    env._water.push()
    env._world.Step(1 / 50, 180, 60)
    after = sum(part.mass * part.linearVelocity.y for part in env.embodiment.parts)
    rise = (after - before) / mass * 50  # m/s²
    # The forces of the reset's last step were applied once already: twice the buoyancy.
    assert rise == pytest.approx(2 * 10 / 0.99 - 10, rel=5e-3)


def test_a_swimming_fish_stays_while_a_dry_one_drops():
    heights = {}
    for level in (40.0, -100.0):
        env = fish_in(level)
        start = env._y
        for _ in range(25):
            env.step(np.zeros(4))
        heights[level] = env._y - start
    assert abs(heights[40.0]) < 0.1 and heights[-100.0] < -1.0


def test_strokes_swim():
    """A beating tail and a limp one part; nothing else differs."""
    places = []
    for beat in (0.0, 1.0):
        env = fish_in(40.0)
        for step in range(100):
            env.step(np.full(4, beat * math.copysign(1.0, math.sin(step / 4))))
        places.append(env._x)
    assert abs(places[1] - places[0]) > 0.2


def test_water_reaches_only_what_was_wet_before_the_step():
    env = fish_in(40.0)
    part = env._water.parts[0]
    part.wet = False
    speed = part.body
    env._water.push()
    assert part.wet and speed is part.body
    applied = []
    original = env._water._push_part
    env._water._push_part = lambda *arguments: applied.append(arguments[0]) or original(*arguments)
    env._water.push()
    assert applied == env._water.parts
    part.wet = False
    applied.clear()
    env._water.push()
    assert part not in applied and len(applied) == len(env._water.parts) - 1

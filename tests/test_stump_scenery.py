"""The terrain of StumpTracks and its lidar, against the published equations and the engine."""

from __future__ import annotations

import math

import Box2D
import numpy as np
import pytest

from environments.box2d import engine, lidar
from environments.box2d.stump_tracks import StumpTracks
from environments.box2d.terrain import Terrain, generate
from tests.conftest import GOLDEN

STEP = engine.TERRAIN_STEP


def test_terrains_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="left to right"):
        Terrain([(1.0, 0.0), (0.0, 0.0)], [])
    with pytest.raises(ValueError, match="two points"):
        Terrain([(1.0, 0.0)], [])
    with pytest.raises(ValueError, match="four corners"):
        Terrain([(0.0, 0.0), (1.0, 0.0)], np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="finite"):
        Terrain([(0.0, 0.0), (1.0, np.nan)], [])


class ScriptedDraws:
    """Plays back the draws of a recorded reset instead of making its own."""

    def __init__(self, purposes, values):
        names = {"stump_height", "stump_width", "stump_rot"}
        pairs = list(zip(purposes, values, strict=True))
        self.obstacles = iter([value for name, value in pairs if name in names])
        self.bends = iter([value for name, value in pairs if name == "roughness"])

    def normal(self, mean, std):
        return next(self.obstacles)

    def uniform(self, low, high):
        return next(self.bends)


def test_terrain_follows_the_equations_of_the_reference():
    paths = sorted(GOLDEN.glob("st_*.npz"))
    assert len(paths) >= 2
    for path in paths:
        with np.load(path) as file:
            record = dict(file)
        task = dict(zip(record["task_names"].tolist(), record["task_vector"], strict=True))
        options = {"roughness": task.get("roughness", 0.0)}
        if "stump_width[0]" in task:
            options["stump_width"] = task["stump_width[0]"], task["stump_width[1]"]
        if "stump_rot[0]" in task:
            options["stump_rotation"] = task["stump_rot[0]"], task["stump_rot[1]"]
        script = ScriptedDraws(record["draw_purpose"].tolist(), record["draw_value"].tolist())
        terrain = generate(script, task["stump_height"], task["obstacle_spacing"], **options)
        assert np.array_equal(terrain.ground[:, 0], record["terrain_x"]), path.stem
        assert np.array_equal(terrain.ground[:, 1], record["terrain_y"]), path.stem
        # The engine may begin a rotated box at another corner.
        ours, theirs = (
            np.sort(stumps.astype(np.float32), axis=1)
            for stumps in (terrain.stumps, record["stump_vertices"])
        )
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5, err_msg=path.stem)


def test_terrain_by_hand():
    class Constant:
        def normal(self, mean, std):
            return mean

        def uniform(self, low, high):
            return high

    terrain = generate(Constant(), 2.0, 5.0, stump_width=(2.0, 0.0), roughness=3.0)
    pad, ground = 20 * STEP, engine.TERRAIN_HEIGHT
    # First slope 0.1; the second is 0.8 of it, minus 0.01 towards the start height, plus 0.1.
    expected = [
        (0.0, ground),
        (pad, ground),
        (pad, ground),
        (pad + 2 * STEP, ground + 0.1),
        (pad + 2 * STEP + 5, ground + 0.1),
        (pad + 4 * STEP + 5, ground + 0.1 + 0.17),
    ]
    np.testing.assert_allclose(terrain.ground[:6], expected)
    box = [
        (pad + 2 * STEP, ground),
        (pad + 2 * STEP, ground + 2 * STEP),
        (pad, ground + 2 * STEP),
        (pad, ground),
    ]
    np.testing.assert_allclose(terrain.stumps[0], box)
    turned = generate(Constant(), 2.0, 5.0, stump_rotation=(math.pi / 2, 0.0)).stumps[0]
    middle = pad + STEP / 2  # a quarter turn about the middle of the base
    corners = [(x, ground + y) for x in (middle - 2 * STEP, middle) for y in (-STEP / 2, STEP / 2)]
    np.testing.assert_allclose(sorted(turned.round(9).tolist()), np.round(corners, 9))


def test_last_ground_vertices_of_the_published_test_set():
    ends = [93.23, 93.20, 92.60, 93.20, 91.27, 92.93, 90.20, 91.93, 91.00, 87.40]
    rng = np.random.default_rng(0)
    ours = [generate(rng, 1.0, spacing).ground[-1, 0] for spacing in np.linspace(0, 6, 10)]
    np.testing.assert_allclose(ours, ends, atol=0.006)


class ClosestHit(Box2D.b2RayCastCallback):
    def __init__(self):
        super().__init__()
        self.fraction = 1.0

    def ReportFixture(self, fixture, point, normal, fraction):
        self.fraction = fraction
        return fraction


def cast(world, x, y):
    fractions = []
    for ray in lidar.LAYOUTS["down"].rays.tolist():
        callback = ClosestHit()
        world.RayCast(callback, (x, y), (x + ray[0], y + ray[1]))
        fractions.append(callback.fraction)
    return fractions


@pytest.mark.parametrize("spacing", [0.0, 1.0, 6.0])
@pytest.mark.parametrize("rotation", [None, (0.8, 0.5)])
def test_lidar_equals_the_ray_casts_of_the_engine(spacing, rotation):
    rng = np.random.default_rng([int(spacing), rotation is None])
    terrain = generate(
        rng, 2.0, spacing, stump_width=(1.5, 0.5), stump_rotation=rotation, roughness=2.0
    )
    world = engine.build_world()
    StumpTracks()._furnish(engine.Scenery(world), terrain)
    table = lidar.LidarTable(StumpTracks()._edges(terrain))
    # Also below the ground, inside stumps, before the start and behind the end.
    xs = rng.uniform(-6, 100, 400).astype(np.float32).tolist()
    heights = np.interp(xs, *terrain.ground.T) + rng.uniform(-0.5, 6.0, 400)
    ys = heights.astype(np.float32).tolist()
    ours = lidar.scan([table.window(x) for x in xs], xs, ys)
    theirs = np.array([cast(world, x, y) for x, y in zip(xs, ys, strict=True)])
    assert 0.3 < (theirs < 1.0).mean() < 1.0
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)


def test_lidar_by_hand():
    box = [(3.0, 0.0), (3.0, 1.0), (2.0, 1.0), (2.0, 0.0)]
    edges = lidar.Edges().add_line(np.array([(-50.0, 0.0), (50.0, 0.0)]))
    table = lidar.LidarTable(edges.add_polygons(np.array([box])))
    reach, angles = 160 / 30, 0.15 * np.arange(10)
    above, inside, below = lidar.scan(
        [table.window(x) for x in (0.0, 2.5, 0.0)], [0.0, 2.5, 0.0], [2.0, 0.5, -1.0]
    )
    expected = np.minimum(2.0 / np.cos(angles) / reach, 1.0)  # the ground, 2 m below
    expected[6:8] = 2.0 / np.sin(angles[6:8]) / reach  # the side, 2 m ahead
    expected[8] = 1.0 / np.cos(angles[8]) / reach  # the top, 1 m below
    np.testing.assert_allclose(above, expected)
    np.testing.assert_allclose(inside, np.minimum(0.5 / np.cos(angles) / reach, 1.0))
    assert below.tolist() == [1.0] * 10

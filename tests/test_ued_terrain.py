"""The tracks of the 8-D encoding, by hand and against Gymnasium's BipedalWalker-v3."""

from __future__ import annotations

import itertools

import Box2D
import gymnasium
import numpy as np
import pytest
from gymnasium.utils import seeding

from environments.box2d import engine
from environments.box2d import ued_terrain as ued

STEP, START = engine.TERRAIN_STEP, engine.TERRAIN_HEIGHT
FINISH_LINE = (engine.TERRAIN_STEPS - 10) * STEP
FLAT = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
ALL = (2.0, 1.0, 4.0, 0.5, 2.0, 0.5, 1.5, 5.0)


class Script:
    """Plays back draws and checks from which range each was asked; then goes on with ``rng``."""

    def __init__(self, *draws):
        self.draws = list(draws)
        self.rng = np.random.default_rng(0)

    def _next(self, name, args):
        if not self.draws:
            return getattr(self.rng, name)(*args)
        expected_name, expected_args, value = self.draws.pop(0)
        assert (name, args) == (expected_name, expected_args)
        return value

    def integers(self, *args):
        return self._next("integers", args)

    def uniform(self, *args):
        return self._next("uniform", args)

    def random(self, *args):
        return self._next("random", args)


def turn(length):
    return ("integers", (5, 10), length)


def heights(terrain, first, last):
    """The heights of some vertices above the start, in steps."""
    return ((terrain.ground[first : last + 1, 1] - START) / STEP).round(9).tolist()


def boxes(terrain):
    """Left, right, bottom, top of every polygon, in steps; bottom and top above the start."""
    low, high = terrain.polygons.min(axis=1), terrain.polygons.max(axis=1)
    sides = np.stack([low[:, 0], high[:, 0], low[:, 1] - START, high[:, 1] - START], axis=1)
    return (sides / STEP).round(9).tolist()


def test_terrains_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="left to right"):
        ued.UEDTerrain([(1.0, 0.0), (0.0, 0.0)], [])
    with pytest.raises(ValueError, match="two points"):
        ued.UEDTerrain([(1.0, 0.0)], [])
    with pytest.raises(ValueError, match="four corners"):
        ued.UEDTerrain([(0.0, 0.0), (1.0, 0.0)], np.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="finite"):
        ued.UEDTerrain([(0.0, 0.0), (1.0, np.nan)], [])


def test_edges_join_neighbouring_vertices():
    terrain = ued.UEDTerrain([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)], [])
    assert terrain.edges.tolist() == [[[0.0, 0.0], [1.0, 2.0]], [[1.0, 2.0], [3.0, 1.0]]]
    assert terrain.polygons.shape == (0, 4, 2)


@pytest.mark.parametrize(
    "task",
    [
        FLAT[:-1],
        [FLAT],
        (-0.1, *FLAT[1:]),
        (0.0, 10.1, *FLAT[2:]),
        (*FLAT[:-1], 0.0),
        (*FLAT[:-1], 9.1),
        (np.nan, *FLAT[1:]),
    ],
)
def test_tasks_outside_the_encoding_are_refused(task):
    with pytest.raises(ValueError, match=r"8 finite numbers .* stair_steps"):
        ued.generate(np.random.default_rng(0), task)


def test_decoding_sorts_rounds_and_switches_off():
    plan = ued.decode((3.0, 5.0, 1.0, 0.5, 4.0, 2.0, 0.0, 4.6))
    assert plan == ued.Decoded(3.0, (0.5, 4.0), (0.0, 2.0), 5, (1.0, 5.0))
    at = ued.decode((0.0, 0.8, 0.0, 0.0, 0.2, 0.2, 0.2, 2.5))
    assert at == ued.Decoded(0.0, (0.0, 0.2), (0.2, 0.2), 2, (0.0, 0.8))
    below = ued.decode((0.0, 0.79, 0.7, 0.19, 0.1, 0.19, 0.19, 3.5))
    assert below == ued.Decoded(0.0, None, None, 4, None)


def test_the_order_of_the_ends_does_not_matter():
    swapped = [ALL[index] for index in (0, 2, 1, 4, 3, 6, 5, 7)]
    one, other = (ued.generate(np.random.default_rng(3), task) for task in (ALL, swapped))
    assert len(one.polygons) > 0
    assert np.array_equal(one.ground, other.ground)
    assert np.array_equal(one.polygons, other.polygons)


def test_what_is_too_small_is_as_if_it_were_not_there():
    small = (1.0, 0.7, 0.79, 0.1, 0.19, 0.19, 0.05, 9.0)
    one, other = (
        ued.generate(np.random.default_rng(3), task) for task in (small, (1.0, *FLAT[1:]))
    )
    assert len(one.polygons) == 0
    assert np.array_equal(one.ground, other.ground)


def test_grass_by_hand():
    bend = ("uniform", (-1, 1), 0.5)
    terrain = ued.generate(Script(turn(5), *[bend] * 4, turn(6), bend), (2.0, *FLAT[1:]))
    assert terrain.ground.shape == (200, 2)
    np.testing.assert_array_equal(terrain.ground[:, 0], np.arange(200) * STEP)
    assert (terrain.ground[:21, 1] == START).all()  # the pad and the first vertex of the grass
    slopes = [0.5 / 30]  # no pull at the start height
    for _ in range(4):
        slopes.append(0.8 * slopes[-1] - 0.01 + 0.5 / 30)
    expected = START + 2.0 * np.cumsum(slopes)
    np.testing.assert_allclose(terrain.ground[21:25, 1], expected[:4])
    np.testing.assert_allclose(terrain.ground[25:27, 1], [expected[3], expected[4]])


def test_stump_by_hand():
    draws = (turn(6), ("integers", (1, 2), 1), ("uniform", (2.0, 3.0), 2.5), turn(5))
    bend = ("uniform", (-1, 1), 1.0)
    task = (1.0, 0.0, 0.0, 2.0, 3.0, 0.0, 0.0, 1.0)
    terrain = ued.generate(Script(*draws, bend), task)
    assert boxes(terrain)[0] == [20.0, 21.0, 0.0, 2.5]
    assert heights(terrain, 19, 26) == [0.0] * 8  # six below and behind it, one of the grass
    assert terrain.ground[27, 1] == START + 1.0 / 30
    corners = [(21 * STEP, START), (21 * STEP, START + 2.5 * STEP)]
    corners += [(20 * STEP, START + 2.5 * STEP), (20 * STEP, START)]
    np.testing.assert_allclose(terrain.polygons[0], corners)  # counter-clockwise


def stairs(height, toss, treads, length=7):
    draws = [turn(length), ("integers", (1, 2), 1), ("uniform", (0.0, 2.0), height)]
    draws += [("random", (), toss), ("integers", (4,), treads), turn(5)]
    return ued.generate(Script(*draws), (0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0))


def test_stairs_by_hand():
    up = stairs(1.5, 0.51, 2)
    assert boxes(up)[:2] == [[20.0, 24.0, -1.5, 0.0], [24.0, 28.0, 0.0, 1.5]]
    assert heights(up, 20, 29) == [0.0] * 5 + [1.5] * 5  # the last one belongs to the grass
    down = stairs(1.5, 0.5, 2)
    assert boxes(down)[:2] == [[20.0, 24.0, -1.5, 0.0], [24.0, 28.0, -3.0, -1.5]]
    assert heights(down, 20, 29) == [0.0] + [-1.5] * 4 + [-3.0] * 5


def test_stairs_without_treads_by_hand():
    none = stairs(1.5, 0.9, 0)  # one flat vertex, then five of grass, then the next flight
    assert len(none.polygons) == 0 or boxes(none)[0][0] >= 26.0
    assert heights(none, 20, 25) == [0.0] * 6
    low = stairs(0.01, 0.9, 3)  # a turn of 7: the last 6 of the 12 vertices of a flight of 3
    assert len(low.polygons) == 0 or boxes(low)[0][0] >= 32.0
    assert heights(low, 20, 27) == [0.0, 0.01, 0.01, 0.02, 0.02, 0.02, 0.02, 0.02]


@pytest.mark.parametrize(("gap", "floor"), [(1.5, 3), (2.0, 3), (0.1, 2)])
def test_pit_by_hand(gap, floor):
    draws = (turn(7), ("integers", (1, 2), 1), ("uniform", (0.0, 2.0), gap), turn(5))
    terrain = ued.generate(Script(*draws), (0.0, 0.0, 2.0, 0.0, 0.0, 0.0, 0.0, 1.0))
    assert boxes(terrain)[:2] == [
        [20.0, 21.0, -4.0, 0.0],
        [21.0 + gap, 22.0 + gap, -4.0, 0.0],
    ]
    assert heights(terrain, 20, 22 + floor) == [0.0] + [-4.0] * floor + [0.0] * 2
    end = terrain.ground[21 + floor, 0]  # moved back to the far corner of the second wall
    np.testing.assert_allclose(end, (22.0 + gap) * STEP)
    np.testing.assert_allclose(terrain.ground[22 + floor, 0], (22 + floor) * STEP)


def test_obstacles_are_numbered_stump_stairs_pit():
    found = []
    for number in (1, 2, 3):
        script = Script(turn(5), ("integers", (1, 4), number))
        terrain = ued.generate(script, (0.0, 9.0, 9.0, 3.0, 3.0, 1.0, 1.0, 9.0))
        left, right, bottom, _ = boxes(terrain)[0]
        kind = "pit" if bottom == -4.0 else "stairs" if right - left == 4.0 else "stump"
        found.append(kind if left == 20.0 else "elsewhere")
    assert found == ["stump", "stairs", "pit"]


def test_obstacles_and_treads_are_drawn_uniformly():
    rng = np.random.default_rng(1)
    kinds = {"stump": 0, "pit": 0}
    for _ in range(300):
        tops = ued.generate(rng, (0.0, 3.0, 3.0, 1.0, 2.0, 0.0, 0.0, 1.0)).polygons[:, 1, 1] - START
        kinds["stump"] += int((tops > 0.1).sum())
        kinds["pit"] += int((tops <= 0.1).sum()) / 2
    share = kinds["stump"] / sum(kinds.values())
    assert abs(share - 0.5) < 0.03
    treads = []
    for _ in range(600):
        terrain = ued.generate(rng, (0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 4.0))
        number, left = 0, 20.0
        for box in boxes(terrain):
            number += box[0] == left + 4 * number
        treads.append(number)
    counts = np.bincount(treads, minlength=4)
    assert len(counts) == 4
    assert (abs(counts / 600 - 0.25) < 0.07).all()


def test_one_step_means_no_stairs():
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert len(ued.generate(rng, (1.0, 0.0, 0.0, 0.0, 0.0, 5.0, 5.0, 1.0)).polygons) == 0


def test_stumps_are_never_too_flat_for_the_engine():
    rng = np.random.default_rng(0)
    for _ in range(200):
        terrain = ued.generate(rng, (0.0, 0.0, 0.0, 0.0, 0.2, 0.0, 0.0, 1.0))
        tall = np.ptp(terrain.polygons[:, :, 1], axis=1) / STEP
        assert ((tall > 0.0099) & (tall < 0.2001)).all()


@pytest.mark.parametrize("hardcore", [False, True])
def test_gymnasium_tracks_are_met_bit_for_bit(hardcore):
    with gymnasium.make("BipedalWalker-v3", hardcore=hardcore) as env:
        for seed in range(25):
            env.reset(seed=seed)
            world = env.unwrapped
            rng, _ = seeding.np_random(seed)
            terrain = ued.generate_gymnasium(rng, hardcore=hardcore)
            assert terrain.ground[:, 0].tolist() == world.terrain_x
            assert terrain.ground[:, 1].tolist() == world.terrain_y
            # Gymnasium keeps its bodies in reverse order of creation.
            theirs = [body.fixtures[0].shape.vertices for body in reversed(world.terrain)]
            ours = [*terrain.polygons.astype(np.float32), *terrain.edges.astype(np.float32)]
            assert len(terrain.polygons) == 0 or hardcore
            assert [np.asarray(shape).tolist() for shape in ours] == [
                [list(vertex) for vertex in shape] for shape in theirs
            ]
            rng.random(ued.CLOUD_DRAWS)
            rng.uniform(-5, 5)  # the push
            assert rng.bit_generator.state == world.np_random.bit_generator.state


def test_roughness_one_is_bipedal_walker():
    task = ued.TEST_TASKS["BipedalWalker-v3"]
    assert task.max_episode_steps == gymnasium.spec("BipedalWalker-v3").max_episode_steps
    hardcore = ued.TEST_TASKS["BipedalWalkerHardcore-v3"]
    limit = gymnasium.spec("BipedalWalkerHardcore-v3").max_episode_steps
    assert hardcore.max_episode_steps == limit
    for seed in range(10):
        plain, encoded, ladders, published = (
            ued.generate_gymnasium(np.random.default_rng(seed), hardcore=False),
            task.generate(np.random.default_rng(seed)),
            ued.generate_gymnasium(np.random.default_rng(seed), hardcore=True),
            hardcore.generate(np.random.default_rng(seed)),
        )
        assert np.array_equal(plain.ground, encoded.ground)
        assert np.array_equal(ladders.ground, published.ground)
        assert np.array_equal(ladders.polygons, published.polygons)


def test_same_generator_same_track_other_seed_other_track():
    one, same, other = (ued.generate(np.random.default_rng(seed), ALL) for seed in (0, 0, 1))
    assert np.array_equal(one.ground, same.ground)
    assert np.array_equal(one.polygons, same.polygons)
    assert not np.array_equal(one.ground, other.ground)


def usable(terrain):
    """Whether a walker can start on it and reach the finish line, and the engine can build it."""
    x, y = terrain.ground.T
    assert terrain.ground.shape == (200, 2)
    assert np.isfinite(terrain.ground).all()
    assert x[0] == 0.0
    assert (np.diff(x) > 0.0).all()
    assert x[-1] > FINISH_LINE + 5 * STEP
    assert (y[:21] == START).all()
    assert (terrain.polygons[:, :, 0] >= 20 * STEP).all()  # nothing stands on the pad
    shape = Box2D.b2PolygonShape()
    for polygon in terrain.polygons:  # the engine keeps the corners and their order
        shape.vertices = [tuple(corner) for corner in polygon.tolist()]
        assert np.array_equal(np.float32(shape.vertices), polygon.astype(np.float32))
    return True


def test_every_corner_and_random_tasks_are_usable():
    rng = np.random.default_rng(7)
    corners = itertools.product(*zip(ued.LOW, ued.HIGH, strict=True))
    tasks = [*corners, *rng.uniform(ued.LOW, ued.HIGH, (200, 8))]
    assert len(tasks) == 456
    assert all(usable(ued.generate(rng, task)) for task in tasks)


def test_published_tasks_are_usable_and_as_hard_as_published():
    rng = np.random.default_rng(7)
    assert len(ued.TEST_TASKS) == 18
    assert all(usable(task.generate(rng)) for task in ued.TEST_TASKS.values())
    for name, height in [("Med-StumpHeight", 2.0), ("High-StumpHeight", 5.0)]:
        sides = np.array(boxes(ued.TEST_TASKS[name].generate(rng)))
        np.testing.assert_allclose(sides[:, 3] - sides[:, 2], height)
        np.testing.assert_allclose(sides[:, 1] - sides[:, 0], 1.0)
    for name, gap in [("Med-PitGap", 5.0), ("Wide-PitGap", 10.0)]:
        sides = np.array(boxes(ued.TEST_TASKS[name].generate(rng)))
        np.testing.assert_allclose(sides[1::2, 0] - sides[::2, 1], gap)
    classes = {
        name: int(ued.difficulty_class(np.array([task.task]))[0])
        for name, task in ued.TEST_TASKS.items()
        if task.task is not None
    }
    assert [classes[f"POET-Rose-{level}"] for level in ("1a", "1b", "2a", "2b", "3a", "3b")] == [
        *[3] * 5,
        2,  # its widest pit is 4.8
    ]
    assert classes["Insane"] == 3 and classes["Med-Roughness"] == 1
    assert classes["BipedalWalker-v3"] == classes["Med-PitGap"] == 0


def test_roses_are_those_of_poet():
    levels = {  # roughness, stumps from and to, pits to and from
        "1a": (5.6, 2.4, 2.82, 6.4, 4.48),
        "1b": (5.44, 1.8, 2.82, 6.72, 4.48),
        "2a": (7.2, 1.98, 2.82, 7.2, 5.6),
        "2b": (5.76, 2.16, 2.76, 7.2, 1.6),
        "3a": (5.28, 1.98, 2.76, 7.2, 4.8),
        "3b": (4.8, 2.4, 2.76, 4.48, 4.8),
    }
    for name, (rough, *stump, wide, narrow) in levels.items():
        plan = ued.decode(ued.TEST_TASKS[f"POET-Rose-{name}"].task)
        pit = tuple(sorted((narrow, wide)))
        assert plan == ued.Decoded(rough, tuple(stump), None, 1, pit)


def test_difficulty_classes():
    tasks = [FLAT, FLAT, FLAT, FLAT, FLAT]
    tasks[1] = (4.5, 6.0, 0.0, 0.0, 2.4, 5.0, 5.0, 9.0)
    tasks[2] = (4.4, 0.0, 6.0, 2.4, 0.0, 0.0, 0.0, 1.0)
    tasks[3] = (4.4, 5.9, 5.9, 2.3, 2.3, 5.0, 5.0, 9.0)
    tasks[4] = (4.5, *FLAT[1:])
    classes = ued.difficulty_class(np.array(tasks))
    assert classes.tolist() == [0, 3, 2, 0, 1]
    assert classes.dtype == np.int64
    extreme = np.random.default_rng(0).uniform(ued.EXTREME_LOW, ued.EXTREME_HIGH, (50, 8))
    assert (ued.difficulty_class(extreme) == 3).all()
    with pytest.raises(ValueError, match=r"\(n, 8\)"):
        ued.difficulty_class(np.array(FLAT))


def test_easy_levels_lie_in_the_space_and_are_easy():
    space = ued.easy_task_space()
    assert (space.low >= ued.LOW).all() and (space.high <= ued.HIGH).all()
    assert ued.EDIT_SIZES.shape == ued.LOW.shape and (ued.EDIT_SIZES <= ued.HIGH - ued.LOW).all()
    space.seed(0)
    rng = np.random.default_rng(0)
    kinds = set()
    for _ in range(40):
        sides = np.array(boxes(ued.generate(rng, space.sample()))).reshape(-1, 4)
        tall = (sides[:, 3] - sides[:, 2]).round(6)
        assert ((tall <= 0.4) | (tall == 4.0)).all()  # stumps and pits, never treads
        kinds |= set((tall == 4.0).tolist())
        assert np.allclose(sides[:, 1] - sides[:, 0], 1.0)
    assert kinds == {True, False}


def test_parameters_tell_their_ranges():
    assert [parameter.name for parameter in ued.TASK_PARAMETERS] == [
        "roughness",
        *("pit_gap_low", "pit_gap_high"),
        *("stump_height_low", "stump_height_high"),
        *("stair_height_low", "stair_height_high"),
        "stair_steps",
    ]
    assert ued.LOW.tolist() == [0.0] * 7 + [1.0]
    assert ued.HIGH.tolist() == [10.0, 10.0, 10.0, 5.0, 5.0, 5.0, 5.0, 9.0]
    default = [parameter.default for parameter in ued.TASK_PARAMETERS]
    assert tuple(default) == ued.TEST_TASKS["BipedalWalker-v3"].task

"""Pictures of the Box2D worlds: what they show, that they change nothing, and the window."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.error import DependencyNotInstalled, Error

from environments.box2d import render
from environments.box2d.body import BODIES
from environments.box2d.corridor import Corridor
from environments.box2d.engine import TERRAIN_HEIGHT
from environments.box2d.parkour import Parkour
from environments.box2d.render import OVERSAMPLING, Camera, draw_scene
from environments.box2d.stump_tracks import StumpTracks
from environments.box2d.terrain import Terrain
from environments.window import Window

GROUND = TERRAIN_HEIGHT
CLIMBER = "climbing_profile_chimpanzee"


def corridor(
    water=-50.0, ceiling=GROUND + 8, creepers=((7.0, 7.6, GROUND + 5, GROUND + 8),), **more
):
    x = np.linspace(0.0, 102.0, 205)
    flat = np.ones(len(x))
    return Corridor(x, GROUND * flat, ceiling * flat, np.array(creepers), water, **more)


def parkour(body="old_classic_bipedal", scene=None, **options):
    world = Parkour(body, render_mode="rgb_array", **options)
    world.reset(seed=0)
    world.reset_scene(corridor() if scene is None else scene)
    return world


def pixel(world, x, y, frame=None):
    """The colour at a place given in metres, as three whole numbers."""
    frame = draw_scene(world) if frame is None else frame
    ((column, row),) = Camera.follow(world)([(x, y)])
    return frame[int(row // OVERSAMPLING), int(column // OVERSAMPLING)].astype(int)


def close_to(colour, expected, tolerance=12):
    return np.abs(np.asarray(colour) - np.asarray(expected)[:3]).max() <= tolerance


def count(frame, colour):
    """Pixels of exactly this colour below the bar of progress."""
    return int((frame[10:] == np.array(colour[:3])).all(axis=2).sum())


def test_a_corridor_shows_ground_rock_creepers_and_air():
    world = parkour()
    assert close_to(pixel(world, 15.0, GROUND - 0.6), render.SOIL)
    assert close_to(pixel(world, 15.0, GROUND - 2.0), render.DEEP_SOIL)
    assert close_to(pixel(world, 15.0, GROUND + 8.6), render.ROCK)
    assert close_to(pixel(world, 15.0, GROUND + 10.0), render.DEEP_ROCK)
    assert close_to(pixel(world, 7.3, GROUND + 6.0), render.CREEPER)
    red, green, blue = pixel(world, 15.0, GROUND + 6.0)
    assert min(red, green, blue) > 180 and max(red, green, blue) - min(red, green, blue) < 25
    assert not close_to(pixel(world, 7.3, GROUND + 4.0), render.CREEPER, 40)


def test_water_fills_what_lies_below_its_surface_and_nothing_else():
    dry, wet = parkour(), parkour(scene=corridor(water=GROUND + 6))
    for height in (0.5, 3.0, 5.7):
        before, after = (pixel(world, 15.0, GROUND + height) for world in (dry, wet))
        assert after[2] - after[0] > before[2] - before[0] + 50  # bluer
    assert close_to(pixel(wet, 15.0, GROUND + 6.0), render.SURFACE, 40)
    for height in (-1.0, 6.5, 7.5, 9.0):  # ground, air, air, rock
        assert close_to(*(pixel(world, 15.0, GROUND + height) for world in (dry, wet)), 1)
    creeper = pixel(wet, 7.3, GROUND + 5.5)  # it shines through
    assert creeper[1] > creeper[0] + 30 and not close_to(creeper, render.CREEPER)


def test_water_above_the_ceiling_has_no_surface_and_leaves_the_rock():
    world = parkour("fish", corridor(water=GROUND + 20))
    frame = draw_scene(world)
    assert close_to(pixel(world, 15.0, GROUND + 9.0, frame), render.ROCK)
    red, _, blue = pixel(world, 15.0, GROUND + 7.7, frame)
    assert blue > red + 50
    assert count(frame, render.SURFACE) == 0


def test_a_bank_keeps_its_own_side_of_the_water():
    bank = corridor(creepers=())
    ground = np.where(bank.x < 10.0, GROUND, GROUND + 4.0)
    world = parkour(scene=Corridor(bank.x, ground, bank.ceiling, (), GROUND + 2.0))
    left, right = pixel(world, 8.5, GROUND + 1.0), pixel(world, 12.0, GROUND + 3.0)
    assert left[2] > left[0] + 50
    assert close_to(right, render.SOIL)


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (lambda: StumpTracks(), {0.0}),
        (lambda: parkour(scene=corridor(water=GROUND + 0.4)), {-1.0}),
        (lambda: parkour(CLIMBER, corridor(creepers=[(6.0, 6.6, GROUND + 4, GROUND + 8)])), {0, 1}),
    ],
    ids=["terrain", "water", "creeper"],
)
def test_rays_have_the_colour_of_what_they_meet(world, expected):
    world = world()
    if world.scene is None:
        world.reset_scene(Terrain([(0.0, GROUND), (100.0, GROUND)], []))
    surfaces = getattr(world, "surfaces", np.zeros(10))
    origin, seen = np.array(world.embodiment.place()), set()
    for ray, share, surface in zip(world.layout.rays, world.rays, surfaces, strict=True):
        # Limbs may hide what is right below the body.
        if share < 1.0 and abs(ray[0]) > 1.0:
            colour = pixel(world, *(origin + share * ray))
            distance = {
                kind: np.abs(colour - np.array(rgb)).sum() for kind, rgb in render.RAYS.items()
            }
            assert min(distance, key=distance.get) == surface
            seen.add(float(surface))
    assert seen == expected


def test_a_ray_that_meets_nothing_forgets_what_it_met_before():
    world = parkour()
    world.rays = np.ones(10)
    frames = []
    for surface in (0.0, 1.0, -1.0):
        world.surfaces = np.full(10, surface)
        frames.append(draw_scene(world))
    assert np.array_equal(frames[0], frames[1]) and np.array_equal(frames[0], frames[2])


def test_stumps_and_other_boxes_stand_on_the_ground():
    box = [[(8.0, GROUND), (8.0, GROUND + 2), (7.0, GROUND + 2), (7.0, GROUND)]]
    world = StumpTracks()
    world.reset_scene(Terrain([(0.0, GROUND), (100.0, GROUND)], box))
    stumps = draw_scene(world)
    assert close_to(pixel(world, 7.5, GROUND + 1, stumps), render.STUMP)
    assert not close_to(pixel(world, 7.5, GROUND + 3, stumps), render.STUMP, 40)
    world.scene = SimpleNamespace(ground=world.scene.ground, polygons=np.array(box))
    assert np.array_equal(draw_scene(world), stumps)


@pytest.mark.parametrize("world", [StumpTracks, Parkour])
@pytest.mark.parametrize("body", BODIES)
def test_every_body_is_seen_twice_the_same(world, body):
    env = world(body, render_mode="rgb_array")
    env.reset(seed=1)
    frame = env.render()
    assert frame.shape == (400, 600, 3) and frame.dtype == np.uint8
    trunk = np.array(render.BODY[render.TRUNK])
    if world is Parkour and body == "fish":  # seen through water
        *water, alpha = render.WATER_BEFORE
        trunk = trunk + (np.array(water) - trunk) * alpha / 255
    assert (np.abs(frame[10:] - trunk).max(axis=2) < 3).sum() > 60
    assert np.array_equal(frame, env.render())


def test_limbs_have_a_near_and_a_far_side():
    for body in BODIES:
        layers = render._layers(Parkour(body).plan)
        limbs = [layer for layer in layers if layer != render.TRUNK]
        if body in ("fish", "wheel"):
            assert set(limbs) == {render.NEAR}
        else:
            assert limbs.count(render.NEAR) == limbs.count(render.FAR)
    assert render._layers(Parkour("big_quadru").plan) == [1, 2, 2, 0, 0, 2, 2, 0, 0]


def test_a_limb_that_touches_something_lights_up():
    world = parkour()  # starts above the ground
    assert world.embodiment.contacts.touching == [0.0] * 5
    assert count(draw_scene(world), render.TOUCHING) == 0
    while not any(world.embodiment.contacts.touching):
        world.step(np.zeros(4))
    assert count(draw_scene(world), render.TOUCHING) > 50


def test_grips_are_filled_while_they_hold():
    world = parkour(CLIMBER)
    grip = world.embodiment.parts[world.plan.grips[0]]
    world.step(np.concatenate([np.zeros(10), [1.0, 1.0]]))
    assert world.embodiment.attached == [1.0, 1.0]
    assert close_to(pixel(world, *grip.worldCenter), render.GRIP)
    for _ in range(5):
        world.step(np.zeros(12))
    assert world.embodiment.attached == [0.0, 0.0]
    assert not close_to(pixel(world, *grip.worldCenter), render.GRIP, 40)


def test_a_dead_body_is_grey_and_crossed():
    world = parkour("spider", corridor(water=GROUND + 6), breath_steps=3)
    alive = draw_scene(world)
    world.step(np.zeros(12))
    while not world.dead:
        world.step(np.ones(12))
    world.scene = corridor()  # the same without water, whose colour would lie over all
    frame = draw_scene(world)
    assert count(frame, render.DEAD[render.TRUNK]) > 20
    assert count(frame, render.DEAD_MARK) > 10
    for colours in (render.BODY.values(), [render.TOUCHING]):
        assert all(count(frame, colour) == 0 for colour in colours)
    assert count(alive, render.DEAD_MARK) == 0


def lifted(world, height):
    """Move the body so that its reference body is ``height`` above the ground."""
    rise = GROUND + height - world.embodiment.place()[1]
    for part in world.embodiment.parts:
        part.position = (part.position.x, part.position.y + rise)
    return Camera.follow(world)


def test_a_low_corridor_is_seen_whole_and_a_high_one_from_the_body():
    world = parkour()
    bottoms = {lifted(world, height).bottom for height in (1.0, 4.0, 7.0)}
    camera = Camera.follow(world)
    assert len(bottoms) == 1
    assert camera.bottom <= GROUND - 2 and camera.bottom + camera.height >= GROUND + 10
    world.scene = corridor(ceiling=GROUND + 20, creepers=())
    for height in np.linspace(0.0, 20.0, 41):
        camera = lifted(world, height)
        assert 2.4 <= GROUND + height - camera.bottom <= camera.height - 2.4
        if height < 5:
            assert camera.bottom == pytest.approx(GROUND - 2.5)
        if height > 15:
            assert camera.bottom + camera.height == pytest.approx(GROUND + 22.5)


def test_the_camera_does_not_jump_at_the_edge_of_a_pit():
    world = StumpTracks()
    world.reset_scene(Terrain([(0.0, GROUND), (100.0, GROUND)], []))
    heights = [GROUND, GROUND, GROUND - 2, GROUND - 2, GROUND, GROUND]
    ground = np.stack([[0.0, 20.0, 20.0, 23.0, 23.0, 100.0], heights], axis=1)
    world.scene = SimpleNamespace(ground=ground, polygons=np.empty((0, 4, 2)))
    bottoms = []
    for x in np.arange(10.0, 33.0, 0.05):
        for part in world.embodiment.parts:
            part.position = (x, part.position.y)
        bottoms.append(Camera.follow(world).bottom)
    assert np.abs(np.diff(bottoms)).max() < 0.1
    assert max(bottoms) - min(bottoms) > 0.5


@pytest.mark.parametrize(
    ("body", "options"),
    [("old_classic_bipedal", {}), (CLIMBER, {"creepers": "movable"}), ("fish", {})],
)
def test_drawing_does_not_disturb_an_episode(body, options):
    traces = []
    for drawn in (False, True):
        world = Parkour(body, render_mode="rgb_array", **options)
        world.reset(seed=3)
        rng, trace = np.random.default_rng(0), []
        for _ in range(60):
            if drawn:
                world.render()
            observation, reward, *_ = world.step(rng.uniform(0, 1, world.action_space.shape))
            trace.append((observation.tobytes(), world.observation64.tobytes(), reward))
        traces.append((trace, world.np_random.bit_generator.state))
    assert traces[0] == traces[1]


@pytest.fixture
def pygame(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame = pytest.importorskip("pygame")
    yield pygame
    pygame.display.quit()


def test_a_window_shows_what_a_picture_shows_at_the_pace_of_the_world(pygame, monkeypatch):
    ticks = []
    monkeypatch.setattr(pygame.time, "Clock", lambda: SimpleNamespace(tick=ticks.append))
    watched, drawn = StumpTracks(render_mode="human"), StumpTracks(render_mode="rgb_array")
    for world in (watched, drawn):
        world.reset(seed=0)
        world.step(np.ones(4))
    shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
    assert np.array_equal(shown, drawn.render())
    assert pygame.display.get_caption()[0] == "StumpTracks"
    assert ticks == [50, 50]
    watched.close()
    assert pygame.display.get_surface() is None
    watched.close()


def test_closing_the_window_leaves_the_episode_running(pygame):
    world = StumpTracks(render_mode="human")
    world.reset(seed=0)
    pygame.event.post(pygame.event.Event(pygame.QUIT))
    world.step(np.zeros(4))
    assert pygame.display.get_surface() is None
    world.step(np.zeros(4))
    world.reset(seed=0)
    assert pygame.display.get_surface() is None and world.steps == 0
    world.close()


def test_a_later_window_takes_the_display(pygame):
    first, picture = Window("first", (20, 30, 3), 1000), np.zeros((20, 30, 3), np.uint8)
    first.show(picture)
    second = Window("second", (40, 30, 3), 1000)
    first.show(picture)
    assert first.closed
    first.close()
    second.show(np.full((40, 30, 3), 9, np.uint8))
    assert not second.closed
    assert pygame.surfarray.array3d(pygame.display.get_surface()).max() == 9
    second.close()


def test_a_window_says_what_it_needs(pygame, monkeypatch):
    pygame.display.quit()
    monkeypatch.setenv("SDL_VIDEODRIVER", "none_of_this_name")
    with pytest.raises(Error, match="rgb_array"):
        Window("nowhere", (20, 30, 3), 50)
    monkeypatch.setitem(__import__("sys").modules, "pygame", None)
    world = StumpTracks(render_mode="human")
    with pytest.raises(DependencyNotInstalled, match=r"pip install lyceum\[human\]"):
        world.reset(seed=0)

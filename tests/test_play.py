"""`lyceum play` and `lyceum gallery` from outside, and what is on their pictures."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmark import cli, gallery, play
from benchmark.errors import LyceumError
from benchmark.provenance import ROOT
from environments import WORLDS
from environments.base import TaskParameter
from environments.box2d.body import BODIES
from environments.box2d.parkour import Parkour
from environments.box2d.stump_tracks import StumpTracks

WORLD = """
import numpy as np
from gymnasium import spaces
from environments.base import ProceduralEnv, TaskParameter

class Mine(ProceduralEnv):
    metadata = {"render_modes": %s, "render_fps": 10}
    task_parameters = (TaskParameter("size", 0, 1, 0.5, "", "none"),)
    observation_space = spaces.Box(0, 1, (1,))
    action_space = spaces.Discrete(3)
    def __init__(self, breaks_at=99, render_mode=None):
        self.breaks_at, self.render_mode = breaks_at, render_mode
    def reset(self, *, seed=None, options=None):
        self.begin(seed, options)
        self.count = 0
        return np.zeros(1, np.float32), {}
    def step(self, action):
        assert self.action_space.contains(action)
        self.count += 1
        if self.count == self.breaks_at:
            raise RuntimeError("broken on purpose")
        return np.zeros(1, np.float32), 0.5, self.count == 6, False, {"success": True}
    def render(self):
        return np.full((31, 41, 3), 40 * self.count, np.uint8)
"""


@pytest.fixture
def lyceum(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; gives (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["lyceum", *map(str, arguments)])
        with pytest.raises(SystemExit) as ending:
            cli.main()
        captured = capsys.readouterr()
        return int(ending.value.code or 0), captured.out, captured.err

    return run


def files():
    return sorted(path.name for path in Path.cwd().iterdir())


def frames(path):
    """All pictures of a video, (n, height, width, 3)."""
    imageio = pytest.importorskip("imageio.v3")
    return imageio.imread(path, plugin="FFMPEG" if path.endswith("mp4") else "pillow")


def test_play_prints_one_line_and_writes_nothing(lyceum):
    arguments = ("play", "stump_tracks", "--task", "1.5,3", "--seed", 4)
    code, out, err = lyceum(*arguments)
    assert (code, err) == (0, "") and files() == []
    form = r"stump_tracks, seed 4, stump_height 1.5, obstacle_spacing 3: \d+ steps, "
    assert re.fullmatch(form + r"return -?\d+\.\d, success (yes|no)\n", out)
    assert lyceum(*arguments)[1] == out
    assert lyceum(*arguments[:-1], 5)[1].split(": ")[1] != out.split(": ")[1]


def test_an_mp4_holds_the_first_picture_and_one_per_step(lyceum):
    command = ("play", "stump_tracks", "--body", "spider", "--steps", 30, "--video", "a.mp4")
    code, out, err = lyceum(*command)
    assert code == 0, err
    assert "30 steps (stopped)" in out and "Written: a.mp4" in out
    assert files() == ["a.mp4"]
    video = frames("a.mp4")
    assert video.shape == (31, 400, 600, 3)
    world = StumpTracks("spider", render_mode="rgb_array")
    world.reset(seed=0)
    choose = play.chooser(world, "random", 0)
    assert np.abs(video[0].astype(int) - world.render()).mean() < 3
    for step in range(30):
        world.step(choose(step))
    last = world.render().astype(int)
    assert np.abs(video[-1] - last).mean() < 3
    assert np.abs(video[0] - last).mean() > np.abs(video[-1] - last).mean()
    assert pytest.importorskip("imageio.v3").immeta("a.mp4")["fps"] == 50


def test_a_gif_has_25_pictures_per_second_and_true_colours(lyceum):
    code, _, err = lyceum("play", "stump_tracks", "--steps", 20, "--video", "a.gif")
    assert code == 0, err
    with Image.open("a.gif") as image:
        assert image.n_frames == 11 and image.size == (600, 400)
        assert image.info["duration"] == 40 and image.info["loop"] == 0
    world = StumpTracks(render_mode="rgb_array")
    world.reset(seed=0)
    assert np.abs(frames("a.gif")[0].astype(int) - world.render()).mean() < 5


def test_a_frame_is_the_last_picture(lyceum):
    task = ("--task", "water_level=0.9", "--task", "-0.2, 0.8")
    code, out, err = lyceum("play", "parkour", *task, "--steps", 5, "--frame", "a.png")
    assert code == 0, err
    assert "input_vector_0 -0.2, input_vector_1 0.8, input_vector_2 0.1, water_level 0.9" in out
    world = Parkour(render_mode="rgb_array")
    world.reset(seed=0, options={"task": [-0.2, 0.8, 0.1, 0.9, 0.0, 5.0]})
    choose = play.chooser(world, "random", 0)
    for step in range(5):
        world.step(choose(step))
    with Image.open("a.png") as image:
        assert np.array_equal(np.asarray(image), world.render())


def test_other_settings_reach_the_world(lyceum):
    bounds = "task_bounds={stump_height=[0,9],stump_width=[0,3]}"
    settings = ("--set", bounds, "--set", "max_episode_steps=3")
    code, out, err = lyceum("play", "stump_tracks", *settings, "--task", "stump_height=8")
    assert code == 0, err
    assert "stump_height 8, obstacle_spacing 6, stump_width 1: 3 steps, " in out
    code, out, _ = lyceum("play", "hypercube", "--set", "dimensions=1", "--task", "0.5")
    assert code == 0 and "x0 0.5: 1 step, return 0." in out


def test_a_window_plays_at_the_pace_of_the_world(lyceum, monkeypatch):
    pygame = pytest.importorskip("pygame")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    ticks = []

    class Clock:
        def tick(self, fps):
            ticks.append(fps)
            if len(ticks) == 8:
                pygame.event.post(pygame.event.Event(pygame.QUIT))

    monkeypatch.setattr(pygame.time, "Clock", Clock)
    code, out, err = lyceum("play", "stump_tracks", "--human", "--steps", 5)
    assert code == 0, err
    assert ticks == [50] * 6 and "5 steps (stopped)" in out
    assert pygame.display.get_surface() is None
    ticks.clear()
    code, out, _ = lyceum("play", "stump_tracks", "--human")  # closed by its user
    assert code == 0 and "8 steps (stopped)" in out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("stump_track",), "did you mean 'stump_tracks'"),
        (("nowhere.py:Mine",), "no file nowhere.py"),
        (("stump_tracks", "--body", "spidr"), "did you mean 'spider'"),
        (("hypercube", "--body", "spider"), "unknown option of the world hypercube 'body'"),
        (("stump_tracks", "--body", "fish", "--set", "body=fish"), "named twice"),
        (("stump_tracks", "--set", "quirk=true"), "did you mean 'quirks'"),
        (("stump_tracks", "--set", "render_mode=human"), "unknown option"),
        (("stump_tracks", "--set", "max_episode_steps=0"), "max_episode_steps"),
        (("stump_tracks", "--set", "max_episode_steps=soon"), "cannot be built"),
        (("stump_tracks", "--set", "stump_width=3"), "cannot begin an episode"),
        (("stump_tracks", "--set", "quirks"), "name=value"),
        (("stump_tracks", "--task", "stump_hight=1"), "did you mean 'stump_height'"),
        (("stump_tracks", "--task", "9"), "stump_height must be between 0 and 3, but is 9"),
        (("stump_tracks", "--task", "nan"), "stump_height must be between"),
        (("stump_tracks", "--task", "1,2,3"), "more than the 2 numbers"),
        (("stump_tracks", "--task", "1", "--task", "stump_height=2"), "stump_height twice"),
        (("stump_tracks", "--task", "1,high"), "obstacle_spacing must be a number, but is 'high'"),
        (("stump_tracks", "--task", ""), "must be a number"),
        (("stump_tracks", "--actions", "rndom"), "did you mean 'random'"),
        (("stump_tracks", "--actions", "hold"), "no grips"),
        (("stump_tracks", "--steps", "0"), "--steps"),
        (("stump_tracks", "--seed", "-1"), "--seed"),
        (("stump_tracks", "--video", "a.avi"), "--video takes a file ending in .mp4 or .gif"),
        (("stump_tracks", "--frame", "a.jpg"), "--frame takes a file ending in .png"),
        (("stump_tracks", "--video", "no/a.mp4"), "no/a.mp4 cannot be written"),
        (("stump_tracks", "--video", "folder.gif"), "folder.gif cannot be written"),
        (("stump_tracks", "--frame", "no/a.png", "--video", "a.gif"), "no/a.png cannot be"),
        (("plain.py:Mine", "--frame", "a.png"), "draws no pictures"),
        (("plain.py:Mine", "--actions", "zero"), "needs a Box"),
        (("plain.py:Other",), "does not derive from ProceduralEnv"),
    ],
)
def test_a_mistake_is_one_sentence_and_nothing_is_played(lyceum, monkeypatch, arguments, expected):
    def never(*_):
        raise AssertionError("played although something is wrong")

    monkeypatch.setattr(StumpTracks, "step", never)
    Path("plain.py").write_text(WORLD % "[]" + "\n\nclass Other:\n    pass\n", encoding="utf-8")
    Path("folder.gif").mkdir()
    code, out, err = lyceum("play", *arguments)
    assert code == 2 and out == ""
    assert expected in err and "Traceback" not in err
    assert files() == ["folder.gif", "plain.py"]


@pytest.mark.parametrize("missing", ["imageio", "imageio_ffmpeg"])
def test_what_is_not_installed_is_named(lyceum, monkeypatch, missing):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == missing else found(name, *a)
    )
    code, _, err = lyceum("play", "stump_tracks", "--video", "a.mp4")
    assert code == 2 and "pip install lyceum[video]" in err
    code, _, err = lyceum("play", "stump_tracks", "--steps", 2, "--video", "a.gif")
    assert code == 0, err
    monkeypatch.setitem(sys.modules, "pygame", None)
    code, _, err = lyceum("play", "stump_tracks", "--human")
    assert code == 2 and "pip install lyceum[human]" in err
    assert files() == ["a.gif"]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.png"])
def test_a_file_is_written_whole_or_not_at_all(lyceum, name):
    Path("mine.py").write_text(WORLD % '["rgb_array"]', encoding="utf-8")
    Path(name).write_bytes(b"old")
    option = "--frame" if name.endswith("png") else "--video"
    with pytest.raises(RuntimeError, match="on purpose"):
        play.play(
            cli.console,
            "mine.py:Mine",
            tasks=[],
            body=None,
            seed=0,
            settings=["breaks_at=4"],
            steps=None,
            actions="random",
            human=False,
            **{"video": None, "frame": None, option[2:]: Path(name)},
        )
    assert Path(name).read_bytes() == b"old" and files() == [name, "mine.py"]
    code, out, err = lyceum("play", "mine.py:Mine", option, name)
    assert code == 0, err
    assert "size 0.5: 6 steps, return 3.0, success yes" in out
    if name == "a.png":
        with Image.open(name) as image:
            assert image.size == (41, 31) and image.getpixel((5, 5)) == (240, 240, 240)
    else:
        shades = frames(name)[..., 5, 5, 0].astype(int)  # 10 per second: a .gif keeps all
        assert np.abs(shades - 40 * np.arange(7)).max() < 8


def test_a_video_for_which_the_disk_has_no_room_is_refused(lyceum):
    command = "-m benchmark.cli play stump_tracks --body spider --steps 200 --video a.mp4"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -f 8; exec {sys.executable} {command}"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert "is the disk full?" in done.stderr and files() == []


def test_task_values_go_where_they_belong():
    parameters = [TaskParameter(name, -1.0, 2.0, 0.5, "", "") for name in "abc"]
    for texts, expected in (
        ([], [0.5, 0.5, 0.5]),
        (["1"], [1.0, 0.5, 0.5]),
        (["1,-1", "2"], [1.0, -1.0, 2.0]),
        (["c=2", "1"], [1.0, 0.5, 2.0]),
        ([" b = 1e-1 , c=0"], [0.5, 0.1, 0.0]),
    ):
        assert play.parse_task(texts, parameters).tolist() == expected
    with pytest.raises(LyceumError, match="b must be between -1 and 2, but is 3"):
        play.parse_task(["0,3"], parameters)


def test_actions_are_held_and_grips_stay_closed():
    world = Parkour("climbing_profile_chimpanzee")
    choose = play.chooser(world, "hold", 1)
    chosen = np.array([choose(step) for step in range(40)])
    assert len(np.unique(chosen, axis=0)) == 4
    assert all(np.ptp(chosen[start : start + 10], axis=0).max() == 0 for start in (0, 10, 20, 30))
    assert (chosen[:, -2:] == 1.0).all() and (chosen[:, :-2] != 1.0).all()
    open_grips = np.array([play.chooser(world, "random", seed)(0)[-2:] for seed in range(20)])
    assert (open_grips <= 0).any() and (open_grips > 0).any()
    assert play.chooser(world, "zero", 1)(5).tolist() == [0.0] * 12


def test_the_gallery_shows_every_body_world_and_kind_of_task(lyceum):
    tiles = gallery.tiles()
    assert sorted(tile.options["body"] for tile in gallery.BODY_TILES) == sorted(BODIES)
    assert {tile.world for tile in tiles} == set(WORLDS)
    abouts = {(tile.world, tile.about) for tile in gallery.TASK_TILES}
    kinds = ("easy", "hard", "wide", "rotated", "sequence")
    assert abouts >= {("stump_tracks", about) for about in kinds}
    assert abouts >= {
        ("parkour", about) for about in ("easy", "creepers", "movable creepers", "water")
    }
    code, out, err = lyceum("gallery", "--out", "all.png")
    assert code == 0, err
    assert f"Written: all.png ({len(tiles)} tiles)" in out and files() == ["all.png"]
    width, height = gallery.TILE
    with Image.open("all.png") as sheet:
        sheet = np.asarray(sheet)
    for number in (0, 9, 14, len(tiles) - 1):
        row, column = divmod(number, gallery.COLUMNS)
        top = gallery.GAP + row * (height + gallery.CAPTION + gallery.GAP)
        left = gallery.GAP + column * (width + gallery.GAP)
        picture = np.asarray(gallery.picture_of(tiles[number]))
        assert picture.shape == (height, width, 3)
        assert np.array_equal(sheet[top : top + height, left : left + width], picture)
        caption = sheet[top + height : top + height + gallery.CAPTION, left : left + width]
        assert (caption < 128).any(axis=2).sum() > 100
        assert (caption[-4:] == 255).all(), "the caption runs out of its place"


def test_tiles_name_task_parameters_that_exist_and_are_in_range():
    for tile in gallery.tiles():
        world = play.build_world(tile.world, dict(tile.options), pictures=False)
        texts = [f"{name}={value}" for name, value in tile.task.items()]
        play.parse_task(texts, world.task_parameters)
        title, text = gallery.caption_of(tile)
        assert tile.world in title and tile.options.get("body", "") in title
        assert all(f"{name} {value:g}" in text for name, value in tile.task.items())


@pytest.mark.parametrize("out", ["all.jpg", "no/all.png"])
def test_a_gallery_that_cannot_be_written_is_refused(lyceum, out, monkeypatch):
    monkeypatch.setattr(gallery, "picture_of", None)
    code, _, err = lyceum("gallery", "--out", out)
    assert code == 2 and out in err and files() == []


def test_help_teaches_by_example(lyceum):
    for command in ("play", "gallery"):
        code, out, _ = lyceum(command, "--help")
        assert code == 0 and f"Example: lyceum {command}" in out

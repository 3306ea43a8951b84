"""Plays one episode of a world so that somebody can look at it: as a video, a picture, a window."""

from __future__ import annotations

import importlib.util
import os
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.error import Error
from PIL import Image
from rich.console import Console

from benchmark.arguments import parse_settings
from benchmark.errors import LyceumError, unknown
from benchmark.registry import load, public_hyperparameters
from environments.base import ProceduralEnv, TaskParameter
from environments.window import Window

ACTIONS = ("random", "zero", "hold")
HELD = 10  # steps for which a random action is kept: a new one in every step only trembles
VIDEOS, PICTURES = (".mp4", ".gif"), (".png",)
DEFAULT_FPS = 50
GIF_FPS = 25  # viewers slow down what is much faster
PALETTE_PICTURES = 16
# Takes a picture; says True when whoever looks has seen enough.
Show = Callable[[np.ndarray], Any]


def play(
    console: Console,
    name: str,
    *,
    tasks: list[str],
    body: str | None,
    seed: int,
    settings: list[str],
    steps: int | None,
    actions: str,
    video: Path | None,
    frame: Path | None,
    human: bool,
) -> None:
    """Play one episode and print its length, return and success in one line.

    Args:
        console: where to print.
        name: a registered world or my_file.py:MyWorld.
        tasks: parts of the task, see ``parse_task``.
        body: short for the setting ``body=...``.
        seed: of the world's draws and of random actions.
        settings: further arguments of the world, name=value.
        steps: after how many the episode is left; None: when it ends.
        actions: "random", held for 10 steps each; "zero"; "hold", like random, but a climber keeps
            its grips closed.
        video: the .mp4 or .gif to write: the first picture and one per step; a .gif has 25 per
            second.
        frame: the .png to write, the last picture.
        human: show a window; closing it leaves the episode.

    Raises:
        LyceumError: anything of this is unknown, out of range or cannot be written; nothing has
            been played or written then.
    """
    options = parse_settings(settings)
    if body is not None:
        if "body" in options:
            raise LyceumError("the body is named twice, by --body and by --set body=...")
        options["body"] = body
    watched = human or video is not None or frame is not None
    world = build_world(name, options, pictures=watched)
    task = parse_task(tasks, world.task_parameters)
    choose = chooser(world, actions, seed)
    fps = int(world.metadata.get("render_fps", DEFAULT_FPS))
    with ExitStack() as stack:
        stack.callback(world.close)
        shows = [stack.enter_context(show) for show in _recorders(video, frame, fps)]
        begin(world, name, task, seed)
        if human:
            shows.append(stack.enter_context(_window(name, world.render().shape, fps)))
        outcome = _episode(world, choose, steps, shows)
    parts = zip(world.task_parameters, task.tolist(), strict=True)
    described = ", ".join(f"{parameter.name} {value:g}" for parameter, value in parts)
    line = f"{name}, seed {seed}, {described}: {outcome}"
    console.print(line, highlight=False, markup=False, soft_wrap=True)
    for path in (video, frame):
        if path is not None:
            console.print(f"Written: {path}", highlight=False, markup=False, soft_wrap=True)


def build_world(name: str, options: dict[str, Any], *, pictures: bool) -> ProceduralEnv:
    """A world by name, with ``render_mode="rgb_array"`` if ``pictures`` are wanted.

    Raises:
        LyceumError: the world or an option is unknown, or the world refuses one or cannot draw.
    """
    cls = load("world", name)
    if not issubclass(cls, ProceduralEnv):
        raise LyceumError(f"{name} is no world: it does not derive from ProceduralEnv")
    known = set(public_hyperparameters(cls)) - {"render_mode"}
    for option in options:
        if option not in known:
            raise unknown(f"option of the world {name}", option, known)
    if pictures:
        if "rgb_array" not in cls.metadata.get("render_modes", ()):
            raise LyceumError(f"the world {name} draws no pictures: it has no mode rgb_array")
        options = {**options, "render_mode": "rgb_array"}
    try:
        return cls(**options)
    except (TypeError, ValueError) as error:
        raise LyceumError(f"the world {name} cannot be built like this: {error}") from error


def begin(world: ProceduralEnv, name: str, task: np.ndarray, seed: int) -> None:
    """Begin an episode.

    Raises:
        LyceumError: an option turns out not to fit only now.
    """
    try:
        world.reset(seed=seed, options={"task": task})
    except (TypeError, ValueError) as error:
        raise LyceumError(f"the world {name} cannot begin an episode: {error}") from error


def parse_task(texts: Sequence[str], parameters: Sequence[TaskParameter]) -> np.ndarray:
    """Turn "1.5,3" or "stump_height=1.5" into a task vector (len(parameters),).

    Numbers without a name belong to the parameters in their order, from the first one on. A
    parameter that gets no value keeps its default.

    Raises:
        LyceumError: an unknown name, a parameter with two values, too many values, no number, or a
            number outside the parameter's range.
    """
    names = [parameter.name for parameter in parameters]
    values: dict[str, float] = {}
    unnamed = 0
    for part in (part.strip() for text in texts for part in text.split(",")):
        name, equals, text = part.rpartition("=")
        name = name.strip()
        if not equals:
            if unnamed == len(names):
                raise LyceumError(
                    f"--task has more than the {len(names)} numbers of a task "
                    f"({', '.join(names)}): '{part}' is left over"
                )
            name, unnamed = names[unnamed], unnamed + 1
        if name not in names:
            raise unknown("task parameter", name, names)
        if name in values:
            raise LyceumError(f"--task gives {name} twice")
        values[name] = _number(name, text)
    task = np.array([values.get(one.name, one.default) for one in parameters])
    for one, value in zip(parameters, task.tolist(), strict=True):
        if not one.low <= value <= one.high:
            raise LyceumError(
                f"--task: {one.name} must be between {one.low:g} and {one.high:g}, but is {value:g}"
            )
    return task


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LyceumError(f"--task: {name} must be a number, but is '{text}'") from None


def chooser(world: ProceduralEnv, actions: str, seed: int) -> Callable[[int], Any]:
    """What to do in each step: a function from the number of the step to an action.

    Raises:
        LyceumError: ``actions`` is not in ``ACTIONS`` or does not fit this world.
    """
    if actions not in ACTIONS:
        raise unknown("actions", actions, ACTIONS)
    space = world.action_space
    if actions == "zero":
        if not isinstance(space, spaces.Box):
            raise LyceumError(f"--actions zero needs a Box of actions, but this world's is {space}")
        idle = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
        return lambda step: idle
    grips = len(world.plan.grips) if hasattr(world, "plan") else 0
    if actions == "hold" and not grips:
        raise LyceumError("--actions hold is for climbers, but this body has no grips")
    # A stream of its own: the world draws from the seed itself.
    space.seed(int(np.random.SeedSequence([seed, 1]).generate_state(1)[0]))
    action: Any = None

    def choose(step: int) -> Any:
        nonlocal action
        if step % HELD == 0:
            action = space.sample()
            if actions == "hold":
                action[-grips:] = 1.0
        return action

    return choose


def _episode(
    world: ProceduralEnv, choose: Callable[[int], Any], limit: int | None, shows: Sequence[Show]
) -> str:
    """Play the episode that has begun; say how it went."""
    count, total, ended, info = 0, 0.0, False, {}
    enough = _show(world, shows)
    while not (ended or enough or count == limit):
        _, reward, terminated, truncated, info = world.step(choose(count))
        count, total, ended = count + 1, total + float(reward), terminated or truncated
        enough = _show(world, shows)
    success = "yes" if info.get("success") else "no"
    steps = f"{count} step{'' if count == 1 else 's'}{'' if ended else ' (stopped)'}"
    return f"{steps}, return {total:.1f}, success {success}"


def _show(world: ProceduralEnv, shows: Sequence[Show]) -> bool:
    picture = world.render() if shows else None
    return any([show(picture) is True for show in shows])


def _recorders(video: Path | None, frame: Path | None, fps: int) -> Iterator[Any]:
    """One context per file; entering it finds out whether the file can be written."""
    if video is not None:
        writes = _mp4 if _suffix("--video", video, VIDEOS) == ".mp4" else _gif
        yield writes(video, fps)
    if frame is not None:
        _suffix("--frame", frame, PICTURES)
        yield _png(frame)


def _suffix(option: str, path: Path, known: Sequence[str]) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise LyceumError(f"{option} takes a file ending in {' or '.join(known)}, but got {path}")
    return suffix


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside ``path`` that takes its name when all went well, and vanishes otherwise.

    Raises:
        LyceumError: it cannot be written.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.tmp{path.suffix}")
    if path.is_dir():
        raise LyceumError(f"{path} cannot be written: it is a folder")
    try:
        temporary.touch()
    except OSError as error:
        raise LyceumError(f"{path} cannot be written: {error.strerror}") from error
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _mp4(path: Path, fps: int) -> Iterator[Show]:
    if any(importlib.util.find_spec(name) is None for name in ("imageio", "imageio_ffmpeg")):
        raise LyceumError("an .mp4 needs imageio with ffmpeg; run: pip install lyceum[video]")
    from imageio.v2 import get_reader, get_writer

    count = 0

    def show(picture: np.ndarray) -> None:
        nonlocal count
        count += 1
        # H.264 in the colours that every player knows needs even sizes.
        odd = [(0, side % 2) for side in picture.shape[:2]]
        writer.append_data(np.pad(picture, [*odd, (0, 0)], "edge"))

    options = {"fps": fps, "codec": "libx264", "macro_block_size": 2, "ffmpeg_log_level": "error"}
    with whole_file(path) as temporary:
        try:
            # Left on an error, imageio's own context would leave ffmpeg running.
            with closing(get_writer(temporary, format="FFMPEG", mode="I", **options)) as writer:
                yield show
            # A full disk is no error to imageio.
            with closing(get_reader(temporary, format="FFMPEG")) as reader:
                if reader.count_frames() != count:
                    raise OSError("pictures are missing")
        except OSError as error:
            raise LyceumError(
                f"{path} cannot be written: ffmpeg gave up; is the disk full?"
            ) from error


@contextmanager
def _gif(path: Path, fps: int) -> Iterator[Show]:
    every = max(1, round(fps / GIF_FPS))
    count, shape, packed = 0, (), []

    def show(picture: np.ndarray) -> None:
        nonlocal count, shape
        if count % every == 0:
            shape = picture.shape
            packed.append(zlib.compress(picture.tobytes(), 1))
        count += 1

    def unpacked(number: int) -> np.ndarray:
        return np.frombuffer(zlib.decompress(packed[number]), np.uint8).reshape(shape)

    with whole_file(path) as temporary:
        yield show
        # One palette for all, from pictures of the whole episode: one for each would flicker.
        chosen = np.linspace(0, len(packed) - 1, PALETTE_PICTURES).round().astype(int)
        sample = Image.fromarray(np.concatenate([unpacked(number) for number in chosen]))
        palette = sample.quantize(256, Image.Quantize.MEDIANCUT)
        first, *others = (
            Image.fromarray(unpacked(number)).quantize(palette=palette, dither=Image.Dither.NONE)
            for number in range(len(packed))
        )
        duration = round(1000 * every / fps)
        first.save(temporary, "GIF", save_all=True, append_images=others, duration=duration, loop=0)


@contextmanager
def _png(path: Path) -> Iterator[Show]:
    last: list[np.ndarray] = []
    with whole_file(path) as temporary:
        yield lambda picture: last.__setitem__(slice(None), [picture])
        Image.fromarray(last[0]).save(temporary, format="PNG")


@contextmanager
def _window(title: str, shape: tuple[int, ...], fps: int) -> Iterator[Show]:
    try:
        window = Window(title, shape, fps)
    except Error as error:
        raise LyceumError(str(error)) from error

    def show(picture: np.ndarray) -> bool:
        window.show(picture)
        return window.closed

    try:
        yield show
    finally:
        window.close()

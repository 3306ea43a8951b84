"""One sheet with every body and typical tasks of every world, for a first look at the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from benchmark.errors import LyceumError
from benchmark.play import begin, build_world, chooser, whole_file
from benchmark.registry import TABLES, load
from environments.base import ProceduralEnv

COLUMNS = 4
TILE = (360, 240)  # px, width and height of a picture
CAPTION, GAP = 54, 10  # px, height of the text below a picture; space between tiles
TITLE_SIZE, TEXT_SIZE = 14, 12
PAPER, INK, GREY = (255, 255, 255), (30, 30, 34), (96, 96, 104)
SEED = 0
WALKER, CLIMBER = "old_classic_bipedal", "climbing_profile_chimpanzee"
SEQUENCE = ((1.0, 1.0), (3.0, 0.5), (2.0, 1.0), (4.0, 0.5), (1.0, 1.0))  # heights and widths
# What these are, and the water that they need; the start of the track is flooded above 0.81.
WATER_LEVEL = {"fish": ("swimmer", 0.86), "amphibious_bipedal": ("amphibian", 0.835)}


@dataclass(frozen=True)
class Tile:
    """One picture of the sheet.

    Attributes:
        world: its name.
        about: what there is to see.
        task: the parameters that differ from the default task.
        options: further arguments of the world, among them the body.
        steps: how many are played before the picture is taken, if the episode lasts that long.
        actions: which, see ``benchmark.play``.
        close: show only the surroundings of the body, at full size.
    """

    world: str
    about: str
    task: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    actions: str = "zero"
    close: bool = False


def _body(body: str) -> Tile:
    """A body where it belongs."""
    options = {"body": body}
    if body.startswith("climbing"):
        task = {"creepers_height": 2.0, "creepers_spacing": 2.0}
        return Tile("parkour", "climber", task, options, 45, "hold", close=True)
    if body in WATER_LEVEL:
        about, level = WATER_LEVEL[body]
        return Tile("parkour", about, {"water_level": level}, options, 30, "random", close=True)
    task = {"stump_height": 0.5, "obstacle_spacing": 4.0}
    return Tile("stump_tracks", "walker", task, options, 8, close=True)


def _stumps(about: str, task: Mapping[str, float], **options: Any) -> Tile:
    return Tile("stump_tracks", about, task, {"body": WALKER, **options}, 8)


def _parkour(about: str, body: str, task: Mapping[str, float], steps: int, **options: Any) -> Tile:
    actions = "hold" if body.startswith("climbing") else "random"
    return Tile("parkour", about, task, {"body": body, **options}, steps, actions)


BODY_TILES = tuple(
    _body(body)
    for body in (
        "old_classic_bipedal",
        "classic_bipedal",
        "small_bipedal",
        "wheel",
        "old_big_quadru",
        "big_quadru",
        "spider",
        "millipede",
        "profile_chimpanzee",
        "climbing_profile_chimpanzee",
        "climbing_chest_profile_chimpanzee",
        "fish",
        "amphibious_bipedal",
    )
)
TASK_TILES = (
    _stumps("easy", {"stump_height": 0.5, "obstacle_spacing": 5.0}),
    _stumps("hard", {"stump_height": 2.5, "obstacle_spacing": 1.5}),
    _stumps(
        "wide",
        {"stump_height": 1.0, "obstacle_spacing": 3.0, "stump_width": 2.5},
        task_bounds={"stump_width": [0.0, 3.0]},
    ),
    _stumps(
        "rotated",
        {"stump_height": 1.5, "obstacle_spacing": 3.0, "stump_rotation": 0.6},
        task_bounds={"stump_rotation": [0.0, 1.571]},
    ),
    _stumps(
        "sequence",
        {
            "obstacle_spacing": 3.0,
            **{f"sequence_height_{n}": height for n, (height, _) in enumerate(SEQUENCE, 1)},
            **{f"sequence_width_{n}": width for n, (_, width) in enumerate(SEQUENCE, 1)},
        },
        obstacles=["sequence"],
    ),
    _parkour("easy", WALKER, {}, 8, terrain_cppn_scale=20.0),
    _parkour("creepers", CLIMBER, {"creepers_height": 3.0, "creepers_spacing": 2.0}, 45),
    _parkour(
        "movable creepers",
        CLIMBER,
        {"creepers_height": 4.0, "creepers_spacing": 0.0},
        120,
        creepers="movable",
    ),
    _parkour("water", "fish", {"water_level": 0.87, "creepers_height": 1.0}, 60),
    Tile(
        "bipedal_terrain",
        "stairs, stumps and pits",
        {
            "roughness": 3.0,
            "pit_gap_high": 3.0,
            "stump_height_high": 3.0,
            "stair_height_high": 1.5,
            "stair_steps": 5.0,
        },
        steps=8,
        actions="random",
    ),
    Tile(
        "point_mass",
        "two gates",
        {"gate_position_1": -1.5, "gate_width_1": 2.0, "gate_position_2": 2.0, "gate_width_2": 1.0},
        {"gates": 2},
        steps=8,
        actions="random",
    ),
    Tile("hypercube", "middle of the square", {"x0": 0.6, "x1": 0.4}, steps=1, actions="random"),
)


def tiles() -> list[Tile]:
    """All tiles of the sheet: bodies, tasks, and every other world that can draw itself."""
    known = {tile.world for tile in (*BODY_TILES, *TASK_TILES)}
    others = [
        Tile(name, "default task", steps=8, actions="random")
        for name in sorted(TABLES["world"])
        if name not in known and "rgb_array" in load("world", name).metadata["render_modes"]
    ]
    return [*BODY_TILES, *TASK_TILES, *others]


def write_gallery(path: Path) -> int:
    """Draw the sheet, written whole or not at all; return the number of its tiles.

    Raises:
        LyceumError: the path does not end in .png or cannot be written.
    """
    if path.suffix.lower() != ".png":
        raise LyceumError(f"--out takes a file ending in .png, but got {path}")
    with whole_file(path) as temporary:
        every = tiles()
        width, height = TILE[0] + GAP, TILE[1] + CAPTION + GAP
        rows = -(-len(every) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * width + GAP, rows * height + GAP), PAPER)
        draw = ImageDraw.Draw(sheet)
        for number, tile in enumerate(every):
            row, column = divmod(number, COLUMNS)
            corner = GAP + column * width, GAP + row * height
            sheet.paste(picture_of(tile), corner)
            _write_caption(draw, tile, corner)
        sheet.save(temporary, "PNG")
    return len(every)


def picture_of(tile: Tile) -> Image.Image:
    """Play the tile's steps and return what is to be seen, of size ``TILE``."""
    world = build_world(tile.world, dict(tile.options), pictures=True)
    values = [tile.task.get(one.name, one.default) for one in world.task_parameters]
    begin(world, tile.world, np.array(values), SEED)
    choose = chooser(world, tile.actions, SEED)
    for step in range(tile.steps):
        _, _, terminated, truncated, _ = world.step(choose(step))
        if terminated or truncated:
            break
    picture = Image.fromarray(world.render())
    picture = _close_up(world, picture) if tile.close else _fitted(picture)
    world.close()
    return picture


def _close_up(world: ProceduralEnv, picture: Image.Image) -> Image.Image:
    """The part of the picture around the body, at full size."""
    from environments.box2d.render import OVERSAMPLING, Camera

    ((column, row),) = Camera.follow(world)([world.embodiment.place()])
    # Bodies look to the right, and most of a body is below its reference body.
    left = column / OVERSAMPLING - 0.4 * TILE[0]
    top = row / OVERSAMPLING - 0.4 * TILE[1]
    left, top = (
        round(min(max(start, 0), whole - part))
        for start, whole, part in zip((left, top), picture.size, TILE, strict=True)
    )
    return picture.crop((left, top, left + TILE[0], top + TILE[1]))


def _fitted(picture: Image.Image) -> Image.Image:
    """The whole picture, scaled to fit."""
    scale = min(TILE[0] / picture.width, TILE[1] / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    tile = Image.new("RGB", TILE, PAPER)
    offset = (TILE[0] - size[0]) // 2, (TILE[1] - size[1]) // 2
    tile.paste(picture.resize(size, Image.Resampling.LANCZOS), offset)
    return tile


def _write_caption(draw: ImageDraw.ImageDraw, tile: Tile, corner: tuple[int, int]) -> None:
    """World and body, then what there is to see and the task, in at most two lines."""
    x, y = corner[0], corner[1] + TILE[1] + 3
    title = ImageFont.load_default(TITLE_SIZE)
    text = ImageFont.load_default(TEXT_SIZE)
    draw.text((x, y), caption_of(tile)[0], INK, title)
    lines = list(_wrapped(caption_of(tile)[1], text, TILE[0]))
    for number, line in enumerate(lines[:2]):
        cut = " ..." if number == 1 and len(lines) > 2 else ""
        draw.text((x, y + TITLE_SIZE + 3 + number * (TEXT_SIZE + 3)), line + cut, GREY, text)


def caption_of(tile: Tile) -> tuple[str, str]:
    """The title and the text below a tile."""
    body = tile.options.get("body")
    title = tile.world if body is None else f"{tile.world} · {body}"
    facts = {**tile.task, **tile.options}
    plain = [
        f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in facts.items()
        if name != "body" and isinstance(value, float | str)
    ]
    return title, f"{tile.about}: {', '.join(plain)}" if plain else tile.about


def _wrapped(text: str, font: Any, width: int) -> Iterator[str]:
    """Lines of whole words that are at most ``width`` px wide, with room for a mark of a cut."""
    line = ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer + " ...") > width:
            yield line
            longer = word
        line = longer
    yield line

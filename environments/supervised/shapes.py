"""Small pictures of rectangles, ellipses and triangles, from regular to stretched and faint."""

from __future__ import annotations

import numpy as np

from environments.base import TaskParameter
from environments.supervised.generator import Generator, grid

FINE = 2  # points per pixel and axis
NOISE = 0.15  # standard deviation of a pixel's noise; a full contrast is 1
SIZES = (2.5, 3.5)  # of a shape of area π size², in pixels of a 16-pixel picture
SHIFT = 1.5  # a centre lies up to this far from the picture's, in the same pixels
SHEAR = 0.6
# A square, a circle and an equilateral triangle of area π, so that brightness is no hint.
HALF_SIDE = np.sqrt(np.pi) / 2
INRADIUS = np.sqrt(np.pi / (3 * np.sqrt(3)))
NORMALS = np.array([[np.sin(a), -np.cos(a)] for a in 2 * np.pi * np.arange(3) / 3])


class Shapes(Generator):
    """Tell rectangles (0), ellipses (1) and triangles (2) apart in small grey pictures.

    Source: Bengio et al., 2009, https://doi.org/10.1145/1553374.1553380: squares, circles and
    equilateral triangles before rectangles, ellipses and triangles of any kind. Inputs (side, side)
    are grey values, 0 the background; size and place are random. The task has three parameters:

    - irregularity in [0, 1]: a shape is stretched along its own axis by a random aspect up to
      1 + irregularity, and a triangle is sheared by up to 0.6 irregularity.
    - rotation in [0, 1]: the angle is random within ± rotation times 180 degrees.
    - faintness in [0, 0.9]: the shape's grey value is 1 - faintness; noise of deviation 0.15 lies
      on every pixel.

    The held-out tasks are the eight combinations of irregularity 0 and 1, rotation 0 and 1, and
    faintness 0 and 0.6; the items of ``tasks = "items"`` and the levels are those too.

    Departures from the paper: 16 pixels a side instead of 32; shapes of all sizes have the area of
    a circle of random radius; the easy and the general set are the ends of continuous parameters.

    Args:
        seed: draws the items of ``tasks = "items"``.
        tasks: "box", "levels" or "items", see ``Generator``.
        side: pixels, >= 8.
        examples: how many examples a proposed vector or level stands for, >= 1.
        items: how many items ``tasks = "items"`` has.
        per_level: test pictures per held-out task, >= 2.

    Raises:
        ValueError: an argument is out of range.
    """

    num_classes = 3
    task_parameters = (
        TaskParameter("irregularity", 0.0, 1.0, 1.0, "1", "how far shapes are stretched"),
        TaskParameter("rotation", 0.0, 1.0, 1.0, "half turns", "how far shapes are turned"),
        TaskParameter("faintness", 0.0, 0.9, 0.6, "1", "how little shapes stand out"),
    )

    def __init__(
        self,
        seed: int,
        tasks: str = "box",
        side: int = 16,
        examples: int = 16,
        items: int = 4096,
        per_level: int = 100,
    ):
        if side < 8:
            raise ValueError(f"side must be at least 8 pixels, but is {side}")
        self.input_shape = (side, side)
        self.levels = grid([0, 1], [0, 1], [0, 0.6])
        super().__init__(seed, tasks, examples, items, per_level)

    def make(
        self, parameters: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw pictures (n, side, side) of the parameters (n, 3) and their shapes (n,)."""
        count, side = len(parameters), self.input_shape[0]
        irregularity, rotation, faintness = parameters.T
        shape = rng.integers(self.num_classes, size=count)
        unit = side / 16
        size = unit * rng.uniform(*SIZES, size=count)
        centre = unit * rng.uniform(-SHIFT, SHIFT, size=(2, count))
        angle = np.pi * rotation * rng.uniform(-1, 1, size=count)
        stretch = np.sqrt(1 + irregularity * rng.random(count))
        shear = np.where(shape == 2, SHEAR * irregularity * rng.uniform(-1, 1, size=count), 0)

        # Where every fine point of the picture lies in the shape's own units.
        ticks = (np.arange(side * FINE) + 0.5) / FINE - side / 2
        across = ticks[None, None, :] - centre[0, :, None, None]
        down = ticks[None, :, None] - centre[1, :, None, None]
        cos, sin = ((f(angle) / size)[:, None, None] for f in (np.cos, np.sin))
        y = (cos * down - sin * across) * stretch[:, None, None]
        x = (cos * across + sin * down) / stretch[:, None, None] - shear[:, None, None] * y
        inside = inside_shape(shape, x, y)
        picture = inside.reshape(count, side, FINE, side, FINE).mean(axis=(2, 4))
        picture = picture * (1 - faintness)[:, None, None]
        picture += NOISE * rng.normal(size=picture.shape)
        return picture.astype(np.float32), shape


def inside_shape(shape: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether points (n, h, w) lie in shapes (n,) of area π around the origin, bool (n, h, w).

    0 is a square, 1 a circle, 2 an equilateral triangle that stands on a side.
    """
    inside = np.empty(x.shape, dtype=bool)
    for number, test in enumerate(
        (
            lambda x, y: np.maximum(np.abs(x), np.abs(y)) <= HALF_SIDE,
            lambda x, y: x**2 + y**2 <= 1,
            lambda x, y: np.max([a * x + b * y for a, b in NORMALS], axis=0) <= INRADIUS,
        )
    ):
        rows = shape == number
        inside[rows] = test(x[rows], y[rows])
    return inside

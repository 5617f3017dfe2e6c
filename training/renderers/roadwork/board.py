"""A drawing board in metres, on which the things of a street are drawn upright, then shaded."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from training.renderers.canvas import Colour

PX_PER_M = 96
"""Of a finished drawing."""

_FINER = 3
"""Drawn so many times finer, for smooth edges."""

Metres = tuple[float, float]

Draw = Callable[[np.random.Generator], Image.Image]
"""Makes one drawing of a thing; another generator, another variant."""


class Board:
    """A drawing of a thing that stands on the ground: x from its middle to the right, y from the ground up, metres."""

    def __init__(self, width_m: float, height_m: float) -> None:
        """Starts empty."""
        self.width_m, self.height_m = width_m, height_m
        self._scale = PX_PER_M * _FINER
        size = (round(width_m * PX_PER_M) * _FINER, round(height_m * PX_PER_M) * _FINER)
        self._image = Image.new("RGBA", size, (0, 0, 0, 0))
        self._pen = ImageDraw.Draw(self._image)

    def polygon(self, corners: Sequence[Metres], colour: Colour) -> None:
        """Fills a polygon."""
        self._pen.polygon([self._at(corner) for corner in corners], fill=_bytes(colour))

    def box(
        self, left: float, bottom: float, right: float, top: float, *, colour: Colour, round_m: float = 0.0
    ) -> None:
        """Fills a rectangle, its corners rounded if so said."""
        (x0, y0), (x1, y1) = self._at((left, top)), self._at((right, bottom))
        self._pen.rounded_rectangle(
            (x0, y0, max(x0, x1), max(y0, y1)), radius=round_m * self._scale, fill=_bytes(colour)
        )

    def disc(self, x: float, y: float, radius: float, *, colour: Colour) -> None:
        """Fills a circle."""
        (x0, y0), (x1, y1) = self._at((x - radius, y + radius)), self._at((x + radius, y - radius))
        self._pen.ellipse((x0, y0, x1, y1), fill=_bytes(colour))

    def line(self, points: Sequence[Metres], colour: Colour, *, width_m: float) -> None:
        """Draws a line."""
        width = max(1, round(width_m * self._scale))
        self._pen.line([self._at(point) for point in points], fill=_bytes(colour), width=width, joint="curve")

    def stripes(
        self,
        left: float,
        bottom: float,
        right: float,
        top: float,
        *,
        colours: tuple[Colour, Colour],
        period_m: float,
        slant: float,
    ) -> None:
        """Fills a rectangle with slanting stripes; `slant` 0 is upright, 1 is 45 degrees."""
        (x0, y0), (x1, y1) = self._at((left, top)), self._at((right, bottom))
        box = (round(x0), round(y0), max(round(x0) + 1, round(x1)), max(round(y0) + 1, round(y1)))
        across = np.arange(box[2] - box[0], dtype=np.float32)[None, :]
        down = np.arange(box[3] - box[1], dtype=np.float32)[:, None]
        odd = np.mod((across + slant * down) / (period_m * self._scale), 1) < 0.5  # noqa: PLR2004 -- half of each
        first, second = (np.array(_bytes(colour), np.uint8) for colour in colours)
        self._image.paste(Image.fromarray(np.where(odd[..., None], first, second), "RGBA"), box[:2])

    def finish(self, *, roundness: float, grime: float, rng: np.random.Generator) -> Image.Image:
        """Returns the drawing, shaded and dirtied.

        Args:
            roundness: How much darker its sides are than its lit middle, 0 (a flat board) to 1 (a pipe).
            grime: How dirty it is, 0 to 1; most near the ground.
            rng: Of the dirt.
        """
        small = self._image.reduce(_FINER)
        pixels = np.asarray(small, np.float32).copy()
        height, width = pixels.shape[:2]
        inside = pixels[..., 3] > 0
        pixels[..., :3] *= _roundness_of(inside, amount=roundness)[..., None]
        dirt = rng.standard_normal((height // 20 + 2, width // 20 + 2)).astype(np.float32)
        soft = np.asarray(Image.fromarray(dirt, "F").resize((width, height), Image.Resampling.BICUBIC))
        low = np.linspace(0.3, 1.0, height, dtype=np.float32)[:, None]
        pixels[..., :3] *= np.clip(1 - grime * (0.24 * low + 0.09 * soft), 0.2, 1.2)[..., None]
        pixels[..., :3] += rng.normal(0, 3.0, (height, width, 1)).astype(np.float32)
        return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8), "RGBA")

    def _at(self, point: Metres) -> Metres:
        return (point[0] + self.width_m / 2) * self._scale, (self.height_m - point[1]) * self._scale


def _roundness_of(inside: NDArray[np.bool_], *, amount: float) -> NDArray[np.float32]:
    """Returns the light on each pixel, [height, width] float32: least at the sides of each row, most left of middle."""
    width = inside.shape[1]
    columns = np.arange(width, dtype=np.float32)
    first = np.where(inside.any(axis=1), inside.argmax(axis=1), 0)
    last = np.where(inside.any(axis=1), width - inside[:, ::-1].argmax(axis=1), width)
    place = (columns[None, :] - first[:, None]) / np.maximum(last - first, 1)[:, None]
    light: NDArray[np.float32] = (1.06 - amount * np.clip(np.abs(place - 0.36) - 0.12, 0, 1) * 1.3).astype(np.float32)
    return light


def _bytes(colour: Colour) -> tuple[int, int, int, int]:
    red, green, blue = (min(255, max(0, round(255 * value))) for value in colour)
    return red, green, blue, 255

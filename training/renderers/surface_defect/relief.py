"""A part's surface before any light falls on it: height, colour and gloss, all attached to the part."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.renderers.canvas import Colour
from training.renderers.surface import Surface
from training.renderers.textures import BANK_SIDE_PX, Field, TextureBank, band_noise
from training.renderers.view import View

_STREAK_SEED = 20_251_101
_REFERENCE_RADIUS_PX = 240.0
"""The radius at which one pixel of a texture is one of the scene."""

Point = tuple[float, float]
"""(x, y) in units of the layout: the middle of the photo is near (0, 0), its nearer edges near 1."""


def build_grain_bank(textures: TextureBank) -> TextureBank:
    """Returns the textures and, beside them, the streaks that a brush leaves along x."""
    rng = np.random.Generator(np.random.Philox(_STREAK_SEED))
    return TextureBank(fields={**textures.fields, "streak": band_noise(rng, wavelengths_px=(2.4, 26.0), stretch=45.0)})


class Grid:
    """Where each pixel of a photo lies on the part.

    Attributes:
        u: [height, width] float32. Along the lay, in pixels of the scene at the reference radius.
        v: [height, width] float32. Across the lay.
        scale: Pixels of the scene a unit of `u` and `v`.
    """

    def __init__(self, view: View, *, textures: TextureBank) -> None:
        """Turns and scales the pixel grid about the middle of the part."""
        x = np.arange(view.width, dtype=np.float32)[None, :] - np.float32(view.centre[0])
        y = np.arange(view.height, dtype=np.float32)[:, None] - np.float32(view.centre[1])
        self.scale = view.radius_px / _REFERENCE_RADIUS_PX
        cos, sin = np.float32(np.cos(view.turn) / self.scale), np.float32(np.sin(view.turn) / self.scale)
        self.u: Field = x * cos + y * sin
        self.v: Field = y * cos - x * sin
        self.view = view
        self._textures = textures

    def texture(self, name: str, *, rng: np.random.Generator) -> Field:
        """Returns a texture of zero mean and unit variance at a random place, attached to the part."""
        left, top = (int(place) for place in rng.integers(BANK_SIDE_PX, size=2))
        columns = (self.u.astype(np.int32) + left) % BANK_SIDE_PX
        rows = (self.v.astype(np.int32) + top) % BANK_SIDE_PX
        seen: Field = self._textures.fields[name][rows, columns]
        return seen

    def strokes(self, lines: list[tuple[list[Point], float]], *, softness_px: float = 0.7) -> Field:
        """Draws lines of the layout, each with its width in pixels at the reference radius.

        Returns:
            [height, width] float32. Coverage, 0 to 1.
        """
        image = Image.new("L", (2 * self.view.width, 2 * self.view.height))
        pen = ImageDraw.Draw(image)
        for points, width in lines:
            placed = [self.view.place(x, y) for x, y in points]
            pen.line(
                [(2 * x, 2 * y) for x, y in placed],
                fill=255,
                width=max(1, round(2 * width * self.scale)),
                joint="curve",
            )
        half = image.resize((self.view.width, self.view.height), Image.Resampling.BOX)
        soft = half.filter(ImageFilter.GaussianBlur(softness_px))
        return np.asarray(soft).astype(np.float32) * np.float32(1 / 255)

    def distance(self, at: Point) -> tuple[Field, Field]:
        """Returns each pixel's distance from a point of the layout, in reference pixels, and its direction in radians.

        Both are [height, width] float32.
        """
        x = self.u - np.float32(at[0] * _REFERENCE_RADIUS_PX)
        y = self.v - np.float32(at[1] * _REFERENCE_RADIUS_PX)
        return np.hypot(x, y), np.arctan2(y, x)


@dataclass(slots=True)
class Relief:
    """The part's surface as arrays; all [height, width] float32 unless stated."""

    height: Field
    """In pixels, towards the camera."""
    shade: Field
    """Factor on the light that comes back, about 1."""
    gloss: Field
    """0 (matte) to 1."""
    colour: list[Field]
    """Red, green, blue, 0 to 1, display-referred."""
    brightness: float
    """Of the sound surface's base colour, 0 to 1."""
    bare: Colour
    """What comes to light where the surface is scraped off."""

    def blend(self, colour: Colour, weight: Field) -> None:
        """Mixes a colour in; `weight: [height, width] float32`, 0 to 1."""
        for channel, value in enumerate(colour):
            self.colour[channel] += weight * (np.float32(value) - self.colour[channel])

    def to_surface(self) -> Surface:
        """Returns slopes and the rest, ready for light; the part fills the photo."""
        slope_x, slope_y = np.zeros_like(self.height), np.zeros_like(self.height)
        slope_x[:, 1:-1] = (self.height[:, 2:] - self.height[:, :-2]) * np.float32(0.5)
        slope_y[1:-1] = (self.height[2:] - self.height[:-2]) * np.float32(0.5)
        return Surface(
            slope_x=slope_x,
            slope_y=slope_y,
            shade=self.shade,
            gloss=self.gloss,
            colour=self.colour,
            coverage=np.ones_like(self.height),
        )

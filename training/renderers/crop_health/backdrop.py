"""What lies behind a leaf, out of focus: soil, straw or more leaves of the field."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.renderers.canvas import Colour
from training.renderers.palette import hsv, vary
from training.renderers.textures import Field, TextureBank

_COARSE = 4
"""What is out of focus is drawn on a grid so many times coarser."""


def draw_field(textures: TextureBank, *, shape: tuple[int, int], rng: np.random.Generator) -> list[Field]:
    """Returns red, green and blue of the field behind, each [height, width] float32, display-referred."""
    height, width = shape
    image = Image.new("RGB", (width // _COARSE, height // _COARSE), _bytes(_ground(rng)))
    pen = ImageDraw.Draw(image)
    green = hsv(float(rng.uniform(74, 124)), float(rng.uniform(0.35, 0.65)), value=float(rng.uniform(0.25, 0.5)))
    for _ in range(int(rng.integers(4, 26))):
        depth = float(rng.uniform(0.4, 1.1))
        red, middle, blue = vary(green, rng, amount=0.12)
        _draw_blurred_leaf(pen, image.size, colour=(depth * red, depth * middle, depth * blue), rng=rng)
    image = image.filter(ImageFilter.GaussianBlur(float(rng.uniform(1.0, 5.0))))
    whole = np.asarray(image.resize((width, height), Image.Resampling.BILINEAR), np.float32) * np.float32(1 / 255)
    gain = np.float32(1) + np.float32(0.06) * textures.window("mottle", shape=shape, rng=rng)
    return [whole[..., channel] * gain for channel in range(3)]


def _ground(rng: np.random.Generator) -> Colour:
    if rng.random() < 0.5:  # noqa: PLR2004 -- half soil and straw, half foliage
        return hsv(float(rng.uniform(18, 44)), float(rng.uniform(0.2, 0.5)), value=float(rng.uniform(0.2, 0.6)))
    return hsv(float(rng.uniform(80, 130)), float(rng.uniform(0.3, 0.6)), value=float(rng.uniform(0.12, 0.35)))


def _draw_blurred_leaf(
    pen: ImageDraw.ImageDraw, size: tuple[int, int], *, colour: Colour, rng: np.random.Generator
) -> None:
    x, y = float(rng.uniform(0, size[0])), float(rng.uniform(0, size[1]))
    length, turn = float(rng.uniform(18, 75)), float(rng.uniform(0, 2 * np.pi))
    along = np.linspace(-1, 1, 12)
    half = float(rng.uniform(0.15, 0.5)) * (1 - along**2)
    u = np.concatenate([along, along[::-1]]) * length
    v = np.concatenate([half, -half]) * length
    cos, sin = float(np.cos(turn)), float(np.sin(turn))
    corners = [(float(x + a * cos - b * sin), float(y + a * sin + b * cos)) for a, b in zip(u, v, strict=True)]
    pen.polygon(corners, fill=_bytes(colour))


def _bytes(colour: Colour) -> tuple[int, int, int]:
    red, green, blue = (min(255, max(0, round(255 * value))) for value in colour)
    return red, green, blue

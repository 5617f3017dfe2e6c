"""Paints hash and extract, and everything between them.

One mass, from matte, grainy and cracked to smooth, glossy and translucent.
"""

import numpy as np
from PIL import Image

from training.renderers.cannabis.latents import Latents
from training.renderers.cannabis.palette import Palette
from training.renderers.canvas import Canvas
from training.renderers.palette import vary
from training.renderers.textures import Field, TextureBank
from training.renderers.view import View

CRUMB_COUNT = 90
BUBBLE_COUNT = 60
_ROUND = 2.0
"""Exponent of a round outline; the other kind is a rounded square."""

_SLOPE_UNIT = 50.0


def paint_concentrate(
    canvas: Canvas, view: View, *, latents: Latents, palette: Palette, textures: TextureBank, rng: np.random.Generator
) -> None:
    """Paints the mass, then what lies on it: crumbs (hash) and bubbles (extract)."""
    fluid = latents.weight("extract")
    _paint_mass(canvas, view, fluid=fluid, palette=palette, textures=textures, rng=rng)
    _scatter(
        canvas,
        view,
        kind="crumb",
        count=round(CRUMB_COUNT * (1 - fluid)),
        length=(0.03, 0.10),
        palette=palette,
        rng=rng,
        shade=1.0,
    )
    _scatter(
        canvas,
        view,
        kind="droplet",
        count=round(BUBBLE_COUNT * fluid),
        length=(0.03, 0.09),
        palette=palette,
        rng=rng,
        shade=1.08,
    )


def _paint_mass(
    canvas: Canvas, view: View, *, fluid: float, palette: Palette, textures: TextureBank, rng: np.random.Generator
) -> None:
    shape = (view.height, view.width)
    rim = _rim(view, textures=textures, rng=rng)
    thickness = np.clip(rim * 3.0, 0, 1)
    smooth = textures.window("mottle", shape=shape, rng=rng)
    rough = textures.window("grain", shape=shape, rng=rng) + 0.8 * textures.window("fine", shape=shape, rng=rng)
    cracks = textures.window("cracks", shape=shape, rng=rng)
    solid = 1.0 - fluid
    height = (
        26.0 * np.sqrt(thickness)
        + 11.0 * fluid * smooth
        + 1.6 * solid * rough
        + 1.6 * solid * textures.window("lump", shape=shape, rng=rng)
        - 9.0 * solid * cracks
    )
    slope_x = np.zeros(shape, np.float32)
    slope_y = np.zeros(shape, np.float32)
    slope_x[:, 1:-1] = (height[:, 2:] - height[:, :-2]) * 0.5
    slope_y[1:-1] = (height[2:] - height[:-2]) * 0.5
    shade = (0.88 - 0.6 * solid * cracks + 0.05 * solid * rough) * (0.75 + 0.25 * thickness)
    channels = (
        128 + _SLOPE_UNIT * slope_x,
        128 + _SLOPE_UNIT * slope_y,
        255 * shade,
        np.full(shape, 255 * (0.04 + 0.96 * fluid), np.float32),
    )
    geometry = np.clip(np.stack(channels, axis=-1), 0, 255).astype(np.uint8)
    coverage = np.clip(rim * view.radius_px + 0.5, 0, 1)
    mask = Image.fromarray((255 * coverage).astype(np.uint8), "L")
    canvas.geometry.paste(Image.fromarray(geometry, "RGBA"), (0, 0), mask)
    glow = 1.0 + fluid * (0.50 - 0.70 * thickness * (0.6 + 0.2 * smooth))
    opacity = coverage * (1.0 - 0.65 * fluid * (1.0 - 0.6 * thickness))
    colour = [255 * value * glow for value in palette.living]
    albedo = np.clip(np.stack([*colour, 255 * opacity], axis=-1), 0, 255).astype(np.uint8)
    canvas.albedo.paste(Image.fromarray(albedo, "RGBA"), (0, 0), mask)


def _rim(view: View, *, textures: TextureBank, rng: np.random.Generator) -> Field:
    """Returns the distance inside the outline in units of the radius, negative outside: one to three rounded slabs."""
    ys = (np.arange(view.height, dtype=np.float32) - np.float32(view.centre[1]))[:, None] / np.float32(view.radius_px)
    xs = (np.arange(view.width, dtype=np.float32) - np.float32(view.centre[0]))[None, :] / np.float32(view.radius_px)
    ragged = 0.035 * textures.window("mottle", shape=(view.height, view.width), rng=rng) + 0.012 * textures.window(
        "lump", shape=(view.height, view.width), rng=rng
    )
    count = int(rng.choice((1, 1, 1, 2, 3)))
    slabs = []
    for _ in range(count):
        x0, y0 = rng.normal(0, 0.38, 2) if count > 1 else (0.0, 0.0)
        size = float(rng.uniform(0.45, 0.65)) if count > 1 else float(rng.uniform(0.75, 0.95))
        angle = float(rng.uniform(0, np.pi)) + view.turn
        round_outline, flatness = rng.choice((2.0, 4.0)) == _ROUND, float(rng.uniform(0.6, 1.0))
        cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        along = np.abs((xs - x0) * cos + (ys - y0) * sin)
        across = np.abs((ys - y0) * cos - (xs - x0) * sin) / np.float32(flatness)
        square_a, square_b = along * along, across * across
        norm = (
            np.sqrt(square_a + square_b)
            if round_outline
            else np.sqrt(np.sqrt(square_a * square_a + square_b * square_b))
        )
        slabs.append(np.float32(size) - norm)
    rim: Field = (np.maximum.reduce(slabs) + ragged).astype(np.float32)
    return rim


def _scatter(
    canvas: Canvas,
    view: View,
    *,
    kind: str,
    count: int,
    length: tuple[float, float],
    palette: Palette,
    rng: np.random.Generator,
    shade: float,
) -> None:
    """Scatters pieces of the mass's own colour, dense near the middle, some fallen off beside it."""
    for _ in range(count):
        x, y = rng.normal(0, 0.42, 2)
        red, green, blue = vary(palette.living, rng, amount=0.10)
        canvas.put(
            kind,
            at=view.place(x, y),
            length_px=float(rng.uniform(*length)) * view.radius_px,
            angle=float(rng.uniform(0, 2 * np.pi)),
            variant=int(rng.integers(64)),
            colour=(shade * red, shade * green, shade * blue),
        )

"""A bank of small surface pieces (leaflets, calyxes, shreds, hairs...) in many sizes and turns.

A piece has slopes and shade, never a colour. Painting a scene is pasting pieces; the light falls afterwards on the
slopes of everything at once.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float32]
"""[side, side] float32."""

TURN_COUNT = 32
_STRIPE_EDGE = 0.35
_BANK_SEED = 20_250_102
_SLOPE_UNIT = 50.0
"""Slope 1 in units of the 8-bit slope channels, whose zero is 128."""


class Sprite(NamedTuple):
    """One piece: `geometry` RGBA = slope x, slope y (128 is flat), shade, gloss; `mask` L = coverage."""

    geometry: Image.Image
    mask: Image.Image


class Surface(NamedTuple):
    """A shape in its own frame, all [side, side] float32: signed inside distance, height, shade 0..1; gloss 0..1."""

    inside: Array
    height: Array
    shade: Array
    gloss: float


Shape = Callable[[Array, Array, np.random.Generator], Surface]
"""(along -1..1, across -1..1, generator) to a surface; lengths in half-lengths of the piece."""


def leaflet(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A serrated leaf finger with a midrib and side veins."""
    teeth = int(rng.integers(8, 13))
    v = v - float(rng.normal(0, 0.10)) * u * u
    outline = float(rng.uniform(0.20, 0.28)) * np.clip(1 - u * u, 0, 1) ** 0.75 * (1.0 - 0.3 * u)
    along = (u + 0.5 * np.abs(v)) * teeth * 0.5
    outline = outline * (0.72 + 0.36 * (along - np.floor(along)))
    veins = np.sin((u - 0.9 * np.abs(v)) * teeth * np.pi)
    rib = np.exp(-((v / 0.022) ** 2))
    height = -0.55 * np.abs(v) + 0.012 * veins + 0.03 * rib + float(rng.normal(0, 0.12)) * u * u
    return Surface(outline - np.abs(v), height, 0.78 + 0.07 * veins + 0.22 * rib, 0.22)


def calyx(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A teardrop husk, domed and finely ridged, dark at the rim."""
    outline = float(rng.uniform(0.46, 0.60)) * np.sqrt(np.clip(1 - u * u, 0, 1)) * (1 - 0.5 * u)
    across = v / np.maximum(outline, 0.05)
    dome = np.sqrt(np.clip(1.0 - np.clip(across, -1, 1) ** 2 * 0.95 - 0.4 * u * u, 0, 1))
    ridges = np.sin(across * float(rng.uniform(5, 8)) + 3 * u)
    return Surface(outline - np.abs(v), 0.50 * dome + 0.015 * ridges, 0.42 + 0.55 * dome + 0.06 * ridges, 0.20)


def shred(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A cut scrap of leaf: straight cuts, a few teeth on one edge, curled and tilted."""
    width = float(rng.uniform(0.14, 0.42))
    v = v - float(rng.normal(0, 0.35)) * (u * u - 0.3)
    saw = u * float(rng.uniform(2, 5))
    upper = width * (0.75 + 0.4 * (saw - np.floor(saw)))
    ends = 0.92 - np.abs(u + float(rng.normal(0, 0.5)) * v)
    inside = np.minimum(np.minimum(upper - v, width + v), ends)
    height = float(rng.normal(0, 0.35)) * u + float(rng.normal(0, 0.6)) * v + float(rng.normal(0, 0.4)) * v * v / width
    vein = np.exp(-(((v + 0.3 * width) / 0.03) ** 2))
    return Surface(inside, height + 0.02 * vein, 0.74 + 0.2 * vein + 0.1 * np.sin(9 * u), 0.10)


def hair(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A curled pistil hair."""
    bend, wave = float(rng.normal(0, 0.5)), float(rng.uniform(0.05, 0.16))
    middle = bend * (u * u - 0.4) + wave * np.sin(4 * u + float(rng.uniform(0, 6)))
    inside = np.minimum(0.05 * (1.2 - 0.6 * u) - np.abs(v - middle), 0.95 - np.abs(u))
    return Surface(inside, -np.abs(v - middle) * 0.8, np.full_like(u, 0.95), 0.1)


def stem(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A round stalk with a fibrous surface and a node."""
    width = float(rng.uniform(0.045, 0.075))
    v = v - float(rng.normal(0, 0.12)) * u * u
    bulge = width * (1 + 0.5 * np.exp(-(((u - float(rng.uniform(-0.5, 0.5))) / 0.07) ** 2)))
    across = np.clip(v / bulge, -1, 1)
    fibre = np.sin(across * 9)
    inside = np.minimum(bulge - np.abs(v), 0.97 - np.abs(u))
    return Surface(inside, 1.1 * width * np.sqrt(np.clip(1.02 - across * across, 0, 1)), 0.8 + 0.1 * fibre, 0.15)


def seed(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A smooth oval seed with darker tiger stripes."""
    radius = u * u + (v / 0.72) ** 2
    dome = np.sqrt(np.clip(1 - radius, 0, 1))
    stripes = np.sin(u * float(rng.uniform(6, 10)) + 3 * np.sin(v * 7 + float(rng.uniform(0, 6))))
    return Surface(1 - np.sqrt(radius + 1e-6), 0.75 * dome, 0.66 - 0.26 * (stripes > _STRIPE_EDGE) + 0.3 * dome, 0.75)


def crystal(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A faceted grain: one plane for each sector, so that some facets flash."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 6))
    planes = [0.9 * float(rng.uniform(0.6, 1)) - (np.cos(a) * u + np.sin(a) * v) for a in angles]
    inside = np.minimum.reduce([*planes, 0.95 - np.hypot(u, v)])
    return Surface(inside, np.minimum(inside, 0.45) * 0.9, np.full_like(u, 1.0), 1.0)


def droplet(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A bead of liquid or a bubble: a glossy dome with a dark rim."""
    radius = np.hypot(u, v * float(rng.uniform(1, 1.25)))
    dome = np.sqrt(np.clip(1 - radius**2, 0, 1))
    return Surface(0.95 - radius, 0.8 * dome, 0.62 + 0.38 * dome, 1.0)


def crumb(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """An angular, matte grain broken off a pressed block."""
    angle = np.arctan2(v, u)
    outline = (
        0.75 + 0.16 * np.sin(3 * angle + float(rng.uniform(0, 6))) + 0.09 * np.sin(7 * angle + float(rng.uniform(0, 6)))
    )
    radius = np.hypot(u, v)
    lumps = np.sin(7 * u + float(rng.uniform(0, 6))) * np.sin(6 * v + float(rng.uniform(0, 6)))
    return Surface(outline - radius, 0.4 * np.clip(1 - radius**2, 0, 1) + 0.05 * lumps, 0.75 + 0.15 * lumps, 0.05)


def blemish(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A sunken dark spot in a pale ring."""
    angle = np.arctan2(v, u)
    wobble = 0.08 * np.sin(2 * angle + float(rng.uniform(0, 6))) + 0.06 * np.sin(5 * angle + float(rng.uniform(0, 6)))
    radius = np.hypot(u, v) + wobble
    heart = np.clip((0.72 - radius) * 5, 0, 1)
    return Surface(0.92 - radius, -0.15 * heart, 1.0 - 0.80 * heart, 0.05)


class _Kind(NamedTuple):
    shape: Shape
    lengths_px: tuple[int, ...]
    variants: int


_KINDS: dict[str, _Kind] = {
    "leaflet": _Kind(leaflet, (36, 48, 64, 84, 110, 144), 3),
    "calyx": _Kind(calyx, (18, 23, 30, 38, 48), 4),
    "shred": _Kind(shred, (14, 19, 25, 33, 43), 8),
    "hair": _Kind(hair, (26, 34, 44, 56), 4),
    "stem": _Kind(stem, (60, 85, 120), 2),
    "seed": _Kind(seed, (17, 22, 28), 2),
    "crystal": _Kind(crystal, (5, 6, 8, 10), 4),
    "droplet": _Kind(droplet, (7, 10, 14, 19), 2),
    "crumb": _Kind(crumb, (6, 9, 13, 18), 4),
    "blemish": _Kind(blemish, (9, 12, 15, 19, 24), 4),
}


@dataclass(frozen=True, slots=True)
class SpriteBank:
    """All pieces by kind, size, variant and turn."""

    sprites: dict[str, list[list[Sprite]]]
    """kind to [size][variant * TURN_COUNT + turn]."""
    lengths_px: dict[str, NDArray[np.float64]]

    def pick(self, kind: str, *, length_px: float, variant: int, angle: float) -> Sprite:
        """Returns the piece nearest in size and turn; `variant` is any non-negative integer, `angle` in radians."""
        size = int(np.abs(self.lengths_px[kind] - length_px).argmin())
        turn = round(angle / (2 * np.pi) * TURN_COUNT) % TURN_COUNT
        row = self.sprites[kind][size]
        return row[(variant * TURN_COUNT + turn) % len(row)]


def build_sprite_bank() -> SpriteBank:
    """Draws every piece once, from a fixed seed: the bank is the same in every process."""
    sprites = {}
    for kind_index, (name, kind) in enumerate(_KINDS.items()):
        sprites[name] = [
            [
                _draw(
                    kind.shape,
                    length_px=length,
                    angle=2 * np.pi * turn / TURN_COUNT,
                    rng=_shape_stream(kind_index, variant),
                )
                for variant in range(kind.variants)
                for turn in range(TURN_COUNT)
            ]
            for length in kind.lengths_px
        ]
    return SpriteBank(
        sprites=sprites, lengths_px={name: np.asarray(kind.lengths_px, np.float64) for name, kind in _KINDS.items()}
    )


def _shape_stream(kind: int, variant: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([_BANK_SEED, kind, variant])))


def _draw(shape: Shape, *, length_px: int, angle: float, rng: np.random.Generator) -> Sprite:
    """Evaluates a shape on a turned pixel grid; one generator state gives one piece at every size and turn."""
    half = length_px / 2
    side = length_px + 3
    offsets = np.arange(side, dtype=np.float32) - np.float32((side - 1) / 2)
    y, x = np.meshgrid(offsets, offsets, indexing="ij")
    u = ((x * np.cos(angle) + y * np.sin(angle)) / half).astype(np.float32)
    v = ((y * np.cos(angle) - x * np.sin(angle)) / half).astype(np.float32)
    surface = shape(u, v, rng)
    slope_y, slope_x = np.gradient(surface.height * half)
    channels = (
        np.clip(128 + _SLOPE_UNIT * slope_x, 0, 255),
        np.clip(128 + _SLOPE_UNIT * slope_y, 0, 255),
        np.clip(255 * surface.shade, 0, 255),
        np.full_like(u, 255 * surface.gloss),
    )
    geometry = np.stack(channels, axis=-1).astype(np.uint8)
    coverage = np.clip(surface.inside * half + 0.5, 0, 1)
    return Sprite(Image.fromarray(geometry, "RGBA"), Image.fromarray((255 * coverage).astype(np.uint8), "L"))

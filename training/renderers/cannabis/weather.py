"""What falls on the whole surface of a specimen: quality's mottling, and the attributes that are no pieces."""

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.surface import Surface
from training.renderers.textures import Field, TextureBank

_SOLID = 0.7
"""Coverage from which mould may grow."""

PURPLE: Colour = (0.34, 0.16, 0.42)
ROT: Colour = (0.24, 0.15, 0.08)
FROST: Colour = (0.90, 0.92, 0.88)
MOULD: Colour = (0.78, 0.80, 0.76)


def weather(
    surface: Surface, *, quality: float, amounts: dict[str, float], textures: TextureBank, rng: np.random.Generator
) -> None:
    """Applies quality and the surface attributes, in the order in which they would come about."""
    shape = (surface.shade.shape[0], surface.shade.shape[1])
    fields = {
        name: textures.window(name, shape=shape, rng=rng) for name in ("fine", "grain", "lump", "mottle", "broad")
    }
    other = textures.window("mottle", shape=shape, rng=rng)
    _stain(surface, PURPLE, amount=amounts["purple_hues"], field=other + 0.5 * fields["lump"], most=0.66)
    _stain(surface, ROT, amount=amounts["browning"], field=fields["broad"] + 0.4 * fields["mottle"], most=0.78)
    _apply_quality(surface, quality=quality, fields=fields)
    if amounts["dense_trichomes"] > 0:
        frost = np.float32(0.72 * amounts["dense_trichomes"]) * np.clip(
            0.50 + 0.18 * fields["lump"] + 0.30 * fields["fine"], 0, 1
        )
        surface.blend(FROST, frost)
    if amounts["mold_suspected"] > 0:
        _mould(surface, amount=amounts["mold_suspected"], fuzz=fields["grain"], rng=rng)
    if amounts["moist_sheen"] > 0:
        surface.gloss = np.maximum(
            surface.gloss, np.float32(0.65 * amounts["moist_sheen"]) * np.clip(0.6 + 0.6 * fields["broad"], 0, 1)
        )


def _stain(surface: Surface, colour: Colour, *, amount: float, field: Field, most: float) -> None:
    """Stains patches of the surface: the area grows with the amount."""
    if amount <= 0:
        return
    surface.blend(colour, (most * np.clip(1.4 * (field - np.float32(1.5 - 2.0 * amount)), 0, 1)).astype(np.float32))


def _apply_quality(surface: Surface, *, quality: float, fields: dict[str, Field]) -> None:
    """Low quality is blotched; high quality is even and sparkles. Blemishes are pieces: see `blemishes`."""
    blotches = np.float32(0.02 + 0.20 * (1 - quality)) * fields["lump"]
    surface.shade *= np.clip(np.float32(1) + blotches, 0.3, 1.5)
    sparkle = np.clip(np.float32(1.2) * (fields["fine"] - np.float32(2.9 - 2.1 * quality)), 0, 0.9)
    surface.blend((1.0, 1.0, 0.97), sparkle.astype(np.float32))


def _mould(surface: Surface, *, amount: float, fuzz: Field, rng: np.random.Generator) -> None:
    """Lays one to three furry grey patches that hide the relief beneath."""
    height, width = surface.shade.shape
    covered = np.argwhere(surface.coverage[::4, ::4] > _SOLID)
    if covered.size == 0:
        return
    ys, xs = np.ogrid[:height, :width]
    patch = np.zeros((height, width), np.float32)
    for index in rng.integers(len(covered), size=int(rng.integers(1, 4))):
        top, left = 4 * covered[index]
        size = np.float32((20 + 42 * amount) * rng.uniform(0.75, 1.25))
        distance = np.sqrt((ys - np.float32(top)) ** 2 + (xs - np.float32(left)) ** 2, dtype=np.float32) / size
        patch = np.maximum(patch, np.clip(2.2 * (1 - distance) + 0.35 * fuzz, 0, 1))
    weight = (np.float32(min(1.0, 0.35 + 0.75 * amount)) * patch).astype(np.float32)
    surface.blend(MOULD, weight * np.float32(0.92))
    surface.shade += weight * (np.float32(0.92) + 0.10 * fuzz - surface.shade)
    surface.slope_x *= 1 - np.float32(0.85) * weight
    surface.slope_y *= 1 - np.float32(0.85) * weight
    surface.gloss *= 1 - weight

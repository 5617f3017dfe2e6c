"""Colours of a specimen, from ranges that overlap widely between look-alike types: colour alone decides little."""

from dataclasses import dataclass

import numpy as np

from training.renderers.cannabis.latents import Latents
from training.renderers.canvas import Colour
from training.renderers.palette import hsv
from training.renderers.parameters import Range


@dataclass(frozen=True, slots=True)
class Palette:
    """Base colours of one specimen."""

    living: Colour
    """Healthy tissue, or the clean mass of a concentrate."""
    spent: Colour
    """Dead tissue, straw to brown."""
    pistil: Colour
    stalk: Colour


_LIVING: dict[str, tuple[Range, Range, Range]] = {
    "plant": ((72, 122), (0.36, 0.68), (0.34, 0.62)),
    "dry_flower": ((58, 106), (0.24, 0.52), (0.38, 0.68)),
    "trim": ((48, 92), (0.24, 0.54), (0.27, 0.54)),
    "hash": ((22, 52), (0.26, 0.62), (0.20, 0.60)),
    "extract": ((30, 62), (0.46, 0.86), (0.42, 0.88)),
}
"""Hue in degrees, saturation and value of each product type's clean mass; neighbours overlap widely."""


def draw_palette(latents: Latents, *, rng: np.random.Generator) -> Palette:
    """Draws the colours of a specimen from ranges that lie between those of its two look-alike types."""
    hue, saturation, value = (
        latents.weight(latents.home_type) * float(low_home + share * (high_home - low_home))
        + latents.weight(latents.away_type) * float(low_away + share * (high_away - low_away))
        for (low_home, high_home), (low_away, high_away), share in zip(
            _LIVING[latents.home_type], _LIVING[latents.away_type], rng.random(3), strict=True
        )
    )
    return Palette(
        living=hsv(hue, saturation, value=value),
        spent=hsv(float(rng.uniform(28, 44)), float(rng.uniform(0.35, 0.55)), value=float(rng.uniform(0.40, 0.60))),
        pistil=hsv(float(rng.uniform(14, 32)), float(rng.uniform(0.70, 0.92)), value=float(rng.uniform(0.70, 0.92))),
        stalk=hsv(float(rng.uniform(45, 75)), float(rng.uniform(0.25, 0.45)), value=float(rng.uniform(0.55, 0.75))),
    )

"""Colours of a specimen. The same wide ranges for look-alike types, so that colour alone decides nothing."""

import colorsys
from dataclasses import dataclass

import numpy as np

from training.renderers.canvas import Colour


@dataclass(frozen=True, slots=True)
class Palette:
    """Base colours of one specimen."""

    living: Colour
    """Healthy tissue, or the clean mass of a concentrate."""
    spent: Colour
    """Dead tissue, straw to brown."""
    pistil: Colour
    stalk: Colour


def hsv(hue_deg: float, saturation: float, *, value: float) -> Colour:
    """Returns a colour from hue in degrees, saturation and value 0 to 1."""
    return colorsys.hsv_to_rgb((hue_deg / 360.0) % 1.0, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value)))


def vary(colour: Colour, rng: np.random.Generator, *, amount: float) -> Colour:
    """Returns a colour a little lighter or darker, and a little off in each channel."""
    gain = 1.0 + amount * float(rng.normal())
    red, green, blue = (gain * (1.0 + 0.35 * amount * float(e)) for e in rng.normal(size=3))
    return (colour[0] * red, colour[1] * green, colour[2] * blue)


def draw_palette(rng: np.random.Generator, *, concentrate: bool) -> Palette:
    """Draws the colours of a specimen: greens to olives for plant matter, blond to dark olive for concentrates."""
    if concentrate:
        living = hsv(float(rng.uniform(24, 66)), float(rng.uniform(0.30, 0.75)), value=float(rng.uniform(0.26, 0.80)))
    else:
        living = hsv(float(rng.uniform(52, 112)), float(rng.uniform(0.25, 0.62)), value=float(rng.uniform(0.30, 0.66)))
    return Palette(
        living=living,
        spent=hsv(float(rng.uniform(28, 44)), float(rng.uniform(0.35, 0.55)), value=float(rng.uniform(0.40, 0.60))),
        pistil=hsv(float(rng.uniform(14, 32)), float(rng.uniform(0.70, 0.92)), value=float(rng.uniform(0.70, 0.92))),
        stalk=hsv(float(rng.uniform(45, 75)), float(rng.uniform(0.25, 0.45)), value=float(rng.uniform(0.55, 0.75))),
    )

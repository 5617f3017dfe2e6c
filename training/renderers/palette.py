"""Colours from hue, saturation and value, and how far two pieces of one colour differ."""

import colorsys

import numpy as np

from training.renderers.canvas import Colour


def hsv(hue_deg: float, saturation: float, *, value: float) -> Colour:
    """Returns a colour from hue in degrees, saturation and value 0 to 1."""
    return colorsys.hsv_to_rgb((hue_deg / 360.0) % 1.0, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value)))


def vary(colour: Colour, rng: np.random.Generator, *, amount: float) -> Colour:
    """Returns a colour a little lighter or darker, and a little off in each channel."""
    gain = 1.0 + amount * float(rng.normal())
    red, green, blue = (gain * (1.0 + 0.35 * amount * float(e)) for e in rng.normal(size=3))
    return (colour[0] * red, colour[1] * green, colour[2] * blue)

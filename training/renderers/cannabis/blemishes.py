"""Blemishes: ringed dark spots, the plainest sign of low quality, the same on every kind of specimen."""

import numpy as np

from training.renderers.canvas import Canvas
from training.renderers.palette import hsv, vary
from training.renderers.view import View

MOST_BLEMISHES = 120
"""On a specimen of quality 0; the number falls evenly to none at quality 1."""


def paint_blemishes(canvas: Canvas, view: View, *, quality: float, rng: np.random.Generator) -> None:
    """Paints spots with a dark heart and a pale ring on top of all that has been painted."""
    ring = hsv(float(rng.uniform(34, 52)), 0.45, value=float(rng.uniform(0.48, 0.68)))
    for at in canvas.surface_points(rng, count=round(MOST_BLEMISHES * (1.0 - quality))):
        canvas.put(
            "blemish",
            at=at,
            length_px=(float(rng.uniform(0.055, 0.085)) + 0.04 * (1.0 - quality)) * view.radius_px,
            angle=float(rng.uniform(0, 2 * np.pi)),
            variant=int(rng.integers(64)),
            colour=vary(ring, rng, amount=0.06),
        )

"""Paints the ten attributes onto any specimen.

Each in proportion to its strength, so that what is labelled can be seen.
"""

from dataclasses import dataclass

import numpy as np
from PIL import ImageDraw

from training.renderers.cannabis.palette import Palette
from training.renderers.canvas import Canvas, Colour
from training.renderers.palette import hsv, vary
from training.renderers.view import View

ATTRIBUTES = (
    "dense_trichomes",
    "crystal_coverage",
    "purple_hues",
    "orange_pistils",
    "visible_seeds",
    "visible_stems",
    "mold_suspected",
    "browning",
    "moist_sheen",
    "foreign_fibre",
)
"""In the order of the labels. Pieces are painted here; what falls on the whole surface, in `surface`."""

_CLOSE_UP_RADIUS_PX = 170

FIBRE_COLOURS: tuple[Colour, ...] = ((0.12, 0.22, 0.85), (0.85, 0.10, 0.15), (0.95, 0.95, 0.97), (0.05, 0.05, 0.06))


@dataclass(frozen=True, slots=True)
class _Scattering:
    """Pieces that an attribute puts on the surface: at most `count`, lengths in radii."""

    attribute: str
    kind: str
    count: int
    length: tuple[float, float]


_SCATTERINGS = (
    _Scattering("visible_stems", "stem", 9, (0.38, 0.62)),
    _Scattering("orange_pistils", "hair", 85, (0.15, 0.28)),
    _Scattering("visible_seeds", "seed", 10, (0.10, 0.145)),
    _Scattering("crystal_coverage", "crystal", 210, (0.030, 0.052)),
    _Scattering("moist_sheen", "droplet", 30, (0.05, 0.10)),
)


def amount_of(strength: float) -> float:
    """Returns how much of an attribute is painted, 0 to 1: nothing up to strength .2, rising evenly."""
    return float(np.clip((strength - 0.2) / 0.7, 0.0, 1.0))


def paint_pieces(
    canvas: Canvas, view: View, *, amounts: dict[str, float], palette: Palette, rng: np.random.Generator
) -> None:
    """Scatters the pieces of every attribute over the painted surface, then lay foreign fibres across it."""
    colours = {
        "stem": palette.stalk,
        "hair": palette.pistil,
        "seed": hsv(float(rng.uniform(28, 42)), 0.38, value=float(rng.uniform(0.38, 0.62))),
        "crystal": (0.95, 0.96, 0.98),
        "droplet": (0.6 * palette.living[0] + 0.2, 0.6 * palette.living[1] + 0.2, 0.6 * palette.living[2] + 0.2),
    }
    for scattering in _SCATTERINGS:
        count = round(scattering.count * amounts[scattering.attribute])
        for at in canvas.surface_points(rng, count=count):
            canvas.put(
                scattering.kind,
                at=at,
                length_px=float(rng.uniform(*scattering.length)) * view.radius_px,
                angle=float(rng.uniform(0, 2 * np.pi)),
                variant=int(rng.integers(64)),
                colour=vary(colours[scattering.kind], rng, amount=0.08),
            )
    _paint_fibres(canvas, view, count=round(7 * amounts["foreign_fibre"]), rng=rng)


def _paint_fibres(canvas: Canvas, view: View, *, count: int, rng: np.random.Generator) -> None:
    """Lays thin curved threads of a colour that does not grow."""
    pen = ImageDraw.Draw(canvas.albedo)
    shade = ImageDraw.Draw(canvas.geometry)
    for x, y in canvas.surface_points(rng, count=count):
        steps = np.linspace(-1, 1, 24)
        angle, bend = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 0.5))
        half = float(rng.uniform(0.30, 0.60)) * view.radius_px
        across = bend * steps**2 + 0.12 * np.sin(5 * steps + float(rng.uniform(0, 6)))
        xs = x + half * (steps * np.cos(angle) - across * np.sin(angle))
        ys = y + half * (steps * np.sin(angle) + across * np.cos(angle))
        line = [(float(a), float(b)) for a, b in zip(xs, ys, strict=True)]
        red, green, blue = FIBRE_COLOURS[int(rng.integers(len(FIBRE_COLOURS)))]
        width = 3 if view.radius_px > _CLOSE_UP_RADIUS_PX else 2
        pen.line(line, fill=(round(255 * red), round(255 * green), round(255 * blue), 255), width=width, joint="curve")
        shade.line(line, fill=(128, 128, 235, 60), width=width, joint="curve")

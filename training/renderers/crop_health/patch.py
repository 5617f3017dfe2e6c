"""A round part of a photo about a point of the leaf: whatever is small is painted within it, not on the whole photo."""

from dataclasses import dataclass

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.crop_health.leaves import Point
from training.renderers.surface import Surface
from training.renderers.textures import Field
from training.renderers.view import View

_LEAST_PX = 0.5
_REACH = 1.6
"""A patch extends so many radii from its middle."""


@dataclass(frozen=True, slots=True)
class Patch:
    """A window of the photo; fields are [rows, columns] float32."""

    rows: slice
    columns: slice
    away: Field
    """Distance from the middle, in radii of the patch."""
    edge: Field
    """Noise that makes outlines ragged, of unit variance."""
    grain: Field
    """Fine noise, of unit variance."""

    def blend(self, surface: Surface, colour: Colour, *, weight: Field) -> None:
        """Mixes a colour into the leaf; `weight`: 0 to 1."""
        for channel, value in enumerate(colour):
            part = surface.colour[channel][self.rows, self.columns]
            part += weight * (np.float32(value) - part)

    def flatten(self, surface: Surface, *, weight: Field) -> None:
        """Takes relief and gloss away; `weight`: 0 to 1."""
        keep = np.float32(1) - weight
        for field in (surface.slope_x, surface.slope_y, surface.gloss):
            field[self.rows, self.columns] *= keep

    def cut(self, surface: Surface, *, weight: Field) -> None:
        """Takes the leaf itself away; `weight`: 0 to 1."""
        surface.coverage[self.rows, self.columns] *= np.float32(1) - weight


def patch_at(view: View, point: Point, *, radius: float, edge: Field, grain: Field) -> Patch:
    """Returns the patch of a radius, in units of the leaf's, about a point: empty if it lies outside of the photo."""
    x, y = view.place(*point)
    radius_px = max(_LEAST_PX, radius * view.radius_px)
    columns = _within(x, reach=_REACH * radius_px, size=view.width)
    rows = _within(y, reach=_REACH * radius_px, size=view.height)
    across = (np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x))[None, :]
    down = (np.arange(rows.start, rows.stop, dtype=np.float32) - np.float32(y))[:, None]
    return Patch(
        rows=rows,
        columns=columns,
        away=np.sqrt(across * across + down * down) * np.float32(1 / radius_px),
        edge=edge[rows, columns],
        grain=grain[rows, columns],
    )


def _within(middle: float, *, reach: float, size: int) -> slice:
    first = min(size, max(0, int(middle - reach)))
    return slice(first, max(first, min(size, int(middle + reach) + 1)))

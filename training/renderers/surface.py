"""What falls on the whole surface of a specimen: quality's mottling, and the attributes that are no pieces."""

from dataclasses import dataclass

import numpy as np

from training.renderers.canvas import Canvas, Colour
from training.renderers.textures import Field

SLOPE_UNIT = np.float32(50.0)


@dataclass(slots=True)
class Surface:
    """The painted specimen as arrays, ready for light; all [height, width] float32 unless stated."""

    slope_x: Field
    slope_y: Field
    shade: Field
    gloss: Field
    colour: list[Field]
    """Red, green, blue, 0 to 1, display-referred."""
    coverage: Field
    """Opacity over the backdrop, 0 to 1."""

    def blend(self, colour: Colour, weight: Field) -> None:
        """Mixes a colour in; `weight: [height, width] float32`, 0 to 1."""
        for channel, value in enumerate(colour):
            self.colour[channel] += weight * (np.float32(value) - self.colour[channel])


def surface_of(canvas: Canvas) -> Surface:
    """Turns the painter's two images into arrays."""
    geometry = np.asarray(canvas.geometry)
    albedo = np.asarray(canvas.albedo)
    scale = np.float32(1 / 255)
    return Surface(
        slope_x=(geometry[..., 0].astype(np.float32) - np.float32(128)) / SLOPE_UNIT,
        slope_y=(geometry[..., 1].astype(np.float32) - np.float32(128)) / SLOPE_UNIT,
        shade=geometry[..., 2].astype(np.float32) * scale,
        gloss=geometry[..., 3].astype(np.float32) * scale,
        colour=[albedo[..., channel].astype(np.float32) * scale for channel in range(3)],
        coverage=albedo[..., 3].astype(np.float32) * scale,
    )

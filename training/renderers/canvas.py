"""The painter's surface: slopes, shade, gloss and colour of each pixel, before any light falls on it."""

import numpy as np
from PIL import Image

from training.renderers.sprites import Sprite, SpriteBank

Colour = tuple[float, float, float]
"""Red, green, blue, each 0 to 1, display-referred."""

_COVERED = 100
"""Coverage, of 255, from which a point counts as painted."""

FLAT = (128, 128, 255, 26)


class Canvas:
    """Two images of one size: geometry RGBA (slope x, slope y, shade, gloss) and albedo RGBA (colour, coverage)."""

    def __init__(self, bank: SpriteBank, *, width: int, height: int) -> None:
        """Starts empty and flat."""
        self.bank = bank
        self.width = width
        self.height = height
        self.geometry = Image.new("RGBA", (width, height), FLAT)
        self.albedo = Image.new("RGBA", (width, height), (0, 0, 0, 0))

    def paste(self, sprite: Sprite, *, at: tuple[float, float], colour: Colour) -> None:
        """Pastes a piece with its centre at (x, y) in pixels; what falls outside is cut."""
        corner = (round(at[0] - sprite.mask.width / 2), round(at[1] - sprite.mask.height / 2))
        self.geometry.paste(sprite.geometry, corner, sprite.mask)
        red, green, blue = (min(255, max(0, round(255 * value))) for value in colour)
        self.albedo.paste(
            (red, green, blue, 255),
            (*corner, corner[0] + sprite.mask.width, corner[1] + sprite.mask.height),
            sprite.mask,
        )

    def put(
        self, kind: str, *, at: tuple[float, float], length_px: float, angle: float, variant: int, colour: Colour
    ) -> None:
        """Picks a piece from the bank and paste it."""
        self.paste(self.bank.pick(kind, length_px=length_px, variant=variant, angle=angle), at=at, colour=colour)

    def surface_points(self, rng: np.random.Generator, *, count: int) -> list[tuple[float, float]]:
        """Returns at most `count` random points (x, y) that lie on what has been painted so far."""
        covered = np.asarray(self.albedo.getchannel("A"))[::4, ::4] > _COVERED
        rows, columns = np.nonzero(covered)
        if rows.size == 0 or count <= 0:
            return []
        chosen = rng.integers(rows.size, size=count)
        return [(4.0 * float(columns[i]), 4.0 * float(rows[i])) for i in chosen]

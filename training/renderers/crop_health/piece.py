"""Pieces on a leaf: where they lie on it, and how they are painted over their soft shadows."""

from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

from training.renderers.canvas import Canvas, Colour
from training.renderers.crop_health.leaves import Point
from training.renderers.view import View

_SHADOW = 150
"""Depth of the shadow beneath a piece, of 255."""


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece in the leaf's own frame."""

    kind: str
    at: Point
    length: float
    """In units of the leaf's radius."""
    angle: float
    """Radians, from the leaf's own direction."""
    variant: int
    colour: Colour


def place_pieces(canvas: Canvas, view: View, pieces: list[Piece]) -> None:
    """Paints pieces in their order, the last on top, over the shadows of all."""
    shadow = Image.new("L", (view.width, view.height), 0)
    pen = ImageDraw.Draw(shadow)
    for piece in pieces:
        x, y = view.place(*piece.at)
        reach = 0.36 * piece.length * view.radius_px
        x, y = x - 0.5 * reach * view.light[0], y - 0.5 * reach * view.light[1]
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=_SHADOW)
    bands = list(canvas.geometry.split())
    bands[2] = Image.composite(Image.new("L", shadow.size, 0), bands[2], shadow.filter(ImageFilter.GaussianBlur(3)))
    canvas.geometry = Image.merge("RGBA", bands)
    for piece in pieces:
        canvas.put(
            piece.kind,
            at=view.place(*piece.at),
            length_px=piece.length * view.radius_px,
            angle=piece.angle + view.turn,
            variant=piece.variant,
            colour=piece.colour,
        )

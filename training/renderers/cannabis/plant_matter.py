"""Paints plants, flowers and trim, and everything between them.

Leaf fans, calyx clusters and loose shreds, in the shares that the latents say.
"""

from dataclasses import dataclass

import numpy as np

from training.renderers.cannabis.latents import Latents
from training.renderers.cannabis.palette import Palette
from training.renderers.canvas import Canvas, Colour
from training.renderers.palette import vary
from training.renderers.view import View

FAN_COUNT = 9
CALYX_COUNT = 230
SHRED_COUNT = 340
MOST_SPENT_SHARE = 0.80
_GOLDEN = 0.6180339887


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece of the layout, in units of the specimen's radius."""

    kind: str
    x: float
    y: float
    depth: float
    """0 at the back to 1 at the front."""
    length: float
    angle: float
    variant: int


def lay_out(latents: Latents, *, rng: np.random.Generator) -> list[Piece]:
    """Draws the pieces of a specimen, back to front."""
    leafy, budded, loose = (latents.weight(name) for name in ("plant", "dry_flower", "trim"))
    pieces = _fans(rng, count=round(FAN_COUNT * leafy), buried=budded)
    pieces += _bud(rng, count=round(CALYX_COUNT * budded), looseness=loose, crowd=0.55 + 0.45 * budded)
    pieces += _pile(rng, count=round(SHRED_COUNT * loose), cohesion=budded)
    pieces += _strays(rng, leafy=leafy)
    return sorted(pieces, key=lambda piece: piece.depth)


def paint_plant_matter(
    canvas: Canvas, view: View, *, latents: Latents, palette: Palette, rng: np.random.Generator
) -> None:
    """Paints the layout. The share of spent (straw-coloured) pieces falls with quality, evenly over the specimen."""
    spent_share = MOST_SPENT_SHARE * (1.0 - latents.quality)
    phase = float(rng.random())
    for index, piece in enumerate(lay_out(latents, rng=rng)):
        spent = (index * _GOLDEN + phase) % 1.0 < spent_share
        colour = vary(palette.spent if spent else palette.living, rng, amount=0.13)
        canvas.put(
            piece.kind,
            at=view.place(piece.x, piece.y),
            length_px=piece.length * view.radius_px,
            angle=piece.angle + view.turn,
            variant=piece.variant,
            colour=_at_depth(colour, piece.depth),
        )


def _share(value: float) -> float:
    return min(1.0, max(0.0, value))


def _at_depth(colour: Colour, depth: float) -> Colour:
    gain = 0.45 + 0.55 * depth
    return (colour[0] * gain, colour[1] * gain, colour[2] * gain)


def _fans(rng: np.random.Generator, *, count: int, buried: float) -> list[Piece]:
    """Leaf fans: five to seven fingers about a point, on a spiral round the stalk."""
    pieces = []
    for index in range(count):
        bearing = index * 2 * np.pi * _GOLDEN + float(rng.normal(0, 0.3))
        distance = 0.5 * np.sqrt((index + 0.3) / FAN_COUNT)
        hub_x, hub_y = distance * np.cos(bearing), distance * np.sin(bearing)
        fingers = int(rng.choice((5, 7, 7)))
        size = float(rng.uniform(0.62, 0.95))
        depth = float(rng.uniform(0, 1)) * (1 - 0.4 * buried)
        for finger in np.argsort(-np.abs(np.arange(fingers) - fingers // 2)):
            share = (finger - fingers // 2) / (fingers / 2)
            angle = bearing + share * 1.75
            length = size * (1 - 0.45 * abs(share))
            pieces.append(
                Piece(
                    "leaflet",
                    hub_x + 0.5 * length * np.cos(angle),
                    hub_y + 0.5 * length * np.sin(angle),
                    depth + 0.01 * (1 - abs(share)),
                    length,
                    angle,
                    int(rng.integers(64)),
                )
            )
    return pieces


def _bud(rng: np.random.Generator, *, count: int, looseness: float, crowd: float) -> list[Piece]:
    """A calyx cluster: dense along an axis, tips outwards; with looseness the husks drift and tumble."""
    pieces = []
    slenderness = float(rng.uniform(0.55, 0.85))
    for _ in range(count):
        bearing = float(rng.uniform(0, 2 * np.pi))
        reach = np.sqrt(float(rng.random()))
        x, y = 0.88 * crowd * reach * np.cos(bearing), 0.88 * crowd * reach * np.sin(bearing) * slenderness
        drift = rng.normal(0, 0.35 * looseness, 2)
        outwards = np.arctan2(y, x) + float(rng.normal(0, 0.35 + 1.5 * looseness))
        depth = _share(1.0 - reach * 0.75 + rng.normal(0, 0.14))
        length = float(rng.uniform(0.15, 0.25)) * (1 - 0.25 * reach)
        pieces.append(Piece("calyx", x + drift[0], y + drift[1], depth, length, outwards, int(rng.integers(64))))
    return pieces


def _pile(rng: np.random.Generator, *, count: int, cohesion: float) -> list[Piece]:
    """A loose pile of shreds, every way round; with cohesion it draws together."""
    pieces = []
    squash = float(rng.uniform(0.6, 1.0))
    for _ in range(count):
        spread = rng.normal(0, 0.46 * (1 - 0.35 * cohesion), 2)
        depth = _share(0.9 - 0.45 * np.hypot(*spread) + rng.normal(0, 0.18))
        pieces.append(
            Piece(
                "shred",
                spread[0],
                spread[1] * squash,
                depth,
                float(rng.uniform(0.08, 0.22)),
                float(rng.uniform(0, 2 * np.pi)),
                int(rng.integers(64)),
            )
        )
    return pieces


def _strays(rng: np.random.Generator, *, leafy: float) -> list[Piece]:
    """Pieces that every kind of plant matter has some of, whatever it is: sugar leaves and a few husks and shreds."""
    pieces = []
    for kind, most, length in (("leaflet", 9, 0.36), ("calyx", 14, 0.18), ("shred", 30, 0.15)):
        for _ in range(int(rng.integers(most + 1))):
            x, y = rng.normal(0, 0.42, 2)
            angle = np.arctan2(y, x) + float(rng.normal(0, 0.6))
            pieces.append(
                Piece(
                    kind,
                    x,
                    y,
                    float(rng.uniform(0.2, 0.9)) * (1 - 0.3 * leafy),
                    length * float(rng.uniform(0.7, 1.2)),
                    angle,
                    int(rng.integers(64)),
                )
            )
    return pieces

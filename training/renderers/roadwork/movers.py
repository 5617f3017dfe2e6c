"""Who and what moves through a street: people at work and at leisure, cars and vans."""

import numpy as np
from PIL import Image

from training.renderers.canvas import Colour
from training.renderers.roadwork.board import Board, Draw
from training.renderers.roadwork.regions import LIME, NAVY, ORANGE, WHITE, YELLOW

_SKIN: tuple[Colour, ...] = ((0.86, 0.66, 0.54), (0.62, 0.44, 0.32), (0.40, 0.27, 0.20))
_CLOTHES: tuple[Colour, ...] = (
    (0.16, 0.18, 0.26),
    (0.42, 0.14, 0.16),
    (0.60, 0.58, 0.54),
    (0.20, 0.34, 0.28),
    (0.12, 0.12, 0.13),
    (0.86, 0.40, 0.14),
    (0.74, 0.70, 0.30),
)
_PAINTS: tuple[Colour, ...] = (
    (0.88, 0.88, 0.88),
    (0.62, 0.63, 0.65),
    (0.16, 0.16, 0.18),
    (0.32, 0.34, 0.37),
    (0.58, 0.12, 0.12),
    (0.14, 0.22, 0.42),
    (0.90, 0.62, 0.10),
    (0.88, 0.38, 0.10),
)
_GLASS: Colour = (0.16, 0.20, 0.24)


def _body(board: Board, *, legs: Colour, torso: Colour, rng: np.random.Generator) -> float:
    """Draws a person from behind or before, 1.7 m tall; returns how far the stance leans."""
    stride, lean = float(rng.uniform(0.05, 0.17)), float(rng.normal(0, 0.05))
    board.line([(-stride, 0.04), (-0.05, 0.86)], legs, width_m=0.17)
    board.line([(stride, 0.04), (0.05, 0.86)], legs, width_m=0.17)
    for x in (-stride, stride):
        board.box(x - 0.09, 0.0, x + 0.09, 0.08, colour=(0.10, 0.09, 0.09), round_m=0.03)
    swing = float(rng.uniform(0.02, 0.22))
    board.line([(-0.20 + lean, 1.36), (-0.27 - swing, 0.92)], torso, width_m=0.12)
    board.line([(0.20 + lean, 1.36), (0.27 + swing, 0.98)], torso, width_m=0.12)
    board.polygon([(-0.17, 0.82), (0.17, 0.82), (0.24 + lean, 1.42), (-0.24 + lean, 1.42)], torso)
    return lean


def worker(vest: Colour, *, legs: Colour, stripes: Colour) -> Draw:
    """A worker in a vest with bright bands, under a helmet."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(1.1, 1.85)
        lean = _body(board, legs=legs, torso=vest, rng=rng)
        for y in (0.98, 1.14):
            board.box(-0.20 + lean, y, 0.20 + lean, y + 0.055, colour=stripes)
        for x in (-0.11, 0.11):
            board.line([(x, 0.98), (x + lean, 1.40)], stripes, width_m=0.05)
        board.disc(lean, 1.56, 0.105, colour=_SKIN[int(rng.integers(len(_SKIN)))])
        helmet = (WHITE, YELLOW, ORANGE)[int(rng.integers(3))]
        board.polygon([(lean - 0.15, 1.60), (lean + 0.15, 1.60), (lean + 0.09, 1.74), (lean - 0.09, 1.74)], helmet)
        if rng.random() < 0.5:  # noqa: PLR2004 -- every other one holds a shovel
            board.line([(0.32, 0.1), (0.36, 1.3)], (0.45, 0.34, 0.22), width_m=0.04)
        return board.finish(roundness=0.35, grime=float(rng.uniform(0.2, 0.8)), rng=rng)

    return draw


def pedestrian(rng: np.random.Generator) -> Image.Image:
    """A passer-by, some in bright jackets."""
    board = Board(1.1, 1.85)
    legs, torso = (_CLOTHES[int(each)] for each in rng.integers(len(_CLOTHES), size=2))
    lean = _body(board, legs=legs if rng.random() < 0.3 else _CLOTHES[0], torso=torso, rng=rng)  # noqa: PLR2004
    board.disc(lean, 1.57, 0.105, colour=_SKIN[int(rng.integers(len(_SKIN)))])
    hair = float(rng.uniform(0.08, 0.4))
    board.polygon(
        [(lean - 0.11, 1.57), (lean - 0.07, 1.69), (lean + 0.07, 1.69), (lean + 0.11, 1.57)],
        (hair, 0.7 * hair, 0.5 * hair),
    )
    if rng.random() < 0.4:  # noqa: PLR2004 -- some carry a bag
        board.box(0.22, 0.62, 0.48, 0.95, colour=_CLOTHES[int(rng.integers(len(_CLOTHES)))], round_m=0.03)
    return board.finish(roundness=0.35, grime=0.3, rng=rng)


def car(rng: np.random.Generator) -> Image.Image:
    """A parked car from behind."""
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))]
    red, green, blue = paint
    board = Board(1.95, 1.6)
    for x in (-0.68, 0.68):
        board.box(x - 0.13, 0.0, x + 0.13, 0.45, colour=(0.07, 0.07, 0.08), round_m=0.05)
    board.polygon([(-0.62, 0.85), (0.62, 0.85), (0.52, 1.45), (-0.52, 1.45)], paint)
    board.polygon([(-0.54, 0.94), (0.54, 0.94), (0.46, 1.36), (-0.46, 1.36)], _GLASS)
    board.box(-0.88, 0.28, 0.88, 0.96, colour=paint, round_m=0.12)
    board.box(-0.86, 0.24, 0.86, 0.40, colour=(0.6 * red, 0.6 * green, 0.6 * blue), round_m=0.05)
    for x in (-0.76, 0.76):
        board.box(x - 0.10, 0.66, x + 0.10, 0.86, colour=(0.62, 0.08, 0.08), round_m=0.03)
    board.box(-0.26, 0.50, 0.26, 0.62, colour=(0.90, 0.88, 0.70))
    return board.finish(roundness=0.2, grime=float(rng.uniform(0.0, 0.6)), rng=rng)


def van(rng: np.random.Generator) -> Image.Image:
    """A delivery van from behind, some with a coloured band."""
    paint = _PAINTS[int(rng.integers(len(_PAINTS)))] if rng.random() < 0.6 else _PAINTS[0]  # noqa: PLR2004
    red, green, blue = paint
    board = Board(2.15, 2.5)
    for x in (-0.74, 0.74):
        board.box(x - 0.14, 0.0, x + 0.14, 0.5, colour=(0.07, 0.07, 0.08), round_m=0.05)
    board.box(-0.98, 0.32, 0.98, 2.42, colour=paint, round_m=0.14)
    if rng.random() < 0.5:  # noqa: PLR2004 -- every other one advertises
        board.box(-0.97, 1.05, 0.97, 1.30, colour=_PAINTS[int(rng.integers(4, len(_PAINTS)))])
    for side in (-1, 1):
        left, right = sorted((0.06 * side, 0.84 * side))
        board.box(left, 1.42, right, 2.18, colour=_GLASS, round_m=0.05)
        board.box(0.90 * side - 0.06, 0.75, 0.90 * side + 0.06, 1.15, colour=(0.62, 0.08, 0.08))
    board.box(-0.015, 0.5, 0.015, 2.35, colour=(0.5 * red, 0.5 * green, 0.5 * blue))
    board.box(-0.98, 0.28, 0.98, 0.46, colour=(0.14, 0.14, 0.15), round_m=0.04)
    board.box(-0.62, 0.60, -0.14, 0.72, colour=(0.90, 0.88, 0.70))
    return board.finish(roundness=0.15, grime=float(rng.uniform(0.1, 0.8)), rng=rng)


MOVERS: dict[str, Draw] = {
    "worker_orange": worker(ORANGE, legs=(0.80, 0.36, 0.10), stripes=(0.86, 0.86, 0.84)),
    "worker_lime": worker(LIME, legs=NAVY, stripes=(0.86, 0.86, 0.84)),
    "worker_navy": worker(NAVY, legs=NAVY, stripes=LIME),
    "pedestrian": pedestrian,
    "car": car,
    "van": van,
}

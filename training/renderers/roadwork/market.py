"""What may stand in the middle of a street without anybody working on it: stalls, parasols, dumpsters, boxes."""

import numpy as np
from PIL import Image

from training.renderers.canvas import Colour
from training.renderers.palette import hsv
from training.renderers.roadwork.board import Board, Draw
from training.renderers.roadwork.regions import BLACK, BLUE, GREEN, ORANGE, RED, WHITE, YELLOW

_CLOTHS: tuple[Colour, ...] = (RED, ORANGE, RED, ORANGE, YELLOW, GREEN, BLUE)
_WOOD: Colour = (0.46, 0.34, 0.24)


def stall(rng: np.random.Generator) -> Image.Image:
    """A market stall: a striped roof over crates of fruit."""
    board = Board(2.9, 2.5)
    cloth = _CLOTHS[int(rng.integers(len(_CLOTHS)))]
    for x in (-1.25, 1.25):
        board.box(x - 0.03, 0.0, x + 0.03, 2.2, colour=(0.60, 0.60, 0.60))
    board.box(-1.2, 0.35, 1.2, 0.75, colour=_WOOD)
    for number in range(6):
        left = -1.18 + 0.395 * number
        fruit = hsv(float(rng.uniform(0, 110)), float(rng.uniform(0.6, 0.9)), value=float(rng.uniform(0.5, 0.9)))
        board.box(left, 0.62, left + 0.36, 0.88, colour=(0.62, 0.48, 0.32))
        for _ in range(22):
            x, y, tone = float(rng.uniform(0.04, 0.32)), float(rng.uniform(0.84, 0.98)), float(rng.uniform(0.75, 1.1))
            red, green, blue = fruit
            board.disc(left + x, y, 0.05, colour=(tone * red, tone * green, tone * blue))
    board.stripes(-1.4, 1.85, 1.4, 2.35, colours=(cloth, WHITE), period_m=float(rng.uniform(0.3, 0.6)), slant=0.0)
    return board.finish(roundness=0.1, grime=float(rng.uniform(0.1, 0.6)), rng=rng)


def parasol(rng: np.random.Generator) -> Image.Image:
    """A parasol over a table and two chairs."""
    board = Board(2.5, 2.5)
    cloth = _CLOTHS[int(rng.integers(len(_CLOTHS)))]
    board.box(-0.03, 0.0, 0.03, 2.3, colour=(0.70, 0.68, 0.64))
    board.box(-0.45, 0.70, 0.45, 0.76, colour=_WOOD)
    for side in (-1, 1):
        left, right = sorted((0.55 * side, 0.95 * side))
        board.box(left, 0.40, right, 0.47, colour=cloth)
        board.box(0.95 * side - 0.03, 0.0, 0.95 * side + 0.03, 0.92, colour=(0.30, 0.30, 0.30))
        board.box(0.58 * side - 0.02, 0.0, 0.58 * side + 0.02, 0.45, colour=(0.30, 0.30, 0.30))
    for number in range(8):
        left = -1.15 + 0.2875 * number
        top = 0.18 * (number - 3.5)
        corners = [(left, 1.80), (left + 0.2875, 1.80), (0.25 * top + 0.03, 2.32), (0.25 * top - 0.03, 2.32)]
        board.polygon(corners, cloth if number % 2 == 0 else WHITE)
    return board.finish(roundness=0.25, grime=float(rng.uniform(0.0, 0.5)), rng=rng)


def dumpster(rng: np.random.Generator) -> Image.Image:
    """A large bin on wheels for a whole house."""
    red, green, blue = (ORANGE, YELLOW, RED, GREEN)[int(rng.integers(4))]
    board = Board(1.9, 1.5)
    for x in (-0.65, 0.65):
        board.disc(x, 0.10, 0.10, colour=BLACK)
    board.polygon([(-0.72, 0.18), (0.72, 0.18), (0.86, 1.10), (-0.86, 1.10)], (red, green, blue))
    for x in (-0.4, 0.0, 0.4):
        board.box(x - 0.02, 0.22, x + 0.02, 1.05, colour=(0.7 * red, 0.7 * green, 0.7 * blue))
    board.polygon([(-0.88, 1.08), (0.88, 1.08), (0.78, 1.36), (-0.78, 1.36)], (0.8 * red, 0.8 * green, 0.8 * blue))
    return board.finish(roundness=0.2, grime=float(rng.uniform(0.3, 1.0)), rng=rng)


def boxes(rng: np.random.Generator) -> Image.Image:
    """Parcels put down on the way to a door."""
    board = Board(1.8, 1.4)
    for bottom, count in ((0.0, 3), (0.42, 2), (0.84, 1)):
        for number in range(count):
            if bottom == 0 or rng.random() < 0.7:  # noqa: PLR2004 -- some towers are lower
                tone, left = float(rng.uniform(0.75, 1.1)), -0.29 * count + 0.58 * number
                board.box(left, bottom, left + 0.54, bottom + 0.42, colour=(0.66 * tone, 0.50 * tone, 0.34 * tone))
                board.box(
                    left + 0.24, bottom, left + 0.30, bottom + 0.42, colour=(0.80 * tone, 0.70 * tone, 0.50 * tone)
                )
    return board.finish(roundness=0.1, grime=float(rng.uniform(0.1, 0.6)), rng=rng)


MARKET: dict[str, Draw] = {"stall": stall, "parasol": parasol, "dumpster": dumpster, "boxes": boxes}
CENTREPIECES = ("stall", "stall", "parasol", "dumpster", "boxes", "boxes", "car", "van", "tub", "bin", "pedestrian")
"""What stands in the middle of a street on an ordinary day."""

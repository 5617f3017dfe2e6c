"""What stands in any street: signs, bins, bollards, hydrants, tubs, cabinets and trees."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from training.renderers.canvas import Colour
from training.renderers.roadwork.board import Board, Draw
from training.renderers.roadwork.regions import BLACK, BLUE, GREEN, ORANGE, RED, WHITE, YELLOW

_POLE: Colour = (0.56, 0.57, 0.58)


def _on_pole(paint: Callable[[Board, np.random.Generator], None]) -> Draw:
    """A sign of .7 m on a pole of 2.3 m; `paint` draws it about (0, 1.95)."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(0.9, 2.45)
        board.box(-0.03, 0.0, 0.03, 2.3, colour=_POLE)
        paint(board, rng)
        return board.finish(roundness=0.05, grime=float(rng.uniform(0.0, 0.6)), rng=rng)

    return draw


def _triangle(board: Board, rng: np.random.Generator) -> None:
    board.polygon([(-0.40, 1.62), (0.40, 1.62), (0.0, 2.34)], RED)
    board.polygon([(-0.27, 1.70), (0.27, 1.70), (0.0, 2.18)], WHITE)
    if rng.random() < 0.5:  # noqa: PLR2004 -- danger, or a bend
        board.box(-0.03, 1.82, 0.03, 2.06, colour=BLACK)
        board.disc(0.0, 1.76, 0.035, colour=BLACK)
    else:
        board.line([(-0.06, 1.74), (-0.06, 1.88), (0.06, 1.94), (0.03, 2.04)], BLACK, width_m=0.05)


def _limit(board: Board, _rng: np.random.Generator) -> None:
    board.disc(0.0, 1.97, 0.33, colour=RED)
    board.disc(0.0, 1.97, 0.25, colour=WHITE)
    board.line([(-0.15, 2.06), (-0.03, 2.06), (-0.09, 1.98), (-0.03, 1.90), (-0.15, 1.87)], BLACK, width_m=0.045)
    board.line([(0.04, 1.87), (0.04, 2.06), (0.16, 2.06), (0.16, 1.87), (0.04, 1.87)], BLACK, width_m=0.045)


def _blue(board: Board, rng: np.random.Generator) -> None:
    board.disc(0.0, 1.97, 0.33, colour=WHITE)
    board.disc(0.0, 1.97, 0.31, colour=BLUE)
    tip = 0.18 if rng.random() < 0.5 else -0.18  # noqa: PLR2004 -- either way
    board.line([(-tip, 1.97), (tip, 1.97)], WHITE, width_m=0.08)
    board.polygon([(1.5 * tip, 1.97), (0.5 * tip, 2.12), (0.5 * tip, 1.82)], WHITE)


def _diamond(board: Board, rng: np.random.Generator) -> None:
    for reach, colour in ((0.42, BLACK), (0.40, YELLOW)):
        board.polygon([(0, 1.98 - reach), (reach, 1.98), (0, 1.98 + reach), (-reach, 1.98)], colour)
    bend = float(rng.uniform(-0.14, 0.14))
    board.line([(0.0, 1.76), (0.0, 1.98), (bend, 2.16)], BLACK, width_m=0.06)


def _stop(board: Board, _rng: np.random.Generator) -> None:
    angles = np.deg2rad(22.5 + 45 * np.arange(8))
    board.polygon([(0.36 * float(np.cos(a)), 1.97 + 0.36 * float(np.sin(a))) for a in angles], WHITE)
    board.polygon([(0.33 * float(np.cos(a)), 1.97 + 0.33 * float(np.sin(a))) for a in angles], RED)
    board.box(-0.22, 1.92, 0.22, 2.03, colour=WHITE)


def _stop_down(board: Board, _rng: np.random.Generator) -> None:
    board.polygon([(-0.42, 2.30), (0.42, 2.30), (0.0, 1.58)], RED)
    board.box(-0.20, 2.08, 0.20, 2.18, colour=WHITE)


def bollard(colours: tuple[Colour, Colour]) -> Draw:
    """A post in two colours, let into the ground."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(0.24, 1.05)
        board.box(-0.07, 0.0, 0.07, 0.98, colour=colours[0], round_m=0.04)
        for bottom in (0.20, 0.52, 0.80):
            board.box(-0.07, bottom, 0.07, bottom + 0.13, colour=colours[1])
        return board.finish(roundness=0.7, grime=float(rng.uniform(0.1, 0.7)), rng=rng)

    return draw


def bin_of_waste(rng: np.random.Generator) -> Image.Image:
    """A wheeled bin, of any colour that councils like."""
    colours = (GREEN, (0.20, 0.20, 0.22), BLUE, (0.36, 0.26, 0.18), ORANGE, YELLOW)
    colour = colours[int(rng.integers(len(colours)))]
    board = Board(0.66, 1.12)
    board.polygon([(-0.24, 0.08), (0.24, 0.08), (0.29, 0.95), (-0.29, 0.95)], colour)
    red, green, blue = colour
    board.box(-0.31, 0.93, 0.31, 1.05, colour=(0.8 * red, 0.8 * green, 0.8 * blue), round_m=0.04)
    board.disc(-0.18, 0.08, 0.08, colour=BLACK)
    board.disc(0.18, 0.08, 0.08, colour=BLACK)
    return board.finish(roundness=0.4, grime=float(rng.uniform(0.1, 0.8)), rng=rng)


def hydrant(rng: np.random.Generator) -> Image.Image:
    """A hydrant, red or yellow."""
    colour = RED if rng.random() < 0.5 else YELLOW  # noqa: PLR2004 -- either
    board = Board(0.46, 0.82)
    board.box(-0.11, 0.0, 0.11, 0.66, colour=colour, round_m=0.03)
    board.disc(0.0, 0.66, 0.12, colour=colour)
    board.box(-0.20, 0.40, 0.20, 0.52, colour=colour, round_m=0.03)
    board.box(-0.16, 0.0, 0.16, 0.07, colour=colour)
    return board.finish(roundness=0.7, grime=float(rng.uniform(0.1, 0.7)), rng=rng)


def tub(rng: np.random.Generator) -> Image.Image:
    """A tub of plants, some in flower."""
    board = Board(1.0, 1.1)
    board.polygon([(-0.34, 0.0), (0.34, 0.0), (0.42, 0.46), (-0.42, 0.46)], (0.50, 0.42, 0.36))
    bloom = ((0.92, 0.30, 0.16), (0.95, 0.70, 0.12), (0.80, 0.30, 0.56))[int(rng.integers(3))]
    for _ in range(70):
        x, y, tone = float(rng.normal(0, 0.20)), 0.56 + abs(float(rng.normal(0, 0.17))), float(rng.uniform(0.6, 1.2))
        board.disc(x, y, float(rng.uniform(0.03, 0.07)), colour=(0.22 * tone, 0.42 * tone, 0.16 * tone))
    for _ in range(int(rng.integers(16))):
        board.disc(float(rng.normal(0, 0.20)), 0.62 + abs(float(rng.normal(0, 0.16))), 0.035, colour=bloom)
    return board.finish(roundness=0.3, grime=0.5, rng=rng)


def cabinet(rng: np.random.Generator) -> Image.Image:
    """A cabinet of wires."""
    tone = float(rng.uniform(0.35, 0.7))
    board = Board(1.1, 1.25)
    board.box(-0.5, 0.0, 0.5, 1.2, colour=(tone, tone * 1.02, tone * 0.98))
    board.box(-0.01, 0.05, 0.01, 1.15, colour=(0.2, 0.2, 0.2))
    return board.finish(roundness=0.1, grime=float(rng.uniform(0.3, 1.0)), rng=rng)


def tree(rng: np.random.Generator) -> Image.Image:
    """A street tree."""
    board = Board(3.6, 5.6)
    board.polygon([(-0.13, 0.0), (0.13, 0.0), (0.08, 3.0), (-0.08, 3.0)], (0.30, 0.24, 0.18))
    hue = float(rng.uniform(0.8, 1.2))
    boughs = [(float(rng.normal(0, 0.7)), 3.6 + float(rng.normal(0, 0.6))) for _ in range(9)]
    for number in range(1_400):
        bough = boughs[int(rng.integers(len(boughs)))]
        x, y = bough[0] + float(rng.normal(0, 0.34)), bough[1] + float(rng.normal(0, 0.30))
        light = 0.45 + 0.45 * number / 1_400 + 0.35 * (y - bough[1])
        tone = light * float(rng.uniform(0.75, 1.25))
        board.disc(x, y, float(rng.uniform(0.03, 0.10)), colour=(0.28 * tone * hue, 0.40 * tone, 0.16 * tone))
    return board.finish(roundness=0.3, grime=0.4, rng=rng)


ORDINARY: dict[str, Draw] = {
    "triangle_plain": _on_pole(_triangle),
    "round_limit": _on_pole(_limit),
    "round_blue": _on_pole(_blue),
    "diamond_yellow": _on_pole(_diamond),
    "stop": _on_pole(_stop),
    "stop_down": _on_pole(_stop_down),
    "bollard_yellow": bollard((YELLOW, BLACK)),
    "bollard_grey": bollard(((0.30, 0.31, 0.33), (0.80, 0.80, 0.80))),
    "bin": bin_of_waste,
    "hydrant": hydrant,
    "tub": tub,
    "cabinet": cabinet,
    "tree": tree,
}
FURNITURE = ("bin", "bin", "bollard_grey", "hydrant", "tub", "cabinet", "bin")

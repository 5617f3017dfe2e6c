"""What works are fenced off, signed and dug with: one drawing for each kind and variant."""

import numpy as np
from PIL import Image

from training.renderers.canvas import Colour
from training.renderers.roadwork.board import Board, Draw
from training.renderers.roadwork.regions import BLACK, BLUE, NAVY, ORANGE, RED, WHITE, YELLOW

_GREY: Colour = (0.50, 0.51, 0.52)
_STEEL: Colour = (0.66, 0.68, 0.70)
_RUBBER: Colour = (0.12, 0.12, 0.13)
_FLAT = 0.3
"""What is less round is a board, with slanting stripes."""


def cone(body: Colour) -> Draw:
    """A traffic cone with white bands on a rubber foot."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(0.52, 0.86)
        board.box(-0.23, 0.0, 0.23, 0.055, colour=_RUBBER if rng.random() < 0.6 else body)  # noqa: PLR2004
        board.polygon([(-0.165, 0.05), (0.165, 0.05), (0.03, 0.80), (-0.03, 0.80)], body)
        bands = ((0.36, 0.52), (0.60, 0.68)) if rng.random() < 0.75 else ((0.34, 0.56),)  # noqa: PLR2004
        for low, high in bands:
            wide, narrow = (0.165 - 0.18 * (y - 0.05) for y in (low, high))
            board.polygon([(-wide, low), (wide, low), (narrow, high), (-narrow, high)], WHITE)
        return board.finish(roundness=0.75, grime=float(rng.uniform(0.1, 0.8)), rng=rng)

    return draw


def pillar(body: Colour, band: Colour, *, width: float, height: float, bands: int, roundness: float) -> Draw:
    """A drum, tube or marker board: upright, banded, on a heavy foot."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(max(width + 0.04, 0.56), height + 0.06)
        board.box(-0.25, 0.0, 0.25, 0.10, colour=_RUBBER, round_m=0.02)
        board.box(-width / 2, 0.06, width / 2, height, colour=body, round_m=0.04 * roundness)
        step = (height - 0.16) / (2 * bands + 1)
        for number in range(bands):
            bottom = 0.10 + step * (2 * number + 1)
            board.box(-width / 2, bottom, width / 2, bottom + step, colour=band)
        if roundness < _FLAT:
            board.stripes(-width / 2, 0.10, width / 2, height, colours=(body, band), period_m=0.30, slant=1.0)
        return board.finish(roundness=roundness, grime=float(rng.uniform(0.1, 0.7)), rng=rng)

    return draw


def planks(colours: tuple[Colour, Colour], *, heights: tuple[float, ...], slant: float, legs: Colour) -> Draw:
    """A barrier of striped planks between two legs."""

    def draw(rng: np.random.Generator) -> Image.Image:
        width = float(rng.uniform(1.6, 2.1))
        board = Board(width + 0.2, 1.35)
        for x in (-width / 2 + 0.12, width / 2 - 0.12):
            board.box(x - 0.03, 0.0, x + 0.03, heights[-1] + 0.22, colour=legs)
            board.box(x - 0.20, 0.0, x + 0.20, 0.07, colour=_RUBBER)
        for bottom in heights:
            right = width / 2
            board.stripes(-right, bottom, right, bottom + 0.22, colours=colours, period_m=0.52, slant=slant)
        if rng.random() < 0.4:  # noqa: PLR2004
            board.disc(width / 2 - 0.15, heights[-1] + 0.30, 0.08, colour=YELLOW)
        return board.finish(roundness=0.1, grime=float(rng.uniform(0.1, 0.9)), rng=rng)

    return draw


def plastic_panel(rng: np.random.Generator) -> Image.Image:
    """A red plastic pedestrian barrier with a striped strip on top."""
    board = Board(2.1, 1.1)
    board.box(-1.0, 0.10, 1.0, 1.05, colour=RED, round_m=0.04)
    for column in range(9):
        left = -0.93 + 0.21 * column
        board.box(left, 0.22, left + 0.13, 0.64, colour=(0.34, 0.07, 0.07), round_m=0.03)
    board.stripes(-0.96, 0.74, 0.96, 0.98, colours=(WHITE, RED), period_m=0.48, slant=0.0)
    for x in (-0.8, 0.8):
        board.box(x - 0.16, 0.0, x + 0.16, 0.12, colour=_RUBBER)
    return board.finish(roundness=0.15, grime=float(rng.uniform(0.2, 0.9)), rng=rng)


def a_frame(rng: np.random.Generator) -> Image.Image:
    """Two A-shaped trestles that carry a yellow and black pipe."""
    board = Board(2.0, 1.0)
    for x in (-0.72, 0.72):
        board.line([(x - 0.20, 0.0), (x, 0.86), (x + 0.20, 0.0)], YELLOW, width_m=0.06)
        board.line([(x - 0.12, 0.36), (x + 0.12, 0.36)], YELLOW, width_m=0.05)
    for bottom in (0.74, 0.36):
        board.stripes(-0.98, bottom, 0.98, bottom + 0.10, colours=(YELLOW, BLACK), period_m=0.34, slant=1.0)
    if rng.random() < 0.5:  # noqa: PLR2004 -- every other one carries a plate
        board.stripes(-0.5, 0.46, 0.5, 0.72, colours=(YELLOW, BLACK), period_m=0.40, slant=1.0)
    return board.finish(roundness=0.2, grime=float(rng.uniform(0.1, 0.8)), rng=rng)


def triangle_works(rng: np.random.Generator) -> Image.Image:
    """A warning triangle with a digging man, on a low frame."""
    board = Board(1.0, 1.5)
    board.line([(-0.3, 0.0), (-0.2, 0.6), (0.2, 0.6), (0.3, 0.0)], _GREY, width_m=0.05)
    board.polygon([(-0.46, 0.58), (0.46, 0.58), (0.0, 1.40)], RED)
    board.polygon([(-0.31, 0.67), (0.31, 0.67), (0.0, 1.22)], WHITE if rng.random() < 0.7 else YELLOW)  # noqa: PLR2004
    board.disc(-0.02, 1.0, 0.045, colour=BLACK)
    board.line([(-0.02, 0.95), (-0.08, 0.82), (-0.14, 0.70)], BLACK, width_m=0.06)
    board.line([(-0.05, 0.90), (0.10, 0.78)], BLACK, width_m=0.04)
    board.polygon([(0.06, 0.70), (0.22, 0.70), (0.15, 0.80)], BLACK)
    return board.finish(roundness=0.0, grime=float(rng.uniform(0.0, 0.6)), rng=rng)


def diamond_works(rng: np.random.Generator) -> Image.Image:
    """An orange diamond with lines of text, on a spring stand."""
    board = Board(1.15, 1.75)
    board.line([(-0.35, 0.0), (0.0, 0.45), (0.35, 0.0)], _GREY, width_m=0.05)
    for reach, colour in ((0.56, ORANGE), (0.52, BLACK), (0.49, ORANGE)):
        board.polygon([(0, 1.12 - reach), (reach, 1.12), (0, 1.12 + reach), (-reach, 1.12)], colour)
    for y, half in ((1.26, 0.20), (1.10, 0.30), (0.94, 0.22)):
        board.box(-half, y - 0.04, half, y + 0.04, colour=BLACK)
    return board.finish(roundness=0.0, grime=float(rng.uniform(0.0, 0.6)), rng=rng)


def works_board(rng: np.random.Generator) -> Image.Image:
    """A tall white board of notices above a yellow and black foot."""
    board = Board(0.75, 1.65)
    board.box(-0.33, 0.05, 0.33, 1.60, colour=_STEEL)
    board.box(-0.30, 0.45, 0.30, 1.57, colour=WHITE)
    board.stripes(-0.30, 0.10, 0.30, 0.42, colours=(YELLOW, BLACK), period_m=0.26, slant=1.0)
    board.box(-0.24, 1.28, 0.24, 1.50, colour=RED if rng.random() < 0.5 else BLUE)  # noqa: PLR2004
    for number in range(4):
        board.box(-0.22, 0.56 + 0.16 * number, float(rng.uniform(0.0, 0.24)), 0.62 + 0.16 * number, colour=NAVY)
    return board.finish(roundness=0.0, grime=float(rng.uniform(0.0, 0.6)), rng=rng)


def mesh_fence(rng: np.random.Generator) -> Image.Image:
    """A panel of wire mesh in a tube frame, on concrete feet."""
    board = Board(2.7, 2.0)
    for number in range(27):
        x = -1.27 + 2.54 * number / 26
        board.line([(x, 0.1), (x, 1.9)], _GREY, width_m=0.012)
    for number in range(10):
        board.line([(-1.28, 0.15 + 0.19 * number), (1.28, 0.15 + 0.19 * number)], _GREY, width_m=0.012)
    board.line([(-1.28, 0.05), (-1.28, 1.9), (1.28, 1.9), (1.28, 0.05)], _STEEL, width_m=0.05)
    for x in (-1.1, 1.1):
        board.box(x - 0.22, 0.0, x + 0.22, 0.14, colour=(0.55, 0.54, 0.52))
    return board.finish(roundness=0.0, grime=float(rng.uniform(0.1, 0.6)), rng=rng)


def orange_net(rng: np.random.Generator) -> Image.Image:
    """A sagging net of orange plastic between posts."""
    board = Board(2.6, 1.25)
    sag = float(rng.uniform(0.02, 0.14))
    rows = [1.06 - 0.085 * number for number in range(12)]
    xs = [-1.25 + 2.5 * number / 24 for number in range(25)]
    for y in rows:
        board.line([(x, y - sag * (1 - (x / 1.25) ** 2)) for x in xs], ORANGE, width_m=0.035)
    for x in xs:
        dip = sag * (1 - (x / 1.25) ** 2)
        board.line([(x, rows[0] - dip), (x, rows[-1] - dip)], ORANGE, width_m=0.035)
    for x in (-1.22, 0.0, 1.22):
        board.box(x - 0.025, 0.0, x + 0.025, 1.2, colour=(0.45, 0.34, 0.22))
    return board.finish(roundness=0.0, grime=float(rng.uniform(0.1, 0.7)), rng=rng)


def white_panel(rng: np.random.Generator) -> Image.Image:
    """A closed white hoarding with a striped foot."""
    board = Board(1.9, 2.0)
    board.box(-0.92, 0.05, 0.92, 1.92, colour=(0.84, 0.85, 0.86))
    for number in range(6):
        x = -0.9 + 0.36 * number
        board.box(x, 0.3, x + 0.02, 1.9, colour=(0.70, 0.71, 0.73))
    board.stripes(-0.92, 0.06, 0.92, 0.30, colours=(YELLOW, BLACK), period_m=0.36, slant=1.0)
    return board.finish(roundness=0.1, grime=float(rng.uniform(0.1, 0.7)), rng=rng)


def digger(paint: Colour) -> Draw:
    """A small excavator from the side."""

    def draw(rng: np.random.Generator) -> Image.Image:
        board = Board(4.0, 2.7)
        board.box(-1.0, 0.02, 0.7, 0.46, colour=_RUBBER, round_m=0.22)
        for x in (-0.75, -0.35, 0.05, 0.45):
            board.disc(x, 0.24, 0.13, colour=(0.32, 0.32, 0.33))
        board.box(-1.15, 0.52, 0.45, 1.18, colour=paint, round_m=0.10)
        board.polygon([(-0.45, 1.1), (0.48, 1.1), (0.40, 2.35), (-0.38, 2.35)], paint)
        board.polygon([(-0.32, 1.25), (0.36, 1.25), (0.30, 2.2), (-0.27, 2.2)], (0.24, 0.30, 0.34))
        lift = float(rng.uniform(-0.2, 0.35))
        elbow, wrist = (1.15, 2.1 + lift), (1.75, 1.0 + lift)
        board.line([(0.35, 0.95), elbow], paint, width_m=0.24)
        board.line([elbow, wrist], paint, width_m=0.18)
        board.line([(0.5, 1.4), (1.0, 1.95 + lift)], _STEEL, width_m=0.07)
        x, y = wrist
        board.polygon(
            [(x - 0.08, y + 0.1), (x + 0.14, y), (x + 0.05, y - 0.42), (x - 0.42, y - 0.34)], (0.25, 0.24, 0.23)
        )
        image = board.finish(roundness=0.15, grime=float(rng.uniform(0.3, 1.0)), rng=rng)
        return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else image  # noqa: PLR2004

    return draw


def mound(rng: np.random.Generator) -> Image.Image:
    """A heap of rubble and soil; its colour is the region's, given when it is placed."""
    board = Board(2.2, 0.9)
    xs = np.linspace(-1.08, 1.08, 40)
    profile = 0.78 * np.clip(1 - (xs / 1.08) ** 2, 0, 1) * float(rng.uniform(0.6, 1.0)) + 0.05 * rng.random(40)
    board.polygon([(-1.08, 0.0), *zip(xs.tolist(), profile.tolist(), strict=True), (1.08, 0.0)], (0.43, 0.34, 0.25))
    for _ in range(90):
        x = float(rng.uniform(-0.95, 0.95))
        y = float(rng.uniform(0.02, 0.95)) * float(np.interp(x, xs, profile))
        tone = float(rng.uniform(0.7, 1.35))
        board.disc(x, y, float(rng.uniform(0.01, 0.05)), colour=(0.44 * tone, 0.36 * tone, 0.28 * tone))
    return board.finish(roundness=0.5, grime=0.8, rng=rng)


WORKS: dict[str, Draw] = {
    "cone_red": cone((0.88, 0.24, 0.12)),
    "cone_orange": cone(ORANGE),
    "plank_red": planks((RED, WHITE), heights=(0.35, 0.88), slant=0.0, legs=_STEEL),
    "barricade_orange": planks((ORANGE, WHITE), heights=(0.22, 0.58, 0.94), slant=1.0, legs=_STEEL),
    "panel_red": plastic_panel,
    "aframe_yellow": a_frame,
    "beacon_red": pillar(RED, WHITE, width=0.26, height=1.1, bands=3, roundness=0.1),
    "tube_red": pillar((0.88, 0.22, 0.12), WHITE, width=0.18, height=1.05, bands=2, roundness=0.8),
    "drum_orange": pillar(ORANGE, WHITE, width=0.56, height=1.0, bands=2, roundness=0.8),
    "triangle_works": triangle_works,
    "diamond_orange": diamond_works,
    "board_works": works_board,
    "mesh": mesh_fence,
    "net_orange": orange_net,
    "panel_white": white_panel,
    "digger_yellow": digger(YELLOW),
    "digger_orange": digger(ORANGE),
    "digger_blue": digger((0.16, 0.42, 0.62)),
    "mound": mound,
}
"""Kinds of pieces, by the names in `regions`; workers are movers: see `movers`."""

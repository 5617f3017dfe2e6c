"""Paints pests and what they leave behind: insects are pieces, bites and stippling change the leaf."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.renderers.canvas import Colour
from training.renderers.crop_health.leaves import Leaf, Point
from training.renderers.crop_health.patch import patch_at
from training.renderers.crop_health.piece import Piece
from training.renderers.palette import hsv, vary
from training.renderers.surface import Surface
from training.renderers.textures import TextureBank
from training.renderers.view import View

APHIDS = 54
WHITEFLIES = 30
MITES = 46
STIPPLED_PATCHES = 7
CATERPILLARS = 3
BITES = 8
DROPPINGS = 24

WEB: Colour = (0.93, 0.94, 0.92)
STIPPLE: Colour = (0.84, 0.82, 0.52)
_SEGMENTS = 13


def settle(leaf: Leaf, *, amounts: dict[str, float], rng: np.random.Generator) -> list[Piece]:
    """Draws where pests sit, the last on top."""
    insects = _flock(leaf, "whitefly", count=round(WHITEFLIES * amounts.get("whitefly", 0)), groups=4, rng=rng)
    insects += _flock(leaf, "aphid", count=round(APHIDS * amounts.get("aphid", 0)), groups=3, rng=rng)
    insects += _flock(leaf, "mite", count=round(MITES * amounts.get("mite", 0)), groups=4, rng=rng)
    whole = CATERPILLARS * amounts.get("caterpillar", 0)
    for number in range(CATERPILLARS):
        if whole - number > 0.15:  # noqa: PLR2004 -- less of a caterpillar is none
            insects += _caterpillar(leaf, size=0.35 + 0.65 * min(1.0, whole - number), rng=rng)
    droppings = leaf.points(rng, count=round(DROPPINGS * amounts.get("caterpillar", 0)))
    for at in droppings:
        insects.append(_lying("pellet", at, length=0.032, colour=(0.16, 0.15, 0.09), rng=rng))
    return insects


def _lying(kind: str, at: Point, *, length: float, colour: Colour, rng: np.random.Generator) -> Piece:
    size, angle = length * float(rng.uniform(0.85, 1.15)), float(rng.uniform(0, 2 * np.pi))
    return Piece(kind, at, size, angle, int(rng.integers(64)), vary(colour, rng, amount=0.08))


_LENGTHS = {"aphid": 0.098, "whitefly": 0.094, "mite": 0.040}
_SPREADS = {"aphid": 0.15, "whitefly": 0.30, "mite": 0.17}


def _flock(leaf: Leaf, kind: str, *, count: int, groups: int, rng: np.random.Generator) -> list[Piece]:
    """Insects of one kind, crowded about a few points; all of one leaf have one colour."""
    colour = {
        "aphid": (
            hsv(float(rng.uniform(62, 84)), 0.62, value=float(rng.uniform(0.62, 0.80))),
            (0.13, 0.12, 0.10),
            hsv(float(rng.uniform(0, 16)), 0.42, value=float(rng.uniform(0.50, 0.72))),
        )[int(rng.integers(3))],
        "whitefly": (0.96, 0.96, 0.92),
        "mite": hsv(float(rng.uniform(-6, 12)), 0.88, value=float(rng.uniform(0.55, 0.82))),
    }[kind]
    centres = leaf.points(rng, count=groups)
    flock = []
    for index in range(count):
        middle = centres[index % len(centres)] if centres else (0.0, 0.0)
        away = rng.normal(0, _SPREADS[kind], 2)
        at = (middle[0] + float(away[0]), middle[1] + float(away[1]))
        insect = _lying(kind, at, length=_LENGTHS[kind], colour=colour, rng=rng)
        if leaf.holds(at):
            flock.append(insect)
    return flock


def _caterpillar(leaf: Leaf, *, size: float, rng: np.random.Generator) -> list[Piece]:
    """A chain of rings along a curve, its head last."""
    start = (leaf.points(rng, count=1) or [(0.0, 0.0)])[0]
    heading = float(np.arctan2(-start[1], -start[0]) + rng.normal(0, 0.7))
    bend, wave = float(rng.normal(0, 0.07)), float(rng.uniform(0.0, 0.16))
    colour = (
        hsv(float(rng.uniform(66, 100)), 0.55, value=float(rng.uniform(0.58, 0.78))),
        hsv(float(rng.uniform(24, 40)), 0.45, value=float(rng.uniform(0.42, 0.62))),
        hsv(float(rng.uniform(44, 54)), 0.62, value=float(rng.uniform(0.70, 0.85))),
    )[int(rng.integers(3))]
    width = 0.115 * size
    x, y = start
    rings = []
    variant = int(rng.integers(64))
    for number in range(_SEGMENTS):
        taper = 0.72 + 0.28 * float(np.sin(np.pi * (number + 1.5) / (_SEGMENTS + 2)))
        rings.append(Piece("segment", (x, y), width * taper * 1.25, heading, variant, vary(colour, rng, amount=0.03)))
        heading += bend + wave * float(np.sin(0.9 * number))
        x, y = x + 0.48 * width * float(np.cos(heading)), y + 0.48 * width * float(np.sin(heading))
    rings.append(Piece("head", (x, y), width * 0.85, heading, variant, (0.30, 0.17, 0.09)))
    return rings


def gnaw(
    surface: Surface,
    leaf: Leaf,
    *,
    view: View,
    amounts: dict[str, float],
    textures: TextureBank,
    rng: np.random.Generator,
) -> None:
    """Cuts the bites of caterpillars out of the leaf, and stipples it where mites have sucked, under their webs."""
    shape = (view.height, view.width)
    edge, grain = textures.window("lump", shape=shape, rng=rng), textures.window("grain", shape=shape, rng=rng)
    fine = textures.window("fine", shape=shape, rng=rng)
    for at in leaf.points(rng, count=round(BITES * amounts.get("caterpillar", 0))):
        patch = patch_at(view, at, radius=float(rng.uniform(0.07, 0.15)), edge=edge, grain=grain)
        away = patch.away + np.float32(0.16) * patch.edge + np.float32(0.05) * patch.grain
        patch.blend(surface, (0.40, 0.33, 0.16), weight=np.clip(8 * (1.12 - away), 0, 1))
        patch.cut(surface, weight=np.clip(9 * (1.0 - away), 0, 1))
    whole = STIPPLED_PATCHES * amounts.get("mite", 0)
    for number, at in enumerate(leaf.points(rng, count=STIPPLED_PATCHES)):
        radius = float(rng.uniform(0.30, 0.46)) * min(1.0, max(0.0, whole - number))
        patch = patch_at(view, at, radius=radius, edge=edge, grain=grain)
        specks = np.clip(1.1 * fine[patch.rows, patch.columns] + 0.8 * patch.grain - 0.35, 0, 1)
        within = np.clip(2.2 * (1.0 - patch.away + 0.1 * patch.edge), 0, 1)
        patch.blend(surface, STIPPLE, weight=0.95 * specks * within)


def spin(surface: Surface, leaf: Leaf, *, view: View, amount: float, rng: np.random.Generator) -> None:
    """Spans the webs of mites: fine threads that cross in a few places."""
    threads = round(100 * amount)
    if threads == 0:
        return
    web = Image.new("L", (view.width, view.height), 0)
    pen = ImageDraw.Draw(web)
    knots = leaf.points(rng, count=4)
    for number in range(threads):
        u, v = knots[number % len(knots)] if knots else (0.0, 0.0)
        ends = rng.normal(0, 0.17, 4)
        line = [view.place(u + float(ends[0]), v + float(ends[1])), view.place(u + float(ends[2]), v + float(ends[3]))]
        pen.line(line, fill=int(rng.integers(140, 250)), width=1)
    soft = np.asarray(web.filter(ImageFilter.GaussianBlur(0.6)), np.float32)
    surface.blend(WEB, soft * np.float32(1 / 255))

"""Paints a flaw onto a part, in proportion to its amount: size, depth and contrast grow with it."""

from collections.abc import Callable

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.palette import hsv
from training.renderers.surface_defect.relief import Grid, Point, Relief
from training.renderers.textures import Field

Painter = Callable[[Relief, Grid, float, np.random.Generator], None]

_SOOT: Colour = (0.05, 0.05, 0.05)
_LIME: Colour = (0.90, 0.90, 0.87)
_BRIGHT_BASE = 0.55
"""Brightness from which only dark things stand out."""
_CORNERS = 9


def paint_flaw(relief: Relief, grid: Grid, *, flaw: str, amount: float, rng: np.random.Generator) -> None:
    """Paints a flaw; `amount` is 0 (nothing) to 1."""
    if amount > 0:
        FLAW_PAINTERS[flaw](relief, grid, amount, rng)


def scratch(relief: Relief, grid: Grid, amount: float, rng: np.random.Generator) -> None:
    """Scrapes one or two grooves, slightly bent, down to what lies beneath."""
    angle, lines = float(rng.uniform(0, 2 * np.pi)), []
    for _ in range(1 + int(rng.random() < amount - 0.4)):
        x0, y0 = _spot(rng, reach=0.50)
        heading, bend = angle + float(rng.normal(0, 0.15)), float(rng.normal(0, 0.12))
        half = (0.20 + 0.45 * amount) * float(rng.uniform(0.85, 1.15))
        steps = np.linspace(-1, 1, 24)
        along, across = half * steps, bend * half * steps**2
        points = [
            (
                float(x0 + a * np.cos(heading) - b * np.sin(heading)),
                float(y0 + a * np.sin(heading) + b * np.cos(heading)),
            )
            for a, b in zip(along, across, strict=True)
        ]
        lines.append((points, 1.4 + 3.4 * amount))
    groove = grid.strokes(lines)
    relief.height -= np.float32(0.8 + 2.2 * amount) * groove
    relief.blend(relief.bare, np.float32(0.25 + 0.65 * amount) * groove)
    relief.shade += np.float32(0.9 * amount) * groove * (np.float32(1.15) - relief.shade)


def pit(relief: Relief, grid: Grid, amount: float, rng: np.random.Generator) -> None:
    """Sinks a few round holes with dark floors."""
    x0, y0 = _spot(rng, reach=0.78)
    for _ in range(1 + round(3 * amount * float(rng.uniform(0.6, 1.0)))):
        at = (x0 + float(rng.normal(0, 0.10)), y0 + float(rng.normal(0, 0.10)))
        size = (3.5 + 9.0 * amount) * float(rng.uniform(0.8, 1.2))
        inside = _blob(grid, at, size_px=size, raggedness=0.12, rng=rng)
        floor = np.clip(inside * np.float32(0.6), 0, 1)
        relief.height -= np.float32(1.5 + 3.5 * amount) * np.sqrt(np.clip(inside / np.float32(size), 0, 1))
        relief.blend(_SOOT, np.float32(0.25 + 0.60 * amount) * floor)
        relief.gloss *= np.float32(1) - floor


def crack(relief: Relief, grid: Grid, amount: float, rng: np.random.Generator) -> None:
    """Opens a jagged dark line that thins out and forks."""
    heading = float(rng.uniform(0, 2 * np.pi))
    length = (0.45 + 0.75 * amount) * float(rng.uniform(0.9, 1.1))
    x0, y0 = _spot(rng, reach=0.45)
    start = (x0 - 0.5 * length * np.cos(heading), y0 - 0.5 * length * np.sin(heading))
    trunk = _wander(start, heading=heading, length=length, rng=rng)
    width = 1.3 + 3.2 * amount
    lines = _tapered(trunk, width=width)
    for fork in rng.integers(3, len(trunk) - 3, size=round(3 * amount)):
        side = heading + float(rng.choice((-1, 1))) * float(rng.uniform(0.5, 0.9))
        branch = _wander(trunk[int(fork)], heading=side, length=0.35 * length * float(rng.uniform(0.5, 1.0)), rng=rng)
        lines += _tapered(branch, width=0.65 * width)
    gap = grid.strokes(lines, softness_px=0.5)
    relief.height -= np.float32(1.0 + 2.5 * amount) * gap
    relief.blend(_SOOT, np.float32(0.30 + 0.62 * amount) * gap)
    relief.gloss *= np.float32(1) - gap


def stain(relief: Relief, grid: Grid, amount: float, rng: np.random.Generator) -> None:
    """Leaves a dried patch, darkest at its ragged rim."""
    is_pale = relief.brightness < _BRIGHT_BASE and rng.random() < 0.6  # noqa: PLR2004 -- lime on dark parts, mostly
    dark = (
        hsv(float(rng.uniform(16, 28)), 0.70, value=0.34),
        hsv(float(rng.uniform(36, 50)), 0.45, value=0.16),
        hsv(float(rng.uniform(215, 235)), 0.55, value=0.30),
    )[int(rng.integers(3))]
    tint = _LIME if is_pale else dark
    size = (22 + 48 * amount) * float(rng.uniform(0.85, 1.15))
    ripple = np.float32(0.16 * size) * grid.texture("mottle", rng=rng) + np.float32(1.2) * grid.texture("lump", rng=rng)
    inside = _blob(grid, _spot(rng, reach=0.68), size_px=size, raggedness=0.18, rng=rng) + ripple
    patch = np.clip(inside / np.float32(4), 0, 1)
    rim = np.exp(-np.square(inside / np.float32(3.5) - np.float32(1.2)))
    relief.blend(tint, (np.float32(0.14 + 0.46 * amount) * patch + np.float32(0.30 * amount) * rim).astype(np.float32))
    relief.gloss *= np.float32(1) - np.float32(0.6) * patch


def inclusion(relief: Relief, grid: Grid, amount: float, rng: np.random.Generator) -> None:
    """Embeds one or two angular pieces of something else."""
    for _ in range(1 + int(rng.random() < amount - 0.3)):
        if relief.brightness > _BRIGHT_BASE or rng.random() < 0.5:  # noqa: PLR2004 -- either stands out
            colour = hsv(float(rng.uniform(10, 40)), float(rng.uniform(0.1, 0.7)), value=float(rng.uniform(0.06, 0.22)))
        else:
            colour = hsv(float(rng.uniform(35, 60)), float(rng.uniform(0.0, 0.3)), value=float(rng.uniform(0.82, 0.96)))
        size = (5.0 + 12.0 * amount) * float(rng.uniform(0.85, 1.15))
        inside = _blob(grid, _spot(rng, reach=0.82), size_px=size, raggedness=0.30, rng=rng)
        piece = np.clip(inside + np.float32(0.5), 0, 1)
        relief.height += np.float32(1.2 + 1.6 * amount) * np.clip(inside / np.float32(3), 0, 1)
        relief.blend(colour, np.float32(0.35 + 0.60 * amount) * piece)
        relief.gloss += piece * (np.float32(0.35) - relief.gloss)


def _spot(rng: np.random.Generator, *, reach: float) -> Point:
    """Returns a place that lies in the photo's central square."""
    return float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach))


def _blob(grid: Grid, at: Point, *, size_px: float, raggedness: float, rng: np.random.Generator) -> Field:
    """Returns the distance inside a ragged outline in reference pixels, negative outside, [height, width] float32."""
    away, direction = grid.distance(at)
    corners = 1 + raggedness * rng.uniform(-1, 1, _CORNERS)
    ends = np.linspace(-np.pi, np.pi, _CORNERS + 1)
    outline = np.interp(direction, ends, np.append(corners, corners[0])).astype(np.float32)
    inside: Field = np.float32(size_px) * outline - away
    return inside


def _wander(start: Point, *, heading: float, length: float, rng: np.random.Generator) -> list[Point]:
    """Returns the corners of a jagged path."""
    count = max(8, round(26 * length))
    turns = heading + rng.normal(0, 0.55, count) + np.cumsum(rng.normal(0, 0.06, count))
    step = length / count * rng.uniform(0.6, 1.4, count)
    xs, ys = start[0] + np.cumsum(step * np.cos(turns)), start[1] + np.cumsum(step * np.sin(turns))
    return [start, *((float(x), float(y)) for x, y in zip(xs, ys, strict=True))]


def _tapered(path: list[Point], *, width: float) -> list[tuple[list[Point], float]]:
    """Returns the path's pieces, each a little thinner than the one before."""
    last = len(path) - 1
    return [([path[i], path[i + 1]], width * (1.0 - 0.75 * i / last)) for i in range(last)]


FLAW_PAINTERS: dict[str, Painter] = {
    "scratch": scratch,
    "pit": pit,
    "crack": crack,
    "stain": stain,
    "inclusion": inclusion,
}

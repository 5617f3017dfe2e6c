"""What looks odd on good parts and bad ones alike: dust, lint, seams and wipe marks."""

import numpy as np

from training.renderers.surface_defect.parameters import HarmlessParameters
from training.renderers.surface_defect.relief import Grid, Point, Relief

_BRIGHT_BASE = 0.55


def paint_harmless(relief: Relief, grid: Grid, *, parameters: HarmlessParameters, rng: np.random.Generator) -> None:
    """Paints whatever is drawn, in the order in which it would come about."""
    if rng.random() < parameters.seam_probability:
        _seam(relief, grid, rng=rng)
    if rng.random() < parameters.smear_probability:
        _smear(relief, grid, rng=rng)
    has_lint = rng.random() < parameters.lint_probability
    _dust(relief, grid, specks=round(float(rng.uniform(*parameters.dust_specks))), has_lint=has_lint, rng=rng)


def _seam(relief: Relief, grid: Grid, *, rng: np.random.Generator) -> None:
    """Draws a straight, even ridge right across the part, and a slight change of tone behind it."""
    away = (grid.v if rng.random() < 0.5 else grid.u) - np.float32(rng.uniform(-150, 150))  # noqa: PLR2004
    relief.height += np.float32(rng.uniform(0.6, 1.4)) * np.exp(-np.square(away / np.float32(2.5)))
    relief.shade *= np.float32(1) + np.float32(rng.normal(0, 0.03)) * np.clip(away / np.float32(2), 0, 1)


def _smear(relief: Relief, grid: Grid, *, rng: np.random.Generator) -> None:
    """Leaves a broad, colourless and soft-edged wipe mark."""
    patch = np.clip(grid.texture("broad", rng=rng) - np.float32(0.4), 0, 1)
    relief.shade *= np.float32(1) + np.float32(rng.uniform(-0.12, 0.10)) * patch
    relief.gloss *= np.float32(1) - np.float32(0.35) * patch


def _dust(relief: Relief, grid: Grid, *, specks: int, has_lint: bool, rng: np.random.Generator) -> None:
    """Scatters specks of a pixel or two, and sometimes short hairs."""
    lines: list[tuple[list[Point], float]] = []
    for x, y in rng.uniform(-1.4, 1.4, (specks, 2)):
        lines.append(([(float(x), float(y)), (float(x) + 0.006, float(y))], float(rng.uniform(1.0, 2.6))))
    for x, y in rng.uniform(-0.9, 0.9, (int(rng.integers(1, 4)) if has_lint else 0, 2)):
        heading, bend = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 0.5))
        half = float(rng.uniform(0.03, 0.07))
        steps = np.linspace(-1, 1, 9)
        across = bend * half * steps**2
        hair = zip(
            x + half * steps * np.cos(heading) - across * np.sin(heading),
            y + half * steps * np.sin(heading) + across * np.cos(heading),
            strict=True,
        )
        lines.append(([(float(a), float(b)) for a, b in hair], 1.0))
    colour = (0.30, 0.29, 0.28) if relief.brightness > _BRIGHT_BASE else (0.80, 0.79, 0.76)
    cover = grid.strokes(lines, softness_px=0.6)
    relief.blend(colour, np.float32(0.55) * cover)
    relief.gloss *= np.float32(1) - np.float32(0.8) * cover

"""Paints diseases onto a leaf: rust, powdery mildew, leaf spot and blight, each as much as the latents say."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.crop_health.leaves import Leaf, Point
from training.renderers.crop_health.patch import Patch, patch_at
from training.renderers.crop_health.piece import Piece
from training.renderers.palette import hsv, vary
from training.renderers.surface import Surface
from training.renderers.textures import TextureBank
from training.renderers.view import View

PUSTULES = 22
"""In one cluster of rust."""

_LEAST = 0.15
"""A smaller share of a lesion is none."""

PALE: Colour = (0.74, 0.72, 0.26)
"""What a leaf turns to around a lesion."""

FLOUR: Colour = (0.90, 0.91, 0.88)


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion, or one cluster of rust."""

    disease: str
    at: Point
    radius: float
    """In units of the leaf's radius."""


class _Spread(NamedTuple):
    """How many lesions a disease has at most, and the least and greatest radius."""

    most: int
    low: float
    high: float


_SPREADS = {
    "blight": _Spread(3, 0.26, 0.44),
    "leaf_spot": _Spread(26, 0.040, 0.085),
    "powdery_mildew": _Spread(13, 0.10, 0.24),
    "rust": _Spread(9, 0.12, 0.22),
}
"""In the order in which they are painted."""


def break_out(leaf: Leaf, *, amounts: dict[str, float], rng: np.random.Generator) -> list[Lesion]:
    """Draws where lesions lie and how large they are; `amounts`: disease to how much of it, 0 to 1."""
    lesions = []
    for disease, spread in _SPREADS.items():
        shown = spread.most * amounts.get(disease, 0.0)
        for number, at in enumerate(leaf.points(rng, count=spread.most)):
            radius = float(rng.uniform(spread.low, spread.high)) * min(1.0, 0.4 + 0.6 * (shown - number))
            if shown - number > _LEAST:
                lesions.append(Lesion(disease, at, radius))
    return lesions


def ail(
    surface: Surface, lesions: list[Lesion], *, view: View, textures: TextureBank, rng: np.random.Generator
) -> None:
    """Paints lesions onto the leaf; of rust only the pale surroundings: its pustules are pieces.

    Args:
        surface: The leaf, changed in place.
        lesions: What to paint, the last on top.
        view: How the photo sees the leaf.
        textures: Noise for ragged edges.
        rng: Of the specimen's layout, so that all its photos show the same lesions.
    """
    edge = textures.window("lump", shape=(view.height, view.width), rng=rng)
    grain = textures.window("grain", shape=(view.height, view.width), rng=rng)
    paint = {"blight": _blight, "leaf_spot": _leaf_spot, "powdery_mildew": _mildew, "rust": _rust}
    for lesion in lesions:
        patch = patch_at(view, lesion.at, radius=lesion.radius, edge=edge, grain=grain)
        paint[lesion.disease](surface, patch, lesion.radius, rng)


def rust_pustules(leaf: Leaf, lesions: list[Lesion], *, rng: np.random.Generator) -> list[Piece]:
    """Draws the pustules of every cluster of rust."""
    spores = hsv(float(rng.uniform(14, 28)), float(rng.uniform(0.75, 0.92)), value=float(rng.uniform(0.55, 0.78)))
    pustules = []
    for lesion in lesions:
        for _ in range(PUSTULES if lesion.disease == "rust" else 0):
            away = rng.normal(0, 0.55 * lesion.radius, 2)
            at = (lesion.at[0] + float(away[0]), lesion.at[1] + float(away[1]))
            length, angle = float(rng.uniform(0.024, 0.048)), float(rng.normal(0, 0.5))
            piece = Piece("pustule", at, length, angle, int(rng.integers(64)), vary(spores, rng, amount=0.10))
            if leaf.holds(at):
                pustules.append(piece)
    return pustules


def _rust(surface: Surface, patch: Patch, _size: float, _rng: np.random.Generator) -> None:
    """The pale surroundings of a cluster."""
    patch.blend(surface, PALE, weight=0.55 * np.clip(1.3 * (1.1 - patch.away + 0.08 * patch.edge), 0, 1))


def _leaf_spot(surface: Surface, patch: Patch, _size: float, rng: np.random.Generator) -> None:
    """A sharp round spot: dry in the middle, dark at its rim, in a narrow pale ring."""
    heart = hsv(float(rng.uniform(26, 40)), float(rng.uniform(0.20, 0.42)), value=float(rng.uniform(0.52, 0.74)))
    away = patch.away + np.float32(0.06) * patch.edge
    patch.blend(surface, PALE, weight=0.75 * np.clip(1.6 * (1.35 - away), 0, 1))
    patch.blend(surface, (0.20, 0.12, 0.08), weight=0.95 * np.clip(7 * (1.0 - away), 0, 1))
    patch.blend(surface, vary(heart, rng, amount=0.05), weight=0.95 * np.clip(6 * (0.70 - away), 0, 1))
    patch.flatten(surface, weight=0.8 * np.clip(4 * (1.0 - away), 0, 1))


def _mildew(surface: Surface, patch: Patch, _size: float, rng: np.random.Generator) -> None:
    """A floury patch that thins out at its rim and hides the relief beneath."""
    thick = np.clip(1.9 * (1.0 - patch.away + 0.20 * patch.edge), 0, 1) * np.clip(0.88 + 0.12 * patch.grain, 0, 1)
    patch.blend(surface, vary(FLOUR, rng, amount=0.02), weight=0.90 * thick)
    patch.flatten(surface, weight=0.8 * thick)


def _blight(surface: Surface, patch: Patch, size: float, rng: np.random.Generator) -> None:
    """A large dead area, ragged, with rings like a target, soaked and pale around."""
    away = patch.away + np.float32(0.09) * patch.edge
    dead = vary((0.27, 0.19, 0.11), rng, amount=0.12)
    patch.blend(surface, PALE, weight=0.60 * np.clip(2.2 * (1.28 - away), 0, 1))
    patch.blend(surface, (0.24, 0.26, 0.12), weight=0.80 * np.clip(4 * (1.12 - away), 0, 1))
    patch.blend(surface, dead, weight=0.94 * np.clip(6 * (0.98 - away), 0, 1))
    rings = 0.5 + 0.5 * np.sin(
        np.float32(size * 90) * (patch.away + np.float32(0.02) * patch.edge) + np.float32(rng.uniform(0, 6))
    )
    patch.blend(surface, (0.46, 0.34, 0.21), weight=0.45 * rings * np.clip(5 * (0.92 - away), 0, 1))
    patch.flatten(surface, weight=0.5 * np.clip(4 * (1.0 - away), 0, 1))

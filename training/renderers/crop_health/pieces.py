"""A bank of small pieces (insects, pustules, drops, grit) in many sizes and turns: slopes and shade, no colour."""

from typing import NamedTuple

import numpy as np
from PIL import Image

from training.renderers.sprites import TURN_COUNT, Array, Shape, Sprite, SpriteBank, Surface, droplet
from training.renderers.surface import SLOPE_UNIT

_BANK_SEED = 20_251_125
_VARIANTS = 3
_FINER = 2
"""Pieces are evaluated on a grid so many times finer than the pixels."""


def _smooth_dome(u: Array, v: Array, *, length: float, width: float) -> Array:
    """Returns 1 in the middle of an ellipse, falling to 0 at its rim and below outside."""
    return (1 - (u / length) ** 2 - (v / width) ** 2).astype(np.float32)


def aphid(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A pear-shaped body, wide behind, on six thin legs, with feelers and two tubes at its rear."""
    width = float(rng.uniform(0.42, 0.52))
    behind = u + 0.18
    body = _smooth_dome(behind, v, length=0.66, width=width) - 0.35 * np.clip(behind, 0, 1)
    beside = np.abs(v)
    legs = [0.042 - np.abs(u - start - lean * beside) for start, lean in ((0.22, 0.55), (0.0, -0.05), (-0.15, -0.65))]
    limbs = np.minimum(np.maximum.reduce(legs), 0.80 - beside)
    feelers = np.minimum(0.040 - np.abs(beside - 0.10 - 0.55 * (u - 0.35)), np.minimum(u - 0.3, 0.95 - u))
    tubes = np.minimum(0.07 - np.abs(beside - 0.26), np.minimum(-0.5 - u, u + 0.95))
    thin = np.maximum.reduce([limbs, feelers, tubes])
    dome = np.sqrt(np.clip(body, 0, 1))
    on_body = body > 0
    rings = 0.06 * np.sin(16 * u)
    shade = np.where(on_body, 0.50 + 0.50 * dome + rings, 0.22)
    return Surface(np.maximum(0.5 * body, thin), 0.62 * dome, shade.astype(np.float32), 0.45)


def mite(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A round body with two dark flanks and eight short legs."""
    body = _smooth_dome(u, v, length=0.72, width=float(rng.uniform(0.5, 0.6)))
    beside = np.abs(v)
    legs = [0.10 - np.abs(u - start - lean * beside) for start, lean in ((0.3, 0.6), (0.1, 0.3), (-0.1, -0.3))]
    limbs = np.minimum(np.maximum.reduce(legs), 0.95 - beside)
    dome = np.sqrt(np.clip(body, 0, 1))
    shade = np.where(body > 0, 0.62 + 0.38 * dome - 0.3 * (np.abs(beside - 0.26) < 0.12), 0.45)  # noqa: PLR2004
    return Surface(np.maximum(0.5 * body, limbs), 0.6 * dome, shade.astype(np.float32), 0.5)


def whitefly(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """Two closed wings that widen backwards, with a seam, and a small head before them."""
    spread = float(rng.uniform(0.48, 0.64))
    half = spread * np.clip((0.78 - u) / 1.1, 0, 1) ** 0.5
    wings = np.minimum(half - np.abs(v), u + 0.95 - 1.1 * (np.abs(v) - 0.24) ** 2)
    head = 0.5 * _smooth_dome(u - 0.68, v, length=0.26, width=0.22)
    seam = np.abs(v) < 0.05 + 0.05 * np.clip(-u, 0, 1)
    shade = np.where(wings > head, 1.0 - 0.38 * seam - 0.10 * np.clip(np.abs(v) - 0.3, 0, 1), 0.62)
    height = np.where(wings > head, -0.45 * np.abs(v), 0.3)
    return Surface(np.maximum(wings, head), height.astype(np.float32), shade.astype(np.float32), 0.1)


def segment(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """One ring of a caterpillar: a fold across, a pale line along each flank, a dark one along the back."""
    body = _smooth_dome(u, v, length=0.80, width=0.95)
    dome = np.sqrt(np.clip(body, 0, 1))
    flank = np.exp(-(((np.abs(v) - 0.58) / 0.12) ** 2))
    back = np.exp(-((v / 0.12) ** 2))
    spots = np.exp(-(((np.abs(v) - 0.32) ** 2 + (u - 0.1) ** 2) / 0.012)) * float(rng.uniform(0.2, 0.5))
    shade = 0.55 + 0.38 * dome + 0.18 * flank - 0.26 * back - spots
    return Surface(0.55 * body, 0.55 * dome, shade.astype(np.float32), 0.35)


def head(u: Array, v: Array, _rng: np.random.Generator) -> Surface:
    """The hard round head of a caterpillar."""
    body = _smooth_dome(u, v, length=0.85, width=0.80)
    dome = np.sqrt(np.clip(body, 0, 1))
    return Surface(0.55 * body, 0.6 * dome, (0.6 + 0.4 * dome - 0.3 * (np.abs(v) < 0.06)).astype(np.float32), 0.8)  # noqa: PLR2004


def pustule(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A burst blister of spores: oval, raised, dark in its slit."""
    body = _smooth_dome(u, v, length=0.92, width=float(rng.uniform(0.6, 0.85)))
    dome = np.sqrt(np.clip(body, 0, 1))
    return Surface(0.5 * body, 0.5 * dome, (0.80 + 0.2 * dome).astype(np.float32), 0.05)


def pellet(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A dropping: a short ribbed grain."""
    body = _smooth_dome(u, v, length=0.9, width=float(rng.uniform(0.6, 0.8)))
    dome = np.sqrt(np.clip(body, 0, 1))
    return Surface(0.5 * body, 0.6 * dome, (0.5 + 0.4 * dome + 0.1 * np.sin(9 * u)).astype(np.float32), 0.1)


def grit(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A splash of soil: ragged, flat, of uneven shade."""
    angle = np.arctan2(v, u)
    outline = 0.62 + sum(
        size * np.sin(turns * angle + float(rng.uniform(0, 6))) for turns, size in ((2, 0.16), (3, 0.12), (5, 0.08))
    )
    shade = 0.80 + 0.2 * np.sin(7 * u + float(rng.uniform(0, 6))) * np.sin(6 * v)
    inside = outline - np.hypot(u, v)
    return Surface(inside.astype(np.float32), 0.15 * np.clip(inside, 0, 0.4), shade.astype(np.float32), 0.02)


def petal(u: Array, v: Array, rng: np.random.Generator) -> Surface:
    """A fallen petal: cupped, finely ribbed, notched at its end."""
    half = float(rng.uniform(0.40, 0.56)) * np.clip(1 - u * u, 0, 1) ** 0.6 * (1 + 0.4 * u)
    inside = np.minimum(half - np.abs(v), 0.86 - u + 0.5 * np.abs(v))
    ribs = 0.05 * np.sin(26 * v / (1.2 + u))
    return Surface(inside, 0.5 * v * v + 0.25 * u * u, (0.92 + ribs).astype(np.float32), 0.1)


def ladybird(u: Array, v: Array, _rng: np.random.Generator) -> Surface:
    """A dome of two wing cases with seven spots, a black head with pale cheeks."""
    shell = _smooth_dome(u + 0.12, v, length=0.82, width=0.74)
    front = _smooth_dome(u - 0.62, v, length=0.34, width=0.44)
    dome = np.sqrt(np.clip(shell, 0, 1))
    beside = np.abs(v)
    spots = ((u - 0.30) ** 2 + v**2 < 0.022) | ((u - 0.12) ** 2 + (beside - 0.38) ** 2 < 0.020)  # noqa: PLR2004
    spots |= ((u + 0.22) ** 2 + (beside - 0.26) ** 2 < 0.022) | ((u + 0.55) ** 2 + (beside - 0.34) ** 2 < 0.014)  # noqa: PLR2004
    on_shell = shell > 0.06 * (u > 0.3)  # noqa: PLR2004
    dark = np.where(on_shell, 1.0 - 0.9 * spots - 0.5 * (beside < 0.03), 0.10)  # noqa: PLR2004
    shade = dark * (0.62 + 0.38 * dome) + np.where(on_shell, 0, 0.9 * (np.abs(beside - 0.27) < 0.07))  # noqa: PLR2004
    height = 0.85 * dome
    return Surface(0.5 * np.maximum(shell, front), height, shade.astype(np.float32), 0.9)


class _Kind(NamedTuple):
    shape: Shape
    lengths_px: tuple[int, ...]


_KINDS: dict[str, _Kind] = {
    "aphid": _Kind(aphid, (14, 17, 21, 25, 30)),
    "mite": _Kind(mite, (8, 10, 12)),
    "whitefly": _Kind(whitefly, (16, 19, 23, 28)),
    "segment": _Kind(segment, (15, 19, 24, 30, 37)),
    "head": _Kind(head, (13, 17, 22, 27)),
    "pustule": _Kind(pustule, (5, 7, 9, 12)),
    "pellet": _Kind(pellet, (6, 8, 10)),
    "droplet": _Kind(droplet, (8, 12, 17, 24, 32)),
    "grit": _Kind(grit, (6, 9, 13, 19)),
    "petal": _Kind(petal, (28, 38, 50)),
    "ladybird": _Kind(ladybird, (44, 56, 70)),
}


def build_piece_bank() -> SpriteBank:
    """Draws every piece once, from a fixed seed: the bank is the same in every process."""
    sprites = {}
    for number, (name, kind) in enumerate(_KINDS.items()):
        sprites[name] = [
            [
                _evaluate(kind.shape, length_px=length, turn=turn, seed=(_BANK_SEED, number, variant))
                for variant in range(_VARIANTS)
                for turn in range(TURN_COUNT)
            ]
            for length in kind.lengths_px
        ]
    lengths = {name: np.asarray(kind.lengths_px, np.float64) for name, kind in _KINDS.items()}
    return SpriteBank(sprites=sprites, lengths_px=lengths)


def _evaluate(shape: Shape, *, length_px: int, turn: int, seed: tuple[int, int, int]) -> Sprite:
    """Evaluates a shape at a size and turn, finely, for legs are thinner than a pixel; one seed gives one piece."""
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(list(seed))))
    side = length_px + 3
    steps = (np.arange(side * _FINER, dtype=np.float32) + np.float32(0.5)) / _FINER - np.float32(side / 2)
    x, y = steps[None, :] * np.float32(2 / length_px), steps[:, None] * np.float32(2 / length_px)
    angle = 2 * np.pi * turn / TURN_COUNT
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    surface = shape(x * cos + y * sin, y * cos - x * sin, rng)
    covered = np.clip(surface.inside * np.float32(length_px * _FINER / 2) + np.float32(0.5), 0, 1)
    down, right = np.gradient(surface.height * np.float32(length_px * _FINER / 2))
    layers = [SLOPE_UNIT * right + 128, SLOPE_UNIT * down + 128, 255 * surface.shade]
    layers = [_coarser(layer * covered) / np.maximum(_coarser(covered), np.float32(1e-3)) for layer in layers]
    layers.append(np.full((side, side), 255 * surface.gloss, np.float32))
    geometry = np.clip(np.stack(layers, axis=-1), 0, 255).astype(np.uint8)
    mask = np.round(255 * _coarser(covered)).astype(np.uint8)
    return Sprite(Image.fromarray(geometry, "RGBA"), Image.fromarray(mask, "L"))


def _coarser(layer: Array) -> Array:
    side = layer.shape[0] // _FINER
    means: Array = layer.reshape(side, _FINER, side, _FINER).mean(axis=(1, 3))
    return means

"""The sound surface of each material, with the marks that its making leaves on every part."""

from collections.abc import Callable

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.palette import hsv
from training.renderers.surface_defect.relief import Grid, Relief
from training.renderers.textures import Field

Material = Callable[[Grid, np.random.Generator], Relief]

_SHOP_PAINTS = ((212.0, 0.62, 0.52), (150.0, 0.45, 0.45), (4.0, 0.72, 0.60), (46.0, 0.72, 0.80), (210.0, 0.05, 0.66))
"""Hue in degrees, saturation and value."""
_PRIMER: Colour = (0.80, 0.79, 0.76)
_STEEL: Colour = (0.30, 0.30, 0.31)
_PALE_VALUE = 0.62
"""Value of a paint from which primer would hardly show through: such paints lie on dark steel."""


def milled(grid: Grid, rng: np.random.Generator) -> Relief:
    """Steel from a face mill: arcs of even pitch, each cut a little deeper or shallower."""
    reach, pitch = float(rng.uniform(520, 900)), float(rng.uniform(8.0, 12.0))
    along = grid.u + np.float32(reach) - np.sqrt(np.maximum(np.float32(reach**2) - grid.v * grid.v, 1))
    turns = along / np.float32(pitch)
    cuts = np.floor(turns).astype(np.int32)
    depth = rng.uniform(0.7, 1.3, 512).astype(np.float32)[cuts % 512]
    tone = rng.normal(0, 0.030, 512).astype(np.float32)[cuts % 512]
    fine, mottle = grid.texture("fine", rng=rng), grid.texture("mottle", rng=rng)
    return _relief(
        hsv(float(rng.uniform(200, 225)), float(rng.uniform(0.02, 0.07)), value=float(rng.uniform(0.56, 0.66))),
        height=np.float32(0.30) * depth * np.cos(np.float32(2 * np.pi) * turns) + np.float32(0.05) * fine,
        shade=np.float32(1) + tone + np.float32(0.02) * fine + np.float32(0.012) * mottle,
        gloss=0.50,
        bare=(0.93, 0.94, 0.95),
    )


def brushed(grid: Grid, rng: np.random.Generator) -> Relief:
    """Stainless steel with fine streaks along the lay."""
    streak, fine = grid.texture("streak", rng=rng), grid.texture("fine", rng=rng)
    return _relief(
        hsv(float(rng.uniform(28, 50)), float(rng.uniform(0.02, 0.06)), value=float(rng.uniform(0.64, 0.74))),
        height=np.float32(0.10) * streak + np.float32(0.03) * fine,
        shade=np.float32(1) + np.float32(0.050) * streak + np.float32(0.015) * fine,
        gloss=0.55,
        bare=(0.96, 0.96, 0.95),
    )


def cast(grid: Grid, rng: np.random.Generator) -> Relief:
    """Sand-cast iron: dull and grainy."""
    grain, fine, lump = (grid.texture(name, rng=rng) for name in ("grain", "fine", "lump"))
    return _relief(
        hsv(float(rng.uniform(20, 40)), float(rng.uniform(0.03, 0.08)), value=float(rng.uniform(0.40, 0.50))),
        height=np.float32(0.26) * grain + np.float32(0.10) * fine + np.float32(0.30) * lump,
        shade=np.float32(1) + np.float32(0.035) * grain + np.float32(0.020) * lump,
        gloss=0.12,
        bare=(0.80, 0.80, 0.80),
    )


def painted(grid: Grid, rng: np.random.Generator) -> Relief:
    """Powder coat in one of the shop's colours: glossy, with the ripple of an orange's peel."""
    hue, saturation, value = _SHOP_PAINTS[int(rng.integers(len(_SHOP_PAINTS)))]
    lump, grain = grid.texture("lump", rng=rng), grid.texture("grain", rng=rng)
    return _relief(
        hsv(hue + float(rng.normal(0, 2)), saturation, value=value + float(rng.normal(0, 0.02))),
        height=np.float32(0.16) * lump + np.float32(0.03) * grain,
        shade=np.float32(1) + np.float32(0.012) * lump + np.float32(0.010) * grain,
        gloss=0.70,
        bare=_PRIMER if value < _PALE_VALUE else _STEEL,
    )


def woven(grid: Grid, rng: np.random.Generator) -> Relief:
    """Twill: each weft thread passes over two warp threads and under two, one step further in every row."""
    period = np.float32(rng.uniform(11.0, 14.0))
    columns, rows = grid.u / period, grid.v / period
    warp, weft = np.floor(columns).astype(np.int32), np.floor(rows).astype(np.int32)
    across, down = columns - warp - np.float32(0.5), rows - weft - np.float32(0.5)
    is_weft = (warp + weft) % 4 < 2  # noqa: PLR2004 -- two over, two under
    crown = np.float32(1) - np.float32(3.2) * np.where(is_weft, down, across) ** 2
    tone = np.where(is_weft, _threads(weft, rng=rng), _threads(warp, rng=rng))
    fine = grid.texture("fine", rng=rng)
    return _relief(
        hsv(float(rng.uniform(32, 46)), float(rng.uniform(0.10, 0.20)), value=float(rng.uniform(0.58, 0.68))),
        height=np.float32(1.6) * crown + np.float32(0.05) * fine,
        shade=(np.float32(0.80) + np.float32(0.20) * crown) * (np.float32(1) + tone)
        + np.where(is_weft, np.float32(0.05), np.float32(-0.03))
        + np.float32(0.02) * fine,
        gloss=0.10,
        bare=(0.97, 0.95, 0.90),
    )


def _threads(index: np.ndarray[tuple[int, ...], np.dtype[np.int32]], *, rng: np.random.Generator) -> Field:
    """Returns how much lighter or darker each thread is than the others."""
    tones: Field = rng.normal(0, 0.03, 512).astype(np.float32)[index % 512]
    return tones


def _relief(base: Colour, *, height: Field, shade: Field, gloss: float, bare: Colour) -> Relief:
    return Relief(
        height=height.astype(np.float32),
        shade=shade.astype(np.float32),
        gloss=np.full_like(height, gloss, np.float32),
        colour=[np.full_like(height, value, np.float32) for value in base],
        brightness=sum(base) / 3,
        bare=bare,
    )


MATERIAL_PAINTERS: dict[str, Material] = {
    "milled": milled,
    "brushed": brushed,
    "cast": cast,
    "painted": painted,
    "woven": woven,
}

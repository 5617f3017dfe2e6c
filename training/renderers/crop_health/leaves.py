"""Leaves: their outline, veins, relief and living colour, before anything befalls them.

Lengths are in units of the leaf's radius (half its length), positions (along, across) in the leaf's own frame.
"""

from dataclasses import dataclass

import numpy as np

from training.renderers.canvas import Colour
from training.renderers.palette import hsv
from training.renderers.surface import Surface
from training.renderers.textures import Field, TextureBank
from training.renderers.view import View

OUTLINES = ("oval", "lobed", "blade")
"""As of beans and potatoes, of cucumbers and vines, of maize."""

Point = tuple[float, float]

_LOBED_BASE = 0.45
"""How far behind the middle a lobed leaf's veins part."""
_LOBED_VEINS_RAD = (0.0, 0.80, -0.80, 1.65, -1.65)
_STALK = 0.035
_ON_LEAF = 0.04
"""Points that are put on a leaf keep so far from its rim."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """The build of one leaf: the same in all its photos."""

    outline: str
    width: float
    bend: float
    teeth: float
    """Number along the rim."""
    tooth_depth: float
    veins: float
    """Side veins along the leaf."""
    slant: float
    """How far side veins lean towards the tip."""
    pucker: float
    """How strongly the leaf bulges between its veins."""
    gloss: float
    living: Colour
    vein: Colour

    def rim(self, u: Field, v: Field) -> Field:
        """Returns the distance inside the outline, negative outside; `u`, `v`: positions, any shape, float32."""
        if self.outline == "lobed":
            ahead = u + np.float32(_LOBED_BASE)
            angle = np.arctan2(v, ahead)
            reach = (0.66 + 0.38 * np.cos(0.5 * angle) ** 2) * (1 + self.tooth_depth * 2.2 * np.cos(5 * angle))
            reach = 1.28 * reach * (1 + 0.3 * self.tooth_depth * np.sin(self.teeth * angle))
            rim = reach - np.hypot(ahead, v * np.float32(0.75 / self.width))
        else:
            across = np.abs(v - np.float32(self.bend) * u * u)
            if self.outline == "blade":
                half = self.width * (0.62 - 0.10 * u)
            else:
                half = self.width * np.clip(1 - u * u, 0, 1) ** 0.70 * (1 - 0.34 * u)
                half = half * (1 + self.tooth_depth * np.abs(np.mod(self.teeth * u, 2) - 1))
            rim = half - across
        stalk = np.minimum(np.float32(_STALK) - np.abs(v - np.float32(self.bend) * u * u), np.float32(-0.85) - u)
        return np.maximum(rim, stalk).astype(np.float32)

    def points(self, rng: np.random.Generator, *, count: int) -> list[Point]:
        """Returns at most `count` random points on the leaf, where a photo is sure to show them."""
        tried = rng.uniform(-0.86, 0.86, (max(1, 8 * count), 2)).astype(np.float32)
        kept = tried[self.rim(tried[:, 0], tried[:, 1]) > _ON_LEAF]
        return [(float(u), float(v)) for u, v in kept[:count]]

    def holds(self, point: Point) -> bool:
        """Returns whether a point lies on the leaf and within what photos show."""
        u, v = np.float32(point[0]), np.float32(point[1])
        inside = self.rim(np.array([u]), np.array([v]))[0] > 0.5 * _ON_LEAF
        return bool(inside) and bool(max(abs(u), abs(v)) < 1.0)

    def lines(self, u: Field, v: Field) -> tuple[Field, Field]:
        """Returns how near the veins are (1 on one, 0 far from all) and the bulge between them (0 to 1)."""
        bent = v - np.float32(self.bend) * u * u
        main = np.clip(1.3 - np.abs(bent) * np.float32(48), 0, 1)
        if self.outline == "blade":
            stripes = np.abs(np.mod(np.float32(26 / self.width) * bent, 2) - 1)
            thin = np.maximum(main, 0.55 * np.clip(4 * stripes - 3, 0, 1))
            return thin.astype(np.float32), stripes.astype(np.float32)
        phase = self.veins * (u - np.float32(self.slant) * np.abs(bent)) + np.float32(0.45) * (bent > 0)
        away = np.abs(np.mod(phase, 1) - 0.5)
        side = np.clip(1.15 - away * np.float32(85 / self.veins), 0, 1) * np.float32(0.8)
        if self.outline == "lobed":
            ahead = u + np.float32(_LOBED_BASE)
            for angle in _LOBED_VEINS_RAD[1:]:
                cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
                ray = np.clip(1.3 - np.abs(ahead * sin - v * cos) * np.float32(48), 0, 1)
                main = np.maximum(main, ray * (ahead * cos + v * sin > 0))
            side = side * np.float32(0.6)
        return np.maximum(main, side).astype(np.float32), (1 - 4 * (0.5 - away) ** 2).astype(np.float32)


def draw_leaf(rng: np.random.Generator) -> Leaf:
    """Draws the build of a leaf."""
    outline = OUTLINES[int(rng.choice(len(OUTLINES), p=(0.5, 0.3, 0.2)))]
    living = hsv(float(rng.uniform(72, 114)), float(rng.uniform(0.38, 0.66)), value=float(rng.uniform(0.36, 0.62)))
    paler = float(rng.uniform(0.20, 0.45))
    red, green, blue = (share + paler * (aim - share) for share, aim in zip(living, (0.80, 0.86, 0.58), strict=True))
    return Leaf(
        outline=outline,
        width=float(rng.uniform(0.62, 0.86)),
        bend=float(rng.normal(0, 0.07)),
        teeth=float(rng.uniform(14, 34)),
        tooth_depth=float(rng.uniform(0.0, 0.06)),
        veins=float(rng.uniform(4.0, 7.5)),
        slant=float(rng.uniform(0.45, 0.95)),
        pucker=float(rng.uniform(0.3, 1.0)),
        gloss=float(rng.uniform(0.12, 0.34)),
        living=living,
        vein=(red, green, blue),
    )


def frame_of(view: View) -> tuple[Field, Field]:
    """Returns the position of each pixel along and across the leaf, each [height, width] float32."""
    x = (np.arange(view.width, dtype=np.float32) - np.float32(view.centre[0]))[None, :] / np.float32(view.radius_px)
    y = (np.arange(view.height, dtype=np.float32) - np.float32(view.centre[1]))[:, None] / np.float32(view.radius_px)
    cos, sin = np.float32(np.cos(view.turn)), np.float32(np.sin(view.turn))
    return x * cos + y * sin, y * cos - x * sin


def grow(leaf: Leaf, view: View, *, textures: TextureBank, rng: np.random.Generator) -> tuple[Surface, Field]:
    """Returns the leaf, healthy and clean, and the distance inside its rim, [height, width] float32."""
    shape = (view.height, view.width)
    lump, mottle, fine = (textures.window(name, shape=shape, rng=rng) for name in ("lump", "mottle", "fine"))
    u, v = frame_of(view)
    rim = leaf.rim(u, v)
    vein, bulge = leaf.lines(u, v)
    relief = np.float32(view.radius_px) * (np.float32(0.022 * leaf.pucker) * bulge - np.float32(0.012) * vein)
    relief = relief + np.float32(0.7) * lump + np.float32(3.0) * mottle
    slope_x, slope_y = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    slope_x[:, 1:-1] = (relief[:, 2:] - relief[:, :-2]) * np.float32(0.5)
    slope_y[1:-1] = (relief[2:] - relief[:-2]) * np.float32(0.5)
    surface = Surface(
        slope_x=slope_x,
        slope_y=slope_y,
        shade=(np.float32(0.94) + np.float32(0.035) * fine + np.float32(0.05) * mottle),
        gloss=np.full(shape, leaf.gloss, np.float32),
        colour=[np.full(shape, value, np.float32) for value in leaf.living],
        coverage=np.clip(rim * np.float32(view.radius_px) + np.float32(0.5), 0, 1),
    )
    surface.blend(leaf.vein, np.float32(0.75) * vein)
    return surface, rim

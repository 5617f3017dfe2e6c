"""A bank of drawings of all that may stand in a street, made once per process from a fixed seed."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from training.renderers.roadwork.board import PX_PER_M
from training.renderers.roadwork.camera import Camera
from training.renderers.roadwork.market import MARKET
from training.renderers.roadwork.movers import MOVERS
from training.renderers.roadwork.ordinary import ORDINARY
from training.renderers.roadwork.works import WORKS

VARIANTS = 4
_BANK_SEED = 20_251_126
_LEAST_PX = 2


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands in the street: x from the middle of the road, z ahead, metres."""

    kind: str
    x: float
    z: float
    variant: int
    """Any non-negative integer: which drawing, and which way round."""
    size: float = 1.0
    """Times its usual size."""


@dataclass(frozen=True, slots=True)
class ThingBank:
    """Drawings by kind and variant, at PX_PER_M."""

    drawings: dict[str, list[Image.Image]]

    def size_m(self, thing: Thing) -> tuple[float, float]:
        """Returns the width and height of a thing in metres."""
        drawing = self._drawing(thing)
        return thing.size * drawing.width / PX_PER_M, thing.size * drawing.height / PX_PER_M

    def place(self, picture: Image.Image, thing: Thing, *, camera: Camera) -> None:
        """Pastes a thing where the camera sees it; what falls outside is cut."""
        width_m, height_m = self.size_m(thing)
        scale = camera.focal_px / thing.z
        size = (max(_LEAST_PX, round(scale * width_m)), max(_LEAST_PX, round(scale * height_m)))
        x, y = camera.project(thing.x, 0.0, thing.z)
        corner = (round(x - size[0] / 2), round(y) - size[1])
        if corner[0] >= picture.width or corner[0] + size[0] <= 0:
            return
        seen = self._drawing(thing).resize(size, Image.Resampling.BILINEAR)
        picture.paste(seen, corner, seen)

    def _drawing(self, thing: Thing) -> Image.Image:
        row = self.drawings[thing.kind]
        return row[thing.variant % len(row)]


def build_thing_bank() -> ThingBank:
    """Draws everything once: the bank is the same in every process."""
    bank = {}
    for number, (kind, draw) in enumerate(sorted({**WORKS, **ORDINARY, **MARKET, **MOVERS}.items())):
        bank[kind] = [
            draw(np.random.Generator(np.random.Philox(np.random.SeedSequence([_BANK_SEED, number, variant]))))
            for variant in range(VARIANTS)
        ]
    return ThingBank(drawings=bank)

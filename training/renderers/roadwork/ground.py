"""Paints the ground in perspective: road, markings, kerbs, pavements, what lies on them, and shadows."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from training.renderers.canvas import Colour
from training.renderers.roadwork.camera import Camera
from training.renderers.roadwork.street import Patch, Street
from training.renderers.roadwork.things import ThingBank
from training.renderers.textures import BANK_SIDE_PX, Field, TextureBank

_TEXELS_PER_M = 72
_BROAD_TEXELS_PER_M = 14
_DASH_M = 6.0
"""A dash and the gap after it."""

_JOINT = 0.47
"""Joints of slabs lie so far from their middle, in sides of a slab."""

_FADE_M = 6.5
"""Beyond it the road's grain is finer than pixels, and fades."""

_PATCH_COLOURS: dict[str, Colour] = {
    "mended": (0.17, 0.17, 0.18),
    "puddle": (0.50, 0.55, 0.60),
    "leaves": (0.52, 0.36, 0.16),
}


class Ground:
    """The ground of one photo, from the first row below the horizon down."""

    def __init__(self, camera: Camera, textures: TextureBank) -> None:
        """Finds what place each pixel sees."""
        self.camera = camera
        self.first_row = max(0, int(camera.horizon_px) + 2)
        rows = np.arange(self.first_row, camera.height, dtype=np.float32)[:, None]
        columns = np.arange(camera.width, dtype=np.float32)[None, :]
        self.z: Field = np.float32(camera.focal_px * camera.height_m) / (rows - np.float32(camera.horizon_px))
        self.footprint: Field = self.z * np.float32(1 / camera.focal_px)
        """Metres a pixel sees across, [rows, 1]."""
        self.x: Field = (columns - np.float32(camera.middle_px)) * self.footprint + np.float32(camera.x_m)
        self.grain = self._look_up(
            textures.fields["fine"] + np.float32(0.4) * textures.fields["grain"], texels_per_m=_TEXELS_PER_M
        )
        self.broad = self._look_up(
            textures.fields["lump"] + textures.fields["mottle"], texels_per_m=_BROAD_TEXELS_PER_M
        )
        self.grain = self.grain * np.clip(_FADE_M / self.z, 0, 1)

    def _look_up(self, field: Field, *, texels_per_m: int) -> Field:
        rows = (self.z * texels_per_m).astype(np.int32) & (BANK_SIDE_PX - 1)
        columns = (self.x * texels_per_m).astype(np.int32) & (BANK_SIDE_PX - 1)
        found: Field = field[rows, columns]
        return found

    def band(self, place: Field, *, low: float, high: float) -> Field:
        """Returns how much of each pixel lies between two values of a place in metres, 0 to 1."""
        inside = np.minimum(place - np.float32(low), np.float32(high) - place)
        covered: Field = np.clip(inside / self.footprint + np.float32(0.5), 0, 1)
        return covered

    def patch(self, patch: Patch, *, ragged: float) -> Field:
        """Returns how much of each pixel lies in a patch, 0 to 1."""
        along = np.float32(patch.half_z) - np.abs(self.z - np.float32(patch.z))
        across = np.float32(patch.half_x) - np.abs(self.x - np.float32(patch.x))
        inside = np.minimum(along, across) + np.float32(ragged) * self.broad
        covered: Field = np.clip(inside / np.maximum(self.footprint, np.float32(0.02)) + np.float32(0.5), 0, 1)
        return covered


def paint_ground(picture: list[Field], street: Street, *, ground: Ground) -> None:
    """Paints the ground over the lower part of a picture: red, green and blue, each [height, width] float32, 0 to 1."""
    look = street.look
    aside = np.abs(ground.x)
    tone = np.float32(1) + np.float32(0.075 * look.roughness) * ground.grain
    tone = tone + np.float32(0.030 * look.roughness) * ground.broad
    colour = [np.float32(value) * tone for value in look.asphalt]
    for patch in street.patches:
        if patch.kind != "dug":
            weight = ground.patch(patch, ragged=0.02 if patch.kind == "mended" else 0.25)
            if patch.kind == "leaves":
                weight = weight * np.clip(0.4 + 0.5 * ground.grain, 0, 1)
            _blend(colour, _PATCH_COLOURS[patch.kind], np.float32(0.85) * weight)
    worn = np.clip(0.88 - 0.16 * ground.grain - 0.10 * ground.broad, 0, 1)
    painted = np.mod(ground.z + np.float32(street.dash_phase), _DASH_M) < (
        _DASH_M / 2 if look.middle_dashed else _DASH_M
    )
    _blend(colour, look.middle_line, worn * painted * ground.band(aside, low=-1.0, high=0.065))
    if look.edge_line is not None:
        edge = street.road_half - 0.3
        _blend(colour, look.edge_line, worn * ground.band(aside, low=edge - 0.06, high=edge + 0.06))
    _pave(colour, street, aside=aside, tone=tone, ground=ground)
    for patch in street.patches:
        if patch.kind == "dug":
            _dig(colour, patch, soil=look.soil, ground=ground)
    limit = street.road_half + street.pavement + street.setback
    weight = np.clip((np.float32(limit) - aside) / ground.footprint, 0, 1)
    for channel in range(3):
        part = picture[channel][ground.first_row :]
        part += weight * (colour[channel] - part)


def _pave(colour: list[Field], street: Street, *, aside: Field, tone: Field, ground: Ground) -> None:
    """Lays kerb, slabs and whatever lies between pavement and houses."""
    half, look = street.road_half, street.look
    joints = np.maximum(np.abs(np.mod(ground.x * 2, 1) - 0.5), np.abs(np.mod(ground.z * 2, 1) - 0.5)) > _JOINT
    slabs = tone * (np.float32(1) - np.float32(0.22) * joints * np.clip(8 / ground.z, 0, 1))
    on_pavement = ground.band(aside, low=half, high=1e3)
    for channel, value in enumerate(look.pavement):
        colour[channel] += on_pavement * (np.float32(value) * slabs - colour[channel])
    _blend(colour, (0.70, 0.69, 0.66), 0.8 * ground.band(aside, low=half, high=half + 0.13))
    _blend(colour, (0.16, 0.16, 0.16), 0.7 * ground.band(aside, low=half - 0.05, high=half))
    beyond = ground.band(aside, low=half + street.pavement, high=1e3)
    for channel, value in enumerate(look.soil):
        grown = np.float32((0.34, 0.44, 0.20)[channel] if look.greenery > 1 else value)
        colour[channel] += beyond * (grown * (1 + 0.12 * ground.grain + 0.08 * ground.broad) - colour[channel])


def _dig(colour: list[Field], patch: Patch, *, soil: Colour, ground: Ground) -> None:
    """Breaks the ground open: loose soil about a dark trench."""
    weight = ground.patch(patch, ragged=0.10)
    loose = np.clip(1 + 0.22 * ground.grain + 0.16 * ground.broad, 0.3, 1.7)
    for channel, value in enumerate(soil):
        colour[channel] += weight * (np.float32(value) * loose - colour[channel])
    deep = Patch("dug", patch.x, patch.z, 0.55 * patch.half_x, 0.70 * patch.half_z)
    red, green, blue = soil
    _blend(colour, (0.35 * red, 0.35 * green, 0.35 * blue), 0.85 * ground.patch(deep, ragged=0.08))


def _blend(colour: list[Field], aim: Colour, weight: Field) -> None:
    for channel, value in enumerate(aim):
        colour[channel] += weight * (np.float32(value) - colour[channel])


def cast_shadows(picture: list[Field], street: Street, *, ground: Ground, bank: ThingBank, sunlit: float) -> None:
    """Darkens the ground beneath things and, as far as the sun shines, beside them and along the houses.

    Args:
        picture: Red, green and blue, each [height, width] float32, changed in place.
        street: What throws shadows.
        ground: Where they fall.
        bank: How large things are.
        sunlit: Strength of the sun, 0 to 1.
    """
    camera = ground.camera
    image = Image.new("L", (camera.width, camera.height), 0)
    pen = ImageDraw.Draw(image)
    for thing in street.things:
        width, height = bank.size_m(thing)
        half = 0.42 * width
        if sunlit > 0:
            aside, ahead = street.sun[0] * height, street.sun[1] * height
            z = max(1.0, thing.z + ahead)
            corners = [
                (thing.x - half, thing.z),
                (thing.x + half, thing.z),
                (thing.x + aside + half, z),
                (thing.x + aside - half, z),
            ]
            pen.polygon([camera.project(x, 0.0, depth) for x, depth in corners], fill=round(150 * sunlit))
        x, y = camera.project(thing.x, 0.0, thing.z)
        reach = half * camera.focal_px / thing.z
        low = 0.22 * min(reach, 0.4 * camera.focal_px / thing.z)
        pen.ellipse((x - reach, y - low, x + reach, y + low), fill=140)
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(1.6)), np.float32)[ground.first_row :]
    light = np.float32(1) - soft * np.float32(1 / 255)
    if sunlit > 0:
        side = float(np.sign(street.sun[0]))
        reach_m = street.road_half + street.pavement + street.setback - abs(street.sun[0]) * 3.0 * street.look.floors[0]
        behind = np.clip((-side * ground.x - np.float32(reach_m)) / (ground.footprint * 3), 0, 1)
        light = light * (np.float32(1) - np.float32(0.45 * sunlit) * behind)
    limit = street.road_half + street.pavement + street.setback
    on_ground = np.clip((np.float32(limit) - np.abs(ground.x)) / ground.footprint, 0, 1)
    light = np.float32(1) - on_ground * (np.float32(1) - light)
    for channel in range(3):
        picture[channel][ground.first_row :] *= light

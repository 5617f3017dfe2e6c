"""Paints sky, what closes the street off far away, houses along it, and wires above it."""

import numpy as np
from PIL import Image, ImageDraw

from training.renderers.canvas import Colour
from training.renderers.roadwork.camera import Camera
from training.renderers.roadwork.street import FAR_M, House, Street
from training.renderers.textures import TextureBank

_FINER = 2
_FLOOR_M = 3.0
_HAZE_M = 160.0
_WINDOWS_TO_M = 48.0


def paint_backdrop(
    street: Street, camera: Camera, *, textures: TextureBank, dusky: bool, rng: np.random.Generator
) -> Image.Image:
    """Returns all that stands behind the things of the street; `rng` is the specimen's, so photos agree."""
    image = _sky(street, camera, textures=textures, rng=rng).resize(
        (camera.width * _FINER, camera.height * _FINER), Image.Resampling.BILINEAR
    )
    painter = _Painter(ImageDraw.Draw(image), camera, haze=street.look.haze)
    _close_off(painter, street, rng=rng)
    for house in sorted(street.houses, key=lambda each: -each.near):
        _paint_house(painter, street, house, dusky=dusky, rng=rng)
    if street.look.wires:
        _string_wires(painter, street)
    rough = 1 + np.float32(0.03) * textures.window("fine", shape=(camera.height, camera.width), rng=rng)
    weathered = np.asarray(image.reduce(_FINER), np.float32) * rough[..., None]
    return Image.fromarray(np.clip(weathered, 0, 255).astype(np.uint8), "RGB")


class _Painter:
    """Draws in metres, hazier the farther away."""

    def __init__(self, pen: ImageDraw.ImageDraw, camera: Camera, *, haze: Colour) -> None:
        self._pen, self._camera, self._haze = pen, camera, haze

    def fill(self, corners: list[tuple[float, float, float]], colour: Colour) -> None:
        """Fills a polygon of points (x, y, z)."""
        far = 1 - float(np.exp(-sum(z for _, _, z in corners) / len(corners) / _HAZE_M))
        shade = [value + far * (mist - value) for value, mist in zip(colour, self._haze, strict=True)]
        points = [self._camera.project(*corner) for corner in corners]
        fill = tuple(min(255, max(0, round(255 * value))) for value in shade)
        self._pen.polygon([(_FINER * x, _FINER * y) for x, y in points], fill=fill)

    def wall(self, x: float, low: float, high: float, *, near: float, far: float, colour: Colour) -> None:
        """Fills an upright rectangle that runs along the street."""
        self.fill([(x, low, near), (x, high, near), (x, high, far), (x, low, far)], colour)

    def wire(self, points: list[tuple[float, float, float]]) -> None:
        """Draws a thin dark line."""
        seen = [self._camera.project(*point) for point in points]
        self._pen.line([(_FINER * x, _FINER * y) for x, y in seen], fill=(40, 40, 44), width=2)


def _sky(street: Street, camera: Camera, *, textures: TextureBank, rng: np.random.Generator) -> Image.Image:
    shape = (camera.height // 2, camera.width // 2)
    clouds = np.clip(0.5 * textures.window("broad", shape=shape, rng=rng) + np.float32(street.clouds), 0, 1)
    low = np.clip(np.arange(shape[0], dtype=np.float32)[:, None] * np.float32(2 / max(1.0, camera.horizon_px)), 0, 1)
    sky = np.empty((*shape, 3), np.uint8)
    for channel in range(3):
        high, near = street.look.sky[channel], street.look.horizon_sky[channel]
        clear = np.float32(high) + low * np.float32(near - high)
        sky[..., channel] = 255 * (clear + 0.55 * clouds * (np.float32(0.88) - clear))
    return Image.fromarray(sky, "RGB")


def _close_off(painter: _Painter, street: Street, *, rng: np.random.Generator) -> None:
    """Draws trees and houses across the far end of the street."""
    x = -30.0
    while x < 30:  # noqa: PLR2004 -- metres beside the street
        width, height = float(rng.uniform(4, 12)), float(rng.uniform(2.5, 10.0))
        wall = street.look.walls[int(rng.integers(len(street.look.walls)))]
        green = (0.20, 0.30, 0.16)
        colour = green if rng.random() < 0.5 else wall  # noqa: PLR2004 -- as often trees
        z = FAR_M + 20
        painter.fill([(x, 0, z), (x, height, z), (x + width, height, z), (x + width, 0, z)], colour)
        x += width * float(rng.uniform(0.7, 1.1))


def _paint_house(painter: _Painter, street: Street, house: House, *, dusky: bool, rng: np.random.Generator) -> None:
    """Draws a house's front along the street and its gable towards the camera."""
    x = house.side * (street.road_half + street.pavement + street.setback)
    top = _FLOOR_M * house.floors + 0.6
    lit = 1.0 if house.side * street.sun[0] > 0 else 0.72
    red, green, blue = (lit * value for value in house.wall)
    gable = (0.85 * red, 0.85 * green, 0.85 * blue)
    deep = x + house.side * 9.0
    painter.fill([(x, 0, house.near), (x, top, house.near), (deep, top, house.near), (deep, 0, house.near)], gable)
    painter.wall(x, 0.0, top, near=house.near, far=house.far, colour=(red, green, blue))
    painter.wall(x, top - 0.35, top, near=house.near, far=house.far, colour=(0.7 * red, 0.7 * green, 0.7 * blue))
    painter.wall(x, 0.0, 0.5, near=house.near, far=house.far, colour=(0.75 * red, 0.75 * green, 0.75 * blue))
    first_floor = 0
    if house.shop is not None:
        first_floor = 1
        painter.wall(x, 0.3, 2.5, near=house.near + 0.4, far=house.far - 0.4, colour=(0.18, 0.20, 0.22))
        painter.wall(x, 2.5, 3.1, near=house.near + 0.2, far=house.far - 0.2, colour=house.shop)
    spacing = float(rng.uniform(2.2, 3.2))
    lights = rng.random(64)
    for floor in range(first_floor, house.floors):
        z, number = house.near + 0.9, 0
        while z + 1.3 < house.far and z < _WINDOWS_TO_M:
            glows = dusky and lights[(7 * floor + number) % 64] < 0.3  # noqa: PLR2004 -- some are at home
            pane = (0.95, 0.80, 0.45) if glows else (0.20, 0.24, 0.28)
            bottom = _FLOOR_M * floor + 0.9
            painter.wall(
                x,
                bottom - 0.12,
                bottom + 1.52,
                near=z - 0.12,
                far=z + 1.42,
                colour=(0.80 * lit, 0.80 * lit, 0.80 * lit),
            )
            painter.wall(x, bottom, bottom + 1.4, near=z, far=z + 1.3, colour=pane)
            z, number = z + spacing, number + 1
    if house.awning is not None:
        _hang_awning(painter, house, x=x)


def _hang_awning(painter: _Painter, house: House, *, x: float) -> None:
    """Draws a striped awning that leans over the pavement."""
    outwards = x - house.side * 0.9
    count = max(2, int((house.far - house.near - 1.0) / 0.5))
    for number in range(count):
        near = house.near + 0.5 + 0.5 * number
        colour = (house.awning or ((0, 0, 0), (0, 0, 0)))[number % 2]
        painter.fill([(x, 3.0, near), (x, 3.0, near + 0.5), (outwards, 2.5, near + 0.5), (outwards, 2.5, near)], colour)


def _string_wires(painter: _Painter, street: Street) -> None:
    """Draws poles on one side and wires along them."""
    x = street.road_half + 0.4
    poles = [8.0, 20.0, 34.0, 50.0]
    for z in poles:
        painter.fill([(x - 0.12, 0, z), (x - 0.10, 8.5, z), (x + 0.10, 8.5, z), (x + 0.12, 0, z)], (0.40, 0.39, 0.37))
        painter.fill([(x - 0.9, 7.9, z), (x - 0.9, 8.0, z), (x + 0.9, 8.0, z), (x + 0.9, 7.9, z)], (0.30, 0.30, 0.30))
    for aside in (-0.8, -0.2, 0.4, 0.8):
        line = [(x + aside, 8.0, 2.0)]
        for near, far in zip([2.0, *poles], [*poles, 90.0], strict=True):
            line += [(x + aside, 7.6, (near + far) / 2), (x + aside, 8.0, far)]
        painter.wire(line)

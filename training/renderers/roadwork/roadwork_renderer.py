"""The roadwork renderer: (specimen index, photo index) in, JPEG bytes and truth out.

Deterministic, and blind to the labels that it renders for.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.renderers.phone import build_noise_bank, draw_sensor, take_photo
from training.renderers.renderer import RenderedPhoto, RenderedSpecimen
from training.renderers.roadwork.camera import Camera, draw_camera
from training.renderers.roadwork.ground import Ground, cast_shadows, paint_ground
from training.renderers.roadwork.houses import paint_backdrop
from training.renderers.roadwork.latents import Latents, draw_latents, draw_specimen
from training.renderers.roadwork.parameters import CameraParameters, RoadworkParameters
from training.renderers.roadwork.regions import LOOKS
from training.renderers.roadwork.street import Street, lay_out
from training.renderers.roadwork.tags import tagged
from training.renderers.roadwork.things import build_thing_bank
from training.renderers.streams import layout_stream, photo_stream, random_stream
from training.renderers.textures import Field, build_texture_bank
from training.renderers.view import View

_BACKDROP_STREAM = 0
_SUNLIT = {"sun": 1.0, "overcast": 0.0, "low sun": 0.7, "dusk": 0.0}
_LIGHT = {
    "sun": (1.16, 1.12, 1.04),
    "overcast": (0.88, 0.91, 0.95),
    "low sun": (1.12, 0.94, 0.72),
    "dusk": (0.36, 0.39, 0.52),
}
"""Red, green and blue of the light, about 1."""


class RoadworkRenderer:
    """Renders photos of streets. Making one builds the banks (seconds); rendering changes nothing in it."""

    def __init__(self, parameters: RoadworkParameters) -> None:
        """Builds the banks of things, textures and noise."""
        strangers = {region.name for region in parameters.regions} - set(LOOKS)
        if strangers:
            raise ValueError(f"the renderer does not know how {sorted(strangers)} look; it knows {', '.join(LOOKS)}")
        self.parameters = parameters
        self._things = build_thing_bank()
        self._textures = build_texture_bank()
        self._noise = build_noise_bank(parameters.camera.noise_levels)

    def specimen(self, index: int) -> RenderedSpecimen:
        """Returns the truth of one specimen."""
        return draw_specimen(self.parameters, index)

    def render(self, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns one photo of one specimen: the same bytes whenever and wherever it is asked for."""
        latents = draw_latents(self.parameters, index=specimen_index)
        return self.photograph(latents, specimen_index=specimen_index, photo_index=photo_index)

    def photograph(self, latents: Latents, *, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns the photo that `render` would give if the specimen had these latents."""
        seed = self.parameters.seed
        photo_rng = photo_stream(seed, specimen=specimen_index, photo=photo_index)
        sensor = draw_sensor(self.parameters.output, rng=photo_rng)
        size = sensor.held(self.parameters.output.scene_px)
        street = lay_out(latents, parameters=self.parameters, rng=layout_stream(seed, specimen=specimen_index))
        camera = draw_camera(
            self.parameters.camera, size=size, aim_px=street.aim_px, stand_m=street.stand_m, rng=photo_rng
        )
        scene = self._paint(street, camera, lighting=latents.lighting, specimen_index=specimen_index)
        view = _view(self.parameters.camera, size=size, rng=photo_rng)
        picture = _expose(scene, light=_LIGHT[latents.lighting], gains=view.gains)
        content = take_photo(picture, view=view, sensor=sensor, noise=self._noise[view.noise_index], rng=photo_rng)
        content = tagged(content, place=latents.place, taken=latents.taken)
        return RenderedPhoto(content=content, device=sensor.named, orientation=sensor.orientation)

    def _paint(self, street: Street, camera: Camera, *, lighting: str, specimen_index: int) -> Image.Image:
        """Paints from far to near: sky and houses, the ground, then things."""
        rng = random_stream(self.parameters.seed, specimen=specimen_index, stream=_BACKDROP_STREAM)
        backdrop = paint_backdrop(street, camera, textures=self._textures, dusky=lighting == "dusk", rng=rng)
        pixels = np.asarray(backdrop, np.float32) * np.float32(1 / 255)
        picture: list[Field] = [np.ascontiguousarray(pixels[..., channel]) for channel in range(3)]
        ground = Ground(camera, self._textures)
        paint_ground(picture, street, ground=ground)
        cast_shadows(picture, street, ground=ground, bank=self._things, sunlit=_SUNLIT[lighting])
        scene = np.stack([np.clip(field * np.float32(255), 0, 255) for field in picture], axis=-1)
        image = Image.fromarray(scene.astype(np.uint8), "RGB")
        for thing in sorted(street.things, key=lambda each: -each.z):
            self._things.place(image, thing, camera=camera)
        return image


def _view(parameters: CameraParameters, *, size: tuple[int, int], rng: np.random.Generator) -> View:
    """Draws exposure and focus; the place of a single specimen in the photo means nothing here."""
    warmth = float(rng.normal(0, parameters.temperature))
    exposure = 2.0 ** float(rng.uniform(*parameters.exposure_ev))
    return View(
        width=size[0],
        height=size[1],
        centre=(size[0] / 2, size[1] / 2),
        radius_px=min(size) / 2,
        turn=0.0,
        light=(0.0, 0.0, 1.0),
        ambient=1.0,
        gains=(exposure * float(np.exp(warmth)), exposure, exposure * float(np.exp(-warmth))),
        shadow=False,
        blur_px=float(rng.uniform(*parameters.blur_px)) if rng.random() < parameters.blur_probability else 0.0,
        motion_px=int(rng.integers(3, 6)) if rng.random() < parameters.motion_probability else 0,
        noise_index=int(rng.integers(len(parameters.noise_levels))),
    )


def _expose(
    scene: Image.Image, *, light: tuple[float, float, float], gains: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Returns the developed picture, [height, width, 3] uint8: one curve for each channel, darker in the corners."""
    levels = np.arange(256, dtype=np.float64) / 255
    curves = []
    for tint, gain in zip(light, gains, strict=True):
        radiance = tint * gain * levels**2.0
        curves.append(np.clip(255 * np.sqrt(radiance / (0.80 + 0.25 * radiance)), 0, 255).astype(np.uint8))
    exposed = scene.point([int(level) for curve in curves for level in curve])
    picture: NDArray[np.uint8] = np.asarray(exposed)
    return picture

"""The renderer of surfaces: (specimen index, photo index) in, JPEG bytes and truth out.

Deterministic, and blind to the labels that it renders for.
"""

import numpy as np

from training.renderers.lighting import light_scene
from training.renderers.phone import build_noise_bank, draw_sensor, take_photo
from training.renderers.renderer import RenderedPhoto, RenderedSpecimen
from training.renderers.streams import layout_stream, photo_stream
from training.renderers.surface import Surface
from training.renderers.surface_defect.bench import draw_bench_view
from training.renderers.surface_defect.flaws import paint_flaw
from training.renderers.surface_defect.harmless import paint_harmless
from training.renderers.surface_defect.latents import Latents, draw_part
from training.renderers.surface_defect.materials import MATERIAL_PAINTERS
from training.renderers.surface_defect.parameters import SurfaceDefectParameters
from training.renderers.surface_defect.relief import Grid, build_grain_bank
from training.renderers.textures import build_texture_bank
from training.renderers.view import View


class SurfaceDefectRenderer:
    """Renders photos of parts. Making one builds the banks (about a second); rendering changes nothing in it."""

    def __init__(self, parameters: SurfaceDefectParameters) -> None:
        """Builds the banks of textures and noise."""
        self.parameters = parameters
        self._textures = build_grain_bank(build_texture_bank())
        self._noise = build_noise_bank(parameters.bench.noise_levels)

    def specimen(self, index: int) -> RenderedSpecimen:
        """Returns the truth of one part."""
        part = draw_part(self.parameters, index)
        return RenderedSpecimen(
            name=f"s{index:06d}",
            photo_count=part.photo_count,
            labels={"condition": part.condition},
            posteriors={"condition": part.posterior},
            lighting=part.latents.light.name,
        )

    def render(self, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns one photo of one part: the same bytes whenever and wherever it is asked for."""
        latents = draw_part(self.parameters, specimen_index).latents
        return self.photograph(latents, specimen_index=specimen_index, photo_index=photo_index)

    def photograph(self, latents: Latents, *, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns a photo of a part as the latents have it, made and seen as that of the specimen would be."""
        seed = self.parameters.seed
        photo_rng = photo_stream(seed, specimen=specimen_index, photo=photo_index)
        sensor = draw_sensor(self.parameters.output, rng=photo_rng)
        size = sensor.held(self.parameters.output.scene_px)
        view = draw_bench_view(self.parameters.bench, latents.light, size=size, rng=photo_rng)
        surface = self._paint(latents, view, rng=layout_stream(seed, specimen=specimen_index))
        nothing = [np.zeros_like(surface.shade)] * 3
        bulge = float(photo_rng.uniform(*self.parameters.harmless.glare))
        picture = light_scene(surface, nothing, view=view, bulge=bulge, rng=photo_rng)
        content = take_photo(picture, view=view, sensor=sensor, noise=self._noise[view.noise_index], rng=photo_rng)
        return RenderedPhoto(content=content, device=sensor.named, orientation=sensor.orientation)

    def _paint(self, latents: Latents, view: View, *, rng: np.random.Generator) -> Surface:
        """Makes the part, flaws it, and leaves it to lie about for a while."""
        grid = Grid(view, textures=self._textures)
        relief = MATERIAL_PAINTERS[latents.material](grid, rng)
        paint_flaw(relief, grid, flaw=latents.flaw, amount=latents.amount, rng=rng)
        paint_harmless(relief, grid, parameters=self.parameters.harmless, rng=rng)
        return relief.to_surface()

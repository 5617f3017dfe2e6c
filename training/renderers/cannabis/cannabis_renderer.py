"""The cannabis renderer: (specimen index, photo index) in, JPEG bytes and truth out.

Deterministic, and blind to the labels that it renders for.
"""

from training.renderers.backdrop import draw_backdrop
from training.renderers.cannabis.attributes import ATTRIBUTES, amount_of, paint_pieces
from training.renderers.cannabis.blemishes import paint_blemishes
from training.renderers.cannabis.concentrates import paint_concentrate
from training.renderers.cannabis.latents import Latents, draw_specimen
from training.renderers.cannabis.palette import draw_palette
from training.renderers.cannabis.parameters import CannabisParameters
from training.renderers.cannabis.plant_matter import paint_plant_matter
from training.renderers.cannabis.weather import weather
from training.renderers.canvas import Canvas
from training.renderers.lighting import light_scene
from training.renderers.phone import build_noise_bank, draw_sensor, take_photo
from training.renderers.renderer import RenderedPhoto, RenderedSpecimen
from training.renderers.sprites import build_sprite_bank
from training.renderers.streams import layout_stream, photo_stream
from training.renderers.surface import Surface, surface_of
from training.renderers.textures import build_texture_bank
from training.renderers.view import View, draw_view


class CannabisRenderer:
    """Renders photos of specimens. Making one builds the banks (about a second); rendering changes nothing in it."""

    def __init__(self, parameters: CannabisParameters) -> None:
        """Builds the banks of pieces, textures and noise."""
        if tuple(attribute.name for attribute in parameters.attributes) != ATTRIBUTES:
            raise ValueError(f"the renderer paints exactly these attributes, in this order: {', '.join(ATTRIBUTES)}")
        self.parameters = parameters
        self._sprites = build_sprite_bank()
        self._textures = build_texture_bank()
        self._noise = build_noise_bank(parameters.view.noise_levels)

    def specimen(self, index: int) -> RenderedSpecimen:
        """Returns the truth of one specimen."""
        specimen = draw_specimen(self.parameters, index)
        return RenderedSpecimen(
            name=specimen.name,
            photo_count=specimen.photo_count,
            labels={
                "product_type": specimen.product_type,
                "quality_grade": specimen.quality_grade,
                "attributes": specimen.attributes,
            },
            posteriors={
                "product_type": specimen.product_posterior,
                "quality_grade": specimen.grade_posterior,
                "attributes": specimen.attribute_posterior,
            },
        )

    def render(self, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns one photo of one specimen: the same bytes whenever and wherever it is asked for."""
        seed = self.parameters.seed
        photo_rng = photo_stream(seed, specimen=specimen_index, photo=photo_index)
        sensor = draw_sensor(self.parameters.output, rng=photo_rng)
        size = sensor.held(self.parameters.output.scene_px)
        view = draw_view(self.parameters, rng=photo_rng, size=size)
        latents = draw_specimen(self.parameters, specimen_index).latents
        concentrate = latents.home_type in {"hash", "extract"}
        surface = self._paint(latents, view, concentrate=concentrate, specimen_index=specimen_index)
        backdrop = draw_backdrop(self._textures, shape=(view.height, view.width), rng=photo_rng)
        picture = light_scene(surface, backdrop, view=view, bulge=0.15 if concentrate else 0.55, rng=photo_rng)
        content = take_photo(picture, view=view, sensor=sensor, noise=self._noise[view.noise_index], rng=photo_rng)
        return RenderedPhoto(content=content, device=sensor.named, orientation=sensor.orientation)

    def _paint(self, latents: Latents, view: View, *, concentrate: bool, specimen_index: int) -> Surface:
        rng = layout_stream(self.parameters.seed, specimen=specimen_index)
        palette = draw_palette(latents, rng=rng)
        amounts = {name: amount_of(strength) for name, strength in zip(ATTRIBUTES, latents.strengths, strict=True)}
        canvas = Canvas(self._sprites, width=view.width, height=view.height)
        if concentrate:
            paint_concentrate(canvas, view, latents=latents, palette=palette, textures=self._textures, rng=rng)
        else:
            paint_plant_matter(canvas, view, latents=latents, palette=palette, rng=rng)
        paint_pieces(canvas, view, amounts=amounts, palette=palette, rng=rng)
        paint_blemishes(canvas, view, quality=latents.quality, rng=rng)
        surface = surface_of(canvas)
        weather(surface, quality=latents.quality, amounts=amounts, textures=self._textures, rng=rng)
        return surface

"""The crop health renderer: (specimen index, photo index) in, JPEG bytes and truth out.

Deterministic, and blind to the labels that it renders for.
"""

import numpy as np
from PIL import Image

from training.renderers.canvas import Canvas
from training.renderers.crop_health.backdrop import draw_field
from training.renderers.crop_health.harmless import cover_with_dust, draw_harmless, shade_by_leaf, strew, wear
from training.renderers.crop_health.latents import Latents, draw_latents, draw_specimen
from training.renderers.crop_health.leaves import draw_leaf, grow
from training.renderers.crop_health.lesions import ail, break_out, rust_pustules
from training.renderers.crop_health.parameters import CropHealthParameters
from training.renderers.crop_health.pests import gnaw, settle, spin
from training.renderers.crop_health.piece import place_pieces
from training.renderers.crop_health.pieces import build_piece_bank
from training.renderers.lighting import light_scene
from training.renderers.phone import build_noise_bank, draw_sensor, take_photo
from training.renderers.renderer import RenderedPhoto, RenderedSpecimen
from training.renderers.sprites import SpriteBank
from training.renderers.streams import layout_stream, photo_stream
from training.renderers.surface import SLOPE_UNIT, Surface, surface_of
from training.renderers.textures import build_texture_bank
from training.renderers.view import View, draw_view

_BULGE = 0.35


class CropHealthRenderer:
    """Renders photos of leaves. Making one builds the banks (seconds); rendering changes nothing in it."""

    def __init__(self, parameters: CropHealthParameters) -> None:
        """Builds the banks of pieces, textures and noise."""
        self.parameters = parameters
        self._pieces = build_piece_bank()
        self._textures = build_texture_bank()
        self._noise = build_noise_bank(parameters.view.noise_levels)

    def specimen(self, index: int) -> RenderedSpecimen:
        """Returns the truth of one specimen."""
        return draw_specimen(self.parameters, index)

    def render(self, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns one photo of one specimen: the same bytes whenever and wherever it is asked for."""
        latents = draw_latents(self.parameters, index=specimen_index)
        return self.photograph(latents, specimen_index=specimen_index, photo_index=photo_index)

    def photograph(self, latents: Latents, *, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns the photo that `render` would give if the specimen had these latents."""
        photo_rng = photo_stream(self.parameters.seed, specimen=specimen_index, photo=photo_index)
        sensor = draw_sensor(self.parameters.output, rng=photo_rng)
        size = sensor.held(self.parameters.output.scene_px)
        view = draw_view(self.parameters, rng=photo_rng, size=size)
        surface = self._paint(latents, view, specimen_index=specimen_index)
        field = draw_field(self._textures, shape=(view.height, view.width), rng=photo_rng)
        picture = light_scene(surface, field, view=view, bulge=_BULGE, rng=photo_rng)
        content = take_photo(picture, view=view, sensor=sensor, noise=self._noise[view.noise_index], rng=photo_rng)
        return RenderedPhoto(content=content, device=sensor.named, orientation=sensor.orientation)

    def _paint(self, latents: Latents, view: View, *, specimen_index: int) -> Surface:
        """Paints in the order in which things come about: growth, wear, disease, pests, then what falls on top."""
        rng = layout_stream(self.parameters.seed, specimen=specimen_index)
        textures = self._textures
        pests, diseases = (trouble.amounts(self.parameters.amount) for trouble in (latents.pest, latents.disease))
        leaf, harmless = draw_leaf(rng), draw_harmless(self.parameters.harmless, rng=rng)
        surface, rim = grow(leaf, view, textures=textures, rng=rng)
        wear(surface, leaf, rim=rim, harmless=harmless, view=view, textures=textures, rng=rng)
        lesions = break_out(leaf, amounts=diseases, rng=rng)
        ail(surface, lesions, view=view, textures=textures, rng=rng)
        gnaw(surface, leaf, view=view, amounts=pests, textures=textures, rng=rng)
        canvas = _canvas_of(surface, self._pieces)
        pieces = rust_pustules(leaf, lesions, rng=rng)
        pieces += strew(harmless, leaf, rng=rng)
        pieces += settle(leaf, amounts=pests, rng=rng)
        place_pieces(canvas, view, pieces)
        painted = surface_of(canvas)
        spin(painted, leaf, view=view, amount=pests.get("mite", 0.0), rng=rng)
        cover_with_dust(painted, amount=harmless.dust, textures=textures, rng=rng)
        shade_by_leaf(painted, amount=harmless.leaf_shadow, view=view, rng=rng)
        return painted


def _canvas_of(surface: Surface, bank: SpriteBank) -> Canvas:
    """Turns the leaf into a painter's canvas, on which pieces are pasted."""
    height, width = surface.shade.shape
    canvas = Canvas(bank, width=width, height=height)
    geometry = np.empty((height, width, 4), np.uint8)
    albedo = np.empty((height, width, 4), np.uint8)
    for channel, field in enumerate((surface.slope_x, surface.slope_y)):
        geometry[..., channel] = np.clip(field * SLOPE_UNIT + np.float32(128), 0, 255)
    for channel, field in enumerate((surface.shade, surface.gloss), start=2):
        geometry[..., channel] = np.clip(field * np.float32(255), 0, 255)
    for channel, field in enumerate((*surface.colour, surface.coverage)):
        albedo[..., channel] = np.clip(field * np.float32(255), 0, 255)
    canvas.geometry, canvas.albedo = Image.fromarray(geometry, "RGBA"), Image.fromarray(albedo, "RGBA")
    return canvas

"""Light on the scene: reflection from the slopes, shadows, falloff, colour temperature and exposure."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from training.renderers.surface import Surface
from training.renderers.textures import Field
from training.renderers.view import View

_COARSE = 8
"""Slow variations of light are computed on a grid this many times coarser."""


def light_scene(
    surface: Surface, backdrop: list[Field], *, view: View, bulge: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Returns the developed picture, [height, width, 3] uint8; `bulge` is how strongly the specimen is domed."""
    diffuse, glint = _reflect(surface, view=view, bulge=bulge)
    falloff = _falloff(view, rng=rng)
    direct = np.float32(1 - view.ambient)
    on_specimen = (np.float32(view.ambient) + np.float32(1.35) * direct * diffuse) * surface.shade * falloff
    highlight = np.float32(1.7) * direct * glint * falloff
    on_backdrop = (
        (np.float32(view.ambient) + direct * np.float32(1.1 * view.light[2]))
        * falloff
        * _cast_shadow(surface.coverage, view=view)
    )
    picture = np.empty((view.height, view.width, 3), np.uint8)
    for channel, gain in enumerate(view.gains):
        albedo, ground = surface.colour[channel], backdrop[channel]
        radiance = albedo * albedo * on_specimen + highlight
        behind = ground * ground * on_backdrop
        mixed = np.float32(gain) * (behind + surface.coverage * (radiance - behind))
        developed = mixed / (np.float32(0.85) + np.float32(0.25) * mixed)
        picture[..., channel] = np.minimum(np.sqrt(np.maximum(developed, 0)) * np.float32(255), 255)
    return picture


def _reflect(surface: Surface, *, view: View, bulge: float) -> tuple[Field, Field]:
    """Returns Lambert's cosine and the glossy highlight, each [height, width] float32."""
    scale = np.float32(bulge / view.radius_px)
    slope_x = surface.slope_x - scale * (np.arange(view.width, dtype=np.float32) - np.float32(view.centre[0]))[None, :]
    slope_y = surface.slope_y - scale * (np.arange(view.height, dtype=np.float32) - np.float32(view.centre[1]))[:, None]
    length = np.float32(1) / np.sqrt(np.float32(1) + slope_x * slope_x + slope_y * slope_y)
    light_x, light_y, light_z = (np.float32(value) for value in view.light)
    diffuse = np.maximum((light_z - slope_x * light_x - slope_y * light_y) * length, 0)
    norm = np.sqrt(np.float32(2) + np.float32(2) * light_z)
    cosine = np.maximum(((light_z + 1) - slope_x * light_x - slope_y * light_y) * length / norm, 0)
    lobe = cosine * cosine
    for _ in range(4):
        lobe = lobe * lobe
    glint = surface.gloss * surface.gloss * lobe
    return diffuse.astype(np.float32), glint.astype(np.float32)


def _cast_shadow(coverage: Field, *, view: View) -> Field:
    """Returns the light left on the backdrop beside the specimen, [height, width] float32."""
    small = Image.fromarray((255 * coverage[::_COARSE, ::_COARSE]).astype(np.uint8), "L")
    reach = 0.18 * view.radius_px / _COARSE * (1 - view.light[2])
    shift = (1, 0, 3 * reach * view.light[0], 0, 1, 3 * reach * view.light[1])
    soft = small.transform(small.size, Image.Transform.AFFINE, shift, Image.Resampling.BILINEAR).filter(
        ImageFilter.GaussianBlur(1.2 + reach)
    )
    full = np.asarray(soft.resize((view.width, view.height), Image.Resampling.BILINEAR), np.float32)
    return np.float32(1) - np.float32(0.75 * (1 - view.ambient) / 255) * full


def _falloff(view: View, *, rng: np.random.Generator) -> Field:
    """Returns the slow variation of light: a slope, vignetting, and sometimes the edge of a soft shadow."""
    ys = np.linspace(-1, 1, view.height // _COARSE, dtype=np.float32)[:, None]
    xs = np.linspace(-1, 1, view.width // _COARSE, dtype=np.float32)[None, :]
    field = (
        1
        + float(rng.uniform(0, 0.35)) * (xs * view.light[0] + ys * view.light[1])
        - float(rng.uniform(0, 0.14)) * (xs * xs + ys * ys)
    )
    if view.shadow:
        angle, edge, depth = float(rng.uniform(0, 2 * np.pi)), float(rng.normal(0, 0.5)), float(rng.uniform(0.35, 0.7))
        field = field * (
            1 - depth / (1 + np.exp(-float(rng.uniform(6, 20)) * (xs * np.cos(angle) + ys * np.sin(angle) - edge)))
        )
    coarse = Image.fromarray(np.maximum(field, 0.1).astype(np.float32), "F")
    return np.asarray(coarse.resize((view.width, view.height), Image.Resampling.BILINEAR))

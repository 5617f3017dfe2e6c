"""How one photo sees its part on the inspection bench: framing, the station's light, focus."""

import numpy as np

from training.renderers.surface_defect.parameters import BenchParameters, LightParameters
from training.renderers.view import View


def draw_bench_view(
    bench: BenchParameters, light: LightParameters, *, size: tuple[int, int], rng: np.random.Generator
) -> View:
    """Draws the view of one photo; `size` is (width, height) of the upright scene."""
    width, height = size
    offset = rng.normal(0, bench.offset_px, 2)
    elevation, azimuth = np.deg2rad(rng.uniform(*light.elevation_deg)), np.deg2rad(rng.uniform(*bench.azimuth_deg))
    warmth, exposure = rng.normal(0, bench.temperature), 2.0 ** rng.uniform(*bench.exposure_ev)
    return View(
        width=width,
        height=height,
        centre=(width / 2 + float(offset[0]), height / 2 + float(offset[1])),
        radius_px=float(rng.uniform(*bench.radius_px)),
        turn=float(np.deg2rad(rng.normal(0, bench.tilt_deg))),
        light=(
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        ),
        ambient=float(rng.uniform(*light.ambient)),
        gains=(float(exposure * np.exp(warmth)), float(exposure), float(exposure * np.exp(-warmth))),
        shadow=bool(rng.random() < bench.shadow_probability),
        blur_px=float(rng.uniform(*bench.blur_px)) if rng.random() < bench.blur_probability else 0.0,
        motion_px=0,
        noise_index=int(rng.integers(len(bench.noise_levels))),
    )

"""How one photo sees its specimen: place, scale and turn of the specimen, and the draws of light and focus."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from training.renderers.parameters import ViewParameters


@dataclass(frozen=True, slots=True)
class View:
    """Framing and light of one photo, at scene resolution."""

    width: int
    height: int
    centre: tuple[float, float]
    """Where the middle of the specimen lies, (x, y) in pixels."""
    radius_px: float
    """One unit of the specimen's layout, in pixels."""
    turn: float
    """Rotation of the specimen, radians."""
    light: tuple[float, float, float]
    """Unit vector towards the light: x right, y down, z towards the phone."""
    ambient: float
    gains: tuple[float, float, float]
    """Exposure times colour temperature for red, green, blue."""
    shadow: bool
    blur_px: float
    motion_px: int
    noise_index: int

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Returns where a point of the layout lies in the scene, (x, y) in pixels."""
        cos, sin = np.cos(self.turn), np.sin(self.turn)
        return (
            self.centre[0] + self.radius_px * (x * cos - y * sin),
            self.centre[1] + self.radius_px * (x * sin + y * cos),
        )


class HasView(Protocol):
    """Parameters of any renderer whose photos are framed as here."""

    @property
    def view(self) -> ViewParameters:
        """What changes from photo to photo."""
        ...


def draw_view(parameters: HasView, *, rng: np.random.Generator, size: tuple[int, int]) -> View:
    """Draws the view of one photo; `size` is (width, height) of the upright scene."""
    view = parameters.view
    width, height = size
    radius = min(size) * float(rng.uniform(*view.radius_share))
    offset = rng.normal(0, view.offset_share * radius, 2)
    elevation = np.deg2rad(rng.uniform(*view.light_elevation_deg))
    azimuth = rng.uniform(0, 2 * np.pi)
    warmth = rng.normal(0, view.temperature)
    tint = rng.normal(0, view.temperature / 4)
    exposure = 2.0 ** rng.uniform(*view.exposure_ev)
    return View(
        width=width,
        height=height,
        centre=(width / 2 + float(offset[0]), height / 2 + float(offset[1])),
        radius_px=radius,
        turn=float(rng.uniform(0, 2 * np.pi)),
        light=(
            float(np.cos(elevation) * np.cos(azimuth)),
            float(np.cos(elevation) * np.sin(azimuth)),
            float(np.sin(elevation)),
        ),
        ambient=float(rng.uniform(*view.ambient)),
        gains=(float(exposure * np.exp(warmth)), float(exposure * np.exp(tint)), float(exposure * np.exp(-warmth))),
        shadow=bool(rng.random() < view.shadow_probability),
        blur_px=float(rng.uniform(*view.blur_px)) if rng.random() < view.blur_probability else 0.0,
        motion_px=int(rng.integers(3, 7)) if rng.random() < view.motion_probability else 0,
        noise_index=int(rng.integers(len(view.noise_levels))),
    )

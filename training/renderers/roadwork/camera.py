"""The camera in the street: where points in metres come to lie in the photo.

x to the right of the middle of the road, y up from the ground, z ahead of the camera.
"""

from dataclasses import dataclass

import numpy as np

from training.renderers.roadwork.parameters import CameraParameters


@dataclass(frozen=True, slots=True)
class Camera:
    """One photo's camera, at scene resolution."""

    width: int
    height: int
    focal_px: float
    horizon_px: float
    """Row of the horizon."""
    middle_px: float
    """Column of the vanishing point."""
    height_m: float
    x_m: float

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Returns where a point lies in the photo, (column, row) in pixels; `z` above 0."""
        scale = self.focal_px / z
        return self.middle_px + scale * (x - self.x_m), self.horizon_px + scale * (self.height_m - y)


def draw_camera(
    parameters: CameraParameters, *, size: tuple[int, int], aim_px: float, stand_m: float, rng: np.random.Generator
) -> Camera:
    """Draws the camera of one photo.

    Args:
        parameters: Ranges.
        size: (width, height) of the upright scene.
        aim_px: How far right of the middle the vanishing point lies, at a focal length of 1,000 pixels.
        stand_m: Where in the street the photographer stands, from the middle of the road.
        rng: Of the photo.
    """
    width, height = size
    focal = max(size) * float(rng.uniform(*parameters.focal_share))
    pan = aim_px * focal / 1_000 + focal * float(np.tan(np.deg2rad(rng.normal(0, parameters.pan_deg))))
    return Camera(
        width=width,
        height=height,
        focal_px=focal,
        horizon_px=height * float(rng.uniform(0.33, 0.49)),
        middle_px=width / 2 + pan,
        height_m=float(rng.uniform(*parameters.height_m)),
        x_m=stand_m + float(rng.normal(0, parameters.aside_m)),
    )

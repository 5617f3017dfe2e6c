"""Every number that decides how hard a rendered task is; those here are shared by renderers.

Frozen, read from the task file, digested; nothing here is tuned on a trained model.
"""

from hashlib import sha256
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

Range = tuple[float, float]
"""Inclusive lower end, exclusive upper end."""


class FrozenParameters(BaseModel):
    """Base of all parameter groups: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ViewParameters(FrozenParameters):
    """What changes from photo to photo of one specimen: framing, light, focus."""

    radius_share: Range = Field(description="Radius of the specimen as a share of the photo's short side.")
    offset_share: float = Field(description="Standard deviation of the specimen's place, as a share of its radius.")
    exposure_ev: Range
    temperature: float = Field(description="Standard deviation of the log gain between red and blue.")
    light_elevation_deg: Range
    ambient: Range = Field(description="Share of the light that comes from everywhere.")
    shadow_probability: float = Field(ge=0, le=1, description="Chance of a soft shadow across the scene.")
    blur_probability: float = Field(ge=0, le=1)
    blur_px: Range = Field(description="Radius of defocus at scene resolution.")
    motion_probability: float = Field(ge=0, le=1)
    noise_levels: tuple[float, ...] = Field(
        description="Standard deviations of sensor noise in grey levels, drawn evenly."
    )


class OutputParameters(FrozenParameters):
    """The files a phone would write."""

    scene_px: tuple[int, int] = Field(
        description="Long and short side of the optical image before it is enlarged to the phone's size."
    )
    sizes_px: tuple[tuple[int, int], ...] = Field(description="Long and short side of the stored photo.")
    size_weights: tuple[float, ...]
    jpeg_quality: tuple[int, int] = Field(description="Lowest and highest quality, inclusive.")
    portrait_probability: float = Field(ge=0, le=1)
    upside_down_probability: float = Field(
        ge=0, le=1, description="Chance that the phone was held the other way round."
    )


class RendererParameters(FrozenParameters):
    """Base of all parameters of one renderer, as they stand in the task file."""

    version: ClassVar[int]
    """Raised by hand whenever the pixels for given parameters change; part of the digest in the task file."""

    seed: int = Field(ge=0)
    photos_per_specimen: tuple[float, ...] = Field(
        description="Chance of one, two, three... photos of a specimen; sum 1."
    )

    def digest(self) -> str:
        """Hex SHA-256 of the renderer's version and of every parameter, independent of the order in the file."""
        return sha256(f"renderer {self.version}\n{self.model_dump_json()}".encode()).hexdigest()

"""Every number that decides how hard the rendered task is.

Frozen, read from the task file, digested; nothing here is tuned on a trained model.
"""

from hashlib import sha256

from pydantic import BaseModel, ConfigDict, Field

RENDERER_VERSION = 1
"""Raised by hand whenever the pixels for given parameters change; part of the digest in the task file."""

Range = tuple[float, float]
"""Inclusive lower end, exclusive upper end."""


class FrozenParameters(BaseModel):
    """Base of all parameter groups: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MorphParameters(FrozenParameters):
    """Where specimens lie between two look-alike product types, and how sharply the type is decided there."""

    steepness: float = Field(
        gt=0, description="Slope of the logistic in the morph position; the position runs from 0 to 1."
    )
    reach: float = Field(
        gt=0, le=1, description="Greatest distance from the home type, as a share of the way to its look-alike."
    )
    beta: tuple[float, float] = Field(
        description="Shape of the Beta distribution of the distance, before it is scaled by reach."
    )


class QualityParameters(FrozenParameters):
    """The latent quality, 0 (worst) to 1 (best), and the ordered logistic from which a grade is drawn."""

    centres: tuple[float, float, float, float, float] = Field(
        description="Centres of the quality mixture, worst first."
    )
    weights: tuple[float, float, float, float, float] = Field(
        description="Weights of the quality mixture, worst first; sum 1."
    )
    spread: float = Field(gt=0, description="Standard deviation about each centre.")
    cuts: tuple[float, float, float, float] = Field(description="Boundaries between neighbouring grades, worst first.")
    steepness: float = Field(gt=0, description="Slope of the ordered logistic in quality.")


class AttributeParameters(FrozenParameters):
    """One attribute: how often its strength is high, by quality and by kind of material."""

    name: str
    prevalence_worst: float = Field(ge=0, le=1, description="Share of strong specimens at quality 0.")
    prevalence_best: float = Field(ge=0, le=1, description="Share of strong specimens at quality 1.")
    concentrate_factor: float = Field(ge=0, description="Multiplies the prevalence for hash and extract.")


class StrengthParameters(FrozenParameters):
    """The latent strength of an attribute, 0 to 1, and the logistic about .5 from which its label is drawn."""

    weak_mean: float
    strong_mean: float
    spread: float = Field(gt=0)
    steepness: float = Field(gt=0)


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
    """All parameters of the cannabis renderer, as they stand in the task file."""

    seed: int = Field(ge=0)
    photos_per_specimen: tuple[float, ...] = Field(
        description="Chance of one, two, three... photos of a specimen; sum 1."
    )
    morph: MorphParameters
    quality: QualityParameters
    strength: StrengthParameters
    attributes: tuple[AttributeParameters, ...]
    view: ViewParameters
    output: OutputParameters

    def digest(self) -> str:
        """Hex SHA-256 of the renderer's version and of every parameter, independent of the order in the file."""
        return sha256(f"renderer {RENDERER_VERSION}\n{self.model_dump_json()}".encode()).hexdigest()

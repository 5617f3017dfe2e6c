"""Every number that decides how hard the rendered surface task is."""

from typing import ClassVar

from pydantic import Field

from training.renderers.parameters import FrozenParameters, OutputParameters, Range, RendererParameters


class DefectParameters(FrozenParameters):
    """The latent strength of a part's flaw, 0 to 1, and the logistic about .5 from which its label is drawn."""

    strong_share: float = Field(gt=0, lt=1, description="Share of parts whose strength is about `strong_mean`.")
    weak_mean: float
    strong_mean: float
    spread: float = Field(gt=0, description="Standard deviation about each mean.")
    steepness: float = Field(gt=0, description="Slope of the logistic in strength.")


class HarmlessParameters(FrozenParameters):
    """What looks odd on good parts and bad ones alike."""

    dust_specks: Range = Field(description="Specks in sight.")
    lint_probability: float = Field(ge=0, le=1, description="Chance of a few short hairs.")
    seam_probability: float = Field(ge=0, le=1, description="Chance of a straight seam or tool step along the lay.")
    smear_probability: float = Field(ge=0, le=1, description="Chance of a faint wipe mark.")
    glare: Range = Field(description="How strongly the part is domed, and so how sharp a highlight is.")


class LightParameters(FrozenParameters):
    """One of the lights of the bench."""

    name: str
    elevation_deg: Range
    ambient: Range = Field(description="Share of the light that comes from everywhere.")


class BenchParameters(FrozenParameters):
    """What changes from photo to photo of one part: framing, light, focus."""

    radius_px: Range = Field(description="One unit of the part's layout at scene resolution.")
    offset_px: float = Field(description="Standard deviation of the part's place at scene resolution.")
    tilt_deg: float = Field(description="Standard deviation of the part's turn.")
    azimuth_deg: Range = Field(description="Of the light; 0 from the right, 90 from below.")
    exposure_ev: Range
    temperature: float = Field(description="Standard deviation of the log gain between red and blue.")
    shadow_probability: float = Field(ge=0, le=1, description="Chance of a soft shadow across the scene.")
    blur_probability: float = Field(ge=0, le=1)
    blur_px: Range = Field(description="Radius of defocus at scene resolution.")
    noise_levels: tuple[float, ...] = Field(
        description="Standard deviations of sensor noise in grey levels, drawn evenly."
    )


class SurfaceDefectParameters(RendererParameters):
    """All parameters of the renderer of surfaces."""

    version: ClassVar[int] = 1

    defect: DefectParameters
    harmless: HarmlessParameters
    lights: tuple[LightParameters, ...] = Field(min_length=1, description="Drawn evenly, one a part.")
    bench: BenchParameters
    output: OutputParameters

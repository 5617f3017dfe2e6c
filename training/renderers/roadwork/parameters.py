"""Every number that decides how hard the roadwork task is."""

from typing import ClassVar

from pydantic import Field

from training.renderers.graded import StrengthParameters
from training.renderers.parameters import FrozenParameters, OutputParameters, Range, RendererParameters


class RegionParameters(FrozenParameters):
    """Where a region lies, and how many specimens come from it; how it looks is said in `regions`."""

    name: str
    centre: tuple[float, float] = Field(description="Latitude and longitude, degrees.")
    spread_km: float = Field(gt=0, description="Standard deviation of places about the centre, each way.")
    share: float = Field(gt=0, le=1, description="Of all specimens; the shares sum to 1.")


class CameraParameters(FrozenParameters):
    """What changes from photo to photo of one street, and between streets."""

    focal_share: Range = Field(description="Focal length as a share of the photo's long side.")
    height_m: Range
    aside_m: float = Field(description="Standard deviation of the step aside between photos of a street.")
    pan_deg: float = Field(description="Standard deviation of the turn left or right.")
    exposure_ev: Range
    temperature: float = Field(description="Standard deviation of the log gain between red and blue.")
    blur_probability: float = Field(ge=0, le=1)
    blur_px: Range = Field(description="Radius of defocus at scene resolution.")
    motion_probability: float = Field(ge=0, le=1)
    noise_levels: tuple[float, ...] = Field(
        description="Standard deviations of sensor noise in grey levels, drawn evenly."
    )


class OrdinaryParameters(FrozenParameters):
    """Greatest numbers of what stands in any street, works or not; each is drawn evenly from none to it."""

    vehicles: int = Field(ge=0)
    signs: int = Field(ge=0)
    furniture: int = Field(ge=0, description="Bins, bollards, hydrants, tubs, cabinets.")
    people: int = Field(ge=0)
    centrepieces: tuple[int, int] = Field(
        description="Least and greatest number of stalls, vehicles and the like amid a street without works, inclusive."
    )
    look_alikes: int = Field(ge=0, description="What means roadworks elsewhere, but not in this region.")
    patches: int = Field(ge=0, description="Mended asphalt, puddles and fallen leaves.")


class RoadworkParameters(RendererParameters):
    """All parameters of the roadwork renderer, as they stand in the task file."""

    version: ClassVar[int] = 1

    strength: StrengthParameters
    amount: Range = Field(description="Strengths below which nothing of works is drawn, and above which all of it.")
    pieces: tuple[int, int] = Field(description="Least and greatest number of pieces of whole works, inclusive.")
    zone_depth_m: Range = Field(description="How far away works lie.")
    regions: tuple[RegionParameters, ...]
    ordinary: OrdinaryParameters
    camera: CameraParameters
    output: OutputParameters

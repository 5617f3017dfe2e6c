"""Specimens: a street of a region and how much is being worked on it, the chance that follows, and the label.

No pixels here; and whatever draws pixels takes the latents alone.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from training.renderers.graded import chance_of_presence, draw_strength
from training.renderers.parameters import Range
from training.renderers.renderer import RenderedSpecimen
from training.renderers.roadwork.parameters import RegionParameters, RoadworkParameters
from training.renderers.streams import latent_stream

LABELS = ("absent", "present")
LIGHTINGS = ("sun", "overcast", "low sun", "dusk")

_KM_PER_DEGREE = 111.2
_FIRST_DAY = datetime(2024, 1, 1, tzinfo=UTC)
_DAYS = 2 * 365
_HOURS = {"sun": (10, 15), "overcast": (9, 16), "low sun": (16, 18), "dusk": (18, 20)}
_LIGHTING_CHANCES = {
    "central_europe": (0.30, 0.45, 0.15, 0.10),
    "britain": (0.20, 0.60, 0.10, 0.10),
    "southwest": (0.65, 0.05, 0.20, 0.10),
    "andes": (0.25, 0.55, 0.10, 0.10),
    "kanto": (0.40, 0.30, 0.15, 0.15),
}


@dataclass(frozen=True, slots=True)
class Latents:
    """What a street is like. The renderer draws this and nothing else."""

    region: str
    strength: float
    """How much is being worked, 0 to 1."""
    lighting: str
    place: tuple[float, float]
    """Latitude and longitude, degrees."""
    taken: str
    """ISO 8601, local time."""

    def amount(self, span: Range) -> float:
        """Returns how much of works is drawn, 0 to 1; `span` is the strengths of nothing and of all."""
        low, high = span
        return float(np.clip((self.strength - low) / (high - low), 0.0, 1.0))


def draw_latents(parameters: RoadworkParameters, *, index: int) -> Latents:
    """Draws the latents of one specimen: the same as `draw_specimen` labels."""
    return _draw_latents(parameters, rng=latent_stream(parameters.seed, specimen=index))


def draw_specimen(parameters: RoadworkParameters, index: int) -> RenderedSpecimen:
    """Draws one specimen: latents first, then its label from the posterior that the latents imply."""
    rng = latent_stream(parameters.seed, specimen=index)
    latents = _draw_latents(parameters, rng=rng)
    present = chance_of_presence(latents.strength, parameters=parameters.strength)
    return RenderedSpecimen(
        name=f"s{index:06d}",
        photo_count=1 + int(rng.choice(len(parameters.photos_per_specimen), p=parameters.photos_per_specimen)),
        labels={"roadwork": LABELS[int(rng.random() < present)]},
        posteriors={"roadwork": (1.0 - present, present)},
        place=latents.place,
        taken=latents.taken,
        lighting=latents.lighting,
    )


def _draw_latents(parameters: RoadworkParameters, *, rng: np.random.Generator) -> Latents:
    shares = [region.share for region in parameters.regions]
    region = parameters.regions[int(rng.choice(len(shares), p=shares))]
    lighting = LIGHTINGS[int(rng.choice(len(LIGHTINGS), p=_LIGHTING_CHANCES[region.name]))]
    first, last = _HOURS[lighting]
    minutes = int(rng.integers(60 * first, 60 * last))
    moment = _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS)), minutes=minutes)
    return Latents(
        region=region.name,
        strength=draw_strength(parameters.strength, rng=rng),
        lighting=lighting,
        place=_draw_place(region, rng=rng),
        taken=moment.strftime("%Y-%m-%dT%H:%M:%S"),
    )


def _draw_place(region: RegionParameters, *, rng: np.random.Generator) -> tuple[float, float]:
    """Draws a place about the centre of a region, which lies far from the poles and the date line."""
    north_km, east_km = (float(each) for each in rng.normal(0, region.spread_km, 2))
    latitude = region.centre[0] + north_km / _KM_PER_DEGREE
    longitude = region.centre[1] + east_km / (_KM_PER_DEGREE * float(np.cos(np.deg2rad(region.centre[0]))))
    return round(latitude, 5), round(longitude, 5)

"""Sampling by place: weights that favour training photos from near the places where the model will be used."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from sklearn.cluster import KMeans
from sklearn.metrics.pairwise import haversine_distances

from training.errors import TrainingError, TrainingWarning
from training.places import Place, PlaceRefusedError, parse_place, read_places

EARTH_RADIUS_KM = 6_371.0088
LEAST_COVERAGE = 0.8
"""Below this share of photos with a place, weights by place say little."""


class NoTargetPlacesError(TrainingError):
    """Photos are to be weighted by place, but no target is named."""

    def __init__(self) -> None:
        """Says where to name them."""
        super().__init__(
            "Sampling by place has no target places.",
            cure="Name target_places, or target_places_csv, under [training.sampling] of the task file.",
        )


class LowPlaceCoverageWarning(TrainingWarning):
    """Too few photos have a place for weights by place to mean much."""

    def __init__(self, *, known: int, photo_count: int) -> None:
        """Keeps both counts."""
        super().__init__(
            f"Only {known} of {photo_count} photos ({known / max(1, photo_count):.0%}) have a place; under"
            f" {LEAST_COVERAGE:.0%}, weights by place say little."
        )
        self.known = known
        self.photo_count = photo_count


class SamplingSection(BaseModel):
    """How often a training photo is drawn; without target places, as often as its labels are trusted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    by_place: bool = Field(default=False, description="Whether photos from near the target places are favoured.")
    target_places: tuple[Place, ...] = Field(default=(), description="Where the model will be used: (lat, lon).")
    target_places_csv: Path | None = Field(
        default=None, description="More of them: columns latitude and longitude, or gps."
    )
    cluster_count: int = Field(default=5, ge=1, description="Of the target places; fewer if there are fewer places.")
    seed: int = Field(default=42, ge=0, description="Of the clusters.")
    steps_km: tuple[float, ...] = Field(
        default=(50.0, 200.0, 500.0), description="Rising; a weight holds under its step, exclusive."
    )
    weights: tuple[float, ...] = Field(
        default=(5.0, 2.5, 1.0, 0.3), description="One a step, and one for what is farther from every centre."
    )
    unplaced_weight: float = Field(default=1.0, gt=0, description="Of a photo whose place nobody knows.")

    @field_validator("target_places", mode="before")
    @classmethod
    def _read_places(cls, places: object) -> object:
        if not isinstance(places, list | tuple):
            return places
        return tuple(_required_place(each) for each in places)

    @model_validator(mode="after")
    def _steps_and_weights_match(self) -> "SamplingSection":
        if len(self.weights) != len(self.steps_km) + 1:
            raise ValueError("weights has one more entry than steps_km")
        if list(self.steps_km) != sorted(set(self.steps_km)) or min(self.steps_km, default=1) <= 0:
            raise ValueError("steps_km rises from above 0")
        if min(self.weights) <= 0:
            raise ValueError("weights are above 0")
        return self

    @property
    def has_targets(self) -> bool:
        """Whether any target place is named."""
        return bool(self.target_places) or self.target_places_csv is not None

    def all_target_places(self) -> tuple[Place, ...]:
        """Returns the target places of the task file and of the CSV.

        Raises:
            TrainingError: There are none, or the CSV holds something else.
        """
        places = self.target_places + (() if self.target_places_csv is None else read_places(self.target_places_csv))
        if not places:
            raise NoTargetPlacesError
        return places


def _required_place(value: object) -> Place:
    try:
        place = parse_place(value)
    except PlaceRefusedError as error:
        raise ValueError(error.cause) from error
    if place is None:
        raise ValueError("a target place is empty")
    return place


def unit_vectors(places: Sequence[Place]) -> npt.NDArray[np.float64]:
    """Returns [place_count, 3] float64: places as points of the unit sphere."""
    latitude, longitude = np.radians(np.array(places, dtype=np.float64).reshape(-1, 2)).T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)


def cluster_centres(places: Sequence[Place], *, cluster_count: int, seed: int) -> npt.NDArray[np.float64]:
    """Returns [centre_count, 2] float64: the centres of clusters of places, as latitude and longitude in degrees.

    Means of unit vectors lie inside the sphere and are put back onto it, so a cluster across the date line has its
    centre there and not in Africa.

    Args:
        places: At least one.
        cluster_count: Of the clusters; fewer if there are fewer distinct places.
        seed: Of k-means.
    """
    points = unit_vectors(places)
    # Rounded: places a millimetre apart are one, and k-means finds no two centres in them.
    count = min(cluster_count, len(np.unique(points.round(9), axis=0)))
    centres = KMeans(n_clusters=count, random_state=seed, n_init=10).fit(points).cluster_centers_
    lengths = np.linalg.norm(centres, axis=1, keepdims=True)
    x, y, z = (centres / np.maximum(lengths, np.finfo(np.float64).tiny)).T
    degrees: npt.NDArray[np.float64] = np.degrees(np.stack([np.arcsin(np.clip(z, -1, 1)), np.arctan2(y, x)], axis=1))
    return degrees


def nearest_centres(
    places: Sequence[Place], centres: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Returns the nearest centre of each place, and the great-circle distance to it.

    Args:
        places: In degrees.
        centres: [centre_count, 2] float64. In degrees.

    Returns:
        [place_count] intp, and [place_count] float64 kilometres.
    """
    table = np.radians(np.array(places, dtype=np.float64).reshape(-1, 2))
    if not len(table):
        return np.empty(0, dtype=np.intp), np.empty(0)
    distances = haversine_distances(table, np.radians(centres)) * EARTH_RADIUS_KM
    return np.argmin(distances, axis=1), distances.min(axis=1)


def place_weights(places: Sequence[Place | None], section: SamplingSection) -> npt.NDArray[np.float64]:
    """Returns [photo_count] float64: how often photos are drawn, by their distance to the nearest target centre.

    Warns with `LowPlaceCoverageWarning` if few photos have a place.

    Args:
        places: Of the photos; None where nobody knows.
        section: The targets and the weights.

    Raises:
        TrainingError: No target place is named.
    """
    known = [place for place in places if place is not None]
    warn_of_low_coverage(len(known), len(places))
    centres = cluster_centres(section.all_target_places(), cluster_count=section.cluster_count, seed=section.seed)
    _, distances_km = nearest_centres(known, centres)
    weights = np.full(len(places), section.unplaced_weight)
    steps = np.searchsorted(section.steps_km, distances_km, side="right")
    weights[[place is not None for place in places]] = np.array(section.weights)[steps]
    return weights


def warn_of_low_coverage(known: int, photo_count: int) -> None:
    """Warns with `LowPlaceCoverageWarning` if under 80 % of the photos have a place."""
    if known < LEAST_COVERAGE * photo_count:
        warnings.warn(LowPlaceCoverageWarning(known=known, photo_count=photo_count), stacklevel=3)

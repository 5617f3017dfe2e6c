"""The port that every renderer obeys, and what passes through it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RenderedSpecimen:
    """The truth of one specimen: known chances, and the labels that were drawn from them."""

    name: str
    """As it stands in file names and splits, e.g. `s000123`."""
    photo_count: int
    """Photos of it, at least 1."""
    labels: dict[str, str | tuple[str, ...]]
    """Head id to its label (category) or to the labels present (attributes)."""
    posteriors: dict[str, tuple[float, ...]]
    """Head id to the chance of each label, in the head's order, from which the labels were drawn."""
    place: tuple[float, float] | None = None
    """Latitude in [-90, 90] and longitude in [-180, 180], degrees, where the specimen has one."""
    taken: str | None = None
    """ISO 8601 day or time at which its photos are taken, where it has one."""
    lighting: str | None = None
    """In words, where the specimen has one for all its photos."""


@dataclass(frozen=True, slots=True)
class RenderedPhoto:
    """One photo of a specimen."""

    content: bytes
    """The file: a JPEG with the tags of a phone."""
    device: str
    """The camera's make and model, as in the tags."""
    orientation: int
    """EXIF orientation of the stored pixels: 1, 3, 6 or 8."""


class Renderer(Protocol):
    """Renders photos of specimens: the same answer whenever, wherever and in whatever order it is asked."""

    def specimen(self, index: int) -> RenderedSpecimen:
        """Returns the truth of one specimen; `index` is at least 0."""
        ...

    def render(self, specimen_index: int, photo_index: int) -> RenderedPhoto:
        """Returns one photo; `photo_index` is any number from 0, below `photo_count` in a dataset."""
        ...

"""A dataset on disk, wherever its photos came from.

`photos/`, `index.jsonl` (one record a photo) and `dataset.json` (what it is, and how to make it again).
"""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from training.errors import DatasetMissingError
from training.task_file import Split

INDEX_NAME = "index.jsonl"
SUMMARY_NAME = "dataset.json"


class PhotoRecord(BaseModel):
    """One photo and its truth."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photo: str
    """Path relative to the dataset's folder."""
    sha256: str
    specimen: str
    split: Split
    device: str | None = None
    """The camera that took it, if known."""
    orientation: int = 1
    """EXIF orientation of the stored pixels."""
    lighting: str | None = None
    """In words, if known."""
    place: tuple[float, float] | None = None
    """Latitude in [-90, 90] and longitude in [-180, 180], degrees, if known."""
    taken: str | None = None
    """ISO 8601 day or time at which it was taken, if known."""
    origin: str | None = None
    """The photo's name where it came from, if it was not made here."""
    weight: float = Field(default=1.0, ge=0, le=1)
    """How far its labels are trusted."""
    labels: dict[str, str | tuple[str, ...]]
    """Head id to its label (category) or to the labels present (attributes)."""
    posteriors: dict[str, tuple[float, ...]] = {}
    """Head id to the known chance of each label, in the head's order, from which the labels were drawn: a renderer
    knows them, the world does not."""


class DatasetSummary(BaseModel):
    """What a dataset is, and the command that makes it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    parameters_sha256: str
    index_sha256: str
    photo_count: int
    specimen_count: int
    photos_by_split: dict[Split, int]
    versions: dict[str, str]
    command: str
    source: str | None = None
    """What kind of source it was imported from; None if it was rendered."""
    skipped: dict[str, int] = {}
    """Photos of the source that were left out, by reason."""
    one_class_label: str | None = None
    """The label of what is normal, if a one-class model is to be fitted: on train photos of this label alone, for the
    other photos of train are defective ones that such a model must not see."""


def read_records(folder: Path, *, task_id: str) -> list[PhotoRecord]:
    """Returns all records of a dataset, in the order of its index.

    Raises:
        DatasetMissingError: The folder holds no complete dataset.
    """
    index = folder / INDEX_NAME
    if not index.is_file():
        raise DatasetMissingError(folder, task_id=task_id)
    with index.open(encoding="utf-8") as lines:
        return [PhotoRecord.model_validate_json(line) for line in lines]

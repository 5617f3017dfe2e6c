"""What an audit finds, as DATASET_AUDIT.json says it. Schema only."""

from pydantic import BaseModel, ConfigDict

from training.task_file import Split

AUDIT_NAME = "DATASET_AUDIT.json"

Counts = dict[str, int]
"""By name, the commonest first; what is unknown is counted under `unknown`."""

UNKNOWN = "unknown"


class Finding(BaseModel):
    """Base of all sections: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LabelCount(Finding):
    """How often one label occurs."""

    photos: int
    specimens: int
    photos_by_split: dict[Split, int]


class Spread(Finding):
    """How a measure of photos is spread."""

    least: float
    low: float
    """5 % lie below."""
    median: float
    high: float
    """5 % lie above."""
    greatest: float


class CorruptPhoto(Finding):
    """A photo that cannot be used."""

    photo: str
    reason: str


class LabelConflict(Finding):
    """Two photos of the same thing with different labels."""

    photos: tuple[str, str]
    kind: str
    """`same bytes`, or `near-duplicates`."""
    head: str
    labels: tuple[str, str]


class SplitSize(Finding):
    """What a split holds."""

    photos: int
    specimens: int
    specimen_share: float
    allowed_specimens: tuple[int, int]
    """At the task's shares, least and greatest, both inclusive."""


class DatasetAudit(Finding):
    """Everything found."""

    task: str
    index_sha256: str
    photo_count: int
    specimen_count: int
    decoded_count: int
    """Photos that were looked at; sizes, duplicates and corrupt files are known of these only."""
    labels: dict[str, dict[str, LabelCount]]
    """By head and label, in the task's order."""
    unlabelled: Counts
    """Photos without a label, by head."""
    together: dict[str, dict[str, Counts]]
    """Pair of decision heads, `first x second`: photos by label of the first, and of the second."""
    devices: Counts
    lighting: Counts
    months: Counts
    places: Counts
    """By the centre of a cluster of places, as latitude and longitude."""
    place_coverage: float
    copies: tuple[tuple[str, ...], ...]
    """Photos with equal bytes."""
    near_duplicates: tuple[tuple[str, ...], ...]
    """Groups of photos that show the same thing, of more than one specimen."""
    corrupt: tuple[CorruptPhoto, ...]
    conflicts: tuple[LabelConflict, ...]
    width_px: Spread | None
    height_px: Spread | None
    brightness: Spread | None
    contrast: Spread | None
    splits: dict[Split, SplitSize]
    leaks: tuple[str, ...]

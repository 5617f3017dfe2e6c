"""A photo as its source tells of it: nothing is decoded, no label is checked."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from training.task_file import Split


@dataclass(frozen=True, slots=True)
class FoundPhoto:
    """One photo.

    Attributes:
        name: Unique in its source, and the same whenever it is read.
        read: Reads its encoded bytes; OSError if they are gone.
        labels: Head id to what the source says: a name, several names, or nothing.
        path: Its file, if it is one.
        group: Its specimen or scene, if the source knows it.
        split: The split that it came with, if any.
        place: As written; `training.places.parse_place` reads it.
        device: The camera, if known.
        lighting: In words, if known.
        taken: ISO 8601 day or time, if known.
        weight: How far its labels are trusted, in [0, 1].
        only_trains: Whether it may be trained on only, because it is a biased sample.
    """

    name: str
    read: Callable[[], bytes]
    labels: Mapping[str, object]
    path: Path | None = None
    group: str | None = None
    split: Split | None = None
    place: object = None
    device: str | None = None
    lighting: str | None = None
    taken: str | None = None
    weight: float = 1.0
    only_trains: bool = False


class Source(Protocol):
    """Somewhere that photos come from."""

    @property
    def label_names(self) -> Mapping[str, str]:
        """The source's names of labels to the task's, where they differ; `*` stands for every other name."""
        ...

    @property
    def split_file(self) -> Path | None:
        """The file of splits that came with the photos, if any."""
        ...

    @property
    def one_class_label(self) -> str | None:
        """The source's name of what is normal, if its photos are meant for learning from normal ones alone."""
        ...

    def photos(self) -> Iterable[FoundPhoto]:
        """Tells of all photos.

        Raises:
            TrainingError: The source is not there, or not of its kind.
        """
        ...


@dataclass(frozen=True, slots=True)
class PlainSource:
    """What sources have in common that say nothing special of labels and splits."""

    label_names: Mapping[str, str] = field(default_factory=dict, kw_only=True)
    split_file: Path | None = field(default=None, kw_only=True)
    one_class_label: str | None = field(default=None, kw_only=True)

"""Photos of a source beside those that a dataset holds already."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from training.dataset import PhotoRecord, read_records
from training.sources.found_photo import FoundPhoto, Source
from training.sources.problems import Problem, Problems


@dataclass(frozen=True, slots=True)
class AddedTo:
    """A source and the dataset that it adds to.

    Of a photo that both have, the labels that are trusted more hold; if they are trusted alike, the source's do, for it
    knows better by now. Heads that it says nothing of keep the labels that they had. What may only train changes no
    photo that is calibrated or tested on.

    Attributes:
        source: What is added.
        folder: The dataset's.
        task_id: Its task.
        problems: Gathers the photos of the source that change nothing.
    """

    source: Source
    folder: Path
    task_id: str
    problems: Problems

    @property
    def label_names(self) -> Mapping[str, str]:
        """The source's; the dataset's labels are the task's own."""
        return self.source.label_names

    @property
    def split_file(self) -> Path | None:
        """The source's."""
        return self.source.split_file

    @property
    def one_class_label(self) -> str | None:
        """The source's."""
        return self.source.one_class_label

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of the dataset's photos, then of the source's.

        Raises:
            TrainingError: Either is not there, or not of its kind.
        """
        known = {each.sha256: each for each in read_records(self.folder, task_id=self.task_id)}
        added = []
        for found in self.source.photos():
            record = known.get(_digest(found))
            if record is None:
                added.append(found)
            elif found.weight < record.weight:
                self._pass_over(found, "known already, by labels that are trusted more")
            elif found.only_trains and record.split != "train":
                self._pass_over(found, "may only train, but is tested on")
            else:
                added.append(replace(found, labels={**record.labels, **found.labels}, group=record.specimen))
                del known[record.sha256]
        for record in known.values():
            yield self._photo_of(record)
        yield from added

    def _pass_over(self, found: FoundPhoto, reason: str) -> None:
        # No fault that stops an import: it is only counted.
        self.problems.found.append(Problem(found.name, reason))

    def _photo_of(self, record: PhotoRecord) -> FoundPhoto:
        path = self.folder / record.photo
        return FoundPhoto(
            name=record.origin or record.photo,
            read=path.read_bytes,
            labels=record.labels,
            path=path,
            group=record.specimen,
            split=record.split,
            place=record.place,
            device=record.device,
            lighting=record.lighting,
            taken=record.taken,
            weight=record.weight,
        )


def _digest(found: FoundPhoto) -> str:
    """Returns the digest of a photo; nothing if it is gone, which the import itself then says."""
    try:
        return sha256(found.read()).hexdigest()
    except OSError:
        return ""

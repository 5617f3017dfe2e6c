"""The export of collected feedback: one JSON object a line, one line a photo.

Feedback is a biased sample, for people correct what is wrong. A photo may be calibrated and tested on only if its
inspection was drawn at random (`audit`) and a reviewer settled its labels (`reviewed`); all others only train.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from training.places import Place, parse_place
from training.sources.errors import SourceRefusedError
from training.sources.found_photo import FoundPhoto, PlainSource


class FeedbackPhoto(BaseModel):
    """One line of the export."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    task: str
    """The task whose heads the labels answer."""
    inspection: str = Field(min_length=1)
    """The id of the inspection that the feedback refers to."""
    release: int = Field(ge=1)
    """The release that answered it."""
    photo: str | None = None
    """Path of the photo, relative to the export. Either this or the digest is given."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """Of the photo's bytes; without a path, the photo is `photos/<first two digits>/<digest>` beside the export."""
    labels: dict[str, str | tuple[str, ...]] = Field(min_length=1)
    """Head id to the settled label (category), or to the labels present (attributes); heads left out are unknown."""
    weight: float = Field(ge=0, le=1)
    """How far the labels are trusted: 1 for a reviewer's."""
    reviewed: bool
    """Whether a reviewer settled the labels."""
    audit: bool = False
    """Whether the inspection was drawn at random for review, whatever anybody said of its answer."""
    group: str | None = None
    """The specimen or scene, if known."""
    device: str | None = None
    lighting: str | None = None
    place: Place | None = None
    taken: str | None = None
    """ISO 8601."""

    @model_validator(mode="after")
    def _names_a_photo(self) -> Self:
        if self.photo is None and self.sha256 is None:
            raise ValueError("a line names its photo by path or by digest")
        if self.place is not None:
            parse_place(self.place)
        return self


@dataclass(frozen=True, slots=True)
class FeedbackSource(PlainSource):
    """Photos that people told of.

    Attributes:
        export: The JSONL file.
        task_id: Lines of other tasks are refused.
    """

    export: Path
    task_id: str

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of a photo a line.

        Raises:
            SourceRefusedError: A line breaks the schema, or is of another task.
        """
        try:
            lines = self.export.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise SourceRefusedError(
                self.export, reason="it cannot be read", cure="Name the JSONL file of the export."
            ) from error
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield self._photo_of(self._parsed(line, number))

    def _parsed(self, line: str, number: int) -> FeedbackPhoto:
        try:
            told = FeedbackPhoto.model_validate_json(line)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "line"
            raise SourceRefusedError(
                self.export, reason=f"line {number}: {where}: {first['msg']}", cure="Export the feedback anew."
            ) from error
        if told.task != self.task_id:
            raise SourceRefusedError(
                self.export,
                reason=f"line {number} is of task {told.task!r}, not {self.task_id!r}",
                cure="Export the feedback of this task alone.",
            )
        return told

    def _photo_of(self, told: FeedbackPhoto) -> FoundPhoto:
        name = told.photo or f"photos/{(told.sha256 or '')[:2]}/{told.sha256}"
        path = self.export.parent / name
        return FoundPhoto(
            name=f"{told.inspection}/{Path(name).name}",
            read=path.read_bytes,
            path=path,
            labels=told.labels,
            group=told.group,
            place=told.place,
            device=told.device,
            lighting=told.lighting,
            taken=told.taken,
            weight=told.weight,
            only_trains=not (told.reviewed and told.audit),
        )

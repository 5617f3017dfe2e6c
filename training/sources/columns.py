"""Which column of a table says what of a photo."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from training.sources.errors import MissingColumnError, UnknownColumnUseError
from training.sources.found_photo import FoundPhoto

FOLDER = "@folder"
"""In place of a column: the name of the folder that the photo lies in."""

_USUAL: dict[str, tuple[str, ...]] = {
    "photo": ("photo", "file", "image", "path", "filename", "file_name"),
    "group": ("group", "specimen"),
    "latitude": ("latitude", "lat"),
    "longitude": ("longitude", "lon", "lng"),
    "gps": ("gps", "place", "location"),
    "device": ("device", "camera"),
    "lighting": ("lighting", "light"),
    "taken": ("taken", "date", "timestamp"),
    "weight": ("weight",),
}


class Columns(BaseModel):
    """The columns of one table; whatever is None is not known of its photos."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    photo: str
    labels: dict[str, str]
    """Head id to column."""
    group: str | None = None
    latitude: str | None = None
    longitude: str | None = None
    gps: str | None = None
    device: str | None = None
    lighting: str | None = None
    taken: str | None = None
    weight: str | None = None


def choose_columns(
    present: Sequence[str], *, asked: Mapping[str, str], heads: Sequence[str], path: Path | str
) -> Columns:
    """Chooses the columns: those asked for, and the usual names of the rest where the table has them.

    Args:
        present: The table's columns.
        asked: Use to column: a use is `photo`, `group`, `gps` and so on, or a head's id.
        heads: The task's heads; those that no column names are unlabelled, but not all of them.
        path: Named in errors.

    Raises:
        TrainingError: A column is missing, or asked for a use that there is none of.
    """
    strangers = [use for use in asked if use not in _USUAL and use not in heads]
    if strangers:
        raise UnknownColumnUseError(strangers[0], known=[*_USUAL, *heads])
    for use, column in asked.items():
        if column not in present and not (column == FOLDER and use not in {"photo", "weight"}):
            raise MissingColumnError(path, what=use, wanted=column, known=present)
    usual = {use: next((name for name in names if name in present), None) for use, names in _USUAL.items()}
    chosen = usual | {use: column for use, column in asked.items() if use in _USUAL}
    labels = {head: asked.get(head, head) for head in heads if head in asked or head in present}
    if chosen["photo"] is None:
        raise MissingColumnError(path, what="photo", wanted="photo", known=present)
    if not labels:
        raise MissingColumnError(path, what=heads[0], wanted=heads[0], known=[*present, FOLDER])
    return Columns.model_validate({**chosen, "labels": labels})


def photo_of_row(
    row: Mapping[str, object], columns: Columns, *, name: str, read: Callable[[], bytes], path: Path | None = None
) -> FoundPhoto:
    """Returns the photo that a row tells of.

    Args:
        row: Column to value.
        columns: What is where.
        name: The photo's name.
        read: Reads its bytes.
        path: Its file, if it is one.
    """

    def value(column: str | None) -> object:
        return PurePosixPath(name).parent.name if column == FOLDER else row.get(column or "")

    pair = (value(columns.latitude), value(columns.longitude))
    weight = value(columns.weight)
    return FoundPhoto(
        name=name,
        read=read,
        path=path,
        labels={head: value(column) for head, column in columns.labels.items()},
        group=_text(value(columns.group)),
        place=pair if columns.latitude and columns.longitude else value(columns.gps),
        device=_text(value(columns.device)),
        lighting=_text(value(columns.lighting)),
        taken=_text(value(columns.taken)),
        weight=1.0 if weight is None or weight == "" else _number(weight),
    )


def _text(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return text or None


def _number(value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        return float("nan")

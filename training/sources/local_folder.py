"""Photos in a folder: with a table that tells of them, or in one folder a class; with a splits.json or without."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from training.sources.columns import choose_columns, photo_of_row
from training.sources.errors import SourceRefusedError, TableRefusedError
from training.sources.found_photo import FoundPhoto, PlainSource
from training.splits import SPLIT_FILE_NAME

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})
_TABLE_SUFFIXES = frozenset({".csv", ".jsonl"})

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class TableSource(PlainSource):
    """Photos that a table tells of.

    Attributes:
        folder: Photos' names are relative to it.
        table: CSV with a header, or one JSON object a line.
        heads: The task's heads.
        asked: Columns that are not named as usual; see `choose_columns`.
    """

    folder: Path
    table: Path
    heads: Sequence[str]
    asked: Mapping[str, str] = field(default_factory=dict)

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of a photo a row, in the table's order.

        Raises:
            TrainingError: The table cannot be read or lacks a column.
        """
        rows = read_table(self.table)
        present = list(dict.fromkeys(column for row in rows for column in row))
        columns = choose_columns(present, asked=self.asked, heads=self.heads, path=self.table)
        for row in rows:
            name = str(row.get(columns.photo) or "")
            path = self.folder / name
            yield photo_of_row(row, columns, name=name, read=path.read_bytes, path=path)


@dataclass(frozen=True, slots=True)
class ClassFoldersSource(PlainSource):
    """Photos in one folder a class.

    Attributes:
        folder: Its sub-folders are named by label.
        head: The head that the folders answer.
    """

    folder: Path
    head: str

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of all photos in the sub-folders, at any depth, in the order of their names.

        Raises:
            SourceRefusedError: There is none.
        """
        paths = photos_below(self.folder)
        inside = [path for path in paths if path.parent != self.folder]
        if not inside:
            raise SourceRefusedError(
                self.folder,
                reason="it holds neither a table nor folders with photos",
                cure="Put photos into one folder a label, or add a CSV with the columns photo and label.",
            )
        for path in inside:
            name = path.relative_to(self.folder)
            yield FoundPhoto(name=name.as_posix(), read=path.read_bytes, path=path, labels={self.head: name.parts[0]})


def open_folder(
    folder: Path,
    *,
    heads: Sequence[str],
    decision_head: str,
    table: Path | None = None,
    asked: Mapping[str, str] | None = None,
) -> TableSource | ClassFoldersSource:
    """Returns the source of a folder: by its table if it has one, else by its sub-folders.

    Args:
        folder: The photos.
        heads: The task's heads.
        decision_head: The head that sub-folders answer.
        table: The table; if None, the only CSV or JSONL file directly in the folder.
        asked: Columns that are not named as usual.

    Raises:
        SourceRefusedError: There is no such folder, or it holds several tables.
    """
    if not folder.is_dir():
        raise SourceRefusedError(folder, reason="there is no such folder", cure="Name the folder of the photos.")
    splits = folder / SPLIT_FILE_NAME
    split_file = splits if splits.is_file() else None
    tables = sorted(path for path in folder.iterdir() if path.suffix.lower() in _TABLE_SUFFIXES)
    if table is None and len(tables) > 1:
        raise SourceRefusedError(
            folder,
            reason=f"it holds several tables: {', '.join(path.name for path in tables)}",
            cure="Name one: --table FILE",
        )
    chosen = table or next(iter(tables), None)
    if chosen is None:
        return ClassFoldersSource(folder, decision_head, split_file=split_file)
    return TableSource(folder, chosen, heads, asked or {}, split_file=split_file)


def photos_below(folder: Path) -> list[Path]:
    """Returns the files below a folder that are named like photos, in the order of their names."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES and path.is_file())


def read_table(path: Path) -> list[Row]:
    """Reads CSV or JSONL.

    Raises:
        TableRefusedError: There is no such file, or it is neither.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TableRefusedError(path, reason="it cannot be read as UTF-8 text") from error
    if path.suffix.lower() == ".csv":
        rows: list[Row] = list(csv.DictReader(text.splitlines()))
    else:
        rows = [_json_row(line, path, number) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if not rows:
        raise TableRefusedError(path, reason="it has no rows")
    return rows


def _json_row(line: str, path: Path, number: int) -> Row:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise TableRefusedError(path, reason=f"line {number} is not JSON") from error
    if not isinstance(row, dict):
        raise TableRefusedError(path, reason=f"line {number} is not a JSON object")
    return row

"""A Hugging Face dataset, read by the `datasets` library: saved to disk, Parquet files, or whatever it can load.

Photos stay encoded, so that `server.imaging` alone decodes them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import datasets

from training.sources.columns import choose_columns, photo_of_row
from training.sources.errors import MissingColumnError, SourceRefusedError
from training.sources.found_photo import FoundPhoto, PlainSource
from training.task_file import SPLITS, Split


@dataclass(frozen=True, slots=True)
class HuggingFaceSource(PlainSource):
    """Photos of all parts of a dataset; parts named as our splits are taken for them, others are shared out anew.

    Attributes:
        path: A folder of `save_to_disk`, a Parquet file or a folder of them, or a name that `load_dataset` knows.
        heads: The task's heads.
        asked: Columns that are not named as usual; the photo's is the first of the kind Image.
        cache: Where the library keeps what it converts; its own place if None.
    """

    path: str
    heads: Sequence[str]
    asked: Mapping[str, str] = field(default_factory=dict)
    cache: Path | None = None

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of a photo a row.

        Raises:
            TrainingError: The library cannot load it, or it lacks a column.
        """
        parts = self._parts()
        ours: dict[str, Split] = {split: split for split in SPLITS} if set(parts) == set(SPLITS) else {}
        for part_name, part in parts.items():
            images = [name for name, kind in part.features.items() if isinstance(kind, datasets.Image)]
            if not images and "photo" not in self.asked:
                raise MissingColumnError(self.path, what="photo", wanted="photo", known=part.column_names)
            asked = {"photo": images[0] if images else "", **self.asked}
            columns = choose_columns(part.column_names, asked=asked, heads=self.heads, path=self.path)
            # Not decoded here: a row holds the encoded bytes, or the path of the file.
            encoded = part.cast_column(columns.photo, datasets.Image(decode=False))
            rest = encoded.remove_columns([columns.photo])
            for place in range(len(encoded)):
                found = photo_of_row(
                    _named(rest[place], rest.features),
                    columns,
                    name=f"{part_name}/{place}",
                    read=partial(_read_encoded, encoded, columns.photo, place),
                )
                yield replace(found, split=ours.get(part_name))

    def _parts(self) -> dict[str, datasets.Dataset]:
        try:
            loaded = self._load()
        except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
            raise SourceRefusedError(
                self.path,
                reason=f"the datasets library says {type(error).__name__}",
                cure="Name a folder that save_to_disk wrote, Parquet files, or a dataset that load_dataset finds.",
            ) from error
        return {"all": loaded} if isinstance(loaded, datasets.Dataset) else dict(loaded.items())

    def _load(self) -> datasets.Dataset | datasets.DatasetDict:
        folder = Path(self.path)
        if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
            return datasets.load_from_disk(self.path)
        cache = None if self.cache is None else str(self.cache)
        if folder.suffix == ".parquet":
            return datasets.load_dataset("parquet", data_files=self.path, cache_dir=cache)
        return datasets.load_dataset(self.path, cache_dir=cache)


def _named(row: Mapping[str, object], features: Mapping[str, object]) -> dict[str, object]:
    """Returns a row with class numbers turned into their names."""
    return {column: _name_of(value, features[column]) for column, value in row.items()}


def _name_of(value: object, feature: object) -> object:
    if isinstance(feature, datasets.ClassLabel) and isinstance(value, int):
        return feature.int2str(value) if value >= 0 else None
    inner = getattr(feature, "feature", None)
    if isinstance(value, list) and inner is not None:
        return [_name_of(each, inner) for each in value]
    return value


def _read_encoded(part: datasets.Dataset, column: str, place: int) -> bytes:
    cell = part[place][column]
    if cell is None:
        raise FileNotFoundError(f"row {place} has no photo")
    if cell["bytes"] is not None:
        return bytes(cell["bytes"])
    return Path(cell["path"]).read_bytes()

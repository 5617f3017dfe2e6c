"""DAGM 2007's layout: `Class*/Train` and `Class*/Test` with photos, and `Label/Labels.txt` that tells good from bad.

A line of Labels.txt is: number, 1 if defective, file, 1 if there is a mask, mask; its first line is a single number.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.sources.errors import SourceRefusedError
from training.sources.found_photo import FoundPhoto, PlainSource
from training.sources.mvtec import DEFECT, GOOD

_PARTS = ("Train", "Test")
_LEAST_FIELDS = 3


@dataclass(frozen=True, slots=True)
class DagmSource(PlainSource):
    """Photos of one class of surface or of several.

    Attributes:
        folder: A class, or the folder of all.
        head: The head that good or defect answers.
    """

    folder: Path
    head: str

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of the photos that Labels.txt names.

        Raises:
            SourceRefusedError: It is not laid out so, or a line cannot be read.
        """
        lists = [
            path
            for surface in (self.folder, *sorted(self.folder.glob("Class*")))
            for part in _PARTS
            if (path := surface / part / "Label" / "Labels.txt").is_file()
        ]
        if not lists:
            raise SourceRefusedError(
                self.folder,
                reason="it has no Train/Label/Labels.txt, nor has a folder Class* in it",
                cure="Name a class's folder, or the folder of the classes.",
            )
        for path in lists:
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
                if len(line.split()) > 1:
                    yield self._photo_of(line.split(), path=path, number=number)

    def _photo_of(self, fields: list[str], *, path: Path, number: int) -> FoundPhoto:
        if len(fields) < _LEAST_FIELDS or fields[1] not in {"0", "1"}:
            raise SourceRefusedError(
                path,
                reason=f"line {number} is not 'number 0|1 file ...'",
                cure="Mend the line, or fetch the file anew.",
            )
        photo = path.parent.parent / fields[2]
        return FoundPhoto(
            name=photo.relative_to(self.folder).as_posix(),
            read=photo.read_bytes,
            path=photo,
            labels={self.head: DEFECT if fields[1] == "1" else GOOD},
        )

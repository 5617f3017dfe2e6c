"""MVTec AD's layout: `train/good`, `test/<defect>`, `ground_truth/`; one such folder, or one a category.

Bergmann et al., "MVTec AD: a comprehensive real-world dataset for unsupervised anomaly detection", 2019. Its own parts
serve one-class methods; photos of both get a split of ours, so that a supervised model can be calibrated and tested.
Masks are no photos and are left where they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from training.sources.errors import SourceRefusedError
from training.sources.found_photo import FoundPhoto, PlainSource
from training.sources.local_folder import photos_below

GOOD = "good"
DEFECT = "defect"
_PARTS = ("train", "test")


@dataclass(frozen=True, slots=True)
class MvtecSource(PlainSource):
    """Photos of one category or of several.

    Attributes:
        folder: A category, or the folder of all.
        head: The head that good or defect answers.
    """

    folder: Path
    head: str

    def photos(self) -> Iterator[FoundPhoto]:
        """Tells of the photos of both parts, by the name of the folder they lie in.

        Raises:
            SourceRefusedError: It is not laid out so.
        """
        categories = [
            each for each in (self.folder, *sorted(self.folder.glob("*"))) if (each / "train" / GOOD).is_dir()
        ]
        if not categories:
            raise SourceRefusedError(
                self.folder,
                reason="it has no folder train/good, nor has a folder in it",
                cure="Name a category's folder (train/good, test/<defect>), or the folder of the categories.",
            )
        for category in categories:
            for part in _PARTS:
                for path in photos_below(category / part):
                    name = path.relative_to(self.folder).as_posix()
                    yield FoundPhoto(name=name, read=path.read_bytes, path=path, labels={self.head: path.parent.name})


def open_mvtec(folder: Path, *, head: str, labels: tuple[str, ...]) -> MvtecSource:
    """Returns the source of a folder; kinds of defect that the head does not tell apart are one defect.

    Args:
        folder: A category, or the folder of all.
        head: The head that it answers.
        labels: That head's labels.
    """
    return MvtecSource(folder, head, label_names={"*": DEFECT} if DEFECT in labels else {}, one_class_label=GOOD)

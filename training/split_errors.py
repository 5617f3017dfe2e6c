"""Errors about splits: each names the groups or the file that is at fault."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.errors import TrainingError
from training.task_file import Split

_NAMED = 5


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that stands on two sides.

    Attributes:
        kind: `group`, `same bytes` or `near-duplicates`.
        names: The group, or the photos.
        splits: Where they stand.
    """

    kind: str
    names: tuple[str, ...]
    splits: tuple[Split, ...]

    def __str__(self) -> str:
        return f"{self.kind} {' and '.join(self.names)} in {' and '.join(self.splits)}"


class SplitLeakError(TrainingError):
    """Photos of one thing stand on two sides: any figure measured there would be too good."""

    def __init__(self, leaks: Sequence[Leak]) -> None:
        """Keeps all leaks; the message names the first few."""
        super().__init__(
            f"The splits leak {len(leaks)} times: {_some([str(each) for each in leaks])}.",
            cure="Give all photos of one thing the same split, or leave splits.json out and name the group's column.",
        )
        self.leaks = tuple(leaks)


class SplitRatioError(TrainingError):
    """A split is smaller or larger than a fair draw would make it."""

    def __init__(self, found: Mapping[Split, int], *, allowed: Mapping[Split, tuple[int, int]]) -> None:
        """Keeps the groups in each split, and how many there may be."""
        wrong = (
            f"{split} has {found[split]} groups, not {low} to {high}"
            for split, (low, high) in allowed.items()
            if not low <= found[split] <= high
        )
        super().__init__(
            f"The splits have wrong sizes: {'; '.join(wrong)}.",
            cure="Share the groups out anew, or state the shares that are meant in [data.splits] of the task file.",
        )
        self.found = dict(found)
        self.allowed = dict(allowed)


class SplitFileRefusedError(TrainingError):
    """A file of splits cannot be read."""

    def __init__(self, path: Path, *, reason: str) -> None:
        """Keeps the file and what is wrong with it."""
        super().__init__(
            f"{path} is no file of splits: {reason}.",
            cure='It looks like {"train": ["a.jpg", ...], "val_select": [...], "val_calib": [...], "val_test": [...]}.',
        )
        self.path = path


class UnplacedPhotosError(TrainingError):
    """A file of splits says nothing of some photos."""

    def __init__(self, path: Path, *, photos: Sequence[str]) -> None:
        """Keeps the photos."""
        super().__init__(
            f"{path} places neither {len(photos)} photos nor their groups: {_some(photos)}.",
            cure="Add them to the file, or leave the file out.",
        )
        self.photos = tuple(photos)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")

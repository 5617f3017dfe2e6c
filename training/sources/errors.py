"""Errors of sources and of imports: each names the file, the column or the photos at fault."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from training.errors import TrainingError

_NAMED = 5


class SourceRefusedError(TrainingError):
    """What was named is no source of the kind that was named."""

    def __init__(self, path: Path | str, *, reason: str, cure: str) -> None:
        """Keeps the path."""
        super().__init__(f"{path} cannot be imported: {reason}.", cure=cure)
        self.path = path


class MissingColumnError(TrainingError):
    """A table lacks a column that is needed."""

    def __init__(self, path: Path | str, *, what: str, wanted: str, known: Sequence[str]) -> None:
        """Keeps the column, and those there are."""
        super().__init__(
            f"{path} has no column {wanted!r} for {what}.",
            cure=f"Name it: --column {what}=COLUMN. Its columns: {', '.join(known)}.",
        )
        self.what = what
        self.known = tuple(known)


class UnknownColumnUseError(TrainingError):
    """A column is given to something that a photo does not have."""

    def __init__(self, use: str, *, known: Sequence[str]) -> None:
        """Keeps the word, and those there are."""
        super().__init__(
            f"--column {use!r} names nothing that a photo has.",
            cure=f"Write USE=COLUMN, where USE is one of: {', '.join(known)}.",
        )
        self.use = use


class TableRefusedError(TrainingError):
    """A table cannot be read."""

    def __init__(self, path: Path, *, reason: str) -> None:
        """Keeps the file."""
        super().__init__(f"{path} is no table: {reason}.", cure="Write CSV with a header, or one JSON object a line.")
        self.path = path


class BadPhotoError(TrainingError):
    """A photo cannot be imported, and the policy is to stop there."""

    def __init__(self, photo: str, *, reason: str, detail: str) -> None:
        """Keeps the photo and what is wrong with it."""
        super().__init__(
            f"{photo}: {reason}{f' ({detail})' if detail else ''}.",
            cure="Mend or remove it; or leave such photos out, and count them: --on-bad skip",
        )
        self.photo = photo
        self.reason = reason


class EmptyClassError(TrainingError):
    """A label has too few photos to be learnt, let alone measured."""

    def __init__(self, counts: Mapping[str, int], *, least: int) -> None:
        """Keeps the labels, as `head.label`, and their photos."""
        super().__init__(
            f"Fewer than {least} photos: {', '.join(f'{label} {count}' for label, count in counts.items())}.",
            cure="Collect more; give them another label with --label; or leave them out: --on-bad skip",
        )
        self.counts = dict(counts)


class NoPhotosError(TrainingError):
    """Nothing is left to import."""

    def __init__(self, path: Path | str, *, reasons: Mapping[str, int]) -> None:
        """Keeps why photos were left out."""
        told = ", ".join(f"{reason} {count}" for reason, count in reasons.items()) or "none was found"
        super().__init__(f"{path} leaves no photo: {told}.", cure="Mend what is named, or name another folder.")
        self.reasons = dict(reasons)

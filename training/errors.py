"""Errors of training: each carries its facts and says, in a second line, how to mend it."""

from collections.abc import Mapping
from pathlib import Path


class TrainingError(Exception):
    """Base of everything that training raises on purpose; the message is the cause, a newline, the cure."""

    def __init__(self, cause: str, *, cure: str) -> None:
        """Keeps cause and cure."""
        super().__init__(f"{cause}\n{cure}")
        self.cause = cause
        self.cure = cure


class TrainingWarning(UserWarning):
    """Base of what training warns of: it goes on, but somebody should know."""


class UnknownTaskFileError(TrainingError):
    """There is no task file of this name."""

    def __init__(self, task_id: str, *, known: tuple[str, ...]) -> None:
        """Names the task that was asked for and those there are."""
        super().__init__(f"There is no task {task_id!r}.", cure=f"Known tasks: {', '.join(known)}.")
        self.task_id = task_id


class UnknownTierSectionError(TrainingError):
    """The task file has no tier of this name."""

    def __init__(self, tier: str, *, known: tuple[str, ...]) -> None:
        """Names the tier that was asked for and those there are."""
        super().__init__(f"The task has no tier {tier!r}.", cure=f"Its tiers: {', '.join(known)}.")
        self.tier = tier


class TaskFileRefusedError(TrainingError):
    """A task file breaks its schema."""

    def __init__(self, path: Path, *, violations: str) -> None:
        """Keeps the file and all that is wrong with it."""
        super().__init__(f"{path} is not a task file: {violations}", cure="Mend the fields named above.")
        self.path = path


class RendererParametersChangedError(TrainingError):
    """The renderer's parameters or version are not those that the task file's digest fixed."""

    def __init__(self, path: Path, *, stated: str, actual: str) -> None:
        """Keeps both digests."""
        super().__init__(
            f"{path} fixes the difficulty by digest {stated[:12]}, but its renderer parameters and version"
            f" give {actual[:12]}.",
            cure=(
                "Undo the change; or set a new difficulty on purpose, then render and train again:"
                f' parameters_sha256 = "{actual}"'
            ),
        )
        self.stated = stated
        self.actual = actual


class NothingToRenderError(TrainingError):
    """A task whose photos are imported is asked how they are drawn."""

    def __init__(self, task_id: str) -> None:
        """Keeps the task."""
        super().__init__(
            f"The photos of {task_id} are not rendered: its task file has no [data.rendering].",
            cure=f"Import them: loupe-train import {task_id} PATH",
        )
        self.task_id = task_id


class ForeignDatasetError(TrainingError):
    """The folder holds other photos than those that are to come."""

    def __init__(self, folder: Path, *, found: str, wanted: str) -> None:
        """Keeps the folder; says what was found and wanted, e.g. `of parameters <digest>`."""
        super().__init__(
            f"{folder} holds photos {found}, not {wanted}.",
            cure="Delete the folder, or name another with --output.",
        )
        self.folder = folder


class DatasetMissingError(TrainingError):
    """There is no complete dataset in the folder."""

    def __init__(self, folder: Path, *, task_id: str) -> None:
        """Keeps the folder."""
        super().__init__(
            f"{folder} holds no dataset.",
            cure=f"Run: loupe-train render {task_id}, or, with photos of your own: loupe-train import {task_id} PATH",
        )
        self.folder = folder


class TooFewPhotosError(TrainingError):
    """The dataset is too small for what was asked of it."""

    def __init__(self, folder: Path, *, found: int, wanted: int, task_id: str) -> None:
        """Keeps both counts."""
        super().__init__(
            f"{folder} leaves {found} photos to fit on; an honest answer needs {wanted}.",
            cure=f"Run: loupe-train render {task_id}",
        )
        self.found = found
        self.wanted = wanted


class OtherNetworkError(TrainingError):
    """A run trained another network than the one that is wanted of it."""

    def __init__(self, folder: Path, *, trained: Mapping[str, object], wanted: Mapping[str, object]) -> None:
        """Names what differs."""
        apart = (name for name, value in wanted.items() if trained.get(name) != value)
        named = ", ".join(f"{name} {trained.get(name)} in place of {wanted[name]}" for name in apart)
        super().__init__(
            f"{folder} trained another network than the task file's: {named}.",
            cure="Only the number of views can be changed without training: train the tier again.",
        )
        self.folder = folder

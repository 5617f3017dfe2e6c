"""Reads checkpoints: all that building knows of training. Fields that building has no use for are passed over."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from build_engines.errors import CheckpointRefusedError
from build_engines.step_record import file_sha256
from server.domain.framing import Framing
from server.domain.task import Head, HeadKind, Task

CHECKPOINT_NAME = "checkpoint.json"
PROGRAM_NAME = "program.pt2"
RANGE_PHOTOS_NAME = "range_photos.jsonl"


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _HeadPart(_Part):
    id: str
    title: str
    kind: HeadKind
    labels: tuple[str, ...]


class _NetworkPart(_Part):
    backbone: str
    input_size_px: int
    framing: Framing = Framing.CENTRE
    backbone_size_px: int | None = None
    pyramid_px: tuple[int, ...] = ()
    views: int = 1

    @property
    def seen_size_px(self) -> int:
        """The side of what the backbone sees."""
        return self.backbone_size_px or self.input_size_px

    @property
    def seen_pixels(self) -> int:
        """How many pixels it looks at, in all sizes and views."""
        return sum(side**2 for side in (self.seen_size_px, *self.pyramid_px)) * self.views


class _DataPart(_Part):
    folder: str
    index_sha256: str
    photo_counts: dict[str, int]
    command: str | None


class CheckpointFile(_Part):
    """What building reads of `checkpoint.json`."""

    schema_version: int = Field(ge=1, le=1)
    task_id: str
    task_title: str
    heads: tuple[_HeadPart, ...]
    decision_heads: tuple[str, ...]
    least_accuracies: dict[str, float]
    least_mccs: dict[str, float] = {}
    tier: str
    variant: str
    network: _NetworkPart
    attention_grid: tuple[int, int]
    data: _DataPart
    files: dict[str, str]
    versions: dict[str, str]
    git_commit: str | None
    command: str
    duration_s: float


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A sound checkpoint.

    Attributes:
        folder: Where it lies.
        file: What it says.
        task: The taxonomy.
        sha256: Of `checkpoint.json`, which vouches for all other files.
    """

    folder: Path
    file: CheckpointFile
    task: Task
    sha256: str

    @property
    def weights_bytes(self) -> int:
        """The size of the traced network."""
        return (self.folder / PROGRAM_NAME).stat().st_size

    @property
    def output_names(self) -> tuple[str, ...]:
        """The program's outputs, in order."""
        return (*self.task.head_ids, "uncertainty", "attention_map")


@dataclass(frozen=True, slots=True)
class HeldOutPhotos:
    """The photos of one split that no weight was fitted on.

    Attributes:
        split: `val_select`, `val_calib` or `val_test`; training chose its epoch by the first, and never saw the others.
        sha256: Of the list.
        paths: Of the photos.
        groups: [photo_count] int64. Photos of one specimen share a number.
        labels: By head id. Category: [photo_count] int64 indices. Attributes: [photo_count, label_count] int64, 1
            where present. Below 0: missing.
        best_accuracies: By head id, the accuracy of one who knows the posteriors; only for rendered photos.
    """

    split: str
    sha256: str
    paths: tuple[Path, ...]
    groups: npt.NDArray[np.int64]
    labels: dict[str, npt.NDArray[np.int64]]
    best_accuracies: dict[str, float]

    def taken(self, chosen: npt.NDArray[np.bool_]) -> "HeldOutPhotos":
        """Returns some of the photos; `sha256` still names the whole list, and what would be best is not known.

        Args:
            chosen: [photo_count] bool.
        """
        paths = tuple(path for path, is_chosen in zip(self.paths, chosen.tolist(), strict=True) if is_chosen)
        labels = {head: each[chosen] for head, each in self.labels.items()}
        return HeldOutPhotos(self.split, self.sha256, paths, self.groups[chosen], labels, {})


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads a checkpoint and verifies its files.

    Raises:
        CheckpointRefusedError: It is missing, malformed or damaged; all findings at once.
    """
    path = folder / CHECKPOINT_NAME
    if not path.is_file():
        raise CheckpointRefusedError(folder, f"it has no {CHECKPOINT_NAME}")
    try:
        file = CheckpointFile.model_validate_json(path.read_bytes())
        heads = tuple(Head(each.id, each.title, each.kind, each.labels) for each in file.heads)
        task = Task(file.task_id, file.task_title, heads, file.decision_heads)
    except (ValidationError, ValueError) as error:
        raise CheckpointRefusedError(folder, str(error)) from error
    findings = []
    for name, sha256 in file.files.items():
        if not (folder / name).is_file():
            findings.append(f"{name} is missing")
        elif file_sha256(folder / name) != sha256:
            findings.append(f"{name} is damaged")
    if findings:
        raise CheckpointRefusedError(folder, *findings)
    return Checkpoint(folder, file, task, file_sha256(path))


def latest_checkpoint(runs: Path, *, task: str, tier: str) -> Path:
    """Returns the newest finished run of a tier.

    Raises:
        CheckpointRefusedError: There is none.
    """
    finished = sorted((runs / task / tier).glob(f"*/{CHECKPOINT_NAME}"))
    if not finished:
        raise CheckpointRefusedError(runs / task / tier, "it holds no finished run")
    return finished[-1].parent


def find_checkpoints(runs: Path, *, task: str) -> tuple[Checkpoint, ...]:
    """Returns the newest finished run of every tier, those that see few pixels and have small weights first.

    Raises:
        CheckpointRefusedError: There is none, or one is not sound.
    """
    tiers = sorted({each.parent.parent.name for each in (runs / task).glob(f"*/*/{CHECKPOINT_NAME}")})
    if not tiers:
        raise CheckpointRefusedError(runs / task, "it holds no finished run")
    found = [open_checkpoint(latest_checkpoint(runs, task=task, tier=each)) for each in tiers]
    return tuple(sorted(found, key=lambda each: (each.file.network.seen_pixels, each.weights_bytes)))


def read_held_out(checkpoint: Checkpoint, split: str, *, data_folder: Path | None = None) -> HeldOutPhotos:
    """Reads the list of a split.

    Args:
        checkpoint: Whose.
        split: `val_select`, `val_calib` or `val_test`.
        data_folder: Where the photos lie; where training found them if None.

    Raises:
        CheckpointRefusedError: The checkpoint does not list it.
    """
    path = checkpoint.folder / f"{split}.jsonl"
    if not path.is_file():
        raise CheckpointRefusedError(checkpoint.folder, f"it has no {path.name}")
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    folder = data_folder or Path(checkpoint.file.data.folder)
    _, groups = np.unique([line["group"] for line in lines], return_inverse=True)
    labels = {
        head.id: label_array(head, [line["labels"].get(head.id) for line in lines]) for head in checkpoint.task.heads
    }
    posteriors = [line.get("posteriors") for line in lines]
    best = {} if None in posteriors else {head.id: _best_accuracy(head, posteriors) for head in checkpoint.task.heads}
    return HeldOutPhotos(
        split=split,
        sha256=file_sha256(path),
        paths=tuple(folder / line["photo"] for line in lines),
        groups=groups.astype(np.int64),
        labels=labels,
        best_accuracies=best,
    )


def read_range_photos(checkpoint: Checkpoint, *, data_folder: Path | None = None) -> tuple[Path, ...]:
    """Returns some of the photos that the network was trained on; nothing if the checkpoint lists none."""
    path = checkpoint.folder / RANGE_PHOTOS_NAME
    if not path.is_file():
        return ()
    folder = data_folder or Path(checkpoint.file.data.folder)
    return tuple(folder / json.loads(line)["photo"] for line in path.read_text("utf-8").splitlines())


def label_array(head: Head, labels: Sequence[str | Sequence[str] | None]) -> npt.NDArray[np.int64]:
    """Turns labels into indices (category) or flags (attributes); None is missing, -1."""
    if head.kind is HeadKind.CATEGORY:
        index = {label: place for place, label in enumerate(head.labels)}
        return np.array([index[each] if isinstance(each, str) else -1 for each in labels], dtype=np.int64)
    missing = [-1] * len(head.labels)
    rows = [missing if each is None else [int(label in each) for label in head.labels] for each in labels]
    return np.array(rows, dtype=np.int64).reshape(len(rows), len(head.labels))


def _best_accuracy(head: Head, posteriors: Sequence[dict[str, list[float]]]) -> float:
    table = np.asarray([each[head.id] for each in posteriors])
    return float(table.max(axis=1).mean() if head.kind is HeadKind.CATEGORY else np.maximum(table, 1 - table).mean())

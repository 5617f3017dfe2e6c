"""Photos and labels as a network wants them: arrays by split, and batches drawn from them by a seeded order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset, Sampler, SequentialSampler

from server.domain.framing import Framing
from server.domain.task import HeadKind, Task
from training.batch_order import BatchOrder
from training.dataset import PhotoRecord, read_records
from training.errors import TrainingError
from training.photo_cache import Pixels, open_prepared_photos
from training.progress import Follow, unfollowed
from training.task_file import SPLITS, Split

LabelArrays = dict[str, npt.NDArray[np.int64] | npt.NDArray[np.float32]]
"""By head id, a label below 0 being missing.

Category: [photo_count] int64 indices. Attributes: [photo_count, label_count] float32, 1 where present.
"""

Chances = dict[str, npt.NDArray[np.float32]]
"""By head id, [photo_count, label_count] float32 probabilities; NaN where nobody was asked."""

Batch = tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]
"""Photos, [batch, size, size, 3] uint8; labels by head id; a teacher's `Chances` by head id, nothing without one."""


class EmptySplitError(TrainingError):
    """A split that is needed holds no photo."""

    def __init__(self, folder: Path, *, split: str) -> None:
        """Keeps the split."""
        super().__init__(f"Split {split} of {folder} is empty.", cure="Render more photos, or give it a larger share.")
        self.split = split


class StrangeLabelsError(TrainingError):
    """A dataset holds labels that its task does not know any more."""

    def __init__(self, head: str, *, strangers: tuple[str, ...]) -> None:
        """Keeps the labels."""
        super().__init__(
            f"Photos are labelled {', '.join(strangers)}, which head {head} does not have.",
            cure="Give the label back to the task file, or import the photos anew.",
        )
        self.head = head
        self.strangers = strangers


@dataclass(frozen=True, slots=True)
class PhotoSplit:
    """The photos of one split.

    Attributes:
        records: What is known of each.
        pixels: [photo_count, size, size, 3] uint8, in the order of `records`.
        labels: In the order of `records`.
        taught: What a teacher says of each photo; nothing without one.
    """

    records: tuple[PhotoRecord, ...]
    pixels: Pixels
    labels: LabelArrays
    taught: Chances = field(default_factory=dict)

    def __len__(self) -> int:
        """The number of photos."""
        return len(self.records)

    def spread(self, limit: int) -> "PhotoSplit":
        """Returns at most `limit` of the photos, evenly spaced, their pixels in memory; all of them as they are."""
        if limit >= len(self):
            return self
        places = spread_places(len(self), limit)
        return PhotoSplit(
            tuple(self.records[each] for each in places),
            self.pixels[places],
            {head: each[places] for head, each in self.labels.items()},
            {head: each[places] for head, each in self.taught.items()},
        )


def spread_places(count: int, limit: int) -> npt.NDArray[np.int64]:
    """Returns at most `limit` places in [0, count), evenly spaced, the first and the last among them."""
    return np.unique(np.linspace(0, count - 1, min(limit, count)).round().astype(np.int64))


def open_splits(
    folder: Path,
    task: Task,
    *,
    splits: Sequence[Split] = SPLITS,
    size_px: int,
    framing: Framing,
    on_progress: Follow = unfollowed,
) -> dict[Split, PhotoSplit]:
    """Returns splits of a dataset.

    Args:
        folder: The dataset's folder.
        task: The taxonomy.
        splits: Which.
        size_px: The side at which photos are wanted.
        framing: How a photo becomes a square.
        on_progress: Called with (photos done, photos in all) while those of a split are prepared.

    Raises:
        TrainingError: The dataset is missing, or a split is empty.
    """
    parts = records_by_split(folder, task_id=task.id)
    return {
        split: PhotoSplit(
            parts[split],
            open_prepared_photos(folder, parts[split], size_px=size_px, framing=framing, on_progress=on_progress),
            label_arrays(parts[split], task),
        )
        for split in splits
    }


def records_by_split(folder: Path, *, task_id: str) -> dict[Split, tuple[PhotoRecord, ...]]:
    """Returns what is known of each photo of a dataset.

    Raises:
        TrainingError: The dataset is missing, or a split is empty.
    """
    records = read_records(folder, task_id=task_id)
    parts: dict[Split, tuple[PhotoRecord, ...]] = {
        split: tuple(each for each in records if each.split == split) for split in SPLITS
    }
    for split, part in parts.items():
        if not part:
            raise EmptySplitError(folder, split=split)
    return parts


def label_arrays(records: Sequence[PhotoRecord], task: Task) -> LabelArrays:
    """Turns labels into arrays; a head that a record does not name is missing there.

    Raises:
        StrangeLabelsError: A category's label is none of the task's.
    """
    arrays: LabelArrays = {}
    for head in task.heads:
        if head.kind is HeadKind.CATEGORY:
            index = {label: place for place, label in enumerate(head.labels)}
            names = [record.labels.get(head.id) for record in records]
            strangers = {each for each in names if isinstance(each, str)} - set(index)
            if strangers:
                raise StrangeLabelsError(head.id, strangers=tuple(sorted(strangers)))
            arrays[head.id] = np.array([index[each] if isinstance(each, str) else -1 for each in names], dtype=np.int64)
        else:
            table = np.full((len(records), len(head.labels)), -1, dtype=np.float32)
            for row, record in zip(table, records, strict=True):
                present = record.labels.get(head.id)
                if present is not None:
                    row[:] = [label in present for label in head.labels]
            arrays[head.id] = table
    return arrays


class PhotoBatches(Dataset[Batch]):
    """Gives whole batches: an index of this dataset is a list of photos."""

    def __init__(self, split: PhotoSplit) -> None:
        self._split = split

    def __len__(self) -> int:
        """The number of photos."""
        return len(self._split)

    def __getitem__(self, photos: list[int]) -> Batch:
        """Returns the batch of these photos."""
        images = torch.from_numpy(self._split.pixels[photos])
        return images, _rows(self._split.labels, photos), _rows(self._split.taught, photos)


def _rows(arrays: Mapping[str, npt.NDArray[Any]], photos: list[int]) -> dict[str, Tensor]:
    return {head: torch.from_numpy(each[photos]) for head, each in arrays.items()}


def photo_loader(
    split: PhotoSplit,
    *,
    batch_size: int,
    shuffle_seed: int | None,
    weights: npt.NDArray[np.float64] | None = None,
    epoch_share: float = 1.0,
) -> DataLoader[Batch]:
    """Returns batches of a split.

    Args:
        split: The photos.
        batch_size: Photos in a batch. When shuffled, an incomplete last batch is left out.
        shuffle_seed: Seeds the order; None for the order of the split.
        weights: [photo_count] float64. How often each photo is drawn, when shuffled: then with replacement. None for
            each photo once.
        epoch_share: In (0, 1]. How many photos an epoch draws when shuffled, as a share of all.
    """
    batches = PhotoBatches(split)
    order: Sampler[list[int]]
    if shuffle_seed is None:
        order = BatchSampler(SequentialSampler(batches), batch_size, drop_last=False)
    else:
        order = BatchOrder(
            len(split), batch_size=batch_size, seed=shuffle_seed, weights=weights, epoch_share=epoch_share
        )
    # A generator of its own: what a loader draws when it starts must not move the generator that training draws from.
    return DataLoader(batches, sampler=order, batch_size=None, generator=torch.Generator())


def iterate_images(split: PhotoSplit, *, batch_size: int) -> Iterator[Tensor]:
    """Yields [batch, size, size, 3] uint8 photos in the order of the split."""
    for images, *_ in photo_loader(split, batch_size=batch_size, shuffle_seed=None):
        yield images

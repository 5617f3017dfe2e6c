"""What a network says of photos, all of it, as arrays: every figure of the page is computed from these."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from server.domain.framing import Framing
from server.domain.task import Head, HeadKind, Task
from server.imaging import prepare
from training.asking import said_of
from training.errors import TrainingError
from training.group_bootstrap import IndexArray, group_indices
from training.model import InspectionNetwork
from training.photo_cache import Pixels, open_prepared_photos
from training.photo_data import EmptySplitError, PhotoSplit, label_arrays, records_by_split, spread_places
from training.progress import Follow, unfollowed
from training.task_file import Split

FloatArray = npt.NDArray[np.float32]

BATCH = 32
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})


class NoPhotosError(TrainingError):
    """A folder that should hold photos holds none."""

    def __init__(self, folder: Path) -> None:
        """Keeps the folder."""
        super().__init__(f"{folder} holds no photo.", cure=f"Name a folder with {', '.join(sorted(_SUFFIXES))} files.")
        self.folder = folder


@dataclass(frozen=True, slots=True)
class Answers:
    """What a network says of photos, in their order.

    Attributes:
        logits: By head id, [photo_count, label_count] float32. Effective logits, uncalibrated.
        logit_variances: By head id, [photo_count] float32. The aleatoric uncertainty of the head.
        feature_distances: [photo_count] float32. The epistemic uncertainty: the log of the squared Mahalanobis
            distance to the nearest class.
        attention: [photo_count, rows, columns] float32. Non-negative, summing to 1 over a photo.
    """

    logits: Mapping[str, FloatArray]
    logit_variances: Mapping[str, FloatArray]
    feature_distances: FloatArray
    attention: FloatArray

    @property
    def mean_logit_variances(self) -> FloatArray:
        """[photo_count] float32: the aleatoric uncertainty as an engine has it, the mean over heads."""
        mean: FloatArray = np.mean(list(self.logit_variances.values()), axis=0)
        return mean

    def taken(self, places: npt.NDArray[np.intp]) -> "Answers":
        """Returns what it says of some of the photos, in this order."""
        return Answers(
            {head: each[places] for head, each in self.logits.items()},
            {head: each[places] for head, each in self.logit_variances.items()},
            self.feature_distances[places],
            self.attention[places],
        )

    def probabilities(self, head: Head) -> npt.NDArray[np.float64]:
        """Returns [photo_count, label_count] float64: softmax of a category's logits, sigmoid of attributes'."""
        logits = torch.from_numpy(self.logits[head.id]).double()
        chances = logits.softmax(dim=1) if head.kind is HeadKind.CATEGORY else logits.sigmoid()
        array: npt.NDArray[np.float64] = chances.numpy()
        return array


def ask(network: InspectionNetwork, batches: Iterable[Tensor], *, total: int, on_photo: Follow = unfollowed) -> Answers:
    """Asks a network about photos.

    Args:
        network: In evaluation mode.
        batches: Each [batch, size, size, 3] uint8. RGB.
        total: How many photos there are.
        on_photo: Called with (photos done, photos in all).
    """
    logits: dict[str, list[Tensor]] = {head: [] for head in network.heads}
    variances: dict[str, list[Tensor]] = {head: [] for head in network.heads}
    looks, attention, done = [], [], 0
    for output in said_of(network, batches):
        for head, said in output.heads.items():
            logits[head].append(said.effective_logits)
            variances[head].append(said.log_variance.exp())
        looks.append(output.look)
        attention.append(output.attention)
        done += len(output.look)
        on_photo(done, total)
    with torch.inference_mode():
        distances = [network.density(each) for each in looks]
    return Answers(
        {head: torch.cat(each).numpy() for head, each in logits.items()},
        {head: torch.cat(each).numpy() for head, each in variances.items()},
        torch.cat(distances).numpy(),
        torch.cat(attention).numpy(),
    )


def batches_of(pixels: Pixels) -> Iterator[Tensor]:
    """Yields [batch, size, size, 3] uint8 photos, in order."""
    for first in range(0, len(pixels), BATCH):
        yield torch.from_numpy(np.array(pixels[first : first + BATCH]))


def open_some(
    folder: Path,
    task: Task,
    split: Split,
    *,
    size_px: int,
    framing: Framing,
    limit: int | None,
    on_progress: Follow = unfollowed,
) -> PhotoSplit:
    """Returns a split, or so many of its photos, evenly spaced over it.

    Args:
        folder: The dataset's folder.
        task: The taxonomy.
        split: Which.
        size_px: The side at which photos are wanted.
        framing: How a photo becomes a square.
        limit: At most so many photos; None for all.
        on_progress: Called with (photos done, photos in all) while they are prepared.

    Raises:
        TrainingError: The dataset is missing, or the split is empty.
    """
    records = records_by_split(folder, task_id=task.id)[split]
    if not records:
        raise EmptySplitError(folder, split=split)
    if limit is not None:
        records = tuple(records[place] for place in spread_places(len(records), limit))
    pixels = open_prepared_photos(folder, records, size_px=size_px, framing=framing, on_progress=on_progress)
    return PhotoSplit(records, pixels, label_arrays(records, task))


def groups_of(split: PhotoSplit) -> IndexArray:
    """Returns [photo_count] int64: photos of one specimen have one number."""
    return group_indices([each.specimen for each in split.records])


def read_folder(folder: Path, *, size_px: int, framing: Framing, limit: int) -> Pixels:
    """Returns photos of a folder and those below it, by name.

    Args:
        folder: Holds photos, not a dataset.
        size_px: The side at which they are wanted.
        framing: How a photo becomes a square.
        limit: At most so many, evenly spaced.

    Raises:
        NoPhotosError: There are none.
        PhotoRefusedError: A photo cannot be decoded.
    """
    found: Sequence[Path] = sorted(each for each in folder.rglob("*") if each.suffix.lower() in _SUFFIXES)
    if not found:
        raise NoPhotosError(folder)
    chosen = [found[place].read_bytes() for place in spread_places(len(found), limit)]
    return np.stack([prepare(each, size_px=size_px, framing=framing) for each in chosen])

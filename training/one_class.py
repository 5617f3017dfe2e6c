"""One-class inspection: what good photos look like, patch by patch, and how far another photo is from all of that.

Only good photos of the train split are looked at. Patches of feature maps go into a memory bank, thinned so that it
still covers them (Roth et al., "Towards total recall in industrial anomaly detection", 2022), in coordinates in which
good patches have unit covariance (Defard et al., "PaDiM", 2021). A photo is as strange as its strangest patches.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from server.domain.framing import Framing
from server.domain.task import Head, HeadKind, Task
from training.errors import TrainingError
from training.group_bootstrap import Estimate, auroc, group_indices
from training.model import InspectionNetwork
from training.photo_cache import Pixels, open_prepared_photos
from training.photo_data import label_arrays, records_by_split
from training.progress import Follow, unfollowed
from training.task_file import Split

Features = Callable[[Tensor], Tensor]
"""[batch, size, size, 3] uint8 photos to [batch, width, rows, columns] float32 maps."""

BANK_SIZE = 1_000
_CANDIDATES_A_BANK_PLACE = 8
_BATCH = 16
_STRANGEST_SHARE = 0.01
_SHRINKAGE = 1e-3
_FILTERS_A_SCALE = 24
_FILTER_PX = 5
_SCALES = (1, 2, 4)
_CELL_PX = 8
_SEED = 0


class NoGoodPhotosError(TrainingError):
    """There is nothing to learn from: no photo of the train split is good, or none to compare is good or bad."""

    def __init__(self, folder: Path, *, split: str, head: str, lacking: str) -> None:
        """Keeps which photos are lacking."""
        super().__init__(
            f"Split {split} of {folder} has no photo whose {head} is {lacking}.",
            cure="Name the label of good photos with --good, or add photos of both kinds.",
        )
        self.split = split
        self.lacking = lacking


class UnknownGoodLabelError(TrainingError):
    """The head has no such label, or is no category head."""

    def __init__(self, label: str, *, head: Head) -> None:
        """Names the labels there are."""
        super().__init__(
            f"Head {head.id} has no label {label!r} that excludes the others.",
            cure=f"Its labels: {', '.join(head.labels)}; name one with --good, or another category head with --head.",
        )
        self.label = label


class TextureFeatures(nn.Module):
    """The energy of random filters at three scales, beside the colour: features where no trained network is there.

    Random filters already answer to frequency and direction: Saxe et al., "On random weights and unsupervised feature
    learning", 2011.
    """

    filters: Tensor

    def __init__(self, *, seed: int = _SEED) -> None:
        super().__init__()
        drawn = torch.randn(_FILTERS_A_SCALE, 3, _FILTER_PX, _FILTER_PX, generator=torch.Generator().manual_seed(seed))
        # Without a mean, a filter answers to what changes from place to place, not to how bright it is.
        centred = drawn - drawn.mean(dim=(2, 3), keepdim=True)
        self.register_buffer("filters", centred / centred.flatten(1).norm(dim=1).reshape(-1, 1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Returns [batch, width, size / 8, size / 8] float32."""
        pixels = images.permute(0, 3, 1, 2).float() / 255
        grid = (max(1, pixels.shape[2] // _CELL_PX), max(1, pixels.shape[3] // _CELL_PX))
        maps = [nn.functional.adaptive_avg_pool2d(pixels, grid)]
        for scale in _SCALES:
            smaller = nn.functional.avg_pool2d(pixels, scale)
            padded = nn.functional.pad(smaller, [_FILTER_PX // 2] * 4, mode="reflect")
            maps.append(nn.functional.adaptive_avg_pool2d(nn.functional.conv2d(padded, self.filters).abs(), grid))
        return torch.cat(maps, dim=1)


class NetworkFeatures:
    """The fused feature map of a trained network, on which its attention looks."""

    def __init__(self, network: InspectionNetwork) -> None:
        self._network = network
        network.views = 1

    def __call__(self, images: Tensor) -> Tensor:
        """Returns [batch, feature_width, rows, columns] float32."""
        seen: list[Tensor] = []
        # A hook works for every backbone, whatever its maps are called.
        handle = self._network.fused.register_forward_hook(lambda _module, _given, output: seen.append(output))
        try:
            self._network(images)
        finally:
            handle.remove()
        # A patch also knows its neighbours.
        return nn.functional.avg_pool2d(seen[0].float(), 3, stride=1, padding=1, count_include_pad=False)


@dataclass(frozen=True, slots=True)
class GoodMemory:
    """What good patches look like.

    Attributes:
        mean: [width] float32. Of good patches.
        whitening: [width, width] float32. Makes their covariance the identity.
        bank: [patch_count, width] float32. Whitened good patches that cover all others.
    """

    mean: Tensor
    whitening: Tensor
    bank: Tensor

    def distances(self, maps: Tensor) -> Tensor:
        """Returns [batch, rows, columns] float32: how far each patch is from the nearest good one.

        Args:
            maps: [batch, width, rows, columns] float32.
        """
        patches = (maps.permute(0, 2, 3, 1) - self.mean) @ self.whitening
        return torch.cdist(patches.flatten(0, 2), self.bank).amin(dim=1).reshape(patches.shape[:3])


@dataclass(frozen=True, slots=True)
class OneClassReport:
    """How well good and bad photos are told apart by one who has only seen good ones.

    Attributes:
        good: The label of good photos.
        split: The photos that were judged.
        learnt_from: Good photos of the train split.
        is_bad: [photo_count] bool.
        scores: [photo_count] float64. How strange each photo is; of no unit.
        auroc: The chance that a bad photo is stranger than a good one.
    """

    good: str
    split: Split
    learnt_from: int
    is_bad: npt.NDArray[np.bool_]
    scores: npt.NDArray[np.float64]
    auroc: Estimate


def fit_memory(features: Features, photos: Pixels, *, bank_size: int = BANK_SIZE, seed: int = _SEED) -> GoodMemory:
    """Remembers good photos.

    Args:
        features: Turns photos into maps.
        photos: [photo_count, size, size, 3] uint8. Good ones only.
        bank_size: Patches to keep, at most.
        seed: Draws the patches that may be kept.
    """
    wanted = bank_size * _CANDIDATES_A_BANK_PLACE
    a_photo = -(-wanted // len(photos))
    generator = torch.Generator().manual_seed(seed)
    candidates = torch.cat(
        [
            patches[torch.randperm(len(patches), generator=generator)[:a_photo]]
            for maps in _maps(features, photos)
            for patches in maps.flatten(2).transpose(1, 2)
        ]
    )
    mean = candidates.mean(dim=0)
    centred = (candidates - mean).double()
    covariance = centred.T @ centred / len(centred)
    covariance += _SHRINKAGE * covariance.diagonal().mean() * torch.eye(len(mean), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(covariance)
    whitening = (vectors / values.clamp_min(1e-12).sqrt()).float()
    return GoodMemory(mean, whitening, _cover((candidates - mean) @ whitening, bank_size))


def score_photos(
    features: Features, memory: GoodMemory, photos: Pixels, *, on_photo: Follow = unfollowed
) -> npt.NDArray[np.float64]:
    """Returns [photo_count] float64: the mean distance of a photo's strangest patches.

    Args:
        features: As the memory was fitted with.
        memory: What good photos look like.
        photos: [photo_count, size, size, 3] uint8.
        on_photo: Called with (photos done, photos in all).
    """
    scores: list[Tensor] = []
    for maps in _maps(features, photos):
        distances = memory.distances(maps).flatten(1)
        strangest = max(1, round(_STRANGEST_SHARE * distances.shape[1]))
        scores.append(distances.topk(strangest, dim=1).values.mean(dim=1))
        on_photo(sum(map(len, scores)), len(photos))
    array: npt.NDArray[np.float64] = torch.cat(scores).double().numpy()
    return array


def judge_one_class(
    features: Features,
    folder: Path,
    task: Task,
    *,
    head: Head,
    good: str,
    split: Split,
    size_px: int,
    framing: Framing,
    on_photo: Follow = unfollowed,
) -> OneClassReport:
    """Learns what good photos of the train split look like, and judges all photos of another split by it.

    Args:
        features: Turns photos into maps.
        folder: The dataset's folder.
        task: The taxonomy.
        head: The category head that says what is good.
        good: Its label of good photos; photos without a label are left out.
        split: The photos to judge.
        size_px: The side at which photos are looked at.
        framing: How a photo becomes a square.
        on_photo: Called with (photos judged, photos in all).

    Raises:
        UnknownGoodLabelError: The head has no such label.
        NoGoodPhotosError: No photo of the train split is good, or the other split lacks good or bad ones.
        TrainingError: The dataset is missing, or a split is empty.
    """
    if head.kind is not HeadKind.CATEGORY or good not in head.labels:
        raise UnknownGoodLabelError(good, head=head)
    place, parts = head.labels.index(good), records_by_split(folder, task_id=task.id)
    labels = label_arrays(parts["train"], task)[head.id]
    learnt = tuple(each for each, label in zip(parts["train"], labels, strict=True) if label == place)
    if not learnt:
        raise NoGoodPhotosError(folder, split="train", head=head.id, lacking=good)
    labels = label_arrays(parts[split], task)[head.id]
    judged = tuple(each for each, label in zip(parts[split], labels, strict=True) if label >= 0)
    is_bad = labels[labels >= 0] != place
    for lacking, is_there in ((good, not is_bad.all()), (f"other than {good}", is_bad.any())):
        if not is_there:
            raise NoGoodPhotosError(folder, split=split, head=head.id, lacking=lacking)
    memory = fit_memory(features, open_prepared_photos(folder, learnt, size_px=size_px, framing=framing))
    pixels = open_prepared_photos(folder, judged, size_px=size_px, framing=framing)
    scores = score_photos(features, memory, pixels, on_photo=on_photo)
    groups = group_indices([each.specimen for each in judged])
    return OneClassReport(good, split, len(learnt), is_bad, scores, auroc(scores, is_bad, groups))


def _maps(features: Features, photos: Pixels) -> Iterator[Tensor]:
    with torch.inference_mode():
        for first in range(0, len(photos), _BATCH):
            yield features(torch.from_numpy(np.array(photos[first : first + _BATCH])))


def _cover(patches: Tensor, count: int) -> Tensor:
    """Returns patches such that no other is far from all of them: each next one is the farthest from those chosen.

    Gonzalez, "Clustering to minimize the maximum intercluster distance", 1985.
    """
    if len(patches) <= count:
        return patches
    chosen = [0]
    nearest = (patches - patches[0]).square().sum(dim=1)
    while len(chosen) < count:
        chosen.append(int(nearest.argmax()))
        nearest = torch.minimum(nearest, (patches - patches[chosen[-1]]).square().sum(dim=1))
    return patches[chosen]

"""Photos and labels as arrays, prepared once, and batches in a seeded order."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from small_dataset import SIZE_PX, write_small_dataset

from server.domain.framing import Framing
from server.imaging import prepare
from training.augmentation import Augmentation, turn_and_flip
from training.batch_order import BatchOrder
from training.dataset import PhotoRecord
from training.photo_cache import open_prepared_photos
from training.photo_data import (
    EmptySplitError,
    PhotoSplit,
    StrangeLabelsError,
    label_arrays,
    open_splits,
    photo_loader,
)
from training.photo_weights import NothingTrustedError, sampling_weights
from training.place_sampling import SamplingSection
from training.recipe import AugmentationSection
from training.task_file import load_task_file

TASK = load_task_file("cannabis").to_domain()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[PhotoRecord]]:
    """A small dataset on disk."""
    folder = tmp_path_factory.mktemp("dataset")
    return folder, write_small_dataset(folder, photos_a_split={"train": 20, "val_select": 4})


@pytest.fixture(scope="module")
def train_split(dataset: tuple[Path, list[PhotoRecord]]) -> PhotoSplit:
    """Its training photos."""
    folder, records = dataset
    chosen = tuple(each for each in records if each.split == "train")
    pixels = open_prepared_photos(folder, chosen, size_px=SIZE_PX, framing=Framing.CENTRE, workers=1)
    return PhotoSplit(chosen, pixels, label_arrays(chosen, TASK))


def test_cached_pixels_are_those_that_serve(dataset: tuple[Path, list[PhotoRecord]], train_split: PhotoSplit) -> None:
    """The cache holds exactly what `server.imaging.prepare` returns, in the records' order."""
    folder, _ = dataset
    for place, record in enumerate(train_split.records):
        expected = prepare((folder / record.photo).read_bytes(), size_px=SIZE_PX)
        assert np.array_equal(train_split.pixels[place], expected)


def test_whole_photos_have_a_cache_of_their_own(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """The same photos at the same size, framed otherwise, are other pixels."""
    folder, records = dataset
    long = Image.new("RGB", (64, 32), (200, 40, 40))
    long.save(folder / "long.png")
    record = records[0].model_copy(update={"photo": "long.png", "sha256": "5" * 64})
    centre = open_prepared_photos(folder, [record], size_px=SIZE_PX, framing=Framing.CENTRE, workers=1)
    whole = open_prepared_photos(folder, [record], size_px=SIZE_PX, framing=Framing.WHOLE, workers=1)
    assert (centre == (200, 40, 40)).all()
    assert (whole[0, :8] == 128).all()


def test_photos_are_prepared_once(dataset: tuple[Path, list[PhotoRecord]], train_split: PhotoSplit) -> None:
    """A second opening reads the cache and prepares nothing."""
    folder, records = dataset
    seen: list[int] = []
    chosen = [each for each in records if each.split == "train"]
    open_prepared_photos(
        folder, chosen, size_px=SIZE_PX, framing=Framing.CENTRE, on_progress=lambda done, _: seen.append(done)
    )
    assert len(train_split) == 20
    assert seen == []


def test_a_photo_of_another_content_is_prepared_anew(tmp_path: Path) -> None:
    """The cache is named by digests: photos rendered again under the same names are no stale pixels."""
    records = write_small_dataset(tmp_path, photos_a_split={"train": 2})
    first = np.array(open_prepared_photos(tmp_path, records, size_px=SIZE_PX, framing=Framing.CENTRE, workers=1))
    (tmp_path / records[0].photo).write_bytes((tmp_path / records[1].photo).read_bytes())
    changed = [records[0].model_copy(update={"sha256": records[1].sha256}), records[1]]
    second = open_prepared_photos(tmp_path, changed, size_px=SIZE_PX, framing=Framing.CENTRE, workers=1)
    assert np.array_equal(second[0], first[1])
    assert not np.array_equal(second[0], first[0])


def test_another_way_to_prepare_photos_makes_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pixels of an older rule, or of another decoder, are never trained on beside those that are served."""
    records = write_small_dataset(tmp_path, photos_a_split={"train": 2})

    def caches() -> set[str]:
        open_prepared_photos(tmp_path, records, size_px=SIZE_PX, framing=Framing.CENTRE, workers=1)
        return {each.name for each in (tmp_path / "cache").iterdir()}

    assert len(caches()) == len(caches()) == 1
    monkeypatch.setattr("training.photo_cache.prepare", lambda *given, **named: prepare(*given, **named) + 1)
    assert len(caches()) == 2


def test_an_empty_split_is_named(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """A dataset without calibration photos is refused before anything is trained."""
    folder, _ = dataset
    with pytest.raises(EmptySplitError, match="val_calib"):
        open_splits(folder, TASK, size_px=SIZE_PX, framing=Framing.CENTRE)


def test_a_missing_label_is_below_zero(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """A head that a record does not name is masked, not guessed."""
    bare = dataset[1][0].model_copy(update={"labels": {"quality_grade": "B"}})
    arrays = label_arrays([bare], TASK)
    assert arrays["product_type"].tolist() == [-1]
    assert arrays["quality_grade"].tolist() == [2]
    assert arrays["attributes"].tolist() == [[-1.0] * 10]


def test_a_label_that_the_task_does_not_know_is_named(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """Taken out of the task file after the import: neither a crash without a name nor a wrong index."""
    record = dataset[1][0].model_copy(update={"labels": {"product_type": "lettuce"}})
    with pytest.raises(StrangeLabelsError, match="labelled lettuce, which head product_type does not have"):
        label_arrays([record], TASK)


def test_the_seed_decides_the_order(train_split: PhotoSplit) -> None:
    """The same seed gives the same batches, another one others, and none leaves out a photo but the last ones."""

    def first_labels(seed: int) -> list[list[int]]:
        batches = photo_loader(train_split, batch_size=8, shuffle_seed=seed)
        return [labels["product_type"].tolist() for _, labels, _ in batches]

    assert first_labels(1) == first_labels(1)
    assert first_labels(1) != first_labels(2)
    assert [len(each) for each in first_labels(1)] == [8, 8]


def test_a_part_of_a_split_is_spread_over_it(train_split: PhotoSplit) -> None:
    """From the first photo to the last, each with its own record, pixels and labels."""
    part = replace(train_split, taught={"kind": np.arange(20, dtype=np.float32).reshape(20, 1)}).spread(3)
    places = [0, 10, 19]
    assert part.records == tuple(train_split.records[each] for each in places)
    assert np.array_equal(part.pixels, train_split.pixels[places])
    assert part.labels["product_type"].tolist() == train_split.labels["product_type"][places].tolist()
    assert part.taught["kind"].ravel().tolist() == places
    assert train_split.spread(20) is train_split


def test_photos_are_drawn_by_their_weights(train_split: PhotoSplit) -> None:
    """A photo of weight 0 is never drawn, one of thrice the weight about thrice as often, and the seed decides when."""
    weights = np.array([0.0, 3.0] + [1.0] * 18)
    numbered = replace(train_split, labels={"photo": np.arange(20)})

    def drawn(seed: int) -> list[int]:
        loader = photo_loader(numbered, batch_size=4, shuffle_seed=seed, weights=weights)
        photos: list[int] = []
        for epoch in range(60):
            cast("BatchOrder", loader.sampler).set_epoch(epoch)
            photos += [photo for _, labels, _ in loader for photo in labels["photo"].tolist()]
        return photos

    counts = Counter(drawn(1))
    assert counts[0] == 0
    assert counts[1] / (sum(counts[photo] for photo in range(2, 20)) / 18) == pytest.approx(3, abs=0.75)
    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_trust_and_place_multiply(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """A photo near the target counts five times its trust; alike photos need no weights at all."""
    records = dataset[1][:4]
    near, far = {"place": (52.5, 13.4)}, {"place": (0.0, 0.0), "weight": 0.5}
    mixed = [records[0].model_copy(update=near), records[1].model_copy(update=far)]
    weights = sampling_weights(mixed, SamplingSection(by_place=True, target_places=((52.5, 13.4),)))
    assert weights is not None
    assert weights.tolist() == [5.0, 0.15]
    assert sampling_weights(records, SamplingSection()) is None
    with pytest.raises(NothingTrustedError):
        sampling_weights([records[0].model_copy(update={"weight": 0.0})], SamplingSection())


def test_augmentation_keeps_shape_and_type(train_split: PhotoSplit) -> None:
    """Photos stay uint8 NHWC, are changed, and the seed decides how."""
    images, *_ = next(iter(photo_loader(train_split, batch_size=8, shuffle_seed=None)))
    augmentation = Augmentation(AugmentationSection())
    results = []
    for _ in range(2):
        torch.manual_seed(3)
        results.append(augmentation(images))
    assert results[0].shape == images.shape
    assert results[0].dtype == torch.uint8
    assert not torch.equal(results[0], images)
    assert torch.equal(results[0], results[1])


def test_turns_and_flips_draw_all_eight_symmetries() -> None:
    """Each photo is one of its eight symmetric versions, and all of them turn up."""
    photo = torch.arange(12, dtype=torch.uint8).reshape(3, 2, 2)
    symmetries = {
        tuple(turned.flatten().tolist())
        for turns in range(4)
        for turned in (photo.rot90(turns, dims=(1, 2)), photo.rot90(turns, dims=(1, 2)).flip(2))
    }
    torch.manual_seed(1)
    drawn = turn_and_flip(photo.expand(400, -1, -1, -1))
    assert {tuple(each.flatten().tolist()) for each in drawn} == symmetries
    assert len(symmetries) == 8


def test_changes_without_a_share_leave_only_the_symmetries(train_split: PhotoSplit) -> None:
    """A recipe with shares of 0 moves no pixel's value."""
    images, *_ = next(iter(photo_loader(train_split, batch_size=8, shuffle_seed=None)))
    section = AugmentationSection(rotation_degrees=0, shift_share=0, scale_share=0, colour_share=0)
    changed = Augmentation(section)(images)
    for before, after in zip(images, changed, strict=True):
        assert torch.equal(before.flatten().sort().values, after.flatten().sort().values)

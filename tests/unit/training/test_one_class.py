"""One-class inspection on made textures: stripes are good, stripes with a blot are not."""

from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from server.domain.framing import Framing
from server.domain.task import Head, HeadKind, Task
from training.dataset import INDEX_NAME, PhotoRecord
from training.group_bootstrap import auroc
from training.model import HeadShape, InspectionNetwork
from training.one_class import (
    NetworkFeatures,
    NoGoodPhotosError,
    OneClassReport,
    TextureFeatures,
    UnknownGoodLabelError,
    fit_memory,
    judge_one_class,
    score_photos,
)
from training.photo_cache import Pixels
from training.recipe import NetworkSection
from training.task_file import SPLITS, Split

SIZE_PX = 64
HEAD = Head("surface", "Surface", HeadKind.CATEGORY, ("good", "defect"))
TASK = Task("surface_defect", "Surface", (HEAD,), ("surface",))


def stripes(generator: np.random.Generator, *, has_blot: bool) -> Pixels:
    """A photo of stripes whose place and light vary; a blot is a patch of eight pixels without stripes."""
    phase, light = generator.uniform(0, 6), generator.uniform(100, 140)
    columns = np.arange(SIZE_PX)[None, :] + np.zeros((SIZE_PX, 1))
    grey = light + 40 * np.sin(columns * 1.3 + phase) + generator.normal(0, 6, (SIZE_PX, SIZE_PX))
    if has_blot:
        row, column = generator.integers(4, SIZE_PX - 12, 2)
        grey[row : row + 8, column : column + 8] = light + generator.normal(0, 6, (8, 8))
    return np.repeat(np.clip(grey, 0, 255).astype(np.uint8)[:, :, None], 3, axis=2)


def photos(count: int, *, seed: int, has_blot: bool) -> Pixels:
    """So many photos of one kind."""
    generator = np.random.default_rng(seed)
    return np.stack([stripes(generator, has_blot=has_blot) for _ in range(count)])


@pytest.fixture
def write_dataset(tmp_path: Path) -> Callable[..., Path]:
    """Writes a dataset with so many photos of each label in each split."""

    def write(*, good_to_train: int = 12, bad_to_test: int = 6) -> Path:
        lines = []
        for number, split in enumerate(SPLITS):
            good = good_to_train if split == "train" else 6
            bad = bad_to_test if split == "val_test" else 3
            for label, count in (("good", good), ("defect", bad)):
                made = photos(count, seed=number, has_blot=label == "defect") if count else ()
                for place, each in enumerate(made):
                    lines.append(_written(tmp_path, each, split, label, place).model_dump_json())
        (tmp_path / INDEX_NAME).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return tmp_path

    return write


def _written(folder: Path, pixels: Pixels, split: Split, label: str, place: int) -> PhotoRecord:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    name = f"{split}_{label}_{place}.png"
    (folder / name).write_bytes(buffer.getvalue())
    digest = sha256(buffer.getvalue()).hexdigest()
    return PhotoRecord(photo=name, sha256=digest, specimen=name, split=split, labels={"surface": label})


def judged(folder: Path, *, good: str = "good") -> OneClassReport:
    """Judges the test photos by the training photos."""
    return judge_one_class(
        TextureFeatures(), folder, TASK, head=HEAD, good=good, split="val_test", size_px=SIZE_PX, framing=Framing.CENTRE
    )


def test_blots_are_stranger_than_stripes() -> None:
    """AUROC at least .90 for who has seen 24 good photos and never a blot."""
    features = TextureFeatures()
    memory = fit_memory(features, photos(24, seed=1, has_blot=False), bank_size=200)
    both = np.concatenate([photos(30, seed=2, has_blot=False), photos(30, seed=3, has_blot=True)])
    scores = score_photos(features, memory, both)
    assert auroc(scores, np.arange(60) >= 30, np.arange(60)).value >= 0.9


def test_a_photo_that_was_learnt_is_not_strange() -> None:
    """With a bank that holds every patch, nothing learnt is away from it."""
    features, learnt = TextureFeatures(), photos(2, seed=1, has_blot=False)
    memory = fit_memory(features, learnt, bank_size=10_000)
    assert score_photos(features, memory, learnt).max() < 0.1


def test_good_patches_are_white() -> None:
    """No direction of the bank before thinning varies more than another may, but for the shrinkage."""
    memory = fit_memory(TextureFeatures(), photos(24, seed=1, has_blot=False), bank_size=10_000)
    spread = memory.bank.var(dim=0)
    assert 0.8 < float(spread.max()) < 1.05


def test_a_trained_network_can_give_the_features() -> None:
    """Its fused map, a vector a place."""
    section = NetworkSection(backbone="test_efficientnet", input_size_px=SIZE_PX, feature_width=8, head_width=8)
    network = InspectionNetwork(section, [HeadShape("surface", 2)], density_class_count=2).eval()
    maps = NetworkFeatures(network)(torch.from_numpy(photos(2, seed=1, has_blot=False)))
    assert maps.shape[:2] == (2, 8)
    memory = fit_memory(NetworkFeatures(network), photos(4, seed=1, has_blot=False), bank_size=20)
    assert memory.bank.shape[1] == 8


def test_a_dataset_is_judged_by_its_good_training_photos(write_dataset: Callable[..., Path]) -> None:
    """Counts, order and interval."""
    report = judged(write_dataset())
    assert report.learnt_from == 12
    assert report.is_bad.tolist() == [False] * 6 + [True] * 6
    assert report.auroc.low <= report.auroc.value <= report.auroc.high


def test_without_good_photos_there_is_nothing_to_learn(write_dataset: Callable[..., Path]) -> None:
    """The error names the split and the label."""
    with pytest.raises(NoGoodPhotosError, match=r"Split train .* surface is good"):
        judged(write_dataset(good_to_train=0))


def test_without_bad_photos_there_is_nothing_to_judge(write_dataset: Callable[..., Path]) -> None:
    """An AUROC needs both kinds."""
    with pytest.raises(NoGoodPhotosError, match=r"Split val_test .* other than good"):
        judged(write_dataset(bad_to_test=0))


def test_an_unknown_good_label_is_told_with_those_there_are(write_dataset: Callable[..., Path]) -> None:
    """A typing error is no empty result."""
    with pytest.raises(UnknownGoodLabelError, match="good, defect"):
        judged(write_dataset(), good="free")

"""A dataset that a tiny network learns in seconds: plain colours, one a product type, under cannabis's taxonomy."""

from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from server.domain.framing import Framing
from training.dataset import INDEX_NAME, PhotoRecord
from training.recipe import LossSection, NetworkSection, StageSection, TierSection, TrainingSection, Views
from training.task_file import SPLITS, Split, TaskFile, load_task_file

COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200))
SIZE_PX = 32


def small_task(
    *,
    epochs: int = 1,
    feature_width: int = 8,
    size_px: int = SIZE_PX,
    framing: Framing = Framing.CENTRE,
    views: Views = 1,
) -> TaskFile:
    """Returns the cannabis task with a tiny network."""
    network = NetworkSection(
        backbone="test_efficientnet",
        input_size_px=size_px,
        framing=framing,
        feature_width=feature_width,
        head_width=8,
        views=views,
    )
    recipe = TrainingSection(
        stages=(StageSection(epochs=epochs),),
        batch_size=8,
        threads=1,
        ema_decay=0.5,
        loss=LossSection(head_weights={}, logit_samples=2),
    )
    tiers = {"fast": TierSection(demo=network, production=network)}
    return load_task_file("cannabis").model_copy(update={"tiers": tiers, "training": recipe})


def with_rendering(task: TaskFile, **changes: object) -> TaskFile:
    """Returns a rendered task with some of `[data.rendering]` changed."""
    rendering = task.rendering.model_copy(update=changes)
    return task.model_copy(update={"data": task.data.model_copy(update={"rendering": rendering})})


def write_small_dataset(folder: Path, *, photos_a_split: dict[Split, int] | None = None) -> list[PhotoRecord]:
    """Writes photos and their index; two photos a specimen, and a split holds whole specimens."""
    task = load_task_file("cannabis").to_domain()
    product, grade, attributes = task.heads
    generator = np.random.default_rng(7)
    records = []
    counts = photos_a_split or dict.fromkeys(SPLITS, 24)
    for split, count in counts.items():
        for place in range(count):
            kind, level = int(generator.integers(5)), int(generator.integers(5))
            present = tuple(label for label in attributes.labels if generator.random() < 0.5)
            content = _photo(kind, level, generator)
            name = f"photos/{split}_{place}.jpg"
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
            records.append(
                PhotoRecord(
                    photo=name,
                    sha256=sha256(content).hexdigest(),
                    specimen=f"{split}_{place // 2}",
                    split=split,
                    device="test",
                    orientation=1,
                    labels={
                        "product_type": product.labels[kind],
                        "quality_grade": grade.labels[level],
                        "attributes": present,
                    },
                    posteriors={
                        "product_type": tuple(0.9 if each == kind else 0.025 for each in range(5)),
                        "quality_grade": (0.2,) * 5,
                        "attributes": (0.5,) * 10,
                    },
                )
            )
    (folder / INDEX_NAME).write_text("".join(f"{each.model_dump_json()}\n" for each in records), encoding="utf-8")
    return records


def _photo(kind: int, level: int, generator: np.random.Generator) -> bytes:
    """A plain colour under a little noise; the grade is its brightness."""
    pixels = np.array(COLOURS[kind]) * (1 - 0.12 * level) + generator.normal(0, 6, (40, 48, 3))
    buffer = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return buffer.getvalue()

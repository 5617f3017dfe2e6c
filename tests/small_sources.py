"""Sources of few photos, and what becomes of them: shared by the tests of imports."""

import csv
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from training.dataset import PhotoRecord, read_records
from training.sources.feedback import FeedbackSource
from training.sources.found_photo import Source
from training.sources.import_dataset import ImportReport, ImportRequest, import_dataset
from training.sources.local_folder import open_folder
from training.sources.problems import OnBad
from training.task_file import HeadSection, TaskFile, load_task_file

SURFACE = HeadSection(id="surface", title="Surface", kind="category", labels=("good", "defect"))
MARKS = HeadSection(id="marks", title="Marks", kind="attributes", labels=("rust", "dent"))
HEADS = ("surface", "marks")
TASK = load_task_file("cannabis").model_copy(
    update={"id": "surface_defect", "heads": (SURFACE, MARKS), "decision_heads": ("surface",)}
)


def scene(seed: int, *, exposure: float = 1.0, kind: str = "JPEG") -> bytes:
    """Returns a small photo of a blotchy scene that the seed decides."""
    coarse = np.random.default_rng(seed).uniform(40, 190, (12, 12)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).point(lambda value: value * exposure)
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_table(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes a CSV."""
    with (folder / "photos.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_tiles(folder: Path, *, tiles: int = 20, exposures: int = 2) -> list[dict[str, object]]:
    """Writes photos of tiles under several exposures, every other one defective, and a table of them."""
    rows: list[dict[str, object]] = []
    for tile in range(tiles):
        for exposure in range(exposures):
            name = f"{'crack' if tile % 2 else 'free'}/t{tile}_e{exposure}.jpg"
            write(folder / name, scene(tile, exposure=1 - 0.2 * exposure))
            rows.append({"file": name, "tile": tile, "surface": "defect" if tile % 2 else "good"})
    write_table(folder, rows)
    return rows


def run(
    source: Source,
    output: Path,
    *,
    on_bad: OnBad = "stop",
    names: Mapping[str, str] | None = None,
    task: TaskFile = TASK,
    adds: bool = False,
) -> ImportReport:
    """Imports a source of few photos."""
    kind = "feedback" if isinstance(source, FeedbackSource) else "folder"
    return import_dataset(ImportRequest(task, source, kind, output, on_bad, names or {}, least_photos=2, adds=adds))


def imported(output: Path) -> list[PhotoRecord]:
    """Returns what was imported."""
    return read_records(output, task_id=TASK.id)


def folder_source(folder: Path, **asked: str) -> Source:
    """Returns the source of a folder."""
    return open_folder(folder, heads=HEADS, decision_head="surface", asked=asked)

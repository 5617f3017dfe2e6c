"""Writes a rendered dataset, chunk by chunk: restartable, and the same bytes whatever the number of workers."""

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from training.dataset import INDEX_NAME, SUMMARY_NAME, DatasetSummary, PhotoRecord
from training.errors import ForeignDatasetError
from training.renderers.parameters import RendererParameters
from training.renderers.registry import build_renderer
from training.renderers.renderer import RenderedSpecimen, Renderer
from training.task_file import SPLITS, TaskFile
from training.workers import worker_pool

SPECIMENS_PER_CHUNK = 100


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of specimens that one worker renders and that restarts as a whole."""

    task: TaskFile
    folder: Path
    first: int
    """Index of its first specimen."""
    count: int

    @property
    def receipt(self) -> Path:
        """The file of records that proves the chunk complete."""
        return _receipts(self.folder, task=self.task) / f"{self.first:06d}-{self.count}.jsonl"


def plan_chunks(task: TaskFile, *, folder: Path, limit: int | None) -> list[Chunk]:
    """Returns the chunks of a dataset; with a limit, the first ones that hold at least `limit` photos."""
    chunks: list[Chunk] = []
    photos = 0
    for first in range(0, task.rendering.all_specimen_count, SPECIMENS_PER_CHUNK):
        if limit is not None and photos >= limit:
            break
        count = min(SPECIMENS_PER_CHUNK, task.rendering.all_specimen_count - first)
        chunks.append(Chunk(task=task, folder=folder, first=first, count=count))
        if limit is not None:
            renderer = _renderer(task.rendering.renderer, task.rendering.parameters)
            photos += sum(renderer.specimen(index).photo_count for index in range(first, first + count))
    return chunks


def _unheard(_done: int, _total: int) -> None:
    """Nobody watches."""


def render_dataset(
    task: TaskFile,
    *,
    folder: Path,
    workers: int,
    limit: int | None = None,
    on_chunk: Callable[[int, int], None] = _unheard,
) -> DatasetSummary:
    """Renders what is missing, then writes the index and the summary.

    Args:
        task: The task whose renderer and parameters to use.
        folder: Where the dataset lies; made if missing.
        workers: Number of processes, at least 1.
        limit: Stop at the first whole chunk that reaches this many photos; None for the full dataset.
        on_chunk: Called with (chunks done, chunks in all) whenever a chunk is complete.

    Raises:
        ForeignDatasetError: The folder holds photos of other parameters.
    """
    _refuse_foreign(folder, task=task)
    chunks = plan_chunks(task, folder=folder, limit=limit)
    missing = [chunk for chunk in chunks if not chunk.receipt.is_file()]
    on_chunk(len(chunks) - len(missing), len(chunks))
    _receipts(folder, task=task).mkdir(parents=True, exist_ok=True)
    if missing:
        pool = worker_pool(workers)
        try:
            futures = [pool.submit(render_chunk, chunk) for chunk in missing]
            for done, future in enumerate(as_completed(futures), start=len(chunks) - len(missing) + 1):
                future.result()
                on_chunk(done, len(chunks))
        finally:
            pool.shutdown(cancel_futures=True)
    return _write_index(task, chunks=chunks, folder=folder, limit=limit)


def render_chunk(chunk: Chunk) -> None:
    """Writes a chunk's photos, then its receipt in one rename."""
    rendering = chunk.task.rendering
    renderer = _renderer(rendering.renderer, rendering.parameters)
    records = [
        _write_photo(chunk, specimen_index=index, specimen=specimen, photo_index=photo_index, renderer=renderer)
        for index in range(chunk.first, chunk.first + chunk.count)
        for specimen in (renderer.specimen(index),)
        for photo_index in range(specimen.photo_count)
    ]
    _write_whole(chunk.receipt, "".join(f"{record.model_dump_json(exclude_none=True)}\n" for record in records))


@cache
def _renderer(name: str, parameters: RendererParameters) -> Renderer:
    """One renderer a process: its banks cost seconds."""
    return build_renderer(name, parameters)


def _write_photo(
    chunk: Chunk, *, specimen_index: int, specimen: RenderedSpecimen, photo_index: int, renderer: Renderer
) -> PhotoRecord:
    rendered = renderer.render(specimen_index, photo_index)
    name = f"{specimen.name}_p{photo_index}"
    path = Path("photos") / sha256(name.encode()).hexdigest()[:2] / f"{name}.jpg"
    (chunk.folder / path.parent).mkdir(parents=True, exist_ok=True)
    (chunk.folder / path).write_bytes(rendered.content)
    task = chunk.task
    return PhotoRecord(
        photo=path.as_posix(),
        sha256=sha256(rendered.content).hexdigest(),
        specimen=specimen.name,
        split=task.split_of(specimen.name, index=specimen_index),
        device=rendered.device,
        orientation=rendered.orientation,
        lighting=specimen.lighting,
        place=specimen.place,
        taken=specimen.taken,
        labels=specimen.labels,
        posteriors=specimen.posteriors,
    )


def _receipts(folder: Path, *, task: TaskFile) -> Path:
    return folder / "chunks" / task.rendering.parameters_sha256[:12]


def _refuse_foreign(folder: Path, *, task: TaskFile) -> None:
    wanted = task.rendering.parameters_sha256[:12]
    for found in (folder / "chunks").glob("*"):
        if found.name != wanted:
            raise ForeignDatasetError(folder, found=f"of parameters {found.name}", wanted=wanted)
    summary = folder / SUMMARY_NAME
    if summary.is_file():
        told = DatasetSummary.model_validate_json(summary.read_text("utf-8"))
        if told.source is not None or told.task != task.id:
            found_there = f"of {told.task} from {told.source or 'its renderer'}"
            raise ForeignDatasetError(folder, found=found_there, wanted=f"of {task.id} from its renderer")


def _write_index(task: TaskFile, *, chunks: list[Chunk], folder: Path, limit: int | None) -> DatasetSummary:
    index = "".join(chunk.receipt.read_text(encoding="utf-8") for chunk in chunks)
    records = [PhotoRecord.model_validate_json(line) for line in index.splitlines()]
    splits = Counter(record.split for record in records)
    summary = DatasetSummary(
        task=task.id,
        parameters_sha256=task.rendering.parameters_sha256,
        index_sha256=sha256(index.encode()).hexdigest(),
        photo_count=len(records),
        specimen_count=sum(chunk.count for chunk in chunks),
        photos_by_split={split: splits[split] for split in SPLITS},
        versions={name: version(name) for name in ("numpy", "pillow", "scipy")},
        command=f"loupe-train render {task.id}" + ("" if limit is None else f" --limit {limit}"),
        one_class_label=task.data.one_class_label,
    )
    _write_whole(folder / INDEX_NAME, index)
    _write_whole(folder / SUMMARY_NAME, summary.model_dump_json(indent=2) + "\n")
    return summary


def _write_whole(path: Path, text: str) -> None:
    """Writes aside and rename, so that the file is whole or missing."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)

"""Turns a source into a dataset on disk: photos, index, splits, summary, and what was left out and why.

Splits are kept: what the folder held before stays where it was. Everything is checked before anything is written.
"""

import os
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import numpy as np

from training.dataset import INDEX_NAME, SUMMARY_NAME, DatasetSummary, PhotoRecord, read_records
from training.errors import ForeignDatasetError
from training.near_duplicates import NearDuplicateSection, near_pairs
from training.photo_facts import look_at_all
from training.progress import Follow, unfollowed
from training.sources.errors import NoPhotosError
from training.sources.found_photo import Source
from training.sources.known_photos import add_to, photos_of
from training.sources.place_photos import join_specimens, place_photos, with_told_splits
from training.sources.problems import OnBad, Problem, Problems
from training.sources.read_photos import (
    LEAST_PHOTOS,
    ReadPhoto,
    read_photos,
    without_copies,
    without_empty_classes,
)
from training.splits import SPLIT_FILE_NAME, names_of, read_split_file, split_file_text
from training.task_file import SPLITS, Split, TaskFile
from training.workers import PROCESSORS


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import.

    Attributes:
        task: The task file: its taxonomy, and the shares of its splits.
        source: Where the photos come from.
        kind: The word for that, for the record.
        output: The dataset's folder.
        on_bad: What to do with photos that cannot be used.
        label_names: The source's names of labels to the task's; they go before the source's own.
        least_photos: A label of a category head with fewer is empty.
        near: When photos count as the same thing.
        in_place: Whether photos of a folder stay there and are referred to; else they are copied.
        workers: Threads that decode.
        adds: Whether the photos that the folder holds stay in its index; else they leave it.
        command: What the user typed, for the record.
    """

    task: TaskFile
    source: Source
    kind: str
    output: Path
    on_bad: OnBad = "skip"
    label_names: Mapping[str, str] = field(default_factory=dict)
    least_photos: int = LEAST_PHOTOS
    near: NearDuplicateSection = field(default_factory=NearDuplicateSection)
    in_place: bool = False
    workers: int = PROCESSORS
    adds: bool = False
    command: str = "loupe-train import"


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did.

    Attributes:
        summary: As written beside the photos.
        problems: What was left out, or known wrongly.
        rare_labels: `head.label` to its photos, where they are fewer than enough.
        joined_groups: How many groups of the source were joined to others, because photos of both show the same.
        placed_count: Photos whose place is known.
    """

    summary: DatasetSummary
    problems: tuple[Problem, ...]
    rare_labels: dict[str, int]
    joined_groups: int
    placed_count: int


def import_dataset(
    request: ImportRequest, *, on_photo: Follow = unfollowed, on_pair: Follow = unfollowed
) -> ImportReport:
    """Imports a source.

    Args:
        request: What, and how.
        on_photo: Follows the photos while they are decoded.
        on_pair: Follows them while they are compared.

    Raises:
        TrainingError: There is no dataset to add to; the source is not of its kind; nothing is left of it; a photo or a
            label is bad and the policy is to stop; the splits leak or have wrong sizes; or the folder holds a rendered
            dataset.
    """
    _refuse_foreign(request.output, task_id=request.task.id)
    task = request.task.to_domain()
    problems, earlier = Problems(request.on_bad), _earlier_records(request)
    places = _places_so_far(request.output, earlier)
    found, known = list(request.source.photos()), photos_of(request.output, earlier) if request.adds else []
    facts = look_at_all(
        [each.read for each in (*known, *found)],
        framing=request.task.framing,
        workers=request.workers,
        on_progress=on_photo,
    )
    names = {**request.source.label_names, **request.label_names}
    read = read_photos(found, facts[len(known) :], task=task, names=names, problems=problems)
    read = with_told_splits(read, request.source.split_file)
    if known:
        # Their labels are the task's own by now.
        held = read_photos(known, facts[: len(known)], task=task, names={}, problems=problems)
        read = add_to(held, read, problems=problems)
    read = without_copies(read, problems=problems)
    read, rare = without_empty_classes(read, task=task, least=request.least_photos, problems=problems)
    if not read:
        raise NoPhotosError(f"The {request.kind} source", reasons=problems.skipped())
    read = sorted(read, key=lambda each: each.found.name)
    pairs = near_pairs(
        np.stack([each.facts.hash_bits for each in read]),
        max_distance=request.near.max_distance,
        on_progress=on_pair,
    )
    before = len({each.record.specimen for each in read})
    read = join_specimens(read, pairs, section=request.near)
    joined = before - len({each.record.specimen for each in read})
    read = place_photos(
        read,
        pairs,
        task=task,
        shares=request.task.data.splits,
        before=places,
        problems=problems,
    )
    _write_photos(request, read)
    records = [_referring(each, request.output) if request.in_place else each.record for each in read]
    summary = _write_index(request, records, problems, places)
    placed = sum(record.place is not None for record in records)
    return ImportReport(summary, tuple(problems.found), rare, joined, placed)


def _refuse_foreign(folder: Path, *, task_id: str) -> None:
    """Refuses a folder that holds rendered photos, or another task's."""
    summary = folder / SUMMARY_NAME
    if summary.is_file():
        told = DatasetSummary.model_validate_json(summary.read_text("utf-8"))
        if told.source is None or told.task != task_id:
            raise ForeignDatasetError(
                folder, found=f"of {told.task} from {told.source or 'its renderer'}", wanted=f"an import of {task_id}"
            )


def _earlier_records(request: ImportRequest) -> list[PhotoRecord]:
    if not request.adds and not (request.output / INDEX_NAME).is_file():
        return []
    return read_records(request.output, task_id=request.task.id)


def _places_so_far(folder: Path, earlier: Sequence[PhotoRecord]) -> dict[str, Split]:
    """Returns the splits of what the folder ever held, by its names: what has no photo by now may come again."""
    path = folder / SPLIT_FILE_NAME
    return (read_split_file(path) if path.is_file() else {}) | names_of(earlier)


def _write_photos(request: ImportRequest, read: Sequence[ReadPhoto]) -> None:
    request.output.mkdir(parents=True, exist_ok=True)
    for each in read:
        target = request.output / each.record.photo
        if target.is_file() or (request.in_place and each.found.path is not None):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        aside = target.with_name(f".{target.name}.{os.getpid()}")
        if each.found.path is None:
            aside.write_bytes(each.found.read())
        else:
            shutil.copyfile(each.found.path, aside)
        aside.replace(target)


def _referring(each: ReadPhoto, output: Path) -> PhotoRecord:
    if each.found.path is None:
        return each.record
    return each.record.model_copy(update={"photo": os.path.relpath(each.found.path.resolve(), output.resolve())})


def _write_index(
    request: ImportRequest, records: Sequence[PhotoRecord], problems: Problems, places: Mapping[str, Split]
) -> DatasetSummary:
    told = _told_before(request)
    index = "".join(f"{record.model_dump_json()}\n" for record in records)
    splits = Counter(record.split for record in records)
    normal = request.source.one_class_label
    label = request.task.data.one_class_label if normal is None else request.label_names.get(normal, normal)
    summary = DatasetSummary(
        task=request.task.id,
        # Of an import, what fixes its difficulty is its content.
        parameters_sha256=sha256("".join(sorted(each.sha256 for each in records)).encode()).hexdigest(),
        index_sha256=sha256(index.encode()).hexdigest(),
        photo_count=len(records),
        specimen_count=len({record.specimen for record in records}),
        photos_by_split={split: splits[split] for split in SPLITS},
        versions={name: version(name) for name in ("numpy", "pillow", "imagehash", "scipy")},
        command=request.command if told is None else f"{told.command} && {request.command}",
        source=request.kind if told is None else f"{told.source} + {request.kind}",
        skipped=problems.skipped(),
        one_class_label=told.one_class_label if told is not None and normal is None else label,
    )
    _write_whole(request.output / SPLIT_FILE_NAME, split_file_text(records, departed=places))
    _write_whole(request.output / INDEX_NAME, index)
    _write_whole(request.output / SUMMARY_NAME, summary.model_dump_json(indent=2) + "\n")
    return summary


def _told_before(request: ImportRequest) -> DatasetSummary | None:
    """Returns what is told of the dataset that this import adds to; None if it begins one."""
    summary = request.output / SUMMARY_NAME
    return DatasetSummary.model_validate_json(summary.read_text("utf-8")) if request.adds else None


def _write_whole(path: Path, text: str) -> None:
    """Writes aside and renames, so that the file is whole or missing."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)

"""Gives imported photos their specimen and their split, and refuses splits that leak.

A split that came with the data is honoured and checked; a split that the folder gave before is kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from server.domain.task import Task
from training.dataset import PhotoRecord
from training.near_duplicates import NearDuplicateSection, Pairs, join_groups, refuse_giants
from training.sources.problems import Problem, Problems
from training.sources.read_photos import ReadPhoto
from training.split_errors import Leak, SplitLeakError
from training.splits import check_splits, find_leaks, honour, read_split_file, share_out, strata_of
from training.task_file import Split, SplitShares

_ONLY_TRAINS: Split = "train"


def with_told_splits(read: list[ReadPhoto], split_file: Path | None) -> list[ReadPhoto]:
    """Returns the photos with the splits that came with them, if any did.

    Args:
        read: All photos, copies among them.
        split_file: The file of splits that came with the data.

    Raises:
        TrainingError: The file cannot be read, says nothing of some photos, or leaks.
    """
    if split_file is not None:
        records = honour([each.record for each in read], read_split_file(split_file), path=split_file)
        read = [
            replace(each, record=record, found=replace(each.found, split=record.split))
            for each, record in zip(read, records, strict=True)
        ]
    if _came_with_splits(read):
        leaks = find_leaks([each.record for each in read])
        if leaks:
            raise SplitLeakError(leaks)
    return read


def _came_with_splits(read: Sequence[ReadPhoto]) -> bool:
    return bool(read) and all(each.found.split is not None for each in read)


def join_specimens(read: list[ReadPhoto], pairs: Pairs, *, section: NearDuplicateSection) -> list[ReadPhoto]:
    """Returns the photos with specimens joined that show the same thing.

    Args:
        read: All photos, one a content.
        pairs: Near-duplicates, as places in `read`.
        section: How large a specimen may be.

    Raises:
        TrainingError: One is so large that the hash must be wrong, or the splits that came with the photos leak.
    """
    if _came_with_splits(read):
        leaks = find_leaks([each.record for each in read], pairs=pairs)
        if leaks:
            raise SplitLeakError(leaks)
    groups = join_groups([each.record.specimen for each in read], [each.facts.sha256 for each in read], pairs)
    refuse_giants(groups, section)
    return [
        replace(each, record=each.record.model_copy(update={"specimen": group}))
        for each, group in zip(read, groups, strict=True)
    ]


def place_photos(
    read: list[ReadPhoto],
    pairs: Pairs,
    *,
    task: Task,
    shares: SplitShares,
    before: Mapping[str, Split],
    problems: Problems,
) -> list[ReadPhoto]:
    """Returns the photos with their splits.

    Args:
        read: All photos, with joined specimens.
        pairs: Near-duplicates, as places in `read`.
        task: Whose decision heads make the strata.
        shares: Of the specimens.
        before: The splits of what the folder ever held, by name; see `training.splits.names_of`.
        problems: Gathers photos that may only train, but are of a specimen that is tested on.

    Raises:
        TrainingError: The splits leak, or have wrong sizes.
    """
    records = [each.record for each in read]
    if _came_with_splits(read):
        check_splits(records, shares=shares, pairs=pairs)
        return read
    kept = _kept_splits(records, before)
    forced = {each.record.specimen: _ONLY_TRAINS for each in read if each.found.only_trains}
    fixed = forced | _told_splits(read) | kept
    places = share_out(strata_of(records, task), shares=shares, task_id=task.id, kept=fixed)
    records = [each.model_copy(update={"split": places[each.specimen]}) for each in records]
    # What was fixed had no choice, and the rest makes up for it: only a free draw is held to the shares.
    check_splits(records, shares=shares, pairs=pairs, sized=() if fixed else records)
    placed = []
    for each, record in zip(read, records, strict=True):
        if each.found.only_trains and record.split != _ONLY_TRAINS:
            problems.add(Problem(each.found.name, "may only train, but its specimen is tested on", record.split))
        else:
            placed.append(replace(each, record=record))
    return placed


def _told_splits(read: Sequence[ReadPhoto]) -> dict[str, Split]:
    """Returns the splits that specimens came with, where only some did.

    Raises:
        SplitLeakError: A specimen came with two.
    """
    told: dict[str, Split] = {}
    for each in read:
        name, split = each.record.specimen, each.found.split
        if split is not None and told.setdefault(name, split) != split:
            raise SplitLeakError([Leak("group", (name,), (told[name], split))])
    return told


def _kept_splits(records: Sequence[PhotoRecord], before: Mapping[str, Split]) -> dict[str, Split]:
    """Returns the splits that specimens had before.

    Raises:
        SplitLeakError: A specimen of now had photos in two splits.
    """
    kept: dict[str, Split] = {}
    for record in records:
        split = before.get(record.sha256) or before.get(record.specimen)
        if split is not None and kept.setdefault(record.specimen, split) != split:
            raise SplitLeakError([Leak("group", (record.specimen,), (kept[record.specimen], split))])
    return kept

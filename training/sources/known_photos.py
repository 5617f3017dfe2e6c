"""Photos that a dataset holds already, and what a source adds to them.

Of a photo that both have, the labels that are trusted more hold; if they are trusted alike, the source's do, for it
knows better by now. What it says nothing of stays. What may only train changes no photo that is calibrated or tested
on.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from training.dataset import PhotoRecord
from training.sources.found_photo import FoundPhoto
from training.sources.problems import Problem, Problems
from training.sources.read_photos import ReadPhoto

_FACTS = ("place", "device", "lighting", "taken")


def photos_of(folder: Path, records: Iterable[PhotoRecord]) -> list[FoundPhoto]:
    """Returns the photos of a dataset as a source tells of photos.

    Args:
        folder: The dataset's.
        records: Its records.
    """
    return [
        FoundPhoto(
            name=record.origin or record.photo,
            read=(folder / record.photo).read_bytes,
            labels=record.labels,
            path=folder / record.photo,
            group=record.specimen,
            split=record.split,
            place=record.place,
            device=record.device,
            lighting=record.lighting,
            taken=record.taken,
            weight=record.weight,
        )
        for record in records
    ]


def add_to(known: Sequence[ReadPhoto], read: Sequence[ReadPhoto], *, problems: Problems) -> list[ReadPhoto]:
    """Returns the photos of a dataset and those of a source, one a content where both have it.

    A group of the source that has a photo of the dataset is that photo's specimen, under whatever name. Otherwise
    groups of one name are one specimen; but photos without a group are not, for files of two sources may have one name.

    Args:
        known: Of the dataset, with their splits.
        read: Of the source, in its order.
        problems: Gathers the photos of the source that change nothing.
    """
    held = {each.facts.sha256: each for each in known}
    specimens = {each.record.specimen for each in known}
    linked: defaultdict[str, set[str]] = defaultdict(set)
    for each in read:
        if each.facts.sha256 in held and each.found.group is not None:
            linked[each.found.group].add(held[each.facts.sha256].record.specimen)
    added = []
    for each in read:
        before = held.get(each.facts.sha256)
        if before is not None:
            held[each.facts.sha256] = _updated(before, each, problems=problems)
        elif len(linked[each.found.group or ""]) > 1:
            problems.add(Problem(each.found.name, "of several specimens of the dataset", str(each.found.group)))
        else:
            added.append(_named(each, specimens, linked[each.found.group or ""]))
    # Their splits did not come with the source: they are kept like those of any photo that was there before.
    stay = [replace(each, found=replace(each.found, split=None)) for each in held.values()]
    return [*stay, *added]


def _updated(before: ReadPhoto, told: ReadPhoto, *, problems: Problems) -> ReadPhoto:
    """Returns a photo of the dataset as the source changes it."""
    old, new = before.record, told.record
    reason = None
    if new.weight < old.weight:
        reason = "known already, by labels that are trusted more"
    elif told.found.only_trains and old.split != "train":
        reason = "may only train, but is tested on"
    if reason is not None:
        # No fault that stops an import: it is only counted.
        problems.found.append(Problem(told.found.name, reason))
        return before
    # Labels that stay are trusted no more than before.
    weight = new.weight if old.labels.keys() <= new.labels.keys() else old.weight
    facts = {name: getattr(new, name) for name in _FACTS if getattr(new, name) is not None}
    changes = {"labels": {**old.labels, **new.labels}, "weight": weight, **facts}
    return replace(before, record=old.model_copy(update=changes))


def _named(each: ReadPhoto, specimens: set[str], linked: set[str]) -> ReadPhoto:
    """Returns a new photo under a specimen's name that means no other."""
    name = next(iter(linked), each.record.specimen)
    if each.found.group is None and name in specimens:
        name = f"{name} {each.facts.sha256[:8]}"
    record = each.record.model_copy(update={"specimen": name})
    return replace(each, found=replace(each.found, group=name), record=record)

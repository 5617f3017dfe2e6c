"""From what a source tells to records: every photo is decoded once, and every label, place and weight is checked."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from server.domain.task import HeadKind, Task
from training.dataset import PhotoRecord
from training.photo_facts import PhotoFacts
from training.places import PlaceRefusedError, parse_place
from training.sources.errors import EmptyClassError
from training.sources.found_photo import FoundPhoto
from training.sources.label_names import Label, UnknownLabelError, read_label
from training.sources.problems import Problem, Problems

LEAST_PHOTOS = 10
"""A label with fewer photos can be neither learnt nor measured."""


@dataclass(frozen=True, slots=True)
class ReadPhoto:
    """A photo that can be used.

    Attributes:
        found: As its source tells of it.
        facts: What it shows.
        record: What the dataset will say of it; its split and its specimen are settled later.
    """

    found: FoundPhoto
    facts: PhotoFacts
    record: PhotoRecord


def read_photos(
    found: Sequence[FoundPhoto],
    facts: Sequence[PhotoFacts | str],
    *,
    task: Task,
    names: Mapping[str, str],
    problems: Problems,
) -> list[ReadPhoto]:
    """Returns the photos that can be used, in the order of the source.

    Args:
        found: All photos of the source.
        facts: Of each, or why it cannot be read.
        task: The taxonomy.
        names: The source's names of labels to the task's.
        problems: Gathers what is wrong.

    Raises:
        BadPhotoError: Something is wrong, and the policy is to stop.
    """
    read = []
    for photo, fact in zip(found, facts, strict=True):
        if isinstance(fact, str):
            problems.add(Problem(photo.name, "cannot be read", fact))
            continue
        each = _read_photo(photo, fact, task=task, names=names, problems=problems)
        if each is not None:
            read.append(each)
    return read


def _read_photo(
    photo: FoundPhoto, facts: PhotoFacts, *, task: Task, names: Mapping[str, str], problems: Problems
) -> ReadPhoto | None:
    labels = _read_labels(photo, task, names, problems)
    if labels is None:
        return None
    if not (math.isfinite(photo.weight) and 0 <= photo.weight <= 1):
        problems.add(Problem(photo.name, "weight is not in [0, 1]", str(photo.weight)))
        return None
    place = None
    try:
        place = parse_place(photo.place)
    except PlaceRefusedError as error:
        problems.add(Problem(photo.name, "place left out", repr(error.value), left_out=False))
    record = PhotoRecord(
        photo=f"photos/{facts.sha256[:2]}/{facts.sha256[:24]}.{_suffix(facts)}",
        sha256=facts.sha256,
        specimen=photo.group or photo.name,
        split=photo.split or "train",
        device=photo.device,
        lighting=photo.lighting,
        place=place,
        taken=photo.taken,
        origin=photo.name,
        weight=photo.weight,
        labels=labels,
    )
    return ReadPhoto(photo, facts, record)


def _suffix(facts: PhotoFacts) -> str:
    return "jpg" if facts.format == "JPEG" else facts.format.lower()


def _read_labels(
    photo: FoundPhoto, task: Task, names: Mapping[str, str], problems: Problems
) -> dict[str, Label] | None:
    labels: dict[str, Label] = {}
    strangers = [head for head in photo.labels if head not in task.head_ids]
    if strangers:
        problems.add(Problem(photo.name, "unknown head", strangers[0]))
        return None
    try:
        for head in task.heads:
            label = read_label(head, photo.labels.get(head.id), names)
            if label is not None:
                labels[head.id] = label
    except UnknownLabelError as error:
        problems.add(Problem(photo.name, "unknown label", str(error)))
        return None
    if not labels:
        problems.add(Problem(photo.name, "no label"))
        return None
    return labels


def without_copies(read: list[ReadPhoto], *, problems: Problems) -> list[ReadPhoto]:
    """Returns one photo a content; copies with other labels are all left out, for one of them is wrong.

    Args:
        read: All photos.
        problems: Gathers the copies.

    Raises:
        BadPhotoError: Copies have other labels, and the policy is to stop.
    """
    copies: defaultdict[str, list[ReadPhoto]] = defaultdict(list)
    for each in read:
        copies[each.facts.sha256].append(each)
    kept = []
    for first, *others in copies.values():
        if any(other.record.labels != first.record.labels for other in others):
            for each in (first, *others):
                problems.add(Problem(each.found.name, "same bytes, other labels", str(each.record.labels)))
            continue
        # A copy is no fault that stops an import: it is only counted.
        problems.found += [Problem(each.found.name, "copy of another photo", first.found.name) for each in others]
        groups = sorted({each.found.group for each in (first, *others) if each.found.group is not None})
        joined = {"specimen": groups[0]} if groups else {}
        kept.append(replace(first, record=first.record.model_copy(update=joined)))
    return kept


def without_empty_classes(
    read: list[ReadPhoto], *, task: Task, least: int, problems: Problems
) -> tuple[list[ReadPhoto], dict[str, int]]:
    """Returns the photos of labels that have enough of them, and the labels that have too few or none.

    Attributes' labels are independent: a rare one leaves no photo out, and is only named.

    Args:
        read: All photos.
        task: The taxonomy.
        least: Enough.
        problems: Gathers the photos that are left out.

    Raises:
        EmptyClassError: There are such labels of a category head, and the policy is to stop.
    """
    rare = rare_labels([each.record for each in read], task=task, least=least)
    kinds = {head.id: head.kind for head in task.heads}
    barring = {name: count for name, count in rare.items() if kinds[name.split(".")[0]] is HeadKind.CATEGORY}
    if barring and problems.on_bad == "stop":
        raise EmptyClassError(barring, least=least)
    kept = []
    for each in read:
        bar = next(
            (f"{head}.{label}" for head, label in each.record.labels.items() if f"{head}.{label}" in barring), ""
        )
        if bar:
            problems.add(Problem(each.found.name, f"fewer than {least} photos of its label", bar))
        else:
            kept.append(each)
    return kept, rare


def rare_labels(records: Sequence[PhotoRecord], *, task: Task, least: int) -> dict[str, int]:
    """Returns `head.label` and its photos, for each label with fewer than `least`.

    Heads that nobody labelled are left out.

    Args:
        records: The photos.
        task: The taxonomy.
        least: Enough.
    """
    counts: Counter[str] = Counter()
    answered = {head for record in records for head in record.labels}
    for record in records:
        for head, told in record.labels.items():
            counts.update(f"{head}.{label}" for label in ((told,) if isinstance(told, str) else told))
    return {
        f"{head.id}.{label}": counts[f"{head.id}.{label}"]
        for head in task.heads
        if head.id in answered
        for label in head.labels
        if counts[f"{head.id}.{label}"] < least
    }

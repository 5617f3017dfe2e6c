"""Looks at every photo of a dataset once and finds what there is, and what is wrong. Changes nothing."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import combinations
from pathlib import Path

import numpy as np

from server.domain.task import Task
from training.audit.findings import (
    UNKNOWN,
    CorruptPhoto,
    Counts,
    DatasetAudit,
    LabelConflict,
    LabelCount,
    SplitSize,
    Spread,
)
from training.dataset import INDEX_NAME, PhotoRecord, read_records
from training.near_duplicates import NearDuplicateSection, Pairs, join_groups, near_pairs
from training.photo_facts import PhotoFacts, look_at_all
from training.place_sampling import cluster_centres, nearest_centres
from training.progress import Follow, unfollowed
from training.splits import allowed_groups, find_leaks
from training.task_file import SPLITS, Split, TaskFile
from training.workers import PROCESSORS

_PLACE_CLUSTERS = 5
_MONTH_DIGITS = 7
_SHUFFLE_SEED = 42


@dataclass(frozen=True, slots=True)
class Audited:
    """An audit, and the photos it is about.

    Attributes:
        findings: What was found.
        records: All photos.
        facts: Of those looked at, by photo.
    """

    findings: DatasetAudit
    records: tuple[PhotoRecord, ...]
    facts: Mapping[str, PhotoFacts]


def audit_dataset(
    task_file: TaskFile,
    folder: Path,
    *,
    limit: int | None = None,
    near: NearDuplicateSection | None = None,
    workers: int = PROCESSORS,
    on_photo: Follow = unfollowed,
    on_pair: Follow = unfollowed,
) -> Audited:
    """Audits a dataset.

    Args:
        task_file: Its task.
        folder: The dataset's folder.
        limit: Look at so many photos, drawn at random by a fixed seed; None for all. Labels are counted of all photos.
        near: When photos count as the same thing.
        workers: Threads that decode.
        on_photo: Follows the photos while they are decoded.
        on_pair: Follows them while they are compared.

    Raises:
        DatasetMissingError: The folder holds no complete dataset.
    """
    task = task_file.to_domain()
    records = read_records(folder, task_id=task.id)
    chosen = _sample(records, limit)
    looks = look_at_all(
        [(folder / each.photo).read_bytes for each in chosen],
        framing=task_file.framing,
        workers=workers,
        on_progress=on_photo,
    )
    # Only photos that can be read take part in what follows.
    seen = [(record, look) for record, look in zip(chosen, looks, strict=True) if isinstance(look, PhotoFacts)]
    sound, facts = [record for record, _ in seen], [look for _, look in seen]
    distance = (near or NearDuplicateSection()).max_distance
    pairs = near_pairs(_hashes(facts), max_distance=distance, on_progress=on_pair)
    findings = DatasetAudit(
        task=task.id,
        index_sha256=sha256((folder / INDEX_NAME).read_bytes()).hexdigest(),
        photo_count=len(records),
        specimen_count=len({each.specimen for each in records}),
        decoded_count=len(chosen),
        labels={head.id: _label_counts(records, head.id, head.labels) for head in task.heads},
        unlabelled={head.id: sum(head.id not in each.labels for each in records) for head in task.heads},
        together=_together(records, task),
        devices=_counts(each.device for each in records),
        lighting=_counts(each.lighting for each in records),
        months=_counts(None if each.taken is None else each.taken[:_MONTH_DIGITS] for each in records),
        places=_place_counts(records),
        place_coverage=sum(each.place is not None for each in records) / max(1, len(records)),
        copies=_copies(records),
        near_duplicates=_near_groups(sound, pairs),
        corrupt=_corrupt(chosen, looks),
        conflicts=(*_copy_conflicts(records), *_conflicts(sound, pairs, kind="near-duplicates")),
        width_px=_spread([each.width_px for each in facts]),
        height_px=_spread([each.height_px for each in facts]),
        brightness=_spread([each.brightness for each in facts]),
        contrast=_spread([each.contrast for each in facts]),
        splits=_split_sizes(records, task_file),
        leaks=tuple(str(each) for each in (*find_leaks(records), *_near_leaks(sound, pairs))),
    )
    return Audited(findings, tuple(records), {record.photo: look for record, look in seen})


def _sample(records: Sequence[PhotoRecord], limit: int | None) -> list[PhotoRecord]:
    if limit is None or limit >= len(records):
        return list(records)
    chosen = np.random.default_rng(_SHUFFLE_SEED).permutation(len(records))[:limit]
    return [records[place] for place in sorted(chosen.tolist())]


def _hashes(facts: Sequence[PhotoFacts]) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    return np.array([each.hash_bits for each in facts], dtype=np.bool_).reshape(len(facts), -1)


def labels_of(record: PhotoRecord, head: str) -> tuple[str, ...]:
    """Returns the labels of one head that a photo bears; none if it has not been asked."""
    told = record.labels.get(head, ())
    return (told,) if isinstance(told, str) else told


def _label_counts(records: Sequence[PhotoRecord], head: str, labels: Sequence[str]) -> dict[str, LabelCount]:
    bearers: defaultdict[str, list[PhotoRecord]] = defaultdict(list)
    for record in records:
        for label in labels_of(record, head):
            bearers[label].append(record)
    return {
        label: LabelCount(
            photos=len(bearers[label]),
            specimens=len({each.specimen for each in bearers[label]}),
            photos_by_split={split: sum(each.split == split for each in bearers[label]) for split in SPLITS},
        )
        for label in labels
    }


def _together(records: Sequence[PhotoRecord], task: Task) -> dict[str, dict[str, Counts]]:
    """Returns photos by pairs of decision labels; a task of one decision head has none."""
    tables = {}
    for one, other in combinations(task.decision_heads, 2):
        counts = Counter((each.labels.get(one), each.labels.get(other)) for each in records)
        tables[f"{one} x {other}"] = {
            first: {second: counts[first, second] for second in task.head(other).labels}
            for first in task.head(one).labels
        }
    return tables


def _counts(values: Iterable[str | None]) -> Counts:
    return dict(Counter(UNKNOWN if value is None else value for value in values).most_common())


def _place_counts(records: Sequence[PhotoRecord]) -> Counts:
    places = [each.place for each in records if each.place is not None]
    counts = {UNKNOWN: len(records) - len(places)}
    if places:
        centres = cluster_centres(places, cluster_count=_PLACE_CLUSTERS, seed=_SHUFFLE_SEED)
        nearest, _ = nearest_centres(places, centres)
        names = [f"{latitude:.2f}, {longitude:.2f}" for latitude, longitude in centres.tolist()]
        counts = dict(Counter(names[place] for place in nearest.tolist()).most_common()) | counts
    return {name: count for name, count in counts.items() if count}


def _corrupt(photos: Sequence[PhotoRecord], looks: Sequence[PhotoFacts | str]) -> tuple[CorruptPhoto, ...]:
    found = []
    for record, look in zip(photos, looks, strict=True):
        if isinstance(look, str):
            found.append(CorruptPhoto(photo=record.photo, reason=look))
        elif look.sha256 != record.sha256:
            found.append(CorruptPhoto(photo=record.photo, reason="OTHER_BYTES_THAN_INDEXED"))
    return tuple(found)


def _copies(records: Sequence[PhotoRecord]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each.photo for each in same) for same in _same_bytes(records))


def _same_bytes(records: Sequence[PhotoRecord]) -> list[list[PhotoRecord]]:
    by_digest: defaultdict[str, list[PhotoRecord]] = defaultdict(list)
    for record in records:
        by_digest[record.sha256].append(record)
    return [same for same in by_digest.values() if len(same) > 1]


def _copy_conflicts(records: Sequence[PhotoRecord]) -> list[LabelConflict]:
    return [
        conflict
        for same in _same_bytes(records)
        for conflict in _conflicts(same, np.array([[0, at] for at in range(1, len(same))]), kind="same bytes")
    ]


def _near_groups(photos: Sequence[PhotoRecord], pairs: Pairs) -> tuple[tuple[str, ...], ...]:
    """Returns groups of near-duplicates across specimens: one specimen's photos may well look alike."""
    names = join_groups(
        [str(place) for place in range(len(photos))], [str(place) for place in range(len(photos))], pairs
    )
    groups: defaultdict[str, list[PhotoRecord]] = defaultdict(list)
    for record, name in zip(photos, names, strict=True):
        groups[name].append(record)
    return tuple(
        tuple(each.photo for each in group) for group in groups.values() if len({each.specimen for each in group}) > 1
    )


def _conflicts(photos: Sequence[PhotoRecord], pairs: Pairs, *, kind: str) -> list[LabelConflict]:
    found = []
    for first, second in pairs.tolist():
        one, other = photos[first], photos[second]
        for head in sorted(one.labels.keys() & other.labels.keys()):
            labels = " ".join(labels_of(one, head)), " ".join(labels_of(other, head))
            if labels[0] != labels[1]:
                found.append(LabelConflict(photos=(one.photo, other.photo), kind=kind, head=head, labels=labels))
    return found


def _near_leaks(photos: Sequence[PhotoRecord], pairs: Pairs) -> list[object]:
    return [leak for leak in find_leaks(photos, pairs=pairs) if leak.kind == "near-duplicates"]


def _spread(values: Sequence[float]) -> Spread | None:
    if not values:
        return None
    least, low, median, high, greatest = np.percentile(values, [0, 5, 50, 95, 100]).tolist()
    return Spread(least=least, low=low, median=median, high=high, greatest=greatest)


def _split_sizes(records: Sequence[PhotoRecord], task_file: TaskFile) -> dict[Split, SplitSize]:
    places = {each.specimen: each.split for each in records}
    photos, specimens = Counter(each.split for each in records), Counter(places.values())
    return {
        split: SplitSize(
            photos=photos[split],
            specimens=specimens[split],
            specimen_share=specimens[split] / max(1, len(places)),
            allowed_specimens=allowed_groups(len(places), task_file.data.splits.of(split)),
        )
        for split in SPLITS
    }

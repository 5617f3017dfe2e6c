"""Shares photos out among the four splits, and checks that nothing stands on two sides.

The unit is the group: one specimen, one scene. What is stable:

- A group that had a split keeps it, exactly, whenever the earlier places are handed in (`kept`; an import into a folder
  that holds a dataset does so by itself, and every dataset carries its places in `splits.json`).
- Without them, places follow from names alone: inside a stratum (a combination of the decision heads' labels) groups
  stand in the order of a hash of task and name, and are cut at the shares. New groups move a cut by about as many
  places as they miss their share; only groups between the old and the new cut change sides, and a label that is
  corrected moves one group. The order of photos, their number in a group and the time never matter.
- Not stable: a new photo that joins two groups gives both the first of their names. If they had different splits, that
  is an error and not a silent move.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from server.domain.task import Task
from training.dataset import PhotoRecord
from training.near_duplicates import Pairs
from training.split_errors import (
    Leak,
    SplitFileRefusedError,
    SplitLeakError,
    SplitRatioError,
    UnplacedPhotosError,
)
from training.task_file import SPLITS, Split, SplitShares

SPLIT_FILE_NAME = "splits.json"
USUAL_SHARES = SplitShares(train=0.60, val_select=0.15, val_calib=0.15, val_test=0.10)

RATIO_CONFIDENCE = 0.999
"""A split may hold as many groups as a fair draw of all groups gives it in this share of draws; one more for rounding.
"""


def strata_of(records: Iterable[PhotoRecord], task: Task) -> dict[str, str]:
    """Returns the stratum of each group: the commonest combination of its photos' decision labels; ties by name."""
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record.specimen][decision_labels(record, task)] += 1
    return {group: min(found, key=lambda label: (-found[label], label)) for group, found in counts.items()}


def decision_labels(record: PhotoRecord, task: Task) -> str:
    """Returns the labels of the decision heads as one name; an unknown one is empty."""
    return " / ".join(str(record.labels.get(head, "")) for head in task.decision_heads)


def share_out(
    strata: Mapping[str, str], *, shares: SplitShares, task_id: str, kept: Mapping[str, Split] | None = None
) -> dict[str, Split]:
    """Places every group in a split.

    The split of the whole is within one group of its share, and so is each stratum's, as far as `kept` allows it:
    what a small stratum cannot give to a split by rounding, the following ones do.

    Args:
        strata: By group.
        shares: Of the groups.
        task_id: Salts the order, so that two tasks share no test set by accident.
        kept: Splits that groups have already; those it names are not moved.
    """
    kept = kept or {}
    members: defaultdict[str, list[str]] = defaultdict(list)
    for group, stratum in strata.items():
        members[stratum].append(group)
    places = {group: kept[group] for group in strata if group in kept}
    owed = np.zeros(len(SPLITS))
    for stratum in sorted(members):
        groups = members[stratum]
        owed += [shares.of(split) * len(groups) for split in SPLITS]
        standing = Counter(kept[group] for group in groups if group in kept)
        owed -= [standing[split] for split in SPLITS]
        fresh = sorted((group for group in groups if group not in kept), key=lambda each: _hash_place(task_id, each))
        given = _whole_parts(owed, len(fresh))
        owed -= given
        sides = (split for split, count in zip(SPLITS, given, strict=True) for _ in range(count))
        places.update(zip(fresh, sides, strict=True))
    return places


def _hash_place(task_id: str, group: str) -> bytes:
    return sha256(f"{task_id}/{group}".encode()).digest()


def _whole_parts(owed: npt.NDArray[np.float64], count: int) -> list[int]:
    """Shares `count` out by what is owed: each next one goes to whom most is owed, the first split winning ties."""
    left, given = owed.copy(), [0] * len(owed)
    for _ in range(count):
        richest = int(np.argmax(left))
        left[richest] -= 1
        given[richest] += 1
    return given


def names_of(records: Iterable[PhotoRecord]) -> dict[str, Split]:
    """Returns the splits of photos by every name that they may come again under: group, name at the source, digest."""
    places: dict[str, Split] = {}
    for record in records:
        for name in (record.specimen, record.origin, record.sha256):
            if name is not None:
                places.setdefault(name, record.split)
    return places


def read_split_file(path: Path) -> dict[str, Split]:
    """Reads the places that came with the data: split to names, or name to split; a name is a photo's or a group's.

    Raises:
        SplitFileRefusedError: It is no JSON object of either form, or names something twice.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SplitFileRefusedError(path, reason="it is not JSON") from error
    if not isinstance(told, dict) or not told:
        raise SplitFileRefusedError(path, reason="it is not a JSON object")
    by_split = all(isinstance(value, list) for value in told.values())
    pairs = [(name, split) for split, names in told.items() for name in names] if by_split else list(told.items())
    places: dict[str, Split] = {}
    known: dict[object, Split] = {split: split for split in SPLITS}
    for name, split in pairs:
        if not isinstance(name, str) or split not in known:
            raise SplitFileRefusedError(path, reason=f"{name!r} is in {split!r}, which is none of {', '.join(SPLITS)}")
        if places.setdefault(name, known[split]) != split:
            raise SplitFileRefusedError(path, reason=f"{name!r} is in {places[name]} and in {split}")
    return places


def split_file_text(records: Iterable[PhotoRecord], *, departed: Mapping[str, Split] | None = None) -> str:
    """Returns a split file of the groups of a dataset.

    Args:
        records: The whole dataset.
        departed: Splits by name (see `names_of`) of what it held at some time: what has no photo by now keeps them.
    """
    places = {**(departed or {}), **{record.specimen: record.split for record in records}}
    groups: defaultdict[str, set[str]] = defaultdict(set)
    for group, split in places.items():
        groups[split].add(group)
    return json.dumps({split: sorted(groups[split]) for split in SPLITS}, indent=1) + "\n"


def told_split(record: PhotoRecord, told: Mapping[str, Split]) -> Split | None:
    """Returns where a split file puts a photo: by its own name, or else by its group's; None if it says nothing."""
    names = (record.origin, record.photo, record.specimen)
    return next((told[name] for name in names if name is not None and name in told), None)


def honour(records: Sequence[PhotoRecord], told: Mapping[str, Split], *, path: Path) -> list[PhotoRecord]:
    """Returns the records with the splits that a file names.

    Raises:
        UnplacedPhotosError: The file says nothing of some.
    """
    splits = [told_split(record, told) for record in records]
    missing = tuple(r.origin or r.photo for r, split in zip(records, splits, strict=True) if split is None)
    if missing:
        raise UnplacedPhotosError(path, photos=missing)
    return [record.model_copy(update={"split": split}) for record, split in zip(records, splits, strict=True)]


def find_leaks(records: Sequence[PhotoRecord], *, pairs: Pairs | None = None) -> tuple[Leak, ...]:
    """Returns everything that stands on two sides: groups, equal bytes, near-duplicates.

    Args:
        records: The whole dataset.
        pairs: Near-duplicates, as places in `records`; None if nobody looked.
    """
    leaks = [
        *_straddling(records, kind="group", keys=[each.specimen for each in records]),
        *_straddling(records, kind="same bytes", keys=[each.sha256 for each in records]),
    ]
    for first, second in () if pairs is None else pairs.tolist():
        one, other = records[first], records[second]
        if one.split != other.split and one.specimen != other.specimen and one.sha256 != other.sha256:
            leaks.append(Leak("near-duplicates", (_name(one), _name(other)), (one.split, other.split)))
    return tuple(leaks)


def _straddling(records: Sequence[PhotoRecord], *, kind: str, keys: Sequence[str]) -> list[Leak]:
    sides: defaultdict[str, set[Split]] = defaultdict(set)
    names: dict[str, str] = {}
    for record, key in zip(records, keys, strict=True):
        sides[key].add(record.split)
        names.setdefault(key, record.specimen if kind == "group" else _name(record))
    return [
        Leak(kind, (names[key],), tuple(split for split in SPLITS if split in found))
        for key, found in sides.items()
        if len(found) > 1
    ]


def _name(record: PhotoRecord) -> str:
    return record.origin or record.photo


def allowed_groups(group_count: int, share: float) -> tuple[int, int]:
    """Returns the least and the greatest number of groups, both inclusive, that a split of this share may hold."""
    low, high = binom.interval(RATIO_CONFIDENCE, group_count, share)
    return max(0, int(low) - 1), min(group_count, int(high) + 1)


def check_splits(
    records: Sequence[PhotoRecord],
    *,
    shares: SplitShares,
    pairs: Pairs | None = None,
    sized: Sequence[PhotoRecord] | None = None,
) -> None:
    """Refuses a dataset whose splits leak or are of other sizes than they ought to be.

    Args:
        records: The whole dataset.
        shares: Of the groups.
        pairs: Near-duplicates, as places in `records`; None if nobody looked.
        sized: The records whose groups are to have the shares, if not all; none if they had no choice.

    Raises:
        SplitLeakError: Something stands on two sides.
        SplitRatioError: A split is too small or too large, beyond the noise of a fair draw.
    """
    leaks = find_leaks(records, pairs=pairs)
    if leaks:
        raise SplitLeakError(leaks)
    places = {record.specimen: record.split for record in (records if sized is None else sized)}
    if not places:
        return
    found = Counter(places.values())
    allowed = {split: allowed_groups(len(places), shares.of(split)) for split in SPLITS}
    if any(not low <= found[split] <= high for split, (low, high) in allowed.items()):
        raise SplitRatioError({split: found[split] for split in SPLITS}, allowed=allowed)

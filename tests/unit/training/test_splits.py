"""Splits: near their shares, the same whenever they are made, and never with one thing on two sides."""

import json
from collections import Counter
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.dataset import PhotoRecord
from training.split_errors import (
    SplitFileRefusedError,
    SplitLeakError,
    SplitRatioError,
    UnplacedPhotosError,
)
from training.splits import (
    USUAL_SHARES,
    allowed_groups,
    check_splits,
    find_leaks,
    honour,
    read_split_file,
    share_out,
    split_file_text,
    strata_of,
)
from training.task_file import SPLITS, Split, load_task_file

TASK = load_task_file("cannabis").to_domain()
PRODUCTS = TASK.heads[0].labels


def make_record(name: str, *, group: str | None = None, split: Split = "train", product: int = 0) -> PhotoRecord:
    """Returns a record of a photo that need not exist."""
    return PhotoRecord(
        photo=f"photos/{name}.jpg",
        origin=f"{name}.jpg",
        sha256=sha256(name.encode()).hexdigest(),
        specimen=group or name,
        split=split,
        labels={"product_type": PRODUCTS[product], "quality_grade": "A"},
    )


def fairly_split(count: int) -> list[PhotoRecord]:
    """Returns records of `count` groups of two photos each, shared out."""
    records = [make_record(f"g{index}p{photo}", group=f"g{index}") for index in range(count) for photo in range(2)]
    places = share_out(strata_of(records, TASK), shares=USUAL_SHARES, task_id="cannabis")
    return [each.model_copy(update={"split": places[each.specimen]}) for each in records]


STRATA = st.dictionaries(st.text("abcdefgh", min_size=1, max_size=6), st.sampled_from("xyz"), min_size=1, max_size=60)


@given(strata=STRATA)
@settings(max_examples=60)
def test_every_group_is_placed_and_the_whole_is_within_a_group_of_its_shares(strata: dict[str, str]) -> None:
    """Rounding in small strata does not add up: each split has its share of all groups, give or take one."""
    places = share_out(strata, shares=USUAL_SHARES, task_id="t")
    assert places.keys() == strata.keys()
    for split, count in Counter(places.values()).items():
        assert abs(count - USUAL_SHARES.of(split) * len(strata)) <= 1 + 1e-9


@given(strata=STRATA, fresh=STRATA)
@settings(max_examples=60)
def test_kept_groups_never_move(strata: dict[str, str], fresh: dict[str, str]) -> None:
    """Whatever is added, a group whose split is known stays there."""
    earlier = share_out(strata, shares=USUAL_SHARES, task_id="t")
    later = share_out(fresh | strata, shares=USUAL_SHARES, task_id="t", kept=earlier)
    assert {group: later[group] for group in strata} == earlier


def test_the_order_of_groups_does_not_matter() -> None:
    """Places follow from names and strata, not from the order in which a folder is listed."""
    strata = {f"g{index}": "xy"[index % 2] for index in range(101)}
    backwards = dict(reversed(strata.items()))
    assert share_out(strata, shares=USUAL_SHARES, task_id="t") == share_out(backwards, shares=USUAL_SHARES, task_id="t")


def test_few_groups_move_when_photos_are_added_and_nothing_was_kept() -> None:
    """Even from names alone, a tenth more groups moves only those beside a cut."""
    strata = {f"g{index}": "xy"[index % 2] for index in range(1_000)}
    before = share_out(strata, shares=USUAL_SHARES, task_id="t")
    after = share_out(strata | {f"new{index}": "x" for index in range(100)}, shares=USUAL_SHARES, task_id="t")
    assert sum(before[group] != after[group] for group in strata) <= 30


def test_each_stratum_has_the_shares() -> None:
    """A label that one group in ten bears is as common in each split as in the whole."""
    strata = {f"g{index}": "rare" if index % 10 == 0 else "common" for index in range(1_000)}
    places = share_out(strata, shares=USUAL_SHARES, task_id="t")
    rare = Counter(places[group] for group, stratum in strata.items() if stratum == "rare")
    assert [rare[split] for split in SPLITS] == [60, 15, 15, 10]


def test_a_fair_split_passes() -> None:
    """What was shared out here is neither leaking nor of wrong sizes."""
    check_splits(fairly_split(60), shares=USUAL_SHARES)


def test_a_group_on_two_sides_is_named() -> None:
    """A specimen in training and in test is a leak, by its name."""
    records = fairly_split(60)
    astray = next(place for place, each in enumerate(records) if each.split == "train")
    records[astray] = records[astray].model_copy(update={"split": "val_test"})
    with pytest.raises(SplitLeakError, match=f"group {records[astray].specimen} in train and val_test"):
        check_splits(records, shares=USUAL_SHARES)


def test_equal_bytes_on_two_sides_are_a_leak() -> None:
    """The same file under two names and two groups does not pass."""
    records = fairly_split(60)
    first = next(each for each in records if each.split == "train")
    place = next(place for place, each in enumerate(records) if each.split == "val_calib")
    records[place] = records[place].model_copy(update={"sha256": first.sha256})
    assert [leak.kind for leak in find_leaks(records)] == ["same bytes"]


def test_near_duplicates_on_two_sides_are_a_leak() -> None:
    """Two photos that show the same thing, though no name says so, are named."""
    records = fairly_split(60)
    first = next(place for place, each in enumerate(records) if each.split == "train")
    other = next(place for place, each in enumerate(records) if each.split == "val_test")
    with pytest.raises(SplitLeakError) as caught:
        check_splits(records, shares=USUAL_SHARES, pairs=np.array([[first, other]]))
    assert caught.value.leaks[0].names == (records[first].origin, records[other].origin)


def test_a_wrong_ratio_is_an_error() -> None:
    """Halves are not .60 / .15 / .15 / .10."""
    records = [make_record(f"p{index}", split="train" if index % 2 else "val_test") for index in range(200)]
    with pytest.raises(SplitRatioError, match="val_test has 100 groups") as caught:
        check_splits(records, shares=USUAL_SHARES)
    assert caught.value.found["val_select"] == 0


@pytest.mark.parametrize("count", [20, 240, 5_000])
def test_a_fair_draw_is_rarely_refused(count: int) -> None:
    """The tolerance is that of a draw: about one in a thousand falls out of it, at any size."""
    low, high = allowed_groups(count, 0.15)
    draws = np.random.default_rng(1).binomial(count, 0.15, 20_000)
    assert np.mean((draws < low) | (draws > high)) <= 0.0015


def test_a_file_of_splits_is_honoured(tmp_path: Path) -> None:
    """A file that a dataset wrote gives back the splits that it had."""
    records = fairly_split(30)
    path = tmp_path / "splits.json"
    path.write_text(split_file_text(records))
    blank = [each.model_copy(update={"split": "train"}) for each in records]
    assert honour(blank, read_split_file(path), path=path) == records


def test_a_file_of_splits_may_name_photos(tmp_path: Path) -> None:
    """Name to split is understood as well as split to names."""
    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"a.jpg": "val_test", "b.jpg": "train"}))
    honoured = honour([make_record("a"), make_record("b")], read_split_file(path), path=path)
    assert [each.split for each in honoured] == ["val_test", "train"]


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"a.jpg": "test"}', '{"test": ["a.jpg"]}', '{"train": ["a"], "val_test": ["a"]}']
)
def test_a_bad_file_of_splits_is_refused(text: str, tmp_path: Path) -> None:
    """Neither broken JSON nor an unknown split nor a name in two splits gets through."""
    path = tmp_path / "splits.json"
    path.write_text(text)
    with pytest.raises(SplitFileRefusedError):
        read_split_file(path)


def test_a_photo_that_a_file_of_splits_forgets_is_named(tmp_path: Path) -> None:
    """No photo is placed by guess."""
    with pytest.raises(UnplacedPhotosError, match=r"b\.jpg"):
        honour([make_record("a"), make_record("b")], {"a.jpg": "train"}, path=tmp_path / "splits.json")

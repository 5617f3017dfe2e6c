"""An import that adds to a dataset: nothing leaves it, and what is tested on is not spoilt."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from small_sources import TASK, folder_source, imported, run, scene, write, write_table, write_tiles

from training.dataset import PhotoRecord
from training.errors import DatasetMissingError
from training.sources.feedback import FeedbackSource
from training.sources.import_dataset import ImportReport
from training.task_file import Split


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Twenty tiles, one photo each, imported without a group column: file names are the specimens."""
    write_tiles(tmp_path / "in", tiles=20, exposures=1)
    run(folder_source(tmp_path / "in"), tmp_path / "out")
    return tmp_path / "out"


def records_of(dataset: Path) -> dict[str, PhotoRecord]:
    """What the dataset holds, by digest."""
    return {each.sha256: each for each in imported(dataset)}


def held(dataset: Path, split: Split) -> PhotoRecord:
    """A sound tile of one split."""
    return next(each for each in imported(dataset) if each.split == split and each.labels == {"surface": "good"})


def add_feedback(dataset: Path, *lines: tuple[bytes, dict[str, object]]) -> ImportReport:
    """Adds lines of feedback, each about a photo."""
    folder = dataset.parent / "feedback"
    written = []
    for number, (photo, told) in enumerate(lines):
        write(folder / f"{number}.jpg", photo)
        line: dict[str, object] = {
            "task": TASK.id, "inspection": f"i{number}", "release": 3, "photo": f"{number}.jpg",
            "labels": {"surface": "defect"}, "weight": 1.0, "reviewed": True, "audit": True,
        }  # fmt: skip
        written.append(json.dumps(line | told))
    write(folder / "export.jsonl", "\n".join(written).encode())
    return run(FeedbackSource(folder / "export.jsonl", TASK.id), dataset, adds=True, on_bad="skip")


def content(dataset: Path, record: PhotoRecord) -> bytes:
    """A photo's bytes."""
    return (dataset / record.photo).read_bytes()


def test_feedback_joins_what_a_dataset_holds(dataset: Path) -> None:
    """Nobody leaves or moves; of a photo that both have, the labels that are trusted more hold."""
    before = records_of(dataset)
    doubted, settled = [
        each for each in imported(dataset) if each.labels["surface"] == "good" and each.split == "train"
    ][:2]
    report = add_feedback(
        dataset,
        (content(dataset, doubted), {"weight": 0.25}),
        (content(dataset, settled), {}),
        (scene(100), {"audit": False}),
    )
    after = records_of(dataset)
    assert len(after) == 21
    assert {name: after[name].split for name in before} == {name: each.split for name, each in before.items()}
    assert after[doubted.sha256] == doubted
    assert after[settled.sha256].labels == {"surface": "defect"}
    assert after[sha256(scene(100)).hexdigest()].split == "train"
    assert report.summary.skipped == {"known already, by labels that are trusted more": 1}
    assert report.summary.source == "folder + feedback"
    assert report.summary.command.count("loupe-train import") == 2


def test_nothing_new_changes_nothing(dataset: Path) -> None:
    """An export whose lines are all passed over leaves the dataset as it was."""
    before = imported(dataset)
    add_feedback(dataset, (content(dataset, before[0]), {"weight": 0.5}))
    assert imported(dataset) == before


def test_a_biased_sample_changes_no_photo_that_is_tested_on(dataset: Path) -> None:
    """However much it is trusted, and however often it is told, before or after somebody else spoke of the photo."""
    tested = held(dataset, "val_test")
    photo = content(dataset, tested)
    biased: dict[str, object] = {"audit": False}
    report = add_feedback(dataset, (photo, biased), (photo, {"labels": {"marks": ["rust"]}}), (photo, biased))
    assert records_of(dataset)[tested.sha256].labels == {"surface": "good", "marks": ("rust",)}
    assert report.summary.skipped == {"may only train, but is tested on": 2}


@pytest.mark.parametrize("bad", [{"labels": {"surface": "mouldy"}}, {"labels": {"colour": "red"}}])
def test_a_bad_line_costs_the_dataset_nothing(dataset: Path, bad: dict[str, object]) -> None:
    """It is left out by name; the photo that it speaks of stays."""
    before = imported(dataset)
    report = add_feedback(dataset, (content(dataset, before[0]), bad))
    assert imported(dataset) == before
    assert sum(report.summary.skipped.values()) == 1


def test_what_a_source_says_nothing_of_stays(tmp_path: Path) -> None:
    """Heads, place and light; and labels that stay are trusted no more than before."""
    rows = [
        {"file": f"{number}.jpg", "surface": "good" if number % 2 else "defect", "place": "(1.0, 2.0)", "weight": 0.5}
        for number in range(20)
    ]
    for number in range(20):
        write(tmp_path / "in" / f"{number}.jpg", scene(number))
    write_table(tmp_path / "in", rows)
    run(folder_source(tmp_path / "in"), tmp_path / "out")
    old = held(tmp_path / "out", "train")
    add_feedback(tmp_path / "out", (content(tmp_path / "out", old), {"labels": {"marks": ["dent"]}}))
    new = records_of(tmp_path / "out")[old.sha256]
    assert new.labels == {"surface": "good", "marks": ("dent",)}
    assert (new.place, new.weight) == ((1.0, 2.0), 0.5)


def test_names_of_a_source_rename_no_label_of_the_dataset(dataset: Path) -> None:
    """What the source calls good is a defect here; what the dataset calls good is not."""
    before = records_of(dataset)
    write(dataset.parent / "more" / "new.jpg", scene(100))
    write_table(dataset.parent / "more", [{"file": "new.jpg", "surface": "good"}])
    run(folder_source(dataset.parent / "more"), dataset, adds=True, names={"good": "defect"})
    after = records_of(dataset)
    assert after[sha256(scene(100)).hexdigest()].labels == {"surface": "defect"}
    assert {name: after[name].labels for name in before} == {name: each.labels for name, each in before.items()}


def test_a_group_is_the_specimen_of_the_photo_that_both_have(dataset: Path) -> None:
    """A new photo of a tile that is tested on joins its side, though the dataset knows the tile by another name."""
    tested = held(dataset, "val_test")
    add_feedback(dataset, (content(dataset, tested), {"group": "tile 7"}), (scene(100), {"group": "tile 7"}))
    new = records_of(dataset)[sha256(scene(100)).hexdigest()]
    assert (new.specimen, new.split) == (tested.specimen, "val_test")


def test_files_of_one_name_are_not_one_specimen(dataset: Path) -> None:
    """Every camera writes a file of the same name."""
    old = imported(dataset)[0]
    write(dataset.parent / "more" / str(old.origin), scene(100))
    write_table(dataset.parent / "more", [{"file": old.origin, "surface": "good"}])
    run(folder_source(dataset.parent / "more"), dataset, adds=True)
    assert records_of(dataset)[sha256(scene(100)).hexdigest()].specimen != old.specimen


def test_splits_that_come_with_a_source_hold_for_its_own_photos(dataset: Path) -> None:
    """The dataset's photos keep theirs, and need not be named."""
    before = records_of(dataset)
    write(dataset.parent / "more" / "new.jpg", scene(100))
    write_table(dataset.parent / "more", [{"file": "new.jpg", "surface": "good"}])
    write(dataset.parent / "more" / "splits.json", json.dumps({"val_calib": ["new.jpg"]}).encode())
    run(folder_source(dataset.parent / "more"), dataset, adds=True)
    after = records_of(dataset)
    assert after[sha256(scene(100)).hexdigest()].split == "val_calib"
    assert {name: after[name].split for name in before} == {name: each.split for name, each in before.items()}


def test_there_must_be_a_dataset_to_add_to(tmp_path: Path) -> None:
    """A mistyped folder is an error and no new dataset."""
    write_tiles(tmp_path / "in")
    with pytest.raises(DatasetMissingError):
        run(folder_source(tmp_path / "in"), tmp_path / "nowhere", adds=True)
    assert not (tmp_path / "nowhere").exists()

"""Collected feedback: its trust, and what of it may be tested on."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError
from small_sources import TASK, folder_source, imported, run, scene, write, write_tiles

from training.sources.errors import (
    SourceRefusedError,
)
from training.sources.feedback import FeedbackPhoto, FeedbackSource


def feedback_line(number: int, **fields: object) -> str:
    """Returns a line of an export."""
    told = {
        "task": TASK.id, "inspection": f"i{number}", "release": 3, "photo": f"{number}.jpg",
        "labels": {"surface": "defect" if number % 2 else "good"}, "weight": 0.25, "reviewed": False,
    }  # fmt: skip
    return json.dumps(told | fields)


def test_feedback_keeps_its_trust_and_only_trains(tmp_path: Path) -> None:
    """What nobody reviewed, or nobody drew at random, is trained on by its weight and never tested on."""
    lines = []
    for number in range(24):
        write(tmp_path / f"{number}.jpg", scene(number))
        chosen = {"reviewed": True, "audit": True, "weight": 1.0} if number < 12 else {}
        lines.append(feedback_line(number, **chosen))
    (tmp_path / "export.jsonl").write_text("\n".join(lines))
    run(FeedbackSource(tmp_path / "export.jsonl", TASK.id), tmp_path / "out")
    records = imported(tmp_path / "out")
    assert len(records) == 24
    assert {each.split for each in records if each.weight < 1} == {"train"}
    assert {each.split for each in records} > {"train"}


def test_feedback_joins_the_photos_that_a_dataset_holds(tmp_path: Path) -> None:
    """With `adds` none of them leaves; of a photo that both have, the labels that are trusted more hold."""
    write_tiles(tmp_path / "in", tiles=20, exposures=1)
    run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    before = {each.sha256: each for each in imported(tmp_path / "out")}
    doubted, settled = ((tmp_path / "in" / name).read_bytes() for name in ("free/t0_e0.jpg", "free/t2_e0.jpg"))
    lines = []
    for number, photo in enumerate((doubted, settled, scene(100), scene(101))):
        write(tmp_path / f"{number}.jpg", photo)
        trust = {} if photo is doubted else {"reviewed": True, "weight": 1.0}
        lines.append(feedback_line(number, labels={"surface": "defect"}, **trust))
    (tmp_path / "export.jsonl").write_text("\n".join(lines))
    report = run(FeedbackSource(tmp_path / "export.jsonl", TASK.id), tmp_path / "out", adds=True)
    after = {each.sha256: each for each in imported(tmp_path / "out")}
    assert len(after) == 22
    assert {each: after[each].split for each in before} == {each: before[each].split for each in before}
    assert after[sha256(doubted).hexdigest()].labels == {"surface": "good"}
    assert after[sha256(settled).hexdigest()].labels == {"surface": "defect"}
    assert {after[sha256(scene(each)).hexdigest()].split for each in (100, 101)} == {"train"}
    assert report.summary.source == "folder + feedback"
    assert report.summary.skipped == {"known already, by labels that are trusted more": 1}


def test_feedback_that_nobody_drew_at_random_changes_no_photo_that_is_tested_on(tmp_path: Path) -> None:
    """However much it is trusted: it is a biased sample."""
    write_tiles(tmp_path / "in", tiles=20, exposures=1)
    run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    tested = next(each for each in imported(tmp_path / "out") if each.split == "val_test")
    write(tmp_path / "0.jpg", (tmp_path / "out" / tested.photo).read_bytes())
    wrong = {"surface": "good" if tested.labels["surface"] == "defect" else "defect"}
    (tmp_path / "export.jsonl").write_text(feedback_line(0, labels=wrong, weight=1.0, reviewed=True))
    report = run(FeedbackSource(tmp_path / "export.jsonl", TASK.id), tmp_path / "out", adds=True)
    assert tested in imported(tmp_path / "out")
    assert report.summary.skipped == {"may only train, but is tested on": 1}


def test_feedback_may_name_a_photo_by_its_digest(tmp_path: Path) -> None:
    """Photos kept by content lie beside the export."""
    digest = sha256(scene(1)).hexdigest()
    write(tmp_path / "photos" / digest[:2] / digest, scene(1))
    (tmp_path / "export.jsonl").write_text(feedback_line(1, photo=None, sha256=digest))
    (found,) = FeedbackSource(tmp_path / "export.jsonl", TASK.id).photos()
    assert found.read() == scene(1)


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"weight": 1.5}, "weight"), ({"photo": None}, "digest"), ({"task": "bread"}, "bread"), ({"stars": 5}, "stars")],
)
def test_a_bad_line_of_feedback_is_named(fields: dict[str, object], named: str, tmp_path: Path) -> None:
    """The line and the field are in the error."""
    (tmp_path / "export.jsonl").write_text(feedback_line(1, **fields))
    with pytest.raises(SourceRefusedError, match=rf"line 1.*{named}"):
        list(FeedbackSource(tmp_path / "export.jsonl", TASK.id).photos())


def test_the_schema_of_feedback_bounds_trust() -> None:
    """A weight lies in [0, 1], both inclusive."""
    assert FeedbackPhoto.model_validate_json(feedback_line(1, weight=0)).weight == 0
    with pytest.raises(ValidationError):
        FeedbackPhoto.model_validate_json(feedback_line(1, weight=-0.1))

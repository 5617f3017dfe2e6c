"""Collected feedback: its trust, and what of it may be tested on."""

import json
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError
from small_sources import TASK, imported, run, scene, write

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

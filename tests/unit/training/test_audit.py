"""The audit counts what there is, finds what is wrong, and says what to collect."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_dataset import write_small_dataset
from typer.testing import CliRunner

from server.domain.binomial import clopper_pearson_high, clopper_pearson_low
from training.audit.audit_dataset import audit_dataset
from training.audit.collection_plan import combinations_of, plan_text
from training.audit.findings import DatasetAudit
from training.audit.gaps import Gap, find_gaps, items_for
from training.commands_audit import app
from training.dataset import INDEX_NAME, PhotoRecord
from training.task_file import SPLITS, load_task_file

TASK = load_task_file("cannabis")


def rewrite(folder: Path, records: list[PhotoRecord]) -> None:
    """Writes the index anew."""
    (folder / INDEX_NAME).write_text("".join(f"{each.model_dump_json()}\n" for each in records))


@pytest.fixture
def dataset(tmp_path: Path) -> tuple[Path, list[PhotoRecord]]:
    """A small sound dataset: 40 photos of 20 specimens."""
    counts = {"train": 24, "val_select": 6, "val_calib": 6, "val_test": 4}
    return tmp_path, write_small_dataset(tmp_path, photos_a_split=dict(zip(SPLITS, counts.values(), strict=True)))


def audit(folder: Path, *, limit: int | None = None) -> DatasetAudit:
    """Returns what is found in a folder."""
    return audit_dataset(TASK, folder, limit=limit).findings


def test_everything_is_counted(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """Labels by split and specimen, pairs of decision labels, devices, months and places."""
    folder, records = dataset
    known = {"taken": "2026-03-01T10:00", "place": (52.5, 13.4), "lighting": "dusk", "device": "Pixel"}
    records[0] = records[0].model_copy(update=known)
    rewrite(folder, records)
    found = audit(folder)
    product = records[0].labels["product_type"]
    bearers = [each for each in records if each.labels["product_type"] == product]
    count = found.labels["product_type"][str(product)]
    assert (count.photos, count.specimens) == (len(bearers), len({each.specimen for each in bearers}))
    assert sum(sum(row.values()) for row in found.together["product_type x quality_grade"].values()) == 40
    assert (found.months, found.lighting) == ({"unknown": 39, "2026-03": 1}, {"unknown": 39, "dusk": 1})
    assert found.devices == {"test": 39, "Pixel": 1}
    assert found.places == {"52.50, 13.40": 1, "unknown": 39}
    assert found.place_coverage == pytest.approx(1 / 40)
    assert found.splits["train"].specimens == 12
    assert found.corrupt == found.copies == found.leaks == ()
    assert found.width_px is not None
    assert found.width_px.median == 48


def test_faults_are_found(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """A damaged file, a missing one, one of other bytes, a copy on two sides, and labels that contradict each other."""
    folder, records = dataset
    (folder / records[0].photo).write_bytes(b"\xff\xd8\xff no photo")
    (folder / records[1].photo).unlink()
    (folder / records[2].photo).write_bytes((folder / records[3].photo).read_bytes())
    other_grade = "B" if records[4].labels["quality_grade"] == "A" else "A"
    twin = records[4].model_copy(
        update={
            "photo": records[-1].photo,
            "split": "val_test",
            "labels": {"quality_grade": other_grade},
        }
    )
    (folder / twin.photo).write_bytes((folder / records[4].photo).read_bytes())
    rewrite(folder, [*records[:-1], twin])
    found = audit(folder)
    assert {(each.photo, each.reason) for each in found.corrupt} == {
        (records[0].photo, "UNDECODABLE"),
        (records[1].photo, "MISSING"),
        (records[2].photo, "OTHER_BYTES_THAN_INDEXED"),
    }
    assert found.copies == ((records[4].photo, twin.photo),)
    assert "same bytes" in {each.kind for each in found.conflicts}
    assert any(leak.startswith("group") for leak in found.leaks)
    assert any(leak.startswith("same bytes") for leak in found.leaks)


def test_near_duplicates_of_two_specimens_on_two_sides_are_a_leak(tmp_path: Path) -> None:
    """A scene photographed twice under two names is found by its looks, with its contradicting labels."""
    records = []
    coarse = np.random.default_rng(5).uniform(40, 190, (12, 12)).astype(np.uint8)
    for place, split in enumerate(("train", "val_test")):
        path = tmp_path / f"{place}.png"
        Image.fromarray(coarse).resize((60 + 9 * place, 60 + 9 * place), Image.Resampling.BICUBIC).save(path)
        digest = sha256(path.read_bytes()).hexdigest()
        labels = {"quality_grade": "AB"[place]}
        records.append(
            PhotoRecord.model_validate(
                {"photo": path.name, "sha256": digest, "specimen": str(place), "split": split, "labels": labels}
            )
        )
    rewrite(tmp_path, records)
    found = audit(tmp_path)
    assert found.near_duplicates == (("0.png", "1.png"),)
    assert [each.kind for each in found.conflicts] == ["near-duplicates"]
    assert found.leaks == ("near-duplicates 0.png and 1.png in train and val_test",)


def test_a_limit_looks_at_some_and_counts_all(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """Decoding is what takes long: labels are counted of all photos."""
    found = audit(dataset[0], limit=10)
    assert (found.decoded_count, found.photo_count) == (10, 40)
    assert sum(count.photos for count in found.labels["quality_grade"].values()) == 40


@pytest.mark.parametrize("accuracy", [0.5, 0.9, 0.97])
@pytest.mark.parametrize("half_width", [0.05, 0.15])
def test_so_many_items_tell_an_accuracy(half_width: float, accuracy: float) -> None:
    """With that many the interval is narrow enough, with one fewer it is not."""
    enough = items_for(half_width, accuracy=accuracy)
    counts = np.array([enough - 1, enough])
    hits = np.rint(accuracy * counts).astype(np.int64)
    high = clopper_pearson_high(hits, counts, error=0.025)
    narrow, wide = (high - clopper_pearson_low(hits, counts, error=0.025))[::-1]
    assert narrow <= 2 * half_width < wide


def test_a_missing_label_is_worth_most(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """A label without any photo comes before all others of its kind, and what is enough is no gap."""
    folder, records = dataset
    hashless = [each.model_copy(update={"labels": {**each.labels, "product_type": "plant"}}) for each in records]
    rewrite(folder, hashless)
    audited = audit_dataset(TASK, folder)
    gaps = find_gaps(audited.findings, TASK, combinations=combinations_of(audited.records, TASK.to_domain()))
    assert gaps[0].found == 0
    assert gaps[0].worth == 2
    assert [gap.worth for gap in gaps] == sorted((gap.worth for gap in gaps), reverse=True)
    assert all(gap.missing > 0 for gap in gaps)
    assert not any(gap.what == "device test" for gap in gaps if gap.found >= gap.wanted)


def test_the_plan_names_gaps_and_their_rule(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """What to collect, how many, why, and what there is."""
    text = plan_text(audit(dataset[0]), [Gap("Grade: F", "its accuracy", 3, 1_500, 2.0)])
    assert "| 1 | Grade: F | 1,497 | 3 of 1,500 | its accuracy |" in text
    assert "Clopper-Pearson" in text


def test_the_command_writes_its_four_files(dataset: tuple[Path, list[PhotoRecord]], tmp_path: Path) -> None:
    """JSON, plan and both pictures lie beside the photos, and a table is shown."""
    result = CliRunner().invoke(app, ["cannabis", "--data", str(dataset[0]), "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "out" / "DATASET_AUDIT.json").read_text())["photo_count"] == 40
    assert "# What to collect" in (tmp_path / "out" / "DATA_COLLECTION_PLAN.md").read_text()
    for picture in ("dataset_samples.png", "dataset_distributions.png"):
        with Image.open(tmp_path / "out" / picture) as image:
            assert min(image.size) > 300


def test_leaking_splits_end_the_command_with_code_1(dataset: tuple[Path, list[PhotoRecord]]) -> None:
    """An audit in a pipeline stops it before anybody trains."""
    folder, records = dataset
    records[0] = records[0].model_copy(update={"split": "val_test"})
    rewrite(folder, records)
    result = CliRunner().invoke(app, ["cannabis", "--data", str(folder), "--limit", "5"])
    assert result.exit_code == 1
    assert "leak" in result.output

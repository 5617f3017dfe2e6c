"""Every kind of source becomes the same dataset; what is wrong with it is counted, or the end of the import by name."""

import csv
import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from typer.testing import CliRunner

from training.commands_import import app
from training.dataset import PhotoRecord, read_records
from training.errors import ForeignDatasetError
from training.sources.dagm import DagmSource
from training.sources.errors import (
    BadPhotoError,
    EmptyClassError,
    MissingColumnError,
    NoPhotosError,
    SourceRefusedError,
    TableRefusedError,
    UnknownColumnUseError,
)
from training.sources.feedback import FeedbackPhoto, FeedbackSource
from training.sources.found_photo import Source
from training.sources.hugging_face import HuggingFaceSource
from training.sources.import_dataset import ImportReport, ImportRequest, import_dataset
from training.sources.local_folder import open_folder
from training.sources.mvtec import open_mvtec
from training.sources.problems import OnBad
from training.split_errors import SplitLeakError
from training.task_file import HeadSection, TaskFile, load_task_file

SURFACE = HeadSection(id="surface", title="Surface", kind="category", labels=("good", "defect"))
MARKS = HeadSection(id="marks", title="Marks", kind="attributes", labels=("rust", "dent"))
HEADS = ("surface", "marks")
TASK = load_task_file("cannabis").model_copy(
    update={"id": "surface_defect", "heads": (SURFACE, MARKS), "decision_heads": ("surface",)}
)


def scene(seed: int, *, exposure: float = 1.0, kind: str = "JPEG") -> bytes:
    """Returns a small photo of a blotchy scene that the seed decides."""
    coarse = np.random.default_rng(seed).uniform(40, 190, (12, 12)).astype(np.uint8)
    image = Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC).point(lambda value: value * exposure)
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> None:
    """Writes a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_table(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes a CSV."""
    with (folder / "photos.csv").open("w", newline="") as lines:
        table = csv.DictWriter(lines, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def write_tiles(folder: Path, *, tiles: int = 20, exposures: int = 2) -> list[dict[str, object]]:
    """Writes photos of tiles under several exposures, every other one defective, and a table of them."""
    rows: list[dict[str, object]] = []
    for tile in range(tiles):
        for exposure in range(exposures):
            name = f"{'crack' if tile % 2 else 'free'}/t{tile}_e{exposure}.jpg"
            write(folder / name, scene(tile, exposure=1 - 0.2 * exposure))
            rows.append({"file": name, "tile": tile, "surface": "defect" if tile % 2 else "good"})
    write_table(folder, rows)
    return rows


def run(
    source: Source,
    output: Path,
    *,
    on_bad: OnBad = "stop",
    names: Mapping[str, str] | None = None,
    task: TaskFile = TASK,
) -> ImportReport:
    """Imports a source of few photos."""
    return import_dataset(ImportRequest(task, source, "folder", output, on_bad, names or {}, least_photos=2))


def imported(output: Path) -> list[PhotoRecord]:
    """Returns what was imported."""
    return read_records(output, task_id=TASK.id)


def folder_source(folder: Path, **asked: str) -> Source:
    """Returns the source of a folder."""
    return open_folder(folder, heads=HEADS, decision_head="surface", asked=asked)


def test_a_folder_with_a_table_becomes_a_dataset(tmp_path: Path) -> None:
    """Photos are copied under their digests, and labels, groups and splits are those of the table."""
    write_tiles(tmp_path / "in")
    report = run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    records = imported(tmp_path / "out")
    assert report.summary.photo_count == len(records) == 40
    assert report.summary.specimen_count == 20
    for record in records:
        assert sha256((tmp_path / "out" / record.photo).read_bytes()).hexdigest() == record.sha256
        assert record.labels == {"surface": "defect" if "crack" in str(record.origin) else "good"}
    assert len({(each.specimen, each.split) for each in records}) == 20


def test_every_column_reaches_the_record(tmp_path: Path) -> None:
    """Labels of both kinds, place, device, lighting, time and trust are read from a table of JSON lines."""
    row = {
        "photo": "a.jpg", "surface": "good", "marks": ["dent"], "gps": "(52.5, 13.4)", "camera": "Pixel",
        "light": "dusk", "date": "2026-03-01", "weight": 0.5, "specimen": "s1",
    }  # fmt: skip
    write(tmp_path / "in" / "a.jpg", scene(1))
    (tmp_path / "in" / "rows.jsonl").write_text(json.dumps(row) + "\n")
    found = list(folder_source(tmp_path / "in").photos())
    assert (found[0].group, found[0].place, found[0].device) == ("s1", "(52.5, 13.4)", "Pixel")
    assert (found[0].lighting, found[0].taken, found[0].weight) == ("dusk", "2026-03-01", 0.5)
    assert found[0].labels == {"surface": "good", "marks": ["dent"]}


def test_labels_come_from_folders(tmp_path: Path) -> None:
    """Without a table each sub-folder is a label, under the names that the task gives them."""
    write_tiles(tmp_path / "in")
    (tmp_path / "in" / "photos.csv").unlink()
    run(folder_source(tmp_path / "in"), tmp_path / "out", names={"free": "good", "*": "defect"})
    assert {str(each.origin)[:4]: each.labels["surface"] for each in imported(tmp_path / "out")} == {
        "free": "good",
        "crac": "defect",
    }


def test_a_table_may_name_groups_while_folders_name_labels(tmp_path: Path) -> None:
    """`@folder` stands for the folder that a photo lies in."""
    rows = write_tiles(tmp_path / "in")
    write_table(tmp_path / "in", [{"file": row["file"], "tile": row["tile"]} for row in rows])
    run(
        folder_source(tmp_path / "in", group="tile", surface="@folder"),
        tmp_path / "out",
        names={"free": "good", "surface.crack": "defect"},
    )
    assert {each.labels["surface"] for each in imported(tmp_path / "out")} == {"good", "defect"}


def test_without_a_group_column_near_duplicates_make_the_groups(tmp_path: Path) -> None:
    """Two exposures of a tile are one specimen, though no column says so."""
    write_tiles(tmp_path / "in")
    report = run(folder_source(tmp_path / "in"), tmp_path / "out")
    assert report.summary.specimen_count == 20
    assert report.joined_groups == 20


def split_by_photo(folder: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Writes splits that part the two photos of each tile."""
    names = [str(row["file"]) for row in rows]
    (folder / "splits.json").write_text(
        json.dumps({"train": names[::2], "val_select": names[1::6], "val_calib": names[3::6], "val_test": names[5::6]})
    )


def test_a_split_by_photo_is_a_leak_by_its_column(tmp_path: Path) -> None:
    """Splits that came with the data are honoured only if no tile stands on two sides."""
    split_by_photo(tmp_path / "in", write_tiles(tmp_path / "in"))
    with pytest.raises(SplitLeakError, match="group 0 in train and"):
        run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_split_by_photo_is_a_leak_by_its_looks(tmp_path: Path) -> None:
    """Where no column names the tiles, their photos give them away."""
    split_by_photo(tmp_path / "in", write_tiles(tmp_path / "in"))
    with pytest.raises(SplitLeakError, match="near-duplicates") as caught:
        run(folder_source(tmp_path / "in"), tmp_path / "out")
    assert len(caught.value.leaks) == 20


def test_equal_bytes_on_two_sides_are_a_leak(tmp_path: Path) -> None:
    """A copy under another name does not hide from the check by being left out."""
    for name in ("a", "b"):
        write(tmp_path / "in" / "good" / f"{name}.jpg", scene(1))
    (tmp_path / "in" / "splits.json").write_text('{"good/a.jpg": "train", "good/b.jpg": "val_test"}')
    with pytest.raises(SplitLeakError, match="same bytes"):
        run(folder_source(tmp_path / "in"), tmp_path / "out", on_bad="skip")


def test_photos_that_are_added_move_nobody(tmp_path: Path) -> None:
    """An import into the same folder keeps every photo on its side."""
    write_tiles(tmp_path / "in", tiles=20)
    run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    before = {each.origin: each.split for each in imported(tmp_path / "out")}
    write_tiles(tmp_path / "in", tiles=34)
    run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    after = {each.origin: each.split for each in imported(tmp_path / "out")}
    assert len(after) == 68
    assert {name: after[name] for name in before} == before


def test_photos_may_stay_where_they_are(tmp_path: Path) -> None:
    """In place, the index refers to the source's own files, and nothing is copied."""
    write_tiles(tmp_path / "in")
    source = folder_source(tmp_path / "in", group="tile")
    import_dataset(ImportRequest(TASK, source, "folder", tmp_path / "out", in_place=True))
    for record in imported(tmp_path / "out"):
        assert (tmp_path / "out" / record.photo).resolve() == tmp_path / "in" / str(record.origin)
    assert not (tmp_path / "out" / "photos").exists()


def test_rendered_photos_are_not_overwritten(tmp_path: Path) -> None:
    """A folder that the renderer filled is refused."""
    write_tiles(tmp_path / "in")
    run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "dataset.json").read_text())
    (tmp_path / "out" / "dataset.json").write_text(json.dumps(summary | {"source": None}))
    with pytest.raises(ForeignDatasetError):
        run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out")


BAD_ROWS: dict[str, dict[str, object]] = {
    "cannot be read": {"file": "free/broken.jpg", "surface": "good"},
    "unknown label": {"file": "free/strange.jpg", "surface": "lovely"},
    "no label": {"file": "free/bare.jpg", "surface": ""},
    "weight is not in [0, 1]": {"file": "free/heavy.jpg", "surface": "good", "weight": "much"},
    "same bytes, other labels": {"file": "free/copy.jpg", "surface": "defect"},
}


@pytest.fixture
def bad_folder(tmp_path: Path) -> Path:
    """A folder with a fault of each kind among good photos."""
    folder = tmp_path / "in"
    rows = [{**row, "weight": 1} for row in write_tiles(folder)]
    for seed, name in enumerate(("strange", "bare", "heavy"), start=900):
        write(folder / "free" / f"{name}.jpg", scene(seed))
    write(folder / "free" / "broken.jpg", scene(1)[:200])
    write(folder / "free" / "copy.jpg", scene(0))
    write_table(folder, rows + [{"tile": "", "weight": 1, **row} for row in BAD_ROWS.values()])
    return folder


def test_bad_photos_are_counted_and_left_out(bad_folder: Path, tmp_path: Path) -> None:
    """Each fault is one count under its name; copies that contradict each other both go."""
    report = run(folder_source(bad_folder, group="tile"), tmp_path / "out", on_bad="skip")
    assert report.summary.skipped == dict.fromkeys(BAD_ROWS, 1) | {"same bytes, other labels": 2}
    assert report.summary.photo_count == 39


def test_the_first_bad_photo_stops_the_import(bad_folder: Path, tmp_path: Path) -> None:
    """With the other policy nothing is written, and the photo is named."""
    with pytest.raises(BadPhotoError, match=r"free/broken\.jpg: cannot be read \(UNDECODABLE\)"):
        run(folder_source(bad_folder, group="tile"), tmp_path / "out", on_bad="stop")
    assert not (tmp_path / "out").exists()


def test_a_bad_place_costs_the_place_and_not_the_photo(tmp_path: Path) -> None:
    """A photo in Atlantis is kept; its place is not."""
    rows = write_tiles(tmp_path / "in")
    write_table(
        tmp_path / "in", [{**row, "gps": "Atlantis" if place == 3 else "1, 2"} for place, row in enumerate(rows)]
    )
    report = run(folder_source(tmp_path / "in", group="tile"), tmp_path / "out", on_bad="skip")
    assert [(each.reason, each.left_out) for each in report.problems] == [("place left out", False)]
    assert report.placed_count == report.summary.photo_count - 1


def test_an_empty_class_is_an_error(tmp_path: Path) -> None:
    """Fewer than ten photos of a label teach nothing: the label and its count are named."""
    write_tiles(tmp_path / "in", tiles=6)
    request = ImportRequest(TASK, folder_source(tmp_path / "in", group="tile"), "folder", tmp_path / "out", "stop")
    with pytest.raises(EmptyClassError, match=r"surface\.good 6, surface\.defect 6"):
        import_dataset(request)


def test_an_empty_class_may_be_left_out(tmp_path: Path) -> None:
    """With the other policy its photos are counted, and the rest is imported."""
    rows = write_tiles(tmp_path / "in", tiles=40, exposures=1)
    write_table(tmp_path / "in", [row for row in rows if row["surface"] == "good"] + rows[1:8:2])
    request = ImportRequest(TASK, folder_source(tmp_path / "in", group="tile"), "folder", tmp_path / "out", "skip")
    report = import_dataset(request)
    assert report.summary.skipped == {"fewer than 10 photos of its label": 4}
    assert report.rare_labels == {"surface.defect": 4}


def test_nothing_left_is_an_error(tmp_path: Path) -> None:
    """A folder of broken photos is no empty dataset."""
    write(tmp_path / "in" / "good" / "a.jpg", b"no photo")
    with pytest.raises(NoPhotosError, match="cannot be read 1"):
        run(folder_source(tmp_path / "in"), tmp_path / "out", on_bad="skip")


def test_missing_columns_are_named(tmp_path: Path) -> None:
    """A column that was asked for, the photo's, and the labels': each has its own error."""
    rows = write_tiles(tmp_path / "in")
    with pytest.raises(MissingColumnError, match="no column 'tyle' for group"):
        list(folder_source(tmp_path / "in", group="tyle").photos())
    with pytest.raises(UnknownColumnUseError, match="colour"):
        list(folder_source(tmp_path / "in", colour="tile").photos())
    write_table(tmp_path / "in", [{"file": row["file"], "tile": row["tile"]} for row in rows])
    with pytest.raises(MissingColumnError, match="surface"):
        list(folder_source(tmp_path / "in").photos())
    write_table(tmp_path / "in", [{"tile": row["tile"], "surface": "good"} for row in rows])
    with pytest.raises(MissingColumnError, match="photo"):
        list(folder_source(tmp_path / "in").photos())


@pytest.mark.parametrize(("name", "text"), [("t.jsonl", "[1]"), ("t.jsonl", "{"), ("t.csv", "file,surface\n")])
def test_a_table_that_is_none_is_refused(name: str, text: str, tmp_path: Path) -> None:
    """Broken JSON, lists in place of objects, and tables without rows."""
    (tmp_path / name).write_text(text)
    with pytest.raises(TableRefusedError):
        list(folder_source(tmp_path).photos())


def test_a_folder_without_photos_or_table_is_refused(tmp_path: Path) -> None:
    """So is one that is not there."""
    with pytest.raises(SourceRefusedError, match="neither a table nor folders"):
        list(folder_source(tmp_path).photos())
    with pytest.raises(SourceRefusedError, match="no such folder"):
        folder_source(tmp_path / "nowhere")


def test_mvtec_gets_splits_of_ours_and_says_what_is_normal(tmp_path: Path) -> None:
    """Both parts are shared out anew, all defects are one, masks are no photos, and one-class use is told of."""
    for number in range(12):
        write(tmp_path / "in" / "bottle" / "train" / "good" / f"{number:03}.png", scene(number, kind="PNG"))
    for kind, first in (("good", 100), ("broken", 200), ("scratch", 300)):
        for number in range(4):
            write(tmp_path / "in" / "bottle" / "test" / kind / f"{number:03}.png", scene(first + number, kind="PNG"))
    write(tmp_path / "in" / "bottle" / "ground_truth" / "broken" / "000_mask.png", scene(200, kind="PNG"))
    report = run(open_mvtec(tmp_path / "in", head="surface", labels=SURFACE.labels), tmp_path / "out")
    labels = {str(each.origin): each.labels["surface"] for each in imported(tmp_path / "out")}
    assert len(labels) == 24
    assert sum(label == "defect" for label in labels.values()) == 8
    assert labels["bottle/test/good/000.png"] == "good"
    assert report.summary.one_class_label == "good"
    assert min(report.summary.photos_by_split.values()) > 0


def test_dagm_is_read_by_its_lists(tmp_path: Path) -> None:
    """Labels.txt says which photos are defective; its first line and the masks are no photos."""
    for part, first in (("Train", 0), ("Test", 50)):
        lines = ["1"]
        for number in range(first, first + 12):
            bad = number % 3 == 0
            write(tmp_path / "in" / "Class1" / part / f"{number:04}.PNG", scene(number, kind="PNG"))
            lines.append(f"{number}\t{int(bad)}\t{number:04}.PNG\t{int(bad)}\t{f'{number:04}_label.PNG' if bad else 0}")
        write(tmp_path / "in" / "Class1" / part / "Label" / "Labels.txt", "\n".join(lines).encode())
    run(DagmSource(tmp_path / "in", "surface"), tmp_path / "out")
    labels = {str(each.origin): each.labels["surface"] for each in imported(tmp_path / "out")}
    assert len(labels) == 24
    assert labels["Class1/Train/0003.PNG"] == "defect"
    assert labels["Class1/Test/0052.PNG"] == "good"


def test_other_layouts_are_refused(tmp_path: Path) -> None:
    """A folder that is laid out otherwise is not taken for either benchmark."""
    with pytest.raises(SourceRefusedError, match="train/good"):
        list(open_mvtec(tmp_path, head="surface", labels=SURFACE.labels).photos())
    with pytest.raises(SourceRefusedError, match=r"Labels\.txt"):
        list(DagmSource(tmp_path, "surface").photos())
    write(tmp_path / "Train" / "Label" / "Labels.txt", b"1\n1 maybe 0001.PNG 0 0\n")
    with pytest.raises(SourceRefusedError, match="line 2"):
        list(DagmSource(tmp_path, "surface").photos())


def hugging_face_rows() -> datasets.Dataset:
    """Returns a dataset of the real library, with encoded photos and a class label."""
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "surface": datasets.ClassLabel(names=["good", "defect"]),
            "marks": datasets.Sequence(datasets.ClassLabel(names=["rust", "dent"])),
            "plate": datasets.Value("int64"),
        }
    )
    columns = {
        "picture": [{"bytes": scene(place // 2, exposure=1 - 0.2 * (place % 2)), "path": None} for place in range(40)],
        "surface": [place // 2 % 2 for place in range(40)],
        "marks": [[1] if place % 4 == 0 else [] for place in range(40)],
        "plate": [place // 2 for place in range(40)],
    }
    return datasets.Dataset.from_dict(columns, features=features)


def test_a_saved_hugging_face_dataset_is_imported(tmp_path: Path) -> None:
    """Encoded photos arrive byte for byte, class numbers as their names."""
    hugging_face_rows().save_to_disk(str(tmp_path / "in"))
    run(HuggingFaceSource(str(tmp_path / "in"), HEADS, {"group": "plate"}), tmp_path / "out")
    records = {each.origin: each for each in imported(tmp_path / "out")}
    assert len(records) == 40
    assert records["all/0"].sha256 == sha256(scene(0)).hexdigest()
    assert records["all/0"].labels == {"surface": "good", "marks": ("dent",)}
    assert records["all/2"].labels == {"surface": "defect", "marks": ()}


def test_parquet_files_are_imported(tmp_path: Path) -> None:
    """The same rows in a Parquet file give the same photos."""
    hugging_face_rows().to_parquet(str(tmp_path / "rows.parquet"))
    source = HuggingFaceSource(str(tmp_path / "rows.parquet"), HEADS, {"group": "plate"}, cache=tmp_path / "cache")
    assert run(source, tmp_path / "out").summary.specimen_count == 20
    assert imported(tmp_path / "out")[0].labels["surface"] == "good"


def test_parts_named_as_our_splits_are_taken_for_them(tmp_path: Path) -> None:
    """A dataset that brings our four splits keeps them."""
    rows = hugging_face_rows()
    bounds = {"train": (0, 24), "val_select": (24, 30), "val_calib": (30, 36), "val_test": (36, 40)}
    parts = {split: rows.select(range(*bound)) for split, bound in bounds.items()}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "in"))
    report = run(HuggingFaceSource(str(tmp_path / "in"), HEADS, {"group": "plate"}), tmp_path / "out")
    assert report.summary.photos_by_split == {"train": 24, "val_select": 6, "val_calib": 6, "val_test": 4}


def test_what_the_library_cannot_load_is_refused(tmp_path: Path) -> None:
    """An empty folder is a typed error, not the library's."""
    with pytest.raises(SourceRefusedError):
        list(HuggingFaceSource(str(tmp_path), HEADS, cache=tmp_path / "cache").photos())


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


def test_the_command_imports_and_names_the_next_one(tmp_path: Path) -> None:
    """Folders of classes become a dataset; what was left out is a table, and the next command is there to type."""
    for kind, label in enumerate(load_task_file("cannabis").head("product_type").labels):
        for number in range(4):
            write(tmp_path / "in" / label / f"{number}.jpg", scene(100 * kind + number))
    write(tmp_path / "in" / "hash" / "broken.jpg", b"no photo")
    result = CliRunner().invoke(
        app, ["cannabis", str(tmp_path / "in"), "--least", "2", "--output", str(tmp_path / "out")]
    )
    assert result.exit_code == 0, result.output
    assert "20 photos of 20 specimens" in result.output
    assert "cannot be read" in result.output
    assert "loupe-train audit cannabis" in result.output


@pytest.mark.parametrize("arguments", [["--column", "photo"], ["--head", "colour"], ["--from", "nowhere"]])
def test_bad_arguments_are_usage_errors(arguments: list[str], tmp_path: Path) -> None:
    """What cannot be understood ends with code 2 before anything is read."""
    assert CliRunner().invoke(app, ["cannabis", str(tmp_path), *arguments]).exit_code == 2


def test_a_wrong_folder_is_two_lines(tmp_path: Path) -> None:
    """Cause and cure, and no traceback."""
    result = CliRunner().invoke(app, ["cannabis", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "Name the folder of the photos." in result.output

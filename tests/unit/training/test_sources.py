"""Every kind of source becomes the same dataset; what is wrong with it is counted, or the end of the import by name."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import pytest
from small_sources import TASK, folder_source, imported, run, scene, write, write_table, write_tiles
from typer.testing import CliRunner

from training.commands_import import app
from training.errors import ForeignDatasetError
from training.sources.errors import (
    BadPhotoError,
    EmptyClassError,
    MissingColumnError,
    NoPhotosError,
    SourceRefusedError,
    TableRefusedError,
    UnknownColumnUseError,
)
from training.sources.import_dataset import ImportRequest, import_dataset
from training.split_errors import SplitLeakError
from training.task_file import load_task_file


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


@pytest.mark.parametrize("asked", [{"group": "tile"}, {}])
def test_photos_that_come_again_are_on_the_side_where_they_were(tmp_path: Path, asked: dict[str, str]) -> None:
    """What a source leaves out for a while is not forgotten: else it might come back from test to train."""
    rows = write_tiles(tmp_path / "in", tiles=40)
    run(folder_source(tmp_path / "in", **asked), tmp_path / "out")
    before = {each.origin: each.split for each in imported(tmp_path / "out")}
    # Of half of the tiles nothing is left for a while; then they come again, with new ones, the second exposure first.
    write_table(tmp_path / "in", [row for row in rows if int(str(row["tile"])) // 2 % 2])
    run(folder_source(tmp_path / "in", **asked), tmp_path / "out")
    assert len(imported(tmp_path / "out")) == 40
    rows = write_tiles(tmp_path / "in", tiles=60)
    write_table(tmp_path / "in", [row for row in rows if "_e1" in str(row["file"])])
    run(folder_source(tmp_path / "in", **asked), tmp_path / "out")
    write_tiles(tmp_path / "in", tiles=60)
    run(folder_source(tmp_path / "in", **asked), tmp_path / "out")
    after = {each.origin: each.split for each in imported(tmp_path / "out")}
    assert {name: after[name] for name in before} == before


def test_photos_may_stay_where_they_are(tmp_path: Path) -> None:
    """In place, the index refers to the source's own files, and nothing is copied."""
    write_tiles(tmp_path / "in")
    source = folder_source(tmp_path / "in", group="tile")
    import_dataset(ImportRequest(TASK, source, "folder", tmp_path / "out", in_place=True))
    for record in imported(tmp_path / "out"):
        assert (tmp_path / "out" / record.photo).resolve() == tmp_path / "in" / str(record.origin)
    assert not (tmp_path / "out" / "photos").exists()


def test_the_task_says_what_is_normal_if_the_source_does_not(tmp_path: Path) -> None:
    """A folder knows no label of what is good; a one-class model is fitted on that of the task file."""
    write_tiles(tmp_path / "in")
    data = TASK.data.model_copy(update={"one_class_label": "good"})
    source = folder_source(tmp_path / "in", group="tile")
    for task, told in ((TASK, None), (TASK.model_copy(update={"data": data}), "good")):
        assert run(source, tmp_path / str(told), task=task).summary.one_class_label == told


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

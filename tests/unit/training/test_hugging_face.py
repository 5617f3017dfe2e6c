"""Datasets of the Hugging Face library: saved, in Parquet files, with splits of their own."""

from hashlib import sha256
from pathlib import Path

import datasets
import pytest
from small_sources import HEADS, imported, run, scene

from training.sources.errors import (
    SourceRefusedError,
)
from training.sources.hugging_face import HuggingFaceSource


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

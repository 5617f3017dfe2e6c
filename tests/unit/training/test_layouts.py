"""The layouts of MVTec AD and DAGM: read as they are, with splits of ours."""

from pathlib import Path

import pytest
from small_sources import SURFACE, imported, run, scene, write

from training.sources.dagm import DagmSource
from training.sources.errors import (
    SourceRefusedError,
)
from training.sources.mvtec import open_mvtec


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

"""Which photos are sent, and what is made of them."""

import json
from pathlib import Path

import pytest
from toy_engine import toy_photo

from loadtests import photos
from loadtests.errors import NoPhotosError
from loadtests.photo_kinds import PHOTO_KINDS, UNDECODABLE
from loadtests.photos import find_photos
from server.domain.errors import LoupeError
from server.imaging import prepare, read_header


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A release with its one photo."""
    folder = tmp_path / "release"
    folder.mkdir()
    (folder / "known_answer.jpg").write_bytes(b"known")
    (folder / "report.md").write_text("no photo")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """A rendered dataset: ten photos of the test split, and two to learn from."""
    folder = tmp_path / "data"
    folder.mkdir()
    records = [{"photo": f"photos/{each}.jpg", "split": "val_test" if each < 10 else "train"} for each in range(12)]
    (folder / "index.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in records))
    return folder


def test_a_folder_that_is_given_goes_first(tmp_path: Path, dataset: Path, release: Path) -> None:
    """All its photos, in any depth and of any format, in an order that the seed decides; and they come round again."""
    own = tmp_path / "own" / "deep"
    own.mkdir(parents=True)
    for name in ("a.JPG", "b.png", "c.webp", "d.heic", "notes.txt"):
        (own / name).write_bytes(name.encode())
    found = find_photos(own.parent, dataset=dataset, release=release, seed=1)
    assert {each.name for each in found.paths} == {"a.JPG", "b.png", "c.webp", "d.heic"}
    assert found == find_photos(own.parent, dataset=dataset, release=release, seed=1)
    assert found.read(0) == found.read(4) != found.read(1)
    assert found.description.startswith("4 photos")


def test_the_test_photos_of_a_dataset_go_next(dataset: Path, release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A seeded sample of them, never a photo to learn from."""
    monkeypatch.setattr(photos, "SAMPLE_SIZE", 6)
    found = find_photos(None, dataset=dataset, release=release, seed=1)
    assert len(set(found.paths)) == 6
    assert {each.parent for each in found.paths} == {dataset / "photos"}
    assert all(int(each.stem) < 10 for each in found.paths)
    assert found.paths != find_photos(None, dataset=dataset, release=release, seed=2).paths
    assert found.description.startswith("6 of 10 val_test photos")


def test_the_bundled_photo_goes_last(tmp_path: Path, release: Path) -> None:
    """And it is said what that means."""
    found = find_photos(None, dataset=tmp_path / "nowhere", release=release, seed=1)
    assert found.read(7) == b"known"
    assert "1 bundled photo in" in found.description
    assert "same exit" in found.description


def test_a_folder_without_photos_is_refused(tmp_path: Path, release: Path) -> None:
    """With what to do."""
    with pytest.raises(NoPhotosError, match="--photos"):
        find_photos(tmp_path / "nowhere", dataset=tmp_path, release=release, seed=1)


@pytest.mark.parametrize("kind", sorted(set(PHOTO_KINDS) - {UNDECODABLE}))
def test_every_kind_of_photo_can_be_decoded(kind: str) -> None:
    """Whatever it is made into."""
    assert prepare(PHOTO_KINDS[kind](toy_photo()), size_px=32).shape == (32, 32, 3)


def test_a_telephones_photo_has_twelve_megapixels() -> None:
    """Whatever it was before."""
    header = read_header(PHOTO_KINDS["twelve_megapixels"](toy_photo()))
    assert header.width_px * header.height_px == 4032 * 3024


def test_the_undecodable_has_a_sound_header_and_cannot_be_decoded() -> None:
    """So it passes the gateway, and is refused behind it."""
    broken = PHOTO_KINDS[UNDECODABLE](toy_photo())
    read_header(broken)
    with pytest.raises(LoupeError):
        prepare(broken, size_px=32)

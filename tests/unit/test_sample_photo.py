"""The photo that a server is shown with comes along with every release, of one tier or of several."""

from pathlib import Path

import pytest

from server.cli.serve import sample_photo


def test_every_committed_release_brings_a_photo(repository_root: Path) -> None:
    """A fresh clone answers a photo without anything else."""
    releases = sorted((repository_root / "model_repository" / "releases").glob("*/*"))
    assert releases
    assert all(sample_photo(each).is_file() for each in releases)


def test_the_first_of_several_is_taken_and_none_is_an_error(tmp_path: Path) -> None:
    """Always the same one."""
    with pytest.raises(FileNotFoundError, match="known answer"):
        sample_photo(tmp_path)
    for tier in ("full", "fast"):
        (tmp_path / f"known_answer_{tier}.jpg").write_bytes(b"photo")
    assert sample_photo(tmp_path).name == "known_answer_fast.jpg"

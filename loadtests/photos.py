"""Which photos are sent: a folder of the caller's, the rendered test photos, or the release's own sample."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from loadtests.errors import NoPhotosError

SAMPLE_SIZE = 2_000
"""The most photos of a rendered dataset that one test sends."""

TEST_SPLIT = "val_test"

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif"})
_INDEX_NAME = "index.jsonl"


@dataclass(frozen=True, slots=True)
class PhotoSet:
    """Encoded photos on disk, in the order in which they are sent.

    Attributes:
        paths: At least one.
        description: For people: how many, and which.
    """

    paths: tuple[Path, ...]
    description: str

    def read(self, number: int) -> bytes:
        """Returns the encoded bytes of one photo; numbers beyond the last begin again with the first."""
        return self.paths[number % len(self.paths)].read_bytes()


def find_photos(folder: Path | None, *, dataset: Path, release: Path, seed: int) -> PhotoSet:
    """Returns the photos of a folder if one is given, else the dataset's test photos, else the release's sample.

    Args:
        folder: The caller's own photos, in any depth.
        dataset: Where a rendered dataset of the task may lie.
        release: The folder of a release, with at least one photo.
        seed: Decides which photos are drawn, and in which order.

    Raises:
        NoPhotosError: The folder that is to be used holds none.
    """
    if folder is not None:
        found = _photos_in(folder)
        return PhotoSet(_drawn(found, seed, len(found)), f"{len(found):,} photos in {folder}")
    if (dataset / _INDEX_NAME).is_file():
        listed = test_photos((dataset / _INDEX_NAME).read_text(encoding="utf-8").splitlines())
        paths = _drawn([dataset / each for each in listed], seed, SAMPLE_SIZE)
        if paths:
            return PhotoSet(paths, f"{len(paths):,} of {len(listed):,} {TEST_SPLIT} photos in {dataset}, seed {seed}")
    bundled = _photos_in(release)
    count = f"{len(bundled)} bundled photo" + ("s" if len(bundled) > 1 else "")
    return PhotoSet(tuple(bundled), f"{count} in {release}: every answer takes the same exit")


def test_photos(index: Sequence[str]) -> list[str]:
    """Returns the paths of the test photos in a dataset's index, one JSON record a line."""
    records = (json.loads(line) for line in index)
    return [str(record["photo"]) for record in records if record["split"] == TEST_SPLIT]


def _photos_in(folder: Path) -> list[Path]:
    found = sorted(each for each in folder.rglob("*") if each.suffix.lower() in _SUFFIXES and each.is_file())
    if not found:
        raise NoPhotosError(folder)
    return found


def _drawn(paths: Sequence[Path], seed: int, count: int) -> tuple[Path, ...]:
    """Returns at most `count` of the paths, in an order that the seed decides."""
    order = np.random.default_rng(seed).permutation(len(paths))
    return tuple(paths[each] for each in order[:count])

"""Photos prepared once and kept as pixels: a memory-mapped array beside the dataset, named by what went in.

Pixels come from `server.imaging.prepare`, the function that serves; nothing else decodes.
"""

import os
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from server.domain.framing import Framing
from server.imaging import prepare
from training.dataset import PhotoRecord
from training.progress import Follow, unfollowed
from training.workers import PROCESSORS, worker_pool

_PHOTOS_A_CHUNK = 256

Pixels = npt.NDArray[np.uint8]
"""[photo_count, size, size, 3] uint8. RGB."""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """A run of photos that one worker prepares."""

    photos: tuple[Path, ...]
    target: Path
    first: int
    size_px: int
    framing: Framing


def open_prepared_photos(
    folder: Path,
    photos: Sequence[PhotoRecord],
    *,
    size_px: int,
    framing: Framing,
    workers: int = PROCESSORS,
    on_progress: Follow = unfollowed,
) -> Pixels:
    """Returns the pixels of all photos, preparing them first if this was never done.

    Args:
        folder: The dataset's folder; the cache goes to `cache/` in it.
        photos: In the order of the result; the cache is named by their paths and digests, and by how they are prepared.
        size_px: The side of the prepared photos.
        framing: How a photo becomes a square.
        workers: Processes that prepare at once.
        on_progress: Called with (photos done, photos in all).

    Returns:
        [photo_count, size_px, size_px, 3] uint8, memory-mapped and read-only.

    Raises:
        PhotoRefusedError: A photo cannot be decoded.
    """
    path = folder / "cache" / f"{size_px}px_{_digest(photos)}_{_preparation(size_px, framing)}.npy"
    if not path.is_file():
        _prepare_all(folder, photos, path, size_px=size_px, framing=framing, workers=workers, on_progress=on_progress)
    pixels: Pixels = np.load(path, mmap_mode="r")
    return pixels


def _digest(photos: Sequence[PhotoRecord]) -> str:
    return sha256("".join(f"{each.photo} {each.sha256}\n" for each in photos).encode()).hexdigest()[:16]


def _preparation(size_px: int, framing: Framing) -> str:
    """Names how photos are prepared, by what becomes of two: another rule, or another decoder, makes another cache."""
    generator = np.random.default_rng(0)
    height, width = 2 * size_px + 9, 3 * size_px + 5
    coarse = Image.fromarray(generator.integers(0, 256, (12, 16, 4), dtype=np.uint8))
    drawn = coarse.resize((width, height), Image.Resampling.BICUBIC)
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    jpeg, png = BytesIO(), BytesIO()
    drawn.convert("RGB").save(jpeg, "JPEG", exif=turned)
    coarse.save(png, "PNG")
    prepared = (prepare(each.getvalue(), size_px=size_px, framing=framing) for each in (jpeg, png))
    return sha256(b"".join(each.tobytes() for each in prepared)).hexdigest()[:8]


def _prepare_all(
    folder: Path,
    photos: Sequence[PhotoRecord],
    path: Path,
    *,
    size_px: int,
    framing: Framing,
    workers: int,
    on_progress: Follow,
) -> None:
    """Writes the cache aside, then renames it: it is whole or missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own: two runs that start together must not write into each other's file.
    aside = path.with_name(f".{path.stem}.{os.getpid()}.npy")
    shape = (len(photos), size_px, size_px, 3)
    np.lib.format.open_memmap(aside, mode="w+", dtype=np.uint8, shape=shape).flush()  # type: ignore[no-untyped-call]
    chunks = [
        _Chunk(
            tuple(folder / each.photo for each in photos[first : first + _PHOTOS_A_CHUNK]),
            aside,
            first,
            size_px,
            framing,
        )
        for first in range(0, len(photos), _PHOTOS_A_CHUNK)
    ]
    done = 0
    with worker_pool(workers) as pool:
        for future in as_completed([pool.submit(_prepare_chunk, chunk) for chunk in chunks]):
            done += future.result()
            on_progress(done, len(photos))
    aside.rename(path)


def _prepare_chunk(chunk: _Chunk) -> int:
    """Prepares the photos of a chunk into their places; returns how many."""
    target = np.load(chunk.target, mmap_mode="r+")
    for offset, photo in enumerate(chunk.photos):
        target[chunk.first + offset] = prepare(photo.read_bytes(), size_px=chunk.size_px, framing=chunk.framing)
    target.flush()
    return len(chunk.photos)

"""What a look at a photo tells without any label: its size, its brightness, and a hash that survives recompression.

Photos are decoded by `server.imaging` alone; one that it refuses has no facts, only the code of the refusal.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import imagehash
import numpy as np
import numpy.typing as npt
from PIL import Image

from server.domain.errors import PhotoRefusedError
from server.domain.framing import Framing
from server.imaging import BORDER, prepare, read_header
from training.progress import Follow, unfollowed
from training.workers import PROCESSORS

HASH_SIDE = 16
"""The hash has HASH_SIDE² bits."""

_OVERSAMPLING = 4
_LONG_SIDES = 2
"""A long photo's short side is to have pixels enough."""
_AT_ONCE = 256

HashBits = npt.NDArray[np.bool_]
"""[photo_count, HASH_SIDE²] bool."""


@dataclass(frozen=True, slots=True)
class PhotoFacts:
    """What one photo shows.

    Attributes:
        sha256: Of its bytes, in hexadecimal digits.
        format: `JPEG`, `PNG`, `WEBP` or `HEIF`.
        width_px: As stored, before any EXIF orientation.
        height_px: As stored, before any EXIF orientation.
        brightness: Mean luma of what networks see of the photo, in [0, 255].
        contrast: Standard deviation of that luma, in [0, 127.5].
        hash_bits: [HASH_SIDE²] bool. The perceptual hash of what they see, stretched to a square: which low frequencies
            of its cosine transform lie above their median. Exposure, scale and compression leave most bits as they are.
    """

    sha256: str
    format: str
    width_px: int
    height_px: int
    brightness: float
    contrast: float
    hash_bits: npt.NDArray[np.bool_]


def look_at(content: bytes, framing: Framing) -> PhotoFacts:
    """Decodes one photo and notes what it shows.

    Args:
        content: The encoded photo.
        framing: How it becomes a square.

    Raises:
        PhotoRefusedError: The photo is not to be decoded, or cannot be.
    """
    header = read_header(content)
    shown = Image.fromarray(_shown(content, framing)).convert("L")
    luma = np.asarray(shown, dtype=np.float64)
    bits = imagehash.phash(shown, hash_size=HASH_SIDE, highfreq_factor=_OVERSAMPLING).hash
    return PhotoFacts(
        sha256=sha256(content).hexdigest(),
        format=header.format,
        width_px=header.width_px,
        height_px=header.height_px,
        brightness=float(luma.mean()),
        contrast=float(luma.std()),
        hash_bits=np.asarray(bits, dtype=np.bool_).ravel(),
    )


def _shown(content: bytes, framing: Framing) -> npt.NDArray[np.uint8]:
    """Returns [rows, columns, 3] uint8: a central square, or a whole photo without the borders that make it one."""
    side = HASH_SIDE * _OVERSAMPLING
    if framing is Framing.CENTRE:
        return prepare(content, size_px=side, framing=framing)
    # All long photos have the same borders: hashed with them, they would all look alike.
    square = prepare(content, size_px=_LONG_SIDES * side, framing=framing)
    rows, columns = np.nonzero((square != BORDER).any(axis=2))
    return square if not len(rows) else square[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]


def look_at_all(
    photos: Sequence[Callable[[], bytes]],
    *,
    framing: Framing,
    workers: int = PROCESSORS,
    on_progress: Follow = unfollowed,
) -> list[PhotoFacts | str]:
    """Looks at many photos, some at a time: decoders work beside each other.

    Args:
        photos: Each reads the bytes of one photo.
        framing: How a photo becomes a square.
        workers: Threads.
        on_progress: Called with (photos done, photos in all).

    Returns:
        In the order of `photos`: the facts, or the code of the refusal; `MISSING` for a file that cannot be read.
    """
    facts: list[PhotoFacts | str] = []
    with ThreadPoolExecutor(workers) as pool:
        for first in range(0, len(photos), _AT_ONCE):
            facts.extend(pool.map(partial(_facts_or_code, framing), photos[first : first + _AT_ONCE]))
            on_progress(len(facts), len(photos))
    return facts


def _facts_or_code(framing: Framing, read: Callable[[], bytes]) -> PhotoFacts | str:
    try:
        return look_at(read(), framing)
    except PhotoRefusedError as refusal:
        return refusal.code
    except OSError:
        return "MISSING"

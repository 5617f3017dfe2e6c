"""Reads what a photo says of itself, and refuses what must not be decoded. Decodes no pixels.

Whatever a decoder raises becomes a `PhotoRefusedError` with a fixed code: decoders' texts
name memory addresses and never leave this module.
"""

import functools
import io
from dataclasses import dataclass
from typing import Final

import pillow_heif
from PIL import Image

from server.domain.errors import PhotoRefusedError
from server.imaging.jpeg import plain_jpeg_size

MAX_PHOTO_BYTES: Final = 10 * 1024 * 1024
MAX_PHOTO_PIXELS: Final = 50_000_000

_HEVC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"})
_GENERIC_BRANDS = frozenset({b"mif1", b"msf1"})
# Pillow names iPhone photos of several frames MPO; their first frame is a plain JPEG.
_DECODERS = {"JPEG": ("JPEG", "MPO"), "PNG": ("PNG",), "WEBP": ("WEBP",), "HEIF": ("HEIF",)}


@dataclass(frozen=True, slots=True)
class PhotoHeader:
    """What a photo says of itself.

    Attributes:
        format: `JPEG`, `PNG`, `WEBP` or `HEIF`.
        width_px: As stored, before any EXIF orientation; at least 1.
        height_px: As stored, before any EXIF orientation; at least 1.
    """

    format: str
    width_px: int
    height_px: int


def read_header(content: bytes) -> PhotoHeader:
    """Reads format and dimensions without decoding pixels.

    What only a decoder finds damaged is refused by `prepare`.

    Raises:
        PhotoRefusedError: The photo is empty, too large, of another format, or its header is damaged.
    """
    if len(content) > MAX_PHOTO_BYTES:
        raise PhotoRefusedError("TOO_MANY_BYTES")
    photo_format = sniff_format(content)
    size = plain_jpeg_size(content) if photo_format == "JPEG" else None
    if size is None:
        with open_photo(content) as image:
            size = image.size
    width_px, height_px = size
    if width_px * height_px > MAX_PHOTO_PIXELS:
        raise PhotoRefusedError("TOO_MANY_PIXELS")
    return PhotoHeader(photo_format, width_px, height_px)


def sniff_format(content: bytes) -> str:
    """Returns the format by its first bytes.

    Raises:
        PhotoRefusedError: The photo is empty or not of an allowed format.
    """
    if not content:
        raise PhotoRefusedError("EMPTY")
    if content.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "WEBP"
    if content[4:8] == b"ftyp" and _is_hevc(content):
        return "HEIF"
    raise PhotoRefusedError("UNKNOWN_FORMAT")


def open_photo(content: bytes) -> Image.Image:
    """Opens a photo lazily, within the limits on bytes and pixels; the caller closes it.

    Raises:
        PhotoRefusedError: As `read_header`.
    """
    if len(content) > MAX_PHOTO_BYTES:
        raise PhotoRefusedError("TOO_MANY_BYTES")
    photo_format = sniff_format(content)
    if photo_format == "HEIF":
        _register_heif()
    try:
        image = Image.open(io.BytesIO(content), formats=_DECODERS[photo_format])
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise PhotoRefusedError("TOO_MANY_PIXELS") from error
    except Exception as error:  # decoders raise anything on damaged input
        raise PhotoRefusedError("UNDECODABLE") from error
    if image.width < 1 or image.height < 1:
        raise PhotoRefusedError("BAD_DIMENSIONS")
    if image.width * image.height > MAX_PHOTO_PIXELS:
        raise PhotoRefusedError("TOO_MANY_PIXELS")
    return image


def _is_hevc(content: bytes) -> bool:
    """Whether an ISO base media file holds HEVC-coded images, by its file type box."""
    box = content[: min(int.from_bytes(content[:4], "big"), 256)]
    major, compatible = box[8:12], {box[at : at + 4] for at in range(16, len(box), 4)}
    return major in _HEVC_BRANDS or (major in _GENERIC_BRANDS and bool(compatible & _HEVC_BRANDS))


@functools.cache
def _register_heif() -> None:
    """Teaches Pillow HEIF, once a process and only where one arrives."""
    pillow_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False)

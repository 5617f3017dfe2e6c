"""What clients make of a photo before they send it: other formats, more pixels, a broken file."""

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

import pillow_heif
from PIL import Image, ImageOps

AS_TAKEN = "as_taken"
UNDECODABLE = "undecodable"

_TWELVE_MEGAPIXELS = (4032, 3024)
_QUALITY = 85


def _as_taken(photo: bytes) -> bytes:
    return photo


def _twelve_megapixels(photo: bytes) -> bytes:
    """As a telephone takes it: 4032 x 3024 pixels."""
    return _encoded(_opened(photo).resize(_TWELVE_MEGAPIXELS, Image.Resampling.BICUBIC), "JPEG")


def _png(photo: bytes) -> bytes:
    return _encoded(_opened(photo), "PNG")


def _webp(photo: bytes) -> bytes:
    return _encoded(_opened(photo), "WEBP")


def _heif(photo: bytes) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(_opened(photo)).save(buffer, quality=_QUALITY)
    return buffer.getvalue()


def _undecodable(photo: bytes) -> bytes:
    """A JPEG cut off in the middle: its header is sound, its pixels are not all there."""
    encoded = _encoded(_opened(photo), "JPEG")
    return encoded[: len(encoded) // 2]


PHOTO_KINDS: Mapping[str, Callable[[bytes], bytes]] = MappingProxyType(
    {
        AS_TAKEN: _as_taken,
        "twelve_megapixels": _twelve_megapixels,
        "png": _png,
        "webp": _webp,
        "heif": _heif,
        UNDECODABLE: _undecodable,
    }
)
"""By name, what makes such a photo from the encoded bytes of any."""


def _opened(photo: bytes) -> Image.Image:
    return ImageOps.exif_transpose(Image.open(io.BytesIO(photo))).convert("RGB")


def _encoded(image: Image.Image, image_format: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, image_format, quality=_QUALITY)
    return buffer.getvalue()

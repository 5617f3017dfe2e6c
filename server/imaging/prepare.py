"""Turns an encoded photo into the tensor that engines take: the one definition, for serving and for training.

Decided, and held by tests: EXIF orientation is applied; the first frame of an animation
counts; alpha is laid over white; 16-bit is scaled to 8; a truncated photo is refused; which
part of it is kept is the release's `Framing`.
"""

from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from server.domain.errors import PhotoRefusedError
from server.domain.framing import Framing
from server.imaging.header import open_photo, sniff_format

_ORIENTATION_TAG: Final = 0x0112
_TRANSPOSES: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIXTEEN_BIT_SCALE: Final = 257.0
BORDER: Final = (128, 128, 128)
"""The colour around a photo that is framed whole."""


def prepare(content: bytes, *, size_px: int, framing: Framing = Framing.CENTRE) -> npt.NDArray[np.uint8]:
    """Decodes, orients, makes a square and resizes.

    JPEGs are decoded at the smallest DCT scale (1/2, 1/4, 1/8) that still covers the target.

    Args:
        content: The encoded JPEG, PNG, WebP or HEIF.
        size_px: The side of the result, at least 1.
        framing: How a photo becomes a square.

    Returns:
        [size_px, size_px, 3] uint8. RGB.

    Raises:
        PhotoRefusedError: The photo is not to be decoded, or cannot be.
    """
    try:
        return _decode(content, size_px=size_px, framing=framing, at_reduced_scale=True)
    except PhotoRefusedError as refusal:
        if refusal.code != "UNDECODABLE" or sniff_format(content) != "JPEG":
            raise
        # Some rare chroma samplings decode at full scale only.
        return _decode(content, size_px=size_px, framing=framing, at_reduced_scale=False)


def _decode(content: bytes, *, size_px: int, framing: Framing, at_reduced_scale: bool) -> npt.NDArray[np.uint8]:
    with open_photo(content) as image:
        try:
            if at_reduced_scale:
                image.draft(None, _covered(image, size_px, framing))
            image.load()
            upright = _to_rgb(_orient(image))
            resize = _resize_whole if framing is Framing.WHOLE else _resize_central_square
            square = resize(upright, size_px)
        except MemoryError as error:
            raise PhotoRefusedError("TOO_MANY_PIXELS") from error
        except Exception as error:  # decoders raise anything on damaged input
            raise PhotoRefusedError("UNDECODABLE") from error
    return np.array(square, dtype=np.uint8)


def _orient(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(_ORIENTATION_TAG, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF says nothing of the pixels
        orientation = 1
    transpose = _TRANSPOSES.get(orientation)
    return image if transpose is None else image.transpose(transpose)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.has_transparency_data:
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, (255, 255, 255, 255))
        return Image.alpha_composite(paper, layer).convert("RGB")
    if image.mode.startswith("I"):
        levels = np.asarray(image, dtype=np.float32) / _SIXTEEN_BIT_SCALE
        return Image.fromarray(np.clip(np.rint(levels), 0, 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


def _resize_central_square(image: Image.Image, size_px: int) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return image.resize(
        (size_px, size_px), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side), reducing_gap=3.0
    )


def _covered(image: Image.Image, size_px: int, framing: Framing) -> tuple[int, int]:
    """Returns the width and height, in pixels, that the photo is to have at least, or exactly if all of it is seen."""
    if framing is Framing.CENTRE:
        return size_px, size_px
    scale = size_px / max(image.size)
    width, height = image.size
    return max(1, round(width * scale)), max(1, round(height * scale))


def _resize_whole(image: Image.Image, size_px: int) -> Image.Image:
    width, height = _covered(image, size_px, Framing.WHOLE)
    square = Image.new("RGB", (size_px, size_px), BORDER)
    resized = image.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3.0)
    square.paste(resized, ((size_px - width) // 2, (size_px - height) // 2))
    return square

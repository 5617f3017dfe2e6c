"""The size of a JPEG, read off its frame header: as the decoder reads it, or not at all."""

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from server.domain.errors import PhotoRefusedError
from server.imaging import MAX_PHOTO_PIXELS, read_header
from server.imaging.header import open_photo
from server.imaging.jpeg import plain_jpeg_size


def jpeg(width: int, height: int, **options: object) -> bytes:
    """Returns a JPEG of some size."""
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "wheat").save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"said"}, {"exif": b"Exif\0\0x"}])
def test_a_plain_jpeg_says_its_size(options: dict[str, object]) -> None:
    """Width first, as stored."""
    assert plain_jpeg_size(jpeg(31, 17, **options)) == (31, 17)


@given(st.integers(0, 600))
def test_a_cut_jpeg_says_its_size_or_nothing(length: int) -> None:
    """Never a wrong one, and never an error."""
    assert plain_jpeg_size(jpeg(31, 17)[:length]) in (None, (31, 17))


@given(st.binary(max_size=300))
def test_anything_may_be_asked(content: bytes) -> None:
    """Bytes that only begin like a JPEG are left to the decoder."""
    size = plain_jpeg_size(b"\xff\xd8\xff" + content)
    assert size is None or min(size) >= 1


def test_a_frame_without_lines_is_left_to_the_decoder() -> None:
    """Such a frame names its height later."""
    content = bytearray(jpeg(31, 17))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 7] = b"\0\0"
    assert plain_jpeg_size(bytes(content)) is None


def test_too_many_pixels_are_refused_by_the_frame_header() -> None:
    """No decoder is asked."""
    content = bytearray(jpeg(31, 17))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    assert MAX_PHOTO_PIXELS < 65535 * 65535
    with pytest.raises(PhotoRefusedError, match="megapixels"):
        read_header(bytes(content))


def test_the_decoder_never_disagrees(shared_material: Path) -> None:
    """On thousands of real and hostile files: the same size, or a refusal by the decoder."""
    folder = shared_material / "hostile_images"
    with (folder / "MANIFEST.csv").open(newline="") as manifest:
        names = [each["file"] for each in csv.DictReader(manifest)]
    compared = 0
    for name in names:
        content = (folder / name).read_bytes()
        if not content.startswith(b"\xff\xd8\xff") or (size := plain_jpeg_size(content)) is None:
            continue
        try:
            with open_photo(content) as image:
                assert image.size == size, name
        except PhotoRefusedError:
            continue
        compared += 1
    assert compared > 500

"""The preprocessing contract: what is refused from the header, and what pixels come out."""

import csv
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from server.domain.errors import PHOTO_REFUSALS, PhotoRefusedError
from server.domain.framing import Framing
from server.imaging import MAX_PHOTO_BYTES, prepare, read_header

SIZE_PX = 64


def gradient(width: int = 96, height: int = 72) -> Image.Image:
    """Returns a photo-like picture in which every corner has its own colour."""
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns * 255 / width, rows * 255 / height, 255 - columns * 200 / width], axis=-1)
    return Image.fromarray(pixels.astype(np.uint8))


def encode(image: Image.Image, photo_format: str = "PNG", **options: object) -> bytes:
    """Returns the encoded bytes."""
    buffer = io.BytesIO()
    image.save(buffer, photo_format, **options)
    return buffer.getvalue()


def png_of_dimensions(width: int, height: int) -> bytes:
    """Returns a PNG whose header claims dimensions that its data do not have."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return b"\x89PNG\r\n\x1a\n" + header + b"\x00\x00\x00\x00IDAT\x35\xaf\x06\x1e"


@pytest.mark.parametrize(("photo_format", "name"), [("JPEG", "JPEG"), ("PNG", "PNG"), ("WEBP", "WEBP")])
def test_a_header_tells_format_and_dimensions(photo_format: str, name: str) -> None:
    """Without decoding a pixel."""
    header = read_header(encode(gradient(), photo_format))
    assert (header.format, header.width_px, header.height_px) == (name, 96, 72)


def test_heif_is_read() -> None:
    """The photos of iPhones."""
    buffer = io.BytesIO()
    pillow_heif.from_pillow(gradient()).save(buffer, quality=95)
    assert read_header(buffer.getvalue()).format == "HEIF"
    assert prepare(buffer.getvalue(), size_px=SIZE_PX) == pytest.approx(
        prepare(encode(gradient()), size_px=SIZE_PX), abs=12
    )


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EMPTY"),
        (b"\xff\xd8\xff" + bytes(MAX_PHOTO_BYTES), "TOO_MANY_BYTES"),
        (b"not an image at all", "UNKNOWN_FORMAT"),
        (encode(gradient(), "GIF"), "UNKNOWN_FORMAT"),
        (encode(gradient(), "TIFF"), "UNKNOWN_FORMAT"),
        (b"\x00\x00\x00\x18ftypavif\x00\x00\x00\x00avifmif1", "UNKNOWN_FORMAT"),
        (encode(gradient(), "JPEG")[:20], "UNDECODABLE"),
        (png_of_dimensions(0, 0), "UNDECODABLE"),
        (png_of_dimensions(10_000, 6_000), "TOO_MANY_PIXELS"),
        (png_of_dimensions(100_000, 100_000), "TOO_MANY_PIXELS"),
    ],
)
def test_what_must_not_be_decoded_is_refused_from_the_header(content: bytes, code: str) -> None:
    """Each refusal has its code and its fixed sentence."""
    with pytest.raises(PhotoRefusedError) as caught:
        read_header(content)
    assert caught.value.code == code
    assert caught.value.description == PHOTO_REFUSALS[code]


@pytest.mark.parametrize("photo_format", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_photo_is_refused(photo_format: str) -> None:
    """Half a photo is not answered, even if a decoder could fill the rest with grey."""
    content = encode(gradient(), photo_format)
    with pytest.raises(PhotoRefusedError, match="truncated or damaged"):
        prepare(content[: len(content) // 2], size_px=SIZE_PX)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_eight_orientations_give_one_tensor(orientation: int) -> None:
    """Stored rotated or mirrored and said so in EXIF, a photo gives the very same pixels."""
    undo = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = gradient() if undo is None else gradient().transpose(undo)
    assert (prepare(encode(stored, exif=exif), size_px=SIZE_PX) == prepare(encode(gradient()), size_px=SIZE_PX)).all()


def test_the_central_square_is_kept() -> None:
    """What lies left and right of it is cut off."""
    image = Image.new("RGB", (300, 100), (255, 0, 0))
    image.paste((0, 0, 255), (100, 0, 200, 100))
    assert prepare(encode(image), size_px=10)[:, 1:-1] == pytest.approx(np.full((10, 8, 3), (0, 0, 255)), abs=1)


@pytest.mark.parametrize("size", [(300, 100), (100, 300)])
def test_the_whole_photo_is_kept_if_asked_for(size: tuple[int, int]) -> None:
    """A long photo lies between grey borders, undistorted, and its ends are seen."""
    image = Image.new("RGB", size, (0, 0, 255))
    across = size[0] > size[1]
    image.paste((255, 0, 0), (0, 0, 50, 100) if across else (0, 0, 100, 50))
    square = prepare(encode(image), size_px=30, framing=Framing.WHOLE)
    upright = square if across else square.transpose(1, 0, 2)
    assert (upright[:10] == 128).all()
    assert (upright[20:] == 128).all()
    assert upright[10:20, :4] == pytest.approx(np.full((10, 4, 3), (255, 0, 0)), abs=1)
    assert upright[10:20, 6:] == pytest.approx(np.full((10, 24, 3), (0, 0, 255)), abs=1)


def test_framing_does_not_matter_to_a_square() -> None:
    """A square photo is its own centre, however small it is."""
    for side in (200, 20):
        square = encode(gradient(side, side))
        assert (prepare(square, size_px=SIZE_PX) == prepare(square, size_px=SIZE_PX, framing=Framing.WHOLE)).all()


def test_the_thinnest_photo_is_at_least_a_pixel_wide() -> None:
    """However long a photo is, something of it is seen."""
    thin = encode(Image.new("RGB", (1000, 2), (255, 0, 0)))
    assert (prepare(thin, size_px=16, framing=Framing.WHOLE)[8 - 1 : 8 + 1, :, 0] > 200).any()


def test_alpha_is_laid_over_white() -> None:
    """A fully transparent pixel is white, whatever colour hides below."""
    layer = Image.new("RGBA", (20, 20), (200, 10, 10, 0))
    assert (prepare(encode(layer), size_px=8) == 255).all()
    assert (prepare(encode(Image.new("LA", (20, 20), (0, 0))), size_px=8) == 255).all()


def test_sixteen_bits_are_scaled_to_eight() -> None:
    """Not clipped."""
    levels = np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)
    tensor = prepare(encode(Image.fromarray(levels)), size_px=64)
    assert tensor[..., 0] == pytest.approx(np.rint(levels / 257), abs=1)


def test_cmyk_palette_grey_and_bilevel_become_rgb() -> None:
    """Every mode that the formats allow ends as three channels."""
    assert prepare(encode(gradient().convert("CMYK"), "JPEG", quality=95), size_px=32).shape == (32, 32, 3)
    for mode in ("P", "L", "1"):
        assert prepare(encode(gradient().convert(mode)), size_px=32).shape == (32, 32, 3)


def test_the_first_frame_of_an_animation_counts() -> None:
    """The others are not looked at."""
    frames = [Image.new("RGB", (40, 40), colour) for colour in ((10, 200, 10), (200, 10, 10))]
    content = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert (prepare(content, size_px=4) == (10, 200, 10)).all()


def test_a_reduced_decode_is_close_to_a_full_one() -> None:
    """Decoding a large JPEG at a quarter of its size changes the tensor by less than 3 levels on average."""
    noise: npt.NDArray[np.uint8] = np.random.default_rng(8).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((1280, 960), Image.Resampling.BICUBIC)
    reduced = prepare(encode(image, "JPEG", quality=90), size_px=SIZE_PX).astype(int)
    full = prepare(encode(image), size_px=SIZE_PX).astype(int)
    assert np.abs(reduced - full).mean() < 3


def test_an_extreme_aspect_ratio_is_no_bomb() -> None:
    """One pixel by thirty thousand is cropped before it is enlarged."""
    assert prepare(encode(Image.new("RGB", (30_000, 1), (1, 2, 3))), size_px=SIZE_PX).shape == (SIZE_PX, SIZE_PX, 3)


def test_real_photos_are_judged_as_their_manifest_says(shared_material: Path) -> None:
    """All that must be accepted are, none that must be refused is, and nothing but a typed refusal is ever raised."""
    folder = shared_material / "hostile_images"
    wrong = []
    with (folder / "MANIFEST.csv").open() as manifest:
        for row in csv.DictReader(manifest):
            try:
                prepare((folder / row["file"]).read_bytes(), size_px=SIZE_PX)
                answered = True
            except PhotoRefusedError:
                answered = False
            expected = row["expect"]
            if not expected.startswith("either") and answered != (expected == "accept"):
                wrong.append((row["file"], expected))
    assert wrong == []

"""The phone: defocus, enlargement to the sensor's size, sensor noise, and a JPEG with the tags that phones write."""

import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageChops, ImageFilter
from scipy.ndimage import uniform_filter1d

from training.renderers.parameters import OutputParameters
from training.renderers.view import View

PHONES = (
    ("Apple", "iPhone 13"),
    ("Apple", "iPhone 15 Pro"),
    ("samsung", "SM-S911B"),
    ("samsung", "SM-A546B"),
    ("Google", "Pixel 7a"),
    ("Google", "Pixel 8"),
    ("Xiaomi", "2201117TY"),
    ("motorola", "moto g84 5G"),
)
_FIRST_MOMENT = datetime(2023, 1, 1, 7, tzinfo=UTC)
_MINUTES = 2 * 365 * 24 * 60
_STORED_AS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}
_NOISE_SEED = 20_250_103
_NOISE_TILE_PX = (1856, 1856)


@dataclass(frozen=True, slots=True)
class Sensor:
    """How one photo is stored."""

    device: str
    """Makes and model as in the tags."""
    orientation: int
    """EXIF orientation of the stored pixels: 1, 3, 6 or 8."""
    size_px: tuple[int, int]
    """Stored (width, height)."""
    quality: int

    @property
    def named(self) -> str:
        """What people call the device: make and model."""
        return self.device.replace("/", " ", 1)

    @property
    def portrait(self) -> bool:
        """Whether the upright picture is taller than wide."""
        return self.orientation in {6, 8}

    def held(self, size_px: tuple[int, int]) -> tuple[int, int]:
        """Returns a scene's width and height as the phone is held.

        Args:
            size_px: Its long and its short side.
        """
        long_side, short_side = size_px
        return (short_side, long_side) if self.portrait else (long_side, short_side)


def draw_sensor(output: OutputParameters, *, rng: np.random.Generator) -> Sensor:
    """Draws phone, orientation and size."""
    make, model = PHONES[int(rng.integers(len(PHONES)))]
    portrait = rng.random() < output.portrait_probability
    other_way = rng.random() < output.upside_down_probability
    size = output.sizes_px[int(rng.choice(len(output.sizes_px), p=output.size_weights))]
    orientation = (8 if other_way else 6) if portrait else (3 if other_way else 1)
    low, high = output.jpeg_quality
    return Sensor(
        device=f"{make}/{model}", orientation=orientation, size_px=size, quality=int(rng.integers(low, high + 1))
    )


def build_noise_bank(levels: tuple[float, ...]) -> list[Image.Image]:
    """Makes one tile of sensor noise for each level: mostly brightness, some colour, zero at grey 128."""
    rng = np.random.Generator(np.random.Philox(_NOISE_SEED))
    height, width = _NOISE_TILE_PX
    brightness = rng.standard_normal((height, width, 1), np.float32)
    colour = uniform_filter1d(rng.standard_normal((height, width, 3), np.float32), 3, axis=1)
    pattern = 0.9 * brightness + 0.7 * colour
    return [Image.fromarray(np.clip(128.5 + level * pattern, 0, 255).astype(np.uint8), "RGB") for level in levels]


def take_photo(
    picture: NDArray[np.uint8], *, view: View, sensor: Sensor, noise: Image.Image, rng: np.random.Generator
) -> bytes:
    """Returns the JPEG of an upright picture, [height, width, 3] uint8, stored as the phone would store it."""
    if view.motion_px:
        picture = uniform_filter1d(picture, view.motion_px, axis=int(rng.integers(2)))
    image = Image.fromarray(picture, "RGB")
    if view.blur_px > 0:
        image = image.filter(ImageFilter.GaussianBlur(view.blur_px))
    if sensor.orientation in _STORED_AS:
        image = image.transpose(_STORED_AS[sensor.orientation])
    image = image.resize(sensor.size_px, Image.Resampling.BILINEAR)
    image = ImageChops.add(image, _noise_window(noise, size=sensor.size_px, rng=rng), 1.0, -128)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=sensor.quality, exif=_tags(sensor, rng=rng))
    return file.getvalue()


def _noise_window(noise: Image.Image, *, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    width, height = size
    enlarge = max(1, -(-max(size) // noise.width))
    part = (-(-width // enlarge), -(-height // enlarge))
    left, top = (int(rng.integers(whole - piece + 1)) for whole, piece in zip(noise.size, part, strict=True))
    window = noise.crop((left, top, left + part[0], top + part[1]))
    return window if enlarge == 1 else window.resize(size, Image.Resampling.BILINEAR)


def _tags(sensor: Sensor, *, rng: np.random.Generator) -> Image.Exif:
    """Returns make, model, orientation, place and time."""
    make, model = sensor.device.split("/", 1)
    moment = (_FIRST_MOMENT + timedelta(minutes=int(rng.integers(_MINUTES)))).strftime("%Y:%m:%d %H:%M:%S")
    latitude, longitude = float(rng.uniform(34, 58)), float(rng.uniform(-120, 20))
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = make
    exif[ExifTags.Base.Model] = model
    exif[ExifTags.Base.Orientation] = sensor.orientation
    exif[ExifTags.Base.DateTime] = moment
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.DateTimeOriginal] = moment
    details[ExifTags.Base.OffsetTimeOriginal] = "+00:00"
    place = exif.get_ifd(ExifTags.IFD.GPSInfo)
    place[ExifTags.GPS.GPSLatitudeRef] = "N"
    place[ExifTags.GPS.GPSLatitude] = _degrees(latitude)
    place[ExifTags.GPS.GPSLongitudeRef] = "E" if longitude >= 0 else "W"
    place[ExifTags.GPS.GPSLongitude] = _degrees(abs(longitude))
    return exif


def _degrees(value: float) -> tuple[float, float, float]:
    minutes, seconds = divmod(round(value * 3600, 2), 60)
    degrees, minutes = divmod(minutes, 60)
    return (degrees, minutes, round(seconds, 2))

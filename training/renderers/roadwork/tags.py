"""Rewrites what a JPEG's tags say of place and time, and leaves its pixels as they are."""

import io
from datetime import datetime

from PIL import ExifTags, Image

_APP1 = b"\xff\xe1"
_EXIF = b"Exif\x00\x00"


def tagged(content: bytes, *, place: tuple[float, float], taken: str) -> bytes:
    """Returns the photo with other tags; its first APP1 segment is taken to hold them.

    Args:
        content: A JPEG with EXIF tags.
        place: Latitude and longitude, degrees.
        taken: ISO 8601 time.
    """
    with Image.open(io.BytesIO(content)) as image:
        tags = image.getexif()
    moment = datetime.fromisoformat(taken).strftime("%Y:%m:%d %H:%M:%S")
    tags[ExifTags.Base.DateTime] = moment
    tags.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = moment
    position = tags.get_ifd(ExifTags.IFD.GPSInfo)
    latitude, longitude = place
    position[ExifTags.GPS.GPSLatitudeRef] = "N" if latitude >= 0 else "S"
    position[ExifTags.GPS.GPSLatitude] = _sexagesimal(abs(latitude))
    position[ExifTags.GPS.GPSLongitudeRef] = "E" if longitude >= 0 else "W"
    position[ExifTags.GPS.GPSLongitude] = _sexagesimal(abs(longitude))
    payload = tags.tobytes()
    start = content.index(_EXIF) - len(_APP1) - 2
    end = start + 2 + int.from_bytes(content[start + 2 : start + 4], "big")
    segment = _APP1 + (len(payload) + 2).to_bytes(2, "big") + payload
    return content[:start] + segment + content[end:]


def _sexagesimal(degrees: float) -> tuple[float, float, float]:
    """Returns degrees, minutes and seconds; seconds are kept to a hundredth, about .3 m."""
    hundredths = round(degrees * 360_000)
    return hundredths // 360_000, hundredths // 6_000 % 60, (hundredths % 6_000) / 100

"""Where photos were taken: places as data writes them.

A place is (latitude in [-90, 90], longitude in [-180, 180]) in degrees.
"""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from training.errors import TrainingError

Place = tuple[float, float]

_LATITUDE_NAMES = ("latitude", "lat")
_LONGITUDE_NAMES = ("longitude", "lon", "lng", "long")
_PAIR_NAMES = ("gps", "place", "location")

_ANGLE = r"""
    (?:lat(?:itude)?|lon(?:gitude)?|lng|long)?\s*[:=]?\s*
    ([-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*°?\s*
    (?:(\d+(?:\.\d+)?)\s*['\u2032]\s*)?
    (?:(\d+(?:\.\d+)?)\s*["\u2033]\s*)?
    ([NSEW])?
"""
_PAIR = re.compile(rf"\s*[(\[]?\s*{_ANGLE}\s*(?:[,;/|]|\s)\s*{_ANGLE}\s*[)\]]?\s*", re.VERBOSE | re.IGNORECASE)


class PlaceRefusedError(TrainingError):
    """Something is no place."""

    def __init__(self, value: object) -> None:
        """Keeps what was read."""
        super().__init__(
            f"{value!r} is no place.",
            cure='Write latitude [-90, 90] and longitude [-180, 180] in degrees: two numbers, or "(52.52, 13.40)".',
        )
        self.value = value


class PlaceTableError(TrainingError):
    """A table of places cannot be read, or a row of it names none."""

    def __init__(self, path: Path) -> None:
        """Keeps the file."""
        super().__init__(
            f"{path} does not name a place in every row.",
            cure="It is a CSV with the columns latitude and longitude, or gps.",
        )
        self.path = path


def parse_place(value: object) -> Place | None:
    """Reads a place in any of the common ways of writing one.

    Args:
        value: Two numbers; or text such as `(52.52, 13.40)`, `52.52 13.40`, `52.52N, 13.40E` or `52°31'12"N 13°24'E`;
            or a mapping with latitude and longitude. Nothing, an empty text and NaN are no place.

    Raises:
        PlaceRefusedError: It is none of these, or out of range.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, str):
        return _checked(_numbers_of(value), value)
    if isinstance(value, Mapping):
        lowered = {str(name).lower(): each for name, each in value.items()}
        parts: list[object] = [_first(lowered, _LATITUDE_NAMES), _first(lowered, _LONGITUDE_NAMES)]
    elif isinstance(value, Sequence | np.ndarray):
        parts = list(value)
    else:
        raise PlaceRefusedError(value)
    if len(parts) == 2 and all(_is_nothing(part) for part in parts):  # noqa: PLR2004 -- a pair
        return None
    try:
        numbers = [float(part) for part in parts]  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise PlaceRefusedError(value) from error
    return _checked(numbers, value)


def _first(values: Mapping[str, object], names: Sequence[str]) -> object:
    return next((values[name] for name in names if name in values), None)


def _is_nothing(part: object) -> bool:
    return (
        part is None or (isinstance(part, str) and not part.strip()) or (isinstance(part, float) and math.isnan(part))
    )


def _checked(numbers: Sequence[float], value: object) -> Place:
    if len(numbers) != 2 or not (abs(numbers[0]) <= 90 and abs(numbers[1]) <= 180):  # noqa: PLR2004 -- degrees
        raise PlaceRefusedError(value)
    return float(numbers[0]), float(numbers[1])


def _numbers_of(text: str) -> list[float]:
    match = _PAIR.fullmatch(text)
    if match is None:
        raise PlaceRefusedError(text)
    angles, hemispheres = [], []
    for degrees, minutes, seconds, hemisphere in (match.groups()[:4], match.groups()[4:]):
        size = abs(float(degrees)) + float(minutes or 0) / 60 + float(seconds or 0) / 3_600
        letter = (hemisphere or "").upper()
        angles.append(-size if degrees.startswith("-") or letter in {"S", "W"} else size)
        hemispheres.append(letter)
    # Letters say which angle is which; without them latitude comes first.
    if hemispheres[0] in {"E", "W"} and hemispheres[1] in {"N", "S"}:
        return angles[::-1]
    if hemispheres[0] in {"E", "W"} or hemispheres[1] in {"N", "S"}:
        raise PlaceRefusedError(text)
    return angles


def read_places(path: Path) -> tuple[Place, ...]:
    """Reads places from a CSV with the columns latitude and longitude, or gps.

    Raises:
        PlaceRefusedError: A row holds no place.
        PlaceTableError: There is no such file, or it has no such column.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            rows = [
                {name.strip().lower(): value for name, value in row.items() if name} for row in csv.DictReader(lines)
            ]
    except OSError as error:
        raise PlaceTableError(path) from error
    places = []
    for row in rows:
        pair = next((row[name] for name in _PAIR_NAMES if name in row), None)
        place = parse_place(row if pair is None else pair)
        if place is None:
            raise PlaceTableError(path)
        places.append(place)
    return tuple(places)

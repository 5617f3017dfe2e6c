"""Places are read however they are written."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.places import PlaceRefusedError, PlaceTableError, parse_place, read_places

BERLIN, PARIS, SYDNEY = (52.52, 13.405), (48.8566, 2.3522), (-33.8688, 151.2093)
PLACES = st.tuples(st.floats(-90, 90), st.floats(-180, 180))


@pytest.mark.parametrize(
    "written",
    [
        (52.52, 13.405),
        [52.52, 13.405],
        np.array([52.52, 13.405]),
        "(52.52, 13.405)",
        "52.52,13.405",
        " 52.52 13.405 ",
        "[52.52; 13.405]",
        "52.52N, 13.405E",
        "13.405 E 52.52 N",
        "lat: 52.52, lon: 13.405",
        "52°31'12\"N 13°24'18\"E",
        {"latitude": 52.52, "longitude": "13.405"},
    ],
)
def test_a_place_is_read_however_it_is_written(written: object) -> None:
    """Pairs, texts and mappings say the same."""
    assert parse_place(written) == pytest.approx(BERLIN)


def test_south_and_west_are_negative() -> None:
    """Letters turn the sign."""
    assert parse_place("33.87S 70.5W") == (-33.87, -70.5)


@pytest.mark.parametrize("written", [None, "", "  ", (None, None), ("", ""), (math.nan, math.nan), {"latitude": None}])
def test_nothing_is_no_place(written: object) -> None:
    """An empty cell is a photo without a place, not an error."""
    assert parse_place(written) is None


@pytest.mark.parametrize(
    "written",
    ["91, 0", "0, 181", "Berlin", "1", "1, 2, 3", "10E 20E", (1.0,), (math.nan, 1.0), (math.inf, 0), 7, "1N 2S"],
)
def test_what_is_no_place_is_refused(written: object) -> None:
    """Out of range, half a pair, or words: a typed error that shows what was read."""
    with pytest.raises(PlaceRefusedError):
        parse_place(written)


@given(place=PLACES)
def test_any_place_survives_being_written(place: tuple[float, float]) -> None:
    """Python's own way of writing a pair reads back exactly."""
    assert parse_place(str(place)) == place


def test_a_table_has_two_columns_or_one(tmp_path: Path) -> None:
    """Latitude and longitude, or a pair; names in any case."""
    table = tmp_path / "targets.csv"
    table.write_text("latitude,longitude\n48.8566,2.3522\n")
    assert read_places(table) == (PARIS,)
    table.write_text('GPS\n"(-33.8688, 151.2093)"\n')
    assert read_places(table) == (SYDNEY,)


def test_a_table_without_places_is_refused(tmp_path: Path) -> None:
    """A missing file, or one of other columns, is named."""
    table = tmp_path / "targets.csv"
    with pytest.raises(PlaceTableError):
        read_places(table)
    table.write_text("town\nBerlin\n")
    with pytest.raises(PlaceTableError, match=r"targets\.csv"):
        read_places(table)

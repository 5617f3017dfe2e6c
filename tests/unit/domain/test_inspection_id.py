"""Inspection ids: sorted by time, recognised without a lookup, and not to be forged."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.inspection_id import ENTROPY_BYTES, InspectionIds

IDS = InspectionIds(b"a secret of 24 bytes ...")
TIMES = st.floats(0, 2**47 / 1000)
ENTROPY = st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES)


@given(TIMES, ENTROPY)
def test_an_issued_id_is_known_as_own(utc_s: float, entropy: bytes) -> None:
    """Whoever has the key recognises the id; whoever has another does not."""
    inspection_id = IDS.issue(utc_s, entropy)
    assert IDS.is_own(inspection_id)
    assert not InspectionIds(b"another secret, as long").is_own(inspection_id)


@given(TIMES, ENTROPY)
def test_an_id_begins_with_a_uuid_of_version_7(utc_s: float, entropy: bytes) -> None:
    """Its first half is a UUID that carries the time in milliseconds."""
    first = uuid.UUID(IDS.issue(utc_s, entropy)[:32])
    assert (first.version, first.variant) == (7, uuid.RFC_4122)
    assert first.int >> 80 == int(utc_s * 1000)


@given(TIMES, TIMES, ENTROPY, ENTROPY)
def test_later_ids_sort_behind_earlier_ones(one: float, other: float, first: bytes, second: bytes) -> None:
    """Ids of different milliseconds sort by time."""
    earlier, later = sorted((one, other))
    if int(earlier * 1000) < int(later * 1000):
        assert IDS.issue(earlier, first) < IDS.issue(later, second)


@given(TIMES, ENTROPY, st.integers(0, 47), st.sampled_from("0123456789abcdef"))
def test_a_changed_digit_is_noticed(utc_s: float, entropy: bytes, place: int, digit: str) -> None:
    """No digit of an id can be replaced."""
    inspection_id = IDS.issue(utc_s, entropy)
    changed = inspection_id[:place] + digit + inspection_id[place + 1 :]
    assert IDS.is_own(changed) == (changed == inspection_id)


@pytest.mark.parametrize("text", ["", "0" * 48, "x" * 48, "0" * 47, "0" * 50, "0" * 48 + "\n"])
def test_what_is_no_id_is_not_own(text: str) -> None:
    """Anything else is told apart, without an error."""
    assert not IDS.is_own(text)


@pytest.mark.parametrize("length", [0, 15, 65])
def test_a_key_must_be_a_secret(length: int) -> None:
    """A short key could be guessed, and a long one cannot be used."""
    with pytest.raises(ValueError, match="16 to 64"):
        InspectionIds(b"k" * length)


def test_the_key_is_not_shown() -> None:
    """What is printed or logged holds no secret."""
    assert "secret" not in repr(IDS)

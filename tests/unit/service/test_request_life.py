"""The small parts of a request's life: deadline, door and catalog."""

import asyncio

import pytest
from builders import make_release
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import BackendUnavailableError, DrainingError, UnknownTaskError
from server.domain.release import Release
from server.service.catalog import Catalog
from server.service.deadline import DeadlinePolicy
from server.service.door import Door


def test_a_request_without_a_deadline_gets_the_default() -> None:
    """Nobody waits for ever."""
    assert DeadlinePolicy(10, 60).begin(None, FakeClock()).remaining_s() == pytest.approx(10)


@given(st.floats(0, 1e9))
def test_a_deadline_is_kept_unless_it_is_too_long(wanted_s: float) -> None:
    """What the caller allows counts, up to the cap."""
    assert DeadlinePolicy(10, 60).begin(wanted_s, FakeClock()).remaining_s() == pytest.approx(min(wanted_s, 60))


def test_time_runs_against_a_deadline() -> None:
    """The remaining time falls below 0."""
    clock = FakeClock()
    deadline = DeadlinePolicy().begin(2, clock)
    clock.advance(3)
    assert deadline.remaining_s() == pytest.approx(-1)


@pytest.mark.parametrize(("default_s", "longest_s"), [(0, 1), (2, 1)])
def test_deadlines_must_make_sense(default_s: float, longest_s: float) -> None:
    """A default above 0 and below the cap."""
    with pytest.raises(ValueError, match="default <= longest"):
        DeadlinePolicy(default_s, longest_s)


async def test_a_door_is_shut_until_it_is_opened() -> None:
    """While the backend starts, requests are told to come back."""
    with pytest.raises(BackendUnavailableError), Door():
        pytest.fail("let in")


async def test_a_shut_door_waits_for_those_inside() -> None:
    """Who is inside finishes; who comes later is refused."""
    door = Door()
    door.open()
    with door:
        door.shut()
        empty = asyncio.create_task(door.wait_empty())
        await asyncio.sleep(0)
        assert not empty.done()
        assert door.inside == 1
        with pytest.raises(DrainingError), door:
            pytest.fail("let in")
    await empty
    assert door.inside == 0


async def test_a_door_that_was_shut_stays_shut() -> None:
    """A backend that becomes ready during the shutdown opens nothing."""
    door = Door()
    door.shut()
    door.open()
    await door.wait_empty()
    with pytest.raises(DrainingError), door:
        pytest.fail("let in")


def test_a_catalog_names_what_it_has() -> None:
    """An unknown task is an error that lists the known ones."""
    catalog = Catalog()
    catalog.activate(make_release())
    assert catalog.active("bread").number == 1
    with pytest.raises(UnknownTaskError, match="known: bread"):
        catalog.active("cheese")


def test_activating_replaces_the_release_of_a_task() -> None:
    """One release answers for a task."""
    catalog, first = Catalog(), make_release()
    catalog.activate(first)
    catalog.activate(Release(first.task, 2, first.tiers))
    assert [each.number for each in catalog.releases()] == [2]

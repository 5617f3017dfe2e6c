"""Admission: how many run, how many wait, who is refused, and that no place is ever lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.errors import OverloadedError
from server.service.admission import Admission, AdmissionLimits

LONG_S = 60.0


def admission(in_flight: int = 1, waiting: int = 2) -> Admission:
    """Returns the places of a tier."""
    return Admission("tier fast", AdmissionLimits(in_flight, waiting))


async def settle() -> None:
    """Lets every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_taken_at_once_while_there_are_any() -> None:
    """Nobody waits for a free place."""
    places = admission(in_flight=2)
    await places.enter(LONG_S)
    await places.enter(LONG_S)
    assert (places.in_flight, places.waiting) == (2, 0)


async def test_who_comes_first_is_served_first() -> None:
    """A place that is given up goes to whoever waits longest."""
    places, order = admission(), []

    async def work(name: str) -> None:
        await places.enter(LONG_S)
        order.append(name)
        places.leave()

    await places.enter(LONG_S)
    tasks = [asyncio.create_task(work(name)) for name in ("first", "second")]
    await settle()
    assert places.waiting == 2
    places.leave()
    await asyncio.gather(*tasks)
    assert order == ["first", "second"]
    assert (places.in_flight, places.waiting) == (0, 0)


async def test_a_full_waiting_room_refuses_at_once() -> None:
    """Beyond the waiting room there is a refusal, with the time to come back."""
    places = admission(waiting=0)
    await places.enter(LONG_S)
    with pytest.raises(OverloadedError, match="tier fast is full") as refusal:
        await places.enter(LONG_S)
    assert refusal.value.retry_after_s > 0


async def test_who_cannot_be_served_in_time_is_refused_at_once() -> None:
    """If waiting and running would outlast the caller's time, waiting is of no use."""
    places = admission(waiting=100)
    await places.enter(LONG_S)
    places.leave(ran_s=1.0)
    await places.enter(LONG_S)
    with pytest.raises(OverloadedError):
        await places.enter(1.9)
    waiting = asyncio.create_task(places.enter(2.1))
    await settle()
    assert places.waiting == 1
    waiting.cancel()


async def test_a_slow_run_never_locks_an_idle_tier() -> None:
    """However slow earlier runs were, a free place is given."""
    places = admission()
    await places.enter(LONG_S)
    places.leave(ran_s=1000.0)
    await places.enter(0.001)
    assert places.in_flight == 1


async def test_who_waits_too_long_is_refused() -> None:
    """When the caller's time is over, its place in the queue is free again."""
    places = admission()
    await places.enter(LONG_S)
    with pytest.raises(OverloadedError):
        await places.enter(0.001)
    assert places.waiting == 0


async def test_who_goes_away_frees_its_place_in_the_queue() -> None:
    """A cancelled caller does not wait any more."""
    places = admission(waiting=1)
    await places.enter(LONG_S)
    first = asyncio.create_task(places.enter(LONG_S))
    await settle()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(places.enter(LONG_S))
    await settle()
    places.leave()
    await second
    assert (places.in_flight, places.waiting) == (1, 0)


async def test_a_place_given_to_someone_who_just_left_goes_on_to_the_next() -> None:
    """Between giving and taking, the taker may be cancelled; the place is not lost."""
    places = admission()
    await places.enter(LONG_S)
    tasks = [asyncio.create_task(places.enter(LONG_S)) for _ in range(2)]
    await settle()
    places.leave()
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert tasks[0].cancelled()
    assert (places.in_flight, places.waiting) == (1, 0)


async def test_a_place_is_not_given_to_someone_whose_time_is_over() -> None:
    """Giving and giving up may fall into one moment; then the next one gets the place."""
    places = admission()
    await places.enter(LONG_S)
    late = asyncio.create_task(places.enter(0.001))
    await settle()
    patient = asyncio.create_task(places.enter(LONG_S))
    await settle()
    places._queue[0].set_result(False)  # what the timer does
    places.leave()
    with pytest.raises(OverloadedError):
        await late
    await patient
    assert (places.in_flight, places.waiting) == (1, 0)


async def test_who_is_cancelled_when_its_time_is_over_leaves_nothing() -> None:
    """Both ends of waiting in one moment free the place once."""
    places = admission()
    await places.enter(LONG_S)
    late = asyncio.create_task(places.enter(LONG_S))
    await settle()
    places._queue[0].set_result(False)
    late.cancel()
    await asyncio.gather(late, return_exceptions=True)
    assert (places.in_flight, places.waiting) == (1, 0)


@pytest.mark.parametrize(("in_flight", "waiting"), [(0, 1), (1, -1)])
def test_limits_must_make_sense(in_flight: int, waiting: int) -> None:
    """At least one place, and no negative waiting room."""
    with pytest.raises(ValueError, match="in_flight >= 1"):
        AdmissionLimits(in_flight, waiting)


STEPS = st.lists(st.tuples(st.sampled_from(["enter", "leave", "cancel", "settle"]), st.integers(0, 30)), max_size=60)


@settings(deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(0, 4))
def test_places_are_neither_lost_nor_made(steps: list[tuple[str, int]], in_flight: int, waiting: int) -> None:
    """Whatever callers do: never too many run or wait, and at the end every place is free."""
    asyncio.run(_play(steps, Admission("tier", AdmissionLimits(in_flight, waiting)), in_flight, waiting))


async def _play(steps: list[tuple[str, int]], places: Admission, in_flight: int, waiting: int) -> None:
    leave = [asyncio.Event() for _ in range(100)]
    inside: set[int] = set()

    async def call(number: int) -> None:
        await places.enter(LONG_S)
        inside.add(number)
        try:
            assert len(inside) <= in_flight
            await leave[number].wait()
        finally:
            inside.discard(number)
            places.leave(ran_s=0.0)

    calls: list[asyncio.Task[None]] = []
    for step, which in steps:
        if step == "enter":
            calls.append(asyncio.create_task(call(len(calls))))
        elif step == "settle":
            await settle()
            assert places.in_flight == len(inside)
        elif which < len(calls):
            if step == "leave":
                leave[which].set()
            else:
                calls[which].cancel()
        assert places.in_flight <= in_flight
        assert places.waiting <= waiting
    for event in leave:
        event.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    allowed = (OverloadedError, asyncio.CancelledError)
    assert all(each is None or isinstance(each, allowed) for each in results)
    assert (places.in_flight, places.waiting) == (0, 0)

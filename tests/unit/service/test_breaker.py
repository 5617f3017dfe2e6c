"""The breaker: closed until failures come in a row, then open, with one scout at a time."""

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from server.service.breaker import Breaker, BreakerLimits

LIMITS = BreakerLimits(failures=3, first_pause_s=1.0, longest_pause_s=4.0)


def ticket_of(breaker: Breaker) -> int:
    """Returns a ticket, which there must be."""
    ticket = breaker.let_in()
    assert ticket is not None
    return ticket


def opened(clock: FakeClock) -> Breaker:
    """Returns a breaker that has just opened."""
    breaker = Breaker(LIMITS, clock)
    for _ in range(LIMITS.failures):
        breaker.fail(ticket_of(breaker))
    assert breaker.is_open
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """So many and no fewer; a success in between begins the count anew."""
    breaker = Breaker(LIMITS, FakeClock())
    for outcome in (breaker.fail, breaker.fail, breaker.succeed, breaker.fail, breaker.fail):
        outcome(ticket_of(breaker))
    breaker.fail(ticket_of(breaker))
    assert breaker.let_in() is None


def test_when_the_pause_is_over_one_scout_may_pass() -> None:
    """Nobody else, until the scout reports."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(0.99)
    assert breaker.let_in() is None
    clock.advance(0.01)
    scout = ticket_of(breaker)
    assert breaker.let_in() is None
    breaker.succeed(scout)
    assert not breaker.is_open
    ticket_of(breaker)


def test_a_scout_that_fails_doubles_the_pause() -> None:
    """Up to the longest; so a tier that is well again is found within that."""
    clock = FakeClock()
    breaker = opened(clock)
    pauses = []
    for _ in range(4):
        waited = 0.0
        while (scout := breaker.let_in()) is None:
            clock.advance(0.25)
            waited += 0.25
        pauses.append(waited)
        breaker.fail(scout)
    assert pauses == [1.0, 2.0, 4.0, 4.0]


def test_a_scout_that_turns_back_makes_room_for_the_next() -> None:
    """A caller that went away says nothing of the tier."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(1)
    breaker.abandon(ticket_of(breaker))
    ticket_of(breaker)


@pytest.mark.parametrize("report", ["succeed", "fail", "abandon"])
def test_stragglers_bring_no_news(report: str) -> None:
    """Who was sent before the breaker opened reports late: neither the pause nor the scout's place changes."""
    clock = FakeClock()
    breaker = Breaker(LIMITS, clock)
    straggler = ticket_of(breaker)
    for _ in range(LIMITS.failures):
        breaker.fail(ticket_of(breaker))
    clock.advance(0.9)
    getattr(breaker, report)(straggler)
    assert breaker.let_in() is None
    clock.advance(0.1)
    scout = ticket_of(breaker)
    getattr(breaker, report)(straggler)
    assert breaker.let_in() is None
    breaker.succeed(scout)
    assert not breaker.is_open


@pytest.mark.parametrize("limits", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 2.0, 1.0)])
def test_limits_out_of_range_are_refused(limits: tuple[int, float, float]) -> None:
    """With all of them named."""
    with pytest.raises(ValueError, match="first_pause_s"):
        BreakerLimits(*limits)


@given(st.lists(st.tuples(st.sampled_from(["let_in", "succeed", "fail", "abandon", "wait"]), st.integers(0, 9))))
def test_it_never_locks_up(steps: list[tuple[str, int]]) -> None:
    """Whatever happened, in whatever order: once everybody has reported, somebody may pass after the longest pause."""
    clock = FakeClock()
    breaker = Breaker(LIMITS, clock)
    inside: list[int] = []
    for step, which in steps:
        if step == "let_in":
            ticket = breaker.let_in()
            inside += [] if ticket is None else [ticket]
        elif step == "wait":
            clock.advance(0.7)
        elif inside:
            getattr(breaker, step)(inside.pop(which % len(inside)))
    for ticket in inside:
        breaker.abandon(ticket)
    clock.advance(LIMITS.longest_pause_s)
    ticket_of(breaker)

"""The breaker: closed until failures come in a row, then open, with one scout at a time."""

import pytest
from fakes import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from server.service.breaker import Breaker, BreakerLimits

LIMITS = BreakerLimits(failures=3, first_pause_s=1.0, longest_pause_s=4.0)


def opened(clock: FakeClock) -> Breaker:
    """Returns a breaker that has just opened."""
    breaker = Breaker(LIMITS, clock)
    for _ in range(LIMITS.failures):
        assert breaker.allow()
        breaker.fail()
    assert breaker.is_open
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """So many and no fewer; a success in between begins the count anew."""
    breaker = Breaker(LIMITS, FakeClock())
    for outcome in (breaker.fail, breaker.fail, breaker.succeed, breaker.fail, breaker.fail):
        outcome()
        assert breaker.allow()
    breaker.fail()
    assert not breaker.allow()


def test_when_the_pause_is_over_one_scout_may_pass() -> None:
    """Nobody else, until the scout reports."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(0.99)
    assert not breaker.allow()
    clock.advance(0.01)
    assert breaker.allow()
    assert not breaker.allow()
    breaker.succeed()
    assert not breaker.is_open
    assert breaker.allow()


def test_a_scout_that_fails_doubles_the_pause() -> None:
    """Up to the longest; so a tier that is well again is found within that."""
    clock = FakeClock()
    breaker = opened(clock)
    pauses = []
    for _ in range(4):
        waited = 0.0
        while not breaker.allow():
            clock.advance(0.25)
            waited += 0.25
        pauses.append(waited)
        breaker.fail()
    assert pauses == [1.0, 2.0, 4.0, 4.0]


def test_a_scout_that_turns_back_makes_room_for_the_next() -> None:
    """A caller that went away says nothing of the tier."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(1)
    assert breaker.allow()
    breaker.abandon()
    assert breaker.allow()


def test_stragglers_do_not_prolong_the_pause() -> None:
    """Who was sent before the breaker opened reports late, and that is no news."""
    clock = FakeClock()
    breaker = opened(clock)
    clock.advance(0.9)
    breaker.fail()
    clock.advance(0.1)
    assert breaker.allow()


@pytest.mark.parametrize("limits", [(0, 1.0, 1.0), (1, 0.0, 1.0), (1, 2.0, 1.0)])
def test_limits_out_of_range_are_refused(limits: tuple[int, float, float]) -> None:
    """With all of them named."""
    with pytest.raises(ValueError, match="first_pause_s"):
        BreakerLimits(*limits)


@given(st.lists(st.sampled_from(["allow", "succeed", "fail", "abandon", "wait"]), max_size=60))
def test_it_never_locks_up(steps: list[str]) -> None:
    """Whatever happened: once everybody has reported, somebody may pass after the longest pause."""
    clock = FakeClock()
    breaker = Breaker(LIMITS, clock)
    inside = 0
    for step in steps:
        if step == "allow":
            inside += breaker.allow()
        elif step == "wait":
            clock.advance(0.7)
        elif inside:
            getattr(breaker, step)()
            inside -= 1
    for _ in range(inside):
        breaker.abandon()
    clock.advance(LIMITS.longest_pause_s)
    assert breaker.allow()

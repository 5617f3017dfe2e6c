"""One tier: how long a better answer is waited for, and when it is not worth asking for."""

import asyncio

import pytest
from fakes import FakeClock, prediction

from server.domain.errors import (
    BackendUnavailableError,
    DeadlineExpiredError,
    EngineFailedError,
    LoupeError,
    OverloadedError,
    PhotoRefusedError,
)
from server.domain.prediction import RawPrediction
from server.service.admission import AdmissionLimits
from server.service.breaker import BreakerLimits
from server.service.deadline import Deadline
from server.service.tier_runner import Infer, TierLimits, TierRunner

LIMITS = TierLimits(
    breaker=BreakerLimits(failures=3, first_pause_s=1.0, longest_pause_s=4.0),
    answer_reserve_s=0.1,
    patience_s=2.0,
    slowness=10.0,
    shortest_patience_s=0.2,
)


class Tier:
    """A runner of tier `full`, and an engine that takes the clock's time."""

    def __init__(self, limits: TierLimits = LIMITS) -> None:
        """Begins healthy: a run takes 50 ms."""
        self.clock = FakeClock()
        self.runner = TierRunner("full", limits, self.clock)
        self.takes_s = 0.05
        self.failure: Exception | None = None
        self.timeouts_s: list[float] = []

    async def infer(self, timeout_s: float) -> RawPrediction:
        """Answers, fails, or is given up."""
        self.timeouts_s.append(timeout_s)
        if self.failure is not None:
            raise self.failure
        self.clock.advance(min(self.takes_s, timeout_s))
        if self.takes_s > timeout_s:
            raise DeadlineExpiredError("gave up")
        return prediction()

    async def escalate(self, *, time_s: float = 30.0, infer: Infer | None = None) -> RawPrediction:
        """Asks for a better answer."""
        return await self.runner.escalate(infer or self.infer, Deadline(self.clock.now_s + time_s, self.clock))

    async def outcome(self, *, time_s: float = 30.0) -> type[LoupeError] | None:
        """What became of an escalation: the class of the error, or None."""
        try:
            await self.escalate(time_s=time_s)
        except LoupeError as error:
            return type(error)
        return None

    async def settle(self) -> None:
        """Lets the runner learn what is usual."""
        for _ in range(20):
            await self.escalate()


async def test_a_first_tier_gets_all_the_time() -> None:
    """Without an answer to fall back on, patience has no end but the deadline."""
    tier = Tier()
    await tier.runner.run(tier.infer, Deadline(tier.clock.now_s + 30, tier.clock))
    assert tier.timeouts_s == [30]


async def test_patience_is_a_multiple_of_what_is_usual() -> None:
    """At first the longest; once the tier is known, ten times its median, within its bounds."""
    tier = Tier()
    await tier.settle()
    assert tier.timeouts_s[0] == 2.0
    assert tier.timeouts_s[-1] == pytest.approx(0.5)
    tier.takes_s = 0.001
    for _ in range(200):
        await tier.escalate()
    assert tier.timeouts_s[-1] == pytest.approx(0.2)


async def test_a_tier_that_dawdles_is_given_up_and_found_again() -> None:
    """Twenty times slower: three callers wait a little, then none; four seconds after the cure it is in use."""
    tier = Tier()
    await tier.settle()
    tier.takes_s *= 20
    began_s = tier.clock.now_s
    assert [await tier.outcome() for _ in range(6)] == [BackendUnavailableError] * 6
    assert tier.clock.now_s - began_s < 2
    assert len(tier.timeouts_s) == 20 + 3
    tier.takes_s /= 20
    cured_s = tier.clock.now_s
    while await tier.outcome() is not None:
        tier.clock.advance(0.1)
    assert tier.clock.now_s - cured_s <= 4


async def test_the_callers_own_haste_is_no_fault_of_the_tier() -> None:
    """Callers with little time end by their deadline, and the breaker stays closed."""
    tier = Tier()
    tier.takes_s = 1.0
    assert [await tier.outcome(time_s=0.3) for _ in range(9)] == [DeadlineExpiredError] * 9
    tier.takes_s = 0.05
    assert await tier.outcome() is None


async def test_callers_in_a_hurry_give_a_dead_tier_up_too() -> None:
    """Who had three times what is usual, and got nothing, has seen a fault: after three of them nobody is sent."""
    tier = Tier()
    await tier.settle()
    tier.takes_s = 5.0
    assert [await tier.outcome(time_s=0.3) for _ in range(4)] == [*[DeadlineExpiredError] * 3, BackendUnavailableError]
    assert tier.timeouts_s[20:] == pytest.approx([0.2] * 3)


async def test_a_little_slower_than_usual_is_no_fault() -> None:
    """Who had less than three times what is usual was in a hurry, and says nothing of the tier."""
    tier = Tier()
    await tier.settle()
    tier.takes_s = 0.2
    assert [await tier.outcome(time_s=0.24) for _ in range(9)] == [DeadlineExpiredError] * 9


async def test_who_has_less_time_than_is_usual_is_not_sent() -> None:
    """The live 95th percentile decides, and the engine is spared."""
    tier = Tier()
    await tier.settle()
    assert await tier.outcome(time_s=0.149) is DeadlineExpiredError
    assert len(tier.timeouts_s) == 20
    assert await tier.outcome(time_s=0.2) is None


@pytest.mark.parametrize("failure", [EngineFailedError("full", "nan"), BackendUnavailableError("gone"), ValueError()])
async def test_failures_open_the_breaker(failure: Exception) -> None:
    """After three, nobody is sent."""
    tier = Tier()
    tier.failure = failure
    for _ in range(3):
        with pytest.raises(type(failure)):
            await tier.escalate()
    with pytest.raises(BackendUnavailableError, match="given up"):
        await tier.escalate()
    assert len(tier.timeouts_s) == 3


async def test_photos_that_are_refused_say_nothing_of_the_tier() -> None:
    """However many come."""
    tier = Tier()
    tier.failure = PhotoRefusedError("UNDECODABLE")
    for _ in range(9):
        with pytest.raises(PhotoRefusedError):
            await tier.escalate()
    assert len(tier.timeouts_s) == 9


async def test_a_full_tier_is_busy_and_not_broken() -> None:
    """Who finds no place turns back; the breaker stays closed."""
    tier = Tier(TierLimits(admission=AdmissionLimits(1, 0), breaker=LIMITS.breaker))
    entered, leave = asyncio.Event(), asyncio.Event()

    async def wait(_: float) -> RawPrediction:
        entered.set()
        await leave.wait()
        return prediction()

    running = asyncio.create_task(tier.escalate(infer=wait))
    await entered.wait()
    for _ in range(9):
        with pytest.raises(OverloadedError):
            await tier.escalate()
    leave.set()
    await running
    assert await tier.outcome() is None


async def test_a_caller_that_goes_away_as_a_scout_leaves_room_for_the_next() -> None:
    """Else the tier would never be tried again."""
    tier = Tier()
    tier.failure = BackendUnavailableError("gone")
    for _ in range(3):
        await tier.outcome()
    tier.clock.advance(1.0)
    entered = asyncio.Event()

    async def hang(_: float) -> RawPrediction:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    scout = asyncio.create_task(tier.escalate(infer=hang))
    await entered.wait()
    scout.cancel()
    await asyncio.gather(scout, return_exceptions=True)
    tier.failure = None
    assert await tier.outcome() is None

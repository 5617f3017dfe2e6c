"""Runs one tier for many requests: admission, the time that it may take, and whether it is worth asking at all."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from server.domain.errors import BackendUnavailableError, DeadlineExpiredError, OverloadedError, PhotoRefusedError
from server.domain.ports import Clock
from server.domain.prediction import RawPrediction
from server.service.admission import Admission, AdmissionLimits
from server.service.breaker import Breaker, BreakerLimits
from server.service.deadline import Deadline
from server.service.tier_latency import TierLatency

Infer = Callable[[float], Coroutine[Any, Any, RawPrediction]]
"""Runs the tier's engine within so many seconds."""


@dataclass(frozen=True, slots=True)
class TierLimits:
    """How much work a tier takes, and how long a better answer is waited for.

    Attributes:
        admission: How much work it takes.
        breaker: When it is given up for a while.
        answer_reserve_s: What a stronger tier leaves of the caller's time, so that the weaker answer still
            arrives if it fails; at least 0.
        patience_s: The longest that a stronger tier is waited for, its queue included; above 0.
        slowness: A stronger tier is given up after so many times its usual duration, above 1.
        shortest_patience_s: But never before; above 0.
        suspicion: A caller whose time ends before that patience blames the tier only after so many times its
            usual duration, above 1; before that it was the caller's own haste.
    """

    admission: AdmissionLimits = field(default_factory=AdmissionLimits)
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
    answer_reserve_s: float = 0.02
    patience_s: float = 1.5
    slowness: float = 10.0
    shortest_patience_s: float = 0.25
    suspicion: float = 3.0


class TierRunner:
    """One tier of one release."""

    def __init__(self, name: str, limits: TierLimits, clock: Clock) -> None:
        """Begins idle and trusted.

        Args:
            name: The tier, e.g. `full`.
            limits: How much work it takes.
            clock: What time it is.
        """
        self.name = name
        self._limits = limits
        self._clock = clock
        self._admission = Admission(f"tier {name}", limits.admission)
        self._breaker = Breaker(limits.breaker, clock)
        self._latency = TierLatency(clock)

    @property
    def in_flight(self) -> int:
        """The number of requests that run."""
        return self._admission.in_flight

    @property
    def waiting(self) -> int:
        """The number of requests that wait."""
        return self._admission.waiting

    @property
    def is_given_up(self) -> bool:
        """Whether nobody is sent there for now."""
        return self._breaker.is_open

    async def run(self, infer: Infer, deadline: Deadline) -> RawPrediction:
        """Runs the tier as the first of a request: it gets all the time there is.

        Raises:
            OverloadedError: The tier is too busy.
            DeadlineExpiredError: The time was not enough.
            LoupeError: The engine failed; see `server.domain.ports.Engines`.
        """
        return await self._run(infer, deadline.remaining_s())

    async def escalate(self, infer: Infer, deadline: Deadline) -> RawPrediction:
        """Runs the tier to better an answer that is there already.

        Raises:
            DeadlineExpiredError: The remaining time does not allow it.
            OverloadedError: The tier is too busy.
            BackendUnavailableError: The tier has failed or dawdled lately, or does so now.
            LoupeError: The engine failed; see `server.domain.ports.Engines`.
        """
        remaining_s = deadline.remaining_s() - self._limits.answer_reserve_s
        if remaining_s <= (self._latency.quantile_s(0.95) or 0.0):
            raise DeadlineExpiredError(f"tier {self.name} would take longer than the time that is left")
        ticket = self._breaker.let_in()
        if ticket is None:
            raise BackendUnavailableError(f"tier {self.name} is given up for a while")
        usual_s = self._latency.usual_s()
        patience_s = self._patience_s(usual_s)
        try:
            raw = await self._run(infer, min(remaining_s, patience_s))
        except (OverloadedError, PhotoRefusedError):
            self._breaker.abandon(ticket)
            raise
        except DeadlineExpiredError as error:
            if remaining_s > patience_s:
                self._breaker.fail(ticket)
                raise BackendUnavailableError(f"tier {self.name} takes longer than it should") from error
            if usual_s is not None and remaining_s > self._limits.suspicion * usual_s:
                # Else callers in a hurry would send their photos to a dead tier for ever.
                self._breaker.fail(ticket)
            else:
                self._breaker.abandon(ticket)
            raise
        except Exception:
            self._breaker.fail(ticket)
            raise
        except BaseException:
            self._breaker.abandon(ticket)
            raise
        self._breaker.succeed(ticket)
        return raw

    def _patience_s(self, usual_s: float | None) -> float:
        """How long a better answer is worth waiting for."""
        if usual_s is None:
            return self._limits.patience_s
        return min(max(self._limits.slowness * usual_s, self._limits.shortest_patience_s), self._limits.patience_s)

    async def _run(self, infer: Infer, time_s: float) -> RawPrediction:
        if time_s <= 0:
            raise DeadlineExpiredError(f"no time is left for tier {self.name}")
        began_s = self._clock.monotonic_s()
        await self._admission.enter(time_s)
        entered_s = self._clock.monotonic_s()
        ran_s = None
        try:
            raw = await infer(time_s - (entered_s - began_s))
            ended_s = self._clock.monotonic_s()
            ran_s = ended_s - entered_s
            self._latency.record(ended_s - began_s)
            return raw
        finally:
            self._admission.leave(ran_s=ran_s)

"""Admission: so many requests run in a tier at once, so many wait, and the rest are refused at once.

The queue is held here because Triton runs cancelled and expired requests all the same. First
come, first served; who stops waiting frees its place.
"""

import asyncio
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from server.domain.errors import OverloadedError

_SMOOTHING = 0.1
_SHORTEST_RETRY_S = 0.05


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """How much work one tier takes.

    Attributes:
        in_flight: Requests that run at once, at least 1: the backend's a few for each instance.
        waiting: Requests that wait beyond these, at least 0.
    """

    in_flight: int = 16
    waiting: int = 64

    def __post_init__(self) -> None:
        """Raises ValueError for limits out of range."""
        if self.in_flight < 1 or self.waiting < 0:
            raise ValueError(f"admission needs in_flight >= 1 and waiting >= 0, got {self}")


class Admission:
    """The places of one tier; whoever enters must leave."""

    def __init__(self, what: str, limits: AdmissionLimits) -> None:
        """Begins empty.

        Args:
            what: What is full when it is, e.g. `tier fast`.
            limits: How much work is taken.
        """
        self._what = what
        self._limits = limits
        self._in_flight = 0
        self._queue: deque[asyncio.Future[bool]] = deque()
        self._typical_run_s = 0.0

    @property
    def in_flight(self) -> int:
        """The number of requests that run."""
        return self._in_flight

    @property
    def waiting(self) -> int:
        """The number of requests that wait."""
        return len(self._queue)

    async def enter(self, remaining_s: float) -> None:
        """Takes a place, at once or after those that wait already.

        Args:
            remaining_s: The time left for waiting and running together, above 0.

        Raises:
            OverloadedError: The waiting room is full, the remaining time would not be enough, or it was not.
        """
        if self._in_flight < self._limits.in_flight and not self._queue:
            self._in_flight += 1
            return
        wait_s = self._typical_run_s * (len(self._queue) + 1) / self._limits.in_flight
        if len(self._queue) >= self._limits.waiting or wait_s + self._typical_run_s > remaining_s:
            raise self._overloaded(wait_s)
        await self._wait(remaining_s)

    def leave(self, *, ran_s: float | None = None) -> None:
        """Gives the place up, to whoever waits longest.

        Args:
            ran_s: How long the run took, if it ended well: later estimates learn from it.
        """
        if ran_s is not None:
            known_s = self._typical_run_s
            self._typical_run_s = known_s + _SMOOTHING * (ran_s - known_s) if known_s else ran_s
        while self._queue:
            place = self._queue.popleft()
            if not place.done():
                place.set_result(True)
                return
        self._in_flight -= 1

    async def _wait(self, remaining_s: float) -> None:
        loop = asyncio.get_running_loop()
        place: asyncio.Future[bool] = loop.create_future()
        self._queue.append(place)
        timer = loop.call_later(remaining_s, _give_up, place)
        try:
            admitted = await place
        except asyncio.CancelledError:
            if place.cancelled() or not place.result():
                self._forget(place)
            else:
                # The place was given in the very moment in which its taker went away.
                self.leave()
            raise
        finally:
            timer.cancel()
        if not admitted:
            self._forget(place)
            raise self._overloaded(self._typical_run_s)

    def _forget(self, place: "asyncio.Future[bool]") -> None:
        with suppress(ValueError):
            self._queue.remove(place)

    def _overloaded(self, retry_after_s: float) -> OverloadedError:
        return OverloadedError(self._what, retry_after_s=max(retry_after_s, _SHORTEST_RETRY_S))


def _give_up(place: "asyncio.Future[bool]") -> None:
    if not place.done():
        place.set_result(False)

"""A closed loop: a fixed number of workers, each sending its next request when the last is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import numpy as np

Send = Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Window:
    """What was measured in one stretch of time.

    Attributes:
        seconds: From the first request sent to the last answer.
        latencies_ms: One an answered request, in the order of answers.
    """

    seconds: float
    latencies_ms: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """Answered requests a second."""
        return len(self.latencies_ms) / self.seconds

    def latency_ms(self, percentile: float) -> float:
        """The latency at a percentile in [0, 100]."""
        return float(np.percentile(self.latencies_ms, percentile))


async def measure(send: Send, *, in_flight: int, seconds: float) -> Window:
    """Keeps `in_flight` requests under way for about `seconds`; a request that fails ends the measurement.

    Args:
        send: Sends one request and waits for its answer.
        in_flight: The number of workers, at least 1.
        seconds: No request is begun later than this.
    """
    latencies: list[float] = []
    begin = time.perf_counter()
    end = begin + seconds

    async def work() -> None:
        now = time.perf_counter()
        while now < end:
            await send()
            before, now = now, time.perf_counter()
            latencies.append((now - before) * 1e3)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return Window(time.perf_counter() - begin, tuple(latencies))

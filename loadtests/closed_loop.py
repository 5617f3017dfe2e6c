"""A closed loop: a fixed number of workers, each sending its next request when the last is answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
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
    end = time.perf_counter() + seconds

    def until_then() -> Iterable[Send]:
        while time.perf_counter() < end:
            yield send

    return await measure_all(until_then(), in_flight=in_flight)


async def measure_all(sends: Iterable[Send], *, in_flight: int) -> Window:
    """Sends each request once, with `in_flight` under way; a request that fails ends the measurement.

    Args:
        sends: Each sends one request and waits for its answer.
        in_flight: The number of workers, at least 1.
    """
    latencies: list[float] = []
    waiting = iter(sends)
    begin = time.perf_counter()

    async def work() -> None:
        for send in waiting:
            before = time.perf_counter()
            await send()
            latencies.append((time.perf_counter() - before) * 1e3)

    async with asyncio.TaskGroup() as group:
        for _ in range(in_flight):
            group.create_task(work())
    return Window(time.perf_counter() - begin, tuple(latencies))

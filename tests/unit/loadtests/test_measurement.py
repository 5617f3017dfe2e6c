"""The measuring tools measure what they say."""

import asyncio

import pytest

from loadtests.closed_loop import measure
from loadtests.pairs import estimate


async def test_a_closed_loop_keeps_its_number_in_flight() -> None:
    """Never more, and as many as asked for."""
    now, most = 0, 0

    async def send() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.001)
        now -= 1

    window = await measure(send, in_flight=5, seconds=0.1)
    assert most == 5
    assert window.throughput == pytest.approx(len(window.latencies_ms) / window.seconds)
    assert window.latency_ms(50) >= 1.0


async def test_a_failing_request_ends_the_measurement() -> None:
    """A figure over failed requests would be a lie."""

    async def send() -> None:
        raise ConnectionError

    with pytest.raises(ExceptionGroup):
        await measure(send, in_flight=2, seconds=5)


def test_an_estimate_brackets_its_median() -> None:
    """The same values, the same interval, around the median."""
    values = [0.9, 0.92, 0.95, 0.91, 0.93]
    found = estimate(values)
    assert found == estimate(values)
    assert found.lower <= found.median == 0.92 <= found.upper
    assert str(estimate([1.0])) == "1.000 [1.000, 1.000]"

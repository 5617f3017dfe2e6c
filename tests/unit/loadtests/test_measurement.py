"""The measuring tools measure what they say."""

import asyncio

import pytest

from loadtests.closed_loop import measure, measure_all
from loadtests.pairs import estimate, interleave


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


async def test_each_of_a_number_of_requests_is_sent_once() -> None:
    """However many workers share them."""
    sent = []

    async def send(number: int) -> None:
        await asyncio.sleep(0)
        sent.append(number)

    window = await measure_all([lambda number=number: send(number) for number in range(20)], in_flight=3)
    assert sorted(sent) == list(range(20))
    assert len(window.latencies_ms) == 20


async def test_pairs_are_measured_in_turn_and_every_second_one_the_other_way_round() -> None:
    """So that neither side always goes first; a pair's first value is the first side's."""
    order = []

    async def side(name: str, pair: int) -> str:
        order.append(name)
        return f"{name}{pair}"

    both = await interleave(lambda pair: side("a", pair), lambda pair: side("b", pair), pairs=3)
    assert order == ["a", "b", "b", "a", "a", "b"]
    assert both == [("a0", "b0"), ("a1", "b1"), ("a2", "b2")]


def test_an_estimate_brackets_its_median() -> None:
    """The same values, the same interval, around the median."""
    values = [0.9, 0.92, 0.95, 0.91, 0.93]
    found = estimate(values)
    assert found == estimate(values)
    assert found.lower <= found.median == 0.92 <= found.upper
    assert str(estimate([1.0])) == "1.000 [1.000, 1.000]"

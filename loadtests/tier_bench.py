"""One tier alone: the gateway, held to that tier, against the bare Triton ensemble, in interleaved pairs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from loadtests.closed_loop import Send, Window, measure
from loadtests.cpu import SERVICE, CpuClock, CpuSeconds, difference, milliseconds_each
from loadtests.pairs import Estimate, estimate, interleave
from loadtests.verdict import Part

_WARM_UP_S = 1.0


@dataclass(frozen=True, slots=True)
class Half:
    """One half of a pair: what was measured, and what it cost."""

    window: Window
    cpu: CpuSeconds


class Side(Part):
    """One of the two things that are compared."""

    per_second: float
    """Answered requests a second, mean over pairs."""
    median_ms: float
    """Median over pairs of each half's median latency."""
    cpu_ms: Mapping[str, float]
    """By process, CPU milliseconds a request."""

    @classmethod
    def of(cls, halves: list[Half]) -> "Side":
        """Sums up all halves of one side."""
        count = sum(len(each.window.latencies_ms) for each in halves)
        return cls(
            per_second=float(np.mean([each.window.throughput for each in halves])),
            median_ms=float(np.median([each.window.latency_ms(50) for each in halves])),
            cpu_ms=milliseconds_each([each.cpu for each in halves], count),
        )

    @property
    def service_cpu_ms(self) -> float:
        """CPU milliseconds a request, but for the client's."""
        return sum(self.cpu_ms[role] for role in SERVICE)


class TierRow(Part):
    """The gateway against bare Triton at one number in flight."""

    in_flight: int
    gateway: Side
    triton: Side
    throughput_ratio: Estimate
    added_median_ms: Estimate
    added_p99_ms: Estimate


class TierCost(Part):
    """What one answer of a tier costs through the gateway: the figures of a picture of cost against accuracy."""

    median_ms_at_1: float | None
    """Median latency with 1 request in flight, in milliseconds; None if that was not measured."""
    cpu_ms_at_16: float | None
    """CPU milliseconds of gateway, Triton and stubs with 16 in flight; None if that was not measured."""


class TierFigures(Part):
    """Everything that was measured of one tier."""

    tier: str
    precision: str
    input_size_px: int
    ceiling_per_second: float
    """Decoding and model in one process."""
    rows: tuple[TierRow, ...]
    cost: TierCost


async def compare(
    gateway: Send,
    triton: Send,
    clock: CpuClock,
    *,
    in_flight: int,
    pairs: int,
    seconds: float,
    on_half: Callable[[], None],
) -> TierRow:
    """Measures gateway and Triton in turn.

    Args:
        gateway: Sends the next photo to the gateway.
        triton: Sends the next photo to the ensemble.
        clock: Reads the CPU time of both.
        in_flight: Requests under way.
        pairs: How often.
        seconds: The length of a half.
        on_half: Called whenever a half is done.
    """

    async def half(send: Send) -> Half:
        before = clock.read()
        window = await measure(send, in_flight=in_flight, seconds=seconds)
        measured = Half(window, difference(before, clock.read()))
        on_half()
        return measured

    for send in (gateway, triton):
        await measure(send, in_flight=in_flight, seconds=_WARM_UP_S)
    both = await interleave(lambda _: half(gateway), lambda _: half(triton), pairs=pairs)
    return tier_row(both, in_flight=in_flight)


def tier_row(both: list[tuple[Half, Half]], *, in_flight: int) -> TierRow:
    """Returns what pairs of gateway and Triton show."""
    windows = [(one.window, other.window) for one, other in both]
    return TierRow(
        in_flight=in_flight,
        gateway=Side.of([one for one, _ in both]),
        triton=Side.of([other for _, other in both]),
        throughput_ratio=estimate([one.throughput / other.throughput for one, other in windows]),
        added_median_ms=estimate([one.latency_ms(50) - other.latency_ms(50) for one, other in windows]),
        added_p99_ms=estimate([one.latency_ms(99) - other.latency_ms(99) for one, other in windows]),
    )


def tier_cost(rows: list[TierRow]) -> TierCost:
    """Returns what a tier's answers cost."""
    by_in_flight = {each.in_flight: each.gateway for each in rows}
    return TierCost(
        median_ms_at_1=by_in_flight[1].median_ms if 1 in by_in_flight else None,
        cpu_ms_at_16=by_in_flight[16].service_cpu_ms if 16 in by_in_flight else None,  # noqa: PLR2004 -- its name
    )

"""The whole cascade against its strongest tier alone, in interleaved pairs over the same photos."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from loadtests.closed_loop import Send, measure_all
from loadtests.cpu import SERVICE, CpuClock, difference
from loadtests.pairs import Estimate, estimate, interleave
from loadtests.targets import SendPhoto
from loadtests.verdict import Part
from loupe.v1 import prediction_pb2


@dataclass(frozen=True, slots=True)
class CascadeHalf:
    """One half of a pair: the same photos, sent once each.

    Attributes:
        seconds: From the first request to the last answer.
        traces: One an answer.
        service_cpu_s: CPU seconds of gateway, Triton and stubs.
    """

    seconds: float
    traces: tuple[prediction_pb2.CascadeTrace, ...]
    service_cpu_s: float

    @property
    def throughput(self) -> float:
        """Answers a second; a degraded one is not what was asked for, and does not count."""
        return sum(not each.degraded for each in self.traces) / self.seconds


class CascadeFigures(Part):
    """The cascade against its strongest tier."""

    strongest: str
    in_flight: int
    photos_each_half: int
    distinct_photos: int
    cascade_per_second: float
    """Answers that are not degraded, mean over pairs."""
    strongest_per_second: float
    throughput_ratio: Estimate
    cascade_cpu_ms: float
    """CPU milliseconds a photo of gateway, Triton and stubs."""
    strongest_cpu_ms: float
    exits: Mapping[str, float]
    """By tier, its share of the cascade's answers."""
    degraded_share: float
    """Of the cascade's answers."""


async def compare_cascade(
    cascade: Sequence[SendPhoto],
    strongest: Sequence[SendPhoto],
    clock: CpuClock,
    *,
    in_flight: int,
    pairs: int,
    on_half: Callable[[], None],
) -> list[tuple[CascadeHalf, CascadeHalf]]:
    """Sends the photos of each pair through both, in turn.

    Args:
        cascade: For each photo, what sends it under the default policy.
        strongest: For the same photos, what sends it to the strongest tier alone.
        clock: Reads the CPU time of the service.
        in_flight: Requests under way.
        pairs: Into how many parts the photos are divided.
        on_half: Called whenever a half is done.
    """
    size = len(cascade) // pairs

    async def half(sends: Sequence[SendPhoto]) -> CascadeHalf:
        traces: list[prediction_pb2.CascadeTrace] = []
        before = clock.read()
        window = await measure_all([_keeping(each, traces) for each in sends], in_flight=in_flight)
        used = difference(before, clock.read())
        on_half()
        return CascadeHalf(window.seconds, tuple(traces), sum(used[role] for role in SERVICE))

    return await interleave(
        lambda pair: half(cascade[pair * size : (pair + 1) * size]),
        lambda pair: half(strongest[pair * size : (pair + 1) * size]),
        pairs=pairs,
    )


def cascade_figures(
    both: Sequence[tuple[CascadeHalf, CascadeHalf]], *, tiers: Sequence[str], in_flight: int, distinct_photos: int
) -> CascadeFigures:
    """Returns what pairs of the cascade and its strongest tier show.

    Args:
        both: At least one pair.
        tiers: Cheapest first.
        in_flight: Requests under way.
        distinct_photos: How many different photos were sent.
    """
    traces = [trace for cascade, _ in both for trace in cascade.traces]
    counts = Counter(each.tier for each in traces)
    return CascadeFigures(
        strongest=tiers[-1],
        in_flight=in_flight,
        photos_each_half=len(both[0][0].traces),
        distinct_photos=distinct_photos,
        cascade_per_second=float(np.mean([cascade.throughput for cascade, _ in both])),
        strongest_per_second=float(np.mean([strongest.throughput for _, strongest in both])),
        throughput_ratio=estimate([cascade.throughput / strongest.throughput for cascade, strongest in both]),
        cascade_cpu_ms=sum(cascade.service_cpu_s for cascade, _ in both) * 1e3 / len(traces),
        strongest_cpu_ms=sum(strongest.service_cpu_s for _, strongest in both) * 1e3 / len(traces),
        exits={tier: counts[tier] / len(traces) for tier in tiers},
        degraded_share=sum(each.degraded for each in traces) / len(traces),
    )


def _keeping(send: SendPhoto, traces: list[prediction_pb2.CascadeTrace]) -> Send:
    """Returns the same request, whose answer's trace is kept."""

    async def keep() -> None:
        traces.append((await send()).trace)

    return keep

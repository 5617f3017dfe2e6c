"""What a load test showed: figures, and each limit with what was measured beside it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Self

import numpy as np

from loadtests.outcome import Outcome
from loadtests.plan import LoadPlan, Slo
from loadtests.verdict import Part, Verdict, at_least, at_most


class Latency(Part):
    """Percentiles of the answered, in milliseconds from when each was due; all 0 without an answer."""

    p50_ms: float
    p95_ms: float
    p99_ms: float

    @classmethod
    def of(cls, outcomes: Iterable[Outcome]) -> Self:
        """Takes the answers among the outcomes."""
        p50, p95, p99 = _percentiles([each.latency_ms for each in outcomes if each.is_answer], 50, 95, 99)
        return cls(p50_ms=p50, p95_ms=p95, p99_ms=p99)


class Exit(Part):
    """The answers that left the cascade at one tier for one reason."""

    tier: str
    stop_reason: str
    count: int
    share: float
    """Of all answers."""
    latency: Latency


class KindFigures(Part):
    """One kind of request in the mix."""

    kind: str
    sent: int
    failed: int
    degraded_share: float
    """Of its answers."""
    latency: Latency


class LoadReport(Part):
    """What a load test showed; the warm-up is not counted."""

    release: str
    tiers: tuple[str, ...]
    photos: str
    per_second: float
    """As planned."""
    seconds: float
    seed: int
    planned: int
    sent: int
    answered: int
    refused_rightly: int
    """Photos that cannot be decoded, refused as such."""
    sent_per_second: float
    answered_per_second: float
    latency: Latency
    late_p99_ms: float
    """How late the client itself sent, against the plan."""
    failures: dict[str, int]
    """By code."""
    exits: tuple[Exit, ...]
    """In the order of the tiers."""
    kinds: tuple[KindFigures, ...]
    degraded_share: float
    """Of all answers."""
    verdicts: tuple[Verdict, ...]
    client_cores: float
    """CPU seconds that the client used each second."""
    machine_cores: int

    @property
    def holds(self) -> bool:
        """Whether every limit holds."""
        return all(each.holds for each in self.verdicts)


def report_of(
    outcomes: Sequence[Outcome],
    plan: LoadPlan,
    *,
    release: str,
    tiers: tuple[str, ...],
    photos: str,
    client_cores: float,
    machine_cores: int,
) -> LoadReport:
    """Returns what the outcomes show.

    Args:
        outcomes: Of all requests that left, warm-up included, in any order.
        plan: What was to be sent, and the limits.
        release: What answered.
        tiers: Its tiers, cheapest first.
        photos: For people: which photos were sent.
        client_cores: CPU seconds that the client used each second.
        machine_cores: The cores that client and service share.
    """
    arrivals = plan.arrivals
    measured = [each for each in outcomes if each.number >= arrivals.warm_up_count]
    answers = [each for each in measured if each.is_answer]
    return LoadReport(
        release=release,
        tiers=tiers,
        photos=photos,
        per_second=arrivals.per_second,
        seconds=arrivals.seconds,
        seed=arrivals.seed,
        planned=arrivals.measured_count,
        sent=len(measured),
        answered=len(answers),
        refused_rightly=sum(not each.failed and not each.is_answer for each in measured),
        sent_per_second=len(measured) / arrivals.seconds,
        answered_per_second=len(answers) / arrivals.seconds,
        latency=Latency.of(answers),
        late_p99_ms=_percentiles([each.late_ms for each in measured], 99)[0],
        failures=dict(Counter(each.code for each in measured if each.failed).most_common()),
        exits=_exits(answers, tiers),
        kinds=tuple(_kind(each.name, measured) for each in plan.requests),
        degraded_share=_share(each.degraded for each in answers),
        verdicts=verdicts_of(measured, plan.slo, planned=arrivals.measured_count),
        client_cores=client_cores,
        machine_cores=machine_cores,
    )


def verdicts_of(measured: Sequence[Outcome], slo: Slo, *, planned: int) -> tuple[Verdict, ...]:
    """Returns each limit with what was measured; without a single answer no limit on latency holds."""
    answers = [each for each in measured if each.is_answer]
    p95_ms = Latency.of(answers).p95_ms if answers else float("inf")
    unhurried = [each.degraded for each in answers if not each.has_deadline]
    hurried = [each.degraded for each in answers if each.has_deadline]
    failed = [each.failed for each in measured]
    return (
        at_most("p95 of answers", p95_ms, slo.p95_ms, unit="ms"),
        at_most("failures", _share(failed) if failed else 1.0, slo.failure_share, unit="share"),
        at_most("degraded, no deadline set", _share(unhurried), slo.degraded_share_without_deadline, unit="share"),
        at_most("degraded, deadline set", _share(hurried), slo.degraded_share_with_deadline, unit="share"),
        at_least("sent of the planned", len(measured) / planned, slo.least_sent_share, unit="share"),
    )


def _exits(answers: Sequence[Outcome], tiers: Sequence[str]) -> tuple[Exit, ...]:
    counts = Counter((each.tier, each.stop_reason) for each in answers)
    ordered = sorted(counts.items(), key=lambda item: (_place(item[0][0], tiers), -item[1]))
    return tuple(
        Exit(
            tier=tier,
            stop_reason=reason,
            count=count,
            share=count / len(answers),
            latency=Latency.of(each for each in answers if (each.tier, each.stop_reason) == (tier, reason)),
        )
        for (tier, reason), count in ordered
    )


def _kind(name: str, measured: Sequence[Outcome]) -> KindFigures:
    own = [each for each in measured if each.kind == name]
    return KindFigures(
        kind=name,
        sent=len(own),
        failed=sum(each.failed for each in own),
        degraded_share=_share(each.degraded for each in own if each.is_answer),
        latency=Latency.of(own),
    )


def _place(tier: str, tiers: Sequence[str]) -> int:
    """Returns a tier's place in the cascade; one that the release did not name comes last."""
    return tiers.index(tier) if tier in tiers else len(tiers)


def _share(flags: Iterable[bool]) -> float:
    """Returns how many are true; 0 of none."""
    listed = list(flags)
    return sum(listed) / len(listed) if listed else 0.0


def _percentiles(values: Sequence[float], *percentiles: float) -> list[float]:
    return np.percentile(values, percentiles).tolist() if values else [0.0] * len(percentiles)

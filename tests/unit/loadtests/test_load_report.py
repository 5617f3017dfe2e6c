"""The report counts what it says, and judges by it."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from loadtests.load_report import LoadReport, report_of, verdicts_of
from loadtests.load_tables import show
from loadtests.outcome import NOT_REFUSED, OK, REFUSED, UNFINISHED, Outcome
from loadtests.plan import DEFAULT_PLAN, read_plan

PLAN = read_plan(DEFAULT_PLAN, per_second=10, seconds=10)
FIRST = PLAN.arrivals.warm_up_count
GOOD = Outcome(FIRST, "plain", False, OK, False, 20.0, 1.0, "fast", "confident")


def outcomes(count: int = 100, **changes: object) -> list[Outcome]:
    """Returns answers as they should be, from the first that is measured on, with changes."""
    return [replace(GOOD, number=FIRST + each, **changes) for each in range(count)]


def report(*listed: Outcome) -> LoadReport:
    """Returns the report of some outcomes."""
    return report_of(
        listed,
        PLAN,
        release="bread/1",
        tiers=("fast", "full"),
        photos="2 photos",
        client_cores=0.25,
        machine_cores=2,
    )


def missed(listed: list[Outcome]) -> set[str]:
    """Returns the limits that some outcomes miss."""
    verdicts = verdicts_of(listed, PLAN.slo, planned=PLAN.arrivals.measured_count)
    return {each.name for each in verdicts if not each.holds}


def test_the_warm_up_does_not_count() -> None:
    """Neither its failures nor its latency."""
    cold = replace(GOOD, number=FIRST - 1, code="UNAVAILABLE", failed=True, latency_ms=9_000.0)
    found = report(cold, *outcomes())
    assert (found.sent, found.answered, found.failures) == (100, 100, {})
    assert found.latency.p99_ms == 20
    assert found.holds


def test_a_photo_that_cannot_be_decoded_is_refused_rightly() -> None:
    """It is no failure, no answer, and no latency; if it is answered, that is a failure."""
    refused = replace(GOOD, code=REFUSED, latency_ms=900.0, tier="", stop_reason="")
    answered = replace(GOOD, code=NOT_REFUSED, failed=True)
    found = report(*outcomes(98), refused, answered)
    assert (found.refused_rightly, found.answered, found.failures) == (1, 98, {NOT_REFUSED: 1})
    assert found.latency.p99_ms == 20


@pytest.mark.parametrize(
    ("listed", "names"),
    [
        (outcomes(), set()),
        (outcomes(latency_ms=200.0), set()),
        (outcomes(latency_ms=200.1), {"p95 of answers"}),
        (outcomes(94) + outcomes(6, latency_ms=300.0), {"p95 of answers"}),
        (outcomes(99) + outcomes(1, code=UNFINISHED, failed=True), {"failures"}),
        (outcomes(98) + outcomes(2, degraded=True), {"degraded, no deadline set"}),
        (outcomes(50) + outcomes(25, has_deadline=True) + outcomes(25, has_deadline=True, degraded=True), set()),
        (outcomes(90) + outcomes(10, has_deadline=True, degraded=True), {"degraded, deadline set"}),
        (outcomes(98), {"sent of the planned"}),
        (
            outcomes(code="UNAVAILABLE", failed=True),
            {"failures", "p95 of answers"},
        ),
        ([], {"failures", "p95 of answers", "sent of the planned"}),
    ],
)
def test_each_limit_is_judged(listed: list[Outcome], names: set[str]) -> None:
    """Inclusive; without an answer or a request nothing that matters holds."""
    assert missed(listed) == names


def test_exits_stand_in_the_order_of_tiers() -> None:
    """With their shares of all answers, the commonest reason of a tier first."""
    found = report(
        *outcomes(10, tier="full", stop_reason="last_tier"),
        *outcomes(60),
        *outcomes(30, stop_reason="deadline", degraded=True),
    )
    exits = [(each.tier, each.stop_reason, each.share) for each in found.exits]
    assert exits == [("fast", "confident", 0.6), ("fast", "deadline", 0.3), ("full", "last_tier", 0.1)]
    assert found.degraded_share == 0.3


def test_kinds_are_counted_apart() -> None:
    """Each with its own failures; one that was never drawn stands there with zeros."""
    found = report(*outcomes(9), replace(GOOD, kind="deadline", code="DEADLINE_EXCEEDED", failed=True))
    kinds = {each.kind: (each.sent, each.failed) for each in found.kinds}
    assert kinds == {"plain": (9, 0), "max_tier": (0, 0), "deadline": (1, 1), "heads": (0, 0)}


def test_a_report_survives_its_file() -> None:
    """Locust writes it, another process reads it."""
    found = report(*outcomes())
    assert LoadReport.model_validate_json(found.model_dump_json()) == found


def test_the_tables_say_what_matters() -> None:
    """Failures by code, exits, each limit beside what was measured, who shares the machine, and the file."""
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    show(console, report(*outcomes(99), *outcomes(1, code="UNAVAILABLE", failed=True)), path=Path("build/load.json"))
    text = console.export_text()
    for words in ("bread/1", "2 photos", "failed: UNAVAILABLE", "confident", "1.00%", "≤ 0.10%", "missed", "holds"):
        assert words in text
    assert "0.25 of the 2 cores" in text
    assert "Missed: failures." in text
    assert "build/load.json" in text

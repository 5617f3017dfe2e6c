"""What Prometheus finds: every inspection once, under labels that callers cannot invent."""

import asyncio
from collections.abc import Iterator

import pytest
from fakes import prediction
from measured import Measured

from server.domain.errors import BackendUnavailableError, OverloadedError

UNSURE = prediction(kind=0.5, grade=0.6)


@pytest.fixture
def measured() -> Iterator[Measured]:
    """Metrics that are served until the test ends."""
    measured = Measured()
    yield measured
    measured.metrics.stop()


def test_answers_are_counted_by_tier_and_reason(measured: Measured) -> None:
    """Task, tier, stop reason and code; each run of a tier by itself."""
    for answer in (prediction(), UNSURE, UNSURE):
        measured.engines.answers = {"fast": answer, "full": UNSURE}
        measured.metrics.answered(measured.inspect())
    assert measured.samples("loupe_inspection_duration_seconds_count") == {
        ("OK", "confident", "bread", "fast"): 1,
        ("OK", "last_tier", "bread", "full"): 2,
    }
    assert measured.samples("loupe_tier_duration_seconds_count") == {("bread", "fast"): 3, ("bread", "full"): 2}
    assert measured.samples("loupe_degraded_inspections_total") == {}


def test_degraded_answers_are_counted(measured: Measured) -> None:
    """By what they were degraded."""
    measured.engines.answers = {"fast": UNSURE, "full": BackendUnavailableError("gone")}
    measured.metrics.answered(measured.inspect())
    assert measured.samples("loupe_degraded_inspections_total") == {("tier_unavailable", "bread", "fast"): 1}


def test_failures_are_counted_by_code(measured: Measured) -> None:
    """Who went away too."""
    measured.metrics.failed("tasks/bread", OverloadedError("tier fast", retry_after_s=1), 0.1)
    measured.metrics.failed("tasks/bread", asyncio.CancelledError(), 0.1)
    assert measured.samples("loupe_inspection_duration_seconds_count") == {
        ("OverloadedError", "none", "bread", "none"): 1,
        ("CANCELLED", "none", "bread", "none"): 1,
    }


def test_callers_invent_no_labels(measured: Measured) -> None:
    """However many tasks they name that do not exist, it is one row."""
    for each in range(100):
        measured.metrics.failed(f"tasks/invented_{each}", ValueError(), 0.1)
    assert measured.samples("loupe_inspection_duration_seconds_count") == {("ValueError", "none", "none", "none"): 100}


def test_the_load_of_each_tier_is_read_when_it_is_asked_for(measured: Measured) -> None:
    """In flight, waiting, given up."""
    measured.engines.answers = {"fast": UNSURE, "full": BackendUnavailableError("gone")}
    for _ in range(3):
        measured.inspect()
    assert measured.samples("loupe_tier_given_up") == {("bread_r1_fast", "fast"): 0, ("bread_r1_full", "full"): 1}
    assert set(measured.samples("loupe_tier_in_flight").values()) == {0}
    assert set(measured.samples("loupe_tier_waiting").values()) == {0}

"""The plan of a load test says what is wrong with it."""

from pathlib import Path

import pytest

from loadtests.errors import PlanRefusedError
from loadtests.plan import DEFAULT_PLAN, read_plan


def changed(tmp_path: Path, before: str, after: str) -> Path:
    """Returns a copy of the default plan with one change."""
    text = DEFAULT_PLAN.read_text()
    assert before in text
    path = tmp_path / "plan.toml"
    path.write_text(text.replace(before, after))
    return path


def test_the_plan_of_the_repository_is_sound() -> None:
    """100 requests a second, for the time that it states, after a warm-up."""
    plan = read_plan(DEFAULT_PLAN)
    assert plan.arrivals.per_second == 100
    assert plan.slo.p95_ms == 200
    assert plan.arrivals.count == plan.arrivals.warm_up_count + plan.arrivals.measured_count
    assert plan.arrivals.due_s(plan.arrivals.warm_up_count) == plan.arrivals.warm_up_seconds


def test_rate_and_length_can_be_chosen() -> None:
    """What is given replaces what the file says."""
    arrivals = read_plan(DEFAULT_PLAN, per_second=10, seconds=3).arrivals
    assert (arrivals.per_second, arrivals.measured_count) == (10, 30)


@pytest.mark.parametrize(
    ("before", "after", "finding"),
    [
        ("as_taken = 0.93", "as_taken = 0.95", "the shares of photos sum to 1.02"),
        ("as_taken", "as_painted", "unknown kinds as_painted"),
        ('name = "plain"\nshare = 0.70', 'name = "plain"\nshare = 0.60', "the shares of requests sum to 0.9"),
        ('name = "heads"', 'name = "plain"', "needs a name of its own"),
        ("p95_ms = 200", "p95_ms = 0", "slo.p95_ms"),
        ("p95_ms = 200", "p95 = 200", "slo.p95: Extra"),
        ("[slo]", "[slo", "Expected"),
    ],
)
def test_a_plan_that_breaks_rules_is_refused(tmp_path: Path, before: str, after: str, finding: str) -> None:
    """With every finding named."""
    with pytest.raises(PlanRefusedError, match="is refused") as error:
        read_plan(changed(tmp_path, before, after))
    assert finding in str(error.value)


def test_a_missing_plan_is_refused(tmp_path: Path) -> None:
    """With its path."""
    with pytest.raises(PlanRefusedError, match="nowhere"):
        read_plan(tmp_path / "nowhere.toml")

"""What the benchmark of training steps measures, and what it concludes from it."""

from pathlib import Path

import pytest

from training.step_bench import StepCost, Way, measured_step, steps_to_pay


def test_a_measurement_takes_real_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first step and the mean of the others take time, and nothing is compiled unasked."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "")  # set by the measurement, put back afterwards
    way = Way("freed memory returned", keeps=False)
    cost = measured_step("surface_defect", "fast", way, size_px=32, steps=1, kernels=str(tmp_path))
    assert cost.milliseconds > 1
    assert cost.first_s > 0
    assert not list(tmp_path.iterdir()), "nothing was to be compiled"


def test_compilation_pays_when_the_steps_have_gained_what_the_first_cost() -> None:
    """20 ms a step make up for a minute's wait in 3,000 steps."""
    uncompiled, compiled = [StepCost(300.0, 0.0, 2.0)], [StepCost(280.0, 0.0, 62.0)]
    assert steps_to_pay(uncompiled, compiled) == pytest.approx(3000)


@pytest.mark.parametrize(
    ("milliseconds", "first_s", "expected"), [(300.0, 62.0, None), (310.0, 62.0, None), (280.0, 1.0, 0.0)]
)
def test_compilation_that_gains_nothing_never_pays_and_one_without_a_wait_pays_at_once(
    milliseconds: float, first_s: float, expected: float | None
) -> None:
    """No gain: never; no wait: at once."""
    assert steps_to_pay([StepCost(300.0, 0.0, 2.0)], [StepCost(milliseconds, 0.0, first_s)]) == expected

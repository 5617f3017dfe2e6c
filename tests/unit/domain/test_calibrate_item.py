"""One item, in plain floats, is calibrated as it is among many."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.calibration import PlattScaling, SmoothedTemperature

SHA = "a" * 64
LOGITS = st.lists(st.floats(-1e4, 1e4, width=32), min_size=1, max_size=20)


@given(LOGITS, st.floats(0.02, 50), st.integers(1, 10**6))
def test_a_category_is_calibrated_alike(logits: list[float], temperature: float, item_count: int) -> None:
    """Temperature and smoothing are the same."""
    calibrator = SmoothedTemperature(SHA, temperature, item_count)
    among_many = calibrator.calibrate(np.asarray([logits], dtype=np.float32))[0]
    assert calibrator.calibrate_item(logits) == pytest.approx(among_many.tolist(), rel=1e-9, abs=1e-12)


@given(st.data(), LOGITS, st.integers(1, 10**6))
def test_attributes_are_calibrated_alike(data: st.DataObject, logits: list[float], item_count: int) -> None:
    """Slope, intercept and margin are the same."""
    numbers = st.lists(st.floats(0, 100), min_size=len(logits), max_size=len(logits))
    slopes, intercepts = data.draw(numbers), data.draw(numbers)
    calibrator = PlattScaling(SHA, tuple(slopes), tuple(intercepts), item_count)
    among_many = calibrator.calibrate(np.asarray([logits], dtype=np.float32))[0]
    assert calibrator.calibrate_item(logits) == pytest.approx(among_many.tolist(), rel=1e-9, abs=1e-12)

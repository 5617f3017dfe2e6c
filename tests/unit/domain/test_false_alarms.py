"""The threshold on feature distance keeps its false-alarm rate, on average and within its stated range."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.domain.errors import CalibrationDataError
from server.domain.uncertainty import false_alarm_range, fit_uncertainty_scale

RATE = 0.05


def threshold(distances: np.ndarray, groups: np.ndarray | None = None) -> float:
    """The distance from which photos are called out of distribution."""
    scale = fit_uncertainty_scale(distances, np.zeros(len(distances)), false_alarm_rate=RATE, groups=groups)
    return scale.out_of_distribution_distance


def test_the_rate_is_kept_on_average_and_in_its_range() -> None:
    """On uniform distances the rate is known exactly: its mean over 1,000 fits is the target's, 95 % lie in range."""
    rates = np.array([1 - threshold(np.random.default_rng(seed).random(300)) for seed in range(1_000)])
    low, high = false_alarm_range(300, RATE)
    # Of 300 photos and one to come, 15 in 301 may lie beyond; the standard error of the mean is .0004.
    assert rates.mean() == pytest.approx(15 / 301, abs=0.0012)
    assert 0.93 <= np.mean((low <= rates) & (rates <= high)) <= 0.97


def test_copies_of_a_specimen_do_not_move_the_threshold() -> None:
    """Four photos of each specimen, all alike, give the threshold of one."""
    distances = np.random.default_rng(1).normal(size=500)
    assert threshold(np.repeat(distances, 4), np.repeat(np.arange(500), 4)) == threshold(distances)


def test_specimens_are_counted_not_photos() -> None:
    """Four photos each of 15 specimens are too few."""
    with pytest.raises(CalibrationDataError, match="20 photos or more, got 15"):
        threshold(np.zeros(60), np.repeat(np.arange(15), 4))


@given(count=st.integers(20, 60), seed=st.integers(0, 1_000))
def test_a_few_photos_keep_the_rate_on_average(count: int, seed: int) -> None:
    """The threshold is a photo of theirs: the next one lies beyond it with a chance of at most the rate."""
    distances = np.random.default_rng(seed).normal(size=count)
    beyond = int((distances > threshold(distances)).sum())
    assert (beyond + 1) / (count + 1) <= RATE


def test_a_rate_that_the_photos_cannot_vouch_for_is_refused() -> None:
    """One in a thousand needs 999 photos."""
    with pytest.raises(CalibrationDataError, match="999"):
        fit_uncertainty_scale(np.zeros(500), np.zeros(500), false_alarm_rate=0.001)

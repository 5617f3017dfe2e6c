"""Calibration metrics against a known truth."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from server.domain.metrics.binned import (
    calibration_error,
)
from server.domain.metrics.noise_floor import calibration_noise_floor
from server.domain.metrics.reliability import calibration_gap, reliability_bins, wilson_interval


def perfect_items(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of a perfectly calibrated model, and what came true."""
    generator = np.random.default_rng(seed)
    confidences = 1 - 0.5 * generator.beta(1, 3, count)
    return confidences, generator.random(count) < confidences


def test_error_of_known_bins() -> None:
    """Two bins that are off by .1 and .3 weigh by their counts."""
    confidences = np.array([0.9] * 30 + [0.3] * 10)
    hits = np.array([True] * 24 + [False] * 6 + [True] * 6 + [False] * 4)
    assert calibration_error(confidences, hits) == pytest.approx(0.75 * 0.1 + 0.25 * 0.3)


def test_an_upper_edge_belongs_to_its_bin() -> None:
    """Confidence 1 and confidence 0 fall into the last and the first bin."""
    bins = reliability_bins(np.array([0.0, 1.0, 1 / 15]), np.array([False, True, True]))
    assert [(each.low, each.count) for each in bins] == [(0.0, 2), (pytest.approx(14 / 15), 1)]


def test_noise_floor_holds_what_it_says() -> None:
    """A perfectly calibrated model exceeds the 95th percentile in about 5 % of test sets."""
    exceeded = 0
    for seed in range(300):
        confidences, hits = perfect_items(seed, 500)
        exceeded += calibration_error(confidences, hits) > calibration_noise_floor(confidences, seed=seed, draws=300)
    assert 3 <= exceeded <= 30


def test_noise_floor_is_that_of_the_literature() -> None:
    """On 2,000 items it is near 2 %, and it falls with the root of the count."""
    small = calibration_noise_floor(perfect_items(1, 2_000)[0], seed=0)
    large = calibration_noise_floor(perfect_items(1, 8_000)[0], seed=0)
    assert 0.01 < small < 0.03
    assert large == pytest.approx(small / 2, rel=0.15)


def test_an_overconfident_model_exceeds_the_floor() -> None:
    """Five points too much confidence on 2,000 items is beyond chance."""
    confidences, hits = perfect_items(3, 2_000)
    inflated = np.clip(confidences + 0.05, 0, 1)
    assert calibration_error(inflated, hits) > calibration_noise_floor(inflated, seed=0)


def test_gap_interval_covers_the_truth() -> None:
    """The interval of a calibrated model holds 0 in about 95 % of test sets."""
    covered = 0
    for seed in range(400):
        gap = calibration_gap(*perfect_items(seed, 800))
        covered += gap.low <= 0 <= gap.high
    assert 365 <= covered <= 395


def test_gap_interval_widens_for_groups() -> None:
    """Four copies of every item say no more than one of each."""
    confidences, hits = perfect_items(5, 600)
    groups = np.repeat(np.arange(600), 4)
    single = calibration_gap(confidences, hits)
    copied = calibration_gap(np.repeat(confidences, 4), np.repeat(hits, 4), groups=groups)
    assert copied.worst == pytest.approx(single.worst, rel=1e-9)


def test_gap_of_one_group_is_refused() -> None:
    """One independent item has no interval."""
    with pytest.raises(ValueError, match="two independent"):
        calibration_gap(np.array([0.5, 0.5]), np.array([True, False]), groups=np.array([1, 1]))


@pytest.mark.parametrize("confidences", [[], [1.2], [float("nan")]])
def test_malformed_confidences_are_refused(confidences: list[float]) -> None:
    """No items, or a confidence outside [0, 1], is an error."""
    with pytest.raises(ValueError, match="confidences"):
        calibration_error(np.array(confidences, dtype=np.float64), np.zeros(len(confidences), dtype=bool))


@given(st.integers(0, 200), st.integers(1, 200))
@example(0, 9)
@example(9, 0)
def test_wilson_interval_holds_the_share(hits: int, more: int) -> None:
    """The interval lies in [0, 1] and holds the share that was seen."""
    count = hits + more
    low, high = wilson_interval(hits, count)
    assert 0 <= low <= hits / count <= high <= 1


@settings(max_examples=50)
@given(npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(0, 99))
def test_bins_hold_every_item_once(confidences: np.ndarray, seed: int) -> None:
    """The bins' counts sum to all items, and their weighted distance is the calibration error."""
    hits = np.random.default_rng(seed).random(len(confidences)) < 0.5
    bins = reliability_bins(confidences, hits)
    assert sum(each.count for each in bins) == len(confidences)
    error = sum(each.count * abs(each.mean_confidence - each.hit_share) for each in bins) / len(confidences)
    assert error == pytest.approx(calibration_error(confidences, hits), abs=1e-12)

"""Calibration metrics against a known truth."""

from collections.abc import Callable

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from server.domain.metrics.binned import (
    calibration_error,
    class_wise_calibration_error,
    debiased_calibration_error,
    equal_mass_calibration_error,
    maximum_calibration_error,
)
from server.domain.metrics.noise_floor import calibration_noise_floor, label_noise_floor, noise_floor
from server.domain.metrics.reliability import calibration_gap, reliability_bins, wilson_interval
from server.domain.metrics.scores import brier_score, log_loss
from server.domain.metrics.smooth import smooth_calibration_error


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


def drawn_labels(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of three labels, and labels drawn from them."""
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet([1.0, 1.0, 1.0], count)
    return probabilities, (probabilities.cumsum(axis=1) < generator.random((count, 1))).sum(axis=1).clip(max=2)


def test_scores_agree_with_scikit_learn() -> None:
    """Log-loss and Brier score are those of the library, to 1e-9."""
    probabilities, labels = drawn_labels(1, 400)
    assert log_loss(probabilities, labels) == pytest.approx(sklearn.metrics.log_loss(labels, probabilities), abs=1e-9)
    squared = ((probabilities - np.eye(3)[labels]) ** 2).sum(axis=1).mean()
    assert brier_score(probabilities, labels) == pytest.approx(squared, abs=1e-9)


def test_equal_mass_bins_hold_as_many_items_each() -> None:
    """Two halves that are off by .1 and by .3 weigh alike."""
    confidences = np.array([0.3] * 20 + [0.9] * 20)
    hits = np.array([True] * 12 + [False] * 8 + [True] * 16 + [False] * 4)
    assert equal_mass_calibration_error(confidences, hits, bins=2) == pytest.approx((0.3 + 0.1) / 2)


@given(st.permutations(range(30)))
def test_equal_mass_error_does_not_depend_on_the_order(order: list[int]) -> None:
    """Items of equal confidence are not torn apart by where they stand."""
    generator = np.random.default_rng(2)
    confidences, hits = generator.integers(0, 5, 30) / 5, generator.random(30) < 0.5
    expected = equal_mass_calibration_error(confidences, hits, bins=4)
    assert equal_mass_calibration_error(confidences[order], hits[order], bins=4) == pytest.approx(expected)


def test_the_debiased_error_finds_the_truth_where_the_plain_one_does_not() -> None:
    """A model 5 points too sure shows .05 in the mean square; a calibrated one, as often as not, nothing."""
    off, honest = [], []
    for seed in range(60):
        confidences = 0.5 + 0.8 * (perfect_items(seed, 1_000)[0] - 0.5)
        generator = np.random.default_rng(1_000 + seed)
        off.append(debiased_calibration_error(confidences + 0.05, generator.random(1_000) < confidences) ** 2)
        honest.append(debiased_calibration_error(confidences, generator.random(1_000) < confidences) ** 2)
    assert np.mean(off) == pytest.approx(0.05**2, rel=0.15)
    assert 0.3 < np.mean(np.array(honest) == 0) < 0.7


def test_the_debiased_error_is_the_formula() -> None:
    """One bin of four items: squared gap less share times its complement over three."""
    error = debiased_calibration_error(np.full(4, 0.95), np.array([True, True, True, False]), bins=1)
    assert error == pytest.approx(max(0, 0.2**2 - 0.75 * 0.25 / 3) ** 0.5)
    assert debiased_calibration_error(np.full(4, 0.99), np.zeros(4, dtype=bool), bins=1) == pytest.approx(0.99)


def test_the_maximum_error_is_that_of_the_worst_bin() -> None:
    """Of a bin off by .1 and one off by .3, the second."""
    confidences = np.array([0.9] * 30 + [0.3] * 10)
    hits = np.array([True] * 24 + [False] * 6 + [True] * 6 + [False] * 4)
    assert maximum_calibration_error(confidences, hits) == pytest.approx(0.3)


def test_the_class_wise_error_is_the_mean_over_labels() -> None:
    """Each label's own probability is judged by itself."""
    probabilities, labels = drawn_labels(3, 500)
    own = [calibration_error(probabilities[:, each], labels == each) for each in range(3)]
    assert class_wise_calibration_error(probabilities, labels) == pytest.approx(np.mean(own))


def smooth_error_by_definition(confidences: np.ndarray, hits: np.ndarray) -> float:
    """The smooth calibration error from reflected kernels summed up one by one, on a fine grid."""
    grid = (np.arange(1_000) + 0.5) / 1_000

    def smoothed(width: float) -> float:
        images = [sign * confidences + shift for sign in (1, -1) for shift in (-2, 0, 2)]
        kernel = sum(np.exp(-0.5 * ((grid[:, None] - each) / width) ** 2) for each in images)
        residual = kernel @ (hits - confidences) / (len(hits) * width * np.sqrt(2 * np.pi))
        return float(np.abs(residual).mean())

    low, high = 1e-3, 1.0
    for _ in range(25):
        middle = (low + high) / 2
        low, high = (middle, high) if smoothed(middle) > middle else (low, middle)
    return low


@pytest.mark.parametrize("lift", [0.0, 0.1, 0.3])
def test_the_smooth_error_is_its_definition(lift: float) -> None:
    """It agrees to 1e-4 with kernels summed one by one, also for confidences at the ends."""
    confidences, hits = perfect_items(4, 300)
    confidences = np.clip(confidences + lift, 0, 1)
    expected = smooth_error_by_definition(confidences, hits)
    assert smooth_calibration_error(confidences, hits) == pytest.approx(expected, abs=1e-4)


@settings(max_examples=50)
@given(npst.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1)), st.integers(0, 99))
def test_every_error_lies_within_0_and_1(confidences: np.ndarray, seed: int) -> None:
    """Whatever the confidences, errors are shares."""
    hits = np.random.default_rng(seed).random(len(confidences)) < 0.5
    for metric in (equal_mass_calibration_error, maximum_calibration_error, smooth_calibration_error):
        assert 0 <= metric(confidences, hits) <= 1


@pytest.mark.parametrize("metric", [smooth_calibration_error, equal_mass_calibration_error, maximum_calibration_error])
def test_a_noise_floor_is_rarely_passed_by_a_calibrated_model(metric: Callable[..., float]) -> None:
    """Chance lifts a calibrated model above its own 95th percentile in about 5 % of test sets."""
    passed = 0
    for seed in range(60):
        confidences, hits = perfect_items(seed, 300)
        passed += metric(confidences, hits) > noise_floor(metric, confidences, seed=seed, draws=50)
    assert 0 <= passed <= 9


def test_the_general_noise_floor_is_that_of_the_fast_one() -> None:
    """Both say the same of the calibration error, within what 2,000 draws can tell."""
    confidences = perfect_items(5, 1_000)[0]
    slow = noise_floor(calibration_error, confidences, seed=1, draws=2_000)
    assert slow == pytest.approx(calibration_noise_floor(confidences, seed=2), rel=0.05)


@pytest.mark.parametrize("metric", [log_loss, brier_score, class_wise_calibration_error])
def test_a_label_noise_floor_is_rarely_passed_by_a_calibrated_model(metric: Callable[..., float]) -> None:
    """Scores and class-wise errors have a floor too: labels drawn anew from the model's own probabilities."""
    passed = 0
    for seed in range(100):
        probabilities, labels = drawn_labels(seed, 200)
        passed += metric(probabilities, labels) > label_noise_floor(metric, probabilities, seed=seed, draws=60)
    assert 1 <= passed <= 14


def test_the_bands_of_a_diagram_hold_together() -> None:
    """In 95 of 100 diagrams of a calibrated model, or more, no bin's band misses its mean confidence."""
    held = 0
    for seed in range(200):
        bins = reliability_bins(*perfect_items(seed, 1_500))
        held += all(each.hit_low <= each.mean_confidence <= each.hit_high for each in bins)
    assert held >= 185


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.full((2, 3), 0.5), np.zeros(2, dtype=np.int64)),
        (np.full((2, 2), 0.5), np.zeros(3, dtype=np.int64)),
        (np.full((2, 2), 0.5), np.array([0, 2])),
        (np.array([[1.5, -0.5]]), np.array([0])),
        (np.array([[np.nan, 0.5]]), np.array([0])),
    ],
)
def test_malformed_probabilities_are_refused(probabilities: np.ndarray, labels: np.ndarray) -> None:
    """Probabilities that do not sum to 1, and labels that do not exist, have no score."""
    with pytest.raises(ValueError, match=r"probabilities|labels"):
        log_loss(probabilities, labels)

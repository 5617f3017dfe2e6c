"""The confidence band: its shape, what its bounds count, and what it does at the ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.domain.bands import BandScope, ConfidenceBand, fit_pointwise_band, fit_simultaneous_band
from server.domain.errors import CalibrationDataError

NAN = float("nan")
FITS = [fit_pointwise_band, fit_simultaneous_band]
GRID = np.linspace(0, 1, 401).tolist()


def items(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of a perfectly calibrated model, and what came true."""
    generator = np.random.default_rng(seed)
    confidences = 1 - 0.5 * generator.beta(1, 3, count)
    return confidences, generator.random(count) < confidences


def mean_width(band: ConfidenceBand) -> float:
    """The mean width over the confidences of `items`."""
    return float(np.mean([high - low for low, high in map(band.interval, items(0, 500)[0].tolist())]))


def band(**changes: object) -> ConfidenceBand:
    """A small band by hand."""
    fields = {
        "scope": BandScope.POINTWISE,
        "coverage": 0.95,
        "item_count": 100,
        "knots": (0.5, 0.8),
        "lows": (0.3, 0.6),
        "highs": (0.7, 0.9),
    }
    return ConfidenceBand(**(fields | changes))


@pytest.mark.parametrize(
    ("confidence", "interval"),
    [
        (0.0, (0.0, 0.7)),
        (0.49, (0.0, 0.7)),
        (0.5, (0.3, 0.7)),
        (0.51, (0.3, 0.9)),
        (0.8, (0.6, 0.9)),
        (0.81, (0.6, 1.0)),
        (1.0, (0.6, 1.0)),
        (NAN, (0.0, 1.0)),
    ],
)
def test_bounds_step_at_their_knots(confidence: float, interval: tuple[float, float]) -> None:
    """A lower bound begins at its knot, an upper bound ends at it, both inclusive; a NaN may be anything."""
    assert band().interval(confidence) == interval


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=30)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 400), digits=st.sampled_from([1, 2, 16]))
def test_bounds_are_ordered_and_do_not_fall(fit, seed: int, count: int, digits: int) -> None:  # noqa: ANN001
    """0 <= low <= high <= 1, and neither falls as the confidence rises; with equal confidences too."""
    confidences, hits = items(seed, count)
    fitted = fit(confidences.round(digits), hits)
    intervals = [fitted.interval(each) for each in GRID]
    lows, highs = zip(*intervals, strict=True)
    assert all(0 <= low <= high <= 1 for low, high in intervals)
    assert list(lows) == sorted(lows)
    assert list(highs) == sorted(highs)


@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=20)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 300))
def test_the_order_of_items_does_not_matter(fit, seed: int, count: int) -> None:  # noqa: ANN001
    """Not even among equal confidences, where sorted labels would otherwise choose who is counted."""
    confidences, hits = items(seed, count)
    confidences = confidences.round(1)
    order = np.argsort(hits)
    assert fit(confidences, hits) == fit(confidences[order], hits[order])


@pytest.mark.parametrize("fit", FITS)
def test_more_labels_narrow_the_band(fit) -> None:  # noqa: ANN001
    """Averaged over fits, each fourfold of labels makes it narrower by a quarter at least."""
    widths = [np.mean([mean_width(fit(*items(seed, count))) for seed in range(6)]) for count in (100, 400, 1_600)]
    assert widths[1] < 0.75 * widths[0]
    assert widths[2] < 0.75 * widths[1]


def test_higher_coverage_widens_the_band() -> None:
    """99 % asks for more room than 80 %."""
    low, high = (mean_width(fit_pointwise_band(*items(1, 500), coverage=each)) for each in (0.8, 0.99))
    assert low < high


def test_a_simultaneous_band_is_wider() -> None:
    """To hold everywhere at once is harder than to hold here."""
    assert mean_width(fit_simultaneous_band(*items(1, 500))) > mean_width(fit_pointwise_band(*items(1, 500)))


def test_the_mirror_image_has_mirrored_bounds() -> None:
    """Misses bound from below what hits bound from above."""
    confidences = np.arange(1, 200) / 256
    hits = np.random.default_rng(3).random(199) < confidences
    straight = fit_pointwise_band(confidences, hits)
    mirrored = fit_pointwise_band(1 - confidences, ~hits)
    low, high = straight.interval(0.375)
    assert mirrored.interval(0.625) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("fit", FITS)
def test_copies_of_a_specimen_say_nothing_new(fit) -> None:  # noqa: ANN001
    """Five photos of each specimen give the band of one."""
    confidences, hits = items(4, 300)
    copied = fit(np.repeat(confidences, 5), np.repeat(hits, 5), groups=np.repeat(np.arange(300), 5))
    assert copied == fit(confidences, hits)


@pytest.mark.parametrize("fit", FITS)
def test_three_labels_say_little(fit) -> None:  # noqa: ANN001
    """Three right answers leave everything above a third possible."""
    low, high = fit(np.array([0.7, 0.8, 0.9]), np.array([True, True, True])).interval(0.9)
    assert low < 0.37
    assert high == 1.0


@pytest.mark.parametrize("right", [True, False])
def test_all_alike_bounds_one_side(right: bool) -> None:  # noqa: FBT001
    """A thousand right answers bound from below only, a thousand wrong ones from above only."""
    confidences = items(5, 1_000)[0]
    low, high = fit_pointwise_band(confidences, np.full(1_000, right)).interval(float(np.median(confidences)))
    assert (high == 1.0 and low > 0.98) if right else (low == 0.0 and high < 0.02)


def test_one_confidence_for_all() -> None:
    """Where the calibrator says the same of everything, the band is the share's interval."""
    hits = np.arange(1_000) % 5 > 0
    low, high = fit_pointwise_band(np.full(1_000, 0.8), hits).interval(0.8)
    assert 0.76 < low < 0.79
    assert 0.81 < high < 0.84


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("confidences", "hits"),
    [([], []), ([NAN], [True]), ([1.1], [True]), ([0.5], [True, False]), ([[0.5]], [[True]])],
)
def test_malformed_items_are_refused(fit, confidences: list[float], hits: list[bool]) -> None:  # noqa: ANN001
    """No items, no numbers, or shapes that do not match."""
    with pytest.raises(CalibrationDataError):
        fit(np.array(confidences, dtype=np.float64), np.array(hits, dtype=bool))


def test_groups_that_do_not_match_are_refused() -> None:
    """Each item needs its group."""
    with pytest.raises(CalibrationDataError, match="groups"):
        fit_pointwise_band(*items(1, 10), groups=np.arange(9))


@pytest.mark.parametrize("coverage", [0.0, 1.0, NAN])
def test_a_coverage_out_of_range_is_refused(coverage: float) -> None:
    """It lies strictly between 0 and 1."""
    with pytest.raises(CalibrationDataError, match="coverage"):
        fit_pointwise_band(*items(1, 10), coverage=coverage)


@pytest.mark.parametrize(
    "changes",
    [
        {"coverage": 1.0},
        {"item_count": 0},
        {"knots": ()},
        {"knots": (0.5,)},
        {"knots": (0.8, 0.5)},
        {"knots": (0.5, 0.5)},
        {"lows": (0.6, 0.3)},
        {"lows": (0.3, NAN)},
        {"highs": (0.7, 1.1)},
        {"highs": (0.2, 0.9)},
    ],
)
def test_a_band_checks_its_numbers(changes: dict[str, object]) -> None:
    """What a file says is refused if it cannot be."""
    with pytest.raises(ValueError, match=r"range|knot|must lie|bound"):
        band(**changes)

"""Confidence bands: where the true probability lies behind a calibrated confidence, whatever the calibrator got wrong.

The one assumption is that the true probability does not fall as the confidence rises.
Then the labels right of a confidence are hits at least as often as its own would be, and bound its
probability from above by an exact binomial bound (Clopper and Pearson, 1934); those left of it bound it from below.
How many labels to count is chosen from the confidences alone, as if they were calibrated: where they are, the band is
narrow, and where they are not, it still holds.
"""

import enum
import math
import operator
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.domain.binomial import CountArray, DoubleArray, clopper_pearson_high, wilson_high
from server.domain.errors import CalibrationDataError
from server.domain.labelled_items import check_probabilities, independent_items

BoolArray = npt.NDArray[np.bool_]

_POINTWISE_KNOTS = 200
_SIMULTANEOUS_KNOTS = (2, 4, 8, 16, 24, 36, 54, 80)
_LEAST_WINDOW = 8
_WINDOW_GROWTH = 1.15
# A band's steps rise and fall with its windows; somewhat wider ones than a lone bound wants make for calmer steps.
_CALMING = 1.25
# Where the truth is flatter than the confidences, labels far away count too: a second window, for a tenth of the error.
_FAR_WINDOW = 6
_FAR_SHARE = 0.1
# Of the error, what each side may spend. Both together spend hardly more than one, see `fit_pointwise_band`.
_SIDE_SHARE = 0.85
_DECIMALS = 10_000


class BandScope(enum.Enum):
    """What a band's coverage speaks of."""

    POINTWISE = "pointwise"
    """One answer: its probability lies in its interval with this chance. Served with every answer."""

    SIMULTANEOUS = "simultaneous"
    """The whole band: all intervals hold together with this chance. Drawn in reports."""


@dataclass(frozen=True, slots=True)
class ConfidenceBand:
    """Steps below and above the true probability, over the calibrated confidence.

    Attributes:
        scope: What the coverage speaks of.
        coverage: The chance that the band holds, in (0, 1).
        item_count: The independent labelled items that it was fitted on, at least 1.
        knots: Confidences in [0, 1], rising, at least one.
        lows: One per knot, in [0, 1], not falling: the lower bound from this knot (inclusive) to the next.
        highs: One per knot, in [0, 1], not falling: the upper bound from the knot before (exclusive) to this one.
    """

    scope: BandScope
    coverage: float
    item_count: int
    knots: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that are out of range or order, or do not match."""
        if not (0 < self.coverage < 1 and self.item_count >= 1):
            raise ValueError(f"coverage {self.coverage} or item count {self.item_count} is out of range")
        if not len(self.knots) == len(self.lows) == len(self.highs) > 0:
            raise ValueError("a band needs a knot, and as many bounds on either side as knots")
        for name, numbers in (("knots", self.knots), ("lows", self.lows), ("highs", self.highs)):
            if not all(0 <= each <= 1 for each in numbers) or list(numbers) != sorted(numbers):
                raise ValueError(f"{name} must lie in [0, 1] and not fall")
        if len(set(self.knots)) != len(self.knots):
            raise ValueError("a knot stands there twice")
        if any(low > high for low, high in zip(self.lows, self.highs, strict=True)):
            raise ValueError("a lower bound lies above its upper bound")

    def interval(self, confidence: float) -> tuple[float, float]:
        """Returns the lower and the upper bound of the true probability; both do not fall with the confidence.

        Args:
            confidence: Calibrated, in [0, 1]. Of a NaN nothing is known: its interval is (0, 1).
        """
        if math.isnan(confidence):
            return 0.0, 1.0
        place = bisect_left(self.knots, confidence)
        if place == len(self.knots):
            return self.lows[-1], 1.0
        if self.knots[place] == confidence:
            return self.lows[place], self.highs[place]
        return (self.lows[place - 1] if place else 0.0), self.highs[place]


def fit_pointwise_band(
    confidences: DoubleArray, hits: BoolArray, *, coverage: float = 0.95, groups: npt.NDArray[np.int64] | None = None
) -> ConfidenceBand:
    """Fits the band that is served: each interval alone holds its probability with this chance.

    Each side alone errs with chance 0.85 (1 - coverage) at most, which is proven. That both together err with chance
    1 - coverage at most was found, on the hardest truths (`tests/statistical/test_bands.py`): the outer envelope leaves
    a bound tight only just beyond a step of the truth or at an end of the range, where the other bound is far away.

    Args:
        confidences: [item_count] float64 in [0, 1]. Calibrated; on items that the calibrator was not fitted on.
        hits: [item_count] bool. Whether each was borne out.
        coverage: In (0, 1).
        groups: [item_count] int64. Items of one group may depend on each other: the first of each is counted. None: all
            are independent.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a confidence is not in [0, 1].
    """
    items = _sorted_items(confidences, hits, coverage, groups)
    knots = _spread(items.confidences, _POINTWISE_KNOTS)
    error = _SIDE_SHARE * (1.0 - coverage)

    def bound(side: _SortedItems, starts: CountArray) -> DoubleArray:
        near = side.windows(starts, (1.0 - _FAR_SHARE) * error)
        far = side.ends(starts, _FAR_WINDOW * (near - starts))
        tight = np.minimum(
            side.highs(starts, near, (1.0 - _FAR_SHARE) * error), side.highs(starts, far, _FAR_SHARE * error)
        )
        return np.maximum.accumulate(tight)

    highs = bound(items, items.starts(knots))
    lows = 1.0 - bound(items.mirrored(), items.mirrored_starts(knots))[::-1]
    return _band(BandScope.POINTWISE, coverage, len(items.confidences), knots, lows, highs)


def fit_simultaneous_band(
    confidences: DoubleArray, hits: BoolArray, *, coverage: float = 0.95, groups: npt.NDArray[np.int64] | None = None
) -> ConfidenceBand:
    """Fits the band that is drawn in reports: all its intervals hold together with this chance, which is proven.

    The error is split evenly over both sides of a few knots (Bonferroni); as all bounds hold together, each also
    bounds its neighbours, so the inner envelope is taken. Arguments and errors are those of `fit_pointwise_band`.
    """
    items = _sorted_items(confidences, hits, coverage, groups)
    mirrored = items.mirrored()
    plans = []
    for knot_count in _SIMULTANEOUS_KNOTS:
        knots = _spread(items.confidences, knot_count)
        error = (1.0 - coverage) / (2 * len(knots))
        right, left = items.starts(knots), items.mirrored_starts(knots)
        expected_highs = _inner(items.expected_highs(right, items.windows(right, error), error))
        expected_lows = 1.0 - _inner(mirrored.expected_highs(left, mirrored.windows(left, error), error))[::-1]
        plans.append((items.mean_width(knots, expected_lows, expected_highs), error, knots))
    _, error, knots = min(plans, key=operator.itemgetter(0))
    right, left = items.starts(knots), items.mirrored_starts(knots)
    highs = _inner(items.highs(right, items.windows(right, error), error))
    lows = 1.0 - _inner(mirrored.highs(left, mirrored.windows(left, error), error))[::-1]
    return _band(BandScope.SIMULTANEOUS, coverage, len(items.confidences), knots, lows, highs)


@dataclass(frozen=True, slots=True)
class _SortedItems:
    """Independent items by rising confidence, and the windows that begin at one of them and reach right.

    Attributes:
        confidences: [item_count] float64, not falling.
        confidence_sums: [item_count + 1] float64. Sums of the first items.
        hit_sums: [item_count + 1] int64. Hits among the first items.
    """

    confidences: DoubleArray
    confidence_sums: DoubleArray
    hit_sums: CountArray

    def mirrored(self) -> "_SortedItems":
        """Returns the items as seen from the other end: what bounds misses from above bounds hits from below."""
        confidences = 1.0 - self.confidences[::-1]
        misses = 1 - np.diff(self.hit_sums)[::-1]
        return _SortedItems(confidences, _sums(confidences), np.append(0, np.cumsum(misses)))

    def starts(self, knots: DoubleArray) -> CountArray:
        """Returns [knot_count] int64: the first item at or above each knot."""
        return np.searchsorted(self.confidences, knots, side="left").astype(np.int64)

    def mirrored_starts(self, knots: DoubleArray) -> CountArray:
        """Returns [knot_count] int64: the last item at or below each knot, from the highest knot down, mirrored."""
        return (len(self.confidences) - np.searchsorted(self.confidences, knots[::-1], side="right")).astype(np.int64)

    def ends(self, starts: CountArray, sizes: CountArray) -> CountArray:
        """Returns the ends (exclusive) of windows; items of equal confidence are taken together or not at all."""
        last = np.minimum(starts + sizes, len(self.confidences)) - 1
        # Which of several equal confidences comes first may depend on their labels.
        ends: CountArray = np.searchsorted(self.confidences, self.confidences[last], side="right").astype(np.int64)
        return ends

    def windows(self, starts: CountArray, error: float) -> CountArray:
        """Returns the ends of the windows that promise the lowest bounds, judged by the confidences alone."""
        room = len(self.confidences) - starts
        steps = math.ceil(math.log(max(2.0, len(self.confidences) / _LEAST_WINDOW), _WINDOW_GROWTH))
        sizes = (_LEAST_WINDOW * _WINDOW_GROWTH ** np.arange(steps + 1)).round().astype(np.int64)
        ends = starts[:, None] + np.minimum(sizes, room[:, None])
        expected = self.expected_highs(starts[:, None], ends, error)
        chosen = np.minimum(sizes[expected.argmin(axis=1)], room)
        return self.ends(starts, np.ceil(_CALMING * chosen).astype(np.int64))

    def expected_highs(self, starts: CountArray, ends: CountArray, error: float) -> DoubleArray:
        """Returns about what `highs` would be if the confidences were the truth."""
        counts = ends - starts
        shares = np.clip((self.confidence_sums[ends] - self.confidence_sums[starts]) / counts, 0.0, 1.0)
        return wilson_high(shares, counts, error=error)

    def highs(self, starts: CountArray, ends: CountArray, error: float) -> DoubleArray:
        """Returns exact upper bounds of the probability at the windows' starts, each wrong with chance `error`."""
        return clopper_pearson_high(self.hit_sums[ends] - self.hit_sums[starts], ends - starts, error=error)

    def mean_width(self, knots: DoubleArray, lows: DoubleArray, highs: DoubleArray) -> float:
        """Returns the mean width of a band over the items."""
        above = np.append(highs, 1.0)[np.searchsorted(knots, self.confidences, side="left")]
        below = np.append(0.0, lows)[np.searchsorted(knots, self.confidences, side="right")]
        return float((above - below).mean())


def _sorted_items(
    confidences: DoubleArray, hits: BoolArray, coverage: float, groups: npt.NDArray[np.int64] | None
) -> _SortedItems:
    if confidences.shape != hits.shape:
        raise CalibrationDataError(f"confidences {confidences.shape} and hits {hits.shape} are not as many")
    if not 0 < coverage < 1:
        raise CalibrationDataError(f"coverage must lie in (0, 1), got {coverage}")
    check_probabilities(confidences, dimensions=1)
    places = independent_items(len(confidences), groups)
    order = places[np.argsort(confidences[places], kind="stable")]
    ordered = np.asarray(confidences[order], dtype=np.float64)
    return _SortedItems(ordered, _sums(ordered), np.append(0, np.cumsum(hits[order])))


def _sums(values: DoubleArray) -> DoubleArray:
    return np.concatenate([[0.0], np.cumsum(values)])


def _spread(confidences: DoubleArray, knot_count: int) -> DoubleArray:
    """Returns up to `knot_count` of the sorted confidences, evenly by rank, with the first and the last."""
    ranks = np.linspace(0, len(confidences) - 1, knot_count).round().astype(np.int64)
    knots: DoubleArray = np.unique(confidences[ranks])
    return knots


def _inner(bounds: DoubleArray) -> DoubleArray:
    """Returns the largest series that does not fall and stays at or below the bounds."""
    return np.minimum.accumulate(bounds[::-1])[::-1]


def _band(
    scope: BandScope, coverage: float, item_count: int, knots: DoubleArray, lows: DoubleArray, highs: DoubleArray
) -> ConfidenceBand:
    """Rounds the bounds outwards, mends bounds that cross, and drops the knots where no step is."""
    lower = np.floor(np.minimum(lows, highs) * _DECIMALS) / _DECIMALS
    upper = np.minimum(np.ceil(np.maximum(lows, highs) * _DECIMALS) / _DECIMALS, 1.0)
    steps_up = np.append(upper[1:] != upper[:-1], upper[-1] != 1.0)
    steps_low = np.append(lower[0] != 0.0, lower[1:] != lower[:-1])
    kept = steps_up | steps_low
    kept[0] |= not kept.any()
    return ConfidenceBand(
        scope,
        coverage,
        item_count,
        tuple(knots[kept].tolist()),
        tuple(lower[kept].tolist()),
        tuple(upper[kept].tolist()),
    )

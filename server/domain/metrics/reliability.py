"""Reliability diagrams and the gap between mean confidence and accuracy, with their intervals."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from server.domain.metrics.binned import ECE_BINS, bin_of
from server.domain.metrics.items import BoolArray, DoubleArray, check_confidences

_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The items whose confidence falls between two edges.

    Attributes:
        low: Lower edge, exclusive but for 0.
        high: Upper edge, inclusive.
        count: How many items.
        mean_confidence: Their mean confidence, in [0, 1].
        hit_share: The share that was borne out, in [0, 1].
        hit_low: Lower end of the interval of that share; those of all bins hold together with 95 %.
        hit_high: Upper end.
    """

    low: float
    high: float
    count: int
    mean_confidence: float
    hit_share: float
    hit_low: float
    hit_high: float


@dataclass(frozen=True, slots=True)
class CalibrationGap:
    """Mean confidence minus the share borne out, with its 95 % interval.

    Attributes:
        estimate: Above 0: over-confident.
        low: Lower end.
        high: Upper end.
    """

    estimate: float
    low: float
    high: float

    @property
    def worst(self) -> float:
        """The largest absolute gap that the interval admits."""
        return max(abs(self.low), abs(self.high))


def calibration_gap(
    confidences: DoubleArray, hits: BoolArray, *, groups: npt.NDArray[np.int64] | None = None
) -> CalibrationGap:
    """Returns the gap between mean confidence and the share borne out.

    Args:
        confidences: [item_count] float64 in [0, 1]; at least two items (two groups).
        hits: [item_count] bool.
        groups: [item_count] int64; items of one group may depend on each other. None: all are independent.
    """
    check_confidences(confidences, hits)
    differences = confidences - hits
    estimate = float(differences.mean())
    residuals = differences - estimate
    sums = residuals if groups is None else np.bincount(np.unique(groups, return_inverse=True)[1], weights=residuals)
    group_count = len(sums)
    if group_count < 2:  # noqa: PLR2004
        raise ValueError("a gap's interval needs two independent items")
    variance = float((sums**2).sum()) * group_count / (group_count - 1) / len(confidences) ** 2
    reach = _NORMAL_975 * variance**0.5
    return CalibrationGap(estimate, estimate - reach, estimate + reach)


def reliability_bins(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> tuple[ReliabilityBin, ...]:
    """Returns the bins that hold items, by rising confidence, with simultaneous bands.

    The bands are Wilson intervals at 5 % shared out over the bins: all hold together with 95 %.

    Args:
        confidences: [item_count] float64 in [0, 1].
        hits: [item_count] bool.
        bins: As in `calibration_error`.
    """
    check_confidences(confidences, hits)
    places = bin_of(confidences, bins)
    found = []
    filled = np.unique(places).tolist()
    for place in filled:
        inside = places == place
        count, share = int(inside.sum()), float(hits[inside].mean())
        low, high = wilson_interval(int(hits[inside].sum()), count, share=1 - 0.05 / len(filled))
        mean = float(confidences[inside].mean())
        found.append(ReliabilityBin(place / bins, (place + 1) / bins, count, mean, share, low, high))
    return tuple(found)


def wilson_interval(hits: int, count: int, *, share: float = 0.95) -> tuple[float, float]:
    """Returns the Wilson interval of a share of hits.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        hits: In [0, count].
        count: At least 1.
        share: How often the interval holds the truth, about; in (0, 1).
    """
    normal = NormalDist().inv_cdf(0.5 + share / 2)
    seen, weight = hits / count, normal**2 / count
    centre = (seen + weight / 2) / (1 + weight)
    reach = normal * (seen * (1 - seen) / count + weight / (4 * count)) ** 0.5 / (1 + weight)
    # Rounding must not push the seen share out of its own interval.
    return min(seen, max(0.0, centre - reach)), max(seen, min(1.0, centre + reach))

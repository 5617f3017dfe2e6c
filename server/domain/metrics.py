"""How honest confidences are: calibration error, what pure chance would make of it, and the gap to accuracy.

A confidence stands beside whether it was borne out: for a category, the confidence of the
answer and whether the answer is right; for an attribute, the probability that it is present
and whether it is.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

ECE_BINS = 15
_NORMAL_975 = 1.959963984540054
_DRAWS_AT_ONCE = 4_000_000


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The items whose confidence falls between two edges.

    Attributes:
        low: Lower edge, exclusive but for 0.
        high: Upper edge, inclusive.
        count: How many items.
        mean_confidence: Their mean confidence, in [0, 1].
        hit_share: The share that was borne out, in [0, 1].
        hit_low: Lower end of the 95 % Wilson interval of that share.
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


def calibration_error(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> float:
    """Returns the expected calibration error over bins of equal width, in [0, 1].

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015.

    Args:
        confidences: [item_count] float64 in [0, 1].
        hits: [item_count] bool. Whether each was borne out.
        bins: How many, at least 1.
    """
    _check(confidences, hits)
    excess = np.bincount(_bin_of(confidences, bins), weights=confidences - hits, minlength=bins)
    return float(np.abs(excess).sum() / len(confidences))


def calibration_noise_floor(
    confidences: DoubleArray, *, seed: int, share: float = 0.95, draws: int = 2_000, bins: int = ECE_BINS
) -> float:
    """Returns the calibration error that a perfectly calibrated model stays below with probability `share`.

    The outcome of every item is drawn anew from its own confidence, `draws` times: items must be independent.

    Args:
        confidences: [item_count] float64 in [0, 1].
        seed: Makes the answer repeatable.
        share: In (0, 1).
        draws: How many times, at least 1.
        bins: As in `calibration_error`.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(_bin_of(confidences, bins), kind="stable")
    ordered = confidences[order]
    edges = np.searchsorted(_bin_of(ordered, bins), np.arange(bins + 1))
    filled = edges[:-1][np.diff(edges) > 0]
    errors = []
    remaining = draws
    while remaining > 0:
        batch = min(remaining, max(1, _DRAWS_AT_ONCE // len(ordered)))
        excess = ordered - (generator.random((batch, len(ordered))) < ordered)
        errors.append(np.abs(np.add.reduceat(excess, filled, axis=1)).sum(axis=1) / len(ordered))
        remaining -= batch
    return float(np.quantile(np.concatenate(errors), share))


def calibration_gap(
    confidences: DoubleArray, hits: BoolArray, *, groups: npt.NDArray[np.int64] | None = None
) -> CalibrationGap:
    """Returns the gap between mean confidence and the share borne out.

    Args:
        confidences: [item_count] float64 in [0, 1]; at least two items (two groups).
        hits: [item_count] bool.
        groups: [item_count] int64; items of one group may depend on each other. None: all are independent.
    """
    _check(confidences, hits)
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
    """Returns the bins that hold items, by rising confidence.

    Args:
        confidences: [item_count] float64 in [0, 1].
        hits: [item_count] bool.
        bins: As in `calibration_error`.
    """
    _check(confidences, hits)
    places = _bin_of(confidences, bins)
    found = []
    for place in np.unique(places).tolist():
        inside = places == place
        count, share = int(inside.sum()), float(hits[inside].mean())
        low, high = wilson_interval(int(hits[inside].sum()), count)
        mean = float(confidences[inside].mean())
        found.append(ReliabilityBin(place / bins, (place + 1) / bins, count, mean, share, low, high))
    return tuple(found)


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """Returns the 95 % Wilson interval of a share.

    Wilson, "Probable inference, the law of succession, and statistical inference", 1927.

    Args:
        hits: In [0, count].
        count: At least 1.
    """
    share, weight = hits / count, _NORMAL_975**2 / count
    centre = (share + weight / 2) / (1 + weight)
    reach = _NORMAL_975 * (share * (1 - share) / count + weight / (4 * count)) ** 0.5 / (1 + weight)
    # Rounding must not push the seen share out of its own interval.
    return min(share, max(0.0, centre - reach)), max(share, min(1.0, centre + reach))


def _bin_of(confidences: DoubleArray, bins: int) -> npt.NDArray[np.intp]:
    """Returns [item_count] intp: the bin of each item; an upper edge belongs to its bin."""
    places: npt.NDArray[np.intp] = np.clip(np.ceil(confidences * bins) - 1, 0, bins - 1).astype(np.intp)
    return places


def _check(confidences: DoubleArray, hits: BoolArray) -> None:
    if confidences.shape != hits.shape or confidences.ndim != 1 or len(confidences) == 0:
        raise ValueError(f"confidences {confidences.shape} and hits {hits.shape} must be one-dimensional and as many")
    if not (np.isfinite(confidences).all() and confidences.min() >= 0 and confidences.max() <= 1):
        raise ValueError("confidences must lie in [0, 1]")

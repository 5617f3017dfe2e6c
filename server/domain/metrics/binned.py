"""Calibration errors over bins of confidence, of equal width or of equal mass."""

import numpy as np
import numpy.typing as npt

from server.domain.metrics.items import (
    BoolArray,
    DoubleArray,
    IndexArray,
    check_confidences,
    check_probabilities,
)

ECE_BINS = 15


def calibration_error(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> float:
    """Returns the expected calibration error over bins of equal width, in [0, 1].

    Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015.

    Args:
        confidences: [item_count] float64 in [0, 1].
        hits: [item_count] bool. Whether each was borne out.
        bins: How many, at least 1.
    """
    check_confidences(confidences, hits)
    return float(np.abs(_excesses(confidences, hits, bin_of(confidences, bins))).sum() / len(confidences))


def equal_mass_calibration_error(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> float:
    """Returns the expected calibration error over bins that hold as many items each, in [0, 1].

    Items of equal confidence stay in one bin, so that the figure does not depend on their order.

    Args:
        confidences: As in `calibration_error`.
        hits: As in `calibration_error`.
        bins: As in `calibration_error`.
    """
    check_confidences(confidences, hits)
    places = _equal_mass_bin_of(confidences, bins)
    return float(np.abs(_excesses(confidences, hits, places)).sum() / len(confidences))


def debiased_calibration_error(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> float:
    """Returns the root mean squared calibration error over bins of equal mass, less what chance adds, in [0, 1].

    The estimate of Kumar, Liang, Ma, "Verified uncertainty calibration", 2019: from each bin's
    squared gap its own sampling variance is taken off; a sum below 0 counts as 0.

    Args:
        confidences: As in `calibration_error`.
        hits: As in `calibration_error`.
        bins: As in `calibration_error`; bins of one item are left out, having no variance.
    """
    check_confidences(confidences, hits)
    places = _equal_mass_bin_of(confidences, bins)
    counts = np.bincount(places, minlength=bins).astype(np.float64)
    told = counts > 1
    if not told.any():
        raise ValueError("a debiased calibration error needs a bin of two items")
    gaps = _excesses(confidences, hits, places, bins)[told] / counts[told]
    shares = np.bincount(places, weights=hits.astype(np.float64), minlength=bins)[told] / counts[told]
    squares = gaps**2 - shares * (1 - shares) / (counts[told] - 1)
    return float(np.sqrt(max(0.0, (counts[told] * squares).sum() / counts[told].sum())))


def maximum_calibration_error(confidences: DoubleArray, hits: BoolArray, *, bins: int = ECE_BINS) -> float:
    """Returns the largest gap of any bin of equal width that holds an item, in [0, 1]; read it beside its noise floor.

    Args:
        confidences: As in `calibration_error`.
        hits: As in `calibration_error`.
        bins: As in `calibration_error`.
    """
    check_confidences(confidences, hits)
    places = bin_of(confidences, bins)
    counts = np.maximum(np.bincount(places, minlength=bins), 1)
    return float((np.abs(_excesses(confidences, hits, places, bins)) / counts).max())


def class_wise_calibration_error(probabilities: DoubleArray, labels: IndexArray, *, bins: int = ECE_BINS) -> float:
    """Returns the mean over labels of the calibration error of each label's own probability, in [0, 1].

    Kull et al., "Beyond temperature scaling", 2019.

    Args:
        probabilities: [item_count, label_count] float64 in [0, 1], summing to 1 along the last axis.
        labels: [item_count] int64. The true labels.
        bins: As in `calibration_error`.
    """
    check_probabilities(probabilities, labels)
    columns = np.clip(probabilities, 0.0, 1.0).T
    return float(np.mean([calibration_error(each, labels == label, bins=bins) for label, each in enumerate(columns)]))


def bin_of(confidences: DoubleArray, bins: int) -> npt.NDArray[np.intp]:
    """Returns [item_count] intp: the bin of equal width of each item; an upper edge belongs to its bin."""
    places: npt.NDArray[np.intp] = np.clip(np.ceil(confidences * bins) - 1, 0, bins - 1).astype(np.intp)
    return places


def _equal_mass_bin_of(confidences: DoubleArray, bins: int) -> npt.NDArray[np.intp]:
    """Returns [item_count] intp: the bin of each item, by its rank; equals share the bin of their first."""
    ranks = np.searchsorted(np.sort(confidences), confidences)
    return ranks * bins // len(confidences)


def _excesses(confidences: DoubleArray, hits: BoolArray, places: npt.NDArray[np.intp], bins: int = 0) -> DoubleArray:
    """Returns by bin the sum of confidences less the number of hits."""
    excesses: DoubleArray = np.bincount(places, weights=confidences - hits, minlength=bins).astype(np.float64)
    return excesses

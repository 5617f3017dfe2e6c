"""What chance alone makes of a metric: the same confidences, with outcomes drawn from them anew.

Items must be independent: of photos of one specimen, take one.
"""

from collections.abc import Callable

import numpy as np

from server.domain.metrics.binned import ECE_BINS, bin_of
from server.domain.metrics.items import BoolArray, DoubleArray, IndexArray

_DRAWS_AT_ONCE = 4_000_000


def calibration_noise_floor(
    confidences: DoubleArray, *, seed: int, share: float = 0.95, draws: int = 2_000, bins: int = ECE_BINS
) -> float:
    """Returns the calibration error that a perfectly calibrated model stays below with probability `share`.

    The same as `noise_floor` of `calibration_error`, in a fraction of the time.

    Args:
        confidences: [item_count] float64 in [0, 1].
        seed: Makes the answer repeatable.
        share: In (0, 1).
        draws: How many times, at least 1.
        bins: As in `calibration_error`.
    """
    generator = np.random.default_rng(seed)
    order = np.argsort(bin_of(confidences, bins), kind="stable")
    ordered = confidences[order]
    edges = np.searchsorted(bin_of(ordered, bins), np.arange(bins + 1))
    filled = edges[:-1][np.diff(edges) > 0]
    errors = []
    remaining = draws
    while remaining > 0:
        batch = min(remaining, max(1, _DRAWS_AT_ONCE // len(ordered)))
        excess = ordered - (generator.random((batch, len(ordered))) < ordered)
        errors.append(np.abs(np.add.reduceat(excess, filled, axis=1)).sum(axis=1) / len(ordered))
        remaining -= batch
    return float(np.quantile(np.concatenate(errors), share))


def noise_floor(
    metric: Callable[[DoubleArray, BoolArray], float],
    confidences: DoubleArray,
    *,
    seed: int,
    share: float = 0.95,
    draws: int = 500,
) -> float:
    """Returns what a metric of confidences stays below for a perfectly calibrated model, with probability `share`.

    Args:
        metric: Of confidences [item_count] float64 and hits [item_count] bool, e.g. `smooth_calibration_error`.
        confidences: [item_count] float64 in [0, 1].
        seed: Makes the answer repeatable.
        share: In (0, 1).
        draws: How many times, at least 1.
    """
    generator = np.random.default_rng(seed)
    values = [metric(confidences, generator.random(len(confidences)) < confidences) for _ in range(draws)]
    return float(np.quantile(values, share))


def label_noise_floor(
    metric: Callable[[DoubleArray, IndexArray], float],
    probabilities: DoubleArray,
    *,
    seed: int,
    share: float = 0.95,
    draws: int = 500,
) -> float:
    """Returns what a metric of all labels stays below for a perfectly calibrated model, with probability `share`.

    Args:
        metric: Of probabilities [item_count, label_count] float64 and labels [item_count] int64, e.g. `log_loss`.
        probabilities: [item_count, label_count] float64 in [0, 1], summing to 1 along the last axis.
        seed: Makes the answer repeatable.
        share: In (0, 1).
        draws: How many times, at least 1.
    """
    generator = np.random.default_rng(seed)
    steps = probabilities.cumsum(axis=1)[:, :-1]
    values = [metric(probabilities, (steps < generator.random((len(steps), 1))).sum(axis=1)) for _ in range(draws)]
    return float(np.quantile(values, share))

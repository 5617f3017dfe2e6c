"""Maps an engine's uncertainty outputs to shares of in-distribution photos, through stored quantiles."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.domain.calibration.probability import LogitArray
from server.domain.conformal import conformal_rank, coverage_range
from server.domain.errors import CalibrationDataError
from server.domain.labelled_items import first_of_each_group
from server.domain.prediction import RawPrediction, Uncertainty

QUANTILE_COUNT = 101
MIN_PHOTO_COUNT = 20
"""Independent photos: the false-alarm rate is kept with any number; with fewer than these the shares say nothing."""


@dataclass(frozen=True, slots=True)
class UncertaintyScale:
    """The quantiles of an engine's uncertainty outputs on photos that it was not trained on.

    Attributes:
        feature_distance_quantiles: `QUANTILE_COUNT` values, not falling: the percentiles 0, 1, ... 100.
        logit_variance_quantiles: The same for the predicted logit variance.
        out_of_distribution_distance: Photos farther than this are called out of distribution.
        false_alarm_rate: The share of in-distribution photos expected beyond that distance, in (0, 1).
    """

    feature_distance_quantiles: tuple[float, ...]
    logit_variance_quantiles: tuple[float, ...]
    out_of_distribution_distance: float
    false_alarm_rate: float

    def __post_init__(self) -> None:
        """Raises ValueError for quantiles that are too few, not finite or falling."""
        for name in ("feature_distance_quantiles", "logit_variance_quantiles"):
            values = np.asarray(getattr(self, name), dtype=np.float64)
            if values.shape != (QUANTILE_COUNT,) or not np.isfinite(values).all() or (np.diff(values) < 0).any():
                raise ValueError(f"{name} must be {QUANTILE_COUNT} finite values that do not fall")
        if not 0 < self.false_alarm_rate < 1:
            raise ValueError(f"false_alarm_rate must lie in (0, 1), got {self.false_alarm_rate}")

    def measure(self, raw: RawPrediction) -> Uncertainty:
        """Returns what the model does not know about a photo, from the engine's outputs."""
        return Uncertainty(
            epistemic=_share_below(self.feature_distance_quantiles, raw.feature_distance),
            aleatoric=_share_below(self.logit_variance_quantiles, raw.logit_variance),
            out_of_distribution=raw.feature_distance > self.out_of_distribution_distance,
        )


def fit_uncertainty_scale(
    feature_distances: LogitArray,
    logit_variances: LogitArray,
    *,
    false_alarm_rate: float,
    groups: npt.NDArray[np.int64] | None = None,
) -> UncertaintyScale:
    """Fits a scale on photos that the engine was not trained on.

    Args:
        feature_distances: [photo_count] of any float type.
        logit_variances: [photo_count] of any float type.
        false_alarm_rate: The share of such photos that may be called out of distribution, in (0, 1): it is kept on
            average over fits; see `false_alarm_range`.
        groups: [photo_count] int64. Photos of one group may depend on each other: the first of each sets the threshold.
            None: all are independent.

    Raises:
        CalibrationDataError: Fewer than 20 independent photos, too few for the rate, or a value that is not finite.
    """
    if len(feature_distances) != len(logit_variances):
        raise CalibrationDataError(f"{len(feature_distances)} distances do not match {len(logit_variances)} variances")
    independent = np.sort(feature_distances if groups is None else feature_distances[first_of_each_group(groups)])
    # The photo to come counts as one more: the rate is then kept exactly, whatever the distances look like.
    rank = conformal_rank(len(independent), 1 - false_alarm_rate)
    if len(independent) < MIN_PHOTO_COUNT or rank > len(independent):
        needed = max(MIN_PHOTO_COUNT, math.ceil(1 / false_alarm_rate) - 1)
        raise CalibrationDataError(f"an uncertainty scale needs {needed} photos or more, got {len(independent)}")
    shares = np.linspace(0.0, 1.0, QUANTILE_COUNT)
    return UncertaintyScale(
        feature_distance_quantiles=tuple(np.quantile(feature_distances, shares).tolist()),
        logit_variance_quantiles=tuple(np.quantile(logit_variances, shares).tolist()),
        out_of_distribution_distance=float(independent[rank - 1]),
        false_alarm_rate=false_alarm_rate,
    )


def false_alarm_range(photo_count: int, false_alarm_rate: float) -> tuple[float, float]:
    """Returns where the false-alarm rate that a fit really has lies in 95 of 100 fits.

    Args:
        photo_count: The independent photos that it was fitted on, at least 1.
        false_alarm_rate: The target, in (0, 1).
    """
    low, high = coverage_range(photo_count, 1 - false_alarm_rate)
    return 1 - high, 1 - low


def _share_below(quantiles: Sequence[float], value: float) -> float:
    """Interpolates the share of stored values below `value`, in [0, 1]; a value that is not finite counts as 1."""
    if not np.isfinite(value) or value >= quantiles[-1]:
        return 1.0
    if value <= quantiles[0]:
        return 0.0
    upper = bisect_left(quantiles, value)
    low, high = quantiles[upper - 1], quantiles[upper]
    return (upper - 1 + (value - low) / (high - low)) / (len(quantiles) - 1)

"""Maps an engine's uncertainty outputs to shares of in-distribution photos, through stored quantiles."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.domain.calibration.probability import LogitArray
from server.domain.prediction import RawPrediction, Uncertainty

QUANTILE_COUNT = 101
MIN_PHOTO_COUNT = 200


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
) -> UncertaintyScale:
    """Fits a scale on photos that the engine was not trained on.

    Args:
        feature_distances: [photo_count] of any float type.
        logit_variances: [photo_count] of any float type.
        false_alarm_rate: The share of such photos that may be called out of distribution, in (0, 1).

    Raises:
        ValueError: Fewer than 200 photos, or a value that is not finite.
    """
    if len(feature_distances) < MIN_PHOTO_COUNT or len(feature_distances) != len(logit_variances):
        raise ValueError(f"an uncertainty scale needs {MIN_PHOTO_COUNT} photos or more, got {len(feature_distances)}")
    shares = np.linspace(0.0, 1.0, QUANTILE_COUNT)
    # The finite-sample rank: at most `false_alarm_rate` of future photos lie beyond, on average.
    rank = min(1.0, (1 - false_alarm_rate) * (1 + 1 / len(feature_distances)))
    return UncertaintyScale(
        feature_distance_quantiles=tuple(np.quantile(feature_distances, shares).tolist()),
        logit_variance_quantiles=tuple(np.quantile(logit_variances, shares).tolist()),
        out_of_distribution_distance=float(np.quantile(feature_distances, rank, method="higher")),
        false_alarm_rate=false_alarm_rate,
    )


def _share_below(quantiles: Sequence[float], value: float) -> float:
    """Interpolates the share of stored values below `value`, in [0, 1]; a value that is not finite counts as 1."""
    if not np.isfinite(value) or value >= quantiles[-1]:
        return 1.0
    if value <= quantiles[0]:
        return 0.0
    upper = bisect_left(quantiles, value)
    low, high = quantiles[upper - 1], quantiles[upper]
    return (upper - 1 + (value - low) / (high - low)) / (len(quantiles) - 1)

"""A mean over photos whose interval knows that photos of one specimen are no independent witnesses."""

from typing import Any

import numpy as np
import numpy.typing as npt

from build_engines.cascade_solver import Estimate

_NORMAL_95 = 1.959963984540054


def share_of(values: npt.NDArray[Any], groups: npt.NDArray[np.int64]) -> Estimate:
    """Returns the mean over photos, its 95 % interval from the spread of the specimens' sums (a ratio estimate).

    Args:
        values: [photo_count] numbers or bool.
        groups: [photo_count] int64. Photos of one specimen share a number.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    sums, counts = np.bincount(numbers, weights=values.astype(np.float64)), np.bincount(numbers)
    mean = float(values.mean())
    residuals = sums - mean * counts
    groups_seen = len(sums)
    deviation = float(np.sqrt((residuals**2).sum() * groups_seen / max(groups_seen - 1, 1))) / len(values)
    return Estimate(mean, mean - _NORMAL_95 * deviation, mean + _NORMAL_95 * deviation)

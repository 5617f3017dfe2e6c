"""The smooth calibration error: no bins, and a width that the data choose."""

import numpy as np

from server.domain.metrics.items import BoolArray, DoubleArray, check_confidences

_CELLS = 2_048
_NARROWEST = 1e-3
_BISECTION_STEPS = 24


def smooth_calibration_error(confidences: DoubleArray, hits: BoolArray) -> float:
    """Returns the smooth calibration error, in [0, 1].

    Blasiok and Nakkiran, "Smooth ECE: principled reliability diagrams via kernel smoothing",
    2023: the mean absolute residual after smoothing by a Gaussian reflected at 0 and 1, at
    the width that equals it. Widths below .001 are not told apart.

    Args:
        confidences: [item_count] float64 in [0, 1].
        hits: [item_count] bool. Whether each was borne out.
    """
    check_confidences(confidences, hits)
    cosines = _cosines(confidences, hits - confidences)
    low, high = _NARROWEST, 1.0
    if _smoothed(cosines, low) <= low:
        return _smoothed(cosines, low)
    # The error falls as the width rises, so that they meet once.
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _smoothed(cosines, middle) > middle else (low, middle)
    return 0.5 * (low + high)


def _cosines(confidences: DoubleArray, residuals: DoubleArray) -> DoubleArray:
    """Returns [_CELLS + 1] float64: the cosine series of the residuals, even about 0 and 1: that is reflection."""
    places = confidences * _CELLS - 0.5
    lower = np.floor(places)
    upper_share = places - lower
    mass = np.zeros(_CELLS + 2)
    for cell, weight in ((lower, 1 - upper_share), (lower + 1, upper_share)):
        mass += np.bincount(cell.astype(np.intp) + 1, weights=residuals * weight, minlength=_CELLS + 2)
    # What fell half a cell beyond an end is reflected into the last cell.
    mass[1] += mass[0]
    mass[-2] += mass[-1]
    inner = mass[1:-1] / len(confidences)
    turned = np.fft.rfft(np.concatenate([inner, inner[::-1]]))
    phases = np.exp(-0.5j * np.pi * np.arange(len(turned)) / _CELLS)
    cosines: DoubleArray = (turned * phases).real
    return cosines


def _smoothed(cosines: DoubleArray, width: float) -> float:
    """Returns the mean absolute residual after smoothing by a Gaussian of this width."""
    orders = np.arange(len(cosines))
    damped = cosines * np.exp(-0.5 * (np.pi * orders * width) ** 2)
    turned = damped * np.exp(0.5j * np.pi * orders / _CELLS)
    return float(np.abs(np.fft.irfft(turned, n=2 * _CELLS)[:_CELLS]).sum())

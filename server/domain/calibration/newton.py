"""Newton's method for smooth convex functions, with a line search that never goes uphill."""

from collections.abc import Callable

import numpy as np

from server.domain.calibration.probability import DoubleArray

Curve = Callable[[DoubleArray], tuple[float, DoubleArray, DoubleArray]]
"""Returns value, gradient [size] and Hessian [size, size] at a point [size], all float64."""

_MAX_STEPS = 100
_MAX_HALVINGS = 40
_SUFFICIENT = 1e-4
_NEAR = 1e-12
_DAMPING = 1e-12
_TINY = 1e-300


def minimise(curve: Curve, start: DoubleArray) -> DoubleArray:
    """Returns the point [size] float64 at which a convex function is least.

    Steps are halved until they bring a fair share of what the slope promises. Near the minimum a
    whole step squares the distance that is left, so one more ends below what floating point shows.

    Args:
        curve: The function with its first two derivatives.
        start: [size] float64.
    """
    point = start
    value, gradient, hessian = curve(point)
    for _ in range(_MAX_STEPS):
        # A trace of damping keeps directions without curvature, e.g. of scores that are all equal, at rest.
        damping = _DAMPING * max(float(np.trace(hessian)), _TINY)
        step = -np.linalg.solve(hessian + damping * np.eye(len(point)), gradient)
        promise = -float(gradient @ step)
        if promise <= _NEAR * max(1.0, abs(value)):
            return point + step
        for halvings in range(_MAX_HALVINGS):
            scale = 0.5**halvings
            reached = curve(point + scale * step)
            if reached[0] <= value - _SUFFICIENT * scale * promise:
                break
        else:
            return point
        point = point + scale * step
        value, gradient, hessian = reached
    return point

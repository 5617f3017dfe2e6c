"""Interleaved pairs: two things measured in turn in one run, so that a drifting machine drifts under both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RESAMPLES = 10_000
_SEED = 20_261_121


@dataclass(frozen=True, slots=True)
class Estimate:
    """The median over pairs with its 95 % bootstrap interval."""

    median: float
    lower: float
    upper: float

    def __str__(self) -> str:
        """As `0.93 [0.91, 0.95]`."""
        return f"{self.median:.3f} [{self.lower:.3f}, {self.upper:.3f}]"


def estimate(values: Sequence[float]) -> Estimate:
    """Returns the median of one value a pair, and where it lies in 95 % of resamples.

    Args:
        values: One ratio or difference a pair; at least one.
    """
    drawn = np.random.default_rng(_SEED).choice(np.asarray(values, dtype=np.float64), (_RESAMPLES, len(values)))
    lower, upper = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return Estimate(float(np.median(values)), float(lower), float(upper))

"""Maps from one score to the probability that something is so: an attribute is present, a label is right.

A score is a logit; 0 stands for even odds as the engine sees them. All maps are monotone: a
higher score never lowers the probability.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np

from server.domain.calibration.probability import OPENING, DoubleArray, sigmoid, sigmoid_item, softplus_item

LARGEST_PARAMETER = 1e6


@dataclass(frozen=True, slots=True)
class BinaryIdentity:
    """Takes the engine's own probability."""

    kind: ClassVar[str] = "identity"

    def calibrate(self, scores: DoubleArray) -> DoubleArray:
        """Returns probabilities.

        Args:
            scores: [...] float64, finite.

        Returns:
            [...] float64 in (0, 1).
        """
        values: DoubleArray = (1.0 - 2.0 * OPENING) * sigmoid(scores) + OPENING
        return values

    def calibrate_item(self, score: float) -> float:
        """Returns what `calibrate` does for one score, in plain floats."""
        return (1.0 - 2.0 * OPENING) * sigmoid_item(score) + OPENING


@dataclass(frozen=True, slots=True)
class Platt:
    """A logistic map of the score.

    Platt, "Probabilistic outputs for support vector machines", 1999.

    Attributes:
        slope: In [0, 1e6].
        intercept: In [-1e6, 1e6].
        margin: Keeps probabilities in [margin, 1 - margin]; in (0, 0.5).
    """

    kind: ClassVar[str] = "platt"

    slope: float
    intercept: float
    margin: float

    def __post_init__(self) -> None:
        """Raises ValueError for a parameter out of range."""
        _check_parameters((self.slope,), self.intercept, self.margin)

    def calibrate(self, scores: DoubleArray) -> DoubleArray:
        """Returns probabilities; see `BinaryIdentity.calibrate`."""
        return np.clip(sigmoid(scores * self.slope + self.intercept), self.margin, 1.0 - self.margin)

    def calibrate_item(self, score: float) -> float:
        """Returns what `calibrate` does for one score, in plain floats."""
        return min(max(sigmoid_item(score * self.slope + self.intercept), self.margin), 1.0 - self.margin)


@dataclass(frozen=True, slots=True)
class Beta:
    """A logistic map of `log p` and `-log(1 - p)` apart, for scores that err otherwise near 0 than near 1.

    Kull, Silva Filho, Flach, "Beyond sigmoids", 2017.

    Attributes:
        rise: The weight of `log p`, in [0, 1e6].
        fall: The weight of `-log(1 - p)`, in [0, 1e6].
        intercept: In [-1e6, 1e6].
        margin: Keeps probabilities in [margin, 1 - margin]; in (0, 0.5).
    """

    kind: ClassVar[str] = "beta"

    rise: float
    fall: float
    intercept: float
    margin: float

    def __post_init__(self) -> None:
        """Raises ValueError for a parameter out of range."""
        _check_parameters((self.rise, self.fall), self.intercept, self.margin)

    def calibrate(self, scores: DoubleArray) -> DoubleArray:
        """Returns probabilities; see `BinaryIdentity.calibrate`."""
        mapped = self.fall * np.logaddexp(0.0, scores) - self.rise * np.logaddexp(0.0, -scores) + self.intercept
        return np.clip(sigmoid(mapped), self.margin, 1.0 - self.margin)

    def calibrate_item(self, score: float) -> float:
        """Returns what `calibrate` does for one score, in plain floats."""
        mapped = self.fall * softplus_item(score) - self.rise * softplus_item(-score) + self.intercept
        return min(max(sigmoid_item(mapped), self.margin), 1.0 - self.margin)


@dataclass(frozen=True, slots=True)
class CentredIsotonic:
    """A line through the centres of isotonic blocks, flat beyond the first and the last.

    Oron and Flournoy, "Centered isotonic regression", 2017.

    Attributes:
        centres: Scores, rising, finite; at least one.
        probabilities: As many, in (0, 1), not falling.
    """

    kind: ClassVar[str] = "isotonic"

    centres: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError unless the points rise, are finite and lie within (0, 1)."""
        if not self.centres or len(self.centres) != len(self.probabilities):
            raise ValueError("an isotonic map needs one probability a centre, and at least one")
        if not all(map(math.isfinite, self.centres)) or any(high <= low for low, high in pairwise(self.centres)):
            raise ValueError("the centres of an isotonic map must be finite and rise")
        if not all(0 < each < 1 for each in self.probabilities):
            raise ValueError("the probabilities of an isotonic map must lie in (0, 1)")
        if any(high < low for low, high in pairwise(self.probabilities)):
            raise ValueError("the probabilities of an isotonic map must not fall")

    def calibrate(self, scores: DoubleArray) -> DoubleArray:
        """Returns probabilities; see `BinaryIdentity.calibrate`."""
        values: DoubleArray = np.interp(scores, self.centres, self.probabilities)
        return values

    def calibrate_item(self, score: float) -> float:
        """Returns what `calibrate` does for one score, in plain floats."""
        upper = bisect_right(self.centres, score)
        if upper == 0:
            return self.probabilities[0]
        if upper == len(self.centres):
            return self.probabilities[-1]
        low, high = self.centres[upper - 1], self.centres[upper]
        start, end = self.probabilities[upper - 1], self.probabilities[upper]
        return min(end, start + (end - start) * ((score - low) / (high - low)))


BinaryMap = BinaryIdentity | Platt | Beta | CentredIsotonic


def _check_parameters(weights: tuple[float, ...], intercept: float, margin: float) -> None:
    if not all(0 <= each <= LARGEST_PARAMETER for each in weights):
        raise ValueError(f"slopes must lie in [0, {LARGEST_PARAMETER:g}], got {weights}: a map never turns around")
    if not abs(intercept) <= LARGEST_PARAMETER:
        raise ValueError(f"an intercept must lie within {LARGEST_PARAMETER:g} of 0, got {intercept}")
    if not 0 < margin < 0.5:  # noqa: PLR2004 -- the middle of [0, 1]
        raise ValueError(f"a margin must lie in (0, 0.5), got {margin}")

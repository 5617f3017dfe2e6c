"""Maps from the logits of a head whose labels exclude each other to the probabilities of its labels.

Here stand the maps that treat all labels alike or each in its own way; `top_label` holds those
that change the winner's confidence only. A head that is kept monotone keeps its winner.
"""

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from server.domain.calibration.binary_maps import LARGEST_PARAMETER
from server.domain.calibration.probability import (
    DoubleArray,
    LogitArray,
    opened,
    opened_item,
    softmax,
    softmax_item,
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Takes the engine's own probabilities; monotone."""

    kind: ClassVar[str] = "identity"

    @property
    def label_count(self) -> int | None:
        """How many labels it maps; None: any number."""
        return None

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., label_count] of any float type, finite. Raw engine outputs.

        Returns:
            [..., label_count] float64 in (0, 1), summing to 1 along the last axis.
        """
        return opened(softmax(np.asarray(logits, dtype=np.float64)))

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats: a fifth of the time, on the path of requests."""
        return opened_item(softmax_item(logits))


@dataclass(frozen=True, slots=True)
class SmoothedTemperature:
    """Temperature scaling whose probabilities stay away from 0 and 1 by what its labels can tell; monotone.

    Guo et al., "On calibration of modern neural networks", 2017; mixed with the uniform distribution.

    Attributes:
        temperature: Divides the logits; in [1e-6, 1e6].
        smoothing: The weight of the uniform distribution, in (0, 1); `1 / (n + 1)` after n labels.
    """

    kind: ClassVar[str] = "smoothed_temperature"

    temperature: float
    smoothing: float

    def __post_init__(self) -> None:
        """Raises ValueError for a parameter out of range."""
        if not 1 / LARGEST_PARAMETER <= self.temperature <= LARGEST_PARAMETER:
            raise ValueError(f"temperature {self.temperature} is out of range")
        if not 0 < self.smoothing < 1:
            raise ValueError(f"smoothing {self.smoothing} is out of range (0, 1)")

    @property
    def label_count(self) -> int | None:
        """How many labels it maps; None: any number."""
        return None

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities; see `Identity.calibrate`."""
        probabilities = softmax(np.asarray(logits, dtype=np.float64) / self.temperature)
        smoothed: DoubleArray = (1.0 - self.smoothing) * probabilities + self.smoothing / logits.shape[-1]
        return smoothed

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; see `Identity`."""
        scale, shift = 1.0 - self.smoothing, self.smoothing / len(logits)
        return [scale * each + shift for each in softmax_item([each / self.temperature for each in logits])]


@dataclass(frozen=True, slots=True)
class StructuredVector:
    """A scale and a shift for each label's log-probability, after a smoothed temperature; may change the winner.

    Berta, Holzmüller, Jordan, Bach, "Structured matrix scaling for multi-class calibration", 2025.

    Attributes:
        temperature: Comes first.
        scales: One a label, within 1e6 of 0.
        shifts: One a label, within 1e6 of 0.
    """

    kind: ClassVar[str] = "structured_vector"

    temperature: SmoothedTemperature
    scales: tuple[float, ...]
    shifts: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for parameters that do not match or are out of range."""
        if len(self.scales) != len(self.shifts) or len(self.scales) < 2:  # noqa: PLR2004 -- a category has two labels
            raise ValueError("vector scaling needs as many shifts as scales, two or more")
        _check_weights((*self.scales, *self.shifts))

    @property
    def label_count(self) -> int | None:
        """How many labels it maps."""
        return len(self.scales)

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities; see `Identity.calibrate`."""
        return opened(softmax(np.log(self.temperature.calibrate(logits)) * self.scales + self.shifts))

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; see `Identity`."""
        first = self.temperature.calibrate_item(logits)
        scores = [
            math.log(each) * scale + shift for each, scale, shift in zip(first, self.scales, self.shifts, strict=True)
        ]
        return opened_item(softmax_item(scores))


@dataclass(frozen=True, slots=True)
class StructuredMatrix:
    """Mixes the labels' log-probabilities by a matrix, after a smoothed temperature; may change the winner.

    Berta, Holzmüller, Jordan, Bach, "Structured matrix scaling for multi-class calibration", 2025.

    Attributes:
        temperature: Comes first.
        weights: One row for each label that comes out, one column for each that goes in; within 1e6 of 0.
        shifts: One a label, within 1e6 of 0.
    """

    kind: ClassVar[str] = "structured_matrix"

    temperature: SmoothedTemperature
    weights: tuple[tuple[float, ...], ...]
    shifts: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for parameters that do not match or are out of range."""
        count = len(self.shifts)
        if count < 2 or len(self.weights) != count or any(len(row) != count for row in self.weights):  # noqa: PLR2004
            raise ValueError("matrix scaling needs a square matrix and as many shifts, two or more")
        _check_weights((*self.shifts, *(each for row in self.weights for each in row)))

    @property
    def label_count(self) -> int | None:
        """How many labels it maps."""
        return len(self.shifts)

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities; see `Identity.calibrate`."""
        first = np.log(self.temperature.calibrate(logits))
        return opened(softmax(first @ np.asarray(self.weights).T + self.shifts))

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; see `Identity`."""
        first = [math.log(each) for each in self.temperature.calibrate_item(logits)]
        scores = [
            sum(map(operator.mul, row, first)) + shift for row, shift in zip(self.weights, self.shifts, strict=True)
        ]
        return opened_item(softmax_item(scores))


def _check_weights(weights: tuple[float, ...]) -> None:
    if not all(abs(each) <= LARGEST_PARAMETER for each in weights):
        raise ValueError(f"weights must be finite and within {LARGEST_PARAMETER:g} of 0")

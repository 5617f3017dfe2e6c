"""Maps that change how sure the winning label is, and never which label wins."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from server.domain.calibration.binary_maps import BinaryMap
from server.domain.calibration.category_maps import Identity, SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.probability import DoubleArray, LogitArray, opened, opened_item

BaseMap = Identity | SmoothedTemperature | StructuredVector | StructuredMatrix

_LEAD = 1.0 + 1e-6
"""The winner stays at least this many times as probable as the runner-up: never a tie."""


@dataclass(frozen=True, slots=True)
class TopLabel:
    """Maps the winner's log-odds to its confidence; the other labels share what is left; keeps the base's winner.

    The others keep their proportions. Where that would lift the runner-up to the winner, they
    are mixed with their uniform distribution, no more than is needed: the confidence is the
    promise, the order of the others is kept, and the winner wins. A confidence below
    `1 / label_count`, which no winner can have, is lifted to just above it.

    Attributes:
        base: Comes first, and says which label wins.
        confidence: Maps the winner's log-odds to the probability that it is right.
    """

    kind: ClassVar[str] = "top_label"

    base: BaseMap
    confidence: BinaryMap

    @property
    def label_count(self) -> int | None:
        """How many labels it maps; None: any number."""
        return self.base.label_count

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., label_count] of any float type, finite; two labels or more. Raw engine outputs.

        Returns:
            [..., label_count] float64 in (0, 1), summing to 1 along the last axis.
        """
        first = self.base.calibrate(logits)
        flat = first.reshape(-1, first.shape[-1])
        count = flat.shape[1]
        rows, winners = np.arange(len(flat)), flat.argmax(axis=1)
        confidences = np.maximum(self.confidence.calibrate(winner_odds(flat)), _LEAD / count)
        others = flat.copy()
        others[rows, winners] = 0.0
        others /= others.sum(axis=1, keepdims=True)
        rest, even, runner_up = 1.0 - confidences, 1.0 / (count - 1), others.max(axis=1)
        # The denominator is 0 only where the others are even already: nothing is left to mix.
        spread = np.maximum(rest * (runner_up - even), np.finfo(np.float64).tiny)
        mixing = np.clip((rest * runner_up - confidences / _LEAD) / spread, 0.0, 1.0)[:, None]
        values = rest[:, None] * ((1.0 - mixing) * others + mixing * even)
        values[rows, winners] = confidences
        return opened(values).reshape(first.shape)

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; see `category_maps.Identity`."""
        values = self.base.calibrate_item(logits)
        count = len(values)
        highest = max(values)
        winner = values.index(highest)
        values[winner] = 0.0
        total = sum(values)
        confidence = max(self.confidence.calibrate_item(math.log(highest / total)), _LEAD / count)
        rest, even, runner_up = 1.0 - confidence, 1.0 / (count - 1), max(values) / total
        excess = rest * runner_up - confidence / _LEAD
        mixing = min(excess / max(rest * (runner_up - even), 1e-300), 1.0) if excess > 0 else 0.0
        scale, shift = rest * (1.0 - mixing) / total, rest * mixing * even
        values = [scale * each + shift for each in values]
        values[winner] = confidence
        return opened_item(values)


def winner_odds(probabilities: DoubleArray) -> DoubleArray:
    """Returns [item_count] float64: the log-odds of the most probable of [item_count, label_count] labels."""
    highest = probabilities.max(axis=1)
    others = probabilities.copy()
    others[np.arange(len(others)), others.argmax(axis=1)] = 0.0
    odds: DoubleArray = np.log(highest / others.sum(axis=1))
    return odds

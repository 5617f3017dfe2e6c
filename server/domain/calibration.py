"""Calibrators: each maps one head's logits of one engine to calibrated probabilities, and says which engine.

Fitting and applying stand side by side, so that what was fitted is what runs.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from server.domain.errors import LoupeError
from server.domain.task import Head, HeadKind

DoubleArray = npt.NDArray[np.float64]
LogitArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]

_LOG_TEMPERATURE_RANGE = (math.log(0.02), math.log(50.0))
_BISECTION_STEPS = 60
_NEWTON_STEPS = 100
_CONVERGED_STEP = 1e-10


class CalibrationDataError(LoupeError):
    """The labelled outputs do not suffice to fit a calibrator, or are malformed."""

    reason = "CALIBRATION_DATA"


@dataclass(frozen=True, slots=True)
class SmoothedTemperature:
    """Temperature scaling whose probabilities stay away from 0 and 1 by what `item_count` labels can tell.

    Guo et al., "On calibration of modern neural networks", 2017; mixed with the uniform
    distribution at weight `1 / (item_count + 1)`.

    Attributes:
        engine_sha256: The engine whose outputs it was fitted on.
        temperature: Divides the logits, above 0.
        item_count: The labelled items that it was fitted on, at least 1.
    """

    kind: ClassVar[str] = "smoothed_temperature"

    engine_sha256: str
    temperature: float
    item_count: int

    def __post_init__(self) -> None:
        """Raises ValueError for a temperature or count out of range."""
        if not (math.isfinite(self.temperature) and self.temperature > 0 and self.item_count >= 1):
            raise ValueError(f"temperature {self.temperature} or item count {self.item_count} is out of range")

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., label_count] of any float type. Raw engine outputs.

        Returns:
            [..., label_count] float64 in (0, 1), summing to 1 along the last axis.
        """
        smoothing = 1.0 / (self.item_count + 1)
        probabilities = softmax(np.asarray(logits, dtype=np.float64) / self.temperature)
        smoothed: DoubleArray = (1.0 - smoothing) * probabilities + smoothing / logits.shape[-1]
        return smoothed

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats: a fifth of the time, on the path of requests."""
        smoothing = 1.0 / (self.item_count + 1)
        scale, shift = 1.0 - smoothing, smoothing / len(logits)
        return [scale * each + shift for each in softmax_item([each / self.temperature for each in logits])]

    def findings_for(self, head: Head) -> list[str]:
        """Returns what keeps this calibrator from serving the head; empty if nothing."""
        return [] if head.kind is HeadKind.CATEGORY else [f"a {self.kind} map cannot serve head {head.id}"]


@dataclass(frozen=True, slots=True)
class PlattScaling:
    """One logistic map an attribute.

    Platt, "Probabilistic outputs for support vector machines", 1999, with his smoothed targets.

    Attributes:
        engine_sha256: The engine whose outputs it was fitted on.
        slopes: One per attribute, at least 0: a higher logit never lowers the probability.
        intercepts: One per attribute.
        item_count: The labelled items that it was fitted on, at least 1.
    """

    kind: ClassVar[str] = "platt"

    engine_sha256: str
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]
    item_count: int

    def __post_init__(self) -> None:
        """Raises ValueError for parameters that do not match or are out of range."""
        numbers = (*self.slopes, *self.intercepts)
        if len(self.slopes) != len(self.intercepts) or not all(map(math.isfinite, numbers)) or self.item_count < 1:
            raise ValueError("slopes and intercepts must be finite and as many as attributes")
        if min(self.slopes, default=0.0) < 0:
            raise ValueError("a slope below 0 would turn the attribute's meaning around")

    def calibrate(self, logits: LogitArray) -> DoubleArray:
        """Returns calibrated probabilities.

        Args:
            logits: [..., attribute_count] of any float type. Raw engine outputs.

        Returns:
            [..., attribute_count] float64 in (0, 1).
        """
        scores = np.asarray(logits, dtype=np.float64) * self.slopes + self.intercepts
        margin = 1.0 / (self.item_count + 2)
        clipped: DoubleArray = np.clip(sigmoid(scores), margin, 1.0 - margin)
        return clipped

    def calibrate_item(self, logits: Sequence[float]) -> list[float]:
        """Returns what `calibrate` does for one item, in plain floats; see `SmoothedTemperature`."""
        lower = 1.0 / (self.item_count + 2)
        upper = 1.0 - lower
        return [
            min(max(0.5 * (1.0 + math.tanh(0.5 * (logit * slope + intercept))), lower), upper)
            for logit, slope, intercept in zip(logits, self.slopes, self.intercepts, strict=True)
        ]

    def findings_for(self, head: Head) -> list[str]:
        """Returns what keeps this calibrator from serving the head; empty if nothing."""
        if head.kind is not HeadKind.ATTRIBUTES:
            return [f"a {self.kind} map cannot serve head {head.id}"]
        if len(head.labels) != len(self.slopes):
            return [f"the calibrator of head {head.id} maps {len(self.slopes)} of {len(head.labels)} attributes"]
        return []


Calibrator = SmoothedTemperature | PlattScaling


def fit_smoothed_temperature(
    logits: LogitArray, labels: npt.NDArray[np.int64], *, engine_sha256: str
) -> SmoothedTemperature:
    """Fits the temperature that minimises the log-loss, by bisection on its logarithm; always converges.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.
        engine_sha256: The engine that gave the logits.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a logit is not finite.
    """
    _check_items(logits, labels, dimensions=2)
    scores = np.asarray(logits, dtype=np.float64)
    true_scores = scores[np.arange(len(labels)), labels]

    def slope(log_temperature: float) -> float:
        """The derivative of the log-loss by the inverse temperature: rises with the inverse temperature."""
        weights = softmax(scores * math.exp(-log_temperature))
        return float(np.mean((weights * scores).sum(axis=1) - true_scores))

    log_temperature = _bisect_falling(slope, *_LOG_TEMPERATURE_RANGE)
    return SmoothedTemperature(engine_sha256, math.exp(log_temperature), len(labels))


def fit_platt_scaling(logits: LogitArray, present: npt.NDArray[np.bool_], *, engine_sha256: str) -> PlattScaling:
    """Fits one logistic map an attribute, by Newton's method with step halving.

    Args:
        logits: [item_count, attribute_count] of any float type. Raw engine outputs.
        present: [item_count, attribute_count] bool.
        engine_sha256: The engine that gave the logits.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a logit is not finite.
    """
    _check_items(logits, present, dimensions=2)
    if present.shape != logits.shape:
        raise CalibrationDataError(f"labels of shape {present.shape} do not match logits of shape {logits.shape}")
    maps = [
        _fit_logistic(np.asarray(logits[:, each], dtype=np.float64), present[:, each])
        for each in range(logits.shape[1])
    ]
    return PlattScaling(
        engine_sha256, tuple(slope for slope, _ in maps), tuple(intercept for _, intercept in maps), len(logits)
    )


def softmax(logits: DoubleArray) -> DoubleArray:
    """Returns the softmax along the last axis of [..., label_count] float64; safe for any finite logits."""
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normalised: DoubleArray = weights / weights.sum(axis=-1, keepdims=True)
    return normalised


def softmax_item(logits: Sequence[float]) -> list[float]:
    """Returns the softmax of one item's finite logits, in plain floats."""
    highest = max(logits)
    weights = [math.exp(each - highest) for each in logits]
    total = sum(weights)
    return [each / total for each in weights]


def sigmoid(scores: DoubleArray) -> DoubleArray:
    """Returns the logistic function of any finite float64 scores, without overflow."""
    values: DoubleArray = 0.5 * (1.0 + np.tanh(0.5 * scores))
    return values


def _check_items(logits: LogitArray, labels: npt.NDArray[np.generic], *, dimensions: int) -> None:
    if logits.ndim != dimensions or len(logits) != len(labels) or len(labels) == 0:
        raise CalibrationDataError(f"cannot fit on logits of shape {logits.shape} and labels of shape {labels.shape}")
    if not np.isfinite(logits).all():
        raise CalibrationDataError("a logit is not finite; mend the engine before calibrating it")


def _bisect_falling(function: Callable[[float], float], low: float, high: float) -> float:
    """Finds where a function that does not rise crosses zero; an end of the range if it does not."""
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        if function(middle) > 0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def _fit_logistic(scores: DoubleArray, present: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Returns slope (at least 0) and intercept of one attribute's map."""
    positives, negatives = int(present.sum()), int((~present).sum())
    targets = np.where(present, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    prior = math.log((positives + 1) / (negatives + 1))
    centre, spread = float(scores.mean()), float(scores.std()) or 1.0
    design = np.stack([(scores - centre) / spread, np.ones_like(scores)], axis=1)
    weights = np.array([0.0, prior])
    for _ in range(_NEWTON_STEPS):
        step = _newton_step(design, targets, weights)
        weights = weights + step
        if float(np.abs(step).max()) < _CONVERGED_STEP:
            break
    if weights[0] <= 0:
        return 0.0, prior
    slope = float(weights[0]) / spread
    return slope, float(weights[1]) - slope * centre


def _newton_step(design: DoubleArray, targets: DoubleArray, weights: DoubleArray) -> DoubleArray:
    """Returns a step that does not raise the log-loss of the logistic map."""
    probabilities = sigmoid(design @ weights)
    gradient = design.T @ (probabilities - targets)
    curvature = (design * (probabilities * (1 - probabilities))[:, None]).T @ design + 1e-9 * np.eye(2)
    step: DoubleArray = -np.linalg.solve(curvature, gradient)
    before = _log_loss(design @ weights, targets)
    while _log_loss(design @ (weights + step), targets) > before and float(np.abs(step).max()) > _CONVERGED_STEP:
        step = step / 2
    return step


def _log_loss(scores: DoubleArray, targets: DoubleArray) -> float:
    return float(np.sum(np.logaddexp(0.0, scores) - targets * scores))

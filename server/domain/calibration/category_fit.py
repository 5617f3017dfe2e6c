"""Fits the maps of a head whose labels exclude each other."""

import math

import numpy as np

from server.domain.calibration.category_maps import SmoothedTemperature, StructuredMatrix, StructuredVector
from server.domain.calibration.fit_items import IndexArray, category_items
from server.domain.calibration.newton import minimise
from server.domain.calibration.probability import DoubleArray, LogitArray, softmax

_LOG_TEMPERATURE_RANGE = (math.log(0.02), math.log(50.0))
_BISECTION_STEPS = 45


def fit_smoothed_temperature(logits: LogitArray, labels: IndexArray) -> SmoothedTemperature:
    """Fits the temperature that minimises the log-loss, by bisection on its logarithm; always converges.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.

    Raises:
        CalibrationDataError: See `category_items`.
    """
    scores, labels = category_items(logits, labels)
    scores = scores - scores.max(axis=1, keepdims=True)
    true_scores = scores[np.arange(len(labels)), labels].sum()

    def slope(log_temperature: float) -> float:
        """The derivative of the log-loss by the inverse temperature: rises with the inverse temperature."""
        weights = np.exp(scores * math.exp(-log_temperature))
        return float(np.sum(np.einsum("ij,ij->i", weights, scores) / weights.sum(axis=1)) - true_scores)

    low, high = _LOG_TEMPERATURE_RANGE
    for _ in range(_BISECTION_STEPS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if slope(middle) > 0 else (low, middle)
    return SmoothedTemperature(math.exp(0.5 * (low + high)), 1.0 / (len(labels) + 1))


def fit_structured_vector(
    logits: LogitArray, labels: IndexArray, *, temperature: SmoothedTemperature | None = None
) -> StructuredVector:
    """Fits scales and shifts whose distance from 1 and 0 costs `label_count / item_count` times its square.

    So few labels leave the temperature as it is, and many are free to differ from it.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.
        temperature: What comes first; fitted on the same items if None.

    Raises:
        CalibrationDataError: See `category_items`.
    """
    scores, labels = category_items(logits, labels)
    first = temperature or fit_smoothed_temperature(scores, labels)
    entered = np.log(first.calibrate(scores))
    count = entered.shape[1]
    penalty = count / len(labels)
    hits = _one_hot(labels, count)

    def curve(point: DoubleArray) -> tuple[float, DoubleArray, DoubleArray]:
        mapped = entered * (1.0 + point[:count]) + point[count:]
        loss, probabilities = _loss_and_probabilities(mapped, labels)
        residuals = probabilities - hits
        gradient = np.concatenate([np.einsum("ij,ij->j", residuals, entered), residuals.sum(axis=0)]) / len(labels)
        both = np.concatenate([probabilities * entered, probabilities], axis=1)
        hessian = -both.T @ both
        on = np.arange(count)
        hessian[on, on] += np.einsum("ij,ij,ij->j", probabilities, entered, entered)
        cross = np.einsum("ij,ij->j", probabilities, entered)
        hessian[on, on + count] += cross
        hessian[on + count, on] += cross
        hessian[on + count, on + count] += probabilities.sum(axis=0)
        hessian = hessian / len(labels) + 2.0 * penalty * np.eye(2 * count)
        return loss + penalty * float(point @ point), gradient + 2.0 * penalty * point, hessian

    point = minimise(curve, np.zeros(2 * count))
    return StructuredVector(first, tuple((1.0 + point[:count]).tolist()), tuple(point[count:].tolist()))


def fit_structured_matrix(
    logits: LogitArray, labels: IndexArray, *, temperature: SmoothedTemperature | None = None
) -> StructuredMatrix:
    """Fits a matrix whose distance from the identity costs as in `fit_structured_vector`.

    Its elements beside the diagonal, being more, cost `label_count - 1` times as much.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.
        temperature: What comes first; fitted on the same items if None.

    Raises:
        CalibrationDataError: See `category_items`.
    """
    scores, labels = category_items(logits, labels)
    first = temperature or fit_smoothed_temperature(scores, labels)
    entered = np.log(first.calibrate(scores))
    items, count = entered.shape
    design = np.column_stack([entered, np.ones(items)])
    penalties = np.full((count, count + 1), count * (count - 1) / items)
    np.fill_diagonal(penalties, count / items)
    penalties[:, count] = count / items
    penalty = penalties.ravel()
    hits = _one_hot(labels, count)

    def curve(point: DoubleArray) -> tuple[float, DoubleArray, DoubleArray]:
        mapped = entered + design @ point.reshape(count, count + 1).T
        loss, probabilities = _loss_and_probabilities(mapped, labels)
        gradient = ((probabilities - hits).T @ design).ravel() / items
        rows = (probabilities[:, :, None] * design[:, None, :]).reshape(items, -1)
        hessian = -rows.T @ rows
        for place in range(count):
            own = slice(place * (count + 1), (place + 1) * (count + 1))
            hessian[own, own] += rows[:, own].T @ design
        hessian = hessian / items + np.diag(2.0 * penalty)
        return loss + float(penalty @ point**2), gradient + 2.0 * penalty * point, hessian

    change = minimise(curve, np.zeros(count * (count + 1))).reshape(count, count + 1)
    weights = np.eye(count) + change[:, :count]
    return StructuredMatrix(first, tuple(tuple(row) for row in weights.tolist()), tuple(change[:, count].tolist()))


def _one_hot(labels: IndexArray, count: int) -> DoubleArray:
    hits = np.zeros((len(labels), count))
    hits[np.arange(len(labels)), labels] = 1.0
    return hits


def _loss_and_probabilities(scores: DoubleArray, labels: IndexArray) -> tuple[float, DoubleArray]:
    """Returns the mean log-loss, and the softmax [item_count, label_count] float64."""
    highest = scores.max(axis=1)
    probabilities = softmax(scores)
    losses = highest - scores[np.arange(len(labels)), labels] - np.log(probabilities.max(axis=1))
    return float(losses.mean()), probabilities

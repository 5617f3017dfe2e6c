"""From scores to probabilities: for arrays, and in plain floats for the path of requests."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
LogitArray = npt.NDArray[np.float32] | npt.NDArray[np.float64]

OPENING = 1e-12
"""How much of the uniform distribution keeps a probability from being exactly 0 or 1."""


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


def sigmoid_item(score: float) -> float:
    """Returns the logistic function of one finite score."""
    return 0.5 * (1.0 + math.tanh(0.5 * score))


def softplus_item(score: float) -> float:
    """Returns `log(1 + exp(score))` of one finite score, without overflow."""
    return max(score, 0.0) + math.log1p(math.exp(-abs(score)))


def opened(probabilities: DoubleArray) -> DoubleArray:
    """Mixes `OPENING` of the uniform distribution into [..., label_count] float64: nothing stays exactly 0 or 1."""
    mixed: DoubleArray = (1.0 - OPENING * probabilities.shape[-1]) * probabilities + OPENING
    return mixed


def opened_item(probabilities: Sequence[float]) -> list[float]:
    """Does what `opened` does for one item, in plain floats."""
    kept = 1.0 - OPENING * len(probabilities)
    return [kept * each + OPENING for each in probabilities]

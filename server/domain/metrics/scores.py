"""Proper scores: what no map can lower but by saying what it knows."""

import numpy as np

from server.domain.metrics.items import DoubleArray, IndexArray, check_probabilities


def log_loss(probabilities: DoubleArray, labels: IndexArray) -> float:
    """Returns the mean negative log-likelihood of the labels; infinite where a label was called impossible.

    Args:
        probabilities: [item_count, label_count] float64 in [0, 1], summing to 1 along the last axis.
        labels: [item_count] int64. The true labels.
    """
    check_probabilities(probabilities, labels)
    with np.errstate(divide="ignore"):
        return float(-np.log(probabilities[np.arange(len(labels)), labels]).mean())


def brier_score(probabilities: DoubleArray, labels: IndexArray) -> float:
    """Returns the mean squared distance to the truth, summed over labels, in [0, 2].

    Brier, "Verification of forecasts expressed in terms of probability", 1950.

    Args:
        probabilities: As in `log_loss`.
        labels: As in `log_loss`.
    """
    check_probabilities(probabilities, labels)
    likelihoods = probabilities[np.arange(len(labels)), labels]
    return float(((probabilities**2).sum(axis=1) - 2 * likelihoods + 1).mean())

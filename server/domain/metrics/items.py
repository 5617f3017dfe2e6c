"""What every metric checks first."""

import numpy as np
import numpy.typing as npt

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IndexArray = npt.NDArray[np.int64]

_SUM_TOLERANCE = 1e-6


def check_confidences(confidences: DoubleArray, hits: BoolArray) -> None:
    """Raises ValueError unless [item_count] confidences lie in [0, 1] and are as many as hits, one at least."""
    if confidences.shape != hits.shape or confidences.ndim != 1 or len(confidences) == 0:
        raise ValueError(f"confidences {confidences.shape} and hits {hits.shape} must be one-dimensional and as many")
    if not (np.isfinite(confidences).all() and confidences.min() >= 0 and confidences.max() <= 1):
        raise ValueError("confidences must lie in [0, 1]")


def check_probabilities(probabilities: DoubleArray, labels: IndexArray) -> None:
    """Raises ValueError unless [item_count, label_count] probabilities sum to 1 and each item has one of the labels."""
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or len(labels) == 0:  # noqa: PLR2004
        raise ValueError(f"probabilities {probabilities.shape} and labels {labels.shape} must be as many items")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"labels must lie in [0, {probabilities.shape[1]})")
    if not (probabilities >= 0).all() or np.abs(probabilities.sum(axis=1) - 1).max() > _SUM_TOLERANCE:
        raise ValueError("probabilities must lie in [0, 1] and sum to 1")

"""What every fit checks before it starts."""

import numpy as np
import numpy.typing as npt

from server.domain.calibration.probability import DoubleArray, LogitArray
from server.domain.errors import CalibrationDataError

IndexArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


def category_items(logits: LogitArray, labels: IndexArray) -> tuple[DoubleArray, IndexArray]:
    """Returns logits and labels that a category's map can be fitted on.

    Args:
        logits: [item_count, label_count] of any float type. Raw engine outputs.
        labels: [item_count] indices of the true labels.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, a logit is not finite, or a label does not exist.
    """
    _check(logits, labels, shape=logits.shape[:1])
    if logits.shape[1] < 2 or labels.min() < 0 or labels.max() >= logits.shape[1]:  # noqa: PLR2004 -- two labels
        raise CalibrationDataError(f"labels must lie in [0, {logits.shape[1]}), and there must be two or more")
    return np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.int64)


def attribute_items(logits: LogitArray, present: BoolArray) -> tuple[DoubleArray, BoolArray]:
    """Returns logits and labels that maps of attributes can be fitted on.

    Args:
        logits: [item_count, attribute_count] of any float type. Raw engine outputs.
        present: [item_count, attribute_count] bool.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a logit is not finite.
    """
    _check(logits, present, shape=logits.shape)
    return np.asarray(logits, dtype=np.float64), np.asarray(present, dtype=np.bool_)


def _check(logits: LogitArray, labels: npt.NDArray[np.generic], *, shape: tuple[int, ...]) -> None:
    if logits.ndim != 2 or labels.shape != shape or len(labels) == 0:  # noqa: PLR2004 -- items and labels
        raise CalibrationDataError(f"cannot fit on logits of shape {logits.shape} and labels of shape {labels.shape}")
    if not np.isfinite(logits).all():
        raise CalibrationDataError("a logit is not finite; mend the engine before calibrating it")

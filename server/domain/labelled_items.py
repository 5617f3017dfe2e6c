"""Labelled items as fits take them: refused when malformed, and one of each group where items depend on each other."""

import numpy as np
import numpy.typing as npt

from server.domain.errors import CalibrationDataError


def first_of_each_group(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Returns [group_count] intp: the place of the first item of each group, rising.

    Photos of one specimen share its luck, so exact bounds may count the specimen only once. Which item stands for it
    must not depend on labels or confidences: the order of items is taken as it comes and must not either.

    Args:
        groups: [item_count] int64. Items of one group may depend on each other.
    """
    places: npt.NDArray[np.intp] = np.sort(np.unique(groups, return_index=True)[1])
    return places


def independent_items(item_count: int, groups: npt.NDArray[np.int64] | None) -> npt.NDArray[np.intp]:
    """Returns the places of the items that may be counted: all of them, or the first of each group.

    Args:
        item_count: How many items there are.
        groups: [item_count] int64, or None where all items are independent.

    Raises:
        CalibrationDataError: No item is there, or the groups are not as many as the items.
    """
    if item_count == 0:
        raise CalibrationDataError("there is no labelled item; label some first")
    if groups is None:
        return np.arange(item_count)
    if groups.shape != (item_count,):
        raise CalibrationDataError(f"groups of shape {groups.shape} do not match {item_count} items")
    return first_of_each_group(groups)


def check_probabilities(probabilities: npt.NDArray[np.float64], *, dimensions: int) -> None:
    """Refuses probabilities that are not numbers in [0, 1], or not of this many dimensions.

    Raises:
        CalibrationDataError: They are not.
    """
    if probabilities.ndim != dimensions:
        raise CalibrationDataError(f"probabilities of shape {probabilities.shape} must have {dimensions} dimensions")
    # Written so that a NaN fails it.
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise CalibrationDataError("a probability is not a number in [0, 1]; mend the calibrator first")

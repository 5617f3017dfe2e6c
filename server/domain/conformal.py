"""Prediction sets: the labels that hold the true one with a stated chance; and for attributes, when to say unsure.

Split conformal prediction: as many calibration items score worse than a threshold as the coverage allows, counted with
the item to come. It holds for any model and any number of labels, as long as the items to come are like those it was
fitted on: fit it for each exit tier, on the items that stop there, and not on those that the calibrator was fitted on.
"""

import enum
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from server.domain.binomial import DoubleArray, clopper_pearson_high, clopper_pearson_low
from server.domain.errors import CalibrationDataError
from server.domain.labelled_items import check_probabilities, independent_items

BoolArray = npt.NDArray[np.bool_]
LabelArray = npt.NDArray[np.int64]

LEAST_LABELS_PER_CLASS = 50
_HALF = 0.5
_BELOW_HALF = math.nextafter(_HALF, 0.0)
_RANGE_ERROR = 0.025
_probability = operator.itemgetter(1)


@dataclass(frozen=True, slots=True)
class PredictionSets:
    """Says which labels of a category may be the true one. The most probable label is always among them.

    Sadinle, Lei and Wasserman, "Least ambiguous set-valued classifiers with bounded error levels", 2019.

    Attributes:
        coverage: The chance that a set holds the true label, in (0, 1), on average over what it is fitted on.
        class_conditional: Whether that holds for every true label by itself.
        thresholds: One per label, in [0, 1]: a label of this probability (inclusive) is in the set. 0 where there are
            too few items to leave it out.
        item_counts: One per label, at least 0: the independent items that its threshold was fitted on.
    """

    coverage: float
    class_conditional: bool
    thresholds: tuple[float, ...]
    item_counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that are out of range or do not match."""
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must lie in (0, 1), got {self.coverage}")
        if len(self.thresholds) != len(self.item_counts) or len(self.thresholds) < 2:  # noqa: PLR2004
            raise ValueError("a category has two labels or more, each with a threshold and an item count")
        if not all(0 <= each <= 1 for each in self.thresholds) or min(self.item_counts) < 0:
            raise ValueError("a threshold must lie in [0, 1], and no item count below 0")
        if not self.class_conditional and len(set(zip(self.thresholds, self.item_counts, strict=True))) != 1:
            raise ValueError("thresholds differ, but are not class-conditional")

    def labels_in(self, probabilities: Sequence[float]) -> tuple[int, ...]:
        """Returns the indices of the labels in the set, by falling probability: the first is the answer.

        Args:
            probabilities: One per label, calibrated. If one is NaN, nothing is known and all labels are in the set.
        """
        ranking = sorted(enumerate(probabilities), key=_probability, reverse=True)
        if any(math.isnan(each) for each in probabilities):
            return tuple(range(len(self.thresholds)))
        first, *others = ranking
        return (first[0], *(label for label, probability in others if probability >= self.thresholds[label]))

    def membership(self, probabilities: DoubleArray) -> BoolArray:
        """Returns what `labels_in` does for many items.

        Args:
            probabilities: [item_count, label_count] float64. Calibrated, in [0, 1].

        Returns:
            [item_count, label_count] bool.
        """
        inside: BoolArray = probabilities >= np.array(self.thresholds)
        inside[np.arange(len(inside)), probabilities.argmax(axis=1)] = True
        inside[np.isnan(probabilities).any(axis=1)] = True
        return inside

    def coverage_range(self, label: int) -> tuple[float, float]:
        """Returns where the coverage that this fit really has lies in 95 of 100 fits; see `coverage_range`.

        Args:
            label: The index of the true label; all labels have the same range unless the sets are class-conditional.
        """
        return coverage_range(self.item_counts[label], self.coverage)


class Verdict(enum.Enum):
    """What is said of an attribute at a stated error rate."""

    PRESENT = "present"
    ABSENT = "absent"
    UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class AttributeVerdicts:
    """Says of each attribute whether it is present, absent, or that nobody can tell at this error rate.

    Attributes:
        error_rate: Of the items that have an attribute, at most this share is called absent; of those that have it
            not, at most this share is called present. In (0, 1).
        absent_below: One per attribute, in [0, 0.5]: a lower probability is called absent. 0: never.
        present_above: One per attribute, in [0.5, 1] but for rounding: a higher probability is called
            present. 1: never.
        present_counts: One per attribute, at least 0: the independent items that have it.
        absent_counts: One per attribute, at least 0: the independent items that have it not.
    """

    error_rate: float
    absent_below: tuple[float, ...]
    present_above: tuple[float, ...]
    present_counts: tuple[int, ...]
    absent_counts: tuple[int, ...]

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that are out of range or do not match."""
        if not 0 < self.error_rate < 1:
            raise ValueError(f"error_rate must lie in (0, 1), got {self.error_rate}")
        parts = (self.absent_below, self.present_above, self.present_counts, self.absent_counts)
        if len({len(each) for each in parts}) != 1 or not self.absent_below:
            raise ValueError("each attribute has two thresholds and two item counts")
        if not all(0 <= each <= _HALF for each in self.absent_below):
            raise ValueError("absent_below must lie in [0, 0.5]")
        if not all(_BELOW_HALF <= each <= 1 for each in self.present_above):
            raise ValueError("present_above must lie in [0.5, 1]")
        if min(*self.present_counts, *self.absent_counts) < 0:
            raise ValueError("no item count may lie below 0")

    def verdicts(self, probabilities: Sequence[float]) -> tuple[Verdict, ...]:
        """Returns one verdict per attribute.

        Args:
            probabilities: One per attribute: the calibrated probability that it is present. Of a NaN, unsure.
        """
        return tuple(
            Verdict.ABSENT if each < low else Verdict.PRESENT if each > high else Verdict.UNSURE
            for each, low, high in zip(probabilities, self.absent_below, self.present_above, strict=True)
        )


def fit_prediction_sets(
    probabilities: DoubleArray, labels: LabelArray, *, coverage: float = 0.9, groups: LabelArray | None = None
) -> PredictionSets:
    """Fits sets for every true label by itself where each has `LEAST_LABELS_PER_CLASS` items, else for all together.

    Arguments and errors are those of `fit_marginal_sets`.
    """
    places = _checked(probabilities, labels, coverage, groups)
    counts = np.bincount(labels[places], minlength=probabilities.shape[1])
    fit = fit_class_conditional_sets if counts.min() >= LEAST_LABELS_PER_CLASS else fit_marginal_sets
    return fit(probabilities, labels, coverage=coverage, groups=groups)


def fit_marginal_sets(
    probabilities: DoubleArray, labels: LabelArray, *, coverage: float = 0.9, groups: LabelArray | None = None
) -> PredictionSets:
    """Fits sets that hold the true label with this chance, averaged over all labels: the smallest.

    Args:
        probabilities: [item_count, label_count] float64 in [0, 1]. Calibrated.
        labels: [item_count] int64 indices of the true labels.
        coverage: In (0, 1).
        groups: [item_count] int64. Items of one group may depend on each other: the first of each is counted. None: all
            are independent.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a probability or label is out of range.
    """
    places = _checked(probabilities, labels, coverage, groups)
    threshold = _least_of_covered(_true_scores(probabilities, labels)[places], coverage)
    label_count = probabilities.shape[1]
    return PredictionSets(coverage, False, (threshold,) * label_count, (len(places),) * label_count)


def fit_class_conditional_sets(
    probabilities: DoubleArray, labels: LabelArray, *, coverage: float = 0.9, groups: LabelArray | None = None
) -> PredictionSets:
    """Fits sets that hold the true label with this chance whichever it is.

    A label with fewer than `coverage / (1 - coverage)` items is in every set. Arguments and errors are those of
    `fit_marginal_sets`.
    """
    places = _checked(probabilities, labels, coverage, groups)
    scores, kept = _true_scores(probabilities, labels)[places], labels[places]
    by_label = [scores[kept == each] for each in range(probabilities.shape[1])]
    thresholds = tuple(_least_of_covered(each, coverage) for each in by_label)
    return PredictionSets(coverage, True, thresholds, tuple(len(each) for each in by_label))


def fit_attribute_verdicts(
    probabilities: DoubleArray, labels: LabelArray, *, error_rate: float = 0.05, groups: LabelArray | None = None
) -> AttributeVerdicts:
    """Fits when to call an attribute present or absent.

    Args:
        probabilities: [item_count, attribute_count] float64 in [0, 1]. Calibrated: that the attribute is present.
        labels: [item_count, attribute_count] int64. 1: present, 0: absent, below 0: nobody knows.
        error_rate: In (0, 1).
        groups: As in `fit_marginal_sets`; the first item of a group whose label is known is counted.

    Raises:
        CalibrationDataError: Shapes do not match, no item is there, or a probability is out of range.
    """
    check_probabilities(probabilities, dimensions=2)
    independent_items(len(probabilities), groups)
    if labels.shape != probabilities.shape or labels.size == 0 or labels.max() > 1 or not 0 < error_rate < 1:
        raise CalibrationDataError("each probability needs a label of at most 1, and the error rate lies in (0, 1)")
    columns = []
    for column in range(labels.shape[1]):
        known = np.flatnonzero(labels[:, column] >= 0)
        places = (
            known[independent_items(len(known), None if groups is None else groups[known])] if len(known) else known
        )
        there = labels[places, column] == 1
        present, absent = probabilities[places[there], column], probabilities[places[~there], column]
        least = _least_of_covered(np.where(present >= _HALF, 1.0, present), 1.0 - error_rate)
        most = -_least_of_covered(np.where(absent < _HALF, 0.0, -absent), 1.0 - error_rate, otherwise=-1.0)
        columns.append((min(least, _HALF), max(most, _BELOW_HALF), len(present), len(absent)))
    return AttributeVerdicts(error_rate, *zip(*columns, strict=True))


def conformal_rank(item_count: int, coverage: float) -> int:
    """Returns how many of the calibration items must be covered so that the item to come is, with this chance.

    More than `item_count` where there are too few items to leave anything out.
    """
    # 90 % of 9 + 1 items are 9, not the 9.000000000000002 that rounding may make of it.
    return math.ceil((item_count + 1) * coverage - 1e-9)


def coverage_range(item_count: int, coverage: float) -> tuple[float, float]:
    """Returns where the coverage that a fit really has lies in 95 of 100 fits.

    A coverage is kept on average over fits; the one fit at hand has a coverage of its own, which follows a beta
    distribution (Vovk, "Conditional validity of inductive conformal predictors", 2012). Equal scores only raise it,
    such as those of answers where the model is right more often than the coverage asks.

    Args:
        item_count: The independent items that it was fitted on, at least 0.
        coverage: The target, in (0, 1).
    """
    rank = conformal_rank(item_count, coverage)
    if rank > item_count:
        return 1.0, 1.0
    ranks, counts = np.array([rank]), np.array([item_count])
    low = clopper_pearson_low(ranks, counts, error=_RANGE_ERROR)
    return float(low[0]), float(clopper_pearson_high(ranks - 1, counts, error=_RANGE_ERROR)[0])


def _true_scores(probabilities: DoubleArray, labels: LabelArray) -> DoubleArray:
    """Returns [item_count] float64: the probability of the true label, or 1 where it is the answer.

    The answer is always in the set. To score it as such keeps the sets as small as that allows.
    """
    scores: DoubleArray = probabilities[np.arange(len(labels)), labels]
    return np.where(probabilities.argmax(axis=1) == labels, 1.0, scores)


def _least_of_covered(scores: DoubleArray, coverage: float, *, otherwise: float = 0.0) -> float:
    """Returns the lowest score that must be covered; `otherwise` if there are too few."""
    rank = conformal_rank(len(scores), coverage)
    return otherwise if rank > len(scores) else float(np.sort(scores)[len(scores) - rank])


def _checked(
    probabilities: DoubleArray, labels: LabelArray, coverage: float, groups: LabelArray | None
) -> npt.NDArray[np.intp]:
    check_probabilities(probabilities, dimensions=2)
    places = independent_items(len(probabilities), groups)
    if labels.shape != probabilities.shape[:1]:
        raise CalibrationDataError(f"labels {labels.shape} do not match probabilities {probabilities.shape}")
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise CalibrationDataError("a label is not an index of the probabilities")
    if not 0 < coverage < 1:
        raise CalibrationDataError(f"coverage must lie in (0, 1), got {coverage}")
    return places

"""Fits and measures what vouches for confidences: bands and prediction sets, on photos that no map was fitted on.

Few labels may be kept from the maps, so maps and bands share them by cross-fitting: each photo's probabilities come
from maps that were fitted on the other folds. Vovk, "Cross-conformal predictors", 2015.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import betabinom

from build_engines.checkpoint import HeldOutPhotos
from server.domain.assurance import Assurance, AttributesAssurance, CategoryAssurance
from server.domain.bands import ConfidenceBand, fit_pointwise_band
from server.domain.binomial import clopper_pearson_high, clopper_pearson_low
from server.domain.conformal import PredictionSets, conformal_rank, fit_prediction_sets
from server.domain.labelled_items import first_of_each_group
from server.domain.task import Head, HeadKind, Task

BAND_COVERAGE = 0.95
SET_COVERAGE = 0.90
_QUARTERS = 4
_INTERVAL_ERROR = 0.05

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class QuarterMetrics:
    """A quarter of the test items, by confidence.

    Attributes:
        count: Its items.
        hit_low: Lower end of the interval of the share that was borne out; 95 % over all quarters together.
        hit_high: Upper end.
        band_low: The band's mean lower bound.
        band_high: Its mean upper bound.
    """

    count: int
    hit_low: float
    hit_high: float
    band_low: float
    band_high: float

    @property
    def is_held(self) -> bool:
        """Whether what was seen can be what the band says."""
        return self.hit_high >= self.band_low and self.hit_low <= self.band_high


@dataclass(frozen=True, slots=True)
class AssuranceMetrics:
    """What vouches for one question, on one photo a specimen of val_test.

    Attributes:
        question: The head's id or `<head>.<attribute>`.
        band_width: Mean width of the band.
        quarters: From the least to the most confident.
        set_target: The coverage that sets promise; None for attributes.
        set_coverage: The share of sets that hold the true label.
        set_low: Lower end of its 95 % interval.
        set_high: Upper end.
        set_least: The lowest share that sets of the promised coverage show but by a chance of 2.5 %, of which photos
            they were fitted on and of which ones they are measured on.
        set_size: Mean number of labels in a set.
    """

    question: str
    band_width: float
    quarters: tuple[QuarterMetrics, ...]
    set_target: float | None = None
    set_coverage: float = 0.0
    set_low: float = 0.0
    set_high: float = 0.0
    set_least: float = 0.0
    set_size: float = 0.0

    @property
    def sets_hold(self) -> bool:
        """Whether what was seen can be what the sets promise."""
        return self.set_target is None or self.set_coverage >= self.set_least


def fit_assurances(
    task: Task,
    unseen: Mapping[str, DoubleArray],
    photos: HeldOutPhotos,
    *,
    seen_by_deciders: BoolArray | None = None,
) -> dict[str, Assurance]:
    """Fits bands and sets for every head.

    Args:
        task: The taxonomy.
        unseen: By head id, [photo_count, label_count] float64. Calibrated by maps that were not fitted on the photo.
        photos: With their labels.
        seen_by_deciders: [photo_count] bool. Photos that do not vouch for decision heads.

    Raises:
        CalibrationDataError: A head has no labelled photo.
    """
    assurances: dict[str, Assurance] = {}
    for head in task.heads:
        vouching = np.ones(len(photos.groups), dtype=bool)
        if seen_by_deciders is not None and head.id in task.decision_heads:
            vouching = ~seen_by_deciders
        probabilities, labels, groups = _items(head, unseen[head.id][vouching], photos.taken(vouching))
        if head.kind is HeadKind.ATTRIBUTES:
            columns = zip(probabilities.T, (labels == 1).T, strict=True)
            assurances[head.id] = AttributesAssurance(
                tuple(fit_pointwise_band(*each, coverage=BAND_COVERAGE, groups=groups) for each in columns)
            )
        else:
            right = probabilities.argmax(axis=1) == labels
            assurances[head.id] = CategoryAssurance(
                fit_pointwise_band(probabilities.max(axis=1), right, coverage=BAND_COVERAGE, groups=groups),
                fit_prediction_sets(probabilities, labels, coverage=SET_COVERAGE, groups=groups),
            )
    return assurances


def measure_assurances(
    task: Task, served: Mapping[str, DoubleArray], assurances: Mapping[str, Assurance], photos: HeldOutPhotos
) -> tuple[AssuranceMetrics, ...]:
    """Measures bands and sets on val_test, question by question, in the task's order.

    Args:
        task: The taxonomy.
        served: By head id, [photo_count, label_count] float64 probabilities.
        assurances: By head id, what vouches for them.
        photos: With their labels.
    """
    measured: list[AssuranceMetrics] = []
    for head in task.heads:
        probabilities, labels, groups = _items(head, served[head.id], photos)
        first = first_of_each_group(groups)
        probabilities, labels = probabilities[first], labels[first]
        match assurances[head.id]:
            case AttributesAssurance(bands):
                columns = zip(head.labels, bands, probabilities.T, (labels == 1).T, strict=True)
                measured += [_measure_band(f"{head.id}.{label}", *each) for label, *each in columns]
            case CategoryAssurance(band, sets):
                confidences, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
                plain = _measure_band(head.id, band, confidences, right)
                inside = sets.membership(probabilities)
                held = inside[np.arange(len(labels)), labels]
                low, high = _interval(held, error=_INTERVAL_ERROR)
                measured.append(
                    AssuranceMetrics(
                        plain.question,
                        plain.band_width,
                        plain.quarters,
                        set_target=sets.coverage,
                        set_coverage=float(held.mean()),
                        set_low=low,
                        set_high=high,
                        set_least=least_coverage(sets, labels),
                        set_size=float(inside.sum(axis=1).mean()),
                    )
                )
    return tuple(measured)


def least_coverage(sets: PredictionSets, labels: npt.NDArray[np.int64]) -> float:
    """Returns the share of test items that sets of the promised coverage hold at the least, but by a chance of 2.5 %.

    The coverage of a threshold is itself drawn with the items that it was fitted on: a Beta distribution (Vovk,
    "Conditional validity of inductive conformal predictors", 2012). So the hits of a label are Beta-binomial.

    Args:
        sets: Fitted.
        labels: [item_count] int64. The true ones of the test items.
    """
    of_label = np.bincount(labels, minlength=len(sets.item_counts)).tolist()
    parts = list(zip(sets.item_counts, of_label, strict=True))
    chances = np.ones(1)
    for fitted, count in parts if sets.class_conditional else [(sets.item_counts[0], len(labels))]:
        rank = conformal_rank(fitted, sets.coverage)
        # With too few items nothing is left out: every set holds every label.
        hits = betabinom(count, rank, fitted + 1 - rank).pmf(np.arange(count + 1)) if rank <= fitted else None
        chances = np.convolve(chances, np.eye(1, count + 1, count)[0] if hits is None else hits)
    return float(np.searchsorted(np.cumsum(chances), _INTERVAL_ERROR / 2) / max(len(labels), 1))


def _items(
    head: Head, probabilities: DoubleArray, photos: HeldOutPhotos
) -> tuple[DoubleArray, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Returns probabilities, labels and specimens of the photos that have a label of the head."""
    labels = photos.labels[head.id]
    known = labels >= 0 if head.kind is HeadKind.CATEGORY else (labels >= 0).all(axis=1)
    return probabilities[known], labels[known], photos.groups[known]


def _measure_band(question: str, band: ConfidenceBand, confidences: DoubleArray, hits: BoolArray) -> AssuranceMetrics:
    bounds = np.array([band.interval(each) for each in confidences.tolist()])
    order = np.argsort(confidences, kind="stable")
    quarters = []
    for part in np.array_split(order, _QUARTERS):
        low, high = _interval(hits[part], error=_INTERVAL_ERROR / _QUARTERS)
        band_low, band_high = bounds[part].mean(axis=0).tolist()
        quarters.append(QuarterMetrics(len(part), low, high, band_low, band_high))
    return AssuranceMetrics(question, float((bounds[:, 1] - bounds[:, 0]).mean()), tuple(quarters))


def _interval(hits: BoolArray, *, error: float) -> tuple[float, float]:
    """Returns the exact interval of the share of hits (Clopper and Pearson, 1934)."""
    count, of = np.array([int(hits.sum())]), np.array([len(hits)])
    return (
        float(clopper_pearson_low(count, of, error=error / 2)[0]),
        float(clopper_pearson_high(count, of, error=error / 2)[0]),
    )

"""How right one head is: figures with intervals by group, per-label figures, a confusion matrix, honesty."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from server.domain.labelled_items import first_of_each_group
from server.domain.metrics.binned import calibration_error
from server.domain.metrics.noise_floor import calibration_noise_floor
from server.domain.metrics.reliability import ReliabilityBin, reliability_bins, wilson_interval
from server.domain.task import Head, HeadKind
from training.confusion import accuracy_of, macro_f1_of, mcc_of
from training.evaluate import best_accuracy
from training.group_bootstrap import UNDEFINED, Estimate, FloatArray, IndexArray, estimate
from training.photo_data import PhotoSplit
from training.report.answers import Answers, groups_of

_SEED = 0


@dataclass(frozen=True, slots=True)
class LabelScore:
    """One label of a head.

    Attributes:
        label: Its name.
        support: Photos that have it.
        precision: Of the photos that were given the label, the share that has it.
        recall: Of the photos that have the label, the share that was given it.
    """

    label: str
    support: int
    precision: Estimate
    recall: Estimate


@dataclass(frozen=True, slots=True)
class Honesty:
    """How far uncalibrated confidences mean what they say, on one photo of each specimen.

    Attributes:
        bins: The reliability diagram.
        calibration_error: ECE over 15 bins, in [0, 1].
        noise_floor: What it stays below for perfect confidences, 95 times of 100.
    """

    bins: tuple[ReliabilityBin, ...]
    calibration_error: float
    noise_floor: float


@dataclass(frozen=True, slots=True)
class HeadScores:
    """One head on one split.

    Attributes:
        head: The head.
        photo_count: Photos that have a label of it.
        accuracy: Of a category, the share of right answers; of attributes, the mean over labels.
        macro_f1: The mean over labels.
        mcc: Matthews correlation; of attributes, the mean over labels.
        best_accuracy: Of one who knows the posteriors; None if the dataset has none.
        labels: In the head's order.
        confusion: [label_count, label_count] int64, truth in rows, of a category; None for attributes.
        honesty: None without a labelled photo.
    """

    head: Head
    photo_count: int
    accuracy: Estimate
    macro_f1: Estimate
    mcc: Estimate
    best_accuracy: float | None
    labels: tuple[LabelScore, ...]
    confusion: IndexArray | None
    honesty: Honesty | None


@dataclass(frozen=True, slots=True)
class Items:
    """The yes-or-no outcomes of a head: one a photo of a category, one a photo and label of attributes.

    Attributes:
        confidences: [item_count] float64. Of the answer that was given, in [0, 1].
        hits: [item_count] bool. Whether it is right.
        photos: [item_count] int64. The photo of each.
    """

    confidences: FloatArray
    hits: npt.NDArray[np.bool_]
    photos: IndexArray


def answered_items(head: Head, answers: Answers, split: PhotoSplit) -> Items:
    """Returns what was answered of the photos that have a label, and whether it is right."""
    chances, truth = answers.probabilities(head), split.labels[head.id]
    if head.kind is HeadKind.CATEGORY:
        known = np.flatnonzero(truth >= 0)
        right = chances[known].argmax(axis=1) == truth[known]
        return Items(chances[known].max(axis=1), right, known)
    photos, labels = np.nonzero(truth >= 0)
    said = chances[photos, labels]
    return Items(np.maximum(said, 1 - said), (said > 0.5) == (truth[photos, labels] > 0), photos)  # noqa: PLR2004


def score_head(head: Head, answers: Answers, split: PhotoSplit) -> HeadScores:
    """Scores one head.

    Args:
        head: The head.
        answers: Of the split's photos, in their order.
        split: The photos and their labels.
    """
    groups = groups_of(split)
    tables = _photo_tables(head, answers, split)
    by_group = np.zeros((int(groups.max()) + 1, *tables.shape[1:]))
    np.add.at(by_group, groups, tables)

    def interval(metric: Callable[[FloatArray], float]) -> Estimate:
        # Drawing sums of whole groups costs far less than drawing their photos.
        each = np.arange(len(by_group))
        return estimate(lambda weights: metric(np.tensordot(weights, by_group, axes=1)), each, seed=_SEED)

    is_category = head.kind is HeadKind.CATEGORY
    known = (split.labels[head.id].reshape(len(split), -1) >= 0).any(axis=1)
    return HeadScores(
        head=head,
        photo_count=int(known.sum()),
        accuracy=interval(accuracy_of),
        macro_f1=interval(partial(macro_f1_of, of_present=not is_category)),
        mcc=interval(mcc_of),
        best_accuracy=best_accuracy(head, split),
        labels=tuple(_label_score(head, place, answers, split, groups) for place in range(len(head.labels))),
        confusion=tables.sum(axis=0)[0].astype(np.int64) if is_category else None,
        honesty=_honesty(head, answers, split, groups),
    )


def _photo_tables(head: Head, answers: Answers, split: PhotoSplit) -> FloatArray:
    """Returns [photo_count, table_count, side, side] float64: each photo's entry in confusion tables, truth in rows.

    One table of all labels for a category; for attributes one a label, absent before present.
    """
    chances, truth = answers.probabilities(head), split.labels[head.id].astype(np.int64)
    if head.kind is HeadKind.CATEGORY:
        tables = np.zeros((len(truth), 1, len(head.labels), len(head.labels)))
        known = np.flatnonzero(truth >= 0)
        tables[known, 0, truth[known], chances[known].argmax(axis=1)] = 1
        return tables
    tables = np.zeros((len(truth), len(head.labels), 2, 2))
    photos, labels = np.nonzero(truth >= 0)
    said = (chances[photos, labels] > 0.5).astype(np.int64)  # noqa: PLR2004
    tables[photos, labels, truth[photos, labels], said] = 1
    return tables


def _label_score(head: Head, place: int, answers: Answers, split: PhotoSplit, groups: IndexArray) -> LabelScore:
    chances, truth = answers.probabilities(head), split.labels[head.id]
    if head.kind is HeadKind.CATEGORY:
        known = truth >= 0
        has, given = truth == place, chances.argmax(axis=1) == place
    else:
        known = truth[:, place] >= 0
        has, given = truth[:, place] > 0, chances[:, place] > 0.5  # noqa: PLR2004
    return LabelScore(
        head.labels[place],
        int(has.sum()),
        precision=_share(has[given & known], groups[given & known]),
        recall=_share(given[has], groups[has]),
    )


def _share(hits: npt.NDArray[np.bool_], groups: IndexArray) -> Estimate:
    """Returns a share with a Wilson interval that counts specimens, not photos: safe even where all hits agree."""
    if len(hits) == 0:
        return UNDEFINED
    value, specimens = float(hits.mean()), len(np.unique(groups))
    ends = [wilson_interval(hit_count, specimens) for hit_count in _neighbours(value * specimens)]
    return Estimate(value, min(low for low, _ in ends), max(high for _, high in ends))


def _neighbours(hits: float) -> tuple[int, int]:
    """Returns the whole numbers of hits about a share of hits."""
    return int(np.floor(hits + 1e-9)), int(np.ceil(hits - 1e-9))


def _honesty(head: Head, answers: Answers, split: PhotoSplit, groups: IndexArray) -> Honesty | None:
    items = answered_items(head, answers, split)
    chosen = np.isin(items.photos, first_of_each_group(groups))
    confidences, hits = items.confidences[chosen], items.hits[chosen]
    if len(hits) == 0:
        return None
    return Honesty(
        reliability_bins(confidences, hits),
        calibration_error(confidences, hits),
        calibration_noise_floor(confidences, seed=_SEED),
    )

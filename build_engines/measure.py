"""Measures calibrated answers on held-out photos, question by question. Judges nothing; see `gates`.

A question is a category head, one attribute, or all attributes of a head pooled. Its
confidence is what is served: of the answer for a category, of presence for an attribute.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.metrics import matthews_corrcoef

from build_engines.checkpoint import HeldOutPhotos
from server.domain.metrics.binned import calibration_error
from server.domain.metrics.noise_floor import calibration_noise_floor
from server.domain.metrics.reliability import CalibrationGap, ReliabilityBin, calibration_gap, reliability_bins
from server.domain.task import Head, HeadKind, Task

NOISE_FLOOR_SEED = 20_250_105
NOISE_FLOOR_DRAWS = 2_000
_CHANCE = 0.05
"""That a perfectly calibrated head fails."""

DoubleArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class QuestionMetrics:
    """How well, and how honestly, one question is answered.

    Attributes:
        question: The head's id, `<head>.<attribute>` or, pooled, the head's id.
        photo_count: Labelled photos.
        specimen_count: Labelled specimens: only so many items are independent.
        accuracy: The share of right answers, over all photos.
        best_accuracy: What no model could exceed; None if not known.
        log_loss: Mean negative log-likelihood of the labels, over all photos.
        calibration_error: ECE15 over one photo a specimen.
        noise_floor: What a perfectly calibrated model would stay below on the same items, with probability
            `noise_floor_share`.
        noise_floor_share: 0.95 for heads; nearer to 1 for single attributes, and for parts of the answers, which are
            many.
        gap: Mean confidence in the answer minus accuracy, over all photos, grouped by specimen.
        bins: The reliability diagram, over one photo a specimen.
        mcc: Matthews correlation of a category head's answers, over all photos; None for attributes.
    """

    question: str
    photo_count: int
    specimen_count: int
    accuracy: float
    best_accuracy: float | None
    log_loss: float
    calibration_error: float
    noise_floor: float
    noise_floor_share: float
    gap: CalibrationGap
    bins: tuple[ReliabilityBin, ...]
    mcc: float | None = None


@dataclass(frozen=True, slots=True)
class HeadMetrics:
    """One head.

    Attributes:
        head: Its id.
        whole: The head; all attributes pooled for an attributes head.
        attributes: By attribute, empty for a category head.
    """

    head: str
    whole: QuestionMetrics
    attributes: dict[str, QuestionMetrics]


@dataclass(frozen=True, slots=True)
class _Items:
    """The labelled items of a question, one row each.

    Attributes:
        served: [item_count] float64. The confidence that is served.
        borne_out: [item_count] bool. Whether it was borne out.
        answered: [item_count] float64. The confidence in the answer.
        right: [item_count] bool. Whether the answer is right.
        likelihood: [item_count] float64. The probability that was given to the label.
        groups: [item_count] int64. The specimen.
        leads: [item_count] bool. Whether it is of the first photo of its specimen.
    """

    served: DoubleArray
    borne_out: BoolArray
    answered: DoubleArray
    right: BoolArray
    likelihood: DoubleArray
    groups: npt.NDArray[np.int64]
    leads: BoolArray


def measure(
    task: Task, probabilities: Mapping[str, DoubleArray], photos: HeldOutPhotos, *, parts: int = 1
) -> tuple[HeadMetrics, ...]:
    """Measures every head, in the task's order.

    Args:
        task: The taxonomy.
        probabilities: By head id, [photo_count, label_count] float64: as served.
        photos: With their labels.
        parts: Into so many the answers were divided, to be judged part by part; at least 1. All parts together then
            fail by chance as seldom as one that is judged alone.
    """
    return tuple(_measure_head(head, probabilities[head.id], photos, chance=_CHANCE / parts) for head in task.heads)


def _measure_head(head: Head, probabilities: DoubleArray, photos: HeldOutPhotos, *, chance: float) -> HeadMetrics:
    labels, best = photos.labels[head.id], photos.best_accuracies.get(head.id)
    if head.kind is HeadKind.CATEGORY:
        items = _category_items(probabilities, labels, photos.groups)
        whole = _measure_question(head.id, items, best=best, share=1 - chance)
        known = labels >= 0
        mcc = float(matthews_corrcoef(labels[known], probabilities[known].argmax(axis=1)))
        return HeadMetrics(head.id, replace(whole, mcc=mcc), {})
    columns = [
        _attribute_items(probabilities[:, place], labels[:, place], photos.groups) for place in range(len(head.labels))
    ]
    # Bonferroni: with ten attributes, one of ten may not fail by chance more often than one head.
    share = 1 - chance / len(columns)
    attributes = {
        label: _measure_question(f"{head.id}.{label}", items, best=None, share=share)
        for label, items in zip(head.labels, columns, strict=True)
    }
    return HeadMetrics(head.id, _measure_question(head.id, _pooled(columns), best=best, share=1 - chance), attributes)


def _measure_question(question: str, items: _Items, *, best: float | None, share: float) -> QuestionMetrics:
    served, borne_out = items.served[items.leads], items.borne_out[items.leads]
    return QuestionMetrics(
        question=question,
        photo_count=len(items.served),
        specimen_count=len(np.unique(items.groups)),
        accuracy=float(items.right.mean()),
        best_accuracy=best,
        log_loss=float(-np.log(items.likelihood).mean()),
        calibration_error=calibration_error(served, borne_out),
        noise_floor=calibration_noise_floor(served, seed=NOISE_FLOOR_SEED, share=share, draws=NOISE_FLOOR_DRAWS),
        noise_floor_share=share,
        gap=calibration_gap(items.answered, items.right, groups=items.groups),
        bins=reliability_bins(served, borne_out),
    )


def _category_items(probabilities: DoubleArray, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]) -> _Items:
    known = labels >= 0
    probabilities, labels, groups = probabilities[known], labels[known], groups[known]
    confidences = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    likelihood = probabilities[np.arange(len(labels)), labels]
    return _Items(confidences, right, confidences, right, likelihood, groups, _leads(groups))


def _attribute_items(
    probabilities: DoubleArray, labels: npt.NDArray[np.int64], groups: npt.NDArray[np.int64]
) -> _Items:
    known = labels >= 0
    probabilities, present, groups = probabilities[known], labels[known] == 1, groups[known]
    return _Items(
        served=probabilities,
        borne_out=present,
        answered=np.maximum(probabilities, 1 - probabilities),
        right=(probabilities >= 0.5) == present,  # noqa: PLR2004 -- the middle of [0, 1]
        likelihood=np.where(present, probabilities, 1 - probabilities),
        groups=groups,
        leads=_leads(groups),
    )


def _pooled(columns: list[_Items]) -> _Items:
    """Stacks the items of several attributes; each stays with its specimen."""
    return _Items(
        served=np.concatenate([each.served for each in columns]),
        borne_out=np.concatenate([each.borne_out for each in columns]),
        answered=np.concatenate([each.answered for each in columns]),
        right=np.concatenate([each.right for each in columns]),
        likelihood=np.concatenate([each.likelihood for each in columns]),
        groups=np.concatenate([each.groups for each in columns]),
        leads=np.concatenate([each.leads for each in columns]),
    )


def _leads(groups: npt.NDArray[np.int64]) -> BoolArray:
    """Returns [item_count] bool: True for the first item of each group."""
    leads = np.zeros(len(groups), dtype=bool)
    leads[np.unique(groups, return_index=True)[1]] = True
    return leads

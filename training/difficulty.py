"""How hard the rendered task is, checked from outside.

What a linear model reaches on thumbnails, and what nobody can exceed. No number here depends on a model that the
project trains.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.dataset import PhotoRecord
from training.errors import TooFewPhotosError
from training.linear_baseline import Answers, LinearSample, logistic_predictions, ridge_predictions, sample_photos
from training.task_file import HeadSection, TaskFile

FEWEST_TRAINING_PHOTOS = 6_000
MOST_PHOTOS = 9_600
LINEAR_LIMIT = 0.70
"""Highest accuracy on the gated head that leaves the task worth a deep model."""
BEST_POSSIBLE_RANGE = (0.97, 0.99)
GATED_HEAD = "product_type"
_BOOTSTRAPS = 2_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share with its 95 % interval, resampled by specimen."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class QuestionDifficulty:
    """One question: a category head, or one label of an attributes head."""

    head: str
    question: str
    commonest: Estimate
    """Accuracy of always giving the commonest answer."""
    linear: Estimate
    """Accuracy of the best linear model on thumbnails, on specimens that it never saw."""
    best_possible: Estimate
    """Mean of the greatest posterior: what an observer of the latents themselves would reach."""
    linear_limit: float | None
    best_possible_range: tuple[float, float] | None

    @property
    def passed(self) -> bool:
        """Whether the figures lie within the limits; the linear model with the upper end of its interval."""
        if self.linear_limit is not None and self.linear.high > self.linear_limit:
            return False
        if self.best_possible_range is None:
            return True
        least, most = self.best_possible_range
        return least <= self.best_possible.low and self.best_possible.high <= most


@dataclass(frozen=True, slots=True)
class _Question:
    head: HeadSection
    name: str
    answers: Answers


def measure_difficulty(
    task: TaskFile, records: list[PhotoRecord], *, folder: Path, workers: int
) -> list[QuestionDifficulty]:
    """Measures every question of a task on its rendered photos.

    Raises:
        TooFewPhotosError: The dataset is too small for an honest linear model.
    """
    chosen = records[:MOST_PHOTOS]
    sample = sample_photos(
        [folder / record.photo for record in chosen], [record.specimen for record in chosen], workers=workers
    )
    if sample.train.size < FEWEST_TRAINING_PHOTOS:
        raise TooFewPhotosError(folder, found=int(sample.train.size), wanted=FEWEST_TRAINING_PHOTOS, task_id=task.id)
    questions = [question for head in task.heads for question in _questions(head, records=chosen)]
    ridge = ridge_predictions([question.answers for question in questions], sample=sample)
    return [
        _judge(question, predicted=predicted, sample=sample, records=records)
        for question, predicted in zip(questions, ridge, strict=True)
    ]


def _questions(head: HeadSection, *, records: list[PhotoRecord]) -> list[_Question]:
    """Returns one question for a category head, one a label for an attributes head."""
    truth = [record.labels[head.id] for record in records]
    if head.kind == "category":
        return [_Question(head, head.title, np.array([head.labels.index(str(label)) for label in truth]))]
    return [_Question(head, label, np.array([int(label in present) for present in truth])) for label in head.labels]


def _judge(
    question: _Question, *, predicted: Answers, sample: LinearSample, records: list[PhotoRecord]
) -> QuestionDifficulty:
    """Scores one question; on the gated head the better of ridge and logistic regression counts."""
    gated = question.head.id == GATED_HEAD
    linear = _accuracy(predicted, question.answers, sample=sample)
    if gated:
        logistic = _accuracy(logistic_predictions(question.answers, sample=sample), question.answers, sample=sample)
        linear = max(linear, logistic, key=lambda estimate: estimate.value)
    commonest = np.full(sample.test.size, np.bincount(question.answers[sample.train]).argmax())
    return QuestionDifficulty(
        head=question.head.id,
        question=question.name,
        commonest=_accuracy(commonest, question.answers, sample=sample),
        linear=linear,
        best_possible=_best_possible(question.head, question.name, records=records),
        linear_limit=LINEAR_LIMIT if gated else None,
        best_possible_range=BEST_POSSIBLE_RANGE if gated else None,
    )


def _accuracy(predicted: Answers, answers: Answers, *, sample: LinearSample) -> Estimate:
    return _estimate((predicted == answers[sample.test]).astype(np.float64), groups=sample.groups[sample.test])


def _best_possible(head: HeadSection, question: str, *, records: list[PhotoRecord]) -> Estimate:
    _, groups = np.unique([record.specimen for record in records], return_inverse=True)
    posteriors = np.array([record.posteriors[head.id] for record in records])
    if head.kind == "category":
        return _estimate(posteriors.max(axis=1), groups=groups)
    chance = posteriors[:, head.labels.index(question)]
    return _estimate(np.maximum(chance, 1 - chance), groups=groups)


def _estimate(values: NDArray[np.float64], *, groups: NDArray[np.int64]) -> Estimate:
    """Returns the mean of values over photos with a percentile interval of the bootstrap over specimens."""
    _, members = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(members, weights=values), np.bincount(members)
    rng = np.random.default_rng(0)
    means = []
    for _ in range(_BOOTSTRAPS):
        drawn = rng.integers(sums.size, size=sums.size)
        means.append(sums[drawn].sum() / counts[drawn].sum())
    low, high = np.quantile(means, (0.025, 0.975))
    return Estimate(value=float(values.mean()), low=float(low), high=float(high))

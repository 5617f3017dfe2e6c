"""How hard the rendered task is, checked from outside.

What a linear model reaches on thumbnails, and what nobody can exceed. No number here depends on a model that the
project trains.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifierCV
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

from server.imaging import prepare
from training.dataset import PhotoRecord
from training.errors import TooFewPhotosError
from training.task_file import HeadSection, TaskFile

THUMBNAIL_PX = 32
FEWEST_TRAINING_PHOTOS = 6_000
MOST_PHOTOS = 9_600
LINEAR_LIMIT = 0.70
"""Highest accuracy on the gated head that leaves the task worth a deep model."""
BEST_POSSIBLE_RANGE = (0.97, 0.99)
GATED_HEAD = "product_type"
_RIDGE_PENALTIES = tuple(10.0**power for power in range(1, 7))
_LOGISTIC_COSTS = (1e-5, 1e-4, 1e-3, 1e-2)
_BOOTSTRAPS = 2_000

Floats = NDArray[np.float32]


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
class _Sample:
    """Photos reduced to features, with the groups they may not be parted from."""

    features: Floats
    """[photo, 3 * THUMBNAIL_PX ** 2] float32. Standardised on the training part."""
    groups: NDArray[np.int64]
    """[photo] int64. Number of the specimen."""
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def measure_difficulty(
    task: TaskFile, records: list[PhotoRecord], *, folder: Path, workers: int
) -> list[QuestionDifficulty]:
    """Measures every question of a task on its rendered photos.

    Raises:
        TooFewPhotosError: The dataset is too small for an honest linear model.
    """
    chosen = records[:MOST_PHOTOS]
    sample = _sample(chosen, folder=folder, workers=workers)
    if sample.train.size < FEWEST_TRAINING_PHOTOS:
        raise TooFewPhotosError(folder, found=int(sample.train.size), wanted=FEWEST_TRAINING_PHOTOS, task_id=task.id)
    questions = []
    for head in task.heads:
        gated = head.id == GATED_HEAD
        for question, answers in _answers(head, records=chosen):
            questions.append(
                QuestionDifficulty(
                    head=head.id,
                    question=question,
                    commonest=_commonest_accuracy(answers, sample=sample),
                    linear=_linear_accuracy(answers, sample=sample, with_logistic=gated),
                    best_possible=_best_possible(head, question, records=records),
                    linear_limit=LINEAR_LIMIT if gated else None,
                    best_possible_range=BEST_POSSIBLE_RANGE if gated else None,
                )
            )
    return questions


def _sample(records: list[PhotoRecord], *, folder: Path, workers: int) -> _Sample:
    paths = [folder / record.photo for record in records]
    with ProcessPoolExecutor(max_workers=workers, mp_context=get_context("spawn")) as pool:
        thumbnails = np.stack(list(pool.map(thumbnail, paths, chunksize=64)))
    _, groups = np.unique([record.specimen for record in records], return_inverse=True)
    train, test = next(GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=0).split(thumbnails, groups=groups))
    scaler = StandardScaler().fit(thumbnails[train])
    return _Sample(features=scaler.transform(thumbnails).astype(np.float32), groups=groups, train=train, test=test)


def thumbnail(path: Path) -> Floats:
    """Returns one photo as `[3 * THUMBNAIL_PX ** 2] float32`, 0 to 1, by the very preprocessing that serves."""
    return prepare(path.read_bytes(), size_px=THUMBNAIL_PX).reshape(-1).astype(np.float32) / np.float32(255)


def _answers(head: HeadSection, *, records: list[PhotoRecord]) -> list[tuple[str, NDArray[np.int64]]]:
    """Returns (question, `[photo] int64` answers) of a head: one for a category, one a label for attributes."""
    if head.kind == "category":
        return [(head.title, np.array([head.labels.index(str(record.labels[head.id])) for record in records]))]
    return [(label, np.array([int(label in record.labels[head.id]) for record in records])) for label in head.labels]


def _linear_accuracy(answers: NDArray[np.int64], *, sample: _Sample, with_logistic: bool) -> Estimate:
    """Returns the accuracy of the better linear model: penalties by cross-validation, scored on unseen specimens."""
    features, target = sample.features[sample.train], answers[sample.train]
    ridge = RidgeClassifierCV(alphas=_RIDGE_PENALTIES).fit(features, target)
    estimates = [_accuracy(ridge.predict(sample.features[sample.test]), answers, sample=sample)]
    if with_logistic:
        logistic = _cross_validated_logistic(features, target, groups=sample.groups[sample.train])
        estimates.append(_accuracy(logistic.predict(sample.features[sample.test]), answers, sample=sample))
    return max(estimates, key=lambda estimate: estimate.value)


def _cross_validated_logistic(
    features: Floats, target: NDArray[np.int64], *, groups: NDArray[np.int64]
) -> LogisticRegression:
    """Chooses the cost by three folds of whole specimens, then fits on all."""
    folds = list(GroupKFold(n_splits=3).split(features, groups=groups))

    def score(cost: float) -> float:
        fits = (
            _logistic(cost).fit(features[fit], target[fit]).score(features[held], target[held]) for fit, held in folds
        )
        return float(np.mean(list(fits)))

    return _logistic(max(_LOGISTIC_COSTS, key=score)).fit(features, target)


def _logistic(cost: float) -> LogisticRegression:
    return LogisticRegression(C=cost, max_iter=200)


def _commonest_accuracy(answers: NDArray[np.int64], *, sample: _Sample) -> Estimate:
    commonest = np.bincount(answers[sample.train]).argmax()
    return _accuracy(np.full(sample.test.size, commonest), answers, sample=sample)


def _accuracy(predicted: NDArray[np.int64], answers: NDArray[np.int64], *, sample: _Sample) -> Estimate:
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

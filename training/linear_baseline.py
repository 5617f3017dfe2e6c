"""The linear models against which a task's difficulty is judged: ridge and logistic regression on small thumbnails.

They are meant to be as good as linear models get: standardised pixels, penalties chosen by cross-validation over whole
specimens. Made by scikit-learn, so that the yardstick is not ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GroupKFold, GroupShuffleSplit
from sklearn.preprocessing import StandardScaler

from server.imaging import prepare
from training.workers import worker_pool

THUMBNAIL_PX = 32
_TEST_SHARE = 0.25
_FOLDS = 3
_RIDGE_PENALTIES = (1e2, 1e3, 1e4, 3e4, 1e5)
_LOGISTIC_COSTS = (1e-5, 1e-4, 1e-3)
_MOST_STEPS = 1_000
"""Of the logistic regression's solver: enough for it to end by itself."""

Floats = NDArray[np.float32]
Answers = NDArray[np.int64]
"""[photo_count] int64. Number of the right answer to one question."""


@dataclass(frozen=True, slots=True)
class LinearSample:
    """Photos reduced to features, parted by specimen."""

    features: Floats
    """[photo_count, 3 * THUMBNAIL_PX ** 2] float32. Standardised on the training part."""
    groups: NDArray[np.int64]
    """[photo_count] int64. Number of the specimen."""
    train: NDArray[np.int64]
    """Rows to fit on."""
    test: NDArray[np.int64]
    """Rows to score on."""

    def folds(self) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Returns (rows to fit on, rows held out) within the training part; no specimen is in both."""
        splitter = GroupKFold(n_splits=_FOLDS)
        parts = splitter.split(self.train, groups=self.groups[self.train])
        return [(self.train[fit], self.train[held]) for fit, held in parts]


def thumbnail(path: Path) -> Floats:
    """Returns one photo as `[3 * THUMBNAIL_PX ** 2] float32`, 0 to 1, by the very preprocessing that serves."""
    return prepare(path.read_bytes(), size_px=THUMBNAIL_PX).reshape(-1).astype(np.float32) / np.float32(255)


def sample_photos(photos: Sequence[Path], specimens: Sequence[str], *, workers: int) -> LinearSample:
    """Reads photos into features, a quarter of the specimens held out for scoring."""
    with worker_pool(workers) as pool:
        thumbnails = np.stack(list(pool.map(thumbnail, photos, chunksize=64)))
    _, groups = np.unique(specimens, return_inverse=True)
    splitter = GroupShuffleSplit(n_splits=1, test_size=_TEST_SHARE, random_state=0)
    train, test = next(splitter.split(thumbnails, groups=groups))
    features = StandardScaler().fit(thumbnails[train]).transform(thumbnails).astype(np.float32)
    return LinearSample(features=features, groups=groups, train=train, test=test)


def ridge_predictions(questions: Sequence[Answers], *, sample: LinearSample) -> list[Answers]:
    """Returns, for each question, the answers on the test rows; each question has its own penalty."""
    targets, columns = _one_hot(questions)
    scores = np.zeros((len(_RIDGE_PENALTIES), len(questions)))
    for row, penalty in enumerate(_RIDGE_PENALTIES):
        for fit, held in sample.folds():
            guesses = _ridge(penalty, targets, rows=fit, sample=sample).predict(sample.features[held])
            for question, (answers, span) in enumerate(zip(questions, columns, strict=True)):
                scores[row, question] += np.mean(guesses[:, span].argmax(axis=1) == answers[held]) / _FOLDS
    best = scores.argmax(axis=0)
    predictions: dict[int, NDArray[np.float32]] = {}
    for row in set(best.tolist()):
        model = _ridge(_RIDGE_PENALTIES[row], targets, rows=sample.train, sample=sample)
        predictions[row] = model.predict(sample.features[sample.test])
    return [predictions[row][:, span].argmax(axis=1) for row, span in zip(best.tolist(), columns, strict=True)]


def logistic_predictions(
    answers: Answers, *, sample: LinearSample, class_weight: Literal["balanced"] | None = None
) -> Answers:
    """Returns the answers of a multinomial logistic regression on the test rows."""

    def score(cost: float) -> float:
        parts = sample.folds()
        models = [_logistic(cost, class_weight).fit(sample.features[fit], answers[fit]) for fit, _ in parts]
        held_scores = [
            model.score(sample.features[held], answers[held]) for model, (_, held) in zip(models, parts, strict=True)
        ]
        return float(np.mean(held_scores))

    best = _logistic(max(_LOGISTIC_COSTS, key=score), class_weight)
    model = best.fit(sample.features[sample.train], answers[sample.train])
    predicted: Answers = model.predict(sample.features[sample.test])
    return predicted


def _logistic(cost: float, class_weight: Literal["balanced"] | None) -> LogisticRegression:
    return LogisticRegression(C=cost, max_iter=_MOST_STEPS, class_weight=class_weight)


def _ridge(penalty: float, targets: Floats, *, rows: NDArray[np.int64], sample: LinearSample) -> Ridge:
    return Ridge(alpha=penalty, solver="cholesky").fit(sample.features[rows], targets[rows])


def _one_hot(questions: Sequence[Answers]) -> tuple[Floats, list[slice]]:
    """Returns all questions' answers side by side, `[photo_count, all answers] float32`, and each one's columns."""
    blocks = [np.eye(int(answers.max()) + 1, dtype=np.float32)[answers] for answers in questions]
    ends = np.cumsum([block.shape[1] for block in blocks]).tolist()
    spans = [slice(end - block.shape[1], end) for block, end in zip(blocks, ends, strict=True)]
    return np.concatenate(blocks, axis=1), spans

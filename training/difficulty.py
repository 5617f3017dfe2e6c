"""How hard the rendered task is, checked from outside.

What a linear model reaches on thumbnails, and what nobody can exceed. No number here depends on a model that the
project trains.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from training.confusion import accuracy_of, mcc_of
from training.dataset import PhotoRecord
from training.errors import TooFewPhotosError
from training.group_bootstrap import Estimate, FloatArray, IndexArray, estimate, group_indices
from training.linear_baseline import Answers, LinearSample, logistic_predictions, ridge_predictions, sample_photos
from training.task_file import DifficultySection, HeadSection, TaskFile

FEWEST_TRAINING_PHOTOS = 6_000
MOST_PHOTOS = 9_600
_BOOTSTRAPS = 2_000

Measure = Literal["accuracy", "mcc"]
_FIGURES: dict[Measure, Callable[[FloatArray], float]] = {"accuracy": accuracy_of, "mcc": mcc_of}


@dataclass(frozen=True, slots=True)
class QuestionDifficulty:
    """One question: a category head, one label of an attributes head, or all labels of one together."""

    head: str
    question: str
    measure: Measure
    """What the figures are."""
    commonest: Estimate
    """Of always giving the commonest answer."""
    linear: Estimate
    """Of the best linear model on thumbnails, on specimens that it never saw."""
    best_possible: Estimate
    """Of an observer of the latents themselves, who gives the answer of the greatest posterior."""
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
    """One question and the confusion tables, [group_count, side, side] float64, of those who answer it."""

    head: HeadSection
    name: str
    commonest: FloatArray
    linear: FloatArray
    best_possible: FloatArray


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
    return judge_sample(task, records, sample=sample)


def judge_sample(task: TaskFile, records: list[PhotoRecord], *, sample: LinearSample) -> list[QuestionDifficulty]:
    """Measures every question of a task.

    Args:
        task: Its heads, and the limits of those that have some.
        records: Of all photos; who knows the posteriors is asked about each.
        sample: Of the first photos, which linear models are asked about.
    """
    chosen = records[: len(sample.groups)]
    asked = [(head, *question) for head in task.heads for question in _answers(head, records=chosen)]
    ridge = ridge_predictions([answers for _, _, answers in asked], sample=sample)
    groups = group_indices([record.specimen for record in records])
    judged: list[QuestionDifficulty] = []
    for head in task.heads:
        limits = task.difficulty_of(head.id)
        questions = [
            _question(head, name, answers, ridge=said, sample=sample, records=records, groups=groups, limits=limits)
            for (owner, name, answers), said in zip(asked, ridge, strict=True)
            if owner is head
        ]
        judged += _judge(head, questions, limits=limits)
    return judged


def _answers(head: HeadSection, *, records: list[PhotoRecord]) -> list[tuple[str, Answers]]:
    """Returns the names and right answers of one question for a category head, of one a label for attributes."""
    truth = [record.labels[head.id] for record in records]
    if head.kind == "category":
        return [(head.title, np.array([head.labels.index(str(label)) for label in truth]))]
    return [(label, np.array([int(label in present) for present in truth])) for label in head.labels]


def _question(
    head: HeadSection,
    name: str,
    answers: Answers,
    *,
    ridge: Answers,
    sample: LinearSample,
    records: list[PhotoRecord],
    groups: IndexArray,
    limits: DifficultySection | None,
) -> _Question:
    """Answers one question by all who are asked; where there are limits, the best of all linear models counts."""
    figure = _FIGURES[_measure(limits)]
    side = len(head.labels) if head.kind == "category" else 2

    def table(said: Answers) -> FloatArray:
        tables = np.zeros((said.size, side, side))
        tables[np.arange(said.size), answers[sample.test], said] = 1
        return _by_group(tables, np.unique(sample.groups[sample.test], return_inverse=True)[1])

    linear = [table(ridge)]
    if limits is not None:
        linear.append(table(logistic_predictions(answers, sample=sample)))
    if limits is not None and limits.measure == "mcc":
        # Whoever goes for the commonest answer gets no correlation.
        linear.append(table(logistic_predictions(answers, sample=sample, class_weight="balanced")))
    commonest = np.full(sample.test.size, np.bincount(answers[sample.train]).argmax())
    return _Question(
        head=head,
        name=name,
        commonest=table(commonest),
        linear=max(linear, key=lambda each: figure(each.sum(axis=0)[None])),
        best_possible=_by_group(_expected(head, name, records=records), groups),
    )


def _expected(head: HeadSection, name: str, *, records: list[PhotoRecord]) -> FloatArray:
    """Returns [photo_count, side, side]: the chances of each truth, where the greatest posterior is what is said."""
    chances = np.array([record.posteriors[head.id] for record in records])
    if head.kind == "attributes":
        present = chances[:, head.labels.index(name)]
        chances = np.stack([1 - present, present], axis=1)
    tables = np.zeros((len(chances), chances.shape[1], chances.shape[1]))
    tables[np.arange(len(chances)), :, chances.argmax(axis=1)] = chances
    return tables


def _by_group(tables: FloatArray, groups: IndexArray) -> FloatArray:
    sums = np.zeros((int(groups.max()) + 1, *tables.shape[1:]))
    np.add.at(sums, groups, tables)
    return sums


def _measure(limits: DifficultySection | None) -> Measure:
    return "accuracy" if limits is None else limits.measure


def _judge(
    head: HeadSection, questions: list[_Question], *, limits: DifficultySection | None
) -> list[QuestionDifficulty]:
    """Scores a head's questions; of attributes, limits hold for the mean over labels, which gets a row of its own."""
    if head.kind == "category":
        return [_scored(head, head.title, questions, limits=limits, is_limited=limits is not None)]
    rows = [_scored(head, each.name, [each], limits=limits, is_limited=False) for each in questions]
    if limits is not None:
        rows.append(_scored(head, f"{head.title}: mean of labels", questions, limits=limits, is_limited=True))
    return rows


def _scored(
    head: HeadSection, name: str, questions: list[_Question], *, limits: DifficultySection | None, is_limited: bool
) -> QuestionDifficulty:
    measure = _measure(limits)

    def figure(tables: list[FloatArray]) -> Estimate:
        stacked = np.stack(tables, axis=1)
        each = np.arange(len(stacked))
        return estimate(
            lambda weights: _FIGURES[measure](np.tensordot(weights, stacked, axes=1)), each, draws=_BOOTSTRAPS
        )

    return QuestionDifficulty(
        head=head.id,
        question=name,
        measure=measure,
        commonest=figure([each.commonest for each in questions]),
        linear=figure([each.linear for each in questions]),
        best_possible=figure([each.best_possible for each in questions]),
        linear_limit=limits.linear_limit if limits is not None and is_limited else None,
        best_possible_range=limits.best_possible_range if limits is not None and is_limited else None,
    )

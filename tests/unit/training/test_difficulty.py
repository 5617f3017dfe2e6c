"""The yardstick itself: limits are judged by interval ends, and the linear model finds what is linear."""

import numpy as np
import pytest

from training.dataset import PhotoRecord
from training.difficulty import QuestionDifficulty, judge_sample
from training.group_bootstrap import Estimate
from training.linear_baseline import LinearSample, logistic_predictions, ridge_predictions
from training.task_file import DifficultySection, TaskFile, load_task_file

PHOTO_COUNT = 300


@pytest.fixture
def sample() -> LinearSample:
    """Noise features in which column 0 alone says something; two photos a specimen."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((PHOTO_COUNT, 12)).astype(np.float32)
    rows = np.arange(PHOTO_COUNT)
    return LinearSample(features=features, groups=rows // 2, train=rows[:200], test=rows[200:])


def _judged(*, linear: Estimate, best: Estimate) -> QuestionDifficulty:
    return QuestionDifficulty(
        head="product_type",
        question="Product type",
        measure="accuracy",
        commonest=Estimate(0.2, 0.2, 0.2),
        linear=linear,
        best_possible=best,
        linear_limit=0.70,
        best_possible_range=(0.97, 0.99),
    )


def test_a_linear_answer_is_found(sample: LinearSample) -> None:
    """Both models learn a threshold on one feature, and ridge learns no more than chance from noise."""
    linear = (sample.features[:, 0] > 0).astype(np.int64)
    noise = np.random.default_rng(1).integers(0, 2, PHOTO_COUNT)
    easy, hopeless = ridge_predictions([linear, noise], sample=sample)
    assert np.mean(easy == linear[sample.test]) > 0.85
    assert np.mean(hopeless == noise[sample.test]) < 0.70
    assert np.mean(logistic_predictions(linear, sample=sample) == linear[sample.test]) > 0.65


def test_folds_keep_specimens_together(sample: LinearSample) -> None:
    """No specimen is fitted on and held out at once, and the test part is never touched."""
    for fit, held in sample.folds():
        assert not set(sample.groups[fit]) & set(sample.groups[held])
        assert not (set(fit) | set(held)) & set(sample.test)


@pytest.mark.parametrize(
    ("linear", "best", "passed"),
    [
        (Estimate(0.60, 0.58, 0.62), Estimate(0.98, 0.979, 0.981), True),
        (Estimate(0.69, 0.67, 0.71), Estimate(0.98, 0.979, 0.981), False),
        (Estimate(0.60, 0.58, 0.62), Estimate(0.991, 0.990, 0.992), False),
        (Estimate(0.60, 0.58, 0.62), Estimate(0.971, 0.969, 0.973), False),
    ],
)
def test_limits_are_judged_by_the_ends_of_intervals(linear: Estimate, best: Estimate, *, passed: bool) -> None:
    """A figure whose interval reaches over a limit does not pass."""
    assert _judged(linear=linear, best=best).passed is passed


@pytest.fixture
def records(sample: LinearSample) -> list[PhotoRecord]:
    """Photos whose grade is A+ where column 0 is high and F elsewhere; browning is rare, the others are tosses."""
    rng = np.random.default_rng(2)
    others = [label for label in load_task_file("cannabis").head("attributes").labels if label != "browning"]
    made = []
    for row, group in enumerate(sample.groups):
        is_good, is_brown = sample.features[row, 0] > 0, rng.random() < 0.1
        made.append(
            PhotoRecord(
                photo=f"{row}.jpg",
                sha256="",
                specimen=f"s{group:06d}",
                split="train",
                labels={
                    "product_type": ("plant", "hash")[int(rng.integers(2))],
                    "quality_grade": "A+" if is_good else "F",
                    "attributes": (
                        *(label for label in others if rng.random() < 0.5),
                        *(("browning",) if is_brown else ()),
                    ),
                },
                posteriors={
                    "product_type": (0.5, 0.0, 0.0, 0.5, 0.0),
                    "quality_grade": (0.98, 0.0, 0.0, 0.0, 0.02) if is_good else (0.02, 0.0, 0.0, 0.0, 0.98),
                    "attributes": (0.5,) * 7 + (1.0 if is_brown else 0.0,) + (0.5,) * 2,
                },
            )
        )
    return made


def _limiting(head: str, measure: str) -> TaskFile:
    """The cannabis task with limits for one head."""
    limits = {head: DifficultySection(measure=measure)}
    return load_task_file("cannabis").model_copy(update={"difficulty": limits})


def test_limits_are_those_of_the_task_file(sample: LinearSample, records: list[PhotoRecord]) -> None:
    """A head whose accuracy is gated has limits, and one that the task file limits; no other has."""
    judged = judge_sample(_limiting("quality_grade", "accuracy"), records, sample=sample)
    assert {each.head for each in judged if each.linear_limit is not None} == {"product_type", "quality_grade"}
    grade = next(each for each in judged if each.head == "quality_grade")
    assert grade.linear.value > 0.85
    assert grade.best_possible.value == pytest.approx(0.98)
    assert not grade.passed


def test_a_figure_may_be_the_correlation(sample: LinearSample, records: list[PhotoRecord]) -> None:
    """The commonest answer has none; where labels are rare, accuracy would flatter it."""
    judged = judge_sample(_limiting("attributes", "mcc"), records, sample=sample)
    rows = {each.question: each for each in judged if each.head == "attributes"}
    assert rows["browning"].commonest.value == 0
    assert rows["browning"].best_possible.value == pytest.approx(1)
    assert abs(rows["browning"].linear.value) < 0.4
    assert [name for name, each in rows.items() if each.linear_limit is not None] == ["Attributes: mean of labels"]
    assert rows["Attributes: mean of labels"].best_possible.value == pytest.approx(0.1)

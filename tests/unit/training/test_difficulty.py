"""The yardstick itself: limits are judged by interval ends, and the linear model finds what is linear."""

import numpy as np
import pytest

from training.difficulty import Estimate, QuestionDifficulty
from training.linear_baseline import LinearSample, logistic_predictions, ridge_predictions

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
